package core

import (
	"context"

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
	Users    []ids.UserID     // whose rows were written
	Asked    []ids.UserID     // who wait for a tab that runs the lanes
	Answered []ids.UserID     // whose request has come to its end
}

// MeetPeers says that there are other tabs over the same store: from now on they are told.
func (m *Machine) MeetPeers() {
	m.turn.Lock()
	defer m.leave()
	m.company = true
}

// tellPeers tells other tabs, if there are any and if there is anything to tell.
func (m *Machine) tellPeers(news PeerNews) {
	if m.company && len(news.Copies)+len(news.Users)+len(news.Asked)+len(news.Answered) > 0 {
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
	if err := m.rereadPeople(ctx, news.Users); err != nil {
		return err
	}
	if err := m.rereadCopies(ctx, news.Copies); err != nil {
		return err
	}
	if !m.lanes.follows {
		for _, user := range news.Asked {
			m.lanes.questions.Ask(user)
		}
	}
	m.lanes.questions.AnsweredElsewhere(news.Answered)
	m.dispatch()
	return nil
}

// rereadPeople brings the index up to what another tab wrote. It judges nothing again: the tab that wrote does.
func (m *Machine) rereadPeople(ctx context.Context, users []ids.UserID) error {
	if len(users) == 0 {
		return nil
	}
	m.learning.enter()
	defer m.learning.leave()
	rows, err := m.readPeople(ctx, users)
	if err != nil {
		return err
	}
	for user, person := range rows.records {
		if m.revs[user] != rows.revs[user] {
			m.loadPerson(user, person, rows.revs[user])
		}
	}
	return nil
}

// rereadCopies reads again the copies of which something is in memory. The others are read when they are needed.
func (m *Machine) rereadCopies(ctx context.Context, names []sender.CopyKey) error {
	var keys []store.Key
	var before []*shelved
	var revs []uint64
	for i := range names {
		if there := m.shelf.copy(names[i]); there != nil {
			keys, before, revs = append(keys, record.CopyKey(names[i])), append(before, there), append(revs, there.rev)
		} else if in := m.shelf.find(nameOf(names[i])); in != nil {
			in.complete = false
			delete(m.shelf.rooms, in.name.room)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	rows, err := m.store.Get(ctx, store.Copies, keys)
	if err != nil {
		return err
	}
	var updates []SenderDataUpdate
	for i := range rows {
		was := before[i].copy
		if rows[i].Rev == 0 {
			m.shelf.session(nameOf(was.CopyKey)).vanished(before[i], revs[i])
			continue
		}
		if m.take(&rows[i]) == nil {
			continue
		}
		if now := before[i].copy; now.Current != was.Current || now.Suspended != was.Suspended {
			updates = append(updates, SenderDataUpdate{
				CopyKey: now.CopyKey, Before: was.Current, After: now.Current, Suspended: now.Suspended, Because: BecausePeer,
			})
		}
	}
	if len(updates) > 0 {
		m.untold = append(m.untold, func(l Listener) { l.SenderDataUpdated(updates) })
	}
	return nil
}
