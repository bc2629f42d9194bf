package core

import (
	"context"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// BuildRoomKeyBundle is the content of a history bundle for somebody who is invited to a room (MSC4268), nil when there is nothing to say: the room
// keys whose senders meant them to be shared, and a notice for each of the others. It is secret, and to be encrypted as an attachment.
//
// Each session is in it once. Where its own sender gave us the key, his word on sharing counts, and no file overrules it. Suspended copies are left
// out, and those that somebody handed over who has another identity by now than the one we verified: the bundle would be in our name.
//
// Errors: *keyfile.BundleError bundle_too_large, and those of the store.
func (m *Machine) BuildRoomKeyBundle(ctx context.Context, room ids.RoomID) ([]byte, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	// What is still on its way to the store belongs in it too.
	if err := m.flush(ctx); err != nil {
		return nil, err
	}
	var writer keyfile.BundleWriter
	defer writer.Wipe()
	var copies []*sender.Copy // of one session: in the store they lie together
	for query := (store.Query{Table: store.Copies, Prefix: record.RoomKey(room), Limit: exportPage}); ; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return nil, err
		}
		for i := range rows {
			c, err := record.DecodeCopy(rows[i])
			if err != nil {
				m.quarantine(store.Copies, &rows[i], err)
				continue
			}
			if len(copies) > 0 && c.SessionID != copies[0].SessionID {
				if err := m.bundle(&writer, copies); err != nil {
					return nil, err
				}
				copies = nil
			}
			copies = append(copies, c)
		}
		if len(rows) < exportPage {
			break
		}
		query = query.Next(&rows[len(rows)-1])
	}
	if err := m.bundle(&writer, copies); err != nil {
		return nil, err
	}
	return writer.Content(), nil
}

// bundle adds what the copies of one session come to.
func (m *Machine) bundle(writer *keyfile.BundleWriter, copies []*sender.Copy) error {
	distrusted := m.distrusted(copies)
	fit := slices.DeleteFunc(copies, func(c *sender.Copy) bool {
		return c.Suspended || c.Forwarder != nil && slices.Contains(distrusted, c.Forwarder.Data.UserID)
	})
	if len(fit) == 0 {
		return nil
	}
	sortBestFirst(fit)
	chosen := oneForAll(fit)
	if !chosen.SharedHistory {
		return writer.Withhold(chosen)
	}
	return writer.Share(chosen)
}
