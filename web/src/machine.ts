/// <reference lib="esnext.disposable" preserve="true" />
/*
 * OlmMachine: the program's methods, typed. Nothing is decided here. Arguments become bytes, answers become the shapes of types.ts, and
 * errors keep their codes. Each machine has a program of its own, with memory of its own; closing the machine ends it.
 */

import { encryptAttachment } from "./attachment.js";
import { DecryptionError } from "./decryption.js";
import { diagnose, type Parts } from "./diagnosis.js";
import { Engine, type Argument, type Door } from "./engine.js";
import { EngineStoppedError, KnownSenderError } from "./errors.js";
import { sendThrough, type HostFetch } from "./fetch.js";
import { startProgram, storeReported } from "./ground.js";
import { startHosted } from "./hosting.js";
import { backedUpKeys, exportedKeys, exportKeys, importKeys, type ImportSource } from "./imports.js";
import { isObject, jsonText, member, parse } from "./json.js";
import { nodeHasNoStore, wasmModule } from "./load.js";
import type { Promised } from "./promised.js";
import { Reports } from "./reports.js";
import { clearEvent, ordinary, type OrdinaryEvent } from "./roomevent.js";
import { bytesOf, crossSigningKeysFrom, SecretStorage, type AccountData, type SecretStorageKey } from "./secret_storage.js";
import { sentenceOf } from "./sentences.js";
import { watchSleep } from "./sleep.js";
import { Tabs } from "./tabs.js";
import { Pace } from "./task.js";
import { Verdicts, type EventNames } from "./verdicts.js";
import { undecided, verifySignatures } from "./webcrypto.js";
import type {
  Backup,
  BackupDecryptionKey,
  CrossSigningBootstrapRequests,
  CrossSigningKeyExport,
  CrossSigningStatus,
  DecryptedOlmEvent,
  DecryptedRoomEvent,
  Diagnosis,
  EncryptionSettings,
  EventEncryptionInfo,
  Explanation,
  ExportedRoomKeyInfo,
  ForwardedRoomKeyReceipt,
  ImportOptions,
  ImportResult,
  JsonObject,
  KeysBackupRequest,
  KeysQueryResult,
  LaneCounts,
  OutgoingRequest,
  Refusal,
  RoomKeyBundle,
  RoomKeyBundleDescriptor,
  RoomKeyBundleResult,
  RoomKeyCounts,
  RoomKeyInfo,
  RoomKeyReceipt,
  RoomKeyReception,
  RoomKeyRequest,
  RoomSettings,
  SenderDataUpdate,
  SettledRoomKey,
  StoreKey,
  StoreReport,
  SyncChanges,
  SyncReception,
  ToDeviceEvent,
  TrustRequirement,
  UserIdentity,
  WithheldNotice,
} from "./types.js";

/** What a machine is opened with. */
export interface OpenOptions {
  /** Our own user id. */
  userId: string;
  /** The id of this device. */
  deviceId: string;
  /**
   * This device's public identity keys, unpadded base64, as the client's own Olm account has them. Room keys meant for any other device are refused.
   * Without them the machine has an Olm account of its own, which lies in the store: {@link OlmMachine.receiveSyncChanges}. That takes the engine with
   * Olm in it, `knownsender/knownsender-olm.wasm`, given to `initAsync`.
   */
  identityKeys?: { ed25519: string; curve25519: string };
  /**
   * Where everything is kept: an IndexedDB database of that name, or memory that is gone with the machine. There is no falling back from one to the
   * other: where IndexedDB cannot be had, opening fails. Only in Node, which has none, memory is the default; elsewhere there is no default.
   *
   * With `encryption` everything in the database is encrypted at rest by AES-256-GCM, and ids that rows are found by are keyed hashes. What stays in the
   * clear: names of tables and counters, how many rows there are, how long, how often written and which of them go together, and when senders are to be
   * asked about again. A row that somebody has edited, cut off or put in another's place does not open, and is reported and set aside
   * (`record_quarantined`); one that was deleted or put back as it was before, or the whole database, is not noticed. The key is to be given at every
   * opening, and whoever loses it has lost the database. One that was made without a key stays so, and the other way. Without `encryption` nothing is
   * encrypted: ids, room keys, the Olm account, private cross-signing keys.
   */
  store?: { name: string; encryption?: StoreKey } | { memory: true };
  /**
   * Runs the program, with its database, in a Worker, so that long work (imports, exports, judging many keys after a `/keys/query`) does not hold up the
   * page: `true` for one of the machine's own, from `worker.js` beside this module, which ends with the machine; or a module Worker whose script is or
   * imports `knownsender/worker`, which is left running for whoever made it. Several machines may share it. The API is the same, and `http.fetch` and all
   * callbacks are called in the page; but a worker cannot answer synchronously. Methods that are no promises fail with `worker_has_no_sync`: those of
   * {@link OlmMachine.promised} stand in for them.
   */
  worker?: boolean | Worker;
  /**
   * The client's own fetch, so that the machine can ask `/keys/query` for the senders of room keys as soon as they arrive, and again later; and, where
   * its Olm account is here, upload keys and send what its methods begin. Without it the client sends what {@link OlmMachine.outgoingRequests} lists. Of
   * several tabs over one database, one asks and uploads for all.
   */
  http?: { fetch: HostFetch };
  /** The policy to begin with; `Untrusted` when it is not given, as in matrix-sdk-crypto: everything is shown, with shields. */
  trustRequirement?: TrustRequirement;
  /**
   * Lets a key from a backup or file show what a key from its sender hides. Off by default: whoever can write to the backup could make
   * hidden messages visible.
   */
  claimsMayOverruleDirect?: boolean;
  /**
   * 32 bytes that only the user's own devices hold, from secret storage for instance. With it, exports and backups carry what was known of each
   * key's sender on arrival, authenticated, and on import that is restored as `atReception`. Other clients pass over it. Without it, and where the
   * authentication fails, what a file says of senders is hearsay.
   */
  senderDataKey?: Uint8Array;
}

/** Stops the callback it was returned for. May be called more than once. */
export type Unregister = () => void;

const megolm = "m.megolm.v1.aes-sha2";

/** What the program answers where it is not quite what the caller gets. */
interface Answers {
  received: { id: string; receipts: RoomKeyReceipt[] };
  synced: { id: string; events: ToDeviceEvent[] };
  decrypted:
    | { event: DecryptedRoomEvent; error?: undefined }
    | {
        event?: undefined;
        error: {
          code: string;
          message: string;
          reason: string | null;
          expected: string | null;
          got: string | null;
          encryptionInfo: EventEncryptionInfo | null;
          withheld: WithheldNotice | null;
        };
      };
}

/**
 * Tells who sent every room key, keeps that with the key, and decides what may be shown.
 *
 * The machine is told: room keys as the client's Olm decrypted them, or the raw to-device events where the account is here; the device lists of
 * `/sync`; room events. Its requests go through the client's own fetch (`http.fetch`), or the client sends them: those that methods resolve with, and
 * what {@link outgoingRequests} lists. There are no others.
 *
 * Every failure is a {@link KnownSenderError} with a stable `code`. Beside the codes named at each method, any may fail with `closed` after
 * {@link close}, with `locked` after {@link lock}, and with {@link EngineStoppedError} when the program under it has ended; those that write may fail with the store's codes: `quota`,
 * `blocked`, `unavailable`, `aborted`, `store_lost`, `too_large`.
 */
export class OlmMachine {
  /** Our own user id. */
  readonly userId: string;
  /** The id of this device. */
  readonly deviceId: string;
  /** This device's public identity keys, unpadded base64: those of its Olm account. */
  readonly identityKeys: { readonly ed25519: string; readonly curve25519: string };

  readonly #engine: Door;
  readonly #parts: Parts;
  #decryptions = 0;
  readonly #pace = new Pace();
  readonly #verdicts = new Verdicts<EventEncryptionInfo>();
  #trustRequirement: TrustRequirement;
  #closing: Promise<void> | undefined;
  #locked = false;

