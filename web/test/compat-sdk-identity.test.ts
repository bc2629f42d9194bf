// Our own identity in a matrix-js-sdk client with knownsender, in headless Chrome: made once, with the user's password, and what follows from it for what
// we sent ourselves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { useChrome } from "./harness.js";
import { encryption, members, openMe, room, rooms, withSdk } from "./sdkkit.js";

const chrome = useChrome();

test("an identity is made with the user's password, once; this device is signed by it, and what it sent has no shield any more", async () => {
  await withSdk(chrome, async (page) => {
    await openMe(page);
    const got = await page.inPage(async ({ room, setup }) => {
      const me = sdkkit.me();
      me.server.sync(setup);
      await me.client.startClient();
      await sdkkit.until("the room is here", () => me.client.getRoom(room) !== null);
      const { event_id: id } = await me.client.sendTextMessage(room, "hello");
      const put = me.server.asked.find(({ path }) => path.includes("/send/"));
      me.server.sync({ rooms: { join: { [room]: { timeline: { events: [{ type: "m.room.encrypted", event_id: id, sender: "@me:test", origin_server_ts: 2, content: put?.body ?? {}, unsigned: { transaction_id: put?.path.split("/").pop() ?? "" } }] } } } } });
      const event = await sdkkit.event(me, room, id);
      await sdkkit.until("it is back", () => event.status === null);
      const before = await sdkkit.seen(me, event);
      const redrawn = new Promise<string[]>((resolve) => me.crypto.registerEncryptionInfoUpdatedCallback((events) => resolve(events.filter((other) => other === event).map((event) => event.getId() ?? ""))));

      const without = await me.crypto.bootstrapCrossSigning().then(() => 0, (thrown: unknown) => (thrown as { httpStatus?: number }).httpStatus);
      const tries: string[] = [];
      const auth = async (send: (auth: { type: string; session?: string } | null) => Promise<void>): Promise<void> => {
        await send(null).catch(({ data }: { data: { session: string } }) => send({ type: "m.login.password", session: tries[tries.push(data.session) - 1] ?? "" }));
      };
      await me.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: auth });
      const first = me.crypto.machine.getIdentity("@me:test");
      const after = [await redrawn, await sdkkit.seen(me, event)];
      await me.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: auth });
      const same = me.crypto.machine.getIdentity("@me:test")?.masterKey === first?.masterKey;
      const uploads = me.server.askedFor("/device_signing/upload").map(({ body }) => body["auth"] ?? null);
      await me.crypto.bootstrapCrossSigning({ setupNewCrossSigning: true, authUploadDeviceSigningKeys: auth });
      const other = me.crypto.machine.getIdentity("@me:test");
      await sdkkit.end(me);
      return { id, before, without, tries, verification: first?.verification, after, same, uploads, reset: other?.masterKey !== first?.masterKey && other?.verification };
    }, { room, setup: rooms([], [encryption, ...members("@me:test")]) });
    assert.deepEqual([got.without, got.tries, got.verification, got.same, got.reset], [401, ["session", "session"], "Verified", true, "Verified"]);
    assert.deepEqual([got.before.shield, got.after], ["RED UNSIGNED_DEVICE", [[got.id], { body: "hello", failure: null, shield: "NONE" }]]);
    assert.deepEqual(got.uploads, [null, null, { type: "m.login.password", session: "session" }]);
  });
});

test("an identity whose keys are elsewhere is not replaced unasked, and has none to put into secret storage", async () => {
  await withSdk(chrome, async (page) => {
    await openMe(page);
    const answer = await page.inPage(async () => {
      const me = sdkkit.me();
      await me.server.oneTimeKeys();
      await me.crypto.bootstrapCrossSigning({ authUploadDeviceSigningKeys: (send) => send({ type: "m.login.password" }) });
      await sdkkit.end(me);
      return me.server.people.answer('{"device_keys":{"@me:test":[]}}');
    }, undefined);
    await openMe(page); // as on another device, which has none of the keys
    const got = await page.inPage(async (answer) => {
      const me = sdkkit.me();
      me.server.people.know(answer);
      await me.server.oneTimeKeys();
      const codeOf = (work: Promise<void>): Promise<string> => work.then(() => "", (thrown: unknown) => (thrown instanceof sdkkit.ks.KnownSenderError ? thrown.code : String(thrown)));
      const codes = [await codeOf(me.crypto.bootstrapCrossSigning()), await codeOf(me.crypto.exportCrossSigningKeysToSecretStorage())];
      await sdkkit.end(me);
      return { codes, uploads: me.server.askedFor("/device_signing/upload").length };
    }, answer);
    assert.deepEqual(got, { codes: ["cross_signing_identity_exists", "missing_signing_key"], uploads: 0 });
  });
});

test("given a request that the machine has sent by itself meanwhile, when the adapter has its answer too, that is no failure; anything else is", async () => {
  await withSdk(chrome, async (page) => {
    await openMe(page);
    const got = await page.inPage(async () => {
      const { send } = (await import("/dist/compat/js-sdk/requests.js" as string)) as typeof import("../src/compat/js-sdk/requests.js");
      const me = sdkkit.me();
      const request = me.crypto.machine.queryKeysForUsers(["@me:test"]);
      const end = (): Promise<string> => send(me.client, me.crypto.machine, request).then(() => "", (thrown: unknown) => String((thrown as { code?: string }).code));
      const ends = [await end(), await end()];
      await sdkkit.end(me);
      return [...ends, await end()];
    }, undefined);
    assert.deepEqual(got.slice(0, 2), ["", ""]);
    assert.notEqual(got[2], "");
  });
});
