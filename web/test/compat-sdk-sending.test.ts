// What a matrix-js-sdk client with knownsender sends, in headless Chrome: read by libolm at the other end, and seen as the SDK's local echo.

import assert from "node:assert/strict";
import Olm from "@matrix-org/olm";
import { describe, test } from "node:test";
import { useChrome, type TestPage } from "./harness.js";
import type { OlmMessage } from "./libolm.js";
import { Alice, encryption, home, members, openMe, room, rooms, state, withSdk } from "./sdkkit.js";
import type { Asked } from "./syncinghomeserver.js";

const chrome = useChrome();

/** Opens our client in a room with Alice, whose device has one-time keys to be claimed. */
async function inRoom(page: TestPage, alice: Alice, setup = home([])): Promise<void> {
  await openMe(page, { know: [alice.person] });
  await alice.meet(page);
  await page.inPage(async ({ room, keys, setup }) => {
    const me = sdkkit.me();
    me.server.claimable["@alice:test"] = { PHONE: keys };
    me.server.sync(setup);
    await me.client.startClient();
    await sdkkit.until("the room is here", () => me.client.getRoom(room) !== null);
  }, { room, keys: [alice.signedKey(false), alice.signedKey(false)], setup });
}

/** What Alice reads of what was sent: the clear texts, each with its session and index. */
function read(alice: Alice, asked: readonly Asked[], curve25519: string): { text: Record<string, unknown>; session: string; index: number }[] {
  const sessions = new Map<string, Olm.InboundGroupSession>();
  for (const { path, body } of asked) {
    if (!path.includes("/sendToDevice/m.room.encrypted/")) continue;
    const { ciphertext } = (body as unknown as { messages: Record<string, Record<string, { ciphertext: Record<string, OlmMessage> }>> }).messages["@alice:test"]?.["PHONE"] ?? { ciphertext: {} };
    const message = ciphertext[alice.person.curve25519];
    if (message === undefined) continue;
    const { type, content } = JSON.parse(alice.decrypt(curve25519, message)) as { type: string; content: { session_id: string; session_key: string } };
    assert.equal(type, "m.room_key");
    const session = new Olm.InboundGroupSession();
    session.create(content.session_key);
    sessions.set(content.session_id, session);
  }
  return asked.filter(({ path }) => path.includes("/send/m.room.encrypted/")).map(({ body }) => {
    const { session_id: session, ciphertext } = body as { session_id: string; ciphertext: string };
    const { plaintext, message_index: index } = sessions.get(session)?.decrypt(ciphertext) ?? { plaintext: "{}", message_index: -1 };
    return { text: JSON.parse(plaintext) as Record<string, unknown>, session, index };
  });
}

