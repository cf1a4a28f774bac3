// @ts-check
// What the tools do where somebody points, with a pointer or with the keyboard's crosshair.

/** @import { Annotator } from "../objects/annotator.js" */
/** @import { Box, Point, Stroke } from "../server/types.js" */
/** @import { Tool } from "../tools.js" */
/** @import { Scene, Stage } from "./stage.js" */

import { EMPTY, withBox, withPoint, withStroke } from "../objects/draft.js";
import { counted } from "../elements.js";
import { listen } from "./gestures.js";

const BRUSH_PIXELS = 12; // radius on the stage
const STEP_PIXELS = 12; // of the crosshair, on the stage

export class Pointing {
  /**
   * @param {Annotator} annotator
   * @param {Stage} stage
   */
  constructor(annotator, stage) {
    this.annotator = annotator;
    this.stage = stage;
    /** @type {Tool} */
    this.tool = "include";
    this.brush = BRUSH_PIXELS;
    this.ready = false; // whether masks can follow the pointer
    /** @type {Point | null} */
    this.pointer = null;
    /** @type {Point | null} */
    this.crosshair = null;
    /** @type {Point | null} */
    this.corner = null; // of a box that the keyboard draws
    /** @type {Box | null} */
    this.box = null; // that is being drawn
    /** @type {Stroke | null} */
    this.stroke = null; // that is being painted
    listen(stage, this, () => this.tool === "pan");
  }

  /** Another image is shown. */
  reset() {
    this.ready = false;
    this.crosshair = this.corner = this.box = this.stroke = null;
  }

  /** Masks may follow the pointer now. */
  begin() {
    this.ready = true;
    if (this.pointer) this.preview(this.pointer);
  }

  /** @param {Tool} tool */
  take(tool) {
    this.tool = tool;
    this.corner = this.box = null;
    if (tool !== "include") this.annotator.leave();
    this.stage.redraw();
  }

  /**
   * What the stage shows now.
   *
   * @returns {Scene}
   */
  scene() {
    const { draft, mask, objects, preview } = this.annotator;
    return {
      objects: objects.drawn(draft.id),
      preview,
      mask,
      draft,
      stroke: this.stroke,
      box: this.box,
      crosshair: this.crosshair,
      brush: this.brushShown(),
    };
  }

  get paints() {
    return this.tool === "brush" || this.tool === "erase";
  }

  get brushRadius() {
    return this.brush / this.stage.view.scale;
  }

  /** The brush as the stage draws it. */
  brushShown() {
    if (!this.paints || !this.pointer) return null;
    return { at: this.pointer, radius: this.brushRadius };
  }

  /** @param {Point} point */
  preview(point) {
    if (this.ready && this.tool === "include") this.annotator.hover(point);
  }

  // What gestures.js hears.

  /** @param {Point} at on the stage. */
  hover(at) {
    this.pointer = this.stage.holds(at) ? this.stage.toImage(at) : null;
    if (this.pointer) this.preview(this.pointer);
    else this.annotator.leave();
    if (this.paints) this.stage.redraw();
  }

  leave() {
    this.pointer = null;
    this.annotator.leave();
  }

  /**
   * @param {Point} at on the stage.
   * @param {boolean} exclude
   */
  click(at, exclude) {
    if (this.stage.holds(at)) this.press(this.stage.toImage(at), exclude);
  }

  /** @param {Point} from on the stage. */
  dragStart(from) {
    if (this.paints) this.stroke = this.strokeFrom(this.stage.toImage(from));
    return this.tool !== "choose" && this.tool !== "pan";
  }

  /**
   * @param {Point} from on the stage.
   * @param {Point} to
   */
  drag(from, to) {
    this.pointer = this.stage.toImage(to);
    if (this.stroke) this.stroke.points.push(rounded(this.pointer));
    else this.box = withBox(EMPTY, this.stage.toImage(from), this.pointer).box;
    this.stage.redraw();
  }

