// What the client sends to encrypted rooms. The rule: it leaves encrypted or not at all, in the order in which it was sent. When it fails, the local
// echo says so and can be sent again, as with the SDK's own crypto.

import { EventStatus, EventType, isSendDelayedEventRequestOpts, type ISendEventResponse, type MatrixError, type MatrixEvent, type Room } from "matrix-js-sdk";
import type { OlmMachine } from "../../machine.js";
import type { CollectStrategy, JsonObject } from "../../types.js";
import type { RoomEncryption } from "./encryption.js";
import type { Sending } from "./seam.js";

export class RoomSending {
  readonly #machine: OlmMachine;
  readonly #encryption: RoomEncryption;
  /** By room, what was begun last: what comes next waits for it, and looks only then at who is in the room. */
  readonly #last = new Map<string, Promise<void>>();
  readonly #encrypted: (event: MatrixEvent) => void;
  /** Which devices get room keys. */
  sharingStrategy: CollectStrategy = "AllDevices";

  /** `encrypted` is told of every event that goes out. */
  constructor(machine: OlmMachine, encryption: RoomEncryption, encrypted: (event: MatrixEvent) => void) {
    this.#machine = machine;
    this.#encryption = encryption;
    this.#encrypted = encrypted;
  }

  /** A client's sending, with encryption before it. */
  readonly encrypting = (send: Sending): Sending => async (room, event, ...rest) => {
    // The SDK sends delayed events (MSC4140) in the clear whatever the room.
    const clear = rest[0] !== undefined && isSendDelayedEventRequestOpts(rest[0]);
    if (!clear && mayEncrypt(event) && !(await this.#encryptEcho(room, event))) return {} as ISendEventResponse; // as of the SDK
    return send(room, event, ...rest);
  };

  /** Shares the room's key with everybody who can read along. Rejects as {@link RoomEncryption.settings} and {@link OlmMachine.shareRoomKey}. */
  share(room: Room): Promise<void> {
    return this.#inTurn(room, () => this.#share(room));
  }

  #inTurn(room: Room, work: () => Promise<void>): Promise<void> {
    const done = (this.#last.get(room.roomId) ?? Promise.resolve()).catch(() => undefined).then(work);
    this.#last.set(room.roomId, done);
    return done;
  }

  async #share(room: Room): Promise<void> {
    const settings = await this.#encryption.settings(room.roomId, room.currentState);
    const users = (await room.getEncryptionTargetMembers()).map(({ userId }) => userId);
    await this.#machine.shareRoomKey(room.roomId, users, {
      historyVisibility: room.getHistoryVisibility(), sharingStrategy: this.sharingStrategy,
      rotationPeriod: settings?.sessionRotationPeriodMs, rotationPeriodMessages: settings?.sessionRotationPeriodMessages,
    });
  }

  /** Whether it may go out: it was encrypted if it must be, and not cancelled meanwhile. */
  async #encryptEcho(room: Room | null, event: MatrixEvent): Promise<boolean> {
    try {
      if (room?.hasEncryptionStateEvent() !== true) {
        await this.#encryption.settings(event.getRoomId() ?? "", room?.currentState); // or it rejects, for a room that was encrypted
        return true;
      }
      room.updatePendingEvent(event, EventStatus.ENCRYPTING);
      await this.#inTurn(room, () => this.#encrypt(room, event));
    } catch (thrown) {
      if (event.status === EventStatus.CANCELLED) return false;
      event.error = thrown as MatrixError; // so the SDK calls whatever it was
      room?.updatePendingEvent(event, EventStatus.NOT_SENT);
      throw thrown;
    }
    if (event.status as EventStatus === EventStatus.CANCELLED) return false;
    room.updatePendingEvent(event, EventStatus.SENDING);
    return true;
  }

  async #encrypt(room: Room, event: MatrixEvent): Promise<void> {
    await this.#share(room);
    if (event.status === EventStatus.CANCELLED) return;
    const { ed25519, curve25519 } = this.#machine.identityKeys;
    const content = await this.#machine.encryptRoomEvent(room.roomId, event.getType(), event.getContent() as JsonObject);
    event.makeEncrypted(EventType.RoomMessageEncrypted, content, curve25519, ed25519);
    this.#encrypted(event);
  }
}

/** As in the SDK: reactions and redactions are for the server to read, and what is encrypted already is a retry. */
function mayEncrypt(event: MatrixEvent): boolean {
  return !event.isEncrypted() && event.getType() !== EventType.Reaction && !event.isRedaction();
}
