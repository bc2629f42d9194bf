package sender

import (
	"strconv"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/trust"

	"github.com/go-json-experiment/json/jsontext"
)

// Sender data as matrix-sdk-crypto writes them, in all the forms it has written since they exist:
//
//	{"UnknownDevice":{"legacy_session":false}}
//	{"UnknownDevice":{"legacy_session":false,"owner_check_failed":true}}
//	{"DeviceInfo":{"device_keys":{...},"legacy_session":true}}
//	{"SenderVerified":{"user_id":"@u:h","device_id":"D","master_key":"..."}}      and SenderUnverified, VerificationViolation
//	{"SenderUnverifiedButPreviouslyVerified":{...}}                               now VerificationViolation
//	{"SenderKnown":{"user_id":"@u:h","master_key":[...],"master_key_verified":true}}  now SenderVerified or SenderUnverified
//
// Members we do not know are passed over; earlier versions wrote retry details there.

// Serialized is what sender data hold in the peer's form: two things more than Data.
type Serialized struct {
	Data       Data
	Legacy     bool
	DeviceKeys []byte // of DeviceInfo: the device keys object as it stands there; part of the text that was parsed
}

// ParseJSON reads sender data in any of the peer's forms. No text at all, or null, are sender data from before there were any: a legacy
// UnknownDevice. The error is a *DataError.
func ParseJSON(raw []byte) (Serialized, error) {
	if len(raw) == 0 || isNull(raw) {
		return Serialized{Legacy: true}, nil
	}
	name, body, err := variant(raw)
	if err != nil {
		return Serialized{}, err
	}
	switch name {
	case "UnknownDevice":
		s := Serialized{}
		if s.Legacy, err = legacySession(body); err != nil {
			return Serialized{}, err
		}
		if _, present := body.Value("owner_check_failed"); present {
			if s.Data.OwnerCheckFailed, err = body.Bool("owner_check_failed"); err != nil {
				return Serialized{}, badData("owner_check_failed", err)
			}
		}
		return s, nil
	case "DeviceInfo":
		return parseDeviceInfo(body)
	case "SenderKnown":
		verified, err := body.Bool("master_key_verified")
		if err != nil {
			return Serialized{}, badData("master_key_verified", err)
		}
		if verified {
			return parseKnown(SenderVerified, body)
		}
		return parseKnown(SenderUnverified, body)
	}
	kind, ok := ParseKind(name)
	if !ok {
		return Serialized{}, &DataError{Code: CodeBadSenderData, Reason: "unknown_variant"}
	}
	return parseKnown(kind, body)
}

func parseDeviceInfo(body *signedjson.Object) (Serialized, error) {
	s := Serialized{Data: Data{Kind: DeviceInfo}}
	var err error
	if s.Legacy, err = legacySession(body); err != nil {
		return Serialized{}, err
	}
	object, err := body.Object("device_keys")
	if err != nil {
		return Serialized{}, badData("device_keys", err)
	}
	device, err := trust.ParseDeviceKeys(object)
	if err != nil {
		return Serialized{}, badData("device_keys", err)
	}
	s.Data.UserID, s.Data.DeviceID, s.DeviceKeys = device.UserID, device.DeviceID, object.Raw()
	return s, nil
}

func parseKnown(kind Kind, body *signedjson.Object) (Serialized, error) {
	d := Data{Kind: kind}
	text, err := body.String("user_id")
	if err == nil {
		d.UserID, err = ids.ParseUserID(text)
	}
	if err != nil {
		return Serialized{}, badData("user_id", err)
	}
	if value, present := body.Value("device_id"); present && value.Kind() != 'n' {
		if text, err = body.String("device_id"); err == nil {
			d.DeviceID, err = ids.ParseDeviceID(text)
		}
		if err != nil {
			return Serialized{}, badData("device_id", err)
		}
	}
	value, present := body.Value("master_key")
	if !present {
		return Serialized{}, &DataError{Code: CodeBadSenderData, Member: "master_key", Reason: signedjson.CodeMissingMember}
	}
	if d.MasterKey, err = parseMasterKey(value); err != nil {
		return Serialized{}, err
	}
	return Serialized{Data: d}, nil
}

// legacySession is the one member that both weak variants must have.
func legacySession(body *signedjson.Object) (bool, error) {
	legacy, err := body.Bool("legacy_session")
	if err != nil {
		return false, badData("legacy_session", err)
	}
	return legacy, nil
}

