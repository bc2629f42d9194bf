package idbstore

// Reading what the host answered. The host is our own TypeScript, but what it reads from the database is not: every shape is
// checked, and an answer that does not fit is `bad_answer`.

import (
	"encoding/binary"
	"unicode/utf8"

	"knownsender/core/store"
	"knownsender/jsbridge/frame"
)

func number(item []byte) (uint64, bool) {
	if len(item) != 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(item), true
}

func readKey(item []byte) (store.Key, error) {
	parts, err := frame.Decode(item)
	if err != nil {
		return nil, badAnswer(err)
	}
	key := make(store.Key, len(parts))
	for i, part := range parts {
		if !utf8.Valid(part) {
			return nil, badAnswer(nil)
		}
		key[i] = string(part)
	}
	return key, nil
}

// readRow reads [key, revision, value, [index, value, ...]]. The value is a view into the answer, which nobody else holds.
func readRow(item []byte) (store.Row, error) {
	parts, err := frame.Decode(item)
	if err != nil || len(parts) != 4 {
		return store.Row{}, badAnswer(err)
	}
	row := store.Row{Value: parts[2]}
	if row.Key, err = readKey(parts[0]); err != nil {
		return store.Row{}, err
	}
	rev, ok := number(parts[1])
	if !ok {
		return store.Row{}, badAnswer(nil)
	}
	row.Rev = rev
	entries, err := frame.Decode(parts[3])
	if err != nil || len(entries)%2 != 0 {
		return store.Row{}, badAnswer(err)
	}
	for i := 0; i < len(entries); i += 2 {
		value, err := readKey(entries[i+1])
		if err != nil {
			return store.Row{}, err
		}
		row.Index = append(row.Index, store.IndexEntry{Name: string(entries[i]), Value: value})
	}
	return row, nil
}

// readError reads code, sentence, conflict... of a failed call. A code nobody knows is `unavailable`.
func readError(items [][]byte) error {
	e := &store.Error{Message: string(items[1])}
	switch code := string(items[0]); code {
	case store.CodeConflict:
		conflicts := make([]store.Conflict, len(items)-2)
		for i, item := range items[2:] {
			parts, err := frame.Decode(item)
			if err != nil || len(parts) != 4 {
				return badAnswer(err)
			}
			key, err := readKey(parts[1])
			if err != nil {
				return err
			}
			expect, ok1 := number(parts[2])
			got, ok2 := number(parts[3])
			if !ok1 || !ok2 {
				return badAnswer(nil)
			}
			conflicts[i] = store.Conflict{Table: store.Table(parts[0]), Key: key, Expect: expect, Got: got}
		}
		return store.NewConflict(conflicts)
	case store.CodeQuota, store.CodeClosed, store.CodeAborted, store.CodeSchemaTooNew, store.CodeBlocked, store.CodeStoreLost, store.CodeBadRequest:
		e.Code = code
	default:
		e.Code = store.CodeUnavailable
	}
	return e
}

func readRows(items [][]byte, table store.Table) ([]store.Row, error) {
	rows := make([]store.Row, len(items))
	for i, item := range items {
		var err error
		if rows[i], err = readRow(item); err != nil {
			return nil, err
		}
		rows[i].Table = table
	}
	return rows, nil
}
