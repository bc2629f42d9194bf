// Threat rows T23 to T32: attacks by the key material itself, on room keys and on what is encrypted with them, given to the machine as a client gives it.

import { describe, test } from "node:test";
import { answerOf, bytesOf, keyWith, resigned, room, useAttacks, type JsonMap, type Step } from "./attackkit.js";
import { base64, keysQueryAnswer, Outbound, Person } from "./people.js";

const { attack } = useAttacks();

const me = new Person("@me:test", "MINE");
const alice = new Person("@alice:test", "ALICE", "yes");
const mallory = new Person("@mallory:test", "MALLORY", "yes");
const known = [{ answer: keysQueryAnswer([alice, mallory]) }, "applied"] as const;
const received = "SenderUnverified @alice:test";
const unsure = "shown shown shown unverified_identity";
const hidden = (code: string): string => `${code} ${code} ${code} ${code}`;

/** An event with another ciphertext. */
function withCiphertext(event: JsonMap, change: (bytes: Buffer) => Uint8Array | void): JsonMap {
  const content = event["content"] as JsonMap;
  return { ...event, content: { ...content, ciphertext: bytesOf(String(content["ciphertext"]), change) } };
}

const lowOrder = "A".repeat(43);
/** y = 0; y = p - 1, of order two; p + 1, which is 1 in another spelling; p + 3, which is of no low order. */
const weakKeys = [lowOrder, ...["ec", "ee", "f0"].map((byte) => base64(Buffer.from(`${byte}${"ff".repeat(30)}7f`, "hex")))];

