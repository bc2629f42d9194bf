package sealed_test

import (
	"context"
	"testing"

	"knownsender/core/store"
	"knownsender/core/store/sealed"
	"knownsender/core/store/storetest"
)

func hostKey(t testing.TB, fill byte) sealed.Secret {
	t.Helper()
	key := make([]byte, 32)
	for i := range key {
		key[i] = fill
	}
	secret, err := sealed.HostKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func passphrase(t testing.TB, text string) sealed.Secret {
	t.Helper()
	secret, err := sealed.Passphrase([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func open(t testing.TB, under store.Store, secret sealed.Secret) store.Store {
	t.Helper()
	s, err := sealed.Open(context.Background(), under, sealed.GoCipher{}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Every store passes the suite, this one too: only the order of its keys is its own.
func TestSealed(t *testing.T) {
	disks := map[string]*store.Memory{}
	storetest.RunUnordered(t, func(t *testing.T, name string) store.Store {
		if disks[name] == nil {
			disks[name] = store.NewMemory()
		}
		return open(t, disks[name].Reopen(), hostKey(t, 7))
	})
}
