// @ts-check
// COCO's run-length encodings as pictures.

/** @import { Segmentation } from "../server/types.js" */

/**
 * A mask as a picture that covers its own extent.
 *
 * @typedef {object} Sprite
 * @property {OffscreenCanvas} canvas
 * @property {number} x left edge, as a share of the frame's width; the others likewise.
 * @property {number} y
 * @property {number} width
 * @property {number} height
 * @property {(x: number, y: number) => boolean} covers whether the mask covers a place.
 */

/** @typedef {[red: number, green: number, blue: number]} Colour */

const FILL = 110; // opacity inside, of 255
const LONGEST = 1024;

/**
 * The runs of a compressed encoding, outside first; pycocotools/common/maskApi.c, rleFrString.
 *
 * @param {string} counts
 */
export function decodeRuns(counts) {
  const runs = [];
  let value = 0;
  let shift = 0;
  for (let index = 0; index < counts.length; index += 1) {
    const bits = counts.charCodeAt(index) - 48;
    value |= (bits & 31) << shift;
    shift += 5;
    if (bits & 32) continue;
    if (bits & 16 && shift < 32) value |= -1 << shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
    value = 0;
    shift = 0;
  }
  return runs;
}

/**
 * A mask as a picture: tinted inside, with a solid edge.
 *
 * @param {Segmentation} segmentation
 * @param {Colour} colour
 * @param {{solid?: boolean}} [options] solid: opaque all over.
 * @returns {Sprite | null} null for a mask without pixels.
 */
export function makeSprite({ size: [frameHeight, frameWidth], counts }, colour, options = {}) {
  const runs = decodeRuns(counts);
  const scale = Math.min(1, LONGEST / Math.max(frameHeight, frameWidth));
  const extent = extentOf(runs, frameHeight);
  if (!extent) return null;
  const left = Math.floor(extent.left * scale);
  const top = Math.floor(extent.top * scale);
  const width = Math.floor(extent.right * scale) - left + 1;
  const height = Math.floor(extent.bottom * scale) - top + 1;
  const inside = new Uint8Array(width * height);
  eachColumn(runs, frameHeight, (column, first, last) => {
    const x = Math.floor(column * scale) - left;
    const end = Math.floor(last * scale) - top;
    for (let y = Math.floor(first * scale) - top; y <= end; y += 1) inside[y * width + x] = 1;
  });
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.putImageData(paint(inside, width, height, colour, options.solid ?? false), 0, 0);
  const share = [scale * frameWidth, scale * frameHeight];
  return {
    canvas,
    x: left / share[0],
    y: top / share[1],
    width: width / share[0],
    height: height / share[1],
    covers(x, y) {
      const column = Math.floor(x * share[0]) - left;
      const row = Math.floor(y * share[1]) - top;
      if (column < 0 || row < 0 || column >= width || row >= height) return false;
      return inside[row * width + column] === 1;
    },
  };
}

/**
 * @param {Uint8Array} inside
 * @param {number} width
 * @param {number} height
 * @param {Colour} colour
 * @param {boolean} solid
 */
function paint(inside, width, height, [red, green, blue], solid) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const bytes = new Uint8Array([red, green, blue, 255, red, green, blue, solid ? 255 : FILL]);
  const [edge, fill] = new Uint32Array(bytes.buffer); // in the machine's order of bytes
  for (let y = 0, at = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1, at += 1) {
      if (!inside[at]) continue;
      const within =
        x > 0 &&
        y > 0 &&
        x < width - 1 &&
        y < height - 1 &&
        inside[at - 1] &&
        inside[at + 1] &&
        inside[at - width] &&
        inside[at + width];
      pixels[at] = within ? fill : edge;
    }
  }
  return image;
}

/**
 * Calls with every vertical piece of a mask: its column, first and last row.
 *
 * @param {number[]} runs
 * @param {number} height of the frame.
 * @param {(column: number, first: number, last: number) => void} piece
 */
function eachColumn(runs, height, piece) {
  let at = 0;
  for (let index = 0; index < runs.length; index += 1) {
    const end = at + runs[index];
    if (index % 2 === 1) {
      for (let start = at; start < end;) {
        const column = Math.floor(start / height);
        const stop = Math.min(end, (column + 1) * height);
        piece(column, start - column * height, stop - 1 - column * height);
        start = stop;
      }
    }
    at = end;
  }
}

/**
 * @param {number[]} runs
 * @param {number} height of the frame.
 */
function extentOf(runs, height) {
  let [left, right, top, bottom] = [Infinity, -1, Infinity, -1];
  eachColumn(runs, height, (column, first, last) => {
    left = Math.min(left, column);
    right = column;
    top = Math.min(top, first);
    bottom = Math.max(bottom, last);
  });
  return right < 0 ? null : { left, right, top, bottom };
}

/**
 * The colour of a category, or of the n-th object without one; as the pictures of a run have them.
 *
 * @param {number} number
 * @returns {Colour}
 */
export function colourOf(number) {
  const hue = (number * 0.61803398875 + 0.58) % 1;
  const saturation = number % 2 ? 0.75 : 0.95;
  /** @param {number} shift */
  const channel = (shift) => {
    const place = (shift + hue * 6) % 6;
    const value = 1 - saturation * Math.max(0, Math.min(place, 4 - place, 1));
    return Math.round(value * 255);
  };
  return [channel(5), channel(3), channel(1)];
}
