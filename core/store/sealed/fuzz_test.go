package sealed_test

import (
	"bytes"
	"context"
	"testing"

	"knownsender/core/store"
)

// FuzzSealOpen seals a row under a random place and changes what lies on the disk: it never opens as anything, at that place or another, and what was not
// changed opens as what it was. Rows are sealed with fresh nonces, so an input fails or holds whatever they are.
func FuzzSealOpen(f *testing.F) {
	secret := hostKey(f, 7)
	f.Fuzz(func(t *testing.T, value []byte, room, session string, at uint16, flip byte) {
		key := store.Key{room, session, "k", "direct"}
		put := store.Op{Table: store.Copies, Key: key, Value: value}
		if len(value) > 1<<12 || bytes.HasPrefix(value, []byte("does not open")) || store.CheckBatch(&store.Batch{Ops: []store.Op{put}}) != nil {
			return
		}
		ctx := context.Background()
		under := store.NewMemory()
		s := open(t, under, secret)
		other := store.Key{room + "x", session, "k", "direct"}
		for _, k := range []store.Key{key, other} {
			if err := s.Commit(ctx, store.Batch{Ops: []store.Op{{Table: store.Copies, Key: k, Value: value}}}); err != nil {
				t.Fatal(err)
			}
		}
		if row := get(t, s, store.Copies, key...); !bytes.Equal(row.Value, value) {
			t.Fatalf("%d bytes were stored, %d come back", len(value), len(row.Value))
		}
		rows := every(t, under, store.Query{Table: store.Copies, Limit: 100})
		if len(rows) != 2 {
			t.Fatalf("%d rows", len(rows))
		}
		if bytes.Contains(rows[0].Value, value) && len(value) > 3 {
			t.Error("the value lies there as it is")
		}
		bad := bytes.Clone(rows[0].Value)
		if flip == 0 { // what lies at the other place
			bad = bytes.Clone(rows[1].Value)
		} else {
			bad[int(at)%len(bad)] ^= flip
		}
		edit(t, under, rows[0], bad)
		opened, failed := 0, 0
		for _, row := range every(t, s, store.Query{Table: store.Copies, Limit: 100}) {
			switch {
			case damaged(row):
				failed++
			case bytes.Equal(row.Value, value):
				opened++
			default:
				t.Errorf("it opens as %x", row.Value)
			}
		}
		if opened != 1 || failed != 1 {
			t.Errorf("%d rows open and %d do not", opened, failed)
		}
	})
}
