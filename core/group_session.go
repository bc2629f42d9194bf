package core

import (
	"context"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/sharing"
	"knownsender/core/signedjson"
	"knownsender/core/store"
)

// The outbound Megolm session of a room. Its ratchet lies in the store and nowhere else: whoever encrypts reads it, moves it on, and gives the
// ciphertext away once what comes after is durable, written by compare-and-set over exactly what was read. So no index is ever used for two plaintexts,
// whatever tabs, crashes and failed commits there are between; an index may be used for none.

// Codes of GroupSessionError.
const (
	CodeRoomKeyNotShared = "room_key_not_shared" // there is no session, or not everybody who was to get its key has got it
	CodeRoomKeyExpired   = "room_key_expired"    // the session was used for as long or as often as it may
)

// GroupSessionError says why a room's events cannot be encrypted now. ShareRoomKey puts it right.
type GroupSessionError struct{ Code string }

// Error is a sentence.
func (e *GroupSessionError) Error() string {
	if e.Code == CodeRoomKeyExpired {
		return "the room's key was used for as long or as often as it may: share another"
	}
	return "the room's key has not been shared"
}

// ErrorCode is the stable name of what went wrong.
func (e *GroupSessionError) ErrorCode() string { return e.Code }

// roomSession is the outbound session of a room with its shares: as they lie in the store, and as they are to be.
type roomSession struct {
	session, storedSession *record.Outbound // nil: none that can be read
	shares, storedShares   *record.Shares   // nil: none of the session, or not read
	rev, sharesRev         uint64
}

// readRoomSession reads the session, and with shares who has its key. Damaged rows count as none, once a copy of them lies in quarantine; and a session
// of which it cannot be told who has its key counts as none. Rows that only a newer version can read stay untouched, and are an error.
func (m *Machine) readRoomSession(ctx context.Context, room ids.RoomID, shares bool) (*roomSession, error) {
	wanted := []store.Key{record.OutboundKey(room)}
	if shares {
		wanted = append(wanted, record.SharesKey(room))
	}
	rows, err := m.store.Get(ctx, store.Outbound, wanted)
	if err != nil {
		return nil, err
	}
	s := &roomSession{rev: rows[0].Rev}
	if s.rev != 0 {
		if s.storedSession, err = record.DecodeOutbound(rows[0]); m.unreadable(store.Outbound, &rows[0], err) {
			return nil, err
		}
	}
	s.session = s.storedSession
	if !shares {
		return s, nil
	}
	if s.sharesRev = rows[1].Rev; s.sharesRev != 0 {
		if s.storedShares, err = record.DecodeShares(rows[1]); m.unreadable(store.Outbound, &rows[1], err) {
			return nil, err
		}
	}
	if s.shares = s.storedShares; s.session == nil || s.shares == nil || s.shares.SessionID != s.session.ID() {
		s.session, s.shares = nil, nil
	}
	return s, nil
}

// unreadable reports whether an error is that of a row that only a newer version can read. Any other damaged row is set aside.
func (m *Machine) unreadable(table store.Table, row *store.Row, err error) bool {
	if err == nil {
		return false
	}
	if err.(*record.Error).Code == record.CodeUnknownFormat {
		return true
	}
	m.quarantine(table, row, err)
	return false
}

// inUse is the session, unless there is none or it was ended.
func (s *roomSession) inUse() *record.Outbound {
	if s.session == nil || s.session.Ended {
		return nil
	}
	return s.session
}

// ops writes what has changed.
func (s *roomSession) ops() (ops []store.Op) {
	if s.session != nil && s.session != s.storedSession {
		ops = append(ops, record.OutboundRow(s.session).Put(s.rev))
	}
	if s.shares != nil && s.shares != s.storedShares {
		ops = append(ops, record.SharesRow(s.shares).Put(s.sharesRev))
	}
	return ops
}

// lifeOf is what counts of a session when it is asked whether it may be used on.
func lifeOf(o *record.Outbound) *sharing.Session {
	return &sharing.Session{CreatedAt: o.CreatedAt, Messages: o.MessageIndex(), Settings: o.Settings}
}

