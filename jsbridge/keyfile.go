// The arithmetic of key-export files and of the server-side backup by the host's WebCrypto: a passphrase is stretched in a thread of the browser's,
// and a key agreement takes 55 microseconds against 340 in Go wasm. Where the host has none of it, the Go library does it. Olm sessions begin with such agreements too.

package jsbridge

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/jsbridge/frame"
)

var (
	_ keyfile.Cipher    = (*WebCrypto)(nil)
	_ keyfile.Agreement = (*WebCrypto)(nil)
)

// try asks the host; ok is false when it cannot do that at all, and Go is to. Any other failure is one.
func (w *WebCrypto) try(ctx context.Context, method string, items ...[]byte) (answer []byte, ok bool, err error) {
	request := frame.Append(make([]byte, 0, frame.Size(items...)), items...)
	defer clear(request) // there are keys and passphrases in it
	answer, err = w.host.Call(ctx, method, request)
	var refusal *HostError
	if errors.As(err, &refusal) && refusal.Code == "webcrypto_unsupported" {
		return nil, false, nil
	}
	return answer, err == nil, err
}

// errShortAnswer is the host's answering something else than it was asked.
var errShortAnswer = &Error{Code: "internal", Message: "The host's cryptography gave an answer of the wrong length."}

// Open implements keyfile.Cipher: host method openKeyFile.
func (w *WebCrypto) Open(ctx context.Context, passphrase string, f *keyfile.SealedFile) (plaintext []byte, held bool, err error) {
	header := f.Header()
	answer, ok, err := w.try(ctx, "openKeyFile", []byte(passphrase), slices.Concat(header[:], f.Ciphertext), f.MAC[:])
	switch {
	case err != nil:
		return nil, false, err
	case !ok:
		return keyfile.GoCipher{}.Open(ctx, passphrase, f)
	case len(answer) == 1 && answer[0] == 0:
		return nil, false, nil
	case len(answer) != 1+len(f.Ciphertext) || answer[0] != 1:
		return nil, false, errShortAnswer
	}
	return answer[1:], true, nil
}

// Seal implements keyfile.Cipher: host method sealKeyFile.
func (w *WebCrypto) Seal(ctx context.Context, passphrase string, f *keyfile.SealedFile, plaintext []byte) error {
	header := f.Header()
	answer, ok, err := w.try(ctx, "sealKeyFile", []byte(passphrase), header[:], plaintext)
	switch {
	case err != nil:
		return err
	case !ok:
		return keyfile.GoCipher{}.Seal(ctx, passphrase, f, plaintext)
	case len(answer) != len(plaintext)+len(f.MAC):
		return errShortAnswer
	}
	f.Ciphertext = answer[:len(plaintext)]
	copy(f.MAC[:], answer[len(plaintext):])
	return nil
}

// Agree implements keyfile.Agreement: host method agree.
func (w *WebCrypto) Agree(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error) {
	items := make([][]byte, 0, 2*len(exchanges))
	for i := range exchanges {
		items = append(items, exchanges[i].Private[:], exchanges[i].Public[:])
	}
	answer, ok, err := w.try(ctx, "agree", items...)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !ok || err != nil || len(answer) != 33*len(exchanges) {
		return keyfile.GoAgreement{}.Agree(ctx, exchanges) // a message is not refused because of the host
	}
	secrets := make([][]byte, len(exchanges))
	for i := range secrets {
		if one := answer[33*i : 33*i+33 : 33*i+33]; one[0] == 1 {
			secrets[i] = one[1:]
		}
	}
	return secrets, nil
}

// Ephemeral implements keyfile.Agreement: host method ephemeral.
func (w *WebCrypto) Ephemeral(ctx context.Context, public keys.Curve25519, count int) ([]keyfile.Ephemeral, error) {
	answer, ok, err := w.try(ctx, "ephemeral", public[:], binary.BigEndian.AppendUint32(nil, uint32(count)))
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return keyfile.GoAgreement{}.Ephemeral(ctx, public, count)
	case len(answer) != 64*count:
		return nil, errShortAnswer
	}
	made := make([]keyfile.Ephemeral, count)
	for i := range made {
		made[i].Public = keys.Curve25519(answer[64*i : 64*i+32])
		made[i].Shared = answer[64*i+32 : 64*i+64 : 64*i+64]
	}
	return made, nil
}
