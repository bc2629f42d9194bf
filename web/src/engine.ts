// The engine: one running knownsender program and the two doors into it. Every call is raced against the program's end; a dead program
// says so in every call, by name. Door is what a machine wants of it, wherever it runs; hosted.ts has the one for programs in workers.

import type { EngineStoppedError } from "./errors.js";
import { sendThrough, type HostFetch, type Send } from "./fetch.js";
import { keyFileMethods } from "./keyfile.js";
import { Program, type HostMethod, type ProgramOptions } from "./program.js";
import { nextTask } from "./task.js";
import { verifySignatures } from "./webcrypto.js";

export type { HostMethod } from "./program.js";

/** Settings of an engine. */
export interface EngineOptions {
  /** What the program may ask its host, by name, beside the cryptography that every engine has. */
  methods?: Readonly<Record<string, HostMethod>>;
  /** The client's fetch: what the program's requests to the homeserver leave through. */
  fetch?: HostFetch | undefined;
  /** Takes lines the program prints; the default prints standard error with console.error. */
  onLine?: (fd: number, line: string) => void;
}

/** Settings of a promise call. */
export interface CallOptions {
  /** Aborts the call: the program is told, and the call rejects with the code `aborted` unless it was already done. */
  signal?: AbortSignal;
}

/** Takes an event of the program: JSON text. */
export type EventListener = (json: string) => void;

/** An argument of a call: text is encoded as UTF-8 straight into the program's memory. */
export type Argument = string | Uint8Array;

/** The doors into a program, here or in a worker. */
export interface Door {
  /** Whether it answers synchronously. From a worker it cannot: `turns`, `syncCall` and `syncText` throw `worker_has_no_sync`. */
  readonly here: boolean;
  /** Settles with the reason when the program has ended; never rejects. */
  readonly ended: Promise<EngineStoppedError>;
  /** As long as this number stands, the machine in the program has not changed. */
  readonly turns: number;
  /** Calls a synchronous method; the answer is a copy. */
  syncCall(method: string, args: readonly Argument[]): Uint8Array<ArrayBuffer>;
  /** Calls a synchronous method whose answer is text. */
  syncText(method: string, args: readonly Argument[]): string;
  /** Calls a synchronous method, wherever it is, whose answer is text. */
  ask(method: string, args: readonly Argument[]): Promise<string>;
  /** Calls a synchronous method whose answer nobody wants. Here it throws what the method throws. */
  tell(method: string, args: readonly Argument[]): void;
  /** Calls a promise method; the answer is a copy. */
  call(method: string, args: readonly Argument[], options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
  /** Calls a promise method whose answer is text. */
  callText(method: string, args: readonly Argument[], options?: CallOptions): Promise<string>;
  /** Listens to an event; the function returned stops listening. Listeners run after the call that caused the event. */
  on(event: string, listener: EventListener): () => void;
  /** Ends the program. Calls under way and later ones fail with EngineStoppedError. */
  stop(): void;
}

/** Who listens to what. */
export class Listeners {
  readonly #listeners = new Map<string, Set<EventListener>>();

  on(event: string, listener: EventListener): () => void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(listener);
    return () => void set.delete(listener);
  }

  tell(event: string, json: string): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) {
      try {
        listener(json);
      } catch (thrown) {
        console.error(thrown); // one listener's failure is not another's
      }
    }
  }
}

export class Engine implements Door {
  readonly here = true;
  readonly #program: Program;
  readonly #listeners: Listeners;

  private constructor(program: Program, listeners: Listeners) {
    this.#program = program;
    this.#listeners = listeners;
  }

  /** Starts a program of its own, with memory of its own, from a compiled module. */
  static start(module: WebAssembly.Module, options: EngineOptions = {}): Promise<Engine> {
    return Engine.sending(module, options.fetch && sendThrough(options.fetch), options);
  }

  /** The same, with another way to the homeserver than a fetch, or none. @internal */
  static async sending(module: WebAssembly.Module, send: Send | undefined, options: Omit<EngineOptions, "fetch"> = {}, listeners = new Listeners()): Promise<Engine> {
    const settings: ProgramOptions = {
      methods: { verify: verifySignatures, rest, ...keyFileMethods, ...options.methods },
      onEvent: (name, json) => listeners.tell(name, json),
    };
    if (send !== undefined) settings.send = send;
    if (options.onLine !== undefined) settings.onLine = options.onLine;
    return new Engine(await Program.serve(module, settings), listeners);
  }

  get ended(): Promise<EngineStoppedError> {
    return this.#program.ended;
  }

  get turns(): number {
    return this.#program.turns;
  }

  syncCall(method: string, args: readonly Argument[]): Uint8Array<ArrayBuffer> {
    return this.#program.callSync(method, args, copy);
  }

  syncText(method: string, args: readonly Argument[]): string {
    return this.#program.callSync(method, args, text);
  }

  async ask(method: string, args: readonly Argument[]): Promise<string> {
    return this.syncText(method, args);
  }

  tell(method: string, args: readonly Argument[]): void {
    this.syncCall(method, args);
  }

  call(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#program.call(method, args, copy, options.signal);
  }

  callText(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<string> {
    return this.#program.call(method, args, text, options.signal);
  }

  on(event: string, listener: EventListener): () => void {
    return this.#listeners.on(event, listener);
  }

  stop(): void {
    this.#program.quit();
  }
}

/** The page's turn, which the program gives it in the middle of long work. */
async function rest(): Promise<Uint8Array<ArrayBuffer>> {
  await nextTask();
  return new Uint8Array(0);
}

const decoder = /* @__PURE__ */ new TextDecoder();

function copy(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.slice();
}

function text(bytes: Uint8Array<ArrayBuffer>): string {
  return decoder.decode(bytes);
}
