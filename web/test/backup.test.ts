// The server-side backup through the typed machine in a page: uploads made and marked, answers of the server imported. What is sealed is opened,
// and what is opened was sealed, by Node's cryptography.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { BackupVault, keysQueryAnswer, Outbound, Person, type Json } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");

type Key = { [name: string]: Json };
type Sealed = Parameters<BackupVault["opened"]>[0] & { readonly first_message_index: number; readonly forwarded_count: number; readonly is_verified: boolean };
type Answer = ReturnType<BackupVault["answer"]>;

/** The keys in the bodies of uploads, opened, as an export has them. */
function opened(vault: BackupVault, bodies: readonly string[]): Key[] {
  const keys: Key[] = [];
  for (const body of bodies) {
    const { rooms } = JSON.parse(body) as { rooms: Record<string, { sessions: Record<string, Sealed> }> };
    for (const [room_id, { sessions }] of Object.entries(rooms)) {
      for (const [session_id, sealed] of Object.entries(sessions)) {
        assert.deepEqual([sealed.forwarded_count, sealed.is_verified, Object.keys(sealed).length], [0, false, 4]);
        keys.push({ ...vault.opened(sealed), room_id, session_id });
      }
    }
  }
  return keys.sort((a, b) => (String(a["session_id"]) < String(b["session_id"]) ? -1 : 1));
}

