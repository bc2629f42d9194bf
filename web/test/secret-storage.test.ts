// Secret storage against matrix-js-sdk's own, and against the known vectors of matrix-sdk-crypto: what they stored is read, and whatever the server has
// changed of it is told by name.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { deriveRecoveryKeyFromPassphrase } from "matrix-js-sdk/lib/crypto-api/key-passphrase.js";
import { decodeRecoveryKey } from "matrix-js-sdk/lib/crypto-api/recovery-key.js";
import { ServerSideSecretStorageImpl } from "matrix-js-sdk/lib/secret-storage.js";
import { KnownSenderError } from "../src/errors.js";
import { SecretStorage, type SecretStorageKey } from "../src/secret_storage.js";
import type { JsonObject, JsonValue } from "../src/types.js";

const algorithm = "m.secret_storage.v1.aes-hmac-sha2";
const passphrase = "between two, 😀 and ümläuts";

/** Account data as a server keeps it. */
type Vault = Map<string, JsonObject>;

function open(vault: Vault, key: SecretStorageKey): Promise<SecretStorage> {
  return SecretStorage.open((type) => Promise.resolve(vault.get(type) ?? null), key, (text) => new Uint8Array(decodeRecoveryKey(text)));
}

/** A storage that matrix-js-sdk made, with secrets in it. */
async function made(secrets: Record<string, string>, iterations = 1000): Promise<{ vault: Vault; key: Uint8Array; keyId: string }> {
  const vault: Vault = new Map();
  const info = { algorithm: "m.pbkdf2" as const, salt: "salt", iterations };
  const key = await deriveRecoveryKeyFromPassphrase(passphrase, info.salt, info.iterations);
  const storage = new ServerSideSecretStorageImpl({
    getAccountDataFromServer: (type: string) => Promise.resolve((vault.get(type) ?? null) as never),
    setAccountData: (type: string, content: object) => {
      vault.set(type, content as JsonObject);
      return Promise.resolve({});
    },
  } as unknown as ConstructorParameters<typeof ServerSideSecretStorageImpl>[0], { getSecretStorageKey: ({ keys }) => Promise.resolve([Object.keys(keys)[0] ?? "", new Uint8Array(key)]) });
  const { keyId } = await storage.addKey(algorithm, { key: new Uint8Array(key), passphrase: info });
  await storage.setDefaultKeyId(keyId);
  for (const [name, secret] of Object.entries(secrets)) await storage.store(name as Parameters<typeof storage.store>[0], secret);
  return { vault, key, keyId };
}

/** The code with which something fails. */
async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (thrown) {
    assert.ok(thrown instanceof KnownSenderError, String(thrown));
    assert.ok(!thrown.message.includes(passphrase));
    return thrown.code;
  }
  return "";
}

/** A copy of a vault in which one member of one object is another. */
function changed(vault: Vault, type: string, path: string[], value: JsonValue | undefined): Vault {
  const copy: Vault = new Map([...vault].map(([name, content]) => [name, structuredClone(content)]));
  let at = copy.get(type) as JsonObject;
  for (const name of path.slice(0, -1)) at = at[name] as JsonObject;
  const last = path.at(-1) ?? "";
  if (value === undefined) delete at[last];
  else at[last] = value;
  return copy;
}

