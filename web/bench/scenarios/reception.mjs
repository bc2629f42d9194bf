// Room keys as /sync brings them, Olm included.

import { Channels } from "../channels.mjs";
import { Race } from "../race.mjs";

export const reception = Race.of(async (race) => {
  const channels = await Channels.open(race, 5);
  for (const _ of race.rounds()) {
    await channels.receive(channels.roomKeys(50), { row: "reception.batch" });
    await channels.receive(channels.roomKeys(50), { row: "reception.single", together: 1 });
    const strangers = await channels.strangers(50);
    await channels.receive(channels.roomKeys(50, { senders: strangers, answered: false }), { row: "reception.strangers" });
    for (const stranger of strangers) stranger.free();
  }
});
