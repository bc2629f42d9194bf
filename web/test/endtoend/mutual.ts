// The stories that go both ways, with a Bob who is matrix-js-sdk with knownsender: what Bob shows of Alice's messages, and what Alice's SDK, with its own
// crypto, shows of Bob's, who stands to her as she stands to him.

import assert from "node:assert/strict";
import type { SenderDataType } from "../../src/types.js";
import { until, type MutualClient, type SendingClient, type Shown } from "./client.js";
import { words, type Act, type Line } from "./stories.js";
import type { Seat, World } from "./world.js";

interface Meeting {
  readonly alice: Seat<SendingClient>;
  readonly bob: Seat<MutualClient>;
  readonly room: string;
}

/** Alice and Bob in an encrypted room of Bob's, neither with an identity. */
async function meeting(world: World): Promise<Meeting> {
  const [alice, bob] = await Promise.all([
    world.register("alice", "ALICE1").then((login) => world.sdk(login)),
    world.register("bob", "BOB1").then((login) => world.mutual(login)),
  ]);
  const room = await bob.client.createRoom([alice.login.userId]);
  await alice.client.join(room);
  return { alice, bob, room };
}

/** Waits until Alice's SDK shows a message with this shield. */
async function shows(client: SendingClient, room: string, event: string, body: string, shield: Shown["shield"], reason: string | null): Promise<string> {
  let shown: Shown | undefined;
  await until("Alice's SDK shows it", async () => {
    shown = await client.read(room, event);
    return (shown.body === body && shown.shield === shield && shown.reason === reason) || undefined;
  }, 15_000).catch(() => assert.fail(`js-sdk: ${shown === undefined ? "nothing" : words(shown)}`));
  return `Alice's js-sdk: ${words(shown ?? assert.fail())}`;
}

/** Waits until Bob knows this of Alice's message, and her SDK shows of his what he shows of hers. */
async function alike({ alice, bob, room }: Meeting, [hers, his]: readonly [string, string], expected: SenderDataType): Promise<string> {
  await bob.client.read(room, hers);
  let known: string | null = null;
  await until("Bob knows", async () => (known = await bob.client.senderData(room, hers)) === expected || undefined, 15_000).catch(() => assert.fail(`Bob knows ${known}, not ${expected}`));
  const shown = await bob.client.read(room, hers);
  assert.equal(shown.body, "from Alice");
  return `Bob: ${expected}, ${words(shown)}; ${await shows(alice.client, room, his, "from Bob", shown.shield, shown.reason)}`;
}

/** A message of each, under new keys. */
async function exchange({ alice, bob, room }: Meeting): Promise<[string, string]> {
  await Promise.all([alice.client.rotate(room), bob.client.rotate(room)]);
  return Promise.all([alice.client.send(room, "from Alice"), bob.client.send(room, "from Bob")]);
}

/** Both verify each other, by the master keys that they have told each other. */
async function verifyEachOther({ alice, bob }: Meeting): Promise<void> {
  await bob.client.verify(alice.login.userId, await alice.client.masterKey());
  await alice.client.verify(bob.login.userId, await bob.client.masterKey());
}

