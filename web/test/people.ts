// People, devices and sessions made for tests, with keys that sign and messages that decrypt. They are made in the tests' own process with
// Node's cryptography, which shares no line with what is tested.

import { createCipheriv, createHmac, generateKeyPairSync, hkdfSync, randomBytes, sign, type KeyObject } from "node:crypto";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

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
  ) {
    this.curve25519 = base64(generateKeyPairSync("x25519").publicKey.export({ type: "spki", format: "der" }).subarray(-32));
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

/** An answer to /keys/query that lists people. */
export function keysQueryAnswer(people: readonly Person[]): string {
  const answer: Record<string, Record<string, Json>> = { device_keys: {}, master_keys: {}, self_signing_keys: {}, user_signing_keys: {}, failures: {} };
  for (const person of people) {
    (answer["device_keys"] ??= {})[person.userId] = { [person.deviceId]: person.deviceKeys() };
    if (person.identity === undefined) continue;
    (answer["master_keys"] ??= {})[person.userId] = person.identity.masterObject();
    (answer["self_signing_keys"] ??= {})[person.userId] = person.identity.selfSigningObject();
    (answer["user_signing_keys"] ??= {})[person.userId] = person.identity.userSigningObject();
  }
  return JSON.stringify(answer);
}

/** A Megolm session at the sender's end, at message index 0. */
export class Outbound {
  readonly #ratchet = randomBytes(128);
  readonly #key = new SigningKey();

  constructor(readonly roomId: string) {}

  get sessionId(): string {
    return this.#key.public;
  }

  /** The session key as m.room_key shares it, from an index below 256 on. Only messages at index 0 can be made. */
  sessionKey(index = 0): string {
    const body = this.#keyBytes(2, index);
    return base64(Buffer.concat([body, this.#key.sign(body)]));
  }

  /** The session as a key export has it, claiming a person's device. */
  exported(from: Person, index = 0): { [name: string]: Json } {
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
    // Below 256 only the last of the four parts moves.
    let part = this.#ratchet.subarray(96);
    for (let i = 0; i < index; i++) part = createHmac("sha256", part).update(Buffer.from([3])).digest();
    return Buffer.concat([head, this.#ratchet.subarray(0, 96), part, this.#key.raw]);
  }

  /** The Olm payload that shares the session. */
  payload(from: Person, to: Person, options: { embed?: boolean; index?: number } = {}): { [name: string]: Json } {
    return {
      sender: from.userId,
      recipient: to.userId,
      keys: { ed25519: from.ed25519.public },
      recipient_keys: { ed25519: to.ed25519.public },
      ...(options.embed === false ? {} : { sender_device_keys: from.deviceKeys() }),
      type: "m.room_key",
      content: { algorithm: "m.megolm.v1.aes-sha2", room_id: this.roomId, session_id: this.sessionId, session_key: this.sessionKey(options.index) },
    };
  }

  /** An item for receiveRoomKeys. */
  item(from: Person, to: Person, options: { embed?: boolean; index?: number } = {}): { sender: string; senderKey: string; payload: string } {
    return { sender: from.userId, senderKey: from.curve25519, payload: JSON.stringify(this.payload(from, to, options)) };
  }

  /** An encrypted room event at index 0. */
  event(sender: string, eventId: string, body: string, inside: { roomId?: string } = {}): { [name: string]: Json } {
    const keys = Buffer.from(hkdfSync("sha256", this.#ratchet, Buffer.alloc(32), "MEGOLM_KEYS", 80));
    const cipher = createCipheriv("aes-256-cbc", keys.subarray(0, 32), keys.subarray(64, 80));
    const plaintext = JSON.stringify({ room_id: inside.roomId ?? this.roomId, type: "m.room.message", content: { msgtype: "m.text", body } });
    const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
    const message = Buffer.concat([Buffer.from([3, 0x08, 0, 0x12]), varint(ciphertext.length), ciphertext]);
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
