package sealed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"strings"

	"knownsender/core/redact"
	"knownsender/core/store"
)

// names turns parts of keys into keyed hashes: HMAC-SHA-256, cut to 128 bits, of what the part stands in (a table, or an index), its place, the
// stored part before it and itself. So equal parts are told to be equal only where all before them are, in one table.
//
// Where a row does not open its plain key is not known, and it is called by its place: its stored parts behind a token that only the holder of the
// key can know. A place is stored as it is, so that a cursor goes on behind such a row, and it can be written over. One names serves one call.
type names struct {
	redact.Secret
	mac   hash.Hash
	token string
	last  map[string]named // one of each table and index: neighbours have much in common
	sum   []byte
}

type named struct{ plain, stored store.Key }

const hashLength = 16

func (s *Store) names() *names {
	return &names{mac: hmac.New(sha256.New, s.keys.Names()), token: s.token, last: map[string]named{}}
}

// token is what places begin with.
func token(key []byte) string {
	n := &names{mac: hmac.New(sha256.New, key)}
	return n.hash("token", 0, "", "") + ":"
}

// inClear says how many parts of a value of an index are stored as they are, because they are asked for by their order: a time.
func inClear(index string) int {
	if index == store.IndexDue {
		return 1
	}
	return 0
}

// key is the stored form of a key of a table.
func (n *names) key(table string, key store.Key) store.Key { return n.name(table, key, 0) }

// entry is the stored form of a value of an index.
func (n *names) entry(index string, value store.Key) store.Key {
	return n.name("index "+index, value, inClear(index))
}

func (n *names) name(within string, key store.Key, clear int) store.Key {
	if len(key) == 0 {
		return nil
	}
	last, common := n.last[within], 0
	for common < min(len(key), len(last.plain)) && key[common] == last.plain[common] {
		common++
	}
	stored := make(store.Key, len(key))
	copy(stored, last.stored[:common])
	for i := common; i < len(key); i++ {
		before := ""
		if i > 0 {
			before = stored[i-1]
		}
		if place, ok := strings.CutPrefix(key[i], n.token); ok {
			stored[i] = place
		} else if i < clear {
			stored[i] = key[i]
		} else {
			stored[i] = n.hash(within, i, before, key[i])
		}
	}
	n.last[within] = named{key.Clone(), stored.Clone()}
	return stored
}

func (n *names) hash(within string, i int, before, part string) string {
	n.mac.Reset()
	n.sum = append(appendText(appendText(append(n.sum[:0], byte(i)), within), before), part...)
	n.mac.Write(n.sum)
	n.sum = n.mac.Sum(n.sum[:0])
	return base64.RawURLEncoding.EncodeToString(n.sum[:hashLength])
}

// place calls a row by its stored key.
func (n *names) place(stored store.Key) store.Key {
	place := make(store.Key, len(stored))
	for i, part := range stored {
		place[i] = n.token + part
	}
	return place
}

// placeOfEntry is place for a value of an index.
func (n *names) placeOfEntry(index string, stored store.Key) store.Key {
	place := n.place(stored)
	copy(place, stored[:min(len(stored), inClear(index))])
	return place
}
