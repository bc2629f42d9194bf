// The end-to-end stories. Alice is matrix-js-sdk, Bob is knownsender, and where it has a word on the matter Carol, matrix-js-sdk too, stands where Bob
// stands: in the same room, knowing the same, so that what both show of the same event lies side by side. Each act has people of its own.

import assert from "node:assert/strict";
import type { SenderDataType, TrustRequirement } from "../../src/types.js";
import { pause, until, type JudgingClient, type SendingClient, type Shown } from "./client.js";
import type { Seat, World } from "./world.js";

/** Runs one story and prints its line: the title, and what the story says came of it. */
export type Line = (title: string, story: () => Promise<string>) => Promise<void>;
export interface Act {
  readonly title: string;
  run(world: World, line: Line): Promise<void>;
}

export function words({ body, failure, shield, reason }: Shown): string {
  if (body === null) return `not shown, ${failure ?? "for no reason"}${reason === null ? "" : `, ${reason}`}`;
  return shield === "None" ? "shown, no shield" : `shown, ${shield.toLowerCase()} shield ${reason ?? ""}`.trimEnd();
}

/** Waits until Bob knows this of an event's sender, and Carol shows the same shield; answers with both in words. */
async function both(bob: JudgingClient, carol: SendingClient | undefined, roomId: string, eventId: string, body: string, expected: SenderDataType, patience = 40_000): Promise<string> {
  await bob.read(roomId, eventId);
  let known: string | null = null;
  await until("so much is known", async () => {
    known = await bob.senderData(roomId, eventId);
    if (known !== expected) await bob.catchUp();
    return known === expected || undefined;
  }, patience).catch(async () => {
    const theirs = await carol?.read(roomId, eventId);
    assert.fail(`Bob knows ${known}, not ${expected}; js-sdk: ${theirs === undefined ? "nothing" : words(theirs)}`);
  });
  const shown = await bob.read(roomId, eventId);
  assert.equal(shown.body, body);
  const ours = `Bob: ${expected}, ${words(shown)}`;
  if (carol === undefined) return ours;
  let theirs: Shown | undefined;
  await until("Carol shows the same", async () => {
    theirs = await carol.read(roomId, eventId);
    return (theirs.body === body && theirs.shield === shown.shield && theirs.reason === shown.reason) || undefined;
  }, 40_000).catch(() => assert.fail(`${ours}; js-sdk: ${theirs === undefined ? "nothing" : words(theirs)}`));
  assert.ok(theirs !== undefined);
  return `${ours}; js-sdk: ${words(theirs)}`;
}

/** Where both are the same SDK, it names the same reason. */
function sameFailure({ kind }: World, ours: Shown, theirs: Shown): void {
  if (kind === "matrix-js-sdk") assert.equal(ours.reason, theirs.failure);
}

/** What Bob says of an event under each policy. */
async function policies(bob: JudgingClient, roomId: string, eventId: string): Promise<Record<TrustRequirement, string>> {
  const under = async (requirement: TrustRequirement): Promise<string> => {
    const { body, failure } = await bob.readUnder(requirement, roomId, eventId);
    return body === null ? (failure ?? "withheld") : "shown";
  };
  return {
    Untrusted: await under("Untrusted"), CrossSignedOrLegacy: await under("CrossSignedOrLegacy"),
    CrossSigned: await under("CrossSigned"), Verified: await under("Verified"),
  };
}

interface Meeting {
  readonly alice: Seat<SendingClient>;
  readonly bob: Seat<JudgingClient>;
  readonly carol: Seat<SendingClient>;
  readonly room: string;
}

/** Alice, cross-signed, in an encrypted room with Bob and Carol. */
async function meeting(world: World): Promise<Meeting> {
  const [alice, bob, carol] = await Promise.all([
    world.register("alice", "ALICE1").then((login) => world.sdk(login)),
    world.register("bob", "BOB1").then((login) => world.knownsender(login)),
    world.register("carol", "CAROL1").then((login) => world.sdk(login)),
  ]);
  await alice.client.crossSign();
  const room = await alice.client.createRoom([bob.login.userId, carol.login.userId]);
  await bob.client.join(room);
  await carol.client.join(room);
  return { alice, bob, carol, room };
}

