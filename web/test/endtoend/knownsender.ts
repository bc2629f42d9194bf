// A client made of knownsender, and fetch for everything else: it syncs by hand, hands to the machine what the sync says, and shows what the machine
// says. Its Olm account lies in the machine, or is libolm's beside it: then the client decrypts to-device messages and hands room keys over, and the
// account outlives the page in localStorage. Loaded by pages as it is compiled; the package comes from where it was built, libolm from a script of
// the page.

import type { DecryptedOlmEvent, JsonObject, JsonValue, OlmMachine, RoomKeyReceipt, SenderDataType, TrustRequirement } from "../../src/index.js";
import { offer, until, type ClientOptions, type JudgingClient, type Login, type SeenIdentity, type Shown } from "./client.js";

type Package = typeof import("../../src/index.js");
type Libolm = typeof import("@matrix-org/olm");

interface Event extends JsonObject {
  type: string;
  sender: string;
  content: JsonObject;
}

/** As much of a sync answer as is looked at. */
interface Sync {
  readonly next_batch: string;
  readonly device_one_time_keys_count?: { readonly [algorithm: string]: number };
  readonly device_unused_fallback_key_types?: readonly string[];
  readonly to_device?: { readonly events?: readonly Event[] };
  readonly device_lists?: { readonly changed?: readonly string[]; readonly left?: readonly string[] };
  readonly rooms?: { readonly join?: { readonly [roomId: string]: { readonly timeline?: { readonly events?: readonly Event[] }; readonly state?: { readonly events?: readonly Event[] } } } };
}

/** What outlives the page. */
interface Kept {
  account: string;
  sessions: Record<string, string[]>;
  since: string;
  events: Record<string, Event>;
}

type IdentityKeys = OlmMachine["identityKeys"];

const megolm = "m.megolm.v1.aes-sha2";
const olmAlgorithm = "m.olm.v1.curve25519-aes-sha2";
const pickleKey = "test";

