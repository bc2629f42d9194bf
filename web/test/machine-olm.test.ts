// A machine with an Olm account of its own, in headless Chrome, by the engine with Olm in it, and libolm at the other end: what the server is to be given, raw to-device events
// in, judged messages out, in IndexedDB across a reload.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { after, before, test } from "node:test";
import { useChrome } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!olm:test";
const own = { userId: "@me:test", deviceId: "MINE" };

interface Upload {
  device_keys?: { keys: Record<string, string>; signatures: Record<string, Record<string, string>> };
  one_time_keys: Record<string, { key: string }>;
  fallback_keys: Record<string, { key: string; fallback: boolean }>;
}

before(async () => Olm.init());
const peers: LibolmDevice[] = [];
after(() => peers.forEach((peer) => peer.free()));

function peer(userId: string, deviceId: string): LibolmDevice {
  const made = new LibolmDevice(userId, deviceId);
  peers.push(made);
  return made;
}

test("scenarios 46 to 50: raw to-device events of libolm are opened, kept, attributed, and there after a reload; what is bad costs only itself", async () => {
  await withKit(chrome, async (page) => {
    const opened = await page.inPage(async (own) => {
      await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "olm" } });
      Object.assign(globalThis, { machine });
      const upload = machine.outgoingRequests().find(({ type }) => type === "keys_upload");
      const bad = await kit.failure(() => machine.markRequestAsSent(upload?.id ?? "", "{}"));
      const none = await machine.markRequestAsSent(upload?.id ?? "", '{"one_time_key_counts":{"signed_curve25519":50}}');
      return { keys: machine.identityKeys, upload, bad: bad.code, none, left: machine.outgoingRequests().filter(({ type }) => type === "keys_upload").length };
    }, own);
    assert.equal(opened.upload?.type, "keys_upload");
    assert.deepEqual([opened.bad, opened.none, opened.left], ["bad_upload", null, 0]);
    const body = JSON.parse(opened.upload.body) as Upload;
    const oneTimeKeys = Object.values(body.one_time_keys).map(({ key }) => key);
    assert.equal(oneTimeKeys.length, 50);
    assert.equal(Object.keys(body.fallback_keys).length, 1);
    const utility = new Olm.Utility();
    const { signatures, ...signed } = body.device_keys ?? { signatures: {}, keys: {} };
    utility.ed25519_verify(opened.keys.ed25519, JSON.stringify(signed), signatures[own.userId]?.[`ed25519:${own.deviceId}`] ?? "");
    utility.free();

    const theirs = opened.keys.curve25519;
    const me = knownAs(own.userId, own.deviceId, opened.keys);
    const alice = peer("@alice:test", "PHONE");
    alice.begin(theirs, oneTimeKeys[0] ?? "");
    const sessions = Array.from({ length: 3 }, () => new Outbound(room));
    const custom = { sender: "@alice:test", recipient: own.userId, keys: { ed25519: alice.person.ed25519.public }, recipient_keys: { ed25519: me.ed25519.public }, sender_device_keys: alice.person.deviceKeys(), type: "m.custom", content: { x: 1 } };
    const events = [
      ...sessions.map((session) => alice.event(theirs, session.payload(alice.person, me))),
      '{"type":"m.room_key","sender":"@alice:test","content":{}}',
      alice.event(theirs, custom),
      "{",
      '{"type":"m.presence","sender":"@alice:test","content":{}}',
    ];
    const got = await page.inPage(async ({ own, events, answer, message, last }) => {
      const { machine } = globalThis as unknown as { machine: Awaited<ReturnType<typeof kit.ks.OlmMachine.open>> };
      await machine.receiveKeysQueryResponse(answer);
      const first = await machine.receiveSyncChanges({ toDeviceEvents: events, oneTimeKeyCounts: { signed_curve25519: 49 }, unusedFallbackKeys: [] });
      const settled = await first.settled;
      const again = await machine.receiveSyncChanges({ toDeviceEvents: events.slice(0, 1) });
      const more = JSON.parse(machine.outgoingRequests().find(({ type }) => type === "keys_upload")?.body ?? "{}") as Upload;
      const keys = machine.identityKeys;
      await machine.close();
      const reopened = await kit.ks.OlmMachine.open({ ...own, store: { name: "olm" } });
      const same = JSON.stringify(reopened.identityKeys) === JSON.stringify(keys);
      const after = await reopened.receiveSyncChanges({ toDeviceEvents: [last] });
      const event = await reopened.decryptRoomEvent(message, "!olm:test");
      const another = await kit.failure(() => kit.ks.OlmMachine.open({ ...own, deviceId: "OTHER", store: { name: "olm" } }));
      await reopened.close();
      const theirOwn = await kit.ks.OlmMachine.open({ ...own, identityKeys: keys, store: { memory: true } });
      const noAccount = await kit.failure(() => theirOwn.receiveSyncChanges({ toDeviceEvents: [] }));
      await theirOwn.close();
      return { first: first.events, settled: settled.map(({ known }) => known), again: again.events, more, same, after: after.events, body: kit.body(event), state: event.encryptionInfo.verdict.state, another: another.code, noAccount: noAccount.code };
    }, { own, events, answer: keysQueryAnswer([alice.person]), message: JSON.stringify(sessions[1]?.event("@alice:test", "$1", "hello")), last: alice.event(theirs, new Outbound(room).payload(alice.person, me)) });

    assert.deepEqual(got.first.map(({ type }) => type), ["room_key", "room_key", "room_key", "refused", "decrypted", "refused", "plain"]);
    const [key, , , plain, other, torn] = got.first;
    assert.ok(key?.type === "room_key" && key.receipt.accepted && key.receipt.senderData.type === "SenderUnverified");
    assert.ok(plain?.type === "refused" && plain.refusal.code === "plain_room_key");
    assert.ok(other?.type === "decrypted" && other.payload["type"] === "m.custom" && other.senderData.userId === "@alice:test");
    assert.ok(torn?.type === "refused" && torn.refusal.code === "bad_to_device");
    assert.deepEqual(got.settled, [true, true, true]);
    assert.ok(got.again[0]?.type === "refused" && got.again[0].refusal.code === "olm_message_replayed");
    assert.deepEqual([Object.keys(got.more.one_time_keys).length, Object.keys(got.more.fallback_keys).length, got.more.device_keys], [1, 1, undefined]);
    assert.deepEqual([got.same, got.after[0]?.type, got.body, got.state], [true, "room_key", "hello", "sender_unverified"]);
    assert.deepEqual([got.another, got.noAccount], ["account_of_other", "no_account"]);
  });
});

