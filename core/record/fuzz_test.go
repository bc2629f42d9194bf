package record_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"knownsender/core/record"
	"knownsender/core/store"
)

// The tables a fuzz input can be a row of; its first byte chooses.
var kinds = []string{"copy-direct-unknown", "copy-claimed", "user-identity", "tombstone", "replays", "withheld", "meta", "judge-note", "request", "copy-claimed-evidence", "cross-signing", "outbound", "shares", "room-settings"}

// FuzzRecordDecode reads any bytes as a row of any table, as they are and inside a frame whose checksum is right. Nothing panics; what is
// refused has a code; what is read is written again byte for byte, members of newer versions included; and no damage makes a claim know its
// sender. The corpus holds every row of the golden files, of every format version.
func FuzzRecordDecode(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzRecordDecode"); err != nil || len(seeds) == 0 {
		f.Fatalf("the corpus is empty: %v", err)
	}
	all := rows(f)
	f.Fuzz(func(t *testing.T, kind byte, value []byte) {
		row := all[kinds[int(kind)%len(kinds)]]
		for _, framed := range []bool{false, true} {
			tried := row
			tried.Value = value
			if framed {
				if len(value) < 9 {
					return
				}
				tried.Value = frame(value[2], row.Table, row.Key, value[8:])
			}
			back, err := again(tried)
			if err != nil {
				var e *record.Error
				if !errors.As(err, &e) || e.Code == "" {
					t.Fatalf("refused with %v", err)
				}
				continue
			}
			if !back.Key.Equal(row.Key) {
				t.Fatalf("the row %v was read as %v", row.Key, back.Key)
			}
			if row.Table == store.Copies {
				c, err := record.DecodeCopy(tried)
				if err != nil || c.Provenance.String() == "claimed" && c.Current.Kind != 0 {
					t.Fatalf("I7: %+v, %v", c, err)
				}
				if tried.Value[2] == 1 {
					if !c.Legacy || c.Current.Kind != 0 {
						t.Fatal("a row without sender data is trusted")
					}
					continue // read, never written
				}
			}
			if row.Table == store.Tombstones || row.Table == store.Withheld || row.Table == store.Meta {
				// Members of newer versions are passed over in these, so only rows without any come back the same.
				if len(back.Value) == len(tried.Value) && !bytes.Equal(back.Value, tried.Value) {
					t.Fatalf("%x is written again as %x", tried.Value, back.Value)
				}
				continue
			}
			if !bytes.Equal(back.Value, tried.Value) {
				t.Fatalf("%x is written again as %x", tried.Value, back.Value)
			}
		}
	})
}
