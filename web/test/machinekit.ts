// A page with the package in it, and a few helpers beside: `kit` is set in the page by withKit, never in the tests' own process.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readRecording, type RecordedAccount } from "../demo/recording.js";
import type { Chrome, PageOptions, TestPage } from "./harness.js";
import { top } from "./server.js";

type Package = typeof import("../src/index.js");

/** An error as plain data. */
export interface Failure {
  readonly name: string;
  readonly code: string;
  readonly message: string;
  readonly expected?: string;
  readonly got?: string;
}

export interface Kit {
  readonly ks: Package;
  /** How a call fails; name and code are empty when it does not. */
  failure(call: () => unknown): Promise<Failure>;
  /** Every row of a database as text, but for the machine's notes on the database itself, which it writes in its own time. */
  dump(database: string): Promise<string>;
  /** The body of a decrypted event. */
  body(event: { readonly clearEvent: object }): unknown;
}

declare global {
  var kit: Kit;
}

/** Opens a page with `kit` in it. */
export function withKit<R>(chrome: Chrome, story: (page: TestPage) => Promise<R>, options: PageOptions = {}): Promise<R> {
  return chrome.withPage(async (page) => {
    await page.inPage(async () => {
      const ks = (await import("/dist/index.js" as string)) as Package;
      const failure = async (call: () => unknown): Promise<Failure> => {
        try {
          await call();
          return { name: "", code: "", message: "" };
        } catch (thrown) {
          if (!(thrown instanceof ks.KnownSenderError)) return { name: "untyped", code: "", message: String(thrown) };
          const { name, code, message, expected, got } = thrown;
          return { name, code, message, ...(expected === undefined ? {} : { expected }), ...(got === undefined ? {} : { got }) };
        }
      };
      const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error ?? new Error("no reason"));
      });
      const dump = async (name: string): Promise<string> => {
        const database = await done(indexedDB.open(name));
        const stores = [...database.objectStoreNames].filter((store) => store !== "meta");
        const transaction = database.transaction(stores);
        const rows = await Promise.all(stores.map(async (store) => [store, await done(transaction.objectStore(store).getAll())]));
        database.close();
        const plain = (_: string, value: unknown): unknown => (value instanceof Uint8Array ? [...value].join(",") : typeof value === "bigint" ? `${value}n` : value);
        return JSON.stringify(rows, plain);
      };
      const body = (event: { readonly clearEvent: object }): unknown => (event.clearEvent as { content?: { body?: unknown } }).content?.body;
      globalThis.kit = { ks, failure, dump, body };
    }, undefined);
    return story(page);
  }, options);
}

let recording: Promise<readonly RecordedAccount[]> | undefined;

/** The recorded traffic. */
export function recorded(): Promise<readonly RecordedAccount[]> {
  recording ??= readRecording(recordedFile);
  return recording;
}

/** The text of a recorded file. */
export function recordedFile(path: string): Promise<string> {
  return readFile(join(top, "core/testdata/recorded", path), "utf8");
}

/** What must never be printed: the base64 of session keys that a text holds, in pieces of any session key's length. */
export function secretsOf(texts: readonly string[]): string[] {
  const secrets: string[] = [];
  for (const text of texts) {
    for (const [, key = ""] of text.matchAll(/"session_key":\s*"([^"]+)"/g)) {
      // The head is version and index, the tail the public key and a signature; the ratchet lies between.
      for (let at = 8; at + 24 <= 176; at += 24) secrets.push(key.slice(at, at + 24));
    }
  }
  return secrets;
}
