// The crypto of a matrix-js-sdk client: a machine, and what ties the two together.

import { ClientEvent, type MatrixClient, type MatrixEvent, type Room } from "matrix-js-sdk";
import { DeviceIsolationModeKind, type DeviceIsolationMode, type EventEncryptionInfo } from "matrix-js-sdk/lib/crypto-api/index.js";
import type { DecryptionError } from "../../decryption.js";
import { KnownSenderError } from "../../errors.js";
import { isObject, member } from "../../json.js";
import { OlmMachine, type OpenOptions, type Unregister } from "../../machine.js";
import type { CollectStrategy, JsonValue, SyncReception, ToDeviceEvent, TrustRequirement } from "../../types.js";
import { inBackground, safely, tell } from "./background.js";
import { RoomEncryption } from "./encryption.js";
import { RoomEvents } from "./events.js";
import { bootstrapCrossSigning, exportToSecretStorage, importFromSecretStorage, type BootstrapCrossSigningOpts } from "./identity.js";
import { followMembers } from "./members.js";
import { authedFetch, queryKeys } from "./requests.js";
import { checkSdk, replaceDecryption, replaceFetch, replaceSending } from "./seam.js";
import { RoomSending } from "./sending.js";
import { takeSyncs, type SyncTaken } from "./sync.js";

/** What {@link OlmMachine.open} is given beside what the client knows. */
export type KnownSenderCryptoOptions = Omit<OpenOptions, "userId" | "deviceId" | "identityKeys" | "http">;

const withCrypto = new WeakSet<MatrixClient>();

/**
 * Makes knownsender the crypto of a client: opens a machine for its device, and hooks it in. To be called once, in place of `initRustCrypto` and
 * before `startClient`; `initAsync` must have been given the engine with Olm in it. `client.getCrypto()` stays undefined. Sliding sync is not heard,
 * and a room is encrypted from when its state first says so, for ever: if it says otherwise later, sending rejects with `encryption_downgrade`.
 *
 * Errors: `not_logged_in` (the client has no user id, device id or access token), `client_running`, `crypto_in_use` (it has a crypto already),
 * `unsupported_sdk`, and those of {@link OlmMachine.open}.
 */
export async function initKnownSenderCrypto(client: MatrixClient, options: KnownSenderCryptoOptions): Promise<KnownSenderCrypto> {
  await checkSdk(client);
  const [userId, deviceId] = [client.getUserId(), client.getDeviceId()];
  if (userId === null || deviceId === null || client.getAccessToken() === null) throw new KnownSenderError("not_logged_in", "A device's keys need a device: create the client with userId, deviceId and accessToken.");
  if (client.getCrypto() !== undefined || withCrypto.has(client)) throw new KnownSenderError("crypto_in_use", "The client has a crypto already.");
  checkAtRest(client);
  withCrypto.add(client);
  let machine: OlmMachine | undefined;
  try {
    machine = await OlmMachine.open({ ...options, userId, deviceId, http: { fetch: authedFetch(client) } });
    checkAtRest(client); // it was not waited for
    return new KnownSenderCrypto(client, machine, () => withCrypto.delete(client));
  } catch (thrown) {
    withCrypto.delete(client);
    await machine?.close();
    throw thrown;
  }
}

/** What a client synced before its crypto was there would be lost. */
function checkAtRest(client: MatrixClient): void {
  if (client.clientRunning) throw new KnownSenderError("client_running", "The client is running, so that keys may have come already. Call initKnownSenderCrypto, and wait for it, before startClient.");
}

/** The crypto of a client, made by {@link initKnownSenderCrypto}. Room keys, people and policies are the {@link machine}'s. */
export class KnownSenderCrypto {
  /** The machine below. Change its policy with {@link setTrustRequirement}, so that events follow; leave closing it to {@link close}. */
  readonly machine: OlmMachine;
  readonly #client: MatrixClient;
  readonly #events: RoomEvents;
  readonly #sending: RoomSending;
  readonly #undo: (() => unknown)[];
  readonly #onShields = new Set<(events: readonly MatrixEvent[]) => void>();
  readonly #onSync = new Set<(reception: SyncReception) => void>();

