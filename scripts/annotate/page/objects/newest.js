// @ts-check
// One request in flight; of those that come meanwhile the newest waits, and the others are forgotten.

/**
 * @template Wanted, Result
 */
export class NewestWins {
  /**
   * @param {(wanted: Wanted, signal: AbortSignal) => Promise<Result>} work
   * @param {(result: Result, wanted: Wanted) => void} done
   * @param {(error: unknown) => void} failed
   */
  constructor(work, done, failed) {
    this.work = work;
    this.done = done;
    this.failed = failed;
    /** @type {Wanted | null} */
    this.waiting = null;
    /** @type {AbortController | null} */
    this.flight = null;
  }

  /** @param {Wanted} wanted */
  ask(wanted) {
    this.waiting = wanted;
    if (!this.flight) void this.run();
  }

  /** Abort what is in flight; nothing of it is heard again. */
  cancel() {
    this.waiting = null;
    this.flight?.abort();
    this.flight = null;
  }

  async run() {
    while (this.waiting !== null && !this.flight) {
      const wanted = this.waiting;
      const flight = new AbortController();
      this.waiting = null;
      this.flight = flight;
      try {
        const result = await this.work(wanted, flight.signal);
        if (this.flight === flight) this.done(result, wanted);
      } catch (error) {
        if (this.flight === flight) this.failed(error);
      }
      if (this.flight === flight) this.flight = null;
      else return; // cancelled; whoever asked since runs by itself
    }
  }
}
