// One thing after the other: what is clicked while something is under way waits for it, and a part of the page says that it is busy until all of it is
// done. Whoever plays the scenes waits for that.

import { KnownSenderError } from "../dist/index.js";

export class Turns {
  #working: Promise<void> = Promise.resolve();

  /** `place` is the part of the page that is busy meanwhile. */
  constructor(private readonly place: () => Element) {}

  /** Resolves when nothing is under way; rejects with what went wrong last. */
  idle(): Promise<void> {
    return this.#working;
  }

  /** Does something when its turn comes. `failed` says on the page what went wrong. */
  take(action: () => Promise<void>, failed: (sentence: string) => void): void {
    this.place().setAttribute("aria-busy", "true");
    const now = this.#working
      .catch(() => undefined)
      .then(async () => {
        try {
          await action();
        } catch (thrown) {
          failed(thrown instanceof KnownSenderError ? `${thrown.code}: ${thrown.message}` : thrown instanceof Error ? thrown.message : String(thrown));
          throw thrown;
        } finally {
          if (this.#working === now) this.place().setAttribute("aria-busy", "false");
        }
      });
    now.catch(() => undefined); // it is on the page
    this.#working = now;
  }
}
