// @ts-check
"use strict";

// One picture as large as the window: zoomed, moved, and turned to the next image.

/**
 * What the viewer asks of the page that opens it.
 *
 * @typedef {object} ViewerPage
 * @property {(index: number, step: number) => number | undefined} neighbour
 *   the image that many steps along, with pictures to look at.
 * @property {OpenPicture} closed is called with the picture last looked at.
 */

const MOST_ZOOM = 12;
const ARROW_PIXELS = 80;
const viewer = byId("viewer", HTMLDialogElement);
const canvas = byId("canvas", HTMLDivElement);
const masksButton = /** @type {HTMLButtonElement} */ (viewer.querySelector("[data-masks]"));

let zoom = 1;
/** @type {HTMLElement} */
let enlarged = make("div");
/** @type {{ index: number, view: View } | undefined} */
let viewed;
/** @type {ViewerPage} */
let viewerPage;

/**
 * @param {number} index position in IMAGES
 * @param {View} view
 */
async function openViewer(index, view) {
  const request = { index, view };
  viewed = request;
  const detail = await imageDetail(index);
  if (viewed !== request) return; // another picture was asked for meanwhile
  if (typeof view === "number") view = Math.min(view, detail.masks.length) || "best";
  view = drawnView(detail, view);
  viewed.view = view;
  const { title, stack } = picture(index, detail, view);
  byId("viewer-title", HTMLSpanElement).textContent = title;
  stack.querySelector("img")?.setAttribute("draggable", "false");
  enlarged = stack;
  canvas.replaceChildren(stack);
  const drawing = stack.querySelector("svg");
  masksButton.hidden = !drawing?.hasChildNodes();
  press(masksButton, drawing, masksButton.getAttribute("aria-pressed") === "true");
  for (const button of stepButtons()) {
    const last = viewerPage.neighbour(index, Number(button.dataset.step)) === undefined;
    if (last && button === document.activeElement) canvas.focus(); // or the keys go nowhere
    button.disabled = last;
  }
  if (!viewer.open) {
    history.pushState({ viewer: true }, "", location.href); // so that Back closes it
    viewer.showModal();
  }
  zoomTo(1);
}

const stepButtons = () =>
  /** @type {NodeListOf<HTMLButtonElement>} */ (viewer.querySelectorAll("[data-step]"));

/** @param {number} step */
function stepViewer(step) {
  if (!viewed) return;
  const index = viewerPage.neighbour(viewed.index, step);
  if (index !== undefined) openViewer(index, viewed.view);
}

/**
 * Zoom, and keep the point of the picture that is at (x, y) of the window where it is.
 *
 * @param {number} value 1 shows the whole picture
 * @param {number} [x] by default the canvas's middle
 * @param {number} [y]
 */
function zoomTo(value, x, y) {
  const frame = canvas.getBoundingClientRect(); // with the room of scroll bars
  const [centreX, centreY] = [x ?? frame.x + frame.width / 2, y ?? frame.y + frame.height / 2];
  const before = enlarged.getBoundingClientRect();
  const right = (centreX - before.x) / before.width;
  const down = (centreY - before.y) / before.height;

  zoom = Math.min(Math.max(value, 1), MOST_ZOOM);
  const image = enlarged.querySelector("img");
  if (!image) return;
  const ratio = Number(image.getAttribute("width")) / Number(image.getAttribute("height"));
  const width = Math.floor(Math.min(frame.width, frame.height * ratio)) * zoom;
  enlarged.style.width = `${width}px`;
  enlarged.style.height = `${Math.floor(width / ratio)}px`;
  canvas.classList.toggle("zoomed", zoom > 1);

  if (!before.width) return;
  const after = enlarged.getBoundingClientRect();
  canvas.scrollBy(after.x + right * after.width - centreX, after.y + down * after.height - centreY);
}

viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // the dark around it
  const button = event.target instanceof Element ? event.target.closest("button") : null;
  if (!button) return;
  const { close, zoom: factor, step, masks } = button.dataset;
  if (close !== undefined) viewer.close();
  if (masks !== undefined) press(button, enlarged.querySelector("svg"));
  if (factor) zoomTo(zoom * Number(factor));
  if (step) stepViewer(Number(step));
});

viewer.addEventListener("close", () => {
  if (viewed) viewerPage.closed(viewed.index, viewed.view);
  viewed = undefined;
});

viewer.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
    event.key
  ];
  if (direction && zoom > 1) {
    canvas.scrollBy(direction[0] * ARROW_PIXELS, direction[1] * ARROW_PIXELS);
  } else if (direction?.[0]) {
    stepViewer(direction[0]);
  } else if (event.key === "+" || event.key === "=") {
    zoomTo(zoom * 1.25);
  } else if (event.key === "-") {
    zoomTo(zoom * 0.8);
  } else {
    return;
  }
  event.preventDefault();
});

// The wheel alone scrolls, as it does everywhere.
canvas.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomTo(zoom * (event.deltaY < 0 ? 1.1 : 1 / 1.1), event.clientX, event.clientY);
  },
  { passive: false },
);

// A finger scrolls by itself; a mouse drags the picture.
/** @type {{ x: number, y: number } | undefined} */
let dragged;
canvas.addEventListener("pointerdown", (event) => {
  if (event.pointerType === "touch" || event.button !== 0 || zoom === 1) return;
  if (event.target === canvas) return; // its scroll bars
  canvas.setPointerCapture(event.pointerId);
  dragged = { x: event.clientX, y: event.clientY };
});
canvas.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  canvas.scrollBy(dragged.x - event.clientX, dragged.y - event.clientY);
  dragged = { x: event.clientX, y: event.clientY };
});
canvas.addEventListener("lostpointercapture", () => (dragged = undefined));

window.addEventListener("resize", () => {
  if (viewer.open) zoomTo(zoom);
});
