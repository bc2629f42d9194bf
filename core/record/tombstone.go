package record

// The record of a tombstone, format version 1: [Olm user, reason, at, ...]. There is no key in it that could open anything.

import (
	"knownsender/core/sender"
	"knownsender/core/store"
)

const (
	tombstoneVersion = 1
	tombstoneMembers = 3
)

// TombstoneRow is the row of a tombstone.
func TombstoneRow(t *sender.Tombstone) store.Row {
	row := store.Row{Table: store.Tombstones, Key: tombstoneKey(t.CopyKey)}
	p := newPacker()
	defer p.done()
	p.record(tombstoneMembers, nil)
	p.text(string(t.OlmUser))
	p.text(t.Reason)
	p.int(t.At)
	row.Value = p.seal(tombstoneVersion, &row)
	return row
}

// DecodeTombstone reads the row of a tombstone. Errors are *Error. Members a newer version has added are passed over: a tombstone is
// written once and never changed.
func DecodeTombstone(row store.Row) (*sender.Tombstone, error) {
	key, ok := parseTombstoneKey(row.Key)
	if !ok {
		return nil, &Error{Code: CodeBadRowKey, Table: store.Tombstones, Reason: "the key names no copy"}
	}
	u, _, err := newUnpacker(&row, store.Tombstones, tombstoneVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	t := &sender.Tombstone{CopyKey: key}
	more := u.record(tombstoneMembers)
	t.OlmUser = u.user("the Olm user")
	t.Reason = u.text("the reason")
	t.At = u.int("the time")
	u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return t, nil
}
