package core

import (
	"cmp"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/record"
	"knownsender/core/redact"
	"knownsender/core/sender"
)

// sessionName names a Megolm session: a session id is only good in its room (T26).
type sessionName struct {
	room    ids.RoomID
	session megolm.SessionID
}

func nameOf(key sender.CopyKey) sessionName { return sessionName{key.RoomID, key.SessionID} }

// shelf is what is in memory of the sessions: a cache of the store, and at the same time everything that is not written yet. What is changed
// here is seen by every call at once, and the writer carries it to the store. So a key can be used before it is on disk, and one that could
// not be written is not lost but written with the next commit.
type shelf struct {
	sessions map[sessionName]*session
	rooms    map[ids.RoomID]keeping // read whole
	loading  map[ids.RoomID]int     // being read, by how many calls; not evicted
	dirty    []*session             // in the order in which they became so
	tick     uint64
	evictAt  int // number of sessions
}

// keepSessions bounds the shelf: beyond it the half that was not used for longest goes, except what is unwritten or in a room of LoadRoom. A
// session takes about a kilobyte.
const keepSessions = 16384

// session is one Megolm session on the shelf.
type session struct {
	name     sessionName
	whole    parts
	copies   []*shelved
	graves   []grave
	withheld *withheldNotice
	replays  map[uint32]*replayBlock
	queued   bool // in shelf.dirty
	used     uint64
}

// parts says of what everything stored of a session is in memory.
type parts struct{ copies, graves, withheld, replays bool }

var everything = parts{true, true, true, true}

// keeping says whether a room that was read whole may be evicted.
type keeping bool

const (
	loose keeping = false // it was read ahead, for one of its events
	kept  keeping = true  // LoadRoom was called
)

// shelved is one copy: as it should be, and as it lies in the store. A sender.Copy never changes, so two pointers tell whether they differ.
type shelved struct {
	redact.Secret
	copy    *sender.Copy
	stored  *sender.Copy // nil: not there yet
	rev     uint64       // of the stored row
	extra   []byte       // what a newer version has written in the row; it goes back with every write (I24)
	because Cause
	gone    bool // to be deleted: judged again, it turned out to be forged
	// So many keys of imports wait to hear what lay in the store; was is that, nil for nothing.
	expected int
	was      *megolm.InboundSession

	stale bool // to be written although nothing changed: its row is of an older format, or its index entries are wrong (F36)
}

type grave struct {
	*sender.Tombstone
	written bool
	rev     uint64 // of the damaged row in its place, 0 when there is none
}

type withheldNotice struct {
	Withheld
	written bool
}

func newShelf() *shelf {
	return &shelf{
		sessions: make(map[sessionName]*session), rooms: make(map[ids.RoomID]keeping), loading: make(map[ids.RoomID]int), evictAt: keepSessions,
	}
}

// find returns the session if anything of it is in memory.
func (s *shelf) find(name sessionName) *session {
	found := s.sessions[name]
	if found != nil {
		s.tick++
		found.used = s.tick
	}
	return found
}

// copy returns the copy of that key if it is in memory.
func (s *shelf) copy(key sender.CopyKey) *shelved {
	if in := s.find(nameOf(key)); in != nil {
		return in.find(key)
	}
	return nil
}

// session returns the session, empty and incomplete if nothing of it is in memory.
func (s *shelf) session(name sessionName) *session {
	if found := s.find(name); found != nil {
		return found
	}
	_, whole := s.rooms[name.room]
	s.tick++
	made := &session{name: name, used: s.tick}
	if whole {
		made.whole = everything
	}
	s.sessions[name] = made
	if len(s.sessions) > s.evictAt {
		s.evict(made)
	}
	return made
}

// put joins a copy into its session and returns the copy as it is now.
func (s *shelf) put(c *sender.Copy, because Cause) (*sender.Copy, sender.JoinReport) {
	in := s.session(nameOf(c.CopyKey))
	for _, there := range in.copies {
		if there.copy.CopyKey == c.CopyKey {
			if there.gone {
				// A tombstone keeps nothing out: the new copy begins afresh (T06).
				there.copy, there.gone, there.because = c, false, because
				s.queue(in)
				return c, sender.JoinReport{}
			}
			joined, report := sender.Join(there.copy, c)
			if joined != there.copy {
				there.copy, there.because = joined, because
				s.queue(in)
			}
			return joined, report
		}
	}
	in.copies = append(in.copies, &shelved{copy: c, because: because})
	s.queue(in)
	return c, sender.JoinReport{}
}

