package sender

import (
	"bytes"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/redact"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// DecryptedOlmEvent is a to-device event whose Olm message has been decrypted. The type is the proof of Olm that reception asks for: there
// is no other way in, and no flag to set. Whoever fills it answers for it that the payload came out of an Olm session with SenderKey, not
// out of a Megolm message and not in the clear (T17, T18).
type DecryptedOlmEvent struct {
	redact.Secret
	Sender    string // `sender` of the to-device event
	SenderKey string // Curve25519 key of the other end of the Olm session
	Payload   []byte // the decrypted payload, as JSON; not changed, and not referred to once Finish has returned
}

// Envelope is what an Olm payload says of who sent it, whatever it brings.
type Envelope struct {
	Type      string
	Sender    ids.UserID      // the payload's and the to-device event's
	SenderKey keys.Curve25519 // of the Olm channel
	Ed25519   keys.Ed25519    // the payload's keys.ed25519

	// DeviceKeys is the embedded device keys object as received, nil when there is none. It points into the payload.
	DeviceKeys []byte
}

// Names of the embedded device keys: the specification's, and the one of MSC4147 before it was part of it, which clients still send.
const (
	stableDeviceKeys   = "sender_device_keys"
	unstableDeviceKeys = "org.matrix.msc4147.device_keys"
)

// maxDeviceKeys is the most bytes an embedded device may have. Real ones have 700; a copy may have to keep them for years.
const maxDeviceKeys = 16 << 10

// open reads a payload of one of the types, of any where none is named, and holds it against the channel it came through and against us: gate G2
// to G4. It returns what the payload brings. The error is a *RoomKeyError.
func (e *Envelope) open(own trust.Own, in DecryptedOlmEvent, types ...string) (content *signedjson.Object, err error) {
	if e.Sender, err = ids.ParseUserID(in.Sender); err != nil {
		return nil, refuseMember(CodeBadSender, "", err)
	}
	if e.SenderKey, err = keys.ParseCurve25519(in.SenderKey); err != nil {
		return nil, refuseMember(CodeBadSenderKey, "", err)
	}
	payload, err := signedjson.Parse(in.Payload)
	if err != nil {
		return nil, refuseMember(CodeBadPayload, "", err)
	}
	// A name that is ours but for case would be read by others who are laxer than we: they would see another payload (T51).
	if err = payload.RefuseVariants("type", "sender", "recipient", "keys", "recipient_keys", "content", stableDeviceKeys, unstableDeviceKeys); err != nil {
		return nil, refuseMember(CodeBadPayload, "", err)
	}
	if e.Type, err = payload.String("type"); err != nil {
		return nil, refuseMember(CodeBadPayload, "type", err)
	}
	if len(types) > 0 && !slices.Contains(types, e.Type) {
		return nil, &RoomKeyError{Code: CodeNotARoomKey, Expected: types[0]}
	}
	if refusal := e.readEnvelope(own, payload); refusal != nil {
		return nil, refusal
	}
	if refusal := e.readDeviceKeys(payload); refusal != nil {
		return nil, refusal
	}
	if content, err = payload.Object("content"); err != nil {
		return nil, refuseMember(CodeBadPayload, "content", err)
	}
	return content, nil
}

// readEnvelope reads who the payload says it is from and for. The server cannot have written any of it, but it chose which message to
// deliver to whom and under which sender (T19).
func (e *Envelope) readEnvelope(own trust.Own, payload *signedjson.Object) *RoomKeyError {
	from, err := payload.String("sender")
	if err != nil {
		return refuseMember(CodeBadPayload, "sender", err)
	}
	if from != string(e.Sender) {
		return refuse(CodeSenderMismatch) // G3
	}
	recipient, err := payload.String("recipient")
	if err != nil {
		return refuseMember(CodeBadPayload, "recipient", err)
	}
	if recipient != string(own.UserID) {
		return refuse(CodeRecipientMismatch) // G2
	}
	recipientKey, refusal := readEd25519(payload, "recipient_keys")
	if refusal != nil {
		return refusal
	}
	if recipientKey != own.Ed25519 {
		return &RoomKeyError{Code: CodeRecipientKeyMismatch, Expected: own.Ed25519.String(), Got: recipientKey.String()} // G4
	}
	e.Ed25519, refusal = readEd25519(payload, "keys")
	return refusal
}

// readEd25519 reads member.ed25519 of the payload.
func readEd25519(payload *signedjson.Object, member string) (keys.Ed25519, *RoomKeyError) {
	if value, present := payload.Value(member); present {
		// The one shape there is on the wire; every other one takes the long way, which is no laxer.
		if text, ok := LoneEd25519(value); ok {
			if key, err := keys.ParseEd25519(text); err == nil {
				return key, nil
			}
		}
	}
	object, err := payload.Object(member)
	if err != nil {
		return keys.Ed25519{}, refuseMember(CodeBadPayload, member, err)
	}
	if err = object.RefuseVariants("ed25519"); err != nil {
		return keys.Ed25519{}, refuseMember(CodeBadPayload, member, err)
	}
	text, err := object.String("ed25519")
	if err != nil {
		return keys.Ed25519{}, refuseMember(CodeBadPayload, member+".ed25519", err)
	}
	key, err := keys.ParseEd25519(text)
	if err != nil {
		return keys.Ed25519{}, refuseMember(CodeBadPayload, member+".ed25519", err)
	}
	return key, nil
}

// LoneEd25519 is the text in a valid JSON value that is spelled {"ed25519":"..."} with 43 bytes in it and no escapes among them: the one shape
// there is in practice. Every other takes the long way, which is no laxer.
func LoneEd25519(value []byte) (string, bool) {
	const before, after = `{"ed25519":"`, `"}`
	if len(value) != len(before)+43+len(after) || string(value[:len(before)]) != before || string(value[len(before)+43:]) != after {
		return "", false
	}
	text := value[len(before) : len(before)+43]
	if bytes.ContainsAny(text, `"\\`) {
		return "", false
	}
	return string(text), true
}

// readDeviceKeys finds the embedded device under either of its names, unparsed.
func (e *Envelope) readDeviceKeys(payload *signedjson.Object) *RoomKeyError {
	stable, hasStable := payload.Value(stableDeviceKeys)
	unstable, hasUnstable := payload.Value(unstableDeviceKeys)
	if hasStable && hasUnstable {
		// Readers that know one name only would each see another device.
		if string(stable) != string(unstable) && !sameObject(stable, unstable) {
			return refuse(CodeSenderDeviceKeysConflict)
		}
	} else if hasUnstable {
		stable = unstable
	}
	if len(stable) > maxDeviceKeys {
		return &RoomKeyError{Code: CodeBadSenderDeviceKeys, Reason: signedjson.CodeTooLarge}
	}
	e.DeviceKeys = stable
	return nil
}

// sameObject reports whether two texts are the same JSON object once written canonically.
func sameObject(a, b []byte) bool {
	canonical := func(raw []byte) string {
		object, err := signedjson.Parse(raw)
		if err != nil {
			return ""
		}
		text, err := object.Canonical()
		if err != nil {
			return ""
		}
		return string(text)
	}
	text := canonical(a)
	return text != "" && text == canonical(b)
}
