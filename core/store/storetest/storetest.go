// Package storetest is the suite every store.Store must pass, and what tests of code above a store need: a wrapper that fails or
// dies on demand, and a dump of everything.
//
// The rule: a property of stores is tested here or nowhere, so that the store in memory (natively, under the race detector) and
// the one over IndexedDB (compiled to WebAssembly, in a browser) are held to the very same stories.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"testing"

	"knownsender/core/store"
)

// Open returns a store over the database called name: two calls with one name give two handles on the same rows, as two tabs
// have them.
type Open func(t *testing.T, name string) store.Store

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	for _, story := range []struct {
		name string
		tell func(*testing.T, Open)
	}{
		{"rows come back as they were put", rowsComeBack},
		{"missing rows have revision 0 and keep their place", missingRows},
		{"an empty value is a value and no delete", emptyValues},
		{"revisions count the writes of a row", revisions},
		{"conflicts are reported with all their keys and nothing is written", conflicts},
		{"scenario 162: a batch that fails in the middle leaves nothing", nothingHalf},
		{"a blind put needs no revision", blindPut},
		{"deletes are compared too", deletes},
		{"pages follow the order of UTF-16 code units", keyOrder},
		{"scenario 154: pages by prefix with a cursor, in order, to the end", prefixPages},
		{"scenario 154: pages by index with a cursor, in order, to the end", indexPages},
		{"a cursor need not exist any more", deadCursor},
		{"F37: rows that leave the index while it is paged are each visited once", leavingRows},
		{"index entries are replaced with the row", indexEntries},
		{"T53: separators in ids make no collision", separators},
		{"T53: ids of 255 bytes, and beyond what a key may hold", longIDs},
		{"strange text survives in keys", strangeText},
		{"F46: numbers at the edge", edgeNumbers},
		{"counters add up inside the transaction", counters},
		{"F18: concurrent commits converge", concurrentCommits},
		{"two handles see each other's writes", twoHandles},
		{"values are the caller's own", ownValues},
		{"what no store can do is refused", refusals},
		{"a call whose context has ended does nothing", endedContext},
		{"F39: after close every call answers closed", closing},
		{"a large batch in one transaction", largeBatch},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(t, open) })
	}
}

func ctx(t *testing.T) context.Context { return t.Context() }