  /** @internal */
  constructor(client: MatrixClient, machine: OlmMachine, letGo: () => void) {
    this.machine = machine;
    this.#client = client;
    this.#events = new RoomEvents(machine);
    const encryption = new RoomEncryption(machine);
    this.#sending = new RoomSending(machine, encryption, (event) => this.#events.keep(event));
    const onEvent = (event: MatrixEvent): void => {
      if (event.isEncrypted()) void client.decryptEventIfNeeded(event); // the SDK leaves the timeline of a sync to its own crypto
    };
    client.on(ClientEvent.Event, onEvent);
    this.#undo = [
      letGo,
      replaceFetch(client, takeSyncs(machine, (sync) => this.#taken(sync))),
      replaceDecryption(client, this.#events.backend),
      replaceSending(client, this.#sending.encrypting),
      followMembers(client, machine, encryption),
      () => client.off(ClientEvent.Event, onEvent),
      machine.registerRoomKeyUpdatedCallback((keys) => this.#judge(keys)),
      machine.registerSenderDataUpdatedCallback((updates) => this.#judge(updates)),
    ];
  }

  /**
   * The shield of an event, as matrix-js-sdk's `CryptoApi.getEncryptionInfoForEvent` tells it: null for one that is not decrypted. The machine's
   * `getRoomEventEncryptionInfo` says more.
   */
  getEncryptionInfoForEvent(event: MatrixEvent): Promise<EventEncryptionInfo | null> {
    return this.#events.shield(event);
  }

  /**
   * Why an event is not shown, in full; null when it is, or was not tried. `event.decryptionFailureReason` is the SDK's nearest word for it:
   * `UNKNOWN_ERROR` where it has none, as for `unverified_identity`.
   */
  getDecryptionFailure(event: MatrixEvent): DecryptionError | null {
    return this.#events.failure(event);
  }

  /** Which devices get the keys of what is sent from now on. */
  get sharingStrategy(): CollectStrategy {
    return this.#sending.sharingStrategy;
  }

  set sharingStrategy(strategy: CollectStrategy) {
    this.#sending.sharingStrategy = strategy;
  }

  /** Shares the key of a room's next message, as when the user begins to type. Rejects as {@link OlmMachine.setRoomSettings} and {@link OlmMachine.shareRoomKey}. */
  prepareToEncrypt(room: Room): Promise<void> {
    return this.#sending.share(room);
  }

  /** Has the next message of a room begin another key. */
  async forceDiscardSession(roomId: string): Promise<void> {
    await this.machine.invalidateGroupSession(roomId);
  }

  /**
   * Makes our cross-signing identity, as matrix-js-sdk's `CryptoApi.bootstrapCrossSigning`, and has it sign this device; where this device has the
   * private keys of the one there is, it is kept. Errors: those of {@link OlmMachine.bootstrapCrossSigning}, such as `cross_signing_identity_exists` (another
   * device has the keys: {@link importCrossSigningKeysFromSecretStorage}), and what `authUploadDeviceSigningKeys` and the SDK's requests reject with.
   */
  bootstrapCrossSigning(options: BootstrapCrossSigningOpts = {}): Promise<void> {
    return bootstrapCrossSigning(this.#client, this.machine, options);
  }

  /** Takes our private cross-signing keys from secret storage, which the SDK opens by its `cryptoCallbacks`, and has them sign this device. */
  importCrossSigningKeysFromSecretStorage(): Promise<void> {
    return importFromSecretStorage(this.#client, this.machine);
  }

  /** Puts our private cross-signing keys into secret storage, which the client has set up. Errors: `missing_signing_key` when there are none. */
  exportCrossSigningKeysToSecretStorage(): Promise<void> {
    return exportToSecretStorage(this.#client, this.machine);
  }

  /** Asks the server for users' devices and identities now, so that {@link OlmMachine.getIdentity} tells how they stand. */
  queryKeysForUsers(users: readonly string[]): Promise<void> {
    return queryKeys(this.#client, this.machine, users);
  }

  /**
   * Changes the policy, and resolves when the client's events follow it: those that may be shown now are decrypted, the clear text of those that may
   * not is taken back. Errors: `bad_trust_requirement`.
   */
  async setTrustRequirement(requirement: TrustRequirement): Promise<void> {
    this.machine.setTrustRequirement(requirement);
    this.#shields(await this.#events.judge());
  }

  /**
   * Policy and sharing strategy together, as matrix-js-sdk's `CryptoApi.setDeviceIsolationMode` has them: devices that are not signed are shown with shields
   * and get room keys (`AllDevicesIsolationMode`), or are left out (`OnlySignedDevicesIsolationMode`: `CrossSignedOrLegacy`, `IdentityBasedStrategy`).
   */
  setDeviceIsolationMode(mode: DeviceIsolationMode): Promise<void> {
    const all = mode.kind === DeviceIsolationModeKind.AllDevicesIsolationMode;
    this.sharingStrategy = !all ? "IdentityBasedStrategy" : mode.errorOnVerifiedUserProblems ? "ErrorOnVerifiedUserProblem" : "AllDevices";
    return this.setTrustRequirement(all ? "Untrusted" : "CrossSignedOrLegacy");
  }

  /**
   * Hears of events that were shown and still are, whose senders are better known or whose policy is another: draw their shields anew. (When clear
   * text comes or goes, `Event.decrypted` fires; it does not fire here, since the SDK counts an unread message each time.)
   */
  registerEncryptionInfoUpdatedCallback(callback: (events: readonly MatrixEvent[]) => void): Unregister {
    const own = (events: readonly MatrixEvent[]): void => callback(events);
    this.#onShields.add(own);
    return () => void this.#onShields.delete(own);
  }

  /** Hears what became of the to-device events of each sync, when it is on disk and before the SDK sees the answer. */
  registerSyncReceptionCallback(callback: (reception: SyncReception) => void): Unregister {
    const own = (reception: SyncReception): void => callback(reception);
    this.#onSync.add(own);
    return () => void this.#onSync.delete(own);
  }

  /**
   * Unhooks the client, which has no crypto afterwards, and closes the machine, as {@link OlmMachine.close}. Stop the client first. What is stored
   * stays: delete the database when the device is logged out for good.
   */
  async close(): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo();
    await this.machine.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #taken({ toDeviceEvents, reception }: SyncTaken): void {
    tell(this.#onSync, reception);
    toDeviceEvents.forEach((event, i) => this.#toDevice(event, reception.events[i]));
  }

  #toDevice(event: JsonValue, became: ToDeviceEvent | undefined): void {
    if (!isObject(event)) return;
    const content = member(event, "content");
    if (became?.type === "plain" && member(event, "type") === "m.room_key.withheld" && isObject(content)) {
      this.#judge([{ roomId: String(member(content, "room_id")), sessionId: String(member(content, "session_id")) }]);
    }
    if (became?.type !== "decrypted") return;
    const { payload, senderKey, senderData } = became;
    const [type, sender, inside] = [member(payload, "type"), member(payload, "sender"), member(payload, "content")];
    if (typeof type !== "string" || typeof sender !== "string" || !isObject(inside)) return;
    const encryptionInfo = { sender, senderCurve25519KeyBase64: senderKey, senderVerified: senderData.type === "SenderVerified", ...(senderData.deviceId === undefined ? {} : { senderDevice: senderData.deviceId }) };
    safely(() => this.#client.emit(ClientEvent.ReceivedToDeviceMessage, { message: { type, sender, content: inside }, encryptionInfo }));
  }

  #judge(sessions: Iterable<{ readonly roomId: string; readonly sessionId: string }>): void {
    inBackground(this.#events.judge(sessions).then((events) => this.#shields(events)));
  }

  #shields(events: readonly MatrixEvent[]): void {
    if (events.length > 0) tell(this.#onShields, events);
  }
}
