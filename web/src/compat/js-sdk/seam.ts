// Where the adapter touches matrix-js-sdk, whose crypto is pluggable only for itself. The rule: what is public is used as it is meant; what is
// not is used here, nowhere else, and tried out before anything is hooked.
//
//   client.http.opts.fetchFn   public. Every request of the client passes through it, so a /sync answer is seen raw, and is kept from the SDK until
//                              all of it is on disk. The SDK moves its sync token before it calls a crypto backend, and goes on when that fails.
//   client.http.authedRequest  public. The machine's own requests: with the client's token and its refreshing, answered as text.
//   client.decryptEventIfNeeded, event.attemptDecryption
//                              public. The SDK decrypts through the former wherever it wants clear text, which asks the client's crypto and does
//                              nothing where there is none; the latter takes anybody who decrypts. Clear text, failures and their codes, retries and
//                              `Event.decrypted` are then the SDK's own.
//   client.encryptAndSendEvent protected, and overridden by the SDK's own widget client. Every send and resend passes through it when the local
//                              echo is made and before anything leaves; an event that is encrypted already is sent as it is.
//   event.clearEvent           private. The SDK never takes back what was decrypted; a message that may no longer be shown has to be.
//
// Not used: the private `cryptoBackend`, and getCrypto(). Whoever sets them claims the whole of CryptoApi, verification flows and dehydrated
// devices with it.

import { EventType, MatrixClient, MatrixEvent, type ISendEventResponse, type Room } from "matrix-js-sdk";
import type { CryptoBackend, EventDecryptionResult } from "matrix-js-sdk/lib/common-crypto/CryptoBackend.js";
import { KnownSenderError } from "../../errors.js";

/** The version of matrix-js-sdk that the adapter was written against. */
const known = "43";

/** Sends an event that has its local echo; encrypts it before if it must be. */
export type Sending = (room: Room | null, event: MatrixEvent, ...rest: (object | undefined)[]) => Promise<ISendEventResponse>;
/** Decrypts a room event for the SDK. Rejects with the SDK's DecryptionError. */
export type Decrypting = (event: MatrixEvent) => Promise<EventDecryptionResult>;

/** A client, with what it leaves to those who extend it. Types alone: the compiler compares them with the SDK's. */
declare class OpenClient extends MatrixClient {
  public override encryptAndSendEvent: Sending;
}

/** What the SDK calls a crypto backend, as far as attemptDecryption uses one. */
export function backend(decryptEvent: Decrypting): CryptoBackend {
  const part: Pick<CryptoBackend, "decryptEvent"> = { decryptEvent };
  return part as CryptoBackend;
}

/** Takes the clear text of an event back: it is encrypted again, and has not been decrypted yet. */
export function conceal(event: MatrixEvent): void {
  delete (event as unknown as { clearEvent?: object }).clearEvent;
}

/** Puts another sending in the place of the client's, which it is given. Returns what undoes that. */
export function replaceSending(client: MatrixClient, by: (sending: Sending) => Sending): () => void {
  const open = client as OpenClient;
  const own = Object.getOwnPropertyDescriptor(open, "encryptAndSendEvent");
  open.encryptAndSendEvent = by(open.encryptAndSendEvent.bind(open));
  return () => restore(open, "encryptAndSendEvent", own);
}

/** Has the SDK decrypt room events by `crypto`. Returns what undoes that. */
export function replaceDecryption(client: MatrixClient, crypto: CryptoBackend): () => void {
  const own = Object.getOwnPropertyDescriptor(client, "decryptEventIfNeeded");
  client.decryptEventIfNeeded = async (event, options) => {
    if (event.getRoomId() === undefined) return; // a to-device event, whose inside is told otherwise
    if (event.isState() && !client.enableEncryptedStateEvents) return;
    if (event.shouldAttemptDecryption()) void event.attemptDecryption(crypto, options);
    await event.getDecryptionPromise();
  };
  return () => restore(client, "decryptEventIfNeeded", own);
}

/** Sends the client's requests through `by`, which is given what sent them before. Returns what undoes that. */
export function replaceFetch(client: MatrixClient, by: (send: typeof globalThis.fetch) => typeof globalThis.fetch): () => void {
  const { opts } = client.http;
  const own = Object.getOwnPropertyDescriptor(opts, "fetchFn");
  const before = opts.fetchFn;
  opts.fetchFn = by((...request) => (before ?? globalThis.fetch)(...request));
  return () => restore(opts, "fetchFn", own);
}

function restore(object: object, name: string, own: PropertyDescriptor | undefined): void {
  if (own === undefined) Reflect.deleteProperty(object, name);
  else Object.defineProperty(object, name, own);
}

/**
 * Tries out what is not the SDK's public word. Rejects with `unsupported_sdk`: another version, or another copy of the SDK than the one this module
 * imports, whose errors would not be known to the client.
 */
export async function checkSdk(client: MatrixClient): Promise<void> {
  const unsupported = (expected: string, got: string): KnownSenderError =>
    new KnownSenderError("unsupported_sdk", `This matrix-js-sdk is not one that knownsender/compat/js-sdk can be the crypto of; it was made for version ${known}.`, { expected, got });
  if (!(client instanceof MatrixClient)) throw unsupported("a client of the matrix-js-sdk that knownsender/compat/js-sdk imports", "another copy's, or no client");
  const sending: unknown = (client as OpenClient).encryptAndSendEvent;
  if (typeof sending !== "function") throw unsupported("MatrixClient.encryptAndSendEvent", typeof sending);
  const event = new MatrixEvent({ type: EventType.RoomMessageEncrypted, content: {} });
  await event.attemptDecryption(backend(() => Promise.resolve({ clearEvent: { type: "probe", content: {} } })));
  const decrypted = event.getType();
  conceal(event);
  if (decrypted !== "probe" || !event.shouldAttemptDecryption()) throw unsupported("MatrixEvent.clearEvent", "clear text that stays");
}
