// A big key export, made here: so many that progress can be seen and cancelled. The sessions are real, an Ed25519 pair and a random ratchet each;
// nobody ever wrote a message in them. What they say of their senders is made up, as anybody can who writes a file: some name a recorded device.

import { base64 } from "./made.js";

/** Where the made keys pretend to be from. */
export interface PretendedDevice {
  readonly senderKey: string;
  readonly ed25519: string;
}

/** Which entries are spoilt: one that is wrong costs only itself. */
const spoilt = new Map<number, (entry: Entry) => Entry>([
  [4200, (entry) => ({ ...entry, session_id: base64(new Uint8Array(32).fill(7)) })],
  [4600, (entry) => ({ ...entry, session_key: entry.session_key.slice(0, 100) })],
  [4999, (entry) => ({ ...entry, algorithm: "m.megolm.v0" })],
]);

interface Entry {
  readonly algorithm: string;
  readonly room_id: string;
  readonly sender_key: string;
  readonly session_id: string;
  readonly session_key: string;
  readonly sender_claimed_keys: { readonly ed25519: string };
  readonly forwarding_curve25519_key_chain: readonly string[];
}

/** How many pairs are made at a time. */
const atOnce = 200;

/** Makes a key export as JSON text: a third names the device, a third its sender key with another fingerprint key, a third a device of nobody's. */
export async function makeExport(count: number, device: PretendedDevice): Promise<string> {
  const nobody = { senderKey: base64(await publicKey("X25519")), ed25519: base64(await publicKey("Ed25519")) };
  const claims = [device, { ...device, ed25519: nobody.ed25519 }, nobody];
  const entries: Entry[] = [];
  while (entries.length < count) {
    const from = entries.length;
    entries.push(...(await Promise.all(Array.from({ length: Math.min(atOnce, count - from) }, (_, i) => makeEntry(from + i, claims)))));
  }
  return JSON.stringify(entries);
}

async function makeEntry(position: number, claims: readonly PretendedDevice[]): Promise<Entry> {
  const room = position % claims.length;
  const { sessionId, sessionKey } = await exportedSession();
  const entry = {
    algorithm: "m.megolm.v1.aes-sha2",
    room_id: `!made-room-${room + 1}:localhost`,
    sender_key: claims[room]?.senderKey ?? "",
    session_id: sessionId,
    session_key: sessionKey,
    sender_claimed_keys: { ed25519: claims[room]?.ed25519 ?? "" },
    forwarding_curve25519_key_chain: [],
  };
  return spoilt.get(position)?.(entry) ?? entry;
}

/** A session as exports hold it: version 1, message index 0, the ratchet, the public key. Nothing signs it. */
async function exportedSession(): Promise<{ readonly sessionId: string; readonly sessionKey: string }> {
  const key = await publicKey("Ed25519");
  const exported = new Uint8Array(165);
  exported[0] = 1;
  crypto.getRandomValues(exported.subarray(5, 133));
  exported.set(key, 133);
  return { sessionId: base64(key), sessionKey: base64(exported) };
}

/** The public key of a pair that is forgotten at once. */
async function publicKey(algorithm: "Ed25519" | "X25519"): Promise<Uint8Array> {
  const pair = (await crypto.subtle.generateKey(algorithm, false, algorithm === "Ed25519" ? ["sign", "verify"] : ["deriveBits"])) as CryptoKeyPair;
  return new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
}
