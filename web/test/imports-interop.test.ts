// Files, backups and keys of backups, exchanged with matrix-sdk-crypto-wasm in one page: what one writes the other reads, both ways.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { JsonObject } from "../src/types.js";
import { useChrome } from "./harness.js";
import { recorded, recordedFile, withKit } from "./machinekit.js";
import { withPeer } from "./peerkit.js";
import { BackupVault, keysQueryAnswer, olmPayload, Outbound, Person, type Json } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");
const passphrase = "between two, 😀 and ümläuts";

type Key = { [name: string]: Json };

/** Keys in one order, and as far as both write them. */
function comparable(text: string): Key[] {
  return (JSON.parse(text) as Key[])
    .map(({ "org.knownsender.sender_data": _, ...key }) => key)
    .sort((a, b) => (String(a["session_id"]) < String(b["session_id"]) ? -1 : 1));
}

describe("with matrix-sdk-crypto-wasm", () => {
  test("a file of ours is opened and imported by the peer, what it knows of senders included, and its messages decrypt there", async () => {
    const direct = new Outbound(room);
    const claimed = new Outbound("!other:test");
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, item, key, event, passphrase, room }) => {
        const { OlmMachine } = kit.ks;
        const ours = await OlmMachine.open({ ...own, store: { memory: true }, senderDataKey: new Uint8Array(32).fill(7) });
        await ours.receiveKeysQueryResponse(answer);
        await ours.receiveRoomKeys([item]).stored;
        await ours.importExportedRoomKeys([key]);
        const text = await ours.exportRoomKeys();
        const file = await OlmMachine.encryptExportedRoomKeys(text, passphrase, 1000);

        const opened = peer.OlmMachine.decryptExportedRoomKeys(file, passphrase);
        const theirs = await peer.OlmMachine.initialize(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId));
        const { importedCount, totalCount } = await theirs.importExportedRoomKeys(opened, () => undefined);
        const decrypted = await theirs.decryptRoomEvent(event, new peer.RoomId(room), new peer.DecryptionSettings(peer.TrustRequirement.Untrusted));
        const back = await theirs.exportRoomKeys(() => true);
        const result = await ours.importExportedRoomKeys(back);
        const again = await ours.exportRoomKeys();
        theirs.close();
        await ours.close();
        return { text, opened, counts: [importedCount, totalCount], event: decrypted.event, back, again, ends: [result.imported, result.unchanged, result.failed] };
      }, { own: me.own, answer: keysQueryAnswer([alice]), item: direct.item(alice, me), key: claimed.exported(alice) as JsonObject, event: JSON.stringify(direct.event(alice.userId, "$1", "read by both")), passphrase, room });
      assert.ok(got.text.includes("org.knownsender.sender_data"));
      assert.deepEqual(comparable(got.opened), comparable(got.text), "it passes over what it does not know");
      assert.deepEqual(got.counts, [2, 2]);
      assert.equal((JSON.parse(got.event) as { content: { body: string } }).content.body, "read by both");
      assert.deepEqual(comparable(got.back), comparable(got.text), "member for member");
      assert.deepEqual(got.ends, [1, 1, 0], "hearsay about the key that came from its sender is kept beside it");
      assert.deepEqual(comparable(got.again), comparable(got.text), "and is exported as one with it");
    });
  });

  test("a file of the peer's, with keys it made itself, is opened and imported, and its messages decrypt", async () => {
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, passphrase, room }) => {
        const { OlmMachine } = kit.ks;
        const theirs = await peer.OlmMachine.initialize(new peer.UserId("@peer:test"), new peer.DeviceId("PEER"));
        const roomId = new peer.RoomId(room);
        const make = async (body: string, index: number): Promise<JsonObject> => ({
          type: "m.room.encrypted", event_id: `$${index}`, sender: "@peer:test", origin_server_ts: 1,
          content: JSON.parse(await theirs.encryptRoomEvent(roomId, "m.room.message", JSON.stringify({ msgtype: "m.text", body }))) as JsonObject,
        });
        await theirs.shareRoomKey(new peer.RoomId(room), [], new peer.EncryptionSettings());
        const events = [await make("first", 0), await make("second", 1)];
        const text = await theirs.exportRoomKeys(() => true);
        const file = peer.OlmMachine.encryptExportedRoomKeys(text, passphrase, 1000);
        const usual = peer.OlmMachine.encryptExportedRoomKeys("[]", passphrase, 100_000);
        const identity = theirs.identityKeys.curve25519.toBase64();

        const opened = await OlmMachine.decryptExportedRoomKeys(file, passphrase);
        const ours = await OlmMachine.open({ ...own, store: { memory: true } });
        const { imported, failed } = await ours.importExportedRoomKeys(opened);
        const bodies: unknown[] = [];
        const keys: unknown[] = [];
        for (const event of events) {
          const decrypted = await ours.decryptRoomEvent(event, room);
          bodies.push(kit.body(decrypted));
          keys.push(decrypted.encryptionInfo.senderKey === identity);
        }
        const again = await ours.exportRoomKeys();
        const wrong = await kit.failure(() => OlmMachine.decryptExportedRoomKeys(file, `${passphrase}!`));
        const empty = await OlmMachine.decryptExportedRoomKeys(usual, passphrase);
        theirs.close();
        await ours.close();
        return { same: opened === text, counts: [imported, failed], bodies, keys, text, again, wrong: wrong.code, empty };
      }, { own: me.own, passphrase, room });
      assert.ok(got.same);
      assert.deepEqual([got.counts, got.bodies, got.keys], [[1, 0], ["first", "second"], [true, true]]);
      assert.deepEqual(comparable(got.again), comparable(got.text));
      assert.deepEqual([got.wrong, got.empty], ["bad_passphrase_or_corrupt", "[]"]);
    });
  });

  test("what we back up the peer decrypts and imports, with a key of the peer's", async () => {
    const sessions = Array.from({ length: 5 }, (_, i) => new Outbound(i < 3 ? room : "!other:test"));
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, item, keys }) => {
        const secret = peer.BackupDecryptionKey.createRandomKey();
        const ours = await kit.ks.OlmMachine.open({ ...own, store: { memory: true }, senderDataKey: new Uint8Array(32).fill(7) });
        await ours.receiveKeysQueryResponse(answer);
        await ours.receiveRoomKeys([item]).stored;
        await ours.importExportedRoomKeys(keys);
        await ours.enableBackupV1(secret.megolmV1PublicKey.publicKeyBase64, "1");
        const request = await ours.backupRoomKeys();
        const text = await ours.exportRoomKeys();

        const { rooms } = JSON.parse(request?.body ?? "") as { rooms: Record<string, { sessions: Record<string, { session_data: { ephemeral: string; mac: string; ciphertext: string } }> }> };
        const decrypted = new Map<InstanceType<typeof peer["RoomId"]>, Map<string, unknown>>();
        for (const [roomId, { sessions }] of Object.entries(rooms)) {
          const opened = new Map<string, unknown>();
          for (const [id, { session_data: data }] of Object.entries(sessions)) opened.set(id, JSON.parse(secret.decryptV1(data.ephemeral, data.mac, data.ciphertext)));
          decrypted.set(new peer.RoomId(roomId), opened);
        }
        const theirs = await peer.OlmMachine.initialize(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId));
        await theirs.saveBackupDecryptionKey(peer.BackupDecryptionKey.fromBase64(secret.toBase64()), "1");
        await theirs.enableBackupV1(secret.megolmV1PublicKey.publicKeyBase64, "1");
        const { importedCount } = await theirs.importBackedUpRoomKeys(decrypted, () => undefined, "1");
        const back = await theirs.exportRoomKeys(() => true);
        const { total, backedUp } = await theirs.roomKeyCounts();
        theirs.close();
        await ours.close();
        return { count: request?.count, importedCount, text, back, counts: [total, backedUp] };
      }, { own: me.own, answer: keysQueryAnswer([alice]), item: sessions[0]?.item(alice, me) as never, keys: sessions.slice(1).map((session) => session.exported(alice)) as JsonObject[] });
      assert.deepEqual([got.count, got.importedCount, got.counts], [5, 5, [5, 5]]);
      assert.deepEqual(comparable(got.back), comparable(got.text));
    });
  });

  test("what the peer backs up we import, with its private key as base64 and as a recovery key", async () => {
    const keys = Array.from({ length: 5 }, (_, i) => new Outbound(i < 3 ? room : "!other:test").exported(alice));
    await withPeer(chrome, async ({ inPage }) => {
      const made = await inPage(async ({ own, keys }) => {
        const secret = peer.BackupDecryptionKey.createRandomKey();
        const theirs = await peer.OlmMachine.initialize(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId));
        await theirs.importExportedRoomKeys(keys, () => undefined);
        const publicKey = secret.megolmV1PublicKey.publicKeyBase64;
        const base64 = secret.toBase64();
        await theirs.saveBackupDecryptionKey(secret, "9");
        await theirs.enableBackupV1(publicKey, "9");
        const request = await theirs.backupRoomKeys();
        const text = await theirs.exportRoomKeys(() => true);
        theirs.close();
        return { publicKey, base64, body: request?.body ?? "", text };
      }, { own: me.own, keys: JSON.stringify(keys) });
      const vault = new BackupVault(Buffer.from(made.base64, "base64"));
      assert.equal(vault.public, made.publicKey);
      const got = await inPage(async ({ own, body, base64, recoveryKey, publicKey }) => {
        const ours = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const first = await ours.importBackedUpRoomKeys(body, { decryptionKey: { recoveryKey }, backupVersion: "9" });
        const second = await ours.importBackedUpRoomKeys(body, { decryptionKey: { base64 }, backupVersion: "9" });
        await ours.enableBackupV1(publicKey, "9");
        const nothing = await ours.backupRoomKeys();
        const text = await ours.exportRoomKeys();
        await ours.close();
        return { first: [first.imported, first.failed], second: [second.unchanged, second.failed], nothing, text };
      }, { own: me.own, ...made, recoveryKey: vault.recoveryKey });
      assert.deepEqual([got.first, got.second, got.nothing], [[5, 0], [5, 0], null]);
      assert.deepEqual(comparable(got.text), comparable(made.text));
    });
  });

  test("scenario 111: a history bundle of ours is decrypted by the peer; what its sender said may be shared is in it, and another client of ours takes it", async () => {
    const [shared, kept] = [new Outbound(room), new Outbound(room)];
    const bundled = [shared, kept].map((session) => ({ ...session.exported(alice), "m.shared_history": session === shared }));
    const announcing = olmPayload(alice, me, "m.room_key_bundle", {});
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ alice, bundled, announcing, answer, own, senderKey, event, room }) => {
        const { OlmMachine } = kit.ks;
        const hers = await OlmMachine.open({ ...alice, store: { memory: true } });
        const nothing = await hers.buildRoomKeyBundle(room);
        await hers.importExportedRoomKeys(bundled);
        const bundle = await hers.buildRoomKeyBundle(room);
        const bad = (await kit.failure(() => hers.buildRoomKeyBundle("room"))).code;
        await hers.close();
        if (bundle === null) throw new Error("there is no bundle");
        const file = { ...bundle.file, url: "mxc://test/bundle" };
        const content = new TextDecoder().decode(peer.Attachment.decrypt(new peer.EncryptedAttachment(bundle.encryptedBundle, JSON.stringify(file))));

        const mine = await OlmMachine.open({ ...own, store: { memory: true } });
        await mine.receiveKeysQueryResponse(answer);
        const item = { sender: alice.userId, senderKey, payload: JSON.stringify({ ...announcing, content: { room_id: room, file } }) };
        const result = await mine.receiveRoomKeyBundle(item, bundle.encryptedBundle);
        const body = kit.body(await mine.decryptRoomEvent(event, room));
        await mine.close();
        return { nothing, bad, content, result: [result.imported, result.withheld, result.faults.length], body };
      }, { alice: alice.own, bundled, announcing, answer: keysQueryAnswer([alice]), own: me.own, senderKey: alice.curve25519, event: shared.event(alice.userId, "$1", "before you came") as never, room });
      assert.deepEqual([got.nothing, got.bad, got.result, got.body], [null, "bad_room_id", [1, 1, 0], "before you came"]);
      const { room_keys: keys, withheld } = JSON.parse(got.content) as { room_keys: Key[]; withheld: Key[] };
      assert.deepEqual(keys, [bundled[0]]);
      assert.deepEqual(withheld.map(({ code, session_id }) => [code, session_id]), [["m.history_not_shared", kept.sessionId]]);
    });
  });

  test("the private key of a backup is the same key on both sides", async () => {
    const vault = new BackupVault();
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(({ base64 }) => {
        const key = peer.BackupDecryptionKey.fromBase64(base64);
        return { public: key.megolmV1PublicKey.publicKeyBase64, base64: key.toBase64() };
      }, { base64: vault.base64 });
      assert.deepEqual([got.public, got.base64.replace(/=+$/, "")], [vault.public, vault.base64]);
    });
  });
});

