package policy

// TrustRequirement is the policy: what the client wants to see. Each one shows no more than the one before.
type TrustRequirement uint8

const (
	// Untrusted: show everything that has not been tampered with.
	Untrusted TrustRequirement = iota
	// CrossSignedOrLegacy: show what comes from cross-signed devices, and keys from before senders were recorded.
	CrossSignedOrLegacy
	// CrossSigned: show what comes from cross-signed devices.
	CrossSigned
	// Verified: show what comes from users we have verified. matrix-sdk-crypto has no such requirement.
	Verified
)

// Requirements is how many there are.
const Requirements = 4

var requirementNames = [Requirements]string{"Untrusted", "CrossSignedOrLegacy", "CrossSigned", "Verified"}

// String is the name of the requirement in matrix-sdk-crypto.
func (r TrustRequirement) String() string {
	if r < Requirements {
		return requirementNames[r]
	}
	return "TrustRequirement(invalid)"
}

// ParseTrustRequirement reads a name as String writes it.
func ParseTrustRequirement(name string) (TrustRequirement, bool) {
	for i, known := range requirementNames {
		if name == known {
			return TrustRequirement(i), true
		}
	}
	return 0, false
}
