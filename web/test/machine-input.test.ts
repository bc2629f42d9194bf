// Bad input at the edge of the machine: each member of each thing, dropped, of the wrong type, null and huge. What is bad is refused at its
// position under a stable code; what is beside it is received as if nothing had happened; what was stored before is as it was.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RoomKeyReceipt } from "../src/types.js";
import { useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";
const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");

const huge = "A".repeat(100_000);

/** The four ways to spoil each member, at any depth, of an object. */
function* spoiled(object: object, path: readonly string[] = []): Generator<{ name: string; make: () => object }> {
  for (const name of Object.keys(object)) {
    const place = [...path, name];
    const change = (value: unknown): object => {
      const copy = structuredClone(object) as Record<string, unknown>;
      if (value === undefined) delete copy[name];
      else copy[name] = value;
      return copy;
    };
    const value = (object as Record<string, unknown>)[name];
    for (const [how, bad] of [["dropped", undefined], ["null", null], ["a number", 7], ["a list", [value]], ["huge", huge]] as const) {
      yield { name: `${place.join(".")} ${how}`, make: () => change(bad) };
    }
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      for (const inner of spoiled(value, place)) yield { name: inner.name, make: () => change(inner.make()) };
    }
  }
}

/** Members whose loss or change is no fault: nothing depends on them, or the key is known to be received without them. */
const harmless = [
  /^sender_device_keys dropped$/, // the client of the sender does not embed its device
  /^content\.session_id dropped$/, // derived from the session key
];

