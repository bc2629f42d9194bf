// Room keys as /sync brings them, Olm included, and messages that they open: ours and the peer's (@matrix-org/matrix-sdk-crypto-wasm) in turn, in one
// page of headless Chrome, each over an IndexedDB of its own. The senders are devices of libolm, known and cross-signed, and embed
// `sender_device_keys`. Prints medians by key or message, their ratio, and the longest time the page's thread was not free; below them what a transaction
// alone costs that writes as many rows as fifty keys.
//
//   ROUNDS=9 node web/bench/reception.mjs

import Olm from "@matrix-org/olm";
import { LibolmDevice, knownAs } from "../build/test/libolm.js";
import { keysQueryAnswer, olmPayload } from "../build/test/people.js";
import { inChrome, median, print } from "./bench.mjs";

const rounds = Number(process.env.ROUNDS ?? 9);
const batch = 50;
/** A room that nobody shows, and one that ours has loaded, as a client does that shows it. */
const [room, shown] = ["!room:example.org", "!shown:example.org"];
const own = { userId: "@me:example.org", deviceId: "MINE" };
await Olm.init();
const senders = Array.from({ length: batch }, (_, i) => new LibolmDevice(`@user${i}:example.org`, "PHONE"));

/** The message of a session that was answered, which is what a pre-key message wraps. */
function answered(event) {
  const { content, ...rest } = JSON.parse(event);
  const [key, { body }] = Object.entries(content.ciphertext)[0];
  let raw = Buffer.from(body, "base64").subarray(1);
  for (;;) {
    const head = raw[1] < 0x80 ? 2 : 3;
    const length = head === 2 ? raw[1] : (raw[1] & 0x7f) + raw[2] * 128;
    if (raw[0] === 0x22) {
      const inner = raw.subarray(head, head + length).toString("base64").replace(/=+$/, "");
      return JSON.stringify({ ...rest, content: { ...content, ciphertext: { [key]: { type: 1, body: inner } } } });
    }
    raw = raw.subarray(head + length);
  }
}

/** Runs in the page: opens both machines, and puts in `sides` what is asked of either. */
async function open({ own, answer }) {
  const peer = await bench.peer();
  const { initAsync, OlmMachine } = await import("/dist/index.js");
  await initAsync({ wasmURL: "/dist/knownsender-olm.wasm" });
  const settings = () => new peer.DecryptionSettings(peer.TrustRequirement.Untrusted);
  const sides = {
    ours: {
      open: async () => (sides.ours.machine = await OlmMachine.open({ ...own, store: { name: "ours" } })),
      keys: () => sides.ours.machine.identityKeys,
      uploads: () => sides.ours.machine.outgoingRequests().filter(({ type }) => type === "keys_upload"),
      uploaded: ({ id }, response) => sides.ours.machine.markRequestAsSent(id, response),
      meet: () => sides.ours.machine.receiveKeysQueryResponse(answer),
      sync: (toDeviceEvents, count) => sides.ours.machine.receiveSyncChanges({ toDeviceEvents, oneTimeKeyCounts: { signed_curve25519: count }, unusedFallbackKeys: ["signed_curve25519"] }),
      taken: ({ events }) => events.filter(({ type, receipt }) => type === "room_key" && receipt.accepted).length,
      decrypt: (event, room) => sides.ours.machine.decryptRoomEvent(event, room),
      loadRoom: (room) => sides.ours.machine.loadRoom(room),
      close: () => sides.ours.machine.close(),
    },
    theirs: {
      open: async () => (sides.theirs.machine = await peer.OlmMachine.initFromStore(new peer.UserId(own.userId), new peer.DeviceId(own.deviceId), await peer.StoreHandle.open("theirs"))),
      keys: () => ({ ed25519: sides.theirs.machine.identityKeys.ed25519.toBase64(), curve25519: sides.theirs.machine.identityKeys.curve25519.toBase64() }),
      uploads: async () => (await sides.theirs.machine.outgoingRequests()).filter(({ type }) => type === peer.RequestType.KeysUpload),
      uploaded: ({ id, type }, response) => sides.theirs.machine.markRequestAsSent(id, type, response),
      meet: async () => {
        const request = sides.theirs.machine.queryKeysForUsers(Object.keys(JSON.parse(answer).device_keys).map((user) => new peer.UserId(user)));
        await sides.theirs.machine.markRequestAsSent(request.id, request.type, answer);
      },
      sync: (events, count) => sides.theirs.machine.receiveSyncChanges(JSON.stringify(events), new peer.DeviceLists(), new Map([["signed_curve25519", count]]), new Set(["signed_curve25519"]), settings()),
      taken: (events) => events.filter(({ type }) => type === peer.ProcessedToDeviceEventType.Decrypted).length,
      decrypt: (event, room) => sides.theirs.machine.decryptRoomEvent(JSON.stringify(event), new peer.RoomId(room), settings()),
      close: () => sides.theirs.machine.close(),
    },
  };
  globalThis.sides = sides;
  for (const side of Object.values(sides)) await side.open();
  for (const side of Object.values(sides)) await side.meet();
}

