// A sync with nothing for us, of which a client sees two a minute. The private one-time keys are those whose public halves the server has handed out,
// and of which nobody has made use yet.

import { Race } from "../race.mjs";

export const sync = Race.of(async (race) => {
  for (const [row, keys, syncs] of [["sync.50", 50, 200], ["sync.550", 550, 50]]) {
    await race.inTurn(async ({ side, args: { store, keys } }) => {
      await side.open(store);
      let made = 0;
      while (made < keys) {
        await side.sync([], 0);
        made += (await side.upload()).length;
      }
      if (made !== keys) throw new Error(`${made} one-time keys, not ${keys}`);
    }, { store: row, keys });
    for (const _ of race.rounds()) {
      await race.inTurn(({ side, args: { row, syncs }, time }) => time(row, syncs, async () => {
        for (let i = 0; i < syncs; i++) await side.sync([]);
      }), { row, syncs });
    }
    await race.inTurn(({ side }) => side.close());
  }
});
