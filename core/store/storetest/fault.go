package storetest

// A store that fails when a test wants it to (F01, F05, F07, F23): at a chosen call it refuses, or the program "dies" there,
// before or after the call reached the disk. A batch is atomic, so these are all the places where a crash can fall (I23).

import (
	"context"
	"errors"
	"sync"

	"knownsender/core/store"
)

// ErrDied is the cause of every error of a Faulty store whose program has died.
var ErrDied = errors.New("storetest: the program died")

// Faulty is a store.Store over another one that counts calls and breaks one of them.
type Faulty struct {
	under store.Store

	mu     sync.Mutex
	log    []string
	match  string
	at     int
	seen   int
	once   error
	die    bool
	after  bool
	dead   bool
	repeat bool
}

// NewFaulty wraps a store. Nothing fails until told.
func NewFaulty(under store.Store) *Faulty { return &Faulty{under: under} }

func (f *Faulty) arm(method string, n int) {
	f.match, f.at, f.seen, f.once, f.die, f.after, f.repeat = method, n, 0, nil, false, false, false
}

// FailAt makes the n-th call from now on (1 is the next) of a method ("Get", "Pages", "Commit", "Counters", or "" for all) answer
// an error with the given code, without doing anything. Other calls go through.
func (f *Faulty) FailAt(method string, n int, code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arm(method, n)
	f.once = &store.Error{Code: code, Message: "a fault was injected"}
}

// FailFrom is FailAt for the n-th call and all later ones of that method, until FailAt, FailFrom, DieAt or Heal.
func (f *Faulty) FailFrom(method string, n int, code string) {
	f.FailAt(method, n, code)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.repeat = true
}

// DieAt ends the program at the n-th call of a method: with after false before the call does anything, with after true when it
// has done all but answer. From there on every call answers `unavailable` with ErrDied as its cause. Open the store below anew
// to go on.
func (f *Faulty) DieAt(method string, n int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arm(method, n)
	f.die, f.after = true, after
}

// Heal takes back what FailAt, FailFrom and DieAt ordered. A program that has died stays dead.
func (f *Faulty) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.arm("", 0)
}

// Calls returns the methods called so far, in order.
func (f *Faulty) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.log...)
}

// Died says whether the program has died.
func (f *Faulty) Died() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

func died() error {
	return &store.Error{Code: store.CodeUnavailable, Message: "the program died", Err: ErrDied}
}

// before decides what becomes of a call. A nil error lets it through; lost says that its answer must not arrive.
func (f *Faulty) before(method string) (lost bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false, died()
	}
	f.log = append(f.log, method)
	if f.at == 0 || f.match != "" && f.match != method {
		return false, nil
	}
	f.seen++
	if f.seen != f.at && !(f.repeat && f.seen > f.at) {
		return false, nil
	}
	if !f.die {
		return false, f.once
	}
	f.dead = true
	if f.after {
		return true, nil
	}
	return false, died()
}

// Get implements store.Store.
func (f *Faulty) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	lost, err := f.before("Get")
	if err != nil {
		return nil, err
	}
	rows, err := f.under.Get(ctx, table, keys)
	if lost {
		return nil, died()
	}
	return rows, err
}

// Pages implements store.Store.
func (f *Faulty) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	lost, err := f.before("Pages")
	if err != nil {
		return nil, err
	}
	pages, err := f.under.Pages(ctx, queries...)
	if lost {
		return nil, died()
	}
	return pages, err
}

// Commit implements store.Store.
func (f *Faulty) Commit(ctx context.Context, b store.Batch) error {
	lost, err := f.before("Commit")
	if err != nil {
		return err
	}
	err = f.under.Commit(ctx, b)
	if lost {
		return died()
	}
	return err
}

// Counters implements store.Store.
func (f *Faulty) Counters(ctx context.Context) (map[string]int64, error) {
	lost, err := f.before("Counters")
	if err != nil {
		return nil, err
	}
	counters, err := f.under.Counters(ctx)
	if lost {
		return nil, died()
	}
	return counters, err
}

// Close implements store.Store. It never fails.
func (f *Faulty) Close() error { return f.under.Close() }