describe("the backup", () => {
  test("scenario 104: everything is uploaded, marked, counted, and known after a restart", async () => {
    const vault = new BackupVault();
    const sessions = Array.from({ length: 230 }, (_, i) => new Outbound(`!room${i % 7}:test`));
    const late = new Outbound(room);
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, publicKey, keys, later, better }) => {
        const { OlmMachine } = kit.ks;
        let machine = await OlmMachine.open({ ...own, store: { name: "backup" } });
        const upload = async (mark = true): Promise<{ bodies: string[]; counts: number[]; versions: string[]; id: string }> => {
          const all = { bodies: [] as string[], counts: [] as number[], versions: [] as string[], id: "" };
          for (let request; (request = await machine.backupRoomKeys()) !== null; ) {
            all.bodies.push(request.body);
            all.counts.push(request.count);
            all.versions.push(request.version);
            all.id = request.id;
            if (!mark) break;
            await machine.markRoomKeysAsBackedUp(request.id);
          }
          return all;
        };
        const disabled = await kit.failure(() => machine.backupRoomKeys());
        const nowhere = await machine.getBackup();
        await machine.importExportedRoomKeys(keys);
        await machine.enableBackupV1(publicKey, "7");
        const lost = await upload(false); // the server never answered
        const before = await machine.roomKeyCounts();
        const first = await upload();
        const after = await machine.roomKeyCounts();
        await machine.close();

        machine = await OlmMachine.open({ ...own, store: { name: "backup" } });
        const enabled = await machine.getBackup();
        const nothing = await machine.backupRoomKeys();
        const forgotten = await kit.failure(() => machine.markRoomKeysAsBackedUp(lost.id));
        // One more, at index 5; while it is on its way to the server it becomes better.
        await machine.importExportedRoomKeys(later);
        const request = await machine.backupRoomKeys();
        await machine.importExportedRoomKeys(better);
        await machine.markRoomKeysAsBackedUp(request?.id ?? "");
        const between = await machine.roomKeyCounts();
        const again = await upload();
        const twice = await kit.failure(() => machine.markRoomKeysAsBackedUp(again.id));
        const end = await machine.roomKeyCounts();
        await machine.close();
        return { disabled: disabled.code, nowhere, lost, before, first, after, enabled, nothing, forgotten: forgotten.code, between, again, twice: twice.code, end };
      }, { own: me.own, publicKey: vault.public, keys: JSON.stringify(sessions.map((session) => session.exported(alice))), later: JSON.stringify([late.exported(alice, 5)]), better: JSON.stringify([late.exported(alice, 2)]) });
      assert.deepEqual([got.disabled, got.nowhere], ["backup_disabled", null]);
      assert.deepEqual(got.first.counts, [100, 100, 30]);
      assert.deepEqual(new Set(got.first.versions), new Set(["7"]));
      assert.deepEqual([got.before, got.after], [{ total: 230, backedUp: 0 }, { total: 230, backedUp: 230 }]);
      const wanted = sessions.map((session) => ({ ...session.exported(alice), "m.shared_history": false })).sort((a, b) => (String((a as Key)["session_id"]) < String((b as Key)["session_id"]) ? -1 : 1));
      assert.deepEqual(opened(vault, got.first.bodies), wanted, "each key once, member for member");
      assert.equal(opened(vault, got.lost.bodies).length, 100, "what was not marked came again");
      assert.deepEqual([got.enabled, got.nothing], [{ version: "7", publicKey: vault.public }, null]);
      assert.deepEqual([got.forgotten, got.twice], ["unknown_request", "unknown_request"]);
      assert.deepEqual(got.between, { total: 231, backedUp: 230 }, "scenario 98: what lies there is not this ratchet");
      assert.deepEqual(got.again.counts, [1]);
      const [better] = Object.values((JSON.parse(got.again.bodies[0] ?? "") as { rooms: Record<string, { sessions: Record<string, Sealed> }> }).rooms[room]?.sessions ?? {});
      assert.equal(better?.first_message_index, 2);
      assert.deepEqual(opened(vault, got.again.bodies).map((key) => key["session_key"]), [late.exported(alice, 2)["session_key"]]);
      assert.deepEqual(got.end, { total: 231, backedUp: 231 });
      assert.deepEqual(printed, []);
    });
  });

  test("another version begins from nothing, and a disabled one is forgotten", async () => {
    const [old, young] = [new BackupVault(), new BackupVault()];
    const keys = Array.from({ length: 3 }, () => new Outbound(room).exported(alice));
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, old, young, keys }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const backedUp: number[] = [];
        const count = async (): Promise<void> => void backedUp.push((await machine.roomKeyCounts()).backedUp);
        const upload = async (): Promise<string[]> => {
          const request = await machine.backupRoomKeys();
          if (request === null) return [];
          await machine.markRoomKeysAsBackedUp(request.id);
          return [request.version, request.body];
        };
        await machine.importExportedRoomKeys(keys);
        await machine.enableBackupV1(old, "1");
        const first = await upload();
        await count();
        await machine.enableBackupV1(old, "1"); // the same once more
        await count();
        await machine.enableBackupV1(young, "2");
        await count();
        const pending = await machine.backupRoomKeys();
        await machine.enableBackupV1(old, "3");
        const overtaken = await kit.failure(() => machine.markRoomKeysAsBackedUp(pending?.id ?? ""));
        await count();
        await machine.enableBackupV1(young, "2");
        const second = await upload();
        await count();
        await machine.disableBackup();
        await count();
        const disabled = [await machine.getBackup(), (await kit.failure(() => machine.backupRoomKeys())).code];
        await machine.enableBackupV1(young, "2");
        await count();
        const errors = [];
        for (const [key, version] of [[young, ""], [young, "v".repeat(256)], ["*".repeat(43), "4"], ["AAAA", "4"], ["A".repeat(43), "4"]]) errors.push((await kit.failure(() => machine.enableBackupV1(key ?? "", version ?? ""))).code);
        const still = await machine.getBackup();
        await machine.close();
        return { first, second, overtaken: overtaken.code, disabled, backedUp, errors, still };
      }, { own: me.own, old: old.public, young: young.public, keys: JSON.stringify(keys) });
      assert.deepEqual([got.first[0], opened(old, got.first.slice(1)).length], ["1", 3]);
      assert.deepEqual([got.second[0], opened(young, got.second.slice(1)).length], ["2", 3]);
      assert.throws(() => opened(old, got.second.slice(1)), /MAC/, "it is sealed for the new one alone");
      assert.equal(got.overtaken, "unknown_request");
      assert.deepEqual(got.disabled, [null, "backup_disabled"]);
      assert.deepEqual(got.backedUp.slice(0, 5), [3, 3, 0, 0, 3]);
      assert.equal(got.backedUp.at(-1), 0, "which keys were in a backup that was forgotten is forgotten");
      assert.deepEqual(got.errors, ["bad_backup_version", "bad_backup_version", "bad_base64", "bad_key_length", "low_order_key"]);
      assert.deepEqual(got.still, { version: "2", publicKey: young.public }, "what was refused changed nothing");
    });
  });
});

