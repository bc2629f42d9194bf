// A client made of matrix-js-sdk whose crypto is knownsender: as any client of the SDK, it shows what the SDK's events hold. Bundled for pages.

import { ClientEvent, createClient, Method, SyncState, type MatrixClient } from "matrix-js-sdk";
import { EventShieldColour, EventShieldReason } from "matrix-js-sdk/lib/crypto-api/index.js";
import loglevel from "loglevel";
import { initKnownSenderCrypto, type KnownSenderCrypto } from "../../src/compat/js-sdk/index.js";
import { initAsync, type RoomKeyReceipt, type SenderDataType, type TrustRequirement } from "../../src/index.js";
import { offer, pause, until, type Login, type MutualClient, type SeenIdentity, type Shown } from "./client.js";
import { encryptedRoom, eventOf, fromBase64, joined, StorageKey, toBase64, withPassword } from "./matrix.js";

const colours = { [EventShieldColour.NONE]: "None", [EventShieldColour.GREY]: "Grey", [EventShieldColour.RED]: "Red" } as const;

loglevel.getLogger("matrix").setLevel("warn", false);

class CompatClient implements MutualClient {
  #client: MatrixClient | undefined;
  #crypto: KnownSenderCrypto | undefined;
  #password = "";
  readonly #storageKey = new StorageKey();
  readonly #receipts = new Map<string, RoomKeyReceipt>();
  #held: Promise<void> | undefined;
  #letGo: () => void = () => undefined;

  get #matrix(): MatrixClient {
    if (this.#client === undefined) throw new Error("The client is not open.");
    return this.#client;
  }

  get #own(): KnownSenderCrypto {
    if (this.#crypto === undefined) throw new Error("There is no crypto.");
    return this.#crypto;
  }

  async open({ baseUrl, userId, deviceId, accessToken, password }: Login): Promise<void> {
    this.#password = password;
    await initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
    const client = createClient({
      baseUrl, userId, deviceId, accessToken, cryptoCallbacks: this.#storageKey.callbacks,
      fetchFn: async (resource, options) => {
        if (String(resource).endsWith("/keys/query")) await this.#held;
        return fetch(resource, options);
      },
    });
    const crypto = await initKnownSenderCrypto(client, { store: { name: `knownsender ${userId} ${deviceId}` } });
    crypto.registerSyncReceptionCallback(({ events }) => {
      for (const event of events) {
        if (event.type === "refused") console.error(`A to-device event was refused: ${JSON.stringify(event.refusal)}`);
        if (event.type === "room_key" && event.receipt.accepted) this.#receipts.set(event.receipt.sessionId, event.receipt);
      }
    });
    this.#client = client;
    this.#crypto = crypto;
    const ready = new Promise<void>((resolve) => client.on(ClientEvent.Sync, (state) => state === SyncState.Syncing && resolve()));
    await client.startClient({ initialSyncLimit: 50 });
    await ready;
    await until("the server has our keys", async () => {
      const { device_keys: devices } = await client.downloadKeysForUsers([userId]);
      return devices[userId]?.[deviceId];
    });
  }

  async close(): Promise<void> {
    await this.holdQueries(false);
    this.#matrix.stopClient();
    await this.#own.close();
  }

