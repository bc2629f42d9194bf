// A machine with an Olm account of its own that sends, in headless Chrome beside matrix-sdk-crypto-wasm: what either encrypts the other reads, and who gets
// no key is told so. Between them a homeserver that does what the two ask of it and no more.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostFetch } from "../src/fetch.js";
import { useChrome, type TestPage } from "./harness.js";
import { withPeer } from "./peerkit.js";

const chrome = useChrome();
const room = "!room:test";

/** In the page: our machine, the peer's, and the homeserver. */
declare global {
  var ours: Awaited<ReturnType<(typeof kit.ks)["OlmMachine"]["open"]>>;
  var theirs: Awaited<ReturnType<(typeof peer)["OlmMachine"]["initialize"]>>;
  var server: {
    /** Answers a request of @user's device as JSON. */
    ask(user: string, device: string, path: string, body: string): string;
    /** Takes the to-device events for a device. */
    inbox(user: string, device: string): string[];
    /** Does what the peer wants of the server until it wants nothing. */
    pump(): Promise<void>;
    /** Gives the peer its to-device events and the news of a user's devices. */
    sync(changed?: string): Promise<void>;
    /** The fetch of our machine, and what it has asked for. */
    fetch: HostFetch;
    paths: string[];
  };
}

/** Opens a page with Alice, who is the peer, and ourselves, whose machine makes its requests itself unless told otherwise. */
function withTwo(story: (page: TestPage) => Promise<void>, pumped = false): Promise<void> {
  return withPeer(chrome, async (page) => {
    await page.inPage(async ({ pumped }) => {
      type Devices = Record<string, Record<string, { keys: unknown; oneTime: [string, unknown][]; inbox: string[] }>>;
      const users: Devices = {};
      const at = (user: string, device: string) => ((users[user] ??= {})[device] ??= { keys: null, oneTime: [], inbox: [] });
      const each = <T>(of: Record<string, T>, make: (name: string, value: T) => unknown): object => Object.fromEntries(Object.entries(of).map(([name, value]) => [name, make(name, value)]));
      const server: typeof globalThis.server = {
        paths: [],
        ask(user, device, path, text) {
          const body = JSON.parse(text) as Record<string, Record<string, never>>;
          if (path.endsWith("/keys/upload")) {
            const me = at(user, device);
            me.keys = body["device_keys"] ?? me.keys;
            me.oneTime.push(...Object.entries(body["one_time_keys"] ?? {}));
            return JSON.stringify({ one_time_key_counts: { signed_curve25519: me.oneTime.length } });
          }
          if (path.endsWith("/keys/query")) return JSON.stringify({ device_keys: each(body["device_keys"] ?? {}, (user) => each(users[user] ?? {}, (_, { keys }) => keys)), failures: {} });
          if (path.endsWith("/keys/claim")) {
            return JSON.stringify({ one_time_keys: each(body["one_time_keys"] ?? {}, (user, devices: object) => each(devices as Record<string, string>, (device) => Object.fromEntries(at(user, device).oneTime.splice(0, 1)))), failures: {} });
          }
          const type = /sendToDevice\/([^/]+)\//.exec(path)?.[1];
          for (const [to, devices] of Object.entries((body["messages"] ?? {}) as Record<string, Record<string, object>>)) {
            for (const [id, content] of Object.entries(devices)) at(to, id).inbox.push(JSON.stringify({ type, sender: user, content }));
          }
          return "{}";
        },
        inbox: (user, device) => at(user, device).inbox.splice(0),
        async pump() {
          for (let requests = await theirs.outgoingRequests(); requests.length > 0; requests = await theirs.outgoingRequests()) {
            for (const request of requests) {
              const path = { [peer.RequestType.KeysUpload]: "/keys/upload", [peer.RequestType.KeysQuery]: "/keys/query", [peer.RequestType.KeysClaim]: "/keys/claim" }[request.type as number] ?? "/sendToDevice/m.dummy/1";
              await theirs.markRequestAsSent(request.id ?? "", request.type, server.ask("@alice:test", "PHONE", path, (request as { body: string }).body));
            }
          }
        },
        async sync(changed) {
          const lists = changed === undefined ? new peer.DeviceLists() : new peer.DeviceLists([new peer.UserId(changed)]);
          await theirs.receiveSyncChanges(`[${server.inbox("@alice:test", "PHONE").join()}]`, lists, new Map([["signed_curve25519", 50]]), undefined, new peer.DecryptionSettings(peer.TrustRequirement.Untrusted));
          await server.pump();
        },
        fetch: ({ path, body }) => {
          server.paths.push(path);
          return Promise.resolve(new Response(server.ask("@me:test", "MINE", path, body ?? "")));
        },
      };
      globalThis.server = server;
      globalThis.theirs = await peer.OlmMachine.initialize(new peer.UserId("@alice:test"), new peer.DeviceId("PHONE"));
      await server.pump();
      await kit.ks.initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
      globalThis.ours = await kit.ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", store: { name: "sending" }, ...(pumped ? {} : { http: { fetch: server.fetch } }) });
      for (const upload of pumped ? ours.outgoingRequests() : []) await ours.markRequestAsSent(upload.id, server.ask("@me:test", "MINE", upload.path, upload.body));
      while (!pumped && !server.paths.some((path) => path.endsWith("/keys/upload"))) await new Promise((resolve) => setTimeout(resolve, 5));
      await theirs.updateTrackedUsers([new peer.UserId("@me:test")]);
      await server.sync("@me:test");
    }, { pumped });
    await story(page);
  });
}

