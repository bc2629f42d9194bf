// The program's way to the homeserver: requests leave through the client's own fetch, which knows the base address, authenticates and
// keeps the server's limits. The rule of this file: whatever the client's fetch does, the program sees an answer in one fixed form. It is
// never thrown at, it never waits for what was aborted, and it gets no more bytes than it would read.
//
// The program hands over a body under a number (`give`), then fetches with that number in a header: a browser refuses a request whose body
// is a stream made in Go. It gets a Response whose status is always 200 and whose headers tell what came of it:
//
//   knownsender-outcome      answer | status | failed | too_large
//   knownsender-status       the server's status, 0 when there was none
//   knownsender-retry-after  how long a 429 wants to be waited for, in milliseconds; absent when it did not say
//   content-length           of the body: the server's answer, or for failed a sentence

import { textOf } from "./errors.js";

/** A request the client is asked to send. */
export interface HostRequest {
  readonly method: "POST" | "PUT";
  /** Path below the homeserver's base address, such as `/_matrix/client/v3/keys/query`; with a query where there is one. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

/**
 * What the client may answer with: the server's `Response`, or the text of a successful answer. Text must be the server's own, not parsed
 * and written again, which would hide what is wrong with it.
 */
export type HostAnswer = string | HostResponse;

/** The parts of a `Response` that are looked at; its body is taken from the first of `body`, `arrayBuffer` and `text` there is. */
export interface HostResponse {
  readonly status: number;
  /** `Retry-After` is read. */
  readonly headers?: {
    /** A header by name; null when it is not there. */
    get(name: string): string | null;
  };
  readonly body?: ReadableStream<Uint8Array> | null;
  /** The body as bytes. */
  arrayBuffer?(): Promise<ArrayBuffer>;
  /** The body as text. */
  text?(): Promise<string>;
}

/**
 * The client's fetch: adds base address and authentication, and sends. With fetch itself:
 *
 *     ({ path, ...init }) => fetch(homeserver + path, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } })
 *
 * With matrix-js-sdk:
 *
 *     ({ method, path, body, headers, signal }) =>
 *       client.http.authedRequest(method as Method, path, undefined, body, { prefix: "", json: false, headers, abortSignal: signal })
 *
 * An answer of the server other than 200 may be a Response or, as in matrix-js-sdk, an error with `httpStatus`, `httpHeaders` and `data`.
 */
export type HostFetch = (request: HostRequest) => HostAnswer | PromiseLike<HostAnswer>;

/** A request of the program's. */
export type SentRequest = Pick<HostRequest, "method" | "path" | "body">;

/** Sends a request and says what came of it, at the latest when the signal aborts. Never rejects. */
export type Send = (request: SentRequest, signal: AbortSignal) => Promise<Outcome>;

/** Settings of a binding. */
export interface FetchBindingOptions {
  /** Aborts when the program has ended: requests under way are aborted, and nothing calls into the program any more. */
  ended?: AbortSignal;
}

/** What the program holds. None of its methods throws, and its promises do not reject. */
export interface FetchBinding {
  /** Hands over the body of the request with this number. */
  readonly give: (number: number, body: string) => void;
  /** Sends the request whose header `knownsender-request` names the number. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** Gives up on a request: its fetch resolves at once. */
  readonly abort: (number: number) => void;
}

interface Exchange {
  readonly body: string;
  readonly controller: AbortController;
}

/** What came of a request. */
export interface Outcome {
  readonly kind: "answer" | "status" | "failed" | "too_large";
  readonly status: number;
  readonly retryAfter?: number | undefined;
  readonly body?: Uint8Array<ArrayBuffer>;
}

const maxAnswerBytes = 32 * 1024 * 1024;
/** Of an answer that only says why there is none. */
const maxErrorBytes = 64 * 1024;
/** Of what a failure says for itself, in UTF-16 units. */
const maxSentence = 500;
/** The program reads chunk by chunk, at a small price for each. */
const chunkBytes = 1024 * 1024;

/** Makes the object through which one program fetches. */
export function makeFetchBinding(send: Send, options: FetchBindingOptions = {}): FetchBinding {
  const exchanges = new Map<number, Exchange>();
  const abort = (number: number): void => {
    const exchange = exchanges.get(number);
    exchanges.delete(number);
    exchange?.controller.abort();
  };
  options.ended?.addEventListener("abort", () => {
    for (const number of [...exchanges.keys()]) abort(number);
  }, { once: true });

  return {
    give: (number, body) => void exchanges.set(number, { body, controller: new AbortController() }),
    abort,
    fetch: (request) => new Promise((resolve) => {
      const number = Number(request.headers.get("knownsender-request"));
      const exchange = exchanges.get(number);
      const outcome = exchange === undefined ? Promise.resolve(failed("it was aborted before it was sent")) : send(requestOf(request, exchange.body), exchange.controller.signal);
      void outcome.then((told) => {
        exchanges.delete(number);
        // A callback of a program that has ended throws.
        if (options.ended?.aborted !== true) resolve(responseOf(told));
      });
    }),
  };
}

function requestOf({ url, method }: Request, body: string): SentRequest {
  const { pathname, search } = new URL(url);
  return { method: method === "PUT" ? "PUT" : "POST", path: pathname + search, body };
}

/** Sends through the client's fetch. An answer of more than `limit` bytes is refused. */
export function sendThrough(fetch: HostFetch, limit = maxAnswerBytes): Send {
  return async (request, aborts) => {
    const controller = new AbortController();
    const { signal } = controller;
    aborts.addEventListener("abort", () => controller.abort(), { once: true });
    const ask = async (): Promise<Outcome> => {
      let stage = "";
      try {
        const answer: unknown = await fetch({ ...request, headers: { "Content-Type": "application/json", Accept: "application/json" }, signal });
        stage = "what it answered with cannot be taken: ";
        return await read(answer, limit, signal);
      } catch (thrown) {
        return rejection(thrown) ?? failed(stage + sentenceOf(thrown));
      }
    };
    const outcome = await Promise.race([ask(), whenAborted(signal)]);
    // Whatever the client still does for it is in vain.
    if (outcome.kind === "failed" || outcome.kind === "too_large") controller.abort();
    return outcome;
  };
}

/** What comes of a request when it is aborted, and when that is. */
export function whenAborted(signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(failed("it was aborted")), { once: true }));
}

