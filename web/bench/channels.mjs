// The people who write to both machines: devices of libolm with an Olm channel to each of the two, and room keys and messages as they send them.
// Both machines get the same room keys, each in Olm messages of its own.

import Olm from "@matrix-org/olm";
import { knownAs, LibolmDevice } from "../build/test/libolm.js";
import { olmPayload } from "../build/test/people.js";
import { tell } from "./crowd.mjs";

/** The room of whoever needs but one. */
export const anyRoom = "!room:example.org";
const own = { userId: "@me:example.org", deviceId: "MINE" };
await Olm.init();

let people = 0;

export class Channels {
  #race;
  #us;
  senders = [];

  /** Opens both machines over new stores, and gives them channels that were used before with so many senders, whom they know. */
  static async open(race, senders) {
    const channels = new Channels();
    channels.#race = race;
    const keys = await race.inTurn(async ({ side, args }) => {
      await side.open(args.store);
      return side.identityKeys;
    }, { store: `channels ${people}` });
    channels.#us = Object.fromEntries(Object.entries(keys).map(([who, theirs]) => [who, knownAs(own.userId, own.deviceId, theirs)]));
    channels.senders = await channels.strangers(senders);
    await tell(race, channels.senders.map(({ person }) => person));
    await channels.receive(channels.roomKeys(senders, { answered: false }));
    return channels;
  }

  /** New devices with a channel to both machines in which nothing was sent yet. */
  async strangers(count) {
    const oneTimeKeys = await this.#race.inTurn(async ({ side, args: { count } }) => {
      const made = [];
      while (made.length < count) {
        await side.sync([], 0);
        made.push(...(await side.upload()));
      }
      return made;
    }, { count });
    return Array.from({ length: count }, (_, i) => {
      const sender = new LibolmDevice(`@user${people++}:example.org`, "PHONE");
      for (const [who, us] of Object.entries(this.#us)) sender.begin(us.curve25519, oneTimeKeys[who][i]);
      return sender;
    });
  }

  /**
   * So many room keys of a room, from the senders in turn: the sessions they are of, and by side the to-device events. `answered` is false for the first message
   * of a channel, which tells of it (a pre-key message); `embed` says whether the senders' `sender_device_keys` travel along.
   */
  roomKeys(count, { room = anyRoom, senders = this.senders, answered = true, embed = true } = {}) {
    const sessions = Array.from({ length: count }, (_, i) => new Session(room, senders[i % senders.length].person));
    const events = {};
    for (const [who, us] of Object.entries(this.#us)) {
      events[who] = sessions.map((session, i) => {
        const sender = senders[i % senders.length];
        const event = JSON.parse(sender.event(us.curve25519, olmPayload(sender.person, us, "m.room_key", session.content, { embed })));
        return answered ? unwrapped(event) : event;
      });
    }
    return { sessions, events };
  }

  /** Gives both machines room keys, so many in a sync, and returns their sessions. With a row, what that takes is measured. */
  async receive({ sessions, events }, { row = null, together = 50 } = {}) {
    await this.#race.inTurn(async ({ side, args: { events, row, together }, time }) => {
      const syncs = [];
      for (let i = 0; i < events.length; i += together) syncs.push(events.slice(i, i + together));
      const received = [];
      const work = async () => {
        for (const sync of syncs) received.push(await side.sync(sync));
      };
      await (row === null ? work() : time(row, events.length, work));
      const accepted = received.reduce((sum, sync) => sum + side.accepted(sync), 0);
      if (accepted !== events.length) throw new Error(`${accepted} of ${events.length} room keys: ${JSON.stringify(received).slice(0, 1000)}`);
    }, (who) => ({ events: events[who], row, together }));
    return sessions;
  }
}

/** What a pre-key message wraps: the message as it is once the channel was answered. */
function unwrapped({ content, ...rest }) {
  const [[key, { body }]] = Object.entries(content.ciphertext);
  // Fields of a tag and a length; the message is the field with tag 0x22. The first byte is the version.
  for (let fields = Buffer.from(body, "base64").subarray(1); ; ) {
    const long = fields[1] >= 0x80;
    const [head, length] = [long ? 3 : 2, long ? (fields[1] & 0x7f) + fields[2] * 128 : fields[1]];
    if (fields[0] === 0x22) {
      const message = fields.subarray(head, head + length).toString("base64").replace(/=+$/, "");
      return { ...rest, content: { ...content, ciphertext: { [key]: { type: 1, body: message } } } };
    }
    fields = fields.subarray(head + length);
  }
}

let events = 0;

/** A Megolm session at its sender's end. */
export class Session {
  #outbound = new Olm.OutboundGroupSession();

  constructor(room, person) {
    this.room = room;
    this.person = person;
    this.#outbound.create();
    /** The content of the m.room_key that shares it. */
    this.content = { algorithm: "m.megolm.v1.aes-sha2", room_id: room, session_id: this.#outbound.session_id(), session_key: this.#outbound.session_key() };
  }

  /** The next message, as the room's timeline has it. Its text is its event id. */
  message() {
    const id = `$${events++}`;
    const body = `${id}, a message of a usual length, as people write them`;
    const ciphertext = this.#outbound.encrypt(JSON.stringify({ room_id: this.room, type: "m.room.message", content: { msgtype: "m.text", body } }));
    return {
      type: "m.room.encrypted", event_id: id, sender: this.person.userId, origin_server_ts: 1795445103761,
      content: { algorithm: "m.megolm.v1.aes-sha2", session_id: this.content.session_id, ciphertext, device_id: this.person.deviceId, sender_key: this.person.curve25519 },
    };
  }
}