test("a room of two: what we send matrix-sdk-crypto-wasm reads, and what it sends we read, also after a reload", async () => {
  await withTwo(async (page) => {
    const got = await page.inPage(async ({ room }) => {
      const members = ["@me:test", "@alice:test"];
      const settings = new peer.DecryptionSettings(peer.TrustRequirement.Untrusted);
      const early = await kit.failure(() => ours.encryptRoomEvent(room, "m.room.message", {}));
      const read = async (content: object, id: string): Promise<{ content: { body: string } }> => {
        const event = JSON.stringify({ type: "m.room.encrypted", event_id: id, sender: "@me:test", room_id: room, origin_server_ts: 1, content });
        return JSON.parse((await theirs.decryptRoomEvent(event, new peer.RoomId(room), settings)).event) as { content: { body: string } };
      };
      const left = await ours.shareRoomKey(room, members);
      await server.sync();
      const first = await ours.encryptRoomEvent(room, "m.room.message", { body: "first", "m.relates_to": { rel_type: "m.thread", event_id: "$0" } });
      const heard = [(await read(first, "$1")).content.body];
      await ours.close();
      globalThis.ours = await kit.ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", store: { name: "sending" }, http: { fetch: server.fetch } });
      const before = server.paths.length;
      await ours.shareRoomKey(room, members);
      const asked = server.paths.slice(before);
      const second = await ours.encryptRoomEvent(room, "m.room.message", { body: "second" });
      heard.push((await read(second, "$2")).content.body);
      const exported = JSON.parse(await theirs.exportRoomKeys(() => true)) as Record<string, unknown>[];

      const missing = await theirs.getMissingSessions([new peer.UserId("@me:test")]);
      for (const request of await theirs.shareRoomKey(new peer.RoomId(room), [new peer.UserId("@me:test")], new peer.EncryptionSettings())) {
        server.ask("@alice:test", "PHONE", `/sendToDevice/${request.event_type}/1`, request.body);
        await theirs.markRequestAsSent(request.id, request.type, "{}");
      }
      const answer = JSON.parse(await theirs.encryptRoomEvent(new peer.RoomId(room), "m.room.message", '{"body":"answer"}')) as object;
      await ours.receiveSyncChanges({ toDeviceEvents: server.inbox("@me:test", "MINE") });
      const mine = await ours.decryptRoomEvent({ type: "m.room.encrypted", event_id: "$3", sender: "@alice:test", room_id: room, content: answer as never }, room);
      const own = await ours.decryptRoomEvent({ type: "m.room.encrypted", event_id: "$1", sender: "@me:test", room_id: room, content: first }, room);
      const ended = [await ours.invalidateGroupSession(room), await ours.invalidateGroupSession(room)];
      const gone = await kit.failure(() => ours.encryptRoomEvent(room, "m.room.message", {}));
      await ours.shareRoomKey(room, members, { historyVisibility: "joined" });
      await server.sync();
      const third = await ours.encryptRoomEvent(room, "m.room.message", '{"body":"third"}');
      heard.push((await read(third, "$4")).content.body);
      const flags = (JSON.parse(await theirs.exportRoomKeys(() => true)) as Record<string, unknown>[]).filter((key) => key["sender_key"] === ours.identityKeys.curve25519).map((key) => [key["session_id"], key["org.matrix.msc3061.shared_history"] ?? key["m.shared_history"] ?? key["shared_history"]]);
      await ours.close();
      return { early: early.code, left, first, second, third, heard, asked, missing: missing?.body ?? null, exported: exported.length, answer: kit.body(mine), own: kit.body(own), ended, gone: gone.code, flags };
    }, { room });
    assert.deepEqual([got.early, got.left, got.asked, got.missing, got.exported], ["room_key_not_shared", [], [], null, 1]);
    assert.deepEqual([got.heard, got.answer, got.own], [["first", "second", "third"], "answer", "first"]);
    assert.deepEqual(Object.keys(got.first).sort(), ["algorithm", "ciphertext", "device_id", "m.relates_to", "sender_key", "session_id"]);
    assert.equal(got.first["session_id"], got.second["session_id"]);
    assert.deepEqual([got.ended, got.gone], [[true, false], "room_key_not_shared"]);
    assert.deepEqual(new Map(got.flags as [unknown, unknown][]), new Map([[got.first["session_id"], true], [got.third["session_id"], false]]));
  });
});

