package testkit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"math/rand/v2"
)

// Kit is a source of people and sessions. Its randomness comes from the seed alone.
type Kit struct {
	random *rand.ChaCha8
}

// New returns a kit whose every key and byte follows from seed; a test's own name is a good one.
func New(seed string) *Kit {
	return &Kit{random: rand.NewChaCha8(sha256.Sum256([]byte(seed)))}
}

// Random is the kit's deterministic stream of bytes.
func (k *Kit) Random() io.Reader { return k.random }

// bytes32 draws the next 32 bytes, enough for any private key here.
func (k *Kit) bytes32() []byte {
	out := make([]byte, 32)
	k.random.Read(out) // never fails
	return out
}

// Hook changes a JSON object in place, before it is signed or after.
type Hook func(object map[string]any)

// Set returns a hook that sets one member.
func Set(name string, value any) Hook {
	return func(object map[string]any) { object[name] = value }
}

// Delete returns a hook that removes one member.
func Delete(name string) Hook {
	return func(object map[string]any) { delete(object, name) }
}

// In returns a hook that applies hooks to the object under name (`content`, `keys`, ...).
func In(name string, hooks ...Hook) Hook {
	return func(object map[string]any) { apply(object[name].(map[string]any), hooks) }
}

func apply(object map[string]any, hooks []Hook) {
	for _, hook := range hooks {
		hook(object)
	}
}

// JSON encodes value with sorted member names, no spaces and no HTML escapes. Apart from U+2028 and U+2029, which
// encoding/json always escapes, that is Matrix's canonical JSON.
func JSON(value any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// Base64 is Matrix's unpadded base64.
func Base64(data []byte) string { return base64.RawStdEncoding.EncodeToString(data) }

// SigningKey is an Ed25519 key pair: a device's, or one of an identity's three.
type SigningKey struct {
	Private ed25519.PrivateKey
}

func (k *Kit) signingKey() *SigningKey {
	return &SigningKey{Private: ed25519.NewKeyFromSeed(k.bytes32())}
}

// Public is the public half in unpadded base64.
func (k *SigningKey) Public() string { return Base64(k.Private.Public().(ed25519.PublicKey)) }

// Label is the key id a cross-signing key has in `keys` and `signatures`: `ed25519:<public key>`.
func (k *SigningKey) Label() string { return "ed25519:" + k.Public() }

// Sign signs object as it stands, minus `signatures` and `unsigned`, and files the signature under user and label.
func (k *SigningKey) Sign(object map[string]any, user, label string) {
	addSignature(object, user, label, ed25519.Sign(k.Private, signedBytes(object)))
}

func signedBytes(object map[string]any) []byte {
	signed := make(map[string]any, len(object))
	for name, value := range object {
		if name != "signatures" && name != "unsigned" {
			signed[name] = value
		}
	}
	return JSON(signed)
}

func addSignature(object map[string]any, user, label string, signature []byte) {
	signatures, ok := object["signatures"].(map[string]any)
	if !ok {
		signatures = map[string]any{}
		object["signatures"] = signatures
	}
	byUser, ok := signatures[user].(map[string]any)
	if !ok {
		byUser = map[string]any{}
		signatures[user] = byUser
	}
	byUser[label] = Base64(signature)
}

// CorruptSignature returns a hook that flips one bit of the signature filed under user and label: it still has the right
// form, and no longer verifies.
func CorruptSignature(user, label string) Hook {
	return func(object map[string]any) {
		byUser := object["signatures"].(map[string]any)[user].(map[string]any)
		signature, err := base64.RawStdEncoding.DecodeString(byUser[label].(string))
		if err != nil {
			panic(err)
		}
		signature[0] ^= 1
		byUser[label] = Base64(signature)
	}
}

// signed is one signature that an object will carry when it is built.
type signed struct {
	user, label string
	key         *SigningKey
	corrupt     bool
}

// build applies before, signs, applies after: the life of every signed object here.
func build(object map[string]any, before []Hook, signatures []signed, after []Hook) map[string]any {
	apply(object, before)
	for _, s := range signatures {
		s.key.Sign(object, s.user, s.label)
		if s.corrupt {
			CorruptSignature(s.user, s.label)(object)
		}
	}
	apply(object, after)
	return object
}
