// Package sealed keeps rows encrypted at rest, over any store.Store.
//
// The rule: what reaches the store below is either made with a key or listed here. A row's value, plain key and index entries are sealed
// together by AES-256-GCM, with the table and the stored key as associated data, so that a row opens in its own place and no other. The parts of
// stored keys and index values are keyed hashes, each of the parts before it as well, so that prefixes, cursors and index values are found as before;
// their order is another one. A row that does not open comes out under its place with a value that is no record, and whoever reads it sets it aside.
//
// In the clear stay: the header (below), the names of tables, indexes and counters, the counters' numbers, how many rows there are, how long, how
// often written and in which indexes, that two of them begin with the same parts or stand under one index value, and the time in the index of what is due. A
// row that was deleted, one that was put back as it was earlier, and a database that was put back as a whole are not noticed.
//
// A random data key seals the rows. It lies wrapped in a header, a row of the meta table: by a key made from a passphrase, or from 32 bytes of the
// host's. To change either is to write the header anew. Nonces are random, so a database must not be written more than 2^32 times (NIST SP
// 800-38D, 8.3): a row a second for a hundred years.
package sealed

import (
	"context"
	"slices"

	"knownsender/core/store"
)

// Store is a store.Store whose rows are sealed in the one below it.
type Store struct {
	under  store.Store
	cipher Cipher
	keys   Keys
	token  string // see names
}

var _ store.Store = (*Store)(nil)

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	if err := store.CheckGet(table, keys); err != nil {
		return nil, err
	}
	names := s.names()
	stored := make([]store.Key, len(keys))
	for i, key := range keys {
		stored[i] = names.key(string(table), key)
	}
	rows, err := s.under.Get(ctx, table, stored)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx, names, rows); err != nil {
		return nil, err
	}
	for i := range rows {
		if row := &rows[i]; row.Rev == 0 || !row.Key.Equal(keys[i]) {
			if row.Rev != 0 && !broken(row.Value) { // what names sets aside for places, and nothing else, leads here to another row
				row.Value = spoil(row.Value)
			}
			row.Key = slices.Clone(keys[i])
		}
	}
	return rows, nil
}

// Pages implements store.Store.
func (s *Store) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	queries, err := store.CheckQueries(queries)
	if err != nil {
		return nil, err
	}
	names := s.names()
	for i := range queries {
		q := &queries[i]
		q.Prefix = names.key(string(q.Table), q.Prefix)
		if !q.After.Equal(store.LastKey) {
			q.After = names.key(string(q.Table), q.After)
		}
		if q.Index != "" {
			q.IndexValue, q.AfterIndex = names.entry(q.Index, q.IndexValue), names.entry(q.Index, q.AfterIndex)
		} else if q.Table == store.Meta && len(q.After) == 0 {
			q.After = headerKey // which lies before all hashes
		}
	}
	pages, err := s.under.Pages(ctx, queries...)
	if err != nil {
		return nil, err
	}
	return pages, s.open(ctx, names, pages...)
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b store.Batch) error {
	if err := store.CheckBatch(&b); err != nil {
		return err
	}
	names := s.names()
	plain := b.Ops
	b.Ops = make([]store.Op, len(plain))
	var items []Item
	for i := range plain {
		op := &b.Ops[i]
		*op = plain[i]
		op.Key, op.Index = names.key(string(op.Table), op.Key), make([]store.IndexEntry, len(op.Index))
		for j, entry := range plain[i].Index {
			op.Index[j] = store.IndexEntry{Name: entry.Name, Value: names.entry(entry.Name, entry.Value)}
		}
		if op.Value != nil {
			items = append(items, Item{Identity: identity(op.Table, op.Key), Bytes: pack(&plain[i])})
		}
	}
	if len(items) > 0 {
		values, err := s.keys.Seal(ctx, items)
		for _, item := range items {
			clear(item.Bytes)
		}
		if err != nil {
			return failed(ctx, err)
		}
		for i := range b.Ops {
			if op := &b.Ops[i]; op.Value != nil {
				op.Value, values = values[0], values[1:]
			}
		}
	}
	err := s.under.Commit(ctx, b)
	if e, ok := err.(*store.Error); ok {
		for i := range e.Conflicts {
			c := &e.Conflicts[i]
			at := slices.IndexFunc(b.Ops, func(op store.Op) bool { return op.Table == c.Table && op.Key.Equal(c.Key) })
			if at >= 0 {
				c.Key = slices.Clone(plain[at].Key)
			}
		}
	}
	return err
}

// Counters implements store.Store.
func (s *Store) Counters(ctx context.Context) (map[string]int64, error) { return s.under.Counters(ctx) }

// Close implements store.Store.
func (s *Store) Close() error { return s.under.Close() }

// open turns stored rows into what was put. An index entry comes out as it was put where it stands, else as a place.
func (s *Store) open(ctx context.Context, names *names, pages ...[]store.Row) error {
	var items []Item
	for _, rows := range pages {
		for i := range rows {
			if rows[i].Rev != 0 {
				items = append(items, Item{Identity: identity(rows[i].Table, rows[i].Key), Bytes: rows[i].Value})
			}
		}
	}
	if len(items) == 0 {
		return nil
	}
	opened, err := s.keys.Open(ctx, items)
	if err != nil {
		return failed(ctx, err)
	}
	for _, rows := range pages {
		for i := range rows {
			row := &rows[i]
			if row.Rev == 0 {
				continue
			}
			put, ok := unpack(opened[0])
			opened = opened[1:]
			if !ok {
				put = store.Op{Key: names.place(row.Key), Value: spoil(row.Value)}
			}
			row.Key, row.Value = put.Key, put.Value
			for j := range row.Index {
				entry := &row.Index[j]
				value := (&store.Row{Index: put.Index}).Entry(entry.Name)
				if value == nil || !names.entry(entry.Name, value).Equal(entry.Value) {
					value = names.placeOfEntry(entry.Name, entry.Value)
				}
				entry.Value = value
			}
		}
	}
	return nil
}

// failed is the error of a cipher that gave no answer.
func failed(ctx context.Context, err error) error {
	if ended := ctx.Err(); ended != nil {
		return &store.Error{Code: store.CodeAborted, Message: "the caller gave up", Err: ended}
	}
	return &store.Error{Code: store.CodeUnavailable, Message: "rows can be neither sealed nor opened", Err: err}
}
