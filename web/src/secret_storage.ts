/*
 * Secret storage: secrets that the user's devices keep in account data, encrypted with a key that the server does not have (specification, "Secret
 * storage", `m.secret_storage.v1.aes-hmac-sha2`). They are read here and never written. All of what the server says may be forged but for what the
 * MAC of a secret covers, so nothing is derived or decrypted before its form and size are right.
 */

import { KnownSenderError, textOf } from "./errors.js";
import { isObject, member } from "./json.js";
import type { CrossSigningKeyExport, JsonObject } from "./types.js";
import { subtleCrypto } from "./webcrypto.js";

type Bytes = Uint8Array<ArrayBuffer>;

/**
 * Reads the user's account data of a type, from the server: `GET /_matrix/client/v3/user/{userId}/account_data/{type}`. Null when there is none, which the
 * server says with 404 and `M_NOT_FOUND`. matrix-js-sdk: `client.getAccountDataFromServer`.
 */
export type AccountData = (type: string) => Promise<JsonObject | null>;

/** What opens secret storage: the recovery key as people write it down, the passphrase it was made from, or its 32 bytes. */
export type SecretStorageKey = { readonly recoveryKey: string } | { readonly passphrase: string } | { readonly key: Uint8Array };

const algorithm = "m.secret_storage.v1.aes-hmac-sha2";
const passphraseAlgorithm = "m.pbkdf2";
const keyLength = 32;
const ivLength = 16;
const macLength = 32;
/** A secret is a part of an event, which has at most so many bytes. */
const maxText = 65_536;
/** PBKDF2 takes some 0.3 seconds for half a million, the usual number, in a thread of the browser's. */
const maxIterations = 10_000_000;

/** The names of our private cross-signing keys in secret storage (client-server API, "Secrets"). */
export const crossSigningSecrets = { masterKey: "m.cross_signing.master", self_signing_key: "m.cross_signing.self_signing", userSigningKey: "m.cross_signing.user_signing" } as const;

/** Those of our private cross-signing keys that `get` finds in secret storage. */
export async function crossSigningKeysFrom(get: (name: string) => Promise<string | null | undefined>): Promise<CrossSigningKeyExport> {
  const found = await Promise.all(Object.entries(crossSigningSecrets).map(async ([key, secret]) => [key, await get(secret)] as const));
  return Object.fromEntries(found.filter(([, seed]) => seed !== null && seed !== undefined));
}

/** Secret storage that was opened with its key. It is secret. */
export class SecretStorage {
  readonly #accountData: AccountData;
  readonly #keyId: string;
  readonly #key: CryptoKey;

  private constructor(accountData: AccountData, keyId: string, key: CryptoKey) {
    this.#accountData = accountData;
    this.#keyId = keyId;
    this.#key = key;
  }

  /**
   * Opens the storage with the key that is its default now. `decodeRecoveryKey` gives the 32 bytes that a recovery key stands for.
   *
   * Errors: see {@link OlmMachine.openSecretStorage}.
   */
  static async open(accountData: AccountData, given: SecretStorageKey, decodeRecoveryKey: (text: string) => Uint8Array<ArrayBuffer> | Promise<Uint8Array<ArrayBuffer>>): Promise<SecretStorage> {
    const fallback = await read(accountData, "m.secret_storage.default_key");
    const keyId = fallback === null ? undefined : member(fallback, "key");
    if (keyId === undefined) throw new KnownSenderError("no_secret_storage", "The user has no secret storage.");
    if (typeof keyId !== "string" || keyId.length > 255) throw badDescription("m.secret_storage.default_key");
    const description = await read(accountData, `m.secret_storage.key.${keyId}`);
    if (description === null) throw badDescription("its default key");
    if (member(description, "algorithm") !== algorithm) throw new KnownSenderError("unsupported_algorithm", "Secret storage is encrypted in another way.", { expected: algorithm });
    const raw = await keyBytes(given, description, decodeRecoveryKey);
    const key = await subtleCrypto().importKey("raw", raw, "HKDF", false, ["deriveBits"]);
    raw.fill(0);
    const iv = member(description, "iv");
    const mac = member(description, "mac");
    if (iv === undefined && mac === undefined) return new SecretStorage(accountData, keyId, key); // nothing to check it with: the secrets' own MACs are
    const expected = { iv: bytesOf(iv, ivLength), mac: bytesOf(mac, macLength) };
    if (expected.iv === undefined || expected.mac === undefined) throw badDescription("iv and mac");
    const keys = await deriveKeys(key, "");
    const zeros = await keys.subtle.encrypt(counter(expected.iv), keys.aes, new Uint8Array(keyLength));
    if (!(await keys.subtle.verify("HMAC", keys.mac, expected.mac, zeros))) throw new KnownSenderError("bad_secret_storage_key", "This key, or passphrase, does not open the user's secret storage.");
    return new SecretStorage(accountData, keyId, key);
  }