/** Runs in the page: each machine's identity keys, and fifty new one-time keys of it. */
async function claim({ batch }) {
  const claimed = {};
  for (const [who, side] of Object.entries(sides)) {
    await side.sync([], 0);
    const oneTimeKeys = [];
    for (let uploads; (uploads = await side.uploads()).length > 0; ) {
      for (const { key } of Object.values(JSON.parse(uploads[0].body).one_time_keys ?? {})) oneTimeKeys.push(key);
      await side.uploaded(uploads[0], JSON.stringify({ one_time_key_counts: { signed_curve25519: batch } }));
    }
    claimed[who] = { ...side.keys(), oneTimeKeys };
  }
  return claimed;
}

/** Runs in the page: gives each machine its events, in this order. */
async function receive({ what, events, order, batch }) {
  for (const who of order) {
    const list = events[who].map((text) => JSON.parse(text));
    const result = await bench.measure(what, who, () => sides[who].sync(list, batch));
    if (sides[who].taken(result) !== list.length) throw new Error(`${who}: ${JSON.stringify(result)}`);
  }
}

/**
 * Runs in the page: has each machine decrypt the same room events, all at once as a timeline that is opened, or one after the other; after it was opened
 * again, or ours has loaded the room (which counts where it was opened again).
 */
async function decrypt({ what, events, order, room, together, reopen, load }) {
  for (const who of order) {
    const { decrypt, loadRoom } = sides[who];
    if (reopen) {
      await sides[who].close();
      await sides[who].open();
    }
    if (load && !reopen) await loadRoom?.(room);
    await bench.measure(what, who, async () => {
      if (load && reopen) await loadRoom?.(room);
      if (together) await Promise.all(events.map((event) => decrypt(event, room)));
      else for (const event of events) await decrypt(event, room);
    });
  }
}

/** Runs in the page: what a transaction costs that writes so many rows of the size of a room key's, and nothing else. */
async function transaction({ what, rows, durability }) {
  const done = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const opening = indexedDB.open("floor");
  opening.onupgradeneeded = () => opening.result.createObjectStore("rows");
  const database = await done(opening);
  await bench.measure(what, "ours", () => new Promise((resolve) => {
    const writing = database.transaction("rows", "readwrite", { durability });
    for (let i = 0; i < rows; i++) writing.objectStore("rows").put(new Uint8Array(900), crypto.randomUUID());
    writing.oncomplete = resolve;
  }));
  database.close();
}

