// A machine from open to close: what it is opened with, what happens when the program under it dies, and what its callbacks hear.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const me = new Person("@me:test", "MINE", "yes");
const room = "!room:test";

describe("open", () => {
  test("takes a name or memory, refuses everything else, and never falls back to memory", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const { ks } = kit;
        const stores: [name: string, store: unknown][] = [
          ["none", undefined], ["null", null], ["text", "name"], ["empty", {}], ["empty name", { name: "" }], ["name of wrong type", { name: 7 }], ["memory false", { memory: false }],
          ["both", { name: "x", memory: true }], ["inherited name", Object.create({ name: "x" })],
        ];
        const ends: Record<string, string> = {};
        for (const [name, store] of stores) ends[name] = (await kit.failure(() => ks.OlmMachine.open({ ...own, store: store as never }))).code;
        const open = (change: object): Promise<string> => kit.failure(() => ks.OlmMachine.open({ ...own, store: { memory: true }, ...change } as never)).then(({ code }) => code);
        ends["user"] = await open({ userId: "me" });
        ends["user of wrong type"] = await open({ userId: 7 });
        ends["device"] = await open({ deviceId: "" });
        ends["ed25519"] = await open({ identityKeys: { ...own.identityKeys, ed25519: "x" } });
        ends["curve25519 of zeros"] = await open({ identityKeys: { ...own.identityKeys, curve25519: "A".repeat(43) } });
        ends["policy"] = await open({ trustRequirement: "Everything" });
        const databases = (await indexedDB.databases()).length;

        // A page that has no IndexedDB says so.
        Object.defineProperty(globalThis, "indexedDB", { value: undefined, configurable: true });
        ends["no IndexedDB"] = await open({ store: { name: "named" } });
        Reflect.deleteProperty(globalThis, "indexedDB");

        const machine = await ks.OlmMachine.open({ ...own, store: { memory: true } });
        const defaults = [machine.trustRequirement, machine.userId, machine.deviceId];
        await machine.close();
        return { ends, databases, defaults };
      }, me.own);
      assert.deepEqual(got.ends, {
        none: "bad_store", null: "bad_store", text: "bad_store", empty: "bad_store", "empty name": "bad_store", "name of wrong type": "bad_store", "memory false": "bad_store",
        both: "bad_store", "inherited name": "bad_store",
        user: "bad_user_id", "user of wrong type": "bad_request", device: "bad_device_id", ed25519: got.ends["ed25519"], "curve25519 of zeros": "low_order_key", policy: "bad_trust_requirement",
        "no IndexedDB": "unavailable",
      });
      assert.match(got.ends["ed25519"] ?? "", /^bad_(base64|key_length)$/);
      assert.equal(got.databases, 0, "nothing was created on the way to a refusal");
      assert.deepEqual(got.defaults, ["Untrusted", "@me:test", "MINE"]);
    });
  });
});

describe("close", () => {
  test("writes what is unwritten, ends the program, may be repeated, and every later call says so", async () => {
    const alice = new Person("@alice:test", "ALICE", "yes");
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, event }) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { name: "close" } });
        const { stored } = machine.receiveRoomKeys([item]);
        const [one, two] = [machine.close(), machine.close()];
        await Promise.all([one, two]);
        const late = await kit.failure(() => stored);
        const ended = await machine.ended;
        const ends = [
          await kit.failure(() => machine.receiveRoomKeys([item])),
          await kit.failure(() => machine.decryptRoomEvent(event, "!room:test")),
          await kit.failure(() => machine.getRoomEventEncryptionInfo(event, "!room:test")),
          await kit.failure(() => machine.outdatedUsers()),
          await kit.failure(() => machine.roomKeyCounts()),
          await kit.failure(() => machine.setTrustRequirement("Verified")),
        ];
        const again = await ks.OlmMachine.open({ ...own, store: { name: "close" } });
        const { total } = await again.roomKeyCounts();
        const body = kit.body(await again.decryptRoomEvent(event, "!room:test"));
        await again[Symbol.asyncDispose]();
        const disposed = await kit.failure(() => again.outdatedUsers());
        return { same: one === two, late: late.code, ended: ended.code, ends: ends.map(({ code }) => code), total, body, disposed: disposed.code };
      }, { own: me.own, item: outbound.item(alice, me), event: { ...outbound.event(alice.userId, "$1", "hello") } });
      assert.ok(got.same);
      assert.equal(got.ended, "engine_stopped");
      assert.deepEqual(got.ends, Array(6).fill("closed"));
      assert.equal(got.total, 1, "close wrote the key although nobody had waited for it");
      assert.equal(got.body, "hello");
      assert.equal(got.disposed, "closed");
      assert.match(got.late, /^(|engine_stopped|closed)$/, "stored has settled one way or the other");
    });
  });
});

