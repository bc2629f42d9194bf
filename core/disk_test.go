package core_test

import (
	"context"
	"os"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/sealed"
)

// disk is where a world's rows lie: in memory, as they are or, with STORE=sealed in the environment, encrypted at rest. Every story holds for both.
type disk struct {
	store.Store
	under *store.Memory
	key   sealed.Secret
}

func newDisk(t testing.TB) disk {
	t.Helper()
	d := disk{under: store.NewMemory()}
	if os.Getenv("STORE") == "sealed" {
		var err error
		if d.key, err = sealed.HostKey(make([]byte, 32)); err != nil {
			t.Fatal(err)
		}
	}
	return d.Reopen()
}

// Reopen returns another handle on the same rows.
func (d disk) Reopen() disk {
	rows, err := sealed.Open(context.Background(), d.under.Reopen(), sealed.GoCipher{}, d.key)
	if err != nil {
		panic(err)
	}
	d.Store = rows
	return d
}