  async join(roomId: string): Promise<void> {
    await joined(this.#matrix, roomId);
  }

  /** It syncs by itself. */
  catchUp(): Promise<void> {
    return pause(50);
  }

  // Identities.

  async crossSign(): Promise<void> {
    await this.#own.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(this.#matrix, this.#password) });
  }

  async resetIdentity(): Promise<void> {
    await this.#own.bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: withPassword(this.#matrix, this.#password) });
  }

  async takeIdentity(key: string): Promise<void> {
    this.#storageKey.set(fromBase64(key));
    await this.askFor(this.#matrix.getSafeUserId());
    await this.#own.importCrossSigningKeysFromSecretStorage();
  }

  async storeIdentity(): Promise<string> {
    const key = crypto.getRandomValues(new Uint8Array(32));
    this.#storageKey.set(key);
    const { keyId } = await this.#matrix.secretStorage.addKey("m.secret_storage.v1.aes-hmac-sha2", { key });
    await this.#matrix.secretStorage.setDefaultKeyId(keyId);
    await this.#own.exportCrossSigningKeysToSecretStorage();
    return toBase64(key);
  }

  async masterKey(): Promise<string> {
    return (await this.identity(this.#matrix.getSafeUserId()))?.masterKey ?? "";
  }

  async verify(userId: string, masterKey: string): Promise<void> {
    await this.askFor(userId);
    await this.#own.machine.verifyIdentity(userId, masterKey);
    await this.askFor(userId);
  }

  async signDevice(deviceId: string): Promise<void> {
    const user = this.#matrix.getSafeUserId();
    const { device_keys: devices } = await this.#matrix.downloadKeysForUsers([user]);
    await this.askFor(user);
    await this.#own.machine.verifyDevice(deviceId, devices[user]?.[deviceId]?.keys[`ed25519:${deviceId}`] ?? "");
  }

  withdrawVerification(userId: string): Promise<void> {
    return this.#own.machine.withdrawVerification(userId);
  }

  identity(userId: string): Promise<SeenIdentity | null> {
    const identity = this.#own.machine.getIdentity(userId);
    if (identity === null) return Promise.resolve(null);
    const { masterKey, verification, pinViolation } = identity;
    return Promise.resolve({ masterKey, verified: verification === "Verified", wasVerified: verification !== "Unverified", changed: pinViolation || verification === "VerificationViolation" });
  }

  askFor(userId: string): Promise<void> {
    return this.#own.queryKeysForUsers([userId]);
  }

  // Rooms.

  createRoom(invited: readonly string[]): Promise<string> {
    return encryptedRoom(this.#matrix, invited);
  }

  async invite(roomId: string, userId: string): Promise<void> {
    await this.#matrix.invite(roomId, userId);
  }

  async send(roomId: string, body: string): Promise<string> {
    return (await this.#matrix.sendTextMessage(roomId, body)).event_id;
  }

  rotate(roomId: string): Promise<void> {
    return this.#own.forceDiscardSession(roomId);
  }

  onlyToVerified(only: boolean): Promise<void> {
    this.#own.sharingStrategy = only ? "OnlyTrustedDevices" : "AllDevices";
    return Promise.resolve();
  }

  async read(roomId: string, eventId: string): Promise<Shown> {
    const event = await eventOf(this.#matrix, roomId, eventId);
    const missing = (): boolean => event.getClearContent() === null || event.isBeingDecrypted() || this.#own.getDecryptionFailure(event)?.code === "no_key";
    for (const end = Date.now() + 3000; missing() && Date.now() < end; ) await pause(50);
    const failure = this.#own.getDecryptionFailure(event);
    if (failure !== null) {
      const why = failure.withheld === null ? failure.code : `${failure.code} (${failure.withheld.code})`;
      return { body: null, failure: why, shield: "None", reason: event.decryptionFailureReason };
    }
    const { body } = event.getContent() as { body?: string };
    const info = await this.#own.getEncryptionInfoForEvent(event);
    if (info === null) throw new Error(`The event is neither shown nor withheld: ${JSON.stringify(event.getEffectiveEvent())}`);
    const reason = info.shieldReason === null ? null : (EventShieldReason[info.shieldReason] ?? null);
    return { body: body ?? null, failure: null, shield: colours[info.shieldColour], reason };
  }

  async readUnder(requirement: TrustRequirement, roomId: string, eventId: string): Promise<Shown> {
    await this.#own.setTrustRequirement(requirement);
    try {
      return await this.read(roomId, eventId);
    } finally {
      await this.#own.setTrustRequirement("Untrusted");
    }
  }

  async #explain(roomId: string, eventId: string): Promise<{ session: string; type: SenderDataType | null; legacy: boolean }> {
    const session = String((await eventOf(this.#matrix, roomId, eventId)).getWireContent()["session_id"]);
    const [copy] = (await this.#own.machine.explain(roomId, session)).copies;
    return { session, type: copy?.senderData.type ?? null, legacy: copy?.legacySession === true };
  }

  async senderData(roomId: string, eventId: string): Promise<SenderDataType | null> {
    return (await this.#explain(roomId, eventId)).type;
  }

  async legacy(roomId: string, eventId: string): Promise<boolean> {
    return (await this.#explain(roomId, eventId)).legacy;
  }

  async lane(roomId: string, eventId: string): Promise<"fast" | "slow" | null> {
    const receipt = this.#receipts.get((await this.#explain(roomId, eventId)).session);
    return receipt?.accepted === true ? receipt.lane : null;
  }

  waiting(): Promise<boolean> {
    const { waiting, requests, slow } = this.#own.machine.laneCounts();
    return Promise.resolve(waiting + requests + slow > 0);
  }

  holdQueries(hold: boolean): Promise<void> {
    this.#letGo();
    this.#held = hold ? new Promise((resolve) => (this.#letGo = resolve)) : undefined;
    return Promise.resolve();
  }

  // Keys in and out.

  exportKeys(): Promise<string> {
    return this.#own.machine.exportRoomKeys();
  }

  async importKeys(exported: string): Promise<void> {
    const { failures } = await this.#own.machine.importExportedRoomKeys(exported);
    if (failures.length > 0) throw new Error(`A key was not imported: ${JSON.stringify(failures[0])}`);
  }

  async useBackup(): Promise<void> {
    const { machine } = this.#own;
    const { version, auth_data: data } = await this.#matrix.http.authedRequest<{ version: string; auth_data: { public_key: string } }>(Method.Get, "/room_keys/version");
    await machine.enableBackupV1(data.public_key, version);
    await machine.uploadRoomKeys();
  }

  async restoreBackup(key: string): Promise<number> {
    const ask = (path: string): Promise<string> => this.#matrix.http.authedRequest(Method.Get, path, undefined, undefined, { json: false });
    const { version } = JSON.parse(await ask("/room_keys/version")) as { version: string };
    const backup = await ask(`/room_keys/keys?version=${encodeURIComponent(version)}`);
    return (await this.#own.machine.importBackedUpRoomKeys(backup, { decryptionKey: { base64: key }, backupVersion: version })).imported;
  }
}

offer(new CompatClient());
