// Room keys of files, imported and exported by the typed machine in a page: what an import tells, how it is stopped, what is made of its keys.
// They open messages, and who made them stays hearsay.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ImportCounts, ImportProgress, TrustRequirement } from "../src/types.js";
import { useChrome } from "./harness.js";
import { recorded, recordedFile, withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person, type Json } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");

/** Keys are stored so many at a time. */
const chunk = 512;

function lot(count: number): { [name: string]: Json }[] {
  return Array.from({ length: count }, (_, i) => new Outbound(`!room${i % 50}:test`).exported(alice));
}

function counts(imported: number, unchanged = 0, better = 0, failed = 0): ImportCounts {
  return { imported, unchanged, better, failed };
}

describe("an import of a key export", () => {
  test("scenario 103: recorded exports, as text and as a list, open their messages, which are grey or withheld", async () => {
    const accounts = await recorded();
    for (const [path, number, events] of [
      ["js-sdk/exportRoomKeysAsJson.json", 1, accounts[0]?.events],
      ["js-sdk/export-alicedev1.json", undefined, accounts[1]?.events],
      ["mautrix/MX1-export-decrypted.json", 1, accounts[2]?.events],
    ] as const) {
      const text = await recordedFile(path);
      const keys = JSON.parse(text) as { room_id: string; session_id: string; sender_key: string }[];
      const total = number ?? keys.length;
      assert.equal(keys.length, total);
      const open = (events ?? []).filter(({ sessionId }) => keys.some((key) => key.session_id === sessionId));
      assert.ok(open.length > 0 || number === undefined, `${path} has the key of a recorded message`);
      await withKit(chrome, async ({ inPage }) => {
        const got = await inPage(async ({ own, text, events }) => {
          const { ks } = kit;
          const machine = await ks.OlmMachine.open({ ...own, store: { name: "recorded" } });
          const heard: string[] = [];
          machine.registerRoomKeyUpdatedCallback((keys) => heard.push(...keys.map(({ sessionId }) => sessionId)));
          const first = await machine.importExportedRoomKeys(text);
          const news = heard.length;
          const again = await machine.importExportedRoomKeys(JSON.parse(text) as never);
          const stored = await machine.roomKeyCounts();
          const shown: Record<string, string[]> = {};
          for (const requirement of ["Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"] satisfies TrustRequirement[]) {
            machine.setTrustRequirement(requirement);
            const ends = (shown[requirement] = [] as string[]);
            for (const event of events) {
              try {
                const { encryptionInfo } = await machine.decryptRoomEvent(event.text, event.roomId);
                const { verdict, legacySession, provenance, senderData, hint, forwarder } = encryptionInfo;
                ends.push([verdict.shield.color, verdict.state, legacySession, provenance, senderData?.type, hint, forwarder].join(" "));
              } catch (thrown) {
                ends.push(thrown instanceof ks.DecryptionError ? thrown.code : String(thrown));
              }
            }
          }
          await machine.close();
          return { first, again, news, heard: [...new Set(heard)].sort(), stored, shown };
        }, { own: me.own, text, events: open });
        const rooms = (kind: "imported" | "unchanged"): Record<string, ImportCounts> => {
          const all: Record<string, ImportCounts> = {};
          for (const { room_id } of keys) (all[room_id] as { imported: number; unchanged: number }) = { ...(all[room_id] ?? counts(0)), [kind]: (all[room_id]?.[kind] ?? 0) + 1 };
          return all;
        };
        assert.deepEqual(got.first, { ...counts(total), total, rooms: rooms("imported"), failures: [] }, path);
        assert.deepEqual(got.again, { ...counts(0, total), total, rooms: rooms("unchanged"), failures: [] }, path);
        assert.deepEqual([got.news, got.heard], [total, keys.map(({ session_id }) => session_id).sort()], "listeners hear of each key, once");
        assert.deepEqual(got.stored, { total, backedUp: 0 });
        const each = (end: string): string[] => open.map(() => end);
        const grey = "Grey insecure_source_legacy true claimed UnknownDevice  ";
        assert.deepEqual(got.shown, {
          Untrusted: each(grey), CrossSignedOrLegacy: each(grey), CrossSigned: each("authenticity_not_guaranteed"), Verified: each("authenticity_not_guaranteed"),
        }, path);
      });
    }
  });

  test("counts by room, and failures by position and code: T35, T39, T40", async () => {
    const [one, two, three, four, other] = [new Outbound(room), new Outbound(room), new Outbound("!other:test"), new Outbound(room), new Outbound(room)];
    const good = one.exported(alice);
    const { sender_key: _, ...keyless } = good;
    // The right public key behind a ratchet that never was.
    const bytes = Buffer.from(String(other.exported(alice)["session_key"]), "base64");
    Buffer.from(four.sessionId, "base64").copy(bytes, bytes.length - 32);
    const unconnected = { ...four.exported(alice), session_key: bytes.toString("base64").replace(/=+$/, "") };
    const keys: Json[] = [
      good,
      { ...good, room_id: 7 },
      three.exported(alice, 3), three.exported(alice), three.exported(alice, 1),
      { ...two.exported(alice), session_id: one.sessionId },
      { ...good, algorithm: "m.megolm.v2" },
      keyless,
      { ...good, session_key: "AQ" },
      { ...good, padding: "A".repeat(70_000) },
      null,
      four.exported(alice), unconnected,
      two.exported(alice),
    ];
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, text }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const result = await machine.importExportedRoomKeys(text);
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { result, total };
      }, { own: me.own, text: JSON.stringify(keys) });
      assert.deepEqual(got.result.failures.map(({ position, code }) => [position, code]), [
        [1, "bad_member"], [5, "session_id_mismatch"], [6, "unsupported_algorithm"], [7, "missing_member"], [8, "bad_session_key"], [9, "entry_too_large"],
        [10, "bad_entry_json"], [12, "unconnected"],
      ]);
      for (const { message } of got.result.failures) assert.match(message, /^[a-z].{10,300}$/);
      assert.deepEqual({ ...got.result, failures: [] }, {
        ...counts(4, 1, 1, 8), total: keys.length, failures: [],
        rooms: { [room]: counts(3, 0, 0, 1), "!other:test": counts(1, 1, 1) },
      });
      assert.equal(got.total, 4);
    });
  });

  test("only the first thousand failures are listed, and all are counted", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, good }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const result = await machine.importExportedRoomKeys([...Array.from({ length: 1500 }, () => ({})), good]);
        await machine.close();
        const { failures, ...rest } = result;
        return { rest, listed: failures.length, last: failures.at(-1) };
      }, { own: me.own, good: new Outbound(room).exported(alice) as never });
      assert.deepEqual(got.rest, { ...counts(1, 0, 0, 1500), total: 1501, rooms: { [room]: counts(1) } });
      assert.deepEqual([got.listed, got.last?.position, got.last?.code], [1000, 999, "missing_member"]);
    });
  });

  test("tells how far it is: at the beginning, ten times a second, at the end", async (t) => {
    const keys = lot(6000);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, text }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "progress" } });
        const told: ImportProgress[] = [];
        const at: number[] = [];
        const began = performance.now();
        const result = await machine.importExportedRoomKeys(text, { progressCallback: (progress) => { told.push(progress); at.push(performance.now()); } });
        const took = performance.now() - began;
        await new Promise((resolve) => setTimeout(resolve, 150));
        const late = told.length - at.filter((time) => time <= began + took).length;
        await machine.close();
        return { told, gaps: at.map((time, i) => time - (at[i - 1] ?? began)), took, late, total: result.total };
      }, { own: me.own, text: JSON.stringify([...keys.slice(0, 5000), {}, ...keys.slice(5000)]) });
      const { told } = got;
      assert.deepEqual(told[0], { stage: "load_keys", successes: 0, failures: 0, total: 6000 }, "the empty object holds no key that one could see");
      assert.deepEqual(told.at(-1), { stage: "load_keys", successes: 6000, failures: 1, total: 6001 });
      assert.equal(got.total, 6001);
      for (const [i, { successes, failures, total }] of told.entries()) {
        assert.ok(successes >= (told[i - 1]?.successes ?? 0) && failures >= (told[i - 1]?.failures ?? 0) && successes + failures <= total, `call ${i}`);
      }
      assert.ok(told.some(({ successes }) => successes > 0 && successes < 6000), "something is told on the way");
      assert.equal(got.late, 0, "nothing is told after the end");
      t.diagnostic(`${told.length} calls in ${got.took.toFixed(0)} ms, at most ${Math.max(...got.gaps).toFixed(0)} ms between two (to be below 100)`);
      assert.ok(told.length > got.took / 400, `${told.length} calls in ${got.took} ms`);
      assert.ok(Math.max(...got.gaps) < 3000, `${Math.max(...got.gaps)} ms without a word`);
    });
  });

  test("a progressCallback that throws ends the import, and what it threw comes out: at the first call, on the way, at the last", async () => {
    const keys = lot(6000);
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, text, small }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "thrown" } });
        const ends: { same: boolean; calls: number; stored: number }[] = [];
        const attempt = async (keys: string, throwAt: (progress: ImportProgress) => boolean, what: unknown): Promise<void> => {
          let calls = 0;
          let caught: unknown = "nothing";
          try {
            await machine.importExportedRoomKeys(keys, { progressCallback: (progress) => {
              calls++;
              if (throwAt(progress)) throw what;
            } });
          } catch (thrown) {
            caught = thrown;
          }
          const after = calls;
          await new Promise((resolve) => setTimeout(resolve, 120));
          ends.push({ same: Object.is(caught, what) && calls === after, calls, stored: (await machine.roomKeyCounts()).total });
        };
        await attempt(text, () => true, new Error("at once"));
        await attempt(text, () => true, undefined);
        await attempt(text, ({ successes }) => successes > 0, new Error("on the way"));
        await attempt(small, ({ successes }) => successes > 0, new Error("at the end"));
        const result = await machine.importExportedRoomKeys(text);
        await machine.close();
        return { ends, result };
      }, { own: me.own, text: JSON.stringify(keys), small: JSON.stringify(lot(3)) });
      const [first, nothing, onTheWay, atTheEnd] = got.ends;
      assert.ok(got.ends.every(({ same }) => same), "its own error comes out, and it is not called again");
      assert.deepEqual([first?.calls, first?.stored, nothing?.calls, nothing?.stored], [1, 0, 1, 0]);
      const kept = onTheWay?.stored ?? 0;
      assert.ok(kept > 0 && kept < 6000 && kept % chunk === 0, `${kept} keys: whole chunks`);
      assert.equal(atTheEnd?.stored, kept + 3, "all of it was stored by then");
      assert.deepEqual([got.result.imported, got.result.unchanged], [6000 - kept, kept]);
      assert.deepEqual(printed, []);
    });
  });

  test("F26: aborted before it begins, on the way, after its end: what is stored is whole, and a second run completes it", async (t) => {
    const count = 6000;
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, text }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "aborted" } });
        const calls: number[] = [];
        const gone = new AbortController();
        gone.abort(new Error("no longer wanted"));
        let cause = "";
        const before = await kit.failure(() => machine.importExportedRoomKeys(text, { signal: gone.signal, progressCallback: () => calls.push(0) }).catch((thrown: Error) => {
          cause = String(thrown.cause);
          throw thrown;
        }));
        const untouched = await machine.roomKeyCounts();

        // In its first moments, while nothing is stored; and when something is.
        const runs: { code: string; took: number; kept: number; imported: number; told: number }[] = [];
        let kept = 0;
        for (const enough of [0, 1]) {
          const controller = new AbortController();
          let at = 0;
          let told = 0;
          const { code } = await kit.failure(() => machine.importExportedRoomKeys(text, { signal: controller.signal, progressCallback: ({ successes }) => {
            if (at > 0) told++;
            if (at === 0 && successes >= enough) {
              // From outside of the import, as a person does it.
              setTimeout(() => { at = performance.now(); controller.abort(); });
            }
          } }));
          const took = performance.now() - at;
          const { total } = await machine.roomKeyCounts();
          runs.push({ code, took, kept: total, imported: total - kept, told });
          kept = total;
        }
        const complete = await machine.importExportedRoomKeys(text);
        const late = new AbortController();
        let listening = 0;
        const { signal } = late;
        signal.addEventListener = (...args: Parameters<AbortSignal["addEventListener"]>) => { listening++; AbortSignal.prototype.addEventListener.apply(signal, args); };
        signal.removeEventListener = (...args: Parameters<AbortSignal["removeEventListener"]>) => { listening--; AbortSignal.prototype.removeEventListener.apply(signal, args); };
        const finished = await machine.importExportedRoomKeys(text, { signal });
        const left = listening;
        late.abort();
        await new Promise((resolve) => setTimeout(resolve, 50));
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { before, cause, calls, untouched, runs, complete, finished, left, total };
      }, { own: me.own, text: JSON.stringify(lot(count)) });
      assert.deepEqual([got.before.code, got.cause, got.calls, got.untouched.total], ["aborted", "Error: no longer wanted", [], 0]);
      for (const { code, took, kept } of got.runs) {
        t.diagnostic(`rejects ${took.toFixed(0)} ms after the abort (to be below 200), ${kept} keys are stored`);
        assert.equal(code, "aborted");
        assert.ok(took < 3000, `${took} ms`);
        assert.equal(kept % chunk, 0, "whole chunks");
      }
      const [, onTheWay] = got.runs;
      const kept = onTheWay?.kept ?? 0;
      assert.ok(kept > 0 && kept < count, String(kept));
      assert.deepEqual(got.runs.map(({ told }) => told), [0, 0], "nothing is told once it is aborted");
      assert.deepEqual([got.complete.imported, got.complete.unchanged, got.complete.total], [count - kept, kept, count]);
      assert.deepEqual([got.finished.unchanged, got.left, got.total], [count, 0, count], "and nothing listens to a signal that may live on");
    });
  });

  test("a machine that is closed meanwhile ends the import with a word, and the page hears of nothing else", async () => {
    const count = 6000;
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, text }) => {
        let machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "closed" } });
        let closing: Promise<void> | undefined;
        const { name, code } = await kit.failure(() => machine.importExportedRoomKeys(text, { progressCallback: ({ successes }) => {
          if (successes > 0) closing ??= machine.close();
        } }));
        await closing;
        await new Promise((resolve) => setTimeout(resolve, 200));
        const dead = await kit.failure(() => machine.importExportedRoomKeys("[]"));
        machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "closed" } });
        const { total: kept } = await machine.roomKeyCounts();
        const { imported, unchanged } = await machine.importExportedRoomKeys(text);
        await machine.close();
        return { name, code, dead: dead.code, kept, imported, unchanged };
      }, { own: me.own, text: JSON.stringify(lot(count)) });
      assert.ok(["closed", "engine_stopped"].includes(got.code), `${got.name} ${got.code}`);
      assert.equal(got.dead, "closed");
      assert.ok(got.kept > 0 && got.kept % chunk === 0, String(got.kept));
      assert.deepEqual([got.imported, got.unchanged], [count - got.kept, got.kept]);
      assert.deepEqual(printed, []);
    });
  });

  test("two imports at a time, and messages meanwhile, do not disturb each other", async () => {
    const [one, two] = [lot(1500), lot(1500)];
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, one, two, item, event }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "both" } });
        const both = Promise.all([machine.importExportedRoomKeys(one), machine.importExportedRoomKeys(two)]);
        await machine.receiveRoomKeys([item]).stored;
        const decrypted = await machine.decryptRoomEvent(event, "!room:test");
        const [first, second] = await both;
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { ends: [first.imported, first.failed, second.imported, second.failed], total, body: kit.body(decrypted) };
      }, { own: me.own, one: JSON.stringify(one), two: JSON.stringify([...two, ...one.slice(0, 100)]), item: outbound.item(alice, me), event: outbound.event(alice.userId, "$1", "hello") as never });
      const [first = 0, firstFailed, second = 0, secondFailed] = got.ends;
      assert.deepEqual([first + second, firstFailed, secondFailed, got.total, got.body], [3000, 0, 0, 3001, "hello"]);
    });
  });
});

