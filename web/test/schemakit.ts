// A client's life with a database, told so that any version of the package can live it, and what is in the database afterwards as JSON. With these the dumps
// of web/test/schemas are made (schemas/dump.mjs) and read (schemas.test.ts).

import type { JsonObject } from "../src/index.js";
import { BackupVault, keysQueryAnswer, olmItem, Outbound, Person, type Json } from "./people.js";

/** A database with everything in it. Bytes are { bytes: base64 }, bigints { bigint: decimal }. */
export interface Dump {
  readonly version: number;
  readonly stores: Readonly<Record<string, { readonly keyPath: Json; readonly indexes: readonly { readonly name: string; readonly keyPath: string | string[]; readonly multiEntry: boolean }[]; readonly rows: readonly Json[] }>>;
}

/** What the client was told, in the order it was told. */
export interface Life {
  readonly own: Person["own"];
  readonly first: string;
  readonly master: string;
  readonly keys: readonly ReturnType<Outbound["item"]>[];
  readonly imported: readonly JsonObject[];
  readonly notice: JsonObject;
  readonly backup: string;
  /** Events that were decrypted, the same served again under another id, and one whose key is withheld. */
  readonly events: readonly JsonObject[];
  /** An answer that comes after the upgrade: the stranger's. */
  readonly late: string;
}

const room = "!room:test";

/** People and keys for a life: a sender of every kind, a forgery, a claim, a notice. */
export function newLife(): Life {
  const me = new Person("@me:test", "MINE", "yes");
  const [alice, bob, mallory] = [new Person("@alice:test", "ALICE", "yes"), new Person("@bob:test", "BOB", "yes"), new Person("@mallory:test", "MALLORY", "yes")];
  const [carol, stranger] = [new Person("@carol:test", "CAROL"), new Person("@stranger:test", "STRANGE", "yes")];
  if (me.identity === undefined) throw new Error("we have no identity");
  alice.identity?.signedBy.push({ user: me.userId, key: me.identity.userSigning });
  const first = keysQueryAnswer([me, alice, bob, carol, mallory]);
  mallory.crossSigned = "wrong";
  const sent = ([[alice, true], [bob, true], [carol, false], [stranger, false], [mallory, true]] as const).map(([who, embed]) => ({ who, session: new Outbound(room), embed }));
  const [file, missing] = [new Outbound(room), new Outbound(room)];
  const events = [
    ...sent.map(({ who, session }, i) => session.event(who.userId, `$${i}`, `message ${i}`)), file.event(alice.userId, "$file", "of a file"),
    { ...(sent[0]?.session.event(alice.userId, "$again", "again") ?? {}) }, missing.event(alice.userId, "$missing", "nobody has this key"),
  ];
  return {
    own: me.own, first, master: me.identity.master.public, late: keysQueryAnswer([stranger]), backup: new BackupVault().public,
    keys: sent.map(({ who, session, embed }) => olmItem(who, session.payload(who, me, { embed }))), imported: [file.exported(alice) as JsonObject], events: events as JsonObject[],
    notice: { type: "m.room_key.withheld", sender: alice.userId, content: { algorithm: "m.megolm.v1.aes-sha2", code: "m.unverified", reason: "no", room_id: room, session_id: missing.sessionId, sender_key: alice.curve25519 } },
  };
}

/** In a page, with the package of a URL: lives the life in the database of that name. */
export async function live({ url, name, life }: { url: string; name: string; life: Life }): Promise<void> {
  const ks = (await import(url)) as typeof import("../src/index.js");
  const machine = await ks.OlmMachine.open({ ...life.own, store: { name } });
  await machine.receiveKeysQueryResponse(life.first);
  await machine.trustOwnIdentity(life.master);
  await machine.receiveRoomKeys(life.keys).stored;
  await machine.receiveRoomKeysWithheld([life.notice]);
  if ("importExportedRoomKeys" in machine) await later(machine);
  await machine.close();

  // What the package of the first schema could not do yet.
  async function later(machine: import("../src/index.js").OlmMachine): Promise<void> {
    await machine.importExportedRoomKeys(life.imported);
    await machine.requestRoomKey("!room:test", String((life.events.at(-1)?.["content"] as JsonObject)["session_id"]));
    await machine.enableBackupV1(life.backup, "7");
    const upload = await machine.backupRoomKeys();
    if (upload !== null) await machine.markRoomKeysAsBackedUp(upload.id);
  }
}