const profiles = [];
await inChrome(async (page, where) => {
  const cdp = await page.context().newCDPSession(page);
  /** By what was measured: how many keys or messages. */
  const counts = {};
  const sealed = (sender, to, payload, normal) => {
    const event = sender.event(to.curve25519, payload);
    return normal ? answered(event) : event;
  };
  const message = (session, i, ciphertext) => ({
    type: "m.room.encrypted", event_id: `$${i}`, sender: senders[0].person.userId, origin_server_ts: 1795445103761,
    content: { algorithm: "m.megolm.v1.aes-sha2", session_id: session.session_id(), ciphertext },
  });
  await page.evaluate(open, { own, answer: keysQueryAnswer(senders.map(({ person }) => person)) });
  for (let round = 0; round < rounds; round++) {
    const claimed = await page.evaluate(claim, { batch });
    const order = round % 2 === 0 ? ["ours", "theirs"] : ["theirs", "ours"];
    const us = Object.entries(claimed).map(([who, keys]) => [who, { ...keys, person: knownAs(own.userId, own.deviceId, keys) }]);
    for (const [, { curve25519, oneTimeKeys }] of us) senders.forEach((sender, i) => sender.begin(curve25519, oneTimeKeys[i]));
    /** Gives both machines so many new room keys, from so many senders in turn; returns their sessions. */
    const keys = async (what, count, from, normal, roomId = room) => {
      counts[what] = count;
      const sessions = Array.from({ length: count }, () => {
        const session = new Olm.OutboundGroupSession();
        session.create();
        return session;
      });
      const contents = sessions.map((session) => ({ algorithm: "m.megolm.v1.aes-sha2", room_id: roomId, session_id: session.session_id(), session_key: session.session_key() }));
      const events = us.map(([who, to]) => [who, contents.map((content, i) => {
        const sender = senders[i % from];
        return sealed(sender, to, olmPayload(sender.person, to.person, "m.room_key", content), normal);
      })]);
      await page.evaluate(receive, { what, events: Object.fromEntries(events), order, batch });
      return sessions;
    };
    /** Has both machines decrypt messages of these sessions in turn. */
    const messages = async (what, sessions, count, how = {}) => {
      const mine = what === process.env.WHAT;
      const roomId = how.load ? shown : room;
      counts[what] = count;
      const plaintext = JSON.stringify({ room_id: roomId, type: "m.room.message", content: { msgtype: "m.text", body: "a message of a usual length, as people write them" } });
      const events = Array.from({ length: count }, (_, i) => message(sessions[i % sessions.length], `${round} ${what} ${i}`, sessions[i % sessions.length].encrypt(plaintext)));
      if (mine) { await cdp.send("Profiler.enable"); await cdp.send("Profiler.setSamplingInterval", { interval: 50 }); await cdp.send("Profiler.start"); }
      await page.evaluate(decrypt, { what, events, order: mine ? ["ours"] : order, room: roomId, ...how });
      if (mine) profiles.push((await cdp.send("Profiler.stop")).profile);
    };
    const all = [
      await keys("50 senders, the first message of a channel", batch, 50, false),
      await keys("50 senders", batch, 50, true, shown),
      await keys("5 senders", batch, 5, true, shown),
      await keys("1 sender, not answered yet", batch, 1, false),
      await keys("1 sender", batch, 1, true),
      await keys("a single key", 1, 1, true),
    ];
    await messages("messages of 50 sessions", all[4], batch);
    await messages("more of them", all[4], batch);
    await messages("more of one session", all[4].slice(0, 1), 100);
    await messages("messages of 50 sessions, all at once", all[3], batch, { together: true });
    await messages("more of them, all at once", all[3], batch, { together: true });
    await messages("messages of 50 sessions, room loaded", all[2], batch, { load: true });
    await messages("messages of 50 sessions, room loaded, all at once", all[1], batch, { together: true, load: true });
    await messages("messages of 10 sessions, just opened, all at once", all[3].slice(0, 10), batch, { together: true, reopen: true });
    await messages("the same, and the room is loaded", all[2].slice(0, 10), batch, { together: true, reopen: true, load: true });
    for (const session of all.flat()) session.free();
    for (const durability of ["strict", "relaxed"]) {
      const what = `a transaction of 51 rows, ${durability}`;
      counts[what] = batch;
      await page.evaluate(transaction, { what, rows: 51, durability });
    }
  }
  const self = new Map(); let total = 0;
  for (const { nodes, samples, timeDeltas } of profiles) {
    const by = new Map(nodes.map((n) => [n.id, n]));
    samples.forEach((id, i) => { const n = by.get(id); const f = n.callFrame; const name = f.functionName + " " + f.url.split("/").pop(); self.set(name, (self.get(name) ?? 0) + timeDeltas[i]); total += timeDeltas[i]; });
  }
  for (const [name, us] of [...self].sort((a, b) => b[1] - a[1]).slice(0, 45)) console.log((us / 1000).toFixed(1).padStart(8), name);
  const rows = await page.evaluate("bench.rows");
  console.log(`${where}, IndexedDB, medians of ${rounds} rounds, by key or message:`);
  print(["", "ours", "theirs", "ratio", "our block", "their block"], Object.entries(rows).map(([what, { ours, theirs }]) => {
    const each = ({ took }) => (median(took) * 1000) / counts[what];
    const cells = (row) => [`${each(row).toFixed(0)} us`, `${row.longest.toFixed(0)} ms`];
    const [took, block] = cells(ours);
    if (theirs === undefined) return [what, took, "", "", block, ""];
    const [theirTook, theirBlock] = cells(theirs);
    return [what, took, theirTook, (each(theirs) / each(ours)).toFixed(1), block, theirBlock];
  }));
});
for (const sender of senders) sender.free();
