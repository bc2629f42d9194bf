package core_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"

	"knownsender/core"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// What is told of the store to people who ask.

func (w *world) diagnose() *core.Diagnosis {
	w.t.Helper()
	diagnosis, err := w.machine.Diagnose(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return diagnosis
}

// F35: what was set aside is told by table and reason, with how often and when it was last found, from the moment it is found and after a restart.
func TestDiagnosisOfDamage(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	for range 5 {
		w.kept(w.event(phone, room, w.kit.Outbound()))
	}
	if got := w.diagnose(); len(got.Quarantined) != 0 || got.Unwritten != 0 {
		t.Errorf("nothing is wrong: %+v", got)
	}
	for i, bad := range [][]byte{{}, []byte("nonsense"), nil} {
		row := rowOf(t, w, i)
		if bad == nil {
			bad = damages(row.Value)["F35: a flipped bit"]
		}
		w.rot(store.Copies, row.Key, bad)
	}
	w.restart()
	*w.clock = 1_700_000_111_000
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	since, until := int64(1_700_000_111_000), *w.clock
	want := []core.Quarantined{
		{Aside: record.Aside{Table: store.Copies, Code: record.CodeBadFrame}, Count: 2},
		{Aside: record.Aside{Table: store.Copies, Code: record.CodeBadChecksum}, Count: 1},
	}
	same := func(what string) {
		t.Helper()
		got := map[core.Quarantined]bool{}
		for _, q := range w.diagnose().Quarantined {
			if q.At < since || q.At > until {
				t.Errorf("%s: found at %d", what, q.At)
			}
			q.At = 0
			got[q] = true
		}
		for _, q := range want {
			if !got[q] || len(got) != len(want) {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
	}
	same("found, and not set aside yet")
	w.kept(w.event(phone, room, w.kit.Outbound()))
	same("set aside")
	w.restart()
	same("after a restart")
	*w.clock += 5000
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	since, until = until+5000, *w.clock
	same("found again, as the same rows")
}

// What the store below set aside, without a word from us, is counted too.
func TestDiagnosisOfForeignRows(t *testing.T) {
	w := newWorld(t)
	var ops []store.Op
	for _, name := range []string{"a", "b", "c"} {
		ops = append(ops, store.Op{Table: store.Quarantine, Key: store.Key{"copies", "leaf", name}, Value: []byte{}})
	}
	w.commit(store.Batch{Ops: append(ops, store.Op{Table: store.Quarantine, Key: store.Key{"elsewhere"}, Value: []byte("x")})})
	want := []core.Quarantined{{Aside: record.Aside{Table: store.Copies}, Count: 3}, {Count: 1}}
	got := w.diagnose().Quarantined
	if len(got) == 2 && got[0].Count == 1 {
		got[0], got[1] = got[1], got[0]
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

// When the next key is asked about is told, and nothing when none waits; so is what is not written yet.
func TestDiagnosisOfSchedules(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	if got := w.diagnose(); got.NextRetry != -1 {
		t.Errorf("nothing waits, and %d is told", got.NextRetry)
	}
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)})
	if got := w.diagnose(); got.Unwritten != 1 || got.NextRetry != -1 {
		t.Errorf("not written: %+v", got)
	}
	w.flush()
	due := w.diagnose()
	if due.Unwritten != 0 {
		t.Errorf("written: %+v", due)
	}
	rows := must(store.Page(context.Background(), w.rows, store.Query{Table: store.Copies, Index: store.IndexDue}))
	if len(rows) != 1 {
		t.Fatalf("%d rows are due", len(rows))
	}
	if want, _, ok := record.ParseDue(rows[0].Entry(store.IndexDue)); !ok || due.NextRetry != want {
		t.Errorf("%d, want %d", due.NextRetry, want)
	}
	later := rows[0]
	later.Index[slices.IndexFunc(later.Index, func(e store.IndexEntry) bool { return e.Name == store.IndexDue })].Value[0] = record.DueName(1_700_000_900_000)
	w.commit(store.Batch{Ops: []store.Op{later.Put(later.Rev)}})
	if got := w.diagnose(); got.NextRetry != 1_700_000_900_000 {
		t.Errorf("%d", got.NextRetry)
	}
	w.answer(alice)
	w.flush()
	if got := w.diagnose(); got.NextRetry != -1 {
		t.Errorf("known now, and %d is told", got.NextRetry)
	}
}

// A store that fails is told as such; a closed machine says so.
func TestDiagnosisOfABrokenStore(t *testing.T) {
	for _, broken := range []store.Table{store.Quarantine, store.Copies} {
		gone := store.Table("")
		w := closedWorld(t)
		w.wrap = func(s store.Store) store.Store { return unreadable{s, &gone} }
		w.open()
		gone = broken
		var failed *store.Error
		if _, err := w.machine.Diagnose(context.Background()); !errors.As(err, &failed) || failed.Code != store.CodeUnavailable {
			t.Errorf("%s: %v", broken, err)
		}
	}
	w := newWorld(t)
	if err := w.machine.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.machine.Diagnose(context.Background()); codeOf(t, err) != store.CodeClosed {
		t.Error(err)
	}
}

// unreadable is a store of which one table cannot be read.
type unreadable struct {
	store.Store
	table *store.Table
}

func (u unreadable) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	for _, q := range queries {
		if q.Table == *u.table {
			return nil, &store.Error{Code: store.CodeUnavailable, Message: "the disk is gone"}
		}
	}
	return u.Store.Pages(ctx, queries...)
}