/** In a page: what a machine says of the life that a database has seen. */
export async function recall({ url, name, life }: { url: string; name: string; life: Life }): Promise<string[]> {
  const ks = (await import(url)) as typeof import("../src/index.js");
  const machine = await ks.OlmMachine.open({ ...life.own, store: { name } });
  const told: string[] = [];
  machine.registerStoreReportCallback(({ code, message }) => void (code.startsWith("persistence") || told.push(`${code}: ${message}`)));
  for (const event of life.events) {
    const session = String((event["content"] as JsonObject)["session_id"]);
    for (const policy of ["Untrusted", "Verified"] as const) {
      machine.setTrustRequirement(policy);
      told.push(await machine.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo.verdict.state, (thrown: { code: string }) => thrown.code));
    }
    const { copies, tombstones, withheld } = await machine.explain("!room:test", session);
    const kept = copies.map(({ provenance, senderData, atReception, firstKnownIndex, legacySession, suspended, receivedAt }) => [provenance, senderData, atReception, firstKnownIndex, legacySession, suspended, receivedAt]);
    told.push(JSON.stringify([kept, tombstones.map(({ sentence, ...rest }) => (void sentence, rest)), withheld]));
  }
  told.push(JSON.stringify([await machine.roomKeyCounts(), "getBackup" in machine ? await machine.getBackup() : null]));
  for (const user of ["@me:test", "@alice:test", "@bob:test", "@mallory:test", "@carol:test"]) told.push(JSON.stringify([user, machine.getIdentity(user)]));
  await machine.close();
  return told;
}

/** In a page: everything in a database. */
export async function dumped(name: string): Promise<Dump> {
  const done = <T>(request: IDBRequest<T>): Promise<T> => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("no reason"));
  });
  const plain = (value: unknown): Json => {
    if (value instanceof Uint8Array) return { bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join("")) };
    if (typeof value === "bigint") return { bigint: String(value) };
    if (Array.isArray(value)) return value.map(plain);
    if (typeof value === "object" && value !== null) return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
    return value as Json;
  };
  const database = await done(indexedDB.open(name));
  const stores: Record<string, Dump["stores"][string]> = {};
  for (const store of database.objectStoreNames) {
    const table = database.transaction(store).objectStore(store);
    const indexes = [...table.indexNames].map((index) => ({ name: index, keyPath: table.index(index).keyPath, multiEntry: table.index(index).multiEntry }));
    stores[store] = { keyPath: table.keyPath as Json, indexes, rows: (await done(table.getAll())).map(plain) };
  }
  database.close();
  return { version: database.version, stores };
}

/** In a page: a database as it was. */
export async function restored({ name, dump }: { name: string; dump: Dump }): Promise<void> {
  const real = (value: Json): unknown => {
    if (Array.isArray(value)) return value.map(real);
    if (typeof value !== "object" || value === null) return value;
    if (typeof value["bytes"] === "string" && Object.keys(value).length === 1) return Uint8Array.from(atob(value["bytes"]), (character) => character.charCodeAt(0));
    if (typeof value["bigint"] === "string" && Object.keys(value).length === 1) return BigInt(value["bigint"]);
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, real(inner)]));
  };
  const request = indexedDB.open(name, dump.version);
  await new Promise<void>((resolve, reject) => {
    request.onupgradeneeded = () => {
      for (const [store, { keyPath, indexes, rows }] of Object.entries(dump.stores)) {
        const table = request.result.createObjectStore(store, { keyPath: keyPath as string });
        for (const index of indexes) table.createIndex(index.name, index.keyPath, { multiEntry: index.multiEntry });
        for (const row of rows) table.put(real(row));
      }
    };
    request.onsuccess = () => resolve();
    request.onerror = () => reject(request.error ?? new Error("no reason"));
  });
  request.result.close();
}
