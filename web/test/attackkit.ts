// An attack, told as a list of what a machine is given in a page, and what it says of each: one line a step. The stories of the attack-*.test.ts
// files are the threat rows of web/test/attack/rows.json that reach the package through JavaScript.

import assert from "node:assert/strict";
import { after } from "node:test";
import Olm from "@matrix-org/olm";
import type { JsonObject, OlmMachine } from "../src/index.js";
import { useChrome, type Chrome, type TestPage } from "./harness.js";
import { knownAs, LibolmDevice } from "./libolm.js";
import { withKit } from "./machinekit.js";
import { base64, keysQueryAnswer, Person, type Json, type OlmItem, type Outbound } from "./people.js";

export type JsonMap = { [name: string]: Json };

export const room = "!room:test";

/** What is done to the machine. */
export type Step =
  /** Room keys as the client's Olm decrypted them: who sent each, or why it is refused. */
  | { readonly keys: readonly OlmItem[] }
  /** Raw to-device events, for an account of the machine's own. */
  | { readonly sync: readonly string[] }
  /** An answer to /keys/query, or to the request of that number: "applied", or what is refused of it. */
  | { readonly answer: string; readonly to?: number }
  /** A request to /keys/query, which gets the next number. */
  | { readonly ask: readonly string[] }
  | { readonly trust: string }
  | { readonly notices: readonly JsonMap[] }
  | { readonly imported: readonly JsonMap[] }
  /** A room event under the four policies: "shown", "red" or "grey" as the shield is, or the code it is withheld with. */
  | { readonly event: JsonMap; readonly room?: string }
  /** Events of which none may be shown under any policy: the codes there are. */
  | { readonly broken: readonly JsonMap[] }
  /** What there is of a session: the copies, then what was discarded. */
  | { readonly copies: string; readonly room?: string }
  | { readonly identity: string }
  | { readonly reopen: true };

type Own = Omit<Person["own"], "identityKeys"> & Partial<Person["own"]>;
type Story = readonly (readonly [step: Step, said: string])[];

/** The steps in a page, on the machine `attacked` or one that is opened over a database. The page gets it as text. */
async function play({ own, name, steps }: { own: Own; name: string; steps: readonly Step[] }): Promise<string[]> {
  const scope = globalThis as { attacked?: OlmMachine };
  const open = (): Promise<OlmMachine> => kit.ks.OlmMachine.open({ ...own, store: { name } });
  let machine = scope.attacked ?? (await open());
  delete scope.attacked;
  // What must not change when something is refused: Olm moves on, and counters count.
  const stored = async (): Promise<string> => JSON.stringify((JSON.parse(await kit.dump(name)) as [string, unknown][]).filter(([table]) => !["channels", "counters", "system"].includes(table)));
  const requests: string[] = [];
  const policies = ["Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"] as const;
  const said = (data: { type: string; userId?: string | null } | null): string => [data?.type, data?.userId].filter((word) => word != null).join(" ");
  const take = async (step: Step): Promise<string> => {
    if ("keys" in step) {
      const { receipts, stored } = machine.receiveRoomKeys(step.keys);
      await stored;
      return receipts.map((receipt) => (receipt.accepted ? said(receipt.senderData) + (receipt.suspended ? " suspended" : "") : receipt.refusal.code)).join(", ");
    }
    if ("sync" in step) {
      const { events } = await machine.receiveSyncChanges({ toDeviceEvents: step.sync });
      return events.map((event) => (event.type === "refused" ? event.refusal.code : event.type === "room_key" ? (event.receipt.accepted ? said(event.receipt.senderData) : event.receipt.refusal.code) : event.type)).join(", ");
    }
    if ("answer" in step) {
      const { problems } = await machine.receiveKeysQueryResponse(step.answer, step.to === undefined ? "" : requests[step.to]);
      return problems.map(({ code }) => code).sort().join(", ") || "applied";
    }
    if ("notices" in step) return (await machine.receiveRoomKeysWithheld(step.notices as JsonObject[])).map((refusal) => refusal?.code ?? "taken").join(", ");
    if ("imported" in step) {
      const { imported, unchanged, better, failures } = await machine.importExportedRoomKeys(step.imported as JsonObject[]);
      return [`${imported} new`, `${better} better`, `${unchanged} unchanged`, ...failures.map(({ position, code }) => `${position} ${code}`)].join(", ");
    }
    throw new Error("no such step");
  };
  const look = async (step: Step): Promise<string | undefined> => {
    if ("ask" in step) {
      requests.push(machine.queryKeysForUsers(step.ask).id);
      return "asked";
    }
    if ("trust" in step) {
      await machine.trustOwnIdentity(step.trust);
      return "trusted";
    }
    if ("event" in step) {
      const ends: string[] = [];
      for (const policy of policies) {
        machine.setTrustRequirement(policy);
        try {
          const { encryptionInfo } = await machine.decryptRoomEvent(step.event as JsonObject, step.room ?? "!room:test");
          const { color } = encryptionInfo.verdict.shield;
          ends.push(color === "None" ? "shown" : color.toLowerCase());
        } catch (thrown) {
          ends.push(thrown instanceof kit.ks.DecryptionError ? thrown.code : `untyped: ${String(thrown)}`);
        }
      }
      return ends.join(" ");
    }
    if ("broken" in step) {
      const codes = new Set<string>();
      machine.setTrustRequirement("Untrusted"); // which shows all that any other shows
      for (const event of step.broken) codes.add(await machine.decryptRoomEvent(event as JsonObject, "!room:test").then(() => "shown", (thrown: unknown) => (thrown instanceof kit.ks.DecryptionError ? thrown.code : `untyped: ${String(thrown)}`)));
      return [...codes].sort().join(", ");
    }
    if ("copies" in step) {
      const { copies, tombstones } = await machine.explain(step.room ?? "!room:test", step.copies);
      const all = copies.map(({ provenance, senderData, firstKnownIndex, legacySession, suspended }) =>
        `${provenance} ${said(senderData)} from ${firstKnownIndex}${legacySession ? " legacy" : ""}${suspended ? " suspended" : ""}`);
      return [...all, ...tombstones.map(({ reason }) => `discarded: ${reason}`)].join(", ") || "none";
    }
    if ("identity" in step) return machine.getIdentity(step.identity)?.verification ?? "none";
    if ("reopen" in step) {
      await machine.close();
      machine = await open();
      return "opened";
    }
    return undefined;
  };
  const told: string[] = [];
  for (const step of steps) {
    let end = await look(step);
    if (end === undefined) {
      const before = await stored();
      end = await take(step);
      if ((await stored()) === before) end += "; nothing stored";
    }
    told.push(end);
  }
  await machine.close();
  return told;
}

