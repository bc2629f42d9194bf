/**
 * The typed shapes that cross the boundary of this package.
 *
 * The rule: names of values follow matrix-sdk-crypto and matrix-js-sdk, names inside Matrix JSON follow the specification, and
 * nothing here is `any`. Everything a call returns is plain data: it may be kept, compared and sent to a worker.
 */

/** A JSON value, as the specification's events hold it. */
export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };
/** A JSON object. */
export type JsonObject = { [name: string]: JsonValue };

/**
 * Who sent a room key, in order of trust. The numbers 0 to 4 of matrix-sdk-crypto's `SenderData` are the positions in this list.
 *
 * - `UnknownDevice`: only the curve25519 key of the sending device is known.
 * - `DeviceInfo`: the device is known; its owner's cross-signing identity does not vouch for it, as far as we know.
 * - `VerificationViolation`: the device is cross-signed by an identity that we had verified before it changed.
 * - `SenderUnverified`: the device is cross-signed by its owner, whom we have not verified.
 * - `SenderVerified`: the device is cross-signed by its owner, whom we have verified.
 */
export type SenderDataType = "UnknownDevice" | "DeviceInfo" | "VerificationViolation" | "SenderUnverified" | "SenderVerified";

/** Who sent one copy of a room key, as far as it is known. */
export interface SenderData {
  readonly type: SenderDataType;
  /** From `DeviceInfo` upwards. */
  readonly userId?: string;
  /** From `DeviceInfo` upwards. */
  readonly deviceId?: string;
  /** The master signing key that vouches for the device, unpadded base64. From `VerificationViolation` upwards. */
  readonly masterKey?: string;
  /** Only with `UnknownDevice`: a device was found but could not be proved to own the session. */
  readonly ownerCheckFailed?: true;
}

/** The four policies, loosest first: matrix-sdk-crypto's `TrustRequirement`, and `Verified`. */
export type TrustRequirement = "Untrusted" | "CrossSignedOrLegacy" | "CrossSigned" | "Verified";

/** The colour of the shield to draw beside a message. */
export type ShieldColor = "None" | "Grey" | "Red";

/** matrix-sdk-crypto's `ShieldStateCode`. */
export type ShieldStateCode =
  | "AuthenticityNotGuaranteed"
  | "UnknownDevice"
  | "UnsignedDevice"
  | "UnverifiedIdentity"
  | "VerificationViolation"
  | "MismatchedSender";

/** A shield, and why it is drawn. */
export interface Shield {
  readonly color: ShieldColor;
  readonly code: ShieldStateCode | null;
}

/** What may be done with a message, and why. */
export interface Verdict {
  readonly shown: boolean;
  /** The row of the policy table that decided, for example `sender_unverified`. */
  readonly state: string;
  /** Why it is withheld, or what a shown message suffers from; null when there is nothing to say. */
  readonly code: string | null;
  /** The shield that matrix-js-sdk's default (lax) drawing shows. */
  readonly shield: Shield;
  /** The shield under strict drawing. */
  readonly strictShield: Shield;
  /** Two senders proved themselves for the session; the one that matches the event was used (decided per event). */
  readonly ambiguousOwner: boolean;
  /** The same in matrix-sdk-crypto's and matrix-js-sdk's words, for hosts that speak those. */
  readonly names: {
    /** matrix-sdk-crypto `DecryptionErrorCode`, when withheld. */
    readonly decryptionErrorCode: string | null;
    /** matrix-js-sdk `DecryptionFailureCode`, when withheld. */
    readonly decryptionFailureCode: string | null;
    /** matrix-js-sdk `EventShieldReason`, when there is a shield. */
    readonly eventShieldReason: string | null;
  };
}

/**
 * A room key as a client's own Olm decrypted it. Making one of these is the statement that the payload came out of an Olm
 * message: there is no other way in, and no flag that says so.
 */
