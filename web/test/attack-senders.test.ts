// Threat rows T01 to T22: attacks on who sent a key. What a homeserver, a member of the room or a device of somebody's may do about the arrival of room
// keys, given to the machine as a client gives it.

import { describe, test } from "node:test";
import { answerOf, resigned, room, useAttacks, type JsonMap } from "./attackkit.js";
import { Identity, keysQueryAnswer, olmItem, Outbound, Person, SigningKey, type Json } from "./people.js";

const { attack, rawAttack } = useAttacks();

/** Us with an identity, Alice with a cross-signed device, and Mallory with hers; those named are verified by us. */
function cast(...verified: ("alice" | "mallory")[]): { me: Person; alice: Person; mallory: Person; master: string } {
  const me = new Person("@me:test", "MINE", "yes");
  const people = { alice: new Person("@alice:test", "ALICE", "yes"), mallory: new Person("@mallory:test", "MALLORY", "yes") };
  for (const name of verified) verify(me, people[name]);
  return { me, ...people, master: identityOf(me).master.public };
}

function identityOf(person: Person): Identity {
  if (person.identity === undefined) throw new Error(`${person.userId} has no identity`);
  return person.identity;
}

function verify(me: Person, person: Person): void {
  identityOf(person).signedBy.push({ user: me.userId, key: identityOf(me).userSigning });
}

/** A room key whose payload was changed. */
function changed(session: Outbound, from: Person, to: Person, change: (payload: JsonMap) => void): { sender: string; senderKey: string; payload: string } {
  const payload = session.payload(from, to);
  change(payload);
  return olmItem(from, payload);
}

const shown = "shown shown shown shown";
const unsure = "shown shown shown unverified_identity";
const but = (code: string): string => `red ${code} ${code} ${code}`;
const hidden = (code: string): string => `${code} ${code} ${code} ${code}`;

