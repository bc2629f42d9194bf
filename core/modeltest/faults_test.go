package modeltest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Seeded faults. Production code has no switch for them: each is done to the rows on their way between the Machine and the store, or to the
// answers of the verifier, so that what arrives is what a Machine with that fault would have written.

// fault is one fault, the law that must catch it, and the world in which it does.
type fault struct {
	name      string
	law       string
	world     string
	meddler   func(*meddling) // prepares what is done to each operation
	credulous bool            // every signature holds
	crashes   bool            // it shows only in what follows a crash
}

var faults = []fault{
	{name: "the last one wins", law: "I2", world: "six copies", meddler: lastWins},
	{name: "one record per session id", law: "I13", world: "six copies", meddler: oneRecord},
	{name: "overwritten without comparing trust", law: "I3", world: "whose phone is it", meddler: trustOverwritten},
	{name: "pinned again after a rotation", law: "I4", world: "whose phone is it", meddler: pinnedAgain},
	{name: "an import that becomes known", law: "a claimed copy knows its sender", world: "six copies", meddler: claimKnown},
	{name: "an import filed as if it were direct", law: "I5", world: "six copies", meddler: claimFiledDirect},
	{name: "the legacy flag is lost", law: "I6", world: "six copies", meddler: legacyLost},
	{name: "nobody asks whose device it is", law: "I8", world: "six copies", meddler: ownerUnchecked},
	{name: "wrong signatures hold", law: "I8", world: "whose phone is it", credulous: true},
	{name: "acknowledged and not written", law: "I13", world: "six copies", meddler: notWritten},
	{name: "what was known at reception is overwritten", law: "decision 2", world: "whose phone is it", meddler: receptionOverwritten},
	{name: "message indexes are not remembered", law: "I19", world: "who took the index", meddler: indexesForgotten},
	{name: "unfinished judging is not noted down", law: "I23", world: "whose phone is it", meddler: notesForgotten, crashes: true},
	{name: "a copy that waits is in no index", law: "F36", world: "whose phone is it", meddler: indexLost},
	{name: "a forged signature suspends nothing", law: "I11", world: "whose phone is it", meddler: suspensionLost},
	{name: "that we had verified somebody is forgotten", law: "pin or latch", world: "whom do we trust", meddler: latchLost},
}

// Each seeded fault is caught, with the shortest history that shows it.
func TestSeededFaults(t *testing.T) {
	w := theWorld()
	caught := 0
	for i := range faults {
		f := &faults[i]
		x := &explorer{archive: newArchive(w), letters: w.chapter(f.world), depth: 5, single: true, lazy: !f.crashes}
		if f.meddler != nil {
			x.seed = func(under store.Store) store.Store {
				m := &meddling{Store: under, w: w}
				f.meddler(m)
				return m
			}
		}
		x.credulous = f.credulous
		found := x.explore()
		if found == nil {
			found = x.commuting()
		}
		switch {
		case found == nil:
			t.Errorf("%s: not caught in %d states", f.name, len(x.nodes))
		case !strings.Contains(strings.Join(found.wrongs, "\n"), f.law):
			t.Errorf("%s: caught by another law than %s:\n%s", f.name, f.law, found)
		default:
			caught++
			t.Logf("caught: %s, after %d states: %s\n  %s", f.name, len(x.nodes), found.wrongs[0], strings.Join(found.history, "\n  "))
		}
	}
	t.Logf("seeded faults caught: %d of %d", caught, len(faults))
}

// meddling is a store that does to operations, and to rows that are read, what a fault would.
type meddling struct {
	store.Store
	w *world

	write func(op *store.Op) (keep bool)            // each operation of a batch; nil: as it is
	batch func(ctx context.Context, b *store.Batch) // before that, the whole batch
	after func(b *store.Batch, err error)           // once it has been answered
	read  func(row *store.Row)                      // each row that is read
}

func (m *meddling) Commit(ctx context.Context, b store.Batch) error {
	b.Ops = slices.Clone(b.Ops)
	if m.batch != nil {
		m.batch(ctx, &b)
	}
	if m.write != nil {
		kept := b.Ops[:0]
		for _, op := range b.Ops {
			if m.write(&op) {
				kept = append(kept, op)
			} else if op.Table == store.Copies {
				b.Counters = nil
			}
		}
		b.Ops = kept
	}
	err := m.Store.Commit(ctx, b)
	if m.after != nil {
		m.after(&b, err)
	}
	return err
}

