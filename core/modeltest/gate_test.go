package modeltest

import (
	"context"
	"errors"
	"sync"

	"knownsender/core/store"
)

// gate is the store as one tab sees it, once it is shut: every operation waits until it is let through, or the tab dies there.
type gate struct {
	under   store.Store
	arrived chan string // the operation that waits; "" when the tab has come to its end
	let     chan passage

	mu   sync.Mutex
	shut bool
	dead bool
}

type passage uint8

const (
	through   passage = iota
	dieBefore         // nothing is done
	dieAfter          // all is done, and the tab never hears of it
)

var errTabDied = errors.New("modeltest: the tab died")

func newGate(under store.Store) *gate {
	return &gate{under: under, arrived: make(chan string), let: make(chan passage)}
}

func (g *gate) is(what *bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return *what
}

func (g *gate) set(what *bool, to bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*what = to
}

func (g *gate) pass(name string, do func() error) error {
	died := &store.Error{Code: store.CodeUnavailable, Err: errTabDied}
	if g.is(&g.dead) {
		return died
	}
	if !g.is(&g.shut) {
		return do()
	}
	g.arrived <- name
	switch <-g.let {
	case dieAfter:
		_ = do()
		fallthrough
	case dieBefore:
		g.set(&g.dead, true)
		return died
	}
	return do()
}

// Get implements store.Store.
func (g *gate) Get(ctx context.Context, table store.Table, keys []store.Key) (rows []store.Row, err error) {
	err = g.pass("read "+string(table), func() error {
		rows, err = g.under.Get(ctx, table, keys)
		return err
	})
	return rows, err
}

// Pages implements store.Store.
func (g *gate) Pages(ctx context.Context, queries ...store.Query) (pages [][]store.Row, err error) {
	err = g.pass("read "+string(queries[0].Table), func() error {
		pages, err = g.under.Pages(ctx, queries...)
		return err
	})
	return pages, err
}

// Commit implements store.Store.
func (g *gate) Commit(ctx context.Context, b store.Batch) error {
	return g.pass(commit, func() error { return g.under.Commit(ctx, b) })
}

const commit = "commit"

// Counters implements store.Store.
func (g *gate) Counters(ctx context.Context) (counters map[string]int64, err error) {
	err = g.pass("read counters", func() error {
		counters, err = g.under.Counters(ctx)
		return err
	})
	return counters, err
}

// Close implements store.Store.
func (g *gate) Close() error { return nil }
