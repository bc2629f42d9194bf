package sealed_test

// T54: somebody edits the database. What does not open comes out under its place, once, with a value that is no record; all else is as before.

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/storetest"
)

func damaged(row store.Row) bool { return bytes.HasPrefix(row.Value, []byte("does not open: ")) }

// every pages through a query, with that limit.
func every(t testing.TB, s store.Store, q store.Query) (rows []store.Row) {
	t.Helper()
	for {
		page, err := store.Page(context.Background(), s, q)
		if err != nil {
			t.Fatal(err)
		}
		if rows = append(rows, page...); len(page) < q.Limit {
			return rows
		}
		if len(rows) > 1000 {
			t.Fatal("the pages have no end")
		}
		q = q.Next(&page[len(page)-1])
	}
}

const copyCount = 7

func copyKey(i int) store.Key { return store.Key{"!r", fmt.Sprint("s", i), "k", "direct"} }

// copies makes a store of some copies that wait and are due, each also in the table of tombstones.
func copies(t testing.TB) (under *store.Memory, s store.Store) {
	t.Helper()
	under = store.NewMemory()
	s = open(t, under.Reopen(), hostKey(t, 1))
	for i := range copyCount {
		put(t, s, store.Op{Table: store.Copies, Key: copyKey(i), Value: fmt.Appendf(nil, "value %d", i), Index: []store.IndexEntry{
			{Name: store.IndexWaiting, Value: store.Key{"@alice", "k"}}, {Name: store.IndexDue, Value: store.Key{"000000000001", "@alice"}},
		}})
		put(t, s, store.Op{Table: store.Tombstones, Key: copyKey(i), Value: fmt.Appendf(nil, "tombstone %d", i)})
	}
	return under, s
}

// wantDamage wants one damaged row among the copies, whichever way they are read, and that it can be written over through its place and its key.
func wantDamage(t *testing.T, under *store.Memory) {
	t.Helper()
	s := open(t, under.Reopen(), hostKey(t, 1))
	bad := -1
	for i := range copyCount {
		row := get(t, s, store.Copies, copyKey(i)...)
		if !row.Key.Equal(copyKey(i)) {
			t.Fatalf("%q came as %q", copyKey(i), row.Key)
		}
		switch {
		case damaged(row) && bad < 0:
			bad = i
		case string(row.Value) != fmt.Sprint("value ", i):
			t.Fatalf("copy %d is %q", i, row.Value)
		}
	}
	if bad < 0 {
		t.Fatal("nothing is damaged")
	}
	var place store.Row
	for _, q := range []store.Query{
		{Table: store.Copies}, {Table: store.Copies, Prefix: store.Key{"!r"}}, {Table: store.Copies, Index: store.IndexDue},
		{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{"@alice", "k"}},
	} {
		for _, q.Limit = range []int{1, 2, copyCount, 100} {
			rows := every(t, s, q)
			found := slices.DeleteFunc(slices.Clone(rows), func(row store.Row) bool { return !damaged(row) })
			if len(rows) != copyCount || len(found) != 1 {
				t.Fatalf("%+v: %d rows, %d of them damaged", q, len(rows), len(found))
			}
			place = found[0]
		}
	}
	// It is taken out of the indexes through its place, and stays damaged under its key.
	if err := s.Commit(context.Background(), store.Batch{Ops: []store.Op{{Table: store.Copies, Key: place.Key, Expect: place.Rev, Value: place.Value}}}); err != nil {
		t.Fatal(err)
	}
	if rows := every(t, s, store.Query{Table: store.Copies, Index: store.IndexDue, Limit: 2}); len(rows) != copyCount-1 {
		t.Fatalf("%d are due", len(rows))
	}
	row := get(t, s, store.Copies, copyKey(bad)...)
	if !damaged(row) || !row.Key.Equal(copyKey(bad)) || !bytes.Equal(row.Value, place.Value) {
		t.Fatalf("under its key it is %q", row.Value)
	}
	// Something good takes its place.
	if err := s.Commit(context.Background(), store.Batch{Ops: []store.Op{{Table: store.Copies, Key: copyKey(bad), Expect: row.Rev, Value: []byte("good")}}}); err != nil {
		t.Fatal(err)
	}
	if row := get(t, s, store.Copies, copyKey(bad)...); string(row.Value) != "good" {
		t.Fatalf("then it is %q", row.Value)
	}
}