// parseMasterKey reads a key as base64, or as the list of its 32 bytes.
func parseMasterKey(value jsontext.Value) (keys.Ed25519, error) {
	bad := &DataError{Code: CodeBadSenderData, Member: "master_key", Reason: "bad_master_key"}
	switch value.Kind() {
	case '"':
		text, err := jsontext.AppendUnquote(nil, value)
		if err != nil {
			return keys.Ed25519{}, bad
		}
		key, err := keys.ParseEd25519(string(text))
		if err != nil {
			return keys.Ed25519{}, badData("master_key", err)
		}
		return key, nil
	case '[':
		var key keys.Ed25519
		numbers := value[1 : len(value)-1]
		for i := range key {
			number, rest, _ := cutByte(numbers, ',')
			byteValue, err := strconv.ParseUint(trim(number), 10, 8)
			if err != nil || i < len(key)-1 && rest == nil || i == len(key)-1 && rest != nil {
				return keys.Ed25519{}, bad
			}
			key[i], numbers = byte(byteValue), rest
		}
		// By way of its text, which is where keys are judged.
		key, err := keys.ParseEd25519(key.String())
		if err != nil {
			return keys.Ed25519{}, badData("master_key", err)
		}
		return key, nil
	}
	return keys.Ed25519{}, bad
}

// cutByte splits at the first comma; rest is nil when there is none.
func cutByte(text []byte, at byte) (before, rest []byte, found bool) {
	for i, b := range text {
		if b == at {
			return text[:i], text[i+1:], true
		}
	}
	return text, nil, false
}

// trim is text without JSON's white space around it.
func trim(text []byte) string {
	space := func(b byte) bool { return b == ' ' || b == '\n' || b == '\r' || b == '\t' }
	for len(text) > 0 && space(text[0]) {
		text = text[1:]
	}
	for len(text) > 0 && space(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	return string(text)
}

// AppendJSON writes sender data in the peer's present form. DeviceInfo needs the device keys object; the error is a *DataError with reason
// device_keys_missing when there is none.
func (s Serialized) AppendJSON(dst []byte) ([]byte, error) {
	d := s.Data
	switch d.Kind {
	case UnknownDevice:
		dst = append(dst, `{"UnknownDevice":{"legacy_session":`...)
		dst = signedjson.AppendBool(dst, s.Legacy)
		if d.OwnerCheckFailed {
			dst = append(dst, `,"owner_check_failed":true`...)
		}
		return append(dst, "}}"...), nil
	case DeviceInfo:
		if len(s.DeviceKeys) == 0 {
			return dst, &DataError{Code: CodeBadSenderData, Member: "device_keys", Reason: "device_keys_missing"}
		}
		dst = append(dst, `{"DeviceInfo":{"device_keys":`...)
		dst = append(dst, s.DeviceKeys...)
		dst = append(dst, `,"legacy_session":`...)
		dst = signedjson.AppendBool(dst, s.Legacy)
		return append(dst, "}}"...), nil
	}
	return appendKnown(dst, d), nil
}

func appendKnown(dst []byte, d Data) []byte {
	dst = signedjson.AppendString(append(dst, '{'), d.Kind.String())
	dst = append(dst, `:{"user_id":`...)
	dst = signedjson.AppendString(dst, string(d.UserID))
	dst = append(dst, `,"device_id":`...)
	if d.DeviceID == "" {
		dst = append(dst, "null"...)
	} else {
		dst = signedjson.AppendString(dst, string(d.DeviceID))
	}
	dst = append(dst, `,"master_key":`...)
	dst = signedjson.AppendString(dst, d.MasterKey.String())
	return append(dst, "}}"...)
}

// ParseForwarderJSON reads a forwarder, which has the form of sender data; nil for null and for no text at all. The error is a *DataError.
func ParseForwarderJSON(raw []byte) (*Forwarder, error) {
	if len(raw) == 0 || isNull(raw) {
		return nil, nil
	}
	s, err := ParseJSON(raw)
	if err != nil {
		return nil, err
	}
	f, ok := ForwarderOf(s.Data)
	if !ok {
		return nil, &DataError{Code: CodeBadSenderData, Reason: "unknown_variant"}
	}
	return &f, nil
}

// AppendJSON writes a forwarder; null for none.
func (f *Forwarder) AppendJSON(dst []byte) []byte {
	if f == nil {
		return append(dst, "null"...)
	}
	return appendKnown(dst, f.Data)
}

// variant takes an object with one member apart.
func variant(raw []byte) (name string, body *signedjson.Object, err error) {
	object, err := signedjson.Parse(raw)
	if err != nil {
		return "", nil, badData("", err)
	}
	if object.Len() != 1 {
		return "", nil, &DataError{Code: CodeBadSenderData, Reason: "not_one_variant"}
	}
	object.Range(func(member string, _ jsontext.Value) bool {
		name = member
		return false
	})
	if body, err = object.Object(name); err != nil {
		return "", nil, badData("", err)
	}
	return name, body, nil
}

func isNull(raw []byte) bool { return trim(raw) == "null" }

func badData(member string, cause error) *DataError {
	return &DataError{Code: CodeBadSenderData, Member: member, Reason: reasonOf(cause), cause: cause}
}
