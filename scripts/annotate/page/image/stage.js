// @ts-check
// The image and what lies on it: two canvases, of which the upper one never takes the pointer.

/** @import { Draft } from "../objects/draft.js" */
/** @import { Sprite } from "./rle.js" */
/** @import { Box, Point, Stroke } from "../server/types.js" */

const MOST_ZOOM = 32;
const POINT_RADIUS = 6;

/**
 * Everything that is shown on the image.
 *
 * @typedef {object} Scene
 * @property {{sprite: Sprite, strength: number, strong: boolean}[]} objects from the back to the front.
 * @property {Sprite | null} preview the mask that follows the pointer.
 * @property {Sprite | null} mask of the draft, opaque.
 * @property {Draft} draft
 * @property {Stroke | null} stroke that is being painted.
 * @property {Box | null} box that is being drawn.
 * @property {Point | null} crosshair
 * @property {{at: Point, radius: number} | null} brush
 */

export class Stage {
  /**
   * @param {HTMLElement} host
   * @param {() => Scene} scene
   */
  constructor(host, scene) {
    this.host = host;
    this.scene = scene;
    const [picture, overlay] = host.querySelectorAll("canvas");
    this.layers = [picture, overlay];
    /** @type {HTMLImageElement | null} */
    this.image = null;
    this.width = 1;
    this.height = 1;
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.frame = 0;
    this.scratch = new OffscreenCanvas(1, 1);
    new ResizeObserver(() => this.resized()).observe(host);
  }

  /**
   * @param {HTMLImageElement | null} image
   * @param {number} width of the image itself, in pixels.
   * @param {number} height
   */
  show(image, width, height) {
    this.image = image;
    this.width = width;
    this.height = height;
    this.fit();
  }

  resized() {
    for (const canvas of this.layers) {
      canvas.width = Math.round(this.host.clientWidth * devicePixelRatio);
      canvas.height = Math.round(this.host.clientHeight * devicePixelRatio);
    }
    if (this.fitted) this.fit();
    else this.redraw();
  }

  /** Show the whole image. */
  fit() {
    const { clientWidth, clientHeight } = this.host;
    const scale = Math.min(clientWidth / this.width, clientHeight / this.height);
    this.view = {
      scale,
      x: (clientWidth - this.width * scale) / 2,
      y: (clientHeight - this.height * scale) / 2,
    };
    this.fitted = true;
    this.redraw();
  }

  /**
   * @param {number} factor
   * @param {Point} [at] the place on the stage that stays where it is.
   */
  zoom(factor, at = [this.host.clientWidth / 2, this.host.clientHeight / 2]) {
    const { clientWidth, clientHeight } = this.host;
    const least = Math.min(clientWidth / this.width, clientHeight / this.height) / 2;
    const scale = Math.max(least, Math.min(MOST_ZOOM, this.view.scale * factor));
    const ratio = scale / this.view.scale;
    const [x, y] = at;
    this.view = {
      scale,
      x: x - (x - this.view.x) * ratio,
      y: y - (y - this.view.y) * ratio,
    };
    this.fitted = false;
    this.redraw();
  }

  /**
   * @param {number} dx on the stage.
   * @param {number} dy
   */
  pan(dx, dy) {
    this.view = { ...this.view, x: this.view.x + dx, y: this.view.y + dy };
    this.fitted = false;
    this.redraw();
  }

  /**
   * A place on the stage as pixels of the image; inside the image, where that is nearest.
   *
   * @param {Point} place
   * @returns {Point}
   */
  toImage([x, y]) {
    const { scale, x: left, y: top } = this.view;
    return [within((x - left) / scale, this.width), within((y - top) / scale, this.height)];
  }

  /**
   * @param {Point} place
   * @returns {boolean} whether a place on the stage is one of the image.
   */
  holds([x, y]) {
    const { scale, x: left, y: top } = this.view;
    return x >= left && y >= top && x < left + this.width * scale && y < top + this.height * scale;
  }