/** Waits until Bob and Carol know the identity that Alice has now. */
async function heardOfReset({ alice, bob, carol }: Meeting): Promise<void> {
  const masterKey = await alice.client.masterKey();
  for (const seat of [bob, carol]) {
    await until(`${seat.login.userId} knows Alice's new identity`, async () => {
      if (seat === bob) await bob.client.catchUp();
      return (await seat.client.identity(alice.login.userId))?.masterKey === masterKey || undefined;
    });
  }
}

/** Bob and Carol make identities of their own, and verify Alice by the master key that she has told them. */
async function verified({ alice, bob, carol }: Meeting): Promise<void> {
  const masterKey = await alice.client.masterKey();
  for (const { client } of [bob, carol]) {
    await client.crossSign();
    await client.verify(alice.login.userId, masterKey);
    assert.ok((await client.identity(alice.login.userId))?.verified, "Alice is verified");
  }
}

export const acts: readonly Act[] = [
  {
    title: "Alice is met, and verified",
    async run(world, line) {
      const scene = await meeting(world);
      const { alice, bob, carol, room } = scene;
      const user = alice.login.userId;
      await line("Alice registers and cross-signs", async () => {
        await bob.client.askFor(user);
        const identity = await bob.client.identity(user);
        assert.equal(identity?.masterKey, await alice.client.masterKey());
        return "Bob and Alice's SDK name the same master key";
      });
      const first = await alice.client.send(room, "first");
      await line("she sends", () => both(bob.client, carol.client, room, first, "first", "SenderUnverified"));
      await line("the policies on that", async () => {
        const said = await policies(bob.client, room, first);
        assert.deepEqual(said, { Untrusted: "shown", CrossSignedOrLegacy: "shown", CrossSigned: "shown", Verified: "unverified_identity" });
        return "Bob: shown, but withheld under Verified";
      });
      await verified(scene);
      await line("Bob verifies her: the old key", () => both(bob.client, carol.client, room, first, "first", "SenderVerified"));
      await alice.client.rotate(room);
      const second = await alice.client.send(room, "second");
      await line("and a new key", () => both(bob.client, carol.client, room, second, "second", "SenderVerified"));
      await line("its lane", async () => {
        assert.equal(await bob.client.lane(room, second), "fast");
        assert.equal((await bob.client.readUnder("Verified", room, second)).body, "second");
        return "Bob: fast, shown under Verified";
      });

      await alice.client.resetIdentity();
      await heardOfReset(scene);
      await alice.client.rotate(room);
      const third = await alice.client.send(room, "third");
      await line("she resets her identity: a new key", () => both(bob.client, carol.client, room, third, "third", "VerificationViolation"));
      await line("the policies on that", async () => {
        const said = await policies(bob.client, room, third);
        assert.deepEqual(Object.values(said).map((word) => word === "shown"), [true, false, false, false]);
        return `Bob: shown, then ${said.CrossSignedOrLegacy}`;
      });
      await line("the key from before", () => both(bob.client, carol.client, room, second, "second", "SenderVerified"));
      for (const { client } of [bob, carol]) await client.withdrawVerification(user);
      await alice.client.rotate(room);
      const fourth = await alice.client.send(room, "fourth");
      await line("Bob withdraws the verification: a new key", () => both(bob.client, carol.client, room, fourth, "fourth", "SenderUnverified"));
    },
  },
  {
    title: "Alice's identity is reset while Bob and Carol are away, who had verified her",
    async run(world, line) {
      const scene = await meeting(world);
      const { alice, bob, carol, room } = scene;
      await verified(scene);
      for (const { context } of [bob, carol]) await context.setOffline(true);
      await alice.client.resetIdentity();
      await alice.client.rotate(room);
      const event = await alice.client.send(room, "while you were away");
      await pause(1000); // until the server has both to tell
      for (const { context } of [bob, carol]) await context.setOffline(false);
      await line("the news and a key come together", async () => {
        await heardOfReset(scene);
        const [ours, theirs] = [await bob.client.read(room, event), await carol.client.read(room, event)];
        // A key in the same sync as the news is judged by the identity from before, whose signature the device still has; one that comes after the
        // answer to /keys/query, by the new one. Which it is lies with the server, and may differ for the two.
        const known = await bob.client.senderData(room, event);
        assert.ok(known === "SenderVerified" || known === "VerificationViolation", String(known));
        assert.deepEqual([ours.body, ours.reason], ["while you were away", known === "SenderVerified" ? null : "VERIFICATION_VIOLATION"]);
        assert.equal(theirs.body, "while you were away");
        return `Bob: ${known}, ${words(ours)}; js-sdk: ${words(theirs)}`;
      });
    },
  },
  {
    title: "Alice's identity is reset before anybody has verified her",
    async run(world, line) {
      const { alice, bob, carol, room } = await meeting(world);
      const user = alice.login.userId;
      const before = await alice.client.send(room, "before");
      await line("before", () => both(bob.client, carol.client, room, before, "before", "SenderUnverified"));
      await alice.client.resetIdentity();
      await alice.client.rotate(room);
      const after = await alice.client.send(room, "after");
      await line("after: a new key", () => both(bob.client, carol.client, room, after, "after", "SenderUnverified"));
      await line("after: the identity", async () => {
        const [ours, theirs] = [await bob.client.identity(user), await carol.client.identity(user)];
        const masterKey = await alice.client.masterKey();
        assert.deepEqual(ours, { masterKey, verified: false, wasVerified: false, changed: true });
        assert.deepEqual(theirs, ours);
        return "Bob: the new one, unverified, not the one met first; js-sdk: the same, needs the user's approval";
      });
    },
  },
  {
    title: "a new device of Alice's",
    async run(world, line) {
      const { alice, bob, carol, room } = await meeting(world);
      const second = await world.sdk(await world.dendrite.login(alice.login.userId, alice.login.password, "ALICE2"));
      const event = await second.client.send(room, "from the new device");
      await line("before she signs it", () => both(bob.client, carol.client, room, event, "from the new device", "DeviceInfo"));
      await line("the policies on that", async () => {
        const said = await policies(bob.client, room, event);
        assert.deepEqual(Object.values(said).map((word) => word === "shown"), [true, false, false, false]);
        return `Bob: shown, then ${said.CrossSigned}`;
      });
      await alice.client.signDevice("ALICE2");
      await line("after: the same key", () => both(bob.client, carol.client, room, event, "from the new device", "SenderUnverified"));
      await line("the policies on that", async () => {
        assert.equal((await bob.client.readUnder("CrossSigned", room, event)).body, "from the new device");
        return "Bob: shown under CrossSigned";
      });
    },
  },
  {
    title: "a key is withheld",
    async run(world, line) {
      const { alice, bob, carol, room } = await meeting(world);
      await alice.client.onlyToVerified(true);
      const event = await alice.client.send(room, "not for everybody");
      await line("Alice sends to verified devices alone", async () => {
        const ours = await bob.client.read(room, event);
        assert.equal(ours.body, null);
        assert.match(ours.failure ?? "", /m\.unverified/);
        const theirs = await carol.client.read(room, event);
        assert.equal(theirs.body, null);
        sameFailure(world, ours, theirs);
        return `Bob: ${words(ours)}; js-sdk: ${words(theirs)}`;
      });
    },
  },
  {
    title: "keys from elsewhere",
    async run(world, line) {
      const [alice, bob, carol] = await Promise.all([
        world.register("alice", "ALICE1").then((login) => world.sdk(login)),
        world.register("bob", "BOB1").then((login) => world.knownsender(login)),
        world.register("carol", "CAROL1").then((login) => world.sdk(login)),
      ]);
      await alice.client.crossSign();
      const room = await alice.client.createRoom([]);
      const event = await alice.client.send(room, "long ago");
      for (const { client, login } of [bob, carol]) {
        await alice.client.invite(room, login.userId);
        await client.join(room);
      }
      await line("no key", async () => {
        const [ours, theirs] = [await bob.client.read(room, event), await carol.client.read(room, event)];
        assert.deepEqual([ours.body, theirs.body], [null, null]);
        sameFailure(world, ours, theirs);
        return `Bob: ${words(ours)}; js-sdk: ${words(theirs)}`;
      });
      const exported = await alice.client.exportKeys();
      await line("Alice's export, imported", async () => {
        for (const { client } of [bob, carol]) await client.importKeys(exported);
        const [ours, theirs] = [await bob.client.read(room, event), await carol.client.read(room, event)];
        assert.ok(await bob.client.legacy(room, event));
        assert.deepEqual([ours.body, ours.shield], ["long ago", "Grey"]);
        assert.deepEqual(theirs, ours);
        return `Bob: legacy, ${words(ours)}; js-sdk: ${words(theirs)}`;
      });
      const key = await alice.client.backUp();
      await line("Alice's backup, restored by another device of hers", async () => {
        const { userId, password } = alice.login;
        const ours = await world.knownsender(await world.dendrite.login(userId, password, "ALICE2"));
        const theirs = await world.sdk(await world.dendrite.login(userId, password, "ALICE3"));
        assert.deepEqual([await ours.client.restoreBackup(key), await theirs.client.restoreBackup(key)], [1, 1]);
        const [shown, reference] = [await ours.client.read(room, event), await theirs.client.read(room, event)];
        assert.ok(await ours.client.legacy(room, event));
        assert.deepEqual([shown.body, shown.shield], ["long ago", "Grey"]);
        assert.deepEqual(reference, shown);
        return `knownsender: legacy, ${words(shown)}; js-sdk: ${words(reference)}`;
      });
    },
  },
  {
    title: "Bob is restarted in the middle of the slow lane",
    async run(world, line) {
      const [alice, bob] = await strangers(world);
      await bob.client.holdQueries(true);
      const room = await invited(alice, bob);
      const event = await alice.client.send(room, "in the middle");
      await line("the key waits for an answer", async () => {
        const shown = await bob.client.read(room, event);
        assert.equal(shown.body, "in the middle");
        assert.equal(await bob.client.lane(room, event), "slow");
        assert.ok(await bob.client.waiting());
        return `Bob: ${await bob.client.senderData(room, event)}, ${words(shown)}`;
      });
      await bob.shut();
      await bob.open();
      await line("after the page is opened anew, without another word", () => both(bob.client, undefined, room, event, "in the middle", "SenderUnverified"));
    },
  },
  {
    title: "the server is stopped during the slow lane",
    async run(world, line) {
      const [alice, bob] = await strangers(world);
      await bob.client.holdQueries(true);
      const room = await invited(alice, bob);
      const event = await alice.client.send(room, "no answer");
      await bob.client.read(room, event); // the key is here, and stored
      assert.equal(await bob.client.lane(room, event), "slow");
      await world.dendrite.stop();
      await line("no answer: the key is stored, and decrypts", async () => {
        await bob.client.holdQueries(false);
        await until("the lane gives up", async () => !(await bob.client.waiting()) || undefined);
        const shown = await bob.client.read(room, event);
        assert.equal(shown.body, "no answer");
        const strict = await bob.client.readUnder("CrossSigned", room, event);
        assert.equal(strict.body, null);
        return `Bob: ${await bob.client.senderData(room, event)}, ${words(shown)}; under CrossSigned ${words(strict)}`;
      });
      await world.dendrite.startAgain();
      const back = Date.now();
      await line("the server is back: without a word, by the schedule that lies with the key", async () => {
        const said = await both(bob.client, undefined, room, event, "no answer", "SenderUnverified", 60_000);
        return `${said}, after ${Math.round((Date.now() - back) / 1000)} s`;
      });
    },
  },
];

/** Alice, cross-signed, and a Bob who follows nobody: her keys come before anything is known of her. */
async function strangers(world: World): Promise<[Seat<SendingClient>, Seat<JudgingClient>]> {
  const [alice, bob] = await Promise.all([
    world.register("alice", "ALICE1").then((login) => world.sdk(login)),
    world.register("bob", "BOB1").then((login) => world.knownsender(login, { follow: false })),
  ]);
  await alice.client.crossSign();
  return [alice, bob];
}

async function invited(alice: Seat<SendingClient>, bob: Seat<JudgingClient>): Promise<string> {
  const room = await alice.client.createRoom([bob.login.userId]);
  await bob.client.join(room);
  return room;
}
