// The play: three stages of recorded traffic, over machines that keep everything in IndexedDB. A stage can be played again from the start at
// any time; that deletes the databases first.

import { Account } from "./account.js";
import { closeMachine, deleteDatabase } from "./databases.js";
import type { RecordedAccount } from "./recording.js";

/** How far the play has come. */
export type Stage = 1 | 2 | 3;

export const stages: readonly { readonly stage: Stage; readonly title: string; readonly story: string }[] = [
  {
    stage: 1,
    title: "The keys arrive",
    story: "Nobody has asked the server about anyone yet. Three of the four keys bring a description of their device along; no identity is known that could vouch for it.",
  },
  {
    stage: 2,
    title: "/keys/query is answered",
    story: "The server lists the devices, and for one of the senders a cross-signing identity. Her device is signed by it, so her key now has a known sender. Two others have a device and no identity.",
  },
  {
    stage: 3,
    title: "An owner signs her device",
    story: "The other Alice sets up cross-signing and signs her device; the next answer says so. Her later key rises, and so does the one she sent before: what is learned of a person reaches every key she sent.",
  },
];

/** Opens all receivers. */
export function openAll(recording: readonly RecordedAccount[]): Promise<Account[]> {
  return Promise.all(recording.map((recorded) => Account.open(recorded)));
}

/** Plays from the stage after `from` to `to`. */
export async function play(accounts: readonly Account[], from: number, to: Stage): Promise<void> {
  for (let stage = from + 1; stage <= to; stage++) {
    await Promise.all(
      accounts.map(async (account) => {
        if (stage === 1) return account.receiveKeys();
        if (stage === 3 && account.recorded.answers.length > 1) await account.devicesChanged();
        return account.receiveAnswer(stage - 2);
      }),
    );
  }
}

/** Closes all receivers. */
export async function closeAll(accounts: readonly Account[]): Promise<void> {
  await Promise.all(accounts.map(({ machine }) => closeMachine(machine)));
}

/** Deletes the databases of all receivers. They must be closed. */
export async function deleteAll(recording: readonly RecordedAccount[]): Promise<void> {
  await Promise.all(recording.map((recorded) => deleteDatabase(Account.database(recorded))));
}
