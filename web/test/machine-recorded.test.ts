// The main job, end to end: recorded room keys into IndexedDB, their senders found, messages decrypted and judged, and all of it there again
// after a reload. The page lives under the one Content-Security-Policy the README names.

import assert from "node:assert/strict";
import { test } from "node:test";
import { useChrome } from "./harness.js";
import { recorded, secretsOf, withKit } from "./machinekit.js";

const chrome = useChrome();
const csp = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; img-src data:; require-trusted-types-for 'script'; trusted-types 'none'";

test("a recorded key is received, learns its sender from /keys/query, decrypts its message, and is there after a reload", async () => {
  const [bob] = await recorded();
  assert.ok(bob);
  const context = await chrome.browser.newContext();
  const printed: string[] = [];
  try {
    await withKit(chrome, async (page) => {
      const got = await page.inPage(async (bob) => {
        const { ks } = kit;
        const heard: unknown[] = [];
        const { userId, deviceId, identityKeys } = bob;
        const machine = await ks.OlmMachine.open({ userId, deviceId, identityKeys, store: { name: "main" } });
        machine.registerRoomKeyUpdatedCallback((keys) => heard.push(["keys", keys]));
        const off = machine.registerRoomKeyUpdatedCallback(() => heard.push("not any more"));
        off();
        off();
        machine.registerRoomKeyUpdatedCallback(() => { throw new Error("a callback's own fault"); });
        machine.registerSenderDataUpdatedCallback((updates) => heard.push(["senders", updates]));

        const reception = machine.receiveRoomKeys(bob.keys);
        const [receipt] = reception.receipts;
        await reception.stored;
        const settled = await reception.settled;
        const [event, second] = bob.events;
        if (event === undefined || second === undefined || receipt?.accepted !== true) throw new Error("the key was not accepted");
        const early = await machine.decryptRoomEvent(event.text, event.roomId);

        await machine.updateTrackedUsers([event.sender]);
        const outdated = machine.outdatedUsers();
        const request = machine.queryKeysForUsers(outdated);
        const change = await machine.receiveKeysQueryResponse(bob.answers[0] ?? "", request.id);
        const late = await machine.decryptRoomEvent(JSON.parse(second.text) as Parameters<typeof machine.decryptRoomEvent>[0], second.roomId);
        machine.setTrustRequirement("Verified");
        const withheld = await kit.failure(() => machine.decryptRoomEvent(event.text, event.roomId));
        const counts = await machine.roomKeyCounts();
        const explanation = await machine.explain(event.roomId, event.sessionId);
        const info = machine.getRoomEventEncryptionInfo(event.text, event.roomId);
        const identity = machine.getIdentity(event.sender);
        const stranger = machine.getIdentity("@stranger:localhost");
        await machine.close();
        return { receipt, settled, early: kit.body(early), verdict: early.encryptionInfo.verdict, outdated, after: machine.trustRequirement, body: request.body, change, late: kit.body(late), index: late.messageIndex, withheld, counts, explanation, info, identity, stranger, heard };
      }, bob);

      const key = { roomId: "!FTzd2FDWG6emvtmY:localhost", sessionId: "8EkQE6YSaan8sZS12lRmgkH9Ov+0TT29Bnc/HMb5F8Q", senderKey: "hv4h+eFrL4w/VOTelaVzyWF+vAA/vgHaAa48JSFO1QA" };
      const device = { type: "DeviceInfo", userId: "@alicemwtd9qv4:localhost", deviceId: "ALICEDEV1" };
      const known = { ...device, type: "SenderUnverified", masterKey: "jPhZy23IRbMj5nSjBvySu03Zs1KG6dmYn2AL75cbJQo" };
      assert.deepEqual(got.receipt, {
        accepted: true, ...key, lane: "slow", senderData: device, suspended: false, step: "F",
        verdicts: { Untrusted: null, CrossSignedOrLegacy: "unsigned_device", CrossSigned: "unsigned_device", Verified: "unsigned_device" },
      });
      assert.deepEqual(got.settled, [{ ...key, senderData: device, known: false }]);
      assert.equal(got.early, "hello bob, this is alice", "the recorded plaintext");
      assert.deepEqual([got.verdict.shown, got.verdict.shield], [true, { color: "Red", code: "UnsignedDevice" }]);
      assert.deepEqual(got.outdated, ["@alicemwtd9qv4:localhost", "@bobmwtd9qv4:localhost"], "ourselves are always followed");
      assert.deepEqual(JSON.parse(got.body), { device_keys: { "@alicemwtd9qv4:localhost": [], "@bobmwtd9qv4:localhost": [] } });
      assert.equal(got.change.roomKeys, 1);
      assert.deepEqual(got.change.problems, []);
      assert.deepEqual([got.late, got.index], ["second message", 1]);
      assert.deepEqual([got.withheld.name, got.withheld.code], ["DecryptionError", "unverified_identity"]);
      assert.deepEqual(got.counts, { total: 1, backedUp: 0 });
      assert.deepEqual(got.explanation.copies[0]?.senderData, known);
      assert.deepEqual(got.explanation.copies[0]?.atReception, device);
      assert.deepEqual([got.info.senderData, got.info.atReception, got.info.verdict.code], [known, device, "unverified_identity"]);
      assert.equal(got.after, "Verified");
      assert.equal(got.identity?.masterKey, known.masterKey);
      assert.equal(got.identity?.verification, "Unverified");
      assert.equal(got.stranger, null);
      assert.deepEqual(got.heard, [
        ["keys", [{ algorithm: "m.megolm.v1.aes-sha2", ...key }]],
        ["senders", [{ ...key, before: device, after: known, suspended: false, because: "keys_query" }]],
      ]);
      assert.equal(page.printed.filter((line) => line.includes("a callback's own fault")).length, 1, "a failing callback is printed and stops nobody");
      printed.push(...page.printed);
    }, { context, csp });

    await withKit(chrome, async (page) => {
      const got = await page.inPage(async (bob) => {
        const { userId, deviceId, identityKeys } = bob;
        const [event] = bob.events;
        if (event === undefined) throw new Error("no event");
        const machine = await kit.ks.OlmMachine.open({ userId, deviceId, identityKeys, store: { name: "main" } });
        const unloaded = await kit.failure(() => machine.getRoomEventEncryptionInfo(event.text, event.roomId));
        await machine.loadRoom(event.roomId);
        const info = machine.getRoomEventEncryptionInfo(event.text, event.roomId);
        const again = await machine.decryptRoomEvent(event.text, event.roomId);
        const replayed = await kit.failure(() => machine.decryptRoomEvent({ ...(JSON.parse(event.text) as object), event_id: "$another" }, event.roomId));
        const counts = await machine.roomKeyCounts();
        await machine.close();
        return { unloaded, info, again: kit.body(again), replayed, counts };
      }, bob);
      assert.deepEqual([got.unloaded.name, got.unloaded.code], ["DecryptionError", "session_not_loaded"]);
      assert.deepEqual([got.info.senderData?.type, got.info.atReception?.type, got.info.verdict.shown], ["SenderUnverified", "DeviceInfo", true]);
      assert.equal(got.again, "hello bob, this is alice");
      assert.equal(got.replayed.code, "replayed", "scenario 133: the index was remembered");
      assert.deepEqual(got.counts, { total: 1, backedUp: 0 });
      printed.push(...page.printed);
    }, { context, csp });
  } finally {
    await context.close();
  }

  // T56: nothing of a session key was printed.
  const secrets = secretsOf(bob.keys.map(({ payload }) => payload));
  assert.ok(secrets.length > 5);
  for (const secret of secrets) assert.ok(!printed.some((line) => line.includes(secret)), "a session key was printed");
});
