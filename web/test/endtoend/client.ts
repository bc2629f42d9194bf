// What the end-to-end stories ask of a client, whatever it is made of: matrix-js-sdk, or knownsender. A client lives in a page of headless
// Chrome and is spoken to from the stories' process, so that everything here is plain JSON and every call a promise.

import type { SenderDataType, ShieldColor, TrustRequirement } from "../../src/types.js";
import type { Login } from "../homeserver/dendrite.js";

export type { Login };

/** A room message as a client shows it. */
export interface Shown {
  /** The clear text; null when it is withheld or cannot be decrypted. */
  readonly body: string | null;
  /** Why there is none, in the client's own words. */
  readonly failure: string | null;
  readonly shield: ShieldColor;
  /** matrix-js-sdk's `EventShieldReason`. */
  readonly reason: string | null;
}

/** A user's identity as a client sees it. */
export interface SeenIdentity {
  readonly masterKey: string;
  readonly verified: boolean;
  readonly wasVerified: boolean;
  /** It is not the one met first, and nobody has said that this is well. */
  readonly changed: boolean;
}

/**
 * What Bob is made of, besides knownsender: `matrix-js-sdk`, through its adapter; or fetch alone, with his Olm account in the machine (`fetch`), or
 * beside it in libolm (`libolm`).
 */
export const kindsOfBob = ["matrix-js-sdk", "fetch", "libolm"] as const;
export type KindOfBob = (typeof kindsOfBob)[number];

/** How a client is opened. */
export interface ClientOptions {
  /** Whether it follows the device lists of the people it shares rooms with, as clients do. That of matrix-js-sdk always does. */
  readonly follow: boolean;
  readonly kind: KindOfBob;
}

/** What every client can do. */
export interface EndToEndClient {
  /** Logs in and makes itself known; over the same storage it goes on where it was. */
  open(login: Login, options: ClientOptions): Promise<void>;
  close(): Promise<void>;
  join(roomId: string): Promise<void>;
  /** Makes an identity of its own, and signs its own device. */
  crossSign(): Promise<void>;
  /** Verifies a user, whose public master key was compared by other means. */
  verify(userId: string, masterKey: string): Promise<void>;
  withdrawVerification(userId: string): Promise<void>;
  identity(userId: string): Promise<SeenIdentity | null>;
  /** Asks the server for a user's devices now. */
  askFor(userId: string): Promise<void>;
  /** Waits until an event is here, and its key or a word of why there is none; then says what it shows. */
  read(roomId: string, eventId: string): Promise<Shown>;
  importKeys(exported: string): Promise<void>;
  /** Restores the server-side backup with its private key, base64; answers with how many keys there were. */
  restoreBackup(key: string): Promise<number>;
}

/** What a client that sends can do beside. */
export interface SendingClient extends EndToEndClient {
  /** Makes an encrypted room. */
  createRoom(invited: readonly string[]): Promise<string>;
  invite(roomId: string, userId: string): Promise<void>;
  /** Sends a message to a room and answers with its event id. */
  send(roomId: string, body: string): Promise<string>;
  /** The next message has a new room key. */
  rotate(roomId: string): Promise<void>;
  masterKey(): Promise<string>;
  /** Replaces its identity by a new one. */
  resetIdentity(): Promise<void>;
  /** Takes the user's private cross-signing keys from secret storage, opened with its key, base64, and signs this device with them. */
  takeIdentity(key: string): Promise<void>;
  /** Waits until a device of its own is known, and signs it. */
  signDevice(deviceId: string): Promise<void>;
  /** Room keys go to verified devices alone. */
  onlyToVerified(only: boolean): Promise<void>;
  exportKeys(): Promise<string>;
  /** Makes secret storage and a server-side backup, waits until all is there, and answers with the backup's private key, base64. */
  backUp(): Promise<string>;
}

/** What is asked of a client made of knownsender. */
export interface JudgingClient extends EndToEndClient {
  /** One turn of the sync loop. */
  catchUp(): Promise<void>;
  /** As {@link read}, under a policy. */
  readUnder(requirement: TrustRequirement, roomId: string, eventId: string): Promise<Shown>;
  /** What is known of a room key's sender now. */
  senderData(roomId: string, eventId: string): Promise<SenderDataType | null>;
  legacy(roomId: string, eventId: string): Promise<boolean>;
  /** The lane that the event's room key arrived in. */
  lane(roomId: string, eventId: string): Promise<"fast" | "slow" | null>;
  /** Whether the machine waits for an answer about senders. */
  waiting(): Promise<boolean>;
  /** While queries are held, none of the machine's requests leaves. */
  holdQueries(hold: boolean): Promise<void>;
}

/** What is asked of a client of matrix-js-sdk with knownsender: it goes both ways, and uploads to a backup that another device has made. */
export interface MutualClient extends JudgingClient, Omit<SendingClient, "backUp"> {
  /** Makes secret storage, puts its private cross-signing keys there, and answers with the storage's key, base64. */
  storeIdentity(): Promise<string>;
  /** Begins to use the server-side backup there is, and waits until all is there. */
  useBackup(): Promise<void>;
}

/** Sets the client of a page: each bundle for pages calls it once. */
export function offer(client: EndToEndClient): void {
  (globalThis as { client?: EndToEndClient }).client = client;
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until there is something, and answers with it. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>, patience = 40_000): Promise<T> {
  for (const end = Date.now() + patience; ; await pause(50)) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`not within ${patience / 1000} s: ${what}`);
  }
}
