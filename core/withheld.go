package core

import (
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/signedjson"
)

// Codes of WithheldError.
const (
	CodeBadWithheld = "bad_withheld"        // not a notice, or a member is missing or of the wrong form
	CodeNoSessionIn = "withheld_no_session" // m.no_olm is about a device, not about a session
)

// WithheldError says why a notice was refused.
type WithheldError struct {
	Code   string
	Member string
	cause  error
}

// Error is a sentence.
func (e *WithheldError) Error() string {
	text := "this is not a notice of a withheld room key"
	if e.Code == CodeNoSessionIn {
		text = "the notice names no session"
	}
	if e.Member != "" {
		text += ", `" + e.Member + "`"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *WithheldError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *WithheldError) Unwrap() error { return e.cause }

// ReceiveRoomKeyWithheld takes an m.room_key.withheld to-device event, decrypted or plain: anybody may send one, so it never touches a key
// that is here and only explains one that is not (T46). It is durable with the next Flush. The error is a *WithheldError.
func (m *Machine) ReceiveRoomKeyWithheld(raw []byte) (*Withheld, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	notice, err := parseWithheld(raw)
	if err != nil {
		return nil, err
	}
	m.noteWithheld(notice)
	return notice, nil
}

func (m *Machine) noteWithheld(notice *Withheld) {
	in := m.shelf.session(sessionName{notice.RoomID, notice.SessionID})
	if in.withheld == nil || in.withheld.Withheld != *notice {
		in.withheld = &withheldNotice{Withheld: *notice}
		m.shelf.queue(in)
	}
}

func parseWithheld(raw []byte) (*Withheld, error) {
	fail := func(member string, err error) (*Withheld, error) {
		return nil, &WithheldError{Code: CodeBadWithheld, Member: member, cause: err}
	}
	event, err := signedjson.Parse(raw)
	if err != nil {
		return fail("", err)
	}
	if kind, err := event.String("type"); err != nil || kind != "m.room_key.withheld" {
		return fail("type", err)
	}
	from, err := event.String("sender")
	if err != nil {
		return fail("sender", err)
	}
	notice := &Withheld{}
	if notice.Sender, err = ids.ParseUserID(from); err != nil {
		return fail("sender", err)
	}
	content, err := event.Object("content")
	if err != nil {
		return fail("content", err)
	}
	_, hasRoom := content.Value("room_id")
	_, hasSession := content.Value("session_id")
	if !hasRoom || !hasSession {
		return nil, &WithheldError{Code: CodeNoSessionIn}
	}
	read, err := keyfile.ReadWithheld(content)
	if err != nil {
		refused := err.(*keyfile.EntryError)
		return fail("content."+refused.Member, refused.Unwrap())
	}
	notice.RoomID, notice.SessionID, notice.SenderKey, notice.Code, notice.Reason = read.RoomID, read.SessionID, read.SenderKey, read.Code, read.Reason
	return notice, nil
}
