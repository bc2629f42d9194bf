// People, devices and sessions made for tests, with keys that sign and messages that decrypt. They are made in the tests' own process with
// Node's cryptography, which shares no line with what is tested.

import { createCipheriv, createDecipheriv, createHash, createHmac, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, hkdfSync, pbkdf2Sync, randomBytes, sign, type KeyObject } from "node:crypto";

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Unpadded base64. */
export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}

function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const object = value;
  return `{${Object.keys(object).sort().map((name) => `${JSON.stringify(name)}:${canonical(object[name] ?? null)}`).join(",")}}`;
}

/** An Ed25519 key pair. */
export class SigningKey {
  readonly #private: KeyObject;
  readonly raw: Buffer;
  readonly public: string;

  constructor() {
    const { privateKey, publicKey } = generateKeyPairSync("ed25519");
    this.#private = privateKey;
    this.raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
    this.public = base64(this.raw);
  }

  get label(): string {
    return `ed25519:${this.public}`;
  }

  /** The private half, as secret storage has it. */
  get seed(): string {
    return base64(this.#private.export({ type: "pkcs8", format: "der" }).subarray(-32));
  }

  sign(message: Uint8Array): Buffer {
    return sign(null, message, this.#private);
  }

  signJson(object: { [name: string]: Json }): string {
    const { signatures, unsigned, ...rest } = object;
    void signatures, unsigned;
    return base64(this.sign(Buffer.from(canonical(rest))));
  }
}

type Signatures = Record<string, Record<string, string>>;

/** A cross-signing identity. */
export class Identity {
  readonly master = new SigningKey();
  readonly selfSigning = new SigningKey();
  readonly userSigning = new SigningKey();
  /** By whom the master key is signed, besides nobody. */
  readonly signedBy: { user: string; key: SigningKey }[] = [];

  constructor(readonly user: string) {}

  masterObject(): { [name: string]: Json } {
    const object = this.#object("master", this.master);
    const signatures: Signatures = {};
    for (const { user, key } of this.signedBy) signatures[user] = { ...signatures[user], [key.label]: key.signJson(object) };
    return { ...object, signatures };
  }

  selfSigningObject(): { [name: string]: Json } {
    return this.#signed("self_signing", this.selfSigning);
  }

  userSigningObject(): { [name: string]: Json } {
    return this.#signed("user_signing", this.userSigning);
  }

  #signed(usage: string, key: SigningKey): { [name: string]: Json } {
    const object = this.#object(usage, key);
    return { ...object, signatures: { [this.user]: { [this.master.label]: this.master.signJson(object) } } };
  }

  #object(usage: string, key: SigningKey): { [name: string]: Json } {
    return { user_id: this.user, usage: [usage], keys: { [key.label]: key.public } };
  }
}

/** One device of a user, and that user's identity when there is one. */
export class Person {
  readonly ed25519 = new SigningKey();
  readonly curve25519: string;
  identity: Identity | undefined;

  constructor(
    readonly userId: string,
    readonly deviceId: string,
    /** How the device is cross-signed. */
    public crossSigned: "no" | "yes" | "wrong" = "no",
    /** The identity key, where the private half lies in an Olm account. */
    curve25519?: string,
  ) {
    this.curve25519 = curve25519 ?? base64(generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32));
    if (crossSigned !== "no") this.identity = new Identity(userId);
  }

  /** What OlmMachine.open wants of the person. */
  get own(): { userId: string; deviceId: string; identityKeys: { ed25519: string; curve25519: string } } {
    return { userId: this.userId, deviceId: this.deviceId, identityKeys: { ed25519: this.ed25519.public, curve25519: this.curve25519 } };
  }

  deviceKeys(): { [name: string]: Json } {
    const object = {
      user_id: this.userId,
      device_id: this.deviceId,
      algorithms: ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
      keys: { [`curve25519:${this.deviceId}`]: this.curve25519, [`ed25519:${this.deviceId}`]: this.ed25519.public },
    };
    const signatures: Record<string, string> = { [`ed25519:${this.deviceId}`]: this.ed25519.signJson(object) };
    if (this.identity !== undefined && this.crossSigned !== "no") {
      const key = this.identity.selfSigning;
      const good = key.signJson(object);
      signatures[key.label] = this.crossSigned === "yes" ? good : `${good.slice(0, 20)}${good[20] === "A" ? "B" : "A"}${good.slice(21)}`;
    }
    return { ...object, signatures: { [this.userId]: signatures } };
  }
}

/** An item for the calls that take what Olm decrypted. */
export interface OlmItem {
  readonly sender: string;
  readonly senderKey: string;
  readonly payload: string;
}