  private constructor(parts: Parts, options: OpenOptions, identityKeys: OlmMachine["identityKeys"], requirement: TrustRequirement) {
    this.#engine = parts.engine;
    this.#parts = parts;
    this.userId = options.userId;
    this.deviceId = options.deviceId;
    this.identityKeys = identityKeys;
    this.#trustRequirement = requirement;
  }

  /**
   * Opens a machine: starts a program, opens its store, and loads what is known of people. Calls `initAsync()` when the application has not.
   *
   * Errors: those of `initAsync`; `worker_unsupported`, `worker_failed` (its script was not loaded, or is another) and `bad_worker` for the worker;
   * `bad_store` (no name, or neither name nor memory); `bad_user_id`, `bad_device_id`; `bad_base64`,
   * `bad_key_length`, `low_order_key`, `non_canonical_key` for the identity keys; `bad_trust_requirement`; `bad_sender_data_key`; without identity
   * keys, `no_account` (the engine has no Olm), `account_damaged` and `account_of_other`; and the store's: `unavailable`,
   * `blocked`, `schema_too_new`, `quota`.
   *
   * Of the store's key, and nothing is written then: `bad_store_key` (neither a passphrase nor 32 bytes), `wrong_store_key`, `wrong_store_key_mode` (it
   * takes the other kind), `store_key_required`, `store_not_encrypted` (it has rows, and no key), `store_key_parameters` (somebody may want the passphrase
   * guessed: it is stretched less than is accepted), `store_header_damaged`, `webcrypto_unsupported`.
   */
  static async open(options: OpenOptions): Promise<OlmMachine> {
    const requirement = options.trustRequirement ?? "Untrusted";
    const store = options.store ?? (nodeHasNoStore() ? { memory: true } : undefined);
    const name = databaseName(store);
    const reports = new Reports();
    const key = storeKey(isObject(store) ? member(store, "encryption") : undefined);
    const worker = workerOf(options.worker);
    const fetch = options.http?.fetch;
    const send = fetch && sendThrough(fetch);
    const ground = { database: name, sealed: key[0] !== "" };
    const { engine, database } = worker === undefined ? await startProgram(await wasmModule(), ground, send) : await startHosted(worker, wasmModule(), ground, send);
    engine.on(storeReported, (json) => reports.tell(parse<StoreReport>(json)));
    const lanes = (word: string): void => {
      try {
        engine.tell("lanes", [word]);
      } catch (thrown) {
        if (!(thrown instanceof EngineStoppedError)) throw thrown; // it is about to be noticed
      }
    };
    // Heard before the store is read: what other tabs write meanwhile is known to one of the two.
    const tabs = name === "" ? undefined : new Tabs({
      name,
      canLead: fetch !== undefined,
      leads: (leads) => lanes(leads ? "lead" : "follow"),
      hear: (json) => engine.callText("hearPeers", [json]),
      nudge: () => lanes("nudge"),
    });
    let identityKeys: OlmMachine["identityKeys"];
    try {
      const { ed25519, curve25519 } = options.identityKeys ?? { ed25519: "", curve25519: "" };
      const opened = await engine.callText("open", [options.userId, options.deviceId, ed25519, curve25519, name, requirement, String(options.claimsMayOverruleDirect === true), String(fetch !== undefined), senderDataKey(options.senderDataKey), ...key]);
      identityKeys = parse<OlmMachine["identityKeys"]>(opened);
    } catch (thrown) {
      tabs?.close();
      engine.stop();
      throw thrown;
    }
    if (tabs?.company === true) {
      engine.on("peers_told", (json) => tabs.tell(json));
      engine.tell("meetPeers", []);
    }
    tabs?.opened();
    const parts: Parts = { engine, reports, database, name, encryption: key[0], tabs, fetches: fetch !== undefined, asleep: false };
    const stopWatching = watchSleep({
      awake: (awake) => {
        parts.asleep = !awake;
        lanes(awake ? "resume" : "pause");
      },
      online: () => lanes("nudge"),
      present: (present) => (present ? tabs?.back() : tabs?.rest()),
    });
    void engine.ended.then(() => {
      stopWatching();
      tabs?.close(); // a program that has died leads nobody
    });
    return new OlmMachine(parts, options, identityKeys, requirement);
  }

