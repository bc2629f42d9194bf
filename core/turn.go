package core

import (
	"context"
	"sync"

	"knownsender/core/keys"
	"knownsender/core/store"
)

// turn is the right to compute. One call has it at a time; it is given up for every wait, and for nothing else. So a call sees the Machine
// change only where it waits, in a browser as in a test with threads. (A browser alone would not do: with every call on one thread, the
// runtime may still go from one goroutine to another in the middle of an allocation.)
//
// Synchronous calls do not wait for it. When JavaScript runs, every Go call is at a wait, so the turn is free.
type turn struct {
	sync.Mutex
	taken *uint32 // how often, but for calls that only look: as long as it stands, no event that was judged would be judged otherwise
	looks bool    // whoever has the turn only looks
}

// Lock takes the turn.
func (t *turn) Lock() {
	t.Mutex.Lock()
	t.looks = false
	*t.taken++
}

// look takes the turn for a call that changes no verdict on an event but its own.
func (t *turn) look() {
	t.Mutex.Lock()
	t.looks = true
}

// give gives the turn up while f waits. Who only looked may have to do with something new then, and no longer only looks.
func (t *turn) give(f func()) {
	t.Unlock()
	defer t.Lock()
	f()
}

// lend is give for a wait that brings nothing new when f says so.
func (t *turn) lend(f func() (news bool)) {
	looks, news := t.looks, true
	t.Unlock()
	defer func() {
		if looks && !news {
			t.look()
		} else {
			t.Lock()
		}
	}()
	news = f()
}

// politeStore gives the turn up for every operation.
type politeStore struct {
	turn  *turn
	store store.Store
}

func (p politeStore) Get(ctx context.Context, table store.Table, wanted []store.Key) (rows []store.Row, err error) {
	p.turn.give(func() { rows, err = p.store.Get(ctx, table, wanted) })
	return rows, err
}

func (p politeStore) Pages(ctx context.Context, queries ...store.Query) (pages [][]store.Row, err error) {
	p.turn.give(func() { pages, err = p.store.Pages(ctx, queries...) })
	return pages, err
}

func (p politeStore) Commit(ctx context.Context, b store.Batch) (err error) {
	p.turn.lend(func() (news bool) {
		err = p.store.Commit(ctx, b)
		return err != nil
	})
	return err
}

func (p politeStore) Counters(ctx context.Context) (counters map[string]int64, err error) {
	p.turn.give(func() { counters, err = p.store.Counters(ctx) })
	return counters, err
}

func (p politeStore) Close() (err error) {
	p.turn.give(func() { err = p.store.Close() })
	return err
}

// politeVerifier gives the turn up while signatures are checked.
type politeVerifier struct {
	turn     *turn
	verifier keys.Verifier
}

func (p politeVerifier) Verify(ctx context.Context, checks []keys.Check) (held []bool, err error) {
	p.turn.give(func() { held, err = p.verifier.Verify(ctx, checks) })
	return held, err
}

// queue is a lock that is waited for without the turn.
type queue struct {
	turn *turn
	lock sync.Mutex
}

func (q *queue) enter() {
	if !q.lock.TryLock() {
		q.turn.give(q.lock.Lock)
	}
}

func (q *queue) leave() { q.lock.Unlock() }
