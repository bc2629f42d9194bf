// The other ends of a recorded conversation: libolm, and vodozemac inside matrix-sdk-crypto-wasm. One JSON request a line in, one answer a line out.
//
//   libolm-begin   {identity, oneTimeKey}      makes a session with the key                        -> {senderKey}
//   rust-begin     {deviceKeys, oneTimeKeys}   the same, as /keys/query and /keys/claim answer it  -> {senderKey, ed25519}
//   libolm-encrypt {text}, rust-encrypt {type, content}                                             -> {kind, body}
//   libolm-decrypt {kind, body}, rust-decrypt {senderKey, kind, body}                               -> {text}
//   libolm-keys    {}                          keys to begin a session with libolm by              -> {senderKey, oneTimeKey}
//   rust-keys      {}                          the same of vodozemac                               -> {senderKey, ed25519, oneTimeKey}

import Olm from "@matrix-org/olm";
import * as rust from "@matrix-org/matrix-sdk-crypto-wasm";
import { createInterface } from "node:readline";

const alice = "@alice:example.org";
const bob = "@bob:example.org";
await Olm.init();
await rust.initAsync();

const account = new Olm.Account();
account.create();
let session;
const { curve25519: libolmKey } = JSON.parse(account.identity_keys());

const machine = await rust.OlmMachine.initialize(new rust.UserId(alice), new rust.DeviceId("ALICE"));
let rustKeys, rustOneTimeKey;
for (const request of await machine.outgoingRequests()) {
  if (request.type !== rust.RequestType.KeysUpload) continue;
  const body = JSON.parse(request.body);
  rustKeys = body.device_keys.keys;
  rustOneTimeKey = Object.values(body.one_time_keys)[0].key;
  await machine.markRequestAsSent(request.id, request.type, JSON.stringify({ one_time_key_counts: { signed_curve25519: 50 } }));
}

async function device() {
  return machine.getDevice(new rust.UserId(bob), new rust.DeviceId("BOB"), 0);
}

async function introduce(deviceKeys) {
  if (await device()) return;
  await machine.updateTrackedUsers([new rust.UserId(bob)]);
  for (const request of await machine.outgoingRequests()) {
    if (request.type !== rust.RequestType.KeysQuery) continue;
    await machine.markRequestAsSent(request.id, request.type, JSON.stringify({ device_keys: { [bob]: { BOB: deviceKeys } }, failures: {} }));
  }
}

const answers = {
  "libolm-begin"({ identity, oneTimeKey }) {
    session = new Olm.Session();
    session.create_outbound(account, identity, oneTimeKey);
    return { senderKey: libolmKey };
  },
  "libolm-keys"() {
    account.generate_one_time_keys(1);
    return { senderKey: libolmKey, oneTimeKey: Object.values(JSON.parse(account.one_time_keys()).curve25519)[0] };
  },
  "libolm-encrypt"({ text }) {
    const { type, body } = session.encrypt(text);
    return { kind: type, body };
  },
  "libolm-decrypt"({ senderKey, kind, body }) {
    if (kind === 0 && !session?.matches_inbound(body)) {
      session = new Olm.Session();
      session.create_inbound_from(account, senderKey, body);
      account.remove_one_time_keys(session);
    }
    return { text: session.decrypt(kind, body) };
  },
  async "rust-begin"({ deviceKeys, oneTimeKeys }) {
    await introduce(deviceKeys);
    const request = await machine.getMissingSessions([new rust.UserId(bob)]);
    await machine.markRequestAsSent(request.id, request.type, JSON.stringify({ one_time_keys: { [bob]: { BOB: oneTimeKeys } }, failures: {} }));
    return { senderKey: rustKeys["curve25519:ALICE"], ed25519: rustKeys["ed25519:ALICE"] };
  },
  async "rust-keys"({ deviceKeys }) {
    await introduce(deviceKeys);
    return { senderKey: rustKeys["curve25519:ALICE"], ed25519: rustKeys["ed25519:ALICE"], oneTimeKey: rustOneTimeKey };
  },
  async "rust-encrypt"({ content }) {
    const sealed = JSON.parse(await (await device()).encryptToDeviceEvent("org.example.test", content));
    const { type, body } = Object.values(sealed.ciphertext)[0];
    return { kind: type, body };
  },
  async "rust-decrypt"({ senderKey, kind, body }) {
    const content = { algorithm: "m.olm.v1.curve25519-aes-sha2", sender_key: senderKey, ciphertext: { [rustKeys["curve25519:ALICE"]]: { type: kind, body } } };
    const events = JSON.stringify([{ type: "m.room.encrypted", sender: bob, content }]);
    const [event] = await machine.receiveSyncChanges(events, new rust.DeviceLists(), new Map([["signed_curve25519", 50]]), new Set(), new rust.DecryptionSettings(rust.TrustRequirement.Untrusted));
    if (event.type !== rust.ProcessedToDeviceEventType.Decrypted) throw new Error(`not decrypted: ${event.type} ${event.utdInfo ?? ""}`);
    return { text: event.rawEvent };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { what, ...request } = JSON.parse(line);
  try {
    console.log(JSON.stringify(await answers[what](request)));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }));
  }
}
process.exit(0);