// edit changes a stored row, past the key.
func edit(t testing.TB, under store.Store, row store.Row, value []byte) {
	t.Helper()
	put(t, under, store.Op{Table: row.Table, Key: row.Key, Value: value, Index: row.Index})
}

func TestEditedRows(t *testing.T) {
	sample, _ := copies(t)
	length := len(every(t, sample, store.Query{Table: store.Copies, Limit: 100})[3].Value)
	for what, change := range map[string]func(value []byte) []byte{
		"cut off": func(v []byte) []byte { return v[:len(v)-1] }, "cut to the nonce": func(v []byte) []byte { return v[:12] }, "empty": func([]byte) []byte { return []byte{} },
		"something behind": func(v []byte) []byte { return append(v, 0) }, "zeroes": func(v []byte) []byte { return make([]byte, len(v)) },
		"a value in the clear": func([]byte) []byte { return []byte("value 3") },
	} {
		t.Run(what, func(t *testing.T) {
			under, _ := copies(t)
			row := every(t, under, store.Query{Table: store.Copies, Limit: 100})[3]
			edit(t, under, row, change(bytes.Clone(row.Value)))
			wantDamage(t, under)
		})
	}
	// Every byte: nonce, ciphertext, tag.
	under, s := copies(t)
	row := every(t, under, store.Query{Table: store.Copies, Limit: 100})[3]
	for at := range length {
		value := bytes.Clone(row.Value)
		value[at] ^= 0x40
		edit(t, under, row, value)
		if found := slices.DeleteFunc(every(t, s, store.Query{Table: store.Copies, Limit: 100}), func(row store.Row) bool { return !damaged(row) }); len(found) != 1 {
			t.Fatalf("byte %d: %d rows are damaged", at, len(found))
		}
	}
	edit(t, under, row, row.Value)
	if found := every(t, s, store.Query{Table: store.Copies, Limit: 100}); slices.ContainsFunc(found, damaged) {
		t.Fatal("put back it does not open")
	}
}

func TestSwappedRows(t *testing.T) {
	swap := func(a, b store.Table, atA, atB int) *store.Memory {
		under, _ := copies(t)
		x, y := every(t, under, store.Query{Table: a, Limit: 100})[atA], every(t, under, store.Query{Table: b, Limit: 100})[atB]
		edit(t, under, x, y.Value)
		if a != b {
			edit(t, under, y, x.Value)
		}
		return under
	}
	wantDamage(t, swap(store.Copies, store.Copies, 2, 5)) // one takes another's place
	for at := range copyCount {
		wantDamage(t, swap(store.Copies, store.Tombstones, at, at))
	}
	// A row that is moved as a whole, key and all, to another table.
	under, s := copies(t)
	row := every(t, under, store.Query{Table: store.Tombstones, Limit: 100})[0]
	put(t, under, store.Op{Table: store.Withheld, Key: row.Key, Value: row.Value})
	if rows := every(t, s, store.Query{Table: store.Withheld, Limit: 100}); len(rows) != 1 || !damaged(rows[0]) {
		t.Fatalf("it came out as %v", rows)
	}
}

