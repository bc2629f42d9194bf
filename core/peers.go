package core

import (
	"context"
	"slices"
	"time"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Several tabs over one store. What keeps them right is the store: every write is compare-and-set, and two tabs that did the same work come to
// the join of it. What they tell each other only makes it quick and keeps them from doing the work twice: one of them runs the slow and the
// retry lane, the others hand it their questions and read again what it wrote.

// PeerNews is what one tab tells the others.
type PeerNews struct {
	Copies   []sender.CopyKey // whose rows were written
	Fresh    int              // so many of Copies, the first, are new, or open more than before
	Users    []ids.UserID     // whose rows were written
	Asked    []ids.UserID     // who wait for a tab that runs the lanes
	Answered []ids.UserID     // whose request has come to its end
	Account  bool             // our Olm account was written
}

// MeetPeers says that there are other tabs over the same store: from now on they are told.
func (m *Machine) MeetPeers() {
	m.turn.Lock()
	defer m.leave()
	m.company = true
}

// tellPeers tells other tabs, if there are any and if there is anything to tell.
func (m *Machine) tellPeers(news PeerNews) {
	if m.company && (news.Account || len(news.Copies)+len(news.Users)+len(news.Asked)+len(news.Answered) > 0) {
		m.untold = append(m.untold, func(l Listener) { l.PeersTold(news) })
	}
}

// HearPeers takes in what another tab told. What is in memory of the rows it wrote is read again, and changes are told to the listener as if
// they had been made here. Errors: those of the store; then the next conflict brings the same to light.
func (m *Machine) HearPeers(ctx context.Context, news PeerNews) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return errClosed()
	}
	changed, err := m.rereadPeople(ctx, news.Users)
	if err != nil {
		return err
	}
	if err := m.judgeRecent(ctx, changed); err != nil {
		return err
	}
	if err := m.rereadCopies(ctx, news.Copies); err != nil {
		return err
	}
	m.tellRoomKeys(news.Copies[:min(news.Fresh, len(news.Copies))])
	if !m.lanes.follows {
		for _, user := range news.Users {
			if m.toBeAsked(user) {
				m.lanes.news[user] = true // as if it had been marked here: what is asked already, and ends in vain, is not about this
			}
		}
		for _, user := range news.Asked {
			m.lanes.questions.Ask(user)
			m.lanes.rememberVain(user, m.now()) // the retry lane need not ask for the same copies: it only gives them a time
		}
	}
	m.lanes.questions.AnsweredElsewhere(news.Answered)
	m.dispatch()
	if news.Account && m.account != nil {
		return m.account.heard(ctx)
	}
	return nil
}

// rereadPeople brings the index up to what another tab wrote, and returns of whom it was news. The stored copies are judged by the tab that wrote.
func (m *Machine) rereadPeople(ctx context.Context, users []ids.UserID) (changed []ids.UserID, err error) {
	if len(users) == 0 {
		return nil, nil
	}
	m.learning.enter()
	defer m.learning.leave()
	rows, err := m.readPeople(ctx, users)
	if err != nil {
		return nil, err
	}
	for user, person := range rows.records {
		if m.revs[user] != rows.revs[user] {
			marked := m.toBeAsked(user)
			m.loadPerson(user, person, rows.revs[user])
			changed = append(changed, user)
			if !marked && m.toBeAsked(user) {
				m.trust.MarkedElsewhere(user)
			}
		}
	}
	return changed, nil
}

// toBeAsked says that a user's device list is followed and outdated.
func (m *Machine) toBeAsked(user ids.UserID) bool {
	return m.trust.Tracked(user) && m.trust.DeviceListOutdated(user)
}

// recent is a copy that was received not long ago.
type recent struct {
	sender.CopyKey
	at int64
}

// How long and how many received copies are remembered for judgeRecent. News between tabs takes milliseconds; a tab may be busy for seconds.
const (
	recentFor = time.Minute
	maxRecent = 16384
)

// rememberRecent notes copies that were judged by what this tab knows now.
func (m *Machine) rememberRecent(r *Reception, now int64) {
	if !m.company {
		return
	}
	old := 0
	for old < len(m.recent) && m.recent[old].at < now-recentFor.Milliseconds() {
		old++
	}
	m.recent = slices.Delete(m.recent, 0, old)
	for i := range r.Receipts {
		if c := r.Receipts[i].Copy; c != nil && len(m.recent) < maxRecent {
			m.recent = append(m.recent, recent{c.CopyKey, now})
		}
	}
}

// judgeRecent judges copies again that this tab received while another learned of their senders. The other has judged what was stored by then,
// and this one had not heard by then.
func (m *Machine) judgeRecent(ctx context.Context, users []ids.UserID) error {
	if len(users) == 0 {
		return nil
	}
	everybody := slices.Contains(users, m.trust.Own().UserID) // who is verified rests on our own identity
	var copies []*shelved
	for i := range m.recent {
		if there := m.shelf.copy(m.recent[i].CopyKey); there != nil && !there.gone && (everybody || slices.Contains(users, there.copy.OlmUser)) {
			copies = append(copies, there)
		}
	}
	if changed, err := m.judgeCopies(ctx, copies, BecausePeer); err != nil || changed == 0 {
		return err
	}
	return m.flush(ctx)
}

// rereadCopies reads again the copies of which something is in memory. The others are read when they are needed, but for those of rooms that
// were read whole: what is not in memory of them counts as not being there.
func (m *Machine) rereadCopies(ctx context.Context, names []sender.CopyKey) error {
	var keys, fresh []store.Key
	var before []*shelved
	var revs []uint64
	for i := range names {
		if there := m.shelf.copy(names[i]); there != nil {
			m.shelf.find(nameOf(names[i])).whole.graves = false
			keys, before, revs = append(keys, record.CopyKey(names[i])), append(before, there), append(revs, there.rev)
		} else if in := m.shelf.find(nameOf(names[i])); in != nil {
			in.whole.copies, in.whole.graves = false, false
			delete(m.shelf.rooms, in.name.room)
		} else if _, whole := m.shelf.rooms[names[i].RoomID]; whole {
			fresh = append(fresh, record.CopyKey(names[i]))
		}
	}
	if len(keys)+len(fresh) == 0 {
		return nil
	}
	rows, err := m.store.Get(ctx, store.Copies, slices.Concat(keys, fresh))
	if err != nil {
		return err
	}
	for i := range rows[len(keys):] {
		if row := &rows[len(keys)+i]; row.Rev != 0 {
			m.take(row)
		}
	}
	whole := map[ids.RoomID][]*session{}
	for i := range rows[:len(keys)] {
		in := m.shelf.session(nameOf(before[i].copy.CopyKey))
		if rows[i].Rev == 0 {
			in.vanished(before[i], revs[i])
		} else {
			m.take(&rows[i])
		}
		if _, is := m.shelf.rooms[in.name.room]; is {
			whole[in.name.room] = append(whole[in.name.room], in)
		}
	}
	return m.rereadAsides(ctx, whole)
}

// rereadAsides brings rooms that were read whole up to what another tab left in the place of copies that it discarded: nobody reads there again before it
// is asked about an event.
func (m *Machine) rereadAsides(ctx context.Context, whole map[ids.RoomID][]*session) error {
	for room, sessions := range whole {
		if err := m.readAsides(ctx, record.RoomKey(room)); err != nil {
			for room := range whole {
				delete(m.shelf.rooms, room)
			}
			return err
		}
		for _, in := range sessions {
			in.whole.graves, in.whole.withheld = true, true
		}
	}
	return nil
}
