// Four attempts at the recorded traffic. Each changes it for real and gives it to a machine that lives in memory only and that knows the
// sender's identity; what comes out is what the machine says.

import { OlmMachine, type Explanation, type TrustRequirement, type Verdict } from "../dist/index.js";
import { decrypt, requirements, verdictsOf } from "./account.js";
import { el, short } from "./dom.js";
import type { RecordedAccount, RecordedEvent, RecordedKey } from "./recording.js";
import { badge, verdictList } from "./sessions.js";
import { reason } from "./words.js";

/** What came of an attempt. */
export interface Outcome {
  /** The reception's word: the lane, or why the key was refused. */
  readonly received: string;
  readonly verdicts: { readonly [requirement in TrustRequirement]: Verdict };
  readonly explanation: Explanation;
  /** The state after the attempt was made good, where it can be. */
  readonly recovered: string | null;
}

/** What is changed, before and after. */
export interface Difference {
  readonly where: string;
  readonly before: string;
  readonly after: string;
}

export interface Attempt {
  readonly name: "embedded" | "published" | "replay" | "sender";
  readonly title: string;
  readonly story: string;
  readonly button: string;
  readonly difference: Difference;
  run(): Promise<Outcome>;
}

interface DeviceJson {
  signatures: Record<string, Record<string, string>>;
}

/** The attempts, made from the receiver whose sender signs her device between her two keys: the second key and its message are used. */
export function attempts(recorded: RecordedAccount): readonly Attempt[] {
  const key = recorded.keys.at(-1);
  const event = recorded.events.at(-1);
  const answer = recorded.answers.at(-1);
  const first = recorded.events[0];
  if (key === undefined || event === undefined || answer === undefined || first === undefined) throw new Error("The recording is not whole.");

  const payload = JSON.parse(key.payload) as { sender_device_keys?: DeviceJson };
  const device = payload.sender_device_keys;
  if (device === undefined) throw new Error("The recorded key brings no device along.");
  const good = crossSignature(device, key.sender);
  const bad = broken(good.value);

  const bent = structuredClone(payload);
  if (bent.sender_device_keys !== undefined) crossSignature(bent.sender_device_keys, key.sender).set(bad);
  const bare = structuredClone(payload);
  delete bare.sender_device_keys;
  // The recorded answer, with the one signature exchanged.
  const forged = answer.replace(good.value, bad);
  const again = { ...(JSON.parse(event.text) as object), event_id: "$served-once-more" };
  const renamed = { ...(JSON.parse(event.text) as object), sender: "@mallory:localhost" };

  return [
    {
      name: "embedded",
      title: "A forged signature in the room key",
      story: "One character of the owner's signature, on the device that comes with the key, is exchanged. That message came through Olm, so nobody but the sender can have put it there.",
      button: "Send the key",
      difference: { where: "sender_device_keys.signatures", before: good.value, after: bad },
      run: () =>
        onScratch(recorded, async (machine) => {
          await machine.receiveKeysQueryResponse(answer);
          const received = receive(machine, key, JSON.stringify(bent));
          return { received, ...(await look(machine, event, key)), recovered: null };
        }),
    },
    {
      name: "published",
      title: "A forged signature from the server",
      story: "The same character, exchanged in the answer to /keys/query, and a key that brings no device along. A server must not be able to delete keys: this one is kept, shown to nobody, and recovers when a good answer comes.",
      button: "Serve the answer",
      difference: { where: "device_keys.signatures", before: good.value, after: bad },
      run: () =>
        onScratch(recorded, async (machine) => {
          await machine.receiveKeysQueryResponse(forged);
          const received = receive(machine, key, JSON.stringify(bare));
          const seen = await look(machine, event, key);
          await machine.receiveKeysQueryResponse(answer);
          const { copies } = await machine.explain(key.roomId, key.sessionId);
          return { received, ...seen, recovered: copies[0]?.suspended === false ? copies[0].senderData.type : null };
        }),
    },
    {
      name: "replay",
      title: "A message served twice",
      story: "The server serves a message again under another event id. Each place in a session is one message's for ever.",
      button: "Serve it again",
      difference: { where: "event_id", before: event.eventId, after: again.event_id },
      run: () =>
        onScratch(recorded, async (machine) => {
          await machine.receiveKeysQueryResponse(answer);
          const received = receive(machine, key, key.payload);
          await machine.decryptRoomEvent(event.text, event.roomId);
          return { received, ...(await look(machine, { ...event, text: JSON.stringify(again) }, key)), recovered: null };
        }),
    },
    {
      name: "sender",
      title: "Somebody else's name on a message",
      story: "The server changes who a message is from. Its key has a known owner, and that is somebody else.",
      button: "Change the name",
      difference: { where: "sender", before: event.sender, after: renamed.sender },
      run: () =>
        onScratch(recorded, async (machine) => {
          await machine.receiveKeysQueryResponse(answer);
          const received = receive(machine, key, key.payload);
          return { received, ...(await look(machine, { ...event, text: JSON.stringify(renamed) }, key)), recovered: null };
        }),
    },
  ];
}