test("with the client's fetch the machine uploads by itself, again after a failure", async () => {
  await withKit(chrome, async (page) => {
    const paths = await page.inPage(async (own) => {
      await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
      const asked: string[] = [];
      let uploaded: () => void = () => undefined;
      const done = new Promise<void>((resolve) => (uploaded = resolve));
      const machine = await kit.ks.OlmMachine.open({
        ...own,
        store: { memory: true },
        http: {
          fetch: ({ path }) => {
            asked.push(path);
            if (path.endsWith("/keys/upload")) {
              uploaded();
              return Promise.resolve(new Response('{"one_time_key_counts":{"signed_curve25519":50}}'));
            }
            return Promise.resolve(new Response('{"device_keys":{}}'));
          },
        },
      });
      await done;
      await new Promise((resolve) => setTimeout(resolve, 300));
      const left = machine.outgoingRequests().filter(({ type }) => type === "keys_upload").length;
      await machine.close();
      return { uploads: asked.filter((path) => path === "/_matrix/client/v3/keys/upload").length, left };
    }, own);
    assert.deepEqual(paths, { uploads: 1, left: 0 });
  });
});

test("the engine without Olm says so, and does for a client that has its own", async () => {
  await withKit(chrome, async (page) => {
    const codes = await page.inPage(async ({ own, keys }) => {
      const none = await kit.failure(() => kit.ks.OlmMachine.open({ ...own, store: { memory: true } }));
      const machine = await kit.ks.OlmMachine.open({ ...own, identityKeys: keys, store: { memory: true } });
      const sync = await kit.failure(() => machine.receiveSyncChanges({ toDeviceEvents: [] }));
      await machine.close();
      return [none.code, sync.code];
    }, { own, keys: new Person(own.userId, own.deviceId).own.identityKeys });
    assert.deepEqual(codes, ["no_account", "no_account"]);
  });
});