/** Reads what the client's fetch resolved with. Throws for what is no answer. */
async function read(answer: unknown, limit: number, signal: AbortSignal): Promise<Outcome> {
  if (typeof answer === "string") return answered(200, new TextEncoder().encode(answer), limit);
  if (typeof answer !== "object" || answer === null) throw new TypeError(`It is ${answer === null ? "null" : `of type ${typeof answer}`}.`);
  const response = answer as Partial<HostResponse>;
  const status: unknown = response.status;
  if (typeof status !== "number" || !Number.isInteger(status) || status < 100 || status > 999) {
    throw new TypeError("It is neither text nor a Response; a parsed answer is not taken.");
  }
  if (signal.aborted) return discard(response, failed("it was aborted"));
  if (status === 429) return { kind: "status", status, retryAfter: await waitAsked(response) };
  if (status !== 200) return discard(response, { kind: "status", status });
  if (Number(header(response, "content-length") ?? 0) > limit) return discard(response, { kind: "too_large", status });
  const bytes = await bytesOf(response, limit);
  return bytes === undefined ? { kind: "too_large", status } : answered(status, bytes, limit);
}

function answered(status: number, body: Uint8Array<ArrayBuffer>, limit: number): Outcome {
  if (body.length === 0) throw new TypeError("It has no body.");
  return body.length > limit ? { kind: "too_large", status } : { kind: "answer", status, body };
}

