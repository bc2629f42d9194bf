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
	if os.Getenv("STORE") == "sealed" {
		return sealedDisk(sealed.HostKey(make([]byte, 32)))
	}
	return disk{under: store.NewMemory()}.Reopen()
}

func sealedDisk(key sealed.Secret, err error) disk {
	if err != nil {
		panic(err)
	}
	return disk{under: store.NewMemory(), key: key}.Reopen()
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