describe("secret storage", () => {
  test("what matrix-js-sdk stored is read, with the key and with the passphrase; what is not there is null", async () => {
    const secrets = { "m.cross_signing.master": "seed", "m.megolm_backup.v1": randomBytes(32).toString("base64"), empty: "", unusual: "ümläut 😀".repeat(1000) };
    const { vault, key, keyId } = await made({ ...secrets, gone: "x" });
    vault.set("gone", {});
    vault.set("another key's", { encrypted: { other: { iv: "", ciphertext: "", mac: "" } } });
    for (const given of [{ key }, { passphrase }]) {
      const storage = await open(vault, given);
      for (const [name, secret] of Object.entries(secrets)) assert.equal(await storage.get(name), secret, name);
      for (const name of ["gone", "another key's", "never there"]) assert.equal(await storage.get(name), null, name);
    }
    const unpadded = changed(vault, "m.cross_signing.master", ["encrypted", keyId, "mac"], String(((vault.get("m.cross_signing.master")?.["encrypted"] as JsonObject)[keyId] as JsonObject)["mac"]).replace(/=+$/, ""));
    assert.equal(await (await open(unpadded, { key })).get("m.cross_signing.master"), "seed");
  });

  test("the known vectors of matrix-sdk-crypto: a recovery key and a passphrase open what they were made for, and not each other's", async () => {
    const vault = (content: JsonObject): Vault => new Map([["m.secret_storage.default_key", { key: "abc" }], ["m.secret_storage.key.abc", { algorithm, ...content }]]);
    const first = vault({ iv: "xv5b6/p3ExEw++wTyfSHEg==", mac: "ujBBbXahnTAMkmPUX2/0+VTfUh63pGyVRuBcDMgmJC8=" });
    const second = vault({ iv: "gH2iNpiETFhApvW6/FFEJQ", mac: "9Lw12m5SKDipNghdQXKjgpfdj1/K7HFI2brO+UWAGoM", passphrase: { algorithm: "m.pbkdf2", salt: "IuLnH7S85YtZmkkBJKwNUKxWF42g9O1H", iterations: 10 } });
    const recoveryKey = "EsTj 3yST y93F SLpB jJsz eAXc 2XzA ygD3 w69H fGaN TKBj jXEd";
    assert.equal(await codeOf(open(first, { recoveryKey })), "");
    assert.equal(await codeOf(open(second, { passphrase: "It's a secret to everybody" })), "");
    assert.equal(await codeOf(open(second, { recoveryKey })), "bad_secret_storage_key");
    assert.equal(await codeOf(open(first, { passphrase: "It's a secret to everybody" })), "no_passphrase");
  });

  test("a wrong key, and whatever a server may have made of the key's description, is told by name before anything is derived", async () => {
    const { vault, key, keyId } = await made({});
    const description = `m.secret_storage.key.${keyId}`;
    const rows: [code: string, vault: Vault, key: unknown][] = [
      ["bad_secret_storage_key", vault, { key: randomBytes(32) }],
      ["bad_secret_storage_key", vault, { passphrase: `${passphrase}!` }],
      ["bad_secret_storage_key", vault, { key: randomBytes(31) }],
      ["bad_secret_storage_key", vault, {}],
      ["bad_secret_storage_key", vault, null],
      ["no_secret_storage", new Map(), { key }],
      ["no_secret_storage", changed(vault, "m.secret_storage.default_key", ["key"], undefined), { key }],
      ["bad_secret_storage_key_description", changed(vault, "m.secret_storage.default_key", ["key"], 1), { key }],
      ["bad_secret_storage_key_description", changed(vault, "m.secret_storage.default_key", ["key"], "other"), { key }],
      ["bad_secret_storage_key_description", changed(vault, description, ["iv"], "AAAA"), { key }],
      ["bad_secret_storage_key_description", changed(vault, description, ["mac"], undefined), { key }],
      ["bad_secret_storage_key_description", changed(vault, description, ["mac"], "!"), { key }],
      ["bad_secret_storage_key", changed(vault, description, ["mac"], randomBytes(32).toString("base64")), { key }],
      ["unsupported_algorithm", changed(vault, description, ["algorithm"], "m.secret_storage.v1.curve25519-aes-sha2"), { key }],
      ["unsupported_algorithm", changed(vault, description, ["passphrase", "algorithm"], "m.scrypt"), { passphrase }],
      ["bad_secret_storage_key_description", changed(vault, description, ["passphrase"], "x"), { passphrase }],
      ["bad_secret_storage_key_description", changed(vault, description, ["passphrase", "salt"], 1), { passphrase }],
      ["bad_secret_storage_key_description", changed(vault, description, ["passphrase", "bits"], 512), { passphrase }],
      ...[0, -1, 1.5, 10_000_001, 1e300, "1000", null].map((many): [string, Vault, unknown] => ["bad_secret_storage_iterations", changed(vault, description, ["passphrase", "iterations"], many), { passphrase }]),
    ];
    for (const [code, vault, key] of rows) assert.equal(await codeOf(open(vault, key as SecretStorageKey)), code);
    assert.equal(await codeOf(SecretStorage.open(() => Promise.reject(new Error("offline")), { key }, () => new Uint8Array(32))), "account_data_failed");
    assert.equal(await codeOf(SecretStorage.open(() => Promise.resolve("text" as never), { key }, () => new Uint8Array(32))), "account_data_failed");
  });

  test("a secret that is forged, damaged, moved to another name, or of no form is told by name; without a check of the key its own MAC is what tells", async () => {
    const { vault, key, keyId } = await made({ secret: "x", other: "y" });
    const sealed = (vault.get("secret")?.["encrypted"] as JsonObject)[keyId] as { iv: string; ciphertext: string; mac: string };
    const read = async (vault: Vault, name = "secret"): Promise<string> => codeOf(open(vault, { key }).then((storage) => storage.get(name)));
    const at = ["encrypted", keyId];
    const rows: [code: string, path: string[], value: JsonValue | undefined][] = [
      ["bad_secret_mac", [...at, "mac"], randomBytes(32).toString("base64")],
      ["bad_secret_mac", [...at, "ciphertext"], "AAAA"],
      ["bad_secret", [...at, "iv"], "AAAA"],
      ["bad_secret", [...at, "iv"], undefined],
      ["bad_secret", [...at, "mac"], sealed.mac.slice(4)],
      ["bad_secret", [...at, "ciphertext"], "not base64"],
      ["bad_secret", [...at, "ciphertext"], "A".repeat(100_000)],
      ["bad_secret", [...at, "ciphertext"], "A"],
      ["bad_secret", at, "x"],
      ["bad_secret", ["encrypted"], []],
    ];
    for (const [code, path, value] of rows) assert.equal(await read(changed(vault, "secret", path, value)), code, JSON.stringify([path, value]).slice(0, 80));
    const moved = new Map(vault);
    moved.set("other", vault.get("secret") as JsonObject);
    assert.equal(await read(moved, "other"), "bad_secret_mac");

    const description = `m.secret_storage.key.${keyId}`;
    const unchecked = changed(changed(vault, description, ["iv"], undefined), description, ["mac"], undefined);
    const wrong = await open(unchecked, { key: randomBytes(32) });
    assert.equal(await codeOf(wrong.get("secret")), "bad_secret_mac");
    assert.equal(await (await open(unchecked, { key })).get("secret"), "x");
  });

  test("what is no text is no secret", async () => {
    // Sealed by hand, for matrix-js-sdk stores only texts.
    const { vault, key, keyId } = await made({});
    const hkdf = await crypto.subtle.importKey("raw", new Uint8Array(key), "HKDF", false, ["deriveBits"]);
    const bits = await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt: new Uint8Array(8), info: new TextEncoder().encode("raw") }, hkdf, 512);
    const iv = new Uint8Array(16);
    const aes = await crypto.subtle.importKey("raw", bits.slice(0, 32), "AES-CTR", false, ["encrypt"]);
    const mac = await crypto.subtle.importKey("raw", bits.slice(32), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
    const ciphertext = await crypto.subtle.encrypt({ name: "AES-CTR", counter: iv, length: 64 }, aes, new Uint8Array([0xff, 0xfe]));
    const text = (bytes: ArrayBuffer | Uint8Array): string => Buffer.from(new Uint8Array(bytes)).toString("base64");
    vault.set("raw", { encrypted: { [keyId]: { iv: text(iv), ciphertext: text(ciphertext), mac: text(await crypto.subtle.sign("HMAC", mac, ciphertext)) } } });
    assert.equal(await codeOf(open(vault, { key }).then((storage) => storage.get("raw"))), "bad_secret");
  });
});
