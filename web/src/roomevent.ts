// Encrypted room events where they come in. Nearly all are as events are: plain JSON, their names text, nothing encrypted nested in them. Of those the
// program is given the names alone, and what stood around what was encrypted never leaves the page. All others go to the program whole, which says what is
// wrong with them.

import { isObject, member } from "./json.js";
import type { JsonObject, JsonValue } from "./types.js";
import type { EventNames } from "./verdicts.js";

/** An event that is as events are. */
export interface OrdinaryEvent {
  readonly names: EventNames;
  /** A copy of what stands beside the type and the content. */
  readonly outside: JsonObject;
  /** What stands in the clear in its content: servers have to see what an event relates to. */
  readonly relation: JsonValue | undefined;
}

const relatesTo = "m.relates_to";

/** Reads an event by its names; undefined where anything is not as it mostly is. */
export function ordinary(event: JsonObject, names: EventNames): OrdinaryEvent | undefined {
  const { type, content, ...rest } = event;
  if (!isObject(content) || ![event, content].every(ofNoClass)) return undefined;
  const outside = plain(rest, depth);
  const stands = member(content, relatesTo);
  const relation = plain(stands, depth);
  if (!isObject(outside) || (stands !== undefined && relation === undefined)) return undefined;
  if (isObject(outside["unsigned"]) && member(outside["unsigned"], "m.relations") !== undefined) return undefined;
  return { names, outside, relation };
}

/** The event with what was encrypted in the place of what stood there: the rule of core's roomEvent.clear. */
export function clearEvent({ outside, relation }: OrdinaryEvent, inside: JsonObject): JsonObject {
  const { type, content } = inside;
  const related = relation === undefined || !isObject(content) || member(content, relatesTo) !== undefined ? content : { ...content, [relatesTo]: relation };
  return { type, content: related, ...outside } as JsonObject;
}

/** Deeper is no event that anybody sends. */
const depth = 16;

/** A copy of what JSON has a form for, where it is written as it is and read back as it was; undefined for all else. */
function plain(value: unknown, levels: number): JsonValue | undefined {
  switch (typeof value) {
    case "string":
      return /\p{Cs}/u.test(value) ? undefined : value; // a lone surrogate has no UTF-8 form
    case "number":
      return Number.isFinite(value) ? value : undefined;
    case "boolean":
      return value;
    case "object":
      if (value === null) return null;
      if (levels === 0) return undefined;
      if (Array.isArray(value)) return "toJSON" in value ? undefined : plainList(value, levels - 1);
      return ofNoClass(value) ? plainObject(value, levels - 1) : undefined;
    default:
      return undefined;
  }
}

/** Whether an object is what is in it, and has no form of its own that JSON would take. */
function ofNoClass(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && !("toJSON" in value);
}

function plainList(list: readonly unknown[], levels: number): JsonValue[] | undefined {
  const copy: JsonValue[] = [];
  for (const value of list) {
    const one = plain(value, levels);
    if (one === undefined) return undefined;
    copy.push(one);
  }
  return copy;
}

function plainObject(object: object, levels: number): JsonObject | undefined {
  const copy: Record<string, JsonValue> = {};
  for (const [name, value] of Object.entries(object)) {
    if (value === undefined) continue; // JSON has no such member
    const one = plain(value, levels);
    if (one === undefined || name === "__proto__" || plain(name, 0) === undefined) return undefined;
    copy[name] = one;
  }
  return copy;
}
