package storetest

// Stories of pages: their order, their cursors, and rows that move while they are read.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core/store"
)

func putRooms(t *testing.T, s store.Store) {
	t.Helper()
	var ops []store.Op
	for _, room := range []string{"!a", "!a:", "!b"} {
		for i := range 25 {
			ops = append(ops, put(store.Withheld, 0, room, room, fmt.Sprintf("session%02d", i)))
		}
	}
	commit(t, s, append(ops, put(store.Withheld, 0, "", "!a"))...)
}

func prefixPages(t *testing.T, open Open) {
	s := fresh(t, open)
	putRooms(t, s)
	want := []string{"!a"}
	for i := range 25 {
		want = append(want, fmt.Sprintf("!a/session%02d", i))
	}
	// When the rows of one room are paged, with limits that divide their number and limits that do not, then all 25 and the room's own row come, and
	// no row of the room whose id only begins alike.
	for _, limit := range []int{1, 5, 7, 26, 100} {
		wantRows(t, all(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!a"}, Limit: limit}), want...)
	}
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!b", "session07"}}), "!b/session07")
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!c"}}))
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!b"}, After: store.LastKey}))
	// A query without a limit gets the default one.
	var ops []store.Op
	for i := range store.DefaultLimit + 1 {
		ops = append(ops, put(store.Meta, 0, "", fmt.Sprint(i)))
	}
	commit(t, s, ops...)
	if n := len(page(t, s, store.Query{Table: store.Meta})); n != store.DefaultLimit {
		t.Fatalf("no limit gave %d rows", n)
	}
	if n := len(page(t, s, store.Query{Table: store.Meta, Limit: 1 << 30})); n != store.DefaultLimit+1 {
		t.Fatalf("a huge limit gave %d rows", n)
	}
}

func pageOrder(t *testing.T, open Open) {
	s := fresh(t, open)
	putRooms(t, s)
	putWaiting(t, s)
	for _, limit := range []int{1, 7, 100} {
		rows := all(t, s, store.Query{Table: store.Withheld, Limit: limit})
		inKeys := func(a, b store.Row) int { return a.Key.Compare(b.Key) }
		if len(rows) != 76 || !slices.IsSortedFunc(rows, inKeys) {
			t.Fatalf("limit %d: %d rows, in this order: %v", limit, len(rows), rows)
		}
		rows = all(t, s, store.Query{Table: store.Copies, Index: store.IndexWaiting, Limit: limit})
		inIndex := func(a, b store.Row) int {
			return cmp.Or(a.Entry(store.IndexWaiting).Compare(b.Entry(store.IndexWaiting)), inKeys(a, b))
		}
		if len(rows) != 60 || !slices.IsSortedFunc(rows, inIndex) {
			t.Fatalf("limit %d: %d rows, in this order: %v", limit, len(rows), rows)
		}
	}
	// A cursor before the prefix does not widen the page, one behind it ends it.
	q := store.Query{Table: store.Withheld, Prefix: store.Key{"!b"}, Limit: 1}
	q.After = store.Key{"!a", "zzz"}
	wantKeys(t, page(t, s, q), "!b/session00")
	q.After = store.Key{"!c"}
	wantKeys(t, page(t, s, q))
}

func waitingCopy(user, curve, session string) store.Op {
	return store.Op{
		Table: store.Copies, Key: store.Key{"!r", session, curve, "direct"}, Value: []byte(session),
		Index: []store.IndexEntry{{Name: store.IndexWaiting, Value: store.Key{user, curve}}},
	}
}

func putWaiting(t *testing.T, s store.Store) {
	t.Helper()
	var ops []store.Op
	for i := range 20 {
		ops = append(ops,
			waitingCopy("@alice", "k1", fmt.Sprintf("a%02d", i)),
			waitingCopy("@alice", "k2", fmt.Sprintf("b%02d", i)),
			waitingCopy("@bob", "k1", fmt.Sprintf("c%02d", i)),
			put(store.Copies, 0, "not waiting", "!r", fmt.Sprintf("d%02d", i), "k1", "direct"))
	}
	commit(t, s, ops...)
}

func indexPages(t *testing.T, open Open) {
	s := fresh(t, open)
	putWaiting(t, s)
	var k1, k2, bobs []string
	for i := range 20 {
		k1 = append(k1, fmt.Sprintf("!r/a%02d/k1/direct", i))
		k2 = append(k2, fmt.Sprintf("!r/b%02d/k2/direct", i))
		bobs = append(bobs, fmt.Sprintf("!r/c%02d/k1/direct", i))
	}
	for _, limit := range []int{1, 4, 7, 100} {
		// When one device's copies are paged, then exactly they come.
		q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@alice", "k1"}, Limit: limit}
		wantRows(t, all(t, s, q), k1...)
		// When one user's copies are paged, then those of all devices come, device by device.
		q.IndexValue = store.Key{"@alice"}
		rows := all(t, s, q)
		wantRows(t, rows, append(slices.Clone(k1), k2...)...)
		if rows[0].Key[2] != rows[19].Key[2] {
			t.Fatalf("limit %d: the devices are mixed: %v", limit, rows)
		}
		// When the whole index is paged, then every row in it comes, and none that is not.
		q.IndexValue = nil
		wantRows(t, all(t, s, q), slices.Concat(k1, k2, bobs)...)
	}
	// A cursor that names only the last key serves where the query holds the whole index value, and one behind all keys passes over the value.
	q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@bob", "k1"}, Limit: 100}
	rows := all(t, s, q)
	q.After = rows[17].Key
	wantKeys(t, page(t, s, q), strings.Join(rows[18].Key, "/"), strings.Join(rows[19].Key, "/"))
	q.Index = store.IndexOwner
	wantKeys(t, page(t, s, q))
	q.Index, q.After = store.IndexWaiting, store.LastKey
	wantKeys(t, page(t, s, q))
	q.IndexValue, q.AfterIndex, q.After = store.Key{"@alice"}, nil, nil
	first := page(t, s, q)
	q.AfterIndex, q.After = first[0].Entry(store.IndexWaiting), store.LastKey
	if behind := page(t, s, q); len(behind) != 20 || behind[0].Key[2] == first[0].Key[2] {
		t.Fatalf("behind %s of @alice: %v", first[0].Key[2], behind)
	}
}

func dueCopy(time, user, session string) store.Op {
	op := waitingCopy(user, "k", session)
	op.Index = append(op.Index, store.IndexEntry{Name: store.IndexDue, Value: store.Key{time, user}})
	return op
}

func dueOrder(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, dueCopy("0003", "@a", "1"), dueCopy("0001", "@b", "2"), dueCopy("0002", "@a", "3"), dueCopy("0002", "@c", "4"), dueCopy("000a", "@d", "5"))
	for _, limit := range []int{1, 2, 100} {
		rows := all(t, s, store.Query{Table: store.Copies, Index: store.IndexDue, Limit: limit})
		if got := rows[0].Key[1] + rows[3].Key[1] + rows[4].Key[1]; len(rows) != 5 || got != "215" {
			t.Fatalf("limit %d: %v", limit, rows)
		}
	}
}

func deadCursor(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, waitingCopy("@a", "k", "1"), waitingCopy("@a", "k", "2"), waitingCopy("@a", "k", "3"))
	q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@a", "k"}, Limit: 2}
	every := all(t, s, q)
	wantRows(t, every, "!r/1/k/direct", "!r/2/k/direct", "!r/3/k/direct")
	// When the row under the cursor is deleted, then the next page begins where it would have stood.
	commit(t, s, store.Op{Table: store.Copies, Key: every[1].Key, Expect: store.AnyRev})
	wantKeys(t, page(t, s, q.Next(&every[1])), strings.Join(every[2].Key, "/"))
	wantKeys(t, page(t, s, store.Query{Table: store.Copies, After: every[1].Key}), strings.Join(every[2].Key, "/"))
}

