// @ts-check
// Puts the page together: images, tools, keys, and what is saved.

/** @import { Action, Tool } from "./tools.js" */
/** @import { Annotation, Change, ImageDetail, Point, Session, Stroke } from "./types.js" */

import { Annotator } from "./annotator.js";
import { EMPTY, isEmpty, withBox, withPoint, withStroke } from "./draft.js";
import { listen } from "./gestures.js";
import { newId, Outbox } from "./outbox.js";
import { byId, counted } from "./page.js";
import { Panel } from "./panel.js";
import { Stage } from "./stage.js";
import { fillToolbar, showTool, TOOLS } from "./tools.js";
import * as server from "./transport.js";

const BRUSH_PIXELS = 12; // on the stage
const CROSSHAIR_STEP = 12;

const status = byId("status", HTMLElement);
const banner = byId("banner", HTMLElement);
const numberField = byId("number", HTMLInputElement);

/** @type {Session} */
let session = { images: [], output: "", categories: [], segmenter: "", warning: "" };
/** @type {ImageDetail | null} */
let detail = null;
let number = 0;
/** @type {Tool} */
let tool = "include";
let brush = BRUSH_PIXELS;
/** @type {Point | null} */
let pointer = null; // on the image
/** @type {Point | null} */
let crosshair = null;
/** @type {Point | null} */
let corner = null; // of a box that the keyboard draws
let prepared = false;
let opening = new AbortController();

/** @param {string} text */
const say = (text) => {
  status.textContent = text;
};

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
const stage = new Stage(byId("stage", HTMLElement), () => ({
  objects: annotator.drawn(),
  preview: annotator.preview,
  mask: annotator.mask,
  draft: annotator.draft,
  stroke: annotator.stroke,
  box: annotator.box,
  crosshair,
  brush: isBrush() && pointer ? { at: pointer, radius: brushRadius() } : null,
}));
let outbox = outboxOf("");
/** @type {BroadcastChannel | null} */
let tabs = null;

const isBrush = () => tool === "brush" || tool === "erase";
const brushRadius = () => brush / stage.view.scale;

/** @param {string} output */
function outboxOf(output) {
  return new Outbox(output, sendChange, {
    saved: (change, object) => {
      if (object && change.image === detail?.name) annotator.confirm(object);
      tabs?.postMessage(change.image);
    },
    refused: (change, error) => {
      say(`Not saved: ${error.message}`);
      if (change.image === detail?.name) void reloadObjects();
    },
    waiting: (count) => {
      banner.hidden = count === 0;
      banner.textContent = `The server does not answer. ${counted(count, "change")} ${
        count === 1 ? "is" : "are"
      } kept in this browser and will be sent when it does.`;
    },
  });
}

/** @param {Change} change */
async function sendChange(change) {
  const at = session.images.findIndex(({ name }) => name === change.image);
  if (at < 0) throw new server.Refusal(`${change.image} is not among these images`, 503);
  return server.send(at, change);
}

// Images.

async function start() {
  session = await server.loadSession();
  outbox = outboxOf(session.output);
  if ("BroadcastChannel" in window) {
    tabs = new BroadcastChannel(`sam-annotate ${session.output}`);
    tabs.addEventListener("message", ({ data }) => {
      if (data === detail?.name && !outbox.pending().length) void reloadObjects();
    });
  }
  panel.learn(session.categories);
  byId("count", HTMLElement).textContent = `of ${session.images.length.toLocaleString("en")}`;
  numberField.max = String(session.images.length);
  byId("about", HTMLElement).textContent = [`Masks by ${session.segmenter}.`, session.warning]
    .filter(Boolean)
    .join(" ");
  await outbox.flush();
  const asked = Number(location.hash.slice(1));
  await open(asked >= 1 && asked <= session.images.length ? asked - 1 : 0);
}

