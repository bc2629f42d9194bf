// What a page and a worker that runs machines' programs say to each other: plain data, through a port for every machine. The page says where the
// program's requests went, the worker all else; an error crosses with its class and code.

import { EngineStoppedError, KnownSenderError, textOf } from "./errors.js";
import type { Outcome, SentRequest } from "./fetch.js";
import type { Ground } from "./ground.js";
import type { DatabaseHealth } from "./idb/index.js";

/** To be raised when anything here changes: page and worker may be of different versions. */
export const wireVersion = 1;

/** Said to the worker itself, to begin a program. */
export interface Begin {
  readonly knownsender: number;
  readonly port: MessagePort;
  readonly module: WebAssembly.Module;
  readonly ground: Ground;
  /** Whether the page sends requests. */
  readonly sends: boolean;
}

export type ToWorker =
  | { readonly kind: "call"; readonly id: number; readonly door: "ask" | "call" | "callText"; readonly method: string; readonly args: readonly (string | Uint8Array)[] }
  | { readonly kind: "tell"; readonly method: string; readonly args: readonly (string | Uint8Array)[] }
  | { readonly kind: "abort"; readonly id: number }
  | { readonly kind: "sent"; readonly id: number; readonly outcome: Outcome }
  | { readonly kind: "health"; readonly id: number }
  | { readonly kind: "stop" };

export type ToPage =
  /** The program runs. While the worker lives it holds the Web Lock of that name, where there are such. */
  | { readonly kind: "begun"; readonly lock: string }
  | { readonly kind: "answer"; readonly id: number; readonly value: Answer }
  | { readonly kind: "failure"; readonly id: number; readonly error: WireError }
  | { readonly kind: "event"; readonly name: string; readonly json: string }
  /** Send this, or give it up. */
  | { readonly kind: "send"; readonly id: number; readonly request: SentRequest }
  | { readonly kind: "unsend"; readonly id: number }
  /** The browser may evict the database, and only a page can ask it not to. */
  | { readonly kind: "unpersisted" }
  /** The program has ended, or could not begin. */
  | { readonly kind: "ended"; readonly error: WireError };

export type Answer = string | Uint8Array<ArrayBuffer> | DatabaseHealth | undefined;

export interface WireError {
  readonly stopped: boolean;
  readonly code: string;
  readonly message: string;
  readonly expected: string | undefined;
  readonly got: string | undefined;
}

export function toWire(thrown: unknown): WireError {
  if (!(thrown instanceof KnownSenderError)) return { stopped: false, code: "internal", message: textOf(thrown), expected: undefined, got: undefined };
  const { code, message, expected, got } = thrown;
  return { stopped: thrown instanceof EngineStoppedError, code, message, expected, got };
}

export function fromWire({ stopped, code, message, expected, got }: WireError): KnownSenderError {
  if (!stopped) return new KnownSenderError(code, message, { expected, got });
  return Object.assign(new EngineStoppedError(""), { message });
}
