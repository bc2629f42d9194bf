// Stories of the way to the homeserver, told inside a page with web/test/fetchkit behind them. This file is imported by the page that tells
// them and by fetch.test.ts, which lists them.

import { decodeFrame, encodeFrame } from "../src/frame.js";
import { makeFetchBinding, sendThrough, type HostAnswer, type HostFetch, type HostRequest } from "../src/fetch.js";
import { makeScope } from "../src/scope.js";
import { goIn } from "../src/wasm_exec.js";

interface Exports {
  mem: WebAssembly.Memory;
  ks_alloc(size: number): number;
}

/** What the program said: a frame, a number, or the JSON of an error. */
export type Told = { fields: string[] } | { number: number } | { error: { code: string; message: string } };

/** The fetchkit program in a scope whose `context` a story chooses: what package users cannot do. */
export class Kit {
  readonly #waiting = new Map<number, (told: Told) => void>();
  readonly #ended = new AbortController();
  #exports: Exports | undefined;
  #start: (id: number, used: number) => unknown = () => undefined;
  #abort: (id: number) => unknown = () => undefined;
  #quit: () => unknown = () => undefined;
  #last = 0;
  /** Exit code, once the program has ended. */
  exited: number | undefined;

  static async start(fetch: HostFetch | undefined, options: { maxAnswerBytes?: number } = {}, context?: object): Promise<Kit> {
    const kit = new Kit();
    let serving: () => void = () => undefined;
    const served = new Promise<void>((resolve) => (serving = resolve));
    const host = {
      connect: () => undefined,
      serve: (start: (id: number, used: number) => unknown, abort: (id: number) => unknown, quit: () => unknown) => {
        [kit.#start, kit.#abort, kit.#quit] = [start, abort, quit];
        serving();
      },
      settle: (id: number, status: number, address: number, length: number) => {
        const bytes = new Uint8Array(kit.#exports?.mem.buffer ?? new ArrayBuffer(0)).slice(address, address + length);
        const told: Told = status !== 0 ? { error: JSON.parse(text(bytes)) as { code: string; message: string } }
          : /^\d+$/.test(text(bytes)) ? { number: Number(text(bytes)) } : { fields: decodeFrame(bytes).map(text) };
        kit.#waiting.get(id)?.(told);
        kit.#waiting.delete(id);
      },
      wake: () => undefined,
    };
    const scope = makeScope(host, () => undefined, (callback) => callback());
    const binding = fetch === undefined ? undefined : makeFetchBinding(sendThrough(fetch, options.maxAnswerBytes), { ended: kit.#ended.signal });
    Object.assign(scope, { context: context ?? { binding } });
    const go = new (goIn(scope))();
    go.argv = ["fetchkit"];
    go.exit = (code) => (kit.exited = code);
    const { instance } = await WebAssembly.instantiateStreaming(globalThis.fetch("/build/fetchkit.wasm"), go.importObject);
    kit.#exports = instance.exports as unknown as Exports;
    const ended = go.run(instance).then(() => {
      kit.exited ??= 0;
      kit.#ended.abort();
    });
    await Promise.race([served, ended]);
    return kit;
  }

  call(method: string, ...args: string[]): Promise<Told> {
    return this.begin(method, ...args).told;
  }

  begin(method: string, ...args: string[]): { told: Promise<Told>; abort: () => void } {
    const exports = this.#exports;
    if (exports === undefined) throw new Error("the program does not run");
    const id = ++this.#last;
    const frame = encodeFrame([method, ...args]);
    const at = exports.ks_alloc(frame.length) >>> 0;
    new Uint8Array(exports.mem.buffer).set(frame, at);
    const told = new Promise<Told>((resolve) => this.#waiting.set(id, resolve));
    this.#start(id, frame.length);
    return { told, abort: () => void this.#abort(id) };
  }

  /** Asks about users, with so many milliseconds of patience. */
  async ask(patience = 5000, ...users: string[]): Promise<string[]> {
    const told = await this.call("keysQuery", String(patience), ...users);
    return "fields" in told ? told.fields : "error" in told ? [told.error.code, told.error.message] : [];
  }

  /** How many goroutines there are once those that have nothing to wait for are gone. */
  async goroutines(): Promise<number> {
    await pause(10);
    const told = await this.call("goroutines");
    return "number" in told ? told.number : NaN;
  }

  /** Ends the program as a page does. */
  quit(): void {
    this.#ended.abort();
    this.#quit();
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const answer = '{"device_keys":{"@a:b":{}}}';
const never = new Promise<never>(() => undefined);

function same(got: unknown, want: unknown, what: string): void {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

/** Code, status and retry after of what comes when the client's fetch does this; and that a good answer comes through after it. */
async function after(fault: (request: HostRequest) => unknown, want: [string, number?, number?], sentence = "", options: { maxAnswerBytes?: number } = {}): Promise<void> {
  let broken = true;
  const kit = await Kit.start((request) => (broken ? fault(request) : answer) as HostAnswer, options);
  const before = await kit.goroutines();
  const got = await kit.ask(2000, "@a:b");
  same(got.slice(0, 3), [want[0], String(want[1] ?? 0), String(want[2] ?? 0)], got[3] ?? "the failure");
  if (!(got[3] ?? "").includes(sentence)) throw new Error(`"${got[3]}" does not say "${sentence}"`);
  broken = false;
  same((await kit.ask(2000, "@a:b"))[0], answer, "the next request");
  same(await kit.goroutines(), before, "goroutines left");
}

/** An object every look at which throws. */
function untouchable(): object {
  const fail = (): never => {
    throw new Error("do not look");
  };
  return new Proxy({}, { get: fail, has: fail, getPrototypeOf: fail, ownKeys: fail, getOwnPropertyDescriptor: fail });
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const failing = "fetch_failed";

export const stories: Record<string, () => Promise<unknown>> = {
  "a request that is no POST comes with its method and its query": async () => {
    const requests: HostRequest[] = [];
    const kit = await Kit.start((request) => {
      requests.push(request);
      return answer;
    });
    same((await kit.ask(0, "v+1%26"))[0], answer, "the answer");
    same(requests.map(({ method, path, body }) => [method, path, body]), [["PUT", "/_matrix/client/v3/room_keys/keys?version=v+1%26", "{}"]], "the request");
  },

  "the client is asked with path, headers, body and signal, and its answer arrives byte for byte": async () => {
    const requests: HostRequest[] = [];
    const kit = await Kit.start((request) => {
      requests.push(request);
      return Promise.resolve(new Response(answer, { headers: { "content-type": "text/html", "set-cookie": "a, b" } }));
    });
    same((await kit.ask(5000, "@é\"𐀀:b", "@c:d"))[0], answer, "the answer");
    const [request] = requests;
    same([request?.method, request?.path, request?.headers], ["POST", "/_matrix/client/v3/keys/query", { "Content-Type": "application/json", Accept: "application/json" }], "the request");
    same(JSON.parse(request?.body ?? ""), { device_keys: { "@é\"𐀀:b": [], "@c:d": [] } }, "the body");
    same([request?.signal.aborted, requests.length], [false, 1], "the signal");
  },

  "the client's fetch may be fetch itself": async () => {
    const real = globalThis.fetch;
    const seen: Request[] = [];
    // What leaves the page is looked at, so that no server is needed that takes POST.
    globalThis.fetch = (input, init) => {
      if (init === undefined) return real(input);
      seen.push(new Request(input, init));
      return Promise.resolve(new Response(answer));
    };
    const kit = await Kit.start(({ path, ...init }) => fetch(location.origin + path, { ...init, headers: { ...init.headers, Authorization: "Bearer x" } }));
    same((await kit.ask(5000, "@a:b"))[0], answer, "the answer");
    const [request] = seen;
    same([request?.method, request?.headers.get("authorization"), request?.headers.get("content-type"), await request?.text()],
      ["POST", "Bearer x", "application/json", '{"device_keys":{"@a:b":[]}}'], "the request");
    globalThis.fetch = real;
  },

  "an answer as text, as in matrix-js-sdk": async () => {
    const kit = await Kit.start(() => Promise.resolve(answer));
    same((await kit.ask())[0], answer, "the answer");
  },

  "an answer of Response's shape, with body, arrayBuffer or text": async () => {
    for (const shape of [
      { status: 200, body: new Response(answer).body },
      { status: 200, body: null, arrayBuffer: () => new Response(answer).arrayBuffer() },
      { status: 200, text: () => Promise.resolve(answer) },
    ]) {
      const kit = await Kit.start(() => shape);
      same((await kit.ask())[0], answer, Object.keys(shape).join());
    }
  },

  "F30: a fetch that throws": () => after(() => { throw new Error("offline"); }, [failing], "the client's fetch failed: offline"),
  "F30: one that rejects": () => after(() => Promise.reject(new TypeError("Failed to fetch")), [failing], "Failed to fetch"),
  "F30: one that rejects with undefined": () => after(() => Promise.reject(undefined), [failing], "undefined"),
  "F30: one that rejects with text": () => after(() => Promise.reject("no network"), [failing], "no network"),
  "F30: one that rejects with a symbol": () => after(() => Promise.reject(Symbol("odd")), [failing], "odd"),
  "F30: one that rejects with an object without a prototype": () => after(() => Promise.reject(Object.create(null)), [failing]),
  "F30: one that rejects with what throws when looked at": () => after(() => Promise.reject(untouchable()), [failing], "something that has no text"),
  "F30: one that throws what throws when looked at": () => after(() => { throw untouchable(); }, [failing]),
  "F30: one that rejects with an error whose message throws": () => after(() => Promise.reject(Object.defineProperty(new Error(), "message", { get: () => { throw new Error("no"); } })), [failing]),
  "F30: one that rejects with an endless message": async () => {
    const kit = await Kit.start(() => Promise.reject(new Error("é".repeat(1_000_000))));
    same((await kit.ask())[3]?.length, "the client's fetch failed: ".length + 500, "the sentence");
  },

  "F30: it resolves with undefined": () => after(() => undefined, [failing], "undefined"),
  "F30: with null": () => after(() => Promise.resolve(null), [failing], "null"),
  "F30: with a number": () => after(() => 7, [failing], "number"),
  "F30: with a parsed answer": () => after(() => ({ device_keys: {} }), [failing], "a parsed answer is not taken"),
  "F30: with what throws when looked at": () => after(() => [untouchable()][0], [failing]),
  "F30: with a Response whose body was read": () => after(async () => { const used = new Response(answer); await used.text(); return used; }, [failing], "cannot be taken"),
  "F30: with an opaque Response": () => after(() => Response.error(), [failing], "cannot be taken"),
  "F30: with a status that is no number": () => after(() => ({ status: "200", body: null }), [failing]),
  "F30: with a null body": () => after(() => new Response(null), [failing], "no body"),
  "F30: with empty text": () => after(() => "", [failing], "no body"),
  "F30: with a body that breaks off": () => after(() => new Response(new ReadableStream({ start: (c) => { c.enqueue(new Uint8Array(9)); c.error(new Error("connection reset")); } })), [failing], "connection reset"),
  "F30: with a body that is not bytes": () => after(() => new Response(new ReadableStream({ start: (c) => { c.enqueue("text"); c.close(); } })), [failing]),
  "F30: with a body that is not bytes, of Response's shape": () => after(() => ({ status: 200, body: new ReadableStream({ start: (c) => { c.enqueue("text"); c.close(); } }) }), [failing], "not made of bytes"),
  "F30: with a body whose stream throws": () => after(() => ({ status: 200, body: { getReader: () => { throw new Error("locked"); } } }), [failing], "locked"),
  "F30: with a text() that rejects with nothing": () => after(() => ({ status: 200, text: () => Promise.reject(undefined) }), [failing]),

  "F30: it resolves twice, then throws": async () => {
    const kit = await Kit.start(() => ({
      then: (resolve: (value: string) => void) => {
        resolve(answer);
        resolve("second");
        throw new Error("third");
      },
    }) as never);
    same((await kit.ask())[0], answer, "the first answer counts");
    same((await kit.ask())[0], answer, "and again");
  },
  "F30: its promise's then throws": () => after(() => ({ get then() { throw new Error("then what"); } }), [failing], "then what"),
  "F30: it rejects after it resolved, and after it was given up": async () => {
    const kit = await Kit.start(async () => {
      await pause(60);
      throw new Error("late");
    });
    same((await kit.ask(20))[0], "fetch_timeout", "the deadline");
    await pause(80);
    same((await kit.ask(500))[0], failing, "the next");
  },

  "a 403, a 404, a 500 and T47: a 504 are told by number": async () => {
    for (const status of [403, 404, 500, 504]) await after(() => new Response('{"errcode":"M_UNKNOWN"}', { status }), ["fetch_status", status], String(status));
  },
  "statuses without a body": async () => {
    for (const status of [204, 205, 304]) await after(() => new Response(null, { status }), ["fetch_status", status]);
  },
  "an error of matrix-js-sdk's shape is the server's answer": () => after(() => Promise.reject(Object.assign(new Error("M_FORBIDDEN"), { httpStatus: 403, data: {} })), ["fetch_status", 403]),
  "an error whose httpStatus is none is a failure": () => after(() => Promise.reject(Object.assign(new Error("odd"), { httpStatus: 200 })), [failing], "odd"),

  "F30: 429 with retry_after_ms": () => after(() => new Response('{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}', { status: 429 }), ["rate_limited", 429, 2500]),
  "F30: 429 with Retry-After in seconds": () => after(() => new Response('{"retry_after_ms":1}', { status: 429, headers: { "retry-after": "3" } }), ["rate_limited", 429, 3000]),
  "F30: 429 with Retry-After as a date": async () => {
    const kit = await Kit.start(() => new Response(null, { status: 429, headers: { "retry-after": new Date(Date.now() + 60_000).toUTCString() } }));
    const [code, , wait] = await kit.ask();
    if (code !== "rate_limited" || !(Number(wait) > 55_000 && Number(wait) <= 60_000)) throw new Error(`${code} ${wait}`);
  },
  "F30: 429 with a date that has passed": () => after(() => new Response(null, { status: 429, headers: { "retry-after": "Thu, 01 Jan 1970 00:00:00 GMT" } }), ["rate_limited", 429]),
  "F30: 429 that does not say": () => after(() => new Response(null, { status: 429 }), ["rate_limited", 429]),
  "F30: 429 that says nonsense": async () => {
    for (const body of ["{", "null", "[]", '"1"', '{"retry_after_ms":"1000"}', '{"retry_after_ms":-5}', '{"retry_after_ms":null}', "x".repeat(200_000)]) {
      await after(() => new Response(body, { status: 429, headers: { "retry-after": "soon" } }), ["rate_limited", 429]);
    }
  },
  "F30: 429 without measure is held to the longest delay there is": async () => {
    const longest = 86_400_000 * 1.2;
    await after(() => new Response('{"retry_after_ms":1e300}', { status: 429 }), ["rate_limited", 429, longest]);
    await after(() => new Response(null, { status: 429, headers: { "retry-after": "9".repeat(400) } }), ["rate_limited", 429, longest]);
  },
  "F30: 429 in an error of matrix-js-sdk's shape": async () => {
    await after(() => Promise.reject(Object.assign(new Error(), { httpStatus: 429, data: { retry_after_ms: 1500.5 } })), ["rate_limited", 429, 1501]);
    await after(() => Promise.reject(Object.assign(new Error(), { httpStatus: 429, data: { retry_after_ms: 1 }, httpHeaders: new Headers({ "retry-after": "4" }) })), ["rate_limited", 429, 4000]);
    await after(() => Promise.reject(Object.assign(new Error(), { httpStatus: 429, data: untouchable() })), [failing]);
  },
  "a 429 whose body never comes runs into the deadline": () => after(() => new Response(new ReadableStream(), { status: 429 }), ["fetch_timeout"]),
  "unless its header said enough": () => after(() => new Response(new ReadableStream(), { status: 429, headers: { "retry-after": "7" } }), ["rate_limited", 429, 7000]),

  "T49: an answer of 32 MiB is read": async () => {
    const bytes = new Uint8Array(32 * 1024 * 1024).map((_, i) => i % 251);
    const kit = await Kit.start(() => new Response(bytes));
    const [, length, sum] = await kit.ask(60_000);
    same([length, sum], [String(bytes.length), await sha256(bytes)], "the answer");
  },
  "T49: one byte more is not": async () => {
    const bytes = new Uint8Array(32 * 1024 * 1024 + 1);
    for (const shape of [() => new Response(bytes), () => ({ status: 200, arrayBuffer: () => Promise.resolve(bytes.buffer) })]) await after(shape, ["answer_too_large", 200]);
  },
  "T49: an endless answer is let go of at the limit": async () => {
    let sent = 0;
    let cancelled = false;
    let aborted = false;
    await after(({ signal }) => {
      signal.addEventListener("abort", () => (aborted = true));
      return new Response(new ReadableStream({
        pull: (controller) => { sent += 65_536; controller.enqueue(new Uint8Array(65_536)); },
        cancel: () => void (cancelled = true),
      }));
    }, ["answer_too_large", 200], "", { maxAnswerBytes: 1_000_000 });
    same([cancelled, aborted, sent < 2_000_000], [true, true, true], "the download");
  },
  "T49: an answer whose length says too much is not begun": async () => {
    let pulled = 0;
    await after(() => new Response(new ReadableStream({ pull: () => void pulled++ }, { highWaterMark: 0 }), { headers: { "content-length": "99999999999" } }), ["answer_too_large", 200]);
    same(pulled, 0, "chunks asked for");
  },
  "answers around a chunk's length arrive whole": async () => {
    for (const length of [1, 1024 * 1024 - 1, 1024 * 1024, 1024 * 1024 + 1, 2 * 1024 * 1024]) {
      const bytes = crypto.getRandomValues(new Uint8Array(4096));
      const whole = new Uint8Array(length).map((_, i) => bytes[i % 4093] ?? 0);
      const kit = await Kit.start(() => new Response(whole));
      same((await kit.ask(10_000)).slice(1), [String(length), await sha256(whole)], `${length} bytes`);
    }
  },

  "F30: one that never answers is given up at the deadline, and told so": async () => {
    let signal: AbortSignal | undefined;
    const kit = await Kit.start((request) => {
      signal = request.signal;
      return never;
    });
    const before = await kit.goroutines();
    const start = performance.now();
    same((await kit.ask(100)).slice(0, 2), ["fetch_timeout", "0"], "the failure");
    const took = performance.now() - start;
    if (took < 90 || took > 2000) throw new Error(`gave up after ${took} ms`);
    same([signal?.aborted, await kit.goroutines()], [true, before], "signal and goroutines");
  },
  "a body that never ends is given up at the deadline": () => after(() => new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array(5)) })), ["fetch_timeout"]),
  "a call the caller aborts, and one aborted before it began": async () => {
    let asked = 0;
    const kit = await Kit.start(({ signal }) => {
      asked++;
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
    });
    const call = kit.begin("keysQuery", "60000", "@a:b");
    await pause(20);
    call.abort();
    const told = await call.told;
    same("error" in told && told.error.code, "aborted", "the failure");
    same((await kit.ask(-1))[0], "aborted", "begun too late");
    same(asked, 1, "requests");
  },
  "a late answer's body is let go of": async () => {
    let cancelled = 0;
    const kit = await Kit.start(async () => {
      await pause(60);
      return new Response(new ReadableStream({ cancel: () => void cancelled++ }));
    });
    same((await kit.ask(20))[0], "fetch_timeout", "the failure");
    await pause(80);
    same(cancelled, 1, "bodies cancelled");
  },

  "200 hung requests, then a good one": async () => {
    const signals: AbortSignal[] = [];
    let hang = true;
    const kit = await Kit.start(({ signal }) => {
      signals.push(signal);
      return hang ? never : answer;
    });
    const before = await kit.goroutines();
    const hung = await Promise.all(Array.from({ length: 200 }, (_, i) => kit.ask(100 + (i % 50), `@user${i}:b`)));
    same(new Set(hung.map(([code]) => code)).size === 1 && hung[0]?.[0], "fetch_timeout", "the failures");
    hang = false;
    same((await kit.ask())[0], answer, "the good one");
    same([signals.length, signals.filter(({ aborted }) => aborted).length, await kit.goroutines()], [201, 200, before], "requests, aborted, goroutines");
  },
  "200 at once, answered in the opposite order, each with its own": async () => {
    const waiting: (() => void)[] = [];
    const kit = await Kit.start(({ body }) => new Promise((resolve) => waiting.push(() => resolve(body))));
    const asked = Array.from({ length: 200 }, (_, i) => kit.ask(10_000, `@user${i}:b`));
    await pause(50);
    for (const answerIt of waiting.reverse()) answerIt();
    for (const [i, call] of asked.entries()) same((await call)[0], `{"device_keys":{"@user${i}:b":[]}}`, `answer ${i}`);
    same(waiting.length, 200, "requests");
  },
  "a thousand in a row leave no goroutine": async () => {
    const kit = await Kit.start(() => answer);
    const before = await kit.goroutines();
    for (let i = 0; i < 1000; i++) same((await kit.ask())[0], answer, `answer ${i}`);
    same(await kit.goroutines(), before, "goroutines");
  },

  "a program that ends aborts its requests, and nothing is called afterwards": async () => {
    const signals: AbortSignal[] = [];
    const settle: (() => void)[] = [];
    const kit = await Kit.start(({ signal }) => new Promise((resolve) => {
      signals.push(signal);
      settle.push(() => resolve(answer));
    }));
    void kit.ask(60_000);
    void kit.ask(60_000);
    await pause(20);
    kit.quit();
    for (const answerIt of settle) answerIt();
    await pause(20);
    same([kit.exited, signals.map(({ aborted }) => aborted)], [0, [true, true]], "exit code and signals");
  },

  "without a fetch the program starts, serves, and says no_fetch": async () => {
    for (const context of [{}, { binding: undefined }, { binding: {} }, { binding: null }, { binding: { fetch: () => undefined } }, { binding: { fetch: 1, give: 2, abort: 3 } }]) {
      const kit = await Kit.start(undefined, {}, context);
      same(kit.exited, undefined, "exit code");
      same((await kit.ask())[0], "no_fetch", JSON.stringify(context));
    }
  },
  "a page that broke Request makes it a failure": async () => {
    const real = globalThis.Request;
    globalThis.Request = class { constructor() { throw new Error("no Request today"); } } as never;
    const kit = await Kit.start(() => answer);
    globalThis.Request = real;
    const [code, , , sentence = ""] = await kit.ask();
    same(code, failing, "the failure");
    if (!sentence.includes("no Request today")) throw new Error(sentence);
  },
};
