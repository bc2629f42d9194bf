// What withSdk puts into a page: matrix-js-sdk, knownsender, and a homeserver.

import loglevel from "loglevel";
import * as sdk from "matrix-js-sdk";
import { AllDevicesIsolationMode, EventShieldColour, EventShieldReason, OnlySignedDevicesIsolationMode } from "matrix-js-sdk/lib/crypto-api/index.js";
import { initKnownSenderCrypto, type KnownSenderCrypto, type KnownSenderCryptoOptions } from "../src/compat/js-sdk/index.js";
import * as ks from "../src/index.js";
import { pause, until } from "./homeserver.js";
import { SyncingHomeserver } from "./syncinghomeserver.js";

/** A client whose crypto is knownsender, and its homeserver. */
export interface SdkSeat {
  readonly client: sdk.MatrixClient;
  readonly crypto: KnownSenderCrypto;
  readonly server: SyncingHomeserver;
}

/** What a story looks at of an event. */
export interface SeenEvent {
  readonly body: string | null;
  readonly failure: string | null;
  readonly shield: string | null;
}

const own = { userId: "@me:test", deviceId: "MINE" };

function createClient(server: SyncingHomeserver): sdk.MatrixClient {
  return sdk.createClient({ baseUrl: "https://homeserver.test", ...own, accessToken: "token", fetchFn: server.fetch });
}

/** Makes a client and its crypto, which has not begun to sync. */
async function open(options: KnownSenderCryptoOptions, server = new SyncingHomeserver()): Promise<SdkSeat> {
  const client = createClient(server);
  return { client, crypto: await initKnownSenderCrypto(client, options), server };
}

/** Waits for an event of a room. */
async function event({ client }: SdkSeat, roomId: string, eventId: string): Promise<sdk.MatrixEvent> {
  let found: sdk.MatrixEvent | undefined;
  await until(`${eventId} is here`, () => (found = client.getRoom(roomId)?.findEventById(eventId)) !== undefined);
  return found as sdk.MatrixEvent;
}

/** What a client would draw of an event, once it was tried. */
async function seen({ crypto }: SdkSeat, event: sdk.MatrixEvent): Promise<SeenEvent> {
  await until("it was tried", () => event.getClearContent() !== null && !event.isBeingDecrypted());
  const info = await crypto.getEncryptionInfoForEvent(event);
  const failure = event.decryptionFailureReason;
  const body = failure === null ? String(event.getClearContent()?.["body"]) : null;
  return { body, failure, shield: info === null ? null : EventShieldColour[info.shieldColour] + (info.shieldReason === null ? "" : ` ${EventShieldReason[info.shieldReason] ?? ""}`) };
}

/** The page's client. */
function me(): SdkSeat {
  if (made.own === undefined) throw new Error("There is no client.");
  return made.own;
}

async function end({ client, crypto }: SdkSeat): Promise<void> {
  client.stopClient();
  await crypto.close();
}

loglevel.getLogger("matrix").setLevel("error", false);

const made = { sdk, AllDevicesIsolationMode, OnlySignedDevicesIsolationMode, ks, initKnownSenderCrypto, SyncingHomeserver, createClient, open, event, seen, end, until, pause, me, own: undefined as SdkSeat | undefined };
export type SdkKit = typeof made;
globalThis.sdkkit = made;