func fresh(t *testing.T, open Open) store.Store {
	t.Helper()
	s := open(t, t.Name())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(table store.Table, expect uint64, value string, key ...string) store.Op {
	return store.Op{Table: table, Key: key, Expect: expect, Value: []byte(value)}
}

func commit(t *testing.T, s store.Store, ops ...store.Op) {
	t.Helper()
	if err := s.Commit(ctx(t), store.Batch{Ops: ops}); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

func get(t *testing.T, s store.Store, table store.Table, key ...string) store.Row {
	t.Helper()
	rows, err := s.Get(ctx(t), table, []store.Key{key})
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	if len(rows) != 1 {
		t.Fatalf("get of one key gave %d rows", len(rows))
	}
	return rows[0]
}

func page(t *testing.T, s store.Store, q store.Query) []store.Row {
	t.Helper()
	rows, err := s.Page(ctx(t), q)
	if err != nil {
		t.Fatalf("page: %v", err)
	}
	return rows
}

// all pages through q to its end.
func all(t *testing.T, s store.Store, q store.Query) []store.Row {
	t.Helper()
	var rows []store.Row
	for {
		next := page(t, s, q)
		rows = append(rows, next...)
		if len(next) < q.Limit {
			return rows
		}
		q = q.Next(&next[len(next)-1])
	}
}

func wantCode(t *testing.T, err error, code string) *store.Error {
	t.Helper()
	var e *store.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *store.Error with code %s", err, code)
	}
	if e.Code != code || e.ErrorCode() != code || !strings.Contains(e.Error(), code) {
		t.Fatalf("got code %s (%v), want %s", e.Code, e, code)
	}
	return e
}

func wantKeys(t *testing.T, rows []store.Row, want ...string) {
	t.Helper()
	var got []string
	for _, row := range rows {
		got = append(got, strings.Join(row.Key, "/"))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Fatalf("rows %q, want %q", got, want)
	}
}

func rowsComeBack(t *testing.T, open Open) {
	s := fresh(t, open)
	// Given a row with a value of all bytes and both index entries, and rows in every other table.
	value := make([]byte, 256)
	for i := range value {
		value[i] = byte(i)
	}
	index := []store.IndexEntry{
		{Name: store.IndexWaiting, Value: store.Key{"@alice:example.org", "curve"}},
		{Name: store.IndexOwner, Value: store.Key{"@alice:example.org", "master"}},
	}
	ops := []store.Op{{Table: store.Copies, Key: store.Key{"!room", "session", "sender", "direct"}, Value: value, Index: index}}
	for _, table := range store.Tables()[1:] {
		ops = append(ops, put(table, 0, "in "+string(table), "key"))
	}
	// When they are committed in one strict batch.
	if err := s.Commit(ctx(t), store.Batch{Ops: ops, Strict: true}); err != nil {
		t.Fatal(err)
	}
	// Then they come back, through a second handle as well.
	for _, handle := range []store.Store{s, fresh(t, open)} {
		row := get(t, handle, store.Copies, "!room", "session", "sender", "direct")
		if row.Table != store.Copies || row.Rev != 1 || string(row.Value) != string(value) {
			t.Fatalf("row came back as revision %d with %d bytes", row.Rev, len(row.Value))
		}
		for _, entry := range index {
			if !row.Entry(entry.Name).Equal(entry.Value) {
				t.Fatalf("index %s came back as %q", entry.Name, row.Entry(entry.Name))
			}
		}
		for _, table := range store.Tables()[1:] {
			if row := get(t, handle, table, "key"); row.Rev != 1 || string(row.Value) != "in "+string(table) {
				t.Fatalf("%s: revision %d, value %q", table, row.Rev, row.Value)
			}
		}
	}
}

func missingRows(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Users, 0, "b", "@b"))
	// When three keys are read of which only the middle one exists, one of them twice.
	rows, err := s.Get(ctx(t), store.Users, []store.Key{{"@a"}, {"@b"}, {"@c"}, {"@b"}})
	if err != nil {
		t.Fatal(err)
	}
	// Then every answer stands at the place of its key.
	wantKeys(t, rows, "@a", "@b", "@c", "@b")
	if rows[0].Rev != 0 || rows[1].Rev != 1 || rows[2].Rev != 0 || rows[3].Rev != 1 || rows[0].Value != nil || rows[0].Table != store.Users || rows[1].Table != store.Users {
		t.Fatalf("rows %+v", rows)
	}
	if rows, err := s.Get(ctx(t), store.Users, nil); err != nil || len(rows) != 0 {
		t.Fatalf("no keys gave %v, %v", rows, err)
	}
	if rows := page(t, s, store.Query{Table: store.Meta}); len(rows) != 0 {
		t.Fatalf("an empty table gave %v", rows)
	}
}

func emptyValues(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, store.Op{Table: store.Meta, Key: store.Key{"empty"}, Value: []byte{}})
	row := get(t, s, store.Meta, "empty")
	if row.Rev != 1 || row.Value == nil || len(row.Value) != 0 {
		t.Fatalf("revision %d, value %v", row.Rev, row.Value)
	}
	// Empty strings are parts of keys like others.
	commit(t, s, put(store.Meta, 0, "x", ""), put(store.Meta, 0, "y", "", ""))
	if get(t, s, store.Meta, "").Rev != 1 || string(get(t, s, store.Meta, "", "").Value) != "y" {
		t.Fatal("keys of empty strings were mixed up")
	}
}

func revisions(t *testing.T, open Open) {
	s := fresh(t, open)
	for rev := range uint64(5) {
		commit(t, s, put(store.Users, rev, fmt.Sprint("v", rev), "@a"))
		if row := get(t, s, store.Users, "@a"); row.Rev != rev+1 || string(row.Value) != fmt.Sprint("v", rev) {
			t.Fatalf("after write %d: revision %d, value %q", rev+1, row.Rev, row.Value)
		}
	}
}

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

