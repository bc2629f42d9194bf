// Package keys holds public keys and signatures as Matrix writes them, and the one strict check of an Ed25519 signature.
//
// A key or a signature is parsed from canonical base64 once, at the edge; values of these types are public material and may be printed.
// What is refused is refused by its bytes alone, before any arithmetic: keys of low order, second spellings of a key, signatures whose R or
// S is not the one canonical encoding. What remains means the same to every Ed25519 engine, ours or the browser's.
package keys

// Curve25519 is an X25519 public key: the little-endian u coordinate.
type Curve25519 [32]byte

// Ed25519 is an Ed25519 public key: the point A as RFC 8032 encodes it.
type Ed25519 [32]byte

// Signature is an Ed25519 signature: the point R, then the little-endian scalar S.
type Signature [64]byte

// ParseCurve25519 takes the base64 of an identity or one-time key. Keys of low order are refused (T30): whatever our secret is, what they
// agree on is known to everybody. So are u coordinates of 2^255-19 and above, which X25519 would reduce: two spellings would be one key
// (T32). The error is an *Error: bad_base64, bad_key_length, low_order_key or non_canonical_key.
func ParseCurve25519(text string) (Curve25519, error) {
	var key Curve25519
	if err := decodeExactly(key[:], text, CodeBadKeyLength); err != nil {
		return Curve25519{}, err
	}
	return NewCurve25519(key)
}

// NewCurve25519 is ParseCurve25519 for bytes that came out of something else, an Olm message for instance. The error is an *Error:
// low_order_key or non_canonical_key.
func NewCurve25519(key [32]byte) (Curve25519, error) {
	if lowOrderCurve25519(&key) {
		return Curve25519{}, &Error{Code: CodeLowOrderKey}
	}
	if !belowP(&key) {
		return Curve25519{}, &Error{Code: CodeNonCanonicalKey}
	}
	return key, nil
}

// ParseEd25519 takes the base64 of a signing key. Keys of low order are refused, for they "verify" signatures nobody made, and so are y
// coordinates of 2^255-19 and above (T29). Whether the bytes are a point of the curve at all is found out when a signature is checked: no
// signature verifies when they are not. The error is an *Error: bad_base64, bad_key_length, low_order_key or non_canonical_key.
func ParseEd25519(text string) (Ed25519, error) {
	var key Ed25519
	if err := decodeExactly(key[:], text, CodeBadKeyLength); err != nil {
		return Ed25519{}, err
	}
	return NewEd25519(key)
}

// NewEd25519 is ParseEd25519 for bytes that came out of something else, a session key for instance. The error is an *Error: low_order_key or
// non_canonical_key.
func NewEd25519(key [32]byte) (Ed25519, error) {
	if lowOrderEd25519(&key) {
		return Ed25519{}, &Error{Code: CodeLowOrderKey}
	}
	if !canonicalY(&key) {
		return Ed25519{}, &Error{Code: CodeNonCanonicalKey}
	}
	return key, nil
}

// ParseSignature takes the base64 of a signature. Its content is judged by Check.Strict, which answers false rather than with an error: a
// signature that no signer makes is a wrong signature. The error is an *Error: bad_base64 or bad_signature_length.
func ParseSignature(text string) (Signature, error) {
	var signature Signature
	if err := decodeExactly(signature[:], text, CodeBadSignatureLength); err != nil {
		return Signature{}, err
	}
	return signature, nil
}

// String is the key as Matrix writes it, 43 symbols of base64.
func (k Curve25519) String() string { return encode(k[:]) }

// String is the key as Matrix writes it, 43 symbols of base64.
func (k Ed25519) String() string { return encode(k[:]) }

// String is the signature as Matrix writes it, 86 symbols of base64.
func (s Signature) String() string { return encode(s[:]) }

func encode(src []byte) string {
	var buffer [86]byte
	return string(EncodeBase64(buffer[:0], src))
}

// decodeExactly fills dst from text, or says with lengthCode that text holds more or fewer bytes.
func decodeExactly(dst []byte, text string, lengthCode string) error {
	// The length is compared before decoding so that a megabyte of text costs nothing; it is bad base64 or a bad length, either way.
	if len(text) != (len(dst)*8+5)/6 {
		if len(text)%4 == 1 {
			return &Error{Code: CodeBadBase64}
		}
		return &Error{Code: lengthCode, Expected: len(dst), Got: len(text) * 3 / 4}
	}
	if _, err := AppendDecode(dst[:0], text); err != nil {
		return err
	}
	return nil
}
