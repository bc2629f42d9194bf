// The door to a program that runs in a worker (worker.ts). What the program asks of its client is done here, in the page: requests are sent, events are
// told. As with a program in the page every call is raced against the program's end, and so it is when the worker is terminated or dies.

import { Listeners, type Argument, type CallOptions, type Door, type EventListener } from "./engine.js";
import { EngineStoppedError, KnownSenderError, textOf } from "./errors.js";
import type { Send } from "./fetch.js";
import { storeReported, type Ground, type Grounded } from "./ground.js";
import type { DatabaseHealth, Persistence } from "./idb/index.js";
import { requestPersistence } from "./idb/persistence.js";
import { aborted, badArgument } from "./program.js";
import { storeReport } from "./reports.js";
import { fromWire, wireVersion, type Answer, type Begin, type ToPage, type ToWorker } from "./wire.js";

/** So long a worker's script may take to load and answer, in milliseconds. */
const patience = 30_000;

interface Waiting {
  resolve(value: Answer): void;
  reject(error: KnownSenderError): void;
}

export class HostedEngine implements Door {
  readonly here = false;
  readonly ended: Promise<EngineStoppedError>;
  readonly #port: MessagePort;
  readonly #send: Send | undefined;
  readonly #listeners = new Listeners();
  readonly #waiting = new Map<number, Waiting>();
  /** Requests that the client sends. */
  readonly #sending = new Map<number, AbortController>();
  /** Leaves the queue for the worker's lock. */
  readonly #watch = new AbortController();
  /** What the browser answered the page's wish to keep the worker's database. */
  #persistence: Persistence | undefined;
  #last = 0;
  #stopped: KnownSenderError | undefined;
  #begun: (error?: KnownSenderError) => void = () => undefined;
  #end: () => void = () => undefined;

