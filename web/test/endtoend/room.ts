// What both clients of matrix-js-sdk do with rooms.

import { KnownMembership, type MatrixClient, type MatrixEvent } from "matrix-js-sdk";
import { until } from "./client.js";

export async function joined(client: MatrixClient, roomId: string): Promise<void> {
  await client.joinRoom(roomId);
  await until("the room is joined", () => client.getRoom(roomId)?.getMyMembership() === KnownMembership.Join || undefined);
}

/** Waits for an event, and looks for it further back when it does not come: a room's first sync may begin after it. */
export function eventOf(client: MatrixClient, roomId: string, eventId: string): Promise<MatrixEvent> {
  const begun = Date.now();
  return until(`${eventId} is here`, async () => {
    const room = client.getRoom(roomId);
    if (room !== null && Date.now() - begun > 2000) await client.scrollback(room);
    return room?.findEventById(eventId);
  });
}
