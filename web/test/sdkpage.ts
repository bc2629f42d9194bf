// What withSdk puts into a page: matrix-js-sdk, knownsender, and a homeserver that is a fetch. The homeserver keeps a log of sync answers that the
// tests write; a sync waits for the answer after its token.

import loglevel from "loglevel";
import * as sdk from "matrix-js-sdk";
import { EventShieldColour, EventShieldReason } from "matrix-js-sdk/lib/crypto-api/index.js";
import { initKnownSenderCrypto, type KnownSenderCrypto, type KnownSenderCryptoOptions } from "../src/compat/js-sdk/index.js";
import * as ks from "../src/index.js";
import { Homeserver, pause, until } from "./homeserver.js";

/** A request the client made. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: ks.JsonObject;
}

interface Upload {
  readonly device_keys?: ks.JsonObject;
  readonly one_time_keys?: Readonly<Record<string, { readonly key: string }>>;
}

export class SyncingHomeserver {
  readonly people = new Homeserver();
  readonly asked: Asked[] = [];
  /** While it is set, it may answer in the server's place. */
  instead: ((asked: Asked) => Response | undefined) | undefined;
  readonly #syncs: ks.JsonObject[] = [];
  readonly #uploads: Upload[] = [];
  #sent = 0;

  /** Adds the answer to the next sync. */
  sync(answer: ks.JsonObject): void {
    this.#syncs.push(answer);
  }

  askedFor(end: string): Asked[] {
    return this.asked.filter(({ path }) => path.endsWith(end));
  }

  /** The one-time keys of the device, once they are here. */
  async oneTimeKeys(): Promise<string[]> {
    await until("the device's keys are uploaded", () => this.#uploads.length > 0);
    return this.#uploads.flatMap(({ one_time_keys: keys }) => Object.values(keys ?? {}).map(({ key }) => key));
  }

  readonly fetch: typeof globalThis.fetch = async (resource, options = {}) => {
    const { pathname, searchParams } = new URL(resource instanceof Request ? resource.url : resource);
    const body = typeof options.body === "string" ? (JSON.parse(options.body) as ks.JsonObject) : {};
    const asked: Asked = { method: options.method ?? "GET", path: pathname, query: Object.fromEntries(searchParams), body };
    this.asked.push(asked);
    return this.instead?.(asked) ?? (await this.#answer(asked, options.signal ?? undefined));
  };

  async #answer(asked: Asked, signal: AbortSignal | undefined): Promise<Response> {
    const { path, body } = asked;
    if (path.endsWith("/sync")) return Response.json(await this.#next(asked, signal));
    if (path.endsWith("/versions")) return Response.json({ versions: ["v1.1", "v1.11"] });
    if (path.endsWith("/pushrules/")) return Response.json({ global: {} });
    if (path.endsWith("/filter")) return Response.json({ filter_id: "1" });
    if (path.includes("/filter/")) return Response.json({ errcode: "M_NOT_FOUND" }, { status: 404 });
    if (path.endsWith("/keys/upload")) {
      this.#uploads.push(body as unknown as Upload);
      return Response.json({ one_time_key_counts: { signed_curve25519: 50 } });
    }
    if (path.endsWith("/keys/query")) return new Response(await this.people.fetch({ method: "POST", path, headers: {}, body: JSON.stringify(body), signal: signal ?? new AbortController().signal }) as string);
    if (path.includes("/send/")) return Response.json({ event_id: `$sent${++this.#sent}` });
    return Response.json({ errcode: "M_UNRECOGNIZED", error: `${asked.method} ${path}` }, { status: 404 });
  }

  async #next({ query }: Asked, signal: AbortSignal | undefined): Promise<ks.JsonObject> {
    const at = query["since"] === undefined ? 0 : Number(query["since"].slice(1));
    for (const end = performance.now() + Number(query["timeout"] ?? 0); this.#syncs[at] === undefined && performance.now() < end; await pause(5)) signal?.throwIfAborted();
    const answer = this.#syncs[at];
    return answer === undefined ? { next_batch: `s${at}` } : { ...answer, next_batch: `s${at + 1}` };
  }
}

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

const made = { sdk, ks, initKnownSenderCrypto, SyncingHomeserver, createClient, open, event, seen, end, until, pause, me, own: undefined as SdkSeat | undefined };
export type SdkKit = typeof made;
globalThis.sdkkit = made;
