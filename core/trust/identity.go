package trust

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
)

// Role is which of the three keys of an identity a cross-signing key is. A key counts in one role only.
type Role uint8

// The roles. The zero value is none of them.
const (
	RoleMaster Role = iota + 1
	RoleSelfSigning
	RoleUserSigning
)

// String is the role as `usage` spells it: master, self_signing, user_signing.
func (r Role) String() string {
	switch r {
	case RoleMaster:
		return "master"
	case RoleSelfSigning:
		return "self_signing"
	case RoleUserSigning:
		return "user_signing"
	}
	return ""
}

// Identity is a user's cross-signing identity as the Index knows it: the self-signing key was signed by the master key when it came in, and
// so was our own user-signing key.
type Identity struct {
	Master      keys.Ed25519
	SelfSigning keys.Ed25519
	UserSigning keys.Ed25519 // our own identity only; zero for others

	// Pinned is the master key we met first, or accepted since. Zero for our own user, whose key is trusted, not pinned.
	Pinned keys.Ed25519
	// PreviouslyVerified is the latch: we had verified this user once. No answer clears it. For our own user: we had trusted our identity.
	PreviouslyVerified bool
	// SignedByUs says that our current user-signing key signed Master. That alone is not verification; see Index.Verification.
	SignedByUs bool
}

// PinViolation says that the master key is no longer the pinned one.
func (i Identity) PinViolation() bool { return i.Pinned != (keys.Ed25519{}) && i.Pinned != i.Master }

// Verification is how we stand to a user.
type Verification uint8

const (
	// Unverified: not verified, and never was. Also of users without identity.
	Unverified Verification = iota
	// Violation: verified once, and not now.
	Violation
	// Verified: verified at this moment (decision 9).
	Verified
)

// String is the standing as one word: unverified, violation, verified.
func (v Verification) String() string {
	switch v {
	case Verified:
		return "verified"
	case Violation:
		return "violation"
	}
	return "unverified"
}

// CrossSigningKey is a parsed cross-signing key object (specification, "Cross-signing"): one of the three keys of an identity. Its form is
// right; its signatures are not checked yet.
type CrossSigningKey struct {
	UserID ids.UserID
	Role   Role
	Key    keys.Ed25519

	object *signedjson.Object
}

// ParseCrossSigningKey reads a cross-signing key object for the role it is published in: `usage` exactly that one value, `keys` exactly one
// ed25519 key whose label spells the key itself (T11), no case variant of a member we read. The error is a *CrossSigningKeyError.
func ParseCrossSigningKey(object *signedjson.Object, role Role) (*CrossSigningKey, error) {
	fail := func(member string, err error) (*CrossSigningKey, error) {
		return nil, &CrossSigningKeyError{Code: codeOf(err, CodeBadCrossSigningKey), Member: member, cause: err}
	}
	if err := object.RefuseVariants("user_id", "usage", "keys", "signatures", "unsigned"); err != nil {
		return fail("", err)
	}
	key := &CrossSigningKey{Role: role, object: object}
	text, err := object.String("user_id")
	if err == nil {
		key.UserID, err = ids.ParseUserID(text)
	}
	if err != nil {
		return fail("user_id", err)
	}
	usage, err := object.Strings("usage")
	if err != nil {
		return fail("usage", err)
	}
	if len(usage) != 1 || usage[0] != role.String() {
		return nil, &CrossSigningKeyError{Code: CodeBadUsage, Member: "usage"}
	}
	published, err := object.Object("keys")
	if err != nil {
		return fail("keys", err)
	}
	var label string
	published.Range(func(name string, _ jsontext.Value) bool { label = name; return false })
	name, isEd25519 := strings.CutPrefix(label, algorithmEd25519)
	if published.Len() != 1 || !isEd25519 {
		return nil, &CrossSigningKeyError{Code: CodeBadCrossSigningKey, Member: "keys"}
	}
	text, err = published.String(label)
	if err == nil {
		key.Key, err = keys.ParseEd25519(text)
	}
	if err != nil {
		return fail("keys.ed25519", err)
	}
	if text != name {
		return nil, &CrossSigningKeyError{Code: CodeBadCrossSigningKey, Member: "keys"}
	}
	return key, nil
}

// Object is the cross-signing key object as received.
func (k *CrossSigningKey) Object() *signedjson.Object { return k.object }

// SignatureBy asks whether signer, a cross-signing key of user, signed this one. present is false when nothing stands under its label; the
// error is a *CrossSigningKeyError, for a signature or object out of form.
func (k *CrossSigningKey) SignatureBy(user ids.UserID, signer keys.Ed25519) (check keys.Check, present bool, err error) {
	signature, presence, err := k.object.Signature(user, algorithmEd25519+signer.String())
	if err != nil {
		return keys.Check{}, true, &CrossSigningKeyError{Code: codeOf(err, CodeBadCrossSigningKey), Member: "signatures", cause: err}
	}
	if presence != signedjson.Present {
		return keys.Check{}, false, nil
	}
	message, err := k.object.SignedBytes()
	if err != nil {
		return keys.Check{}, true, &CrossSigningKeyError{Code: codeOf(err, CodeBadCrossSigningKey), cause: err}
	}
	return keys.Check{Key: signer, Signature: signature, Message: message}, true, nil
}
