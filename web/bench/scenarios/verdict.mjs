// What is known of the sender of an event that was decrypted: asked when it is drawn, asked for all that is drawn when there is news of people, and asked
// again.

import { Channels } from "../channels.mjs";
import { devicesOf, tell } from "../crowd.mjs";
import { Race } from "../race.mjs";
import { decrypt } from "./decryption.mjs";

export const verdict = Race.of(async (race) => {
  const channels = await Channels.open(race, 5);
  for (const round of race.rounds()) {
    const sessions = await channels.receive(channels.roomKeys(50, { room: `!room${round}:example.org` }));
    const events = await decrypt(race, null, sessions, { each: 10 });
    await ask(race, "verdict.first", sessions[0].room, events);
    await tell(race, devicesOf(`@news${round}:example.org`, 1));
    await ask(race, "verdict.news", sessions[0].room, events);
    await ask(race, "verdict.again", sessions[0].room, events);
  }
});

async function ask(race, row, room, events) {
  const shields = await race.inTurn(async ({ side, args: { row, room, events }, time }) => {
    const infos = await time(row, events.length, async () => {
      const list = [];
      for (const event of events) list.push(await side.info(event, room));
      return list;
    });
    return infos.map((info) => side.shield(info)).join();
  }, { row, room, events });
  if (shields.ours !== shields.theirs) throw new Error(`ours draws ${shields.ours.slice(0, 40)}, theirs ${shields.theirs.slice(0, 40)}`);
}