export interface DecryptedOlmEvent {
  /** `sender` of the to-device event as the server delivered it. */
  readonly sender: string;
  /** The curve25519 key of the Olm channel that decrypted the message, unpadded base64. */
  readonly senderKey: string;
  /**
   * The decrypted payload. Prefer the text as decrypted: signatures are checked over the JSON as received, and an object that
   * went through `JSON.parse` may have lost something on the way (numbers beyond 2^53, duplicate members).
   */
  readonly payload: string | JsonObject;
}

/** Why an item of a call was refused. Nothing of it was stored; the other items are unaffected. */
export interface Refusal {
  /** Stable, for example `sender_device_keys_user`. */
  readonly code: string;
  readonly message: string;
}

/** What became of one item of {@link OlmMachine.receiveRoomKeys}. */
export type RoomKeyReceipt =
  | {
      readonly accepted: true;
      readonly roomId: string;
      readonly sessionId: string;
      readonly senderKey: string;
      /** `fast`: final now. `slow`: stored now, and better known once `/keys/query` has answered. */
      readonly lane: "fast" | "slow";
      readonly senderData: SenderData;
      /** The device's cross-signature is wrong in the store: shown under no policy until a valid one arrives. */
      readonly suspended: boolean;
      /** What the four policies would say of an event of this session from its owner: a withholding code, or null for shown. */
      readonly verdicts: { readonly [requirement in TrustRequirement]: string | null };
      /** The letter of the finder's last step, see {@link Explanation}. */
      readonly step: string;
    }
  | {
      readonly accepted: false;
      readonly refusal: Refusal;
      /** The sender's own message carried a wrong cross-signature: the key is discarded, a tombstone says why. */
      readonly discarded: boolean;
    };

/** What `/sync` says to a device whose Olm account is here: members of its answer, under the names that matrix-sdk-crypto gives them. */
export interface SyncChanges {
  /** `to_device.events`. Give events as text where you have it: what is signed is checked over the JSON as received. */
  readonly toDeviceEvents: readonly (string | JsonObject)[];
  /** `device_lists`. */
  readonly deviceLists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  /** `device_one_time_keys_count`, if it is there: absence says nothing. */
  readonly oneTimeKeyCounts?: { readonly [algorithm: string]: number };
  /** `device_unused_fallback_key_types`, if it is there. */
  readonly unusedFallbackKeys?: readonly string[];
}

/** What became of one to-device event. */
export type ToDeviceEvent =
  /** It was not encrypted. `refusal` is there when it was a notice of a withheld room key that cannot be read. */
  | { readonly type: "plain"; readonly refusal?: Refusal }
  | { readonly type: "room_key"; readonly receipt: RoomKeyReceipt }
  /** An Olm payload of another type; the device that sent it is known, at least `DeviceInfo`. */
  | { readonly type: "decrypted"; readonly payload: JsonObject; readonly senderKey: string; readonly senderData: SenderData }
  /** It does not decrypt, or was refused. Nothing of it was kept. */
  | { readonly type: "refused"; readonly refusal: Refusal };

/** The answer of {@link OlmMachine.receiveSyncChanges}. */
export interface SyncReception {
  /** One per event, in order. */
  readonly events: readonly ToDeviceEvent[];
  /** As {@link RoomKeyReception.settled}. */
  readonly settled: Promise<readonly SettledRoomKey[]>;
}

/** Where a stored copy stands once its reception is settled. */
export interface SettledRoomKey {
  readonly roomId: string;
  readonly sessionId: string;
  readonly senderKey: string;
  readonly senderData: SenderData;
  /**
   * Whether the sender is known. If not, the key is handed to the background retry, which asks again by a schedule that lies with the key, and
   * a change is told to {@link OlmMachine.registerSenderDataUpdatedCallback}.
   */
  readonly known: boolean;
}

