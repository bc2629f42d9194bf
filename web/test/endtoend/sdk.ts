// A client made of matrix-js-sdk and its Rust crypto: it sends, and as a witness it shows what that crypto says of the same events. Bundled for
// pages. Where the SDK wants a person (comparing emojis), it is asked one layer below.

import { ClientEvent, createClient, SyncState, type MatrixClient, type MatrixEvent } from "matrix-js-sdk";
import { AllDevicesIsolationMode, CryptoEvent, EventShieldColour, EventShieldReason, type CryptoApi } from "matrix-js-sdk/lib/crypto-api/index.js";
import loglevel from "loglevel";
import { OtherUserIdentity, UserId, type OlmMachine } from "@matrix-org/matrix-sdk-crypto-wasm";
import { offer, pause, until, type Login, type SeenIdentity, type SendingClient, type Shown } from "./client.js";
import { encryptedRoom, eventOf, fromBase64, joined, StorageKey, toBase64, withPassword } from "./matrix.js";

/** What lies below CryptoApi. */
interface Below {
  readonly olmMachine: OlmMachine;
  readonly outgoingRequestProcessor: { makeOutgoingRequest(request: unknown): Promise<void> };
}

loglevel.getLogger("matrix").setLevel("warn", false);

class SdkClient implements SendingClient {
  #client: MatrixClient | undefined;
  #password = "";
  readonly #storageKey = new StorageKey();

  get #matrix(): MatrixClient {
    if (this.#client === undefined) throw new Error("The client is not open.");
    return this.#client;
  }

