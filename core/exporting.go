package core

import (
	"context"
	"fmt"
	"io"

	"knownsender/core/keyfile"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Export is an export under way: a walk over the stored copies, page by page, so that it costs the same memory however many there are.
//
// Each session is exported once for each device that is said to have made it. Where a device's own copy (direct) and what a file said (claimed)
// both lead to one ratchet, that is one entry, with the earlier index of the two. A claimed copy that contradicts the direct one is left out. So
// is whatever is suspended, until it may be shown again; what a file said beside it is exported as what it is. A copy that is known only through
// somebody who handed it over (Forwarder) stays here: an export does not say so, and would come back as if it had always been ours (T45).
type Export struct {
	machine *Machine
	query   store.Query
	held    *sender.Copy // of the row before, while another copy of the same device may follow
	begun   bool
	done    bool
}

// exportPage is how many rows are read at a time: with what is made of them some twenty milliseconds, in a page.
const exportPage = 256

// BeginExport begins an export of all stored room keys.
func (m *Machine) BeginExport() *Export {
	return &Export{machine: m, query: store.Query{Table: store.Copies, Limit: exportPage}}
}

// Format prints the same for every export, whatever the verb: it may hold a copy.
func (e Export) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "core.Export") }

// Next reads the next copies to be exported, each with the session to export. None means that there are no more. What changes in the store
// meanwhile is exported as it was or as it is. Errors: those of the store.
func (e *Export) Next(ctx context.Context) ([]*sender.Copy, error) {
	m := e.machine
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	if !e.begun {
		// What is still on its way to the store is exported too.
		if err := m.flush(ctx); err != nil {
			return nil, err
		}
		e.begun = true
	}
	for !e.done {
		rows, err := store.Page(ctx, m.store, e.query)
		if err != nil {
			return nil, err
		}
		var copies []*sender.Copy
		for i := range rows {
			c, err := record.DecodeCopy(rows[i])
			if err != nil {
				m.quarantine(store.Copies, &rows[i], err)
				continue
			}
			if c.Forwarder == nil {
				copies = e.add(copies, c)
			}
		}
		if len(rows) < exportPage {
			e.done = true
			copies = appendExported(copies, e.held, nil)
		} else {
			e.query = e.query.Next(&rows[len(rows)-1])
		}
		if len(copies) > 0 {
			return copies, nil
		}
	}
	return nil, nil
}

// add adds what the copy before this one comes to, alone or together with it. The direct and the claimed copy of one device lie together, in either order.
func (e *Export) add(copies []*sender.Copy, c *sender.Copy) []*sender.Copy {
	before := e.held
	e.held = c
	if before == nil || !sameDevice(before, c) {
		return appendExported(copies, before, nil)
	}
	e.held = nil
	return appendExported(copies, before, c)
}

// appendExported adds what the one or two copies of a device are exported as.
func appendExported(copies []*sender.Copy, direct, claimed *sender.Copy) []*sender.Copy {
	if direct != nil && direct.Provenance == sender.Claimed {
		direct, claimed = claimed, direct
	}
	out := claimed
	if direct != nil {
		out = exported(direct, claimed)
	}
	if out == nil {
		return copies
	}
	return append(copies, out)
}

// sameDevice reports whether two copies are of one session and name one device.
func sameDevice(a, b *sender.Copy) bool {
	return a.RoomID == b.RoomID && a.SessionID == b.SessionID && a.SenderKey == b.SenderKey
}

// exported is what a direct copy and the claimed one beside it, if there is one, are exported as; nil for nothing.
func exported(direct, claimed *sender.Copy) *sender.Copy {
	switch {
	case direct.Suspended:
		return claimed
	case claimed == nil || claimed.Session.FirstKnownIndex() >= direct.Session.FirstKnownIndex() ||
		claimed.Session.Compare(direct.Session) == megolm.Unconnected:
		return direct
	}
	return withSession(direct, claimed.Session)
}

// withSession is a copy with an earlier ratchet of its session.
func withSession(c *sender.Copy, session *megolm.InboundSession) *sender.Copy {
	if c.Session == session {
		return c
	}
	earlier := *c
	earlier.Session = session
	return &earlier
}

// AppendExported writes a copy of Next as an element of a key export. Where the machine has a sender data key, direct copies carry what was known
// of their sender, authenticated.
func (m *Machine) AppendExported(dst []byte, c *sender.Copy) []byte {
	return keyfile.AppendEntrySigned(dst, c, m.senderDataKey)
}
