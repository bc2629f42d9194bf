package sealed

import (
	"bytes"
	"encoding/binary"

	"knownsender/core/store"
)

// What is sealed of a row: the parts of its key, its index entries, each a name and the parts of a value, and the value. Lists stand behind the
// number of their members, strings behind their length, the value reaches to the end. The limits of store bound all of it.

// pack is what is to be sealed of a put.
func pack(op *store.Op) []byte {
	size := 2 + len(op.Value)
	for _, part := range op.Key {
		size += 2 + len(part)
	}
	for _, entry := range op.Index {
		size += 64 + len(entry.Name)
		for _, part := range entry.Value {
			size += len(part)
		}
	}
	b := appendKey(make([]byte, 0, size), op.Key)
	b = append(b, byte(len(op.Index)))
	for _, entry := range op.Index {
		b = appendKey(appendText(b, entry.Name), entry.Value)
	}
	return append(b, op.Value...)
}

// unpack reads what was sealed, or says that it is nothing of that kind.
func unpack(b []byte) (op store.Op, ok bool) {
	r := reader{rest: b}
	op.Key = r.key()
	for range r.byte() {
		op.Index = append(op.Index, store.IndexEntry{Name: r.text(), Value: r.key()})
	}
	op.Value = r.rest
	return op, !r.short && len(op.Key) > 0 && b != nil
}

// identity is the associated data of a row: the table and the stored key.
func identity(table store.Table, stored store.Key) []byte {
	return appendKey(appendText([]byte("knownsender row 1:"), string(table)), stored)
}

func appendText(b []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(text))), text...)
}

func appendKey(b []byte, key store.Key) []byte {
	b = append(b, byte(len(key)))
	for _, part := range key {
		b = appendText(b, part)
	}
	return b
}

// reader takes bytes from the front of rest; beyond its end it reads nothing, and is short.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.short, r.rest = true, nil
		return make([]byte, n)
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte   { return r.take(1)[0] }
func (r *reader) text() string { return string(r.take(int(binary.BigEndian.Uint16(r.take(2))))) }

func (r *reader) key() (key store.Key) {
	for range r.byte() {
		key = append(key, r.text())
	}
	return key
}

// broken values are those of rows that do not open: the bytes as they were found, behind something that no record begins with. Without it, a
// record that somebody wrote there in the clear would be taken for one of ours.
var brokenMark = []byte("does not open: ")

func spoil(stored []byte) []byte { return append(bytes.Clone(brokenMark), stored...) }

func broken(value []byte) bool { return bytes.HasPrefix(value, brokenMark) }
