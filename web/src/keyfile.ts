// Key-export files and the server-side backup, as far as WebCrypto does their arithmetic for the program. What the bytes mean is decided there.

import { decodeFrame } from "./frame.js";
import type { HostMethod } from "./program.js";
import { nextTask } from "./task.js";
import { subtleCrypto, throwIfUnsupported } from "./webcrypto.js";

export type Bytes = Uint8Array<ArrayBuffer>;

/** What a key file begins with: version, salt, initialisation vector, rounds (big-endian). */
const header = { salt: [1, 17], iv: [17, 33], rounds: 33, length: 37 } as const;
const keyLength = 32;

/** Key agreements under way at a time, see {@link nextTask}. */
const atOnce = 128;

/** The host methods of the program: what it may ask, by name. */
export const keyFileMethods: Readonly<Record<string, HostMethod>> = {
  /** passphrase, header and ciphertext, MAC -> 0 when the MAC is wrong, or 1 and the plaintext */
  openKeyFile: async (request) => {
    const [passphrase, maced, mac] = items(request);
    const keys = await supported(fileAlgorithms, () => deriveFileKeys(passphrase, maced));
    if (!(await keys.subtle.verify("HMAC", keys.mac, mac, maced))) return new Uint8Array([0]);
    const plaintext = new Uint8Array(await keys.subtle.decrypt(keys.counter, keys.aes, maced.subarray(header.length)));
    return joined(new Uint8Array([1]), plaintext);
  },

  /** passphrase, header, plaintext -> ciphertext and MAC */
  sealKeyFile: async (request) => {
    const [passphrase, head, plaintext] = items(request);
    const keys = await supported(fileAlgorithms, () => deriveFileKeys(passphrase, head));
    const maced = joined(head, new Uint8Array(await keys.subtle.encrypt(keys.counter, keys.aes, plaintext)));
    return joined(maced.subarray(header.length), new Uint8Array(await keys.subtle.sign("HMAC", keys.mac, maced)));
  },

  /** private and public X25519 key, again and again -> for each 1 and the shared secret, or 0 and nothing but zeros where there is none */
  agree: async (request) => {
    const halves = decodeFrame(request) as Bytes[];
    const subtle = subtleCrypto();
    // Each private key is imported once. Found by its bytes, which are wiped with the request: a string of them could not be.
    const imported: { readonly secret: Bytes; readonly key: Promise<CryptoKey> }[] = [];
    const own = (secret: Bytes): Promise<CryptoKey> => {
      const known = imported.find((other) => other.secret.every((byte, i) => byte === secret[i]));
      if (known !== undefined) return known.key;
      const key = supported("X25519", () => importPrivate(subtle, secret));
      imported.push({ secret, key });
      return key;
    };
    const count = Math.floor(halves.length / 2);
    const answers = new Uint8Array(count * (1 + keyLength));
    await inParts(count, async (i) => {
      const shared = await agreed(subtle, await own(halves[2 * i] as Bytes), halves[2 * i + 1] as Bytes);
      if (shared === undefined) return;
      answers[i * (1 + keyLength)] = 1;
      answers.set(shared, i * (1 + keyLength) + 1);
    });
    return answers;
  },

  /** public X25519 key, count in four bytes -> so many fresh public keys, each with the secret it shares with the given one */
  ephemeral: async (request) => {
    const [peer, count] = items(request);
    const subtle = subtleCrypto();
    const answers = new Uint8Array(new DataView(count.buffer, count.byteOffset).getUint32(0) * 2 * keyLength);
    await inParts(answers.length / (2 * keyLength), async (i) => {
      const pair = (await supported("X25519", () => subtle.generateKey("X25519", false, ["deriveBits"]))) as CryptoKeyPair;
      const shared = await agreed(subtle, pair.privateKey, peer);
      if (shared === undefined) return; // all zeros, which the program refuses
      answers.set(new Uint8Array(await subtle.exportKey("raw", pair.publicKey)), i * 2 * keyLength);
      answers.set(shared, i * 2 * keyLength + keyLength);
    });
    return answers;
  },
};

/** What stands before the 32 bytes of a private X25519 key in PKCS#8 (RFC 8410). */
const pkcs8 = new Uint8Array([0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x6e, 0x04, 0x22, 0x04, 0x20]);

async function importPrivate(subtle: SubtleCrypto, secret: Bytes): Promise<CryptoKey> {
  const whole = joined(pkcs8, secret);
  const key = await subtle.importKey("pkcs8", whole, "X25519", false, ["deriveBits"]);
  whole.fill(0);
  return key;
}

/** The first three items of a request. */
function items(request: Bytes): [Bytes, Bytes, Bytes] {
  const [first, second, third] = decodeFrame(request) as Bytes[];
  const none = new Uint8Array(0);
  return [first ?? none, second ?? none, third ?? none];
}

/** Two byte strings as one. */
export function joined(a: Bytes, b: Bytes): Bytes {
  const whole = new Uint8Array(a.length + b.length);
  whole.set(a);
  whole.set(b, a.length);
  return whole;
}

const fileAlgorithms = "PBKDF2, AES-CTR or HMAC";

interface FileKeys {
  subtle: SubtleCrypto;
  aes: CryptoKey;
  mac: CryptoKey;
  counter: AesCtrParams;
}

/** PBKDF2-HMAC-SHA-512: 32 bytes for AES-256-CTR, 32 for HMAC-SHA-256 (specification, "Key exports"). */
async function deriveFileKeys(passphrase: Bytes, file: Bytes): Promise<FileKeys> {
  const subtle = subtleCrypto();
  const material = await subtle.importKey("raw", passphrase, "PBKDF2", false, ["deriveBits"]);
  const iterations = new DataView(file.buffer, file.byteOffset).getUint32(header.rounds);
  const bits = new Uint8Array(await subtle.deriveBits({ name: "PBKDF2", hash: "SHA-512", salt: file.subarray(...header.salt), iterations }, material, 8 * 2 * keyLength));
  const [aes, mac] = await Promise.all([
    subtle.importKey("raw", bits.subarray(0, keyLength), "AES-CTR", false, ["encrypt", "decrypt"]),
    subtle.importKey("raw", bits.subarray(keyLength), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]),
  ]);
  bits.fill(0);
  return { subtle, aes, mac, counter: { name: "AES-CTR", counter: file.slice(...header.iv), length: 128 } };
}

/** Does work that a platform without one of the algorithms cannot do. */
export async function supported<T>(algorithms: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throwIfUnsupported(thrown, algorithms);
    throw thrown;
  }
}

/** The shared secret; undefined where WebCrypto refuses it, as it does when it is all zero. */
async function agreed(subtle: SubtleCrypto, own: CryptoKey, peer: Bytes): Promise<Bytes | undefined> {
  try {
    const key = await subtle.importKey("raw", peer, "X25519", false, []);
    return new Uint8Array(await subtle.deriveBits({ name: "X25519", public: key }, own, 8 * keyLength));
  } catch (thrown) {
    throwIfUnsupported(thrown, "X25519");
    return undefined;
  }
}

async function inParts(count: number, work: (i: number) => Promise<void>): Promise<void> {
  for (let from = 0; from < count; from += atOnce) {
    if (from > 0) await nextTask();
    await Promise.all(Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => work(from + i)));
  }
}
