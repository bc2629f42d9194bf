package trust

// CrossSignature is what the owner's self-signing key says of a device. Missing, foreign and wrong are three things (decision 8): the first
// two only mean that we know too little and ask again; the last is evidence of tampering.
type CrossSignature uint8

const (
	// CrossSignatureAbsent: no signature of the owner that could be one of a self-signing key.
	CrossSignatureAbsent CrossSignature = iota
	// CrossSignatureOtherKey: signed under the label of a key that is not the owner's current self-signing key: an earlier one, or one we
	// have not heard of. It was not checked; there is nothing to check it with.
	CrossSignatureOtherKey
	// CrossSignatureWrong: a signature under the label of the current self-signing key that does not verify with that key.
	CrossSignatureWrong
	// CrossSignatureValid: signed by the current self-signing key.
	CrossSignatureValid
	// CrossSignatureUnchecked: a signature under the label of the current self-signing key; the check decides between Wrong and Valid.
	// Never stored, never in an Index.
	CrossSignatureUnchecked
)

// String is the outcome as one word: absent, other_key, wrong, valid, unchecked.
func (c CrossSignature) String() string {
	switch c {
	case CrossSignatureAbsent:
		return "absent"
	case CrossSignatureOtherKey:
		return "other_key"
	case CrossSignatureWrong:
		return "wrong"
	case CrossSignatureValid:
		return "valid"
	}
	return "unchecked"
}

// Resolve is the outcome once the check, if there was one to make, has been answered.
func (c CrossSignature) Resolve(held bool) CrossSignature {
	switch {
	case c != CrossSignatureUnchecked:
		return c
	case held:
		return CrossSignatureValid
	}
	return CrossSignatureWrong
}
