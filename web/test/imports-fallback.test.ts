// Browsers whose WebCrypto lacks something, or that have none at all: the program's own arithmetic gives the same answers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome } from "./harness.js";
import { recordedFile, withKit } from "./machinekit.js";
import { armoured, BackupVault, openedKeys, Outbound, Person, sealedKeys } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE");
const passphrase = "a passphrase, 😀";

/** What is taken away. */
const lacks = ["nothing", "WebCrypto", "X25519", "PBKDF2"] as const;

describe("with a WebCrypto that lacks", () => {
  for (const lack of lacks) {
    test(lack, async () => {
      const vault = new BackupVault();
      const outbound = new Outbound(room);
      const keys = [outbound.exported(alice), ...Array.from({ length: 150 }, () => new Outbound("!other:test").exported(alice))];
      const content = JSON.stringify(keys.slice(0, 1));
      const answer = vault.answer(keys);
      // One with another MAC, and one that is sealed for somebody else.
      const sessions = answer.rooms["!other:test"]?.sessions ?? {};
      const [first = "", second = ""] = Object.keys(sessions);
      sessions[second] = new BackupVault().answer([keys[2] ?? {}]).rooms["!other:test"]?.sessions[second] ?? null;
      (sessions[first] as { session_data: { mac: string } }).session_data.mac = "AAAAAAAAAAA";
      await withKit(chrome, async ({ inPage, printed }) => {
        const got = await inPage(async ({ own, lack, file, wrong, recorded, passphrase, content, answer, base64, publicKey, event, room }) => {
          const { OlmMachine } = kit.ks;
          const asked: string[] = [];
          if (lack === "WebCrypto") {
            Object.defineProperty(crypto, "subtle", { value: undefined });
          } else {
            for (const method of ["importKey", "generateKey", "deriveBits"] as const) {
              const real = SubtleCrypto.prototype[method] as (...args: unknown[]) => Promise<unknown>;
              Object.defineProperty(SubtleCrypto.prototype, method, { value: function (this: SubtleCrypto, ...args: unknown[]) {
                const name = args.map((arg) => (typeof arg === "string" ? arg : ((arg as { name?: string } | null)?.name ?? ""))).join(" ");
                asked.push(name);
                if (name.includes(lack)) return Promise.reject(new DOMException("Unrecognized name", "NotSupportedError"));
                return real.apply(this, args);
              } });
            }
          }
          const opened = await OlmMachine.decryptExportedRoomKeys(file, passphrase);
          const refused = [await kit.failure(() => OlmMachine.decryptExportedRoomKeys(file, "wrong")), await kit.failure(() => OlmMachine.decryptExportedRoomKeys(wrong, passphrase))].map(({ code }) => code);
          const read = await OlmMachine.decryptExportedRoomKeys(recorded, "mautrix export");
          const sealed = await OlmMachine.encryptExportedRoomKeys(content, passphrase, 1000);
          const back = await OlmMachine.decryptExportedRoomKeys(sealed, passphrase);

          const machine = await OlmMachine.open({ ...own, store: { name: "fallback" } });
          const { imported, failures } = await machine.importBackedUpRoomKeys(answer as never, { decryptionKey: { base64 }, backupVersion: "1" });
          const decrypted = await machine.decryptRoomEvent(event, room);
          await machine.enableBackupV1(publicKey, "2");
          const request = await machine.backupRoomKeys();
          await machine.close();
          return { opened, refused, read, sealed, same: back === content, imported, failures: failures.map(({ position, code }) => [position, code]), body: kit.body(decrypted), upload: request?.body ?? "", count: request?.count, asked: asked.filter((name) => name.includes(lack)).length, all: asked.length };
        }, {
          own: me.own, lack, file: armoured(sealedKeys(content, passphrase)), wrong: armoured(sealedKeys(content, passphrase).fill(0, 40, 44)), recorded: await recordedFile("mautrix/MX1-export.txt"), passphrase, content,
          answer: answer as never as object, base64: vault.base64, publicKey: vault.public, event: outbound.event(alice.userId, "$1", "hello") as never, room,
        });
        assert.equal(got.opened, content);
        assert.deepEqual(got.refused, ["bad_passphrase_or_corrupt", "bad_passphrase_or_corrupt"]);
        assert.deepEqual(JSON.parse(got.read), JSON.parse(await recordedFile("mautrix/MX1-export-decrypted.json")));
        assert.deepEqual([openedKeys(got.sealed, passphrase), got.same], [{ content, rounds: 1000 }, true]);
        assert.deepEqual([got.imported, got.failures], [149, [[1, "bad_backup_mac"], [2, "bad_backup_mac"]]]);
        assert.equal(got.body, "hello");
        assert.equal(got.count, 100);
        const { rooms } = JSON.parse(got.upload) as { rooms: Record<string, { sessions: Record<string, Parameters<BackupVault["opened"]>[0]> }> };
        const uploaded = Object.values(rooms).flatMap(({ sessions }) => Object.values(sessions).map((sealed) => vault.opened(sealed)));
        assert.equal(uploaded.length, 100, "and what is sealed without it opens");
        // The stub stands where the package asks: without this the stories above would all be the first.
        if (lack === "WebCrypto") assert.equal(got.all, 0);
        else assert.ok(lack === "nothing" ? got.all > 100 : got.asked > 0, `${got.asked} of ${got.all}`);
        assert.deepEqual(printed, []);
      });
    });
  }
});