// changeSession carries a change of a room's session through: compute replaces what it changes. Errors: those of compute and of the store.
func (a *ownAccount) changeSession(ctx context.Context, room ids.RoomID, shares bool, compute func(*roomSession) error) error {
	return a.changeOutbound(ctx, func() ([]store.Op, error) {
		s, err := a.machine.readRoomSession(ctx, room, shares)
		if err == nil {
			err = compute(s)
		}
		if err != nil {
			return nil, err
		}
		return s.ops(), nil
	})
}

// changeOutbound carries a change of what we send with through: compute reads it, and is asked again when somebody else has written meanwhile. Errors:
// those of compute and of the store.
func (a *ownAccount) changeOutbound(ctx context.Context, compute func() ([]store.Op, error)) error {
	a.outbound.enter()
	defer a.outbound.leave()
	for clashes := 0; ; clashes++ {
		ops, err := compute()
		if err != nil || len(ops) == 0 {
			return err
		}
		err = a.machine.writeWith(ctx, ops)
		if conflict, ok := clash(err); !ok || clashes == maxClashes || !conflict.Names(ops) {
			return err
		}
	}
}

// EncryptRoomEvent encrypts an event of a room with the session whose key ShareRoomKey has shared: the content of the m.room.encrypted to send
// (specification, "m.megolm.v1.aes-sha2"). `m.relates_to` stands in it in the clear too, so that the server can aggregate. That the message index is
// used is durable before it returns. Errors: *GroupSessionError, *SealingError bad_content, *megolm.EncryptionError bad_plaintext_length,
// *AccountError no_account, and those of the store.
func (m *Machine) EncryptRoomEvent(ctx context.Context, room ids.RoomID, eventType string, content []byte) ([]byte, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	inside, err := signedjson.ParseLimit(content, maxRoomEvent)
	if err != nil || eventType == "" {
		return nil, &SealingError{Code: CodeBadContent, cause: err}
	}
	plaintext := append(signedjson.AppendName([]byte{'{'}, "content"), inside.Raw()...)
	plaintext = signedjson.AppendString(signedjson.AppendName(plaintext, "room_id"), string(room))
	plaintext = append(signedjson.AppendString(signedjson.AppendName(plaintext, "type"), eventType), '}')

	var ciphertext, session string
	err = a.changeSession(ctx, room, false, func(s *roomSession) (err error) {
		o := s.inUse()
		switch {
		case o == nil || !o.Shared:
			return &GroupSessionError{Code: CodeRoomKeyNotShared}
		case lifeOf(o).Expired(m.now()) != "":
			return &GroupSessionError{Code: CodeRoomKeyExpired}
		case a.sharesUnderWay(o.ID()):
			return &GroupSessionError{Code: CodeRoomKeyNotShared}
		}
		next := *o
		ciphertext, next.OutboundSession, err = o.Encrypt(plaintext)
		s.session, session = &next, o.ID().String()
		return err
	})
	if err != nil {
		return nil, err
	}
	own := a.own()
	dst := appendText([]byte{'{'}, "algorithm", sharing.Algorithm)
	dst = appendText(dst, "ciphertext", ciphertext)
	dst = appendText(dst, "device_id", string(own.DeviceID))
	if relation, present := inside.Value(relatesTo); present {
		dst = append(signedjson.AppendName(dst, relatesTo), relation...)
	}
	dst = appendText(dst, "sender_key", own.Curve25519.String())
	return append(appendText(dst, "session_id", session), '}'), nil
}

// InvalidateGroupSession has the next ShareRoomKey make another session, and reports whether there was one. Errors: *AccountError no_account, and those
// of the store.
func (m *Machine) InvalidateGroupSession(ctx context.Context, room ids.RoomID) (ended bool, err error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return false, err
	}
	err = a.changeSession(ctx, room, false, func(s *roomSession) error {
		o := s.inUse()
		if ended = o != nil; ended {
			next := *o
			next.Ended = true
			s.session = &next
		}
		return nil
	})
	return ended && err == nil, err
}
