// Package store says how rows are kept: named tables of rows with array keys, read in pages, written in all-or-nothing
// compare-and-set batches.
//
// The rule of this package: it knows nothing of what lies in a row. A value is bytes, a key is a list of strings, an index
// entry is one more list of strings. The interface is exactly what IndexedDB can do in one transaction, so a store in memory
// and a store in a browser give the same answers in the same order, and one suite (storetest) proves it for both.
package store

import (
	"context"
	"math"

	"knownsender/core/redact"
)

// Table names one table of rows.
type Table string

// The tables. What lies in their rows, and under which keys, is decided in one place: core/record's layout.
const (
	Copies     Table = "copies"
	Users      Table = "users"
	Tombstones Table = "tombstones"
	Replays    Table = "replays"
	Withheld   Table = "withheld"
	Channels   Table = "channels"
	Outbound   Table = "outbound"
	Meta       Table = "meta"
	Quarantine Table = "quarantine"
)

// Tables lists every table, in the order in which dumps and resets walk them.
func Tables() []Table {
	return []Table{Copies, Users, Tombstones, Replays, Withheld, Channels, Outbound, Meta, Quarantine}
}

// Known says whether t is one of Tables.
func (t Table) Known() bool {
	switch t {
	case Copies, Users, Tombstones, Replays, Withheld, Channels, Outbound, Meta, Quarantine:
		return true
	}
	return false
}

// Names of the indexes of the copies table.
const (
	// IndexWaiting finds the copies whose sender is not known yet, by (Olm user, curve25519 key).
	IndexWaiting = "waiting"
	// IndexOwner finds the copies whose sender is known but may still rise, by (user, master key).
	IndexOwner = "owner"
	// IndexDue finds the copies whose sender is to be asked about again, by (time, Olm user), earliest first.
	IndexDue = "due"
	// IndexBackup finds the copies that are not in the server's backup yet, by (backup state).
	IndexBackup = "backup"
)

// Indexes lists the indexes declared for a table. A row may have at most one entry in each.
func Indexes(t Table) []string {
	if t == Copies {
		return []string{IndexWaiting, IndexOwner, IndexDue, IndexBackup}
	}
	return nil
}

func hasIndex(t Table, name string) bool {
	return t == Copies && (name == IndexWaiting || name == IndexOwner || name == IndexDue || name == IndexBackup)
}

// Limits every store keeps, so that a row which one store accepts is accepted by all.
const (
	// MaxKeyParts is the largest number of strings in a key or an index value.
	MaxKeyParts = 8
	// MaxKeyPart is the largest length of one string of a key, in bytes of UTF-8.
	MaxKeyPart = 4096
	// MaxValue is the largest length of a row's value, in bytes.
	MaxValue = 64 << 20
	// DefaultLimit is the number of rows of a page whose query names no limit.
	DefaultLimit = 256
	// MaxLimit is the largest number of rows in one page; a greater limit is cut to it.
	MaxLimit = 4096
)

// AnyRev as an operation's Expect means: whatever is there, or nothing.
const AnyRev = uint64(math.MaxUint64)

// IndexEntry is the place of a row in one of its table's indexes. A row without an entry is not in that index.
type IndexEntry struct {
	Name  string
	Value Key
}

// Row is one row. Rev counts the writes of the row, from 1; 0 says that there is no such row. What comes out of a store has its
// Table set.
type Row struct {
	redact.Secret
	Table Table
	Key   Key
	Rev   uint64
	Value []byte
	Index []IndexEntry
}

// Entry returns the row's value in the named index, or nil.
func (r *Row) Entry(name string) Key {
	for i := range r.Index {
		if r.Index[i].Name == name {
			return r.Index[i].Value
		}
	}
	return nil
}

// Put is the operation that writes the row, its index entries with it, where expect is the revision that is there.
func (r Row) Put(expect uint64) Op {
	return Op{Table: r.Table, Key: r.Key, Expect: expect, Value: r.Value, Index: r.Index}
}

// Query asks for one page of rows.
//
// Without Index: the rows whose key begins with Prefix, in key order, after the key After.
// With Index: the rows whose value in that index begins with IndexValue, ordered by (index value, key), after the position
// (AfterIndex, After). A nil AfterIndex stands for IndexValue, which is enough when IndexValue is a whole index value.
// Prefix is not used then.
//
// After need not exist any more: a page is found by comparing keys, so rows that leave the table or the index between two
// pages neither hide nor repeat others.
type Query struct {
	Table      Table
	Prefix     Key
	Index      string
	IndexValue Key
	AfterIndex Key
	After      Key
	Limit      int
}

// Next returns the query for the page behind last, the last row of a page that q gave.
func (q Query) Next(last *Row) Query {
	q.After = last.Key
	if q.Index != "" {
		q.AfterIndex = last.Entry(q.Index)
	}
	return q
}

// Op is one operation of a batch: a put, or a delete when Value is nil (an empty value that is not nil is put as such).
//
// Expect 0 demands that the row is absent, AnyRev demands nothing, every other number must be the row's Rev. A put makes the
// row's Rev one greater than it was (1 for a new row) and replaces all its index entries. A delete forgets the Rev: a row made
// anew begins at 1 again.
type Op struct {
	redact.Secret
	Table  Table
	Key    Key
	Expect uint64
	Value  []byte
	Index  []IndexEntry
}

// Batch is what one transaction does: all of it, or nothing. No two operations may name the same row.
type Batch struct {
	Ops []Op
	// Counters are added to the stored counters inside the same transaction. A counter that was never touched is 0.
	Counters map[string]int64
	// Strict asks that the data have reached the disk before Commit returns, not only the operating system.
	Strict bool
	// Lone, where it is not nil, asks which of the new rows are the first of their group.
	Lone *Lone
}

// Lone asks of a batch which of the rows that it puts where there was none (Expect 0) have no other row beside them, in the store or in the batch, whose
// key begins with the same Parts parts. A store answers what it sees without looking for it, so of some it may say nothing; and of none at all unless the
// table Empty has no rows, all at the moment of the commit.
type Lone struct {
	Parts int
	Empty Table
	// Found is called for each such row before Commit returns without an error, with the operation's place in Ops.
	Found func(op int)
}

// Store keeps rows. Values that go in and come out are the caller's: a store keeps no reference to them.
//
// Every method is one transaction. Every error is an *Error. When ctx ends while a Commit is under way the batch may or may not
// have been applied; it is never applied in part.
type Store interface {
	// Get reads rows by key, in the order of keys, all at one moment. A missing row has its Key and Rev 0.
	Get(ctx context.Context, table Table, keys []Key) ([]Row, error)
	// Pages reads the rows of each query, all at one moment. Fewer rows than a query asks for (see DefaultLimit, MaxLimit) means that
	// there are no more.
	Pages(ctx context.Context, queries ...Query) ([][]Row, error)
	// Commit applies a batch. When a row is not as expected nothing is applied, and the error's Conflicts name all such rows.
	Commit(ctx context.Context, b Batch) error
	// Counters reads all counters that are not 0.
	Counters(ctx context.Context) (map[string]int64, error)
	// Close ends the use of the store; later calls answer `closed`. Closing twice is no error.
	Close() error
}

// Page reads the rows of one query.
func Page(ctx context.Context, s Store, q Query) ([]Row, error) {
	pages, err := s.Pages(ctx, q)
	if err != nil {
		return nil, err
	}
	return pages[0], nil
}
