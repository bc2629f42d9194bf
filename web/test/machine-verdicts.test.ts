// Every state an event can be in that can be brought about from outside, under every policy, by events that are really decrypted: the verdicts
// are those of core/testdata/policy.json, and what is withheld leaves no plaintext behind.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { EventEncryptionInfo, JsonObject, TrustRequirement } from "../src/types.js";
import { top, useChrome } from "./harness.js";
import { withKit } from "./machinekit.js";
import { Identity, keysQueryAnswer, Outbound, Person } from "./people.js";

const chrome = useChrome();
const room = "!room:test";

interface Shield {
  readonly color: string;
  readonly code: string;
}

interface Policy {
  readonly requirements: readonly TrustRequirement[];
  readonly rows: readonly { readonly state: string; readonly code: string; readonly shown: Readonly<Record<TrustRequirement, boolean>>; readonly lax: Shield; readonly strict: Shield }[];
  readonly codes: readonly { readonly name: string; readonly matrixSdkCrypto: string; readonly matrixJsSdk: string }[];
}

const policy = JSON.parse(readFileSync(join(top, "core/testdata/policy.json"), "utf8")) as Policy;

/** One state, brought about: answers before and after the key arrives, keys, notices, events decrypted before, and the event asked about. */
interface Scene {
  readonly state: string;
  readonly before: readonly string[];
  readonly keys: readonly { sender: string; senderKey: string; payload: string }[];
  readonly after?: readonly string[];
  readonly notices?: readonly JsonObject[];
  readonly first?: readonly JsonObject[];
  readonly event: JsonObject;
  /** Where the event alone does not tell: what is wrong lies inside it. */
  readonly insideOnly?: boolean;
}

const secret = "a body that is shown to those who may see it";

function scenes(): { scenes: Scene[]; me: Person; master: string } {
  const me = new Person("@me:test", "MINE", "yes");
  const mine = me.identity;
  assert.ok(mine);
  let made = 0;
  const person = (crossSigned: "no" | "yes" | "wrong", verified = false): Person => {
    const who = new Person(`@person${++made}:test`, "DEVICE", crossSigned);
    if (verified) who.identity?.signedBy.push({ user: me.userId, key: mine.userSigning });
    return who;
  };
  const scene = (state: string, who: Person, change: (parts: { outbound: Outbound; who: Person }) => Partial<Scene> = () => ({})): Scene => {
    const outbound = new Outbound(room);
    return {
      state,
      before: [keysQueryAnswer([me, who])],
      keys: [outbound.item(who, me)],
      event: outbound.event(who.userId, `$${state}`, secret),
      ...change({ outbound, who }),
    };
  };

  const changed = person("yes", true);
  const verifiedOnce = keysQueryAnswer([me, changed]);
  changed.identity = new Identity(changed.userId);
  const all: Scene[] = [
    scene("sender_verified", person("yes", true)),
    scene("sender_unverified", person("yes")),
    scene("verification_violation", changed, ({ who }) => ({ before: [verifiedOnce, keysQueryAnswer([me, who])] })),
    scene("device_info", person("no")),
    scene("unknown_device", person("no"), ({ outbound, who }) => ({ before: [keysQueryAnswer([me])], keys: [outbound.item(who, me, { embed: false })] })),
    scene("mismatched_sender", person("yes"), ({ outbound }) => ({ event: outbound.event("@mallory:test", "$mismatched", secret) })),
    scene("suspended", person("wrong"), ({ outbound, who }) => ({ keys: [outbound.item(who, me, { embed: false })] })),
    scene("tampered", person("wrong")),
    scene("replayed", person("yes"), ({ outbound, who }) => ({ first: [outbound.event(who.userId, "$first", "first")] })),
    scene("wrong_room", person("yes"), ({ outbound, who }) => ({ event: outbound.event(who.userId, "$elsewhere", secret, { roomId: "!other:test" }), insideOnly: true })),
    scene("bad_sender", person("yes"), ({ outbound }) => ({ event: outbound.event("charlie", "$charlie", secret) })),
    scene("withheld", person("yes"), ({ outbound, who }) => ({
      keys: [],
      notices: [{
        type: "m.room_key.withheld", sender: who.userId,
        content: { algorithm: "m.megolm.v1.aes-sha2", code: "m.unverified", reason: "no", room_id: room, session_id: outbound.sessionId, sender_key: who.curve25519 },
      }],
    })),
    scene("unknown_index", person("yes"), ({ outbound, who }) => ({ keys: [outbound.item(who, me, { index: 7 })] })),
    scene("no_key", person("yes"), () => ({ keys: [] })),
  ];
  return { scenes: all, me, master: mine.master.public };
}

interface Asked {
  readonly info: EventEncryptionInfo;
  /** What decryptRoomEvent did: the body, or the error as JSON with everything that hangs on it. */
  readonly body: unknown;
  readonly error: { readonly code: string; readonly text: string; readonly info: EventEncryptionInfo | null; readonly withheld: string | null } | null;
}

