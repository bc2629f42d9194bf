//go:build js && wasm

package idbstore_test

// The suite of core/store over a real IndexedDB. This file is compiled to a program (GOOS=js GOARCH=wasm go test -c) that a page
// runs; the page offers one host method, "idb", whose request is the frame [handle, method, request]: every handle is an IdbHost of
// its own, as every tab has one.

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/sealed"
	"knownsender/core/store/storetest"
	"knownsender/idbstore"
	"knownsender/jsbridge"
	"knownsender/jsbridge/frame"
)

var connect = sync.OnceValues(jsbridge.Connect)

type handle struct {
	host *jsbridge.Host
	name string
}

func (h handle) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	return h.host.Call(ctx, "idb", frame.Append(nil, []byte(h.name), []byte(method), request))
}

var handles int

func newHandle(t *testing.T) handle {
	t.Helper()
	host, err := connect()
	if err != nil {
		t.Fatal(err)
	}
	handles++
	return handle{host, strconv.Itoa(handles)}
}

func open(t *testing.T, name string) store.Store {
	t.Helper()
	s, err := idbstore.Open(t.Context(), newHandle(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestIndexedDB(t *testing.T) { storetest.Run(t, open) }

// The same encrypted at rest: what it is told of lone rows, leaves and index entries holds for stored names as well.
func TestSealedIndexedDB(t *testing.T) {
	key, err := sealed.HostKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	storetest.RunUnordered(t, func(t *testing.T, name string) store.Store {
		t.Helper()
		s, err := sealed.Open(t.Context(), open(t, name), sealed.GoCipher{}, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// F10: a database is known by its generation; one that is gone is not made again in silence.
func TestGeneration(t *testing.T) {
	first, err := idbstore.Open(t.Context(), newHandle(t), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	info := first.Info()
	if len(info.Generation) != 32 || !info.Created || info.SchemaVersion != 300 {
		t.Fatalf("info %+v", info)
	}
	again, err := idbstore.OpenGeneration(t.Context(), newHandle(t), t.Name(), info.Generation)
	if err != nil || again.Info().Created || again.Info().Generation != info.Generation {
		t.Fatalf("opened again: %+v, %v", again.Info(), err)
	}
	for _, name := range []string{t.Name(), t.Name() + "/never made"} {
		_, err := idbstore.OpenGeneration(t.Context(), newHandle(t), name, "00000000000000000000000000000000")
		if e, ok := err.(*store.Error); !ok || e.Code != store.CodeStoreLost {
			t.Fatalf("%s: %v", name, err)
		}
	}
	made, err := idbstore.Open(t.Context(), newHandle(t), t.Name()+"/never made")
	if err != nil || !made.Info().Created {
		t.Fatalf("the failed open left a database behind: %+v, %v", made.Info(), err)
	}
}

// What a reception writes: 500 copies in one strict batch, and what a start reads.
func BenchmarkCommit500(b *testing.B) {
	host, err := connect()
	if err != nil {
		b.Fatal(err)
	}
	handles++
	s, err := idbstore.Open(b.Context(), handle{host, strconv.Itoa(handles)}, b.Name()+strconv.Itoa(handles))
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 600)
	for round := range b.N {
		ops := make([]store.Op, 500)
		for i := range ops {
			ops[i] = store.Op{
				Table: store.Copies, Key: store.Key{"!room:example.org", strconv.Itoa(round), strconv.Itoa(i), "direct"}, Expect: 0, Value: value,
				Index: []store.IndexEntry{{Name: store.IndexWaiting, Value: store.Key{"@alice:example.org", "curve"}}},
			}
		}
		if err := s.Commit(b.Context(), store.Batch{Ops: ops, Counters: map[string]int64{"copies": 500}, Strict: true}); err != nil {
			b.Fatal(err)
		}
	}
}