test("that a room is encrypted is remembered, also after a reload, and never taken back; what is bad changes nothing", async () => {
  await withTwo(async (page) => {
    const got = await page.inPage(async ({ room }) => {
      const algorithm = "m.megolm.v1.aes-sha2";
      const none = await ours.getRoomSettings(room);
      const unknown = await kit.failure(() => ours.setRoomSettings(room, { algorithm: "m.other" }));
      await ours.setRoomSettings(room, { algorithm, sessionRotationPeriodMs: 0, sessionRotationPeriodMessages: 100, onlyAllowTrustedDevices: true });
      await ours.close();
      globalThis.ours = await kit.ks.OlmMachine.open({ userId: "@me:test", deviceId: "MINE", store: { name: "sending" }, http: { fetch: server.fetch } });
      const bad = await Promise.all([
        kit.failure(() => ours.setRoomSettings(room, { algorithm: "" })),
        kit.failure(() => ours.setRoomSettings(room, { algorithm, sessionRotationPeriodMs: NaN })),
        kit.failure(() => ours.setRoomSettings(room, { algorithm, sessionRotationPeriodMessages: -1 })),
        kit.failure(() => ours.setRoomSettings("room", { algorithm })),
        kit.failure(() => ours.getRoomSettings("room")),
      ]);
      const kept = await ours.getRoomSettings(room);
      await ours.setRoomSettings(room, { algorithm });
      const last = await ours.getRoomSettings(room);
      await ours.close();
      return { none, unknown: unknown.code, bad: bad.map(({ code }) => code), kept, last };
    }, { room });
    const algorithm = "m.megolm.v1.aes-sha2";
    assert.deepEqual([got.none, got.unknown], [null, "invalid_room_settings"]);
    assert.deepEqual(got.bad, ["encryption_downgrade", "bad_encryption_settings", "bad_encryption_settings", "bad_room_id", "bad_room_id"]);
    assert.deepEqual(got.kept, { algorithm, sessionRotationPeriodMs: 3_600_000, onlyAllowTrustedDevices: true });
    assert.deepEqual(got.last, { algorithm, onlyAllowTrustedDevices: false });
  });
});

test("who is not trusted gets no key and is told so; a client that makes its requests itself sends what is listed", async () => {
  await withTwo(async (page) => {
    const got = await page.inPage(async ({ room }) => {
      const members = ["@me:test", "@alice:test"];
      const send = async (requests: readonly { id: string; path: string; body: string }[]): Promise<void> => {
        for (const { id, path, body } of requests) await ours.markRequestAsSent(id, server.ask("@me:test", "MINE", path, body));
      };
      await ours.updateTrackedUsers(members);
      await send(ours.outgoingRequests());
      const claim = await ours.getMissingSessions(members);
      if (claim) await send([claim]);
      const refused = await kit.failure(() => ours.shareRoomKey(room, members, { sharingStrategy: "IdentityBasedStrategy" }));
      const bad = await Promise.all([
        kit.failure(() => ours.shareRoomKey(room, members, { sharingStrategy: "Everybody" as never })),
        kit.failure(() => ours.shareRoomKey(room, members, { rotationPeriod: 1.5 })),
        kit.failure(() => ours.shareRoomKey("room", members)),
        kit.failure(() => ours.shareRoomKey(room, ["alice"])),
        kit.failure(() => ours.encryptRoomEvent(room, "", {})),
        kit.failure(() => ours.encryptRoomEvent("room", "m.room.message", {})),
        kit.failure(() => ours.invalidateGroupSession("room")),
      ]);
      const requests = await ours.shareRoomKey(room, members, { sharingStrategy: "OnlyTrustedDevices", rotationPeriodMessages: 1 });
      const early = await kit.failure(() => ours.encryptRoomEvent(room, "m.room.message", {}));
      const listed = ours.outgoingRequests().map(({ id }) => id);
      await send(requests);
      await server.sync();
      const content = await ours.encryptRoomEvent(room, "m.room.message", { body: "x" });
      const used = await kit.failure(() => ours.encryptRoomEvent(room, "m.room.message", {}));
      const event = JSON.stringify({ type: "m.room.encrypted", event_id: "$1", sender: "@me:test", room_id: room, origin_server_ts: 1, content });
      const told = await theirs.decryptRoomEvent(event, new peer.RoomId(room), new peer.DecryptionSettings(peer.TrustRequirement.Untrusted)).then(() => "read", (error: unknown) => (error as { maybe_withheld?: string }).maybe_withheld);
      await ours.close();
      return { refused: refused.code, bad: bad.map(({ code }) => code), requests: requests.map(({ id, type, path, method }) => ({ id, type, method, path: path.replace(/[^/]*$/, "") })), early: early.code, listed, used: used.code, told };
    }, { room });
    assert.equal(got.refused, "cross_signing_not_set_up");
    assert.deepEqual(got.bad, ["bad_encryption_settings", "bad_encryption_settings", "bad_room_id", "bad_user_id", "bad_content", "bad_room_id", "bad_room_id"]);
    assert.deepEqual(got.requests.map(({ type, method, path }) => [type, method, path]), [["to_device", "PUT", "/_matrix/client/v3/sendToDevice/m.room_key.withheld/"]]);
    assert.deepEqual([got.early, got.used], ["room_key_not_shared", "room_key_expired"]);
    assert.ok(got.listed.includes(got.requests[0]?.id ?? ""));
    assert.match(got.told ?? "", /unverified/);
  }, true);
});