/** The answer of {@link OlmMachine.receiveRoomKeys}. */
export interface RoomKeyReception {
  /** One per item, in order. Final when the call returns. */
  readonly receipts: readonly RoomKeyReceipt[];
  /**
   * Resolves when the accepted keys are on disk: move the sync token now. Rejects with a {@link KnownSenderError} (`quota`,
   * `closed`, ...); the keys then stay in memory and are written with the next call that writes.
   */
  readonly stored: Promise<void>;
  /**
   * Resolves after `stored`, with the sender data that each accepted key has by then: when the `/keys/query` about their senders was answered,
   * or when that took longer than ten seconds, or cannot be had (no connection). At once when nobody has to be asked, and when the client gave
   * no `http.fetch`. A sync loop need not wait for it. Rejects only with what `stored` rejects with, or when a schedule cannot be written.
   */
  readonly settled: Promise<readonly SettledRoomKey[]>;
}

/** A room key that arrived or became better: matrix-sdk-crypto's `RoomKeyInfo`. */
export interface RoomKeyInfo {
  readonly algorithm: string;
  readonly roomId: string;
  readonly senderKey: string;
  readonly sessionId: string;
}

/** A change of what is known of a stored room key's sender. */
export interface SenderDataUpdate {
  readonly roomId: string;
  readonly sessionId: string;
  readonly senderKey: string;
  readonly before: SenderData;
  readonly after: SenderData;
  /** Shown under no policy from now on, see {@link RoomKeyReceipt}. */
  readonly suspended: boolean;
  /**
   * What brought it. `keys_query`: devices or identities were answered by the server. `verification`: a user, or we ourselves, became
   * verified or stopped being so. `room_key`: the same room key arrived again. `other_tab`: another tab over the same database found out.
   */
  readonly because: "keys_query" | "verification" | "room_key" | "other_tab";
}

/**
 * Whose key an imported room key says it is, by what is known of people now: the claimed device, if exactly one known user lists it. It is for
 * display and proves nothing: whoever can write to a backup can claim any device.
 */
export interface SenderHint {
  readonly userId: string;
  readonly deviceId: string;
  /** Whether the user's identity vouches for the claimed device today. */
  readonly crossSigned: boolean;
  readonly verification: UserIdentity["verification"];
}

/** What is known of the sender of an event. */
export interface EventEncryptionInfo {
  readonly sender: string;
  readonly sessionId: string;
  readonly senderKey: string | null;
  readonly senderDevice: string | null;
  /** What is known now; policies judge this. Null when there is no key. */
  readonly senderData: SenderData | null;
  /**
   * What was known when the key arrived; never changes. Of a claimed key it is what another device of ours knew when it arrived there, where that
   * device's word is authenticated (`senderDataKey`).
   */
  readonly atReception: SenderData | null;
  readonly legacySession: boolean;
  readonly provenance: "direct" | "claimed" | null;
  /** Who handed a claimed key over, where that is recorded; see {@link CopyExplanation.forwarder}. */
  readonly forwarder: SenderData | null;
  /** Of a claimed key. */
  readonly hint: SenderHint | null;
  readonly verdict: Verdict;
}

/** A decrypted event that the policy allows to be shown. */
export interface DecryptedRoomEvent {
  /** The event with `type` and `content` of the clear text and the envelope's other members. */
  readonly clearEvent: JsonObject;
  readonly messageIndex: number;
  readonly encryptionInfo: EventEncryptionInfo;
  /** Encrypted events nested in `unsigned` (latest edit, latest thread reply), judged each on its own. */
  readonly unsigned: readonly NestedDecryption[];
}

/** What became of an encrypted event nested in another's `unsigned`: one of `event` and `refusal` is null. */
export interface NestedDecryption {
  /** matrix-sdk-crypto's `UnsignedEventLocation`. */
  readonly location: "RelationsReplace" | "RelationsThreadLatestEvent";
  readonly event: DecryptedRoomEvent | null;
  readonly refusal: Refusal | null;
}

