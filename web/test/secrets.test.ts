// T56 through the door, and what is left in memory: a machine that holds every kind of secret there is, whose every word is listened to, and whose linear
// memory is searched when it is in use, when its program has ended, and when it is locked.

import assert from "node:assert/strict";
import { test } from "node:test";
import { useChrome, type TestPage } from "./harness.js";
import { withKit } from "./machinekit.js";
import { BackupVault, keysQueryAnswer, Outbound, Person, SigningKey } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const words = { shown: "the eagle lands at midnight", sent: "the owl leaves before dawn", passphrase: "correct horse battery staple" };

/** What is searched for: names and bytes. */
type Needles = Record<string, number[]>;
/** How often each was found. */
type Counts = Record<string, number>;

declare global {
  var machine: Awaited<ReturnType<(typeof kit.ks)["OlmMachine"]["open"]>>;
  /** Searches the memory of every program there was in the page. */
  var search: (needles: Needles) => Counts;
  /** What was found when a program had ended and its memory was about to be overwritten. */
  var leftBehind: (needles: Needles) => void;
  var left: Counts[];
  var told: string[];
  var note: (what: unknown) => void;
  var memoryBytes: () => number;
}

/** The secrets that the test makes, and what the machine is given of them. */
function planted() {
  const alice = new Person("@alice:test", "ALICE", "yes");
  const [direct, imported, backedUp] = [new Outbound(room), new Outbound(room), new Outbound(room)];
  const vault = new BackupVault();
  const storageKey = new BackupVault(); // a key of secret storage is 32 bytes, written down as the one of a backup is
  const identity = { master: new SigningKey(), selfSigning: new SigningKey(), userSigning: new SigningKey() };
  const senderDataKey = [...Buffer.from(new SigningKey().seed, "base64")];
  return { alice, direct, imported, backedUp, vault, storageKey, identity, senderDataKey };
}

type Planted = ReturnType<typeof planted>;

/** Opens a page with a machine that has an account, and watches its memory and what it says. */
async function opened(page: TestPage, { senderDataKey }: Planted): Promise<Person> {
  const keys = await page.inPage(async ({ senderDataKey }) => {
    const memories: WebAssembly.Memory[] = [];
    const instantiate = WebAssembly.instantiate;
    WebAssembly.instantiate = (async (...args: Parameters<typeof instantiate>) => {
      const instance = await instantiate(...args) as unknown as WebAssembly.Instance;
      memories.push(instance.exports["mem"] as WebAssembly.Memory);
      return instance;
    }) as never;
    const found = (bytes: Uint8Array, needles: Needles): Counts => {
      const counts: Counts = Object.fromEntries(Object.keys(needles).map((name) => [name, 0]));
      const starting = new Map<number, [string, number[]][]>();
      for (const [name, needle] of Object.entries(needles)) {
        const start = (needle[0] ?? 0) | ((needle[1] ?? 0) << 8);
        starting.set(start, [...(starting.get(start) ?? []), [name, needle]]);
      }
      for (let at = 0; at + 1 < bytes.length; at++) {
        for (const [name, needle] of starting.get((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8)) ?? []) {
          if (needle.every((byte, i) => bytes[at + i] === byte)) counts[name] = (counts[name] ?? 0) + 1;
        }
      }
      return counts;
    };
    const sum = (all: Counts[]): Counts => all.reduce((total, counts) => Object.fromEntries(Object.entries(counts).map(([name, n]) => [name, n + (total[name] ?? 0)])), {});
    globalThis.search = (needles) => sum(memories.map(({ buffer }) => found(new Uint8Array(buffer), needles)));
    globalThis.memoryBytes = () => memories.reduce((total, { buffer }) => total + buffer.byteLength, 0);
    globalThis.left = [];
    globalThis.leftBehind = (needles) => {
      const fill = Uint8Array.prototype.fill;
      Uint8Array.prototype.fill = function (...args) {
        if (memories.some(({ buffer }) => buffer === this.buffer)) left.push(found(this as Uint8Array, needles));
        return fill.apply(this, args);
      };
    };
    globalThis.told = [];
    globalThis.note = (what) => {
      told.push(String(what), JSON.stringify(what) ?? "");
      if (what instanceof Error) told.push(String(what.stack), JSON.stringify({ ...what }), String(what.cause));
    };
    await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
    globalThis.machine = await kit.ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", store: { name: "secrets" }, senderDataKey: new Uint8Array(senderDataKey), trustRequirement: "Untrusted" });
    machine.registerRoomKeyUpdatedCallback(note);
    machine.registerSenderDataUpdatedCallback(note);
    machine.registerStoreReportCallback(note);
    return machine.identityKeys;
  }, { senderDataKey });
  const me = new Person("@me:test", "MINE", "no", keys.curve25519);
  Object.defineProperty(me.ed25519, "public", { value: keys.ed25519 });
  return me;
}