  /**
   * @param {Point} from on the stage.
   * @param {Point | null} to null for a drag that is given up.
   */
  dragEnd(from, to) {
    const { stroke, box } = this;
    this.stroke = this.box = null;
    this.stage.redraw();
    if (!to || !this.ready) return;
    if (stroke) this.annotator.edit(withStroke(this.annotator.draft, stroke));
    else if (box) this.drawBox(this.stage.toImage(from), this.stage.toImage(to));
  }

  // What becomes of it.

  /**
   * @param {Point} point
   * @param {boolean} exclude
   */
  press(point, exclude) {
    const { annotator, stage } = this;
    if (!stage.image) return;
    if (this.tool === "choose") {
      const object = annotator.objects.at([point[0] / stage.width, point[1] / stage.height]);
      if (object) annotator.toggleObject(object);
      else annotator.around.say("No object here");
    } else if (this.paints) {
      annotator.edit(withStroke(annotator.draft, this.strokeFrom(point)));
    } else {
      const label = exclude || this.tool === "exclude" ? 0 : 1;
      annotator.click(withPoint(annotator.draft, rounded(point), label));
    }
  }

  /**
   * @param {Point} from
   * @param {Point} to
   */
  drawBox(from, to) {
    const draft = withBox(this.annotator.draft, rounded(from), rounded(to));
    const [x0, y0, x1, y1] = draft.box ?? [0, 0, 0, 0];
    if (x1 - x0 < 1 || y1 - y0 < 1) this.annotator.around.say("The box is smaller than a pixel");
    else this.annotator.edit(draft);
  }

  /**
   * @param {Point} point
   * @returns {Stroke}
   */
  strokeFrom(point) {
    return {
      mode: this.tool === "brush" ? "add" : "remove",
      radius: Math.max(Math.round(this.brushRadius * 10) / 10, 0.1),
      points: [rounded(point)],
    };
  }

  /** @param {number} factor */
  resizeBrush(factor) {
    this.brush = Math.min(Math.max(this.brush * factor, 1), 200);
    this.annotator.around.say(`Brush of ${counted(Math.round(2 * this.brush), "pixel")}`);
    this.stage.redraw();
  }

  // The crosshair.

  /**
   * @param {number} dx -1, 0 or 1.
   * @param {number} dy
   * @param {boolean} exactly by one pixel.
   */
  moveCrosshair(dx, dy, exactly) {
    const { width, height, view } = this.stage;
    const step = exactly ? 1 : STEP_PIXELS / view.scale;
    const [x, y] = this.crosshair ?? [width / 2, height / 2];
    const at = /** @type {Point} */ ([
      Math.min(Math.max(x + dx * step, 0), width - 0.01),
      Math.min(Math.max(y + dy * step, 0), height - 0.01),
    ]);
    this.crosshair = at;
    if (this.corner) this.box = withBox(EMPTY, this.corner, at).box;
    else this.preview(at);
    this.annotator.around.say(`${Math.round(at[0])}, ${Math.round(at[1])}`);
    this.stage.redraw();
  }

  /** @param {boolean} exclude */
  pressCrosshair(exclude) {
    this.crosshair ??= [this.stage.width / 2, this.stage.height / 2];
    if (this.tool !== "box") return this.press(this.crosshair, exclude);
    if (!this.corner) {
      this.corner = this.crosshair;
      this.annotator.around.say("One corner of the box: go to the other and press Space");
      return;
    }
    const from = this.corner;
    this.box = this.corner = null;
    this.drawBox(from, this.crosshair);
  }

  /** Give up what is being drawn. */
  giveUp() {
    this.corner = this.box = this.stroke = null;
    this.stage.redraw();
  }
}

/**
 * A point in tenths of a pixel, which is as exact as a pointer.
 *
 * @param {Point} point
 */
const rounded = (point) => /** @type {Point} */ (point.map((value) => Math.round(value * 10) / 10));
