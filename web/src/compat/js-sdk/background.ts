// What nobody waits for. Its failures are printed and stop nothing else; that a machine was closed meanwhile is none.

import { KnownSenderError } from "../../errors.js";

/** Lets work go on by itself. */
export function inBackground(work: Promise<unknown>): void {
  work.catch((thrown: unknown) => {
    if (!(thrown instanceof KnownSenderError) || !["closed", "engine_stopped"].includes(thrown.code)) console.error(thrown);
  });
}

/** Tells listeners; one's failure is not another's. */
export function tell<T>(listeners: Iterable<(what: T) => void>, what: T): void {
  for (const listener of [...listeners]) safely(() => listener(what));
}

/** Does what runs the application's code. */
export function safely(action: () => unknown): void {
  try {
    action();
  } catch (thrown) {
    console.error(thrown);
  }
}
