// The two implementations under one set of names, as the page has them. Each does what a client does, JSON in and out included: the peer is
// called as matrix-js-sdk's rust-crypto.js calls it. What is handed out to check is the same on both sides.

import { initAsync, OlmMachine } from "/dist/index.js";
import * as peer from "/peer/index.mjs";

/** The engines, compiled. */
export async function load() {
  await initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
  await peer.initAsync(new URL("/peer/pkg/matrix_sdk_crypto_wasm_bg.wasm", location.href));
}

const algorithm = "signed_curve25519";
/** The machines' user and device; they have different keys. */
const own = { userId: "@me:example.org", deviceId: "MINE" };

class Ours {
  #machine;
  #encryption;

  /** With a key the store is encrypted. */
  constructor(hostKey) {
    this.#encryption = hostKey && { encryption: { hostKey } };
  }

  /** Where there is an `answer` to a request's path and body, requests are sent when they come up. */
  async open(name, answer) {
    this.name = name;
    const http = answer && { http: { fetch: ({ path, body }) => answer(path, body) } };
    this.#machine = await OlmMachine.open({ ...own, ...http, store: { name: this.#encryption ? `ours, keyed ${name}` : name, ...this.#encryption } });
  }

  async close() {
    await this.#machine.close();
  }

  get identityKeys() {
    return this.#machine.identityKeys;
  }

  /** Gives the machine a /sync with so many of its one-time keys left on the server. */
  sync(toDeviceEvents, count = 50) {
    return this.#machine.receiveSyncChanges({ toDeviceEvents, oneTimeKeyCounts: { [algorithm]: count }, unusedFallbackKeys: [algorithm] });
  }

  /** How many events of a sync were room keys that are kept now. */
  accepted({ events }) {
    return events.filter(({ type, receipt }) => type === "room_key" && receipt.accepted).length;
  }

  /** Uploads what keys the machine wants to upload, and returns the one-time keys. */
  async upload(count = 50) {
    const made = [];
    for (const { id, body } of this.#machine.outgoingRequests().filter(({ type }) => type === "keys_upload")) {
      made.push(...Object.values(JSON.parse(body).one_time_keys ?? {}).map(({ key }) => key));
      await this.#machine.markRequestAsSent(id, JSON.stringify({ one_time_key_counts: { [algorithm]: count } }));
    }
    return made;
  }

  /** Asks for people's devices, and gets this answer. */
  async query(users, answer) {
    const { id } = this.#machine.queryKeysForUsers(users);
    await this.#machine.receiveKeysQueryResponse(answer, id);
  }

  /** The public master key that a user is known by. */
  async masterKey(user) {
    return this.#machine.getIdentity(user)?.masterKey;
  }

  decrypt(event, roomId) {
    return this.#machine.decryptRoomEvent(event, roomId);
  }

  body({ clearEvent }) {
    return clearEvent.content.body;
  }

  info(event, roomId) {
    return this.#machine.getRoomEventEncryptionInfo(event, roomId);
  }

  shield({ verdict }) {
    return verdict.shield.color;
  }

  async import(text) {
    return (await this.#machine.importExportedRoomKeys(text, { progressCallback: () => undefined })).imported;
  }

  export() {
    return this.#machine.exportRoomKeys();
  }

  /** How many room keys are told to have a better known sender from now on: a function that says the number, and ends the telling. */
  countRisen() {
    let count = 0;
    const end = this.#machine.registerSenderDataUpdatedCallback((updates) => (count += updates.length));
    return () => {
      end();
      return count;
    };
  }

  track(users) {
    return this.#machine.updateTrackedUsers(users);
  }

  /** Encrypts a message for all devices of the users; the content to send. */
  async send(roomId, users, content) {
    await this.#machine.shareRoomKey(roomId, users);
    return this.#machine.encryptRoomEvent(roomId, "m.room.message", content);
  }
}

class Theirs {
  #machine;
  #key;
  #answer;

  /** With a key the store is encrypted. */
  constructor(key) {
    this.#key = key;
  }

