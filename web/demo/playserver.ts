// The homeserver of the lanes board, as far as /keys/query goes: it lives in the page and answers with what was recorded, text for text. It has
// a connection that can be cut, and takes its time, so that there is something to see.

import type { HostFetch } from "../dist/index.js";
import { changeNotes, readNotes } from "./notes.js";
import type { RecordedAccount } from "./recording.js";

/** How long an answer takes, in milliseconds, and how long it takes to find that there is no connection. */
const delays = { answer: 900, failure: 450 } as const;

/**
 * The client's fetch of one receiver. The recorded answers come in the order in which they were recorded, the last one again and again. `heard`
 * is called when an answer, or the lack of one, is on its way.
 */
export function playServer({ name, answers }: RecordedAccount, heard: () => void): HostFetch {
  return async ({ path, signal }) => {
    if (path !== "/_matrix/client/v3/keys/query") return new Response("{}", { status: 404 });
    await pause(readNotes().online ? delays.answer : delays.failure, signal);
    heard();
    const { online, served } = readNotes();
    if (!online) throw new TypeError("The network is off.");
    const number = Math.min(served[name] ?? 0, answers.length - 1);
    changeNotes((notes) => ({ ...notes, served: { ...notes.served, [name]: number + 1 } }));
    return answers[number] ?? "{}";
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