/** The whole body of a response, or undefined when it is longer than the limit. */
async function bytesOf(response: Partial<HostResponse>, limit: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const stream: unknown = response.body;
  if (typeof stream !== "object" || stream === null || !("getReader" in stream)) {
    if (typeof response.arrayBuffer === "function") return new Uint8Array(await response.arrayBuffer());
    if (typeof response.text === "function") return new TextEncoder().encode(await response.text());
    throw new TypeError("It has no body.");
  }
  const reader = (stream as ReadableStream<unknown>).getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (!(value instanceof Uint8Array)) throw new TypeError("Its body is not made of bytes.");
    length += value.length;
    if (length > limit) {
      quietly(() => reader.cancel());
      return undefined;
    }
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** How long a 429 wants to be waited for: its header, or else its body, which is read only then. */
async function waitAsked(response: Partial<HostResponse>): Promise<number | undefined> {
  const told = fromHeader(header(response, "retry-after"));
  if (told !== undefined) return discard(response, told);
  try {
    const bytes = await bytesOf(response, maxErrorBytes);
    return bytes === undefined ? undefined : fromBody(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    return undefined; // it is a 429 all the same
  }
}

/** A Retry-After header, which holds seconds or a date, in milliseconds from now. */
function fromHeader(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? undefined : Math.max(0, wait);
}

/** The retry_after_ms of an error's body; it was replaced by the header in version 1.10 of the specification. */
function fromBody(body: unknown): number | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const wait: unknown = Reflect.get(body, "retry_after_ms");
  return typeof wait === "number" && wait >= 0 ? wait : undefined;
}

function header(response: Partial<HostResponse>, name: string): string | undefined {
  const value: unknown = response.headers?.get(name);
  return typeof value === "string" ? value.trim() : undefined;
}

/** Lets go of a body nobody reads, and passes on what is known without it. */
function discard<T>(response: Partial<HostResponse>, known: T): T {
  quietly(() => response.body?.cancel());
  return known;
}

/** Does what may fail without anybody having to know: it was being read, or is no stream. */
function quietly(action: () => unknown): void {
  void (async () => action())().then(undefined, () => undefined);
}

/** An answer of the server that the client's fetch rejected with; undefined when it rejected with something else. */
function rejection(thrown: unknown): Outcome | undefined {
  try {
    if (typeof thrown !== "object" || thrown === null) return undefined;
    const status: unknown = Reflect.get(thrown, "httpStatus");
    if (typeof status !== "number" || !Number.isInteger(status) || status < 300 || status > 999) return undefined;
    if (status !== 429) return { kind: "status", status };
    const headers = Reflect.get(thrown, "httpHeaders") as HostResponse["headers"] | undefined;
    const told = headers === undefined ? undefined : fromHeader(header({ headers }, "retry-after"));
    return { kind: "status", status, retryAfter: told ?? fromBody(Reflect.get(thrown, "data")) };
  } catch {
    return undefined; // looking at it throws
  }
}

function failed(sentence: string): Outcome {
  return { kind: "failed", status: 0, body: new TextEncoder().encode(sentence) };
}

/** The text of anything that was thrown, even where looking at it throws. */
function sentenceOf(thrown: unknown): string {
  try {
    return String(textOf(thrown)).slice(0, maxSentence);
  } catch {
    return "something that has no text";
  }
}

/** The form in which the program sees it. */
function responseOf({ kind, status, retryAfter, body = new Uint8Array(0) }: Outcome): Response {
  const headers = new Headers({ "knownsender-outcome": kind, "knownsender-status": String(status), "content-length": String(body.length) });
  // The program takes whole milliseconds within 2^53; more than that is waited for no differently.
  if (retryAfter !== undefined) headers.set("knownsender-retry-after", String(Math.min(Math.ceil(retryAfter), Number.MAX_SAFE_INTEGER)));
  let at = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const end = Math.min(at + chunkBytes, body.length);
      if (end > at) controller.enqueue(body.subarray(at, end));
      at = end;
      if (at === body.length) controller.close();
    },
  });
  return new Response(stream, { headers });
}
