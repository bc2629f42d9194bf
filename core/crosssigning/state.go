package crosssigning

import (
	"crypto/ed25519"
	"slices"
)

// The stored form, which is secret, and sealed by whoever stores it:
//
//	0       1
//	| which | seed of each key that is here, 32 |
//
// which has a bit for each role: 1 master, 2 self-signing, 4 user-signing.

// AppendState appends the stored form to dst.
func (k *Keys) AppendState(dst []byte) []byte {
	which := len(dst)
	dst = append(slices.Grow(dst, 1+len(roles)*ed25519.SeedSize), 0) // at once, so that growing leaves no part of a secret behind
	for i, private := range k.private {
		if private != nil {
			dst[which] |= 1 << i
			dst = append(dst, private.Seed()...)
		}
	}
	return dst
}

// ParseState reads what AppendState wrote and nothing else. b may be overwritten afterwards. The error is an *Error, cross_signing_state_damaged.
func ParseState(b []byte) (*Keys, error) {
	damaged := &Error{Code: CodeStateDamaged}
	if len(b) == 0 || b[0] >= 1<<len(roles) {
		return nil, damaged
	}
	k, rest := &Keys{}, b[1:]
	for i := range roles {
		if b[0]&(1<<i) == 0 {
			continue
		}
		if len(rest) < ed25519.SeedSize {
			return nil, damaged
		}
		k.private[i], rest = ed25519.NewKeyFromSeed(rest[:ed25519.SeedSize]), rest[ed25519.SeedSize:]
	}
	if len(rest) > 0 {
		return nil, damaged
	}
	return k, nil
}
