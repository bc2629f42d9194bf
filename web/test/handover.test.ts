// Room keys that somebody hands over through the typed machine in a page: our own devices on request, whoever invites us with a history bundle,
// and what one device of ours knew of a sender for another. Who hands a key over is recorded, and makes nobody the sender.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject, TrustRequirement } from "../src/types.js";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { BackupVault, historyBundle, Identity, keysQueryAnswer, olmItem, olmPayload, Outbound, Person, type Json, type OlmItem } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const requirements: readonly TrustRequirement[] = ["Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"];

/** Another device of a person. */
function device(of: Person, deviceId: string, crossSigned: "no" | "yes" | "wrong" = "yes"): Person {
  const other = new Person(of.userId, deviceId, crossSigned);
  other.identity = of.identity;
  return other;
}

function ours(): { me: Person; tablet: Person; unsigned: Person; alice: Person; master: string } {
  const me = new Person("@me:test", "MINE", "yes");
  return { me, tablet: device(me, "TABLET"), unsigned: device(me, "UNSIGNED", "no"), alice: new Person("@alice:test", "ALICE", "yes"), master: me.identity?.master.public ?? "" };
}

const shownAsForwarded = { Untrusted: "Grey forwarded", CrossSignedOrLegacy: "Grey forwarded", CrossSigned: "authenticity_not_guaranteed", Verified: "authenticity_not_guaranteed" };