  get #crypto(): CryptoApi {
    const crypto = this.#matrix.getCrypto();
    if (crypto === undefined) throw new Error("There is no crypto.");
    return crypto;
  }

  get #below(): Below {
    return this.#crypto as unknown as Below;
  }

  async open({ baseUrl, userId, deviceId, accessToken, password }: Login): Promise<void> {
    this.#password = password;
    const client = createClient({ baseUrl, userId, deviceId, accessToken, cryptoCallbacks: this.#storageKey.callbacks });
    this.#client = client;
    await client.initRustCrypto({ useIndexedDB: false });
    this.#crypto.setDeviceIsolationMode(new AllDevicesIsolationMode(false));
    const ready = new Promise<void>((resolve) => client.on(ClientEvent.Sync, (state) => state === SyncState.Syncing && resolve()));
    await client.startClient({ initialSyncLimit: 50 });
    await ready;
  }

  close(): Promise<void> {
    this.#client?.stopClient();
    this.#client = undefined;
    return Promise.resolve();
  }

  async join(roomId: string): Promise<void> {
    await joined(this.#matrix, roomId);
  }

  // Identities.

  async crossSign(): Promise<void> {
    await this.#crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: withPassword(this.#matrix, this.#password) });
    await this.#ownDeviceSigned();
  }

  async takeIdentity(key: string): Promise<void> {
    this.#storageKey.set(fromBase64(key));
    await this.#crypto.bootstrapCrossSigning({});
    await this.#ownDeviceSigned();
  }

  async resetIdentity(): Promise<void> {
    await this.#crypto.bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: withPassword(this.#matrix, this.#password) });
    await this.#ownDeviceSigned();
  }

  async #ownDeviceSigned(): Promise<void> {
    const [user, device] = [this.#matrix.getSafeUserId(), this.#matrix.getDeviceId() ?? ""];
    await this.askFor(user);
    await until("the own device is signed", async () => (await this.#crypto.getDeviceVerificationStatus(user, device))?.signedByOwner || undefined);
  }

  /** The SDK names it only where it has the private keys, and puts new ones away when an answer from before a reset comes late. Then the server is asked. */
  async masterKey(): Promise<string> {
    const user = this.#matrix.getSafeUserId();
    const named = await this.#crypto.getCrossSigningKeyId();
    if (named !== null) return named;
    const { master_keys: published } = await this.#matrix.downloadKeysForUsers([user]);
    const [key] = Object.values(published?.[user]?.keys ?? {});
    if (key === undefined) throw new Error(`${user} has no master key.`);
    return key;
  }

  async signDevice(deviceId: string): Promise<void> {
    const user = this.#matrix.getSafeUserId();
    await until(`the own device ${deviceId} is known`, async () => {
      await this.askFor(user);
      return (await this.#crypto.getUserDeviceInfo([user])).get(user)?.get(deviceId);
    });
    await this.#crypto.crossSignDevice(deviceId);
  }

  async askFor(userId: string): Promise<void> {
    const { olmMachine, outgoingRequestProcessor } = this.#below;
    await outgoingRequestProcessor.makeOutgoingRequest(olmMachine.queryKeysForUsers([new UserId(userId)]));
  }

  async verify(userId: string, masterKey: string): Promise<void> {
    await this.askFor(userId);
    const { olmMachine, outgoingRequestProcessor } = this.#below;
    const identity = await olmMachine.getIdentity(new UserId(userId));
    if (!(identity instanceof OtherUserIdentity)) throw new Error(`${userId} has no identity.`);
    if (!identity.masterKey.includes(masterKey)) throw new Error(`${userId} has another identity.`);
    await outgoingRequestProcessor.makeOutgoingRequest(await identity.verify());
    await this.askFor(userId);
  }

  async withdrawVerification(userId: string): Promise<void> {
    await this.#crypto.withdrawVerificationRequirement(userId);
  }

  async identity(userId: string): Promise<SeenIdentity | null> {
    const identity = await this.#below.olmMachine.getIdentity(new UserId(userId));
    if (identity === undefined) return null;
    const status = await this.#crypto.getUserVerificationStatus(userId);
    const { keys } = JSON.parse(identity.masterKey) as { keys: Record<string, string> };
    return { masterKey: Object.values(keys)[0] ?? "", verified: status.isVerified(), wasVerified: status.wasCrossSigningVerified(), changed: status.needsUserApproval };
  }

  // Rooms.

  async createRoom(invited: readonly string[]): Promise<string> {
    const roomId = await encryptedRoom(this.#matrix, invited);
    await until("its crypto knows", async () => (await this.#crypto.isEncryptionEnabledInRoom(roomId)) || undefined);
    return roomId;
  }

  async invite(roomId: string, userId: string): Promise<void> {
    await this.#matrix.invite(roomId, userId);
  }

  async send(roomId: string, body: string): Promise<string> {
    return (await this.#matrix.sendTextMessage(roomId, body)).event_id;
  }

  async rotate(roomId: string): Promise<void> {
    await this.#crypto.forceDiscardSession(roomId);
  }

  onlyToVerified(only: boolean): Promise<void> {
    this.#crypto.globalBlacklistUnverifiedDevices = only;
    return Promise.resolve();
  }

  async read(roomId: string, eventId: string): Promise<Shown> {
    const event = await eventOf(this.#matrix, roomId, eventId);
    await this.#decrypted(event);
    if (event.isDecryptionFailure()) return { body: null, failure: event.decryptionFailureReason, shield: "None", reason: null };
    const info = await this.#crypto.getEncryptionInfoForEvent(event);
    const reason = info?.shieldReason ?? null;
    return {
      body: (event.getContent() as { body?: string }).body ?? null,
      failure: null,
      shield: info?.shieldColour === EventShieldColour.RED ? "Red" : info?.shieldColour === EventShieldColour.GREY ? "Grey" : "None",
      reason: reason === null ? null : (EventShieldReason[reason] ?? null),
    };
  }

  /** An event fails to decrypt at once when its key is not here; then another attempt is waited for, but not for long. */
  async #decrypted(event: MatrixEvent): Promise<void> {
    await event.getDecryptionPromise();
    for (const end = Date.now() + 3000; event.isDecryptionFailure() && Date.now() < end; await event.getDecryptionPromise()) {
      if (event.decryptionFailureReason?.startsWith("MEGOLM_KEY_WITHHELD")) return;
      await pause(100);
    }
  }

  // Keys in and out.

  exportKeys(): Promise<string> {
    return this.#crypto.exportRoomKeysAsJson();
  }

  importKeys(exported: string): Promise<void> {
    return this.#crypto.importRoomKeysAsJson(exported);
  }

  async backUp(): Promise<string> {
    const done = new Promise<void>((resolve) => this.#matrix.on(CryptoEvent.KeyBackupSessionsRemaining, (remaining) => remaining === 0 && resolve()));
    await this.#crypto.bootstrapSecretStorage({ createSecretStorageKey: () => this.#crypto.createRecoveryKeyFromPassphrase(), setupNewSecretStorage: true, setupNewKeyBackup: true });
    await done;
    const key = await this.#crypto.getSessionBackupPrivateKey();
    if (key === null) throw new Error("The backup has no private key.");
    return toBase64(key);
  }

  async restoreBackup(key: string): Promise<number> {
    const info = await this.#crypto.getKeyBackupInfo();
    await this.#crypto.storeSessionBackupPrivateKey(fromBase64(key), info?.version ?? "");
    return (await this.#crypto.restoreKeyBackup()).imported;
  }
}

offer(new SdkClient());