  async open(name, answer) {
    this.name = name;
    this.#answer = answer;
    const store = await (this.#key === undefined ? peer.StoreHandle.open(`theirs ${name}`) : peer.StoreHandle.openWithKey(`keyed ${name}`, this.#key));
    this.#machine = await peer.OlmMachine.initFromStore(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId), store);
    store.free();
  }

  async close() {
    this.#machine.close();
  }

  get identityKeys() {
    const { ed25519, curve25519 } = this.#machine.identityKeys;
    return { ed25519: ed25519.toBase64(), curve25519: curve25519.toBase64() };
  }

  async sync(toDeviceEvents, count = 50) {
    const processed = await this.#machine.receiveSyncChanges(JSON.stringify(toDeviceEvents), new peer.DeviceLists(), new Map([[algorithm, count]]), new Set([algorithm]));
    return processed.map((message) => {
      const event = JSON.parse(message.rawEvent);
      if (message.type !== peer.ProcessedToDeviceEventType.Decrypted) return { event };
      const { sender, senderDevice, senderCurve25519Key } = message.encryptionInfo;
      return { event, info: { sender: sender.toString(), senderDevice: senderDevice?.toString(), senderCurve25519Key } };
    });
  }

  accepted(events) {
    return events.filter(({ event, info }) => info !== undefined && event.type === "m.room_key").length;
  }

  async upload(count = 50) {
    const made = [];
    for (const { id, type, body } of (await this.#machine.outgoingRequests()).filter(({ type }) => type === peer.RequestType.KeysUpload)) {
      made.push(...Object.values(JSON.parse(body).one_time_keys ?? {}).map(({ key }) => key));
      await this.#machine.markRequestAsSent(id, type, JSON.stringify({ one_time_key_counts: { [algorithm]: count } }));
    }
    return made;
  }

  async query(users, answer) {
    const { id, type } = this.#machine.queryKeysForUsers(users.map((user) => new peer.UserId(user)));
    await this.#machine.markRequestAsSent(id, type, answer);
  }

  async masterKey(user) {
    const identity = await this.#machine.getIdentity(new peer.UserId(user));
    return identity && Object.values(JSON.parse(identity.masterKey).keys)[0];
  }

  async decrypt(event, roomId) {
    const decrypted = await this.#machine.decryptRoomEvent(JSON.stringify(event), new peer.RoomId(roomId), new peer.DecryptionSettings(peer.TrustRequirement.Untrusted));
    return {
      clearEvent: JSON.parse(decrypted.event),
      claimedEd25519Key: decrypted.senderClaimedEd25519Key,
      senderCurve25519Key: decrypted.senderCurve25519Key,
      keyForwardedBy: decrypted.forwarder?.toString(),
    };
  }

  body({ clearEvent }) {
    return clearEvent.content.body;
  }

  async info(event, roomId) {
    const { color, code } = (await this.#machine.getRoomEventEncryptionInfo(JSON.stringify(event), new peer.RoomId(roomId))).shieldState(false);
    return { color, code };
  }

  shield({ color }) {
    return peer.ShieldColor[color];
  }

  async import(text) {
    return (await this.#machine.importExportedRoomKeys(text, () => undefined)).importedCount;
  }

  export() {
    return this.#machine.exportRoomKeys(() => true);
  }

  /** The peer tells nobody. */
  countRisen() {
    return () => null;
  }

  track(users) {
    return this.#machine.updateTrackedUsers(users.map((user) => new peer.UserId(user)));
  }

  async send(roomId, users, content) {
    const claim = await this.#machine.getMissingSessions(users.map((user) => new peer.UserId(user)));
    if (claim) await this.#machine.markRequestAsSent(claim.id, claim.type, this.#answer("/keys/claim", claim.body));
    const settings = new peer.EncryptionSettings();
    settings.sharingStrategy = peer.CollectStrategy.deviceBasedStrategy(false, false);
    for (const { id, type, body } of await this.#machine.shareRoomKey(new peer.RoomId(roomId), users.map((user) => new peer.UserId(user)), settings)) {
      await this.#machine.markRequestAsSent(id, type, this.#answer("/sendToDevice/", body));
    }
    return JSON.parse(await this.#machine.encryptRoomEvent(new peer.RoomId(roomId), "m.room.message", JSON.stringify(content)));
  }
}

/** Each side by its name. A store that is encrypted at rest makes a side of its own. */
const key = crypto.getRandomValues(new Uint8Array(32));
export const sides = { ours: new Ours(), theirs: new Theirs(), oursKeyed: new Ours(key), theirsKeyed: new Theirs(key) };