/** What a request asks of the homeserver; matrix-sdk-crypto's `RequestType` has the same kinds. */
export type RequestType = "keys_query" | "keys_upload" | "keys_claim" | "to_device" | "signature_upload" | "signing_keys_upload" | "keys_backup";

/**
 * Which devices get our room keys, as matrix-sdk-crypto's `CollectStrategy` has it. `AllDevices`: all. `ErrorOnVerifiedUserProblem`: all, but nobody
 * while somebody we verified has a device that is not cross-signed, or another identity than the one we verified. `IdentityBasedStrategy`: cross-signed
 * devices, and nobody while somebody we verified has another identity, or our own is not verified here (MSC4153). `OnlyTrustedDevices`: cross-signed
 * devices of users we verified. A dehydrated device never gets a key unless it is cross-signed.
 */
export type CollectStrategy = "AllDevices" | "ErrorOnVerifiedUserProblem" | "IdentityBasedStrategy" | "OnlyTrustedDevices";

/** How a room is encrypted, and for whom: what its state says, and what the client wants. */
export interface EncryptionSettings {
  /** `algorithm` of `m.room.encryption`; only `m.megolm.v1.aes-sha2` is known. */
  readonly algorithm?: string | undefined;
  /** `rotation_period_ms` of `m.room.encryption`, in milliseconds: a week when it is not given, and an hour at least. */
  readonly rotationPeriod?: number | undefined;
  /** `rotation_period_msgs` of `m.room.encryption`: 100 when it is not given, from 1 to 10,000. */
  readonly rotationPeriodMessages?: number | undefined;
  /** `history_visibility` of `m.room.history_visibility`: `shared` when it is not given. */
  readonly historyVisibility?: "invited" | "joined" | "shared" | "world_readable" | undefined;
  /** `AllDevices` when it is not given. */
  readonly sharingStrategy?: CollectStrategy | undefined;
}

/** How a room is encrypted, as it is remembered: matrix-sdk-crypto's `RoomSettings`. */
export interface RoomSettings {
  /** `algorithm` of `m.room.encryption`; only `m.megolm.v1.aes-sha2` is taken. */
  readonly algorithm: string;
  /** `rotation_period_ms` of `m.room.encryption`, bounded as in {@link EncryptionSettings}; not given when it is a week. */
  readonly sessionRotationPeriodMs?: number | undefined;
  /** `rotation_period_msgs` of `m.room.encryption`, bounded as in {@link EncryptionSettings}; not given when it is 100. */
  readonly sessionRotationPeriodMessages?: number | undefined;
  /** Whether the client means to give keys to trusted devices only (`OnlyTrustedDevices`); false when it is not given. */
  readonly onlyAllowTrustedDevices?: boolean | undefined;
}

/** A request to send to the homeserver, as it is. */
export interface OutgoingRequest {
  /** Give it back with the answer, see {@link OlmMachine.markRequestAsSent}. */
  readonly id: string;
  readonly type: RequestType;
  readonly method: "POST" | "PUT";
  /** Path below the homeserver's base address, with a query where there is one. */
  readonly path: string;
  /** The JSON body, as text. */
  readonly body: string;
}

/**
 * The requests that set up our own identity, see {@link OlmMachine.bootstrapCrossSigning}: to be sent in this order, each answer given to
 * {@link OlmMachine.markRequestAsSent} before the next is sent.
 */
export interface CrossSigningBootstrapRequests {
  /** null when the server has this device's keys. */
  readonly uploadKeysRequest: OutgoingRequest | null;
  /** The client adds `auth` to the body: the server wants the user to authenticate ("User-interactive authentication"). */
  readonly uploadSigningKeysRequest: OutgoingRequest;
  readonly uploadSignaturesRequest: OutgoingRequest;
}

