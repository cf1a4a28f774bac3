// @ts-check
// What a mouse, a pen or fingers do on the stage, as clicks, drags, pans and zooms.

/** @import { Stage } from "./stage.js" */
/** @import { Point } from "../server/types.js" */

const DRAG_PIXELS = 5;
const WHEEL_FACTOR = 1.0015;

/**
 * Places are on the stage, in CSS pixels.
 *
 * @typedef {object} Heard
 * @property {(at: Point) => void} hover
 * @property {() => void} leave
 * @property {(at: Point, exclude: boolean) => void} click
 * @property {(from: Point) => boolean} dragStart whether a drag is wanted; else it pans.
 * @property {(from: Point, to: Point) => void} drag
 * @property {(from: Point, to: Point | null) => void} dragEnd null for a drag that is given up.
 */

/**
 * @param {Stage} stage
 * @param {Heard} heard
 * @param {() => boolean} panning whether the pointer drags the image itself.
 */
export function listen(stage, heard, panning) {
  const host = stage.host;
  /** @type {Map<number, Point>} */
  const down = new Map();
  /** @type {{from: Point, last: Point, kind: "press" | "drag" | "pan" | "pinch"} | null} */
  let gesture = null;

  /**
   * @param {MouseEvent} event
   * @returns {Point}
   */
  const place = (event) => {
    const { left, top } = host.getBoundingClientRect();
    return [event.clientX - left - host.clientLeft, event.clientY - top - host.clientTop];
  };

  const giveUp = () => {
    if (gesture?.kind === "drag") heard.dragEnd(gesture.from, null);
    gesture = null;
  };

  host.addEventListener("pointerdown", (event) => {
    if (event.target instanceof Element && event.target.closest("button, input")) return;
    host.focus({ preventScroll: true });
    host.setPointerCapture(event.pointerId);
    const at = place(event);
    down.set(event.pointerId, at);
    if (down.size > 1) {
      giveUp();
      gesture = { from: at, last: at, kind: "pinch" };
    } else if (event.button === 1 || panning()) {
      gesture = { from: at, last: at, kind: "pan" };
      event.preventDefault();
    } else {
      gesture = { from: at, last: at, kind: "press" };
    }
  });

  host.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (!down.has(event.pointerId)) {
      if (event.pointerType !== "touch") heard.hover(at);
      return;
    }
    if (gesture?.kind === "pinch") pinch(event.pointerId, at);
    down.set(event.pointerId, at);
    if (!gesture) return;
    if (gesture.kind === "press" && distance(gesture.from, at) > DRAG_PIXELS) {
      const wanted = !(event.buttons & 2) && heard.dragStart(gesture.from);
      gesture.kind = wanted ? "drag" : "pan";
    }
    if (gesture.kind === "drag") heard.drag(gesture.from, at);
    if (gesture.kind === "pan") stage.pan(at[0] - gesture.last[0], at[1] - gesture.last[1]);
    gesture.last = at;
  });

  /**
   * @param {number} id of the pointer that moves.
   * @param {Point} to
   */
  const pinch = (id, to) => {
    const from = down.get(id);
    const other = [...down].find(([pointer]) => pointer !== id)?.[1];
    if (!from || !other) return;
    const middle = /** @type {Point} */ ([(to[0] + other[0]) / 2, (to[1] + other[1]) / 2]);
    stage.pan((to[0] - from[0]) / 2, (to[1] - from[1]) / 2);
    stage.zoom(distance(to, other) / Math.max(distance(from, other), 1), middle);
  };

  host.addEventListener("pointerup", (event) => {
    const at = place(event);
    down.delete(event.pointerId);
    if (!gesture || down.size) return;
    const { kind, from } = gesture;
    gesture = null;
    if (kind === "press") heard.click(from, event.button === 2 || event.altKey);
    if (kind === "drag") heard.dragEnd(from, at);
  });
  host.addEventListener("pointercancel", (event) => {
    down.delete(event.pointerId);
    giveUp();
  });
  host.addEventListener("pointerleave", () => heard.leave());
  host.addEventListener("contextmenu", (event) => event.preventDefault());
  host.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      stage.zoom(WHEEL_FACTOR ** -event.deltaY, place(event));
    },
    { passive: false },
  );
}

/**
 * @param {Point} a
 * @param {Point} b
 */
const distance = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
