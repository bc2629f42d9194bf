// JSON on its way in and out. Values of the host are turned into text once and never copied member by member: a member called `__proto__` is
// text like any other, all the way to the strict parser behind the door. What the program answers is parsed once and handed on as it is.

import { KnownSenderError, textOf } from "./errors.js";
import type { JsonObject, JsonValue } from "./types.js";

/** Reads what the program wrote. The program is ours: its shapes are those of types.ts, and tests hold the two together. */
export function parse<T>(json: string): T {
  return JSON.parse(json) as T;
}

/**
 * JSON text of what a host gave: text as it is, an object as JSON.stringify writes it. Throws a KnownSenderError `bad_json` for what has no
 * JSON form (a cycle, a bigint, undefined, a getter that throws).
 */
export function jsonText(value: string | JsonObject): string {
  if (typeof value === "string") return value;
  let text: unknown;
  try {
    text = JSON.stringify(value);
  } catch (thrown) {
    throw new KnownSenderError("bad_json", `The value has no JSON form: ${textOf(thrown)}`, { cause: thrown });
  }
  if (typeof text !== "string") throw new KnownSenderError("bad_json", "The value has no JSON form.", { expected: "JSON text or an object", got: typeof value });
  return text;
}

/** A member of an object, of its own: what somebody added to Object.prototype is not a member of any event. */
export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
