// Room events as clients hand them over: as objects, which are read by their names where they are as events are, and as text, which goes to the program whole.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../src/types.js";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");

/** A story with an object, and whether it is read by its names. */
type Case = readonly [name: string, make: (event: Record<string, unknown>) => unknown, ordinary: boolean];

test("T24, T51, T57: given a key, an event comes to the same as an object and as the text of that object, whatever else is in it", async () => {
  const [outbound, other] = [new Outbound(room), new Outbound(room)];
  const event = outbound.event(alice.userId, "$1", "hello");
  const related = other.event(alice.userId, "$2", "hello", { content: { "m.relates_to": { rel_type: "m.thread", event_id: "$inside" } } });
  await withKit(chrome, async ({ inPage }) => {
    const got = await inPage(async ({ own, items, answer, room, plain, related }) => {
      const { ordinary } = (await import("/dist/roomevent.js" as string)) as typeof import("../src/roomevent.js");
      const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
      await machine.receiveKeysQueryResponse(answer);
      await machine.receiveRoomKeys(items).stored;
      await machine.loadRoom(room);
      const inside = (member: string, value: unknown) => (event: Record<string, unknown>): unknown => ({ ...event, content: { ...(event["content"] as object), [member]: value } });
      const set = (member: string, value: unknown) => (event: Record<string, unknown>): unknown => ({ ...event, [member]: value });
      const nested = (levels: number): unknown => (levels === 0 ? 1 : [nested(levels - 1)]);
      const relation = { rel_type: "m.thread", event_id: "$outside", "m.in_reply_to": { event_id: "$before" } };
      const cases: Case[] = [
        ["as events are", (event) => event, true],
        ["its room", set("room_id", room), true],
        ["another room", set("room_id", "!other:test"), true],
        ["its age", set("unsigned", { age: 1234, transaction_id: "t" }), true],
        ["a relation", inside("m.relates_to", relation), true],
        ["a relation that is text", inside("m.relates_to", "text"), true],
        ["a relation that is null", inside("m.relates_to", null), true],
        ["members of others", set("org.example", { list: [1, 2.5, "😀", null, true, {}], empty: [] }), true],
        ["a member that is undefined", set("unsigned", undefined), true],
        ["no sender", ({ sender: _, ...event }) => event, true],
        ["a sender that is a number", set("sender", 7), true],
        ["somebody else as sender", set("sender", "@mallory:test"), true],
        ["another event with its index", set("event_id", "$replay"), true],
        ["no prototype", (event) => Object.assign(Object.create(null) as object, event), true],
        ["another algorithm", inside("algorithm", "m.megolm.v2"), true],
        ["another ciphertext", inside("ciphertext", "AAAA"), true],
        ["a ciphertext with a lone surrogate", inside("ciphertext", "\ud800"), true],
        ["another event nested in it", set("unsigned", { "m.relations": { "m.replace": plain } }), false],
        ["a lone surrogate in its id", set("event_id", "$\ud800"), false],
        ["a lone surrogate beside", set("unsigned", { x: "\ud800" }), false],
        ["a lone surrogate in a name", set("unsigned", { "\ud800": 1 }), false],
        ["no number", set("origin_server_ts", NaN), false],
        ["a date", set("origin_server_ts", new Date(0)), false],
        ["a form of its own", set("toJSON", () => plain), false],
        ["a text in a box", set("unsigned", { x: new String("text") }), false],
        ["bytes", set("unsigned", { x: new Uint8Array(2) }), false],
        ["a map", set("unsigned", new Map([["age", 1]])), false],
        ["of a class with a form of its own", (event) => Object.assign(Object.create({ toJSON: () => plain }) as object, event), false],
        ["a content of a class with a form of its own", (event) => ({ ...event, content: Object.assign(Object.create({ toJSON: () => plain["content"] }) as object, event["content"]) }), false],
        ["a bigint", set("origin_server_ts", 1n), false],
        ["a hole", set("unsigned", { list: [undefined] }), false],
        ["many levels", set("unsigned", nested(40)), false],
        ["too many levels", set("unsigned", nested(1000)), false],
        ["__proto__", (event) => JSON.parse(JSON.stringify(event).replace("{", '{"__proto__": {"polluted": "yes"}, ')) as unknown, false],
        ["a getter that throws", (event) => Object.defineProperty({ ...event }, "unsigned", { enumerable: true, get: () => { throw new Error("as told"); } }), false],
      ];
      const ends: { name: string; ordinary: boolean; object: string; text: string }[] = [];
      const told = async (event: JsonObject | string): Promise<string> => {
        try {
          const { clearEvent, messageIndex, encryptionInfo, unsigned } = await machine.decryptRoomEvent(event, room);
          return JSON.stringify([clearEvent, messageIndex, encryptionInfo, unsigned]);
        } catch (thrown) {
          const { name, code, expected, got, reason } = thrown as Record<string, unknown>;
          return JSON.stringify([name, code, reason, code === "bad_event" ? null : [expected, got]]);
        }
      };
      for (const [name, make] of cases) {
        for (const [of, event] of [["", plain], [", and a relation inside", related]] as const) {
          const made = make(event) as JsonObject;
          let text = "";
          try {
            text = JSON.stringify(made);
          } catch {
            // it has no text: nothing to compare it with
          }
          let byNames = false;
          try {
            byNames = ordinary(made, { roomId: room, sessionId: "", sender: "", eventId: "", ciphertext: "" }) !== undefined;
          } catch {
            // not as events are
          }
          const object = await told(made);
          ends.push({ name: `${name}${of}`, ordinary: byNames, object, text: text === "" ? object : await told(text) });
        }
      }
      const shared = { ...plain, unsigned: { age: 1 } };
      const { clearEvent } = await machine.decryptRoomEvent(shared, room);
      await machine.close();
      const polluted = ({} as Record<string, unknown>)["polluted"];
      return { ends, wanted: cases.flatMap(([, , ordinary]) => [ordinary, ordinary]), copied: clearEvent["unsigned"] !== shared.unsigned, polluted: String(polluted) };
    }, { own: me.own, items: [outbound.item(alice, me), other.item(alice, me)], answer: keysQueryAnswer([alice]), room, plain: event as JsonObject, related: related as JsonObject });
    for (const { name, object, text } of got.ends) assert.equal(object, text, name);
    assert.deepEqual(got.ends.map(({ name, ordinary }) => [name, ordinary]), got.ends.map(({ name }, i) => [name, got.wanted[i]]), "which are read by their names");
    const end = (name: string): unknown[] => JSON.parse(got.ends.find((one) => one.name === name)?.object ?? "[]") as unknown[];
    const content = (name: string): unknown => (end(name)[0] as { content: { [name: string]: unknown } }).content["m.relates_to"];
    assert.deepEqual([content("a relation"), content("a relation, and a relation inside")], [{ rel_type: "m.thread", event_id: "$outside", "m.in_reply_to": { event_id: "$before" } }, { rel_type: "m.thread", event_id: "$inside" }]);
    assert.deepEqual(["another room", "another event with its index", "a lone surrogate in its id", "too many levels", "a bigint"].map((name) => end(name)[1]), ["bad_event", "replayed", "bad_event", "bad_event", "bad_json"]);
    assert.deepEqual([got.copied, got.polluted], [true, "undefined"]);
  });
});
