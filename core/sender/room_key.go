package sender

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/signedjson"
)

// RoomKey is an m.room_key as its payload has it, held against what needs no other knowledge than who we are.
type RoomKey struct {
	Envelope
	RoomID     ids.RoomID
	SessionKey *megolm.SessionKey

	// SharedHistory is what the sender says of passing the session on. It goes by three names on the wire; where they disagree it is not
	// shared, for what has been passed on cannot be taken back.
	SharedHistory bool
}

// typeRoomKey is the type of Olm payloads that bring one.
const typeRoomKey = "m.room_key"

// MegolmAlgorithm is the only algorithm of room keys there is.
const MegolmAlgorithm = "m.megolm.v1.aes-sha2"

// Names by which the flag of MSC3061 goes: the specification's, the one peers write, and the one from before.
var sharedHistoryNames = [...]string{"shared_history", "m.shared_history", "org.matrix.msc3061.shared_history"}

// SharedHistory reads the flag of a room key that says whether it may be passed on; without any of its names it may not. The error is that of the
// member at fault, which is named with it.
func SharedHistory(o *signedjson.Object) (shared bool, member string, err error) {
	said, shared := false, true
	for _, name := range sharedHistoryNames {
		if _, present := o.Value(name); !present {
			continue
		}
		value, err := o.Bool(name)
		if err != nil {
			return false, name, err
		}
		said, shared = true, shared && value
	}
	return said && shared, "", nil
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
	shared, member, err := SharedHistory(content)
	if err != nil {
		return refuseMember(CodeBadPayload, "content."+member, err)
	}
	k.SharedHistory = shared
	return nil
}
