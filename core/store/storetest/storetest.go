// Package storetest is the suite every store.Store must pass, and what tests of code above a store need: a wrapper that fails or
// dies on demand, and a dump of everything.
//
// The rule: a property of stores is tested here or nowhere, so that the store in memory (natively, under the race detector) and
// the one over IndexedDB (compiled to WebAssembly, in a browser) are held to the very same stories.
package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"knownsender/core/store"
)

// Open returns a store over the database called name: two calls with one name give two handles on the same rows, as two tabs
// have them.
type Open func(t *testing.T, name string) store.Store

type story struct {
	name string
	tell func(*testing.T, Open)
}

// Run runs the whole suite.
func Run(t *testing.T, open Open) {
	run(t, open, []story{
		{"pages follow the order of UTF-16 code units", keyOrder},
		{"scenario 154: pages by prefix and by index come in the order of keys", pageOrder},
	})
	RunUnordered(t, open)
}

// RunUnordered runs all of the suite but the stories of the order of keys, for stores that have one of their own.
func RunUnordered(t *testing.T, open Open) {
	run(t, open, []story{
		{"rows come back as they were put", rowsComeBack},
		{"missing rows have revision 0 and keep their place", missingRows},
		{"an empty value is a value and no delete", emptyValues},
		{"revisions count the writes of a row", revisions},
		{"conflicts are reported with all their keys and nothing is written", conflicts},
		{"scenario 162: a batch that fails in the middle leaves nothing", nothingHalf},
		{"a blind put needs no revision", blindPut},
		{"deletes are compared too", deletes},
		{"scenario 154: pages by prefix with a cursor, to the end", prefixPages},
		{"scenario 154: pages by index with a cursor, to the end", indexPages},
		{"what is due comes earliest first", dueOrder},
		{"several pages at one moment", pagesAtOnce},
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
		{"a new row that stands alone in its group", loneRows},
	})
}

func run(t *testing.T, open Open, stories []story) {
	for _, story := range stories {
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
	rows, err := store.Page(ctx(t), s, q)
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

// wantRows wants rows with these keys, in any order.
func wantRows(t *testing.T, rows []store.Row, want ...string) {
	t.Helper()
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b store.Row) int { return a.Key.Compare(b.Key) })
	wantKeys(t, rows, want...)
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
