package core

import (
	"context"
	"math"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// LoadRoom reads everything stored of a room's sessions into memory, so that RoomEventEncryptionInfo can answer for it at once, and keeps it there.
func (m *Machine) LoadRoom(ctx context.Context, room ids.RoomID) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return errClosed()
	}
	if _, whole := m.shelf.rooms[room]; !whole {
		if _, err := m.loadRoom(ctx, room, math.MaxInt); err != nil {
			return err
		}
	}
	m.shelf.rooms[room] = kept
	return nil
}

// roomPage is how many rows of a room are read in one transaction of each table.
const roomPage = 256

// loadRoom reads everything stored of a room's sessions, and reports whether it is in memory now: it is not where that takes more transactions.
func (m *Machine) loadRoom(ctx context.Context, room ids.RoomID, transactions int) (bool, error) {
	defer m.shelf.load(room)()
	held := m.shelf.held(room)
	// Tombstones not before the last copies: one takes the place of the other in one batch, so of the two at least one is seen.
	var ask, later []store.Query
	for _, table := range []store.Table{store.Copies, store.Tombstones, store.Withheld, store.Replays} {
		ask = append(ask, store.Query{Table: table, Prefix: record.RoomKey(room), Limit: roomPage})
	}
	for ; len(ask) > 0; transactions-- {
		if transactions == 0 {
			return false, nil
		}
		pages, err := m.store.Pages(ctx, ask...)
		if err != nil {
			return false, err
		}
		if ask[0].Table == store.Copies && len(pages[0]) == roomPage {
			pages, later = pages[:1], append(later, ask[1:]...)
		}
		var next []store.Query
		for i, rows := range pages {
			for j := range rows {
				m.takeRow(ask[i].Table, &rows[j], held)
			}
			if len(rows) == roomPage {
				next = append(next, ask[i].Next(&rows[len(rows)-1]))
			} else if ask[i].Table == store.Copies {
				m.vanished(held)
				next, later = append(next, later...), nil
			}
		}
		ask = next
	}
	m.shelf.whole(room)
	return true, nil
}

// eachRow reads all rows from a query on.
func (m *Machine) eachRow(ctx context.Context, query store.Query, take func(*store.Row)) error {
	for {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return err
		}
		for i := range rows {
			take(&rows[i])
		}
		if len(rows) < query.Limit {
			return nil
		}
		query = query.Next(&rows[len(rows)-1])
	}
}

// takeRow puts on the shelf what lies in a row, and takes copies off the list of those that were held before.
func (m *Machine) takeRow(table store.Table, row *store.Row, held map[*shelved]uint64) {
	switch table {
	case store.Copies:
		m.take(row)
		m.found(held, row)
	case store.Tombstones:
		m.takeTombstone(row)
	case store.Withheld:
		m.takeWithheld(row)
	case store.Replays:
		m.takeReplays(row)
	}
}

// loadCopies returns the session with every stored copy.
func (m *Machine) loadCopies(ctx context.Context, name sessionName) (*session, error) {
	if in := m.shelf.find(name); in != nil && in.whole.copies {
		return in, nil
	}
	if _, whole := m.shelf.rooms[name.room]; whole {
		return m.absent(name), nil
	}
	return m.reloadCopies(ctx, name)
}

// reloadCopies reads the session's stored copies, whether or not they were read before.
func (m *Machine) reloadCopies(ctx context.Context, name sessionName) (*session, error) {
	held := map[*shelved]uint64{}
	if in := m.shelf.find(name); in != nil {
		in.hold(held)
	}
	query := store.Query{Table: store.Copies, Prefix: record.SessionKey(name.room, name.session), Limit: store.MaxLimit}
	err := m.eachRow(ctx, query, func(row *store.Row) { m.takeRow(store.Copies, row, held) })
	if err != nil {
		return nil, err
	}
	m.vanished(held)
	in := m.absent(name)
	in.whole.copies = true
	return in, nil
}

// hold notes where the session's copies stand before the store is read.
func (in *session) hold(held map[*shelved]uint64) {
	for _, there := range in.copies {
		held[there] = there.rev
	}
}

// found takes a copy off the list because there is a row of it, be it damaged.
func (m *Machine) found(held map[*shelved]uint64, row *store.Row) {
	if len(held) == 0 {
		return
	}
	if key, ok := record.ParseCopyKey(row.Key); ok {
		delete(held, m.shelf.copy(key))
	}
}

