// Threat rows T34 to T57 that are not told elsewhere: attacks by files and forged notices, by a server's answers, by sheer volume and by odd names, given
// to the machine as a client gives them; and what a script on the page's origin can do to the database.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../src/index.js";
import { answerOf, bytesOf, keyWith, resigned, room, useAttacks, type JsonMap } from "./attackkit.js";
import { withNet } from "./lanekit.js";
import { withKit } from "./machinekit.js";
import { Identity, keysQueryAnswer, Outbound, Person, type Json } from "./people.js";

const { chrome, attack } = useAttacks();

const me = new Person("@me:test", "MINE", "yes");
const alice = new Person("@alice:test", "ALICE", "yes");
const mallory = new Person("@mallory:test", "MALLORY", "yes");
const known = [{ answer: keysQueryAnswer([alice, mallory]) }, "applied"] as const;
const unsure = "shown shown shown unverified_identity";
const claimed = "grey grey authenticity_not_guaranteed authenticity_not_guaranteed";
const but = (code: string): string => `red ${code} ${code} ${code}`;
const hidden = (code: string): string => `${code} ${code} ${code} ${code}`;
const oneNew = "1 new, 0 better, 0 unchanged";

/** A claim with the right name over a ratchet that never was. */
function invented(session: Outbound, from: Person): JsonMap {
  const exported = new Outbound(room).exported(from);
  return { ...exported, session_id: session.sessionId, session_key: bytesOf(String(exported["session_key"]), (bytes) => void Buffer.from(session.sessionId, "base64").copy(bytes, 133)) };
}

