package storetest_test

import (
	"errors"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/storetest"
)

func code(err error) string {
	var e *store.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// A wrapper that breaks nothing is a store like any other.
func TestFaultyPassesTheSuite(t *testing.T) {
	disks := map[string]*store.Memory{}
	storetest.Run(t, func(_ *testing.T, name string) store.Store {
		if disks[name] == nil {
			disks[name] = store.NewMemory()
		}
		return storetest.NewFaulty(disks[name].Reopen())
	})
}

// F05: the call that fails does nothing, its neighbours go through.
func TestFailAt(t *testing.T) {
	f := storetest.NewFaulty(store.NewMemory())
	write := func(key string) string {
		return code(f.Commit(t.Context(), store.Batch{Ops: []store.Op{{Table: store.Meta, Key: store.Key{key}, Value: []byte{1}}}}))
	}
	f.FailAt("Commit", 2, store.CodeQuota)
	if a, b, c := write("a"), write("b"), write("c"); a != "" || b != store.CodeQuota || c != "" {
		t.Fatalf("codes %q %q %q", a, b, c)
	}
	rows, err := f.Get(t.Context(), store.Meta, []store.Key{{"a"}, {"b"}, {"c"}})
	if err != nil || rows[0].Rev != 1 || rows[1].Rev != 0 || rows[2].Rev != 1 {
		t.Fatalf("rows %v, %v", rows, err)
	}
	f.FailFrom("Commit", 1, store.CodeAborted)
	if d, e := write("d"), write("e"); d != store.CodeAborted || e != store.CodeAborted {
		t.Fatalf("codes %q %q", d, e)
	}
	f.Heal()
	if d := write("d"); d != "" {
		t.Fatalf("after healing: %q", d)
	}
	for method, call := range map[string]func() error{
		"Get":      func() error { _, err := f.Get(t.Context(), store.Meta, nil); return err },
		"Pages":    func() error { _, err := store.Page(t.Context(), f, store.Query{Table: store.Meta}); return err },
		"Counters": func() error { _, err := f.Counters(t.Context()); return err },
	} {
		f.FailAt(method, 1, store.CodeUnavailable)
		if got := code(call()); got != store.CodeUnavailable {
			t.Errorf("%s: code %q", method, got)
		}
	}
}

// F01: a program dies before or after its batch reached the disk; what a restart finds is all of it or nothing.
func TestDieAt(t *testing.T) {
	for _, after := range []bool{false, true} {
		disk := store.NewMemory()
		f := storetest.NewFaulty(disk.Reopen())
		f.DieAt("Commit", 1, after)
		err := f.Commit(t.Context(), store.Batch{Ops: []store.Op{{Table: store.Meta, Key: store.Key{"a"}, Value: []byte{1}}}})
		if !errors.Is(err, storetest.ErrDied) || !f.Died() {
			t.Fatalf("after %v: %v", after, err)
		}
		_, err = f.Get(t.Context(), store.Meta, []store.Key{{"a"}})
		if !errors.Is(err, storetest.ErrDied) {
			t.Fatalf("a dead program answered: %v", err)
		}
		rows, err := disk.Reopen().Get(t.Context(), store.Meta, []store.Key{{"a"}})
		if err != nil || (rows[0].Rev == 1) != after {
			t.Fatalf("after %v: revision %d, %v", after, rows[0].Rev, err)
		}
		if calls := f.Calls(); len(calls) != 1 || calls[0] != "Commit" {
			t.Fatalf("calls %v", calls)
		}
		for _, die := range []string{"Get", "Pages", "Counters"} {
			g := storetest.NewFaulty(disk.Reopen())
			g.DieAt(die, 1, after)
			_, a := g.Get(t.Context(), store.Meta, nil)
			_, b := store.Page(t.Context(), g, store.Query{Table: store.Meta})
			_, c := g.Counters(t.Context())
			if got := errors.Join(a, b, c); !errors.Is(got, storetest.ErrDied) || c == nil {
				t.Fatalf("dying in %s: %v", die, got)
			}
		}
	}
}