/** Private cross-signing keys, as matrix-sdk-crypto names them: of each the seed in unpadded base64, as secret storage has it. They are secret. */
export interface CrossSigningKeyExport {
  readonly masterKey?: string;
  readonly self_signing_key?: string;
  readonly userSigningKey?: string;
}

/** Which private cross-signing keys are here. */
export interface CrossSigningStatus {
  readonly hasMaster: boolean;
  /** To sign our own devices. */
  readonly hasSelfSigning: boolean;
  /** To sign other users. */
  readonly hasUserSigning: boolean;
}

/** What the slow lane and the background retry have under way. */
export interface LaneCounts {
  /** Users who are wanted and whose request has not been sent. */
  readonly waiting: number;
  /** Requests under way, those in {@link OlmMachine.outgoingRequests} included. */
  readonly requests: number;
  /** Room keys in the slow lane. */
  readonly slow: number;
  /** The server wants to be left alone until then, in milliseconds since 1970; 0 when it does not. */
  readonly quietUntil: number;
}

/** What a `/keys/query` answer changed. */
export interface KeysQueryResult {
  readonly devices: readonly { readonly userId: string; readonly deviceId: string; readonly change: "new" | "changed" | "removed" }[];
  readonly identities: readonly { readonly userId: string; readonly change: "new" | "changed" }[];
  /** Users whose verification changed. */
  readonly verification: readonly string[];
  /** Parts of the answer that were refused; the rest was applied. */
  readonly problems: readonly { readonly userId: string; readonly deviceId?: string; readonly code: string; readonly message: string }[];
  /** Stored room keys whose sender data changed. */
  readonly roomKeys: number;
}

/** What is known of a user's cross-signing identity. */
export interface UserIdentity {
  readonly userId: string;
  readonly masterKey: string;
  readonly selfSigningKey: string;
  readonly verification: "Verified" | "Unverified" | "VerificationViolation";
  /** The master key differs from the one first seen, and the user is not verified. */
  readonly pinViolation: boolean;
}

/**
 * A step of the finder and what it found.
 *
 * - `A` the gate: recipient, sender, keys of the Olm payload
 * - `B` which descriptions of the sending device there are: embedded in the payload, stored from `/keys/query`, both, none
 * - `C` none: waits for one
 * - `D` does the device own the session: both its keys are those of the Olm channel and the payload
 * - `E` is the owner's cross-signing identity known
 * - `F` it is not: waits for it
 * - `G` is the device signed by the owner's current self-signing key
 * - `H` does that signature hold
 * - `J` what the owner is to us: verified, not verified, no longer the one we verified
 */
export interface ExplanationStep {
  readonly step: "A" | "B" | "C" | "D" | "E" | "F" | "G" | "H" | "J";
  /** A stable snake_case word, for example `not_cross_signed`. */
  readonly evidence: string;
  /** Which description of the device the step looked at; null where that makes no difference. */
  readonly device: "embedded" | "stored" | null;
  /** What the evidence means, in one sentence. */
  readonly sentence: string;
}

