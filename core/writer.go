package core

import (
	"context"
	"slices"

	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/redact"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// maxClashes is how often one flush tries again after rows had changed under it. Each clash means that another tab got something done, so
// more than a few in a row are a store that lies.
const maxClashes = 64

// Flush writes everything on the shelf that is not written, in one batch. Rows that changed since they were read (another tab) are joined
// with what they hold now, and the batch is tried again; a join loses nothing of either side. On any other error nothing is written and
// everything stays on the shelf for the next time.
func (m *Machine) Flush(ctx context.Context) error {
	m.turn.look()
	defer m.leave()
	return m.flush(ctx)
}

func (m *Machine) flush(ctx context.Context) error {
	err := m.write(ctx)
	m.tell()
	return err
}

func (m *Machine) write(ctx context.Context) error { return m.writeWith(ctx, nil) }

// writeWith is write together with rows that are not on the shelf, in one batch: all of it is written, or nothing. When one of those is not as
// expected the error is that conflict, and the shelf is as before.
func (m *Machine) writeWith(ctx context.Context, beside []store.Op) error {
	m.writing.enter()
	defer m.writing.leave()
	return m.commit(ctx, beside, nil)
}

// commit is writeWith for whoever has entered m.writing. Where marks is not nil it is one row more, of which only a batch has need that marks a
// copy as being in the backup: the row that says which backup that is.
func (m *Machine) commit(ctx context.Context, beside []store.Op, marks *store.Op) error {
	for clashes := 0; ; clashes++ {
		w := m.collect(marks != nil)
		if len(beside) > 0 {
			w.batch.Ops, w.batch.Strict = append(w.batch.Ops, beside...), true
		}
		if marks != nil && w.marks() {
			w.batch.Ops = append(w.batch.Ops, *marks)
		}
		if len(w.batch.Ops) == 0 {
			w.committed()
			return nil
		}
		if m.closed {
			return errClosed()
		}
		err := m.storeBatch(ctx, w)
		if err == nil {
			w.committed()
			m.announce(w)
			return nil
		}
		conflict, ok := clash(err)
		if !ok || clashes == maxClashes || conflict.Names(beside) || marks != nil && conflict.Names([]store.Op{*marks}) {
			return err
		}
		if err := m.reconcile(ctx, conflict.Conflicts); err != nil {
			return err
		}
	}
}

// storeBatch commits the batch. If that ends in any other way, by a panic too, everything is on the shelf for the next time.
func (m *Machine) storeBatch(ctx context.Context, w *writing) error {
	stored := false
	defer func() {
		if !stored {
			w.putBack(m)
		}
	}()
	err := m.store.Commit(ctx, w.batch)
	stored = err == nil
	return err
}

// writing is one batch under way, and what to note down when it has been committed. It holds the values as they were when it was made: the
// shelf may move on while the commit waits.
type writing struct {
	redact.Secret
	batch     store.Batch
	aside     []store.Op
	sessions  []*session
	written   []writtenCopy
	discarded []sender.CopyKey // tombstones take their place
	after     []func()
	fresh     map[int]*session // of copies that are new, by the place of their operation
}

type writtenCopy struct {
	in     *shelved
	rev    uint64       // of the row that was written over
	before *sender.Copy // nil: new
	after  *sender.Copy
	cause  Cause
	seen   bool // the row was read while the commit was under way
}

// collect takes everything unwritten off the shelf's list and makes a batch of it. Unless it may, the batch marks no copy as being in the backup: such a
// mark is only remembered, of a backup that another tab has put aside since.
func (m *Machine) collect(mayMark bool) *writing {
	w := &writing{sessions: m.shelf.dirty, batch: store.Batch{Counters: map[string]int64{}}, fresh: map[int]*session{}}
	m.shelf.dirty = nil
	w.aside = m.takeAside(&w.batch)
	for _, in := range w.sessions {
		in.queued = false
		for _, there := range in.copies {
			switch {
			case there.gone:
				w.deleteCopy(in, there)
			case there.copy != there.stored || there.stale:
				if !mayMark && there.marks() {
					there.copy = there.copy.InBackup(false)
				}
				if there.rev == 0 && !in.whole.copies {
					w.fresh[len(w.batch.Ops)] = in
				}
				w.addCopy(there)
			}
		}
		for i := range in.graves {
			if !in.graves[i].written {
				w.add(record.TombstoneRow(in.graves[i].Tombstone), in.graves[i].rev)
				buried := in.graves[i].Tombstone
				w.discarded = append(w.discarded, buried.CopyKey)
				w.after = append(w.after, func() { in.wrote(buried) })
			}
		}
		if notice := in.withheld; notice != nil && !notice.written {
			w.add(record.WithheldRow(notice.Withheld), store.AnyRev)
			w.after = append(w.after, func() { notice.written = true })
		}
		for number, block := range in.replays {
			if block.unwritten {
				w.addReplays(in, number, block)
			}
		}
	}
	if len(w.fresh) > 0 {
		w.batch.Lone = &store.Lone{Parts: record.SessionParts, Empty: store.Tombstones, Found: func(op int) {
			if in := w.fresh[op]; in != nil {
				w.after = append(w.after, in.first)
			}
		}}
	}
	return w
}

// first notes that the copy which was written is the first of its session, so that nothing has to be read before it is used: where there was no copy and
// no tombstone either, no event was ever decrypted and remembered.
func (in *session) first() {
	if len(in.copies) == 1 && len(in.graves) == 0 {
		in.whole.copies, in.whole.graves, in.whole.replays = true, true, true
	}
}

func (w *writing) add(row store.Row, expect uint64) {
	w.batch.Ops = append(w.batch.Ops, row.Put(expect))
}

func (w *writing) addCopy(there *shelved) {
	w.add(record.CopyRowExtra(there.copy, there.extra), there.rev)
	w.written = append(w.written, writtenCopy{there, there.rev, there.stored, there.copy, there.because, false})
	before := 0
	if there.stored == nil {
		if there.rev == 0 { // otherwise a damaged row lies there, and was counted when it was whole
			w.batch.Counters[counterCopies]++
		}
		// A new key is the one thing that cannot be fetched again once the sync token has moved (decision 16).
		w.batch.Strict = true
	} else if there.stored.BackedUp {
		before = 1
	}
	after := 0
	if there.copy.BackedUp {
		after = 1
	}
	if after != before {
		w.batch.Counters[counterBackedUp] += int64(after - before)
	}
}

// marks reports whether a copy that does not count as being in the backup is to do so.
func (w *writing) marks() bool {
	return slices.ContainsFunc(w.written, func(c writtenCopy) bool { return marks(c.before, c.after) })
}

func (there *shelved) marks() bool { return marks(there.stored, there.copy) }

func marks(before, after *sender.Copy) bool {
	return after.BackedUp && (before == nil || !before.BackedUp)
}

// deleteCopy forgets a copy that is not what it claims to be.
func (w *writing) deleteCopy(in *session, there *shelved) {
	if there.stored != nil {
		w.batch.Ops = append(w.batch.Ops, store.Op{Table: store.Copies, Key: record.CopyKey(there.stored.CopyKey), Expect: there.rev})
		w.batch.Counters[counterCopies]--
		if there.stored.BackedUp {
			w.batch.Counters[counterBackedUp]--
		}
		w.discarded = append(w.discarded, there.stored.CopyKey)
	}
	w.after = append(w.after, func() {
		there.stored, there.rev = nil, 0
		if there.gone {
			in.drop(there)
		}
	})
}

// committed notes what the store holds now.
func (w *writing) committed() {
	for i := range w.written {
		c := &w.written[i]
		// Unless the row was read again while the commit was under way: then what was read is as new, or newer, and was noted to be told.
		if c.seen = c.in.rev != c.rev; !c.seen {
			c.in.stored, c.in.rev = c.after, c.rev+1
		}
		c.in.stale = false
	}
	for _, done := range w.after {
		done()
	}
}

// putBack lists everything as unwritten again.
func (w *writing) putBack(m *Machine) {
	m.aside = append(w.aside, m.aside...)
	for _, in := range w.sessions {
		m.shelf.queue(in)
	}
}

func (in *session) wrote(t *sender.Tombstone) {
	for i := range in.graves {
		if in.graves[i].Tombstone == t {
			in.graves[i].written = true
		}
	}
}

// opensMore reports whether a session opens messages that the one before does not: it begins earlier, or is another ratchet.
func opensMore(after, before *megolm.InboundSession) bool {
	return after != before && (after.FirstKnownIndex() < before.FirstKnownIndex() || after.Compare(before) == megolm.Unconnected)
}

// announce tells of copies that are new or open more than what lay in the store, and of those of whose sender more is known.
func (m *Machine) announce(w *writing) {
	m.tellSeen()
	var updates []SenderDataUpdate
	var news PeerNews
	others := slices.Clip(w.discarded)
	for _, c := range w.written {
		if c.before == nil || opensMore(c.after.Session, c.before.Session) {
			news.Copies = append(news.Copies, c.after.CopyKey)
		} else {
			others = append(others, c.after.CopyKey)
		}
		if c.before != nil && !c.seen && (c.before.Current != c.after.Current || c.before.Suspended != c.after.Suspended) {
			updates = append(updates, SenderDataUpdate{
				CopyKey: c.after.CopyKey, Before: c.before.Current, After: c.after.Current, Suspended: c.after.Suspended, Because: c.cause,
			})
		}
	}
	m.tellRoomKeys(news.Copies)
	if len(updates) > 0 {
		m.untold = append(m.untold, func(l Listener) { l.SenderDataUpdated(updates) })
	}
	news.Fresh, news.Copies = len(news.Copies), append(news.Copies, others...)
	m.tellPeers(news)
}

// tellRoomKeys tells of copies that are new or open more than before.
func (m *Machine) tellRoomKeys(copies []sender.CopyKey) {
	if len(copies) == 0 {
		return
	}
	fresh := make([]RoomKeyInfo, len(copies))
	for i := range copies {
		fresh[i] = RoomKeyInfo{copies[i].RoomID, copies[i].SessionID, copies[i].SenderKey}
	}
	m.untold = append(m.untold, func(l Listener) { l.RoomKeysUpdated(fresh) })
}

// reconcile reads the rows that were not as expected and joins the shelf with them.
func (m *Machine) reconcile(ctx context.Context, conflicts []store.Conflict) error {
	byTable := map[store.Table][]store.Key{}
	for _, c := range conflicts {
		byTable[c.Table] = append(byTable[c.Table], c.Key)
	}
	for table, keys := range byTable {
		rows, err := m.store.Get(ctx, table, keys)
		if err != nil {
			return err
		}
		for i := range rows {
			switch table {
			case store.Copies:
				m.reconcileCopy(&rows[i])
			case store.Tombstones:
				m.reconcileTombstone(&rows[i])
			case store.Replays:
				m.reconcileReplays(&rows[i])
			}
		}
	}
	return nil
}
