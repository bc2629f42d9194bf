package sender

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// DecryptedOlmEvent is a to-device event whose Olm message has been decrypted. The type is the proof of Olm that reception asks for: there
// is no other way in, and no flag to set. Whoever fills it answers for it that the payload came out of an Olm session with SenderKey, not
// out of a Megolm message and not in the clear (T17, T18).
type DecryptedOlmEvent struct {
	Sender    string // `sender` of the to-device event
	SenderKey string // Curve25519 key of the other end of the Olm session
	Payload   []byte // the decrypted payload, as JSON; not changed, and not referred to once Finish has returned
}

// RoomKey is an m.room_key as its payload has it, held against what needs no other knowledge than who we are.
type RoomKey struct {
	RoomID     ids.RoomID
	Sender     ids.UserID      // the payload's and the to-device event's
	SenderKey  keys.Curve25519 // of the Olm channel
	Ed25519    keys.Ed25519    // the payload's keys.ed25519
	SessionKey *megolm.SessionKey

	// SharedHistory is what the sender says of passing the session on. It goes by three names on the wire; where they disagree it is not
	// shared, for what has been passed on cannot be taken back.
	SharedHistory bool

	// DeviceKeys is the embedded device keys object as received, nil when there is none. It points into the payload.
	DeviceKeys []byte
}

// MegolmAlgorithm is the only algorithm of room keys there is.
const MegolmAlgorithm = "m.megolm.v1.aes-sha2"

// Names of the embedded device keys: the specification's, and the one of MSC4147 before it was part of it, which clients still send.
const (
	stableDeviceKeys   = "sender_device_keys"
	unstableDeviceKeys = "org.matrix.msc4147.device_keys"
)

var sharedHistoryNames = [...]string{"shared_history", "m.shared_history", "org.matrix.msc3061.shared_history"}

// maxDeviceKeys is the most bytes an embedded device may have. Real ones have 700; a copy may have to keep them for years.
const maxDeviceKeys = 16 << 10

// ParseRoomKey reads the payload and holds it against the channel it came through and against us: gate G2 to G4 of the reception of room
// keys, and the form of everything in it. The error is a *RoomKeyError.
func ParseRoomKey(own trust.Own, in DecryptedOlmEvent) (*RoomKey, error) {
	key := &RoomKey{}
	var err error
	if key.Sender, err = ids.ParseUserID(in.Sender); err != nil {
		return nil, refuseMember(CodeBadSender, "", err)
	}
	if key.SenderKey, err = keys.ParseCurve25519(in.SenderKey); err != nil {
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
	eventType, err := payload.String("type")
	if err != nil {
		return nil, refuseMember(CodeBadPayload, "type", err)
	}
	if eventType != "m.room_key" {
		return nil, refuse(CodeNotARoomKey)
	}
	if refusal := key.readEnvelope(own, payload); refusal != nil {
		return nil, refusal
	}
	if refusal := key.readDeviceKeys(payload); refusal != nil {
		return nil, refusal
	}
	content, err := payload.Object("content")
	if err != nil {
		return nil, refuseMember(CodeBadPayload, "content", err)
	}
	if refusal := key.readContent(content); refusal != nil {
		return nil, refusal
	}
	return key, nil
}

// readEnvelope reads who the payload says it is from and for. The server cannot have written any of it, but it chose which message to
// deliver to whom and under which sender (T19).
func (k *RoomKey) readEnvelope(own trust.Own, payload *signedjson.Object) *RoomKeyError {
	from, err := payload.String("sender")
	if err != nil {
		return refuseMember(CodeBadPayload, "sender", err)
	}
	if from != string(k.Sender) {
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
	k.Ed25519, refusal = readEd25519(payload, "keys")
	return refusal
}

// readEd25519 reads member.ed25519 of the payload.
func readEd25519(payload *signedjson.Object, member string) (keys.Ed25519, *RoomKeyError) {
	if value, present := payload.Value(member); present {
		// The one shape there is on the wire; every other one takes the long way, which is no laxer.
		if text, ok := loneEd25519(value); ok {
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

// loneEd25519 is the text in a valid JSON value that is spelled {"ed25519":"..."} with 43 bytes in it.
func loneEd25519(value []byte) (string, bool) {
	const before, after = `{"ed25519":"`, `"}`
	if len(value) != len(before)+43+len(after) || string(value[:len(before)]) != before || string(value[len(before)+43:]) != after {
		return "", false
	}
	return string(value[len(before) : len(before)+43]), true
}

// readDeviceKeys finds the embedded device under either of its names, unparsed.
func (k *RoomKey) readDeviceKeys(payload *signedjson.Object) *RoomKeyError {
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
	k.DeviceKeys = stable
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

// readContent reads the room key itself. What names the session is the session key; the content's session_id can only agree or be refused
// (T25).
func (k *RoomKey) readContent(content *signedjson.Object) *RoomKeyError {
	if err := content.RefuseVariants("algorithm", "room_id", "session_id", "session_key"); err != nil {
		return refuseMember(CodeBadPayload, "content", err)
	}
	algorithm, err := content.String("algorithm")
	if err != nil {
		return refuseMember(CodeBadPayload, "content.algorithm", err)
	}
	if algorithm != MegolmAlgorithm {
		return &RoomKeyError{Code: CodeUnsupportedAlgorithm, Expected: MegolmAlgorithm}
	}
	room, err := content.String("room_id")
	if err != nil {
		return refuseMember(CodeBadPayload, "content.room_id", err)
	}
	if k.RoomID, err = ids.ParseRoomID(room); err != nil {
		return refuseMember(CodeBadRoomID, "content.room_id", err)
	}
	sessionKey, err := content.String("session_key")
	if err != nil {
		return refuseMember(CodeBadPayload, "content.session_key", err)
	}
	if k.SessionKey, err = megolm.ParseSessionKey(sessionKey); err != nil {
		return refuseMember(CodeBadSessionKey, "content.session_key", err)
	}
	sessionID, present, err := content.OptionalString("session_id")
	if err != nil {
		return refuseMember(CodeBadPayload, "content.session_id", err)
	}
	id, spelled := k.SessionKey.ID(), [43]byte{}
	if present && string(keys.EncodeBase64(spelled[:0], id[:])) != sessionID {
		return refuse(CodeSessionIDMismatch)
	}
	said, shared := false, true
	for _, name := range sharedHistoryNames {
		if _, present := content.Value(name); !present {
			continue
		}
		value, err := content.Bool(name)
		if err != nil {
			return refuseMember(CodeBadPayload, "content."+name, err)
		}
		said, shared = true, shared && value
	}
	k.SharedHistory = said && shared
	return nil
}
