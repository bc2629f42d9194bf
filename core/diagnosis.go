package core

import (
	"context"

	"knownsender/core/record"
	"knownsender/core/store"
)

// Diagnosis is what people ask when something is wrong with what is stored. There is nothing in it that was encrypted or could decrypt anything.
type Diagnosis struct {
	Quarantined []Quarantined
	Unwritten   int   // sessions on the shelf with something that is not in the store yet
	NextRetry   int64 // when the retry lane asks about the earliest waiting copy, in milliseconds since 1970; -1 when none waits
}

// Quarantined is how many rows of one table were set aside for one reason, and when one was last found.
type Quarantined struct {
	record.Aside
	Count int
}

// asidePage is how many rows of the quarantine are read at once: they may be large.
const asidePage = 64

// Diagnose reads the quarantine and the schedule. Errors: those of the store.
func (m *Machine) Diagnose(ctx context.Context) (*Diagnosis, error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return nil, errClosed()
	}
	d := &Diagnosis{Unwritten: len(m.shelf.dirty), NextRetry: -1}
	// What is to be set aside with the next batch may lie there from an earlier run: it is one row.
	fresh := map[string]bool{}
	for _, op := range m.aside {
		fresh[op.Key.String()] = true
		d.count(&store.Row{Key: op.Key, Value: op.Value})
	}
	err := m.eachRow(ctx, store.Query{Table: store.Quarantine, Limit: asidePage}, func(row *store.Row) {
		if !fresh[row.Key.String()] {
			d.count(row)
		}
	})
	if err != nil {
		return nil, err
	}
	rows, err := store.Page(ctx, m.store, store.Query{Table: store.Copies, Index: store.IndexDue, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		d.NextRetry, _, _ = record.ParseDue(rows[0].Entry(store.IndexDue))
	}
	return d, nil
}

func (d *Diagnosis) count(row *store.Row) {
	aside, _ := record.ParseQuarantine(row)
	for i := range d.Quarantined {
		if q := &d.Quarantined[i]; q.Table == aside.Table && q.Code == aside.Code {
			q.Count, q.At = q.Count+1, max(q.At, aside.At)
			return
		}
	}
	d.Quarantined = append(d.Quarantined, Quarantined{aside, 1})
}
