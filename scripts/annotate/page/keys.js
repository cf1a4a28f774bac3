// @ts-check
// The keyboard.

/** @import { Pointing } from "./image/pointing.js" */
/** @import { Annotator } from "./objects/annotator.js" */
/** @import { Annotation } from "./server/types.js" */
/** @import { Action, Tool } from "./tools.js" */

import { byId } from "./elements.js";
import { EMPTY, isEmpty } from "./objects/draft.js";
import { TOOLS } from "./tools.js";

/** @type {Record<string, [dx: number, dy: number]>} */
const ARROWS = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/**
 * What keys set going.
 *
 * @typedef {object} Commands
 * @property {Annotator} annotator
 * @property {Pointing} pointing
 * @property {(tool: Tool) => void} take
 * @property {(action: Action) => void} act
 * @property {(step: 1 | -1) => void} turn to the next image.
 * @property {(index: number) => void} name by a known category.
 * @property {(text: string) => void} say
 */

/** @param {Commands} commands */
export function listenToKeys(commands) {
  const { annotator, pointing, act, say } = commands;
  const { objects } = annotator;

  /** @param {(object: Annotation) => void} then */
  const withSelection = (then) => {
    const selected = objects.selection();
    if (selected) then(selected);
    else say("Select an object first (N)");
  };

  const escape = () => {
    pointing.giveUp();
    if (!isEmpty(annotator.draft)) annotator.edit(EMPTY);
    else if (objects.list.some(({ proposed }) => proposed)) objects.removeProposed();
    else objects.select("");
  };

  /** @param {1 | -1} step */
  const selectNext = (step) => {
    const next = objects.next(step);
    if (!next) return say("There is no object");
    objects.select(next.id);
    say(
      `${next.category || "object"}, ${{ accept: "accepted", reject: "rejected", "": "not judged" }[next.verdict ?? ""]}`,
    );
  };

  /** @type {Record<string, (event: KeyboardEvent) => void>} */
  const keys = {
    enter: () => act("accept"),
    escape,
    " ": ({ shiftKey }) => pointing.pressCrosshair(shiftKey),
    z: ({ shiftKey }) => act(shiftKey ? "redo" : "undo"),
    c: () => byId("category", HTMLInputElement).select(),
    e: () => act("everything"),
    n: ({ shiftKey }) => selectNext(shiftKey ? -1 : 1),
    a: () => withSelection((object) => annotator.acceptObject(object)),
    delete: () => withSelection((object) => annotator.rejectObject(object)),
    backspace: () => withSelection((object) => annotator.rejectObject(object)),
    "+": () => act("in"),
    "=": () => act("in"),
    "-": () => act("out"),
    0: () => act("fit"),
    "[": () => pointing.resizeBrush(1 / 1.3),
    "]": () => pointing.resizeBrush(1.3),
    "?": () => byId("keys", HTMLDialogElement).showModal(),
  };

  /**
   * @param {KeyboardEvent} event
   * @returns {boolean} whether the key was one of the page's.
   */
  const pressed = (event) => {
    const { key, shiftKey } = event;
    const control = event.ctrlKey || event.metaKey;
    const arrow = ARROWS[key];
    if (arrow && shiftKey) pointing.moveCrosshair(...arrow, control);
    else if (arrow && arrow[0] && !control) commands.turn(arrow[0] > 0 ? 1 : -1);
    if (arrow) return shiftKey || (arrow[0] !== 0 && !control);
    const name = key.toLowerCase();
    if (control && name === "y") act("redo");
    else if (control && name === "z") keys.z(event);
    if (control) return name === "y" || name === "z";
    const digit = Number(/^(?:Digit|Numpad)([1-9])$/.exec(event.code)?.[1] ?? 0);
    if (digit && shiftKey) commands.name(digit - 1);
    else if (digit >= 1 && digit <= 3) annotator.choose(digit - 1);
    if (digit) return shiftKey || digit <= 3;
    const tool = TOOLS.find((one) => one.key === name);
    if (tool) commands.take(tool.tool);
    else keys[name]?.(event);
    return tool !== undefined || name in keys;
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (event.isComposing || target.closest("input, dialog")) return;
    if (target.closest("button") && ["Enter", " "].includes(event.key)) return;
    if (pressed(event)) event.preventDefault();
  });
}