describe("an import from the backup", () => {
  test("scenarios 104, 108, T33: keys count as backed up in the version they came from, and stay hearsay whoever they claim to be from", async () => {
    const vault = new BackupVault();
    const outbound = new Outbound(room);
    const keys = [outbound, new Outbound(room), new Outbound("!other:test")].map((session) => session.exported(alice));
    const answer = vault.answer(keys);
    for (const { sessions } of Object.values(answer.rooms)) for (const sealed of Object.values(sessions)) Object.assign(sealed as object, { is_verified: true });
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, publicKey, base64, recoveryKey, event, people, room }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "restored" } });
        await machine.receiveKeysQueryResponse(people);
        const told: unknown[] = [];
        const result = await machine.importBackedUpRoomKeys(answer, { decryptionKey: { base64 }, backupVersion: "1", progressCallback: (progress) => told.push(progress) });
        const adopted = [await machine.getBackup(), await machine.roomKeyCounts(), (await kit.failure(() => machine.backupRoomKeys())).code];
        await machine.enableBackupV1(publicKey, "1");
        const nothing = await machine.backupRoomKeys();
        const again = await machine.importBackedUpRoomKeys(JSON.parse(answer) as never, { decryptionKey: { recoveryKey }, backupVersion: "1" });
        // Another version is in use now: what comes from the old one is yet to be uploaded.
        await machine.enableBackupV1(publicKey, "2");
        const old = await machine.importBackedUpRoomKeys(answer, { decryptionKey: { base64: `${base64}=` }, backupVersion: "1" });
        const unmarked = await machine.roomKeyCounts();
        const present = await machine.importBackedUpRoomKeys(answer, { decryptionKey: { recoveryKey: recoveryKey.replaceAll(" ", "") }, backupVersion: "2" });
        const marked = await machine.roomKeyCounts();
        const { encryptionInfo } = await machine.decryptRoomEvent(event, room);
        machine.setTrustRequirement("CrossSigned");
        const withheld = await kit.failure(() => machine.decryptRoomEvent(event, room));
        await machine.close();
        return { result, told, adopted, nothing, again: again.unchanged, old: old.unchanged, unmarked, present: present.unchanged, marked, withheld: withheld.code, type: encryptionInfo.senderData?.type, legacy: encryptionInfo.legacySession, color: encryptionInfo.verdict.shield.color, hint: encryptionInfo.hint?.userId };
      }, { own: me.own, answer: JSON.stringify(answer), publicKey: vault.public, base64: vault.base64, recoveryKey: vault.recoveryKey, event: outbound.event(alice.userId, "$1", "hello") as never, people: keysQueryAnswer([alice]), room });
      const none = { imported: 0, unchanged: 0, better: 0, failed: 0 };
      assert.deepEqual(got.result, { ...none, imported: 3, total: 3, rooms: { [room]: { ...none, imported: 2 }, "!other:test": { ...none, imported: 1 } }, failures: [] });
      assert.deepEqual([got.told[0], got.told.at(-1)], [{ stage: "load_keys", successes: 0, failures: 0, total: 3 }, { stage: "load_keys", successes: 3, failures: 0, total: 3 }]);
      assert.deepEqual(got.adopted, [{ version: "1", publicKey: null }, { total: 3, backedUp: 3 }, "backup_disabled"]);
      assert.equal(got.nothing, null, "what came from it need not go there again");
      assert.deepEqual([got.again, got.old, got.present], [3, 3, 3]);
      assert.deepEqual([got.unmarked.backedUp, got.marked.backedUp], [0, 3]);
      assert.deepEqual([got.type, got.legacy, got.color, got.hint, got.withheld], ["UnknownDevice", true, "Grey", alice.userId, "authenticity_not_guaranteed"]);
    });
  });

  test("F45: answers out of order, twice, and partly missing come to the same as one", async () => {
    const vault = new BackupVault();
    const keys = Array.from({ length: 330 }, (_, i) => new Outbound(`!room${i % 3}:test`).exported(alice));
    const whole = vault.answer(keys);
    // Pages of a room's sessions; as the server gives them, and as they come.
    const pages: Answer[] = [];
    for (const [room, { sessions }] of Object.entries(whole.rooms)) {
      const entries = Object.entries(sessions);
      for (let from = 0; from < entries.length; from += 40) pages.push({ rooms: { [room]: { sessions: Object.fromEntries(entries.slice(from, from + 40)) } } });
    }
    const missing = pages.splice(2, 1); // the last of the first room, 30 keys
    const scripted = [...[...pages].reverse(), pages[3], { rooms: {} }, pages[0]] as Answer[];
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, whole, scripted, missing, base64 }) => {
        const { OlmMachine } = kit.ks;
        const options = { decryptionKey: { base64 }, backupVersion: "1" };
        const one = await OlmMachine.open({ ...own, store: { name: "one" } });
        const full = await one.importBackedUpRoomKeys(whole as never, options);
        const other = await OlmMachine.open({ ...own, store: { name: "other" } });
        const results = [];
        for (const page of scripted) results.push(await other.importBackedUpRoomKeys(page as never, options));
        const partly = (await other.roomKeyCounts()).total;
        for (const page of missing) results.push(await other.importBackedUpRoomKeys(page as never, options));
        const sum = { imported: 0, unchanged: 0, failed: 0 };
        for (const { imported, unchanged, failed } of results) {
          sum.imported += imported;
          sum.unchanged += unchanged;
          sum.failed += failed;
        }
        const same = (await one.exportRoomKeys()) === (await other.exportRoomKeys());
        const counts = [await one.roomKeyCounts(), await other.roomKeyCounts()];
        await one.close();
        await other.close();
        return { full, sum, partly, same, counts };
      }, { own: me.own, whole, scripted, missing, base64: vault.base64 });
      assert.deepEqual([got.full.imported, got.full.failed], [330, 0]);
      assert.deepEqual([got.sum, got.partly], [{ imported: 330, unchanged: 40 + 40, failed: 0 }, 300]);
      assert.ok(got.same, "the two machines export the same");
      assert.deepEqual(got.counts, [{ total: 330, backedUp: 330 }, { total: 330, backedUp: 330 }]);
    });
  });

  test("keys that cannot be opened are refused by name, at their positions; what is no key and no answer, at once", async () => {
    const [vault, another] = [new BackupVault(), new BackupVault()];
    const sessions = Array.from({ length: 12 }, () => new Outbound(room));
    const sealed = (i: number, exported: Key = sessions[i]?.exported(alice) ?? {}, by = vault): Key => by.sealed(exported);
    const id = (i: number): string => sessions[i]?.sessionId ?? "";
    const data = (key: Key, change: Key): Key => ({ ...key, session_data: { ...(key["session_data"] as Key), ...change } });
    const spoiled = Buffer.from(String((sealed(3)["session_data"] as Key)["ciphertext"]), "base64");
    spoiled[spoiled.length - 17] = (spoiled[spoiled.length - 17] ?? 0) ^ 0xff; // in the last but one block: changes the padding
    const answer = {
      etag: "ignored",
      rooms: {
        room: { sessions: { [id(0)]: sealed(0) } },
        [room]: { sessions: {
          [id(0)]: sealed(0),
          [id(1)]: sealed(1, undefined, another),
          [id(2)]: data(sealed(2), { mac: "AAAAAAAAAAA" }),
          [id(3)]: data(sealed(3), { ciphertext: spoiled.toString("base64").replace(/=+$/, "") }),
          [id(4)]: sealed(5),
          [id(6)]: sealed(6),
          [id(7)]: null,
          [id(8)]: { ...sealed(8), first_message_index: -1 },
          [id(9)]: data(sealed(9), { ephemeral: "A".repeat(43) }),
          "no session": sealed(10),
          [id(11)]: { ...sealed(11), is_verified: "yes" },
        } },
        "!empty:test": {},
        "!null:test": null,
        "!list:test": { sessions: [] },
      },
    } as const;
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, base64, recoveryKey, wrongKey }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const wrong = [];
        for (const decryptionKey of [{ base64: "" }, { base64: "AAAA" }, { base64: base64.slice(0, 42) + "*" }, { base64: `${base64}==` }, { recoveryKey: "" }, { recoveryKey: recoveryKey.slice(1) }, { recoveryKey: `${recoveryKey.slice(0, -1)}${recoveryKey.endsWith("1") ? "2" : "1"}` }, { recoveryKey: recoveryKey.replace(/^E/, "0") }, { recoveryKey: `1${recoveryKey.slice(1)}` }]) {
          wrong.push((await kit.failure(() => machine.importBackedUpRoomKeys(answer as never, { decryptionKey, backupVersion: "1" }))).code);
        }
        const untouched = await machine.getBackup();
        const cycle: Record<string, unknown> = { rooms: { "!room:test": { sessions: {} } } };
        (cycle["rooms"] as Record<string, Record<string, Record<string, unknown>>>)["!room:test"]!["sessions"]!["me"] = cycle;
        const options = { decryptionKey: { base64 }, backupVersion: "1" };
        const refused = [
          await kit.failure(() => machine.importBackedUpRoomKeys("{", options)),
          await kit.failure(() => machine.importBackedUpRoomKeys(`\ufeff{"rooms":{}}`, options)),
          await kit.failure(() => machine.importBackedUpRoomKeys('{"rooms": []}', options)),
          await kit.failure(() => machine.importBackedUpRoomKeys(cycle as never, options)),
        ].map(({ code }) => code);
        const stranger = await machine.importBackedUpRoomKeys(answer as never, { ...options, decryptionKey: { base64: wrongKey } });
        const result = await machine.importBackedUpRoomKeys(answer as never, options);
        await machine.close();
        return { wrong, untouched, refused, result, stranger: stranger.imported };
      }, { own: me.own, answer: answer as never as object, base64: vault.base64, recoveryKey: vault.recoveryKey, wrongKey: another.base64 });
      assert.deepEqual(got.wrong, [...Array<string>(4).fill("bad_backup_key"), ...Array<string>(5).fill("bad_recovery_key")]);
      assert.equal(got.untouched, null);
      assert.deepEqual(got.refused, ["bad_json", "bad_json", "bad_backup_answer", "bad_json"]);
      assert.deepEqual([got.result.imported, got.stranger], [2, 1], "each opens what was sealed for it");
      assert.deepEqual(got.result.failures.map(({ position, code }) => [position, code]), [
        [0, "bad_backup_room"],
        [2, "bad_backup_mac"], [3, "bad_backup_mac"], [4, "bad_backup_ciphertext"], [5, "session_id_mismatch"],
        [7, "bad_backup_entry"], [8, "bad_backup_entry"], [9, "bad_backup_entry"], [10, "bad_backup_entry"], [11, "bad_backup_entry"],
        [12, "bad_backup_room"], [13, "bad_backup_room"], [14, "bad_backup_room"],
      ]);
    });
  });

  test("a payload that names another room is refused, and so is one whose secret WebCrypto does not give", async () => {
    const vault = new BackupVault();
    const outbound = new Outbound(room);
    const other = new Outbound(room);
    const answer = vault.answer([outbound.exported(alice)]);
    const sealed = vault.sealedPayload({ ...other.exported(alice), room_id: "!elsewhere:test" });
    (answer.rooms[room] as { sessions: Record<string, Json> }).sessions[other.sessionId] = sealed;
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, base64 }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const options = { decryptionKey: { base64 }, backupVersion: "1" };
        const deriveBits = SubtleCrypto.prototype.deriveBits;
        SubtleCrypto.prototype.deriveBits = () => Promise.reject(new DOMException("all zero", "OperationError"));
        const without = await machine.importBackedUpRoomKeys(answer as never, options);
        SubtleCrypto.prototype.deriveBits = deriveBits;
        const result = await machine.importBackedUpRoomKeys(answer as never, options);
        await machine.close();
        return { without: without.failures.map(({ code }) => code), imported: result.imported, failures: result.failures.map(({ position, code }) => [position, code]) };
      }, { own: me.own, answer: answer as never as object, base64: vault.base64 });
      assert.deepEqual(got, { without: ["bad_backup_secret", "bad_backup_secret"], imported: 1, failures: [[1, "foreign_room"]] });
    });
  });
});