/** What remains of a room key that was discarded, because the sender's own message proved a forgery. There is no ratchet in it. */
export interface Tombstone {
  readonly senderKey: string;
  /** For example `embedded_cross_signature_wrong`. */
  readonly reason: string;
  /** The same in one sentence. */
  readonly sentence: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** A notice of `m.room_key.withheld`. Anybody can send one: it explains a key that is missing and touches none that is here. */
export interface WithheldNotice {
  /** The specification's code, for example `m.unverified`. */
  readonly code: string;
  /** The sender's own words. */
  readonly reason: string;
  readonly sender: string;
}

/** Why a room key's sender is what it is, and what would change it. Made for people who ask; it decides nothing. */
export interface Explanation {
  readonly roomId: string;
  readonly sessionId: string;
  /** The stored copies; none when the key is not here. */
  readonly copies: readonly CopyExplanation[];
  readonly tombstones: readonly Tombstone[];
  readonly withheld: WithheldNotice | null;
}

/** What there is to say of one stored copy of a room key. */
export interface CopyExplanation {
  readonly senderKey: string;
  /** `direct`: it came inside Olm, so the sending device's keys are proved. `claimed`: they are hearsay. */
  readonly provenance: "direct" | "claimed";
  /** The first message index that the copy decrypts. */
  readonly firstKnownIndex: number;
  /** What is known now. */
  readonly senderData: SenderData;
  /** What was known when the key arrived. */
  readonly atReception: SenderData;
  readonly legacySession: boolean;
  readonly suspended: boolean;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  /** Who handed a claimed key over: the sender of a history bundle, or the device of ours that forwarded it. */
  readonly forwarder: SenderData | null;
  /** Of a claimed key. */
  readonly hint: SenderHint | null;
  /**
   * While the sender may still become known: how often it was asked about in vain, and when it is asked about next, in milliseconds since
   * 1970; 0 is as soon as possible. Null once it is known.
   */
  readonly schedule: { readonly tries: number; readonly next: number } | null;
  /** The way the finder goes through what is known today. */
  readonly steps: readonly ExplanationStep[];
  /** One sentence on what a claimed key is; null for direct ones, whose steps say it. */
  readonly why: string | null;
  /** One sentence on what would change what is known of the sender. */
  readonly wouldChange: string;
  /**
   * The same in one word. `room_key_from_sender`: a claimed key, the same one from its sender. `good_signature`, `device_keys`, `identity`: a
   * `/keys/query` answer with a signature that holds, the sending device, its owner's identity. `cross_signature`: the owner signs the device.
   * `verification`: we verify the owner. `verify_again`: we do once more, or withdraw it. `none`: nothing does.
   */
  readonly remedy: "room_key_from_sender" | "good_signature" | "device_keys" | "identity" | "cross_signature" | "verification" | "verify_again" | "none";
}

/** matrix-sdk-crypto's `RoomKeyCounts`, kept, never counted. */
export interface RoomKeyCounts {
  readonly total: number;
  readonly backedUp: number;
}

/**
 * What a database is encrypted with at rest: a passphrase, taken as it is and stretched by 500,000 rounds of PBKDF2-HMAC-SHA-512, or 32 bytes that nobody
 * can guess.
 */
export type StoreKey = { readonly passphrase: string } | { readonly hostKey: Uint8Array };

/** Something the host should know of the store that is no answer to a call. */
export interface StoreReport {
  /**
   * - `record_quarantined`: a stored record could not be read; it was set aside, and everything else was loaded
   * - `room_key_conflict`: a received room key cannot be put together with the one that turned out to be stored, which stays
   * - `cross_signing_identity_replaced`: the server shows another identity of ours than the one whose private keys are here; they sign nothing
   * - `internal`: work in the background met a bug of ours; the program goes on
   * - `blocked`: an older tab holds the database; opening goes on when it lets go
   * - `blocking`: another tab upgrades or deletes the database; this machine has written what it had, and calls now fail with `closed` or
   *   `store_lost`
   * - `terminated`, `reopened`: the browser closed the connection, and it was opened again
   * - `store_lost`: the database is gone or was replaced; open the machine again
   * - `persistence_granted`, `persistence_denied`, `persistence_unsupported`: what the browser said to the wish not to evict the data, where it takes
   *   its time: opening does not wait for it
   * - `storage_low`: the browser leaves this site less than 32 MiB; told once, and again after there was room
   * - `storage_full`: a write found no room (`quota`); what was to be written is kept in memory and goes with the next write
   */
  readonly code: string;
  /** The table concerned; null when it is the database as a whole. */
  readonly table: string | null;
  readonly message: string;
}

/** A report and when it came. */
export interface PastStoreReport extends StoreReport {
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Rows of one table that could not be read for one reason. They were set aside; everything else was loaded. */
export interface QuarantinedRows {
  /** Null where it cannot be told. */
  readonly table: string | null;
  /** `bad_frame`, `bad_checksum`, `bad_record`, `bad_row_key`, `unknown_format`, `unknown_seal`; null where nobody wrote it down. */
  readonly code: string | null;
  readonly count: number;
  /** When one of them was last found, in milliseconds since 1970; 0 where nobody wrote it down. */
  readonly lastFoundAt: number;
}

/** How a database does. */
export interface StoreHealth {
  /** Of the IndexedDB database; null for a machine in memory, and then all that only a database has is null as well. */
  readonly name: string | null;
  /** What kind of key this machine opened it with; null: what is stored is not encrypted. */
  readonly encryption: "passphrase" | "hostKey" | null;
  /** The version of the database's schema, as it was found or made. */
  readonly schema: number | null;
  /**
   * A random name that the database was given when it was made. Another one than last time says that the database was evicted or deleted in between, and
   * that this one began empty.
   */
  readonly generation: string | null;
  /** This machine's opening made it: it began empty. A client that has a sync token, and finds this true, has lost what was stored. */
  readonly created: boolean;
  /** What the browser said to the wish not to evict it; `asked` while it has not answered. */
  readonly persistence: "granted" | "denied" | "unsupported" | "asked" | null;
  /** What this origin uses and may use, in bytes, as the browser estimates it; null where it does not. */
  readonly usage: number | null;
  readonly quota: number | null;
  /** Less than 32 MiB are left. */
  readonly low: boolean;
}

/** What the lanes have under way, and who runs them. */
export interface LaneHealth extends LaneCounts {
  /** When the earliest room key that waits is asked about, in milliseconds since 1970; 0 is as soon as possible, null when none waits. */
  readonly nextRetry: number | null;
  /** This tab; another tab over the same database; or the client, which gave no `http.fetch`. */
  readonly runs: "here" | "other_tab" | "client";
  /** Nothing is asked now: there is no connection, or the page was put away. */
  readonly asleep: boolean;
}

/** Everything to put into a report of a problem: plain data, without anything that decrypts anything, or that was encrypted. */
export interface Diagnosis {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly versions: {
    readonly package: string;
    /** The version of the schema that this package makes, and up to which it reads those of newer ones. */
    readonly schema: number;
    readonly readsSchemasUpTo: number;
    /** The version in which each kind of record is written. */
    readonly formats: { readonly [record: string]: number };
  };
  readonly store: StoreHealth;
  /** Null when the store cannot be read; `failure` says why. The same goes for the next two. */
  readonly roomKeys: RoomKeyCounts | null;
  readonly quarantined: readonly QuarantinedRows[] | null;
  /** Room keys with something in memory that is not on disk yet: 0 but for a moment, or when writing fails. */
  readonly unwritten: number | null;
  readonly lanes: LaneHealth | null;
  /** The last fifty reports since the machine was opened, oldest first, those included that came before anybody could listen. */
  readonly reports: readonly PastStoreReport[];
  /** Why a part is missing: the program has ended, or the store cannot be read. */
  readonly failure: Refusal | null;
}

/** How far an import is: matrix-js-sdk's `ImportRoomKeyProgressData` at the stage `load_keys`. */
export interface ImportProgress {
  readonly stage: "load_keys";
  /** Keys that are stored, those that were here before included. */
  readonly successes: number;
  readonly failures: number;
  /** Exact at the end; before, as many as the text seems to hold. */
  readonly total: number;
}

/** How an import is watched and stopped. */
export interface ImportOptions {
  /** Called at the beginning, at least ten times a second, and at the end. What it throws ends the import. */
  readonly progressCallback?: (progress: ImportProgress) => void;
  /** Stops the import (`aborted`) within a fifth of a second. What was stored stays, in whole chunks; running it again completes it. */
  readonly signal?: AbortSignal;
}

/** How many room keys came to which end. */
export interface ImportCounts {
  /** New here. */
  readonly imported: number;
  /** Here already, from as early an index or an earlier one. */
  readonly unchanged: number;
  /** Here already, and now from an earlier index. */
  readonly better: number;
  readonly failed: number;
}

/** What became of an import. */
export interface ImportResult extends ImportCounts {
  readonly total: number;
  readonly rooms: { readonly [roomId: string]: ImportCounts };
  /** The first thousand, in order. `position` is the place in the list, or in the order of the backup, from 0. */
  readonly failures: readonly ImportFailure[];
}

/** Why one room key of many was refused. The others are unaffected. */
export interface ImportFailure extends Refusal {
  readonly position: number;
}

/** What an export is chosen by. */
export interface ExportedRoomKeyInfo {
  readonly roomId: string;
  readonly sessionId: string;
  readonly senderKey: string;
}

/** The private key of a server-side backup: as secret storage keeps it, or as people write it down. */
export type BackupDecryptionKey = { readonly base64: string } | { readonly recoveryKey: string };

/** A server-side backup in use. */
export interface Backup {
  readonly version: string;
  /** Null while keys came from it and none are to go there. */
  readonly publicKey: string | null;
}

/** An upload to make: `PUT /_matrix/client/v3/room_keys/keys?version=...`. */
export interface KeysBackupRequest extends OutgoingRequest {
  readonly type: "keys_backup";
  readonly version: string;
  /** Room keys in it. */
  readonly count: number;
}

/** An `m.room_key_request` to send to our own devices (`*`), by `sendToDevice`. */
export interface RoomKeyRequest {
  readonly id: string;
  readonly content: JsonObject;
}

/** What became of one forwarded room key. */
export type ForwardedRoomKeyReceipt =
  | {
      readonly accepted: true;
      readonly roomId: string;
      readonly sessionId: string;
      readonly senderKey: string;
      /** To be sent to our own devices, which need not answer any more. */
      readonly cancellation: RoomKeyRequest | null;
    }
  | { readonly accepted: false; readonly refusal: Refusal };

/** What a history bundle's announcement names: for which room it is, and where the encrypted file is. */
export interface RoomKeyBundleDescriptor {
  readonly roomId: string;
  /** `mxc://` */
  readonly url: string;
}

/** `EncryptedFile` of the client-server API, "Sending encrypted attachments". It is secret: the key of the file is in it. */
export interface EncryptedFile {
  readonly v: "v2";
  /** `mxc://` */
  readonly url: string;
  /** A JSON Web Key. */
  readonly key: { readonly kty: "oct"; readonly alg: "A256CTR"; readonly ext: true; readonly key_ops: readonly string[]; readonly k: string };
  readonly iv: string;
  readonly hashes: { readonly sha256: string };
}

/** A history bundle to be uploaded and announced. */
export interface RoomKeyBundle {
  /** The file to upload. */
  readonly encryptedBundle: Uint8Array<ArrayBuffer>;
  /** For the content of the `m.room_key_bundle` that announces it, `{ room_id, file: { ...file, url } }`. */
  readonly file: Omit<EncryptedFile, "url">;
}

/** What became of a history bundle. */
export interface RoomKeyBundleResult extends ImportCounts {
  readonly roomId: string;
  /** Who handed the keys over: `SenderUnverified` or `SenderVerified`. */
  readonly forwarder: SenderData;
  /** Notices of withheld keys that were in it. */
  readonly withheld: number;
  /**
   * What was passed over, with its place in `room_keys` or `withheld`: keys of other rooms (`foreign_room`), keys that cannot be read. The first
   * 1,000.
   */
  readonly faults: readonly (ImportFailure & { readonly list: "room_keys" | "withheld" })[];
  /** How much more was passed over. */
  readonly moreFaults: number;
  /** Keys that contradict what is kept; positions among those that were read. */
  readonly failures: readonly ImportFailure[];
}
