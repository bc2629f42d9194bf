package record_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Golden bytes lie in core/testdata/record, one file for each row of samples_test.go. They are what users have on their disks: a change of
// them is a new format version, not a new golden file. KNOWNSENDER_GOLDEN=write makes the ones that do not exist yet, and no others.

const goldens = "../testdata/record"

func golden(t *testing.T, name string, value []byte) []byte {
	t.Helper()
	path := filepath.Join(goldens, name+".bin")
	want, err := os.ReadFile(path)
	if os.IsNotExist(err) && os.Getenv("KNOWNSENDER_GOLDEN") == "write" {
		if err := os.MkdirAll(goldens, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, value, 0o644); err != nil {
			t.Fatal(err)
		}
		return value
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// Scenario 15: the stored form of a fixed session is the same for ever; so is that of everything else.
func TestGoldenBytes(t *testing.T) {
	for name, row := range rows(t) {
		t.Run(name, func(t *testing.T) {
			want := golden(t, name, row.Value)
			if !bytes.Equal(row.Value, want) {
				t.Fatalf("written as\n%x\nbut users have\n%x", row.Value, want)
			}
			// What users have reads as what was meant, and is written the same way again (I24).
			stored := row
			stored.Value = want
			back, err := again(stored)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Value, want) || !back.Key.Equal(row.Key) || back.Table != row.Table {
				t.Fatalf("read and written again as %v %x", back.Key, back.Value)
			}
		})
	}
}

// No golden file is left behind when its row goes.
func TestEveryGoldenFileIsRead(t *testing.T) {
	files, err := os.ReadDir(goldens)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	all := rows(t)
	for _, file := range files {
		name := strings.TrimSuffix(file.Name(), ".bin")
		if _, known := all[name]; !known && !strings.HasPrefix(name, "copy-v1-") {
			t.Errorf("%s belongs to no test", file.Name())
		}
	}
}

// Scenarios 13 and 160: a row from before there were sender data is a copy of an unknown device, marked legacy, whatever index columns it
// lacks; and it is found to be in need of writing.
func TestRowsWithoutSenderData(t *testing.T) {
	for name, sample := range map[string]string{"copy-v1-direct": "direct-unknown", "copy-v1-claimed": "claimed"} {
		t.Run(name, func(t *testing.T) {
			was := *copies(t)[sample]
			was.BackedUp, was.SharedHistory = true, true
			key := record.CopyKey(was.CopyKey)
			row := store.Row{Table: store.Copies, Key: key, Rev: 1, Value: golden(t, name, versionOne(t, &was))}
			c, err := record.DecodeCopy(row)
			if err != nil {
				t.Fatal(err)
			}
			if c.Current != (sender.Data{}) || c.AtReception != (sender.Data{}) || !c.Legacy || c.Step != 0 {
				t.Fatalf("read as %+v", c)
			}
			if c.OlmUser != was.OlmUser || c.Ed25519 != was.Ed25519 || c.ReceivedAt != was.ReceivedAt || !c.BackedUp || !c.SharedHistory || c.Session.FirstKnownIndex() != 7 {
				t.Fatalf("read as %+v", c)
			}
			if !record.Stale(&row, c) {
				t.Fatal("the row is not found to be old")
			}
			// Written again it is of today's format, in its index, and still legacy.
			now := record.CopyRow(c)
			if record.Stale(&now, c) || (now.Entry(store.IndexWaiting) == nil) != (c.Provenance == sender.Claimed) {
				t.Fatalf("written as %v", now.Index)
			}
			back, err := record.DecodeCopy(now)
			if err != nil || !back.Legacy {
				t.Fatalf("read again: %v", err)
			}
		})
	}
}