describe("claims", () => {
  test("T34: a backup says that Mallory's session is Alice's", async () => {
    const session = new Outbound(room);
    const forged = session.event("@alice:test", "$1", "I owe Mallory");
    await attack(me, [
      known,
      [{ imported: [session.exported(alice)] }, oneNew], [{ event: forged }, claimed],
      [{ keys: [session.item(mallory, me)] }, "SenderUnverified @mallory:test"],
      [{ event: forged }, but("mismatched_sender")],
      [{ reopen: true }, "opened"], [{ event: forged }, but("mismatched_sender")],
    ]);
  });

  test("T36: a file has the right name over an invented ratchet, and the genuine key comes later", async () => {
    const session = new Outbound(room);
    await attack(me, [
      known,
      [{ imported: [invented(session, alice)] }, oneNew],
      [{ event: session.event("@alice:test", "$1", "hello") }, hidden("unable_to_decrypt")],
      [{ keys: [session.item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ event: session.event("@alice:test", "$1", "hello") }, unsure],
      [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0, claimed UnknownDevice from 0 legacy"],
    ]);
  });

  test("T37: the first file names the wrong device, the second the right one and more of the session", async () => {
    const session = new Outbound(room);
    await attack(me, [
      known,
      [{ imported: [session.exported(mallory, 3)] }, oneNew], [{ event: session.event("@alice:test", "$1", "hello") }, hidden("unknown_index")],
      [{ imported: [session.exported(alice)] }, oneNew], [{ event: session.event("@alice:test", "$1", "hello") }, claimed],
    ]);
  });

  test("T38: a file washes nothing that a direct key hides", async () => {
    const session = new Outbound(room);
    const unsigned = new Person("@alice:test", "UNSIGNED");
    await attack(me, [
      [{ answer: keysQueryAnswer([alice, unsigned]) }, "applied"],
      [{ keys: [session.item(unsigned, me, { index: 3 })] }, "DeviceInfo @alice:test"],
      [{ imported: [session.exported(unsigned)] }, oneNew],
      [{ event: session.event("@alice:test", "$1", "hello") }, "grey unsigned_device unsigned_device unsigned_device"],
      [{ reopen: true }, "opened"],
      [{ event: session.event("@alice:test", "$1", "hello") }, "grey unsigned_device unsigned_device unsigned_device"],
    ]);
  });

  test("T46: a forged notice that a key is withheld, for a key that is here and for one that is not", async () => {
    const [here, missing] = [new Outbound(room), new Outbound(room)];
    const notice = (session: Outbound): JsonMap => ({
      type: "m.room_key.withheld", sender: "@mallory:test",
      content: { algorithm: "m.megolm.v1.aes-sha2", code: "m.blacklisted", reason: "no", room_id: room, session_id: session.sessionId, sender_key: alice.curve25519 },
    });
    await attack(me, [
      known, [{ keys: [here.item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ notices: [notice(here), notice(missing)] }, "taken, taken"],
      [{ event: here.event("@alice:test", "$1", "hello") }, unsure],
      [{ event: missing.event("@alice:test", "$2", "hello") }, hidden("withheld")],
      [{ keys: [missing.item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ event: missing.event("@alice:test", "$2", "hello") }, unsure],
    ]);
  });
});

describe("servers, crowds and names", () => {
  test("T48: an answer from before a reset arrives after the one from after it", async () => {
    const victim = new Person("@alice:test", "ALICE", "yes");
    const old = keysQueryAnswer([victim]);
    victim.identity = new Identity(victim.userId);
    const session = new Outbound(room);
    await attack(me, [
      [{ ask: ["@alice:test"] }, "asked"], [{ ask: ["@alice:test"] }, "asked"],
      [{ answer: keysQueryAnswer([victim]), to: 1 }, "applied"], [{ answer: old, to: 0 }, "stale_answer; nothing stored"],
      [{ keys: [session.item(victim, me, { embed: false })] }, "SenderUnverified @alice:test"],
      [{ reopen: true }, "opened"],
      [{ keys: [new Outbound(room).item(victim, me, { embed: false })] }, "SenderUnverified @alice:test"],
    ]);
  });

  test("T49: answers with 100,000 devices, a string of 10 MB, a thousand levels; others in them are heard of", async () => {
    const many = answerOf([alice], ({ device_keys }) => (device_keys["@mallory:test"] = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`D${i}`, {}]))));
    let deep: Json = 1;
    for (let i = 0; i < 1000; i++) deep = [deep];
    for (const [answer, code] of [
      [many, "too_many_devices"],
      [answerOf([alice], ({ device_keys }) => (device_keys["@mallory:test"] = { MALLORY: { ...mallory.deviceKeys(), long: "x".repeat(10 << 20) } })), "too_large"],
      [answerOf([alice], ({ device_keys }) => (device_keys["@mallory:test"] = { MALLORY: { ...mallory.deviceKeys(), deep } })), "too_deep"],
    ] as const) {
      await attack(me, [[{ answer }, code], [{ keys: [new Outbound(room).item(alice, me, { embed: false }), new Outbound(room).item(mallory, me, { embed: false })] }, "SenderUnverified @alice:test, UnknownDevice"]]);
    }
  });

  test("T50: the keys of two thousand strangers, and one session that thousands claim to have made", { timeout: 120_000 }, async () => {
    const session = new Outbound(room);
    const claims = session.exported(alice);
    const stranger = new Person("@stranger:test", "STRANGE");
    const crowd = Array.from({ length: 2000 }, (_, i) => ({ ...new Outbound(`!crowd${i % 20}:test`).item(stranger, me, { embed: false }) }));
    const makers = Array.from({ length: 200 }, () => ({ ...claims, sender_key: new Person("@m:test", "M").curve25519 }));
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, event, crowd, makers, answer }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "crowd" } });
        await machine.receiveKeysQueryResponse(answer);
        const { imported, failures } = await machine.importExportedRoomKeys(makers);
        await machine.receiveRoomKeys([item]).stored;
        const { receipts, stored } = machine.receiveRoomKeys(crowd);
        await stored;
        const { copies } = await machine.explain("!room:test", event.content.session_id);
        machine.setTrustRequirement("CrossSigned");
        const body = kit.body(await machine.decryptRoomEvent(event, "!room:test"));
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { imported, codes: [...new Set(failures.map(({ code }) => code))], accepted: receipts.filter(({ accepted }) => accepted).length, direct: copies.filter(({ provenance }) => provenance === "direct").length, body, total };
      }, { own: me.own, item: session.item(alice, me), event: session.event("@alice:test", "$1", "hello") as never as JsonObject & { content: { session_id: string } }, crowd, makers: makers as never as JsonObject[], answer: keysQueryAnswer([alice]) });
      assert.ok(got.imported >= 1 && got.imported <= 32, `${got.imported} of ${makers.length} claims were taken`);
      assert.deepEqual([got.codes, got.accepted, got.direct, got.body, got.total], [["too_many_claims"], crowd.length, 1, "hello", got.imported + 1 + crowd.length]);
    });
  });

  test("T52: a device whose description has a signed member that nobody knows", async () => {
    const extra = (object: JsonMap): void => void (object["org.example.extra"] = { é: [1, null, "\u2028"], "": -0 });
    const good = resigned(alice, extra);
    const spoiled = { ...good, "org.example.extra": 1 };
    const item = (device: JsonMap): ReturnType<Outbound["item"]> => {
      const session = new Outbound(room);
      return { ...session.item(alice, me), payload: JSON.stringify({ ...session.payload(alice, me), sender_device_keys: device }) };
    };
    await attack(me, [
      [{ keys: [item(good), item(spoiled)] }, "DeviceInfo @alice:test, sender_device_keys_signature"],
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ALICE: spoiled })) }, "device_signature_invalid"],
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ALICE: good })) }, "applied"],
      [{ reopen: true }, "opened"],
      [{ keys: [item(good)] }, "DeviceInfo @alice:test"],
    ]);
  });

  test("T53: rooms and sessions whose names look alike, and names of 10 KB", async () => {
    const session = new Outbound(room);
    const names = ["!a|b:c", "!a:b|c", "!a\u001db:c", "!a:c", "!a%7Cb:c", "!\ue000:c", "!\u{1F511}:c", "!a,b:c", '!a","b:c'];
    await attack(me, [
      known,
      [{ keys: names.map((room_id) => keyWith(session, alice, me, { room_id })) }, names.map(() => "SenderUnverified @alice:test").join(", ")],
      [{ reopen: true }, "opened"],
      ...names.map((name) => [{ copies: session.sessionId, room: name }, "direct SenderUnverified @alice:test from 0"] as const),
      [{ keys: [keyWith(session, alice, me, { room_id: `!${"a".repeat(10_000)}:c` })] }, "bad_room_id; nothing stored"],
      [{ event: session.event("@alice:test", "$1", "hello", { roomId: "!a|b:c" }), room: "!a|b:c" }, unsure],
      [{ event: session.event("@alice:test", "$2", "hello", { roomId: "!a:c" }), room: "!a:b|c" }, hidden("wrong_room")],
    ]);
  });

  test("T57: a message whose sender is no user, or missing", async () => {
    const session = new Outbound(room);
    const { sender: _, ...without } = session.event("@alice:test", "$1", "hello");
    await attack(me, [
      known, [{ keys: [session.item(alice, me)] }, "SenderUnverified @alice:test"],
      ...["charlie", "", "@charlie", "@:test"].map((sender) => [{ event: session.event(sender, "$1", "hello") }, hidden("bad_sender")] as const),
      [{ event: without }, hidden("bad_sender")],
      [{ keys: [{ ...new Outbound(room).item(alice, me), sender: "charlie" }] }, "bad_sender; nothing stored"],
    ]);
  });
});

