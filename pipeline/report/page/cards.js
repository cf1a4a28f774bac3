// @ts-check
"use strict";

// A card for each image: its pictures, and a button for each mask that shows or hides it.

/**
 * A picture of an image: the original, the same under its best outlines, the overlay of all masks,
 * or the segment of one mask, counted from 1.
 *
 * @typedef {"original" | "best" | "all" | number} View
 */

/** @typedef {(index: number, view: View) => void} OpenPicture */

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} [attributes]
 * @param {(Node | string)[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const NOT_DRAWN = "No picture was drawn of it (--pictures none).";

/**
 * What a card, a sheet or the viewer shows of an image instead of a picture that was not drawn.
 *
 * @param {Detail} detail
 * @param {View} view
 * @returns {View}
 */
const drawnView = (detail, view) => (detail.drawn ? "all" : view);

/** @param {number} mask position among the best */
const colourOf = (mask) => `rgb(${SETTINGS.colours[mask].join(" ")})`;

/**
 * The outlines of the best masks as one drawing; the best is the last child, on top of the others.
 *
 * @param {Detail} detail
 */
function outlineDrawing(detail) {
  const template = byId("outline-drawing", HTMLTemplateElement).content.firstElementChild;
  const svg = /** @type {SVGSVGElement} */ (template?.cloneNode(true));
  const path = /** @type {SVGPathElement} */ (svg.firstElementChild);
  path.remove();
  svg.setAttribute("viewBox", `-0.5 -0.5 ${detail.frame.join(" ")}`); // points are pixels' centres
  detail.paths.forEach((outline, mask) => {
    const copy = /** @type {SVGPathElement} */ (path.cloneNode());
    copy.setAttribute("d", outline);
    copy.style.setProperty("--colour", colourOf(mask));
    svg.prepend(copy);
  });
  return svg;
}

/**
 * One picture with what it is called, for a card or the viewer.
 *
 * @param {number} index position in IMAGES
 * @param {Detail} detail
 * @param {View} view
 */
function picture(index, detail, view) {
  const { name } = IMAGES[index];
  const { overlay, original, segments } = pictureAddresses(name, detail);
  const { title, src, alt } =
    view === "best"
      ? { title: name, src: original, alt: `${name}, best masks` }
      : view === "original"
        ? { title: `${name}: original`, src: original, alt: `${name}, original` }
        : view === "all"
          ? { title: `${name}: all masks`, src: overlay, alt: `${name}, all masks` }
          : {
              title: `${name}: segment ${view}`,
              src: segments[view - 1],
              alt: `${name}, segment ${view}`,
            };
  const [width, height] = detail.frame.map(String);
  if (!src) return { title, stack: make("div", { class: "stack" }, NOT_DRAWN) };
  const image = make("img", { loading: "lazy", src, alt, width, height });
  const drawings = view === "best" ? [outlineDrawing(detail)] : [];
  return { title, stack: make("div", { class: "stack" }, image, ...drawings) };
}

/**
 * @param {HTMLButtonElement} button
 * @param {Element | null | undefined} drawing what the button shows and hides
 * @param {boolean} [pressed] the other state where it is left out
 */
function press(button, drawing, pressed = button.getAttribute("aria-pressed") !== "true") {
  button.setAttribute("aria-pressed", String(pressed));
  drawing?.toggleAttribute("hidden", !pressed);
}

/**
 * A card; its pictures follow when the details of the image are there.
 *
 * @param {number} index position in IMAGES
 * @param {OpenPicture} open
 */
function imageCard(index, open) {
  const { name, kind, masks, seconds, reason } = IMAGES[index];
  const card = make(
    "article",
    { "data-index": String(index), "data-kind": kind, tabindex: "-1" },
    make("h2", {}, name),
  );
  if (kind === "failed") {
    card.append(make("p", {}, reason || "failed"));
    return card;
  }
  const facts = [kind, counted(masks, "mask"), `${seconds.toFixed(2)}\u00a0s`];
  const about = make("p", {}, facts.join(" · "));
  card.append(about);
  imageDetail(index).then(
    (detail) => {
      const content = make("a", { href: `masks/${addressOf(name)}.json`, download: "" });
      content.append("masks as JSON");
      about.replaceChildren([detail.size.join(" × "), ...facts, ""].join(" · "), content);
      card.append(...cardPictures(index, detail, open));
    },
    (error) => card.append(make("p", {}, error.message)),
  );
  return card;
}

/**
 * @param {number} index
 * @param {Detail} detail
 * @param {OpenPicture} open
 */
function cardPictures(index, detail, open) {
  const { name, masks } = IMAGES[index];
  /**
   * @param {View} view
   * @param {string} label
   * @param {string} caption
   */
  const figure = (view, label, caption) => {
    const { stack } = picture(index, detail, view);
    const button = make("button", { type: "button", class: "open", "aria-label": label }, stack);
    button.dataset.view = String(view);
    button.addEventListener("click", () => open(index, view));
    return make("figure", {}, button, make("figcaption", {}, caption));
  };
  if (detail.drawn === "none") return [make("p", {}, NOT_DRAWN)];
  if (detail.drawn === "overlays") {
    return [make("div", { class: "lone" }, figure("all", `Enlarge ${name}`, `masks: ${masks}`))];
  }
  const original = figure("original", `Enlarge the original of ${name}`, "original");
  if (!detail.masks.length) {
    const pair = make("div", { class: "pair" }, original);
    return [pair, make("p", {}, "No mask passed the thresholds.")];
  }
  const shown =
    detail.masks.length === masks
      ? `masks: ${masks}`
      : `best masks: ${detail.masks.length} of ${masks.toLocaleString("en")}`;
  const best = figure("best", `Enlarge ${name}`, shown);
  const pair = make("div", { class: "pair" }, original, best);
  const segments = detail.masks.map(([iou, area, category], mask) => {
    const pixels = `${area.toLocaleString("en")}\u00a0px`;
    const caption = [category, `IoU\u00a0${iou.toFixed(2)}`, pixels].filter(Boolean).join(" · ");
    const segment = figure(mask + 1, `Enlarge segment ${mask + 1} of ${name}`, caption);
    cropTo(segment, detail, detail.boxes[mask]);
    return segment;
  });
  const svg = /** @type {SVGSVGElement} */ (best.querySelector("svg"));
  const toggles = maskToggles(name, detail, svg);
  if (masks > detail.masks.length) {
    const all = make("button", { type: "button", "aria-label": `Enlarge all masks of ${name}` });
    all.append(`all ${masks.toLocaleString("en")} masks`);
    all.dataset.view = "all";
    all.addEventListener("click", () => open(index, "all"));
    toggles.append(all);
  }
  return [pair, toggles, make("div", { class: "segments" }, ...segments)];
}

const CROP_MARGIN = 0.25; // of the mask's longer side, on each of its sides
const LEAST_CROP = 0.12; // of the image's longer side, or one sees pixels only

/**
 * Show of a segment's picture the square around its mask; a small mask is else a speck.
 *
 * @param {HTMLElement} figure
 * @param {Detail} detail
 * @param {[x: number, y: number, width: number, height: number] | undefined} box
 */
function cropTo(figure, detail, box) {
  const stack = /** @type {HTMLElement | null} */ (figure.querySelector(".stack"));
  const image = figure.querySelector("img");
  const [width, height] = detail.size;
  if (!stack || !image || !box || detail.pictures) return; // those in the page are cropped already
  const longest = Math.max(width, height);
  const side = Math.max((1 + 2 * CROP_MARGIN) * Math.max(box[2], box[3]), LEAST_CROP * longest);
  if (side >= longest) return; // the whole image
  stack.classList.add("crop");
  const left = box[0] + box[2] / 2 - side / 2;
  const top = box[1] + box[3] / 2 - side / 2;
  image.style.width = `${(100 * width) / side}%`;
  image.style.left = `${(-100 * left) / side}%`;
  image.style.top = `${(-100 * top) / side}%`;
}

/**
 * A picture with its name, as small as a contact sheet wants it.
 *
 * @param {number} index position in IMAGES
 * @param {OpenPicture} open
 */
function sheetCard(index, open) {
  const { name, kind, masks, reason } = IMAGES[index];
  const card = make("article", { "data-index": String(index), "data-kind": kind, tabindex: "-1" });
  // Where there is little room, the end of the path tells images apart.
  const caption = make("p", { title: name }, name.slice(name.lastIndexOf("/") + 1));
  if (kind === "failed") {
    card.append(caption, make("p", {}, reason || "failed"));
    return card;
  }
  card.append(caption);
  imageDetail(index).then(
    (detail) => {
      if (detail.drawn === "none") {
        card.append(make("p", {}, NOT_DRAWN));
        return;
      }
      const view = drawnView(detail, "best");
      const { stack } = picture(index, detail, view);
      const label = `Enlarge ${name}, ${counted(masks, "mask")}`;
      const button = make("button", { type: "button", class: "open", "aria-label": label }, stack);
      button.dataset.view = String(view);
      button.addEventListener("click", () => open(index, view));
      card.prepend(button);
    },
    (error) => card.append(make("p", {}, error.message)),
  );
  return card;
}

/**
 * The buttons that show and hide the outlines, one by one and together.
 *
 * @param {string} name
 * @param {Detail} detail
 * @param {SVGSVGElement} svg
 */
function maskToggles(name, detail, svg) {
  const outlines = [...svg.children].reverse();
  const buttons = detail.masks.map(([iou, area, category], mask) => {
    const dot = make("i");
    dot.style.background = colourOf(mask);
    const title = category ? `Mask ${mask + 1} (${category})` : `Mask ${mask + 1}`;
    const label = `${title}, predicted IoU ${iou.toFixed(2)}, ${counted(area, "pixel")}`;
    const button = make(
      "button",
      { type: "button", "aria-pressed": "true", "aria-label": label },
      dot,
      category ? `${category} ${iou.toFixed(2)}` : iou.toFixed(2),
    );
    button.addEventListener("click", () => press(button, outlines[mask]));
    return button;
  });
  const toggles = make("div", {
    class: "toggles",
    role: "group",
    "aria-label": `Masks of ${name}`,
  });
  if (buttons.length > 1) {
    const all = make("button", { type: "button", "aria-pressed": "true" }, "all");
    all.addEventListener("click", () => {
      press(all, null);
      const pressed = all.getAttribute("aria-pressed") === "true";
      buttons.forEach((button, mask) => press(button, outlines[mask], pressed));
    });
    toggles.append(all);
  }
  toggles.append(...buttons);
  return toggles;
}