/** @param {number} wanted */
async function open(wanted) {
  if (wanted < 0 || wanted >= session.images.length) {
    return say(wanted < 0 ? "This is the first image" : "This is the last image");
  }
  if (!isEmpty(annotator.draft)) say("The mask in hand was not accepted");
  opening.abort();
  opening = new AbortController();
  const { signal } = opening;
  number = wanted;
  prepared = false;
  detail = null;
  crosshair = corner = null;
  annotator.open([]);
  stage.show(null, 1, 1);
  const { name } = session.images[wanted];
  byId("name", HTMLElement).textContent = name;
  document.title = `${name} – annotate`;
  numberField.value = String(wanted + 1);
  history.replaceState(null, "", `#${wanted + 1}`);
  try {
    const preparing = server.prepare(wanted, signal);
    preparing.catch(() => {});
    const loaded = await server.loadImage(wanted);
    if (signal.aborted) return;
    detail = loaded;
    annotator.open(withPending(loaded.name, loaded.objects));
    if (!loaded.prepared) wait(loaded.expected_seconds, signal);
    const picture = new Image();
    picture.src = server.pictureAddress(wanted);
    await picture.decode();
    if (signal.aborted) return;
    stage.show(picture, loaded.width, loaded.height);
    await preparing;
    if (signal.aborted) return;
    prepared = true;
    byId("wait", HTMLElement).hidden = true;
    if (pointer && tool === "include") annotator.hover(pointer);
    say(`${name}, ${loaded.width} × ${loaded.height} pixels`);
    if (wanted + 1 < session.images.length) void server.prepare(wanted + 1, signal).catch(() => {});
  } catch (error) {
    if (signal.aborted) return;
    byId("wait", HTMLElement).hidden = true;
    say(error instanceof Error ? `${name}: ${error.message}` : String(error));
  }
}

/**
 * An image's objects as they will be when the server has heard of everything.
 *
 * @param {string} name
 * @param {Annotation[]} objects
 */
function withPending(name, objects) {
  let known = objects;
  for (const change of outbox.pending()) {
    if (change.image !== name) continue;
    if (change.method === "DELETE") known = known.filter(({ id }) => id !== change.id);
    if (change.method === "PATCH") {
      known = known.map((one) => (one.id === change.id ? { ...one, ...change.body } : one));
    }
  }
  return known;
}

async function reloadObjects() {
  const { objects, name } = await server.loadImage(number);
  if (name !== detail?.name) return;
  const proposals = annotator.objects.filter(({ proposed }) => proposed);
  annotator.objects = [...objects, ...proposals];
  annotator.around.changed();
}

/**
 * A bar while the image is embedded; it knows how far that is from how long the last one took.
 *
 * @param {number} expected seconds; 0 if unknown.
 * @param {AbortSignal} signal
 */
function wait(expected, signal) {
  const bar = byId("bar", HTMLProgressElement);
  byId("wait-text", HTMLElement).textContent = "Reading the image…";
  byId("wait", HTMLElement).hidden = prepared;
  bar.removeAttribute("value");
  const started = performance.now();
  const timer = setInterval(() => {
    if (prepared || signal.aborted) return clearInterval(timer);
    const spent = (performance.now() - started) / 1000;
    if (expected) bar.value = Math.min(0.98, spent / expected);
  }, 200);
}

// Tools.

/** @param {Tool} wanted */
function take(wanted) {
  tool = wanted;
  corner = null;
  if (tool !== "include") annotator.leave();
  showTool(tool);
  say(TOOLS.find((one) => one.tool === wanted)?.label ?? "");
  stage.redraw();
}

/** @param {Action} action */
async function act(action) {
  if (action === "undo") annotator.undo();
  if (action === "redo") annotator.redo();
  if (action === "in") stage.zoom(1.5);
  if (action === "out") stage.zoom(1 / 1.5);
  if (action === "fit") stage.fit();
  if (action === "accept") accept();
  if (action === "everything") await everything();
}

function accept() {
  const selected = annotator.selection();
  if (!isEmpty(annotator.draft)) annotator.accept();
  else if (selected) annotator.correct(selected);
  else say("Nothing to accept yet: click something first");
}

