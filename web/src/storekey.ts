// The keys of a database that is encrypted at rest. core/store/sealed says what is wrapped, sealed and bound to what; here WebCrypto does it. The key of
// the rows is not extractable, and is let go of with the program.

import { decodeFrame, encodeFrame } from "./frame.js";
import { joined, supported, type Bytes } from "./keyfile.js";
import type { HostMethod } from "./program.js";
import { subtleCrypto } from "./webcrypto.js";

/** Where things lie in a header; what comes before the wrapped key are the parameters of the key that wraps it. */
const header = { mode: 5, iterations: 6, salt: 10, wrapped: 42 } as const;
const modePassphrase = 1;
const nonceLength = 12;
const nothing: Bytes = new Uint8Array(0);

/** The host methods of one program, which has one database. */
export function storeKeyMethods(): Record<string, HostMethod> {
  let rows: Promise<CryptoKey> | undefined;
  const eachRow = async (request: Bytes, work: (key: CryptoKey, identity: Bytes, bytes: Bytes) => Promise<Bytes>): Promise<Bytes> => {
    const key = await rows;
    if (key === undefined) throw new Error("The database is locked.");
    const items = decodeFrame(request) as Bytes[];
    const answers = Array.from({ length: items.length / 2 }, (_, i) => work(key, items[2 * i] as Bytes, items[2 * i + 1] as Bytes));
    return encodeFrame(await Promise.all(answers));
  };
  const methods: Record<string, HostMethod> = {
    /** secret, parameters, another secret and its header or neither -> the data key of that header, or a new one, wrapped; nothing where that does not open */
    wrapStoreKey: async (request) => {
      const [secret, parameters, from, locked] = decodeFrame(request) as [Bytes, Bytes, Bytes?, Bytes?];
      const data = from === undefined || locked === undefined ? crypto.getRandomValues(new Uint8Array(32)) : await unwrap(from, locked);
      if (data === undefined) return nothing;
      const wrapped = await seal(await wrappingKey(secret, parameters), parameters, data);
      data.fill(0);
      return wrapped;
    },

    /** secret, header -> the key of names, or nothing where the header does not open */
    unlockStore: async (request) => {
      const [secret, locked] = decodeFrame(request) as [Bytes, Bytes];
      const data = await unwrap(secret, locked);
      if (data === undefined) return nothing;
      const material = await subtleCrypto().importKey("raw", data, "HKDF", false, ["deriveKey", "deriveBits"]);
      data.fill(0);
      rows = subtleCrypto().deriveKey(hkdf(nothing, "knownsender rows"), material, aes, false, ["encrypt", "decrypt"]);
      return new Uint8Array(await subtleCrypto().deriveBits(hkdf(nothing, "knownsender names"), material, 256));
    },

    /** identity, row, ... -> sealed row, ... */
    sealRows: (request) => eachRow(request, seal),

    /** identity, sealed row, ... -> row, or nothing where it is not what was sealed there, ... */
    openRows: (request) => eachRow(request, async (key, identity, sealed) => (await open(key, identity, sealed)) ?? nothing),
  };
  return Object.fromEntries(Object.entries(methods).map(([name, work]) => [name, (request, signal) => supported("AES-GCM, PBKDF2 or HKDF", async () => work(request, signal))]));
}

const aes = { name: "AES-GCM", length: 256 } as const;

function hkdf(salt: Bytes, info: string): HkdfParams {
  return { name: "HKDF", hash: "SHA-256", salt, info: new TextEncoder().encode(info) };
}

async function wrappingKey(secret: Bytes, parameters: Bytes): Promise<CryptoKey> {
  const salt = parameters.slice(header.salt, header.wrapped);
  const iterations = new DataView(parameters.buffer, parameters.byteOffset).getUint32(header.iterations);
  const stretched = parameters[header.mode] === modePassphrase;
  const derivation = stretched ? { name: "PBKDF2", hash: "SHA-512", salt, iterations } : hkdf(salt, "knownsender wrapping key");
  const material = await subtleCrypto().importKey("raw", secret, derivation.name, false, ["deriveKey"]);
  return subtleCrypto().deriveKey(derivation, material, aes, false, ["encrypt", "decrypt"]);
}

async function unwrap(secret: Bytes, locked: Bytes): Promise<Bytes | undefined> {
  const parameters = locked.subarray(0, header.wrapped);
  return open(await wrappingKey(secret, parameters), parameters, locked.subarray(header.wrapped));
}

/** A random nonce and the sealed bytes. */
async function seal(key: CryptoKey, identity: Bytes, plain: Bytes): Promise<Bytes> {
  const iv = crypto.getRandomValues(new Uint8Array(nonceLength));
  return joined(iv, new Uint8Array(await subtleCrypto().encrypt({ name: "AES-GCM", iv, additionalData: identity }, key, plain)));
}

/** What was sealed; undefined where it was not sealed by this key under this identity. */
async function open(key: CryptoKey, identity: Bytes, sealed: Bytes): Promise<Bytes | undefined> {
  if (sealed.length <= nonceLength) return undefined;
  try {
    const algorithm = { name: "AES-GCM", iv: sealed.subarray(0, nonceLength), additionalData: identity };
    return new Uint8Array(await subtleCrypto().decrypt(algorithm, key, sealed.subarray(nonceLength)));
  } catch (thrown) {
    if (thrown instanceof Error && thrown.name === "OperationError") return undefined;
    throw thrown;
  }
}