/** What a message of one device to another says once Olm has decrypted it. */
export function olmPayload(from: Person, to: Person, type: string, content: { [name: string]: Json }, options: { embed?: boolean } = {}): { [name: string]: Json } {
  return {
    sender: from.userId,
    recipient: to.userId,
    keys: { ed25519: from.ed25519.public },
    recipient_keys: { ed25519: to.ed25519.public },
    ...(options.embed === false ? {} : { sender_device_keys: from.deviceKeys() }),
    type,
    content,
  };
}

export function olmItem(from: Person, payload: { [name: string]: Json }): OlmItem {
  return { sender: from.userId, senderKey: from.curve25519, payload: JSON.stringify(payload) };
}

/** An answer to /keys/query that lists people. */
export function keysQueryAnswer(people: readonly Person[]): string {
  const answer: Record<string, Record<string, Json>> = { device_keys: {}, master_keys: {}, self_signing_keys: {}, user_signing_keys: {}, failures: {} };
  for (const person of people) {
    const devices = (answer["device_keys"] ??= {});
    devices[person.userId] = { ...(devices[person.userId] as { [name: string]: Json } | undefined), [person.deviceId]: person.deviceKeys() };
    if (person.identity === undefined) continue;
    (answer["master_keys"] ??= {})[person.userId] = person.identity.masterObject();
    (answer["self_signing_keys"] ??= {})[person.userId] = person.identity.selfSigningObject();
    (answer["user_signing_keys"] ??= {})[person.userId] = person.identity.userSigningObject();
  }
  return JSON.stringify(answer);
}

/** A Megolm session at the sender's end, at message index 0 or another. */
export class Outbound {
  #ratchet = randomBytes(128);
  #key = new SigningKey();

  constructor(readonly roomId: string, /** The index it stands at. */ readonly at = 0) {}

  get sessionId(): string {
    return this.#key.public;
  }

  /** Another's ratchet, signed by this session's key: what only its maker can make. */
  forged(other: Outbound): Outbound {
    const made = new Outbound(this.roomId, other.at);
    made.#ratchet = other.#ratchet;
    made.#key = this.#key;
    return made;
  }