async function everything() {
  const asked = number;
  say("Looking for everything…");
  try {
    const found = await server.everything(asked);
    if (asked !== number) return;
    const kept = annotator.objects.filter(({ proposed }) => !proposed);
    annotator.objects = [
      ...kept,
      ...found.map((one) => ({ ...one, id: `all-${newId()}`, proposed: true })),
    ];
    annotator.around.changed();
    take("choose");
    say(`${counted(found.length, "mask")} found: click to keep, click again to drop`);
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
}

/**
 * A point in tenths of a pixel, which is as exact as a pointer.
 *
 * @param {Point} point
 */
const rounded = (point) => /** @type {Point} */ (point.map((value) => Math.round(value * 10) / 10));

/** @param {Point} point on the image. */
const shareOf = ([x, y]) => /** @type {Point} */ ([x / stage.width, y / stage.height]);

/**
 * @param {Point} point on the image.
 * @param {boolean} exclude
 */
function clickAt(point, exclude) {
  if (!detail) return;
  if (tool === "choose") {
    const object = annotator.objectAt(shareOf(point));
    if (object) annotator.toggleObject(object);
    else say("No object here");
  } else if (isBrush()) {
    annotator.edit(withStroke(annotator.draft, strokeFrom(rounded(point))));
  } else {
    const label = exclude || tool === "exclude" ? 0 : 1;
    annotator.click(withPoint(annotator.draft, rounded(point), label));
  }
}

/**
 * @param {Point} point
 * @returns {Stroke}
 */
const strokeFrom = (point) => ({
  mode: tool === "brush" ? "add" : "remove",
  radius: Math.round(brushRadius() * 10) / 10,
  points: [point],
});

listen(
  stage,
  {
    hover: (at) => {
      pointer = stage.holds(at) ? stage.toImage(at) : null;
      if (pointer && prepared && tool === "include") annotator.hover(pointer);
      else if (!pointer) annotator.leave();
      if (isBrush()) stage.redraw();
    },
    leave: () => {
      pointer = null;
      annotator.leave();
    },
    click: (at, exclude) => {
      if (stage.holds(at)) clickAt(stage.toImage(at), exclude);
    },
    dragStart: (from) => {
      if (isBrush()) annotator.stroke = strokeFrom(stage.toImage(from));
      return tool !== "choose" && tool !== "pan";
    },
    drag: (from, to) => {
      const at = stage.toImage(to);
      pointer = at;
      if (annotator.stroke) annotator.stroke.points.push(rounded(at));
      else annotator.box = withBox(EMPTY, stage.toImage(from), at).box;
      stage.redraw();
    },
    dragEnd: (from, to) => {
      const { stroke, box } = annotator;
      annotator.stroke = annotator.box = null;
      if (!to || !detail) return stage.redraw();
      if (stroke) annotator.edit(withStroke(annotator.draft, stroke));
      else if (box) drawBox(stage.toImage(from), stage.toImage(to));
    },
  },
  () => tool === "pan",
);

/**
 * @param {Point} from
 * @param {Point} to
 */
function drawBox(from, to) {
  const draft = withBox(annotator.draft, from, to);
  const [x0, y0, x1, y1] = (draft.box ?? []).map((value) => Math.round(value * 10) / 10);
  if (x1 - x0 < 1 || y1 - y0 < 1) return say("The box is smaller than a pixel");
  annotator.edit({ ...draft, box: [x0, y0, x1, y1] });
}

// Keys.

/** @param {KeyboardEvent} event */
function moveCrosshair(event) {
  const [dx, dy] = {
    ArrowLeft: [-1, 0],
    ArrowRight: [1, 0],
    ArrowUp: [0, -1],
    ArrowDown: [0, 1],
  }[event.key] ?? [0, 0];
  const step = event.ctrlKey ? 1 : CROSSHAIR_STEP / stage.view.scale;
  const [x, y] = crosshair ?? [stage.width / 2, stage.height / 2];
  crosshair = [
    Math.min(Math.max(x + dx * step, 0), stage.width - 0.01),
    Math.min(Math.max(y + dy * step, 0), stage.height - 0.01),
  ];
  if (corner) annotator.box = withBox(EMPTY, corner, crosshair).box;
  else if (prepared && tool === "include") annotator.hover(crosshair);
  say(`${Math.round(crosshair[0])}, ${Math.round(crosshair[1])}`);
  stage.redraw();
}

/** @param {boolean} exclude */
function pressCrosshair(exclude) {
  crosshair ??= [stage.width / 2, stage.height / 2];
  if (tool !== "box") return clickAt(crosshair, exclude);
  if (corner) {
    annotator.box = null;
    drawBox(corner, crosshair);
    corner = null;
  } else {
    corner = crosshair;
    say("One corner of the box; move to the other and press Space");
  }
}

function escape() {
  corner = annotator.box = annotator.stroke = null;
  if (!isEmpty(annotator.draft)) annotator.edit(EMPTY);
  else if (annotator.objects.some(({ proposed }) => proposed)) {
    annotator.objects = annotator.objects.filter(({ proposed }) => !proposed);
  } else annotator.select("");
  annotator.around.changed();
}

/** @param {number} step */
function selectNext(step) {
  const { objects, selected } = annotator;
  if (!objects.length) return say("There is no object");
  const at = objects.findIndex(({ id }) => id === selected);
  const next =
    objects[(at + step + objects.length + (at < 0 && step < 0 ? 1 : 0)) % objects.length];
  annotator.select(next.id);
  say(`${next.category || "object"}, ${next.verdict ?? "not judged"}`);
}

/** @type {Record<string, (event: KeyboardEvent) => unknown>} */
const PLAIN = {
  enter: accept,
  escape,
  " ": ({ shiftKey }) => pressCrosshair(shiftKey),
  z: ({ shiftKey }) => (shiftKey ? annotator.redo() : annotator.undo()),
  y: ({ ctrlKey, metaKey }) => (ctrlKey || metaKey) && annotator.redo(),
  c: () => byId("category", HTMLInputElement).select(),
  e: () => void everything(),
  n: ({ shiftKey }) => selectNext(shiftKey ? -1 : 1),
  a: () => withSelection((object) => annotator.acceptObject(object)),
  delete: () => withSelection((object) => annotator.rejectObject(object)),
  backspace: () => withSelection((object) => annotator.rejectObject(object)),
  "+": () => stage.zoom(1.5),
  "=": () => stage.zoom(1.5),
  "-": () => stage.zoom(1 / 1.5),
  0: () => stage.fit(),
  "[": () => resizeBrush(1 / 1.3),
  "]": () => resizeBrush(1.3),
  "?": () => byId("keys", HTMLDialogElement).showModal(),
};

/** @param {(object: Annotation) => void} then */
function withSelection(then) {
  const selected = annotator.selection();
  if (selected) then(selected);
  else say("Select an object first (N)");
}

/** @param {number} factor */
function resizeBrush(factor) {
  brush = Math.min(Math.max(brush * factor, 1), 200);
  say(`Brush of ${counted(Math.round(2 * brush), "pixel")}`);
  stage.redraw();
}

/**
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key was one of the page's.
 */
function pressed(event) {
  const { key, shiftKey, ctrlKey, metaKey } = event;
  if (key.startsWith("Arrow")) {
    if (shiftKey) moveCrosshair(event);
    else if (key === "ArrowLeft") void open(number - 1);
    else if (key === "ArrowRight") void open(number + 1);
    else return false;
    return true;
  }
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1] ?? (/^[1-9]$/.test(key) ? key : "");
  if (digit && !ctrlKey && !metaKey) {
    if (shiftKey) panel.choose(Number(digit) - 1);
    else if (Number(digit) <= 3) annotator.choose(Number(digit) - 1);
    else return false;
    return true;
  }
  const name = key.toLowerCase();
  if ((ctrlKey || metaKey) && !["z", "y"].includes(name)) return false;
  const wanted = TOOLS.find((one) => one.key === name);
  const action = PLAIN[name];
  if (wanted) take(wanted.tool);
  else if (action) action(event);
  else return false;
  return true;
}

document.addEventListener("keydown", (event) => {
  const target = event.target instanceof HTMLElement ? event.target : document.body;
  if (event.isComposing || target.closest("input, dialog")) return;
  if (target.closest("button") && ["Enter", " "].includes(event.key)) return;
  if (pressed(event)) event.preventDefault();
});

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
fillToolbar(take, (action) => void act(action));
showTool(tool);
start().catch((error) => {
  banner.hidden = false;
  banner.textContent = `The server does not answer: ${error.message}`;
});
