package trust

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
)

const (
	algorithmEd25519    = "ed25519:"
	algorithmCurve25519 = "curve25519:"

	keyTextLength = 43 // bytes of the base64 of a 32-byte key
)

// Device is a device as the Index knows it. Its own signature held when it came in.
type Device struct {
	UserID      ids.UserID
	DeviceID    ids.DeviceID
	Curve25519  keys.Curve25519 // identity key: the sender key of its Olm messages
	Ed25519     keys.Ed25519    // fingerprint key
	Dehydrated  bool            // MSC3814: stands in for a user who is not there; sends no room keys
	CrossSigned CrossSignature  // by the owner's current self-signing key; Absent or OtherKey while the owner has no identity
}

// DeviceKeys is a parsed device keys object (specification, "Device keys"), from a /keys/query answer or from the `sender_device_keys` of an
// Olm payload. Its form is right; its signatures are not checked yet.
type DeviceKeys struct {
	UserID     ids.UserID
	DeviceID   ids.DeviceID
	Curve25519 keys.Curve25519
	Ed25519    keys.Ed25519
	Dehydrated bool

	object *signedjson.Object
}

// ParseDeviceKeys reads a device keys object: valid ids, both identity keys under the labels that carry the object's own device id, a list
// of algorithm names (which may be unknown ones), no case variant of a member we read (T51). Members we do not know stay in the object and
// under its signatures (T52). The error is a *DeviceKeysError.
func ParseDeviceKeys(object *signedjson.Object) (*DeviceKeys, error) {
	fail := func(member string, err error) (*DeviceKeys, error) {
		return nil, &DeviceKeysError{Code: codeOf(err, CodeBadAnswer), Member: member, cause: err}
	}
	if err := object.RefuseVariants("user_id", "device_id", "algorithms", "keys", "signatures", "unsigned", "dehydrated"); err != nil {
		return fail("", err)
	}
	device := &DeviceKeys{object: object}
	text, err := object.String("user_id")
	if err == nil {
		device.UserID, err = ids.ParseUserID(text)
	}
	if err != nil {
		return fail("user_id", err)
	}
	text, err = object.String("device_id")
	if err == nil {
		device.DeviceID, err = ids.ParseDeviceID(text)
	}
	if err != nil {
		return fail("device_id", err)
	}
	if _, err = object.Strings("algorithms"); err != nil {
		return fail("algorithms", err)
	}
	published, err := object.Object("keys")
	if err != nil {
		return fail("keys", err)
	}
	curveLabel, edLabel := algorithmCurve25519+string(device.DeviceID), algorithmEd25519+string(device.DeviceID)
	if err = published.RefuseVariants(curveLabel, edLabel); err != nil {
		return fail("keys", err)
	}
	text, err = published.String(curveLabel)
	if err == nil {
		device.Curve25519, err = keys.ParseCurve25519(text)
	}
	if err != nil {
		return fail("keys.curve25519", err)
	}
	text, err = published.String(edLabel)
	if err == nil {
		device.Ed25519, err = keys.ParseEd25519(text)
	}
	if err != nil {
		return fail("keys.ed25519", err)
	}
	if _, present := object.Value("dehydrated"); present {
		if device.Dehydrated, err = object.Bool("dehydrated"); err != nil {
			return fail("dehydrated", err)
		}
	}
	return device, nil
}

// Object is the device keys object as received.
func (d *DeviceKeys) Object() *signedjson.Object { return d.object }

// SelfCheck asks whether the device signed its own object. The error is a *DeviceKeysError: device_signature_missing, or what core/signedjson
// says of a signature or object out of form.
func (d *DeviceKeys) SelfCheck() (keys.Check, error) {
	signature, presence, err := d.object.Signature(d.UserID, algorithmEd25519+string(d.DeviceID))
	if err != nil {
		return keys.Check{}, &DeviceKeysError{Code: codeOf(err, CodeBadAnswer), Member: "signatures", cause: err}
	}
	if presence != signedjson.Present {
		return keys.Check{}, &DeviceKeysError{Code: CodeDeviceSignatureMissing, Member: "signatures"}
	}
	message, err := d.object.SignedBytes()
	if err != nil {
		return keys.Check{}, &DeviceKeysError{Code: codeOf(err, CodeBadAnswer), cause: err}
	}
	return keys.Check{Key: d.Ed25519, Signature: signature, Message: message}, nil
}

// SignatureBy looks for a signature by selfSigning, the owner's current self-signing key; the zero key when the owner has no identity. With
// CrossSignatureUnchecked comes the check to make, and Resolve turns its answer into Wrong or Valid; with any other outcome the check is
// empty.
//
// The signature is looked up under the label of the key whose role is asked for and checked with that key, never with whatever key a label
// happens to name: a device called like a cross-signing key gains nothing by it (T10).
func (d *DeviceKeys) SignatureBy(selfSigning keys.Ed25519) (keys.Check, CrossSignature) {
	if selfSigning == (keys.Ed25519{}) || string(d.DeviceID) == selfSigning.String() {
		return keys.Check{}, d.signedByAnyKey()
	}
	signature, presence, err := d.object.Signature(d.UserID, algorithmEd25519+selfSigning.String())
	if err != nil {
		// Something stands under the label of the current key, and it is no signature: a claim that cannot be true.
		return keys.Check{}, CrossSignatureWrong
	}
	if presence != signedjson.Present {
		return keys.Check{}, d.signedByAnyKey()
	}
	message, err := d.object.SignedBytes()
	if err != nil {
		return keys.Check{}, CrossSignatureWrong
	}
	check := keys.Check{Key: selfSigning, Signature: signature, Message: message}
	if !check.Strict() {
		return keys.Check{}, CrossSignatureWrong
	}
	return check, CrossSignatureUnchecked
}

// signedByAnyKey is OtherKey when the owner's signatures name something that looks like a cross-signing key, Absent otherwise. A device id
// may look like one too; that costs nothing, since both outcomes leave the device unproved.
func (d *DeviceKeys) signedByAnyKey() CrossSignature {
	signatures, err := d.object.Object("signatures")
	if err != nil {
		return CrossSignatureAbsent
	}
	byOwner, err := signatures.Object(string(d.UserID))
	if err != nil {
		return CrossSignatureAbsent
	}
	outcome := CrossSignatureAbsent
	byOwner.Range(func(label string, _ jsontext.Value) bool {
		name, isEd25519 := strings.CutPrefix(label, algorithmEd25519)
		if isEd25519 && name != string(d.DeviceID) {
			if _, err := keys.ParseEd25519(name); err == nil {
				outcome = CrossSignatureOtherKey
				return false
			}
		}
		return true
	})
	return outcome
}