// vanished is for copies that were held before the store was read and were not in it.
func (m *Machine) vanished(held map[*shelved]uint64) {
	for there, rev := range held {
		if in := m.shelf.find(nameOf(there.copy.CopyKey)); in != nil && in.vanished(there, rev) {
			delete(m.shelf.rooms, in.name.room)
		}
	}
}

// vanished takes a copy off the list whose row is gone although it was there at rev: another tab has discarded it, and left a tombstone, which is to be
// read. What we have yet to write of it stays.
func (in *session) vanished(there *shelved, rev uint64) bool {
	if rev == 0 || there.rev != rev || there.copy != there.stored {
		return false
	}
	in.drop(there)
	in.whole.graves = false
	return true
}

// absent is a session of which nothing may be there. In a room that was read whole it is not put on the shelf for that: a server can name as
// many sessions as it likes, and those of loaded rooms are not evicted.
func (m *Machine) absent(name sessionName) *session {
	if in := m.shelf.find(name); in != nil {
		return in
	}
	if _, whole := m.shelf.rooms[name.room]; whole {
		return &session{name: name, whole: everything}
	}
	return m.shelf.session(name)
}

// loadReplays reads one block of a session's replay memory. It is asked for when a message of that block has authenticated: before that, any
// number could stand in an event.
func (m *Machine) loadReplays(ctx context.Context, in *session, block uint32) error {
	if in.knows(block) {
		return nil
	}
	rows, err := m.store.Get(ctx, store.Replays, []store.Key{record.ReplayKey(in.name.room, in.name.session, block)})
	if err != nil {
		return err
	}
	m.takeReplays(&rows[0])
	if in.replays[block] == nil {
		in.addBlock(block, &replayBlock{events: map[uint32]ids.EventID{}, rev: rows[0].Rev})
	}
	return nil
}

// loadAsides reads what explains a session without a key. It is asked for when one is missing, which is rare.
func (m *Machine) loadAsides(ctx context.Context, in *session) error {
	if in.whole.graves && in.whole.withheld {
		return nil
	}
	if err := m.readAsides(ctx, record.SessionKey(in.name.room, in.name.session)); err != nil {
		return err
	}
	in.whole.graves, in.whole.withheld = true, true
	return nil
}

// readAsides reads the tombstones and withheld notices of a session, or of a room.
func (m *Machine) readAsides(ctx context.Context, prefix store.Key) error {
	for _, table := range []store.Table{store.Tombstones, store.Withheld} {
		query := store.Query{Table: table, Prefix: prefix, Limit: store.MaxLimit}
		if err := m.eachRow(ctx, query, func(row *store.Row) { m.takeRow(table, row, nil) }); err != nil {
			return err
		}
	}
	return nil
}

// take puts a stored copy on the shelf and returns where it stands; nil when the row is damaged. A row older than what is in memory is
// passed over: it was read while a commit of ours was under way.
func (m *Machine) take(row *store.Row) *shelved {
	there, _ := m.takeAs(row, false)
	return there
}

// takeAs is take; with binding the row's revision is the truth whatever we remember, as after a conflict.
func (m *Machine) takeAs(row *store.Row, binding bool) (there *shelved, err error) {
	c, extra, err := record.DecodeCopyExtra(*row)
	if err != nil {
		m.quarantine(store.Copies, row, err)
		return nil, err
	}
	in := m.shelf.session(nameOf(c.CopyKey))
	there = in.find(c.CopyKey)
	switch {
	case there == nil:
		there = &shelved{copy: c, stored: c, rev: row.Rev, extra: extra}
		in.copies = append(in.copies, there)
		m.restore(in, there, row)
	case binding || row.Rev > there.rev:
		was := there.stored
		there.stored, there.rev, there.extra = c, row.Rev, extra
		if there.gone {
			return there, nil
		}
		m.saw(was, c)
		ours := there.copy
		if ours == was {
			// Nothing of ours is unwritten: what lies there is newer in everything, also in what a join would only add to (marks of the backup).
			there.copy = c
			m.restore(in, there, row)
			return there, nil
		}
		if was != nil && ours.BackedUp == was.BackedUp {
			ours = ours.InBackup(c.BackedUp)
		}
		if there.expected > 0 && was == nil {
			there.was = c.Session
		}
		joined, report := sender.Join(c, ours)
		if report.Refused != "" && there.expected == 0 {
			// It was received before it was known that another one is stored; nobody is left to hand the refusal to.
			conflict := &RoomKeyConflict{Code: report.Refused, CopyKey: c.CopyKey}
			m.report(StoreReport{Code: CodeRoomKeyConflict, Table: store.Copies, Message: conflict.Error()})
		}
		if there.copy = joined; there.copy != c {
			m.shelf.queue(in)
		}
		m.restore(in, there, row)
	case row.Rev == there.rev && !there.gone:
		m.restore(in, there, row)
	}
	return there, nil
}

