package crosssigning

import "knownsender/core/trust"

// Codes of Error.
const (
	CodeBadSeed      = "bad_cross_signing_seed"      // not 32 bytes in base64
	CodeNoKeys       = "no_cross_signing_keys"       // a set of keys without any key
	CodeMissingKey   = "missing_signing_key"         // the private key that is to sign is not here
	CodeNotSignable  = "object_not_signable"         // the object has no canonical form, or says more than was to be signed
	CodeStateDamaged = "cross_signing_state_damaged" // the stored form is not one
)

// Error says what is wrong with private cross-signing keys, or with what they are to sign. It repeats nothing of either.
type Error struct {
	Code  string
	Role  trust.Role // of which key, where that is known
	cause error
}

// Error is a sentence.
func (e *Error) Error() string {
	text := "the stored cross-signing keys are damaged"
	switch e.Code {
	case CodeBadSeed:
		text = "the seed of the cross-signing key is not 32 bytes in base64"
	case CodeNoKeys:
		text = "there is no cross-signing key"
	case CodeMissingKey:
		text = "the private cross-signing key is not here"
	case CodeNotSignable:
		text = "the object cannot be signed"
	}
	if e.Role != 0 {
		text += ", " + e.Role.String()
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *Error) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *Error) Unwrap() error { return e.cause }
