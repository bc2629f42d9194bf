// Whose device lists are followed: those of everybody who can read along in an encrypted room, as its live state tells. At every start the SDK
// tells the state it has stored, or that of a sync from the beginning, so nobody is missed; nor is a room that is encrypted, which is remembered.

import { EventType, KnownMembership, RoomStateEvent, type MatrixClient, type MatrixEvent, type RoomState } from "matrix-js-sdk";
import type { OlmMachine } from "../../machine.js";
import { inBackground } from "./background.js";
import type { RoomEncryption } from "./encryption.js";

/** Begins to follow. Returns what ends it. */
export function followMembers(client: MatrixClient, machine: OlmMachine, encryption: RoomEncryption): () => void {
  const waiting = new Set<string>();
  const flush = async (): Promise<void> => {
    await Promise.resolve(); // events of one turn share a call
    const users = [...waiting];
    waiting.clear();
    if (users.length > 0) await machine.updateTrackedUsers(users);
  };
  const onState = (event: MatrixEvent, state: RoomState): void => {
    const live = client.getRoom(state.roomId)?.currentState ?? state; // a room that is joined now is not among the client's yet
    if (live !== state) return;
    if (event.getType() === EventType.RoomEncryption) inBackground(encryption.settings(state.roomId, state));
    for (const user of readers(event, state)) waiting.add(user);
    inBackground(flush());
  };
  client.on(RoomStateEvent.Events, onState);
  return () => void client.off(RoomStateEvent.Events, onState);
}

/** Those of whom an event of a room's state says that they can read along from now on. */
function readers(event: MatrixEvent, state: RoomState): string[] {
  if (state.getStateEvents(EventType.RoomEncryption, "") === null) return [];
  const invitedToo = state.getStateEvents(EventType.RoomHistoryVisibility, "")?.getContent()["history_visibility"] !== "joined";
  const reads = (membership: unknown): boolean => membership === KnownMembership.Join || (membership === KnownMembership.Invite && invitedToo);
  switch (event.getType()) {
    case EventType.RoomMember:
      return reads(event.getContent()["membership"]) ? [event.getStateKey() ?? ""] : [];
    case EventType.RoomEncryption:
    case EventType.RoomHistoryVisibility:
      return state.getMembers().filter(({ membership }) => reads(membership)).map(({ userId }) => userId);
    default:
      return [];
  }
}