describe("what is made of imported keys", () => {
  test("scenario 106, decision 20: whose key it says it is, is told when the device becomes known, and nothing is written or raised", async () => {
    const outbound = new Outbound(room);
    const stranger = new Outbound(room);
    const mallory = new Person("@mallory:test", "MALLORY");
    // Says Alice's identity key, and another fingerprint key.
    const forged = { ...stranger.exported(alice), sender_claimed_keys: { ed25519: mallory.ed25519.public } };
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, keys, event, answer, id, strangerId, room }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "hints" } });
        const told: unknown[] = [];
        machine.registerSenderDataUpdatedCallback((updates) => told.push(updates));
        await machine.importExportedRoomKeys(keys);
        await machine.loadRoom(room);
        const copies = async (): Promise<string> => JSON.stringify((JSON.parse(await kit.dump("hints")) as [string, unknown][]).filter(([store]) => store !== "users"));
        const look = async (): Promise<unknown> => {
          const { senderData, atReception, legacySession, hint, forwarder, verdict, senderDevice } = machine.getRoomEventEncryptionInfo(event, room);
          const { copies, tombstones, withheld } = await machine.explain(room, id);
          return { info: { senderData, atReception, legacySession, hint, forwarder, senderDevice, state: verdict.state }, copies: copies.map(({ receivedAt, ...rest }) => ({ ...rest, received: receivedAt > 0 })), tombstones, withheld };
        };
        const before = await look();
        const rows = await copies();
        const { roomKeys } = await machine.receiveKeysQueryResponse(answer);
        const after = await look();
        const forged = (await machine.explain(room, strangerId)).copies[0];
        const same = rows === (await copies());
        const stores = (JSON.parse(await kit.dump("hints")) as [string, unknown[]][]).map(([store, rows]) => `${store} ${rows.length}`);
        machine.setTrustRequirement("CrossSigned");
        const withheld = await kit.failure(() => machine.decryptRoomEvent(event, room));
        await machine.close();
        return { before, after, roomKeys, same, stores, told, withheld: withheld.code, forged: [forged?.hint, forged?.why] };
      }, { own: me.own, keys: [outbound.exported(alice), forged] as never, event: outbound.event(alice.userId, "$1", "hello") as never, answer: keysQueryAnswer([alice]), id: outbound.sessionId, strangerId: stranger.sessionId, room });
      const unknown = { type: "UnknownDevice" };
      const nobody = {
        info: { senderData: unknown, atReception: unknown, legacySession: true, hint: null, forwarder: null, senderDevice: null, state: "insecure_source_legacy" },
        copies: [{
          senderKey: alice.curve25519, provenance: "claimed", firstKnownIndex: 0, senderData: unknown, atReception: unknown, legacySession: true, suspended: false,
          received: true, forwarder: null, hint: null, schedule: null,
          steps: ["A", "D"].map((step) => ({ step, evidence: "claimed", device: null, sentence: "The key came from a file, a backup or somebody who handed it over: nothing about its sender is proved." })),
          remedy: "room_key_from_sender",
          why: "It came from a file or a backup, and claims to be from a device that nobody known lists.",
          wouldChange: "A file, a backup or whoever hands a key over cannot prove who made it. Receiving the same key from its sender would.",
        }],
        tombstones: [], withheld: null,
      };
      assert.deepEqual(got.before, nobody);
      const hint = { userId: alice.userId, deviceId: alice.deviceId, crossSigned: true, verification: "Unverified" };
      const why = "It came from a file or a backup, and claims to be from @alice:test's device ALICE, which is cross-signed today.";
      assert.deepEqual(got.after, { ...nobody, info: { ...nobody.info, hint }, copies: [{ ...nobody.copies[0], hint, why }] });
      assert.deepEqual([got.roomKeys, got.told], [0, []], "no key was touched, and nobody was told");
      assert.ok(got.same, got.stores.join(", "));
      assert.equal(got.withheld, "authenticity_not_guaranteed");
      assert.deepEqual(got.forged, [null, "It came from a file or a backup, and claims to be from a device of @alice:test with another fingerprint key than that device has."], "who lists the identity key with another fingerprint key is no hint");
    });
  });

  test("scenario 107: the same key from its sender proves who that is", async () => {
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, id, key, item, event, answer, room }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, trustRequirement: "CrossSigned" });
        await machine.receiveKeysQueryResponse(answer);
        await machine.importExportedRoomKeys([key]);
        const before = await kit.failure(() => machine.decryptRoomEvent(event, room));
        await machine.receiveRoomKeys([item]).stored;
        const { encryptionInfo } = await machine.decryptRoomEvent(event, room);
        const { copies } = await machine.explain(room, id);
        await machine.close();
        return { before: before.code, type: encryptionInfo.senderData?.type, provenance: encryptionInfo.provenance, hint: encryptionInfo.hint, whys: copies.map(({ provenance, why, hint }) => [provenance, why === null, hint?.userId ?? null]) };
      }, { own: me.own, id: outbound.sessionId, key: outbound.exported(alice) as never, item: outbound.item(alice, me), event: outbound.event(alice.userId, "$1", "hello") as never, answer: keysQueryAnswer([alice]), room });
      assert.deepEqual(got, { before: "authenticity_not_guaranteed", type: "SenderUnverified", provenance: "direct", hint: null, whys: [["direct", true, null], ["claimed", false, "@alice:test"]] });
    });
  });
});

