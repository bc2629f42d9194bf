// Other people's devices whose Olm is libolm, and our own device as they know it. `Olm.init()` comes first.

import Olm from "@matrix-org/olm";
import { Person, type Json } from "./people.js";

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
  /** By the other device's Curve25519 key; the one that last received a message, or was begun, first. */
  readonly #sessions = new Map<string, Olm.Session[]>();
  readonly person: Person;

  constructor(userId: string, deviceId: string) {
    this.#account.create();
    const { curve25519 } = JSON.parse(this.#account.identity_keys()) as { curve25519: string };
    this.person = new Person(userId, deviceId, "yes", curve25519);
  }

  /** Makes a one-time key, or a fallback key, as the server hands it out. */
  signedKey(fallback: boolean): { [name: string]: Json } {
    if (fallback) this.#account.generate_fallback_key();
    else this.#account.generate_one_time_keys(1);
    const made = JSON.parse(fallback ? this.#account.unpublished_fallback_key() : this.#account.one_time_keys()) as { curve25519: Record<string, string> };
    this.#account.mark_keys_as_published();
    const [id = "", key = ""] = Object.entries(made.curve25519)[0] ?? [];
    const object = { key, ...(fallback ? { fallback } : {}) };
    const signature = this.person.ed25519.signJson(object);
    return { [`signed_curve25519:${id}`]: { ...object, signatures: { [this.person.userId]: { [`ed25519:${this.person.deviceId}`]: signature } } } };
  }

  /** Begins a channel, as with a key that the server handed out. */
  begin(theirs: string, oneTimeKey: string): void {
    const session = new Olm.Session();
    session.create_outbound(this.#account, theirs, oneTimeKey);
    this.#use(theirs, session);
  }

  /** A payload for the device with that Curve25519 key. */
  encrypt(theirs: string, payload: object): OlmMessage {
    const session = this.#sessions.get(theirs)?.[0];
    if (session === undefined) throw new Error("There is no Olm session.");
    return session.encrypt(JSON.stringify(payload)) as OlmMessage;
  }

  /** The to-device event in which a payload reaches the device with that Curve25519 key. */
  event(theirs: string, payload: object): string {
    return toDevice(this.person, { [theirs]: this.encrypt(theirs, payload) });
  }

  /** Opens a message of the device with that Curve25519 key. */
  decrypt(theirs: string, { type, body }: OlmMessage): string {
    const sessions = this.#sessions.get(theirs) ?? [];
    const begun = type === 0 ? sessions.filter((session) => session.matches_inbound(body)) : sessions;
    let refusal: unknown;
    for (const session of begun) {
      try {
        const plaintext = session.decrypt(type, body);
        this.#use(theirs, session);
        return plaintext;
      } catch (thrown) {
        refusal = thrown;
      }
    }
    if (type !== 0 || begun.length > 0) throw refusal ?? new Error("There is no Olm session.");
    const session = new Olm.Session();
    session.create_inbound_from(this.#account, theirs, body);
    const plaintext = session.decrypt(type, body);
    this.#account.remove_one_time_keys(session);
    this.#use(theirs, session);
    return plaintext;
  }

  #use(theirs: string, session: Olm.Session): void {
    this.#sessions.set(theirs, [session, ...(this.#sessions.get(theirs) ?? []).filter((other) => other !== session)]);
  }

  free(): void {
    for (const session of [...this.#sessions.values()].flat()) session.free();
    this.#account.free();
  }
}

/** A device as its senders know it, of which they have the public keys. */
export function knownAs(userId: string, deviceId: string, { ed25519, curve25519 }: { readonly ed25519: string; readonly curve25519: string }): Person {
  const person = new Person(userId, deviceId, "no", curve25519);
  Object.defineProperty(person.ed25519, "public", { value: ed25519 });
  return person;
}
