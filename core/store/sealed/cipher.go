package sealed

import (
	"context"

	"knownsender/core/redact"
)

// Cipher does what takes a secret. GoCipher is the one of Go's library; in a page it is WebCrypto, which has AES in hardware.
type Cipher interface {
	// Wrap seals a new data key, or the one in a header, with the key that a secret and parameters make, and parameters as associated data: a
	// nonce and what was sealed. nil when the header does not open.
	Wrap(ctx context.Context, secret Secret, parameters []byte, from *Locked) ([]byte, error)
	// Unlock opens a header, whose form is checked; nil when it does not open.
	Unlock(ctx context.Context, secret Secret, header []byte) (Keys, error)
}

// Locked is a header and its secret.
type Locked struct {
	Secret Secret
	Header []byte
}

// Keys are those that a data key makes. They may be used by several goroutines.
type Keys interface {
	// Names is the key of keyed hashes.
	Names() []byte
	// Seal seals every item: a random nonce and the sealed bytes.
	Seal(ctx context.Context, items []Item) ([][]byte, error)
	// Open opens what was sealed: nil where it is not what was sealed under that identity.
	Open(ctx context.Context, items []Item) ([][]byte, error)
}

// Item is bytes to be sealed or opened, with their associated data.
type Item struct {
	redact.Secret
	Identity, Bytes []byte
}
