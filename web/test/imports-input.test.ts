// Bad input at the edge of imports: lists and texts that are none, keys that are no keys, files that nobody can open. What is bad is refused at
// its position under a stable code, what is beside it is stored, and nothing of any secret is printed or told.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { recordedFile, secretsOf, withKit } from "./machinekit.js";
import { armoured, BackupVault, openedKeys, Outbound, Person, sealedKeys, unarmoured } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE");

describe("T51: a list of room keys", () => {
  test("of things that are none: each is refused at its position, and what is between them is stored", async () => {
    const fresh = Array.from({ length: 40 }, () => new Outbound(room).exported(alice));
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, fresh }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const good = fresh[0] as Record<string, unknown>;
        const cycle: Record<string, unknown> = { ...good };
        cycle["me"] = cycle;
        const long = "A".repeat(10_000);
        const bad: [name: string, key: unknown][] = [
          ["null", null], ["undefined", undefined], ["a number", 7], ["text", JSON.stringify(good)], ["a nested list", [good]], ["a function", () => good], ["a symbol", Symbol("key")], ["a bigint", 7n],
          ["nothing in it", {}], ["a Map", new Map(Object.entries(good))], ["inherited", Object.create(good)],
          ["a getter that throws", { ...good, get session_key(): string { throw new Error("a trap"); } }],
          ["a proxy that throws", new Proxy(good, { ownKeys: () => { throw new Error("a trap"); } })],
          ["toJSON that throws", { ...good, toJSON: () => { throw new Error("a trap"); } }], ["toJSON gives text", { ...good, toJSON: () => '"],[' }], ["toJSON gives nothing", { ...good, toJSON: () => undefined }],
          ["a cycle", cycle], ["a bigint in it", { ...good, count: 1n }],
          ["a lone surrogate", { ...good, room_id: "!\ud800:test" }], ["NUL", { ...good, room_id: "!a\0:test" }],
          ["a room of 10,000 characters", { ...good, room_id: `!${long}` }], ["a session of 10,000", { ...good, session_id: long }], ["a sender key of 10,000", { ...good, sender_key: long }], ["an algorithm of 10,000", { ...good, algorithm: long }], ["a session key of 10,000", { ...good, session_key: long }],
          ["a room that is a number", { ...good, room_id: 7 }], ["a session that is a number", { ...good, session_id: 7 }], ["a sender key that is null", { ...good, sender_key: null }], ["an algorithm that is a list", { ...good, algorithm: ["m.megolm.v1.aes-sha2"] }], ["a session key that is a number", { ...good, session_key: 1e400 }], ["claimed keys that are text", { ...good, sender_claimed_keys: "ed25519" }], ["a claimed key that is a number", { ...good, sender_claimed_keys: { ed25519: 7 } }],
          ["a name in capitals", { ...good, Session_Id: good["session_id"] }],
          ["10,000 levels", { ...good, deep: JSON.parse(`${"[".repeat(5000)}${"]".repeat(5000)}`) as unknown }],
        ];
        // What means something to JavaScript means nothing in a key.
        const odd: [name: string, key: unknown][] = [
          ["__proto__", JSON.parse(JSON.stringify(fresh[1]).replace("{", '{"__proto__": {"polluted": "yes", "room_id": "!evil:test"}, "constructor": {"prototype": {"polluted": "yes"}}, '))],
          ["no prototype", Object.assign(Object.create(null) as object, fresh[2])],
          ["toJSON gives a key", { toJSON: () => fresh[3] }],
          ["members nobody knows", { ...fresh[4], toString: "text", hasOwnProperty: 7, "😀": [[[]]], "": null }],
        ];
        const list: unknown[] = [];
        for (const [i, [, key]] of bad.entries()) list.push(key, ...(i % 10 === 0 ? [fresh[5 + i / 10]] : []));
        list.push(...odd.map(([, key]) => key));
        const result = await machine.importExportedRoomKeys(list as never);
        // A list with holes, and lists that know more than a list does.
        const holes: unknown[] = new Array(3);
        holes[1] = fresh[20];
        const pierced = await machine.importExportedRoomKeys(holes as never);
        const hole = await machine.importExportedRoomKeys(new Array(1) as never);
        const extended = await machine.importExportedRoomKeys(Object.assign([fresh[21]], { extra: 1, toJSON: () => [] }) as never);
        const none = await machine.importExportedRoomKeys([]);
        const plain: Record<string, unknown> = {};
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        const at = (position: number): string => bad.find(([, key]) => key === list[position])?.[0] ?? `position ${position}`;
        return {
          failures: Object.fromEntries(result.failures.map(({ position, code }) => [at(position), code])), messages: result.failures.map(({ message }) => message), names: bad.map(([name]) => name),
          imported: result.imported, rooms: Object.keys(result.rooms), polluted: String(plain["polluted"]), total,
          pierced: [pierced.imported, ...pierced.failures.map(({ position, code }) => `${position} ${code}`)], hole: [hole.total, hole.failed], extended: extended.imported, none,
        };
      }, { own: me.own, fresh: fresh as never as object[] });
      const json = "bad_entry_json";
      const member = "bad_member";
      assert.deepEqual(got.failures, {
        null: json, undefined: json, "a number": json, text: json, "a nested list": json, "a function": json, "a symbol": json, "a bigint": json,
        "nothing in it": "missing_member", "a Map": "missing_member", inherited: "missing_member",
        "a getter that throws": json, "a proxy that throws": json, "toJSON that throws": json, "toJSON gives text": json, "toJSON gives nothing": json, "a cycle": json, "a bigint in it": json,
        "a lone surrogate": json, NUL: member,
        "a room of 10,000 characters": member, "a session of 10,000": "session_id_mismatch", "a sender key of 10,000": member, "an algorithm of 10,000": "unsupported_algorithm", "a session key of 10,000": "bad_session_key",
        "a room that is a number": member, "a session that is a number": member, "a sender key that is null": member, "an algorithm that is a list": member, "a session key that is a number": member, "claimed keys that are text": member, "a claimed key that is a number": member,
        "a name in capitals": json, "10,000 levels": json,
      });
      assert.equal(got.names.length, Object.keys(got.failures).length);
      for (const message of got.messages) assert.ok(message.length < 300, `the message is as huge as the input: ${message.slice(0, 300)}`);
      const between = Math.ceil(got.names.length / 10);
      assert.deepEqual([got.imported, got.rooms, got.polluted, got.total], [between + 4, [room], "undefined", between + 4 + 2]);
      assert.deepEqual(got.pierced, [1, "0 bad_entry_json", "2 bad_entry_json"]);
      assert.deepEqual([got.hole, got.extended], [[1, 1], 1]);
      assert.deepEqual(got.none, { imported: 0, unchanged: 0, better: 0, failed: 0, total: 0, rooms: {}, failures: [] });
      assert.deepEqual(printed, []);
    });
  });

  test("as text that cannot be followed: what came before is stored, and the machine goes on", async () => {
    const keys = Array.from({ length: 6 }, () => JSON.stringify(new Outbound(room).exported(alice)));
    const [a = "", b = "", c = "", d = "", e = "", f = ""] = keys;
    const cases: [name: string, text: string, stored: number][] = [
      ["empty", "", 0], ["white space", " \n\t ", 0], ["null", "null", 0], ["an object", a, 0], ["text", '"[]"', 0],
      ["with a BOM", `\ufeff[${a}]`, 0],
      ["cut off inside of a key", `[${a},${b.slice(0, 200)}`, 1],
      ["cut off between two", `[${c},`, 1],
      ["with something behind it", `[${d}] x`, 1],
      ["twice", `[${e}][${f}]`, 1],
      ["closed by another bracket", `[${f}}`, 0],
    ];
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ own, cases, whole }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "texts" } });
        const ends: [name: string, code: string, got: string, stored: number][] = [];
        let before = 0;
        for (const [name, text] of cases) {
          const failure = await kit.failure(() => machine.importExportedRoomKeys(text));
          const { total } = await machine.roomKeyCounts();
          ends.push([name, failure.code, failure.name, total - before]);
          before = total;
        }
        const { imported, unchanged } = await machine.importExportedRoomKeys(whole);
        await machine.close();
        return { ends, whole: [imported, unchanged] };
      }, { own: me.own, cases, whole: ` [ ${keys.join(" ,\r\n")} ] \n` });
      assert.deepEqual(got.ends, cases.map(([name, , stored]) => [name, "bad_key_file_json", "KnownSenderError", stored]));
      assert.deepEqual(got.whole, [2, 4], "and white space between keys is no fault");
      assert.deepEqual(printed, []);
    });
  });

  test("that is no list at all, and the other calls given what they do not take", async () => {
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async (own) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { memory: true } });
        const lists: unknown[] = [null, undefined, 7, {}, { length: 1, 0: {} }, new Set([{}]), new Uint8Array(8), (function* () { yield {}; })(), Promise.resolve([])];
        const codes: string[] = [];
        for (const list of lists) codes.push((await kit.failure(() => machine.importExportedRoomKeys(list as never))).code);
        const backups: string[] = [];
        const key = { decryptionKey: { base64: "A".repeat(43) }, backupVersion: "1" };
        for (const backup of [null, 7, [], {}, "[]", "null", { rooms: null }, { rooms: [] }, "{}"]) backups.push((await kit.failure(() => machine.importBackedUpRoomKeys(backup as never, key))).code);
        const options: string[] = [];
        for (const change of [{ decryptionKey: undefined }, { decryptionKey: null }, { decryptionKey: "A".repeat(43) }, { decryptionKey: {} }, { decryptionKey: { base64: 7 } }, { decryptionKey: { recoveryKey: [] } }, { backupVersion: undefined }, { backupVersion: 1 }, { backupVersion: "" }, { backupVersion: "v".repeat(256) }]) {
          options.push((await kit.failure(() => machine.importBackedUpRoomKeys({ rooms: {} }, { ...key, ...change } as never))).code);
        }
        const event = { sender: "@a:test", senderKey: "", payload: "" };
        const calls = [
          await kit.failure(() => machine.receiveForwardedRoomKeys(null as never)),
          await kit.failure(() => machine.receiveRoomKeyBundle(event, new ArrayBuffer(8) as never)),
          await kit.failure(() => machine.receiveRoomKeyBundle(null as never, new Uint8Array(8))),
          await kit.failure(() => machine.roomKeyBundleDescriptor(7 as never)),
          await kit.failure(() => ks.OlmMachine.decryptExportedRoomKeys(7 as never, "p")),
          await kit.failure(() => ks.OlmMachine.decryptExportedRoomKeys("", undefined as never)),
          await kit.failure(() => ks.OlmMachine.encryptExportedRoomKeys({} as never, "p")),
          await kit.failure(() => machine.enableBackupV1(null as never, "1")),
          await kit.failure(() => machine.requestRoomKey(7 as never, "x")),
          await kit.failure(() => machine.markRoomKeysAsBackedUp(7 as never)),
        ].map(({ code }) => code);
        const signal = await machine.importExportedRoomKeys("[]", { signal: {} as never }).then(() => "", (thrown: Error) => thrown.name);
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { codes, backups, options, calls, signal, total };
      }, me.own);
      assert.deepEqual(new Set(got.codes), new Set(["bad_request"]));
      assert.deepEqual(new Set(got.backups), new Set(["bad_backup_answer"]));
      assert.deepEqual(got.options, [...Array<string>(6).fill("bad_backup_key"), "bad_request", "bad_request", "bad_backup_version", "bad_backup_version"]);
      assert.deepEqual(got.calls, ["bad_request", "bad_request", "bad_sender", "bad_sender", "bad_request", "bad_request", "bad_request", "bad_request", "bad_request", "bad_request"]);
      assert.deepEqual([got.signal, got.total], ["TypeError", 0]);
      assert.deepEqual(printed, []);
    });
  });

  test("in pieces: no character is cut in two, wherever a piece ends", async () => {
    // The program gets 48 Ki characters at a time. Here one of a character's two halves would be the last, the first, or neither.
    const piece = 48 * 1024;
    const cases = [-2, -1, 0, 1].map((shift) => {
      const outbound = new Outbound("!😀😀:test");
      const text = JSON.stringify([outbound.exported(alice)]);
      const at = text.indexOf("😀");
      return " ".repeat(piece - at + shift) + text;
    });
    // Three bytes in UTF-8 for each character: more bytes than characters.
    cases.push(JSON.stringify(Array.from({ length: 40 }, () => ({ ...new Outbound("!語:test").exported(alice), note: "語".repeat(9000) }))));
    assert.ok(cases.some((text) => { const last = text.charCodeAt(piece - 1); return last >= 0xd800 && last < 0xdc00; }), "one of them would be cut");
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, cases }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const ends: string[] = [];
        for (const text of cases) {
          const { rooms, failures } = await machine.importExportedRoomKeys(text);
          ends.push(...Object.entries(rooms).map(([room, { imported }]) => `${room} ${imported}`), ...failures.map(({ code }) => code));
        }
        await machine.close();
        return ends;
      }, { own: me.own, cases });
      assert.deepEqual(got, [...Array<string>(4).fill("!😀😀:test 1"), "!語:test 40"]);
    });
  });
});