describe("a forwarded key", () => {
  test("scenario 110: that was asked for and comes from a verified device of ours opens its message, once, grey", async () => {
    const { me, tablet, alice, master } = ours();
    const outbound = new Outbound(room);
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, answer, master, item, event, room, id, requirements }) => {
        const { ks } = kit;
        let machine = await ks.OlmMachine.open({ ...own, store: { name: "forwarded" } });
        await machine.receiveKeysQueryResponse(answer);
        await machine.trustOwnIdentity(master);
        const request = await machine.requestRoomKey(room, id);
        const again = await machine.requestRoomKey(room, id);
        await machine.close();

        machine = await ks.OlmMachine.open({ ...own, store: { name: "forwarded" } }); // it is remembered
        const heard: unknown[] = [];
        machine.registerRoomKeyUpdatedCallback((keys) => heard.push(keys));
        const receipts = await machine.receiveForwardedRoomKeys([item]);
        const shown: Record<string, string> = {};
        let info: unknown;
        for (const requirement of requirements) {
          machine.setTrustRequirement(requirement);
          try {
            const { encryptionInfo } = await machine.decryptRoomEvent(event, room);
            shown[requirement] = `${encryptionInfo.verdict.shield.color} ${encryptionInfo.verdict.state}`;
            const { forwarder, hint, senderData, legacySession, provenance } = encryptionInfo;
            info = { forwarder, hint, senderData, legacySession, provenance };
          } catch (thrown) {
            shown[requirement] = thrown instanceof ks.DecryptionError ? thrown.code : String(thrown);
          }
        }
        const twice = await machine.receiveForwardedRoomKeys([item]);
        const cancelled = await machine.cancelRoomKeyRequest(room, id);
        const { copies } = await machine.explain(room, id);
        await machine.close();
        return { request, again, receipts, heard, shown, info, twice, cancelled, why: copies[0]?.why };
      }, { own: me.own, answer: keysQueryAnswer([me, tablet, alice]), master, item: outbound.forwarded(alice, tablet, me), event: outbound.event(alice.userId, "$1", "hello") as never, room, id: outbound.sessionId, requirements });
      const key = { roomId: room, sessionId: outbound.sessionId, senderKey: alice.curve25519 };
      assert.match(got.request.id, /^[A-Z2-7]{26}$/);
      assert.deepEqual(got.request.content, {
        action: "request", body: { algorithm: "m.megolm.v1.aes-sha2", room_id: room, session_id: outbound.sessionId }, request_id: got.request.id, requesting_device_id: "MINE",
      });
      assert.deepEqual(got.again, got.request);
      const cancellation = { id: got.request.id, content: { action: "request_cancellation", request_id: got.request.id, requesting_device_id: "MINE" } };
      assert.deepEqual(got.receipts, [{ accepted: true, ...key, cancellation }]);
      assert.deepEqual(got.heard, [[{ algorithm: "m.megolm.v1.aes-sha2", ...key }]]);
      assert.deepEqual(got.shown, shownAsForwarded);
      assert.deepEqual(got.info, {
        forwarder: { type: "SenderVerified", userId: me.userId, deviceId: "TABLET", masterKey: master },
        hint: { userId: alice.userId, deviceId: "ALICE", crossSigned: true, verification: "Unverified" },
        senderData: { type: "UnknownDevice" }, legacySession: true, provenance: "claimed",
      });
      assert.deepEqual(got.twice.map((receipt) => (receipt.accepted ? "accepted" : receipt.refusal.code)), ["forwarded_key_unrequested"]);
      assert.equal(got.cancelled, null);
      assert.equal(got.why, "It was handed over by @me:test, and claims to be from @alice:test's device ALICE, which is cross-signed today.");
      assert.deepEqual(printed, []);
    });
  });

  test("T44: unrequested, taken back, from others, from a device of ours that nobody verified, or unreadable, is refused at its position", async () => {
    const { me, tablet, unsigned, alice, master } = ours();
    const [asked, unasked, takenBack] = [new Outbound(room), new Outbound(room), new Outbound(room)];
    const good = asked.forwarded(alice, tablet, me);
    const content = asked.exported(alice);
    const cases: [name: string, item: OlmItem | null, code: string][] = [
      ["nobody asked", unasked.forwarded(alice, tablet, me), "forwarded_key_unrequested"],
      ["taken back", takenBack.forwarded(alice, tablet, me), "forwarded_key_unrequested"],
      ["from alice herself", asked.forwarded(alice, alice, me), "forwarder_not_own_device"],
      ["from an unsigned device of ours", asked.forwarded(alice, unsigned, me), "forwarder_not_own_device"],
      ["from a device nobody knows", asked.forwarded(alice, device(me, "STRANGE", "no"), me, { embed: false }), "forwarder_not_own_device"],
      ["for another device", asked.forwarded(alice, tablet, alice), "recipient_mismatch"],
      ["a room key", asked.item(tablet, me), "not_a_room_key"],
      ["another session's key", olmItem(tablet, olmPayload(tablet, me, "m.forwarded_room_key", { ...content, session_id: unasked.sessionId })), "session_id_mismatch"],
      ["no session key", olmItem(tablet, olmPayload(tablet, me, "m.forwarded_room_key", { ...content, session_key: "AQ" })), "bad_session_key"],
      ["null", null, "bad_sender"],
    ];
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, master, asked, takenBack, items, room }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        await machine.receiveKeysQueryResponse(answer);
        await machine.trustOwnIdentity(master);
        await machine.requestRoomKey(room, asked);
        const request = await machine.requestRoomKey(room, takenBack);
        const cancellation = await machine.cancelRoomKeyRequest(room, takenBack);
        const anew = await machine.requestRoomKey(room, takenBack);
        await machine.cancelRoomKeyRequest(room, takenBack);
        const receipts = await machine.receiveForwardedRoomKeys(items as never);
        const { total } = await machine.roomKeyCounts();
        const errors = [];
        for (const [roomId, id] of [["room", asked], [room, "no session"], [room, `${asked}=`]] as const) {
          errors.push((await kit.failure(() => machine.requestRoomKey(roomId, id))).code, (await kit.failure(() => machine.cancelRoomKeyRequest(roomId, id))).code);
        }
        await machine.close();
        return { receipts, total, ids: [request.id === cancellation?.id, request.id === anew.id], errors };
      }, { own: me.own, answer: keysQueryAnswer([me, tablet, unsigned, alice]), master, asked: asked.sessionId, takenBack: takenBack.sessionId, items: [...cases.map(([, item]) => item), good], room });
      const ends = got.receipts.map((receipt) => (receipt.accepted ? "accepted" : receipt.refusal.code));
      assert.deepEqual(Object.fromEntries(cases.map(([name], i) => [name, ends[i]])), Object.fromEntries(cases.map(([name, , code]) => [name, code])));
      assert.deepEqual([ends.at(-1), got.total], ["accepted", 1], "the good one among them is taken");
      assert.deepEqual(got.ids, [true, false], "asking anew is another request");
      assert.deepEqual(got.errors, ["bad_room_id", "bad_room_id", "bad_session_id", "bad_session_id", "bad_session_id", "bad_session_id"]);
    });
  });
});

