// What a /sync answer says to a device's crypto, taken from the answer as it came. The rule: the SDK sees an answer, and with it the next sync
// token, when everything in it is on disk. Where that fails the request fails, and the SDK asks for the same again.
//
// The answer itself goes on unchanged. The SDK tells its listeners of to-device events as they came, encrypted, and goes on asking without a pause
// while there are any; what was inside is told beside them.

import { isObject, member } from "../../json.js";
import type { OlmMachine } from "../../machine.js";
import type { JsonObject, JsonValue, SyncReception } from "../../types.js";

/** What came of one answer: the to-device events in it, and what became of each. */
export interface SyncTaken {
  readonly toDeviceEvents: readonly JsonValue[];
  readonly reception: SyncReception;
}

/** Wraps a client's fetch. `taken` is told when everything is on disk, before the SDK sees the answer. */
export function takeSyncs(machine: OlmMachine, taken: (sync: SyncTaken) => void): (send: typeof globalThis.fetch) => typeof globalThis.fetch {
  return (send) => async (resource, options) => {
    const response = await send(resource, options);
    const { pathname, searchParams } = new URL(resource instanceof Request ? resource.url : resource);
    if (!response.ok || !pathname.endsWith("/_matrix/client/v3/sync")) return response;
    const answer = await parsed(response.clone());
    if (answer !== undefined) taken(await take(machine, answer, searchParams.has("since")));
    return response;
  };
}

/** A JSON object; undefined for anything else, which the SDK has its own way with. */
async function parsed(response: Response): Promise<JsonObject | undefined> {
  try {
    const answer: unknown = await response.json();
    return isObject(answer) ? answer : undefined;
  } catch {
    return undefined;
  }
}

async function take(machine: OlmMachine, answer: JsonObject, incremental: boolean): Promise<SyncTaken> {
  const toDeviceEvents = list(object(answer, "to_device"), "events");
  const lists = object(answer, "device_lists");
  const counts = member(answer, "device_one_time_keys_count");
  const unused = member(answer, "device_unused_fallback_key_types");
  const reception = await machine.receiveSyncChanges({
    // Nothing in a to-device event is signed but what is encrypted in it, so that written anew it is as good as it came.
    toDeviceEvents: toDeviceEvents.map((event) => JSON.stringify(event)),
    deviceLists: { changed: texts(list(lists, "changed")), left: texts(list(lists, "left")) },
    ...(isObject(counts) ? { oneTimeKeyCounts: numbers(counts) } : {}),
    ...(Array.isArray(unused) ? { unusedFallbackKeys: texts(unused) } : {}),
  });
  // A sync from the beginning names no changed devices: any may have changed since the last one.
  if (!incremental) await machine.markAllTrackedUsersAsDirty();
  return { toDeviceEvents, reception };
}

function object(from: JsonObject, name: string): JsonObject {
  const value = member(from, name);
  return isObject(value) ? value : {};
}

function list(from: JsonObject, name: string): JsonValue[] {
  const value = member(from, name);
  return Array.isArray(value) ? value : [];
}

function texts(values: readonly JsonValue[]): string[] {
  return values.filter((value) => typeof value === "string");
}

function numbers(counts: JsonObject): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).filter((entry): entry is [string, number] => typeof entry[1] === "number"));
}
