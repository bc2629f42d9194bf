// Pages with a real matrix-js-sdk client in them whose crypto is knownsender, a homeserver played by its fetch, and what the server says to it. `sdkkit`
// is set in the page by withSdk, never in the tests' own process.

import Olm from "@matrix-org/olm";
import { after, before } from "node:test";
import type { Chrome, PageOptions, TestPage } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { keysQueryAnswer, Person, type Json, type Outbound } from "./people.js";
import type { SdkKit } from "./sdkpage.js";

declare global {
  var sdkkit: SdkKit;
}

/** Opens a page with `sdkkit` in it. */
export function withSdk<R>(chrome: Chrome, story: (page: TestPage) => Promise<R>, options: PageOptions = {}): Promise<R> {
  return chrome.withPage(async (page) => {
    await openSdk(page);
    return story(page);
  }, options);
}

/** Loads the kit into a page, again after a reload. */
export async function openSdk(page: TestPage): Promise<void> {
  await page.inPage(async () => {
    await import("/build/sdk/sdkpage.js" as string);
    await sdkkit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
  }, undefined);
}

export const room = "!room:test";
const own = { userId: "@me:test", deviceId: "MINE" };

const alices: LibolmDevice[] = [];
before(async () => Olm.init());
after(() => alices.forEach((alice) => alice.free()));

export type Events = readonly { [name: string]: Json }[];

export function state(type: string, content: { [name: string]: Json }, key = "", sender = "@alice:test"): { [name: string]: Json } {
  return { type, state_key: key, content, sender, event_id: `$${type}${key}`, origin_server_ts: 1 };
}

export const members = (...users: string[]): Events => users.map((user) => state("m.room.member", { membership: "join" }, user, user));
export const encryption = state("m.room.encryption", { algorithm: "m.megolm.v1.aes-sha2" });

/** A sync in which a room has this timeline, after this state where there is any. */
export function rooms(timeline: Events, before: Events = [], roomId = room): { [name: string]: Json } {
  return { rooms: { join: { [roomId]: { timeline: { events: [...timeline], prev_batch: "back" }, state: { events: [...before] } } } } };
}

export function toDevice(...events: string[]): { [name: string]: Json } {
  return { to_device: { events: events.map((event) => JSON.parse(event) as Json) } };
}

/** A device of Alice's, and what she needs to know of ours to write to it. */
export class Alice extends LibolmDevice {
  #theirs = "";
  #me = new Person(own.userId, own.deviceId);

  constructor(crossSigned: Person["crossSigned"] = "yes") {
    super("@alice:test", "PHONE");
    this.person.crossSigned = crossSigned;
    if (crossSigned === "no") this.person.identity = undefined;
    alices.push(this);
  }

  /** Learns the keys of the device in a page, and claims one. */
  async meet(page: TestPage): Promise<this> {
    const { keys, oneTimeKeys } = await page.inPage(async () => {
      const { crypto, server } = sdkkit.me();
      return { keys: crypto.machine.identityKeys, oneTimeKeys: await server.oneTimeKeys() };
    }, undefined);
    this.#theirs = keys.curve25519;
    this.#me = knownAs(own.userId, own.deviceId, keys);
    this.begin(this.#theirs, oneTimeKeys[0] ?? "");
    return this;
  }

  /** The to-device event that shares a session with us. */
  shares(session: Outbound, options: { embed?: boolean } = {}): string {
    return this.event(this.#theirs, session.payload(this.person, this.#me, options));
  }

  /** One with an Olm payload of another kind. */
  tells(type: string, content: { [name: string]: Json }): string {
    const { person } = this;
    return this.event(this.#theirs, { sender: person.userId, recipient: own.userId, keys: { ed25519: person.ed25519.public }, recipient_keys: { ed25519: this.#me.ed25519.public }, sender_device_keys: person.deviceKeys(), type, content });
  }
}

/** Opens our client in a page, over memory unless there is a name; it has not begun to sync. */
export function openMe(page: TestPage, options: { name?: string; trustRequirement?: "Untrusted" | "CrossSigned" | "Verified"; know?: readonly Person[] } = {}): Promise<void> {
  return page.inPage(async ({ name, trustRequirement, answer }) => {
    const server = new sdkkit.SyncingHomeserver();
    if (answer !== undefined) server.people.know(answer);
    sdkkit.own = await sdkkit.open({ store: name === undefined ? { memory: true } : { name }, ...(trustRequirement === undefined ? {} : { trustRequirement }) }, server);
  }, { name: options.name, trustRequirement: options.trustRequirement, answer: options.know === undefined ? undefined : keysQueryAnswer(options.know) });
}

/** A sync in which Alice and we are in an encrypted room. */
export const home = (timeline: Events, roomId = room): { [name: string]: Json } => rooms(timeline, [encryption, ...members("@alice:test", "@me:test")], roomId);