describe("receiveRoomKeys", () => {
  test("every member of the payload, spoiled in five ways, is refused by name and costs only itself", async (t) => {
    const outbound = new Outbound(room);
    const good = outbound.payload(alice, me);
    const cases: { name: string; payload: string }[] = [];
    for (const { name, make } of spoiled(good)) {
      // A cross-signature by somebody unknown is no fault of the key's.
      if (name.includes(alice.identity?.selfSigning.label ?? "none") || harmless.some((one) => one.test(name))) continue;
      cases.push({ name, payload: JSON.stringify(make()) });
    }
    assert.ok(cases.length > 100, String(cases.length));
    const before = new Outbound(room).item(alice, me);
    const first = new Outbound(room).item(alice, me);
    const last = new Outbound(room).item(alice, me);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, sender, senderKey, before, first, last, cases, answer }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "bad" } });
        await machine.receiveKeysQueryResponse(answer);
        await machine.receiveRoomKeys([before]).stored;
        const stored = await kit.dump("bad");
        const alone = machine.receiveRoomKeys(cases.map(({ payload }) => ({ sender, senderKey, payload })));
        await alone.stored;
        const after = await kit.dump("bad");
        const between = machine.receiveRoomKeys([first, ...cases.map(({ payload }) => ({ sender, senderKey, payload })), last]);
        await between.stored;
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { same: stored === after, receipts: alone.receipts, ends: [between.receipts[0], between.receipts.at(-1)], total };
      }, { own: me.own, sender: alice.userId, senderKey: alice.curve25519, before, first, last, cases, answer: keysQueryAnswer([alice]) });

      const codes = new Map<string, number>();
      cases.forEach(({ name }, i) => {
        const receipt = got.receipts[i];
        assert.ok(receipt !== undefined && !receipt.accepted, `${name} was accepted`);
        assert.match(receipt.refusal.code, /^[a-z0-9_]+$/, name);
        assert.notEqual(receipt.refusal.code, "internal", name);
        assert.ok(receipt.refusal.message.length < 400, `${name}: the message is as huge as the input`);
        codes.set(receipt.refusal.code, (codes.get(receipt.refusal.code) ?? 0) + 1);
      });
      assert.ok(got.same, "the store is byte-equal to before");
      assert.deepEqual(got.ends.map((receipt) => receipt?.accepted), [true, true]);
      assert.equal(got.total, 3);
      t.diagnostic([...codes].map(([code, count]) => `${code} ${count}`).join(", "));
    });
  });

  test("items that are no items are refused at their positions", async () => {
    const good = new Outbound(room).item(alice, me);
    const other = new Outbound(room).item(alice, me);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, good, other }) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { memory: true } });
        const cycle: Record<string, unknown> = {};
        cycle["me"] = cycle;
        const trap = { get sender(): string { throw new Error("a trap"); }, senderKey: "", payload: "" };
        const inherited: unknown = Object.create(good);
        const bad: [name: string, item: unknown][] = [
          ["null", null], ["undefined", undefined], ["a number", 7], ["text", "text"], ["a list", []], ["nothing in it", {}], ["a trap", trap], ["inherited", inherited],
          ["no sender", { ...good, sender: undefined }], ["sender null", { ...good, sender: null }], ["sender of 100 kB", { ...good, sender: `@${"a".repeat(100_000)}:test` }], ["not a user", { ...good, sender: "charlie" }], ["NUL", { ...good, sender: "@a\0:test" }], ["a lone surrogate", { ...good, sender: "@\ud800:test" }],
          ["no sender key", { ...good, senderKey: undefined }], ["sender key of zeros", { ...good, senderKey: "A".repeat(43) }], ["sender key padded", { ...good, senderKey: `${good.senderKey}=` }], ["sender key a list", { ...good, senderKey: [good.senderKey] }],
          ["no payload", { ...good, payload: undefined }], ["payload null", { ...good, payload: null }], ["payload a list", { ...good, payload: [good.payload] }], ["payload a cycle", { ...good, payload: cycle }], ["payload a bigint", { ...good, payload: { a: 1n } }], ["payload empty", { ...good, payload: "" }], ["payload not JSON", { ...good, payload: "{" }], ["payload with a BOM", { ...good, payload: `\ufeff${good.payload}` }], ["payload of 5 MB", { ...good, payload: JSON.stringify({ a: "A".repeat(5_000_000) }) }], ["payload nested deeply", { ...good, payload: `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}` }],
        ];
        const items = [good, ...bad.map(([, item]) => item), { ...other, payload: JSON.parse(other.payload) as object }];
        const { receipts } = machine.receiveRoomKeys(items as Parameters<typeof machine.receiveRoomKeys>[0]);
        const list = await kit.failure(() => machine.receiveRoomKeys(null as never));
        const none = machine.receiveRoomKeys([]);
        await none.stored;
        const { total } = await machine.roomKeyCounts();
        await machine.close();
        return { names: bad.map(([name]) => name), receipts, list, none: none.receipts, settled: await none.settled, total };
      }, { own: me.own, good, other });

      const refusal = (receipt: RoomKeyReceipt | undefined): string => (receipt === undefined || receipt.accepted ? "accepted" : receipt.refusal.code);
      assert.equal(got.receipts.length, got.names.length + 2);
      const codes = Object.fromEntries(got.names.map((name, i) => [name, refusal(got.receipts[i + 1])]));
      assert.deepEqual(codes, {
        null: "bad_sender", undefined: "bad_sender", "a number": "bad_sender", text: "bad_sender", "a list": "bad_sender", "nothing in it": "bad_sender", "a trap": "bad_sender", inherited: "bad_sender",
        "no sender": "bad_sender", "sender null": "bad_sender", "sender of 100 kB": "bad_sender", "not a user": "bad_sender", NUL: "bad_sender", "a lone surrogate": codes["a lone surrogate"],
        "no sender key": "bad_sender_key", "sender key of zeros": "bad_sender_key", "sender key padded": "bad_sender_key", "sender key a list": "bad_sender_key",
        "no payload": "bad_payload", "payload null": "bad_payload", "payload a list": "bad_payload", "payload a cycle": "bad_payload", "payload a bigint": "bad_payload", "payload empty": "bad_payload", "payload not JSON": "bad_payload", "payload with a BOM": "bad_payload", "payload of 5 MB": "bad_payload", "payload nested deeply": "bad_payload",
      });
      // A lone surrogate has no UTF-8 form: it arrives as U+FFFD, which is another user than the payload's.
      assert.ok(["bad_sender", "sender_mismatch"].includes(codes["a lone surrogate"] ?? ""));
      assert.deepEqual([refusal(got.receipts[0]), refusal(got.receipts.at(-1))], ["accepted", "accepted"], "the first and the last are good");
      assert.equal(got.list.code, "bad_request");
      assert.deepEqual([got.none, got.settled, got.total], [[], [], 2]);
    });
  });

  test("T51: names that mean something to JavaScript mean nothing here", async () => {
    const outbound = new Outbound(room);
    const payload = outbound.payload(alice, me);
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, payload, event }) => {
        const { ks } = kit;
        const machine = await ks.OlmMachine.open({ ...own, store: { memory: true } });
        const evil = '"__proto__": {"polluted": "yes", "sender": "@mallory:test"}, "constructor": {"prototype": {"polluted": "yes"}}';
        const text = JSON.stringify(payload).replace("{", `{${evil}, `);
        const { receipts } = machine.receiveRoomKeys([
          { ...item, payload: text },
          JSON.parse(JSON.stringify({ senderKey: item.senderKey, payload: item.payload }).replace("{", '{"__proto__": {"sender": "@alice:test"}, ')) as never,
        ]);
        const answer = await kit.failure(() => machine.receiveKeysQueryResponse(`{"device_keys": {"__proto__": {"__proto__": {}}, "@constructor:test": {"constructor": {}}}, ${evil}}`));
        const decrypted = await machine.decryptRoomEvent(JSON.stringify(event).replace("{", '{"__proto__": {"polluted": "yes"}, '), event.room);
        // A page whose Object.prototype was added to gives nothing away to an event that lacks the member.
        Object.defineProperty(Object.prototype, "event_id", { value: "$inherited", configurable: true });
        const { event_id: _, ...nameless } = event as Record<string, unknown>;
        const inherited = await kit.failure(() => machine.getRoomEventEncryptionInfo(nameless as never, event.room));
        Reflect.deleteProperty(Object.prototype, "event_id");
        const proto = await kit.failure(() => machine.getRoomEventEncryptionInfo(JSON.parse(JSON.stringify(nameless).replace("{", '{"__proto__": {"event_id": "$x"}, ')) as never, event.room));
        const plain: Record<string, unknown> = {};
        await machine.close();
        return {
          accepted: receipts.map((receipt) => (receipt.accepted ? "accepted" : receipt.refusal.code)), answer: answer.name, inherited: inherited.code, proto: proto.code, body: kit.body(decrypted),
          polluted: [plain["polluted"], plain["sender"], (decrypted.clearEvent as Record<string, unknown>)["polluted"]].map(String), own: Object.keys(decrypted.clearEvent).includes("__proto__"),
        };
      }, { own: me.own, item: outbound.item(alice, me), payload, event: { ...outbound.event("@alice:test", "$1", "hello"), room } });
      assert.deepEqual(got, { accepted: ["accepted", "bad_sender"], answer: "", inherited: "bad_event", proto: "bad_event", body: "hello", polluted: ["undefined", "undefined", "undefined"], own: true });
    });
  });
});

