package keyfile_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"knownsender/core/keyfile"
)

const (
	header = "-----BEGIN MEGOLM SESSION DATA-----\n"
	footer = "-----END MEGOLM SESSION DATA-----\n"
)

// armoured puts any bytes between the two lines.
func armoured(raw []byte) []byte {
	return []byte(header + base64.StdEncoding.EncodeToString(raw) + "\n" + footer)
}

// bare takes them out again.
func bare(t testing.TB, text []byte) []byte {
	t.Helper()
	body := strings.TrimSuffix(strings.TrimPrefix(string(text), header), footer)
	raw, err := base64.StdEncoding.DecodeString(body) // passes over line ends
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sealed is a small file with the least rounds there may be.
func sealed(t testing.TB, plaintext, passphrase string) []byte {
	t.Helper()
	text, err := keyfile.EncryptFile(context.Background(), []byte(plaintext), passphrase, keyfile.MinRounds, newWorld(t).kit.Random(), keyfile.GoCipher{})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func open(text []byte, passphrase string) ([]byte, error) {
	return keyfile.DecryptFile(context.Background(), text, passphrase, keyfile.GoCipher{})
}

// noCipher is there for files that must be refused before anything is derived.
type noCipher struct{ t *testing.T }

func (n noCipher) Open(context.Context, string, *keyfile.SealedFile) ([]byte, bool, error) {
	n.t.Error("keys were derived for a file that is to be refused before that")
	return nil, false, nil
}

func (n noCipher) Seal(context.Context, string, *keyfile.SealedFile, []byte) error {
	n.t.Error("keys were derived for a file that is not to be written")
	return nil
}

// What is sealed opens again, whatever its length, with the passphrase alone.
func TestSealAndOpen(t *testing.T) {
	for _, length := range []int{0, 1, 15, 16, 17, 26, 27, 28, 95, 96, 97, 1000, 100_000} {
		plaintext := strings.Repeat("k", length)
		text := sealed(t, plaintext, "ünïcode passphrase")
		if back, err := open(text, "ünïcode passphrase"); err != nil || string(back) != plaintext {
			t.Errorf("%d bytes: %v", length, err)
		}
		f, err := keyfile.ParseFile(text)
		if err != nil {
			t.Fatal(err)
		}
		if f.Rounds != keyfile.MinRounds || f.IV[8]&0x80 != 0 || len(f.Ciphertext) != length {
			t.Errorf("%d bytes: rounds %d, IV %x", length, f.Rounds, f.IV)
		}
		if !bytes.Equal(f.Text(), text) {
			t.Errorf("%d bytes: what was parsed is written differently", length)
		}
		lines := strings.Split(string(text), "\n")
		for i, line := range lines {
			if i > 0 && i < len(lines)-3 && len(line) != 128 || len(line) > 128 {
				t.Errorf("%d bytes: line %d has %d symbols", length, i, len(line))
			}
		}
	}
}

// An independent reading of the specification opens what is written here, and the other way round.
func TestFormatIsTheSpecifications(t *testing.T) {
	raw := bare(t, sealed(t, `[]`, "secret"))
	salt, rounds := raw[1:17], binary.BigEndian.Uint32(raw[33:37])
	derived, err := pbkdf2.Key(sha512.New, "secret", salt, int(rounds), 64)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, derived[32:])
	mac.Write(raw[:len(raw)-32])
	if raw[0] != 1 || len(raw) != 69+2 || !hmac.Equal(mac.Sum(nil), raw[len(raw)-32:]) {
		t.Errorf("%x", raw)
	}
}

// T41: line ends, wrapping and white space carry nothing.
func TestFileWithOtherLines(t *testing.T) {
	text := string(sealed(t, `[{"a":1}]  `, "secret"))
	body := base64.StdEncoding.EncodeToString(bare(t, []byte(text)))
	if !strings.HasSuffix(body, "=") {
		t.Fatal("the story wants a file with padding")
	}
	wrapped := func(width int, end string) string {
		out := strings.TrimSuffix(header, "\n") + end
		for rest := body; rest != ""; {
			n := min(width, len(rest))
			out, rest = out+rest[:n]+end, rest[n:]
		}
		return out + strings.TrimSuffix(footer, "\n")
	}
	for name, text := range map[string]string{
		"CRLF":                     strings.ReplaceAll(text, "\n", "\r\n"),
		"CR":                       strings.ReplaceAll(text, "\n", "\r"),
		"no last line end":         strings.TrimSuffix(text, "\n"),
		"many":                     "\n\n" + strings.ReplaceAll(text, "\n", "\n\n\n"),
		"one line":                 wrapped(1000, "\n"),
		"no lines at all":          wrapped(1000, ""),
		"76":                       wrapped(76, "\r\n"),
		"one symbol a line":        wrapped(1, "\n"),
		"spaces at the line's end": wrapped(64, " \t\n"),
		"unpadded":                 strings.ReplaceAll(text, "=", ""),
	} {
		if back, err := open([]byte(text), "secret"); err != nil || string(back) != `[{"a":1}]  ` {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T41, scenario 116: what is no key-export file is refused by what is wrong with it, before anything is derived.
func TestMalformedFiles(t *testing.T) {
	text := string(sealed(t, `[{"a":1}]  `, "secret"))
	raw := bare(t, []byte(text))
	with := func(at int, bytes ...byte) []byte {
		out := append([]byte(nil), raw...)
		copy(out[at:], bytes)
		return armoured(out)
	}
	unpadded := strings.ReplaceAll(text, "=", "")
	for name, story := range map[string]struct {
		code string
		text []byte
	}{
		"nothing":                        {keyfile.CodeBadKeyFileHeader, nil},
		"no header":                      {keyfile.CodeBadKeyFileHeader, []byte(strings.TrimPrefix(text, header))},
		"another header":                 {keyfile.CodeBadKeyFileHeader, []byte(strings.Replace(text, "BEGIN MEGOLM", "BEGIN OLM", 1))},
		"something before the header":    {keyfile.CodeBadKeyFileHeader, []byte("keys:\n" + text)},
		"a byte order mark":              {keyfile.CodeBadKeyFileHeader, []byte("\ufeff" + text)},
		"lower case":                     {keyfile.CodeBadKeyFileHeader, []byte(strings.ToLower(text))},
		"JSON":                           {keyfile.CodeBadKeyFileHeader, []byte(`[]`)},
		"only a header":                  {keyfile.CodeBadKeyFileFooter, []byte(header)},
		"no footer":                      {keyfile.CodeBadKeyFileFooter, []byte(strings.TrimSuffix(text, footer))},
		"half a footer":                  {keyfile.CodeBadKeyFileFooter, []byte(strings.TrimSuffix(text, "-\n"))},
		"something behind the footer":    {keyfile.CodeBadKeyFileFooter, []byte(text + "x")},
		"another armour inside":          {keyfile.CodeBadKeyFileBase64, []byte(text + text)},
		"a symbol that is none":          {keyfile.CodeBadKeyFileBase64, []byte(strings.Replace(text, header, header+"!", 1))},
		"base64url":                      {keyfile.CodeBadKeyFileBase64, []byte(header + strings.Repeat("-_", 100) + "\n" + footer)},
		"a header line of PEM":           {keyfile.CodeBadKeyFileBase64, []byte(header + "Version: 1\n\n" + strings.TrimPrefix(text, header))},
		"too much padding":               {keyfile.CodeBadKeyFileBase64, []byte(strings.Replace(text, "=", "==", 1))},
		"padding where there needs none": {keyfile.CodeBadKeyFileBase64, []byte(strings.Replace(string(armoured(raw[:69])), "\n-----END", "====\n-----END", 1))},
		"padding in the middle":          {keyfile.CodeBadKeyFileBase64, []byte(strings.Replace(text, text[50:52], "==", 1))},
		"bits left over":                 {keyfile.CodeBadKeyFileBase64, []byte(header + base64.StdEncoding.EncodeToString(make([]byte, 72)) + "AB\n" + footer)},
		"six bits":                       {keyfile.CodeBadKeyFileBase64, []byte(strings.Replace(unpadded, "\n-----END", "AA\n-----END", 1))},
		"version 0":                      {keyfile.CodeBadKeyFileVersion, with(0, 0)},
		"version 2":                      {keyfile.CodeBadKeyFileVersion, with(0, 2)},
		"version 255":                    {keyfile.CodeBadKeyFileVersion, with(0, 255)},
		// T42: what the header asks for is judged before it is done.
		"T42: no rounds":        {keyfile.CodeBadKeyFileRounds, with(33, 0, 0, 0, 0)},
		"T42: 1 round":          {keyfile.CodeBadKeyFileRounds, with(33, 0, 0, 0, 1)},
		"T42: 999 rounds":       {keyfile.CodeBadKeyFileRounds, with(33, 0, 0, 0x03, 0xe7)},
		"T42: 10,000,001":       {keyfile.CodeBadKeyFileRounds, with(33, 0, 0x98, 0x96, 0x81)},
		"T42: 2^32 - 1, hours":  {keyfile.CodeBadKeyFileRounds, with(33, 255, 255, 255, 255)},
		"T42: 2^31, a sign bit": {keyfile.CodeBadKeyFileRounds, with(33, 128, 0, 0, 0)},
	} {
		_, err := keyfile.DecryptFile(context.Background(), story.text, "secret", noCipher{t})
		var refusal *keyfile.FileError
		if !errors.As(err, &refusal) || refusal.ErrorCode() != story.code || refusal.Error() == "" {
			t.Errorf("%s: expected %s, got %v", name, story.code, err)
		}
	}
	for _, rounds := range []uint32{keyfile.MinRounds, keyfile.MaxRounds} {
		if f, err := keyfile.ParseFile(with(33, binary.BigEndian.AppendUint32(nil, rounds)...)); err != nil || f.Rounds != rounds {
			t.Errorf("%d rounds: %v", rounds, err)
		}
	}
}

// T41: every length that is none, whatever the bytes.
func TestFilesThatAreTooShort(t *testing.T) {
	whole := bare(t, sealed(t, "", "secret"))
	if len(whole) != 69 {
		t.Fatalf("the shortest file has %d bytes", len(whole))
	}
	for length := range whole {
		for _, raw := range [][]byte{whole[:length], make([]byte, length), bytes.Repeat([]byte{1}, length)} {
			_, err := keyfile.DecryptFile(context.Background(), armoured(raw), "secret", noCipher{t})
			if refusal := refused[*keyfile.FileError](t, err, keyfile.CodeBadKeyFileLength); refusal != nil && refusal.Got != int64(length) {
				t.Errorf("%d bytes are said to be %d", length, refusal.Got)
			}
		}
	}
	if back, err := open(armoured(whole), "secret"); err != nil || len(back) != 0 {
		t.Errorf("%q, %v", back, err)
	}
}

// T41: 68 bytes whose MAC begins with the last byte of the rounds, and is right. A reader that does not count would hold it against the
// bytes before, find it good, and decrypt minus one byte.
func TestFileWhoseMACOverlapsTheRounds(t *testing.T) {
	raw := make([]byte, 36, 68)
	raw[0], raw[35] = 1, 4 // 1,024 rounds and some
	for salt := uint16(0); ; salt++ {
		binary.BigEndian.PutUint16(raw[1:], salt)
		guess := byte(salt)
		derived, err := pbkdf2.Key(sha512.New, "secret", raw[1:17], 1024+int(guess), 64)
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, derived[32:])
		mac.Write(raw)
		if sum := mac.Sum(nil); sum[0] == guess {
			raw = append(raw, sum...)
			break
		}
	}
	if rounds := binary.BigEndian.Uint32(raw[33:37]); len(raw) != 68 || rounds < keyfile.MinRounds {
		t.Fatalf("%d bytes, %d rounds", len(raw), rounds)
	}
	_, err := keyfile.DecryptFile(context.Background(), armoured(raw), "secret", noCipher{t})
	refused[*keyfile.FileError](t, err, keyfile.CodeBadKeyFileLength)
}

// T43, scenario 116: a file with any byte changed, or cut off anywhere, or opened with another passphrase, gives nothing.
func TestChangedFiles(t *testing.T) {
	text := sealed(t, `[{"a":1}]`, "secret")
	raw := bare(t, text)
	// (HMAC fills a short key up with zeros: only "secret\x00" is as good as "secret".)
	for _, passphrase := range []string{"", "Secret", "secret ", "secre", "\x00secret"} {
		_, err := open(text, passphrase)
		refused[*keyfile.FileError](t, err, keyfile.CodeBadPassphraseOrCorrupt)
	}
	for i := range raw {
		for _, bit := range []byte{0x01, 0x80} {
			bad := append([]byte(nil), raw...)
			bad[i] ^= bit
			if rounds := binary.BigEndian.Uint32(bad[33:37]); rounds > 10_000 {
				continue // allowed or not, it is not derived here
			}
			code := keyfile.CodeBadPassphraseOrCorrupt
			if i == 0 {
				code = keyfile.CodeBadKeyFileVersion
			}
			if i >= 33 && i < 37 && binary.BigEndian.Uint32(bad[33:37]) < keyfile.MinRounds {
				code = keyfile.CodeBadKeyFileRounds
			}
			plaintext, err := open(armoured(bad), "secret")
			refused[*keyfile.FileError](t, err, code)
			if plaintext != nil {
				t.Errorf("byte %d: a plaintext", i)
			}
		}
	}
	for length := range raw {
		code := keyfile.CodeBadPassphraseOrCorrupt
		if length < 69 {
			code = keyfile.CodeBadKeyFileLength
		}
		_, err := open(armoured(raw[:length]), "secret")
		refused[*keyfile.FileError](t, err, code)
	}
	for length := range len(bytes.TrimSpace(text)) {
		if _, err := open(text[:length], "secret"); err == nil {
			t.Errorf("%d bytes of text opened", length)
		}
	}
	if _, err := open(armoured(append(raw, 0)), "secret"); err == nil {
		t.Error("a file with a byte more opened")
	}
}

// What is not to be written is refused before anything is derived.
func TestFilesThatAreNotWritten(t *testing.T) {
	ctx := context.Background()
	for _, rounds := range []uint32{1, 999, 10_000_001, 1<<32 - 1} {
		_, err := keyfile.EncryptFile(ctx, []byte(`[]`), "secret", rounds, bytes.NewReader(make([]byte, 64)), noCipher{t})
		refused[*keyfile.FileError](t, err, keyfile.CodeBadKeyFileRounds)
	}
	_, err := keyfile.EncryptFile(ctx, []byte(`[]`), "", 0, bytes.NewReader(make([]byte, 64)), noCipher{t})
	refused[*keyfile.FileError](t, err, keyfile.CodeEmptyPassphrase)
	if _, err := keyfile.EncryptFile(ctx, []byte(`[]`), "secret", 0, iotest.ErrReader(io.ErrClosedPipe), noCipher{t}); err != io.ErrClosedPipe {
		t.Errorf("%v", err)
	}
	if _, err := keyfile.EncryptFile(ctx, []byte(`[]`), "secret", 0, bytes.NewReader(make([]byte, 31)), noCipher{t}); err == nil {
		t.Error("written with half an IV")
	}
}

// rememberingCipher writes down what it was asked for.
type rememberingCipher struct {
	keyfile.GoCipher
	rounds uint32
}

func (r *rememberingCipher) Seal(_ context.Context, _ string, f *keyfile.SealedFile, _ []byte) error {
	r.rounds = f.Rounds
	return nil
}

// Without a wish the file has as many rounds as Element writes; and no IV has bit 63 set.
func TestDefaultRounds(t *testing.T) {
	var c rememberingCipher
	text, err := keyfile.EncryptFile(context.Background(), []byte(`[]`), "secret", 0, bytes.NewReader(bytes.Repeat([]byte{255}, 32)), &c)
	if err != nil || c.rounds != 500_000 {
		t.Errorf("%d rounds, %v", c.rounds, err)
	}
	if f, err := keyfile.ParseFile(text); err != nil || f.IV[8] != 0x7f || f.Salt[0] != 0xff {
		t.Errorf("%v, %v", f, err)
	}
}

// T42: whoever has lost patience is not kept waiting; an answer of the cipher that is none comes back as it is.
func TestCancelled(t *testing.T) {
	text := sealed(t, `[]`, "secret")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := keyfile.DecryptFile(ctx, text, "secret", keyfile.GoCipher{}); !errors.Is(err, context.Canceled) {
		t.Errorf("opening: %v", err)
	}
	if _, err := keyfile.EncryptFile(ctx, []byte(`[]`), "secret", 0, newWorld(t).kit.Random(), keyfile.GoCipher{}); !errors.Is(err, context.Canceled) {
		t.Errorf("sealing: %v", err)
	}
}
