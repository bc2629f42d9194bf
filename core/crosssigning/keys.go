// Package crosssigning holds our own private cross-signing keys, and signs with them (specification, "Cross-signing").
//
// The rule: a set of keys never changes, any of the three may be missing from it, and nothing of it is ever printed. What is signed is an object as
// it was received, in canonical JSON. Whose keys these are, and what they ought to sign, is for core to say.
package crosssigning

import (
	"crypto/ed25519"

	"knownsender/core/keys"
	"knownsender/core/redact"
	"knownsender/core/trust"
)

// roles are the roles in the order of the stored form.
var roles = [...]trust.Role{trust.RoleMaster, trust.RoleSelfSigning, trust.RoleUserSigning}

// Keys is a set of private cross-signing keys, of each role one or none. The zero value is the empty set. It is secret.
type Keys struct {
	redact.Secret
	_       [0]func() // not comparable with ==, which is not constant-time
	private [len(roles)]ed25519.PrivateKey
}

// New draws the three keys of a new identity.
func New() *Keys {
	k := &Keys{}
	for i := range k.private {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			panic("internal error: no cross-signing key: " + err.Error()) // the system's randomness does not fail
		}
		k.private[i] = private
	}
	return k
}

// of is the private key of a role, nil when it is not here.
func (k *Keys) of(role trust.Role) ed25519.PrivateKey {
	for i := range roles {
		if roles[i] == role {
			return k.private[i]
		}
	}
	return nil
}

// Public is the public half of the key of that role, if the key is here.
func (k *Keys) Public(role trust.Role) (public keys.Ed25519, held bool) {
	private := k.of(role)
	if private == nil {
		return keys.Ed25519{}, false
	}
	return keys.Ed25519(private.Public().(ed25519.PublicKey)), true
}

// Only is the set of those keys that keep wants, asked by role and public half.
func (k *Keys) Only(keep func(role trust.Role, public keys.Ed25519) bool) *Keys {
	kept := &Keys{}
	for i, role := range roles {
		if public, held := k.Public(role); held && keep(role, public) {
			kept.private[i] = k.private[i]
		}
	}
	return kept
}

// With is both sets together; where both have a key of one role it is the other's.
func (k *Keys) With(other *Keys) *Keys {
	both := &Keys{private: k.private}
	for i, private := range other.private {
		if private != nil {
			both.private[i] = private
		}
	}
	return both
}

// Count is how many of the three keys are here.
func (k *Keys) Count() (count int) {
	for _, private := range k.private {
		if private != nil {
			count++
		}
	}
	return count
}

// Export is a set of keys as secret storage and matrix-sdk-crypto's CrossSigningKeyExport have it: for each role the seed of RFC 8032 in unpadded
// base64, empty when the key is not there. It is secret.
type Export struct {
	redact.Secret
	Master, SelfSigning, UserSigning string
}

// Export is the keys' seeds.
func (k *Keys) Export() Export {
	var seeds [len(roles)]string
	for i, private := range k.private {
		if private != nil {
			seeds[i] = string(keys.EncodeBase64(nil, private.Seed()))
		}
	}
	return Export{Master: seeds[0], SelfSigning: seeds[1], UserSigning: seeds[2]}
}

// Parse takes seeds, of which some may be missing but not all. Padding is accepted, for older clients have stored it. The error is an *Error:
// bad_cross_signing_seed or no_cross_signing_keys.
func Parse(from Export) (*Keys, error) {
	k := &Keys{}
	for i, text := range [...]string{from.Master, from.SelfSigning, from.UserSigning} {
		if text == "" {
			continue
		}
		var seed [ed25519.SeedSize]byte
		defer clear(seed[:])
		if len(text) == 44 && text[43] == '=' {
			text = text[:43]
		}
		if len(text) != 43 {
			return nil, &Error{Code: CodeBadSeed, Role: roles[i]}
		}
		if _, err := keys.AppendDecode(seed[:0], text); err != nil {
			return nil, &Error{Code: CodeBadSeed, Role: roles[i], cause: err}
		}
		k.private[i] = ed25519.NewKeyFromSeed(seed[:])
	}
	if k.Count() == 0 {
		return nil, &Error{Code: CodeNoKeys}
	}
	return k, nil
}