func keyOrder(t *testing.T, open Open) {
	s := fresh(t, open)
	// U+FF61 is one code unit above all surrogates; U+1F600 begins with the surrogate D83D: bytes order them the other way.
	order := []store.Key{
		{""}, {"", ""}, {"\x00"}, {"!"}, {"!", "z"}, {"!!"}, {"a"}, {"a", ""}, {"a", "b"}, {"a", "b", "c"}, {"aa"}, {"b"},
		{"é"}, {"\ud7ff"}, {"\U00010000"}, {"😀"}, {"😀", "x"}, {"😀a"}, {"\U0010FFFF"}, {"\ue000"}, {"\uff61"}, {"\uffff"},
	}
	for i := range order {
		// Put in an order of no meaning.
		commit(t, s, put(store.Meta, 0, "", order[(i*7)%len(order)]...))
	}
	for _, limit := range []int{1, 3, 100} {
		rows := all(t, s, store.Query{Table: store.Meta, Limit: limit})
		if len(rows) != len(order) {
			t.Fatalf("%d rows, want %d", len(rows), len(order))
		}
		for i, row := range rows {
			if !row.Key.Equal(order[i]) {
				t.Fatalf("limit %d: row %d is %q, want %q", limit, i, row.Key, order[i])
			}
		}
	}
}

