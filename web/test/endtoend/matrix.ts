// What both clients of matrix-js-sdk do in the same way.

import { EventType, KnownMembership, Preset, type MatrixClient, type MatrixEvent, type SecretStorage, type UIAuthCallback } from "matrix-js-sdk";
import { until } from "./client.js";

export async function encryptedRoom(client: MatrixClient, invited: readonly string[]): Promise<string> {
  const { room_id: roomId } = await client.createRoom({
    preset: Preset.PrivateChat, invite: [...invited],
    initial_state: [{ type: EventType.RoomEncryption, state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } }],
  });
  await until("the room is encrypted", () => client.getRoom(roomId)?.hasEncryptionStateEvent() || undefined);
  return roomId;
}

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

/** Authenticates the user where the server wants it. */
export function withPassword(client: MatrixClient, password: string): UIAuthCallback<void> {
  return async (send) => {
    try {
      await send(null);
    } catch (thrown) {
      const { httpStatus, data } = thrown as { httpStatus?: number; data?: { session?: string } };
      if (httpStatus !== 401) throw thrown;
      await send({ type: "m.login.password", identifier: { type: "m.id.user", user: client.getSafeUserId() }, password, ...(data?.session === undefined ? {} : { session: data.session }) });
    }
  };
}

/** The key of secret storage, as the SDK asks for it. */
export class StorageKey {
  #key: Uint8Array<ArrayBuffer> | undefined;

  readonly callbacks = {
    getSecretStorageKey: ({ keys }: { keys: Record<string, SecretStorage.SecretStorageKeyDescription> }): Promise<[string, Uint8Array<ArrayBuffer>] | null> => Promise.resolve(this.#key === undefined ? null : [Object.keys(keys)[0] ?? "", this.#key]),
    cacheSecretStorageKey: (_id: string, _info: object, key: Uint8Array<ArrayBuffer>): void => this.set(key),
  };

  set(key: Uint8Array<ArrayBuffer>): void {
    this.#key = key;
  }
}

export const toBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));
export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
