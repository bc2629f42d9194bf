// Which rooms are encrypted. The rule: a room that was so once stays so. What a room's state says of it is remembered when the state tells it and before
// anything is sent; where it says so no more, or in a way that is not known, nothing is.

import { EventType, type IContent, type RoomState } from "matrix-js-sdk";
import type { OlmMachine } from "../../machine.js";
import type { RoomSettings } from "../../types.js";

export class RoomEncryption {
  readonly #machine: OlmMachine;
  /** By room, what is remembered of it once that is done, so that the store is asked once; undefined where it has to be asked again. */
  readonly #rooms = new Map<string, Promise<RoomSettings | null | undefined>>();

  constructor(machine: OlmMachine) {
    this.#machine = machine;
  }

  /**
   * Remembers what a room's state says now, and resolves with it: null when the room is not encrypted and never was. Rejects as
   * {@link OlmMachine.setRoomSettings}, with `encryption_downgrade` also when the state says nothing any more.
   */
  settings(roomId: string, state: RoomState | undefined): Promise<RoomSettings | null> {
    const content = state?.getStateEvents(EventType.RoomEncryption, "")?.getContent();
    const told = (this.#rooms.get(roomId) ?? Promise.resolve(undefined)).then((known) => this.#remember(roomId, content, known));
    this.#rooms.set(roomId, told.catch(() => undefined));
    return told;
  }

  async #remember(roomId: string, content: IContent | undefined, last: RoomSettings | null | undefined): Promise<RoomSettings | null> {
    const known = last === undefined ? await this.#machine.getRoomSettings(roomId) : last;
    if (content === undefined && known === null) return null;
    const { algorithm, rotation_period_ms: period, rotation_period_msgs: messages } = content ?? {};
    const told = { ...known, algorithm: typeof algorithm === "string" ? algorithm : "", sessionRotationPeriodMs: count(period), sessionRotationPeriodMessages: count(messages) };
    const same = told.algorithm === known?.algorithm && told.sessionRotationPeriodMs === known.sessionRotationPeriodMs && told.sessionRotationPeriodMessages === known.sessionRotationPeriodMessages;
    if (!same) await this.#machine.setRoomSettings(roomId, told);
    return told;
  }
}

/** A rotation that is none must not keep the room from being encrypted. */
function count(value: unknown): number | undefined {
  return Number.isSafeInteger(value) && (value as number) >= 0 ? (value as number) : undefined;
}