  /**
   * The methods that answer at once, with a promise of the same answer: the way to call them where the program runs in a `worker`, and one that
   * serves either. They fail as their namesakes do.
   */
  readonly promised: Promised = {
    receiveRoomKeys: async (events) => this.#reception(await this.#ask("receiveRoomKeys", roomKeysArguments(events))),
    roomKeyBundleDescriptor: async (event) => parse(await this.#ask("roomKeyBundleDescriptor", roomKeyArguments(event))),
    queryKeysForUsers: async (users) => parse(await this.#ask("queryKeysForUsers", users)),
    outgoingRequests: async () => parse(await this.#ask("outgoingRequests")),
    outdatedUsers: async () => parse(await this.#ask("outdatedUsers")),
    laneCounts: async () => parse(await this.#ask("laneCounts")),
    getIdentity: async (userId) => parse(await this.#ask("identity", [userId])),
    getRoomEventEncryptionInfo: async (event, roomId) => {
      if (this.#engine.here) return this.getRoomEventEncryptionInfo(event, roomId);
      const names = eventArguments(eventNames(event, roomId));
      return parse(await this.#ask("roomEventEncryptionInfo", names).catch(decryptionFailed));
    },
    setTrustRequirement: async (requirement) => {
      await this.#ask("setTrustRequirement", [requirement]);
      this.#trustRequirement = requirement;
    },
  };

  async #ask(method: string, args: readonly Argument[] = []): Promise<string> {
    this.#open();
    return this.#engine.ask(method, args);
  }

  // Room keys.

  /**
   * Takes room keys that the client's own Olm decrypted. The receipts are there when the call returns: who sent each key, as well as memory
   * can tell, and what the four policies say of its messages. The keys decrypt events from this moment on.
   *
   * Move the sync token when `stored` has resolved. A bad item costs only itself: it is refused at its position with one of the codes
   * `bad_payload`, `bad_sender`, `bad_sender_key`, `not_a_room_key`, `sender_mismatch`, `recipient_mismatch`, `recipient_key_mismatch`,
   * `unsupported_algorithm`, `bad_room_id`, `bad_session_key`, `session_id_mismatch`, `bad_sender_device_keys`,
   * `sender_device_keys_conflict`, `sender_device_keys_user`, `sender_device_keys_ed25519`, `sender_device_keys_curve25519`,
   * `sender_device_keys_signature`, `device_id_is_cross_signing_key`, `device_key_changed`, `dehydrated_device`,
   * `mismatched_identity_keys`, and nothing of it is kept.
   *
   * Sources: `m.room_key` and the checks on Olm payloads in the specification's end-to-end encryption module; MSC4147 for
   * `sender_device_keys`.
   */
  receiveRoomKeys(events: readonly DecryptedOlmEvent[]): RoomKeyReception {
    this.#open();
    return this.#reception(this.#engine.syncText("receiveRoomKeys", roomKeysArguments(events)));
  }

  #reception(json: string): RoomKeyReception {
    const { id, receipts } = parse<Answers["received"]>(json);
    // Writing begins when the caller's turn ends: the receipts come first, and calls of one turn share a transaction.
    const written = Promise.resolve().then(() => this.#engine.callText("storeRoomKeys", []));
    const stored = written.then(() => undefined); // a promise of its own: when nobody handles its failure, the page hears of it
    const settle = (): Promise<string> => this.#engine.callText("settleRoomKeys", [id]);
    const settled = written.then(
      async () => parse<SettledRoomKey[]>(await settle()),
      async (thrown: unknown) => {
        await settle().catch(() => undefined); // the program lets go of the reception in any case
        throw thrown;
      },
    );
    settled.catch(() => undefined); // it fails as `stored` does; one report of what nobody handles is enough
    return { receipts, stored, settled };
  }

  /**
   * Takes what `/sync` says to a device whose Olm account is here, and resolves when Olm state, room keys and device lists are on disk: move the
   * sync token then. One event that does not decrypt costs only itself: it is refused with `bad_to_device`, `not_for_this_device`,
   * `plain_room_key`, `unsupported_algorithm`, a code of the Olm message (`bad_olm_message`, `bad_message_key`, `unknown_olm_session`, `bad_olm_mac`,
   * `bad_olm_padding`, `olm_message_replayed`, `olm_message_gap`, `sender_key_mismatch`, `one_time_key_unknown`), one of {@link receiveRoomKeys}, or
   * `unknown_sending_device`.
   *
   * Room keys are received under every policy. Of other types, what such a sender writes is withheld as it would be in a room (`unsigned_device`,
   * `verification_violation`, `unverified_identity`, `tampered`); not so what verification needs, and what has rules of its own.
   *
   * What is no user id in the device lists is passed over. When it rejects nothing of the Olm messages was kept, and the same sync may be given again.
   * Errors: `no_account` where the machine was opened with identity keys, `bad_json`.
   *
   * Source: client-server API, "Extensions to /sync" of the end-to-end encryption module.
   */
  async receiveSyncChanges(changes: SyncChanges): Promise<SyncReception> {
    this.#open();
    const { changed = [], left = [] } = changes.deviceLists ?? {};
    const count = changes.oneTimeKeyCounts === undefined ? "" : String(changes.oneTimeKeyCounts["signed_curve25519"] ?? 0);
    const fallbackUsed = changes.unusedFallbackKeys !== undefined && !changes.unusedFallbackKeys.includes("signed_curve25519");
    const events = changes.toDeviceEvents.map(jsonText);
    const args = [count, String(fallbackUsed), String(changed.length), String(left.length), ...changed, ...left, ...events];
    const { id, events: became } = parse<Answers["synced"]>(await this.#engine.callText("receiveSyncChanges", args));
    if (id === "") return { events: became, settled: Promise.resolve([]) };
    const settled = this.#engine.callText("settleRoomKeys", [id]).then((json) => parse<SettledRoomKey[]>(json));
    settled.catch(() => undefined); // when nobody waits for it, its failure is told by the next call that writes
    return { events: became, settled };
  }

  /**
   * The request that claims one-time keys of those devices of the users with whom there is no Olm session, or null where there is one with all of them.
   * Send it and give the answer to {@link markRequestAsSent}; it is among {@link outgoingRequests} too. A device without a key is left alone for a while.
   * With `http.fetch` the machine claims by itself what it needs, and nobody has to call this. Errors: `no_account`, `bad_user_id`.
   *
   * Source: client-server API, `POST /_matrix/client/v3/keys/claim`.
   */
  async getMissingSessions(users: readonly string[]): Promise<OutgoingRequest | null> {
    this.#open();
    return parse<OutgoingRequest | null>(await this.#engine.callText("getMissingSessions", users));
  }

  /**
   * Encrypts a to-device event for one device and resolves with the content of the `m.room.encrypted` to send it, once the Olm session is stored. Our
   * own device keys travel with it (MSC4147). With `http.fetch` a session is begun where there is none. Errors: `no_account`, `unknown_device`,
   * `no_olm_session`, `bad_content`, `bad_olm_plaintext` (too long), `bad_user_id`, `bad_device_id`, and those of a request: `fetch_failed`,
   * `fetch_status`, `fetch_timeout`, `rate_limited`, `answer_too_large`, `bad_claim`.
   *
   * Source: client-server API, "m.olm.v1.curve25519-aes-sha2".
   */
  async encryptToDeviceEvent(userId: string, deviceId: string, eventType: string, content: string | JsonObject): Promise<JsonObject> {
    this.#open();
    return parse<JsonObject>(await this.#engine.callText("encryptToDeviceEvent", [userId, deviceId, eventType, jsonText(content)]));
  }

  /**
   * Sees to it that the devices of the users have the key that this device encrypts the room's events with, by the strategy of the settings; devices that
   * do not get it are told once (`m.room_key.withheld`). Call it before every event with all members who may read it: another key is made where the old
   * one must not be used on, because of its age, its messages, the settings, a user who is no longer named, or a device that is gone.
   *
   * With `http.fetch` it asks for outdated device lists, claims one-time keys and sends the messages, and resolves with an empty list. Without it the
   * users are followed, and it resolves with the requests to send, which are among {@link outgoingRequests} too: give the answers to
   * {@link markRequestAsSent}. For users that are new, send what `outgoingRequests` and {@link getMissingSessions} ask for first: a device without a
   * session gets no key.
   *
   * Errors: `no_account`, `bad_room_id`, `bad_user_id`, `bad_encryption_settings`; where a strategy refuses to share at all
   * `verified_user_has_unsigned_device` and `verified_user_changed_identity`, with the users and their devices as JSON in `got`,
   * `cross_signing_not_set_up`, `sending_from_unverified_device`; and those of a request: `fetch_failed`, `fetch_status`, `fetch_timeout`,
   * `rate_limited`, `answer_too_large`, `bad_claim`. What was sent by then is sent.
   *
   * Source: client-server API, "m.megolm.v1.aes-sha2" and "Reporting that decryption keys are withheld"; MSC3061; MSC4153.
   */
  async shareRoomKey(roomId: string, users: readonly string[], settings: EncryptionSettings = {}): Promise<OutgoingRequest[]> {
    this.#open();
    const { algorithm = "", rotationPeriod = "", rotationPeriodMessages = "", historyVisibility = "", sharingStrategy = "" } = settings;
    const args = [roomId, algorithm, String(rotationPeriod), String(rotationPeriodMessages), historyVisibility, sharingStrategy, ...users];
    return parse<OutgoingRequest[]>(await this.#engine.callText("shareRoomKey", args));
  }

  /**
   * Encrypts an event of a room and resolves with the content of the `m.room.encrypted` to send. By then it is stored that the message index is used, and
   * none is ever used twice, in however many tabs. `m.relates_to` stands in the clear beside the ciphertext, for the server's aggregations.
   *
   * Errors: `room_key_not_shared` and `room_key_expired`: call {@link shareRoomKey}, and have its requests marked as sent; `bad_content`,
   * `bad_plaintext_length` (too long for an event), `no_account`, `bad_room_id`.
   *
   * Source: client-server API, "m.megolm.v1.aes-sha2".
   */
  async encryptRoomEvent(roomId: string, eventType: string, content: string | JsonObject): Promise<JsonObject> {
    this.#open();
    return parse<JsonObject>(await this.#engine.callText("encryptRoomEvent", [roomId, eventType, jsonText(content)]));
  }

  /**
   * Has the next {@link shareRoomKey} make another key, and resolves with whether there was one. Errors: `no_account`, `bad_room_id`.
   */
  async invalidateGroupSession(roomId: string): Promise<boolean> {
    this.#open();
    return parse<boolean>(await this.#engine.callText("invalidateGroupSession", [roomId]));
  }

  /**
   * Remembers that a room is encrypted, and how, and resolves when that is stored. Call it for every `m.room.encryption` that a room's state has, and before
   * sending where the state has none: a room that was encrypted once stays so, whatever a server makes of its state. Settings in which only the rest
   * is other are taken; what does not name the one algorithm that is known is refused. {@link shareRoomKey} heeds what it is given itself.
   *
   * Errors: `encryption_downgrade` (the room is remembered as encrypted: send nothing in the clear), `invalid_room_settings` (nothing is remembered of it),
   * `bad_encryption_settings` (a rotation that is no whole number), `no_account`, `bad_room_id`.
   *
   * Source: client-server API, "m.room.encryption".
   */
  async setRoomSettings(roomId: string, settings: RoomSettings): Promise<void> {
    this.#open();
    const { algorithm, sessionRotationPeriodMs = "", sessionRotationPeriodMessages = "", onlyAllowTrustedDevices = false } = settings;
    await this.#engine.callText("setRoomSettings", [roomId, algorithm, String(sessionRotationPeriodMs), String(sessionRotationPeriodMessages), String(onlyAllowTrustedDevices)]);
  }

  /**
   * What is remembered of how a room is encrypted; null when it is not known to be. Where the stored settings are damaged, it is: with the rotation that is
   * the default, and for trusted devices only. Errors: `no_account`, `bad_room_id`.
   */
  async getRoomSettings(roomId: string): Promise<RoomSettings | null> {
    this.#open();
    return parse<RoomSettings | null>(await this.#engine.callText("getRoomSettings", [roomId]));
  }

  /**
   * Takes `m.room_key.withheld` to-device events, decrypted or plain, and resolves when they are stored: for each null, or why it was
   * refused (`bad_withheld`, `withheld_no_session`, `bad_json`). A notice explains a key that is missing; it never touches one that is here.
   */
  async receiveRoomKeysWithheld(events: readonly (string | JsonObject)[]): Promise<(Refusal | null)[]> {
    this.#open();
    const refusals: (Refusal | null)[] = events.map(() => null);
    const texts: string[] = [];
    const places: number[] = [];
    events.forEach((event, place) => {
      try {
        texts.push(jsonText(event));
        places.push(place);
      } catch (thrown) {
        if (!(thrown instanceof KnownSenderError)) throw thrown;
        refusals[place] = { code: thrown.code, message: thrown.message };
      }
    });
    const answers = parse<(Refusal | null)[]>(await this.#engine.callText("receiveRoomKeysWithheld", texts));
    places.forEach((place, i) => (refusals[place] = answers[i] ?? null));
    return refusals;
  }

  /** Reads the kept numbers of stored room keys. Nothing is counted, however many there are. */
  async roomKeyCounts(): Promise<RoomKeyCounts> {
    this.#open();
    return parse<RoomKeyCounts>(await this.#engine.callText("roomKeyCounts", []));
  }

  // Room keys that did not come from their sender: files, the server-side backup, our other devices, history bundles. They open messages, and who
  // made them stays hearsay: legacy keys, which nothing raises but the same key from its sender.

  /**
   * Imports room keys of a key export: the JSON text, or the parsed list. Each is judged by itself; one that cannot be read costs only itself and is
   * listed in `failures` (`bad_entry_json`, `entry_too_large`, `missing_member`, `bad_member`, `unsupported_algorithm`, `bad_session_key`,
   * `session_id_mismatch`, `unconnected`, `too_many_claims`). Keys are stored in whole chunks while the import goes on.
   *
   * Errors: `bad_key_file_json` where the list cannot be followed any further (what came before is stored), `aborted`, `bad_request`.
   *
   * Source: the specification's "Key exports".
   */
  async importExportedRoomKeys(keys: string | readonly JsonObject[], options: ImportOptions = {}): Promise<ImportResult> {
    this.#open();
    return importKeys(this.#engine, ["", "none", ""], exportedKeys(keys), options);
  }

  /**
   * Imports room keys of a server-side backup, `m.megolm_backup.v1.curve25519-aes-sha2`: the answer of `GET /room_keys/keys`, and the backup's private
   * key. What a backup holds is no more trusted than a file: the server can add to it. Keys count as backed up if `backupVersion` is the version in
   * use, or none was.
   *
   * Text is parsed in one go, which takes the page some ten milliseconds a megabyte; of an object nothing is done in one go.
   *
   * Errors: `bad_backup_key`, `bad_recovery_key`, `bad_backup_version`, `bad_backup_answer`, `bad_json`, `aborted`; of single keys, beside those of
   * {@link importExportedRoomKeys}: `bad_backup_room`, `bad_backup_entry`, `bad_backup_secret`, `bad_backup_mac`, `bad_backup_ciphertext`, `foreign_room`.
   */
  async importBackedUpRoomKeys(backup: string | JsonObject, options: ImportOptions & { decryptionKey: BackupDecryptionKey; backupVersion: string }): Promise<ImportResult> {
    this.#open();
    return importKeys(this.#engine, backupSource(options), backedUpKeys(backup), options);
  }

  /**
   * Exports the room keys that `predicate` chooses, all without it, as JSON text: a list as {@link encryptExportedRoomKeys} and every other client take
   * it. Suspended keys are left out, and keys that are here only because somebody handed them over (a history bundle, a forwarded key). Errors:
   * `aborted`.
   */
  async exportRoomKeys(predicate?: (key: ExportedRoomKeyInfo) => boolean, options: { signal?: AbortSignal } = {}): Promise<string> {
    const pieces: string[] = [];
    for await (const piece of this.exportRoomKeysStream(predicate, options)) pieces.push(piece);
    return pieces.join("");
  }

  /** The same as {@link exportRoomKeys} piece by piece: together they are one JSON list. */
  exportRoomKeysStream(predicate?: (key: ExportedRoomKeyInfo) => boolean, options: { signal?: AbortSignal } = {}): AsyncGenerator<string, void, undefined> {
    this.#open();
    return exportKeys(this.#engine, predicate, options.signal);
  }

  /**
   * Opens a key-export file with its passphrase; the answer is for {@link importExportedRoomKeys}. No machine is needed.
   *
   * Errors: `bad_key_file_header`, `bad_key_file_footer`, `bad_key_file_base64`, `bad_key_file_length`, `bad_key_file_version`,
   * `bad_key_file_rounds` (fewer than 1,000 or more than 10,000,000: refused before anything is derived), `bad_passphrase_or_corrupt`, `aborted`;
   * those of `initAsync`. A file chooses the rounds itself: ten million take some seconds, in a thread of the browser's.
   */
  static async decryptExportedRoomKeys(file: string, passphrase: string, options: { signal?: AbortSignal } = {}): Promise<string> {
    return withEngine((engine) => engine.callText("decryptKeyFile", [file, passphrase], options));
  }

  /**
   * Seals a key export with a passphrase, as a file that every client reads. `rounds` of PBKDF2: half a million when not given. No machine is needed.
   *
   * Errors: `bad_key_file_rounds`, `empty_passphrase`; those of `initAsync`.
   */
  static async encryptExportedRoomKeys(keys: string, passphrase: string, rounds = 0, options: { signal?: AbortSignal } = {}): Promise<string> {
    return withEngine((engine) => engine.callText("encryptKeyFile", [keys, passphrase, String(rounds)], options));
  }

  /** The server-side backup in use; null when there is none. */
  async getBackup(): Promise<Backup | null> {
    this.#open();
    return parse<Backup | null>(await this.#engine.callText("backup", []));
  }

  /**
   * Begins to use a server-side backup: {@link backupRoomKeys} lists what to upload. With another version than before everything is to be uploaded
   * again. Whether the backup's public key may be believed, by its signatures, is for the client to check first.
   *
   * Errors: `bad_base64`, `bad_key_length`, `low_order_key`, `bad_backup_version`.
   */
  async enableBackupV1(publicKeyBase64: string, version: string): Promise<void> {
    this.#open();
    await this.#engine.call("enableBackup", [publicKeyBase64, version]);
  }

  /** Forgets the server-side backup in use. */
  async disableBackup(): Promise<void> {
    this.#open();
    await this.#engine.call("disableBackup", []);
  }

  /**
   * Makes the next upload to the server-side backup, of up to a hundred room keys; null when everything is there. Send it, say so with
   * {@link markRoomKeysAsBackedUp} or {@link markRequestAsSent}, and ask again. With `http.fetch`, {@link uploadRoomKeys} does all of it. Suspended keys
   * stay here, and so do keys that are here only because somebody handed them over. Errors: `backup_disabled`.
   */
  async backupRoomKeys(): Promise<KeysBackupRequest | null> {
    this.#open();
    return parse<KeysBackupRequest | null>(await this.#engine.callText("backupRoomKeys", []));
  }

  /**
   * Uploads, through `http.fetch`, all room keys that are not in the server-side backup, and resolves with how many those were. What the server has taken
   * stays taken when it fails. Errors: `backup_disabled`, `no_fetch`, and those of a request, among them `fetch_status` where the server has another
   * version by now.
   */
  async uploadRoomKeys(): Promise<number> {
    this.#open();
    return parse<number>(await this.#engine.callText("uploadRoomKeys", []));
  }

  /** Says that the server has taken an upload. A key that became better meanwhile is uploaded again. Errors: `unknown_request`. */
  async markRoomKeysAsBackedUp(requestId: string): Promise<void> {
    this.#open();
    await this.#engine.call("markBackedUp", [requestId]);
  }

  /**
   * Asks our own devices for a room key. Send `content` to all of them; only what was asked for is accepted. Asking again gives the same request.
   * Errors: `bad_room_id`, those of a bad session id.
   */
  async requestRoomKey(roomId: string, sessionId: string): Promise<RoomKeyRequest> {
    this.#open();
    return parse<RoomKeyRequest>(await this.#engine.callText("requestRoomKey", [roomId, sessionId]));
  }

  /** Takes a request back; resolves with what to send to our own devices, null when nothing was asked. Errors: as {@link requestRoomKey}. */
  async cancelRoomKeyRequest(roomId: string, sessionId: string): Promise<RoomKeyRequest | null> {
    this.#open();
    return parse<RoomKeyRequest | null>(await this.#engine.callText("cancelRoomKeyRequest", [roomId, sessionId]));
  }

  /**
   * Takes `m.forwarded_room_key` events that the client's own Olm decrypted, and resolves when they are stored. They are accepted from verified
   * devices of our own, for keys that were asked for. A bad item costs only itself: beside the codes of {@link receiveRoomKeys} and
   * {@link importExportedRoomKeys}, `forwarder_not_own_device`, `forwarded_key_unrequested`.
   */
  async receiveForwardedRoomKeys(events: readonly DecryptedOlmEvent[]): Promise<ForwardedRoomKeyReceipt[]> {
    this.#open();
    return parse<ForwardedRoomKeyReceipt[]>(await this.#engine.callText("receiveForwardedRoomKeys", roomKeysArguments(events)));
  }

  /**
   * Reads the announcement of a history bundle (MSC4268, `m.room_key_bundle`), as the client's own Olm decrypted it: where the encrypted file is. Download
   * it only if it is from whoever invited us, about the time we joined.
   *
   * Errors: as {@link receiveRoomKeyBundle}, as far as they can be told without the file.
   */
  roomKeyBundleDescriptor(event: DecryptedOlmEvent): RoomKeyBundleDescriptor {
    this.#open();
    return parse<RoomKeyBundleDescriptor>(this.#engine.syncText("roomKeyBundleDescriptor", roomKeyArguments(event)));
  }

  /**
   * Takes a history bundle: its announcement and the encrypted file, and resolves when its keys are stored. The sender must be known by
   * cross-signing now, and not be one who was verified and has another identity now. Under `CrossSignedOrLegacy` the keys are shown while that
   * holds.
   *
   * Errors: the codes of {@link receiveRoomKeys} for the announcement, `missing_sender_device_keys`, `forwarder_not_known`,
   * `bad_bundle_descriptor`, `bundle_too_large` (64 MiB, 100,000 entries), `bad_bundle_hash`, `bad_bundle_json`.
   */
  async receiveRoomKeyBundle(event: DecryptedOlmEvent, encryptedBundle: Uint8Array): Promise<RoomKeyBundleResult> {
    this.#open();
    return parse<RoomKeyBundleResult>(await this.#engine.callText("receiveRoomKeyBundle", [...roomKeyArguments(event), encryptedBundle]));
  }

  /**
   * Makes a history bundle of a room, for somebody whom we invite (MSC4268): the keys whose senders meant them to be shared, and of the others a notice
   * that they are not; null when there is nothing. Suspended keys stay out, and those that somebody handed over who has another identity now than
   * the one we verified. Upload `encryptedBundle` and send its announcement through Olm, with our `sender_device_keys`, to the devices of
   * that person that are cross-signed.
   *
   * Errors: `bad_room_id`, `bundle_too_large`, `webcrypto_unsupported`.
   */
  async buildRoomKeyBundle(roomId: string): Promise<RoomKeyBundle | null> {
    this.#open();
    const content = await this.#engine.call("buildRoomKeyBundle", [roomId]);
    if (content.length === 0) return null;
    try {
      const { data, file } = await encryptAttachment(content);
      return { encryptedBundle: data, file };
    } finally {
      content.fill(0);
    }
  }

  // People: devices, identities, verification.

  /**
   * Begins a `/keys/query` request for users. Send `body` to the homeserver and give the answer with `id` to
   * {@link receiveKeysQueryResponse}. With `http.fetch`, or {@link outgoingRequests}, there is no need to: this is for users the client wants
   * to know of now.
   *
   * Errors: `bad_user_id`.
   */
  queryKeysForUsers(users: readonly string[]): OutgoingRequest {
    this.#open();
    return parse<OutgoingRequest>(this.#engine.syncText("queryKeysForUsers", users));
  }

  /**
   * Lists the requests to send, for a client that gave no `http.fetch`: `/keys/query` for the senders of room keys that wait and for followed
   * users whose device lists are outdated; where the Olm account is here, `/keys/upload` with the keys the server is yet to have, and what channels that
   * broke need to be mended (`/keys/claim`, then a to-device message); and what any method has begun. Send each and give the answer to
   * {@link markRequestAsSent}; until then it stays on the list, so one that was lost is met again. Ask after every sync.
   */
  outgoingRequests(): OutgoingRequest[] {
    this.#open();
    return parse<OutgoingRequest[]>(this.#engine.syncText("outgoingRequests", []));
  }

  /**
   * Takes the answer to a request of {@link outgoingRequests}: of `/keys/query` the same as {@link receiveKeysQueryResponse}, of every other with
   * null for a result. When it is refused, the request is still on the list. Errors: `unknown_request`, `bad_upload` and `bad_claim` for what is no
   * answer, and those of the method that began the request.
   */
  async markRequestAsSent(requestId: string, response: string | JsonObject): Promise<KeysQueryResult | null> {
    this.#open();
    return parse<KeysQueryResult | null>(await this.#engine.callText("markRequestAsSent", [requestId, jsonText(response)]));
  }

  /** The followed users whose device lists are not up to date, ascending. */
  outdatedUsers(): string[] {
    this.#open();
    return parse<string[]>(this.#engine.syncText("outdatedUsers", []));
  }

  /**
   * Takes the answer to a `/keys/query` over: every user and device is validated by itself, what is new is stored, and the stored room keys
   * it bears on are judged again. Resolves when all of that is on disk.
   *
   * Give the answer as text where you can: signatures are checked over the JSON as received. `requestId` is that of
   * {@link queryKeysForUsers}; without it the answer is applied but brings no device list up to date. An answer that was overtaken by a
   * newer one is not applied (`stale_answer` among the problems).
   *
   * Errors: `bad_answer`, `bad_json`, `unknown_request`. What is wrong with single users or devices is listed in `problems`.
   *
   * Source: client-server API, `POST /_matrix/client/v3/keys/query`, and "Tracking the device list for a user".
   */
  async receiveKeysQueryResponse(response: string | JsonObject, requestId = ""): Promise<KeysQueryResult> {
    this.#open();
    return parse<KeysQueryResult>(await this.#engine.callText("receiveKeysQueryResponse", [jsonText(response), requestId]));
  }

  /**
   * Takes `device_lists` of a `/sync` answer over: followed users in `changed` become outdated, users in `left` are no longer followed.
   *
   * Errors: `bad_user_id`.
   */
  async receiveDeviceLists(lists: { changed?: readonly string[]; left?: readonly string[] }): Promise<void> {
    this.#open();
    const changed = lists.changed ?? [];
    await this.#engine.call("receiveDeviceLists", [String(changed.length), ...changed, ...(lists.left ?? [])]);
  }

  /** Begins to follow the device lists of users: they are outdated until asked for. Errors: `bad_user_id`. */
  async updateTrackedUsers(users: readonly string[]): Promise<void> {
    this.#open();
    await this.#engine.call("updateTrackedUsers", users);
  }

  /**
   * Declares the device lists of all followed users outdated, as after a gap in the sync or when the store was restored. They are asked for
   * again, or are among {@link outgoingRequests}.
   */
  async markAllTrackedUsersAsDirty(): Promise<void> {
    this.#open();
    await this.#engine.call("markAllTrackedUsersAsDirty", []);
  }

  // The slow lane and the background retry. With `http.fetch` they run by themselves, in one of the tabs over a database.

  /**
   * Asks for the senders of all room keys that wait now, whatever their schedules say, in whichever tab runs the lanes. The machine does so
   * by itself when the browser's connection comes back; this is for a client that knows better, or a person who presses a button.
   */
  retryNow(): void {
    this.#open();
    this.#engine.tell("lanes", ["nudge"]);
    this.#parts.tabs?.nudge();
  }

  /** What the lanes of this tab have under way, for people who watch. */
  laneCounts(): LaneCounts {
    this.#open();
    return parse<LaneCounts>(this.#engine.syncText("laneCounts", []));
  }

  /**
   * Declares a master key, unpadded base64, to be our own: the user has verified this device, or holds the private key. From then on the
   * users whose master keys our user-signing key has signed are verified, and their stored room keys rise.
   *
   * Errors: `own_identity_unknown` (ask `/keys/query` for ourselves first), `own_identity_mismatch` (the server lists another one), and those
   * of a bad key.
   */
  async trustOwnIdentity(masterKey: string): Promise<void> {
    this.#open();
    await this.#engine.call("trustOwnIdentity", [masterKey]);
  }

  /**
   * Says that a user who was verified, and whose identity has changed since, need not be verified any more: `VerificationViolation` becomes
   * unverified for keys that arrive from now on, and the identity the user has now is pinned. Errors: `bad_user_id`.
   */
  async withdrawVerification(userId: string): Promise<void> {
    this.#open();
    await this.#engine.call("withdrawVerification", [userId]);
  }

  /** Accepts the identity a user has now in place of the one met first. Errors: `bad_user_id`. */
  async pinCurrentIdentity(userId: string): Promise<void> {
    this.#open();
    await this.#engine.call("pinCurrentIdentity", [userId]);
  }

  /** What is known of a user's cross-signing identity; null when nothing is. Errors: `bad_user_id`. */
  getIdentity(userId: string): UserIdentity | null {
    this.#open();
    return parse<UserIdentity | null>(this.#engine.syncText("identity", [userId]));
  }

  // Our own identity: private cross-signing keys, where the Olm account is here. They lie in the store as they are, like room keys.

  /**
   * Makes our cross-signing identity if there is none, or anew with `reset`, and resolves with the requests that tell the server of it once the private
   * keys are stored. Called again without `reset` it gives the requests for the same keys. They are not among {@link outgoingRequests}, for the second
   * wants the user's password. Ask `/keys/query` for our own user first: an identity that the machine knows is replaced with `reset` only.
   *
   * When the next `/keys/query` shows the identity it is trusted, and from then on our device's signature goes with every Olm message (MSC4147). While
   * the server shows another identity, because another device has reset it, the private keys sign nothing and count as none here;
   * {@link registerStoreReportCallback} tells of it (`cross_signing_identity_replaced`).
   *
   * Errors: `no_account`, `cross_signing_identity_exists` (import its keys, or reset it), `missing_signing_key` (only some of its keys are here),
   * `cross_signing_damaged`; of the answers, `bad_upload` and `signature_refused`.
   *
   * Source: client-server API, "Cross-signing"; matrix-sdk-crypto's method of that name.
   */
  async bootstrapCrossSigning({ reset = false }: { reset?: boolean } = {}): Promise<CrossSigningBootstrapRequests> {
    this.#open();
    return parse<CrossSigningBootstrapRequests>(await this.#engine.callText("bootstrapCrossSigning", [String(reset)]));
  }

  /**
   * Keeps private cross-signing keys that the user has elsewhere, some or all, and resolves when they are stored. With the master key our identity is
   * trusted from then on, with the self-signing key our device is signed: the request is sent, or is among {@link outgoingRequests}. Keys that come before
   * our identity is known are held against it when `/keys/query` brings it.
   *
   * Errors: `no_account`, `bad_cross_signing_seed`, `no_cross_signing_keys`, `cross_signing_key_mismatch` (a key of another identity than the one we have
   * now; nothing is changed), `cross_signing_damaged` (a newer version of this package has stored keys).
   */
  async importCrossSigningKeys(keys: CrossSigningKeyExport): Promise<CrossSigningStatus> {
    this.#open();
    const given: unknown = keys;
    const seed = (name: string): string => {
      const value = isObject(given) ? member(given, name) : undefined;
      if (value === undefined || value === null) return "";
      return typeof value === "string" && value !== "" ? value : "?"; // which is no seed
    };
    return parse<CrossSigningStatus>(await this.#engine.callText("importCrossSigningKeys", [seed("masterKey"), seed("self_signing_key"), seed("userSigningKey")]));
  }

  /** The private cross-signing keys that are here, for secret storage; null when there are none. Errors: `no_account`, `cross_signing_damaged`. */
  async exportCrossSigningKeys(): Promise<CrossSigningKeyExport | null> {
    this.#open();
    return parse<CrossSigningKeyExport | null>(await this.#engine.callText("exportCrossSigningKeys", []));
  }

  /** Which private cross-signing keys are here. Errors: `no_account`, `cross_signing_damaged`. */
  async crossSigningStatus(): Promise<CrossSigningStatus> {
    this.#open();
    return parse<CrossSigningStatus>(await this.#engine.callText("crossSigningStatus", []));
  }

  /**
   * Opens the user's secret storage with its recovery key, or passphrase; {@link SecretStorage.get} then reads single secrets, the backup's
   * `m.megolm_backup.v1` among them. The account data comes from the client.
   *
   * Errors: `no_secret_storage`, `bad_secret_storage_key` (it does not open this storage), `bad_recovery_key`, `no_passphrase`,
   * `bad_secret_storage_iterations` (more than ten million: refused before anything is derived), `bad_secret_storage_key_description`,
   * `unsupported_algorithm`, `account_data_failed`, `webcrypto_unsupported`.
   *
   * Source: client-server API, "Secret storage".
   */
  async openSecretStorage(getAccountData: AccountData, key: SecretStorageKey): Promise<SecretStorage> {
    this.#open();
    return SecretStorage.open(getAccountData, key, async (text) => bytesOf(await this.#ask("recoveryKey", [text])) ?? new Uint8Array(0));
  }

  /**
   * {@link importCrossSigningKeys} with what secret storage has of our private cross-signing keys. Errors: those of it, of {@link openSecretStorage}, and
   * of {@link SecretStorage.get}; `no_cross_signing_keys` where the storage has none.
   */
  async importCrossSigningKeysFromSecretStorage(getAccountData: AccountData, key: SecretStorageKey): Promise<CrossSigningStatus> {
    const storage = await this.openSecretStorage(getAccountData, key);
    return this.importCrossSigningKeys(await crossSigningKeysFrom((name) => storage.get(name)));
  }

  /**
   * Says that the user has compared somebody's master key, unpadded base64, with that person. It is signed by our user-signing key, and the next
   * `/keys/query` shows that the person is verified. Of our own user it is {@link trustOwnIdentity}, and this device signs the master key. With
   * `http.fetch` the signature is sent and the answer null; when that fails it is sent later. Without, the answer is the request to send, which is among
   * {@link outgoingRequests} too.
   *
   * Errors: `no_account`, `identity_mismatch` (the person has another master key now: nothing is signed), `identity_unknown`, `own_identity_unknown`,
   * `own_identity_mismatch`, `missing_signing_key` (the user-signing key is not here), `signature_refused` (by the server, `got` says why), `bad_upload`,
   * `object_not_signable`, `cross_signing_damaged`, `bad_user_id`, those of a bad key, and with `http.fetch` those of a request.
   *
   * Source: client-server API, `POST /_matrix/client/v3/keys/signatures/upload`.
   */
  async verifyIdentity(userId: string, masterKey: string): Promise<OutgoingRequest | null> {
    this.#open();
    return parse<OutgoingRequest | null>(await this.#engine.callText("verifyIdentity", [userId, masterKey]));
  }

  /**
   * Says that the user has compared the fingerprint, the Ed25519 key in unpadded base64, of another device of their own. It is signed by our self-signing
   * key. The answer is as of {@link verifyIdentity}.
   *
   * Errors: as there, but `unknown_device`, `device_mismatch` (the device has another fingerprint: nothing is signed) and `bad_device_id` in the place of
   * those about identities.
   */
  async verifyDevice(deviceId: string, ed25519: string): Promise<OutgoingRequest | null> {
    this.#open();
    return parse<OutgoingRequest | null>(await this.#engine.callText("verifyDevice", [deviceId, ed25519]));
  }

  // Room events.

  /**
   * Loads what is stored of a room's keys, so that {@link getRoomEventEncryptionInfo} can answer for its events, and {@link decryptRoomEvent} need not read
   * what is stored of each key first. Errors: `bad_room_id`.
   */
  async loadRoom(roomId: string): Promise<void> {
    this.#open();
    await this.#engine.call("loadRoom", [roomId]);
  }

  /**
   * Decrypts an `m.room.encrypted` event and resolves with it when the policy allows it to be shown. The event takes its message index:
   * another event with the same index is a replay from then on. That is on disk soon after the promise resolves.
   *
   * Rejects with a {@link DecryptionError} when the event does not decrypt or is withheld; it carries all that is known of the sender and
   * none of the plaintext. Other errors: `bad_room_id`, `bad_json`.
   */
  async decryptRoomEvent(event: string | JsonObject, roomId: string): Promise<DecryptedRoomEvent> {
    this.#open();
    const byName = typeof event === "string" || !this.#engine.here ? undefined : ordinaryIfSo(event, roomId);
    const text = byName === undefined ? jsonText(event) : undefined;
    await this.#pace.keep();
    const answer = (byName && (await this.#decryptFromMemory(byName))) ?? parse<Answers["decrypted"]>(await this.#engine.callText("decryptRoomEvent", [text ?? jsonText(event), roomId]));
    if (answer.error === undefined) return answer.event;
    const { code, message, expected, got, ...rest } = answer.error;
    throw new DecryptionError(code, sentenceOf(code) ?? message, { ...rest, expected: expected ?? undefined, got: got ?? undefined });
  }

  /** The answer where nothing has to be read first: the two synchronous calls are quicker than one that may wait. Whoever asks for the verdict next is told it. */
  async #decryptFromMemory(event: OrdinaryEvent): Promise<Answers["decrypted"] | undefined> {
    const number = String(++this.#decryptions);
    const check = this.#engine.syncCall("beginDecryption", [number, ...eventArguments(event.names)]);
    if (check.length === 0) return undefined;
    const held = await verifySignatures(check).catch(() => new Uint8Array([undecided]));
    const said = this.#engine.syncText("finishDecryption", [number, held]);
    if (said === "") return undefined;
    const answer = parse<Answers["decrypted"]>(said);
    if (answer.error === undefined) {
      const { encryptionInfo } = answer.event;
      // An event under somebody else's name does not take its message index.
      const owned = encryptionInfo.verdict.state !== "mismatched_sender";
      this.#verdicts.decrypted(this.#engine.turns, owned ? event.names : undefined, encryptionInfo);
      return { event: { ...answer.event, clearEvent: clearEvent(event, answer.event.clearEvent) } };
    }
    return answer;
  }

  /**
   * Says what is known of the sender of an encrypted event and what the policy says to that, from memory alone: nothing is decrypted and
   * nothing is written. For redrawing shields; the event itself is judged in full by {@link decryptRoomEvent}.
   *
   * Everything stored that bears on the event must be in memory: {@link loadRoom} was called, or the event was decrypted before. Throws a
   * {@link DecryptionError} (`session_not_loaded`, `bad_event`, `unable_to_decrypt`); also `bad_room_id`. As long as nothing has changed the answer is the
   * same object, which is frozen.
   */
  getRoomEventEncryptionInfo(event: string | JsonObject, roomId: string): EventEncryptionInfo {
    this.#open();
    const names = eventNames(event, roomId);
    return this.#verdicts.of(names, this.#engine.turns, () => this.#encryptionInfo(names));
  }

  #encryptionInfo(names: EventNames): EventEncryptionInfo {
    try {
      return parse<EventEncryptionInfo>(this.#engine.syncText("roomEventEncryptionInfo", eventArguments(names)));
    } catch (thrown) {
      return decryptionFailed(thrown);
    }
  }

  /** The policy in force. */
  get trustRequirement(): TrustRequirement {
    return this.#trustRequirement;
  }

  /**
   * Changes the policy for every verdict from now on. Nothing is decrypted, judged or written again: ask for what is on the screen once more.
   * Errors: `bad_trust_requirement`.
   */
  setTrustRequirement(requirement: TrustRequirement): void {
    this.#open();
    this.#engine.syncCall("setTrustRequirement", [requirement]);
    this.#trustRequirement = requirement;
  }

  /**
   * Says why a room key's sender is what it is: the steps the finder takes, the evidence, what would change it, what became of keys that are
   * not here. Codes are for programs, sentences for people; {@link sentenceOf} has one for every code of a verdict too. Errors: `bad_room_id`, those of a bad
   * session id.
   */
  async explain(roomId: string, sessionId: string): Promise<Explanation> {
    this.#open();
    const told = parse<Explanation>(await this.#engine.callText("explain", [roomId, sessionId]));
    const copies = told.copies.map((copy) => ({ ...copy, steps: copy.steps.map((step) => ({ ...step, sentence: sentenceOf(step.evidence) ?? "" })) }));
    return { ...told, copies, tombstones: told.tombstones.map((tombstone) => ({ ...tombstone, sentence: sentenceOf(tombstone.reason) ?? "" })) };
  }

  // Callbacks. What one throws is printed and stops no other.

  /** Hears of room keys that arrived or became better, after they were stored. */
  registerRoomKeyUpdatedCallback(callback: (keys: readonly RoomKeyInfo[]) => void): Unregister {
    return this.#engine.on("room_keys_updated", (json) => callback(parse<RoomKeyInfo[]>(json)));
  }

  /** Hears of changes of what is known of the senders of stored room keys, once each, after they were stored. */
  registerSenderDataUpdatedCallback(callback: (updates: readonly SenderDataUpdate[]) => void): Unregister {
    return this.#engine.on("sender_data_updated", (json) => callback(parse<SenderDataUpdate[]>(json)));
  }

  /** Hears of what happens to the store without anybody asking. */
  registerStoreReportCallback(callback: (report: StoreReport) => void): Unregister {
    return this.#parts.reports.on(callback);
  }

  // The store.

  /**
   * Says how the machine and its store do: versions, whether the browser promised to keep the database, how much room there is, whether it is the same one as
   * last time, what could not be read and was set aside, what waits to be asked about, and what was reported since it was opened. It answers as well when
   * the store is lost or the program has ended; not when the machine was closed or locked. Plain data for a report of a problem: there is nothing secret in
   * it, and of names only the one the client gave the database. Errors: none of its own.
   */
  async diagnose(): Promise<Diagnosis> {
    this.#open();
    return diagnose(this.#parts);
  }

  /**
   * Has the database open with another key from now on, of either kind, and with the old one no more. It takes one small transaction; open tabs go on. The
   * rows are not encrypted anew: whoever has the old key and a copy of the database from before reads on. Errors: `bad_store_key`, `wrong_store_key` and
   * `wrong_store_key_mode` for the old key, `store_not_encrypted` where the machine was opened without one, `store_header_damaged`.
   */
  async changeStoreKey(from: StoreKey, to: StoreKey): Promise<void> {
    this.#open();
    const key = storeKey(to, true);
    await this.#engine.call("changeStoreKey", [...storeKey(from, true), ...key]);
    this.#parts.encryption = key[0];
  }

  // The end.

  /**
   * Resolves with the reason when the program under the machine has ended: after {@link close}, or because it died. In the latter case what
   * was stored is intact, and a machine opened anew has all of it. Never rejects.
   */
  get ended(): Promise<EngineStoppedError> {
    return this.#engine.ended;
  }

  /**
   * Writes what is still unwritten, closes the store, ends the program and overwrites all memory it had. Rejects when that last write fails; the
   * machine is closed, and its memory wiped, all the same. Calling it again gives the same promise.
   */
  close(): Promise<void> {
    this.#closing ??= this.#engine
      .call("close", [])
      .then(() => undefined)
      .finally(() => {
        this.#engine.stop();
        return this.#engine.ended;
      });
    return this.#closing;
  }

  /**
   * Forgets every secret: {@link close}, after which every call fails with `locked`, for a client that asks its user to unlock and then calls
   * {@link OlmMachine.open} once more. When it resolves, all memory of the program is overwritten, so that no copy of a key or a message is left in it.
   * What the page itself holds is the page's: texts it gave and got, the `passphrase` or key it opened with. Texts cannot be overwritten in JavaScript, so
   * a page that wants them gone too hosts the machine in a Worker, and terminates that.
   */
  lock(): Promise<void> {
    this.#locked = true;
    return this.close();
  }

  /** The same as {@link close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #open(): void {
    if (this.#locked) throw new KnownSenderError("locked", "The machine is locked: open it again.");
    if (this.#closing !== undefined) throw new KnownSenderError("closed", "The machine was closed.");
  }
}

/** Runs work in a program of its own, which needs no machine. */
async function withEngine<T>(work: (engine: Engine) => Promise<T>): Promise<T> {
  const engine = await Engine.start(await wasmModule());
  try {
    return await work(engine);
  } finally {
    engine.stop();
  }
}

/** The database's name, empty for memory. */
function databaseName(store: unknown): string {
  if (isObject(store)) {
    if (member(store, "memory") === true && member(store, "name") === undefined && member(store, "encryption") === undefined) return "";
    const name = member(store, "name");
    if (typeof name === "string" && name !== "" && member(store, "memory") === undefined) return name;
  }
  throw new KnownSenderError("bad_store", "OlmMachine.open needs to know where to keep things.", { expected: "{ name: a name that is not empty } or { memory: true }" });
}

/** Which worker the program is to run in; undefined for the page. */
function workerOf(given: unknown): true | Worker | undefined {
  if (given === undefined || given === false) return undefined;
  if (given === true || (isObject(given) && typeof (given as Partial<Worker>).postMessage === "function")) return given as true | Worker;
  throw new KnownSenderError("bad_worker", "This is no worker.", { expected: "true, false or a Worker", got: typeof given });
}

/** What kind of key a database has, and the key; nothing when there is none. Which length is right, the program says. */
function storeKey(given: unknown, required = false): [mode: string, key: string | Uint8Array] {
  if (given === undefined && !required) return ["", ""];
  if (isObject(given)) {
    const [passphrase, hostKey] = [member(given, "passphrase"), member(given, "hostKey")] as unknown[];
    if (typeof passphrase === "string" && hostKey === undefined) return ["passphrase", passphrase];
    if (hostKey instanceof Uint8Array && passphrase === undefined) return ["hostKey", hostKey];
  }
  throw new KnownSenderError("bad_store_key", "This is no key of a database.", { expected: "{ passphrase: text } or { hostKey: a Uint8Array of 32 bytes }" });
}

/** The sender data key; nothing when none was given. Which length is right, the program says. */
function senderDataKey(key: unknown): Uint8Array {
  if (key === undefined) return new Uint8Array(0);
  if (key instanceof Uint8Array && key.length > 0) return key;
  throw new KnownSenderError("bad_sender_data_key", "This is no sender data key.", { expected: "a Uint8Array of 32 bytes", got: key instanceof Uint8Array ? "0 bytes" : typeof key });
}

/** Which backup keys come from, and the key that opens them. */
function backupSource({ backupVersion, decryptionKey }: { backupVersion: string; decryptionKey: BackupDecryptionKey }): ImportSource {
  const given: unknown = decryptionKey;
  const key = isObject(given) ? given : {};
  const base64 = member(key, "base64");
  if (typeof base64 === "string") return [backupVersion, "base64", base64];
  const recoveryKey = member(key, "recoveryKey");
  if (typeof recoveryKey === "string") return [backupVersion, "recovery", recoveryKey];
  throw new KnownSenderError("bad_backup_key", "This is not the private key of a backup.", { expected: "{ base64 } or { recoveryKey }" });
}

function roomKeysArguments(events: unknown): string[] {
  if (!Array.isArray(events)) throw new KnownSenderError("bad_request", "Room keys are given as a list.", { expected: "an array", got: typeof events });
  return Array.from(events as unknown[], roomKeyArguments).flat();
}

/** Sender, sender key and payload of an item. What is not there, or of the wrong type, is empty: the gate refuses it under its name. */
function roomKeyArguments(event: unknown): [sender: string, senderKey: string, payload: string] {
  const read = (name: string, as: (value: unknown) => string): string => {
    try {
      return isObject(event) ? as(member(event, name)) : "";
    } catch {
      return ""; // a getter that throws, a cycle: the item costs only itself
    }
  };
  return [read("sender", textOrEmpty), read("senderKey", textOrEmpty), read("payload", (value) => (isObject(value) ? jsonText(value) : textOrEmpty(value)))];
}

function textOrEmpty(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function ordinaryIfSo(event: JsonObject, roomId: string): OrdinaryEvent | undefined {
  try {
    return ordinary(event, eventNames(event, roomId));
  } catch {
    return undefined; // the program says what is wrong
  }
}

function eventNames(given: string | JsonObject, roomId: string): EventNames {
  let event: unknown = given;
  if (typeof given === "string") {
    try {
      event = JSON.parse(given);
    } catch (thrown) {
      throw new DecryptionError("bad_event", "The event is not JSON.", { reason: "bad_json", cause: thrown });
    }
  }
  const content = isObject(event) ? member(event, "content") : undefined;
  if (!isObject(event) || !isObject(content)) throw badEvent("content", "an object");
  if (member(event, "type") !== "m.room.encrypted") throw badEvent("type", "m.room.encrypted");
  if (member(content, "algorithm") !== megolm) throw badEvent("content.algorithm", megolm);
  const inside = member(event, "room_id");
  if (inside !== undefined && inside !== roomId) throw badEvent("room_id", roomId);
  const text = (object: JsonObject, name: string, path: string): string => {
    const value = member(object, name);
    if (typeof value !== "string") throw badEvent(path, "text");
    return value;
  };
  return {
    roomId,
    sessionId: text(content, "session_id", "content.session_id"),
    // A sender that is missing or no user id is not an error of the event's form: every policy withholds it.
    sender: textOrEmpty(member(event, "sender")),
    eventId: text(event, "event_id", "event_id"),
    ciphertext: text(content, "ciphertext", "content.ciphertext"),
  };
}

function eventArguments({ roomId, sessionId, sender, eventId, ciphertext }: EventNames): string[] {
  return [roomId, sessionId, sender, eventId, ciphertext];
}

/** Throws what the program says of an event. */
function decryptionFailed(thrown: unknown): never {
  if (thrown instanceof KnownSenderError && ["session_not_loaded", "bad_event", "unable_to_decrypt"].includes(thrown.code)) {
    throw new DecryptionError(thrown.code, thrown.message, { expected: thrown.expected, got: thrown.got });
  }
  throw thrown;
}

function badEvent(path: string, expected: string): DecryptionError {
  return new DecryptionError("bad_event", `This is not an encrypted room event that can be read, \`${path}\`.`, { expected });
}
