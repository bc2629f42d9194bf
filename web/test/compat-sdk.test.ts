// knownsender as the crypto of a real matrix-js-sdk client, in headless Chrome: what the client shows of encrypted events, when, and that nothing of a
// sync is lost.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { useChrome, type TestPage } from "./harness.js";
import { keysQueryAnswer, Outbound, Person, type Json } from "./people.js";
import { Alice, encryption, home, members, openMe, openSdk, room, rooms, state, toDevice, withSdk } from "./sdkkit.js";

const chrome = useChrome();

/** A message that replaces another. */
function edit(session: Outbound, eventId: string, target: string, body: string): { [name: string]: Json } {
  const event = session.event("@alice:test", eventId, `* ${body}`, { content: { "m.new_content": { msgtype: "m.text", body } } });
  return { ...event, content: { ...(event["content"] as { [name: string]: Json }), "m.relates_to": { rel_type: "m.replace", event_id: target } } };
}

describe("a matrix-js-sdk client with knownsender", () => {
  test("shows what the machine decrypts, of the timeline and of older pages alike, with the SDK's shields", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page, { know: [alice.person] });
      await alice.meet(page);
      const [first, older, second] = [new Outbound(room), new Outbound(room), new Outbound(room)];
      const got = await page.inPage(async ({ room, answer, older }) => {
        const me = sdkkit.me();
        const fired: string[] = [];
        me.client.on(sdkkit.sdk.MatrixEventEvent.Decrypted, (event) => void fired.push(event.getId() ?? ""));
        me.server.sync(answer);
        await me.client.startClient({ initialSyncLimit: 20 });
        const event = await sdkkit.event(me, room, "$first");
        const seen = await sdkkit.seen(me, event);
        me.server.instead = ({ path }) => (path.endsWith("/messages") ? Response.json({ chunk: [older], start: "back" }) : undefined);
        await me.client.scrollback(me.client.getRoom(room) ?? new sdkkit.sdk.Room(room, me.client, ""));
        const before = await sdkkit.seen(me, await sdkkit.event(me, room, "$older"));
        await sdkkit.until("the edit is applied", () => event.replacingEventId() === "$edit");
        await sdkkit.end(me);
        return { seen, before, edited: String(event.getContent()["body"]), types: [event.getWireType(), event.getType()], fired: fired.sort(), crypto: String(me.client.getCrypto()) };
      }, {
        room, older: { ...older.event("@alice:test", "$older", "before that"), room_id: room },
        answer: {
          ...toDevice(...[first, older, second].map((session) => alice.shares(session))),
          ...home([first.event("@alice:test", "$first", "hello"), edit(second, "$edit", "$first", "hello again")]),
        },
      });
      assert.deepEqual(got, {
        seen: { body: "hello", failure: null, shield: "NONE" }, before: { body: "before that", failure: null, shield: "NONE" }, edited: "hello again",
        types: ["m.room.encrypted", "m.room.message"], fired: ["$edit", "$first", "$older"], crypto: "undefined",
      });
    });
  });

  test("sees a sync when it is on disk, and asks again while it cannot be put there", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page, { name: "lost", know: [alice.person] });
      await alice.meet(page);
      const session = new Outbound(room);
      const got = await page.inPage(async ({ answer }) => {
        const me = sdkkit.me();
        await new Promise((resolve) => (indexedDB.deleteDatabase("lost").onsuccess = resolve));
        me.server.sync(answer);
        await me.client.startClient();
        await sdkkit.until("it has asked twice", () => me.server.askedFor("/sync").length > 1);
        const [tokens, rooms, state] = [me.server.askedFor("/sync").map(({ query }) => query["since"] ?? "none"), me.client.getRooms().length, me.client.getSyncState()];
        me.client.stopClient();
        await me.crypto.close().catch(() => undefined); // there is nothing to write to
        return { tokens: [...new Set(tokens)], rooms, synced: state === sdkkit.sdk.SyncState.Syncing };
      }, { answer: { ...toDevice(alice.shares(session)), ...home([session.event("@alice:test", "$first", "hello")]) } });
      assert.deepEqual(got, { tokens: ["none"], rooms: 0, synced: false });
    });
  });

  test("has the keys of a sync after a crash, though the server sends them once", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page, { name: "crash", know: [alice.person] });
      await alice.meet(page);
      const session = new Outbound(room);
      await page.inPage(async (answer) => {
        const me = sdkkit.me();
        const room = new Promise((resolve) => me.client.once(sdkkit.sdk.ClientEvent.Room, resolve)); // the SDK has seen the answer, and no more
        me.server.sync(answer);
        await me.client.startClient();
        await room;
      }, { ...toDevice(alice.shares(session)), ...home([]) });
      await page.page.reload();
      await openSdk(page);
      await openMe(page, { name: "crash", know: [alice.person] });
      const seen = await page.inPage(async ({ room, answer }) => {
        const me = sdkkit.me();
        me.server.sync(answer);
        await me.client.startClient();
        const seen = await sdkkit.seen(me, await sdkkit.event(me, room, "$first"));
        await sdkkit.end(me);
        return seen;
      }, { room, answer: home([session.event("@alice:test", "$first", "hello")]) });
      assert.deepEqual(seen, { body: "hello", failure: null, shield: "NONE" });
    });
  });

  test("decrypts events again when their keys come, leaves redacted ones alone, and says when a key is withheld", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page, { know: [alice.person] });
      await alice.meet(page);
      const [late, redacted, kept] = [new Outbound(room), new Outbound(room), new Outbound(room)];
      const got = await page.inPage(async ({ room, first, then }) => {
        const me = sdkkit.me();
        me.server.sync(first);
        await me.client.startClient();
        const [late, redacted, kept] = await Promise.all(["$late", "$redacted", "$kept"].map((id) => sdkkit.event(me, room, id))) as [Found, Found, Found];
        type Found = Awaited<ReturnType<typeof sdkkit.event>>;
        const before = await Promise.all([late, redacted, kept].map((event) => sdkkit.seen(me, event)));
        const decrypted = new Promise<void>((resolve) => late.once(sdkkit.sdk.MatrixEventEvent.Decrypted, () => resolve()));
        for (const answer of then) me.server.sync(answer);
        await decrypted;
        await sdkkit.until("the notice is heard", () => kept.decryptionFailureReason !== before[2]?.failure);
        const after = await Promise.all([late, kept].map((event) => sdkkit.seen(me, event)));
        const clear = redacted.isRedacted() ? JSON.stringify(redacted.getContent()) : "not redacted";
        await sdkkit.end(me);
        return { before: before.map(({ failure }) => failure), after, clear, why: me.crypto.getDecryptionFailure(kept)?.withheld?.reason, whyLate: me.crypto.getDecryptionFailure(late) };
      }, {
        room,
        first: home([late.event("@alice:test", "$late", "late"), redacted.event("@alice:test", "$redacted", "taken back"), kept.event("@alice:test", "$kept", "not for you")]),
        then: [
          rooms([{ type: "m.room.redaction", event_id: "$redaction", sender: "@alice:test", origin_server_ts: 2, redacts: "$redacted", content: { redacts: "$redacted" } }]),
          toDevice(alice.shares(redacted), alice.shares(late), JSON.stringify({
            type: "m.room_key.withheld", sender: "@alice:test",
            content: { algorithm: "m.megolm.v1.aes-sha2", room_id: room, session_id: kept.sessionId, sender_key: alice.person.curve25519, code: "m.unverified", reason: "Verify first" },
          })),
        ],
      });
      const unknown = "MEGOLM_UNKNOWN_INBOUND_SESSION_ID";
      assert.deepEqual(got.before, [unknown, unknown, unknown]);
      assert.deepEqual(got.after, [{ body: "late", failure: null, shield: "NONE" }, { body: null, failure: "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE", shield: null }]);
      assert.deepEqual([got.clear, got.why, got.whyLate], ["{}", "Verify first", null]);
    });
  });

  test("decrypts an event again when its key comes to another tab", async () => {
    await withSdk(chrome, async (first) => withSdk(chrome, async (second) => {
      const alice = new Alice();
      for (const page of [first, second]) await openMe(page, { name: "tabs", know: [alice.person] });
      await alice.meet(first);
      const session = new Outbound(room);
      const begin = (page: TestPage, answer: object): Promise<void> => page.inPage(async (answer) => {
        const me = sdkkit.me();
        me.server.sync(answer as Parameters<typeof me.server.sync>[0]);
        await me.client.startClient();
      }, answer);
      await begin(second, home([session.event("@alice:test", "$first", "hello")]));
      const look = (patient: boolean): Promise<{ failure: string | null; body: string | null }> => second.inPage(async ({ room, patient }) => {
        const me = sdkkit.me();
        const event = await sdkkit.event(me, room, "$first");
        if (patient) await sdkkit.until("it is decrypted", () => event.getClearContent() !== null && !event.isDecryptionFailure());
        const { failure, body } = await sdkkit.seen(me, event);
        return { failure, body };
      }, { room, patient });
      assert.deepEqual(await look(false), { failure: "MEGOLM_UNKNOWN_INBOUND_SESSION_ID", body: null });
      await begin(first, toDevice(alice.shares(session)));
      assert.deepEqual(await look(true), { failure: null, body: "hello" });
      for (const page of [first, second]) await page.inPage(() => sdkkit.end(sdkkit.me()), undefined);
    }, { context: first.context }));
  });

  test("withholds what the policy withholds, shows it when that is loosened, and takes it back again", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice("no");
      await openMe(page, { know: [alice.person], trustRequirement: "CrossSigned" });
      await alice.meet(page);
      const session = new Outbound(room);
      const got = await page.inPage(async ({ room, answer }) => {
        const me = sdkkit.me();
        me.server.sync(answer);
        await me.client.startClient();
        const event = await sdkkit.event(me, room, "$first");
        const look = async (): Promise<unknown[]> => [await sdkkit.seen(me, event), me.crypto.getDecryptionFailure(event)?.code ?? null, JSON.stringify(event.toJSON()).includes("hello")];
        const strict = await look();
        const redrawn: (string | undefined)[] = [];
        me.crypto.registerEncryptionInfoUpdatedCallback((events) => redrawn.push(...events.map((event) => event.getId())));
        let fired = 0;
        event.on(sdkkit.sdk.MatrixEventEvent.Decrypted, () => fired++);
        const changes = [strict];
        for (const requirement of ["Untrusted", "Verified"] as const) {
          await me.crypto.setTrustRequirement(requirement);
          changes.push(await look());
        }
        await me.crypto.setTrustRequirement("Untrusted");
        await me.crypto.setTrustRequirement("Untrusted");
        const counted = [fired, redrawn.length, redrawn[0]];
        const modes: unknown[] = [];
        for (const mode of [new sdkkit.OnlySignedDevicesIsolationMode(), new sdkkit.AllDevicesIsolationMode(true), new sdkkit.AllDevicesIsolationMode(false)]) {
          await me.crypto.setDeviceIsolationMode(mode);
          modes.push([me.crypto.machine.trustRequirement, me.crypto.sharingStrategy, event.isDecryptionFailure()]);
        }
        await sdkkit.end(me);
        return { changes, counted, modes };
      }, { room, answer: { ...toDevice(alice.shares(session)), ...home([session.event("@alice:test", "$first", "hello")]) } });
      const withheld = [{ body: null, failure: "UNSIGNED_SENDER_DEVICE", shield: null }, "unsigned_device", false];
      assert.deepEqual(got.changes, [withheld, [{ body: "hello", failure: null, shield: "RED UNSIGNED_DEVICE" }, null, true], withheld]);
      assert.deepEqual(got.counted, [3, 1, "$first"]);
      assert.deepEqual(got.modes, [["CrossSignedOrLegacy", "IdentityBasedStrategy", true], ["Untrusted", "ErrorOnVerifiedUserProblem", false], ["Untrusted", "AllDevices", false]]);
    });
  });

  test("judges events again when their senders become known", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page);
      await alice.meet(page);
      const session = new Outbound(room);
      const got = await page.inPage(async ({ room, answer, people }) => {
        const me = sdkkit.me();
        me.server.instead = ({ path }) => (path.endsWith("/keys/query") ? Response.json({ errcode: "M_LIMIT_EXCEEDED" }, { status: 429, headers: { "retry-after": "1" } }) : undefined);
        me.server.sync(answer);
        await me.client.startClient();
        const event = await sdkkit.event(me, room, "$first");
        const before = await sdkkit.seen(me, event);
        const redrawn = new Promise<(string | undefined)[]>((resolve) => me.crypto.registerEncryptionInfoUpdatedCallback((events) => resolve(events.map((event) => event.getId()))));
        me.server.people.know(people);
        me.server.instead = undefined;
        const which = await redrawn; // when the server lets itself be asked again
        const after = await sdkkit.seen(me, event);
        await sdkkit.end(me);
        return { before, which, after };
      }, { room, people: keysQueryAnswer([alice.person]), answer: { ...toDevice(alice.shares(session)), ...home([session.event("@alice:test", "$first", "hello")]) } });
      assert.deepEqual(got, { before: { body: "hello", failure: null, shield: "RED UNSIGNED_DEVICE" }, which: ["$first"], after: { body: "hello", failure: null, shield: "NONE" } });
    });
  });

  test("follows who can read along in encrypted rooms, and asks for all of them again after a sync from the beginning", async () => {
    await withSdk(chrome, async (page) => {
      const everybody = ["@alice:test", "@bob:test", "@invited:test", "@late:test", "@me:test"];
      const know = everybody.map((user) => new Person(user, "DEVICE"));
      await openMe(page, { name: "followed", know });
      const visible = state("m.room.history_visibility", { history_visibility: "joined" });
      const invited = (user: string): { [name: string]: Json } => state("m.room.member", { membership: "invite" }, user, "@alice:test");
      const asked = (): Promise<string[]> => page.inPage(() => [...new Set(sdkkit.me().server.people.asked.flat())].sort(), undefined);
      const begin = (answers: object[]): Promise<void> => page.inPage(async (answers) => {
        const me = sdkkit.me();
        for (const answer of answers) me.server.sync(answer as Parameters<typeof me.server.sync>[0]);
        await me.client.startClient();
        await sdkkit.until("it is waiting for more", () => me.server.askedFor("/sync").some(({ query }) => query["since"] === `s${answers.length}`));
        await sdkkit.until("all are asked for", () => new Set(me.server.people.asked.flat()).size >= 5 && me.crypto.machine.outdatedUsers().length === 0);
      }, answers);
      await begin([
        rooms([], [encryption, ...members("@alice:test", "@me:test"), invited("@invited:test")]),
        rooms([], [...members("@plain:test")], "!plain:test"),
        rooms([], [encryption, visible, ...members("@bob:test"), invited("@outside:test")], "!joined:test"),
        rooms([...members("@late:test")]),
      ]);
      assert.deepEqual(await asked(), everybody);
      await page.page.reload();
      await openSdk(page);
      await openMe(page, { name: "followed", know });
      await begin([rooms([])]);
      assert.deepEqual(await asked(), everybody);
      await page.inPage(() => sdkkit.end(sdkkit.me()), undefined);
    });
  });

  test("tells of to-device messages as the SDK does, with who sent them", async () => {
    await withSdk(chrome, async (page) => {
      const alice = new Alice();
      await openMe(page, { know: [alice.person] });
      await alice.meet(page);
      const got = await page.inPage(async (answer) => {
        const me = sdkkit.me();
        const told: unknown[] = [];
        me.client.on(sdkkit.sdk.ClientEvent.ReceivedToDeviceMessage, ({ message, encryptionInfo }) => void told.push([message.type, message.content["x"] ?? null, encryptionInfo?.sender, encryptionInfo?.senderDevice, encryptionInfo?.senderVerified]));
        const receptions: string[] = [];
        me.crypto.registerSyncReceptionCallback(({ events }) => receptions.push(...events.map(({ type }) => type)));
        me.server.sync(answer);
        await me.client.startClient();
        await sdkkit.until("both are told", () => told.length > 1);
        await sdkkit.end(me);
        return { told, receptions };
      }, toDevice(alice.tells("m.custom", { x: 1 })));
      // As it came, when the SDK sees the sync; before that, what was in it.
      assert.deepEqual(got, { told: [["m.custom", 1, "@alice:test", "PHONE", false], ["m.room.encrypted", null, undefined, undefined, undefined]], receptions: ["decrypted"] });
    });
  });

  test("is hooked once, into a client that is logged in, at rest and of a version that is known; and can be unhooked", async () => {
    await withSdk(chrome, async (page) => {
      const got = await page.inPage(async () => {
        const { sdk, ks, initKnownSenderCrypto } = sdkkit;
        const server = new sdkkit.SyncingHomeserver();
        const code = async (client: InstanceType<typeof sdk.MatrixClient>): Promise<string> => {
          try {
            const crypto = await initKnownSenderCrypto(client, { store: { memory: true } });
            await crypto.close();
            return "";
          } catch (thrown) {
            return thrown instanceof ks.KnownSenderError ? thrown.code : String(thrown);
          }
        };
        const client = sdkkit.createClient(server);
        const without = sdk.createClient({ baseUrl: "https://homeserver.test", fetchFn: server.fetch });
        const running = sdkkit.createClient(server);
        await running.startClient();
        let looked = 0;
        const hasty = Object.defineProperty(sdkkit.createClient(server), "clientRunning", { get: () => looked++ > 0 }); // started while the machine is being opened
        const changed = Object.assign(sdkkit.createClient(server), { encryptAndSendEvent: undefined });
        const crypto = await initKnownSenderCrypto(client, { store: { memory: true } });
        const codes = [await code(without), await code(running), await code(hasty), await code(client), await code(changed), await code({} as typeof client)];
        running.stopClient();
        const hooked = client.http.opts.fetchFn !== server.fetch && Object.hasOwn(client, "decryptEventIfNeeded");
        await crypto.close();
        return { codes, hooked, unhooked: client.http.opts.fetchFn === server.fetch && !Object.hasOwn(client, "decryptEventIfNeeded"), again: await code(client), noStore: await initKnownSenderCrypto(client, {} as Parameters<typeof initKnownSenderCrypto>[1]).then(() => "", ({ code }: { code: string }) => code), andAgain: await code(client) };
      }, undefined);
      assert.deepEqual(got, { codes: ["not_logged_in", "client_running", "client_running", "crypto_in_use", "unsupported_sdk", "unsupported_sdk"], hooked: true, unhooked: true, again: "", noStore: "bad_store", andAgain: "" });
    });
  });
});
