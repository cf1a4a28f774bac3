// @ts-check
// Puts the page together: which image is shown, what is saved, and what the buttons do.

/** @import { Change, ImageDetail, Session } from "./server/types.js" */
/** @import { Action, Tool } from "./tools.js" */

import { byId, counted } from "./elements.js";
import { Pointing } from "./image/pointing.js";
import { Stage } from "./image/stage.js";
import { listenToKeys } from "./keys.js";
import { Annotator } from "./objects/annotator.js";
import { isEmpty } from "./objects/draft.js";
import { Panel } from "./panel.js";
import { newId, Outbox } from "./server/outbox.js";
import * as server from "./server/transport.js";
import { fillToolbar, showTool, TOOLS } from "./tools.js";

const ZOOM = 1.5;

const status = byId("status", HTMLElement);
const banner = byId("banner", HTMLElement);
const numberField = byId("number", HTMLInputElement);
const waiting = byId("wait", HTMLElement);

/** @type {Session} */
let session = { images: [], output: "", categories: [], segmenter: "", warning: "" };
let number = 0; // of the image that is shown
/** @type {ImageDetail | null} */
let detail = null;
let opening = new AbortController();
let outbox = outboxOf(session);
/** @type {BroadcastChannel | null} */
let tabs = null;

/** @param {string} text */
const say = (text) => {
  status.textContent = text;
};

/** @param {unknown} error */
const sayError = (error) => say(error instanceof Error ? error.message : String(error));

/** @type {Annotator} */
const annotator = new Annotator({
  ask: (prompt, signal) => server.candidates(number, prompt, signal),
  save: (change) => outbox.add({ ...change, image: session.images[number].name }),
  category: () => {
    panel.learn([panel.category]);
    return panel.category;
  },
  changed: () => {
    stage.redraw();
    panel.update();
  },
  say,
});
/** @type {Panel} */
const panel = new Panel(annotator);
/** @type {Stage} */
const stage = new Stage(byId("stage", HTMLElement), () => pointing.scene());
/** @type {Pointing} */
const pointing = new Pointing(annotator, stage);

// What is saved.

/** @param {Session} session */
function outboxOf({ output, images }) {
  const names = images.map(({ name }) => name);
  /** @param {Change} change */
  const send = (change) => server.send(names.indexOf(change.image), change);
  return new Outbox(output, names, send, {
    saved: (change, object) => {
      if (object && change.image === detail?.name) annotator.confirm(object);
      tabs?.postMessage(change.image);
    },
    refused: (change, error) => {
      say(`Not saved: ${error.message}`);
      if (change.image === detail?.name) void reloadObjects();
    },
    waiting: (count, error) => {
      banner.hidden = count === 0;
      const why =
        error instanceof server.Refusal
          ? `The server saves nothing: ${error.message}`
          : "The server does not answer";
      banner.textContent = `${why}. ${counted(count, "change")} ${
        count === 1 ? "waits" : "wait"
      } in this browser until it does.`;
    },
  });
}

async function reloadObjects() {
  const { objects, name } = await server.loadImage(number);
  if (name !== detail?.name) return;
  const proposals = annotator.objects.list.filter(({ proposed }) => proposed);
  annotator.objects.show([...objects, ...proposals]);
}

// Images.

async function start() {
  session = await server.loadSession();
  outbox = outboxOf(session);
  tabs = new BroadcastChannel(`sam-annotate ${session.output}`);
  tabs.addEventListener("message", ({ data }) => {
    if (data === detail?.name && !outbox.pending().length) reloadObjects().catch(sayError);
  });
  panel.learn(session.categories);
  byId("count", HTMLElement).textContent = `of ${session.images.length.toLocaleString("en")}`;
  numberField.max = String(session.images.length);
  byId("about", HTMLElement).textContent = [`Masks by ${session.segmenter}.`, session.warning]
    .filter(Boolean)
    .join(" ");
  await outbox.flush(); // so that the server knows what the last page could not tell it
  const asked = Number(location.hash.slice(1));
  await open(session.images[asked - 1] ? asked - 1 : 0);
}

