// @ts-check
// One image in hand: its objects, the draft, the mask that follows the pointer, undo and redo.

/** @import { Draft } from "./draft.js" */
/** @import { Sprite } from "../image/rle.js" */
/** @import { Annotation, Candidate, Change, Point, Prompt } from "../server/types.js" */

import { bodyOf, bodyOfDraft, draftOf, EMPTY, isEmpty, promptOf } from "./draft.js";
import { NewestWins } from "./newest.js";
import { Objects } from "./objects.js";
import { makeSprite } from "../image/rle.js";
import { newId } from "../server/outbox.js";

/** @type {[number, number, number]} */
const IN_HAND = [255, 210, 0];

/**
 * A step that can be taken back.
 *
 * @typedef {object} Step
 * @property {Draft} before
 * @property {Draft} after
 * @property {{id: string, before: Annotation | null, after: Annotation | null}} [object]
 */

/**
 * What an annotator needs of the page around it.
 *
 * @typedef {object} Surroundings
 * @property {(prompt: Prompt, signal: AbortSignal) => Promise<Candidate[]>} ask
 * @property {(change: Omit<Change, "image">) => void} save
 * @property {() => string} category of the next object.
 * @property {() => void} changed something that is shown has.
 * @property {(text: string) => void} say
 */

export class Annotator {
  /** @param {Surroundings} around */
  constructor(around) {
    this.around = around;
    this.objects = new Objects(() => around.changed());
    /** @type {Draft} */
    this.draft = EMPTY;
    /** @type {Candidate[]} */
    this.candidates = []; // of the draft
    /** @type {Sprite | null} */
    this.mask = null; // of the draft, without its strokes
    /** @type {Candidate[]} */
    this.hovered = [];
    /** @type {Sprite | null} */
    this.preview = null;
    /** @type {number | null} */
    this.choice = null; // among the candidates of the preview
    /** @type {Step[]} */
    this.past = [];
    /** @type {Step[]} */
    this.future = [];
    this.acceptNext = false; // as soon as the draft's mask arrives

    /** @param {unknown} error */
    const failed = (error) => around.say(error instanceof Error ? error.message : String(error));
    /** @type {NewestWins<Prompt, Candidate[]>} */
    this.hovering = new NewestWins(
      (prompt, signal) => around.ask(prompt, signal),
      (found) => this.showPreview(found),
      failed,
    );
    /** @type {NewestWins<Prompt, Candidate[]>} */
    this.drafting = new NewestWins(
      (prompt, signal) => around.ask(prompt, signal),
      (found) => this.showDraft(found),
      (error) => {
        this.acceptNext = false;
        failed(error);
      },
    );
  }

  /** @param {Annotation[]} objects of another image. */
  open(objects) {
    this.leave();
    this.drafting.cancel();
    this.objects.selected = "";
    this.objects.show(objects);
    this.past = [];
    this.future = [];
    this.setDraft(EMPTY);
  }

  // The mask that follows the pointer.

  /** @param {Point} point */
  hover(point) {
    if (!isEmpty(this.draft)) return;
    this.hovering.ask({ points: [point], labels: [1] });
  }

  leave() {
    this.hovering.cancel();
    this.hovered = [];
    this.preview = null;
    this.around.changed();
  }

  /** @param {Candidate[]} found */
  showPreview(found) {
    this.hovered = found;
    const chosen = found[this.choice ?? best(found)] ?? found[0];
    this.preview = chosen ? makeSprite(chosen.segmentation, IN_HAND) : null;
    this.around.changed();
  }

  // The draft.

  /**
   * Go on with another draft, so that it can be taken back.
   *
   * @param {Draft} after
   */
  edit(after) {
    this.record({ before: this.draft, after });
    this.setDraft(after);
  }

  /**
   * Include what is at a point, as the preview shows it.
   *
   * @param {Draft} after
   */
  click(after) {
    const first = isEmpty(this.draft);
    this.edit(first && this.choice !== null ? { ...after, candidate: this.choice } : after);
  }

  /** @param {Draft} draft */
  setDraft(draft) {
    const earlier = promptOf(this.draft);
    this.draft = draft;
    const prompt = promptOf(draft);
    if (isEmpty(draft)) this.acceptNext = false;
    else {
      this.hovering.cancel();
      this.preview = null;
    }
    if (!prompt) {
      this.drafting.cancel();
      this.candidates = [];
      this.mask = draft.base ? makeSprite(draft.base.segmentation, IN_HAND, { solid: true }) : null;
    } else if (JSON.stringify(prompt) !== JSON.stringify(earlier) || !this.candidates.length) {
      this.candidates = [];
      this.drafting.ask(prompt);
    } else {
      this.drawDraft();
    }
    this.around.changed();
  }

  /** @param {Candidate[]} found */
  showDraft(found) {
    this.candidates = found;
    this.drawDraft();
    const chosen = this.chosen();
    const score = found[chosen].score.toFixed(2);
    const which = found.length > 1 ? `candidate ${chosen + 1} of ${found.length}, ` : "";
    this.around.say(`Mask: ${which}predicted IoU ${score}. Enter accepts.`);
    if (this.acceptNext) this.accept();
    this.around.changed();
  }

  drawDraft() {
    const candidate = this.candidates[this.chosen()];
    this.mask = candidate ? makeSprite(candidate.segmentation, IN_HAND, { solid: true }) : null;
  }

  /** The number of the candidate that is shown. */
  chosen() {
    const wanted = this.draft.candidate ?? best(this.candidates);
    return Math.max(0, Math.min(wanted, this.candidates.length - 1));
  }

