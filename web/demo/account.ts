// One receiver: a machine over a database of its own, and what the table shows of it. Everything shown is asked of the machine, every time.

import { DecryptionError, OlmMachine, type CopyExplanation, type DecryptedRoomEvent, type Explanation, type TrustRequirement, type Verdict } from "../dist/index.js";
import type { RecordedAccount, RecordedEvent, RecordedKey } from "./recording.js";

export const requirements: readonly TrustRequirement[] = ["Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"];

/** A room key as the table shows it. */
export interface SessionRow {
  readonly account: string;
  readonly roomId: string;
  readonly sessionId: string;
  readonly sender: string;
  readonly title: string;
  readonly client: string;
  /** The stored copy, as the machine explains it. */
  readonly copy: CopyExplanation;
  /** What each policy says of the session's first recorded event. */
  readonly verdicts: { readonly [requirement in TrustRequirement]: Verdict };
}

/** A room event as the timeline shows it under one policy. */
export interface MessageRow {
  readonly account: string;
  readonly event: RecordedEvent;
  /** The clear text; null when it is withheld, and then there is none in this page. */
  readonly body: string | null;
  readonly messageIndex: number | null;
  readonly verdict: Verdict;
  readonly message: string;
}

const prefix = "knownsender-demo-";

export class Account {
  private constructor(
    readonly recorded: RecordedAccount,
    readonly machine: OlmMachine,
  ) {}

  /** The database of a receiver. */
  static database(recorded: RecordedAccount): string {
    return prefix + recorded.name;
  }

  static async open(recorded: RecordedAccount): Promise<Account> {
    const { userId, deviceId, identityKeys } = recorded;
    const machine = await OlmMachine.open({ userId, deviceId, identityKeys, store: { name: Account.database(recorded) } });
    return new Account(recorded, machine);
  }

  /** Stage 1: the room keys arrive, and the notice of a key that will not. */
  async receiveKeys(): Promise<void> {
    const { receipts, stored } = this.machine.receiveRoomKeys(this.recorded.keys);
    for (const receipt of receipts) if (!receipt.accepted) throw new Error(`A recorded room key was refused: ${receipt.refusal.code}`);
    await stored;
    await this.machine.receiveRoomKeysWithheld(this.recorded.withheld);
    await this.machine.updateTrackedUsers([...new Set(this.recorded.keys.map(({ sender }) => sender))]);
  }

  /** Stages 2 and 3: the answer to the next /keys/query comes. */
  async receiveAnswer(number: number): Promise<void> {
    const answer = this.recorded.answers[number];
    if (answer === undefined) return;
    const request = this.machine.queryKeysForUsers(this.machine.outdatedUsers());
    await this.machine.receiveKeysQueryResponse(answer, request.id);
  }

  /** Says that the server told of a change of a sender's devices. */
  async devicesChanged(): Promise<void> {
    await this.machine.receiveDeviceLists({ changed: [...new Set(this.recorded.keys.map(({ sender }) => sender))] });
  }

  /** The table's rows, in the order the keys were recorded. */
  async rows(): Promise<SessionRow[]> {
    const rows: SessionRow[] = [];
    for (const key of this.recorded.keys) {
      const explanation = await this.explain(key);
      const copy = explanation.copies[0];
      if (copy === undefined) continue;
      await this.machine.loadRoom(key.roomId);
      const event = this.recorded.events.find(({ sessionId }) => sessionId === key.sessionId);
      const { roomId, sessionId, sender, title, client } = key;
      const verdicts = event === undefined ? undefined : verdictsOf(this.machine, event);
      if (verdicts !== undefined) rows.push({ account: this.recorded.name, roomId, sessionId, sender, title, client, copy, verdicts });
    }
    return rows;
  }

  explain(key: Pick<RecordedKey, "roomId" | "sessionId">): Promise<Explanation> {
    return this.machine.explain(key.roomId, key.sessionId);
  }

  /** The timeline's rows under a policy: each event is decrypted anew, and what is withheld leaves nothing behind. */
  async messages(requirement: TrustRequirement): Promise<MessageRow[]> {
    this.machine.setTrustRequirement(requirement);
    const rows: MessageRow[] = [];
    for (const event of this.recorded.events) rows.push({ account: this.recorded.name, event, ...(await decrypt(this.machine, event.text, event.roomId)) });
    return rows;
  }
}

/** What each policy says of an event. Asking changes nothing: it is a table that is read. */
export function verdictsOf(machine: OlmMachine, event: { readonly text: string; readonly roomId: string }): { [requirement in TrustRequirement]: Verdict } {
  const before = machine.trustRequirement;
  const verdict = (requirement: TrustRequirement): Verdict => {
    machine.setTrustRequirement(requirement);
    return machine.getRoomEventEncryptionInfo(event.text, event.roomId).verdict;
  };
  const [Untrusted, CrossSignedOrLegacy, CrossSigned, Verified] = requirements.map(verdict);
  machine.setTrustRequirement(before);
  if (Untrusted === undefined || CrossSignedOrLegacy === undefined || CrossSigned === undefined || Verified === undefined) throw new Error("There are four policies.");
  return { Untrusted, CrossSignedOrLegacy, CrossSigned, Verified };
}

/** Decrypts one event under the policy in force. */
export async function decrypt(machine: OlmMachine, text: string, roomId: string): Promise<Pick<MessageRow, "body" | "messageIndex" | "verdict" | "message">> {
  try {
    const decrypted = await machine.decryptRoomEvent(text, roomId);
    return { body: bodyOf(decrypted), messageIndex: decrypted.messageIndex, verdict: decrypted.encryptionInfo.verdict, message: "" };
  } catch (thrown) {
    if (!(thrown instanceof DecryptionError) || thrown.encryptionInfo === null) throw thrown;
    return { body: null, messageIndex: null, verdict: thrown.encryptionInfo.verdict, message: thrown.message };
  }
}

function bodyOf({ clearEvent }: DecryptedRoomEvent): string {
  const { content } = clearEvent as { content?: { body?: unknown } };
  return typeof content?.body === "string" ? content.body : "";
}