/** In a page: brings the scene about, and asks under every policy. */
async function ask({ scene, own, master, requirements }: { scene: Scene; own: Person["own"]; master: string; requirements: readonly TrustRequirement[] }): Promise<Record<string, Asked>> {
  const { ks } = kit;
  const machine = await ks.OlmMachine.open({ ...own, store: { memory: true } });
  const asked: Record<string, Asked> = {};
  for (const [i, answer] of scene.before.entries()) {
    await machine.receiveKeysQueryResponse(answer);
    if (i === 0) await machine.trustOwnIdentity(master);
  }
  await machine.receiveRoomKeys(scene.keys).stored;
  for (const answer of scene.after ?? []) await machine.receiveKeysQueryResponse(answer);
  await machine.receiveRoomKeysWithheld(scene.notices ?? []);
  await machine.loadRoom("!room:test");
  for (const event of scene.first ?? []) await machine.decryptRoomEvent(event, "!room:test");
  for (const requirement of requirements) {
    machine.setTrustRequirement(requirement);
    const info = machine.getRoomEventEncryptionInfo(scene.event, "!room:test");
    try {
      asked[requirement] = { info, body: kit.body(await machine.decryptRoomEvent(scene.event, "!room:test")), error: null };
    } catch (thrown) {
      if (!(thrown instanceof ks.DecryptionError)) throw thrown;
      const everything = JSON.stringify([thrown.message, thrown.stack, thrown.code, thrown.reason, thrown.expected, thrown.got, thrown.encryptionInfo, thrown.withheld, String(thrown.cause)]);
      asked[requirement] = { info, body: null, error: { code: thrown.code, text: everything, info: thrown.encryptionInfo, withheld: thrown.withheld?.code ?? null } };
    }
  }
  await machine.close();
  return asked;
}

