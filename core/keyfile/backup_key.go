package keyfile

import (
	"crypto/ecdh"
	"io"
	"strings"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// The private key of a server-side backup, and its recovery key (specification, "Recovery key" and "Cryptographic key representation"): base58 of
//
//	0          2     34
//	| 8B 01 | key | parity |
//
// so that all 35 bytes together XOR to zero. The rule: like base64 of secrets elsewhere, symbols are computed and not looked up, and how long
// that takes does not depend on the key.

const (
	recoveryLength  = 35
	recoverySymbols = 48 // with the prefix 8B 01 it is always this many
)

// BackupKey is the private key of a backup: an X25519 key. It is secret.
type BackupKey struct {
	redact.Secret
	_       [0]func() // not comparable with ==, which is not constant-time
	private [32]byte
}

// NewBackupKey draws a key from random; the error is that of random.
func NewBackupKey(random io.Reader) (*BackupKey, error) {
	k := new(BackupKey)
	if _, err := io.ReadFull(random, k.private[:]); err != nil {
		return nil, err
	}
	return k, nil
}

// ParseBackupKey takes the base64 of a private key, as secret storage and other devices give it (m.megolm_backup.v1), padded or not. The error is
// a *BackupError, bad_backup_key.
func ParseBackupKey(text string) (*BackupKey, error) {
	if len(text) == 44 && text[43] == '=' {
		text = text[:43]
	}
	k := new(BackupKey)
	if len(text) != 43 {
		return nil, &BackupError{Code: CodeBadBackupKey}
	}
	if _, err := keys.AppendDecode(k.private[:0], text); err != nil {
		return nil, &BackupError{Code: CodeBadBackupKey, Reason: reasonOf(err), cause: err}
	}
	return k, nil
}

// ParseRecoveryKey takes a recovery key as people write it down, in groups or not. The error is a *BackupError, bad_recovery_key, whose reason is
// bad_length, bad_base58, bad_prefix or bad_parity.
func ParseRecoveryKey(text string) (*BackupKey, error) {
	var symbols [recoverySymbols]byte
	defer clear(symbols[:])
	n := 0
	for i := range len(text) {
		c := text[i]
		if strings.IndexByte(whiteSpace, c) >= 0 {
			continue
		}
		if n < len(symbols) {
			symbols[n] = c
		}
		n++
	}
	if n != len(symbols) {
		return nil, badRecoveryKey("bad_length")
	}
	var raw [recoveryLength]byte
	defer clear(raw[:])
	if !decodeBase58(&raw, &symbols) {
		return nil, badRecoveryKey("bad_base58")
	}
	if raw[0] != 0x8b || raw[1] != 0x01 {
		return nil, badRecoveryKey("bad_prefix")
	}
	var parity byte
	for _, b := range raw {
		parity ^= b
	}
	if parity != 0 {
		return nil, badRecoveryKey("bad_parity")
	}
	return &BackupKey{private: [32]byte(raw[2:])}, nil
}

func badRecoveryKey(reason string) *BackupError {
	return &BackupError{Code: CodeBadRecoveryKey, Reason: reason}
}

// RecoveryKey is the key as people write it down: twelve groups of four symbols. It is secret.
func (k *BackupKey) RecoveryKey() string {
	raw := [recoveryLength]byte{0x8b, 0x01}
	copy(raw[2:], k.private[:])
	defer clear(raw[:])
	for _, b := range raw[:recoveryLength-1] {
		raw[recoveryLength-1] ^= b
	}
	var symbols [recoverySymbols]byte
	encodeBase58(&symbols, &raw)
	defer clear(symbols[:])
	var text [recoverySymbols + recoverySymbols/4 - 1]byte
	defer clear(text[:])
	for i := range text {
		text[i] = ' '
		if i%5 < 4 {
			text[i] = symbols[i/5*4+i%5]
		}
	}
	return string(text[:])
}

// Base64 is the key as secret storage keeps it, 43 symbols. It is secret.
func (k *BackupKey) Base64() string { return string(keys.EncodeBase64(nil, k.private[:])) }

// PublicKey is the key that a backup is sealed for: the public_key of its auth_data.
func (k *BackupKey) PublicKey() keys.Curve25519 {
	return keys.Curve25519(privateKey(&k.private).PublicKey().Bytes())
}

// Wipe overwrites the key.
func (k *BackupKey) Wipe() { clear(k.private[:]) }

// privateKey is a private key of X25519, which 32 bytes always are.
func privateKey(raw *[32]byte) *ecdh.PrivateKey {
	key, err := ecdh.X25519().NewPrivateKey(raw[:])
	if err != nil {
		panic("internal error: X25519 refuses 32 bytes")
	}
	return key
}

// decodeBase58 reads the number that symbols are, false when one of them is none or the number has more than 35 bytes.
func decodeBase58(raw *[recoveryLength]byte, symbols *[recoverySymbols]byte) bool {
	var bad int32
	for _, symbol := range symbols {
		digit := base58Value(int32(symbol))
		bad |= digit // negative when it is none
		carry := uint32(digit) & 63
		for i := recoveryLength - 1; i >= 0; i-- {
			carry += uint32(raw[i]) * 58
			raw[i] = byte(carry)
			carry >>= 8
		}
		bad |= -int32(carry)
	}
	return bad >= 0
}

// encodeBase58 writes the number that raw is.
func encodeBase58(symbols *[recoverySymbols]byte, raw *[recoveryLength]byte) {
	number := *raw
	defer clear(number[:])
	for i := len(symbols) - 1; i >= 0; i-- {
		var rest uint32
		for j := range number {
			rest = rest<<8 | uint32(number[j])
			number[j] = byte(rest / 58)
			rest %= 58
		}
		symbols[i] = base58Symbol(int32(rest))
	}
}

// base58Symbol is the symbol of v, 0 to 57: each line moves v on when it lies beyond the end of a run of the alphabet, which lacks 0, I, O and l.
func base58Symbol(v int32) byte {
	s := v + '1'
	s += (8 - v) >> 8 & ('A' - '9' - 1)
	s += (16 - v) >> 8 & ('J' - 'H' - 1)
	s += (21 - v) >> 8 & ('P' - 'N' - 1)
	s += (32 - v) >> 8 & ('a' - 'Z' - 1)
	s += (43 - v) >> 8 & ('m' - 'k' - 1)
	return byte(s)
}

// base58Value is what the symbol s stands for, 0 to 57, or -1 when it is none.
func base58Value(s int32) int32 {
	v := int32(-1)
	v += within(s, '1', '9') & (s - '1' + 1)
	v += within(s, 'A', 'H') & (s - 'A' + 9 + 1)
	v += within(s, 'J', 'N') & (s - 'J' + 17 + 1)
	v += within(s, 'P', 'Z') & (s - 'P' + 22 + 1)
	v += within(s, 'a', 'k') & (s - 'a' + 33 + 1)
	v += within(s, 'm', 'z') & (s - 'm' + 44 + 1)
	return v
}

// within is all ones when first <= s <= last, else zero.
func within(s, first, last int32) int32 {
	return ((first - 1 - s) & (s - last - 1)) >> 8
}
