// @ts-check
// The toolbar and the keys: every action has a button, and most a key.

import { byId, make } from "./elements.js";

/** @typedef {"include" | "exclude" | "box" | "brush" | "erase" | "choose" | "pan"} Tool */

/** @type {{tool: Tool, key: string, sign: string, label: string}[]} */
export const TOOLS = [
  { tool: "include", key: "p", sign: "+", label: "Include" },
  { tool: "exclude", key: "x", sign: "−", label: "Exclude" },
  { tool: "box", key: "r", sign: "▭", label: "Box" },
  { tool: "brush", key: "b", sign: "●", label: "Brush" },
  { tool: "erase", key: "d", sign: "○", label: "Eraser" },
  { tool: "choose", key: "v", sign: "◎", label: "Keep or drop" },
  { tool: "pan", key: "h", sign: "✥", label: "Move" },
];

/** @typedef {"everything" | "accept" | "undo" | "redo" | "in" | "out" | "fit"} Action */

/** @type {{action: Action, key: string, sign: string, label: string}[]} */
export const ACTIONS = [
  { action: "everything", key: "E", sign: "✱", label: "Everything" },
  { action: "undo", key: "Z", sign: "↶", label: "Undo" },
  { action: "redo", key: "Shift Z", sign: "↷", label: "Redo" },
  { action: "out", key: "-", sign: "⊖", label: "Zoom out" },
  { action: "fit", key: "0", sign: "↔", label: "Whole image" },
  { action: "in", key: "+", sign: "⊕", label: "Zoom in" },
  { action: "accept", key: "Enter", sign: "✓", label: "Accept" },
];

/** @type {[keys: string, meaning: string][]} */
export const KEYS = [
  ["Click, Space", "include what is there"],
  ["Right click, Alt click, Shift Space", "exclude what is there"],
  ["Drag", "draw a box"],
  ["1 2 3", "choose among the network's candidates"],
  ["Enter", "accept the mask, or correct the selected object"],
  ["Escape", "drop the mask in hand"],
  ["Z, Shift Z", "undo, redo"],
  ["C", "type a category, or its digit"],
  ["Shift 1 … 9", "take a category"],
  ["← →", "previous, next image"],
  ["Shift ← → ↑ ↓", "move the crosshair; with Ctrl by one pixel"],
  ["N, Shift N", "select the next, previous object"],
  ["A, Delete", "accept, reject the selected object"],
  ["E", "everything in the image, to keep or drop by clicks"],
  ["[ ]", "size of the brush"],
  ["Wheel, two fingers, + − 0", "zoom"],
  ["Middle button, H", "move the image"],
  ...TOOLS.map(
    ({ key, label }) => /** @type {[string, string]} */ ([key.toUpperCase(), label.toLowerCase()]),
  ),
];

/**
 * Fill the toolbar and the list of keys.
 *
 * @param {(tool: Tool) => void} take
 * @param {(action: Action) => void} act
 */
export function fillToolbar(take, act) {
  const bar = byId("tools", HTMLElement);
  const tools = make("div", { role: "group", "aria-label": "Pointer" });
  for (const { tool, key, sign, label } of TOOLS) {
    const button = toolButton(sign, label, key.toUpperCase());
    button.dataset.tool = tool;
    button.addEventListener("click", () => take(tool));
    tools.append(button);
  }
  const actions = make("div", { role: "group", "aria-label": "Actions" });
  for (const { action, key, sign, label } of ACTIONS) {
    const button = toolButton(sign, label, key);
    button.id = action;
    button.addEventListener("click", () => act(action));
    actions.append(button);
  }
  bar.replaceChildren(tools, actions);
  byId("key-list", HTMLDListElement).replaceChildren(
    ...KEYS.flatMap(([keys, meaning]) => [make("dt", {}, keys), make("dd", {}, meaning)]),
  );
}

/**
 * @param {string} sign all that a narrow page shows.
 * @param {string} label
 * @param {string} key
 */
const toolButton = (sign, label, key) =>
  make(
    "button",
    { type: "button", "aria-label": label, title: `${label} (${key})` },
    make("span", { "aria-hidden": "true" }, sign),
    make("span", { class: "word" }, label),
  );

/** @param {Tool} tool */
export function showTool(tool) {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute(
      "aria-pressed",
      String(/** @type {HTMLElement} */ (button).dataset.tool === tool),
    );
  }
  byId("stage", HTMLElement).dataset.tool = tool;
}
