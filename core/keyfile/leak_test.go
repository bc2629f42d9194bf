package keyfile_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/testkit"
)

// T56, I21: nothing of this package that is printed, and no error, holds a session key, a private key, a passphrase or a plaintext.
func TestNothingLeaks(t *testing.T) {
	const passphrase = "correct horse battery staple"
	w := newWorld(t)
	session := w.kit.Outbound()
	raw := w.exported(session)
	key := keyfile.NewSenderDataKey([32]byte(bytes.Repeat([]byte{0xa7}, 32)))
	backup, err := keyfile.ParseBackupKey(testkit.Base64(bytes.Repeat([]byte{0xc3}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	content, encrypted := bundled(t, bundleOf([][]byte{raw}, nil))
	descriptor, err := keyfile.ParseBundleDescriptor(testkit.JSON(content))
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := keyfile.OpenBundle(descriptor, encrypted)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := readBundle(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	hear := func(values ...any) {
		for _, value := range values {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
				heard = append(heard, fmt.Sprintf(verb, value))
			}
			if err, ok := value.(error); ok {
				for ; err != nil; err = errors.Unwrap(err) {
					heard = append(heard, err.Error())
				}
			}
		}
	}

	entry := parsed(t, keyfile.AppendEntrySigned(nil, w.direct(session), key))
	var s keyfile.Splitter
	if err := s.Write(append([]byte("["), raw...), func(int, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	hear(entry, *entry, key, *key, backup, *backup, descriptor, *descriptor, &s, bundle, *bundle, keyfile.BundleItem{Entry: bundle.Entries[0]}, *bundle.Entries[0], entry.Copy(1))
	hear(struct {
		Entries []*keyfile.Entry
		Key     *keyfile.SenderDataKey
	}{bundle.Entries, key})

	// Everything that goes wrong.
	for at := 0; at < len(raw); at += 3 {
		bad := bytes.Clone(raw)
		bad[at] ^= 4
		_, err := keyfile.ParseEntry(bad)
		_, other := keyfile.ParseEntry(raw[:at])
		hear(err, other)
		_, err = keyfile.ParseBackupEntry(room, sessionID(t, w.kit.Outbound()), bad)
		hear(err)
	}
	for _, bad := range []string{"", "x", session.ExportedAt(0), passphrase, backup.RecoveryKey()[1:], backup.RecoveryKey()[:58] + "0", backup.Base64() + "A"} {
		_, err := keyfile.ParseRecoveryKey(bad)
		_, other := keyfile.ParseBackupKey(bad)
		hear(err, other)
	}
	text := sealed(t, string(raw), passphrase)
	_, err = open(text, passphrase[1:])
	_, empty := keyfile.EncryptFile(context.Background(), raw, "", 0, w.kit.Random(), keyfile.GoCipher{})
	hear(err, empty, s.Write([]byte("}}"), nil), s.Close())
	file := content["file"].(map[string]any)["key"].(map[string]any)
	k := file["k"].(string)
	for _, bad := range []string{k[1:], k + "=", k[:42] + "+"} {
		file["k"] = bad
		_, err := keyfile.ParseBundleDescriptor(testkit.JSON(content))
		hear(err)
	}

	secret := decode(t, session.ExportedAt(0))[5:133]
	forbidden := []string{passphrase, "horse", backup.RecoveryKey(), backup.RecoveryKey()[:20], backup.Base64()[:20], k[:20], session.ExportedAt(0)[8:40]}
	for _, bytes := range [][]byte{secret, bytes.Repeat([]byte{0xc3}, 32), bytes.Repeat([]byte{0xa7}, 32), []byte(passphrase)} {
		forbidden = append(forbidden, hex.EncodeToString(bytes[:8]), strings.ToUpper(hex.EncodeToString(bytes[:8])), base64.RawStdEncoding.EncodeToString(bytes)[:20],
			strings.Trim(fmt.Sprint(bytes[:8]), "[]"), strings.Trim(fmt.Sprintf("%#v", bytes[:6]), "[]byte{}"))
	}
	for _, text := range heard {
		for _, secret := range forbidden {
			if strings.Contains(text, secret) {
				t.Fatalf("%.200s holds %s", text, secret)
			}
		}
	}
	if len(heard) < 1000 {
		t.Errorf("only %d texts were looked at", len(heard))
	}
}
