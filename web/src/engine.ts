// The engine: one running knownsender program and the two doors into it. Every call is raced against the program's end; a dead program
// says so in every call, by name.

import type { EngineStoppedError } from "./errors.js";
import type { HostFetch } from "./fetch.js";
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
  fetch?: HostFetch;
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

export class Engine {
  readonly #program: Program;
  readonly #listeners: Map<string, Set<EventListener>>;

  private constructor(program: Program, listeners: Map<string, Set<EventListener>>) {
    this.#program = program;
    this.#listeners = listeners;
  }

  /** Starts a program of its own, with memory of its own, from a compiled module. */
  static async start(module: WebAssembly.Module, options: EngineOptions = {}): Promise<Engine> {
    const listeners = new Map<string, Set<EventListener>>();
    const settings: ProgramOptions = {
      methods: { verify: verifySignatures, rest, ...keyFileMethods, ...options.methods },
      onEvent: (name, json) => {
        for (const listener of [...(listeners.get(name) ?? [])]) {
          try {
            listener(json);
          } catch (thrown) {
            console.error(thrown); // one listener's failure is not another's
          }
        }
      },
    };
    if (options.fetch !== undefined) settings.fetch = options.fetch;
    if (options.onLine !== undefined) settings.onLine = options.onLine;
    return new Engine(await Program.serve(module, settings), listeners);
  }

  /** Settles with the reason when the program has ended; never rejects. */
  get ended(): Promise<EngineStoppedError> {
    return this.#program.ended;
  }

  /** As long as this number stands, the machine in the program has not changed. */
  get turns(): number {
    return this.#program.turns;
  }

  /** Calls a synchronous method; the answer is a copy. */
  syncCall(method: string, args: readonly Argument[]): Uint8Array<ArrayBuffer> {
    return this.#program.callSync(method, args, copy);
  }

  /** Calls a synchronous method whose answer is text. */
  syncText(method: string, args: readonly Argument[]): string {
    return this.#program.callSync(method, args, text);
  }

  /** Calls a promise method; the answer is a copy. */
  call(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    return this.#program.call(method, args, copy, options.signal);
  }

  /** Calls a promise method whose answer is text. */
  callText(method: string, args: readonly Argument[], options: CallOptions = {}): Promise<string> {
    return this.#program.call(method, args, text, options.signal);
  }

  /** Listens to an event; the function returned stops listening. Listeners run after the call that caused the event. */
  on(event: string, listener: EventListener): () => void {
    const set = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, set);
    set.add(listener);
    return () => void set.delete(listener);
  }

  /** Ends the program. Calls under way and later ones fail with EngineStoppedError. */
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