/** Has the machine use every secret, well and badly, and note what it says but for what it was asked to hand out. */
async function live(page: TestPage, me: Person, { alice, direct, imported, backedUp, vault, storageKey, identity }: Planted): Promise<void> {
  await page.inPage(async ({ item, event, keys, answer, backup, backupKey, recoveryKey, seeds, words, people }) => {
    const attempt = async (what: () => unknown): Promise<void> => {
      try {
        note(await what());
      } catch (thrown) {
        note(thrown);
      }
    };
    const cut = (text: string): string => text.slice(0, -1);
    const wrong = (text: string): string => (text.startsWith("A") ? "B" : "A") + text.slice(1);
    note(machine.receiveRoomKeys([item, { ...item, payload: cut(item.payload) }, { ...item, payload: item.payload.replace('"session_key":"A', '"session_key":"B') }]).receipts);
    await attempt(() => machine.receiveKeysQueryResponse(people));
    const shown = await machine.decryptRoomEvent(event, "!room:test");
    note(shown.encryptionInfo);
    await attempt(() => machine.decryptRoomEvent({ ...event, event_id: "$replay" }, "!room:test"));
    await attempt(() => machine.explain("!room:test", event.content.session_id));
    await attempt(() => machine.importExportedRoomKeys(keys));
    await attempt(() => machine.importExportedRoomKeys(cut(keys)));
    for (const decryptionKey of [{ base64: backupKey }, { base64: wrong(backupKey) }, { base64: cut(backupKey) }, { recoveryKey }]) {
      await attempt(() => machine.importBackedUpRoomKeys(backup, { decryptionKey, backupVersion: "1" }));
    }
    // Our account: what it is asked for, and what is no Olm message.
    await attempt(() => machine.outgoingRequests());
    await attempt(() => machine.receiveSyncChanges({ toDeviceEvents: [item.payload, { type: "m.room.encrypted", sender: "@alice:test", content: JSON.parse(item.payload) as never }], oneTimeKeyCounts: {} }));
    // Private cross-signing keys.
    await attempt(() => machine.importCrossSigningKeys({ masterKey: cut(seeds.masterKey) }));
    await attempt(() => machine.importCrossSigningKeys({ ...seeds, masterKey: wrong(seeds.masterKey) }));
    await attempt(() => machine.importCrossSigningKeys(seeds));
    await attempt(() => machine.crossSigningStatus());
    await attempt(() => machine.diagnose());
    await attempt(() => machine.bootstrapCrossSigning());
    await machine.exportCrossSigningKeys();
    // Secret storage: its key, right and wrong, where there is none.
    for (const key of [recoveryKey, cut(recoveryKey), answer]) await attempt(() => machine.openSecretStorage(() => Promise.resolve(null), { recoveryKey: key }));
    await attempt(() => machine.openSecretStorage(() => Promise.resolve({ key: "x", algorithm: "m.secret_storage.v1.aes-hmac-sha2", iv: "", mac: "" }), { recoveryKey: answer }));
    // Sending.
    await attempt(() => machine.shareRoomKey("!room:test", []));
    await attempt(() => machine.encryptRoomEvent("!room:test", "m.room.message", { msgtype: "m.text", body: words.sent }));
    await attempt(() => machine.encryptRoomEvent("!other:test", "m.room.message", { msgtype: "m.text", body: words.sent }));
    // Files, which programs of their own open and seal.
    const exported = await machine.exportRoomKeys();
    const file = await kit.ks.OlmMachine.encryptExportedRoomKeys(exported, words.passphrase, 1000);
    await attempt(() => kit.ks.OlmMachine.decryptExportedRoomKeys(file, words.passphrase.slice(1)));
    await kit.ks.OlmMachine.decryptExportedRoomKeys(file, words.passphrase);
    console.log(machine, [machine], { machine });
    note(machine);
  }, {
    item: direct.item(alice, me), event: direct.event(alice.userId, "$1", words.shown) as { [name: string]: never } & { content: { session_id: string } },
    keys: JSON.stringify([imported.exported(alice)]), backup: JSON.stringify(vault.answer([backedUp.exported(alice)])), backupKey: vault.base64, recoveryKey: vault.recoveryKey, answer: storageKey.recoveryKey,
    seeds: { masterKey: identity.master.seed, self_signing_key: identity.selfSigning.seed, userSigningKey: identity.userSigning.seed }, words, people: keysQueryAnswer([alice]),
  });
}

