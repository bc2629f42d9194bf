// The room events the SDK holds. The rule: an event shows what the machine says of it today. It is decrypted when it comes, again when its key comes
// or its sender becomes known, and its clear text is taken back when it may not be shown any more.

import { EventType, type MatrixEvent } from "matrix-js-sdk";
import type { CryptoBackend, EventDecryptionResult } from "matrix-js-sdk/lib/common-crypto/CryptoBackend.js";
import { EventShieldColour, EventShieldReason, type EventEncryptionInfo as SdkEncryptionInfo } from "matrix-js-sdk/lib/crypto-api/index.js";
import { DecryptionError } from "../../decryption.js";
import { KnownSenderError } from "../../errors.js";
import type { OlmMachine } from "../../machine.js";
import type { EventEncryptionInfo, JsonObject } from "../../types.js";
import { sdkFailure } from "./failure.js";
import { backend, conceal } from "./seam.js";

const colours = { None: EventShieldColour.NONE, Grey: EventShieldColour.GREY, Red: EventShieldColour.RED } as const;

export class RoomEvents {
  readonly #machine: OlmMachine;
  /** By room and session, as long as the SDK holds them. */
  readonly #events = new Map<string, Set<WeakRef<MatrixEvent>>>();
  readonly #gone = new FinalizationRegistry<string>((at) => void this.#at(at));
  readonly #failures = new WeakMap<MatrixEvent, DecryptionError>();
  /** For the SDK's attemptDecryption. */
  readonly backend: CryptoBackend = backend((event) => this.#decrypt(event));

  constructor(machine: OlmMachine) {
    this.#machine = machine;
  }

  /** Why an event is not shown, in full. */
  failure(event: MatrixEvent): DecryptionError | null {
    return event.isDecryptionFailure() ? (this.#failures.get(event) ?? null) : null;
  }

  /** What is known of the sender of an event of a room that is here. Rejects as the machine's getRoomEventEncryptionInfo. */
  async encryptionInfo(event: MatrixEvent): Promise<EventEncryptionInfo> {
    const roomId = event.getRoomId() ?? "";
    try {
      return this.#machine.getRoomEventEncryptionInfo(wire(event), roomId);
    } catch (thrown) {
      if (!(thrown instanceof DecryptionError) || thrown.code !== "session_not_loaded") throw thrown;
    }
    await this.#machine.loadRoom(roomId);
    return this.#machine.getRoomEventEncryptionInfo(wire(event), roomId);
  }

  /** The shield of an event, as the SDK's getEncryptionInfoForEvent has it. */
  async shield(event: MatrixEvent): Promise<SdkEncryptionInfo | null> {
    if (!shown(event)) return null;
    if (event.status !== null) return { shieldColour: EventShieldColour.NONE, shieldReason: null }; // on its way out
    const { shield, names } = (await this.encryptionInfo(event)).verdict;
    const reasons = EventShieldReason as unknown as Readonly<Record<string, EventShieldReason>>;
    const { eventShieldReason: name } = names;
    return { shieldColour: colours[shield.color], shieldReason: name === null ? null : (reasons[name] ?? EventShieldReason.UNKNOWN) };
  }

  /** Remembers an event, to be judged again. */
  keep(event: MatrixEvent): void {
    const at = place(event.getRoomId() ?? "", String(event.getWireContent()["session_id"]));
    if (this.#at(at).includes(event)) return;
    const events = this.#events.get(at) ?? new Set();
    this.#events.set(at, events.add(new WeakRef(event)));
    this.#gone.register(event, at);
  }

  /** Looks at the events of sessions again, of all without any. Resolves with those that were shown before and are, whose shields may differ. */
  async judge(sessions?: Iterable<{ readonly roomId: string; readonly sessionId: string }>): Promise<MatrixEvent[]> {
    const places = sessions === undefined ? [...this.#events.keys()] : new Set([...sessions].map(({ roomId, sessionId }) => place(roomId, sessionId)));
    const judged = await Promise.all([...places].flatMap((at) => this.#at(at)).map(async (event) => ((await this.#judgeOne(event)) ? [event] : [])));
    return judged.flat();
  }

  async #judgeOne(event: MatrixEvent): Promise<boolean> {
    if (event.isRedacted() || event.status !== null) return false;
    if (shown(event)) {
      if (await this.#mayBeShown(event)) return true;
      conceal(event);
    }
    await event.attemptDecryption(this.backend, { isRetry: true });
    return false;
  }

  async #mayBeShown(event: MatrixEvent): Promise<boolean> {
    try {
      return (await this.encryptionInfo(event)).verdict.shown;
    } catch (thrown) {
      if (thrown instanceof DecryptionError) return false;
      throw thrown;
    }
  }

  async #decrypt(event: MatrixEvent): Promise<EventDecryptionResult> {
    const roomId = event.getRoomId() ?? "";
    this.keep(event); // first: its key may come meanwhile
    try {
      // A local echo from before a restart. What decrypts it takes its message index, which belongs to the event it will be.
      if (event.getId()?.startsWith("~")) throw new KnownSenderError("not_sent", "The message was not sent yet.");
      const { clearEvent, encryptionInfo } = await this.#machine.decryptRoomEvent(wire(event), roomId);
      const { senderKey, forwarder } = encryptionInfo;
      return {
        clearEvent: clearEvent as unknown as EventDecryptionResult["clearEvent"], // has type and content: the machine decrypts nothing else
        ...(senderKey === null ? {} : { senderCurve25519Key: senderKey }),
        ...(forwarder?.userId === undefined ? {} : { keyForwardedBy: forwarder.userId }),
      };
    } catch (thrown) {
      if (thrown instanceof DecryptionError) this.#failures.set(event, thrown);
      else this.#failures.delete(event);
      throw sdkFailure(event, thrown);
    }
  }

  /** Those that are still there; the others are forgotten. */
  #at(at: string): MatrixEvent[] {
    const events = this.#events.get(at) ?? new Set();
    const alive: MatrixEvent[] = [];
    for (const reference of events) {
      const event = reference.deref();
      if (event === undefined) events.delete(reference);
      else alive.push(event);
    }
    if (alive.length === 0) this.#events.delete(at);
    return alive;
  }
}

function shown(event: MatrixEvent): boolean {
  return event.getClearContent() !== null && !event.isDecryptionFailure();
}

function place(roomId: string, sessionId: string): string {
  return `${roomId} ${sessionId}`;
}

/** An event as the server sent it, without `unsigned`: the SDK makes events of their own of what is nested in there. */
function wire(event: MatrixEvent): JsonObject {
  const stateKey = event.getWireStateKey();
  return {
    event_id: event.getId() ?? "",
    type: EventType.RoomMessageEncrypted,
    sender: event.getSender() ?? "",
    room_id: event.getRoomId() ?? "",
    origin_server_ts: event.getTs(),
    content: event.getWireContent() as JsonObject,
    ...(stateKey === undefined ? {} : { state_key: stateKey }),
  };
}
