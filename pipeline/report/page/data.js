// @ts-check
"use strict";

// What the page knows of the run. pipeline/report/html.py writes it: settings and rows into the
// page; the details of the images into the page too, or into files of SETTINGS.chunk images each.

/**
 * An image as the page holds it; IMAGES below names the columns, and nothing else counts them.
 *
 * @typedef {[name: string, kind: number, masks: number, seconds: number, reason?: string]} Row
 */

/**
 * What a card shows of an image besides its row.
 *
 * @typedef {object} Detail
 * @property {[width: number, height: number]} size of the image, in pixels.
 * @property {[predictedIou: number, area: number, category?: string][]} masks the best ones, areas
 *   in pixels; a category where somebody named it.
 * @property {[x: number, y: number, width: number, height: number][]} boxes of the masks, in pixels.
 * @property {[width: number, height: number]} frame in which the paths lie.
 * @property {string[]} paths outlines of the masks, as SVG path data.
 * @property {"none" | "overlays"} [drawn] what the run drew of it; left out for all pictures.
 * @property {string[]} [pictures] data URLs: overlay, original, then one for each mask; of those
 *   that were drawn.
 */

/**
 * @typedef {object} Settings
 * @property {number} chunk images in each file of details.
 * @property {string} data folder of those files; empty where the page holds the details itself.
 * @property {[red: number, green: number, blue: number][]} colours of the masks, best first.
 */

/** @typedef {"automatic" | "prompted" | "failed"} Kind */

/**
 * The JSON that the page holds in the element of that id.
 *
 * @param {string} id
 * @returns {any}
 */
const embedded = (id) => JSON.parse(byId(id, HTMLScriptElement).text);

/**
 * The element of that id, of which the page has one.
 *
 * @template {Element} E
 * @param {string} id
 * @param {new () => E} type
 * @returns {E}
 */
function byId(id, type) {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

/** @type {Settings} */
const SETTINGS = embedded("settings");

/** @type {Kind[]} */
const KINDS = ["automatic", "prompted", "failed"];

/** @type {Row[]} */
const ROWS = embedded("rows");
const IMAGES = ROWS.map(([name, kind, masks, seconds, reason = ""]) => ({
  name,
  kind: KINDS[kind],
  masks,
  seconds,
  reason,
}));

/** @type {Map<number, (Detail | null)[]>} */
const chunks = new Map();
/** @type {Map<number, Promise<unknown>>} */
const chunksUnderWay = new Map();
if (!SETTINGS.data) chunks.set(0, embedded("details"));

/**
 * Every file of details calls this.
 *
 * @param {number} chunk
 * @param {(Detail | null)[]} details
 */
function samReport(chunk, details) {
  chunks.set(chunk, details);
}

/**
 * The details of an image that did not fail.
 *
 * A large page loads them as a script, because a page opened from a disk may load nothing else.
 *
 * @param {number} index position in IMAGES
 * @returns {Promise<Detail>}
 */
async function imageDetail(index) {
  const chunk = Math.floor(index / SETTINGS.chunk);
  if (!chunks.has(chunk)) {
    if (!chunksUnderWay.has(chunk)) chunksUnderWay.set(chunk, loadChunk(chunk));
    await chunksUnderWay.get(chunk);
  }
  const detail = chunks.get(chunk)?.[index % SETTINGS.chunk];
  if (!detail) throw new Error(`${chunkFile(chunk)} does not have ${IMAGES[index].name}`);
  return detail;
}

/** @param {number} chunk */
const chunkFile = (chunk) => `${SETTINGS.data}/${String(chunk).padStart(5, "0")}.js`;

/**
 * @param {number} chunk
 * @returns {Promise<unknown>}
 */
function loadChunk(chunk) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = chunkFile(chunk);
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => {
      chunksUnderWay.delete(chunk); // so that turning the page back tries again
      reject(new Error(`${chunkFile(chunk)} is missing`));
    });
    document.head.append(script);
  });
}

/**
 * A name in the output as a relative address.
 *
 * @param {string} name
 */
const addressOf = (name) => name.split("/").map(encodeURIComponent).join("/");

/**
 * The addresses of an image's pictures: in the page, or beside it. What was not drawn has none.
 *
 * @param {string} name
 * @param {Detail} detail
 * @returns {{ overlay?: string, original?: string, segments: string[] }}
 */
function pictureAddresses(name, detail) {
  /** @param {number} number */
  const segment = (number) => `segments/${addressOf(name)}/${String(number).padStart(2, "0")}.png`;
  if (detail.drawn === "none") return { segments: [] };
  if (detail.drawn === "overlays") {
    return { overlay: detail.pictures?.[0] ?? `overlays/${addressOf(name)}.webp`, segments: [] };
  }
  const [overlay, original, ...segments] = detail.pictures ?? [
    `overlays/${addressOf(name)}.png`,
    segment(0),
    ...detail.masks.map((_, index) => segment(index + 1)),
  ];
  return { overlay, original, segments };
}

/**
 * @param {number} count
 * @param {string} noun
 */
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
