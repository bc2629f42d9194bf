package storetest

// Stories of keys: their order and what may be in them.

import (
	"fmt"
	"strings"
	"testing"

	"knownsender/core/store"
)

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
