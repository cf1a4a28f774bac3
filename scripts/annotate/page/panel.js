// @ts-check
// The side panel: the category of the next object, and the list of objects.

/** @import { Annotator } from "./objects/annotator.js" */
/** @import { Annotation } from "./server/types.js" */

import { byId, counted, make } from "./elements.js";

const SHOWN_CATEGORIES = 9;

export class Panel {
  /** @param {Annotator} annotator */
  constructor(annotator) {
    this.annotator = annotator;
    this.field = byId("category", HTMLInputElement);
    this.known = byId("known", HTMLElement);
    this.list = byId("objects", HTMLOListElement);
    this.title = byId("objects-title", HTMLElement);
    /** @type {string[]} */
    this.categories = [];
    this.shown = "";
    this.list.addEventListener("click", (event) => this.clicked(event));
    this.list.addEventListener("change", (event) => this.renamed(event));
    this.field.addEventListener("keydown", (event) => this.typed(event));
  }

  /** @param {string[]} categories */
  learn(categories) {
    this.categories = [...new Set([...this.categories, ...categories])].filter(Boolean);
    byId("categories", HTMLDataListElement).replaceChildren(
      ...this.categories.map((value) => make("option", { value })),
    );
    this.known.replaceChildren(
      ...this.categories.slice(0, SHOWN_CATEGORIES).map((name, index) => {
        const key = make("kbd", {}, String(index + 1));
        const button = make("button", { type: "button", title: `Shift ${index + 1}` }, key, name);
        button.addEventListener("click", () => this.choose(index));
        return button;
      }),
    );
  }

  /** The category of the next object. */
  get category() {
    return this.field.value.trim().replace(/\s+/g, " ");
  }

  /** @param {number} index among the known categories. */
  choose(index) {
    const name = this.categories[index];
    if (name === undefined) return;
    this.field.value = name;
    const selected = this.annotator.objects.selection();
    if (selected && !selected.proposed) this.annotator.rename(selected, name);
    this.annotator.around.say(`Category ${name}`);
  }

  /** @param {KeyboardEvent} event */
  typed(event) {
    const digit = Number(event.key);
    if (!this.field.value && digit >= 1 && this.categories[digit - 1] !== undefined) {
      event.preventDefault();
      this.choose(digit - 1);
      this.leave();
    } else if (event.key === "Enter" || event.key === "Escape") {
      event.preventDefault();
      const selected = this.annotator.objects.selection();
      if (event.key === "Enter" && selected) this.annotator.rename(selected, this.category);
      this.leave();
    }
  }

  leave() {
    byId("stage", HTMLElement).focus({ preventScroll: true });
  }

  update() {
    const { list, selected } = this.annotator.objects;
    const rows = list.filter(({ proposed }) => !proposed);
    const accepted = rows.filter(({ verdict }) => verdict === "accept").length;
    this.title.textContent = `${counted(rows.length, "object")}, ${accepted} accepted`;
    byId("empty", HTMLElement).hidden = list.length > 0;
    const key = JSON.stringify([
      selected,
      rows.map((o) => [o.id, o.category, o.verdict, o.area, this.annotator.objects.colourOf(o)]),
    ]);
    if (key === this.shown) return;
    this.shown = key;
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement : null;
    const again = focused && this.list.contains(focused) ? focused.dataset.key : undefined;
    this.list.replaceChildren(...rows.map((object, index) => this.row(object, index)));
    if (again) {
      [...this.list.querySelectorAll("[data-key]")]
        .find((e) => /** @type {HTMLElement} */ (e).dataset.key === again)
        // @ts-ignore
        ?.focus();
    }
  }

  /**
   * @param {Annotation} object
   * @param {number} index
   */
  row(object, index) {
    const name = object.category || `object ${index + 1}`;
    const dot = make("i", { "aria-hidden": "true" });
    dot.style.background = `rgb(${this.annotator.objects.colourOf(object).join(" ")})`;
    const area = object.area ? `${object.area.toLocaleString("en")} px` : "saving";
    const select = make(
      "button",
      {
        type: "button",
        "data-act": "select",
        "aria-pressed": String(object.id === this.annotator.objects.selected),
        "aria-label": `Select ${name}, ${area}`,
      },
      dot,
      make("small", {}, area),
    );
    const field = make("input", {
      "aria-label": `Category of object ${index + 1}`,
      list: "categories",
      maxlength: "100",
      placeholder: "object",
      "data-act": "rename",
    });
    field.value = object.category;
    /**
     * @param {string} act
     * @param {string} sign
     * @param {string} label
     * @param {boolean} pressed
     */
    const button = (act, sign, label, pressed) =>
      make(
        "button",
        {
          type: "button",
          "data-act": act,
          "aria-label": `${label} ${name}`,
          title: label,
          ...(act !== "correct" && { "aria-pressed": String(pressed) }),
        },
        sign,
      );
    const row = make(
      "li",
      { class: object.verdict ?? "open" },
      select,
      field,
      button("correct", "✎", "Correct", false),
      button("accept", "✓", "Accept", object.verdict === "accept"),
      button("reject", "✕", "Reject", object.verdict === "reject"),
    );
    row.dataset.id = object.id;
    for (const element of row.querySelectorAll("button, input")) {
      const act = /** @type {HTMLElement} */ (element);
      act.dataset.key = `${object.id} ${act.dataset.act}`;
    }
    if (object.id === this.annotator.objects.selected) row.classList.add("selected");
    return row;
  }

  /** @param {Event} event */
  target(event) {
    const element = event.target instanceof Element ? event.target.closest("[data-act]") : null;
    const id = element?.closest("li")?.dataset.id;
    const object = this.annotator.objects.find(id ?? "");
    return object && element instanceof HTMLElement ? { object, element } : null;
  }

  /** @param {Event} event */
  clicked(event) {
    const target = this.target(event);
    if (!target) return;
    const { object, element } = target;
    const act = element.dataset.act;
    const { objects } = this.annotator;
    if (act === "select") {
      objects.select(object.id === objects.selected ? "" : object.id);
    }
    if (act === "correct") {
      this.annotator.correct(object);
      this.leave();
    }
    if (act === "accept") this.annotator.acceptObject(object);
    if (act === "reject") this.annotator.rejectObject(object);
  }

  /** @param {Event} event */
  renamed(event) {
    const target = this.target(event);
    if (!(target?.element instanceof HTMLInputElement)) return;
    const category = target.element.value.trim().replace(/\s+/g, " ");
    this.learn([category]);
    this.annotator.rename(target.object, category);
  }
}