// restore sees to it that a row which no index finds where it should is written again, with the next batch (F36, scenario 160).
func (m *Machine) restore(in *session, there *shelved, row *store.Row) {
	if there.stale = record.Stale(row, there.stored); there.stale {
		m.shelf.queue(in)
	}
}

// reconcileCopy takes over a row that was not as a commit expected it.
func (m *Machine) reconcileCopy(row *store.Row) {
	if row.Rev != 0 {
		if _, err := m.takeAs(row, true); err == nil {
			return
		}
	}
	// Nothing readable lies there: ours goes in its place.
	key, ok := record.ParseCopyKey(row.Key)
	if !ok {
		return
	}
	in := m.shelf.session(nameOf(key))
	if there := in.find(key); there != nil {
		there.stored, there.rev = nil, row.Rev
		m.shelf.queue(in)
	}
}

func (m *Machine) takeTombstone(row *store.Row) {
	t, err := record.DecodeTombstone(*row)
	if err != nil {
		m.quarantine(store.Tombstones, row, err)
		return
	}
	in := m.shelf.session(nameOf(t.CopyKey))
	for i := range in.graves {
		if in.graves[i].CopyKey == t.CopyKey {
			return
		}
	}
	in.graves = append(in.graves, grave{Tombstone: t, written: true})
}

// reconcileTombstone takes over a tombstone that another tab was faster to write. The first one stays; a damaged one is written over.
func (m *Machine) reconcileTombstone(row *store.Row) {
	var stored *sender.Tombstone
	if row.Rev != 0 {
		var err error
		if stored, err = record.DecodeTombstone(*row); err != nil {
			m.quarantine(store.Tombstones, row, err)
		}
	}
	for _, in := range m.shelf.dirty {
		for i := range in.graves {
			if g := &in.graves[i]; !g.written && record.TombstoneRow(g.Tombstone).Key.Equal(row.Key) {
				if g.rev = row.Rev; stored != nil {
					g.Tombstone, g.written = stored, true
				}
			}
		}
	}
}

func (m *Machine) takeWithheld(row *store.Row) {
	w, err := record.DecodeWithheld(*row)
	if err != nil {
		m.quarantine(store.Withheld, row, err)
		return
	}
	in := m.shelf.session(sessionName{w.RoomID, w.SessionID})
	if in.withheld == nil {
		in.withheld = &withheldNotice{Withheld: w, written: true}
	}
}

func (m *Machine) takeReplays(row *store.Row) {
	if row.Rev != 0 {
		m.reconcileReplays(row)
	}
}

// quarantine sets a damaged row aside: a copy of its bytes goes to the quarantine table with the next batch, the row itself stays until
// something good takes its place, and the listener is told. Once for each row.
func (m *Machine) quarantine(table store.Table, row *store.Row, why error) {
	aside := record.QuarantineRow(*row, record.Aside{Table: table, Code: reasonOf(why), At: m.now()})
	name := aside.Key.String()
	if m.quarantined[name] {
		return
	}
	m.quarantined[name] = true
	m.aside = append(m.aside, aside.Put(store.AnyRev))
	m.report(StoreReport{Code: CodeRecordQuarantined, Table: table, Message: why.Error()})
}

// takeAside adds the rows to be set aside to a batch, and returns them for the case that the batch is not committed.
func (m *Machine) takeAside(batch *store.Batch) []store.Op {
	aside := m.aside
	batch.Ops = append(batch.Ops, aside...)
	m.aside = nil
	return aside
}