function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((name) => `${JSON.stringify(name)}:${canonical(value[name] ?? null)}`).join(",")}}`;
}

function unsigned({ signatures: _, unsigned: __, ...rest }: JsonObject): string {
  return canonical(rest);
}

class KnownsenderClient implements JudgingClient {
  readonly #olm = (globalThis as unknown as { Olm: Libolm }).Olm;
  #ks: Package | undefined;
  #machine: OlmMachine | undefined;
  #login: Login | undefined;
  #account: InstanceType<Libolm["Account"]> | undefined;
  #kept: Kept = { account: "", sessions: {}, since: "", events: {} };
  #options: ClientOptions = { follow: true, kind: "libolm" };
  #held: Promise<void> | undefined;
  #letGo: () => void = () => undefined;
  readonly #receipts = new Map<string, RoomKeyReceipt>();
  #userSigning: InstanceType<Libolm["PkSigning"]> | undefined;

  get machine(): OlmMachine {
    if (this.#machine === undefined) throw new Error("The client is not open.");
    return this.#machine;
  }

  get #me(): Login {
    if (this.#login === undefined) throw new Error("The client is not open.");
    return this.#login;
  }

  get #olmAccount(): InstanceType<Libolm["Account"]> {
    if (this.#account === undefined) throw new Error("The client is not open.");
    return this.#account;
  }

  // The server.

  async #send(method: string, path: string, body?: JsonObject): Promise<Response> {
    return fetch(`${this.#me.baseUrl}/_matrix/client/v3${path}`, {
      method, headers: { authorization: `Bearer ${this.#me.accessToken}` }, ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  }

  async #ask(method: string, path: string, body?: JsonObject): Promise<JsonObject> {
    const answer = await this.#send(method, path, body);
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as JsonObject;
  }

  /** As {@link #ask}, with the password where the server wants to know it. */
  async #askWithPassword(path: string, body: JsonObject): Promise<void> {
    const answer = await this.#send("POST", path, body);
    if (answer.ok) return;
    if (answer.status !== 401) throw new Error(`POST ${path}: ${answer.status} ${await answer.text()}`);
    const { session = "" } = (await answer.json()) as { session?: string };
    const { userId, password } = this.#me;
    await this.#ask("POST", path, { ...body, auth: { type: "m.login.password", identifier: { type: "m.id.user", user: userId }, password, session } });
  }

  // Beginning and end.

  async open(login: Login, options: ClientOptions): Promise<void> {
    this.#login = login;
    this.#options = options;
    await this.#olm.init({ locateFile: () => "/olm/olm.wasm" });
    const kept = localStorage.getItem(this.#place);
    if (kept !== null) this.#kept = JSON.parse(kept) as Kept;
    if (options.kind === "libolm") {
      this.#account = new this.#olm.Account();
      if (kept === null) this.#account.create();
      else this.#account.unpickle(pickleKey, this.#kept.account);
    }
    this.#ks = (await import("/dist/index.js" as string)) as Package;
    if (options.kind === "fetch") await this.#ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
    const { userId, deviceId, baseUrl, accessToken } = login;
    this.#machine = await this.#ks.OlmMachine.open({
      userId, deviceId, store: { name: `knownsender ${userId} ${deviceId}` },
      ...(this.#account === undefined ? {} : { identityKeys: JSON.parse(this.#account.identity_keys()) as IdentityKeys }),
      http: {
        fetch: async ({ path, ...init }) => {
          if (path.endsWith("/keys/query")) await this.#held;
          return fetch(baseUrl + path, { ...init, headers: { ...init.headers, authorization: `Bearer ${accessToken}` } });
        },
      },
    });
    if (this.#account !== undefined && kept === null) await this.#uploadKeys();
    if (this.#account === undefined) await until("the server has our keys", async () => {
      const { device_keys: devices } = (await this.#ask("POST", "/keys/query", { device_keys: { [userId]: [deviceId] } })) as { device_keys?: Record<string, Record<string, JsonObject>> };
      return devices?.[userId]?.[deviceId];
    });
  }

  get #place(): string {
    return `kept ${this.#me.userId} ${this.#me.deviceId}`;
  }

  #keep(): void {
    if (this.#account !== undefined) this.#kept.account = this.#account.pickle(pickleKey);
    localStorage.setItem(this.#place, JSON.stringify(this.#kept));
  }

  async #uploadKeys(): Promise<void> {
    const { userId, deviceId } = this.#me;
    const account = this.#olmAccount;
    const sign = (object: JsonObject): JsonObject => ({ ...object, signatures: { [userId]: { [`ed25519:${deviceId}`]: account.sign(canonical(object)) } } });
    account.generate_one_time_keys(50);
    const oneTime = (JSON.parse(account.one_time_keys()) as { curve25519: Record<string, string> }).curve25519;
    await this.#ask("POST", "/keys/upload", {
      device_keys: sign(this.#deviceKeys()),
      one_time_keys: Object.fromEntries(Object.entries(oneTime).map(([id, key]) => [`signed_curve25519:${id}`, sign({ key })])),
    });
    account.mark_keys_as_published();
    this.#keep();
  }

  #deviceKeys(): JsonObject {
    const { userId, deviceId } = this.#me;
    const keys = this.machine.identityKeys;
    return { user_id: userId, device_id: deviceId, algorithms: [olmAlgorithm, megolm], keys: { [`curve25519:${deviceId}`]: keys.curve25519, [`ed25519:${deviceId}`]: keys.ed25519 } };
  }

  async close(): Promise<void> {
    this.holdQueriesNow(false);
    await this.machine.close();
    this.#machine = undefined;
  }

  async join(roomId: string): Promise<void> {
    await this.#ask("POST", `/join/${encodeURIComponent(roomId)}`, {});
    await this.#sync();
  }

  // The sync loop, a turn at a time.

  catchUp(): Promise<void> {
    return this.#sync();
  }

  async #sync(patience = 0): Promise<void> {
    const since = this.#kept.since === "" ? "" : `&since=${encodeURIComponent(this.#kept.since)}`;
    const answer = (await this.#ask("GET", `/sync?timeout=${patience}${since}`)) as unknown as Sync;
    const receipts = await (this.#account === undefined ? this.#handOver(answer) : this.#decryptAndHandOver(answer));
    for (const receipt of receipts) {
      if (!receipt.accepted) throw new Error(`A room key was refused: ${JSON.stringify(receipt.refusal)}`);
      this.#receipts.set(receipt.sessionId, receipt);
    }
    for (const [roomId, { timeline, state }] of Object.entries(answer.rooms?.join ?? {})) {
      const members: string[] = [];
      for (const event of [...(state?.events ?? []), ...(timeline?.events ?? [])]) {
        if (event.type === "m.room.encrypted") this.#kept.events[`${roomId} ${String(event["event_id"])}`] = event;
        if (event.type === "m.room.member" && event.content["membership"] === "join") members.push(String(event["state_key"]));
      }
      if (this.#options.follow) await this.machine.updateTrackedUsers(members);
    }
    this.#kept.since = answer.next_batch;
    this.#keep();
  }

  /** To a machine with an account of its own: everything as it is. */
  async #handOver(answer: Sync): Promise<RoomKeyReceipt[]> {
    const { device_one_time_keys_count: oneTimeKeyCounts, device_unused_fallback_key_types: unusedFallbackKeys } = answer;
    const { events } = await this.machine.receiveSyncChanges({
      toDeviceEvents: answer.to_device?.events ?? [],
      deviceLists: answer.device_lists ?? {},
      ...(oneTimeKeyCounts === undefined ? {} : { oneTimeKeyCounts }),
      ...(unusedFallbackKeys === undefined ? {} : { unusedFallbackKeys }),
    });
    return events.flatMap((event) => {
      if (event.type === "room_key") return [event.receipt];
      if ("refusal" in event) throw new Error(`A to-device event was refused: ${JSON.stringify(event.refusal)}`);
      return [];
    });
  }

  /** To a machine without one: room keys as libolm decrypts them. */
  async #decryptAndHandOver(answer: Sync): Promise<readonly RoomKeyReceipt[]> {
    await this.machine.receiveDeviceLists(answer.device_lists ?? {});
    const keys: DecryptedOlmEvent[] = [];
    const withheld: Event[] = [];
    for (const event of answer.to_device?.events ?? []) {
      if (event.type === "m.room.encrypted") {
        const decrypted = this.#decryptOlm(event);
        if (decrypted !== undefined && (JSON.parse(decrypted.payload as string) as Event).type === "m.room_key") keys.push(decrypted);
      } else if (event.type === "m.room_key.withheld") withheld.push(event);
    }
    const { receipts, stored } = this.machine.receiveRoomKeys(keys);
    await stored;
    for (const refusal of await this.machine.receiveRoomKeysWithheld(withheld)) if (refusal !== null) throw new Error(`A withheld notice was refused: ${refusal.code}`);
    return receipts;
  }

  #decryptOlm({ sender, content }: Event): DecryptedOlmEvent | undefined {
    const keys = JSON.parse(this.#olmAccount.identity_keys()) as { curve25519: string };
    const { sender_key: senderKey, ciphertext } = content as { sender_key?: string; ciphertext?: Record<string, { type: 0 | 1; body: string }> };
    const message = ciphertext?.[keys.curve25519];
    if (senderKey === undefined || message === undefined) return undefined;
    const pickles = (this.#kept.sessions[senderKey] ??= []);
    const session = new this.#olm.Session();
    try {
      for (const [place, pickle] of pickles.entries()) {
        session.unpickle(pickleKey, pickle);
        if (message.type === 0 && !session.matches_inbound_from(senderKey, message.body)) continue;
        let payload: string;
        try {
          payload = session.decrypt(message.type, message.body);
        } catch (thrown) {
          if (message.type === 0) throw thrown;
          continue; // another session's
        }
        pickles[place] = session.pickle(pickleKey);
        return { sender, senderKey, payload };
      }
      if (message.type !== 0) throw new Error("An Olm message of no session that is here.");
      session.create_inbound_from(this.#olmAccount, senderKey, message.body);
      this.#olmAccount.remove_one_time_keys(session);
      const payload = session.decrypt(message.type, message.body);
      pickles.push(session.pickle(pickleKey));
      return { sender, senderKey, payload };
    } finally {
      session.free();
    }
  }

  // Identities.

  async crossSign(): Promise<void> {
    const { userId, deviceId } = this.#me;
    const pair = (): { key: InstanceType<Libolm["PkSigning"]>; public: string } => {
      const key = new this.#olm.PkSigning();
      return { key, public: key.init_with_seed(crypto.getRandomValues(new Uint8Array(32))) };
    };
    const [master, selfSigning, userSigning] = [pair(), pair(), pair()];
    const object = (usage: string, key: string): JsonObject => ({ user_id: userId, usage: [usage], keys: { [`ed25519:${key}`]: key } });
    const signed = (by: typeof master, what: JsonObject): JsonObject => ({ ...what, signatures: { [userId]: { [`ed25519:${by.public}`]: by.key.sign(canonical(what)) } } });
    await this.#askWithPassword("/keys/device_signing/upload", {
      master_key: signed(master, object("master", master.public)),
      self_signing_key: signed(master, object("self_signing", selfSigning.public)),
      user_signing_key: signed(master, object("user_signing", userSigning.public)),
    });
    await this.#ask("POST", "/keys/signatures/upload", { [userId]: { [deviceId]: signed(selfSigning, this.#deviceKeys()) } });
    this.#userSigning = userSigning.key;
    await this.askFor(userId);
    await this.machine.trustOwnIdentity(master.public);
  }

  async verify(userId: string, masterKey: string): Promise<void> {
    await this.askFor(userId);
    if (this.machine.getIdentity(userId)?.masterKey !== masterKey) throw new Error(`${userId} has another identity.`);
    const answer = await this.#ask("POST", "/keys/query", { device_keys: { [userId]: [] } });
    const key = (answer as { master_keys?: Record<string, JsonObject> }).master_keys?.[userId];
    const own = this.machine.getIdentity(this.#me.userId);
    if (key === undefined || own === null || this.#userSigning === undefined) throw new Error("An identity is missing.");
    const mine = await this.#ask("POST", "/keys/query", { device_keys: { [this.#me.userId]: [] } });
    const userSigningKey = (mine as { user_signing_keys?: Record<string, { keys: Record<string, string> }> }).user_signing_keys?.[this.#me.userId];
    const id = Object.keys(userSigningKey?.keys ?? {})[0] ?? "";
    const { signatures: _, unsigned: __, ...bare } = key;
    await this.#ask("POST", "/keys/signatures/upload", { [userId]: { [masterKey]: { ...bare, signatures: { [this.#me.userId]: { [id]: this.#userSigning.sign(unsigned(key)) } } } } });
    await this.askFor(userId);
  }

  withdrawVerification(userId: string): Promise<void> {
    return this.machine.withdrawVerification(userId);
  }

  identity(userId: string): Promise<SeenIdentity | null> {
    const identity = this.machine.getIdentity(userId);
    if (identity === null) return Promise.resolve(null);
    const { masterKey, verification, pinViolation } = identity;
    return Promise.resolve({ masterKey, verified: verification === "Verified", wasVerified: verification !== "Unverified", changed: pinViolation || verification === "VerificationViolation" });
  }

  async askFor(userId: string): Promise<void> {
    const { id, body } = this.machine.queryKeysForUsers([userId]);
    const answer = await this.#send("POST", "/keys/query", JSON.parse(body) as JsonObject);
    await this.machine.receiveKeysQueryResponse(await answer.text(), id);
  }

  // Events.

  /** An event, once it is here. */
  #event(roomId: string, eventId: string): Promise<Event> {
    return until(`${eventId} is here`, async () => {
      const event = this.#kept.events[`${roomId} ${eventId}`];
      if (event === undefined) await this.#sync(500);
      return event;
    });
  }

  read(roomId: string, eventId: string): Promise<Shown> {
    return this.readUnder("Untrusted", roomId, eventId);
  }

  async readUnder(requirement: TrustRequirement, roomId: string, eventId: string): Promise<Shown> {
    const event = await this.#event(roomId, eventId);
    this.machine.setTrustRequirement(requirement);
    try {
      const last = Date.now() + 3000;
      return await until("its key is here", async () => {
        const shown = await this.#shown(event, roomId);
        if (shown.failure !== "no_key" || Date.now() > last) return shown;
        await this.#sync(300);
        return undefined;
      });
    } finally {
      this.machine.setTrustRequirement("Untrusted");
    }
  }

  async #shown(event: Event, roomId: string): Promise<Shown> {
    const ks = this.#ks;
    if (ks === undefined) throw new Error("The client is not open.");
    try {
      const { clearEvent, encryptionInfo: { verdict } } = await this.machine.decryptRoomEvent(event, roomId);
      const { body } = clearEvent["content"] as { body?: string };
      return { body: body ?? null, failure: null, shield: verdict.shield.color, reason: verdict.names.eventShieldReason };
    } catch (thrown) {
      if (!(thrown instanceof ks.DecryptionError)) throw thrown;
      const { code, withheld, encryptionInfo } = thrown;
      const failure = withheld === null ? code : `${code} (${withheld.code})`;
      return { body: null, failure, shield: encryptionInfo?.verdict.shield.color ?? "None", reason: encryptionInfo?.verdict.names.decryptionFailureCode ?? null };
    }
  }

  async #session(roomId: string, eventId: string): Promise<string> {
    return String((await this.#event(roomId, eventId)).content["session_id"]);
  }

  async senderData(roomId: string, eventId: string): Promise<SenderDataType | null> {
    const { copies } = await this.machine.explain(roomId, await this.#session(roomId, eventId));
    return copies[0]?.senderData.type ?? null;
  }

  async legacy(roomId: string, eventId: string): Promise<boolean> {
    const { copies } = await this.machine.explain(roomId, await this.#session(roomId, eventId));
    return copies[0]?.legacySession === true;
  }

  async lane(roomId: string, eventId: string): Promise<"fast" | "slow" | null> {
    const receipt = this.#receipts.get(await this.#session(roomId, eventId));
    return receipt?.accepted === true ? receipt.lane : null;
  }

  waiting(): Promise<boolean> {
    const { waiting, requests, slow } = this.machine.laneCounts();
    return Promise.resolve(waiting + requests + slow > 0);
  }

  holdQueriesNow(hold: boolean): void {
    this.#letGo();
    this.#held = hold ? new Promise((resolve) => (this.#letGo = resolve)) : undefined;
  }

  holdQueries(hold: boolean): Promise<void> {
    this.holdQueriesNow(hold);
    return Promise.resolve();
  }

  // Keys from elsewhere.

  async importKeys(exported: string): Promise<void> {
    const { failures } = await this.machine.importExportedRoomKeys(exported);
    if (failures.length > 0) throw new Error(`A key was not imported: ${JSON.stringify(failures[0])}`);
  }

  async restoreBackup(key: string): Promise<number> {
    const { version } = (await this.#ask("GET", "/room_keys/version")) as { version: string };
    const backup = await this.#ask("GET", `/room_keys/keys?version=${encodeURIComponent(version)}`);
    return (await this.machine.importBackedUpRoomKeys(backup, { decryptionKey: { base64: key }, backupVersion: version })).imported;
  }
}

offer(new KnownsenderClient());
