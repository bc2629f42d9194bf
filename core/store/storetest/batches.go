package storetest

// Stories of batches: all or nothing, compared with what was read, counters in the same transaction.

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"knownsender/core/store"
)

func conflicts(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Users, 0, "a1", "@a"), put(store.Users, 0, "b1", "@b"))
	commit(t, s, put(store.Users, 1, "b2", "@b"))
	before := Dump(t, s)
	// When one batch holds a good put, a row that exists already, a stale row, and a row that is gone.
	err := s.Commit(ctx(t), store.Batch{
		Ops: []store.Op{
			put(store.Users, 0, "new", "@new"),
			put(store.Users, 0, "a2", "@a"),
			put(store.Users, 1, "b3", "@b"),
			put(store.Copies, 7, "c", "!r", "s", "k", "direct"),
		},
		Counters: map[string]int64{"copies": 1},
	})
	// Then all three are named, with what was expected and what is there.
	e := wantCode(t, err, store.CodeConflict)
	found := map[string]string{}
	for _, c := range e.Conflicts {
		found[string(c.Table)+" "+strings.Join(c.Key, "/")] = fmt.Sprint(c.Expect, "→", c.Got)
	}
	if len(e.Conflicts) != 3 || found["users @a"] != "0→1" || found["users @b"] != "1→2" || found["copies !r/s/k/direct"] != "7→0" {
		t.Fatalf("conflicts %v", found)
	}
	// And nothing has changed, the counter included.
	if after := Dump(t, s); after != before {
		t.Fatalf("before:\n%s\nafter:\n%s", before, after)
	}
}

func nothingHalf(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Users, 0, "u", "@u"))
	before := Dump(t, s)
	// Given batches of nine good operations over all tables and one that cannot hold; when the bad one stands at each place;
	// then no place leaves anything behind.
	for place := range 10 {
		var ops []store.Op
		for i := range 10 {
			table := store.Tables()[i%len(store.Tables())]
			ops = append(ops, put(table, 0, "half", fmt.Sprint("k", i)))
		}
		ops[place] = put(store.Users, 0, "again", "@u")
		err := s.Commit(ctx(t), store.Batch{Ops: ops, Counters: map[string]int64{"n": 1}, Strict: place%2 == 0})
		wantCode(t, err, store.CodeConflict)
		if after := Dump(t, s); after != before {
			t.Fatalf("bad operation at %d: before:\n%s\nafter:\n%s", place, before, after)
		}
	}
}

func blindPut(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Meta, store.AnyRev, "1", "m"))
	commit(t, s, put(store.Meta, store.AnyRev, "2", "m"))
	if row := get(t, s, store.Meta, "m"); row.Rev != 2 || string(row.Value) != "2" {
		t.Fatalf("revision %d, value %q", row.Rev, row.Value)
	}
}

func deletes(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Users, 0, "1", "@a"), put(store.Users, 0, "1", "@b"))
	commit(t, s, put(store.Users, 1, "2", "@a"))
	remove := func(expect uint64, key string) error {
		return s.Commit(ctx(t), store.Batch{Ops: []store.Op{{Table: store.Users, Key: store.Key{key}, Expect: expect}}})
	}
	// A delete of an older revision, of a row that should be absent, or of an absent row that should be there is a conflict.
	wantCode(t, remove(1, "@a"), store.CodeConflict)
	wantCode(t, remove(0, "@a"), store.CodeConflict)
	wantCode(t, remove(1, "@c"), store.CodeConflict)
	// A delete of nothing that expects nothing, or anything, changes nothing.
	if err := errors.Join(remove(0, "@c"), remove(store.AnyRev, "@c")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(remove(2, "@a"), remove(store.AnyRev, "@b")); err != nil {
		t.Fatal(err)
	}
	if rows := page(t, s, store.Query{Table: store.Users}); len(rows) != 0 {
		t.Fatalf("left over: %v", rows)
	}
	// A row made anew begins at revision 1.
	commit(t, s, put(store.Users, 0, "again", "@a"))
	if row := get(t, s, store.Users, "@a"); row.Rev != 1 {
		t.Fatalf("revision %d", row.Rev)
	}
}

