// @ts-check
// Changes on their way to the server. They wait in the browser's storage, so that neither a killed
// server nor a reloaded page loses one, and go out in order. Sending one twice changes nothing.

/** @import { Annotation, Change } from "./types.js" */

const RETRY_MS = 1500;

export class Outbox {
  /**
   * @param {string} output which the changes belong to.
   * @param {string[]} images that the server has. Changes of others wait for a server that has them.
   * @param {(change: Change) => Promise<Annotation | null>} send
   * @param {object} heard
   * @param {(change: Change, object: Annotation | null) => void} heard.saved
   * @param {(change: Change, error: Error) => void} heard.refused
   * @param {(waiting: number, error: Error | null) => void} heard.waiting how many the server
   *   has not taken, and why the last one was not.
   */
  constructor(output, images, send, heard) {
    this.prefix = `sam-annotate ${output} `;
    this.images = new Set(images);
    this.send = send;
    this.heard = heard;
    this.sending = false;
    this.count = 0;
  }

  /** The changes that wait, oldest first. */
  pending() {
    return this.keys().map((key) => this.read(key));
  }

  /** @param {Change} change */
  add(change) {
    const time = String(Date.now()).padStart(15, "0");
    const order = String((this.count += 1)).padStart(6, "0");
    localStorage.setItem(`${this.prefix}${time}-${order}-${newId()}`, JSON.stringify(change));
    void this.flush();
  }

  /** Send everything that waits; tabs of one browser take turns. */
  async flush() {
    if (this.sending) return;
    this.sending = true;
    try {
      if (navigator.locks) await navigator.locks.request(this.prefix, () => this.sendAll());
      else await this.sendAll();
    } finally {
      this.sending = false;
    }
    if (this.keys().length) setTimeout(() => void this.flush(), RETRY_MS);
  }

  async sendAll() {
    let failure = null;
    for (let [key] = this.keys(); key; [key] = this.keys()) {
      const change = this.read(key);
      try {
        const object = await this.send(change);
        localStorage.removeItem(key);
        this.heard.saved(change, object);
      } catch (error) {
        const status = /** @type {{status?: number}} */ (error).status ?? 0;
        if (status < 400 || status === 403 || status >= 500) {
          failure = /** @type {Error} */ (error); // another time may do
          break;
        }
        localStorage.removeItem(key);
        this.heard.refused(change, /** @type {Error} */ (error));
      }
    }
    this.heard.waiting(this.keys().length, failure);
  }

  keys() {
    return Object.keys(localStorage)
      .filter((key) => key.startsWith(this.prefix) && this.images.has(this.read(key)?.image))
      .sort();
  }

  /**
   * @param {string} key
   * @returns {Change}
   */
  read(key) {
    return JSON.parse(localStorage.getItem(key) ?? "null");
  }
}

/** A new name that nobody else has. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  return [...bytes].map((byte) => byte.toString(36).padStart(2, "0")).join("");
}