func leavingRows(t *testing.T, open Open) {
	s := fresh(t, open)
	const n = 1000
	ops := make([]store.Op, n)
	for i := range ops {
		ops[i] = waitingCopy("@a", "k", fmt.Sprintf("%04d", i))
	}
	commit(t, s, ops...)
	// Given 1,000 waiting rows; when each page's rows are upgraded (every third stays) before the next page is read.
	seen := map[string]int{}
	q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@a", "k"}, Limit: 64}
	for {
		rows := page(t, s, q)
		var upgrades []store.Op
		for i, row := range rows {
			seen[row.Key[1]]++
			op := store.Op{Table: store.Copies, Key: row.Key, Expect: row.Rev, Value: row.Value}
			if i%3 == 0 {
				op.Index = row.Index
			} else {
				op.Index = []store.IndexEntry{{Name: store.IndexOwner, Value: store.Key{"@a", "master"}}}
			}
			upgrades = append(upgrades, op)
		}
		commit(t, s, upgrades...)
		if len(rows) < q.Limit {
			break
		}
		q = q.Next(&rows[len(rows)-1])
	}
	// Then each was visited exactly once.
	if len(seen) != n {
		t.Fatalf("%d rows visited, want %d", len(seen), n)
	}
	for session, times := range seen {
		if times != 1 {
			t.Fatalf("%s visited %d times", session, times)
		}
	}
	owned := all(t, s, store.Query{Table: store.Copies, Index: store.IndexOwner, IndexValue: store.Key{"@a", "master"}, Limit: 500})
	left := all(t, s, store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@a", "k"}, Limit: 500})
	if len(owned)+len(left) != n || len(owned) < n/2 {
		t.Fatalf("%d owned and %d waiting", len(owned), len(left))
	}
}

func indexEntries(t *testing.T, open Open) {
	s := fresh(t, open)
	waiting := store.Query{Table: store.Copies, Index: store.IndexWaiting}
	owner := store.Query{Table: store.Copies, Index: store.IndexOwner}
	op := waitingCopy("@a", "k", "1")
	commit(t, s, op)
	// When a row moves within an index, then it is found at its new place only.
	op.Expect, op.Index[0].Value = 1, store.Key{"@b", "k"}
	commit(t, s, op)
	waiting.IndexValue = store.Key{"@a"}
	wantKeys(t, page(t, s, waiting))
	waiting.IndexValue = store.Key{"@b", "k"}
	wantKeys(t, page(t, s, waiting), "!r/1/k/direct")
	// When it moves to another index, then the first forgets it.
	op.Expect, op.Index = 2, []store.IndexEntry{{Name: store.IndexOwner, Value: store.Key{"@b", "m"}}}
	commit(t, s, op)
	waiting.IndexValue = nil
	wantKeys(t, page(t, s, waiting))
	wantKeys(t, page(t, s, owner), "!r/1/k/direct")
	// When it loses its entries, then only its key finds it.
	op.Expect, op.Index = 3, nil
	commit(t, s, op)
	wantKeys(t, page(t, s, owner))
	if row := get(t, s, store.Copies, "!r", "1", "k", "direct"); row.Rev != 4 || len(row.Index) != 0 {
		t.Fatalf("row %+v", row)
	}
	// When it is deleted while it stands in an index, then the index forgets it.
	op.Expect, op.Index = 4, []store.IndexEntry{{Name: store.IndexOwner, Value: store.Key{"@b", "m"}}}
	commit(t, s, op)
	commit(t, s, store.Op{Table: store.Copies, Key: op.Key, Expect: 5})
	wantKeys(t, page(t, s, owner))
}

func pagesAtOnce(t *testing.T, open Open) {
	s := fresh(t, open)
	// Given writers that move a row from one table to another and back.
	commit(t, s, put(store.Copies, 0, "v", "!r", "s", "k", "direct"))
	gone, there := make(chan struct{}), store.Copies
	go func() {
		defer close(gone)
		for range 20 {
			to := store.Copies
			if there == store.Copies {
				to = store.Tombstones
			}
			key := store.Key{"!r", "s", "k", "direct"}
			if err := s.Commit(ctx(t), store.Batch{Ops: []store.Op{{Table: there, Key: key, Expect: store.AnyRev}, {Table: to, Key: key, Value: []byte("v")}}}); err != nil {
				t.Error(err)
			}
			there = to
		}
	}()
	for range 20 {
		// When both are asked in one call, then it is in one of them.
		query := store.Query{Prefix: store.Key{"!r"}}
		copies, tombstones, nothing := query, query, query
		copies.Table, tombstones.Table, nothing.Table = store.Copies, store.Tombstones, store.Withheld
		pages, err := s.Pages(ctx(t), copies, tombstones, nothing)
		if err != nil || len(pages) != 3 || len(pages[0])+len(pages[1]) != 1 || len(pages[2]) != 0 {
			t.Fatalf("%v, %v", pages, err)
		}
		for i, page := range pages {
			for _, row := range page {
				if row.Table != []store.Table{store.Copies, store.Tombstones}[i] {
					t.Fatalf("page %d has a row of %s", i, row.Table)
				}
			}
		}
	}
	<-gone
	if pages, err := s.Pages(ctx(t)); err != nil || len(pages) != 0 {
		t.Fatalf("no query gave %v, %v", pages, err)
	}
}
