package signedjson

import (
	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// Presence says whether a signature is there to be checked. Absent is the zero value: nothing was signed.
type Presence uint8

const (
	Absent Presence = iota
	Present
)

// Signature finds signatures[user][keyID], keyID being a signing key identifier such as "ed25519:DEVICE". That it is Present says nothing of
// whether it is right: keys.Check does, over SignedBytes. What is there but is no signature (no object, no string, not 64 bytes of base64)
// is an *Error with code bad_signature, not an absence: absence must not be had by breaking things.
//
// keyID is a label the signer chose, nothing more. A device may call itself by the base64 of somebody's master key (T10): the caller checks
// with the key of the role he looks for, and with no other.
func (o *Object) Signature(user ids.UserID, keyID string) (keys.Signature, Presence, error) {
	value, present := o.Value("signatures")
	for _, name := range [2]string{string(user), keyID} {
		if !present {
			return keys.Signature{}, Absent, nil
		}
		if value.Kind() != '{' {
			return keys.Signature{}, Absent, &Error{Code: CodeBadSignature, Member: "signatures", Expected: "object", Got: nameOf(value.Kind())}
		}
		value, present = find(value, name)
	}
	if !present {
		return keys.Signature{}, Absent, nil
	}
	if value.Kind() != '"' {
		return keys.Signature{}, Absent, &Error{Code: CodeBadSignature, Member: "signatures", Expected: "string", Got: nameOf(value.Kind())}
	}
	signature, err := keys.ParseSignature(string(unescaped(value)))
	if err != nil {
		return keys.Signature{}, Absent, &Error{Code: CodeBadSignature, Member: "signatures", Expected: "64 bytes of canonical base64"}
	}
	return signature, Present, nil
}

// find looks a member up in an object that is known to be valid, without listing the others.
func find(object jsontext.Value, name string) (value jsontext.Value, present bool) {
	for w := into(object, anyDepth); ; {
		m, ok := w.next()
		if !ok || string(m.name) == name {
			return m.value, ok
		}
	}
}