  /** The session key as m.room_key shares it, from an index on that is less than 256 ahead. Only messages at the index it stands at can be made. */
  sessionKey(index = this.at): string {
    const body = this.#keyBytes(2, index);
    return base64(Buffer.concat([body, this.#key.sign(body)]));
  }

  /** The session as a key export has it, claiming a person's device. */
  exported(from: Person, index = this.at): { [name: string]: Json } {
    return {
      algorithm: "m.megolm.v1.aes-sha2",
      room_id: this.roomId,
      sender_key: from.curve25519,
      session_id: this.sessionId,
      session_key: base64(this.#keyBytes(1, index)),
      sender_claimed_keys: { ed25519: from.ed25519.public },
      forwarding_curve25519_key_chain: [],
    };
  }

  #keyBytes(version: number, index: number): Buffer {
    const head = Buffer.alloc(5);
    head[0] = version;
    head.writeUInt32BE(index, 1);
    // Within 256 only the last of the four parts moves.
    let part = this.#ratchet.subarray(96);
    for (let i = this.at; i < index; i++) part = createHmac("sha256", part).update(Buffer.from([3])).digest();
    return Buffer.concat([head, this.#ratchet.subarray(0, 96), part, this.#key.raw]);
  }

  /** The Olm payload that shares the session. */
  payload(from: Person, to: Person, options: { embed?: boolean; index?: number } = {}): { [name: string]: Json } {
    const content = { algorithm: "m.megolm.v1.aes-sha2", room_id: this.roomId, session_id: this.sessionId, session_key: this.sessionKey(options.index) };
    return olmPayload(from, to, "m.room_key", content, options);
  }

  /** An item for receiveRoomKeys. */
  item(from: Person, to: Person, options: { embed?: boolean; index?: number } = {}): OlmItem {
    return olmItem(from, this.payload(from, to, options));
  }

  /** An item for receiveForwardedRoomKeys: what one device has of the session of another. */
  forwarded(claimed: Person, by: Person, to: Person, options: { embed?: boolean; index?: number } = {}): OlmItem {
    const { sender_claimed_keys: _, ...content } = this.exported(claimed, options.index);
    return olmItem(by, olmPayload(by, to, "m.forwarded_room_key", { ...content, sender_claimed_ed25519_key: claimed.ed25519.public }, options));
  }

  /** An encrypted room event at the index it stands at, or saying that it is at one that it gives the bytes of. */
  event(sender: string, eventId: string, body: string, inside: { roomId?: string; content?: { [name: string]: Json }; index?: Uint8Array } = {}): { [name: string]: Json } {
    const keys = Buffer.from(hkdfSync("sha256", this.#ratchet, Buffer.alloc(32), "MEGOLM_KEYS", 80));
    const cipher = createCipheriv("aes-256-cbc", keys.subarray(0, 32), keys.subarray(64, 80));
    const plaintext = JSON.stringify({ room_id: inside.roomId ?? this.roomId, type: "m.room.message", content: { msgtype: "m.text", body, ...inside.content } });
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    const message = Buffer.concat([Buffer.from([3, 0x08]), inside.index ?? varint(this.at), Buffer.from([0x12]), varint(ciphertext.length), ciphertext]);
    const authenticated = Buffer.concat([message, createHmac("sha256", keys.subarray(32, 64)).update(message).digest().subarray(0, 8)]);
    return {
      type: "m.room.encrypted",
      event_id: eventId,
      sender,
      origin_server_ts: 1795445103761,
      content: { algorithm: "m.megolm.v1.aes-sha2", session_id: this.sessionId, ciphertext: base64(Buffer.concat([authenticated, this.#key.sign(authenticated)])) },
    };
  }
}

function varint(n: number): Buffer {
  const bytes: number[] = [];
  for (; n > 0x7f; n >>>= 7) bytes.push((n & 0x7f) | 0x80);
  bytes.push(n);
  return Buffer.from(bytes);
}

/** A file as clients upload it encrypted: its bytes, and the `file` that describes it (specification, "Sending encrypted attachments"). */
export function encryptedFile(content: string): { bytes: Buffer; file: { [name: string]: Json } } {
  const key = randomBytes(32);
  const iv = Buffer.concat([randomBytes(8), Buffer.alloc(8)]);
  const cipher = createCipheriv("aes-256-ctr", key, iv);
  const bytes = Buffer.concat([cipher.update(content), cipher.final()]);
  const file = {
    v: "v2",
    url: "mxc://test/bundle",
    key: { kty: "oct", alg: "A256CTR", ext: true, key_ops: ["encrypt", "decrypt"], k: key.toString("base64url") },
    iv: base64(iv),
    hashes: { sha256: base64(createHash("sha256").update(bytes).digest()) },
  };
  return { bytes, file };
}

/** The announcement of a history bundle, and the encrypted file. */
export function historyBundle(by: Person, to: Person, roomId: string, content: { [name: string]: Json }, options: { embed?: boolean } = {}): { item: OlmItem; bytes: Buffer } {
  const { bytes, file } = encryptedFile(JSON.stringify(content));
  return { item: olmItem(by, olmPayload(by, to, "m.room_key_bundle", { room_id: roomId, file }, options)), bytes };
}

const fileBegins = "-----BEGIN MEGOLM SESSION DATA-----";
const fileEnds = "-----END MEGOLM SESSION DATA-----";

/** Text between the lines of a key-export file. */
export function armoured(bytes: Uint8Array): string {
  return `${fileBegins}\n${Buffer.from(bytes).toString("base64").replace(/.{76}/g, "$&\n")}\n${fileEnds}\n`;
}

/** The bytes between the lines of a key-export file. */
export function unarmoured(file: string): Buffer {
  return Buffer.from(file.replace(fileBegins, "").replace(fileEnds, ""), "base64");
}

function fileKeys(passphrase: string, head: Buffer): { aes: Buffer; mac: Buffer } {
  const both = pbkdf2Sync(passphrase, head.subarray(1, 17), head.readUInt32BE(33), 64, "sha512");
  return { aes: both.subarray(0, 32), mac: both.subarray(32) };
}

/** The bytes of a key-export file (specification, "Key exports"). */
export function sealedKeys(content: string, passphrase: string, rounds = 1000): Buffer {
  const head = Buffer.concat([Buffer.from([1]), randomBytes(32), Buffer.alloc(4)]);
  head[25] = (head[25] ?? 0) & 0x7f; // bit 63 of the counter
  head.writeUInt32BE(rounds, 33);
  const { aes, mac } = fileKeys(passphrase, head);
  const cipher = createCipheriv("aes-256-ctr", aes, head.subarray(17, 33));
  const body = Buffer.concat([head, cipher.update(content), cipher.final()]);
  return Buffer.concat([body, createHmac("sha256", mac).update(body).digest()]);
}

/** Opens a key-export file: what is in it, and how many rounds it asks for. */
export function openedKeys(file: string, passphrase: string): { content: string; rounds: number } {
  const bytes = unarmoured(file);
  const body = bytes.subarray(0, -32);
  const { aes, mac } = fileKeys(passphrase, body);
  if (!createHmac("sha256", mac).update(body).digest().equals(bytes.subarray(-32))) throw new Error("the MAC is wrong");
  const cipher = createDecipheriv("aes-256-ctr", aes, body.subarray(17, 33));
  return { content: Buffer.concat([cipher.update(body.subarray(37)), cipher.final()]).toString("utf8"), rounds: body.readUInt32BE(33) };
}

/** What stands before the 32 bytes of a private and of a public X25519 key in DER. */
const privateHead = Buffer.from("302e020100300506032b656e04220420", "hex");
const publicHead = Buffer.from("302a300506032b656e032100", "hex");

/** A server-side backup: its key pair, and what seals and opens room keys for it (specification, "Backup algorithm"). */
export class BackupVault {
  readonly #private: KeyObject;
  readonly #raw: Buffer;
  readonly public: string;

  constructor(raw: Buffer = randomBytes(32)) {
    this.#raw = raw;
    this.#private = createPrivateKey({ key: Buffer.concat([privateHead, raw]), format: "der", type: "pkcs8" });
    this.public = base64(createPublicKey(this.#private).export({ type: "spki", format: "der" }).subarray(-32));
  }

  /** The private key as secret storage keeps it. */
  get base64(): string {
    return base64(this.#raw);
  }

  /** The private key as people write it down. */
  get recoveryKey(): string {
    const bytes = [0x8b, 0x01, ...this.#raw];
    bytes.push(bytes.reduce((parity, byte) => parity ^ byte, 0));
    const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let number = BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
    let text = "";
    for (; number > 0n; number /= 58n) text = (alphabet[Number(number % 58n)] ?? "") + text;
    return text.replace(/.{4}(?=.)/g, "$& ");
  }

  /** A KeyBackupData of an exported room key. */
  sealed(exported: { [name: string]: Json }): { [name: string]: Json } {
    const { room_id: _, session_id: __, ...payload } = exported;
    return this.sealedPayload(payload);
  }

  /** A KeyBackupData of whatever it is given. */
  sealedPayload(payload: { [name: string]: Json }): { [name: string]: Json } {
    const ephemeral = generateKeyPairSync("x25519");
    const keys = this.#keys(diffieHellman({ privateKey: ephemeral.privateKey, publicKey: createPublicKey(this.#private) }));
    const cipher = createCipheriv("aes-256-cbc", keys.aes, keys.iv);
    return {
      first_message_index: 0, forwarded_count: 0, is_verified: false,
      session_data: {
        ciphertext: base64(Buffer.concat([cipher.update(JSON.stringify(payload)), cipher.final()])),
        ephemeral: base64(ephemeral.publicKey.export({ type: "spki", format: "der" }).subarray(-32)),
        mac: base64(keys.mac),
      },
    };
  }

  /** An answer of GET /room_keys/keys with room keys in it. */
  answer(keys: readonly { [name: string]: Json }[]): { rooms: Record<string, { sessions: Record<string, Json> }> } {
    const rooms: Record<string, { sessions: Record<string, Json> }> = {};
    for (const key of keys) (rooms[String(key["room_id"])] ??= { sessions: {} }).sessions[String(key["session_id"])] = this.sealed(key);
    return { rooms };
  }

  /** What is in a KeyBackupData. */
  opened(data: { readonly session_data: { readonly ciphertext: string; readonly ephemeral: string; readonly mac: string } }): { [name: string]: Json } {
    const { ciphertext, ephemeral, mac } = data.session_data;
    const publicKey = createPublicKey({ key: Buffer.concat([publicHead, Buffer.from(ephemeral, "base64")]), format: "der", type: "spki" });
    const keys = this.#keys(diffieHellman({ privateKey: this.#private, publicKey }));
    if (base64(keys.mac) !== mac) throw new Error("the MAC is wrong");
    const cipher = createDecipheriv("aes-256-cbc", keys.aes, keys.iv);
    return JSON.parse(Buffer.concat([cipher.update(Buffer.from(ciphertext, "base64")), cipher.final()]).toString("utf8")) as { [name: string]: Json };
  }

  /** The MAC is over nothing, as everybody computes it. */
  #keys(secret: Buffer): { aes: Buffer; iv: Buffer; mac: Buffer } {
    const both = Buffer.from(hkdfSync("sha256", secret, Buffer.alloc(0), "", 80));
    return { aes: both.subarray(0, 32), iv: both.subarray(64), mac: createHmac("sha256", both.subarray(32, 64)).digest().subarray(0, 8) };
  }
}