/** The secrets that the machine made itself, as they lie in its database beside their public halves. */
async function madeInside(page: TestPage, me: Person): Promise<{ account: Buffer; agreement: Buffer; ratchet: Buffer; sessionSeed: Buffer }> {
  const rows = await page.inPage(async () => {
    const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve) => (request.onsuccess = () => resolve(request.result)));
    const database = await done(indexedDB.open("secrets"));
    const stores = ["meta", "outbound"];
    const transaction = database.transaction(stores);
    const all = await Promise.all(stores.map((store) => done(transaction.objectStore(store).getAll())));
    database.close();
    const bytes: number[][] = [];
    JSON.stringify(all, (_, value: unknown) => (value instanceof Uint8Array ? void bytes.push([...value]) : typeof value === "bigint" ? 0 : value));
    return bytes;
  }, undefined);
  const after = (mark: Buffer, length: number): Buffer => {
    for (const row of rows.map((row) => Buffer.from(row))) {
      const at = row.indexOf(mark);
      if (at >= 0) return row.subarray(at + mark.length, at + mark.length + length);
    }
    throw new Error("The row is not there.");
  };
  const sessionId = await page.inPage(async () => ((await machine.encryptRoomEvent("!room:test", "m.room.message", {})) as { session_id: string }).session_id, undefined);
  const outbound = rows.map((row) => Buffer.from(row)).find((row) => row.includes(Buffer.from(sessionId, "base64")));
  assert.ok(outbound !== undefined);
  const at = outbound.indexOf(Buffer.from(sessionId, "base64"));
  return {
    account: after(Buffer.from(me.ed25519.public, "base64"), 64), agreement: after(Buffer.from(me.curve25519, "base64"), 32),
    // The first three parts of a ratchet do not move with the first messages.
    ratchet: outbound.subarray(at - 32 - 128, at - 32 - 32), sessionSeed: outbound.subarray(at - 32, at),
  };
}

/** All secrets by name, as bytes. */
async function secretsIn(page: TestPage, me: Person, { direct, imported, backedUp, vault, identity, senderDataKey, storageKey }: Planted): Promise<Record<string, Buffer>> {
  const inside = await madeInside(page, me);
  const ratchet = (of: Outbound): Buffer => Buffer.from(of.sessionKey(), "base64").subarray(5, 133);
  const raw = (text: string): Buffer => Buffer.from(text, "base64");
  return {
    "room key, direct": ratchet(direct), "room key, imported": ratchet(imported), "room key, backed up": ratchet(backedUp), "room key, of ours": inside.ratchet, "its signing key": inside.sessionSeed,
    "account, signing": inside.account, "account, agreeing": inside.agreement, "master key": raw(identity.master.seed), "self-signing key": raw(identity.selfSigning.seed), "user-signing key": raw(identity.userSigning.seed),
    "backup key": raw(vault.base64), "secret storage key": raw(storageKey.base64), "sender data key": Buffer.from(senderDataKey),
    "message, shown": Buffer.from(words.shown), "message, sent": Buffer.from(words.sent), passphrase: Buffer.from(words.passphrase),
  };
}

const isText = (name: string): boolean => name.startsWith("message") || name === "passphrase";

