package core

import (
	"bytes"
	"context"
	"maps"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// What lies in the store and memory does not have: rows that another tab wrote, rows of a commit whose answer was lost, rows of an older
// version.

// catchUp takes over the rows of people that are newer than what the index holds, and adds to missed what that bears on. Otherwise an answer
// that another tab had applied before us would change nothing here, neither the row nor what is in memory.
func (m *Machine) catchUp(rows people, missed *trust.Change) {
	var newer []ids.UserID
	everybody := false
	for user := range rows.records {
		if m.revs[user] != rows.revs[user] {
			newer = append(newer, user)
			everybody = everybody || user == m.trust.Own().UserID
		}
	}
	if len(newer) == 0 {
		return
	}
	stood := map[ids.UserID]trust.Verification{}
	note := func(user ids.UserID) { stood[user] = m.trust.Verification(user) }
	for _, user := range newer {
		note(user)
	}
	if everybody { // who is verified rests on our own identity
		for user := range m.trust.Users() {
			note(user)
		}
	}
	for _, user := range newer {
		m.loadPerson(user, rows.records[user], rows.revs[user])
		missed.Identities = append(missed.Identities, trust.IdentityChange{UserID: user, Kind: trust.Changed})
	}
	for user, before := range stood {
		if after := m.trust.Verification(user); after != before {
			identity, _ := m.trust.Identity(user)
			missed.Verifications = append(missed.Verifications, trust.VerificationChange{UserID: user, Master: identity.Master, Before: before, After: after})
		}
	}
	m.shelf.forget(func(user ids.UserID) bool { _, changed := stood[user]; return changed })
}

// catchUpWithAll takes over everything there is to know of people, before unfinished judging is gone on with. Who learned it may be gone without
// having told anybody: to judge by what we knew before, and then to forget the note, would be to lose it. The other tabs are told now.
func (m *Machine) catchUpWithAll(ctx context.Context) error {
	m.learning.enter()
	defer m.learning.leave()
	rows, err := m.readEverybody(ctx)
	if err != nil {
		return err
	}
	missed := &trust.Change{}
	m.catchUp(rows, missed)
	if j := m.jobOf(BecausePeer, missed); j != nil {
		m.pending = append(m.pending, j)
	}
	untold := map[ids.UserID]bool{m.trust.Own().UserID: true}
	for _, j := range m.pending {
		for i := range j.parts {
			untold[ids.UserID(j.parts[i].Value[0])] = true
		}
	}
	m.tellPeers(PeerNews{Users: slices.Sorted(maps.Keys(untold))})
	return nil
}

// forget has the stored copies of these users read anew before they are asked again: whoever wrote what we missed judged them too.
func (s *shelf) forget(of func(ids.UserID) bool) {
	for _, in := range s.sessions {
		for _, there := range in.copies {
			if of(there.copy.OlmUser) {
				in.whole.copies, in.whole.graves = false, false
				delete(s.rooms, in.name.room)
				break
			}
		}
	}
}

// copiesFormat names the meta row that says for which format all copies were last walked.
const copiesFormat = "copies_format"

// upgradeCopies walks all copies once for each format: those of an older one stand in no index, so nothing that is learned would ever reach
// them (scenario 160).
func (m *Machine) upgradeCopies(ctx context.Context) error {
	current := record.MetaRow(copiesFormat, []byte{record.CopyFormat})
	rows, err := m.store.Get(ctx, store.Meta, []store.Key{current.Key})
	if err != nil || bytes.Equal(rows[0].Value, current.Value) {
		return err
	}
	for query := (store.Query{Table: store.Copies, Limit: judgePage}); ; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return err
		}
		for i := range rows {
			if c, err := record.DecodeCopy(rows[i]); err != nil || record.Stale(&rows[i], c) {
				m.take(&rows[i]) // which has it written again, or sets it aside
			}
		}
		if err := m.flush(ctx); err != nil {
			return err
		}
		if len(rows) < judgePage {
			break
		}
		query = query.Next(&rows[len(rows)-1])
	}
	return m.store.Commit(ctx, store.Batch{Ops: []store.Op{current.Put(store.AnyRev)}})
}