export const mutualActs: readonly Act[] = [
  {
    title: "both ways: Alice and Bob write to each other, cross-sign, and verify each other",
    async run(world, line) {
      const scene = await meeting(world);
      const first = await exchange(scene);
      await line("neither is cross-signed", () => alike(scene, first, "DeviceInfo"));
      await Promise.all([scene.alice.client.crossSign(), scene.bob.client.crossSign()]);
      await line("both are: the same messages", () => alike(scene, first, "SenderUnverified"));
      const second = await exchange(scene);
      await line("and new ones", () => alike(scene, second, "SenderUnverified"));
      await verifyEachOther(scene);
      await line("both are verified: the same messages", () => alike(scene, second, "SenderVerified"));
      const third = await exchange(scene);
      await line("and new ones", () => alike(scene, third, "SenderVerified"));
      await theReset(scene, line);
    },
  },
  {
    title: "both ways: Bob's identity is reset before Alice has verified him",
    async run(world, line) {
      const { alice, bob, room } = await meeting(world);
      await bob.client.crossSign();
      const before = await bob.client.send(room, "before");
      await line("before", () => shows(alice.client, room, before, "before", "None", null));
      await bob.client.resetIdentity();
      await bob.client.rotate(room);
      const after = await bob.client.send(room, "after");
      await line("after", () => shows(alice.client, room, after, "after", "None", null));
    },
  },
  {
    title: "both ways: a new device of Bob's",
    async run(world, line) {
      const { alice, bob, room } = await meeting(world);
      await bob.client.crossSign();
      const second = await world.mutual(await world.dendrite.login(bob.login.userId, bob.login.password, "BOB2"));
      const event = await second.client.send(room, "from the new device");
      await line("before he signs it", () => shows(alice.client, room, event, "from the new device", "Red", "UNSIGNED_DEVICE"));
      await line("his own first device on that", async () => {
        const { body, shield, reason } = await bob.client.read(room, event);
        assert.deepEqual([body, shield, reason], ["from the new device", "Red", "UNSIGNED_DEVICE"]);
        return "the same";
      });
      await bob.client.signDevice("BOB2");
      await line("after: the same key", () => shows(alice.client, room, event, "from the new device", "None", null));
    },
  },
  {
    title: "both ways: Bob's identity goes through secret storage",
    async run(world, line) {
      const { alice, bob, room } = await meeting(world);
      await bob.client.crossSign();
      const key = await bob.client.storeIdentity();
      const { userId, password } = bob.login;
      const others = { "with the SDK's own crypto": await world.sdk(await world.dendrite.login(userId, password, "BOB2")), "with knownsender": await world.mutual(await world.dendrite.login(userId, password, "BOB3")) };
      for (const [what, { client }] of Object.entries(others)) {
        await line(`a device ${what} takes it from there`, async () => {
          await client.takeIdentity(key);
          assert.equal(await client.masterKey(), await bob.client.masterKey());
          const event = await client.send(room, what);
          return shows(alice.client, room, event, what, "None", null);
        });
      }
    },
  },
  {
    title: "both ways: Bob keeps a key from Alice",
    async run(world, line) {
      const { alice, bob, room } = await meeting(world);
      await bob.client.crossSign();
      await bob.client.onlyToVerified(true);
      const event = await bob.client.send(room, "not for everybody");
      await line("Bob sends to verified devices alone", async () => {
        const theirs = await alice.client.read(room, event);
        assert.deepEqual([theirs.body, theirs.failure], [null, "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE"]);
        return `Alice's js-sdk: ${words(theirs)}`;
      });
    },
  },
  {
    title: "both ways: Bob's keys elsewhere",
    async run(world, line) {
      const [alice, bob] = await Promise.all([
        world.register("alice", "ALICE1").then((login) => world.sdk(login)),
        world.register("bob", "BOB1").then((login) => world.mutual(login)),
      ]);
      await bob.client.crossSign();
      const room = await bob.client.createRoom([]);
      const event = await bob.client.send(room, "long ago");
      await bob.client.invite(room, alice.login.userId);
      await alice.client.join(room);
      const exported = await bob.client.exportKeys();
      await line("Bob's export, imported by Alice", async () => {
        await alice.client.importKeys(exported);
        return shows(alice.client, room, event, "long ago", "Grey", "AUTHENTICITY_NOT_GUARANTEED");
      });
      const { userId, password } = bob.login;
      const second = await world.sdk(await world.dendrite.login(userId, password, "BOB2"));
      const key = await second.client.backUp();
      await bob.client.useBackup();
      const third = await world.sdk(await world.dendrite.login(userId, password, "BOB3"));
      await line("Bob's backup, restored by a device of his with the SDK's own crypto", async () => {
        assert.equal(await third.client.restoreBackup(key), 1);
        return shows(third.client, room, event, "long ago", "Grey", "AUTHENTICITY_NOT_GUARANTEED");
      });
    },
  },
  {
    title: "both ways: Bob is restarted between two messages",
    async run(world, line) {
      const { alice, bob, room } = await meeting(world);
      const first = await bob.client.send(room, "first");
      await bob.shut();
      await bob.open();
      const second = await bob.client.send(room, "second");
      await line("Alice reads both", async () => {
        await shows(alice.client, room, first, "first", "Red", "UNSIGNED_DEVICE");
        return shows(alice.client, room, second, "second", "Red", "UNSIGNED_DEVICE");
      });
      await line("and Bob what he sent himself", async () => {
        const [own, after] = [await bob.client.read(room, first), await bob.client.read(room, second)];
        assert.deepEqual([own.body, after.body, own.shield], ["first", "second", after.shield]);
        return `Bob: ${words(own)}`;
      });
    },
  },
];

async function theReset({ alice, bob, room }: Meeting, line: Line): Promise<void> {
  await bob.client.resetIdentity();
  await bob.client.rotate(room);
  const event = await bob.client.send(room, "as another");
  await line("Bob resets his identity", () => shows(alice.client, room, event, "as another", "Red", "VERIFICATION_VIOLATION"));
  await alice.client.withdrawVerification(bob.login.userId);
  await bob.client.rotate(room);
  const later = await bob.client.send(room, "as that other");
  await line("Alice withdraws her verification: a new key", () => shows(alice.client, room, later, "as that other", "None", null));
}
