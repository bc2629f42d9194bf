// Messages to a room of 500 users with two devices each, whose device lists are known and with whom no Olm session was begun. The server answers at once.

import Olm from "@matrix-org/olm";
import { LibolmDevice } from "../../build/test/libolm.js";
import { keysQueryAnswer } from "../../build/test/people.js";
import { Race } from "../race.mjs";

const room = "!crowd:example.org";

export const sending = Race.of(async (race) => {
  await Olm.init();
  const members = Array.from({ length: 500 }, (_, i) => {
    const devices = ["PHONE", "DESK"].map((deviceId) => new LibolmDevice(`@member${i}:example.org`, deviceId));
    devices[1].person.identity = devices[0].person.identity;
    return devices;
  }).flat();
  const users = [...new Set(members.map(({ person }) => person.userId))];
  for (const round of race.rounds(3)) {
    /** By user and device a one-time key for each machine. */
    const keys = () => {
      const all = {};
      for (const device of members) (all[device.person.userId] ??= {})[device.person.deviceId] = device.signedKey(false);
      return all;
    };
    const sent = await race.inTurn(async ({ side, args: { store, users, answer, keys, room, listener }, time }) => {
      const heard = [];
      const respond = (path, body) => {
        const asked = JSON.parse(body);
        if (path.includes("/keys/upload")) return JSON.stringify({ one_time_key_counts: { signed_curve25519: 50 } });
        if (path.includes("/keys/query")) return answer;
        if (path.includes("/keys/claim")) {
          const pick = ([user, devices]) => [user, Object.fromEntries(Object.keys(devices).map((device) => [device, keys[user][device]]))];
          return JSON.stringify({ one_time_keys: Object.fromEntries(Object.entries(asked.one_time_keys).map(pick)), failures: {} });
        }
        const { [listener.userId]: { [listener.deviceId]: message } = {} } = asked.messages;
        if (message?.ciphertext) heard.push(message.ciphertext[listener.curve25519]);
        return "{}";
      };
      await side.open(store, respond);
      await side.track(users);
      await side.query(users, answer);
      const content = (body) => ({ msgtype: "m.text", body });
      const events = [await time("sending.first", 1, () => side.send(room, users, content("0")))];
      await time("sending.later", 5, async () => {
        for (let i = 1; i <= 5; i++) events.push(await side.send(room, users, content(String(i))));
      });
      const { identityKeys } = side;
      await side.close();
      return { heard, events, curve25519: identityKeys.curve25519 };
    }, () => ({
      store: `sending ${round}`, users, answer: keysQueryAnswer(members.map(({ person }) => person)), keys: keys(), room,
      listener: { userId: members[999].person.userId, deviceId: members[999].person.deviceId, curve25519: members[999].person.curve25519 },
    }));
    for (const [who, { heard, events, curve25519 }] of Object.entries(sent)) {
      if (heard.length !== 1) throw new Error(`${who}: a device was sent ${heard.length} room keys`);
      const inbound = new Olm.InboundGroupSession();
      inbound.create(JSON.parse(members[999].decrypt(curve25519, heard[0])).content.session_key);
      events.forEach(({ ciphertext }, i) => {
        const { plaintext } = inbound.decrypt(ciphertext);
        if (JSON.parse(plaintext).content.body !== String(i)) throw new Error(`${who}: ${plaintext} is not message ${i}`);
      });
      inbound.free();
    }
  }
  for (const member of members) member.free();
});