describe("a matrix-js-sdk client with knownsender sends", () => {
  test("what others can read, in order, with another key when the room says so; its local echo is in the clear", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      const often = { ...encryption, content: { algorithm: "m.megolm.v1.aes-sha2", rotation_period_msgs: 2 } };
      await inRoom(page, alice, rooms([], [often, ...members("@alice:test", "@me:test")]));
      const got = await page.inPage(async (room) => {
        const me = sdkkit.me();
        const { RoomEvent } = sdkkit.sdk;
        const echoes: string[] = [];
        me.client.getRoom(room)?.on(RoomEvent.LocalEchoUpdated, (event) => void echoes.push(`${String(event.status)} ${event.getType()} ${String(event.getContent()["body"])}`));
        const sent = await Promise.all(["one", "two", "three"].map((body) => me.client.sendTextMessage(room, body)));
        const event = await sdkkit.event(me, room, sent[0]?.event_id ?? "");
        const before = await sdkkit.seen(me, event);
        const put = me.server.asked.find(({ path }) => path.includes("/send/"));
        me.server.sync({ rooms: { join: { [room]: { timeline: { events: [{ type: "m.room.encrypted", event_id: sent[0]?.event_id ?? "", sender: "@me:test", origin_server_ts: 2, content: put?.body ?? {}, unsigned: { transaction_id: put?.path.split("/").pop() ?? "" } }] } } } } });
        await sdkkit.until("it is back", () => event.status === null);
        const after = await sdkkit.seen(me, event);
        await sdkkit.end(me);
        return { echoes: echoes.filter((echo) => echo.endsWith("one")), before, after, asked: me.server.asked, curve25519: me.crypto.machine.identityKeys.curve25519 };
      }, room);
      const texts = read(alice, got.asked, got.curve25519);
      assert.deepEqual(texts.map(({ text, index }) => [(text["content"] as { body: string }).body, text["type"], text["room_id"], index]), [["one", "m.room.message", room, 0], ["two", "m.room.message", room, 1], ["three", "m.room.message", room, 0]]);
      assert.equal(new Set(texts.map(({ session }) => session)).size, 2);
      assert.deepEqual(got.echoes, ["sending", "encrypting", "sending", "sent", "null"].map((status) => `${status} m.room.message one`));
      assert.deepEqual(got.before, { body: "one", failure: null, shield: "NONE" });
      assert.deepEqual(got.after, { body: "one", failure: null, shield: "RED UNSIGNED_DEVICE" }); // as of any device that its owner has not signed
    });
  });

  test("no message index away: an echo from before a restart is left alone, and the event it became is read", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await inRoom(page, alice);
      const got = await page.inPage(async (room) => {
        const me = sdkkit.me();
        await me.client.sendTextMessage(room, "once");
        const content = me.server.asked.find(({ path }) => path.includes("/send/"))?.body ?? {};
        const read = async (id: string): Promise<string> => {
          const event = new sdkkit.sdk.MatrixEvent({ type: "m.room.encrypted", event_id: id, room_id: room, sender: "@me:test", content });
          await me.client.decryptEventIfNeeded(event);
          return event.decryptionFailureReason ?? String(event.getContent()["body"]);
        };
        const texts = [await read(`~${room}:m1`), await read("$it"), await read("$another")];
        await sdkkit.end(me);
        return texts;
      }, room);
      assert.deepEqual(got, ["UNKNOWN_ERROR", "once", "UNKNOWN_ERROR"]); // the last is a replay
    });
  });

  test("relations beside the ciphertext, reactions and rooms that are not encrypted in the clear", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await inRoom(page, alice, { rooms: { join: { ...(home([])["rooms"] as { join: object }).join, "!plain:test": { state: { events: [...members("@me:test")] }, timeline: { events: [] } } } } } as ReturnType<typeof home>);
      const got = await page.inPage(async (room) => {
        const me = sdkkit.me();
        const { EventType, RelationType, MsgType, Room } = sdkkit.sdk;
        await me.crypto.prepareToEncrypt(me.client.getRoom(room) ?? new Room(room, me.client, "")); // the user begins to type
        const prepared = me.server.asked.length;
        await me.client.sendEvent(room, EventType.RoomMessage, { msgtype: MsgType.Text, body: "* new", "m.new_content": { msgtype: MsgType.Text, body: "new" }, "m.relates_to": { rel_type: RelationType.Replace, event_id: "$old" } });
        await me.client.sendEvent(room, EventType.Reaction, { "m.relates_to": { rel_type: RelationType.Annotation, event_id: "$old", key: "+1" } });
        await me.client.sendTextMessage("!plain:test", "plain");
        await sdkkit.end(me);
        return { asked: me.server.asked, prepared, curve25519: me.crypto.machine.identityKeys.curve25519 };
      }, room);
      const shares = got.asked.map(({ path }, at) => (path.includes("/sendToDevice/m.room.encrypted/") ? at : -1)).filter((at) => at >= 0);
      assert.ok(shares.length === 1 && (shares[0] ?? 0) < got.prepared, "the key is shared once, ahead");
      const sent = got.asked.filter(({ path }) => path.includes("/send/"));
      assert.deepEqual(sent.map(({ path }) => path.split("/")[7]), ["m.room.encrypted", "m.reaction", "m.room.message"]);
      assert.deepEqual(sent[0]?.body["m.relates_to"], { rel_type: "m.replace", event_id: "$old" });
      const [text] = read(alice, got.asked, got.curve25519);
      assert.deepEqual((text?.text["content"] as Record<string, unknown>)["m.new_content"], { msgtype: "m.text", body: "new" });
    });
  });

  test("no key to somebody who has left while it waited for its turn", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await inRoom(page, alice);
      const got = await page.inPage(async ({ room, left }) => {
        const me = sdkkit.me();
        const there = me.client.getRoom(room) ?? new sdkkit.sdk.Room(room, me.client, "");
        let letGo: (response: Response) => void = () => undefined;
        const held = new Promise<Response>((resolve) => (letGo = resolve));
        me.server.instead = ({ path }) => (path.endsWith("/keys/claim") ? held : undefined);
        const prepared = Promise.allSettled([me.crypto.prepareToEncrypt(there), me.crypto.prepareToEncrypt(there)]);
        await sdkkit.until("the first asks for a one-time key", () => me.server.askedFor("/keys/claim").length > 0);
        me.server.sync(left);
        await sdkkit.until("she has left", () => there.getMember("@alice:test")?.membership === "leave");
        me.server.instead = undefined;
        letGo(Response.json({ errcode: "M_UNKNOWN" }, { status: 500 }));
        const outcomes = (await prepared).map(({ status }) => status);
        await sdkkit.end(me);
        return { outcomes, toHer: me.server.asked.filter(({ path }) => path.includes("/sendToDevice/m.room.encrypted/")).length };
      }, { room, left: rooms([{ ...state("m.room.member", { membership: "leave" }, "@alice:test"), event_id: "$left" }]) });
      assert.deepEqual(got, { outcomes: ["rejected", "fulfilled"], toHer: 0 });
    });
  });

  test("nothing when the key cannot be shared, and again when it can; nothing that was cancelled", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await inRoom(page, alice);
      const got = await page.inPage(async (room) => {
        const me = sdkkit.me();
        const { EventStatus, Room } = sdkkit.sdk;
        const there = me.client.getRoom(room) ?? new Room(room, me.client, "");
        me.server.instead = ({ path }) => (path.endsWith("/keys/claim") ? Response.json({ errcode: "M_UNKNOWN" }, { status: 500 }) : undefined);
        const refused = await me.client.sendTextMessage(room, "again").then(() => "", (thrown: unknown) => (thrown instanceof sdkkit.ks.KnownSenderError ? thrown.code : String(thrown)));
        const event = there.getLiveTimeline().getEvents().find((event) => event.status === EventStatus.NOT_SENT);
        const failed = [refused, event?.status, event?.isEncrypted(), me.server.asked.filter(({ path }) => path.includes("/send/")).length];
        let letGo: (response: Response) => void = () => undefined;
        const held = new Promise<Response>((resolve) => (letGo = resolve));
        me.server.instead = ({ path }) => (path.endsWith("/keys/claim") ? held : undefined);
        const cancelled = me.client.sendTextMessage(room, "never");
        const dropped = there.getLiveTimeline().getEvents().find((event) => event.getContent()["body"] === "never");
        await sdkkit.until("it is being encrypted", () => dropped?.status === EventStatus.ENCRYPTING);
        if (dropped !== undefined) me.client.cancelPendingEvent(dropped);
        me.server.instead = undefined;
        letGo(Response.json({ errcode: "M_UNKNOWN" }, { status: 500 }));
        const nothing = JSON.stringify(await cancelled);
        if (event !== undefined) await me.client.resendEvent(event, there);
        await sdkkit.end(me);
        return { failed, nothing, asked: me.server.asked, curve25519: me.crypto.machine.identityKeys.curve25519 };
      }, room);
      assert.deepEqual(got.failed, ["fetch_status", "not_sent", false, 0]);
      assert.equal(got.nothing, "{}");
      assert.deepEqual(read(alice, got.asked, got.curve25519).map(({ text }) => (text["content"] as { body: string }).body), ["again"]);
      assert.equal(got.asked.filter(({ path }) => path.includes("/send/")).length, 1);
    });
  });

  test("nothing in the clear to a room that was encrypted once, whatever the server makes of its state; of a room that never was the store is asked once", async () => {
    await withSdk(chrome, async (page) => {
      await openMe(page, { name: "encrypted once" });
      const got = await page.inPage(async ({ room, home, without, other, empty, again }) => {
        const before = sdkkit.me();
        before.server.sync(home);
        await before.client.startClient();
        await sdkkit.until("it is remembered", async () => (await before.crypto.machine.getRoomSettings(room)) !== null);
        await sdkkit.end(before);

        const me = await sdkkit.open({ store: { name: "encrypted once" } });
        const { EventStatus } = sdkkit.sdk;
        const { machine } = me.crypto;
        const asked: string[] = [];
        const get = machine.getRoomSettings.bind(machine);
        machine.getRoomSettings = (roomId) => (asked.push(roomId), get(roomId));
        const send = (roomId: string): Promise<string> => me.client.sendTextMessage(roomId, "secret?").then(() => "sent", (thrown: unknown) => (thrown instanceof sdkkit.ks.KnownSenderError ? thrown.code : String(thrown)));
        const named = (roomId: string): unknown => me.client.getRoom(roomId)?.currentState.getStateEvents("m.room.encryption", "")?.getContent()["algorithm"];
        const codes = [await send(room)]; // the client knows no such room
        me.server.sync(without);
        await me.client.startClient();
        await sdkkit.until("the rooms are here", () => me.client.getRoom(room) !== null && named("!other:test") !== undefined);
        codes.push(await send(room), await send("!other:test"));
        const left = me.client.getRoom(room)?.getLiveTimeline().getEvents().map(({ status }) => status === EventStatus.NOT_SENT);
        me.server.sync(other);
        await sdkkit.until("another algorithm is named", () => named(room) === "m.other");
        codes.push(await send(room));
        me.server.sync(empty);
        await sdkkit.until("none is named", () => named(room) === undefined);
        codes.push(await send(room));
        const plain = await Promise.all([1, 2, 3].map(() => send("!plain:test")));
        me.server.sync(again);
        await sdkkit.until("it is named again", () => named(room) !== undefined);
        codes.push(await send(room));
        const kept = await machine.getRoomSettings(room);
        await sdkkit.end(me);
        return { codes, left, plain, kept, asked: asked.filter((roomId) => roomId === "!plain:test").length, paths: me.server.asked.filter(({ path }) => path.includes("/send/")).map(({ path }) => decodeURIComponent(path).split("/").slice(5, 8).join(" ")) };
      }, {
        room, home: home([]),
        without: { rooms: { join: Object.fromEntries([room, "!plain:test", "!other:test"].map((id) => [id, { timeline: { events: [] }, state: { events: [...members("@me:test"), ...(id === "!other:test" ? [state("m.room.encryption", { algorithm: "m.other" })] : [])] } }])) } } as ReturnType<typeof home>,
        other: rooms([{ ...encryption, event_id: "$other", content: { algorithm: "m.other" } }]),
        empty: rooms([{ ...encryption, event_id: "$empty", content: {} }]),
        again: rooms([{ ...encryption, event_id: "$again", content: { algorithm: "m.megolm.v1.aes-sha2", rotation_period_ms: 7_200_000, rotation_period_msgs: -1 } }]),
      });
      assert.deepEqual(got.codes, ["encryption_downgrade", "encryption_downgrade", "invalid_room_settings", "encryption_downgrade", "encryption_downgrade", "sent"]);
      assert.deepEqual([got.plain, got.asked], [["sent", "sent", "sent"], 1]);
      assert.deepEqual(got.left, [true]);
      assert.deepEqual(got.paths, [...Array<string>(3).fill("!plain:test send m.room.message"), `${room} send m.room.encrypted`]);
      assert.deepEqual(got.kept, { algorithm: "m.megolm.v1.aes-sha2", sessionRotationPeriodMs: 7_200_000, onlyAllowTrustedDevices: false });
    });
  });
});
