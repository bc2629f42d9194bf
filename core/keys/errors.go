package keys

import "strconv"

// The codes an *Error can carry.
const (
	CodeBadBase64          = "bad_base64"           // the text is not canonical unpadded base64
	CodeBadKeyLength       = "bad_key_length"       // a public key that is not 32 bytes
	CodeLowOrderKey        = "low_order_key"        // a public key with which every secret or signature is the same
	CodeNonCanonicalKey    = "non_canonical_key"    // a second spelling of a public key
	CodeBadSignatureLength = "bad_signature_length" // a signature that is not 64 bytes
)

// Error says why a text is not the key or signature it was taken for. It never repeats any of the text.
type Error struct {
	Code     string // one of the codes above
	Expected int    // bytes, for the length codes
	Got      int    // bytes, for the length codes
}

func (e *Error) Error() string {
	switch e.Code {
	case CodeBadBase64:
		return "not canonical unpadded base64"
	case CodeBadKeyLength:
		return "a public key has " + strconv.Itoa(e.Expected) + " bytes, got " + strconv.Itoa(e.Got)
	case CodeLowOrderKey:
		return "the public key is of low order"
	case CodeNonCanonicalKey:
		return "the public key is not in its canonical form"
	case CodeBadSignatureLength:
		return "a signature has " + strconv.Itoa(e.Expected) + " bytes, got " + strconv.Itoa(e.Got)
	}
	return e.Code
}

// ErrorCode is the stable name of what went wrong.
func (e *Error) ErrorCode() string { return e.Code }
