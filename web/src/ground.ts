// What a machine's program stands on beside cryptography, in a page and in a worker alike: its database, and the database's key.

import { Engine, Listeners, type Door } from "./engine.js";
import type { Send } from "./fetch.js";
import { IdbHost, type IdbMethod } from "./idb/index.js";
import type { HostMethod } from "./program.js";
import { storeReport } from "./reports.js";
import { storeKeyMethods } from "./storekey.js";

export interface Ground {
  /** The database's name, empty for memory. */
  readonly database: string;
  /** Whether it has a key. */
  readonly sealed: boolean;
}

/** The event by which a program, or its database, tells what happened to the store. */
export const storeReported = "store_reported";

/** What runs on it. */
export interface Grounded<E extends Door> {
  readonly engine: E;
  /** The database, for those who ask how it does; undefined for memory. */
  readonly database: Pick<IdbHost, "health"> | undefined;
}

/** Starts a program on its ground. */
export async function startProgram(module: WebAssembly.Module, { database: name, sealed }: Ground, send: Send | undefined, listeners = new Listeners()): Promise<Grounded<Engine>> {
  let flush: () => Promise<unknown> = () => Promise.resolve();
  const database = name === "" ? undefined : new IdbHost({
    onEvent: (event) => listeners.tell(storeReported, JSON.stringify(storeReport(event))),
    beforeClose: async () => void (await flush()),
  });
  const methods = { ...(database === undefined ? {} : methodsOf(database)), ...(sealed ? storeKeyMethods() : {}) };
  const engine = await Engine.sending(module, send, { methods }, listeners);
  // With no notices to take in, this writes whatever is unwritten and nothing else.
  flush = () => engine.call("receiveRoomKeysWithheld", []);
  return { engine, database };
}

const idbMethods: readonly IdbMethod[] = ["open", "get", "pages", "commit", "counters", "close"];

/** The program's IndexedDB. */
function methodsOf(database: IdbHost): Record<string, HostMethod> {
  return Object.fromEntries(idbMethods.map((method) => [`idb.${method}`, (request: Uint8Array) => database.call(method, request)]));
}
