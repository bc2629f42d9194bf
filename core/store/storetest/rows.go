package storetest

// Stories of single rows: that they come back, their revisions, their values.

import (
	"fmt"
	"testing"

	"knownsender/core/store"
)

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
