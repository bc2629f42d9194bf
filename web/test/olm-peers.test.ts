// Our Olm against libolm and against vodozemac, as matrix-sdk-crypto-wasm has it: a thousand messages with each, both ways, late, overtaken and
// doubled, in channels that either side began, with one-time and fallback keys, and ours closed and opened in the middle.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { before, describe, test } from "node:test";
import { useChrome, type TestPage } from "./harness.js";
import { knownAs, LibolmDevice, toDevice, type OlmMessage } from "./libolm.js";
import { withPeer } from "./peerkit.js";
import { keysQueryAnswer, olmPayload, type Json, type Person } from "./people.js";

const chrome = useChrome();
const own = { userId: "@me:test", deviceId: "MINE" };
before(async () => Olm.init());

/** In the page: our machine, and the peer's where it is there. */
declare global {
  var olmMachine: Awaited<ReturnType<(typeof kit.ks)["OlmMachine"]["open"]>>;
  var theirs: Awaited<ReturnType<(typeof peer)["OlmMachine"]["initialize"]>>;
}

/** The content of an m.room.encrypted. */
interface Sealed {
  readonly sender_key: string;
  readonly ciphertext: Record<string, OlmMessage>;
}

/** What became of a message: what it says, or why it was refused. */
interface Opened {
  readonly text?: string;
  readonly code?: string;
}

/** One end of a channel. */
interface End {
  /** Seals texts for the other end, one after the other. */
  seal(texts: readonly string[]): Promise<Sealed[]>;
  /** Opens messages of the other end in this order. */
  open(messages: readonly Sealed[]): Promise<Opened[]>;
}

/** The other end, and what the server says of it. */
interface Peer extends End {
  readonly userId: string;
  readonly deviceId: string;
  /** An answer to /keys/query that names it. */
  readonly answer: string;
  /** A one-time key, or its fallback key, as /keys/claim hands it out. */
  key(fallback: boolean): Promise<{ [name: string]: Json }>;
  /** Begins a channel with our device, with a key of ours. */
  begin(key: OurKeys, fallback: boolean): Promise<void>;
}

/** What the server has of our device. */
interface OurKeys {
  readonly ed25519: string;
  readonly curve25519: string;
  readonly device: { [name: string]: Json };
  readonly oneTime: { [name: string]: Json };
  readonly fallback: { [name: string]: Json };
}

/** Our machine, over an IndexedDB of its own. */
class Ours implements End {
  constructor(
    readonly page: TestPage,
    readonly store: string,
    readonly peer: Peer,
  ) {}

  async start(): Promise<OurKeys> {
    return this.page.inPage(async ({ own, store, answer }) => {
      await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: store } });
      globalThis.olmMachine = machine;
      await machine.receiveKeysQueryResponse(answer);
      const upload = machine.outgoingRequests().find(({ type }) => type === "keys_upload");
      await machine.markRequestAsSent(upload?.id ?? "", '{"one_time_key_counts":{"signed_curve25519":50}}');
      const body = JSON.parse(upload?.body ?? "") as { device_keys: { [name: string]: Json }; one_time_keys: { [name: string]: Json }; fallback_keys: { [name: string]: Json } };
      const [oneTime = ["", null]] = Object.entries(body.one_time_keys);
      return { ...machine.identityKeys, device: body.device_keys, oneTime: Object.fromEntries([oneTime]), fallback: body.fallback_keys };
    }, { own, store: this.store, answer: this.peer.answer });
  }

  /** Begins a channel with a key of the peer's. */
  async begin(fallback: boolean): Promise<void> {
    const { userId, deviceId } = this.peer;
    await this.page.inPage(async ({ userId, answer }) => {
      const request = await olmMachine.getMissingSessions([userId]);
      await olmMachine.markRequestAsSent(request?.id ?? "", answer);
    }, { userId, answer: JSON.stringify({ one_time_keys: { [userId]: { [deviceId]: await this.peer.key(fallback) } }, failures: {} }) });
  }

  async seal(texts: readonly string[]): Promise<Sealed[]> {
    return this.page.inPage(async ({ userId, deviceId, texts }) => {
      const sealed: unknown[] = [];
      for (const text of texts) sealed.push(await olmMachine.encryptToDeviceEvent(userId, deviceId, "org.example.test", { text }));
      return sealed as Sealed[];
    }, { userId: this.peer.userId, deviceId: this.peer.deviceId, texts });
  }

  async open(messages: readonly Sealed[]): Promise<Opened[]> {
    const events = messages.map((content) => JSON.stringify({ type: "m.room.encrypted", sender: this.peer.userId, content }));
    return this.page.inPage(async ({ events }) => {
      const { events: became } = await olmMachine.receiveSyncChanges({ toDeviceEvents: events });
      return became.map((event) => {
        if (event.type === "decrypted") return { text: (event.payload["content"] as { text: string }).text };
        return { code: event.type === "refused" ? event.refusal.code : event.type };
      });
    }, { events });
  }

  /** Closes the machine and opens it again. */
  async reopen(): Promise<void> {
    await this.page.inPage(async ({ own, store }) => {
      await olmMachine.close();
      globalThis.olmMachine = await kit.ks.OlmMachine.open({ ...own, store: { name: store } });
    }, { own, store: this.store });
  }
}

