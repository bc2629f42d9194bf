// Turns of the page. Long work goes on in parts, and between two of them the page may paint and answer people.

/** Lets the page have a turn. A timer would do as well, and be clamped to four milliseconds. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

/** So long work goes on before the page has a turn, in milliseconds: a frame. */
const frame = 16;

/** Pauses longer than this are turns of the page, in milliseconds. */
const pause = 4;

/** Work in short calls, of which a host may make hundreds one after the other: nothing in between need give the page a turn. */
export class Pace {
  #since = 0;
  #last = 0;

  /** Before each call. Lets the page have a turn when it has had none for a frame. */
  async keep(): Promise<void> {
    const now = Date.now();
    if (now - this.#last > pause) this.#since = now;
    this.#last = now;
    if (now - this.#since < frame) return;
    this.#since = now;
    await nextTask();
    this.#last = Date.now();
  }
}
