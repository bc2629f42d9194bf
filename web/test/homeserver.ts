// A homeserver as far as /keys/query goes, and the client's fetch to it, played in the page that has the machine. Imported by pages alone.

import type { HostAnswer, HostFetch, HostRequest, OlmMachine, OpenOptions, SenderDataUpdate } from "../src/index.js";

/** The parts of an answer that are objects by user. */
const parts = ["device_keys", "master_keys", "self_signing_keys", "user_signing_keys"] as const;
type Answer = Record<string, Record<string, unknown>>;

export class Homeserver {
  /** The users of every request, in order. */
  readonly asked: string[][] = [];
  readonly #people: Answer = {};
  /** While it is set it answers in the server's place. */
  instead: ((request: HostRequest) => unknown) | undefined;
  #held: Promise<void> | undefined;
  #letGo: () => void = () => undefined;

  /** Adds the people of an answer to those it knows. */
  know(answer: string): this {
    const given = JSON.parse(answer) as Answer;
    for (const part of parts) this.#people[part] = { ...this.#people[part], ...given[part] };
    return this;
  }

  /** Requests are answered when {@link release} is called. */
  hold(): this {
    this.#held = new Promise((resolve) => (this.#letGo = resolve));
    return this;
  }

  release(): void {
    this.#letGo();
    this.#held = undefined;
  }

  /** The answer to a request's body. */
  answer(body: string): string {
    const wanted = Object.keys((JSON.parse(body) as { device_keys: object }).device_keys);
    const answer: Answer = { failures: {} };
    for (const part of parts) {
      answer[part] = {};
      for (const user of wanted) if (this.#people[part]?.[user] !== undefined) answer[part][user] = this.#people[part][user];
    }
    return JSON.stringify(answer);
  }

  readonly fetch: HostFetch = (request) => {
    const users = Object.keys((JSON.parse(request.body) as { device_keys: object }).device_keys);
    this.asked.push(users);
    if (this.instead !== undefined) return this.instead(request) as HostAnswer;
    const held = this.#held;
    return (async () => {
      await held;
      return this.answer(request.body);
    })();
  };

  /** How many requests named this user. */
  requestsFor(user: string): number {
    return this.asked.filter((users) => users.includes(user)).length;
  }
}

/** A machine that fetches from a server of its own, and what it told. */
export interface Client {
  readonly machine: OlmMachine;
  readonly server: Homeserver;
  readonly updates: SenderDataUpdate[];
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until something is so. */
export async function until(what: string, is: () => boolean | Promise<boolean>, patience = 60_000): Promise<void> {
  for (const end = performance.now() + patience; !(await is()); ) {
    if (performance.now() > end) throw new Error(`not within ${patience} ms: ${what}`);
    await pause(5);
  }
}

/** Opens a machine over a database, or over memory when there is no name. */
export async function open(ks: typeof import("../src/index.js"), own: Omit<OpenOptions, "store">, name: string | undefined, server = new Homeserver()): Promise<Client> {
  const machine = await ks.OlmMachine.open({ ...own, store: name === undefined ? { memory: true } : { name }, http: { fetch: server.fetch } });
  const updates: SenderDataUpdate[] = [];
  machine.registerSenderDataUpdatedCallback((news) => void updates.push(...news));
  return { machine, server, updates };
}
