package record

// The record of a request for a room key that is not answered yet, format version 1: [request id, at, ...]. Only who was asked may answer, also
// after a restart.

import (
	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/store"
)

const (
	requestVersion = 1
	requestMembers = 2
)

// RoomKeyRequest is a request for a room key (m.room_key_request) to our own devices.
type RoomKeyRequest struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	ID        string
	At        int64 // milliseconds since 1970
}

// RequestKey is the key of the row of a request.
func RequestKey(room ids.RoomID, session megolm.SessionID) store.Key {
	return store.Key{"request", string(room), session.String()}
}

// RequestRow is the row of a request.
func RequestRow(r *RoomKeyRequest) store.Row {
	row := store.Row{Table: store.Meta, Key: RequestKey(r.RoomID, r.SessionID)}
	p := newPacker()
	defer p.done()
	p.record(requestMembers, nil)
	p.text(r.ID)
	p.int(r.At)
	row.Value = p.seal(requestVersion, &row)
	return row
}

// DecodeRequest reads the row of a request. Errors are *Error. Members a newer version has added are passed over: a request is replaced whole.
func DecodeRequest(row store.Row) (*RoomKeyRequest, error) {
	r := &RoomKeyRequest{}
	ok := len(row.Key) == 3 && row.Key[0] == "request"
	if ok {
		r.RoomID, r.SessionID, ok = parseSessionKey(row.Key[1:])
	}
	if !ok {
		return nil, &Error{Code: CodeBadRowKey, Table: store.Meta, Reason: "the key names no request"}
	}
	u, _, err := newUnpacker(&row, store.Meta, requestVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	more := u.record(requestMembers)
	r.ID = u.text("the request's id")
	r.At = u.int("the time")
	u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return r, nil
}
