package store

// A key is a list of strings, never joined into one: (`!a|b`, `c`) and (`!a`, `b|c`) are different keys whatever separator
// somebody may put into an id (T53). The order of keys is IndexedDB's order of arrays of strings.

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Key is a row's key or an index value: a list of valid UTF-8 strings, any of which may be empty.
type Key []string

// LastKey as the key that a query's page begins after is behind all keys of rows, in stores that call them otherwise too.
var LastKey = Key{"\uffff"}

// Compare orders keys as IndexedDB orders arrays of strings: part by part by UTF-16 code unit, a key before its extensions.
func (k Key) Compare(other Key) int {
	for i := range min(len(k), len(other)) {
		if c := compareUTF16(k[i], other[i]); c != 0 {
			return c
		}
	}
	return len(k) - len(other)
}

// Equal says whether both keys have the same parts.
func (k Key) Equal(other Key) bool { return slices.Equal(k, other) }

// HasPrefix says whether k begins with the whole parts of prefix.
func (k Key) HasPrefix(prefix Key) bool {
	return len(k) >= len(prefix) && slices.Equal(k[:len(prefix)], prefix)
}

// Clone returns a key that shares no array with k.
func (k Key) Clone() Key { return slices.Clone(k) }

// String writes the parts one by one in quotes. Different keys are written differently.
func (k Key) String() string {
	var b []byte
	for i, part := range k {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendQuote(b, part)
	}
	return string(b)
}

// check holds for keys that every store can keep: valid UTF-8 (a JavaScript string would fold all else into U+FFFD, and two
// keys into one) and bounded.
func (k Key) check() bool {
	if len(k) > MaxKeyParts {
		return false
	}
	for _, part := range k {
		if len(part) > MaxKeyPart || !utf8.ValidString(part) {
			return false
		}
	}
	return true
}

// compareUTF16 orders valid UTF-8 strings by their UTF-16 code units, without converting them. Bytes give the same order but
// for one case: U+E000 to U+FFFF (lead bytes EE, EF) come after all supplementary characters (F0 and up), whose UTF-16 form
// begins with a surrogate, D800 to DBFF. Two strings can differ first in a lead byte and a continuation byte only when one of
// them is not valid.
func compareUTF16(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		switch {
		case x >= 0xF0 && y >= 0xEE && y < 0xF0:
			return -1
		case y >= 0xF0 && x >= 0xEE && x < 0xF0:
			return 1
		case x < y:
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}

// mapKey is k as a map key: every part behind its length, so that no two keys meet.
func (k Key) mapKey() string {
	var b strings.Builder
	n := 0
	for _, part := range k {
		n += len(part) + 2
	}
	b.Grow(n)
	for _, part := range k {
		b.WriteByte(byte(len(part)))
		b.WriteByte(byte(len(part) >> 8))
		b.WriteString(part)
	}
	return b.String()
}
