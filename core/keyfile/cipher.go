package keyfile

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"

	"knownsender/core/redact"
)

// Opening and sealing key-export files: PBKDF2-HMAC-SHA-512 makes 64 bytes of the passphrase and the salt, the first half an AES-256 key for
// CTR, the second an HMAC-SHA-256 key. The rule: nothing is decrypted before the MAC held (T43).

// Cipher does the arithmetic of a key-export file by whatever engine it has.
type Cipher interface {
	// Open derives the keys, checks the MAC in constant time and, if it held, decrypts. held is false when the MAC is wrong, and then there is
	// no plaintext. An error means that nothing was decided.
	Open(ctx context.Context, passphrase string, f *SealedFile) (plaintext []byte, held bool, err error)
	// Seal fills in Ciphertext and MAC of a file that has its Salt, IV and Rounds. It keeps and changes nothing of plaintext.
	Seal(ctx context.Context, passphrase string, f *SealedFile, plaintext []byte) error
}

// GoCipher is the Cipher on the Go library. It answers before it returns and cannot be stopped while it derives: natively half a million rounds
// take a quarter of a second, in WebAssembly two seconds.
type GoCipher struct{}

// Open opens f; the only error is that of ctx.
func (GoCipher) Open(ctx context.Context, passphrase string, f *SealedFile) (plaintext []byte, held bool, err error) {
	k, err := deriveFileKeys(ctx, passphrase, f)
	if err != nil {
		return nil, false, err
	}
	defer clear(k)
	mac := k.mac(f)
	if !hmac.Equal(mac[:], f.MAC[:]) {
		return nil, false, nil
	}
	plaintext = make([]byte, len(f.Ciphertext))
	k.crypt(f, plaintext, f.Ciphertext)
	return plaintext, true, nil
}

// Seal seals plaintext into f; the only error is that of ctx.
func (GoCipher) Seal(ctx context.Context, passphrase string, f *SealedFile, plaintext []byte) error {
	k, err := deriveFileKeys(ctx, passphrase, f)
	if err != nil {
		return err
	}
	defer clear(k)
	f.Ciphertext = make([]byte, len(plaintext))
	k.crypt(f, f.Ciphertext, plaintext)
	f.MAC = k.mac(f)
	return nil
}

// fileKeys are 32 bytes for AES and 32 for the MAC.
type fileKeys []byte

func deriveFileKeys(ctx context.Context, passphrase string, f *SealedFile) (fileKeys, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	derived, err := pbkdf2.Key(sha512.New, passphrase, f.Salt[:], int(f.Rounds), 64)
	if err != nil {
		panic("internal error: PBKDF2 refuses 64 bytes")
	}
	if err := ctx.Err(); err != nil {
		clear(derived)
		return nil, err
	}
	return derived, nil
}

func (k fileKeys) mac(f *SealedFile) [32]byte {
	h := f.Header()
	mac := hmac.New(sha256.New, k[32:])
	mac.Write(h[:])
	mac.Write(f.Ciphertext)
	return [32]byte(mac.Sum(nil))
}

func (k fileKeys) crypt(f *SealedFile, dst, src []byte) {
	block, err := aes.NewCipher(k[:32])
	if err != nil {
		panic("internal error: AES refuses 32 bytes")
	}
	cipher.NewCTR(block, f.IV[:]).XORKeyStream(dst, src)
}

// DecryptFile is the content of the key-export file text, for a Splitter. It is secret and the caller's to clear. The error is a *FileError:
// those of ParseFile, or bad_passphrase_or_corrupt; or else what the cipher could not do.
func DecryptFile(ctx context.Context, text []byte, passphrase string, c Cipher) ([]byte, error) {
	f, err := ParseFile(text)
	if err != nil {
		return nil, err
	}
	plaintext, held, err := c.Open(ctx, passphrase, f)
	if err != nil {
		return nil, err
	}
	if !held {
		return nil, &FileError{Code: CodeBadPassphraseOrCorrupt}
	}
	return plaintext, nil
}

// EncryptFile is a key-export file with plaintext, a JSON array of entries, as its content. 0 rounds are DefaultRounds. random gives salt and
// IV, 32 bytes; an error of it comes back as it is. The error is a *FileError: bad_key_file_rounds or empty_passphrase; or else what random or
// the cipher could not do.
func EncryptFile(ctx context.Context, plaintext []byte, passphrase string, rounds uint32, random io.Reader, c Cipher) ([]byte, error) {
	if passphrase == "" {
		return nil, &FileError{Code: CodeEmptyPassphrase}
	}
	if rounds == 0 {
		rounds = DefaultRounds
	}
	if err := checkRounds(rounds); err != nil {
		return nil, err
	}
	f := &SealedFile{Rounds: rounds}
	for _, part := range [...][]byte{f.Salt[:], f.IV[:]} {
		if _, err := io.ReadFull(random, part); err != nil {
			return nil, err
		}
	}
	// Some engines count in the lower 64 bits alone: with bit 63 zero no file is long enough for that to make a difference.
	f.IV[8] &= 0x7f
	if err := c.Seal(ctx, passphrase, f, plaintext); err != nil {
		return nil, err
	}
	return f.Text(), nil
}

// Format keeps them out of texts.
func (fileKeys) Format(f fmt.State, verb rune) { redact.Secret{}.Format(f, verb) }