/** libolm, in the tests' own process. */
class Libolm implements Peer {
  readonly userId = "@libolm:test";
  readonly deviceId = "LIBOLM";
  readonly #device = new LibolmDevice(this.userId, this.deviceId);
  readonly answer = keysQueryAnswer([this.#device.person]);
  readonly #us: () => Person;

  constructor(us: () => Person) {
    this.#us = us;
  }

  key(fallback: boolean): Promise<{ [name: string]: Json }> {
    return Promise.resolve(this.#device.signedKey(fallback));
  }

  begin(ours: OurKeys, fallback: boolean): Promise<void> {
    const [key] = Object.values(fallback ? ours.fallback : ours.oneTime) as { key: string }[];
    this.#device.begin(ours.curve25519, key?.key ?? "");
    return Promise.resolve();
  }

  seal(texts: readonly string[]): Promise<Sealed[]> {
    const to = this.#us();
    return Promise.resolve(texts.map((text) => {
      const event = toDevice(this.#device.person, { [to.curve25519]: this.#device.encrypt(to.curve25519, olmPayload(this.#device.person, to, "org.example.test", { text })) });
      return (JSON.parse(event) as { content: Sealed }).content;
    }));
  }

  open(messages: readonly Sealed[]): Promise<Opened[]> {
    return Promise.resolve(messages.map(({ sender_key, ciphertext }) => {
      try {
        const payload = JSON.parse(this.#device.decrypt(sender_key, ciphertext[this.#device.person.curve25519] as OlmMessage)) as { content: { text: string } };
        return { text: payload.content.text };
      } catch (thrown) {
        return { code: String(thrown) };
      }
    }));
  }

  free(): void {
    this.#device.free();
  }
}

/** matrix-sdk-crypto-wasm, in our page. */
class Rust implements Peer {
  readonly userId = "@rust:test";
  readonly deviceId = "RUST";
  answer = "";
  #keys: { one_time_keys: { [name: string]: Json }; fallback_keys: { [name: string]: Json } } = { one_time_keys: {}, fallback_keys: {} };

  constructor(readonly page: TestPage) {}

  async start(): Promise<void> {
    const body = await this.page.inPage(async ({ userId, deviceId }) => {
      const machine = await peer.OlmMachine.initialize(new peer.UserId(userId), new peer.DeviceId(deviceId));
      globalThis.theirs = machine;
      // A fallback key is made when the server is known to have none.
      await machine.receiveSyncChanges("[]", new peer.DeviceLists(), new Map([["signed_curve25519", 0]]), new Set());
      let body = "";
      for (const request of await machine.outgoingRequests()) {
        if (request.type !== peer.RequestType.KeysUpload) continue;
        body = (request as InstanceType<typeof peer.KeysUploadRequest>).body;
        await machine.markRequestAsSent(request.id ?? "", request.type, '{"one_time_key_counts":{"signed_curve25519":50}}');
      }
      return body;
    }, { userId: this.userId, deviceId: this.deviceId });
    const { device_keys, ...keys } = JSON.parse(body) as { device_keys: Json; one_time_keys: { [name: string]: Json }; fallback_keys: { [name: string]: Json } };
    this.#keys = keys;
    this.answer = JSON.stringify({ device_keys: { [this.userId]: { [this.deviceId]: device_keys } }, failures: {} });
  }

  key(fallback: boolean): Promise<{ [name: string]: Json }> {
    const [key = ["", null]] = Object.entries(fallback ? this.#keys.fallback_keys : this.#keys.one_time_keys);
    return Promise.resolve(Object.fromEntries([key]));
  }

  /** Has it know our device, which it must to take anything of ours. */
  async meet(ours: OurKeys): Promise<void> {
    await this.page.inPage(async ({ user, answer }) => {
      const request = theirs.queryKeysForUsers([new peer.UserId(user)]);
      await theirs.markRequestAsSent(request.id, request.type, answer);
    }, { user: own.userId, answer: JSON.stringify({ device_keys: { [own.userId]: { [own.deviceId]: ours.device } }, failures: {} }) });
  }

  async begin(ours: OurKeys, fallback: boolean): Promise<void> {
    await this.page.inPage(async ({ user, answer }) => {
      const request = await theirs.getMissingSessions([new peer.UserId(user)]);
      if (request) await theirs.markRequestAsSent(request.id, request.type, answer);
    }, { user: own.userId, answer: JSON.stringify({ one_time_keys: { [own.userId]: { [own.deviceId]: fallback ? ours.fallback : ours.oneTime } }, failures: {} }) });
  }

  async seal(texts: readonly string[]): Promise<Sealed[]> {
    return this.page.inPage(async ({ own, texts }) => {
      const device = await theirs.getDevice(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId));
      const sealed: Sealed[] = [];
      for (const text of texts) sealed.push(JSON.parse((await device?.encryptToDeviceEvent("org.example.test", { text })) ?? "") as Sealed);
      return sealed;
    }, { own, texts });
  }

  async open(messages: readonly Sealed[]): Promise<Opened[]> {
    const events = JSON.stringify(messages.map((content) => ({ type: "m.room.encrypted", sender: own.userId, content: { algorithm: "m.olm.v1.curve25519-aes-sha2", ...content } })));
    return this.page.inPage(async ({ events }) => {
      const settings = new peer.DecryptionSettings(peer.TrustRequirement.Untrusted);
      const became = await theirs.receiveSyncChanges(events, new peer.DeviceLists(), new Map([["signed_curve25519", 50]]), undefined, settings);
      return became.map((event) => {
        if (event.type !== peer.ProcessedToDeviceEventType.Decrypted) return { code: `type ${event.type}` };
        return { text: (JSON.parse(event.rawEvent) as { content: { text: string } }).content.text };
      });
    }, { events });
  }
}

/** Numbers of chance that are the same each time. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface UnderWay {
  readonly sealed: Sealed;
  readonly text: string;
  /** For how many deliveries it has been late. */
  late: number;
}

/** An end, what is under way to it and what it was brought last, and how it refuses what it has opened before. */
interface Conversing {
  readonly end: End;
  begun: boolean;
  under: UnderWay[];
  lately: UnderWay[];
  readonly refusal: RegExp;
}

/**
 * Has two ends write to each other until so many messages have arrived. In every round each seals some and is brought, in an order of chance, what is under
 * way to it, some of it twice, some that it was brought before, and some only rounds later. Everything opens once and says what was sealed.
 */
async function converse(ours: Ours, begun: { ours: boolean; theirs: boolean }, count: number, random: () => number): Promise<void> {
  const shuffled = <T>(list: readonly T[]): T[] => list.map((item) => ({ item, order: random() })).sort((a, b) => a.order - b.order).map(({ item }) => item);
  const ends: [Conversing, Conversing] = [
    { end: ours, begun: begun.ours, under: [], lately: [], refusal: /^olm_message_replayed$/ },
    { end: ours.peer, begun: begun.theirs, under: [], lately: [], refusal: /./ },
  ];
  let number = 0;
  let arrived = 0;
  for (let round = 0; arrived < count; round++) {
    for (const [from, to] of shuffled([ends, [ends[1], ends[0]]])) {
      if (!from?.begun) continue;
      const texts = Array.from({ length: 1 + Math.floor(random() * 8) }, () => `message ${number++}`);
      (await from.end.seal(texts)).forEach((sealed, i) => to?.under.push({ sealed, text: texts[i] ?? "", late: 0 }));
    }
    for (const to of shuffled(ends)) {
      const late = to.under.filter((message) => message.late < 2 && random() < 0.15);
      const now = to.under.filter((message) => !late.includes(message));
      late.forEach((message) => message.late++);
      const list = shuffled([...now, ...now.filter(() => random() < 0.1), ...to.lately.filter(() => random() < 0.2)]);
      const opened = await to.end.open(list.map(({ sealed }) => sealed));
      const seen = new Set(to.lately);
      for (const [i, message] of list.entries()) {
        if (seen.has(message)) assert.match(opened[i]?.code ?? `opened again: ${message.text}`, to.refusal);
        else assert.deepEqual(opened[i], { text: message.text });
        seen.add(message);
      }
      arrived += now.length;
      to.begun ||= now.length > 0;
      Object.assign(to, { under: late, lately: now });
    }
    if (round === 5) await ours.reopen();
  }
}

const stories = [
  { title: "they began, with a one-time key", theirs: true, ours: false, fallback: false },
  { title: "they began, with our fallback key", theirs: true, ours: false, fallback: true },
  { title: "we began, with a one-time key", theirs: false, ours: true, fallback: false },
  { title: "we began, with their fallback key", theirs: false, ours: true, fallback: true },
  { title: "both began at once", theirs: true, ours: true, fallback: false },
];

for (const [peerName, seed] of [["libolm", 1], ["matrix-sdk-crypto-wasm", 2]] as const) {
  describe(`Olm with ${peerName}`, () => {
    for (const [i, { title, theirs, ours, fallback }] of stories.entries()) {
      test(`${title}: 200 messages, overtaken, late, doubled and replayed`, async () => {
        await withPeer(chrome, async (page) => {
          let keys: OurKeys | undefined;
          const libolm = new Libolm(() => knownAs(own.userId, own.deviceId, keys as OurKeys));
          const rust = new Rust(page);
          const peer: Peer = peerName === "libolm" ? libolm : rust;
          if (peer === rust) await rust.start();
          const us = new Ours(page, `${peerName} ${i}`, peer);
          keys = await us.start();
          if (peer === rust) await rust.meet(keys);
          if (theirs) await peer.begin(keys, fallback);
          if (ours) await us.begin(fallback);
          await converse(us, { ours, theirs }, 200, chance(10 * seed + i));
          libolm.free();
        });
      });
    }
  });
}
