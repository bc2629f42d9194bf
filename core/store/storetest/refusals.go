package storetest

// Stories of what is refused: nonsense, ended contexts, calls after the end.

import (
	"context"
	"errors"
	"testing"

	"knownsender/core/store"
)

func refusals(t *testing.T, open Open) {
	s := fresh(t, open)
	commit(t, s, put(store.Meta, 0, "v", "m"))
	before := Dump(t, s)
	op := func(op store.Op) error {
		return s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, 0, "v", "n"), op}})
	}
	read := func(table store.Table, keys ...store.Key) error { _, err := s.Get(ctx(t), table, keys); return err }
	ask := func(q store.Query) error { _, err := store.Page(ctx(t), s, q); return err }
	nine := make([]string, store.MaxKeyParts+1)
	entry := func(names ...string) []store.IndexEntry {
		var entries []store.IndexEntry
		for _, name := range names {
			entries = append(entries, store.IndexEntry{Name: name, Value: store.Key{"x"}})
		}
		return entries
	}
	lone := func(parts int, empty store.Table) error {
		return s.Commit(ctx(t), store.Batch{Ops: []store.Op{put(store.Meta, 0, "v", "n")}, Lone: &store.Lone{Parts: parts, Empty: empty}})
	}
	for what, got := range map[string]struct {
		err  error
		code string
	}{
		"groups of no parts":      {lone(0, store.Tombstones), store.CodeBadRequest},
		"alone but for nowhere":   {lone(1, "elsewhere"), store.CodeBadRequest},
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
	_, err = store.Page(ended, s, store.Query{Table: store.Meta})
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
	_, err = store.Page(ctx(t), s, store.Query{Table: store.Meta})
	wantCode(t, err, store.CodeClosed)
	_, err = s.Counters(ctx(t))
	wantCode(t, err, store.CodeClosed)
	// What was committed is there for the next handle.
	if row := get(t, fresh(t, open), store.Meta, "m"); string(row.Value) != "v" {
		t.Fatalf("after reopening: %q", row.Value)
	}
}
