package sender

// Words of the trace: what was seen at a step. They are stable, short and for machines; explain turns them into sentences.
const (
	// A
	WordGatePassed = "gate_passed"
	WordStoredCopy = "stored_copy" // judged again: the gate was passed when the key arrived
	WordClaimed    = "claimed"     // not through the gate: nothing about the sender is proved, or can be

	// B
	WordEmbedded          = "embedded"
	WordStored            = "stored"
	WordEmbeddedAndStored = "embedded_and_stored"
	WordNoDevice          = "no_device"
	WordAlreadyKnown      = "already_known" // the sender is known; only our verification of the user can still change

	// C
	WordWaitsForDevice = "waits_for_device"

	// D
	WordOwner                  = "owner"
	WordMismatchedIdentityKeys = "mismatched_identity_keys"
	WordDehydratedDevice       = "dehydrated_device"

	// E
	WordIdentityKnown   = "identity_known"
	WordIdentityUnknown = "identity_unknown"

	// F
	WordWaitsForIdentity = "waits_for_identity"

	// G
	WordNotCrossSigned   = "not_cross_signed"
	WordSignedByOtherKey = "signed_by_other_key"
	WordSignedByCurrent  = "signed_by_current_key"

	// H
	WordSignatureHolds    = "signature_holds"
	WordEmbeddedForgery   = "embedded_cross_signature_wrong"
	WordPublishedForgery  = "published_cross_signature_wrong"
	WordSuspensionRemains = "suspension_remains" // no good signature has turned up since

	// J
	WordVerified        = "verified"
	WordUnverified      = "unverified"
	WordViolation       = "verification_violation"
	WordIdentityChanged = "identity_changed" // the user has another master key by now; the copy keeps the one it came under
)
