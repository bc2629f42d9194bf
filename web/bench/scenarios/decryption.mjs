// Messages of a timeline, decrypted one after the other.

import { anyRoom, Channels } from "../channels.mjs";
import { Race } from "../race.mjs";

/** Has both decrypt the next message of each session, all of one room, or the next few of it. With a row, what that takes is measured. */
export function decrypt(race, row, sessions, { each = 1, together = false } = {}) {
  return decryptEvents(race, row, sessions.flatMap((session) => Array.from({ length: each }, () => session.message())), { room: sessions[0].room, together });
}

/** Has both decrypt events of a room whose text begins with the event's id. Returns them. */
export async function decryptEvents(race, row, events, { room = anyRoom, together = false } = {}) {
  await race.inTurn(async ({ side, args: { row, events, room, together }, time }) => {
    const work = async () => {
      if (together) return Promise.all(events.map((event) => side.decrypt(event, room)));
      const list = [];
      for (const event of events) list.push(await side.decrypt(event, room));
      return list;
    };
    const opened = await (row === null ? work() : time(row, events.length, work));
    opened.forEach((one, i) => {
      if (!side.body(one).startsWith(events[i].event_id)) throw new Error(`${side.body(one)} is not the text of ${events[i].event_id}`);
    });
  }, { row, events, room, together });
  return events;
}

/** Both machines are closed, and opened again over their stores. With a row, what opening takes is measured. */
export const reopen = (race, row = null) => race.inTurn(async ({ side, args: { row }, time }) => {
  await side.close();
  await (row === null ? side.open(side.name) : time(row, 1, () => side.open(side.name)));
}, { row });

export const decryption = Race.of(async (race) => {
  const channels = await Channels.open(race, 5);
  for (const round of race.rounds()) {
    const sessions = await channels.receive(channels.roomKeys(500, { room: `!room${round}:example.org` }));
    await decrypt(race, "decryption.across", sessions);
    await decrypt(race, "decryption.along", sessions.slice(0, 1), { each: 500 });
    await decrypt(race, "decryption.together", sessions.slice(0, 100), { together: true });
    await reopen(race);
    await decrypt(race, "decryption.reopened", sessions);
  }
});