export interface Attacks {
  readonly chrome: Chrome;
  /** Plays an attack on a machine of its own; each step comes with what is to be said of it. */
  attack(me: Person, story: Story): Promise<void>;
  /** The same at the raw edge: the machine has an account, and Alice and Mallory have channels with it whose other end is libolm. */
  rawAttack(make: (parts: { me: Person; alice: LibolmDevice; mallory: LibolmDevice; theirs: string }) => Story): Promise<void>;
}

/** Starts Chrome for the tests of a file. The attacks of a file share a page for each engine, for loading the wasm is most of what they take. */
export function useAttacks(): Attacks {
  const running: Promise<void>[] = [];
  let leave: () => void = () => undefined;
  const left = new Promise<void>((resolve) => (leave = resolve));
  after(async () => {
    leave();
    await Promise.all(running);
  });
  const chrome = useChrome();
  const stages = new Map<string, Promise<TestPage>>();
  const stage = (engine: "" | "-olm"): Promise<TestPage> => {
    const open = stages.get(engine) ?? new Promise<TestPage>((resolve, reject) => {
      running.push(withKit(chrome, async (page) => {
        await page.inPage((engine) => kit.ks.initAsync({ wasmURL: `/dist/knownsender${engine}.wasm` }), engine);
        resolve(page);
        await left;
      }).catch(reject));
    });
    stages.set(engine, open);
    return open;
  };
  let attacks = 0;
  const tell = async ({ inPage, printed, uncaught }: TestPage, own: Own, name: string, story: Story): Promise<void> => {
    const told = await inPage(play, { own, name, steps: story.map(([step]) => step) });
    assert.deepEqual(told, story.map(([, said]) => said));
    assert.deepEqual([printed, uncaught], [[], []]);
  };
  return {
    chrome,
    attack: async (me, story) => tell(await stage(""), me.own, `attack ${++attacks}`, story),
    rawAttack: async (make) => {
      await Olm.init();
      const page = await stage("-olm");
      const name = `attack ${++attacks}`;
      const own = { userId: "@me:test", deviceId: "MINE" };
      const [alice, mallory] = [new LibolmDevice("@alice:test", "ALICE"), new LibolmDevice("@mallory:test", "MALLORY")];
      try {
        const { keys, upload } = await page.inPage(async ({ own, name }) => {
          const machine = await kit.ks.OlmMachine.open({ ...own, store: { name } });
          const request = machine.outgoingRequests().find(({ type }) => type === "keys_upload");
          await machine.markRequestAsSent(request?.id ?? "", '{"one_time_key_counts":{"signed_curve25519":50}}');
          Object.assign(globalThis, { attacked: machine });
          return { keys: machine.identityKeys, upload: request?.body ?? "" };
        }, { own, name });
        const oneTimeKeys = Object.values((JSON.parse(upload) as { one_time_keys: Record<string, { key: string }> }).one_time_keys);
        alice.begin(keys.curve25519, oneTimeKeys[0]?.key ?? "");
        mallory.begin(keys.curve25519, oneTimeKeys[1]?.key ?? "");
        await tell(page, own, name, make({ me: knownAs(own.userId, own.deviceId, keys), alice, mallory, theirs: keys.curve25519 }));
      } finally {
        alice.free();
        mallory.free();
      }
    },
  };
}

/** The description of somebody's device, changed and signed by the device again. */
export function resigned(person: Person, change: (object: JsonMap) => void, signer: Person = person): JsonMap {
  const { signatures: _, ...object } = person.deviceKeys();
  change(object);
  return { ...object, signatures: { [String(object["user_id"])]: { [`ed25519:${String(object["device_id"])}`]: signer.ed25519.signJson(object) } } };
}

/** An answer to /keys/query, changed. */
export function answerOf(people: readonly Person[], change: (answer: Record<"device_keys" | "master_keys" | "self_signing_keys" | "user_signing_keys", Record<string, JsonMap>>) => void): string {
  const answer = JSON.parse(keysQueryAnswer(people)) as Parameters<typeof change>[0];
  change(answer);
  return JSON.stringify(answer);
}

/** The room key of a session, with other content. */
export function keyWith(session: Outbound, from: Person, to: Person, content: JsonMap): OlmItem {
  const payload = session.payload(from, to);
  return { sender: from.userId, senderKey: from.curve25519, payload: JSON.stringify({ ...payload, content: { ...(payload["content"] as JsonMap), ...content } }) };
}

/** Base64 whose bytes are changed. */
export function bytesOf(text: string, change: (bytes: Buffer) => Uint8Array | void): string {
  const bytes = Buffer.from(text, "base64");
  return base64(change(bytes) ?? bytes);
}
