// The machine's stable words, as sentences. What has no sentence here is shown as it is.

import type { ExplanationStep, SenderDataType, TrustRequirement } from "../dist/index.js";

/** The states, best first. */
export const states: readonly { readonly type: SenderDataType; readonly row: string; readonly says: string }[] = [
  { type: "SenderVerified", row: "sender_verified", says: "a cross-signed device of somebody we verified" },
  { type: "SenderUnverified", row: "sender_unverified", says: "a cross-signed device of somebody we have not verified" },
  { type: "VerificationViolation", row: "verification_violation", says: "somebody we verified has another identity now" },
  { type: "DeviceInfo", row: "device_info", says: "a known device that no known identity vouches for" },
  { type: "UnknownDevice", row: "unknown_device", says: "only the sending device's key is known" },
];

export const policies: { readonly [requirement in TrustRequirement]: string } = {
  Untrusted: "everything, with shields",
  CrossSignedOrLegacy: "cross-signed, or from before",
  CrossSigned: "cross-signed devices",
  Verified: "verified people",
};

/** What each step of the finder asks. */
export const questions: readonly { readonly step: ExplanationStep["step"]; readonly asks: string }[] = [
  { step: "A", asks: "Is the message what it says it is?" },
  { step: "B", asks: "Which device sent it?" },
  { step: "C", asks: "No device is known" },
  { step: "D", asks: "Does the device own the session?" },
  { step: "E", asks: "Is its owner's identity known?" },
  { step: "F", asks: "No identity is known" },
  { step: "G", asks: "Whose signature is on the device?" },
  { step: "H", asks: "Does that signature hold?" },
  { step: "J", asks: "What is the owner to us?" },
];

const evidence: Readonly<Record<string, string>> = {
  gate_passed: "Yes: it is for this device, from whom it says, with the keys of its channel.",
  stored_copy: "Yes, when it arrived: it was for this device, from whom it says, with the keys of its channel.",
  claimed: "It came by hearsay, which proves nothing about its sender.",
  embedded: "The one whose description came with the key.",
  stored: "One that /keys/query lists.",
  embedded_and_stored: "One that came with the key and that /keys/query lists.",
  no_device: "None that is known has the key of the channel.",
  already_known: "Settled: the steps below were taken when the sender became known, and a known sender stays known.",
  waits_for_device: "Waits for the device to be listed.",
  owner: "Yes, by both of its keys.",
  mismatched_identity_keys: "No: one key fits, the other does not.",
  dehydrated_device: "It is a dehydrated device, which sends no keys.",
  identity_known: "Yes.",
  identity_unknown: "No.",
  waits_for_identity: "Waits for the owner's identity.",
  not_cross_signed: "Nobody's but the device's own.",
  signed_by_other_key: "Another key's than the owner's current one.",
  signed_by_current_key: "The owner's current self-signing key.",
  signature_holds: "Yes.",
  embedded_cross_signature_wrong: "No, and it is the sender's own message: the key is discarded.",
  published_cross_signature_wrong: "No, says the server: shown to nobody until a good one comes.",
  suspension_remains: "No good signature has come since.",
  verified: "Verified.",
  unverified: "Not verified by us.",
  verification_violation: "Not the identity that we verified.",
  identity_changed: "Has another identity by now; the key keeps the one it came under.",
};

/** What a step found. */
export function found(word: string): string {
  return evidence[word] ?? word;
}

const reasons: Readonly<Record<string, string>> = {
  unverified_identity: "The sender is not verified.",
  verification_violation: "The sender's identity is not the one that was verified.",
  unsigned_device: "The sending device is not cross-signed by its owner, as far as is known.",
  unknown_device: "The sending device is not known.",
  authenticity_not_guaranteed: "The key came by hearsay.",
  mismatched_sender: "The key belongs to somebody else than the sender of the message.",
  tampered: "The key came with a forged signature.",
  replayed: "Another message had this place in the session.",
  wrong_room: "The message was meant for another room.",
  bad_sender: "The sender is not a Matrix user.",
  withheld: "The sender keeps the key back.",
  unknown_index: "The key begins later in the session.",
  no_key: "The key is not here.",
};

/** Why a message is withheld, or what it suffers from. */
export function reason(code: string): string {
  return reasons[code] ?? code;
}