  redraw() {
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const [picture, overlay] = this.layers.map((canvas) => {
      const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      const { scale, x, y } = this.view;
      const ratio = devicePixelRatio;
      context.setTransform(scale * ratio, 0, 0, scale * ratio, x * ratio, y * ratio);
      return context;
    });
    if (!this.image) return;
    picture.imageSmoothingEnabled = this.view.scale < 4; // show pixels where they are large
    picture.drawImage(this.image, 0, 0, this.width, this.height);
    this.drawScene(overlay, this.scene());
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Scene} scene
   */
  drawScene(context, scene) {
    for (const { sprite, strength, strong } of scene.objects) {
      context.globalAlpha = strength;
      this.drawSprite(context, sprite);
      if (strong) this.drawSprite(context, sprite);
    }
    context.globalAlpha = 1;
    if (scene.preview) this.drawSprite(context, scene.preview);
    const strokes = scene.stroke ? [...scene.draft.strokes, scene.stroke] : scene.draft.strokes;
    if (scene.mask || strokes.length) this.drawMask(context, scene.mask, strokes);
    const box = scene.box ?? scene.draft.box;
    if (box) this.drawBox(context, box);
    scene.draft.points.forEach((point, index) =>
      this.drawPoint(context, point, scene.draft.labels[index]),
    );
    if (scene.crosshair) this.drawCrosshair(context, scene.crosshair);
    if (scene.brush) {
      context.beginPath();
      context.arc(...scene.brush.at, scene.brush.radius, 0, 2 * Math.PI);
      this.outline(context, 1.5, "#fff");
    }
  }

  /**
   * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
   * @param {Sprite} sprite
   */
  drawSprite(context, { canvas, x, y, width, height }) {
    context.drawImage(
      canvas,
      x * this.width,
      y * this.height,
      width * this.width,
      height * this.height,
    );
  }

  /**
   * The mask in hand: an opaque layer that strokes add to and take from, laid on the image thinly.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {Sprite | null} mask
   * @param {Stroke[]} strokes
   */
  drawMask(context, mask, strokes) {
    const { width, height } = this.layers[1];
    if (this.scratch.width !== width) this.scratch.width = width;
    if (this.scratch.height !== height) this.scratch.height = height;
    const layer = /** @type {OffscreenCanvasRenderingContext2D} */ (this.scratch.getContext("2d"));
    layer.setTransform(1, 0, 0, 1, 0, 0);
    layer.clearRect(0, 0, width, height);
    layer.setTransform(context.getTransform());
    if (mask) this.drawSprite(layer, mask);
    layer.lineCap = layer.lineJoin = "round";
    layer.strokeStyle = layer.fillStyle = "rgb(255 210 0)";
    for (const stroke of strokes) {
      layer.globalCompositeOperation = stroke.mode === "add" ? "source-over" : "destination-out";
      layer.lineWidth = 2 * stroke.radius;
      layer.beginPath();
      stroke.points.forEach(([x, y]) => layer.lineTo(x, y));
      if (stroke.points.length === 1) layer.lineTo(stroke.points[0][0], stroke.points[0][1] + 0.01);
      layer.stroke();
    }
    layer.globalCompositeOperation = "source-over";
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.globalAlpha = 0.55;
    context.drawImage(this.scratch, 0, 0);
    context.restore();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Box} box
   */
  drawBox(context, [x0, y0, x1, y1]) {
    context.beginPath();
    context.rect(x0, y0, x1 - x0, y1 - y0);
    this.outline(context, 2, "#fff");
  }

  /**
   * Points differ in form too, not in colour alone: a plus on the object, a minus beside it.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {Point} point
   * @param {number} label
   */
  drawPoint(context, [x, y], label) {
    const unit = 1 / this.view.scale;
    const radius = POINT_RADIUS * unit;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = label ? "#0a7d33" : "#b3261e";
    context.fill();
    context.beginPath();
    context.moveTo(x - radius / 2, y);
    context.lineTo(x + radius / 2, y);
    if (label) {
      context.moveTo(x, y - radius / 2);
      context.lineTo(x, y + radius / 2);
    }
    context.arc(x, y, 0, 0, 0);
    context.lineWidth = 1.8 * unit;
    context.strokeStyle = "#fff";
    context.stroke();
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Point} point
   */
  drawCrosshair(context, [x, y]) {
    const unit = 1 / this.view.scale;
    context.beginPath();
    for (const [dx, dy] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ]) {
      context.moveTo(x + 3 * dx * unit, y + 3 * dy * unit);
      context.lineTo(x + 14 * dx * unit, y + 14 * dy * unit);
    }
    this.outline(context, 2, "#fff");
  }

  /**
   * Stroke a path so that it can be seen on any ground.
   *
   * @param {CanvasRenderingContext2D} context
   * @param {number} width on the stage.
   * @param {string} colour
   */
  outline(context, width, colour) {
    const unit = 1 / this.view.scale;
    context.lineWidth = (width + 2) * unit;
    context.strokeStyle = "rgb(0 0 0 / 0.65)";
    context.stroke();
    context.lineWidth = width * unit;
    context.strokeStyle = colour;
    context.stroke();
  }
}

/**
 * @param {number} value
 * @param {number} size
 */
const within = (value, size) => Math.min(Math.max(value, 0), size - 0.01);
