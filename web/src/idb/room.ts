/*
 * The room there is for this origin, which its other databases and caches share. It is looked at when the database is opened, now and then while there
 * are writes, and when a write finds none. Its owner hears once that it is low and once that it is full, and again only after there was room.
 */

import type { IdbEvent, Room } from "./events.js";

/** Less than this is low, in bytes: some ten thousand room keys, with what IndexedDB needs to move them about. */
const LOW = 32 << 20;
/** Milliseconds between two looks. */
const PAUSE = 300_000;

/** What the browser says; undefined where it does not. Never rejects. */
export async function roomLeft(storage: StorageManager | undefined): Promise<Room | undefined> {
  try {
    const { usage, quota } = (await storage?.estimate?.()) ?? {};
    return usage === undefined || quota === undefined ? undefined : { usage, quota };
  } catch {
    return undefined;
  }
}

/** Whether there is little room. */
export function isLow(room: Room | undefined): boolean {
  return room !== undefined && room.quota - room.usage < LOW;
}

/** Watches the room for one database. */
export class RoomWatch {
  #next = 0;
  #told: "" | "storage_low" | "storage_full" = "";

  constructor(
    private readonly storage: StorageManager | undefined,
    private readonly emit: (event: IdbEvent) => void,
  ) {}

  /** A transaction has written something: there is room, and it may be time to look how much. */
  async wrote(): Promise<void> {
    if (this.#told === "storage_full") this.#told = "";
    if (Date.now() < this.#next) return;
    this.#next = Date.now() + PAUSE;
    const room = await roomLeft(this.storage);
    if (!isLow(room)) this.#told = "";
    else if (this.#told === "") this.#tell("storage_low", room);
  }

  /** A transaction has found no room. */
  async full(): Promise<void> {
    if (this.#told !== "storage_full") this.#tell("storage_full", await roomLeft(this.storage));
  }

  #tell(kind: "storage_low" | "storage_full", room: Room | undefined): void {
    this.#told = kind;
    this.emit({ kind, room });
  }
}