  /** @param {number} candidate */
  choose(candidate) {
    if (isEmpty(this.draft)) {
      this.choice = this.choice === candidate ? null : candidate;
      if (this.hovered.length) this.showPreview(this.hovered);
      this.around.say(this.choice === null ? "The best candidate" : `Candidate ${candidate + 1}`);
    } else if (candidate < this.candidates.length) {
      this.edit({ ...this.draft, candidate });
      const score = this.candidates[candidate].score.toFixed(2);
      this.around.say(`Candidate ${candidate + 1}, predicted IoU ${score}`);
    }
  }

  /** Keep the object in hand. */
  accept() {
    if (isEmpty(this.draft)) return;
    const prompt = promptOf(this.draft);
    if (prompt && !this.candidates.length) {
      this.acceptNext = true; // its mask is on the way
      return;
    }
    this.acceptNext = false;
    if (!prompt && !this.draft.base && !this.draft.strokes.some(({ mode }) => mode === "add")) {
      this.around.say("Nothing is included yet");
      return;
    }
    const before = this.objects.find(this.draft.id) ?? null;
    const category = before?.category || this.around.category();
    const body = bodyOfDraft(this.draft, this.chosen(), category);
    const shown = this.candidates[this.chosen()] ?? this.draft.base;
    /** @type {Annotation} */
    const after = {
      id: this.draft.id || newId(),
      segmentation: shown?.segmentation ?? { size: [1, 1], counts: "" },
      area: 0,
      predicted_iou: this.candidates[this.chosen()]?.score ?? this.draft.base?.predicted_iou ?? 0,
      stability_score: 0,
      category,
      verdict: "accept",
      ...(prompt && { prompt, candidate: this.chosen() }),
      strokes: this.draft.strokes,
    };
    this.record({ before: this.draft, after: EMPTY, object: { id: after.id, before, after } });
    this.put(after, body);
    this.setDraft(EMPTY);
    this.around.say(`Accepted ${category || "an object"}`);
  }

  // The objects.

  /**
   * @param {Annotation} object
   * @param {object} body
   */
  put(object, body) {
    this.objects.place(object);
    this.around.save({ method: "PUT", id: object.id, body });
  }

  /**
   * The server's own form of an object that is shown already.
   *
   * @param {Annotation} object
   */
  confirm(object) {
    if (this.objects.find(object.id)) this.objects.place(object);
    for (const step of [...this.past, ...this.future]) {
      if (step.object?.id !== object.id) continue;
      if (step.object.after && !step.object.after.area) step.object.after = object;
      if (step.object.before && !step.object.before.area) step.object.before = object;
    }
  }

  /**
   * Turn an object into another form of itself, or into none, so that it can be taken back.
   *
   * @param {Annotation} before
   * @param {Annotation | null} after
   */
  turn(before, after) {
    this.record({
      before: this.draft,
      after: this.draft,
      object: { id: before.id, before, after },
    });
    this.apply(before.id, after);
  }

  /**
   * @param {string} id
   * @param {Annotation | null} object
   */
  apply(id, object) {
    const known = this.objects.find(id);
    if (object?.proposed) {
      if (known && !known.proposed) this.around.save({ method: "DELETE", id });
      this.objects.place(object);
    } else if (
      object &&
      known &&
      !known.proposed &&
      known.segmentation.counts === object.segmentation.counts
    ) {
      const { category, verdict } = object;
      this.objects.place(object);
      this.around.save({ method: "PATCH", id, body: { category, verdict: verdict ?? "" } });
    } else if (object) {
      this.put(object, bodyOf(object));
    } else {
      this.objects.remove(id);
      this.around.save({ method: "DELETE", id });
    }
  }

  /** @param {Annotation} object */
  acceptObject(object) {
    if (object.verdict === "accept") return;
    const category = object.category || (object.proposed ? this.around.category() : "");
    this.turn(object, { ...object, category, verdict: "accept", proposed: undefined });
    this.around.say(`Accepted ${category || "an object"}`);
  }

  /**
   * Drop an object; one of a run stays in its file, rejected.
   *
   * @param {Annotation} object
   */
  rejectObject(object) {
    if (object.proposed) this.objects.remove(object.id);
    else if (object.id.startsWith("run-")) this.turn(object, { ...object, verdict: "reject" });
    else this.turn(object, null);
    this.around.say("Rejected");
  }

  /**
   * Keep or drop, as a click on an object decides.
   *
   * @param {Annotation} object
   */
  toggleObject(object) {
    if (object.verdict !== "accept") this.acceptObject(object);
    else if (object.id.startsWith("all-"))
      this.turn(object, { ...object, verdict: undefined, proposed: true });
    else this.rejectObject(object);
  }

  /**
   * @param {Annotation} object
   * @param {string} category
   */
  rename(object, category) {
    if (object.category === category || object.proposed) return;
    this.turn(object, { ...object, category });
    this.around.say(category ? `Named ${category}` : "Without a category");
  }

  /** @param {Annotation} object */
  correct(object) {
    this.edit(draftOf(object));
    this.around.say("Correct it, then press Enter");
  }

  // Taking back.

  /** @param {Step} step */
  record(step) {
    this.past.push(step);
    this.future = [];
  }

  undo() {
    const step = this.past.pop();
    if (!step) return this.around.say("Nothing to undo");
    this.future.push(step);
    if (step.object) this.apply(step.object.id, step.object.before);
    this.setDraft(step.before);
    this.around.say("Undone");
  }

  redo() {
    const step = this.future.pop();
    if (!step) return this.around.say("Nothing to redo");
    this.past.push(step);
    if (step.object) this.apply(step.object.id, step.object.after);
    this.setDraft(step.after);
    this.around.say("Redone");
  }
}

/** @param {Candidate[]} found */
const best = (found) =>
  found.reduce((top, { score }, index) => (score > found[top].score ? index : top), 0);