describe("an export of room keys", () => {
  test("scenario 115: all, those that are chosen, and none, as text and in pieces", async () => {
    const wrong = new Person("@wrong:test", "WRONG", "wrong");
    const keys = lot(700);
    const direct = new Outbound("!direct:test");
    const suspended = new Outbound("!suspended:test");
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, text, items, answer }) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { name: "export" } });
        const none = await machine.exportRoomKeys();
        await machine.receiveKeysQueryResponse(answer);
        const receipts = machine.receiveRoomKeys(items);
        await receipts.stored;
        await machine.importExportedRoomKeys(text);
        const asked: unknown[] = [];
        const all = await machine.exportRoomKeys();
        const chosen = await machine.exportRoomKeys((key) => {
          asked.push(key);
          return key.roomId === "!room7:test" || key.roomId === "!direct:test";
        });
        const nothing = await machine.exportRoomKeys(() => false);
        const pieces: string[] = [];
        for await (const piece of machine.exportRoomKeysStream()) pieces.push(piece);
        let early = 0;
        for await (const piece of machine.exportRoomKeysStream()) {
          early += piece.length;
          break; // whoever has seen enough goes
        }
        const fault = new Error("a predicate's own fault");
        const thrown = await machine.exportRoomKeys(() => { throw fault; }).catch((thrown: unknown) => thrown === fault);
        const controller = new AbortController();
        const aborted = await kit.failure(async () => {
          for await (const _ of machine.exportRoomKeysStream(undefined, { signal: controller.signal })) controller.abort();
        });
        const gone = await kit.failure(() => machine.exportRoomKeys(undefined, { signal: AbortSignal.abort() }));
        const another = await ks.OlmMachine.open({ ...own, store: { memory: true } });
        const result = await another.importExportedRoomKeys(all);
        const back = await another.exportRoomKeys();
        await another.close();
        await machine.close();
        const closed = await kit.failure(() => machine.exportRoomKeys());
        return { none, all, chosen, nothing, pieces: [pieces.length, pieces.join("") === all], early, thrown, aborted: aborted.code, gone: gone.code, asked: asked.length, sample: asked[0], result, back, closed: closed.code, suspended: receipts.receipts[1]?.accepted === true && receipts.receipts[1].suspended };
      }, { own: me.own, text: JSON.stringify(keys), items: [direct.item(alice, me), suspended.item(wrong, me, { embed: false })], answer: keysQueryAnswer([alice, wrong]) });
      assert.deepEqual([got.none, got.nothing], ["[]", "[]"]);
      type Key = Record<string, Json>;
      const bySession = (list: readonly Key[]): Key[] => [...list].sort((a, b) => (String(a["session_id"]) < String(b["session_id"]) ? -1 : 1));
      const wanted = (key: Key): Key => ({ ...key, "m.shared_history": false });
      const all = bySession(JSON.parse(got.all) as Key[]);
      assert.ok(got.suspended);
      assert.deepEqual(all, bySession([...keys, direct.exported(alice)].map(wanted)), "all but the suspended one, member for member");
      assert.deepEqual(bySession(JSON.parse(got.chosen) as Key[]), all.filter(({ room_id }) => room_id === "!room7:test" || room_id === "!direct:test"));
      assert.equal(got.asked, 701);
      assert.deepEqual(Object.keys(got.sample as object).sort(), ["roomId", "senderKey", "sessionId"]);
      assert.ok((got.pieces[0] as number) > 2 && got.pieces[1] === true, String(got.pieces));
      assert.ok(got.early > 0 && got.early < got.all.length);
      assert.deepEqual([got.thrown, got.aborted, got.gone, got.closed], [true, "aborted", "aborted", "closed"]);
      assert.deepEqual([got.result.imported, got.result.failed], [701, 0]);
      assert.deepEqual(bySession(JSON.parse(got.back) as Key[]), all, "out and in and out again is the same");
    });
  });
});
