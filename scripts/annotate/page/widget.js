// @ts-check
// One image in a notebook: the page's own stage, gestures and annotator, with the kernel as server.

/** @import { Candidate, Prompt } from "./server/types.js" */

import { make } from "./elements.js";
import { Pointing } from "./image/pointing.js";
import { Stage } from "./image/stage.js";
import { Annotator } from "./objects/annotator.js";
import { EMPTY, isEmpty } from "./objects/draft.js";

/**
 * What anywidget gives: the traits of the widget in the kernel, and messages to and from it.
 *
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(content: object) => void} send
 * @property {(event: string, heard: (content: any) => void) => void} on
 * @property {(event: string, heard: (content: any) => void) => void} off
 */

/**
 * Ask the kernel, which answers with the number of the question.
 *
 * @param {Model} model
 */
function kernel(model) {
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  const open = new Map();
  let last = 0;
  /** @param {any} content */
  const heard = ({ number, error, ...answer }) => {
    const question = open.get(number);
    open.delete(number);
    if (error) question?.reject(new Error(error));
    else question?.resolve(answer);
  };
  model.on("msg:custom", heard);
  return {
    /**
     * @param {object} content
     * @returns {Promise<any>}
     */
    ask: (content) =>
      new Promise((resolve, reject) => {
        last += 1;
        open.set(last, { resolve, reject });
        model.send({ ...content, number: last });
      }),
    close: () => model.off("msg:custom", heard),
  };
}

/** @param {{model: Model, el: HTMLElement}} given by anywidget. */
function render({ model, el }) {
  const server = kernel(model);
  const [width, height] = model.get("size");
  const host = make(
    "div",
    { class: "sam-stage", tabindex: "0", role: "application", "aria-label": "The image" },
    make("canvas"),
    make("canvas"),
  );
  host.style.aspectRatio = `${width} / ${height}`;
  const status = make("span", { role: "status" });
  /** @param {string} text */
  const say = (text) => {
    status.textContent = text;
  };
  const annotator = new Annotator({
    ask: async (/** @type {Prompt} */ prompt) => {
      const { candidates } = /** @type {{candidates: Candidate[]}} */ (
        await server.ask({ kind: "candidates", prompt })
      );
      return candidates;
    },
    save: (change) => {
      server.ask({ kind: "change", ...change }).then(
        (answer) => {
          const { object } = /** @type {any} */ (answer);
          if (object) annotator.confirm(object);
        },
        (error) => say(error.message),
      );
    },
    category: () => "",
    changed: () => stage.redraw(),
    say,
  });
  /** @type {Stage} */
  const stage = new Stage(host, () => pointing.scene());
  /** @type {Pointing} */
  const pointing = new Pointing(annotator, stage);
  annotator.open(model.get("objects"));

  const actions = {
    accept: () => (isEmpty(annotator.draft) ? say("Click something first") : annotator.accept()),
    undo: () => annotator.undo(),
    redo: () => annotator.redo(),
    drop: () => annotator.edit(EMPTY),
  };
  /** @type {Record<string, () => void>} */
  const keys = { enter: actions.accept, escape: actions.drop, y: actions.redo };
  host.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    const digit = /^Digit([1-3])$/.exec(event.code)?.[1];
    const action = key === "z" ? (event.shiftKey ? actions.redo : actions.undo) : keys[key];
    if (!action && !digit) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has keys of its own
    if (digit) annotator.choose(Number(digit) - 1);
    else action();
  });
  const button = (/** @type {string} */ label, /** @type {() => void} */ action) => {
    const element = make("button", { type: "button" }, label);
    element.addEventListener("click", action);
    return element;
  };
  const bar = make(
    "div",
    { class: "sam-bar" },
    button("Accept", actions.accept),
    button("Undo", actions.undo),
    button("Redo", actions.redo),
    status,
  );
  el.append(host, bar);
  say("Click to include, right-click to exclude, drag a box; Enter accepts");

  const picture = new Image();
  const { buffer, byteOffset, byteLength } = /** @type {DataView} */ (model.get("picture"));
  const address = URL.createObjectURL(
    new Blob([new Uint8Array(/** @type {ArrayBuffer} */ (buffer), byteOffset, byteLength)]),
  );
  picture.src = address;
  picture.decode().then(() => {
    stage.show(picture, width, height);
    pointing.begin();
  }, say);
  return () => {
    server.close();
    URL.revokeObjectURL(address);
  };
}

export default { render };
