// The script of a worker in which machines' programs run, each with its database, away from the page. Its page is hosted.ts. Loaded anywhere but in a
// worker it does nothing, and what is not said to it it leaves alone, so it may be a part of another worker's script.

import { Listeners, type Argument, type Engine } from "./engine.js";
import { KnownSenderError } from "./errors.js";
import { whenAborted, type Outcome, type Send } from "./fetch.js";
import { startProgram, storeReported, type Grounded } from "./ground.js";
import { toWire, wireVersion, type Begin, type ToPage, type ToWorker } from "./wire.js";

if ("WorkerGlobalScope" in globalThis) {
  globalThis.addEventListener("message", ({ data }: MessageEvent<Partial<Begin> | null>) => {
    if (typeof data?.knownsender === "number") void run(data as Begin);
  });
}

async function run({ knownsender, port, module, ground, sends }: Begin): Promise<void> {
  const post = (message: ToPage, transfer: Transferable[] = []): void => port.postMessage(message, transfer);
  const listeners = new Listeners();
  listeners.tell = (name, json) => post(name === storeReported && json.includes('"persistence_denied"') ? { kind: "unpersisted" } : { kind: "event", name, json });
  const requests = new Requests(post);
  let grounded: Grounded<Engine>;
  try {
    if (knownsender !== wireVersion) throw new KnownSenderError("worker_failed", "The worker's script is of another version of this package than the page's. Deploy both together, under names that change with them.");
    grounded = await startProgram(module, ground, sends ? requests.send : undefined, listeners);
  } catch (thrown) {
    return post({ kind: "ended", error: toWire(thrown) });
  }
  const { engine, database } = grounded;
  const calls = new Calls(engine, post);
  port.onmessage = ({ data }: MessageEvent<ToWorker>) => {
    if (data.kind === "call" || data.kind === "tell") void calls.make(data);
    else if (data.kind === "abort") calls.abort(data.id);
    else if (data.kind === "health") void (database?.health() ?? Promise.resolve(undefined)).then((value) => post({ kind: "answer", id: data.id, value }));
    else if (data.kind === "sent") requests.sent(data.id, data.outcome);
    else engine.stop();
  };
  void engine.ended.then((error) => post({ kind: "ended", error: toWire(error) }));
  const lock = `knownsender:worker:${crypto.randomUUID?.() ?? ""}`;
  const begun = (): void => post({ kind: "begun", lock });
  if (!("locks" in navigator)) return begun(); // the page is not secure
  await navigator.locks.request(lock, () => (begun(), engine.ended));
}

/** The page's calls under way. */
class Calls {
  readonly #engine: Engine;
  readonly #post: (message: ToPage, transfer?: Transferable[]) => void;
  readonly #signals = new Map<number, AbortController>();

  constructor(engine: Engine, post: (message: ToPage, transfer?: Transferable[]) => void) {
    this.#engine = engine;
    this.#post = post;
  }

  async make(call: ToWorker & { kind: "call" | "tell" }): Promise<void> {
    const { method, args } = call;
    if (call.kind === "tell") return void (await this.#engine.ask(method, args).catch(() => undefined)); // what it would say of a program that has ended, its end says
    const { id, door } = call;
    const controller = new AbortController();
    this.#signals.set(id, controller);
    try {
      const answered = this.#engine[door](method, args, controller);
      wipe(args);
      const value = await answered;
      this.#post({ kind: "answer", id, value }, typeof value === "string" ? [] : [value.buffer]);
    } catch (thrown) {
      this.#post({ kind: "failure", id, error: toWire(thrown) });
    } finally {
      this.#signals.delete(id);
    }
  }

  abort(id: number): void {
    this.#signals.get(id)?.abort();
  }
}

/** The program has its own copy by now, and keys of databases are among them. */
function wipe(args: readonly Argument[]): void {
  for (const arg of args) if (typeof arg !== "string") arg.fill(0);
}

/** The program's requests to the homeserver, which the page sends. */
class Requests {
  readonly #post: (message: ToPage) => void;
  readonly #waiting = new Map<number, (outcome: Outcome) => void>();
  #last = 0;

  constructor(post: (message: ToPage) => void) {
    this.#post = post;
  }

  readonly send: Send = async (request, signal) => {
    const id = ++this.#last;
    const aborted = whenAborted(signal).then((outcome) => {
      if (this.#waiting.has(id)) this.#post({ kind: "unsend", id });
      return outcome;
    });
    const sent = new Promise<Outcome>((resolve) => this.#waiting.set(id, resolve));
    this.#post({ kind: "send", id, request });
    const outcome = await Promise.race([sent, aborted]);
    this.#waiting.delete(id);
    return outcome;
  };

  sent(id: number, outcome: Outcome): void {
    this.#waiting.get(id)?.(outcome);
  }
}