describe("a history bundle", () => {
  test("scenarios 112, 114: from somebody who is known opens what was said before; who handed it over is told, and what is for other rooms passed over", async () => {
    const { me, alice } = ours();
    const bob = new Person("@bob:test", "BOB");
    const mine = me.identity as Identity;
    alice.identity?.signedBy.push({ user: me.userId, key: mine.userSigning });
    const [one, two, foreign] = [new Outbound(room), new Outbound(room), new Outbound("!other:test")];
    const notice = { room_id: room, algorithm: "m.megolm.v1.aes-sha2", session_id: new Outbound(room).sessionId, sender_key: bob.curve25519, code: "m.history_not_shared", reason: "no" };
    const content = {
      room_keys: [{ ...one.exported(bob), shared_history: true }, { ...foreign.exported(bob), shared_history: true }, { ...two.exported(bob), session_key: "AQ" }, { ...two.exported(bob), shared_history: true }],
      withheld: [notice, { ...notice, room_id: "!other:test" }, {}],
    };
    const { item, bytes } = historyBundle(alice, me, room, content);
    const before = keysQueryAnswer([me, alice]);
    const master = alice.identity?.master.public;
    alice.identity = new Identity(alice.userId); // she begins anew later
    const after = keysQueryAnswer([me, alice]);
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, before, after, master, item, bytes, event, room, id, withheldId, requirements }) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { name: "bundle" } });
        await machine.receiveKeysQueryResponse(before);
        await machine.trustOwnIdentity(master);
        const descriptor = machine.roomKeyBundleDescriptor(item);
        const result = await machine.receiveRoomKeyBundle(item, new Uint8Array(bytes));
        const again = await machine.receiveRoomKeyBundle(item, new Uint8Array(bytes));
        const ask = async (): Promise<Record<string, string>> => {
          const shown: Record<string, string> = {};
          for (const requirement of requirements) {
            machine.setTrustRequirement(requirement);
            try {
              const { encryptionInfo } = await machine.decryptRoomEvent(event, room);
              shown[requirement] = `${encryptionInfo.verdict.shield.color} ${encryptionInfo.verdict.state}`;
            } catch (thrown) {
              shown[requirement] = thrown instanceof ks.DecryptionError ? thrown.code : String(thrown);
            }
          }
          return shown;
        };
        const shown = await ask();
        const notice = (await machine.explain(room, withheldId)).withheld;
        await machine.receiveKeysQueryResponse(after);
        const later = await ask();
        const { copies } = await machine.explain(room, id);
        const late = await kit.failure(() => machine.receiveRoomKeyBundle(item, new Uint8Array(bytes)));
        await machine.close();
        return { descriptor, result, again, shown, notice, later, why: copies[0]?.why, forwarder: copies[0]?.forwarder, late: late.code };
      }, { own: me.own, before, after, master: mine.master.public, item, bytes: [...bytes], event: one.event(bob.userId, "$1", "hello") as never, room, id: one.sessionId, withheldId: notice.session_id, requirements });
      assert.deepEqual(got.descriptor, { roomId: room, url: "mxc://test/bundle" });
      const forwarder = { type: "SenderVerified", userId: alice.userId, deviceId: "ALICE", masterKey: master };
      const { faults, moreFaults, ...counted } = got.result;
      assert.deepEqual(counted, { imported: 2, unchanged: 0, better: 0, failed: 0, roomId: room, forwarder, withheld: 1, failures: [] });
      assert.equal(moreFaults, 0);
      assert.deepEqual(faults.map(({ list, position, code }) => [list, position, code]), [["room_keys", 1, "foreign_room"], ["room_keys", 2, "bad_session_key"], ["withheld", 1, "foreign_room"], ["withheld", 2, "missing_member"]]);
      assert.deepEqual([got.again.imported, got.again.unchanged, got.again.withheld], [0, 2, 0]);
      assert.deepEqual(got.shown, shownAsForwarded);
      assert.deepEqual(got.notice, { code: "m.history_not_shared", reason: "no", sender: alice.userId });
      assert.deepEqual(got.later, { Untrusted: "Red forwarder_violation", CrossSignedOrLegacy: "forwarder_violation", CrossSigned: "forwarder_violation", Verified: "forwarder_violation" });
      assert.equal(got.why, "It was handed over by @alice:test, who was verified and has another identity now, and claims to be from a device that nobody known lists.");
      assert.deepEqual([got.forwarder, got.late], [forwarder, "forwarder_not_known"]);
      assert.deepEqual(printed, []);
    });
  });

  test("T45, scenario 113: from somebody unknown, without the device, of another file, or that is none, is refused by name and nothing is kept", async () => {
    const { me, alice, master } = ours();
    const bob = new Person("@bob:test", "BOB");
    const key = { ...new Outbound(room).exported(bob), shared_history: true };
    const content = { room_keys: [key], withheld: [] };
    const good = historyBundle(alice, me, room, content);
    const flipped = Buffer.from(good.bytes);
    flipped[40] = (flipped[40] ?? 0) ^ 1;
    const file = (change: { [name: string]: Json }): OlmItem => {
      const payload = JSON.parse(good.item.payload) as { content: { file: { [name: string]: Json } } };
      return olmItem(alice, olmPayload(alice, me, "m.room_key_bundle", { room_id: room, file: { ...payload.content.file, ...change } }));
    };
    const unsigned = historyBundle(bob, me, room, content);
    const bare = historyBundle(alice, me, room, content, { embed: false });
    const none = historyBundle(alice, me, room, { room_keys: 7 });
    const cases: [name: string, item: OlmItem, bytes: Buffer, code: string, early: string][] = [
      ["from somebody without an identity", unsigned.item, unsigned.bytes, "forwarder_not_known", ""],
      ["without the device", bare.item, bare.bytes, "missing_sender_device_keys", "missing_sender_device_keys"],
      ["a byte changed", good.item, flipped, "bad_bundle_hash", ""],
      ["another file", good.item, none.bytes, "bad_bundle_hash", ""],
      ["empty", good.item, Buffer.alloc(0), "bad_bundle_hash", ""],
      ["no bundle in it", none.item, none.bytes, "bad_bundle_json", ""],
      ["no URL", file({ url: 7 }), good.bytes, "bad_bundle_descriptor", "bad_bundle_descriptor"],
      ["a key of another kind", file({ key: { kty: "RSA" } }), good.bytes, "bad_bundle_descriptor", "bad_bundle_descriptor"],
      ["a room key", new Outbound(room).item(alice, me), good.bytes, "not_a_room_key", "not_a_room_key"],
      ["for another device", historyBundle(alice, bob, room, content).item, good.bytes, "recipient_mismatch", "recipient_mismatch"],
    ];
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, master, cases, good }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "refused" } });
        await machine.receiveKeysQueryResponse(answer);
        await machine.trustOwnIdentity(master);
        await machine.receiveRoomKeysWithheld([]);
        const before = await kit.dump("refused");
        const ends: Record<string, [string, string]> = {};
        for (const { name, item, bytes } of cases) {
          const { code } = await kit.failure(() => machine.receiveRoomKeyBundle(item, new Uint8Array(bytes)));
          ends[name] = [code, (await kit.failure(() => machine.roomKeyBundleDescriptor(item))).code];
        }
        const large = await kit.failure(() => machine.receiveRoomKeyBundle(good.item, new Uint8Array((64 << 20) + 1)));
        const same = before === (await kit.dump("refused"));
        const { imported } = await machine.receiveRoomKeyBundle(good.item, new Uint8Array(good.bytes));
        await machine.close();
        return { ends, large: large.code, same, imported };
      }, { own: me.own, answer: keysQueryAnswer([me, alice, bob]), master, cases: cases.map(([name, item, bytes]) => ({ name, item, bytes: [...bytes] })), good: { item: good.item, bytes: [...good.bytes] } });
      assert.deepEqual(got.ends, Object.fromEntries(cases.map(([name, , , code, early]) => [name, [code, early]])));
      assert.deepEqual([got.large, got.same, got.imported], ["bundle_too_large", true, 1]);
    });
  });
});

