// Many people, as answers to /keys/query show them.

import { keysQueryAnswer, Person } from "../build/test/people.js";

/** A user's devices, all cross-signed. */
export function devicesOf(userId, count) {
  const [first, ...more] = Array.from({ length: count }, (_, i) => new Person(userId, `DEVICE${i}`, "yes"));
  for (const device of more) device.identity = first.identity;
  return [first, ...more];
}

/** 500 users of two devices each. */
export const crowd = (size = 500) => Array.from({ length: size }, (_, i) => devicesOf(`@crowd${i}:example.org`, 2)).flat();

/** Tells both machines of devices. With a row, what that takes is measured. */
export function tell(race, devices, { row = null, answer = keysQueryAnswer(devices) } = {}) {
  const users = [...new Set(devices.map(({ userId }) => userId))];
  const last = devices.at(-1);
  return race.inTurn(async ({ side, args: { users, answer, row, masterKey }, time }) => {
    await (row === null ? side.query(users, answer) : time(row, 1, () => side.query(users, answer)));
    if (masterKey !== undefined && (await side.masterKey(users.at(-1))) !== masterKey) throw new Error("the last user is not known");
  }, { users, answer, row, masterKey: last?.identity.master.public });
}

let stores = 0;

/** Both machines are opened over new stores. */
export const openNew = (race) => race.inTurn(({ side, args: { store } }) => side.open(store), { store: `store ${stores++}` });

/** Both machines are closed. */
export const close = (race) => race.inTurn(({ side }) => side.close());
