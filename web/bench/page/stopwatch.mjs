// Takes times in the page, and finds the longest time for which its thread was not free.

/** A millisecond clock that notices when it is kept waiting. */
export class Stopwatch {
  #longest = 0;
  #last = 0;
  /** What was measured since it was last taken: `{ row, count, took, block }`, in milliseconds. */
  taken = [];

  constructor() {
    setInterval(() => this.#tick(), 1);
  }

  #tick() {
    const now = performance.now();
    this.#longest = Math.max(this.#longest, now - this.#last);
    this.#last = now;
  }

  /** Takes the time of work, which does something so many times, after a rest. Returns what work returns. */
  async time(row, count, work) {
    const rest = () => new Promise((resolve) => setTimeout(resolve, 30));
    await rest();
    this.#longest = 0;
    this.#last = performance.now();
    const start = performance.now();
    const result = await work();
    const took = performance.now() - start;
    await rest();
    this.taken.push({ row, count, took, block: this.#longest });
    return result;
  }
}