test("T56, I21: no word of a machine with an account, an identity, sessions, a backup and a storage key holds any of them", async () => {
  const secrets = planted();
  await withKit(chrome, async (page) => {
    const me = await opened(page, secrets);
    await live(page, me, secrets);
    const all = await secretsIn(page, me, secrets);
    await page.inPage(() => machine.close(), undefined);
    const words = await page.inPage(() => told, undefined);
    const forbidden: string[] = [];
    for (const [name, bytes] of Object.entries(all)) {
      if (isText(name)) forbidden.push(bytes.toString().slice(4, 20));
      for (const shift of [0, 1, 2]) forbidden.push(Buffer.concat([Buffer.alloc(shift), bytes]).toString("base64").slice(4, 24));
      forbidden.push(bytes.toString("hex").slice(0, 16), bytes.toString("hex").toUpperCase().slice(0, 16), [...bytes.subarray(0, 6)].join(","), [...bytes.subarray(0, 6)].join(" "), [...bytes.subarray(0, 6)].join(", "));
    }
    forbidden.push(secrets.vault.recoveryKey.slice(10, 40), secrets.storageKey.recoveryKey.slice(10, 40));
    assert.ok(words.length > 60 && page.printed.length > 0, "there is something to search");
    for (const line of [...words, ...page.printed, ...page.uncaught]) {
      for (const secret of forbidden) assert.ok(!line.includes(secret), `a secret in: ${line.slice(0, 200)}`);
    }
    // The net has no holes: a text with each secret in it is caught.
    for (const bytes of Object.values(all)) assert.ok(forbidden.some((secret) => bytes.toString("base64").includes(secret)));
  });
});

test("lock: no copy of any secret is left in linear memory, and every call says that the machine is locked", async () => {
  const secrets = planted();
  await withKit(chrome, async (page) => {
    const me = await opened(page, secrets);
    await live(page, me, secrets);
    const all = await secretsIn(page, me, secrets);
    // A needle is 16 bytes of a secret, or 24 characters of its base64: enough to be of no other.
    const needles: Needles = {};
    for (const [name, bytes] of Object.entries(all)) {
      needles[name] = [...bytes.subarray(0, 16)];
      if (!isText(name)) needles[`${name}, base64`] = [...Buffer.from(bytes.toString("base64").slice(0, 20))];
    }
    needles["room key, direct, base64"] = [...Buffer.from(secrets.direct.sessionKey().slice(8, 32))];
    needles["room key, imported, base64"] = [...Buffer.from((secrets.imported.exported(secrets.alice)["session_key"] as string).slice(8, 32))];
    const got = await page.inPage(async (needles) => {
      const inUse = search(needles);
      leftBehind(needles);
      const began = performance.now();
      const locked = machine.lock();
      const early = await kit.failure(() => machine.roomKeyCounts());
      await locked;
      const took = performance.now() - began;
      const calls = [() => machine.roomKeyCounts(), () => machine.outdatedUsers(), () => machine.receiveRoomKeys([]), () => machine.exportCrossSigningKeys(), () => machine.encryptRoomEvent("!room:test", "m.room.message", {})];
      const later = await Promise.all(calls.map((call) => kit.failure(call)));
      await machine.lock();
      await machine.close();
      return { inUse, left: left.at(-1) ?? {}, after: search(needles), early: early.code, later: later.map(({ code }) => code), bytes: memoryBytes(), took };
    }, needles);
    const total = (counts: Counts): number => Object.values(counts).reduce((sum, n) => sum + n, 0);
    console.log(`linear memory of ${Math.round(got.bytes / 1e6)} MB, ${Object.keys(needles).length} spellings of ${Object.keys(all).length} secrets: ${total(got.inUse)} copies in use, ${total(got.left)} when the program had ended, ${total(got.after)} when locked`);
    for (const [name, count] of Object.entries(got.inUse)) if (count > 0) console.log(`  ${name}: ${count}, ${got.left[name]}, ${got.after[name]}`);
    // Some are there only for a moment: what was agreed with the backup key is agreed, and its copies are wiped.
    for (const name of Object.keys(all)) {
      if (!["passphrase", "secret storage key", "backup key", "message, sent"].includes(name)) assert.ok((got.inUse[name] ?? 0) > 0, `${name} is found while it is in use, so the search searches`);
    }
    assert.ok(total(got.left) > 0, "ending the program alone leaves copies behind");
    assert.equal(total(got.after), 0, "locked");
    assert.deepEqual([got.early, ...got.later], Array(6).fill("locked"));
    // What was stored is there for the one that is opened again.
    const again = await page.inPage(async (event) => {
      globalThis.machine = await kit.ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", store: { name: "secrets" } });
      const body = kit.body(await machine.decryptRoomEvent(event, "!room:test"));
      const { masterKey } = (await machine.exportCrossSigningKeys()) ?? {};
      await machine.close();
      return { body, masterKey };
    }, secrets.direct.event(secrets.alice.userId, "$1", words.shown));
    assert.deepEqual(again, { body: words.shown, masterKey: secrets.identity.master.seed });
  });
});