describe("a key-export file", () => {
  const passphrase = "a passphrase, 😀 and ümläuts";
  const content = JSON.stringify([new Outbound(room).exported(alice)]);
  const bytes = sealedKeys(content, passphrase);
  const text = armoured(bytes);

  test("T41, T42, T43: that cannot be opened is refused by name, and nothing is derived before that is clear", async () => {
    const change = (at: number, to: (byte: number) => number): string => {
      const copy = Buffer.from(bytes);
      copy[at] = to(copy[at] ?? 0);
      return armoured(copy);
    };
    const rounds = (count: number): string => {
      const copy = Buffer.from(bytes);
      copy.writeUInt32BE(count, 33);
      return armoured(copy);
    };
    const flip = (at: number): string => change(at, (byte) => byte ^ 1);
    const end = bytes.length;
    const early: [name: string, file: string, code: string][] = [
      ["empty", "", "bad_key_file_header"], ["only content", content, "bad_key_file_header"], ["something before it", `x${text}`, "bad_key_file_header"], ["the header in lower case", text.replace("BEGIN", "begin"), "bad_key_file_header"],
      ["no footer", text.replace(/-----END.*/, ""), "bad_key_file_footer"], ["something behind it", `${text}x`, "bad_key_file_footer"],
      ["no base64", text.replace("\n", "\n*"), "bad_key_file_base64"], ["a symbol too few", text.replace(/\n[A-Za-z0-9+/]/, "\n"), "bad_key_file_base64"], ["base64url", armoured(Buffer.alloc(96, 0xff)).replaceAll("/", "_"), "bad_key_file_base64"],
      ["nothing in it", armoured(Buffer.alloc(0)), "bad_key_file_length"], ["one byte", armoured(bytes.subarray(0, 1)), "bad_key_file_length"], ["68 bytes, the MAC over the rounds", armoured(bytes.subarray(0, 68)), "bad_key_file_length"],
      ["version 0", change(0, () => 0), "bad_key_file_version"], ["version 2", change(0, () => 2), "bad_key_file_version"],
      ["0 rounds", rounds(0), "bad_key_file_rounds"], ["1 round", rounds(1), "bad_key_file_rounds"], ["999 rounds", rounds(999), "bad_key_file_rounds"], ["10,000,001 rounds", rounds(10_000_001), "bad_key_file_rounds"], ["2^32-1 rounds", rounds(0xffffffff), "bad_key_file_rounds"],
    ];
    const late: [name: string, file: string, passphrase: string][] = [
      ["a wrong passphrase", text, "a passphrase"], ["an empty one", text, ""], ["one with white space behind it", text, `${passphrase} `], ["one of 100,000 characters", text, "p".repeat(100_000)],
      ...[1, 16, 17, 25, 32, 36, 37, end - 33, end - 32, end - 1].map((at): [string, string, string] => [`byte ${at} flipped`, flip(at), passphrase]),
      ["the last byte lost", armoured(bytes.subarray(0, end - 1)), passphrase],
      ["nothing left but header and MAC", armoured(Buffer.concat([bytes.subarray(0, 37), bytes.subarray(end - 32)])), passphrase],
    ];
    await withKit(chrome, async ({ inPage, printed }) => {
      const got = await inPage(async ({ early, late, passphrase }) => {
        const { OlmMachine } = kit.ks;
        let derived = 0;
        const deriveBits = SubtleCrypto.prototype.deriveBits;
        SubtleCrypto.prototype.deriveBits = function (...args) {
          derived++;
          return deriveBits.apply(this, args);
        };
        const ends: Record<string, string> = {};
        const messages: string[] = [];
        const open = async (name: string, file: string, passphrase: string): Promise<void> => {
          const failure = await kit.failure(() => OlmMachine.decryptExportedRoomKeys(file, passphrase));
          ends[name] = failure.code;
          messages.push(JSON.stringify(failure));
        };
        for (const [name, file] of early) await open(name, file, passphrase);
        const before = derived;
        for (const [name, file, passphrase] of late) await open(name, file, passphrase);
        return { ends, before, after: derived, messages };
      }, { early, late, passphrase });
      assert.deepEqual(got.ends, Object.fromEntries([...early.map(([name, , code]) => [name, code]), ...late.map(([name]) => [name, "bad_passphrase_or_corrupt"])]));
      assert.equal(got.before, 0, "of what may be anybody's file nothing is derived");
      assert.equal(got.after, late.length);
      for (const message of got.messages) assert.ok(message.length < 400 && !message.includes(passphrase), message);
      assert.deepEqual(printed, []);
    });
  });

  test("is opened whatever its lines end with, and what is written others open", async () => {
    const forms: [name: string, file: string][] = [
      ["as it is", text], ["no final newline", text.trimEnd()], ["CRLF", text.replaceAll("\n", "\r\n")], ["CR", text.replaceAll("\n", "\r")], ["one line", text.replaceAll("\n", "")],
      ["white space around it", ` \n\n${text}\n \t`], ["indented", text.replaceAll("\n", "\n  ")], ["no padding", text.replaceAll("=", "")],
    ];
    const recordings: [path: string, passphrase: string, content: string][] = [
      ["js-sdk/export-encrypted.txt", "e2e passphrase", "js-sdk/exportRoomKeysAsJson.json"],
      ["mautrix/MX1-export.txt", "mautrix export", "mautrix/MX1-export-decrypted.json"],
    ];
    const read = await Promise.all(recordings.map(async ([path, passphrase, content]) => ({ file: await recordedFile(path), passphrase, content: JSON.parse(await recordedFile(content)) as unknown })));
    const nothing = armoured(sealedKeys(content, ""));
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ forms, passphrase, read, content, nothing, own }) => {
        const { OlmMachine } = kit.ks;
        const opened: Record<string, string> = {};
        for (const [name, file] of forms) opened[name] = await OlmMachine.decryptExportedRoomKeys(file, passphrase);
        const recordings: unknown[] = [];
        const imported: number[] = [];
        const machine = await OlmMachine.open({ ...own, store: { memory: true } });
        for (const { file, passphrase } of read) {
          const text = await OlmMachine.decryptExportedRoomKeys(file, passphrase);
          recordings.push(JSON.parse(text));
          imported.push((await machine.importExportedRoomKeys(text)).imported);
        }
        await machine.close();
        const written = await OlmMachine.encryptExportedRoomKeys(content, passphrase, 1000);
        const again = await OlmMachine.encryptExportedRoomKeys(content, passphrase, 1000);
        const usual = await OlmMachine.encryptExportedRoomKeys("[]", passphrase);
        const empty = await OlmMachine.decryptExportedRoomKeys(await OlmMachine.encryptExportedRoomKeys("", passphrase, 1000), passphrase);
        const refused: string[] = [];
        for (const rounds of [999, 10_000_001, -1, 1000.5, NaN, Infinity, 2 ** 32]) refused.push((await kit.failure(() => OlmMachine.encryptExportedRoomKeys(content, passphrase, rounds))).code);
        const unsealed = await kit.failure(() => OlmMachine.encryptExportedRoomKeys(content, "", 1000));
        const withNothing = await OlmMachine.decryptExportedRoomKeys(nothing, "");
        return { opened, recordings, imported, written, again, usual, empty, refused, unsealed: unsealed.code, withNothing };
      }, { forms, passphrase, read, content, nothing, own: me.own });
      assert.deepEqual(got.opened, Object.fromEntries(forms.map(([name]) => [name, content])));
      assert.deepEqual(got.recordings, read.map(({ content }) => content));
      assert.deepEqual(got.imported, [1, 1]);
      assert.deepEqual(openedKeys(got.written, passphrase), { content, rounds: 1000 });
      assert.deepEqual(openedKeys(got.usual, passphrase), { content: "[]", rounds: 500_000 });
      assert.match(got.written, /^-----BEGIN MEGOLM SESSION DATA-----\n([A-Za-z0-9+/=]{1,128}\n)+-----END MEGOLM SESSION DATA-----\n$/);
      for (const [from, to] of [[1, 17], [17, 33]] as const) {
        assert.notDeepEqual(unarmoured(got.written).subarray(from, to), unarmoured(got.again).subarray(from, to), "salt and initialisation vector are fresh");
      }
      assert.equal((unarmoured(got.written)[25] ?? 255) & 0x80, 0, "bit 63 of the counter is zero");
      assert.equal(got.empty, "");
      assert.deepEqual([new Set(got.refused), got.unsealed], [new Set(["bad_key_file_rounds"]), "empty_passphrase"]);
      assert.equal(got.withNothing, content, "a file that somebody sealed with nothing is a file");
    });
  });
});

