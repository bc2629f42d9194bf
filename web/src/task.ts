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