/** The signature on a device that is not the device's own. */
function crossSignature(device: DeviceJson, user: string): { readonly value: string; set(value: string): void } {
  const signatures = device.signatures[user] ?? {};
  const id = Object.keys(signatures).find((name) => name.length > "ed25519:".length + 40);
  if (id === undefined) throw new Error("The recorded device is not cross-signed.");
  return { value: signatures[id] ?? "", set: (value) => void (signatures[id] = value) };
}

/** The same text with one character in the middle exchanged: still 64 bytes of canonical base64. */
function broken(signature: string): string {
  return `${signature.slice(0, 20)}${signature[20] === "A" ? "B" : "A"}${signature.slice(21)}`;
}

async function onScratch(recorded: RecordedAccount, story: (machine: OlmMachine) => Promise<Outcome>): Promise<Outcome> {
  const { userId, deviceId, identityKeys } = recorded;
  const machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { memory: true } });
  try {
    return await story(machine);
  } finally {
    await machine.close();
  }
}

function receive(machine: OlmMachine, key: RecordedKey, payload: string): string {
  const { receipts } = machine.receiveRoomKeys([{ sender: key.sender, senderKey: key.senderKey, payload }]);
  const [receipt] = receipts;
  if (receipt === undefined) return "";
  return receipt.accepted ? receipt.senderData.type : receipt.refusal.code;
}

/** What the machine says of the message, under each policy, by decrypting it. */
async function look(machine: OlmMachine, event: RecordedEvent, key: RecordedKey): Promise<Pick<Outcome, "verdicts" | "explanation">> {
  await machine.loadRoom(key.roomId);
  const verdicts = { ...verdictsOf(machine, event) };
  for (const requirement of requirements) {
    machine.setTrustRequirement(requirement);
    verdicts[requirement] = (await decrypt(machine, event.text, event.roomId)).verdict;
  }
  return { verdicts, explanation: await machine.explain(key.roomId, key.sessionId) };
}

/** The card of an attempt, before it was made. */
export function card(attempt: Attempt, result: (outcome: Promise<Outcome>) => void): HTMLElement {
  const button = el("button", { type: "button", id: `tamper-${attempt.name}` }, attempt.button);
  const place = el("div", { "aria-live": "polite" });
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true"); // not `disabled`, which would take the focus from under the finger
    const running = attempt.run();
    result(running.then((outcome) => {
      place.replaceChildren(outcomeOf(outcome));
      return outcome;
    }));
    void running.catch(() => undefined).then(() => button.setAttribute("aria-disabled", "false"));
  });
  return el("article", { class: "card", "data-attempt": attempt.name }, el("h3", {}, attempt.title), el("p", {}, attempt.story), diff(attempt.difference), place, button);
}

function diff({ where, before, after }: Difference): HTMLElement {
  let same = 0;
  while (same < before.length && before[same] === after[same]) same++;
  const one = before.length === after.length && before.slice(same + 1) === after.slice(same + 1);
  const shown = one
    ? ["…", before.slice(Math.max(0, same - 8), same), el("del", {}, before.slice(same, same + 1)), el("ins", {}, after.slice(same, same + 1)), before.slice(same + 1, same + 9), "…"]
    : [el("del", {}, before.length > 24 ? `${before.slice(0, 20)}…` : before), " ", el("ins", {}, after)];
  return el("p", { class: "diff" }, `${where}: `, ...shown);
}

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });

function outcomeOf({ verdicts, explanation, recovered }: Outcome): HTMLElement {
  const [copy] = explanation.copies;
  const [tombstone] = explanation.tombstones;
  const code = verdicts.Verified.code ?? "";
  return el(
    "div",
    { class: "outcome" },
    el(
      "p",
      {},
      copy === undefined ? el("span", { class: "badge badge-discarded" }, "discarded") : badge(copy),
      " ",
      tombstone === undefined ? reason(code) : el("span", {}, "A tombstone is left: ", el("code", { "data-tombstone": tombstone.reason }, tombstone.reason), `, ${clock.format(tombstone.at)}, of `, short(tombstone.senderKey, 8)),
    ),
    verdictList(verdicts),
    recovered !== null && el("p", { "data-recovered": recovered }, "After a good answer: ", el("span", { class: `badge badge-${recovered.toLowerCase()}` }, recovered)),
  );
}
