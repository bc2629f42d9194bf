package crosssigning

import (
	"bytes"
	"crypto/ed25519"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Signer is a key that signs, and the name that its signatures go by: "ed25519:" and its public half, or a device's id.
type Signer struct {
	KeyID string
	Sign  func(message []byte) keys.Signature
}

// Signer is the key of that role. The error is an *Error, missing_signing_key.
func (k *Keys) Signer(role trust.Role) (Signer, error) {
	private := k.of(role)
	if private == nil {
		return Signer{}, &Error{Code: CodeMissingKey, Role: role}
	}
	public, _ := k.Public(role)
	return Signer{KeyID: KeyID(public), Sign: func(message []byte) keys.Signature {
		return keys.Signature(ed25519.Sign(private, message))
	}}, nil
}

// KeyID is the name of a cross-signing key's signatures.
func KeyID(public keys.Ed25519) string { return "ed25519:" + public.String() }

// Sign is an object as it was received with one signature, by that key of the user's, in the place of those it had: as POST /keys/signatures/upload
// wants it. The error is an *Error, object_not_signable.
func Sign(object *signedjson.Object, user ids.UserID, by Signer) ([]byte, error) {
	message, err := object.SignedBytes()
	if err != nil {
		return nil, &Error{Code: CodeNotSignable, cause: err}
	}
	return Signed(message, user, by), nil
}

// Signed is an object that is canonical and has no signatures, with signatures by keys of the user's.
func Signed(message []byte, user ids.UserID, by ...Signer) []byte {
	dst := slices.Clone(message[:len(message)-1])
	dst = append(signedjson.AppendName(dst, "signatures"), '{')
	dst = append(signedjson.AppendName(dst, string(user)), '{')
	for i := range by {
		signature := by[i].Sign(message)
		dst = signedjson.AppendString(signedjson.AppendName(dst, by[i].KeyID), signature.String())
	}
	return append(dst, "}}}"...)
}

// Published are the public halves of an identity as objects to upload: the master key signed by a device, the others signed by the master key.
type Published struct {
	Master, SelfSigning, UserSigning []byte // JSON
}

// Publish makes the objects that tell others of the user's keys, all of which must be here. The error is an *Error, missing_signing_key.
func (k *Keys) Publish(user ids.UserID, device Signer) (*Published, error) {
	var objects [len(roles)][]byte
	by := device
	for i, role := range roles {
		public, held := k.Public(role)
		if !held {
			return nil, &Error{Code: CodeMissingKey, Role: role}
		}
		objects[i] = Signed(keyObject(user, role, public), user, by)
		if role == trust.RoleMaster {
			by, _ = k.Signer(role) // it is here
		}
	}
	return &Published{objects[0], objects[1], objects[2]}, nil
}

// Describes reports whether an object says what a cross-signing key object has to, and nothing else.
func Describes(object *signedjson.Object, user ids.UserID, role trust.Role, public keys.Ed25519) bool {
	message, err := object.SignedBytes()
	return err == nil && bytes.Equal(message, keyObject(user, role, public))
}

// keyObject is a cross-signing key object without its signatures, canonical.
func keyObject(user ids.UserID, role trust.Role, public keys.Ed25519) []byte {
	dst := append(signedjson.AppendName([]byte{'{'}, "keys"), '{')
	dst = append(signedjson.AppendString(signedjson.AppendName(dst, KeyID(public)), public.String()), '}')
	dst = append(signedjson.AppendString(append(signedjson.AppendName(dst, "usage"), '['), role.String()), ']')
	return append(signedjson.AppendString(signedjson.AppendName(dst, "user_id"), string(user)), '}')
}
