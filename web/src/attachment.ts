// Encrypted attachments: what the client uploads, and the description that opens it. The rule: every file has a key of its own, which nobody keeps.

import type { EncryptedFile } from "./types.js";
import { subtleCrypto } from "./webcrypto.js";

/** Encrypts content. Rejects with `webcrypto_unsupported`. Source: client-server API, "Sending encrypted attachments". */
export async function encryptAttachment(content: Uint8Array<ArrayBuffer>): Promise<{ data: Uint8Array<ArrayBuffer>; file: Omit<EncryptedFile, "url"> }> {
  const subtle = subtleCrypto();
  const key = await subtle.generateKey({ name: "AES-CTR", length: 256 }, true, ["encrypt", "decrypt"]);
  const iv = new Uint8Array(16);
  crypto.getRandomValues(iv.subarray(0, 8)); // the other half counts, and must not overflow
  const data = new Uint8Array(await subtle.encrypt({ name: "AES-CTR", counter: iv, length: 64 }, key, content));
  const [jwk, hash] = await Promise.all([subtle.exportKey("jwk", key), subtle.digest("SHA-256", data)]);
  return {
    data,
    file: { v: "v2", key: { kty: "oct", alg: "A256CTR", ext: true, key_ops: ["encrypt", "decrypt"], k: jwk.k ?? "" }, iv: base64(iv), hashes: { sha256: base64(new Uint8Array(hash)) } },
  };
}

/** Unpadded base64 of a few bytes. */
function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("=", "");
}
