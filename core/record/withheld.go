package record

// The record of a notice that a room key is withheld, format version 1: [sender, sender key, code, reason, ...]. Anybody can write such a
// notice; it explains and never decides.

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/store"
)

const (
	withheldVersion = 1
	withheldMembers = 4
)

// Withheld is a stored notice (m.room_key.withheld).
type Withheld struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	Sender    ids.UserID      // empty when it is not known
	SenderKey keys.Curve25519 // zero when it is not known
	Code      string          // for example m.unverified
	Reason    string
}

// WithheldRow is the row of a notice.
func WithheldRow(w Withheld) store.Row {
	row := store.Row{Table: store.Withheld, Key: withheldKey(w.RoomID, w.SessionID)}
	p := newPacker()
	defer p.done()
	p.record(withheldMembers, nil)
	p.text(string(w.Sender))
	p.key((*[32]byte)(&w.SenderKey))
	p.text(w.Code)
	p.text(w.Reason)
	row.Value = p.seal(withheldVersion, &row)
	return row
}

// DecodeWithheld reads the row of a notice. Errors are *Error. Members a newer version has added are passed over: a notice is replaced
// whole.
func DecodeWithheld(row store.Row) (Withheld, error) {
	var w Withheld
	ok := len(row.Key) == 2
	if ok {
		w.RoomID, w.SessionID, ok = parseSessionKey(row.Key)
	}
	if !ok {
		return Withheld{}, &Error{Code: CodeBadRowKey, Table: store.Withheld, Reason: "the key names no session"}
	}
	u, _, err := newUnpacker(&row, store.Withheld, withheldVersion)
	if err != nil {
		return Withheld{}, err
	}
	defer u.done()
	more := u.record(withheldMembers)
	w.Sender = u.user("the sender")
	w.SenderKey = u.curve25519("the sender's key")
	w.Code = u.text("the code")
	w.Reason = u.text("the reason")
	u.extra(more)
	if err := u.end(); err != nil {
		return Withheld{}, err
	}
	return w, nil
}