func counters(t *testing.T, open Open) {
	s := fresh(t, open)
	if got, err := s.Counters(ctx(t)); err != nil || len(got) != 0 {
		t.Fatalf("an empty store counts %v, %v", got, err)
	}
	if err := s.Commit(ctx(t), store.Batch{
		Ops:      []store.Op{put(store.Meta, 0, "", "m")},
		Counters: map[string]int64{"copies": 3, "known": 2, "untouched": 0, "__proto__": 1},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(ctx(t), store.Batch{Counters: map[string]int64{"copies": -1, "known": -2}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Counters(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got["copies"] != 2 || got["__proto__"] != 1 {
		t.Fatalf("counters %v", got)
	}
}

func edgeNumbers(t *testing.T, open Open) {
	s := fresh(t, open)
	add := func(name string, delta int64) {
		t.Helper()
		if err := s.Commit(ctx(t), store.Batch{Counters: map[string]int64{name: delta}}); err != nil {
			t.Fatal(err)
		}
	}
	add("big", 1<<53)
	add("big", 1)
	add("least", -1<<63)
	add("most", 1<<63-1)
	got, err := s.Counters(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if got["big"] != 1<<53+1 || got["least"] != -1<<63 || got["most"] != 1<<63-1 {
		t.Fatalf("counters %v", got)
	}
	// A revision that no row can have is a conflict, not a rounding.
	commit(t, s, put(store.Meta, 0, "v", "m"))
	for _, expect := range []uint64{1 << 31, 1 << 32, 1<<53 + 1, 1<<64 - 2} {
		e := wantCode(t, s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, expect, "w", "m")}}), store.CodeConflict)
		if len(e.Conflicts) != 1 || e.Conflicts[0].Expect != expect || e.Conflicts[0].Got != 1 {
			t.Fatalf("conflicts %+v", e.Conflicts)
		}
	}
}

func concurrentCommits(t *testing.T, open Open) {
	// Given two handles on one database, when four writers each raise one row and one counter 10 times by read, compare, write,
	// all reading first, then no raise is lost.
	handles := []store.Store{fresh(t, open), fresh(t, open)}
	const writers, raises = 4, 10
	var wait sync.WaitGroup
	failed := make([]error, writers)
	for w := range writers {
		s := handles[w%len(handles)]
		wait.Go(func() {
			for range raises {
				for {
					rows, err := s.Get(ctx(t), store.Meta, []store.Key{{"raised"}})
					if err != nil {
						failed[w] = err
						return
					}
					err = s.Commit(ctx(t), store.Batch{
						Ops:      []store.Op{{Table: store.Meta, Key: rows[0].Key, Expect: rows[0].Rev, Value: append(rows[0].Value, 'x')}},
						Counters: map[string]int64{"raised": 1},
					})
					var e *store.Error
					if errors.As(err, &e) && e.Code == store.CodeConflict {
						continue
					}
					if err != nil {
						failed[w] = err
						return
					}
					break
				}
			}
		})
	}
	wait.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	row := get(t, handles[0], store.Meta, "raised")
	got, err := handles[1].Counters(ctx(t))
	if err != nil {
		t.Fatal(err)
	}
	if row.Rev != writers*raises || len(row.Value) != writers*raises || got["raised"] != writers*raises {
		t.Fatalf("revision %d, %d raises, counter %d", row.Rev, len(row.Value), got["raised"])
	}
}

func twoHandles(t *testing.T, open Open) {
	a, b := fresh(t, open), fresh(t, open)
	commit(t, a, put(store.Users, 0, "from a", "@u"))
	if row := get(t, b, store.Users, "@u"); string(row.Value) != "from a" {
		t.Fatalf("b reads %q", row.Value)
	}
	commit(t, b, put(store.Users, 1, "from b", "@u"))
	// A writer with what it read before is told, and closing one handle leaves the other open.
	wantCode(t, a.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Users, 1, "stale", "@u")}}), store.CodeConflict)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if row := get(t, b, store.Users, "@u"); string(row.Value) != "from b" || row.Rev != 2 {
		t.Fatalf("b reads %q at %d", row.Value, row.Rev)
	}
	// Another name is another database.
	other := open(t, t.Name()+"/other")
	defer func() { _ = other.Close() }()
	if row := get(t, other, store.Users, "@u"); row.Rev != 0 {
		t.Fatal("two names share their rows")
	}
}

func largeBatch(t *testing.T, open Open) {
	s := fresh(t, open)
	// Given 3,000 rows of 600 bytes and one of 5 MB in one batch.
	ops := make([]store.Op, 0, 3001)
	for i := range 3000 {
		ops = append(ops, put(store.Copies, 0, strings.Repeat("v", 600), "!r", fmt.Sprintf("%04d", i), "k", "claimed"))
	}
	ops = append(ops, put(store.Users, 0, strings.Repeat("u", 5<<20), "@u"))
	commit(t, s, ops...)
	rows := all(t, s, store.Query{Table: store.Copies, Prefix: store.Key{"!r"}, Limit: 700})
	if len(rows) != 3000 || len(rows[2999].Value) != 600 || len(get(t, s, store.Users, "@u").Value) != 5<<20 {
		t.Fatalf("%d rows came back", len(rows))
	}
}

func loneRows(t *testing.T, open Open) {
	s := fresh(t, open)
	first := func(session string) store.Op { return put(store.Copies, 0, "v", "!r", session, "k", "direct") }
	commit(t, s, first("b"), first("f"), first("k"))
	found := func(err error, ops ...store.Op) (places []int) {
		t.Helper()
		lone := &store.Lone{Parts: 2, Empty: store.Tombstones, Found: func(op int) { places = append(places, op) }}
		if got := s.Commit(ctx(t), store.Batch{Ops: ops, Lone: lone}); (got == nil) != (err == nil) {
			t.Fatal(got)
		}
		return places
	}
	// Of two rows of one new session neither stands alone, nor does one beside a stored row, be it before it or behind, nor what is no new row.
	places := found(nil,
		first("c"),
		put(store.Copies, 0, "v", "!r", "d", "k", "claimed"), put(store.Copies, 0, "v", "!r", "d", "k", "direct"),
		put(store.Copies, 0, "v", "!r", "f", "a", "direct"), put(store.Copies, 0, "v", "!r", "k", "z", "direct"),
		put(store.Copies, 1, "w", "!r", "b", "k", "direct"))
	if len(places) != 1 || places[0] != 0 {
		t.Fatalf("alone are %v", places)
	}
	// A batch that is refused says nothing.
	if places := found(errors.New("a conflict"), first("e"), first("b")); places != nil {
		t.Fatalf("refused, and alone are %v", places)
	}
	// Nor does one where the other table has a row, be it of the same batch.
	if places := found(nil, first("e"), put(store.Tombstones, 0, "v", "!x", "s", "k", "direct")); places != nil {
		t.Fatalf("with a tombstone alone are %v", places)
	}
	if places := found(nil, first("g")); places != nil {
		t.Fatalf("beside a tombstone alone are %v", places)
	}
}
