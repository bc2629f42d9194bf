package sealed_test

// Stories of keys: with the right one a database opens, with any other nothing is read and nothing is written (F42, F43).

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/sealed"
	"knownsender/core/store/storetest"
)

var headerKey = store.Key{"!key"}

func put(t testing.TB, s store.Store, op store.Op) {
	t.Helper()
	op.Expect = store.AnyRev
	if err := s.Commit(context.Background(), store.Batch{Ops: []store.Op{op}}); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, s store.Store, table store.Table, key ...string) store.Row {
	t.Helper()
	rows, err := s.Get(context.Background(), table, []store.Key{key})
	if err != nil {
		t.Fatal(err)
	}
	return rows[0]
}

func header(t testing.TB, under store.Store) []byte {
	t.Helper()
	return get(t, under, store.Meta, headerKey...).Value
}

// wantRefused opens a store and wants that it does not, with that code, and that nothing was written.
func wantRefused(t *testing.T, under *store.Memory, secret sealed.Secret, code string) {
	t.Helper()
	before := storetest.Dump(t, under)
	_, err := sealed.Open(context.Background(), under.Reopen(), sealed.GoCipher{}, secret)
	var e *store.Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("opened with %v, want %s", err, code)
	}
	if storetest.Dump(t, under) != before {
		t.Fatalf("%s, and something was written", code)
	}
}

func made(t *testing.T, secret sealed.Secret) *store.Memory {
	t.Helper()
	under := store.NewMemory()
	s := open(t, under.Reopen(), secret)
	put(t, s, store.Op{Table: store.Users, Key: store.Key{"@alice:example.org"}, Value: []byte("v")})
	return under
}

func wantOpens(t *testing.T, under *store.Memory, secret sealed.Secret) {
	t.Helper()
	if row := get(t, open(t, under.Reopen(), secret), store.Users, "@alice:example.org"); string(row.Value) != "v" {
		t.Fatalf("the row is %q", row.Value)
	}
}

func TestWrongKey(t *testing.T) {
	right := passphrase(t, "correct horse battery staple")
	keyed, stretched := made(t, hostKey(t, 1)), made(t, right)
	wantRefused(t, keyed, hostKey(t, 2), store.CodeWrongStoreKey)
	wantRefused(t, keyed, right, store.CodeWrongStoreKeyMode)
	wantRefused(t, keyed, sealed.Secret{}, store.CodeStoreKeyRequired)
	wantRefused(t, stretched, passphrase(t, "correct horse battery stapler"), store.CodeWrongStoreKey)
	wantRefused(t, stretched, hostKey(t, 1), store.CodeWrongStoreKeyMode)
	wantRefused(t, stretched, sealed.Secret{}, store.CodeStoreKeyRequired)
	// The same databases open with the right keys afterwards.
	wantOpens(t, keyed, hostKey(t, 1))
	wantOpens(t, stretched, right)

	// A database that has rows and no key is not encrypted in passing, whichever table they lie in.
	for _, table := range store.Tables() {
		plain := store.NewMemory()
		put(t, plain, store.Op{Table: table, Key: store.Key{"@alice:example.org"}, Value: []byte("v")})
		wantRefused(t, plain, hostKey(t, 1), store.CodeStoreNotEncrypted)
		wantRefused(t, plain, right, store.CodeStoreNotEncrypted)
		if rows := open(t, plain, sealed.Secret{}); rows != store.Store(plain) {
			t.Fatal("without a key it is another store")
		}
	}
}