  /**
   * Reads a secret, such as `m.cross_signing.master` or `m.megolm_backup.v1`; null when none of that name is stored under this key.
   *
   * Errors: `bad_secret` (not of the form of a secret, or too large), `bad_secret_mac` (forged, or damaged), `account_data_failed`.
   */
  async get(name: string): Promise<string | null> {
    const content = await read(this.#accountData, name);
    if (content === null) return null;
    const encrypted = member(content, "encrypted");
    if (encrypted === undefined) return null; // it was removed: account data cannot be deleted, only emptied
    if (!isObject(encrypted)) throw badSecret(name);
    const sealed = member(encrypted, this.#keyId);
    if (sealed === undefined) return null;
    if (!isObject(sealed)) throw badSecret(name);
    const iv = bytesOf(member(sealed, "iv"), ivLength);
    const mac = bytesOf(member(sealed, "mac"), macLength);
    const ciphertext = bytesOf(member(sealed, "ciphertext"));
    if (iv === undefined || mac === undefined || ciphertext === undefined) throw badSecret(name);
    const keys = await deriveKeys(this.#key, name);
    if (!(await keys.subtle.verify("HMAC", keys.mac, mac, ciphertext))) throw new KnownSenderError("bad_secret_mac", `The stored secret ${name} is forged or damaged.`);
    const plaintext = new Uint8Array(await keys.subtle.decrypt(counter(iv), keys.aes, ciphertext));
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(plaintext);
    } catch {
      throw badSecret(name);
    } finally {
      plaintext.fill(0);
    }
  }
}

/** The storage key's bytes, a copy. */
async function keyBytes(given: SecretStorageKey, description: JsonObject, decodeRecoveryKey: (text: string) => Bytes | Promise<Bytes>): Promise<Bytes> {
  const { recoveryKey, passphrase, key } = (given ?? {}) as { recoveryKey?: unknown; passphrase?: unknown; key?: unknown };
  if (typeof recoveryKey === "string") return decodeRecoveryKey(recoveryKey);
  if (typeof passphrase === "string") return deriveFromPassphrase(passphrase, description);
  if (key instanceof Uint8Array && key.length === keyLength) return new Uint8Array(key);
  throw new KnownSenderError("bad_secret_storage_key", "This is no key of secret storage.", { expected: "{ recoveryKey }, { passphrase } or { key } of 32 bytes" });
}

async function deriveFromPassphrase(passphrase: string, description: JsonObject): Promise<Bytes> {
  const info = member(description, "passphrase");
  if (info === undefined) throw new KnownSenderError("no_passphrase", "The key of this secret storage was not made from a passphrase: only the recovery key opens it.");
  if (!isObject(info)) throw badDescription("passphrase");
  if (member(info, "algorithm") !== passphraseAlgorithm) throw new KnownSenderError("unsupported_algorithm", "The passphrase is used in another way.", { expected: passphraseAlgorithm });
  const salt = member(info, "salt");
  const iterations = member(info, "iterations");
  const bits = member(info, "bits") ?? 8 * keyLength;
  if (typeof salt !== "string" || salt.length > maxText || bits !== 8 * keyLength) throw badDescription("passphrase");
  if (typeof iterations !== "number" || !Number.isInteger(iterations) || iterations < 1 || iterations > maxIterations) {
    throw new KnownSenderError("bad_secret_storage_iterations", "So many iterations are not done.", { expected: `1 to ${maxIterations}`, got: String(iterations).slice(0, 32) });
  }
  const subtle = subtleCrypto();
  const material = await subtle.importKey("raw", new TextEncoder().encode(passphrase), "PBKDF2", false, ["deriveBits"]);
  return new Uint8Array(await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-512", salt: new TextEncoder().encode(salt), iterations }, material, 8 * keyLength));
}

/** HKDF-SHA-256 with the secret's name: 32 bytes for AES-256-CTR, 32 for HMAC-SHA-256. */
async function deriveKeys(key: CryptoKey, name: string): Promise<{ subtle: SubtleCrypto; aes: CryptoKey; mac: CryptoKey }> {
  const subtle = subtleCrypto();
  const bits = new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(8), info: new TextEncoder().encode(name) }, key, 8 * 2 * keyLength));
  const [aes, mac] = await Promise.all([
    subtle.importKey("raw", bits.subarray(0, keyLength), "AES-CTR", false, ["encrypt", "decrypt"]),
    subtle.importKey("raw", bits.subarray(keyLength), { name: "HMAC", hash: "SHA-256" }, false, ["verify"]),
  ]);
  bits.fill(0);
  return { subtle, aes, mac };
}

function counter(iv: Bytes): AesCtrParams {
  return { name: "AES-CTR", counter: iv, length: 64 };
}

/** Account data of a type, by the host's function. */
async function read(accountData: AccountData, type: string): Promise<JsonObject | null> {
  let content: unknown;
  try {
    content = await accountData(type);
  } catch (thrown) {
    throw new KnownSenderError("account_data_failed", `Account data could not be read: ${textOf(thrown)}`, { cause: thrown });
  }
  if (content === null || content === undefined) return null;
  if (!isObject(content)) throw new KnownSenderError("account_data_failed", "The function for account data gave something else.", { expected: "an object or null", got: typeof content });
  return content;
}

/** The bytes of base64, padded or not; undefined when it is none, too long, or not of the length. */
export function bytesOf(text: unknown, length?: number): Bytes | undefined {
  if (typeof text !== "string" || text.length > maxText || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  let binary: string;
  try {
    binary = atob(text);
  } catch {
    return undefined;
  }
  const bytes = Uint8Array.from(binary, (symbol) => symbol.charCodeAt(0));
  return length === undefined || bytes.length === length ? bytes : undefined;
}

function badDescription(what: string): KnownSenderError {
  return new KnownSenderError("bad_secret_storage_key_description", `The description of secret storage's key cannot be read: ${what}.`);
}

function badSecret(name: string): KnownSenderError {
  return new KnownSenderError("bad_secret", `The stored secret ${name} cannot be read.`);
}
