// A homeserver for one client, played by its fetch in the page that has it. It keeps a log of sync answers, which the tests write; a sync waits for
// the answer after its token. Imported by pages alone.

import type { JsonObject } from "../src/index.js";
import { Homeserver, pause, until } from "./homeserver.js";

/** A request the client made. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body: JsonObject;
}

interface Upload {
  readonly device_keys?: JsonObject;
  readonly one_time_keys?: Readonly<Record<string, { readonly key: string }>>;
}

export class SyncingHomeserver {
  readonly people = new Homeserver();
  readonly asked: Asked[] = [];
  /** While it is set, it may answer in the server's place. */
  instead: ((asked: Asked) => Response | Promise<Response> | undefined) | undefined;
  /** One-time keys to hand out, by user and device. */
  readonly claimable: Record<string, Record<string, JsonObject[]>> = {};
  readonly #syncs: JsonObject[] = [];
  readonly #uploads: Upload[] = [];
  #sent = 0;

  /** Adds the answer to the next sync. */
  sync(answer: JsonObject): void {
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
    const body = typeof options.body === "string" ? (JSON.parse(options.body) as JsonObject) : {};
    const asked: Asked = { method: options.method ?? "GET", path: pathname, query: Object.fromEntries(searchParams), body };
    this.asked.push(asked);
    return (await this.instead?.(asked)) ?? (await this.#answer(asked, options.signal ?? undefined));
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
      const device = body["device_keys"] as { user_id: string; device_id: string } | undefined;
      if (device !== undefined) this.people.know(JSON.stringify({ device_keys: { [device.user_id]: { [device.device_id]: device } } }));
      return Response.json({ one_time_key_counts: { signed_curve25519: 50 } });
    }
    if (path.endsWith("/keys/query")) return new Response(await this.people.fetch({ method: "POST", path, headers: {}, body: JSON.stringify(body), signal: signal ?? new AbortController().signal }) as string);
    if (path.endsWith("/device_signing/upload")) return this.#signingKeys(body);
    if (path.endsWith("/signatures/upload")) return Response.json({ failures: this.#sign(body) });
    if (path.endsWith("/keys/claim")) return Response.json({ failures: {}, one_time_keys: this.#claim(body) });
    if (path.includes("/sendToDevice/")) return Response.json({});
    if (path.includes("/send/")) return Response.json({ event_id: `$sent${++this.#sent}` });
    return Response.json({ errcode: "M_UNRECOGNIZED", error: `${asked.method} ${path}` }, { status: 404 });
  }

  #claim({ one_time_keys: wanted }: JsonObject): JsonObject {
    const users = Object.entries(wanted as Record<string, Record<string, string>>);
    return Object.fromEntries(users.map(([user, devices]) => [user, Object.fromEntries(Object.keys(devices).flatMap((device) => {
      const key = this.claimable[user]?.[device]?.shift();
      return key === undefined ? [] : [[device, key]];
    }))]));
  }

  /** Takes a user's cross-signing keys, when the user's password comes with them. */
  #signingKeys({ auth, ...keys }: JsonObject): Response {
    if (auth === undefined) return Response.json({ flows: [{ stages: ["m.login.password"] }], params: {}, session: "session" }, { status: 401 });
    const user = (keys["master_key"] as { user_id: string }).user_id;
    this.people.know(JSON.stringify(Object.fromEntries(Object.entries(keys).map(([name, key]) => [`${name}s`, { [user]: key }]))));
    return Response.json({});
  }

  /** Adds signatures to devices; to master keys it adds none. */
  #sign(body: JsonObject): JsonObject {
    for (const [user, objects] of Object.entries(body as Record<string, Record<string, JsonObject>>)) {
      for (const [id, object] of Object.entries(objects)) {
        const known = (JSON.parse(this.people.answer(JSON.stringify({ device_keys: { [user]: [] } }))) as { device_keys?: Record<string, Record<string, { signatures: Record<string, object> }>> }).device_keys?.[user]?.[id];
        if (known === undefined) continue;
        const signatures = { ...known.signatures, [user]: { ...known.signatures[user], ...(object["signatures"] as Record<string, object>)[user] } };
        this.people.know(JSON.stringify({ device_keys: { [user]: { [id]: { ...known, signatures } } } }));
      }
    }
    return {};
  }

  async #next({ query }: Asked, signal: AbortSignal | undefined): Promise<JsonObject> {
    const at = query["since"] === undefined ? 0 : Number(query["since"].slice(1));
    for (const end = performance.now() + Number(query["timeout"] ?? 0); this.#syncs[at] === undefined && performance.now() < end; await pause(5)) signal?.throwIfAborted();
    const answer = this.#syncs[at];
    return answer === undefined ? { next_batch: `s${at}` } : { ...answer, next_batch: `s${at + 1}` };
  }
}