test("the recorded backup is opened with its recorded key, and its message decrypts", async () => {
  const [bob] = await recorded();
  const entry = JSON.parse(await recordedFile("js-sdk/backup-session-decrypted.json")) as Key;
  const { backupPrivateKeyBase64: base64 } = JSON.parse(await recordedFile("js-sdk/secrets-for-samples.json")) as { backupPrivateKeyBase64: string };
  const { version, auth_data } = JSON.parse(await recordedFile("js-sdk/backup-version.json")) as { version: string; auth_data: { public_key: string } };
  assert.ok(bob);
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, answer, base64, version, publicKey, event }) => {
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
      const { imported, failures } = await machine.importBackedUpRoomKeys(answer, { decryptionKey: { base64 }, backupVersion: version });
      await machine.enableBackupV1(publicKey, version);
      const nothing = await machine.backupRoomKeys();
      const text = await machine.exportRoomKeys();
      const decrypted = await machine.decryptRoomEvent(event?.text ?? "", event?.roomId ?? "");
      await machine.close();
      return { imported, failures, nothing, text, body: kit.body(decrypted) };
    }, { own: me.own, answer: await recordedFile("js-sdk/backup-keys.json"), base64, version, publicKey: auth_data.public_key, event: bob.events[0] });
    assert.deepEqual([got.imported, got.failures, got.nothing, got.body], [1, [], null, "hello bob, this is alice"]);
    const [{ room_id: _, session_id: __, ...key } = {}] = JSON.parse(got.text) as Key[];
    assert.deepEqual(key, entry);
  });
});