func prefixPages(t *testing.T, open Open) {
	s := fresh(t, open)
	var ops []store.Op
	for _, room := range []string{"!a", "!a:", "!b"} {
		for i := range 25 {
			ops = append(ops, put(store.Withheld, 0, room, room, fmt.Sprintf("session%02d", i)))
		}
	}
	commit(t, s, append(ops, put(store.Withheld, 0, "", "!a"))...)
	// When the rows of one room are paged, with limits that divide their number and limits that do not.
	for _, limit := range []int{1, 5, 7, 26, 100} {
		rows := all(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!a"}, Limit: limit})
		// Then all 25 and the room's own row come, and no row of the room whose id only begins alike.
		if len(rows) != 26 || len(rows[0].Key) != 1 {
			t.Fatalf("limit %d: %d rows", limit, len(rows))
		}
		for i, row := range rows[1:] {
			if row.Key[0] != "!a" || row.Key[1] != fmt.Sprintf("session%02d", i) {
				t.Fatalf("limit %d: row %d is %q", limit, i, row.Key)
			}
		}
	}
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!b", "session07"}}), "!b/session07")
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!c"}}))
	// A cursor before the prefix does not widen the page, one behind it ends it.
	q := store.Query{Table: store.Withheld, Prefix: store.Key{"!b"}, Limit: 1}
	q.After = store.Key{"!a", "zzz"}
	wantKeys(t, page(t, s, q), "!b/session00")
	q.After = store.Key{"!c"}
	wantKeys(t, page(t, s, q))
	// A query without a limit gets the default one.
	ops = ops[:0]
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

func waitingCopy(user, curve, session string) store.Op {
	return store.Op{
		Table: store.Copies, Key: store.Key{"!r", session, curve, "direct"}, Value: []byte(session),
		Index: []store.IndexEntry{{Name: store.IndexWaiting, Value: store.Key{user, curve}}},
	}
}

func indexPages(t *testing.T, open Open) {
	s := fresh(t, open)
	var ops []store.Op
	for i := range 20 {
		ops = append(ops,
			waitingCopy("@alice", "k1", fmt.Sprintf("a%02d", i)),
			waitingCopy("@alice", "k2", fmt.Sprintf("b%02d", i)),
			waitingCopy("@bob", "k1", fmt.Sprintf("c%02d", i)),
			put(store.Copies, 0, "not waiting", "!r", fmt.Sprintf("d%02d", i), "k1", "direct"))
	}
	commit(t, s, ops...)
	for _, limit := range []int{1, 4, 7, 100} {
		// When one device's copies are paged, then exactly they come, in key order.
		q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@alice", "k1"}, Limit: limit}
		rows := all(t, s, q)
		if len(rows) != 20 {
			t.Fatalf("limit %d: %d rows", limit, len(rows))
		}
		for i, row := range rows {
			if row.Key[1] != fmt.Sprintf("a%02d", i) {
				t.Fatalf("limit %d: row %d is %q", limit, i, row.Key)
			}
		}
		// When one user's copies are paged, then those of all devices come, device by device.
		q.IndexValue = store.Key{"@alice"}
		rows = all(t, s, q)
		if len(rows) != 40 || rows[19].Key[1] != "a19" || rows[20].Key[1] != "b00" {
			t.Fatalf("limit %d: %d rows of @alice", limit, len(rows))
		}
		// When the whole index is paged, then every row in it comes, and none that is not.
		q.IndexValue = nil
		if rows = all(t, s, q); len(rows) != 60 || rows[59].Key[1] != "c19" {
			t.Fatalf("limit %d: %d rows in the index", limit, len(rows))
		}
	}
	// A cursor that names only the last key serves where the query holds the whole index value.
	q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@bob", "k1"}, Limit: 2}
	q.After = store.Key{"!r", "c17", "k1", "direct"}
	wantKeys(t, page(t, s, q), "!r/c18/k1/direct", "!r/c19/k1/direct")
	q.Index = store.IndexOwner
	wantKeys(t, page(t, s, q))
}

func deadCursor(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, waitingCopy("@a", "k", "1"), waitingCopy("@a", "k", "2"), waitingCopy("@a", "k", "3"))
	q := store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@a", "k"}, Limit: 2}
	first := page(t, s, q)
	wantKeys(t, first, "!r/1/k/direct", "!r/2/k/direct")
	// When the row under the cursor is deleted, then the next page begins where it would have stood.
	commit(t, s, store.Op{Table: store.Copies, Key: first[1].Key, Expect: store.AnyRev})
	wantKeys(t, page(t, s, q.Next(&first[1])), "!r/3/k/direct")
	wantKeys(t, page(t, s, store.Query{Table: store.Copies, After: first[1].Key}), "!r/3/k/direct")
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

func separators(t *testing.T, open Open) {
	s := fresh(t, open)
	keys := [][]string{{"!a|b", "c"}, {"!a", "b|c"}, {"!a|b|c"}, {"!a\x1db", "c"}, {"!a", "b\x1dc"}, {"!a\x00b", "c"}, {"!a", "b\x00c"},
		{"!a,b", "c"}, {"!a", "b,c"}, {"!a", "", "b"}, {"!a", "b", ""}}
	for i, key := range keys {
		commit(t, s, put(store.Withheld, 0, fmt.Sprint(i), key...))
	}
	for i, key := range keys {
		if row := get(t, s, store.Withheld, key...); row.Rev != 1 || string(row.Value) != fmt.Sprint(i) {
			t.Fatalf("%q: revision %d, value %q", key, row.Rev, row.Value)
		}
	}
	wantKeys(t, page(t, s, store.Query{Table: store.Withheld, Prefix: store.Key{"!a|b"}}), "!a|b/c")
}

func longIDs(t *testing.T, open Open) {
	s := fresh(t, open)
	room, user := "!"+strings.Repeat("r", 254), "@"+strings.Repeat("ü", 127)
	op := store.Op{
		Table: store.Copies, Key: store.Key{room, strings.Repeat("s", 43), strings.Repeat("k", 43), "direct"}, Value: []byte("v"),
		Index: []store.IndexEntry{{Name: store.IndexWaiting, Value: store.Key{user, strings.Repeat("k", 43)}}},
	}
	commit(t, s, op)
	rows := page(t, s, store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: op.Index[0].Value})
	if len(rows) != 1 || !rows[0].Key.Equal(op.Key) || !rows[0].Index[0].Value.Equal(op.Index[0].Value) {
		t.Fatalf("rows %+v", rows)
	}
	// The largest part a key may have is kept; one byte more, or ids of 10 KB, are refused before anything is written.
	commit(t, s, put(store.Meta, 0, "v", strings.Repeat("x", store.MaxKeyPart)))
	before := Dump(t, s)
	for _, n := range []int{store.MaxKeyPart + 1, 10 << 10} {
		err := s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, 0, "v", "fine"), put(store.Meta, 0, "v", strings.Repeat("x", n))}})
		wantCode(t, err, store.CodeBadKey)
	}
	if Dump(t, s) != before {
		t.Fatal("a refused batch was written")
	}
}

