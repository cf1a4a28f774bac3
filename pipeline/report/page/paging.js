// @ts-check
"use strict";

// Which images the page shows, in which order and from where, and the address that says so.

/** @type {Record<string, number>} */
const PAGES = { cards: 24, sheet: 120 }; // images a page
const TYPING_PAUSE_MS = 150; // a page of 100,000 rows is not drawn anew at every key
const gallery = byId("gallery", HTMLElement);
const textField = byId("text", HTMLInputElement);
const showChoice = byId("show", HTMLSelectElement);
const orderChoice = byId("order", HTMLSelectElement);
const layoutChoice = byId("layout", HTMLSelectElement);
const pagers = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(".pager"));

/** @type {number[]} */
let matches = []; // positions in IMAGES, in the chosen order
let page = 0;

const maskCounts = IMAGES.filter((image) => image.kind !== "failed")
  .map((image) => image.masks)
  .sort((a, b) => a - b);
/** @param {number} share */
const quantile = (share) => maskCounts[Math.round((maskCounts.length - 1) * share)] ?? 0;
const few = quantile(0.25);
const many = quantile(0.75);

/** @typedef {(typeof IMAGES)[number]} Image */

/** @type {Record<string, (image: Image) => boolean>} */
const FILTERS = {
  all: () => true,
  automatic: (image) => image.kind === "automatic",
  prompted: (image) => image.kind === "prompted",
  failed: (image) => image.kind === "failed",
  none: (image) => image.kind !== "failed" && image.masks === 0,
  few: (image) => image.kind !== "failed" && image.masks <= few,
  many: (image) => image.kind !== "failed" && image.masks >= many,
};

/** @type {Record<string, (a: Image, b: Image) => number>} */
const ORDERS = {
  name: () => 0, // as they are
  most: (a, b) => b.masks - a.masks,
  fewest: (a, b) => a.masks - b.masks,
  slowest: (a, b) => b.seconds - a.seconds,
};

/** Find the images that match, and draw the page of them. */
function select() {
  const text = textField.value.trim().toLowerCase();
  const filter = FILTERS[showChoice.value];
  const order = ORDERS[orderChoice.value];
  matches = [...IMAGES.keys()]
    .filter((index) => filter(IMAGES[index]) && IMAGES[index].name.toLowerCase().includes(text))
    .sort((a, b) => order(IMAGES[a], IMAGES[b]) || a - b);
  draw();
}

const pageSize = () => PAGES[layoutChoice.value];

function draw() {
  const size = pageSize();
  const pages = Math.max(Math.ceil(matches.length / size), 1);
  page = Math.min(Math.max(page, 0), pages - 1);
  const indices = matches.slice(page * size, (page + 1) * size);
  const card = layoutChoice.value === "sheet" ? sheetCard : imageCard;
  gallery.className = layoutChoice.value;
  gallery.replaceChildren(...indices.map((index) => card(index, openViewer)));
  const pageOfPages = `page ${page + 1} of ${pages.toLocaleString("en")}`;
  for (const pager of pagers) {
    pager.hidden = pages === 1;
    const [previous, next] = pager.querySelectorAll("button");
    previous.disabled = page === 0;
    next.disabled = page === pages - 1;
    const label = pager.querySelector("span");
    if (label) label.textContent = pageOfPages;
  }
  const total = counted(IMAGES.length, "image");
  const count =
    matches.length === IMAGES.length
      ? total
      : matches.length
        ? `${matches.length.toLocaleString("en")} of ${total}`
        : `no image matches, of ${total}`;
  byId("matches", HTMLElement).textContent = pages === 1 ? count : `${count}, ${pageOfPages}`;
}

// What the page shows is in its address, so that it can be kept and sent, and Back returns to it.

function address() {
  const state = new URLSearchParams();
  if (textField.value) state.set("text", textField.value);
  if (showChoice.selectedIndex) state.set("show", showChoice.value);
  if (orderChoice.selectedIndex) state.set("order", orderChoice.value);
  if (layoutChoice.selectedIndex) state.set("layout", layoutChoice.value);
  if (page) state.set("page", String(page + 1));
  return `#${state}`;
}

/** Show what the address says; the first choice and page stand in for what it misspells. */
function showAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  textField.value = state.get("text") ?? "";
  for (const [choice, value] of /** @type {const} */ ([
    [showChoice, state.get("show")],
    [orderChoice, state.get("order")],
    [layoutChoice, state.get("layout")],
  ])) {
    choice.value = value ?? "";
    if (choice.selectedIndex < 0) choice.selectedIndex = 0;
  }
  page = (Number.parseInt(state.get("page") ?? "", 10) || 1) - 1;
  select();
}

/** @type {number | undefined} */
let pause;

/** Show what the form says, from the first page. */
function showForm() {
  clearTimeout(pause);
  page = 0;
  select();
}

textField.addEventListener("input", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    showForm();
    history.replaceState(null, "", address()); // nobody goes back letter by letter
  }, TYPING_PAUSE_MS);
});
for (const choice of [showChoice, orderChoice, layoutChoice]) {
  choice.addEventListener("change", () => {
    showForm();
    history.pushState(null, "", address());
  });
}
byId("filter", HTMLFormElement).addEventListener("submit", (event) => {
  event.preventDefault();
  showForm();
  history.replaceState(null, "", address());
});

/** @param {HTMLButtonElement} button of a pager */
const otherButton = (button) =>
  [...(button.parentElement?.querySelectorAll("button") ?? [])].find((other) => other !== button);

for (const pager of pagers) {
  pager.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("button") : null;
    if (!button) return;
    page += Number(button.dataset.turn);
    draw();
    history.pushState(null, "", address());
    if (button.disabled) otherButton(button)?.focus();
    if (pager !== pagers[0]) gallery.scrollIntoView();
  });
}

// Browsers tell of the same step by either event, or both.
for (const event of ["popstate", "hashchange"]) {
  window.addEventListener(event, () => {
    const same = location.hash === address() || (!location.hash && address() === "#");
    if (viewer.open && !history.state?.viewer) {
      if (!same) viewed = undefined; // the page goes elsewhere, not back to that picture
      viewer.close(); // where only the viewer was opened since, Back does nothing else
    }
    if (same) return;
    showAddress();
  });
}

viewerPage = {
  neighbour(index, step) {
    let position = matches.indexOf(index);
    if (position < 0) return undefined;
    do position += step;
    while (IMAGES[matches[position]]?.kind === "failed");
    return matches[position];
  },

  async closed(index, view) {
    const position = matches.indexOf(index);
    const itsPage = Math.floor(position / pageSize());
    if (position >= 0 && itsPage !== page) {
      page = itsPage;
      draw();
      if (history.state?.viewer) history.replaceState(null, "", address());
      else history.pushState(null, "", address());
    } else if (history.state?.viewer) {
      history.back(); // the entry was the viewer's
    }
    await imageDetail(index); // a card that was drawn anew has its pictures then
    const card = /** @type {HTMLElement | null} */ (
      gallery.querySelector(`[data-index="${index}"]`)
    );
    /** @type {HTMLElement | null | undefined} */
    const button = card?.querySelector(`[data-view="${view}"]`);
    (button ?? card)?.focus();
  },
};

for (const [value, text] of [
  ["few", `few masks (${few} or fewer)`],
  ["many", `many masks (${many} or more)`],
]) {
  const option = showChoice.querySelector(`[value=${value}]`);
  if (option) option.textContent = text;
}
if (!few) showChoice.querySelector("[value=few]")?.remove(); // the same as "no mask"
showAddress();
