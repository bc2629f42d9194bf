// Answers to /keys/query: the first of some people, and the same again.

import { close, crowd, devicesOf, openNew, tell } from "../crowd.mjs";
import { Race } from "../race.mjs";

export const people = Race.of(async (race) => {
  const [one, many] = [devicesOf("@alice:example.org", 50), crowd()];
  for (const _ of race.rounds()) {
    await openNew(race);
    await tell(race, one, { row: "people.one" });
    await tell(race, one, { row: "people.one.again" });
    await tell(race, many, { row: "people.many" });
    await tell(race, many, { row: "people.many.again" });
    await close(race);
  }
});