func strangeText(t *testing.T, open Open) {
	s := fresh(t, open)
	for _, part := range []string{"\ufeffmark", "\ufffd", "a\u0301", "á", "\u202e", "\x7f", "\x00", "😀", "\U0010FFFF", "__proto__", "constructor", "length", "\r\n"} {
		commit(t, s, put(store.Meta, 0, part, part))
		if row := get(t, s, store.Meta, part); string(row.Value) != part || row.Key[0] != part {
			t.Fatalf("%q came back as %q with %q", part, row.Key, row.Value)
		}
		rows := page(t, s, store.Query{Table: store.Meta, Prefix: store.Key{part}})
		if len(rows) != 1 || rows[0].Key[0] != part {
			t.Fatalf("%q was paged as %v", part, rows)
		}
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

func ownValues(t *testing.T, open Open) {
	s := fresh(t, open)
	op := waitingCopy("@a", "k", "1")
	commit(t, s, op)
	// When the caller writes over what it gave and over what it got, then the store does not notice.
	op.Value[0], op.Key[0], op.Index[0].Value[0] = 'X', "!x", "@x"
	row := get(t, s, store.Copies, "!r", "1", "k", "direct")
	row.Value[0], row.Key[0], row.Index[0].Value[0] = 'Y', "!y", "@y"
	row = get(t, s, store.Copies, "!r", "1", "k", "direct")
	if string(row.Value) != "1" || row.Key[0] != "!r" || row.Index[0].Value[0] != "@a" {
		t.Fatalf("row %+v", row)
	}
}

func refusals(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Meta, 0, "v", "m"))
	before := Dump(t, s)
	op := func(op store.Op) error {
		return s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, 0, "v", "n"), op}})
	}
	read := func(table store.Table, keys ...store.Key) error { _, err := s.Get(ctx(t), table, keys); return err }
	ask := func(q store.Query) error { _, err := s.Page(ctx(t), q); return err }
	nine := make([]string, store.MaxKeyParts+1)
	entry := func(names ...string) []store.IndexEntry {
		var entries []store.IndexEntry
		for _, name := range names {
			entries = append(entries, store.IndexEntry{Name: name, Value: store.Key{"x"}})
		}
		return entries
	}
	for what, got := range map[string]struct {
		err  error
		code string
	}{
		"put in an unknown table": {op(put("elsewhere", 0, "v", "k")), store.CodeBadRequest},
		"put without a key":       {op(put(store.Meta, 0, "v")), store.CodeBadKey},
		"key of nine parts":       {op(put(store.Meta, 0, "v", nine...)), store.CodeBadKey},
		"key that is not UTF-8":   {op(put(store.Meta, 0, "v", "\xff")), store.CodeBadKey},
		"lone surrogate in a key": {op(put(store.Meta, 0, "v", "\xed\xa0\x80")), store.CodeBadKey},
		"one row twice":           {op(put(store.Meta, 0, "w", "n")), store.CodeBadRequest},
		"unknown index":           {op(store.Op{Table: store.Copies, Key: store.Key{"k"}, Value: []byte{1}, Index: entry("color")}), store.CodeBadRequest},
		"index of another table":  {op(store.Op{Table: store.Meta, Key: store.Key{"k"}, Value: []byte{1}, Index: entry(store.IndexOwner)}), store.CodeBadRequest},
		"one index twice":         {op(store.Op{Table: store.Copies, Key: store.Key{"k"}, Value: []byte{1}, Index: entry(store.IndexOwner, store.IndexOwner)}), store.CodeBadRequest},
		"empty index value":       {op(store.Op{Table: store.Copies, Key: store.Key{"k"}, Value: []byte{1}, Index: []store.IndexEntry{{Name: store.IndexOwner}}}), store.CodeBadKey},
		"value beyond the limit":  {op(store.Op{Table: store.Meta, Key: store.Key{"k"}, Value: make([]byte, store.MaxValue+1)}), store.CodeTooLarge},
		"get of an unknown table": {read("elsewhere", store.Key{"k"}), store.CodeBadRequest},
		"get of an empty key":     {read(store.Meta, store.Key{}), store.CodeBadKey},
		"page of unknown table":   {ask(store.Query{Table: "elsewhere"}), store.CodeBadRequest},
		"page of unknown index":   {ask(store.Query{Table: store.Users, Index: store.IndexOwner}), store.CodeBadRequest},
		"page of a bad prefix":    {ask(store.Query{Table: store.Users, Prefix: store.Key{"\xff"}}), store.CodeBadKey},
	} {
		t.Run(what, func(t *testing.T) { wantCode(t, got.err, got.code) })
	}
	if Dump(t, s) != before {
		t.Fatal("a refused batch was written")
	}
	// An empty batch is no error.
	commit(t, s)
}

