// The keys of a store that is encrypted at rest, by the host's WebCrypto: AES-GCM in hardware, a passphrase stretched in a thread of the browser's. The key of
// the rows stays in the host, where nobody can read it out, and one host call seals or opens all rows of a call of the store's. There is no falling back
// to Go here, whose AES in wasm works by tables: without WebCrypto such a store does not open.

package jsbridge

import (
	"context"

	"knownsender/core/redact"
	"knownsender/core/store/sealed"
	"knownsender/jsbridge/frame"
)

// StoreKeys is a [sealed.Cipher] on the host's methods wrapStoreKey, unlockStore, sealRows and openRows. The host has the keys of one store.
type StoreKeys struct {
	redact.Secret
	host  Caller
	names []byte
}

var (
	_ sealed.Cipher = (*StoreKeys)(nil)
	_ sealed.Keys   = (*StoreKeys)(nil)
)

// NewStoreKeys returns a cipher that asks host.
func NewStoreKeys(host Caller) *StoreKeys { return &StoreKeys{host: host} }

func (k *StoreKeys) call(ctx context.Context, method string, items ...[]byte) ([]byte, error) {
	request := frame.Append(make([]byte, 0, frame.Size(items...)), items...)
	defer clear(request) // there are keys, passphrases and rows in it
	return k.host.Call(ctx, method, request)
}

// Wrap implements sealed.Cipher: secret, parameters, and where there is one the other secret and its header -> what was wrapped, or nothing.
func (k *StoreKeys) Wrap(ctx context.Context, secret sealed.Secret, parameters []byte, from *sealed.Locked) ([]byte, error) {
	items := [][]byte{secret.Bytes(), parameters}
	if from != nil {
		items = append(items, from.Secret.Bytes(), from.Header)
	}
	wrapped, err := k.call(ctx, "wrapStoreKey", items...)
	if err != nil || len(wrapped) == 0 {
		return nil, err
	}
	return wrapped, nil
}

// Unlock implements sealed.Cipher: secret, header -> the key of names, or nothing.
func (k *StoreKeys) Unlock(ctx context.Context, secret sealed.Secret, header []byte) (sealed.Keys, error) {
	names, err := k.call(ctx, "unlockStore", secret.Bytes(), header)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	k.names = names
	return k, nil
}

// Names implements sealed.Keys.
func (k *StoreKeys) Names() []byte { return k.names }

// Seal implements sealed.Keys: identity, row, ... -> sealed row, ...
func (k *StoreKeys) Seal(ctx context.Context, items []sealed.Item) ([][]byte, error) {
	return k.each(ctx, "sealRows", items)
}

// Open implements sealed.Keys: identity, sealed row, ... -> row or nothing, ...
func (k *StoreKeys) Open(ctx context.Context, items []sealed.Item) ([][]byte, error) {
	rows, err := k.each(ctx, "openRows", items)
	for i := range rows {
		if len(rows[i]) == 0 {
			rows[i] = nil
		}
	}
	return rows, err
}

func (k *StoreKeys) each(ctx context.Context, method string, items []sealed.Item) ([][]byte, error) {
	request := make([][]byte, 0, 2*len(items))
	for i := range items {
		request = append(request, items[i].Identity, items[i].Bytes)
	}
	answer, err := k.call(ctx, method, request...)
	if err != nil {
		return nil, err
	}
	rows, err := frame.Decode(answer)
	if err == nil && len(rows) != len(items) {
		err = errShortAnswer
	}
	return rows, err
}