func (m *meddling) Get(ctx context.Context, table store.Table, wanted []store.Key) ([]store.Row, error) {
	rows, err := m.Store.Get(ctx, table, wanted)
	return m.seen(rows), err
}

func (m *meddling) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	pages, err := m.Store.Pages(ctx, queries...)
	for _, rows := range pages {
		m.seen(rows)
	}
	return pages, err
}

func (m *meddling) seen(rows []store.Row) []store.Row {
	if m.read != nil {
		for i := range rows {
			if rows[i].Rev != 0 {
				m.read(&rows[i])
			}
		}
	}
	return rows
}

// copyOf is the copy that an operation puts, nil when it does not.
func copyOf(op *store.Op) *sender.Copy {
	if op.Table != store.Copies || op.Value == nil {
		return nil
	}
	return must(record.DecodeCopy(store.Row{Table: op.Table, Key: op.Key, Rev: 1, Value: op.Value, Index: op.Index}))
}

// put makes an operation put this copy instead.
func put(op *store.Op, c *sender.Copy) {
	row := record.CopyRow(c)
	op.Key, op.Value, op.Index = row.Key, row.Value, row.Index
}

// personOf is the person that an operation puts.
func personOf(op *store.Op) *trust.UserRecord {
	if op.Table != store.Users || op.Value == nil {
		return nil
	}
	return must(record.DecodeUser(store.Row{Table: op.Table, Key: op.Key, Rev: 1, Value: op.Value, Index: op.Index}))
}

// stored is every stored copy.
func (m *meddling) stored(ctx context.Context) []store.Row {
	return must(store.Page(ctx, m.Store, store.Query{Table: store.Copies}))
}

// lastWins writes over whatever lies there, but for what was known at reception.
func lastWins(m *meddling) {
	var there []store.Row
	m.batch = func(ctx context.Context, _ *store.Batch) { there = m.stored(ctx) }
	m.write = func(op *store.Op) bool {
		c := copyOf(op)
		if c == nil {
			return true
		}
		last := *c
		for _, row := range there {
			if row.Key.Equal(op.Key) {
				stored := must(record.DecodeCopy(row))
				last.AtReception, last.ReceivedAt = stored.AtReception, stored.ReceivedAt
			}
		}
		put(op, &last)
		op.Expect = store.AnyRev
		return true
	}
}

func oneRecord(m *meddling) {
	var taken []store.Row
	m.batch = func(ctx context.Context, _ *store.Batch) { taken = m.stored(ctx) }
	m.write = func(op *store.Op) bool {
		return op.Table != store.Copies || !slices.ContainsFunc(taken, func(row store.Row) bool {
			return row.Key[:2].Equal(op.Key[:2]) && !row.Key.Equal(op.Key)
		})
	}
}

// trustOverwritten lets a delivery's own sender data win: those of the batch that met a conflict, before they were joined.
func trustOverwritten(m *meddling) {
	delivered := map[string]*sender.Copy{}
	m.write = func(op *store.Op) bool {
		if c := copyOf(op); c != nil && delivered[op.Key.String()] != nil {
			overwritten, from := *c, delivered[op.Key.String()]
			overwritten.Current, overwritten.Step, overwritten.EmbeddedDevice = from.Current, from.Step, from.EmbeddedDevice
			put(op, &overwritten)
		}
		return true
	}
	m.after = func(b *store.Batch, err error) {
		for i := range b.Ops {
			if c := copyOf(&b.Ops[i]); c != nil && err != nil {
				delivered[b.Ops[i].Key.String()] = c
			}
		}
	}
}

func pinnedAgain(m *meddling) {
	m.batch = func(ctx context.Context, b *store.Batch) {
		for i := range b.Ops {
			p := personOf(&b.Ops[i])
			if p == nil || p.Identity == nil {
				continue
			}
			for _, row := range m.stored(ctx) {
				c := *must(record.DecodeCopy(row))
				if c.Current.Kind.Known() && c.OlmUser == p.UserID && c.Current.MasterKey != p.Identity.Master.Key {
					c.Current.MasterKey = p.Identity.Master.Key
					op := store.Op{Table: store.Copies, Expect: row.Rev}
					put(&op, &c)
					b.Ops = append(b.Ops, op)
				}
			}
		}
	}
}