describe("the key material", () => {
  test("T23: session keys with a wrong signature, of the other form, a byte more or less, none", async () => {
    const session = new Outbound(room);
    const genuine = session.sessionKey();
    const exported = String(session.exported(alice)["session_key"]);
    const bad = [
      bytesOf(genuine, (bytes) => void (bytes[228] = (bytes[228] ?? 0) ^ 1)), bytesOf(genuine, (bytes) => void (bytes[50] = (bytes[50] ?? 0) ^ 1)), exported,
      bytesOf(genuine, (bytes) => bytes.subarray(0, -1)), bytesOf(genuine, (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])), "",
    ];
    const { algorithm, sender_key, sender_claimed_keys, room_id, session_id } = session.exported(alice);
    const entry = (session_key: string): JsonMap => ({ algorithm: algorithm ?? "", sender_key: sender_key ?? "", sender_claimed_keys: sender_claimed_keys ?? "", room_id: room_id ?? "", session_id: session_id ?? "", session_key });
    await attack(me, [
      known,
      [{ keys: bad.map((session_key) => keyWith(session, alice, me, { session_key })) }, `${bad.map(() => "bad_session_key").join(", ")}; nothing stored`],
      [{ imported: [genuine, bytesOf(exported, (bytes) => bytes.subarray(0, -1)), `${exported}AAAA`, ""].map(entry) }, "0 new, 0 better, 0 unchanged, 0 bad_session_key, 1 bad_session_key, 2 bad_session_key, 3 bad_session_key; nothing stored"],
      [{ copies: session.sessionId }, "none"],
    ]);
  });

  test("T24: a message served again as another event, also after a restart", async () => {
    const session = new Outbound(room);
    const first = session.event("@alice:test", "$first", "hello");
    const again = { ...first, event_id: "$second", origin_server_ts: 1 };
    await attack(me, [
      known, [{ keys: [session.item(alice, me)] }, received],
      [{ event: first }, unsure], [{ event: again }, hidden("replayed")], [{ event: first }, unsure],
      [{ reopen: true }, "opened"], [{ event: again }, hidden("replayed")], [{ event: first }, unsure],
    ]);
  });

  test("T25: a session id that is not the key's", async () => {
    const [session, other] = [new Outbound(room), new Outbound(room)];
    await attack(me, [
      known, [{ keys: [keyWith(session, alice, me, { session_id: other.sessionId }), keyWith(session, alice, me, { session_id: "x" })] }, "session_id_mismatch, session_id_mismatch; nothing stored"],
    ]);
  });

  test("T26: a room key and a message relabelled for another room", async () => {
    const session = new Outbound(room);
    const event = session.event("@alice:test", "$1", "hello");
    await attack(me, [
      known,
      [{ keys: [keyWith(session, mallory, me, { room_id: "!other:test" })] }, "SenderUnverified @mallory:test"],
      [{ event }, hidden("no_key")],
      [{ event, room: "!other:test" }, hidden("wrong_room")],
      [{ keys: [session.item(alice, me)] }, received],
      [{ event }, unsure],
      [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"], [{ copies: session.sessionId, room: "!other:test" }, "direct SenderUnverified @mallory:test from 0"],
    ]);
  });

  test("T27: a session shared again later, earlier, and another ratchet under its name", async () => {
    for (const order of [[100, 0, 0], [0, 100, 0], [0, 0, 100]]) {
      const session = new Outbound(room);
      // Signed by the session's own key: another ratchet at an earlier index.
      const later = new Outbound(room, 50);
      await attack(me, [
        known,
        ...order.map((index, i) => [{ keys: [session.item(alice, me, { index })] }, `${received}${i > 0 && index >= Math.min(...order.slice(0, i)) ? "; nothing stored" : ""}`] as const),
        [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"],
        [{ keys: [session.forged(later).item(alice, me)] }, "unconnected; nothing stored"],
        [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"],
        [{ event: session.event("@alice:test", "$1", "hello") }, unsure],
        [{ event: session.forged(later).event("@alice:test", "$2", "invented") }, hidden("unable_to_decrypt")],
      ]);
    }
  });

  test("T28: the last index there is, and numbers that are none", async () => {
    const last = new Outbound(room, 2 ** 32 - 1);
    const event = (index: string): JsonMap => last.event("@alice:test", `$${index}`, "hello", { index: Buffer.from(index, "hex") });
    await attack(me, [
      known, [{ keys: [last.item(alice, me)] }, received],
      [{ copies: last.sessionId }, "direct SenderUnverified @alice:test from 4294967295"],
      [{ event: last.event("@alice:test", "$1", "hello") }, unsure],
      [{ event: event("00") }, hidden("unknown_index")],
      [{ event: event("8080808010") }, hidden("unable_to_decrypt")],
      [{ event: event("ffffffff8f00") }, hidden("unable_to_decrypt")],
      [{ event: event("ffffffffffffffffff01") }, hidden("unable_to_decrypt")],
    ]);
    // As far ahead as can be: refused, and soon.
    const far = new Outbound(room);
    await attack(me, [
      known, [{ keys: [far.item(alice, me)] }, received],
      [{ event: far.event("@alice:test", "$1", "hello", { index: Buffer.from("ffffffff0f", "hex") }) }, hidden("unable_to_decrypt")],
      [{ event: far.event("@alice:test", "$2", "hello") }, unsure],
    ]);
  });

  test("T29: keys of low order and keys with a second spelling, wherever there are keys", async () => {
    const session = new Outbound(room);
    const weakSession = (weak: string): string => bytesOf(session.sessionKey(), (bytes) => void Buffer.from(weak, "base64").copy(bytes, 133));
    const weakDevice = (weak: string): JsonMap => resigned(alice, (object) => ((object["keys"] as JsonMap)["ed25519:ALICE"] = weak));
    const identity = alice.identity;
    const weakIdentity = (weak: string, role: "master_keys" | "self_signing_keys"): Step => ({ answer: answerOf([alice], (answer) => {
      answer[role]["@alice:test"] = { user_id: "@alice:test", usage: [role.replace("_keys", "")], keys: { [`ed25519:${weak}`]: weak }, signatures: { "@alice:test": { [identity?.master.label ?? ""]: base64(Buffer.alloc(64, 1)) } } };
    }) });
    for (const weak of weakKeys) {
      const code = `${weak === weakKeys[3] ? "non_canonical_key" : "low_order_key"}; nothing stored`;
      await attack(me, [
        known,
        [{ keys: [
          keyWith(session, alice, me, { session_key: weakSession(weak), session_id: weak }),
          { ...session.item(alice, me), payload: JSON.stringify({ ...session.payload(alice, me), sender_device_keys: weakDevice(weak) }) },
          { ...session.item(alice, me), payload: JSON.stringify({ ...session.payload(alice, me), keys: { ed25519: weak } }) },
        ] }, "bad_session_key, bad_sender_device_keys, bad_payload; nothing stored"],
        [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ALICE: weakDevice(weak) })) }, code],
        [weakIdentity(weak, "master_keys"), code], [weakIdentity(weak, "self_signing_keys"), code],
        [{ identity: "@alice:test" }, "Unverified"],
      ]);
    }
    // R of low order in the signature of a message.
    await attack(me, [
      known, [{ keys: [session.item(alice, me)] }, received],
      ...weakKeys.map((weak) => [{ event: withCiphertext(session.event("@alice:test", "$1", "hello"), (bytes) => void Buffer.from(weak, "base64").copy(bytes, bytes.length - 64)) }, hidden("unable_to_decrypt")] as const),
      [{ event: session.event("@alice:test", "$1", "hello") }, unsure],
    ]);
  });

  test("T30: curve25519 keys with which nothing is secret", async () => {
    const session = new Outbound(room);
    const device = resigned(alice, (object) => ((object["keys"] as JsonMap)["curve25519:ALICE"] = lowOrder));
    await attack(me, [
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ALICE: device })) }, "low_order_key"],
      [{ keys: [
        { ...session.item(alice, me), senderKey: lowOrder }, { ...session.item(alice, me), senderKey: base64(Buffer.concat([Buffer.from([1]), Buffer.alloc(31)])) },
        { ...session.item(alice, me), payload: JSON.stringify({ ...session.payload(alice, me), sender_device_keys: device }) },
      ] }, "bad_sender_key, bad_sender_key, bad_sender_device_keys; nothing stored"],
      [{ imported: [{ ...session.exported(alice), sender_key: lowOrder }] }, "0 new, 0 better, 0 unchanged, 0 bad_member; nothing stored"],
    ]);
  });

  test("T31: a message with any bit flipped, or cut off anywhere", async () => {
    const session = new Outbound(room);
    const event = session.event("@alice:test", "$1", "hello");
    const length = Buffer.from(String((event["content"] as JsonMap)["ciphertext"]), "base64").length;
    const broken = [
      ...Array.from({ length: length * 8 }, (_, bit) => withCiphertext(event, (bytes) => void (bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))))),
      ...Array.from({ length }, (_, size) => withCiphertext(event, (bytes) => bytes.subarray(0, size))),
    ];
    await attack(me, [
      known, [{ keys: [session.item(alice, me)] }, received],
      [{ broken }, "unable_to_decrypt"],
      [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"],
      [{ event }, unsure],
    ]);
  });

  test("T32: keys and messages in a second spelling", async () => {
    const session = new Outbound(room);
    const genuine = session.sessionKey();
    // 229 bytes leave four bits over in the last character, 32 leave two.
    const spare = (text: string): string => `${text.slice(0, -1)}${"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"["ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".indexOf(text.slice(-1)) + 1] ?? ""}`;
    const spellings = (text: string): string[] => [`${text}=`, spare(text), `${text}\n`, `${text.slice(0, 20)}\r\n${text.slice(20)}`, ` ${text}`, text.replaceAll("+", "-").replaceAll("/", "_").replace(/^./, "-")];
    const event = session.event("@alice:test", "$1", "hello");
    const content = event["content"] as JsonMap;
    await attack(me, [
      known,
      [{ keys: spellings(genuine).map((session_key) => keyWith(session, alice, me, { session_key })) }, `${Array(6).fill("bad_session_key").join(", ")}; nothing stored`],
      [{ keys: spellings(session.sessionId).map((session_id) => keyWith(session, alice, me, { session_id })) }, `${Array(6).fill("session_id_mismatch").join(", ")}; nothing stored`],
      [{ keys: spellings(alice.curve25519).map((senderKey) => ({ ...session.item(alice, me), senderKey })) }, `${Array(6).fill("bad_sender_key").join(", ")}; nothing stored`],
      [{ keys: [session.item(alice, me)] }, received],
      [{ broken: spellings(String(content["ciphertext"])).filter((text) => text !== spare(String(content["ciphertext"]))).map((ciphertext) => ({ ...event, content: { ...content, ciphertext } })) }, "unable_to_decrypt"],
      [{ event }, unsure],
    ]);
  });
});