// F36: an index entry that was edited or taken away does not look as if it stood, and hides nobody. The reader of the record sees it and puts it back.
func TestEditedEntries(t *testing.T) {
	under, s := copies(t)
	row := every(t, under, store.Query{Table: store.Copies, Limit: 100})[3]
	entries := row.Index
	row.Index = []store.IndexEntry{{Name: store.IndexDue, Value: store.Key{"000000000000", entries[1].Value[1]}}, {Name: store.IndexOwner, Value: store.Key{"x", "y"}}}
	edit(t, under, row, row.Value)
	for _, limit := range []int{1, 3, 100} {
		rows := every(t, s, store.Query{Table: store.Copies, Index: store.IndexDue, Limit: limit})
		if len(rows) != copyCount || damaged(rows[0]) {
			t.Fatalf("limit %d: %v", limit, rows)
		}
		if rows[0].Entry(store.IndexWaiting) != nil || rows[0].Entry(store.IndexDue).Equal(store.Key{"000000000000", "@alice"}) || rows[0].Entry(store.IndexDue).Equal(store.Key{"000000000001", "@alice"}) {
			t.Fatalf("limit %d: its entries are %v", limit, rows[0].Index)
		}
		if rows := every(t, s, store.Query{Table: store.Copies, Index: store.IndexOwner, Limit: limit}); len(rows) != 1 {
			t.Fatalf("limit %d: %d have an owner", limit, len(rows))
		}
	}
}

// A single row that is put back as it was opens: that is not noticed, as the package says.
func TestRollback(t *testing.T) {
	under, s := copies(t)
	row := every(t, under, store.Query{Table: store.Copies, Limit: 1})[0]
	plain := every(t, s, store.Query{Table: store.Copies, Limit: 1})[0]
	put(t, s, store.Op{Table: store.Copies, Key: plain.Key, Value: []byte("newer")})
	edit(t, under, row, row.Value)
	if got := get(t, s, store.Copies, plain.Key...); string(got.Value) != string(plain.Value) {
		t.Fatalf("%q", got.Value)
	}
}

// Of two rows with the same parts in one place nothing tells it but under the same parts before, and one value is never sealed twice to the same bytes.
func TestNothingLinks(t *testing.T) {
	under, s := copies(t)
	put(t, s, store.Op{Table: store.Copies, Key: store.Key{"!other", "s0", "k", "direct"}, Value: []byte("value 0")})
	seen := map[string]bool{}
	firsts := map[string]bool{}
	for _, table := range []store.Table{store.Copies, store.Tombstones} {
		for _, row := range every(t, under, store.Query{Table: table, Limit: 100}) {
			firsts[row.Key[0]] = true
			for _, text := range append(slices.Clone(row.Key[1:]), string(row.Value)) {
				if seen[text] {
					t.Errorf("%q is there twice", text)
				}
				seen[text] = true
			}
		}
	}
	if len(firsts) != 3 { // of two rooms in one table and one in another
		t.Errorf("the rooms are %v", firsts)
	}
	// Two databases with one key of the host's have nothing in common.
	again, _ := copies(t)
	for _, row := range every(t, again, store.Query{Table: store.Copies, Limit: 100}) {
		if firsts[row.Key[0]] {
			t.Errorf("two databases call a room %s", row.Key[0])
		}
	}
}

// In the clear are names, numbers and the time in the index of what is due, and nothing that was put.
func TestNothingReadable(t *testing.T) {
	under, s := copies(t)
	put(t, s, store.Op{Table: store.Copies, Key: store.Key{"!secretroom", "secretsession", "secretsender", "direct"}, Value: []byte("secretvalue"), Index: []store.IndexEntry{
		{Name: store.IndexWaiting, Value: store.Key{"@secretuser", "secretsender"}}, {Name: store.IndexDue, Value: store.Key{"0000000abcde", "@secretuser"}},
		{Name: store.IndexBackup, Value: store.Key{"secretstate"}}, {Name: store.IndexOwner, Value: store.Key{"@secretuser", "secretmaster"}},
	}})
	dump := storetest.Dump(t, under)
	for _, form := range []string{"secret", hex.EncodeToString([]byte("secret")), base64.RawStdEncoding.EncodeToString([]byte("secret")), "direct"} {
		if strings.Contains(dump, form) {
			t.Errorf("the database holds %q", form)
		}
	}
	if !strings.Contains(dump, "0000000abcde") {
		t.Error("the time of what is due is not asked for by its order")
	}
}