func claimKnown(m *meddling) {
	m.batch = func(ctx context.Context, b *store.Batch) {
		for i := range b.Ops {
			p := personOf(&b.Ops[i])
			if p == nil || p.Identity == nil {
				continue
			}
			for _, row := range m.stored(ctx) {
				c := *must(record.DecodeCopy(row))
				if c.Provenance == sender.Claimed && slices.ContainsFunc(p.Devices, func(d trust.DeviceRecord) bool { return d.Curve25519 == c.SenderKey }) {
					c.Current = sender.Data{Kind: sender.SenderUnverified, UserID: p.UserID, DeviceID: p.Devices[0].DeviceID, MasterKey: p.Identity.Master.Key}
					op := store.Op{Table: store.Copies, Expect: row.Rev}
					put(&op, &c)
					b.Ops = append(b.Ops, op)
				}
			}
		}
	}
}

func claimFiledDirect(m *meddling) {
	m.write = func(op *store.Op) bool {
		if c := copyOf(op); c != nil && c.Provenance == sender.Claimed {
			filed := *c
			filed.Provenance, filed.OlmUser, filed.Legacy = sender.Direct, alice, false
			put(op, &filed)
			op.Expect = store.AnyRev
		}
		return true
	}
}

func legacyLost(m *meddling) {
	m.write = func(op *store.Op) bool {
		if c := copyOf(op); c != nil && c.Legacy && op.Expect != 0 { // not when it is new, but when it is written again
			lost := *c
			lost.Legacy = false
			put(op, &lost)
		}
		return true
	}
}

// ownerUnchecked shows every device with the fingerprint key that somebody else wrote into a payload, as if it had never been compared.
func ownerUnchecked(m *meddling) {
	claimed := fingerprint(m.w.phone.Ed25519())
	m.read = func(row *store.Row) {
		if row.Table != store.Users || row.Key[0] != string(mallory) {
			return
		}
		p := must(record.DecodeUser(*row))
		for i := range p.Devices {
			p.Devices[i].Ed25519 = claimed
		}
		row.Value = record.UserRow(p).Value
	}
}

func notWritten(m *meddling) {
	m.write = func(op *store.Op) bool { return op.Table != store.Copies || op.Expect != 0 }
}

func receptionOverwritten(m *meddling) {
	m.write = func(op *store.Op) bool {
		if c := copyOf(op); c != nil {
			now := *c
			now.AtReception = now.Current
			put(op, &now)
		}
		return true
	}
}

func indexesForgotten(m *meddling) {
	m.write = func(op *store.Op) bool { return op.Table != store.Replays }
}

func notesForgotten(m *meddling) {
	m.write = func(op *store.Op) bool { return op.Table != store.Meta || len(op.Key) != 2 || op.Value == nil }
}

func indexLost(m *meddling) {
	m.write = func(op *store.Op) bool {
		op.Index = slices.DeleteFunc(slices.Clone(op.Index), func(e store.IndexEntry) bool { return e.Name == store.IndexWaiting })
		return true
	}
}

func suspensionLost(m *meddling) {
	m.write = func(op *store.Op) bool {
		if c := copyOf(op); c != nil && c.Suspended {
			lifted := *c
			lifted.Suspended = false
			put(op, &lifted)
		}
		return true
	}
}

func latchLost(m *meddling) {
	m.write = func(op *store.Op) bool {
		p := personOf(op)
		if p == nil || p.Identity == nil || !p.Identity.PreviouslyVerified || p.Identity.SignedByUs {
			return true
		}
		forgotten, identity := *p, *p.Identity
		identity.PreviouslyVerified, forgotten.Identity = false, &identity
		op.Value = record.UserRow(&forgotten).Value
		return true
	}
}

// credulous finds every signature good.
type credulous struct{}

func (credulous) Verify(_ context.Context, checks []keys.Check) ([]bool, error) {
	return slices.Repeat([]bool{true}, len(checks)), nil
}