func TestBadKeys(t *testing.T) {
	_, empty := sealed.Passphrase(nil)
	_, short := sealed.HostKey(make([]byte, 31))
	_, long := sealed.HostKey(make([]byte, 33))
	s := open(t, store.NewMemory(), hostKey(t, 1)).(*sealed.Store)
	for what, err := range map[string]error{"empty": empty, "short": short, "long": long, "none": s.ChangeKey(context.Background(), hostKey(t, 1), sealed.Secret{})} {
		if e, ok := err.(*store.Error); !ok || e.Code != store.CodeBadStoreKey {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// T54: whatever is changed in the header, the database does not open, and says why where that can be told.
func TestHeader(t *testing.T) {
	right := passphrase(t, "correct horse battery staple")
	under, other := made(t, right), made(t, right)
	good := header(t, under)
	iterations := func(n uint32) func([]byte) []byte {
		return func(h []byte) []byte { binary.BigEndian.PutUint32(h[6:], n); return h }
	}
	flip := func(at int) func([]byte) []byte { return func(h []byte) []byte { h[at] ^= 1; return h } }
	for _, row := range []struct {
		what   string
		change func(h []byte) []byte
		code   string
	}{
		{"iterations below the floor", iterations(sealed.MinIterations - 1), store.CodeStoreKeyParameters},
		{"no iterations", iterations(0), store.CodeStoreKeyParameters},
		{"endless iterations", iterations(sealed.MaxIterations + 1), store.CodeStoreKeyParameters},
		{"fewer iterations", iterations(sealed.MinIterations), store.CodeWrongStoreKey},
		{"another salt", flip(10), store.CodeWrongStoreKey},
		{"the end of the salt", flip(41), store.CodeWrongStoreKey},
		{"the nonce", flip(42), store.CodeWrongStoreKey},
		{"the wrapped key", flip(54), store.CodeWrongStoreKey},
		{"the tag", flip(101), store.CodeWrongStoreKey},
		{"the wrapped key of another database", func(h []byte) []byte { return append(h[:42], header(t, other)[42:]...) }, store.CodeWrongStoreKey},
		{"a newer version", func(h []byte) []byte { h[4] = 2; return h }, store.CodeSchemaTooNew},
		{"no version", func(h []byte) []byte { h[4] = 0; return h }, store.CodeStoreHeaderDamaged},
		{"an unknown mode", func(h []byte) []byte { h[5] = 3; return h }, store.CodeStoreHeaderDamaged},
		{"the other mode", func(h []byte) []byte { h[5] = 2; return iterations(0)(h) }, store.CodeWrongStoreKeyMode},
		{"a host key with iterations", func(h []byte) []byte { h[5] = 2; return h }, store.CodeStoreKeyParameters},
		{"another magic", flip(0), store.CodeStoreHeaderDamaged},
		{"cut off", func(h []byte) []byte { return h[:101] }, store.CodeStoreHeaderDamaged},
		{"something behind", func(h []byte) []byte { return append(h, 0) }, store.CodeStoreHeaderDamaged},
		{"empty", func([]byte) []byte { return []byte{} }, store.CodeStoreHeaderDamaged},
	} {
		t.Run(row.what, func(t *testing.T) {
			put(t, under, store.Op{Table: store.Meta, Key: headerKey, Value: row.change(bytes.Clone(good))})
			wantRefused(t, under, right, row.code)
			wantRefused(t, under, sealed.Secret{}, store.CodeStoreKeyRequired)
		})
	}
	// Without its header a database opens with no key, and is not begun anew.
	if err := under.Commit(context.Background(), store.Batch{Ops: []store.Op{{Table: store.Meta, Key: headerKey, Expect: store.AnyRev}}}); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, under, right, store.CodeStoreNotEncrypted)
	put(t, under, store.Op{Table: store.Meta, Key: headerKey, Value: good})
	wantOpens(t, under, right)
	// The header of another database opens with its key, and none of the rows do.
	put(t, under, store.Op{Table: store.Meta, Key: headerKey, Value: header(t, other)})
	if rows, err := store.Page(context.Background(), open(t, under, right), store.Query{Table: store.Users}); err != nil || len(rows) != 1 || !damaged(rows[0]) {
		t.Fatalf("%v, %v", rows, err)
	}
}

// Re-keying is one commit: wherever the program dies, one key opens the database and the other does not.
func TestChangeKey(t *testing.T) {
	long := passphrase(t, "correct horse battery staple")
	for _, change := range [][2]sealed.Secret{{hostKey(t, 1), long}, {long, hostKey(t, 1)}} {
		under := made(t, change[0])
		if err := open(t, under.Reopen(), change[0]).(*sealed.Store).ChangeKey(context.Background(), change[0], change[1]); err != nil {
			t.Fatal(err)
		}
		wantOpens(t, under, change[1])
		wantRefused(t, under, change[0], store.CodeWrongStoreKeyMode)
	}
	{
		from, to := hostKey(t, 1), hostKey(t, 2)
		sample := storetest.NewFaulty(made(t, from))
		s := open(t, sample, from).(*sealed.Store)
		before := len(sample.Calls())
		if err := s.ChangeKey(context.Background(), from, to); err != nil {
			t.Fatal(err)
		}
		operations := sample.Calls()[before:]
		if strings.Count(strings.Join(operations, " "), "Commit") != 1 {
			t.Fatalf("it took %q", operations)
		}
		for at := 1; at <= len(operations); at++ {
			for _, after := range []bool{false, true} {
				under := made(t, from)
				faulty := storetest.NewFaulty(under.Reopen())
				s := open(t, faulty, from).(*sealed.Store)
				faulty.DieAt("", at, after)
				if err := s.ChangeKey(context.Background(), from, to); !errors.Is(err, storetest.ErrDied) {
					t.Fatal(err)
				}
				opens, refused := from, to
				if operations[at-1] == "Commit" && after {
					opens, refused = to, from
				}
				if _, err := sealed.Open(context.Background(), under.Reopen(), sealed.GoCipher{}, refused); err == nil {
					t.Fatalf("operation %d, after %v: both keys open", at, after)
				}
				wantOpens(t, under, opens)
			}
		}
	}
}

func TestChangeKeyWithWrongKey(t *testing.T) {
	under := made(t, hostKey(t, 1))
	s := open(t, under.Reopen(), hostKey(t, 1)).(*sealed.Store)
	before := storetest.Dump(t, under)
	for code, from := range map[string]sealed.Secret{store.CodeWrongStoreKey: hostKey(t, 3), store.CodeWrongStoreKeyMode: passphrase(t, "x")} {
		if e, ok := s.ChangeKey(context.Background(), from, hostKey(t, 2)).(*store.Error); !ok || e.Code != code {
			t.Errorf("%v, want %s", e, code)
		}
	}
	if storetest.Dump(t, under) != before {
		t.Error("something was written")
	}
	// Two tabs change it: the second one is told that its key is the old one. Both go on with the rows.
	tab := open(t, under.Reopen(), hostKey(t, 1)).(*sealed.Store)
	if err := s.ChangeKey(context.Background(), hostKey(t, 1), hostKey(t, 2)); err != nil {
		t.Fatal(err)
	}
	if e, ok := tab.ChangeKey(context.Background(), hostKey(t, 1), hostKey(t, 4)).(*store.Error); !ok || e.Code != store.CodeWrongStoreKey {
		t.Fatal(e)
	}
	put(t, tab, store.Op{Table: store.Users, Key: store.Key{"@bob:example.org"}, Value: []byte("bob")})
	wantOpens(t, under, hostKey(t, 2))
	if row := get(t, open(t, under.Reopen(), hostKey(t, 2)), store.Users, "@bob:example.org"); string(row.Value) != "bob" {
		t.Fatalf("%q", row.Value)
	}
}

// Two tabs make one database: there is one header, and both work with it.
func TestMadeTwice(t *testing.T) {
	under := store.NewMemory()
	late := &lateStore{Store: under.Reopen()}
	late.before = func() { open(t, under.Reopen(), hostKey(t, 1)) }
	a, b := open(t, late, hostKey(t, 1)), open(t, under.Reopen(), hostKey(t, 1))
	if late.before != nil {
		t.Fatal("nobody came in between")
	}
	put(t, a, store.Op{Table: store.Users, Key: store.Key{"@a"}, Value: []byte("v")})
	if row := get(t, b, store.Users, "@a"); string(row.Value) != "v" {
		t.Fatalf("%q", row.Value)
	}
}

// lateStore has something happen right before its first commit.
type lateStore struct {
	store.Store
	before func()
}

func (s *lateStore) Commit(ctx context.Context, b store.Batch) error {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
	return s.Store.Commit(ctx, b)
}
