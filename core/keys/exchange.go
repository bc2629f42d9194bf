package keys

import (
	"crypto/ecdh"

	"knownsender/core/redact"
)

// Exchange is the question of what a private X25519 key, of ours, and a public one share (RFC 7748).
type Exchange struct {
	redact.Secret
	_       [0]func() // not comparable with ==, which is not constant-time
	Private [32]byte
	Public  Curve25519
}

// BasePoint is the public key that makes the public half of a private key out of it.
var BasePoint = Curve25519{9}

// Agree is the shared secret by the Go library, 32 bytes; nil when it is all zero, which is the secret of whoever wants one. Some 340 microseconds in WebAssembly.
func (e *Exchange) Agree() []byte {
	own, err := ecdh.X25519().NewPrivateKey(e.Private[:])
	if err != nil {
		panic("internal error: X25519 refuses 32 bytes")
	}
	public, err := ecdh.X25519().NewPublicKey(e.Public[:])
	if err != nil {
		panic("internal error: X25519 refuses 32 bytes")
	}
	secret, err := own.ECDH(public)
	if err != nil {
		return nil
	}
	return secret
}
