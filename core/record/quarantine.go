package record

// Rows that could not be read lie in the quarantine with their bytes as they were found, behind a header that says why and when:
//
//	0     3        4        5      5+n      13+n
//	| KSQ | 1      | n      | code | time   | bytes
//
// Nothing reads the bytes but people; the original may then be written over. Versions before the header set aside the bytes alone.

import (
	"bytes"
	"encoding/binary"

	"knownsender/core/store"
)

const quarantineMagic = "KSQ\x01"

// Aside says what was set aside, and why, without what was in it.
type Aside struct {
	Table store.Table // empty when it cannot be told: the row does not open, or is none of ours
	Code  string      // of the error that reading it gave; empty when it was set aside by an older version, or by the store below
	At    int64       // milliseconds since 1970, the last time it was found; 0 as above
}

// QuarantineRow is the row in which a damaged row is set aside.
func QuarantineRow(row store.Row, aside Aside) store.Row {
	value := make([]byte, 0, len(quarantineMagic)+1+len(aside.Code)+8+len(row.Value))
	value = append(append(value, quarantineMagic...), byte(len(aside.Code)))
	value = binary.BigEndian.AppendUint64(append(value, aside.Code...), uint64(aside.At))
	value = append(value, row.Value...)
	key := append(store.Key{string(aside.Table)}, row.Key...)
	return store.Row{Table: store.Quarantine, Key: key[:min(len(key), store.MaxKeyParts)], Value: value[:min(len(value), store.MaxValue)]}
}

// ParseQuarantine reads what QuarantineRow wrote: the header, and the bytes as they were found. Whatever lies there, it says what it can.
func ParseQuarantine(row *store.Row) (aside Aside, found []byte) {
	if table := store.Table(row.Key[0]); table.Known() {
		aside.Table = table
	}
	rest, ok := bytes.CutPrefix(row.Value, []byte(quarantineMagic))
	if !ok || len(rest) < 9 || len(rest) < 9+int(rest[0]) {
		return aside, row.Value
	}
	code, rest := rest[1:1+rest[0]], rest[1+rest[0]:]
	for _, c := range code {
		if c != '_' && (c < 'a' || c > 'z') { // what is told to people is a word of ours, not whatever lies in a database
			return aside, row.Value
		}
	}
	aside.Code, aside.At = string(code), int64(binary.BigEndian.Uint64(rest))
	return aside, rest[8:]
}