describe("a program that dies", () => {
  test("is noticed by `ended` and by every call; what was stored is there for the next machine", async () => {
    const alice = new Person("@alice:test", "ALICE", "yes");
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, event }) => {
        const { ks } = kit;
        // The program asks for the time at every reception. A clock that throws is nothing a Go program can recover from.
        const machine = await ks.OlmMachine.open({ ...own, store: { name: "dead" } });
        await machine.receiveRoomKeys([item]).stored;
        Object.defineProperty(performance, "now", { value: () => { throw new WebAssembly.RuntimeError("unreachable"); }, configurable: true });
        const dying = await kit.failure(() => machine.receiveRoomKeys([item]));
        const underWay = await kit.failure(() => machine.decryptRoomEvent(event, "!room:test"));
        Reflect.deleteProperty(performance, "now");
        const ended = await Promise.race([machine.ended.then(({ code }) => code), new Promise<string>((resolve) => setTimeout(() => resolve("not noticed"), 1000))]);
        const later = await kit.failure(() => machine.receiveRoomKeys([item]));
        const promised = await kit.failure(() => machine.roomKeyCounts());
        const closing = await kit.failure(() => machine.close());
        const again = await ks.OlmMachine.open({ ...own, store: { name: "dead" } });
        const body = kit.body(await again.decryptRoomEvent(event, "!room:test"));
        await again.close();
        return { dying: dying.code, underWay: underWay.code, ended, later: later.name, promised: promised.name, closing: closing.name, body };
      }, { own: me.own, item: outbound.item(alice, me), event: { ...outbound.event(alice.userId, "$1", "hello") } });
      assert.deepEqual(got, { dying: "engine_stopped", underWay: "engine_stopped", ended: "engine_stopped", later: "EngineStoppedError", promised: "EngineStoppedError", closing: "EngineStoppedError", body: "hello" });
    });
  });
});

describe("stored and settled", () => {
  test("a failed write is reported once, by `stored`; the keys stay and are written with the next", async () => {
    const alice = new Person("@alice:test", "ALICE", "yes");
    const [first, second] = [new Outbound(room), new Outbound(room)];
    await chrome.withPage(async (page) => {
      const { inPage } = page;
      const got = await inPage(async ({ own, first, second }) => {
        const ks = (await import("/dist/index.js" as string)) as typeof import("../src/index.js");
        const unhandled: string[] = [];
        addEventListener("unhandledrejection", (event) => {
          unhandled.push((event.reason as { code?: string }).code ?? String(event.reason));
          event.preventDefault();
        });
        const machine = await ks.OlmMachine.open({ ...own, store: { name: "full" } });
        const transaction = IDBDatabase.prototype.transaction;
        IDBDatabase.prototype.transaction = function (...args) {
          if (args[1] === "readwrite") throw new DOMException("full", "QuotaExceededError");
          return transaction.apply(this, args);
        };
        machine.receiveRoomKeys([first]); // nobody waits for this one
        await new Promise((resolve) => setTimeout(resolve, 50));
        const handled = machine.receiveRoomKeys([first]);
        const code = await handled.stored.then(() => "", (thrown: { code: string }) => thrown.code);
        await new Promise((resolve) => setTimeout(resolve, 50));
        IDBDatabase.prototype.transaction = transaction;
        await machine.receiveRoomKeys([second]).stored;
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { unhandled, code, total };
      }, { own: me.own, first: first.item(alice, me), second: second.item(alice, me) });
      assert.deepEqual(got, { unhandled: ["quota"], code: "quota", total: 2 });
    });
  });
});

describe("callbacks", () => {
  test("hear of senders that rise, of what brought it, and of a database that another tab deletes", async () => {
    const alice = new Person("@alice:test", "ALICE", "yes");
    alice.identity?.signedBy.push({ user: me.userId, key: me.identity?.userSigning ?? alice.ed25519 });
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, answer, master }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "heard" } });
        const heard: string[] = [];
        machine.registerRoomKeyUpdatedCallback((keys) => heard.push(`keys ${keys.length}`));
        machine.registerSenderDataUpdatedCallback((updates) => heard.push(...updates.map(({ before, after, because }) => `${before.type} -> ${after.type} by ${because}`)));
        const off = machine.registerStoreReportCallback(() => { throw new Error("a callback's own fault"); });
        machine.registerStoreReportCallback(({ code }) => heard.push(`store ${code}`));
        await machine.receiveRoomKeys([item]).stored;
        await machine.receiveKeysQueryResponse(answer);
        await machine.trustOwnIdentity(master);
        const verified = machine.getIdentity("@alice:test");
        await new Promise((resolve, reject) => {
          const request = indexedDB.deleteDatabase("heard");
          request.onsuccess = resolve;
          request.onerror = reject;
        });
        off();
        const after = await kit.failure(() => machine.receiveRoomKeys([item]).stored);
        await machine.close().catch(() => undefined);
        return { heard: heard.filter((line) => !line.startsWith("store persistence")), verified: verified?.verification, after: after.code };
      }, { own: me.own, item: outbound.item(alice, me), answer: keysQueryAnswer([me, alice]), master: me.identity?.master.public ?? "" });
      assert.deepEqual(got.heard.slice(0, 3), ["keys 1", "DeviceInfo -> SenderUnverified by keys_query", "SenderUnverified -> SenderVerified by verification"]);
      assert.ok(got.heard.includes("store store_lost"), got.heard.join(", "));
      assert.equal(got.verified, "Verified");
      assert.match(got.after, /^(store_lost|)$/);
    });
  });
});