/** @param {number} wanted */
async function open(wanted) {
  if (!session.images[wanted]) {
    numberField.value = String(number + 1);
    return say(wanted < 0 ? "This is the first image" : "This is the last image");
  }
  const dropped = !isEmpty(annotator.draft);
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  const { name } = session.images[wanted];
  number = wanted;
  detail = null;
  pointing.reset();
  annotator.open([]);
  stage.show(null, 1, 1);
  byId("name", HTMLElement).textContent = name;
  document.title = `${name} – annotate`;
  numberField.value = String(wanted + 1);
  history.replaceState(null, "", `#${wanted + 1}`);
  try {
    const preparing = server.prepare(wanted, signal);
    preparing.catch(() => {}); // it is awaited below
    const loaded = await server.loadImage(wanted);
    if (signal.aborted) return;
    detail = loaded;
    annotator.open(loaded.objects);
    if (!loaded.prepared) showBar(loaded.expected_seconds, preparing);
    const picture = new Image();
    picture.src = server.pictureAddress(wanted);
    await picture.decode();
    if (signal.aborted) return;
    stage.show(picture, loaded.width, loaded.height);
    await preparing;
    if (signal.aborted) return;
    pointing.begin();
    say(
      `${name}, ${loaded.width} × ${loaded.height} pixels` +
        (dropped ? "; the mask that was not accepted is gone" : ""),
    );
    if (session.images[wanted + 1]) server.prepare(wanted + 1, signal).catch(() => {});
  } catch (error) {
    if (signal.aborted) return;
    sayError(error);
  }
}

/**
 * A bar while the image is embedded; it knows how far that is from how long the last one took.
 *
 * @param {number} expected seconds; 0 if unknown.
 * @param {Promise<unknown>} preparing
 */
function showBar(expected, preparing) {
  const bar = byId("bar", HTMLProgressElement);
  byId("wait-text", HTMLElement).textContent = "Reading the image…";
  waiting.hidden = false;
  bar.removeAttribute("value");
  const started = performance.now();
  const timer = setInterval(() => {
    const spent = (performance.now() - started) / 1000;
    if (expected) bar.value = Math.min(0.98, spent / expected);
  }, 200);
  const end = () => {
    clearInterval(timer);
    waiting.hidden = true;
  };
  preparing.then(end, end);
}

// What the buttons do.

/** @param {Tool} tool */
function take(tool) {
  pointing.take(tool);
  showTool(tool);
  say(TOOLS.find((one) => one.tool === tool)?.label ?? "");
}

/** @type {Record<Action, () => unknown>} */
const actions = {
  undo: () => annotator.undo(),
  redo: () => annotator.redo(),
  in: () => stage.zoom(ZOOM),
  out: () => stage.zoom(1 / ZOOM),
  fit: () => stage.fit(),
  accept: () => {
    const selected = annotator.objects.selection();
    if (!isEmpty(annotator.draft)) annotator.accept();
    else if (selected) annotator.correct(selected);
    else say("Nothing to accept yet: click something first");
  },
  everything: () => everything().catch(sayError),
};

async function everything() {
  const asked = number;
  say("Looking for everything…");
  const found = await server.everything(asked);
  if (asked !== number) return;
  annotator.objects.removeProposed();
  annotator.objects.show([
    ...annotator.objects.list,
    ...found.map((one) => ({ ...one, id: `all-${newId()}`, proposed: true })),
  ]);
  take("choose");
  say(`${counted(found.length, "mask")} found: click to keep, click again to drop`);
}

byId("previous", HTMLElement).addEventListener("click", () => void open(number - 1));
byId("next", HTMLElement).addEventListener("click", () => void open(number + 1));
byId("help", HTMLElement).addEventListener("click", () =>
  byId("keys", HTMLDialogElement).showModal(),
);
numberField.addEventListener("change", () => void open(Number(numberField.value) - 1));
addEventListener("hashchange", () => {
  const asked = Number(location.hash.slice(1)) - 1;
  if (asked !== number) void open(asked);
});
fillToolbar(take, (action) => void actions[action]());
showTool(pointing.tool);
listenToKeys({
  annotator,
  pointing,
  take,
  act: (action) => void actions[action](),
  turn: (step) => void open(number + step),
  name: (index) => panel.choose(index),
  say,
});
start().catch((error) => {
  banner.hidden = false;
  banner.textContent = `The server does not answer: ${error.message}`;
});
