// Package idbstore is core/store.Store over the host's IndexedDB.
//
// The rule: a batch is built here, in Go, and run there, in TypeScript, in one transaction. An IndexedDB transaction commits by
// itself as soon as control returns to the event loop, so nothing may be computed or awaited while one is open; this package
// therefore never sees a transaction, only one frame out and one frame back. web/src/idb is the other side and says what lies in
// the frames.
package idbstore

import (
	"context"
	"errors"
	"sync/atomic"

	"knownsender/core/store"
	"knownsender/jsbridge/frame"
)

// Host is the JavaScript side: it answers a method's request frame with a frame. An error means that there was no answer at all;
// what goes wrong in the database is part of the answer.
type Host interface {
	Call(ctx context.Context, method string, request []byte) ([]byte, error)
}

// Info is what opening a database found.
type Info struct {
	// Generation is the random name this database got when it was made. Keep it elsewhere and give it to OpenGeneration to notice
	// that the database was deleted in the meantime.
	Generation string
	// SchemaVersion is the database's version, which a newer client may have raised.
	SchemaVersion uint64
	// Created says that there was no such database before.
	Created bool
}

// Store is a store.Store in the host's IndexedDB.
type Store struct {
	host   Host
	info   Info
	closed atomic.Bool
}

var _ store.Store = (*Store)(nil)

// Open opens the database called name, or makes it. Errors are *store.Error: `unavailable`, `quota`, `schema_too_new`, `blocked`.
func Open(ctx context.Context, host Host, name string) (*Store, error) {
	return OpenGeneration(ctx, host, name, "")
}

// OpenGeneration is Open for a database that is known: if the one of that name is gone, or is another one, the answer is
// `store_lost` and nothing is made in its place. An empty generation is Open.
func OpenGeneration(ctx context.Context, host Host, name, generation string) (*Store, error) {
	var request frame.Writer
	request.String(name)
	request.String(generation)
	items, err := call(ctx, host, "open", request.Frame())
	if err != nil {
		return nil, err
	}
	version, ok := uint64(0), len(items) == 3
	if ok {
		version, ok = number(items[1])
	}
	if !ok {
		return nil, badAnswer(nil)
	}
	return &Store{host: host, info: Info{
		Generation:    string(items[0]),
		SchemaVersion: version,
		Created:       string(items[2]) == "created",
	}}, nil
}

// Info returns what opening found.
func (s *Store) Info() Info { return s.info }

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	if err := store.CheckGet(table, keys); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, nil
	}
	var request frame.Writer
	request.String(string(table))
	for _, key := range keys {
		request.Strings(key)
	}
	items, err := call(ctx, s.host, "get", request.Frame())
	if err != nil {
		return nil, err
	}
	rows, err := readRows(items, table)
	if err != nil {
		return nil, err
	}
	if len(rows) != len(keys) {
		return nil, badAnswer(nil)
	}
	for i := range rows {
		if !rows[i].Key.Equal(keys[i]) {
			return nil, badAnswer(nil)
		}
		if rows[i].Rev == 0 {
			rows[i].Value = nil
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
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	if len(queries) == 0 {
		return nil, nil
	}
	var request frame.Writer
	for i := range queries {
		q := &queries[i]
		request.Nest(func() {
			request.String(string(q.Table))
			request.String(q.Index)
			if q.Index == "" {
				request.Strings(q.Prefix)
			} else {
				request.Strings(q.IndexValue)
			}
			request.Strings(q.AfterIndex)
			request.Strings(q.After)
			request.Uint64(uint64(q.Limit))
		})
	}
	items, err := call(ctx, s.host, "pages", request.Frame())
	if err != nil {
		return nil, err
	}
	if len(items) != len(queries) {
		return nil, badAnswer(nil)
	}
	pages := make([][]store.Row, len(items))
	for i, item := range items {
		page, err := frame.Decode(item)
		if err != nil {
			return nil, badAnswer(err)
		}
		if pages[i], err = readRows(page, queries[i].Table); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b store.Batch) error {
	if err := store.CheckBatch(&b); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	var request frame.Writer
	if b.Strict {
		request.String("strict")
	} else {
		request.String("relaxed")
	}
	request.Nest(func() {
		for name, delta := range b.Counters {
			request.String(name)
			request.Uint64(uint64(delta))
		}
	})
	request.Nest(func() {
		if b.Lone != nil {
			request.Uint64(uint64(b.Lone.Parts))
			request.String(string(b.Lone.Empty))
		}
	})
	for i := range b.Ops {
		op := &b.Ops[i]
		request.Nest(func() {
			request.String(string(op.Table))
			request.Strings(op.Key)
			request.Uint64(op.Expect)
			if op.Value == nil {
				request.String("delete")
			} else {
				request.String("put")
			}
			request.Bytes(op.Value)
			request.Nest(func() {
				for _, entry := range op.Index {
					request.String(entry.Name)
					request.Strings(entry.Value)
				}
			})
		})
	}
	items, err := call(ctx, s.host, "commit", request.Frame())
	if err != nil {
		return err
	}
	for _, item := range items {
		op, ok := number(item)
		if !ok || b.Lone == nil || op >= uint64(len(b.Ops)) {
			return badAnswer(nil)
		}
		b.Lone.Found(int(op))
	}
	return nil
}

// Counters implements store.Store.
func (s *Store) Counters(ctx context.Context) (map[string]int64, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	items, err := call(ctx, s.host, "counters", frame.Append(nil))
	if err != nil {
		return nil, err
	}
	if len(items)%2 != 0 {
		return nil, badAnswer(nil)
	}
	counters := make(map[string]int64, len(items)/2)
	for i := 0; i < len(items); i += 2 {
		n, ok := number(items[i+1])
		if !ok {
			return nil, badAnswer(nil)
		}
		if n != 0 {
			counters[string(items[i])] = int64(n)
		}
	}
	return counters, nil
}

// Close implements store.Store. It waits for the transactions under way.
func (s *Store) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	_, err := call(context.Background(), s.host, "close", frame.Append(nil))
	return err
}

// begin says why a call cannot even be sent.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &store.Error{Code: store.CodeAborted, Message: "the caller gave up", Err: err}
	}
	if s.closed.Load() {
		return &store.Error{Code: store.CodeClosed, Message: "the store is closed"}
	}
	return nil
}

// call sends a request and takes the answer apart: the items behind "ok", or the error behind "error".
func call(ctx context.Context, host Host, method string, request []byte) ([][]byte, error) {
	answer, err := host.Call(ctx, method, request)
	if err != nil {
		if ended := ctx.Err(); ended != nil && errors.Is(err, ended) {
			return nil, &store.Error{Code: store.CodeAborted, Message: "the caller gave up; the database may go on", Err: err}
		}
		return nil, &store.Error{Code: store.CodeUnavailable, Message: "the host did not answer", Err: err}
	}
	items, err := frame.Decode(answer)
	if err != nil {
		return nil, badAnswer(err)
	}
	switch {
	case len(items) > 0 && string(items[0]) == "ok":
		return items[1:], nil
	case len(items) > 2 && string(items[0]) == "error":
		return nil, readError(items[1:])
	}
	return nil, badAnswer(nil)
}

func badAnswer(cause error) error {
	return &store.Error{Code: store.CodeBadAnswer, Message: "the host's answer makes no sense", Err: cause}
}