  private constructor(port: MessagePort, send: Send | undefined) {
    this.#port = port;
    this.#send = send;
    this.ended = new Promise((resolve) => (this.#end = () => resolve(this.#stopped as EngineStoppedError)));
    port.onmessage = ({ data }: MessageEvent<ToPage>) => this.#hear(data);
  }

  /** Starts a program in a worker that was given, or in one of its own, which ends with it. */
  static async start(given: true | Worker, module: Promise<WebAssembly.Module>, ground: Ground, send: Send | undefined, failedBefore?: Event): Promise<Grounded<HostedEngine>> {
    const worker = given === true ? newWorker() : given;
    const { port1, port2 } = new MessageChannel();
    const engine = new HostedEngine(port1, send);
    const begun = new Promise<void>((resolve, reject) => (engine.#begun = (error) => (error === undefined ? resolve() : reject(error))));
    const failed = (event: Event): void => {
      engine.#begun(failure(("message" in event && String(event.message)) || "its script was not loaded"));
    };
    let timer: ReturnType<typeof setTimeout> | undefined;
    const begin = async (): Promise<void> => {
      const message: Begin = { knownsender: wireVersion, port: port2, module: await module, ground, sends: send !== undefined };
      timer = setTimeout(() => engine.#begun(failure("it did not answer")), patience);
      worker.postMessage(message, [port2]);
      await begun;
    };
    // First of all: the script may fail while the wasm is loaded.
    worker.addEventListener("error", failed);
    if (failedBefore !== undefined) failed(failedBefore);
    try {
      await Promise.race([begun, begin()]);
    } catch (thrown) {
      if (given === true) worker.terminate();
      throw thrown instanceof KnownSenderError ? thrown : failure(textOf(thrown), thrown);
    } finally {
      clearTimeout(timer);
      worker.removeEventListener("error", failed);
    }
    void engine.ended.then(() => {
      port1.close();
      if (given === true) worker.terminate();
    });
    return { engine, database: ground.database === "" ? undefined : engine };
  }

  get turns(): number {
    throw noSync();
  }

  syncCall(): Uint8Array<ArrayBuffer> {
    throw noSync();
  }

  syncText(): string {
    throw noSync();
  }

  ask(method: string, args: readonly Argument[]): Promise<string> {
    return this.#call("ask", method, args) as Promise<string>;
  }

  call(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call("call", method, args, options.signal) as Promise<Uint8Array<ArrayBuffer>>;
  }

  callText(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<string> {
    return this.#call("callText", method, args, options.signal) as Promise<string>;
  }

  /** How the database does; undefined before it was opened, and when the program has ended. Never rejects. */
  async health(): Promise<DatabaseHealth | undefined> {
    const health = (await this.#wait((id) => this.#post({ kind: "health", id })).catch(() => undefined)) as DatabaseHealth | undefined;
    return health && { ...health, persistence: this.#persistence ?? health.persistence };
  }

  tell(method: string, args: readonly Argument[]): void {
    this.#post({ kind: "tell", method, args });
  }

  on(event: string, listener: EventListener): () => void {
    return this.#listeners.on(event, listener);
  }

  stop(): void {
    this.#post({ kind: "stop" });
    this.#fail(new EngineStoppedError("it was closed"));
  }

  async #call(door: "ask" | "call" | "callText", method: string, args: readonly Argument[], signal?: AbortSignal): Promise<Answer> {
    if (this.#stopped === undefined && signal?.aborted === true) throw aborted(method, signal);
    const bad = args.findIndex((arg) => typeof arg !== "string" && !((arg as unknown) instanceof Uint8Array));
    if (bad >= 0) throw badArgument(bad, method);
    // Copies, which the worker gets and wipes: a view may be of a buffer that holds more.
    const sent = args.map((arg) => (typeof arg === "string" ? arg : arg.slice()));
    let abort: () => void = () => undefined;
    const answer = this.#wait((id) => {
      abort = () => this.#post({ kind: "abort", id });
      signal?.addEventListener("abort", abort, { once: true });
      this.#post({ kind: "call", id, door, method, args: sent }, sent.flatMap((arg) => (typeof arg === "string" ? [] : [arg.buffer])));
    });
    return answer.finally(() => signal?.removeEventListener("abort", abort));
  }

  /** Says something that is answered, under a number of its own. */
  #wait(say: (id: number) => void): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      const id = ++this.#last;
      this.#waiting.set(id, { resolve, reject });
      say(id);
    });
  }

  #post(message: ToWorker, transfer: Transferable[] = []): void {
    if (this.#stopped === undefined) this.#port.postMessage(message, transfer);
  }

  #hear(message: ToPage): void {
    switch (message.kind) {
      case "begun":
        this.#outlive(message.lock);
        return this.#begun();
      case "answer":
        return this.#answered(message.id)?.resolve(message.value);
      case "failure":
        return this.#answered(message.id)?.reject(fromWire(message.error));
      case "event":
        return this.#listeners.tell(message.name, message.json);
      case "send":
        return void this.#sendOne(message);
      case "unsend":
        return this.#sending.get(message.id)?.abort();
      case "unpersisted":
        return void this.#persist();
      case "ended": {
        const error = fromWire(message.error);
        this.#begun(error);
        return this.#over(error);
      }
    }
  }

  #answered(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  async #persist(): Promise<void> {
    const state = (this.#persistence = await requestPersistence(navigator.storage));
    this.#listeners.tell(storeReported, JSON.stringify(storeReport({ kind: "persistence", state })));
  }

  async #sendOne({ id, request }: ToPage & { kind: "send" }): Promise<void> {
    const controller = new AbortController();
    this.#sending.set(id, controller);
    const outcome = await this.#send?.(request, controller.signal);
    this.#sending.delete(id);
    if (outcome !== undefined) this.#post({ kind: "sent", id, outcome });
  }

  /** Learns that the worker is gone: it holds a lock as long as it lives. */
  #outlive(lock: string): void {
    const { locks } = navigator as Partial<Navigator>;
    locks?.request(lock, { signal: this.#watch.signal }, () => this.#over(new EngineStoppedError("its worker was terminated"))).catch(() => undefined); // we left the queue
  }

  #over(error: KnownSenderError): void {
    this.#watch.abort();
    this.#fail(error);
    this.#end();
  }

  #fail(error: KnownSenderError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
    for (const controller of this.#sending.values()) controller.abort();
  }
}

function newWorker(): Worker {
  if (typeof Worker === "undefined") throw new KnownSenderError("worker_unsupported", "There are no Workers here. Open the machine without `worker`.");
  try {
    // The literal form is what Vite and webpack recognise.
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  } catch (thrown) {
    throw failure(textOf(thrown), thrown);
  }
}

function failure(why: string, cause?: unknown): KnownSenderError {
  const remedy = 'Check that the script ("knownsender/worker") can be fetched as JavaScript and that the Content-Security-Policy (worker-src) and Trusted Types allow it, or give `worker` a module Worker made from it.';
  return new KnownSenderError("worker_failed", `The worker does not run: ${why}. ${remedy}`, { cause });
}

function noSync(): KnownSenderError {
  return new KnownSenderError("worker_has_no_sync", "A machine whose program runs in a worker cannot answer synchronously. Call the method of the same name of `machine.promised`.");
}
