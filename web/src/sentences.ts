// One plain sentence for every code that an explanation or a verdict has. The codes are stable and for programs; the sentences are for people, and may
// become better ones.

const sentences: { readonly [code: string]: string } = {
  // What the finder saw at its steps: core/sender/trace.go.
  gate_passed: "The key came inside an Olm message, which proves the keys of the device that sent it.",
  stored_copy: "The key was stored; what proved its sending device was checked when it arrived.",
  claimed: "The key came from a file, a backup or somebody who handed it over: nothing about its sender is proved.",
  embedded: "The sender described its device in the message itself.",
  stored: "The server has described the sending device.",
  embedded_and_stored: "The sender described its device in the message itself, and the server has described it too.",
  no_device: "Nobody has described the sending device yet.",
  already_known: "The sender is known; only whether you have verified them can still change.",
  waits_for_device: "The server is to be asked which devices the sender has.",
  owner: "This device has the keys that the room key was sent with.",
  mismatched_identity_keys: "This device has other keys than those that the room key was sent with.",
  dehydrated_device: "This is a dehydrated device, which sends no room keys.",
  identity_known: "The owner's cross-signing identity is known.",
  identity_unknown: "The owner's cross-signing identity is not known.",
  waits_for_identity: "The server is to be asked for the owner's identity.",
  not_cross_signed: "The owner has not signed this device.",
  signed_by_other_key: "The device is signed by a key that is not its owner's present one.",
  signed_by_current_key: "The device carries a signature of its owner's present key.",
  signature_holds: "The owner's signature on the device is good.",
  embedded_cross_signature_wrong: "The sender's own message carries a forged signature: the key was thrown away.",
  published_cross_signature_wrong: "The server shows a forged signature for this device: the key is shown to nobody until a good one comes.",
  suspension_remains: "No good signature has come since.",
  verified: "You have verified the owner.",
  unverified: "You have not verified the owner.",
  verification_violation: "You verified the owner, who has another identity now.",
  identity_changed: "The owner has another identity than the one this key came under.",

  // Why a policy withholds a message, or what it warns of: core/policy/names.go.
  no_key: "The key of this message is not here.",
  unknown_index: "The key that is here begins after this message.",
  withheld: "The sender has said that this device is not to have the key.",
  replayed: "Another message was seen in this one's place: it is a repetition.",
  wrong_room: "The message was encrypted for another room.",
  bad_sender: "Whoever is named as the sender is no user.",
  tampered: "The key came with a forged signature.",
  mismatched_sender: "The key is somebody else's than whoever is named as the sender.",
  unknown_device: "The device that sent the key is not known.",
  unsigned_device: "The owner of the sending device has not signed it.",
  unverified_identity: "You have not verified the sender.",
  forwarder_violation: "Whoever handed the key over was verified by you, and has another identity now.",
  authenticity_not_guaranteed: "Who sent this cannot be guaranteed: the key came from a file, a backup or another's hands.",
};

/** The sentence for a code of {@link ExplanationStep}, {@link Tombstone} or {@link Verdict}; null for any other. */
export function sentenceOf(code: string): string | null {
  return Object.hasOwn(sentences, code) ? (sentences[code] ?? null) : null;
}
