// One running Go program: its memory, its three exported functions, and the host object it was given. Engine is what clients of the
// package use; this is the machinery under it, and what runs Go's own test programs in a page.
//
// Bytes cross in linear memory only, both ways. Requests are written straight into it (ks_alloc, encodeInto); answers are read from it in
// the same turn, before the program runs again. The memory's buffer is looked up at every access, because growth replaces it.

import { EngineStoppedError, KnownSenderError, errorFromProgram, textOf } from "./errors.js";
import { makeFetchBinding, type Send } from "./fetch.js";
import { goIn, type GoProgram } from "./wasm_exec.js";
import { makeScope, type Timers } from "./scope.js";

/** What the program may ask its host: bytes in, bytes out. `signal` aborts when the program no longer waits. Both are wiped when the answer has crossed. */
export type HostMethod = (request: Uint8Array<ArrayBuffer>, signal: AbortSignal) => Uint8Array | Promise<Uint8Array>;

/** Settings of a program. */
export interface ProgramOptions {
  /** What the program may ask, by name. */
  methods?: Readonly<Record<string, HostMethod>>;
  /** What the program's requests to the homeserver leave through. */
  send?: Send;
  /** Takes the program's events, after the call that made them. */
  onEvent?: (name: string, json: string) => void;
  /** Command line, without the program's name. */
  args?: readonly string[];
  /** Environment. */
  env?: Readonly<Record<string, string>>;
  /** Takes the lines of standard output and standard error; the default prints the latter with console.error. */
  onLine?: (fd: number, line: string) => void;
}

interface Exports {
  mem: WebAssembly.Memory;
  ks_alloc(size: number): number;
  ks_call(seq: number, used: number): void;
  ks_mailbox(): number;
}

type Callback = (...numbers: number[]) => unknown;

interface Waiting {
  read: (address: number, length: number) => void;
  fail: (error: KnownSenderError) => void;
}

const statusAnswer = 0;
const statusError = 1;
/** Largest request, in bytes; the program refuses more. */
const maxRequest = 512 * 1024 * 1024;
/** Characters of a text that is written one by one. */
const longestName = 64;

export class Program {
  /** Settles when the program has ended and its memory is wiped; never rejects. */
  readonly ended: Promise<EngineStoppedError>;

  readonly #options: Omit<ProgramOptions, "methods">;
  #methods: Readonly<Record<string, HostMethod>>;
  readonly #go: GoProgram;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  readonly #waiting = new Map<number, Waiting>();
  readonly #asked = new Map<number, AbortController>();
  readonly #timers: Timers = new Set();
  readonly #lines = new Map<number, string>();
  /** Aborts when the program has ended. */
  readonly #requests = new AbortController();
  #exports: Exports | undefined;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #view: DataView = new DataView(this.#bytes.buffer);
  #mailbox = 0;
  #last = 0;
  #stopped: EngineStoppedError | undefined;
  #lastWords = "";
  #end: (error: EngineStoppedError) => void = () => undefined;
  #serving: () => void = () => undefined;
  /** Settles when the program serves calls, or has ended. */
  readonly #served: Promise<void>;
  #answer: Callback = () => false;
  #start: Callback = () => false;
  #abort: Callback = () => false;
  #quit: Callback = () => false;

