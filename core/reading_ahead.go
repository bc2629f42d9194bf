package core

import (
	"context"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/store"
)

// Reading ahead. A transaction costs more than the rows it reads, and who wants one event of a room decrypted will want others. So what was asked for while
// a transaction was under way is read by the next one together, and a room of which sessions were read again and again is read whole, where it is small.
// A room key that was just received needs none of this: the commit that stored it has told whether anything else is stored of its session.

const (
	// fewReads is how often sessions of a room are read before the whole room is.
	fewReads = 3
	// smallRoom is how many transactions it takes at most to read such a room whole, of 256 rows and some ten milliseconds each.
	smallRoom = 8
	// sessionsAtOnce is how many sessions are read together.
	sessionsAtOnce = 64
	// fewRows is how many rows of a session are expected at most in each table. Where there are more it takes another transaction.
	fewRows = 16
)

// roomReads is what is read of one room, of sessions as they are needed.
type roomReads struct {
	under  chan struct{} // closed when the read that is under way is over; nil: none is
	wanted []sessionName // to be read next
	times  int
	large  bool
}

// readsOf returns what is known of the reads of a room.
func (m *Machine) readsOf(room ids.RoomID) *roomReads {
	reads := m.reads[room]
	if reads == nil {
		reads = &roomReads{}
		m.reads[room] = reads
	}
	return reads
}

// loadAhead returns the session with everything stored that bears on its events, and whether that was read just now.
func (m *Machine) loadAhead(ctx context.Context, name sessionName) (in *session, fresh bool, err error) {
	for {
		if in = m.shelf.find(name); in != nil && in.whole.copies && in.whole.replays {
			return in, fresh, nil
		}
		if _, whole := m.shelf.rooms[name.room]; whole {
			return m.absent(name), fresh, nil
		}
		reads := m.readsOf(name.room)
		under := reads.under
		if under == nil {
			in, err := m.readAhead(ctx, reads, name)
			return in, true, err
		}
		if !slices.Contains(reads.wanted, name) {
			reads.wanted = append(reads.wanted, name)
		}
		m.turn.give(func() {
			select {
			case <-under:
			case <-ctx.Done():
			}
		})
		if err := ctx.Err(); err != nil {
			return nil, false, &store.Error{Code: store.CodeAborted, Message: "the caller gave up", Err: err}
		}
		fresh = true
	}
}

func (m *Machine) readAhead(ctx context.Context, reads *roomReads, name sessionName) (*session, error) {
	under := make(chan struct{})
	reads.under = under
	defer func() {
		reads.under = nil
		close(under)
	}()
	var whole bool
	var err error
	if reads.times++; reads.times > fewReads && !reads.large {
		whole, err = m.loadRoom(ctx, name.room, smallRoom)
		reads.large = err == nil && !whole
		if whole {
			delete(m.reads, name.room)
		}
	}
	if err == nil && !whole {
		next := slices.DeleteFunc(reads.wanted, func(other sessionName) bool { return other == name })
		next = append([]sessionName{name}, next...)
		together := min(len(next), sessionsAtOnce)
		reads.wanted = next[together:]
		err = m.loadSessions(ctx, next[:together])
	}
	if err != nil {
		return nil, err
	}
	return m.absent(name), nil
}

// loadSessions reads what is stored of sessions of one room, but for notices of withheld keys, all at one moment.
func (m *Machine) loadSessions(ctx context.Context, names []sessionName) error {
	defer m.shelf.load(names[0].room)()
	var queries []store.Query
	held := map[*shelved]uint64{}
	for _, name := range names {
		prefix := record.SessionKey(name.room, name.session)
		for _, table := range []store.Table{store.Copies, store.Tombstones, store.Replays} {
			queries = append(queries, store.Query{Table: table, Prefix: prefix, Limit: fewRows})
		}
		if in := m.shelf.find(name); in != nil {
			in.hold(held)
		}
	}
	pages, err := m.store.Pages(ctx, queries...)
	if err != nil {
		return err
	}
	for i, rows := range pages {
		query := queries[i]
		for j := range rows {
			m.takeRow(query.Table, &rows[j], held)
		}
		if len(rows) == query.Limit {
			err := m.eachRow(ctx, query.Next(&rows[len(rows)-1]), func(row *store.Row) { m.takeRow(query.Table, row, held) })
			if err != nil {
				return err
			}
		}
	}
	m.vanished(held)
	for _, name := range names {
		in := m.absent(name)
		in.whole.copies, in.whole.graves, in.whole.replays = true, true, true
	}
	return nil
}
