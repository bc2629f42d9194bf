// One more room key from a device that was recorded: a Megolm session made here, shared as that device shared its own. The payload is the
// recorded one but for the session, which is new, with a key pair of its own that signs it. Nobody ever wrote a message in it.

import type { RecordedAccount, RecordedKey } from "./recording.js";

/** Makes a key like the last that the receiver was recorded with. Fails where the browser has no Ed25519. */
export async function makeKey({ keys }: RecordedAccount): Promise<RecordedKey> {
  const like = keys.at(-1);
  if (like === undefined) throw new Error("The recording is not whole.");
  const { sessionId, sessionKey } = await megolmSession();
  const payload = JSON.parse(like.payload) as { content: { session_id: string; session_key: string } };
  payload.content.session_id = sessionId;
  payload.content.session_key = sessionKey;
  return { ...like, payload: JSON.stringify(payload), sessionId };
}

/** A session as m.room_key shares it: version 2, message index 0, the ratchet, the public key, and the signature of that by the key itself. */
async function megolmSession(): Promise<{ readonly sessionId: string; readonly sessionKey: string }> {
  const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, false, ["sign", "verify"])) as CryptoKeyPair;
  const key = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey));
  const shared = new Uint8Array(229);
  shared[0] = 2;
  crypto.getRandomValues(shared.subarray(5, 133));
  shared.set(key, 133);
  shared.set(new Uint8Array(await crypto.subtle.sign({ name: "Ed25519" }, pair.privateKey, shared.subarray(0, 165))), 165);
  return { sessionId: base64(key), sessionKey: base64(shared) };
}

export function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replace(/=+$/, "");
}