describe("a script on the page's origin", () => {
  test("T54: it swaps two stored keys, edits a third and takes a fourth out of the index", async () => {
    const sessions = Array.from({ length: 4 }, () => new Outbound(room)).sort((a, b) => (a.sessionId < b.sessionId ? -1 : 1)); // as their rows lie
    const stranger = new Person("@stranger:test", "STRANGE", "yes");
    const waiting = new Outbound("!zoo:test");
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, items, events, answer, late, lost }) => {
        const { decodeFrame, encodeFrame } = (await import("/dist/frame.js" as string)) as typeof import("../src/frame.js");
        const { editLeaf } = (await import("/build/test/idbkit.js" as string)) as typeof import("./idbkit.js");
        const open = (): ReturnType<typeof kit.ks.OlmMachine.open> => kit.ks.OlmMachine.open({ ...own, store: { name: "edited" } });
        let machine = await open();
        await machine.receiveKeysQueryResponse(answer);
        await machine.receiveRoomKeys(items).stored;
        await machine.close();
        await editLeaf("edited", [[]], (leaf) => {
          const rows = (leaf.rows as Uint8Array[]).map((row) => decodeFrame(row).map((item) => item.slice()));
          const [a = [], b = [], c = []] = rows;
          [a[2], b[2]] = [b[2] ?? new Uint8Array(), a[2] ?? new Uint8Array()];
          const value = c[2] ?? new Uint8Array();
          value[value.length >> 1] = (value[value.length >> 1] ?? 0) ^ 1;
          leaf.rows = rows.map((items) => encodeFrame(items));
          delete leaf["waiting"];
        });
        machine = await open();
        machine.setTrustRequirement("CrossSigned");
        const reports: string[] = [];
        machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
        const verdict = (event: JsonObject, room: string): Promise<string> => machine.decryptRoomEvent(event, room).then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code);
        const all = async (): Promise<string[]> => {
          const ends: string[] = [];
          for (const event of events) ends.push(await verdict(event, "!room:test"));
          return ends;
        };
        const before = await all();
        const hidden = await verdict(lost, "!zoo:test");
        await machine.receiveKeysQueryResponse(late);
        const found = await verdict(lost, "!zoo:test");
        await machine.receiveRoomKeys(items).stored;
        const after = await all();
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { before, hidden, found, after, reports, total };
      }, {
        own: me.own, items: [...sessions.map((session) => session.item(alice, me)), waiting.item(stranger, me, { embed: false })],
        events: sessions.map((session, i) => session.event("@alice:test", `$${i}`, "hello") as JsonObject),
        answer: keysQueryAnswer([alice]), late: keysQueryAnswer([stranger]), lost: waiting.event("@stranger:test", "$lost", "hello") as JsonObject,
      });
      const known = "sender_unverified";
      assert.deepEqual(got.before, ["no_key", "no_key", "no_key", known]);
      assert.deepEqual(got.reports, Array(3).fill("record_quarantined"), "what cannot be believed is set aside and told");
      assert.deepEqual([got.hidden, got.found], ["unknown_device", known], "who is in no index is found all the same");
      assert.deepEqual(got.after, [known, known, known, known], "delivered again, the keys are there");
      assert.equal(got.total, 5);
    });
  });

  test("T55: it steals the lock, closes the database, deletes it", async () => {
    await withNet(chrome, async ({ inPage }) => {
      const sessions = [new Outbound(room), new Outbound(room)];
      const got = await inPage(async ({ own, items, answer }) => {
        const { machine, server } = await net.open(kit.ks, own, "stolen", new net.Homeserver().know(answer));
        const reports: string[] = [];
        machine.registerStoreReportCallback(({ code }) => void (code.startsWith("persistence") || reports.push(code)));
        await net.until("it leads", () => server.asked.length > 0);
        let letGo: () => void = () => undefined;
        const stolen = new Promise<void>((resolve) => {
          void navigator.locks.request("knownsender:stolen", { steal: true }, () => {
            resolve();
            return new Promise<void>((release) => (letGo = release));
          });
        });
        await stolen;
        const [first] = items;
        await machine.receiveRoomKeys(first === undefined ? [] : [first]).stored;
        letGo();
        const { total } = await machine.roomKeyCounts();
        await new Promise((resolve) => (indexedDB.deleteDatabase("stolen").onsuccess = resolve));
        const codes = [await kit.failure(() => machine.receiveRoomKeys(items).stored), await kit.failure(() => machine.roomKeyCounts())].map(({ code }) => code);
        await machine.close().catch(() => undefined);
        const left = (await indexedDB.databases()).map(({ name }) => name);
        return { total, codes, reports, left };
      }, { own: me.own, items: sessions.map((session) => session.item(alice, me, { embed: false })), answer: keysQueryAnswer([alice]) });
      assert.deepEqual(got, { total: 1, codes: ["store_lost", "store_lost"], reports: ["blocking", "store_lost"], left: [] });
    });
  });
});