describe("room events", () => {
  test("every member of the event, spoiled in five ways, is a typed error and stores nothing", async () => {
    const outbound = new Outbound(room);
    const event = outbound.event(alice.userId, "$1", "hello");
    const cases = [...spoiled(event)].map(({ name, make }) => ({ name, event: JSON.stringify(make()) }));
    for (const [name, text] of [["not JSON", "{"], ["null", "null"], ["text", '"text"'], ["a list", "[]"], ["empty", ""], ["another room", JSON.stringify({ ...event, room_id: "!other:test" })]] as const) cases.push({ name, event: text });
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, item, room, cases }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "events" } });
        await machine.receiveRoomKeys([item]).stored;
        const before = await kit.dump("events");
        const ends: { name: string; decrypt: Awaited<ReturnType<typeof kit.failure>>; info: Awaited<ReturnType<typeof kit.failure>> }[] = [];
        for (const { name, event } of cases) {
          if (name.startsWith("origin_server_ts")) continue; // nothing depends on it
          ends.push({ name, decrypt: await kit.failure(() => machine.decryptRoomEvent(event, room)), info: await kit.failure(() => machine.getRoomEventEncryptionInfo(event, room)) });
        }
        const badRoom = await kit.failure(() => machine.decryptRoomEvent("{}", "room"));
        const after = await kit.dump("events");
        await machine.close();
        return { ends, same: before === after, badRoom: badRoom.code };
      }, { own: me.own, item: outbound.item(alice, me), room, cases });
      for (const { name, decrypt, info } of got.ends) {
        const sender = name.startsWith("sender ");
        assert.equal(decrypt.name, "DecryptionError", name);
        if (sender) {
          // T57: an event of nobody's is withheld under every policy, and asking about it is no error.
          assert.deepEqual([decrypt.code, info.name], ["bad_sender", ""], name);
          continue;
        }
        assert.match(decrypt.code, /^(bad_event|unable_to_decrypt|no_key)$/, name);
        if (name === "content.session_id huge") assert.equal(decrypt.code, "bad_event");
        assert.ok(info.name === "DecryptionError" || decrypt.code === "no_key", `${name}: ${info.name}`);
        assert.ok(decrypt.message.length < 400, name);
      }
      assert.ok(got.same, "the store is byte-equal to before");
      assert.equal(got.badRoom, "bad_room_id");
    });
  });
});

