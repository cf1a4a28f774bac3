// @ts-check
// The server, as the page talks to it.

/** @import { Annotation, Candidate, Change, ImageDetail, Prompt, Session } from "./types.js" */

/** The server refused a request; it did get it. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * @param {string} method
 * @param {string} address
 * @param {object} [body]
 * @param {AbortSignal} [signal]
 */
async function ask(method, address, body, signal) {
  const reply = await fetch(address, {
    method,
    signal,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body && JSON.stringify(body),
  });
  if (reply.status === 204) return null;
  if (reply.ok) return reply.json();
  const text = await reply.text();
  let message = text.trim() || `the server answers ${reply.status}`;
  try {
    const content = JSON.parse(text);
    message = content.hint ? `${content.error} (${content.hint})` : content.error;
  } catch {
    // not one of its own answers
  }
  throw new Refusal(message, reply.status);
}

/** @returns {Promise<Session>} */
export const loadSession = () => ask("GET", "/api/session");

/**
 * @param {number} number
 * @returns {Promise<ImageDetail>}
 */
export const loadImage = (number) => ask("GET", `/api/images/${number}`);

/** @param {number} number */
export const pictureAddress = (number) => `/api/images/${number}/picture`;

/**
 * Let the server do what the first prompt on an image would wait for.
 *
 * @param {number} number
 * @param {AbortSignal} [signal]
 * @returns {Promise<{seconds: number}>}
 */
export const prepare = (number, signal) =>
  ask("POST", `/api/images/${number}/embedding`, {}, signal);

/**
 * @param {number} number
 * @param {Prompt} prompt
 * @param {AbortSignal} signal
 * @returns {Promise<Candidate[]>}
 */
export async function candidates(number, prompt, signal) {
  const reply = await ask("POST", `/api/images/${number}/candidates`, { prompt }, signal);
  return reply.candidates;
}

/**
 * @param {number} number
 * @returns {Promise<Annotation[]>}
 */
export async function everything(number) {
  return (await ask("POST", `/api/images/${number}/everything`, {})).objects;
}

/**
 * @param {number} number of the image.
 * @param {Change} change
 * @returns {Promise<Annotation | null>}
 */
export const send = (number, { method, id, body }) =>
  ask(method, `/api/images/${number}/objects/${encodeURIComponent(id)}`, body);
