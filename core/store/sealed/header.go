package sealed

import (
	"encoding/binary"

	"knownsender/core/redact"
	"knownsender/core/store"
)

// The header, the one row that is stored as it is:
//
//	0      4         5      6            10     42        102
//	| KSDB | version | mode | iterations | salt | wrapped |
//
// The first 42 bytes are the parameters of the key that wraps the data key, and its associated data: whoever changes them makes it another key, or
// the seal break. wrapped is a nonce and the sealed data key. Version 1 stretches a passphrase by PBKDF2-HMAC-SHA-512 and takes a host's key
// through HKDF-SHA-256, where iterations is 0.

// headerKey lies before all keys of hashes.
var headerKey = store.Key{"!key"}

const (
	magic            = "KSDB"
	version          = 1
	parametersLength = 42
	headerLength     = parametersLength + nonceLength + keyLength + tagLength
	keyLength        = 32
	saltLength       = 32
	nonceLength      = 12
	tagLength        = 16
)

const (
	// Iterations is how often PBKDF2 goes round for a new passphrase: as for key files and secret storage, which the specification suggests.
	Iterations = 500_000
	// MinIterations is the least that is accepted, of a header that somebody may have written to have the passphrase guessed: what OWASP's
	// "Password Storage Cheat Sheet" asks for PBKDF2-HMAC-SHA-512.
	MinIterations = 210_000
	// MaxIterations keeps a damaged header from taking minutes.
	MaxIterations = 10_000_000
)

// Modes of a header.
const (
	modePassphrase byte = 1
	modeHostKey    byte = 2
)

// Secret is what a store is opened with. The zero Secret is none.
type Secret struct {
	redact.Secret
	mode  byte
	bytes []byte
}

// Passphrase makes a Secret of a passphrase. It is taken as it is, in UTF-8; only the empty one is refused (`bad_store_key`).
func Passphrase(passphrase []byte) (Secret, error) {
	if len(passphrase) == 0 {
		return Secret{}, &store.Error{Code: store.CodeBadStoreKey, Message: "the passphrase is empty"}
	}
	return Secret{mode: modePassphrase, bytes: passphrase}, nil
}

// HostKey makes a Secret of 32 bytes that nobody can guess. Any other number is refused (`bad_store_key`).
func HostKey(key []byte) (Secret, error) {
	if len(key) != keyLength {
		return Secret{}, &store.Error{Code: store.CodeBadStoreKey, Message: "a host key has 32 bytes"}
	}
	return Secret{mode: modeHostKey, bytes: key}, nil
}

// Bytes is the passphrase in UTF-8, or the host's key.
func (s Secret) Bytes() []byte { return s.bytes }

// parameters begins a header for a secret. The salt is the caller's to fill in.
func (s Secret) parameters(salt []byte) []byte {
	iterations := uint32(0)
	if s.mode == modePassphrase {
		iterations = Iterations
	}
	p := append(make([]byte, 0, headerLength), magic...)
	p = binary.BigEndian.AppendUint32(append(p, version, s.mode), iterations)
	return append(p, salt...)
}

// checkHeader says what is wrong with a header for a secret, as far as that can be told without using either.
func checkHeader(header []byte, secret Secret) error {
	if len(header) < 6 || string(header[:4]) != magic {
		return damagedHeader()
	}
	if header[4] > version {
		return &store.Error{Code: store.CodeSchemaTooNew, Message: "a newer version has encrypted the database"}
	}
	mode := header[5]
	if len(header) != headerLength || header[4] != version || mode != modePassphrase && mode != modeHostKey {
		return damagedHeader()
	}
	iterations := binary.BigEndian.Uint32(header[6:])
	if mode == modePassphrase && (iterations < MinIterations || iterations > MaxIterations) || mode == modeHostKey && iterations != 0 {
		return &store.Error{Code: store.CodeStoreKeyParameters, Message: "the key of the database is made in a way that is not accepted: somebody may want it guessed"}
	}
	if mode != secret.mode {
		return &store.Error{Code: store.CodeWrongStoreKeyMode, Message: "the database is encrypted with a key of the other kind: a passphrase, or a host key"}
	}
	return nil
}

func damagedHeader() error {
	return &store.Error{Code: store.CodeStoreHeaderDamaged, Message: "what the database's key lies in is damaged"}
}

func wrongKey() error {
	return &store.Error{Code: store.CodeWrongStoreKey, Message: "this is not the key of the database, or what that lies in was changed"}
}