describe("people", () => {
  test("what is no answer to /keys/query, no user and no key is a typed error", async () => {
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async (own) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        const cycle: Record<string, unknown> = {};
        cycle["me"] = cycle;
        const ends = [
          await kit.failure(() => machine.receiveKeysQueryResponse("[]")),
          await kit.failure(() => machine.receiveKeysQueryResponse("{")),
          await kit.failure(() => machine.receiveKeysQueryResponse(cycle as never)),
          await kit.failure(() => machine.receiveKeysQueryResponse(null as never)),
          await kit.failure(() => machine.receiveKeysQueryResponse("{}", "none of ours")),
          await kit.failure(() => machine.queryKeysForUsers(["nobody"])),
          await kit.failure(() => machine.queryKeysForUsers([7 as never])),
          await kit.failure(() => machine.receiveDeviceLists({ changed: ["nobody"] })),
          await kit.failure(() => machine.updateTrackedUsers(["nobody"])),
          await kit.failure(() => machine.trustOwnIdentity("no key")),
          await kit.failure(() => machine.trustOwnIdentity(own.identityKeys.ed25519)),
          await kit.failure(() => machine.withdrawVerification("nobody")),
          await kit.failure(() => machine.pinCurrentIdentity("nobody")),
          await kit.failure(() => machine.getIdentity("nobody")),
          await kit.failure(() => machine.loadRoom("nowhere")),
          await kit.failure(() => machine.explain("nowhere", "x")),
          await kit.failure(() => machine.explain("!room:test", "x")),
          await kit.failure(() => machine.setTrustRequirement("Everything" as never)),
        ];
        const notices = await machine.receiveRoomKeysWithheld(["{}", cycle as never, { type: "m.room_key.withheld", sender: "@alice:test", content: {} }]);
        await machine.close();
        return { ends: ends.map(({ name, code }) => `${name} ${code}`), notices: notices.map((notice) => notice?.code), requirement: machine.trustRequirement };
      }, me.own);
      for (const end of got.ends) assert.match(end, /^KnownSenderError [a-z0-9_]+$/);
      assert.deepEqual(got.ends.map((end) => end.split(" ")[1]).slice(4, 10), ["unknown_request", "bad_user_id", "bad_request", "bad_user_id", "bad_user_id", got.ends[9]?.split(" ")[1]]);
      assert.deepEqual(got.notices, ["bad_withheld", "bad_json", "withheld_no_session"]);
      assert.equal(got.requirement, "Untrusted", "a policy that does not exist changes nothing");
    });
  });
});
