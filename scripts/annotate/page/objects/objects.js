// @ts-check
// The objects of the image that is shown, which one is selected, and how they look.

/** @import { Sprite } from "../image/rle.js" */
/** @import { Scene } from "../image/stage.js" */
/** @import { Annotation } from "../server/types.js" */

import { colourOf, makeSprite } from "../image/rle.js";

const REJECTED = 0.12; // how strongly objects are drawn
const OPEN = 0.4;

export class Objects {
  /** @param {() => void} changed */
  constructor(changed) {
    this.changed = changed;
    /** @type {Annotation[]} */
    this.list = [];
    this.selected = "";
    /** @type {WeakMap<Annotation, {colour: string, sprite: Sprite | null}>} */
    this.sprites = new WeakMap();
  }

  /** @param {Annotation[]} list */
  show(list) {
    this.list = list;
    if (!this.find(this.selected)) this.selected = "";
    this.changed();
  }

  /** @param {string} id */
  find(id) {
    return this.list.find((object) => object.id === id);
  }

  /** @param {string} id */
  select(id) {
    this.selected = id;
    this.changed();
  }

  selection() {
    return this.find(this.selected);
  }

  /**
   * The object that follows the selected one, or precedes it.
   *
   * @param {1 | -1} step
   * @returns {Annotation | undefined}
   */
  next(step) {
    const { length } = this.list;
    const at = this.list.findIndex(({ id }) => id === this.selected);
    if (at < 0) return this.list[step > 0 ? 0 : length - 1];
    return this.list[(at + step + length) % length];
  }

  /**
   * Show an object, in the place of the one of the same id.
   *
   * @param {Annotation} object
   */
  place(object) {
    const at = this.list.findIndex(({ id }) => id === object.id);
    this.list = at < 0 ? [...this.list, object] : this.list.with(at, object);
    this.changed();
  }

  /** @param {string} id */
  remove(id) {
    this.show(this.list.filter((object) => object.id !== id));
  }

  /** Drop what is only offered. */
  removeProposed() {
    this.show(this.list.filter(({ proposed }) => !proposed));
  }

  /**
   * The smallest object at a place, so that what lies on another can be picked.
   *
   * @param {[x: number, y: number]} share of the image's width and height.
   */
  at([x, y]) {
    return this.list
      .filter((object) => this.spriteOf(object)?.covers(x, y))
      .sort((a, b) => a.area - b.area)[0];
  }

  /** @param {Annotation} object */
  spriteOf(object) {
    const colour = this.colourOf(object);
    const key = colour.join();
    let kept = this.sprites.get(object);
    if (!kept || kept.colour !== key) {
      kept = { colour: key, sprite: makeSprite(object.segmentation, colour) };
      this.sprites.set(object, kept);
    }
    return kept.sprite;
  }

  /**
   * One colour for each category; objects without one differ.
   *
   * @param {Annotation} object
   */
  colourOf(object) {
    if (!object.category) return colourOf(this.list.indexOf(object));
    let hash = 7;
    for (const letter of object.category) hash = (hash * 31 + letter.charCodeAt(0)) % 997;
    return colourOf(hash);
  }

  /**
   * The objects as the stage draws them, the large ones behind.
   *
   * @param {string} without the id of the object in hand.
   * @returns {Scene["objects"]}
   */
  drawn(without) {
    return this.list
      .filter(({ id }) => id !== without)
      .sort((a, b) => b.area - a.area)
      .flatMap((object) => {
        const sprite = this.spriteOf(object);
        const strong = object.id === this.selected;
        const strength = object.verdict === "accept" ? 1 : object.verdict ? REJECTED : OPEN;
        return sprite ? [{ sprite, strength: strong ? 1 : strength, strong }] : [];
      });
  }
}
