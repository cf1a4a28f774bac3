// @ts-check
// The object in hand: an unchanging value, and the steps from one to the next.

/** @import { Annotation, Box, Point, Prompt, Segmentation, Stroke } from "../server/types.js" */

/**
 * @typedef {object} Draft
 * @property {Point[]} points
 * @property {number[]} labels
 * @property {Box | null} box
 * @property {number | null} candidate null for the one that the network rates best.
 * @property {Stroke[]} strokes
 * @property {Annotation | null} base a finished mask to start from, where there is no prompt.
 * @property {string} id of the object that it corrects; empty for a new one.
 */

/** @type {Draft} */
export const EMPTY = Object.freeze({
  points: [],
  labels: [],
  box: null,
  candidate: null,
  strokes: [],
  base: null,
  id: "",
});

/** @param {Draft} draft */
export const isPrompted = (draft) => draft.points.length > 0 || draft.box !== null;

/** @param {Draft} draft */
export const isEmpty = (draft) => !isPrompted(draft) && !draft.base && !draft.strokes.length;

/**
 * A click on a mask without a prompt is a prompt about the mask's box: what else could it mean?
 *
 * @param {Draft} draft
 * @param {Point} point
 * @param {number} label
 * @returns {Draft}
 */
export const withPoint = (draft, point, label) => ({
  ...draft,
  box: draft.box ?? (draft.points.length ? null : boxOf(draft.base)),
  points: [...draft.points, point],
  labels: [...draft.labels, label],
  candidate: null,
});

/**
 * @param {Draft} draft
 * @param {Point} from
 * @param {Point} to the opposite corner.
 * @returns {Draft}
 */
export const withBox = (draft, [x0, y0], [x1, y1]) => ({
  ...draft,
  box: [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)],
  candidate: null,
});

/**
 * @param {Draft} draft
 * @param {Stroke} stroke
 * @returns {Draft}
 */
export const withStroke = (draft, stroke) => ({ ...draft, strokes: [...draft.strokes, stroke] });

/**
 * @param {Annotation | null} object
 * @returns {Box | null} around all pixels of its mask.
 */
function boxOf(object) {
  if (!object?.bbox) return null; // the server has not confirmed it yet
  const [x, y, width, height] = object.bbox; // a distance between the outermost pixels
  return [x, y, x + width + 1, y + height + 1];
}

/**
 * What the network is asked for a draft; null where it need not be, or not yet.
 *
 * @param {Draft} draft
 * @returns {Prompt | null}
 */
export function promptOf({ points, labels, box }) {
  if (!box && !labels.includes(1)) return null; // points beside an object name none
  return { ...(points.length && { points, labels }), ...(box && { box }) };
}

/**
 * A draft to correct an object.
 *
 * @param {Annotation} object
 * @returns {Draft}
 */
export function draftOf(object) {
  const prompt = object.prompt;
  if (!prompt) return { ...EMPTY, base: object, id: object.proposed ? "" : object.id };
  return {
    points: prompt.points ?? [],
    labels: prompt.labels ?? (prompt.points ?? []).map(() => 1),
    box: prompt.box ?? null,
    candidate: object.candidate ?? null,
    strokes: object.strokes ?? [],
    base: null,
    id: object.id,
  };
}

/**
 * What the server is told to keep of an object that it has, or had.
 *
 * @param {Annotation} object
 */
export function bodyOf(object) {
  const { prompt, candidate, strokes, segmentation, category, verdict } = object;
  const scores = {
    predicted_iou: object.predicted_iou,
    stability_score: object.stability_score,
  };
  const mask = prompt ? { prompt, candidate: candidate ?? 0, strokes } : { segmentation, scores };
  return { ...mask, category, verdict: verdict ?? "" };
}

/**
 * What the server is told to keep of a draft.
 *
 * @param {Draft} draft
 * @param {number} candidate the chosen one.
 * @param {string} category
 */
export function bodyOfDraft(draft, candidate, category) {
  const prompt = promptOf(draft);
  /** @type {{segmentation?: Segmentation, scores?: object}} */
  const base = draft.base
    ? {
        segmentation: draft.base.segmentation,
        scores: {
          predicted_iou: draft.base.predicted_iou,
          stability_score: draft.base.stability_score,
        },
      }
    : {};
  const mask = prompt ? { prompt, candidate } : base;
  return { ...mask, strokes: draft.strokes, category, verdict: "accept" };
}