describe("who sent the key", () => {
  test("T01: Alice's message served as Charlie's", async () => {
    const { me, alice, master } = cast("alice");
    const session = new Outbound(room);
    const served = session.event("@charlie:test", "$1", "hello");
    const kept = "direct SenderVerified @alice:test from 0";
    await attack(me, [
      [{ answer: keysQueryAnswer([me, alice]) }, "applied"], [{ trust: master }, "trusted"],
      [{ keys: [session.item(alice, me)] }, "SenderVerified @alice:test"],
      [{ event: served }, but("mismatched_sender")],
      [{ copies: session.sessionId }, kept],
      [{ reopen: true }, "opened"], [{ event: served }, but("mismatched_sender")], [{ copies: session.sessionId }, kept],
    ]);
  });

  test("T02: a description of the device that is another user's, valid in itself", async () => {
    const { me, alice, mallory } = cast();
    await attack(me, [
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["sender_device_keys"] = mallory.deviceKeys()))] }, "sender_device_keys_user; nothing stored"],
    ]);
    await rawAttack(({ me, alice, mallory, theirs }) => [
      [{ sync: [alice.event(theirs, { ...new Outbound(room).payload(alice.person, me), sender_device_keys: mallory.person.deviceKeys() })] }, "sender_device_keys_user; nothing stored"],
      [{ sync: [alice.event(theirs, new Outbound(room).payload(alice.person, me))] }, "DeviceInfo @alice:test"],
    ]);
  });

  test("T03: the payload's ed25519 key is not the described device's", async () => {
    const { me, alice, mallory } = cast();
    const keys = { ed25519: mallory.ed25519.public };
    await attack(me, [
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["keys"] = keys))] }, "sender_device_keys_ed25519; nothing stored"],
    ]);
    await rawAttack(({ me, alice, theirs }) => [
      [{ sync: [alice.event(theirs, { ...new Outbound(room).payload(alice.person, me), keys })] }, "sender_device_keys_ed25519; nothing stored"],
    ]);
  });

  test("T04: the channel's curve25519 key is not the described device's", async () => {
    const { me, alice, mallory } = cast();
    const moved = (person: Person): JsonMap => resigned(person, (object) => ((object["keys"] as JsonMap)[`curve25519:${person.deviceId}`] = mallory.curve25519));
    await attack(me, [
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["sender_device_keys"] = moved(alice)))] }, "sender_device_keys_curve25519; nothing stored"],
    ]);
    await rawAttack(({ me, alice, theirs }) => [
      [{ sync: [alice.event(theirs, { ...new Outbound(room).payload(alice.person, me), sender_device_keys: moved(alice.person) })] }, "sender_device_keys_curve25519; nothing stored"],
    ]);
  });

  test("T05: one bit of the device's own signature, though the good device is known", async () => {
    const spoiled = (person: Person): JsonMap => {
      const object = person.deviceKeys();
      const own = (object["signatures"] as Record<string, Record<string, string>>)[person.userId] ?? {};
      const label = `ed25519:${person.deviceId}`;
      const bytes = Buffer.from(own[label] ?? "", "base64");
      bytes[5] = (bytes[5] ?? 0) ^ 1;
      own[label] = bytes.toString("base64").replace(/=+$/, "");
      return object;
    };
    const { me, alice } = cast();
    await attack(me, [
      [{ answer: keysQueryAnswer([alice]) }, "applied"],
      [{ keys: [new Outbound(room).item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["sender_device_keys"] = spoiled(alice)))] }, "sender_device_keys_signature; nothing stored"],
    ]);
    await rawAttack(({ me, alice, theirs }) => [
      [{ answer: keysQueryAnswer([alice.person]) }, "applied"],
      [{ sync: [alice.event(theirs, { ...new Outbound(room).payload(alice.person, me), sender_device_keys: spoiled(alice.person) })] }, "sender_device_keys_signature; nothing stored"],
    ]);
  });

  test("T06: no cross-signature, one of an earlier key, and a forged one are three things", async () => {
    const { me, alice } = cast();
    const none = new Outbound(room);
    const unsigned = new Person("@alice:test", "ALICE");
    await attack(me, [
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = {})) }, "applied"],
      [{ keys: [changed(none, unsigned, me, () => undefined)] }, "DeviceInfo @alice:test"],
    ]);
    // Signed by the key from before a reset; known when the owner signs it again.
    const old = new Outbound(room);
    const before = old.payload(alice, me);
    const earlier = alice.identity;
    alice.identity = new Identity(alice.userId);
    await attack(me, [
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = {})) }, "applied"],
      [{ keys: [olmItem(alice, before)] }, "DeviceInfo @alice:test"],
      [{ event: old.event("@alice:test", "$1", "hello") }, but("unsigned_device")],
      [{ answer: keysQueryAnswer([alice]) }, "applied"],
      [{ event: old.event("@alice:test", "$1", "hello") }, unsure],
    ]);
    alice.identity = earlier;
    // Forged inside the sender's own message: discarded under every policy, and an honest copy begins afresh.
    const forged = new Outbound(room);
    alice.crossSigned = "wrong";
    const item = forged.item(alice, me);
    alice.crossSigned = "yes";
    await attack(me, [
      [{ answer: keysQueryAnswer([alice]) }, "applied"],
      [{ keys: [item] }, "embedded_cross_signature_wrong"],
      [{ event: forged.event("@alice:test", "$1", "hello") }, hidden("tampered")],
      [{ reopen: true }, "opened"],
      [{ event: forged.event("@alice:test", "$1", "hello") }, hidden("tampered")],
      [{ keys: [forged.item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ event: forged.event("@alice:test", "$1", "hello") }, unsure],
    ]);
    // Forged in the server's answer: suspended, and recovered.
    const held = new Outbound(room);
    alice.crossSigned = "wrong";
    const bad = keysQueryAnswer([alice]);
    alice.crossSigned = "yes";
    await attack(me, [
      [{ answer: bad }, "cross_signature_invalid"],
      [{ keys: [held.item(alice, me, { embed: false })] }, "DeviceInfo @alice:test suspended"],
      [{ event: held.event("@alice:test", "$1", "hello") }, hidden("tampered")],
      [{ answer: keysQueryAnswer([alice]) }, "applied"],
      [{ event: held.event("@alice:test", "$1", "hello") }, unsure],
    ]);
  });

  test("T07: a device that the server made up for Alice", async () => {
    const { me, alice } = cast("alice");
    const made = new Person("@alice:test", "MADEUP");
    const session = new Outbound(room);
    await attack(me, [
      [{ answer: keysQueryAnswer([me, alice, made]) }, "applied"], [{ trust: identityOf(me).master.public }, "trusted"],
      [{ keys: [session.item(made, me)] }, "DeviceInfo @alice:test"],
      [{ event: session.event("@alice:test", "$1", "hello") }, but("unsigned_device")],
      [{ copies: session.sessionId }, "direct DeviceInfo @alice:test from 0"],
    ]);
  });

  test("T08: verified Mallory's identity filed under Alice's name", async () => {
    const { me, mallory, master } = cast("mallory");
    const victim = new Person("@alice:test", "ALICE", "yes");
    victim.identity = Object.assign(new Identity("@alice:test"), { selfSigning: identityOf(mallory).selfSigning });
    const session = new Outbound(room);
    await attack(me, [
      [{ answer: keysQueryAnswer([me, mallory]) }, "applied"], [{ trust: master }, "trusted"], [{ identity: "@mallory:test" }, "Verified"],
      [{ answer: answerOf([victim], (answer) => {
        answer.master_keys["@alice:test"] = identityOf(mallory).masterObject();
        answer.self_signing_keys["@alice:test"] = identityOf(mallory).selfSigningObject();
        delete answer.user_signing_keys["@alice:test"];
      }) }, "identity_user_mismatch"],
      [{ identity: "@alice:test" }, "none"],
      [{ keys: [session.item(victim, me)] }, "DeviceInfo @alice:test"],
      [{ event: session.event("@alice:test", "$1", "hello") }, but("unsigned_device")],
    ]);
  });

  test("T09: devices that are called otherwise inside than outside", async () => {
    const { me, alice } = cast();
    const other = resigned(alice, (object) => {
      object["device_id"] = "OTHER";
      object["keys"] = { "curve25519:OTHER": alice.curve25519, "ed25519:OTHER": alice.ed25519.public };
    });
    const others = resigned(alice, (object) => (object["user_id"] = "@mallory:test"));
    await attack(me, [
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ...device_keys["@alice:test"], SECOND: other, THIRD: others })) }, "device_id_mismatch, device_user_mismatch"],
      [{ keys: [new Outbound(room).item(alice, me, { embed: false })] }, "SenderUnverified @alice:test"],
    ]);
  });

  test("T10: a device called like a cross-signing key", async () => {
    const { me, alice } = cast();
    const identity = identityOf(alice);
    const evil = new Person("@alice:test", identity.selfSigning.public);
    const victim = new Person("@alice:test", "VICTIM");
    // What the evil device signs stands under the very label of the self-signing key.
    const object = victim.deviceKeys();
    (object["signatures"] as Record<string, Record<string, string>>)["@alice:test"] = {
      ...(object["signatures"] as Record<string, Record<string, string>>)["@alice:test"], [identity.selfSigning.label]: evil.ed25519.signJson(object),
    };
    const session = new Outbound(room);
    await attack(me, [
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ...device_keys["@alice:test"], [evil.deviceId]: evil.deviceKeys(), VICTIM: object })) }, "cross_signature_invalid, device_id_is_cross_signing_key"],
      [{ keys: [new Outbound(room).item(evil, me)] }, "device_id_is_cross_signing_key; nothing stored"],
      [{ keys: [session.item(victim, me, { embed: false })] }, "DeviceInfo @alice:test suspended"],
      [{ event: session.event("@alice:test", "$1", "hello") }, hidden("tampered")],
    ]);
  });

  test("T11: cross-signing keys for another use, two of them, none, or called otherwise", async () => {
    const { me, alice, master } = cast("alice");
    const key = identityOf(alice).selfSigning;
    const other = new SigningKey();
    const objects: [Json, string][] = [
      [{ user_id: "@alice:test", usage: ["master"], keys: { [key.label]: key.public } }, "bad_usage"],
      [{ user_id: "@alice:test", usage: ["self_signing", "master"], keys: { [key.label]: key.public } }, "bad_usage"],
      [{ user_id: "@alice:test", usage: ["self_signing"], keys: { [key.label]: key.public, [other.label]: other.public } }, "bad_cross_signing_key"],
      [{ user_id: "@alice:test", usage: ["self_signing"], keys: {} }, "bad_cross_signing_key"],
      [{ user_id: "@alice:test", usage: ["self_signing"], keys: { [other.label]: key.public } }, "bad_cross_signing_key"],
    ];
    const signed = (object: JsonMap): JsonMap => ({ ...object, signatures: { "@alice:test": { [identityOf(alice).master.label]: identityOf(alice).master.signJson(object) } } });
    await attack(me, [
      [{ answer: keysQueryAnswer([me, alice]) }, "applied"], [{ trust: master }, "trusted"],
      ...objects.map(([object, code]) => [{ answer: answerOf([alice], ({ self_signing_keys }) => (self_signing_keys["@alice:test"] = signed(object as JsonMap))) }, `${code}; nothing stored`] as const),
      [{ identity: "@alice:test" }, "Verified"],
      [{ keys: [new Outbound(room).item(alice, me)] }, "SenderVerified @alice:test"],
    ]);
  });

  test("T12: somebody we verified has another master key", async () => {
    const { me, alice, master } = cast("alice");
    const [old, fresh] = [new Outbound(room), new Outbound(room)];
    const first = keysQueryAnswer([me, alice]);
    const oldKey = old.item(alice, me);
    alice.identity = new Identity(alice.userId);
    await attack(me, [
      [{ answer: first }, "applied"], [{ trust: master }, "trusted"], [{ keys: [oldKey] }, "SenderVerified @alice:test"],
      [{ answer: keysQueryAnswer([alice]) }, "applied"], [{ identity: "@alice:test" }, "VerificationViolation"],
      [{ keys: [fresh.item(alice, me)] }, "VerificationViolation @alice:test"],
      [{ reopen: true }, "opened"],
      [{ event: fresh.event("@alice:test", "$2", "hello") }, but("verification_violation")],
      [{ event: old.event("@alice:test", "$1", "hello") }, shown],
    ]);
  });

  test("T13: our own identity is replaced while it still vouches for others", async () => {
    const { me, alice, mallory, master } = cast("alice");
    const [before, after, hers] = [new Outbound(room), new Outbound(room), new Outbound(room)];
    const first = keysQueryAnswer([me, alice]);
    me.identity = new Identity(me.userId);
    verify(me, mallory);
    await attack(me, [
      [{ answer: first }, "applied"], [{ trust: master }, "trusted"], [{ keys: [before.item(alice, me)] }, "SenderVerified @alice:test"],
      [{ answer: keysQueryAnswer([me, mallory]) }, "applied"],
      [{ keys: [hers.item(mallory, me), after.item(alice, me)] }, "SenderUnverified @mallory:test, VerificationViolation @alice:test"],
      [{ event: hers.event("@mallory:test", "$1", "hello") }, unsure],
      [{ event: before.event("@alice:test", "$2", "hello") }, shown],
    ]);
  });

  test("T14: the server moves a key from Alice to Mallory", async () => {
    const { me, alice, mallory } = cast();
    const [known, later] = [new Outbound(room), new Outbound(room)];
    const moved = new Person("@mallory:test", "MOVED", "no", alice.curve25519);
    Object.assign(moved, { ed25519: alice.ed25519 });
    const answer = answerOf([mallory, moved], ({ device_keys }) => (device_keys["@alice:test"] = {}));
    await attack(me, [
      [{ answer: keysQueryAnswer([alice, mallory]) }, "applied"],
      [{ keys: [known.item(alice, me, { embed: false })] }, "SenderUnverified @alice:test"],
      [{ answer }, "applied"],
      [{ keys: [later.item(alice, me, { embed: false })] }, "UnknownDevice"],
      [{ copies: known.sessionId }, "direct SenderUnverified @alice:test from 0"],
      [{ event: later.event("@mallory:test", "$1", "hello") }, but("mismatched_sender")],
      [{ event: known.event("@mallory:test", "$2", "hello") }, but("mismatched_sender")],
      [{ event: known.event("@alice:test", "$2", "hello") }, unsure],
    ]);
  });

  test("T15: Mallory publishes Alice's key as that of a device of hers", async () => {
    const { me, alice } = cast();
    const stolen = new Person("@mallory:test", "MALLORY", "yes", alice.curve25519);
    const session = new Outbound(room);
    await attack(me, [
      [{ answer: keysQueryAnswer([stolen]) }, "applied"],
      [{ keys: [session.item(alice, me, { embed: false })] }, "UnknownDevice"],
      [{ event: session.event("@mallory:test", "$1", "hello") }, but("mismatched_sender")],
      [{ answer: keysQueryAnswer([alice, stolen]) }, "applied"],
      [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"],
      [{ event: session.event("@alice:test", "$1", "hello") }, unsure],
    ]);
  });

  test("T16: Mallory sends Alice's session on, before Alice or after her", async () => {
    for (const order of [[0, 1], [1, 0]] as const) {
      const { me, alice, mallory } = cast();
      const session = new Outbound(room);
      const senders = [alice, mallory];
      await attack(me, [
        [{ answer: keysQueryAnswer(senders) }, "applied"],
        ...order.map((who) => [{ keys: [session.item(senders[who] as Person, me)] }, `SenderUnverified ${(senders[who] as Person).userId}`] as const),
        [{ event: session.event("@alice:test", "$1", "mine") }, unsure],
        [{ event: session.event("@mallory:test", "$2", "mine") }, hidden("replayed")],
        [{ reopen: true }, "opened"],
        [{ event: session.event("@mallory:test", "$2", "mine") }, hidden("replayed")],
        [{ event: session.event("@alice:test", "$1", "mine") }, unsure],
      ]);
    }
  });

  test("T17: a room key that nobody encrypted", async () => {
    await rawAttack(({ me, alice }) => {
      const session = new Outbound(room);
      const { type, content } = session.payload(alice.person, me) as { type: string; content: JsonMap };
      return [
        [{ sync: [JSON.stringify({ type, sender: "@alice:test", content })] }, "plain_room_key; nothing stored"],
        [{ copies: session.sessionId }, "none"],
      ];
    });
  });

  test("T18: a to-device event encrypted with Megolm, and a room event handed over as a room key", async () => {
    await rawAttack(({ me, alice, theirs }) => {
      const outer = new Outbound(room);
      const { content } = outer.event("@alice:test", "$1", "x") as { content: JsonMap };
      return [
        [{ sync: [alice.event(theirs, outer.payload(alice.person, me))] }, "DeviceInfo @alice:test"],
        [{ sync: [JSON.stringify({ type: "m.room.encrypted", sender: "@alice:test", content: { ...content, sender_key: alice.person.curve25519 } })] }, "unsupported_algorithm; nothing stored"],
      ];
    });
    const { me, alice } = cast();
    await attack(me, [
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["type"] = "m.room.message")), { sender: alice.userId, senderKey: "", payload: JSON.stringify(new Outbound(room).payload(alice, me)) }] }, "not_a_room_key, bad_sender_key; nothing stored"],
    ]);
  });

  test("T19: a message for another user, for another device, under another sender's name", async () => {
    const { me, alice, mallory } = cast();
    const other = { ed25519: mallory.ed25519.public };
    await attack(me, [
      [{ keys: [
        changed(new Outbound(room), alice, me, (payload) => (payload["recipient"] = "@mallory:test")), changed(new Outbound(room), alice, me, (payload) => (payload["recipient_keys"] = other)),
        changed(new Outbound(room), alice, me, (payload) => (payload["sender"] = "@mallory:test")), { ...new Outbound(room).item(alice, me), sender: "@mallory:test" },
      ] }, "recipient_mismatch, recipient_key_mismatch, sender_mismatch, sender_mismatch; nothing stored"],
    ]);
    await rawAttack(({ me, alice, theirs }) => {
      const good = (): JsonMap => new Outbound(room).payload(alice.person, me);
      return [[{ sync: [
        alice.event(theirs, { ...good(), recipient: "@mallory:test" }), alice.event(theirs, { ...good(), recipient_keys: other }), alice.event(theirs, { ...good(), sender: "@mallory:test" }),
        alice.event(theirs, good()).replace('"sender":"@alice:test"', '"sender":"@mallory:test"'),
      ] }, "recipient_mismatch, recipient_key_mismatch, sender_mismatch, sender_mismatch; nothing stored"]];
    });
  });

  test("T20: a room key of a dehydrated device", async () => {
    const dehydrated = (person: Person): JsonMap => resigned(person, (object) => (object["dehydrated"] = true));
    const { me, alice } = cast();
    await attack(me, [
      [{ keys: [changed(new Outbound(room), alice, me, (payload) => (payload["sender_device_keys"] = dehydrated(alice)))] }, "dehydrated_device; nothing stored"],
      [{ answer: answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = { ALICE: dehydrated(alice) })) }, "applied"],
      [{ keys: [new Outbound(room).item(alice, me, { embed: false })] }, "dehydrated_device; nothing stored"],
    ]);
    await rawAttack(({ me, alice, theirs }) => [
      [{ sync: [alice.event(theirs, { ...new Outbound(room).payload(alice.person, me), sender_device_keys: dehydrated(alice.person) })] }, "dehydrated_device; nothing stored"],
    ]);
  });

  test("T21: keys of a verified device that was stolen, before its owner logs it out and after", async () => {
    const { me, alice, master } = cast("alice");
    const [before, after] = [new Outbound(room), new Outbound(room)];
    const gone = answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = {}));
    await attack(me, [
      [{ answer: keysQueryAnswer([me, alice]) }, "applied"], [{ trust: master }, "trusted"],
      [{ keys: [before.item(alice, me, { embed: false })] }, "SenderVerified @alice:test"],
      [{ answer: gone }, "applied"],
      [{ keys: [after.item(alice, me, { embed: false })] }, "UnknownDevice"],
      [{ event: after.event("@alice:test", "$2", "hello") }, but("unknown_device")],
      [{ event: before.event("@alice:test", "$1", "hello") }, shown],
    ]);
  });

  test("T22: a genuine device that is gone when we ask", async () => {
    const { me, alice } = cast();
    const session = new Outbound(room);
    const gone = answerOf([alice], ({ device_keys }) => (device_keys["@alice:test"] = {}));
    await attack(me, [
      [{ answer: gone }, "applied"],
      [{ keys: [session.item(alice, me)] }, "SenderUnverified @alice:test"],
      [{ answer: gone }, "applied; nothing stored"],
      [{ copies: session.sessionId }, "direct SenderUnverified @alice:test from 0"],
      [{ event: session.event("@alice:test", "$1", "hello") }, unsure],
    ]);
  });
});
