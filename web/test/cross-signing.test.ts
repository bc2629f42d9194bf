// Our own identity beside matrix-sdk-crypto-wasm, in headless Chrome: what we set up, sign and export is what it trusts and imports, and the reverse.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { encodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/recovery-key.js";
import encrypt from "matrix-js-sdk/lib/utils/encryptAESSecretStorageItem.js";
import type { JsonObject } from "../src/types.js";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { withPeer } from "./peerkit.js";
import { Identity, Person } from "./people.js";

const chrome = useChrome();
const own = { userId: "@me:test", deviceId: "MINE" };
type Kit = typeof import("./directory.js");

describe("our own identity", () => {
  test("what is set up here another device of ours and another user trust; whom and what we verify the other device sees verified", async () => {
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const { Directory } = (await import("/build/test/directory.js" as string)) as Kit;
        await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
        const server = new Directory();
        const ours = await kit.ks.OlmMachine.open({ ...own, store: { name: "identity" } });
        await server.serve(ours);
        const before = await ours.crossSigningStatus();
        await server.bootstrap(ours);
        const me = new peer.UserId(own.userId);
        const alice = await server.theirs("@alice:test", "PHONE");
        await server.bootstrapTheirs(alice);
        await server.tellTheirs(alice, own.userId);
        const aliceSees = (await alice.getDevice(me, new peer.DeviceId(own.deviceId)))?.isCrossSignedByOwner();

        // Another device of ours: verified here by its fingerprint, and it gets the private keys.
        const second = await server.theirs(own.userId, "SECOND");
        await server.tell(ours, own.userId, "@alice:test");
        const fingerprint = second.identityKeys.ed25519.toBase64();
        const wrongDevice = await kit.failure(() => ours.verifyDevice("SECOND", second.identityKeys.curve25519.toBase64()));
        const noDevice = await kit.failure(() => ours.verifyDevice("THIRD", fingerprint));
        const deviceRequest = await ours.verifyDevice("SECOND", fingerprint);
        const wrongMaster = await kit.failure(() => ours.verifyIdentity("@alice:test", fingerprint));
        const nobody = await kit.failure(() => ours.verifyIdentity("@nobody:test", fingerprint));
        const identityRequest = await ours.verifyIdentity("@alice:test", server.master("@alice:test"));
        await server.serve(ours);
        const keys = await ours.exportCrossSigningKeys();
        const status = await second.importCrossSigningKeys(keys?.masterKey, keys?.self_signing_key, keys?.userSigningKey);
        await server.tellTheirs(second, own.userId, "@alice:test");
        const secondSees = {
          imported: [status.hasMaster, status.hasSelfSigning, status.hasUserSigning],
          ourselves: (await second.getIdentity(me))?.isVerified(),
          us: (await second.getDevice(me, new peer.DeviceId(own.deviceId)))?.isCrossSignedByOwner(),
          itself: (await second.getDevice(me, new peer.DeviceId("SECOND")))?.isCrossSignedByOwner(),
          alice: (await second.getIdentity(new peer.UserId("@alice:test")))?.isVerified(),
        };
        const again = await ours.bootstrapCrossSigning();
        const sameMaster = again.uploadSigningKeysRequest.body.includes(server.master(own.userId));
        await ours.close();
        const reopened = await kit.ks.OlmMachine.open({ ...own, store: { name: "identity" } });
        const after = { status: await reopened.crossSigningStatus(), me: reopened.getIdentity(own.userId)?.verification, alice: reopened.getIdentity("@alice:test")?.verification };
        await reopened.close();
        return {
          before, aliceSees, secondSees, after, sameMaster,
          requests: [deviceRequest?.type, identityRequest?.type, again.uploadKeysRequest],
          codes: [wrongDevice.code, noDevice.code, wrongMaster.code, nobody.code],
        };
      }, own);
      assert.deepEqual(got.before, { hasMaster: false, hasSelfSigning: false, hasUserSigning: false });
      assert.equal(got.aliceSees, true);
      assert.deepEqual(got.secondSees, { imported: [true, true, true], ourselves: true, us: true, itself: true, alice: true });
      assert.deepEqual(got.requests, ["signature_upload", "signature_upload", null]);
      assert.deepEqual(got.codes, ["device_mismatch", "unknown_device", "identity_mismatch", "identity_unknown"]);
      assert.deepEqual(got.after, { status: { hasMaster: true, hasSelfSigning: true, hasUserSigning: true }, me: "Verified", alice: "Verified" });
      assert.ok(got.sameMaster);
    });
  });

  test("an identity that the peer set up: its exported keys import here and sign our device; whom it verified is verified; a reset there takes the keys from here", async () => {
    await withPeer(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const { Directory } = (await import("/build/test/directory.js" as string)) as Kit;
        await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
        const server = new Directory();
        const me = new peer.UserId(own.userId);
        const first = await server.theirs(own.userId, "FIRST");
        await server.bootstrapTheirs(first);
        const alice = await server.theirs("@alice:test", "PHONE");
        await server.bootstrapTheirs(alice);
        await server.tellTheirs(first, own.userId, "@alice:test");
        const verify = await (await first.getIdentity(new peer.UserId("@alice:test")))?.verify();
        server.take("signature_upload", (verify as { body: string }).body);

        const ours = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const reports: string[] = [];
        ours.registerStoreReportCallback(({ code }) => void reports.push(code));
        await server.tell(ours, own.userId, "@alice:test");
        const before = [ours.getIdentity(own.userId)?.verification, ours.getIdentity("@alice:test")?.verification];
        const exists = await kit.failure(() => ours.bootstrapCrossSigning());
        const theirKeys = await first.exportCrossSigningKeys();
        const keys = { masterKey: theirKeys?.masterKey ?? "", self_signing_key: theirKeys?.self_signing_key ?? "", userSigningKey: theirKeys?.userSigningKey ?? "" };
        const codes: string[] = [exists.code];
        for (const bad of [{}, { masterkey: keys.masterKey }, { masterKey: "" }, { masterKey: keys.self_signing_key }, null]) {
          codes.push((await kit.failure(() => ours.importCrossSigningKeys(bad as never))).code);
        }
        const status = await ours.importCrossSigningKeys(keys);
        const after = [ours.getIdentity(own.userId)?.verification, ours.getIdentity("@alice:test")?.verification];
        await server.serve(ours);
        await server.tell(ours, own.userId);
        const back = await ours.exportCrossSigningKeys();
        await server.tellTheirs(first, own.userId);
        await server.tellTheirs(alice, own.userId);
        const device = new peer.DeviceId(own.deviceId);
        const sees = [(await first.getDevice(me, device))?.isCrossSignedByOwner(), (await alice.getDevice(me, device))?.isCrossSignedByOwner()];

        await server.bootstrapTheirs(first); // a reset
        await server.tell(ours, own.userId);
        const gone = { keys: await ours.exportCrossSigningKeys(), me: ours.getIdentity(own.userId)?.verification, reports };
        await ours.close();
        return { before, codes, status, after, same: JSON.stringify(back) === JSON.stringify(keys), sees, gone };
      }, own);
      assert.deepEqual(got.before, ["Unverified", "Unverified"]);
      assert.deepEqual(got.codes, ["cross_signing_identity_exists", "no_cross_signing_keys", "no_cross_signing_keys", "bad_cross_signing_seed", "cross_signing_key_mismatch", "no_cross_signing_keys"]);
      assert.deepEqual(got.status, { hasMaster: true, hasSelfSigning: true, hasUserSigning: true });
      assert.deepEqual(got.after, ["Verified", "Verified"]);
      assert.ok(got.same);
      assert.deepEqual(got.sees, [true, true]);
      assert.deepEqual(got.gone, { keys: null, me: "VerificationViolation", reports: ["cross_signing_identity_replaced"] });
    });
  });

  test("private keys come out of secret storage, by the recovery key as people write it down", async () => {
    const identity = new Identity(own.userId);
    const key = new Uint8Array(randomBytes(32));
    const { iv, mac } = await encrypt("\0".repeat(32), key, "");
    const accountData: Record<string, JsonObject> = {
      "m.secret_storage.default_key": { key: "id" },
      "m.secret_storage.key.id": { algorithm: "m.secret_storage.v1.aes-hmac-sha2", iv, mac },
    };
    for (const [usage, { seed }] of [["master", identity.master], ["self_signing", identity.selfSigning], ["user_signing", identity.userSigning]] as const) {
      const { iv, ciphertext, mac } = await encrypt(seed, key, `m.cross_signing.${usage}`);
      accountData[`m.cross_signing.${usage}`] = { encrypted: { id: { iv, ciphertext, mac } } };
    }
    const answer = JSON.stringify({ device_keys: {}, master_keys: { [own.userId]: identity.masterObject() }, self_signing_keys: { [own.userId]: identity.selfSigningObject() }, user_signing_keys: { [own.userId]: identity.userSigningObject() } });
    await withKit(chrome, async (page) => {
      const got = await page.inPage(async ({ own, answer, accountData, recoveryKey }) => {
        await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
        const ours = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        await ours.receiveKeysQueryResponse(answer);
        const read = (type: string): Promise<JsonObject | null> => Promise.resolve(accountData[type] ?? null);
        const bad = await kit.failure(() => ours.importCrossSigningKeysFromSecretStorage(read, { recoveryKey: `${recoveryKey.slice(0, -1)}x` }));
        const status = await ours.importCrossSigningKeysFromSecretStorage(read, { recoveryKey });
        const storage = await ours.openSecretStorage(read, { recoveryKey });
        const backup = await storage.get("m.megolm_backup.v1");
        const verification = ours.getIdentity(own.userId)?.verification;
        const none = await kit.failure(() => ours.importCrossSigningKeysFromSecretStorage((type) => (type.startsWith("m.cross") ? Promise.resolve(null) : read(type)), { recoveryKey }));
        await ours.close();
        return { bad: bad.code, status, backup, verification, none: none.code };
      }, { own, answer, accountData, recoveryKey: encodeRecoveryKey(key) ?? "" });
      assert.deepEqual(got, { bad: "bad_recovery_key", status: { hasMaster: true, hasSelfSigning: true, hasUserSigning: true }, backup: null, verification: "Verified", none: "no_cross_signing_keys" });
    });
  });

  test("a client with an Olm of its own is told that it has none of this", async () => {
    await withKit(chrome, async (page) => {
      for (const wasmURL of ["/dist/knownsender.wasm", "/dist/knownsender-olm.wasm"]) {
        const codes = await page.inPage(async ({ own, wasmURL }) => {
          await kit.ks.initAsync({ wasmURL }).catch(() => undefined);
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
          const key = machine.identityKeys.ed25519;
          const calls: (() => Promise<unknown>)[] = [
            () => machine.bootstrapCrossSigning({ reset: true }), () => machine.importCrossSigningKeys({ masterKey: key }), () => machine.exportCrossSigningKeys(),
            () => machine.crossSigningStatus(), () => machine.verifyIdentity(machine.userId, key), () => machine.verifyDevice("X", key),
          ];
          const codes = new Set<string>();
          for (const call of calls) codes.add((await kit.failure(call)).code);
          await machine.close();
          return [...codes];
        }, { own: new Person(own.userId, own.deviceId).own, wasmURL });
        assert.deepEqual(codes, ["no_account"]);
      }
    });
  });
});
