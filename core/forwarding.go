package core

import (
	"context"
	"crypto/rand"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
)

// Room keys that are asked for among our own devices (m.room_key_request) and forwarded by one of them (m.forwarded_room_key). A key nobody
// asked for is refused, and so is one from anybody but a verified device of our own: that is how keys were slipped in elsewhere (T44,
// CVE-2022-39246). What comes is a claimed copy: our own device vouches for having had it, not for who made it.

// RoomKeyRequest is a request to send to our own devices.
type RoomKeyRequest struct {
	record.RoomKeyRequest
	Content []byte // of an m.room_key_request event, JSON
}

// RequestRoomKey asks our own devices for a room key. Asking again for the same key gives the same request. It is durable when it returns.
// Errors: those of the store.
func (m *Machine) RequestRoomKey(ctx context.Context, room ids.RoomID, session megolm.SessionID) (*RoomKeyRequest, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	asked, rev, err := m.requested(ctx, room, session)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		asked = &record.RoomKeyRequest{RoomID: room, SessionID: session, ID: rand.Text(), At: m.now()}
		err := m.store.Commit(ctx, store.Batch{Ops: []store.Op{record.RequestRow(asked).Put(rev)}})
		if _, lost := clash(err); lost {
			if theirs, _, reading := m.requested(ctx, room, session); theirs != nil || reading != nil {
				asked, err = theirs, reading // another tab was faster, and its request is as good
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return &RoomKeyRequest{RoomKeyRequest: *asked, Content: m.requestContent(asked, "request")}, nil
}

// CancelRoomKeyRequest takes a request back: what comes in answer is refused from now on. nil when there is none. Errors: those of the store.
func (m *Machine) CancelRoomKeyRequest(ctx context.Context, room ids.RoomID, session megolm.SessionID) (*RoomKeyRequest, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	return m.cancelRequest(ctx, room, session)
}

func (m *Machine) cancelRequest(ctx context.Context, room ids.RoomID, session megolm.SessionID) (*RoomKeyRequest, error) {
	asked, _, err := m.requested(ctx, room, session)
	if err != nil || asked == nil {
		return nil, err
	}
	gone := store.Op{Table: store.Meta, Key: record.RequestKey(room, session), Expect: store.AnyRev}
	if err := m.store.Commit(ctx, store.Batch{Ops: []store.Op{gone}}); err != nil {
		return nil, err
	}
	return &RoomKeyRequest{RoomKeyRequest: *asked, Content: m.requestContent(asked, "request_cancellation")}, nil
}

// requested reads the request for a key that is not answered yet, nil for none. A damaged one counts as none.
func (m *Machine) requested(ctx context.Context, room ids.RoomID, session megolm.SessionID) (*record.RoomKeyRequest, uint64, error) {
	rows, err := m.store.Get(ctx, store.Meta, []store.Key{record.RequestKey(room, session)})
	if err != nil || rows[0].Rev == 0 {
		return nil, 0, err
	}
	asked, err := record.DecodeRequest(rows[0])
	if err != nil {
		m.quarantine(store.Meta, &rows[0], err)
		return nil, rows[0].Rev, nil
	}
	return asked, rows[0].Rev, nil
}

// requestContent is the content of an m.room_key_request.
func (m *Machine) requestContent(r *record.RoomKeyRequest, action string) []byte {
	text := func(dst []byte, name, value string) []byte {
		return signedjson.AppendString(signedjson.AppendName(dst, name), value)
	}
	dst := text([]byte{'{'}, "action", action)
	if action == "request" {
		dst = append(signedjson.AppendName(dst, "body"), '{')
		dst = text(dst, "algorithm", sender.MegolmAlgorithm)
		dst = text(dst, "room_id", string(r.RoomID))
		dst = append(text(dst, "session_id", r.SessionID.String()), '}')
	}
	dst = text(dst, "request_id", r.ID)
	return append(text(dst, "requesting_device_id", string(m.trust.Own().DeviceID)), '}')
}

// ForwardedReceipt says what became of one forwarded key.
type ForwardedReceipt struct {
	Copy *sender.Copy // as it is kept; nil when it was refused
	// Cancellation is to be sent to our other devices, which need not answer any more.
	Cancellation *RoomKeyRequest
	Err          error // *sender.RoomKeyError, *keyfile.EntryError or *RoomKeyConflict
}

// ReceiveForwardedRoomKeys takes m.forwarded_room_key events that the host's own Olm decrypted, one receipt for each. They are durable when it
// returns. Errors: those of the store.
func (m *Machine) ReceiveForwardedRoomKeys(ctx context.Context, events []sender.DecryptedOlmEvent) ([]ForwardedReceipt, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	receipts := make([]ForwardedReceipt, len(events))
	chunk := make([]importing, 0, len(events))
	for n := range events {
		c, err := m.forwarded(ctx, events[n])
		switch err.(type) {
		case nil:
			chunk = append(chunk, importing{position: n, copy: c})
		case *sender.RoomKeyError, *keyfile.EntryError:
			receipts[n].Err = err
		default:
			return nil, err
		}
	}
	if err := m.keep(ctx, chunk, nil); err != nil {
		return nil, err
	}
	for n := range chunk {
		k, receipt := &chunk[n], &receipts[chunk[n].position]
		if receipt.Err = k.err; k.err != nil {
			continue
		}
		receipt.Copy = k.there.copy
		var err error
		if receipt.Cancellation, err = m.cancelRequest(ctx, k.copy.RoomID, k.copy.SessionID); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

// forwarded takes one event through the gate and holds it against what was asked for.
func (m *Machine) forwarded(ctx context.Context, event sender.DecryptedOlmEvent) (*sender.Copy, error) {
	handover, err := m.finder.PrepareForwardedKey(m.trust, event)
	if err != nil {
		return nil, err
	}
	by, err := m.whoHandsOver(ctx, handover)
	if err != nil {
		return nil, err
	}
	entry, err := keyfile.ParseForwardedKey(handover.Content)
	if err != nil {
		return nil, err
	}
	asked, _, err := m.requested(ctx, entry.RoomID, entry.SessionID)
	if err != nil {
		return nil, err
	}
	if asked == nil {
		return nil, &sender.RoomKeyError{Code: sender.CodeForwardedKeyUnrequested}
	}
	c := m.claimed(entry)
	c.Forwarder = &by
	return c, nil
}

// whoHandsOver has the signatures of a handover checked.
func (m *Machine) whoHandsOver(ctx context.Context, h *sender.Handover) (sender.Forwarder, error) {
	checks := h.AppendChecks(nil)
	var held []bool
	if len(checks) > 0 {
		var err error
		if held, err = m.verifier.Verify(ctx, checks); err != nil {
			return sender.Forwarder{}, err
		}
	}
	return h.Finish(held)
}