describe("what one device of ours knew of a sender", () => {
  test("is told to another that has the same secret, as what was known at reception, by file and by backup; it raises nothing", async () => {
    const { me, alice } = ours();
    const outbound = new Outbound(room);
    const vault = new BackupVault();
    const key = [...Buffer.from("a secret of the user's devices 32")].slice(0, 32);
    await withKit(chrome, async ({ inPage }) => {
      const out = await inPage(async ({ own, answer, item, key, publicKey }) => {
        const { OlmMachine } = kit.ks;
        const export_ = async (senderDataKey?: Uint8Array): Promise<{ text: string; body: string; received: number }> => {
          const machine = await OlmMachine.open({ ...own, store: { memory: true }, ...(senderDataKey === undefined ? {} : { senderDataKey }) });
          await machine.receiveKeysQueryResponse(answer);
          await machine.receiveRoomKeys([item]).stored;
          const text = await machine.exportRoomKeys();
          await machine.enableBackupV1(publicKey, "1");
          const request = await machine.backupRoomKeys();
          const { copies } = await machine.explain("!room:test", (JSON.parse(text) as { session_id: string }[])[0]?.session_id ?? "");
          await machine.close();
          return { text, body: request?.body ?? "", received: copies[0]?.receivedAt ?? 0 };
        };
        return { with: await export_(new Uint8Array(key)), without: await export_() };
      }, { own: me.own, answer: keysQueryAnswer([alice]), item: outbound.item(alice, me), key, publicKey: vault.public });
      type Exported = Record<string, { [name: string]: Json }>;
      const [exported] = JSON.parse(out.with.text) as [Exported];
      const said = exported["org.knownsender.sender_data"];
      assert.deepEqual({ ...said, mac: "" }, { v: 1, kind: "SenderUnverified", user_id: alice.userId, device_id: "ALICE", master_key: alice.identity?.master.public, received_at: out.with.received, mac: "" });
      assert.equal((JSON.parse(out.without.text) as [Exported])[0]["org.knownsender.sender_data"], undefined);

      const changed = (change: (entry: Exported) => unknown): string => {
        const entry = structuredClone(exported);
        change(entry);
        return JSON.stringify([entry]);
      };
      const files: Record<string, string> = {
        "as it is": out.with.text,
        "another order and spacing": JSON.stringify([Object.fromEntries(Object.entries(exported).reverse())], null, 2),
        "a better kind": changed((entry) => ((entry["org.knownsender.sender_data"] ?? {})["kind"] = "SenderVerified")),
        "another user": changed((entry) => ((entry["org.knownsender.sender_data"] ?? {})["user_id"] = "@mallory:test")),
        "under another room": changed((entry) => (entry["room_id"] = "!moved:test" as never)),
        "beside another key": changed((entry) => (entry["sender_claimed_keys"] = { ed25519: me.ed25519.public })),
        "another MAC": changed((entry) => ((entry["org.knownsender.sender_data"] ?? {})["mac"] = "A".repeat(43))),
        "nonsense": changed((entry) => (entry["org.knownsender.sender_data"] = [] as never)),
      };
      const got = await inPage(async ({ own, files, body, key, base64, event, answer }) => {
        const { ks } = kit;
        const look = async (work: (machine: Awaited<ReturnType<typeof ks.OlmMachine.open>>) => Promise<{ imported: number }>, senderDataKey?: Uint8Array): Promise<unknown> => {
          const machine = await ks.OlmMachine.open({ ...own, store: { memory: true }, ...(senderDataKey === undefined ? {} : { senderDataKey }) });
          await machine.receiveKeysQueryResponse(answer);
          const { imported } = await work(machine);
          const [roomId = ""] = Object.keys((JSON.parse(await machine.exportRoomKeys()) as { room_id: string }[]).reduce((rooms, { room_id }) => ({ ...rooms, [room_id]: 1 }), {}));
          await machine.loadRoom(roomId);
          const { senderData, atReception, legacySession, provenance, verdict } = machine.getRoomEventEncryptionInfo(event, roomId);
          const { copies } = await machine.explain(roomId, event.content.session_id);
          await machine.close();
          return { imported, senderData: senderData?.type, atReception, legacySession, provenance, state: verdict.state, received: copies[0]?.receivedAt, why: copies[0]?.why };
        };
        const right = new Uint8Array(key);
        const wrong = right.map((byte) => byte ^ 1);
        const ends: Record<string, unknown> = {};
        for (const [name, text] of Object.entries(files)) ends[name] = await look((machine) => machine.importExportedRoomKeys(text), right);
        ends["wrong key"] = await look((machine) => machine.importExportedRoomKeys(files["as it is"] ?? ""), wrong);
        ends["no key"] = await look((machine) => machine.importExportedRoomKeys(files["as it is"] ?? ""));
        const options = { decryptionKey: { base64 }, backupVersion: "1" };
        ends["backup"] = await look((machine) => machine.importBackedUpRoomKeys(body, options), right);
        ends["backup, wrong key"] = await look((machine) => machine.importBackedUpRoomKeys(body, options), wrong);
        const refused = [];
        for (const bad of [new Uint8Array(31), new Uint8Array(33), new Uint8Array(0), "a text of thirty-two characters.", null, [...right]]) refused.push((await kit.failure(() => ks.OlmMachine.open({ ...own, store: { memory: true }, senderDataKey: bad as never }))).code);
        return { ends, refused };
      }, { own: me.own, files, body: out.with.body, key, base64: vault.base64, event: outbound.event(alice.userId, "$1", "hello") as never as { content: { session_id: string } } & JsonObject, answer: keysQueryAnswer([alice]) });
      const known = { type: "SenderUnverified", userId: alice.userId, deviceId: "ALICE", masterKey: alice.identity?.master.public };
      const base = { imported: 1, senderData: "UnknownDevice", legacySession: true, provenance: "claimed", state: "insecure_source_legacy" };
      const hearsay = "It came from a file or a backup, and claims to be from @alice:test's device ALICE, which is cross-signed today.";
      for (const [name, end] of Object.entries(got.ends) as [string, { received: number; why: string }][]) {
        const { received, why, ...rest } = end;
        const told = ["as it is", "another order and spacing", "backup"].includes(name);
        assert.deepEqual(rest, { ...base, atReception: told ? known : { type: "UnknownDevice" } }, name);
        if (told) assert.equal(received, out.with.received, `${name}: and when`);
        const claim = name === "beside another key" ? "It came from a file or a backup, and claims to be from a device of @alice:test with another fingerprint key than that device has." : hearsay;
        assert.equal(why, told ? `${hearsay} Another device of yours received it from @alice:test, and recorded SenderUnverified.` : claim, name);
      }
      assert.equal(Object.keys(got.ends).length, 12);
      assert.deepEqual(got.refused, Array<string>(6).fill("bad_sender_data_key"));
    });
  });
});
