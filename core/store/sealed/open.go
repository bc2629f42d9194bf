package sealed

import (
	"context"
	"crypto/rand"

	"knownsender/core/store"
)

// Open returns the store that secret opens over the rows of under: a *Store, or under itself where there is no secret and needs none. A store without
// rows gets a header. Nothing is written otherwise, and never where it fails: `store_key_required`, `store_not_encrypted` (there are rows, and
// they are not), `wrong_store_key`, `wrong_store_key_mode`, `store_key_parameters`, `store_header_damaged`, `schema_too_new`, the errors of the store and of
// the cipher.
func Open(ctx context.Context, under store.Store, cipher Cipher, secret Secret) (store.Store, error) {
	for {
		row, err := readHeader(ctx, under)
		if err != nil {
			return nil, err
		}
		switch {
		case secret.mode == 0 && row.Rev == 0:
			return under, nil
		case secret.mode == 0:
			return nil, &store.Error{Code: store.CodeStoreKeyRequired, Message: "the database is encrypted, and was opened without its key"}
		case row.Rev == 0:
			if err := create(ctx, under, cipher, secret); err != nil && !conflicts(err) {
				return nil, err
			}
			continue // as it lies there now, be it another tab's
		}
		if err := checkHeader(row.Value, secret); err != nil {
			return nil, err
		}
		keys, err := cipher.Unlock(ctx, secret, row.Value)
		if err != nil {
			return nil, err
		}
		if keys == nil {
			return nil, wrongKey()
		}
		return &Store{under: under, cipher: cipher, keys: keys, token: token(keys.Names())}, nil
	}
}

// ChangeKey has the database open with another secret from now on, of either kind, and with the old one no more. The rows stay as they are, so
// whoever has the old secret and an earlier copy of the database can read what is written later too. Errors: those of Open.
func (s *Store) ChangeKey(ctx context.Context, from, to Secret) error {
	if to.mode == 0 {
		return &store.Error{Code: store.CodeBadStoreKey, Message: "an encrypted database stays so"}
	}
	for {
		row, err := readHeader(ctx, s.under)
		if err != nil {
			return err
		}
		if row.Rev == 0 {
			return damagedHeader()
		}
		if err := checkHeader(row.Value, from); err != nil {
			return err
		}
		header, err := wrap(ctx, s.cipher, to, &Locked{from, row.Value})
		if err != nil {
			return err
		}
		if header == nil {
			return wrongKey()
		}
		if err = writeHeader(ctx, s.under, header, row.Rev); !conflicts(err) {
			return err
		}
	}
}

// create writes the header of a store that has no rows.
func create(ctx context.Context, under store.Store, cipher Cipher, secret Secret) error {
	queries := make([]store.Query, len(store.Tables()))
	for i, table := range store.Tables() {
		queries[i] = store.Query{Table: table, Limit: 1}
	}
	pages, err := under.Pages(ctx, queries...)
	if err != nil {
		return err
	}
	for _, rows := range pages {
		if len(rows) > 0 && !rows[0].Key.Equal(headerKey) {
			return &store.Error{Code: store.CodeStoreNotEncrypted, Message: "the database has rows that are not encrypted, and was opened with a key"}
		}
	}
	header, err := wrap(ctx, cipher, secret, nil)
	if err != nil {
		return err
	}
	return writeHeader(ctx, under, header, 0)
}

// wrap makes a header; nil where from does not open.
func wrap(ctx context.Context, cipher Cipher, secret Secret, from *Locked) ([]byte, error) {
	var salt [saltLength]byte
	_, _ = rand.Read(salt[:]) // never fails
	parameters := secret.parameters(salt[:])
	wrapped, err := cipher.Wrap(ctx, secret, parameters, from)
	if wrapped == nil || err != nil {
		return nil, err
	}
	return append(parameters, wrapped...), nil
}

func readHeader(ctx context.Context, under store.Store) (store.Row, error) {
	rows, err := under.Get(ctx, store.Meta, []store.Key{headerKey})
	if err != nil {
		return store.Row{}, err
	}
	return rows[0], nil
}

func writeHeader(ctx context.Context, under store.Store, header []byte, expect uint64) error {
	op := store.Op{Table: store.Meta, Key: headerKey, Expect: expect, Value: header}
	return under.Commit(ctx, store.Batch{Ops: []store.Op{op}, Strict: true})
}

func conflicts(err error) bool {
	e, ok := err.(*store.Error)
	return ok && e.Code == store.CodeConflict
}
