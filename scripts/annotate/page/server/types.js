// @ts-check
// The shapes that the modules of the page share; nothing runs here.

/** @typedef {[x: number, y: number]} Point in pixels of the image, from its top left */
/** @typedef {[x0: number, y0: number, x1: number, y1: number]} Box in pixels of the image */

/**
 * A mask in COCO's run-length encoding.
 *
 * @typedef {object} Segmentation
 * @property {[height: number, width: number]} size of the frame that the mask lies in.
 * @property {string} counts the compressed runs, column by column.
 */

/**
 * What the network is asked.
 *
 * @typedef {object} Prompt
 * @property {Point[]} [points]
 * @property {number[]} [labels] for each point 1, on the object, or 0, beside it.
 * @property {Box} [box]
 */

/**
 * One movement of the brush.
 *
 * @typedef {object} Stroke
 * @property {"add" | "remove"} mode
 * @property {number} radius in pixels of the image.
 * @property {Point[]} points
 */

/** @typedef {{segmentation: Segmentation, score: number}} Candidate */

/** @typedef {"accept" | "reject"} Verdict */

/**
 * An object of an image, as the server keeps it.
 *
 * @typedef {object} Annotation
 * @property {string} id
 * @property {Segmentation} segmentation
 * @property {number} area in pixels.
 * @property {[x: number, y: number, width: number, height: number]} [bbox] as COCO has it.
 * @property {number} predicted_iou
 * @property {number} stability_score
 * @property {string} category empty where nobody named it.
 * @property {Verdict} [verdict] absent where nobody judged it.
 * @property {Prompt} [prompt]
 * @property {number} [candidate]
 * @property {Stroke[]} [strokes]
 * @property {boolean} [proposed] whether it is only offered, and kept nowhere.
 */

/**
 * @typedef {object} ImageDetail
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {boolean} prepared whether prompts are answered at once.
 * @property {number} expected_seconds what preparing the last image took; 0 if none was.
 * @property {Annotation[]} objects
 */

/**
 * @typedef {object} Session
 * @property {{name: string, masks: boolean, accepted: number}[]} images
 * @property {string} output
 * @property {string[]} categories
 * @property {string} segmenter
 * @property {string} warning
 */

/**
 * A change of an image's objects, which the server has still to hear of.
 *
 * @typedef {object} Change
 * @property {"PUT" | "PATCH" | "DELETE"} method
 * @property {string} image its name.
 * @property {string} id of the object.
 * @property {object} [body]
 */

export {};
