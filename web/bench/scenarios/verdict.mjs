// What is known of the sender of an event that is shown already: asked when shields are drawn again.

import { anyRoom, Channels } from "../channels.mjs";
import { decrypt } from "./decryption.mjs";
import { Race } from "../race.mjs";

export const verdict = Race.of(async (race) => {
  const channels = await Channels.open(race, 5);
  const sessions = await channels.receive(channels.roomKeys(50));
  const events = await decrypt(race, null, sessions, { each: 10 });
  for (const _ of race.rounds()) {
    const shields = await race.inTurn(async ({ side, args: { events, room }, time }) => {
      const infos = await time("verdict", events.length, async () => {
        const list = [];
        for (const event of events) list.push(await side.info(event, room));
        return list;
      });
      return infos.map((info) => side.shield(info)).join();
    }, { events, room: anyRoom });
    if (shields.ours !== shields.theirs) throw new Error(`ours draws ${shields.ours.slice(0, 40)}, theirs ${shields.theirs.slice(0, 40)}`);
  }
});
