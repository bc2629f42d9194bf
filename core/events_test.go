package core_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"testing"

	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// What a server can do to an event, and a tool to the rows.

// changed is the event after hooks.
func changed(t testing.TB, raw []byte, hooks ...testkit.Hook) []byte {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal(raw, &event); err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		hook(event)
	}
	return testkit.JSON(event)
}

// retold is the same ciphertext as another event of another sender.
func retold(t testing.TB, raw []byte, from, id string) []byte {
	t.Helper()
	return changed(t, raw, testkit.Set("sender", from), testkit.Set("event_id", id))
}

// relabelled is the envelope of one event around the content of another.
func relabelled(t testing.TB, content, envelope []byte) []byte {
	t.Helper()
	var inner map[string]any
	if err := json.Unmarshal(content, &inner); err != nil {
		t.Fatal(err)
	}
	return changed(t, envelope, testkit.Set("content", inner["content"]))
}

// rowOf is the n-th row of the copies.
func rowOf(t testing.TB, w *world, n int) store.Row {
	t.Helper()
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Copies})
	if err != nil {
		t.Fatal(err)
	}
	if n >= len(rows) {
		t.Fatalf("there are %d rows", len(rows))
	}
	return rows[n]
}

// overwrite writes a copy over its row, as another tab does.
func (w *world) overwrite(c *sender.Copy, rev uint64, counters map[string]int64) {
	w.t.Helper()
	row := record.CopyRow(c)
	w.commit(store.Batch{Counters: counters, Ops: []store.Op{{Table: row.Table, Key: row.Key, Expect: rev, Value: row.Value, Index: row.Index}}})
}

// commit writes past the machine.
func (w *world) commit(batch store.Batch) {
	w.t.Helper()
	if err := w.rows.Commit(context.Background(), batch); err != nil {
		w.t.Fatal(err)
	}
}

// decode is unpadded base64.
func decode(t testing.TB, text string) []byte {
	t.Helper()
	out, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// deleteRow deletes a copy's row past the machine.
func (w *world) deleteRow(c *sender.Copy) {
	w.t.Helper()
	w.commit(store.Batch{Counters: map[string]int64{"copies": -1}, Ops: []store.Op{{Table: store.Copies, Key: record.CopyKey(c.CopyKey), Expect: store.AnyRev}}})
}