describe("verdicts are the policy's table", () => {
  const { scenes: all, me, master } = scenes();
  for (const scene of all) {
    test(`${scene.state} under four policies`, async () => {
      const row = policy.rows.find(({ state }) => state === scene.state);
      assert.ok(row);
      await withKit(chrome, async ({ inPage, printed }) => {
        const asked = await inPage(ask, { scene, own: me.own, master, requirements: policy.requirements });
        for (const requirement of policy.requirements) {
          const one = asked[requirement];
          assert.ok(one);
          const shown: boolean = row.shown[requirement];
          const verdict = one.error === null ? one.info.verdict : one.error.info?.verdict;
          assert.ok(verdict, `${requirement}: a withheld event tells what is known of it`);
          for (const said of scene.insideOnly ? [verdict] : [verdict, one.info.verdict]) {
            assert.equal(said.state, scene.state, requirement);
            assert.equal(said.shown, shown, requirement);
            assert.equal(said.code ?? "", shown && row.lax.color === "None" ? "" : row.code, requirement);
            assert.deepEqual([said.shield.color, said.shield.code ?? ""], [row.lax.color, row.lax.code], requirement);
            assert.deepEqual([said.strictShield.color, said.strictShield.code ?? ""], [row.strict.color, row.strict.code], requirement);
          }
          assert.equal(one.body, shown ? secret : null, requirement);
          assert.equal(one.error?.code ?? row.code, row.code, requirement);
          if (!shown) assert.equal(typeof verdict.names.decryptionErrorCode, "string");
          if (!shown) assert.ok(!JSON.stringify(one).includes(secret), `${requirement}: a withheld event carries no plaintext`);
          if (scene.state === "withheld") assert.equal(one.error?.withheld, "m.unverified");
        }
        assert.deepEqual(printed, []);
      });
    });
  }

  test("the answer is the same object until anything changes, and of another event another one", async () => {
    const outbound = new Outbound(room);
    const event = outbound.event(me.userId, "$event", secret);
    const stranger = new Person("@stranger:test", "STRANGE");
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, key, answer, event }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        await machine.receiveRoomKeys([key]).stored;
        await machine.loadRoom("!room:test");
        const ask = (changes: JsonObject = {}): EventEncryptionInfo => machine.getRoomEventEncryptionInfo({ ...event, ...changes }, "!room:test");
        const first = ask();
        const same: Record<string, boolean> = { again: ask() === first, "by another sender": ask({ sender: "@other:test" }) === first };
        const broken = await kit.failure(() => ask({ content: { ...(event["content"] as JsonObject), ciphertext: "AAAA" } }));
        same["asked before"] = ask() === ask();
        machine.setTrustRequirement("Verified");
        const strict = ask();
        same["under another policy"] = strict === first;
        await machine.receiveKeysQueryResponse(answer);
        const known = ask();
        same["when its sender is known"] = known === strict;
        const frozen = Object.isFrozen(known) && Object.isFrozen(known.senderData) && Object.isFrozen(known.verdict.shield);
        await machine.close();
        const ended = await kit.failure(() => ask());
        return { same, broken: broken.code, frozen, types: [first, strict, known].map(({ senderData, verdict }) => [senderData?.type, verdict.shown]), ended: ended.code };
      }, { own: me.own, key: outbound.item(stranger, me, { embed: false }), answer: keysQueryAnswer([stranger]), event });
      assert.deepEqual(got, {
        same: { again: true, "by another sender": false, "asked before": true, "under another policy": false, "when its sender is known": false },
        broken: "unable_to_decrypt",
        frozen: true,
        types: [["UnknownDevice", true], ["UnknownDevice", false], ["DeviceInfo", false]],
        ended: "closed",
      });
    });
  });

  test("what a decryption said is said of the event until anything changes; a replay is noticed whichever of the two was asked about first", async () => {
    const known = new Person("@known:test", "KNOWN", "yes");
    const sessions = ["$one", "$two", "$three"].map((id) => ({ id, outbound: new Outbound(room) }));
    const [one, two, three] = sessions.map(({ id, outbound }) => outbound.event(known.userId, id, secret)) as [JsonObject, JsonObject, JsonObject];
    const news = new Person("@news:test", "NEWS");
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, keys, answer, news, one, two, three }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { name: "verdicts" } });
        await machine.receiveKeysQueryResponse(answer);
        await machine.receiveRoomKeys(keys).stored;
        await machine.loadRoom("!room:test");
        const decrypt = (event: JsonObject): Promise<EventEncryptionInfo> => machine.decryptRoomEvent(event, "!room:test").then(({ encryptionInfo }) => encryptionInfo);
        const ask = (event: JsonObject): EventEncryptionInfo => machine.getRoomEventEncryptionInfo(event, "!room:test");
        const code = (event: JsonObject): string | null => ask(event).verdict.code;

        const said = await decrypt(one);
        const same: Record<string, boolean> = { "at once": ask(one) === said };
        const unasked = code({ ...two, event_id: "$replay" });
        const underAnother = await decrypt({ ...three, sender: "@other:test" });
        const before = code({ ...three, sender: "@other:test" });
        await decrypt(two);
        await decrypt(three);
        const replayed = [unasked, code({ ...two, event_id: "$replay" }), before, underAnother.verdict.code, code({ ...three, sender: "@other:test", event_id: "$other" })];
        same["with others decrypted"] = ask(one) === said;
        await new Promise((resolve) => setTimeout(resolve, 300));
        same["when the indexes are written"] = ask(one) === said;
        await machine.receiveKeysQueryResponse(news);
        same["with news of somebody"] = ask(one) === said;
        const alike = JSON.stringify(ask(one)) === JSON.stringify(said);
        machine.setTrustRequirement("Verified");
        const strict = ask(one).verdict.shown;
        await machine.close();
        return { same, alike, replayed, strict, frozen: Object.isFrozen(said.verdict) };
      }, { own: me.own, keys: sessions.map(({ outbound }) => outbound.item(known, me)), answer: keysQueryAnswer([known]), news: keysQueryAnswer([news]), one, two, three });
      assert.deepEqual(got, {
        same: { "at once": true, "with others decrypted": true, "when the indexes are written": true, "with news of somebody": false },
        alike: true,
        replayed: [null, "replayed", "mismatched_sender", "mismatched_sender", "replayed"],
        strict: false,
        frozen: true,
      });
    });
  });

  test("a nested edit is judged by itself (scenario 127)", async () => {
    const known = new Person("@known:test", "KNOWN", "yes");
    const outer = new Outbound(room);
    const inner = new Outbound(room);
    const stranger = new Person("@known:test", "STRANGE");
    const event = { ...outer.event(known.userId, "$outer", "outer"), unsigned: { "m.relations": { "m.replace": inner.event(known.userId, "$inner", "inner") } } };
    await withKit(chrome, async ({ inPage }) => {
      const got = await inPage(async ({ own, answer, keys, event }) => {
        const machine = await kit.ks.OlmMachine.open({ ...own, store: { memory: true } });
        await machine.receiveKeysQueryResponse(answer);
        machine.receiveRoomKeys(keys);
        const loose = await machine.decryptRoomEvent(event, "!room:test");
        machine.setTrustRequirement("CrossSigned");
        const strict = await machine.decryptRoomEvent(event, "!room:test");
        await machine.close();
        const brief = (event: typeof loose): unknown => event.unsigned.map(({ location, event: nested, refusal }) => [location, nested === null ? null : kit.body(nested), refusal?.code ?? null]);
        return [brief(loose), brief(strict)];
      }, { own: me.own, answer: keysQueryAnswer([known]), keys: [outer.item(known, me), inner.item(stranger, me, { embed: false })], event: event as JsonObject });
      assert.deepEqual(got, [[["RelationsReplace", "inner", null]], [["RelationsReplace", null, "unknown_device"]]]);
    });
  });
});