func endedContext(t *testing.T, open Open) {
	s := fresh(t, open)
	before := Dump(t, s)
	ended, end := context.WithCancel(ctx(t))
	end()
	e := wantCode(t, s.Commit(ended, store.Batch{Ops: []store.Op{put(store.Meta, 0, "v", "m")}}), store.CodeAborted)
	if !errors.Is(e, context.Canceled) {
		t.Fatalf("cause %v", e.Err)
	}
	_, err := s.Get(ended, store.Meta, []store.Key{{"m"}})
	wantCode(t, err, store.CodeAborted)
	_, err = s.Page(ended, store.Query{Table: store.Meta})
	wantCode(t, err, store.CodeAborted)
	_, err = s.Counters(ended)
	wantCode(t, err, store.CodeAborted)
	if Dump(t, s) != before {
		t.Fatal("a call that was given up has written")
	}
}

func closing(t *testing.T, open Open) {
	s := open(t, t.Name())
	commit(t, s, put(store.Meta, 0, "v", "m"))
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, 1, "w", "m")}}), store.CodeClosed)
	_, err := s.Get(ctx(t), store.Meta, []store.Key{{"m"}})
	wantCode(t, err, store.CodeClosed)
	_, err = s.Page(ctx(t), store.Query{Table: store.Meta})
	wantCode(t, err, store.CodeClosed)
	_, err = s.Counters(ctx(t))
	wantCode(t, err, store.CodeClosed)
	// What was committed is there for the next handle.
	if row := get(t, fresh(t, open), store.Meta, "m"); string(row.Value) != "v" {
		t.Fatalf("after reopening: %q", row.Value)
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

// Dump writes all rows and counters of a store as text, in a fixed order, for comparisons of the whole before and after.
func Dump(t testing.TB, s store.Store) string {
	t.Helper()
	var b strings.Builder
	for _, table := range store.Tables() {
		q := store.Query{Table: table, Limit: store.MaxLimit}
		for {
			rows, err := s.Page(context.Background(), q)
			if err != nil {
				t.Fatalf("dump: %v", err)
			}
			for _, row := range rows {
				fmt.Fprintf(&b, "%s %q rev %d %x", table, []string(row.Key), row.Rev, row.Value)
				sort.Slice(row.Index, func(i, j int) bool { return row.Index[i].Name < row.Index[j].Name })
				for _, entry := range row.Index {
					fmt.Fprintf(&b, " %s=%q", entry.Name, []string(entry.Value))
				}
				b.WriteByte('\n')
			}
			if len(rows) < q.Limit {
				break
			}
			q = q.Next(&rows[len(rows)-1])
		}
	}
	counters, err := s.Counters(context.Background())
	if err != nil {
		t.Fatalf("dump: %v", err)
	}
	names := make([]string, 0, len(counters))
	for name := range counters {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Fprintf(&b, "counter %q %d\n", name, counters[name])
	}
	return b.String()
}
