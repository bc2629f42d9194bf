package sealed

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"

	"knownsender/core/redact"
)

// What HKDF-SHA-256 is told of each key that it makes.
const (
	infoWrapping = "knownsender wrapping key"
	infoRows     = "knownsender rows"
	infoNames    = "knownsender names"
)

// GoCipher is the Cipher of Go's library.
type GoCipher struct{}

// Wrap implements Cipher.
func (GoCipher) Wrap(_ context.Context, secret Secret, parameters []byte, from *Locked) ([]byte, error) {
	data := make([]byte, keyLength)
	_, _ = rand.Read(data)
	if from != nil {
		if data = unwrap(from.Secret, from.Header); data == nil {
			return nil, nil
		}
	}
	defer clear(data)
	return sealBytes(wrapping(secret, parameters), parameters, data), nil
}

// Unlock implements Cipher.
func (GoCipher) Unlock(_ context.Context, secret Secret, header []byte) (Keys, error) {
	data := unwrap(secret, header)
	if data == nil {
		return nil, nil
	}
	defer clear(data)
	return &goKeys{rows: gcm(derive(data, nil, infoRows)), names: derive(data, nil, infoNames)}, nil
}

func unwrap(secret Secret, header []byte) []byte {
	return openBytes(wrapping(secret, header[:parametersLength]), header[:parametersLength], header[parametersLength:])
}

// wrapping is the key that wraps the data key.
func wrapping(secret Secret, parameters []byte) cipher.AEAD {
	salt := parameters[parametersLength-saltLength:]
	if secret.mode == modeHostKey {
		return gcm(derive(secret.bytes, salt, infoWrapping))
	}
	key, err := pbkdf2.Key(sha512.New, string(secret.bytes), salt, int(binary.BigEndian.Uint32(parameters[6:])), keyLength)
	if err != nil {
		panic(err) // it refuses keys that are too long
	}
	return gcm(key)
}

func derive(secret, salt []byte, info string) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, keyLength)
	if err != nil {
		panic(err) // it refuses keys that are too long
	}
	return key
}

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // it refuses keys of another length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // it refuses blocks of another length
	}
	return aead
}

func sealBytes(key cipher.AEAD, identity, plain []byte) []byte {
	nonce := make([]byte, nonceLength, nonceLength+len(plain)+tagLength)
	_, _ = rand.Read(nonce)
	return key.Seal(nonce, nonce, plain, identity)
}

func openBytes(key cipher.AEAD, identity, sealed []byte) []byte {
	if len(sealed) < nonceLength+tagLength {
		return nil
	}
	plain, err := key.Open([]byte{}, sealed[:nonceLength], sealed[nonceLength:], identity)
	if err != nil {
		return nil
	}
	return plain
}

type goKeys struct {
	redact.Secret
	rows  cipher.AEAD
	names []byte
}

func (k *goKeys) Names() []byte { return k.names }

func (k *goKeys) Seal(_ context.Context, items []Item) ([][]byte, error) {
	sealed := make([][]byte, len(items))
	for i := range items {
		sealed[i] = sealBytes(k.rows, items[i].Identity, items[i].Bytes)
	}
	return sealed, nil
}

func (k *goKeys) Open(_ context.Context, items []Item) ([][]byte, error) {
	opened := make([][]byte, len(items))
	for i := range items {
		opened[i] = openBytes(k.rows, items[i].Identity, items[i].Bytes)
	}
	return opened, nil
}