test("T56: nothing secret is printed or told, whatever goes wrong with it", async () => {
  const sessions = Array.from({ length: 4 }, () => new Outbound(room));
  const keys = sessions.map((session) => session.exported(alice));
  const vault = new BackupVault();
  const passphrase = "correct horse battery staple";
  const senderDataKey = [...Buffer.from("thirty-two bytes of a secret key")];
  const [a, b, c, d] = keys;
  const bad = [
    JSON.stringify([a, { ...b, session_key: `${String(b?.["session_key"])}=` }, { ...c, room_id: 7 }, { ...d, session_id: sessions[0]?.sessionId }]),
    JSON.stringify(keys).slice(0, -40),
    JSON.stringify(keys).replace("[", "["+"x"),
    JSON.stringify(a),
    `[${JSON.stringify(a)}, ${JSON.stringify(b).replaceAll('"', "'")}]`,
    JSON.stringify([{ ...a, session_key: { nested: a?.["session_key"] } }, { ...a, room_id: a?.["session_key"], session_id: a?.["session_key"], sender_key: a?.["session_key"], algorithm: a?.["session_key"] }]),
  ];
  await withKit(chrome, async ({ inPage, printed, uncaught }) => {
    const told = await inPage(async ({ own, bad, keys, answer, key, recovery, passphrase, senderDataKey, item }) => {
      const { ks } = kit;
      const told: unknown[] = [];
      const machine = await ks.OlmMachine.open({ ...own, store: { name: "secrets" }, senderDataKey: new Uint8Array(senderDataKey) });
      const note = async (work: () => unknown): Promise<void> => {
        try {
          told.push(await work());
        } catch (thrown) {
          for (let error = thrown; error instanceof Error; error = error.cause) told.push(error.message, error.stack, JSON.stringify(error));
        }
      };
      for (const text of bad) {
        await note(() => machine.importExportedRoomKeys(text));
        let list: unknown;
        try {
          list = JSON.parse(text);
        } catch {
          continue; // the browser's own words on text that we did not see
        }
        await note(() => machine.importExportedRoomKeys(list as never));
      }
      const trap = { ...(keys[0] as object), get session_id(): string { throw new Error(JSON.stringify(keys[0])); } };
      await note(() => machine.importExportedRoomKeys([trap] as never));
      for (const text of bad) {
        const file = await ks.OlmMachine.encryptExportedRoomKeys(text, passphrase, 1000);
        await note(() => ks.OlmMachine.decryptExportedRoomKeys(file, `${passphrase}!`));
        await note(() => ks.OlmMachine.decryptExportedRoomKeys(file.replace("\n", "\nAAAA"), passphrase));
      }
      await note(() => ks.OlmMachine.decryptExportedRoomKeys(passphrase, passphrase));
      await note(() => ks.OlmMachine.encryptExportedRoomKeys(bad[0] ?? "", passphrase, 1));
      for (const wrong of [{ base64: `${key}AA` }, { base64: recovery }, { recoveryKey: key }, { recoveryKey: `${recovery}1` }, { recoveryKey: recovery.replace(/^./, "0") }]) {
        await note(() => machine.importBackedUpRoomKeys(answer, { decryptionKey: wrong, backupVersion: "1" }));
      }
      await note(() => machine.importBackedUpRoomKeys(answer, { decryptionKey: { base64: key }, backupVersion: "1" }));
      await note(() => machine.importBackedUpRoomKeys(answer.slice(0, -1), { decryptionKey: { recoveryKey: recovery }, backupVersion: "1" }));
      await note(() => machine.receiveForwardedRoomKeys([item]));
      await note(() => machine.receiveRoomKeyBundle(item, new TextEncoder().encode(bad[0])));
      await note(() => ks.OlmMachine.open({ ...own, store: { memory: true }, senderDataKey: new Uint8Array([...senderDataKey, 1]) }));
      await note(() => machine.explain("!room:test", String((keys[0] as { session_id: string }).session_id)));
      await machine.close();
      return JSON.stringify(told);
    }, { own: me.own, bad, keys: keys as never as object[], answer: JSON.stringify(vault.answer(keys)), key: vault.base64, recovery: vault.recoveryKey, passphrase, senderDataKey, item: sessions[0]?.forwarded(alice, alice, me) as never });
    const secrets = [...secretsOf([JSON.stringify(keys)]), vault.base64.slice(2, 40), vault.recoveryKey.slice(10, 40), vault.recoveryKey.replaceAll(" ", "").slice(8, 32), passphrase, Buffer.from(senderDataKey).toString(), Buffer.from(senderDataKey).toString("base64").slice(0, 40), senderDataKey.slice(4, 20).join(",")];
    assert.ok(secrets.length > 20);
    assert.ok(told.includes("bad_passphrase") || told.includes("passphrase is wrong"), "things went wrong, and that was told");
    for (const secret of secrets) {
      assert.ok(!told.includes(secret), "a secret was told");
      assert.ok(![...printed, ...uncaught].some((line) => line.includes(secret)), "a secret was printed");
    }
    assert.deepEqual(printed, []);
  });
});
