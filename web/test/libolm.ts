// Other people's devices whose Olm is libolm, and our own device as they know it. `Olm.init()` comes first.

import Olm from "@matrix-org/olm";
import { Person } from "./people.js";

/** A message as libolm makes and takes it: `type` and `body` of an Olm m.room.encrypted. */
export interface OlmMessage {
  readonly type: number;
  readonly body: string;
}

/** The to-device event in which Olm messages of a device reach those whose Curve25519 keys are named. */
export function toDevice(from: Person, ciphertext: Record<string, OlmMessage>): string {
  return JSON.stringify({
    type: "m.room.encrypted",
    sender: from.userId,
    content: { algorithm: "m.olm.v1.curve25519-aes-sha2", sender_key: from.curve25519, ciphertext },
  });
}

/** Somebody's device whose Olm is libolm. */
export class LibolmDevice {
  readonly #account = new Olm.Account();
  readonly #sessions = new Map<string, Olm.Session>();
  readonly person: Person;

  constructor(userId: string, deviceId: string) {
    this.#account.create();
    const { curve25519 } = JSON.parse(this.#account.identity_keys()) as { curve25519: string };
    this.person = new Person(userId, deviceId, "yes", curve25519);
  }

  /** Begins a channel, as with a key that the server handed out. */
  begin(theirs: string, oneTimeKey: string): void {
    const session = new Olm.Session();
    session.create_outbound(this.#account, theirs, oneTimeKey);
    this.#keep(theirs, session);
  }

  /** The to-device event in which a payload reaches the device with that Curve25519 key. */
  event(theirs: string, payload: object): string {
    return toDevice(this.person, { [theirs]: this.#sessions.get(theirs)?.encrypt(JSON.stringify(payload)) as OlmMessage });
  }

  #keep(theirs: string, session: Olm.Session): void {
    this.#sessions.get(theirs)?.free();
    this.#sessions.set(theirs, session);
  }

  free(): void {
    for (const session of this.#sessions.values()) session.free();
    this.#account.free();
  }
}

/** A device as its senders know it, of which they have the public keys. */
export function knownAs(userId: string, deviceId: string, { ed25519, curve25519 }: { readonly ed25519: string; readonly curve25519: string }): Person {
  const person = new Person(userId, deviceId, "no", curve25519);
  Object.defineProperty(person.ed25519, "public", { value: ed25519 });
  return person;
}
