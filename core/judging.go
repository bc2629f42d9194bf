package core

import (
	"cmp"
	"context"
	"crypto/rand"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Judging again. What we learn of a person bears on stored room keys in two ways, and each has its index, so that cost grows with what
// changed and not with what is stored:
//
//   - devices and identities bear on copies whose sender is not known yet: index `waiting`, by user, or by user and curve25519 key;
//   - verification bears on copies whose sender is known under the master key in question: index `owner`, by user and master key.
//
// The note of what is to be judged is written in the same batch as what was learned, and deleted when all of it has been judged. So a crash
// in between is made good by the next start (Resume).

// job is what one change bears on.
type job struct {
	name    string
	because Cause
	parts   []record.JudgePart
}

// pending lists the jobs that an earlier run left behind.
type pending []*job

// jobOf says what is to be judged again after changes; nil when nothing is.
func (m *Machine) jobOf(because Cause, changes ...*trust.Change) *job {
	j := &job{because: because}
	whole := map[ids.UserID]bool{} // users all of whose waiting copies are to be judged
	for _, change := range changes {
		for i := range change.Identities {
			if user := change.Identities[i].UserID; !whole[user] {
				whole[user] = true
				j.parts = append(j.parts, record.JudgePart{Index: store.IndexWaiting, Value: store.Key{string(user)}})
			}
		}
	}
	for _, change := range changes {
		for i := range change.Devices {
			d := &change.Devices[i]
			if d.Kind != trust.Removed && !whole[d.UserID] {
				j.parts = append(j.parts, record.JudgePart{Index: store.IndexWaiting, Value: store.Key{string(d.UserID), d.Curve25519.String()}})
			}
		}
		for i := range change.Verifications {
			v := &change.Verifications[i]
			j.parts = append(j.parts, record.JudgePart{Index: store.IndexOwner, Value: store.Key{string(v.UserID), v.Master.String()}})
		}
	}
	if len(j.parts) == 0 {
		return nil
	}
	// Two tabs must not name their notes alike. The name means nothing.
	j.name = rand.Text()
	return j
}

// note is the operation that writes the job down.
func (j *job) note() store.Op {
	return record.JudgeNoteRow(record.JudgeNote{Name: j.name, Because: string(j.because), Parts: j.parts}).Put(store.AnyRev)
}

// judgePage is how many copies are judged and written at a time.
const judgePage = 256

// judge judges again every stored copy that a job names, in pages, and forgets the job's note. It returns how many copies changed.
func (m *Machine) judge(ctx context.Context, j *job) (changed int, err error) {
	// What is still on its way to the store is not in its indexes.
	if err := m.flush(ctx); err != nil {
		return 0, err
	}
	for _, index := range store.Indexes(store.Copies) {
		n, err := m.judgeIndex(ctx, index, partsOf(j.parts, index), j.because)
		changed += n
		if err != nil {
			return changed, err
		}
	}
	done := store.Batch{Ops: []store.Op{{Table: store.Meta, Key: record.JudgeNoteKey(j.name), Expect: store.AnyRev}}}
	return changed, m.store.Commit(ctx, done)
}

func partsOf(all []record.JudgePart, index string) []record.JudgePart {
	var parts []record.JudgePart
	for _, part := range all {
		if part.Index == index {
			parts = append(parts, part)
		}
	}
	return parts
}

// judgeIndex judges what parts name in one index. An answer about hundreds of users names hundreds of parts, and mostly little waits for any of
// them: where the whole index is less than a page, one look does for all.
func (m *Machine) judgeIndex(ctx context.Context, index string, parts []record.JudgePart, because Cause) (changed int, err error) {
	if len(parts) > 1 {
		rows, err := store.Page(ctx, m.store, store.Query{Table: store.Copies, Index: index, Limit: judgePage})
		if err != nil {
			return 0, err
		}
		if len(rows) < judgePage {
			rows = slices.DeleteFunc(rows, func(row store.Row) bool {
				return !slices.ContainsFunc(parts, func(part record.JudgePart) bool { return row.Entry(index).HasPrefix(part.Value) })
			})
			if changed, err = m.judgeRows(ctx, rows, because); err != nil {
				return changed, err
			}
			return changed, m.flush(ctx)
		}
	}
	for _, part := range parts {
		n, err := m.judgePart(ctx, part, because)
		changed += n
		if err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// judgePart judges what one part names. While one page is written the next is read and judged.
func (m *Machine) judgePart(ctx context.Context, part record.JudgePart, because Cause) (changed int, err error) {
	query := store.Query{Table: store.Copies, Index: part.Index, IndexValue: part.Value, Limit: judgePage}
	written := func() error { return nil }
	for {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return changed, cmp.Or(written(), err)
		}
		n, err := m.judgeRows(ctx, rows, because)
		changed += n
		if before := written(); err != nil || before != nil {
			return changed, cmp.Or(before, err)
		}
		if len(rows) < judgePage {
			return changed, m.flush(ctx)
		}
		written = m.beside(func() error { return m.flush(ctx) })
		query = query.Next(&rows[len(rows)-1])
	}
}

// beside has f run at the waits of the call that begins it. What it returns waits for the end of that, once; if f panics, so does that.
func (m *Machine) beside(f func() error) (end func() error) {
	var err error
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		m.turn.Lock()
		defer m.turn.Unlock()
		err = f()
	}()
	return func() error {
		m.turn.give(func() { <-done })
		if panicked != nil {
			panic(panicked)
		}
		return err
	}
}

// judgeRows judges the copies in rows and puts what changed on the shelf.
func (m *Machine) judgeRows(ctx context.Context, rows []store.Row, because Cause) (changed int, err error) {
	copies := make([]*shelved, 0, len(rows))
	for i := range rows {
		if there := m.take(&rows[i]); there != nil {
			copies = append(copies, there)
		}
	}
	return m.judgeCopies(ctx, copies, because)
}

// judgeCopies walks copies through the finder once more and puts what changed on the shelf.
func (m *Machine) judgeCopies(ctx context.Context, copies []*shelved, because Cause) (changed int, err error) {
	judgements := make([]*sender.Judgement, len(copies))
	var checks []keys.Check
	for i, there := range copies {
		judgements[i] = m.finder.PrepareJudgement(m.trust, there.copy)
		checks = judgements[i].AppendChecks(checks)
	}
	var held []bool
	if len(checks) > 0 {
		if held, err = m.verifier.Verify(ctx, checks); err != nil {
			return 0, err
		}
	}
	for i, there := range copies {
		n := judgements[i].Checks()
		finding := judgements[i].Finish(held[:n])
		held = held[n:]
		before := there.copy
		next, different := before.Apply(&finding)
		if !different {
			continue
		}
		changed++
		there.because = because
		in := m.shelf.session(nameOf(before.CopyKey))
		if next == nil {
			in.discard(there, before.Bury(&finding, m.now()))
		} else {
			there.copy = next
		}
		m.shelf.queue(in)
	}
	return changed, nil
}

// Resume judges what an earlier run, an earlier call or a tab that is gone had learned but not got to the end of judging, brings rows of an
// older format into the indexes, and takes up what was left to do for our own identity. Call it after Open, when there is time, and when this tab begins
// to lead; whatever is learned later goes on with it as well.
func (m *Machine) Resume(ctx context.Context) error {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return errClosed()
	}
	if err := m.upgradeCopies(ctx); err != nil {
		return err
	}
	if err := m.loadPending(ctx); err != nil {
		return err
	}
	if len(m.pending) > 0 {
		if err := m.catchUpWithAll(ctx); err != nil {
			return err
		}
	}
	if err := m.resume(ctx); err != nil || m.account == nil {
		return err
	}
	return m.account.takeUp(ctx)
}

func (m *Machine) resume(ctx context.Context) error {
	for len(m.pending) > 0 {
		next := m.pending[0]
		m.pending = m.pending[1:]
		if _, err := m.judge(ctx, next); err != nil {
			m.pending = append(m.pending, next)
			return err
		}
	}
	return nil
}

// loadPending reads the notes of an earlier run, or of a tab that is gone. That of a tab which still works on it is judged twice, to one end.
func (m *Machine) loadPending(ctx context.Context) error {
	rows, err := store.Page(ctx, m.store, store.Query{Table: store.Meta, Prefix: record.JudgeNotesPrefix(), Limit: store.MaxLimit})
	if err != nil {
		return err
	}
	for i := range rows {
		note, err := record.DecodeJudgeNote(rows[i])
		if err != nil {
			m.quarantine(store.Meta, &rows[i], err)
			continue
		}
		if slices.ContainsFunc(m.pending, func(j *job) bool { return j.name == note.Name }) {
			continue
		}
		m.pending = append(m.pending, &job{name: note.Name, because: Cause(note.Because), parts: slices.Clone(note.Parts)})
	}
	return nil
}