test("a program that dies has its memory overwritten too", async () => {
  const secrets = planted();
  await withKit(chrome, async (page) => {
    const me = await opened(page, secrets);
    const got = await page.inPage(async ({ item, needles }) => {
      await machine.receiveRoomKeys([item]).stored;
      const inUse = search(needles);
      Object.defineProperty(performance, "now", { value: () => { throw new WebAssembly.RuntimeError("unreachable"); }, configurable: true });
      const dying = await kit.failure(() => machine.receiveRoomKeys([item]));
      Reflect.deleteProperty(performance, "now");
      await machine.ended;
      return { inUse, dying: dying.code, after: search(needles) };
    }, { item: secrets.direct.item(secrets.alice, me), needles: { ratchet: [...Buffer.from(secrets.direct.sessionKey(), "base64").subarray(5, 21)] } satisfies Needles });
    assert.ok((got.inUse["ratchet"] ?? 0) > 0);
    assert.equal(got.dying, "engine_stopped");
    assert.deepEqual(got.after, { ratchet: 0 });
  });
});

test("lock: nor of the key of an encrypted database, which opens what was stored", async () => {
  const secrets = planted();
  const hostKey = [...Buffer.from(new SigningKey().seed, "base64")];
  await withKit(chrome, async (page) => {
    const me = await opened(page, secrets);
    const got = await page.inPage(async ({ own, hostKey, passphrase, item, event, needles }) => {
      await machine.close();
      const ends: { inUse: Counts; after: Counts; body: unknown; wrong: string }[] = [];
      for (const [name, encryption, wrong] of [
        ["host", { hostKey: new Uint8Array(hostKey) }, { hostKey: new Uint8Array(32) }],
        ["words", { passphrase }, { passphrase: "another" }],
      ] as const) {
        const open = (encryption: { hostKey: Uint8Array } | { passphrase: string }) => kit.ks.OlmMachine.open({ ...own, store: { name, encryption } });
        const encrypted = await open(encryption);
        await encrypted.receiveRoomKeys([item]).stored;
        const inUse = search(needles);
        await encrypted.lock();
        const after = search(needles);
        const failed = await kit.failure(() => open(wrong));
        const again = await open(encryption);
        const body = kit.body(await again.decryptRoomEvent(event, "!room:test"));
        await again.lock();
        ends.push({ inUse, after, body, wrong: failed.code });
      }
      return { ends, last: search(needles) };
    }, {
      own: me.own, hostKey, passphrase: words.passphrase, item: secrets.direct.item(secrets.alice, me), event: secrets.direct.event(secrets.alice.userId, "$1", words.shown),
      needles: { hostKey: hostKey.slice(0, 16), passphrase: [...Buffer.from(words.passphrase)], ratchet: [...Buffer.from(secrets.direct.sessionKey(), "base64").subarray(5, 21)] } satisfies Needles,
    });
      // Of the key nothing need be there once it has opened the database. What it opened is.
      assert.ok(got.ends.every(({ inUse }) => (inUse["ratchet"] ?? 0) > 0), "the search searches");
    const none = { hostKey: 0, passphrase: 0, ratchet: 0 };
    for (const { after, body, wrong } of got.ends) assert.deepEqual({ after, body, wrong }, { after: none, body: words.shown, wrong: "wrong_store_key" });
    assert.deepEqual(got.last, none);
  });
});