// drop takes a session off the shelf of which nothing has been written.
func (s *shelf) drop(name *sessionName) {
	if name == nil {
		return
	}
	in := s.sessions[*name]
	delete(s.sessions, *name)
	s.dirty = slices.DeleteFunc(s.dirty, func(other *session) bool { return other == in })
}

// load keeps what is read first of sessions of a room from being evicted before the end, which is when the function that it returns is called.
func (s *shelf) load(room ids.RoomID) (end func()) {
	s.loading[room]++
	return func() {
		if s.loading[room]--; s.loading[room] == 0 {
			delete(s.loading, room)
		}
	}
}

// held notes where the copies of a room stand before the store is read.
func (s *shelf) held(room ids.RoomID) map[*shelved]uint64 {
	held := map[*shelved]uint64{}
	for name, in := range s.sessions {
		if name.room == room {
			in.hold(held)
		}
	}
	return held
}

// whole notes that everything stored of a room is in memory.
func (s *shelf) whole(room ids.RoomID) {
	if _, already := s.rooms[room]; !already {
		s.rooms[room] = loose
	}
	for name, in := range s.sessions {
		if name.room == room {
			in.whole = everything
		}
	}
}

func (s *shelf) queue(in *session) {
	if !in.queued {
		in.queued = true
		s.dirty = append(s.dirty, in)
	}
}

func (s *shelf) evict(except *session) {
	old := make([]*session, 0, len(s.sessions))
	for _, in := range s.sessions {
		if s.rooms[in.name.room] != kept && s.loading[in.name.room] == 0 && !in.queued && in != except {
			old = append(old, in)
		}
	}
	slices.SortFunc(old, func(a, b *session) int { return cmp.Compare(a.used, b.used) })
	for _, in := range old[:len(old)/2] {
		delete(s.sessions, in.name)
		delete(s.rooms, in.name.room)
	}
	// Where little can go, the next look at all of them is not due with the next session.
	s.evictAt = max(s.evictAt, 2*len(s.sessions))
}

// find returns the session's copy of that key, also one that is to be deleted.
func (in *session) find(key sender.CopyKey) *shelved {
	for _, there := range in.copies {
		if there.copy.CopyKey == key {
			return there
		}
	}
	return nil
}

// all lists the session's copies, best known first, so that the first one that decrypts an event is the one to be preferred.
func (in *session) all() []*sender.Copy {
	all := make([]*sender.Copy, 0, len(in.copies))
	for _, there := range in.copies {
		if !there.gone {
			all = append(all, there.copy)
		}
	}
	sortBestFirst(all)
	return all
}

// sortBestFirst puts copies of one session in order: direct before claimed, then by what is known of the sender.
func sortBestFirst(copies []*sender.Copy) {
	slices.SortStableFunc(copies, func(a, b *sender.Copy) int {
		return cmp.Or(cmp.Compare(a.Provenance, b.Provenance), b.Current.Compare(a.Current))
	})
}

// discard marks a copy for deletion and leaves a tombstone in its place.
func (in *session) discard(there *shelved, t *sender.Tombstone) {
	there.gone = true
	in.bury(t)
}

// drop takes a deleted copy off the list.
func (in *session) drop(there *shelved) {
	in.copies = slices.DeleteFunc(in.copies, func(other *shelved) bool { return other == there })
}

func (in *session) tombstones() []*sender.Tombstone {
	all := make([]*sender.Tombstone, len(in.graves))
	for i := range in.graves {
		all[i] = in.graves[i].Tombstone
	}
	return all
}

// Withheld is a notice that somebody keeps a room key from us (m.room_key.withheld). Anybody can write one: it explains, it never decides
// (T46).
type Withheld = record.Withheld
