// The homeserver of the lanes board, as far as /keys/query goes: it lives in the page and answers with what was recorded
// of those it is asked about. It has a connection that can be cut, and takes its time, so that there is something to see.

import type { HostFetch } from "../dist/index.js";
import { changeNotes, readNotes } from "./notes.js";
import type { RecordedAccount } from "./recording.js";

/** How long an answer takes, in milliseconds, and how long it takes to find that there is no connection. */
const delays = { answer: 900, failure: 450 } as const;

/** The parts of an answer that are objects by user. */
const parts = ["device_keys", "master_keys", "self_signing_keys", "user_signing_keys"] as const;
type Answer = { readonly [part in (typeof parts)[number]]?: Readonly<Record<string, unknown>> };

/**
 * The client's fetch of one receiver. The recorded answers come in the order in which they were recorded, the last one again and again. `heard`
 * is called when an answer, or the lack of one, is on its way.
 */
export function playServer({ name, keys, answers }: RecordedAccount, heard: () => void): HostFetch {
  return async ({ path, body, signal }) => {
    if (path !== "/_matrix/client/v3/keys/query") return new Response("{}", { status: 404 });
    await pause(readNotes().online ? delays.answer : delays.failure, signal);
    if (signal.aborted) throw new TypeError("Nobody waits for the answer any more.");
    heard();
    const { online, served } = readNotes();
    if (!online) throw new TypeError("The network is off.");
    const users = Object.keys((JSON.parse(body) as { readonly device_keys: object }).device_keys);
    const number = Math.min(served[name] ?? 0, answers.length - 1);
    // A machine asks about its own user too; the play goes on when it asks about a sender.
    if (keys.some(({ sender }) => users.includes(sender))) changeNotes((notes) => ({ ...notes, served: { ...notes.served, [name]: number + 1 } }));
    return answerFor(users, JSON.parse(answers[number] ?? "{}") as Answer);
  };
}

/** An answer, as far as it is about users. */
function answerFor(users: readonly string[], answer: Answer): string {
  const of = (part: (typeof parts)[number]): object => Object.fromEntries(Object.entries(answer[part] ?? {}).filter(([user]) => users.includes(user)));
  return JSON.stringify({ ...Object.fromEntries(parts.map((part) => [part, of(part)])), failures: {} });
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