  private constructor(options: ProgramOptions) {
    const { methods = {}, ...rest } = options;
    this.#options = rest;
    this.#methods = methods;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.#served = new Promise((resolve) => (this.#serving = resolve));
    const binding = options.send === undefined ? undefined : makeFetchBinding(options.send, { ended: this.#requests.signal });
    const scope = makeScope(this.#makeHost(), (fd, bytes) => this.#written(fd, bytes), (callback) => this.#guard(callback), binding, this.#timers);
    this.#go = new (goIn(scope))();
    this.#go.argv = ["knownsender", ...(options.args ?? [])];
    this.#go.env = { ...options.env };
    this.#go.exit = (code) => this.#exited(code);
  }

  /** Starts a program and returns once it serves calls; a program that ends before makes this reject with EngineStoppedError. */
  static async serve(module: WebAssembly.Module, options: ProgramOptions = {}): Promise<Program> {
    const program = await Program.run(module, options);
    await program.#served;
    if (program.#stopped !== undefined) throw program.#stopped;
    return program;
  }

  /** Starts a program that need not serve calls. */
  static async run(module: WebAssembly.Module, options: ProgramOptions = {}): Promise<Program> {
    const program = new Program(options);
    let instance: WebAssembly.Instance;
    try {
      instance = await WebAssembly.instantiate(module, program.#go.importObject);
    } catch (thrown) {
      throw new KnownSenderError("wasm_not_ours", `The wasm module cannot be started: ${textOf(thrown)}. Give initAsync the knownsender.wasm of this very version of the package.`, { cause: thrown });
    }
    program.#run(instance);
    return program;
  }

  /** The error every call fails with, once the program has ended. */
  get stopped(): EngineStoppedError | undefined {
    return this.#stopped;
  }

  #run(instance: WebAssembly.Instance): void {
    const exports: Partial<Record<keyof Exports, unknown>> = instance.exports;
    for (const name of ["mem", "ks_alloc", "ks_call", "ks_mailbox"] as const) {
      if (exports[name] === undefined) {
        throw new KnownSenderError("wasm_not_ours", `The wasm module has no export ${name}. Give initAsync the knownsender.wasm of this very version of the package.`);
      }
    }
    this.#exports = instance.exports as unknown as Exports;
    // run() executes Go until the program first waits; its promise resolves when the program has ended.
    this.#go.run(instance).then(
      () => this.#fail("it returned"),
      (thrown: unknown) => this.#fail(textOf(thrown), thrown),
    );
  }

  /** Answers one synchronous call: `read` sees the answer in linear memory and must take what it wants before it returns. */
  callSync<T>(method: string, args: readonly (string | Uint8Array)[], read: (bytes: Uint8Array<ArrayBuffer>) => T): T {
    if (this.#stopped !== undefined) throw this.#stopped;
    const exports = this.#exports;
    if (exports === undefined) throw this.#notServing();
    const seq = (this.#last = (this.#last + 1) >>> 0);
    try {
      const used = this.#write(exports, method, args);
      exports.ks_call(seq, used);
      if (this.#mailbox === 0) this.#mailbox = exports.ks_mailbox();
    } catch (thrown) {
      throw this.#thrown(thrown);
    }
    this.#alive();
    this.#refresh(exports);
    const at = this.#mailbox;
    if (this.#view.getUint32(at, true) !== seq) {
      // The goroutine that waits would return into a stack that is no longer there; nothing may run in this program any more.
      throw this.#fail(`the synchronous method ${method} had to wait, which it cannot. This is a bug in knownsender`);
    }
    const status = this.#view.getUint32(at + 4, true);
    const address = this.#view.getUint32(at + 8, true);
    const bytes = this.#bytes.subarray(address, address + this.#view.getUint32(at + 12, true));
    if (status !== statusAnswer) throw errorFromProgram(this.#decoder.decode(bytes));
    return read(bytes);
  }

  /** A number of the program's, read without calling it. */
  get turns(): number {
    const exports = this.#exports;
    if (this.#stopped !== undefined) throw this.#stopped;
    if (exports === undefined) throw this.#notServing();
    if (this.#mailbox === 0) this.#mailbox = exports.ks_mailbox();
    this.#refresh(exports);
    return this.#view.getUint32(this.#mailbox + 16, true);
  }

  /** Makes one promise call; `read` is as for callSync. The promise rejects when the program ends first. */
  call<T>(method: string, args: readonly (string | Uint8Array)[], read: (bytes: Uint8Array<ArrayBuffer>) => T, signal?: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#stopped !== undefined) return reject(this.#stopped);
      if (signal?.aborted === true) return reject(aborted(method, signal));
      const exports = this.#exports;
      if (exports === undefined) return reject(this.#notServing());
      const id = (this.#last = (this.#last + 1) >>> 0);
      const abort = (): void => {
        if (this.#waiting.has(id)) this.#guard(() => this.#abort(id));
      };
      this.#waiting.set(id, {
        read: (address, length) => {
          signal?.removeEventListener("abort", abort);
          this.#refresh(exports);
          try {
            resolve(read(this.#bytes.subarray(address, address + length)));
          } catch (thrown) {
            reject(thrown);
          }
        },
        fail: (error) => {
          signal?.removeEventListener("abort", abort);
          reject(error);
        },
      });
      try {
        const used = this.#write(exports, method, args);
        if (this.#start(id, used) !== true) this.#alive(() => this.#notServing());
        signal?.addEventListener("abort", abort, { once: true });
      } catch (thrown) {
        this.#waiting.delete(id);
        reject(this.#thrown(thrown));
      }
    });
  }

  /** Asks the program to end. Calls under way fail with EngineStoppedError. */
  quit(): void {
    const running = this.#stopped === undefined;
    this.#fail("it was closed");
    if (!running) return;
    try {
      this.#quit();
    } catch (thrown) {
      console.error(thrown); // it is gone all the same
    }
  }

  /** Writes the frame [method, args...] into a fresh request buffer of the program and returns its length. */
  #write(exports: Exports, method: string, args: readonly (string | Uint8Array)[]): number {
    // One byte a character is right for nearly every Matrix event; what does not fit is measured and written again.
    let size = 8 + method.length;
    for (const [i, arg] of args.entries()) {
      if (typeof arg === "string") size += 4 + arg.length + (arg.length >> 3);
      else if (arg instanceof Uint8Array) size += 4 + arg.length;
      else throw badArgument(i, method);
    }
    const used = this.#writeInto(exports, size, method, args);
    if (used !== undefined) return used;
    size = 8 + method.length;
    for (const arg of args) size += 4 + (typeof arg === "string" ? utf8Length(arg) : arg.length);
    const exact = this.#writeInto(exports, size, method, args);
    if (exact === undefined) throw new KnownSenderError("internal", "A request did not fit the buffer measured for it.");
    return exact;
  }

  #writeInto(exports: Exports, size: number, method: string, args: readonly (string | Uint8Array)[]): number | undefined {
    let at = this.#alloc(exports, size);
    const start = at;
    const end = at + size;
    this.#view.setUint32(at, args.length + 1, true);
    at += 4;
    for (let i = -1; i < args.length; i++) {
      const item = i < 0 ? method : (args[i] as string | Uint8Array);
      let length: number;
      if (at + 4 > end) return undefined;
      if (typeof item === "string") {
        length = this.#writeName(item, at + 4, end);
        if (length < item.length) {
          const { read, written } = this.#encoder.encodeInto(item, this.#bytes.subarray(at + 4, end));
          if (read < item.length) return undefined;
          length = written;
        }
      } else {
        length = item.length;
        if (at + 4 + length > end) return undefined;
        this.#bytes.set(item, at + 4);
      }
      this.#view.setUint32(at, length, true);
      at += 4 + length;
    }
    return at - start;
  }

  /** Writes a short text as far as it is ASCII, as names are, and returns how far: the encoder takes longer to be called than that takes. */
  #writeName(name: string, at: number, end: number): number {
    if (name.length > longestName || at + name.length > end) return 0;
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      if (code >= 0x80) return i;
      this.#bytes[at + i] = code;
    }
    return name.length;
  }

  #alloc(exports: Exports, size: number): number {
    if (size > maxRequest) {
      throw new KnownSenderError("request_too_large", "The request is too large.", { expected: `at most ${maxRequest} bytes`, got: `${size} bytes` });
    }
    const at = exports.ks_alloc(size) >>> 0;
    this.#refresh(exports);
    return at;
  }

  #refresh(exports: Exports): void {
    if (this.#bytes.buffer === exports.mem.buffer) return;
    this.#bytes = new Uint8Array(exports.mem.buffer);
    this.#view = new DataView(exports.mem.buffer);
  }

  /** The object the program calls. None of its methods throws: what is thrown into Go would be lost there. */
  #makeHost(): object {
    return {
      connect: (answer: Callback) => {
        this.#answer = answer;
      },
      serve: (start: Callback, abort: Callback, quit: Callback) => {
        this.#start = start;
        this.#abort = abort;
        this.#quit = quit;
        this.#serving();
      },
      settle: (id: number, status: number, address: number, length: number) => {
        const waiting = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (waiting === undefined) return;
        if (status === statusAnswer) return waiting.read(address, length);
        waiting.fail(errorFromProgram(this.#text(address, length)));
      },
      call: (id: number, method: string, address: number, length: number) => {
        const controller = new AbortController();
        this.#asked.set(id, controller);
        void this.#ask(id, method, this.#copy(address, length), controller.signal);
      },
      abort: (id: number) => {
        const controller = this.#asked.get(id);
        this.#asked.delete(id);
        controller?.abort();
      },
      // Any callback into the program lets its goroutines run until all of them wait; no call has the number 0.
      wake: () => queueMicrotask(() => this.#guard(() => this.#abort(0))),
      emit: (name: string, address: number, length: number) => {
        const json = this.#text(address, length);
        // Later, so that a listener never runs inside the operation that told it.
        queueMicrotask(() => this.#options.onEvent?.(name, json));
      },
    };
  }

  /** Runs one host method and brings its answer, whatever that is, back to the program. */
  async #ask(id: number, name: string, request: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const answer = await this.#answerTo(id, name, request, signal);
    // Room keys cross here in both directions, and nobody has a use for these copies any more.
    request.fill(0);
    answer?.fill(0);
  }

  async #answerTo(id: number, name: string, request: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<Uint8Array | undefined> {
    let status = statusAnswer;
    let items: readonly (string | Uint8Array)[] = [];
    let answer: Uint8Array | undefined;
    try {
      const method = Object.hasOwn(this.#methods, name) ? this.#methods[name] : undefined;
      if (method === undefined) throw new KnownSenderError("host_method_unknown", `The host has no method ${name}.`);
      const answered: unknown = await method(request, signal);
      if (!(answered instanceof Uint8Array)) {
        throw new KnownSenderError("host_answer_type", `The host's ${name} answered with something that is not a Uint8Array.`);
      }
      answer = answered;
    } catch (thrown) {
      status = statusError;
      items = [codeOf(thrown) ?? "host_failed", textOf(thrown)];
    }
    if (!this.#asked.delete(id) || this.#stopped !== undefined) return answer; // nobody waits any more
    this.#guard(() => {
      const exports = this.#exports;
      if (exports === undefined) return;
      let used: number;
      if (answer !== undefined) {
        used = answer.length;
        if (used > 0) {
          const at = this.#alloc(exports, used);
          this.#bytes.set(answer, at);
        }
      } else {
        const [code, ...rest] = items;
        used = this.#write(exports, code as string, rest);
      }
      this.#answer(id, status, used);
    });
    return answer;
  }

  #copy(address: number, length: number): Uint8Array<ArrayBuffer> {
    if (this.#exports !== undefined) this.#refresh(this.#exports);
    return this.#bytes.slice(address, address + length);
  }

  #text(address: number, length: number): string {
    if (this.#exports !== undefined) this.#refresh(this.#exports);
    return this.#decoder.decode(this.#bytes.subarray(address, address + length));
  }

  /** Runs what enters the program, and takes an exception out of it for the program's end. */
  #guard(callback: () => unknown): void {
    if (this.#stopped !== undefined) return;
    try {
      callback();
    } catch (thrown) {
      this.#thrown(thrown);
    }
  }

  /** What a call throws: our own errors as they are; anything else came out of the wasm, which ends the program. */
  #thrown(thrown: unknown): KnownSenderError {
    if (this.#stopped !== undefined) return this.#stopped;
    return thrown instanceof KnownSenderError ? thrown : this.#fail(textOf(thrown), thrown);
  }

  #alive(otherwise?: () => Error): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (otherwise !== undefined) throw otherwise();
  }

  #notServing(): KnownSenderError {
    return new KnownSenderError("internal", "The program does not take calls.");
  }

  #exited(code: number): void {
    const words = this.#lastWords === "" ? "" : `: ${this.#lastWords}`;
    this.#fail(code === 0 ? "it returned" : `it exited with code ${code}${words}`);
  }

  #fail(cause: string, thrown?: unknown): EngineStoppedError {
    if (this.#stopped !== undefined) return this.#stopped;
    const words = this.#lastWords !== "" && !cause.includes(this.#lastWords) ? `${cause}: ${this.#lastWords}` : cause;
    const error = new EngineStoppedError(words, thrown === undefined ? {} : { cause: thrown });
    this.#stopped = error;
    for (const waiting of this.#waiting.values()) waiting.fail(error);
    this.#waiting.clear();
    for (const controller of this.#asked.values()) controller.abort();
    this.#asked.clear();
    this.#requests.abort();
    this.#serving();
    // Later, when none of the program is on the stack any more.
    queueMicrotask(() => {
      this.#wipe();
      this.#end(error);
    });
    return error;
  }

  /**
   * Overwrites all of the program's memory, and lets go of it. Go's collector copies and frees without wiping, so nothing less reaches every copy of a
   * secret; and nothing of a program that has ended is needed.
   */
  #wipe(): void {
    this.#go.exited = true; // one that died is not entered again either
    if (this.#exports !== undefined) new Uint8Array(this.#exports.mem.buffer).fill(0);
    this.#exports = undefined;
    for (const timer of this.#timers) clearTimeout(timer); // they would hold all of this, and keep Node running
    this.#methods = {}; // one of them has the key of the database
    this.#bytes = new Uint8Array(0);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Collects what the program writes into lines and remembers why it died. */
  #written(fd: number, bytes: Uint8Array): void {
    const lines = ((this.#lines.get(fd) ?? "") + this.#decoder.decode(bytes)).split("\n");
    this.#lines.set(fd, lines.pop() ?? "");
    for (const line of lines) {
      if (fd === 2 && /^(panic|fatal error|runtime): /.test(line) && this.#lastWords === "") this.#lastWords = line;
      if (this.#options.onLine !== undefined) this.#options.onLine(fd, line);
      else if (fd === 2) console.error(line);
    }
  }
}

/** The snake_case code of what a host method threw, when it has one. */
function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null) return undefined;
  try {
    const code: unknown = Reflect.get(thrown, "code");
    return typeof code === "string" && /^[a-z][a-z0-9_]{0,63}$/.test(code) ? code : undefined;
  } catch {
    return undefined;
  }
}

/** What a call fails with that has an argument of another type, at that place. */
export function badArgument(place: number, method: string): KnownSenderError {
  return new KnownSenderError("bad_request", `Argument ${place + 1} of ${method} is neither text nor a Uint8Array.`);
}

/** What a call fails with whose signal has aborted. */
export function aborted(method: string, signal: AbortSignal): KnownSenderError {
  return new KnownSenderError("aborted", `The call of ${method} was aborted.`, { cause: signal.reason });
}

/** The length of a string in UTF-8, as TextEncoder writes it: a lone surrogate becomes U+FFFD, three bytes. */
function utf8Length(text: string): number {
  let n = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    if (unit < 0x800) n += 1;
    else if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      n += 2;
      i++;
    } else n += 2;
  }
  return n;
}
