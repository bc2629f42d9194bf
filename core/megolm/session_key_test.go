package megolm_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"strings"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"

	"filippo.io/edwards25519"
	"maunium.net/go/mautrix/crypto/goolm/session"
)

func decode(text string) []byte {
	raw, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return raw
}

// with returns raw with some bytes replaced from position at on.
func with(raw []byte, at int, replacement ...byte) []byte {
	out := bytes.Clone(raw)
	copy(out[at:], replacement)
	return out
}

// resigned signs the first 165 bytes of a session key anew.
func resigned(outbound *testkit.Outbound, raw []byte) []byte {
	return outbound.Sign(raw[:165])
}

// smallOrderR signs message so that R is the neutral element: S is then k·a, and the equation holds for whoever computes it.
func smallOrderR(private ed25519.PrivateKey, message []byte) []byte {
	digest := sha512.Sum512(private.Seed())
	a, err := new(edwards25519.Scalar).SetBytesWithClamping(digest[:32])
	if err != nil {
		panic(err)
	}
	r := edwards25519.NewIdentityPoint().Bytes()
	hash := sha512.Sum512(bytes.Join([][]byte{r, private.Public().(ed25519.PublicKey), message}, nil))
	k, err := new(edwards25519.Scalar).SetUniformBytes(hash[:])
	if err != nil {
		panic(err)
	}
	return append(r, new(edwards25519.Scalar).Multiply(k, a).Bytes()...)
}

// Public keys with which everybody can sign, and keys that are a second spelling of another.
var badPublicKeys = map[string][]byte{
	"neutral element":               append([]byte{1}, make([]byte, 31)...),
	"order 4":                       make([]byte, 32),
	"order 2":                       append(append([]byte{0xec}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
	"neutral element with sign bit": append(append([]byte{1}, make([]byte, 30)...), 0x80),
	"y of p+3":                      append(append([]byte{0xf0}, bytes.Repeat([]byte{0xff}, 30)...), 0x7f),
}

// share is what a receiver makes of a shared key, signature and all.
func share(t *testing.T, text string) (*megolm.InboundSession, string) {
	t.Helper()
	key, err := megolm.ParseSessionKey(text)
	if err != nil {
		return nil, codeOf(t, err)
	}
	if err := key.Verify(); err != nil {
		return nil, codeOf(t, err)
	}
	return key.Session(), ""
}

func export(t *testing.T, text string) (*megolm.InboundSession, string) {
	t.Helper()
	session, err := megolm.ParseExportedSessionKey(text)
	return session, codeOf(t, err)
}

func TestSessionKeysAreReadWhole(t *testing.T) {
	for _, index := range []uint32{0, 1, 255, 256, 65535, 1 << 24, testkit.LastIndex} {
		outbound := testkit.NewOutboundAt(testkit.New("whole").Random(), index)
		key := must(megolm.ParseSessionKey(outbound.SessionKey()))
		if key.ID().String() != outbound.ID() || key.Index() != index {
			t.Errorf("at %#x: id %s, index %#x", index, key.ID(), key.Index())
		}
		for _, s := range []*megolm.InboundSession{receive(t, outbound.SessionKey()), imported(t, outbound.ExportedAt(index))} {
			if s.ID() != key.ID() || s.FirstKnownIndex() != index || must(s.ExportAt(index)) != outbound.ExportedAt(index) {
				t.Errorf("at %#x: id %s, first known index %#x", index, s.ID(), s.FirstKnownIndex())
			}
		}
	}
}

// T23: a wrong signature, the formats swapped, a byte more or less, nothing at all.
func TestT23BadSessionKeysAreRefused(t *testing.T) {
	outbound := testkit.New("T23").Outbound()
	shared, exported := outbound.SessionKey(), outbound.ExportedAt(0)
	raw := decode(shared)

	for _, c := range []struct{ name, text, code string }{
		{"empty", "", megolm.CodeBadSessionKeyLength},
		{"export format inside m.room_key", exported, megolm.CodeBadSessionKeyLength},
		{"a byte less", testkit.Base64(raw[:228]), megolm.CodeBadSessionKeyLength},
		{"a byte more", testkit.Base64(append(raw, 0)), megolm.CodeBadSessionKeyLength},
		{"trailing key", shared + shared, megolm.CodeBadSessionKeyLength},
		{"a megabyte", strings.Repeat("A", 1<<20), megolm.CodeBadSessionKeyLength},
		{"version 1 at full length", testkit.Base64(with(raw, 0, 1)), megolm.CodeBadSessionKeyVersion},
		{"version 3", testkit.Base64(resigned(outbound, with(raw, 0, 3))), megolm.CodeBadSessionKeyVersion},
		{"wrong signature", testkit.Base64(with(raw, 228, raw[228]^1)), megolm.CodeBadSessionKeySignature},
		{"signed by another session", testkit.Base64(append(raw[:165:165], decode(testkit.New("other").Outbound().SessionKey())[165:]...)), megolm.CodeBadSessionKeySignature},
		{"not signed", testkit.Base64(append(raw[:165:165], make([]byte, 64)...)), megolm.CodeBadSessionKeySignature},
	} {
		t.Run("shared/"+c.name, func(t *testing.T) {
			if _, code := share(t, c.text); code != c.code {
				t.Errorf("code %q, expected %q", code, c.code)
			}
		})
	}
	for _, c := range []struct{ name, text, code string }{
		{"empty", "", megolm.CodeBadSessionKeyLength},
		{"share format inside an import", shared, megolm.CodeBadSessionKeyLength},
		{"a byte less", testkit.Base64(raw[:164]), megolm.CodeBadSessionKeyLength},
		{"a byte more", testkit.Base64(raw[:166]), megolm.CodeBadSessionKeyLength},
		{"version 2 at export length", testkit.Base64(raw[:165]), megolm.CodeBadSessionKeyVersion},
	} {
		t.Run("exported/"+c.name, func(t *testing.T) {
			if _, code := export(t, c.text); code != c.code {
				t.Errorf("code %q, expected %q", code, c.code)
			}
		})
	}
}

// T23: every single-bit flip and every truncation of a genuine shared key, and goolm agrees about each.
func TestT23EveryFlipAndTruncationOfASharedKeyIsRefused(t *testing.T) {
	raw := decode(testkit.New("flips").Outbound().SessionKey())
	refused := func(what string, at int, raw []byte) {
		text := testkit.Base64(raw)
		if _, code := share(t, text); code == "" {
			t.Errorf("%s at %d is accepted", what, at)
		}
		if _, err := session.NewMegolmInboundSession([]byte(text)); err == nil {
			t.Errorf("%s at %d is accepted by goolm", what, at)
		}
	}
	for bit := range len(raw) * 8 {
		refused("flip", bit, with(raw, bit/8, raw[bit/8]^1<<(bit%8)))
	}
	for length := range raw {
		refused("truncation", length, raw[:length])
	}
}

// T25: the id comes out of the key, so a relabelled session can be told.
func TestT25TheSessionIDIsDerived(t *testing.T) {
	kit := testkit.New("T25")
	one, two := kit.Outbound(), kit.Outbound()
	claimed := must(megolm.ParseSessionID(two.ID()))
	if must(megolm.ParseSessionKey(one.SessionKey())).ID() == claimed {
		t.Error("two sessions have one id")
	}
	if must(megolm.ParseSessionKey(two.SessionKey())).ID() != claimed {
		t.Error("the id of a session is not its key")
	}
}

func TestT25SessionIDsAreStrict(t *testing.T) {
	id := testkit.New("ids").Outbound().ID()
	for name, text := range map[string]string{
		"empty":        "",
		"padded":       id + "=",
		"url alphabet": strings.Repeat("-", 43),
		"short":        id[:42],
		"low order":    testkit.Base64(badPublicKeys["order 4"]),
	} {
		if _, err := megolm.ParseSessionID(text); codeOf(t, err) != megolm.CodeBadSessionID {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T29: the session's own key is of low order or not canonical; R of the signature is of low order.
func TestT29WeakKeysAndSignaturesAreRefused(t *testing.T) {
	outbound := testkit.New("T29").Outbound()
	raw := decode(outbound.SessionKey())
	for name, public := range badPublicKeys {
		if _, code := share(t, testkit.Base64(with(raw, 133, public...))); code != megolm.CodeBadSessionKeyPublicKey {
			t.Errorf("shared, %s: %q", name, code)
		}
		if _, code := export(t, testkit.Base64(with(raw[:165], 0, append([]byte{1}, with(raw[1:165], 132, public...)...)...))); code != megolm.CodeBadSessionKeyPublicKey {
			t.Errorf("exported, %s: %q", name, code)
		}
	}

	signature := smallOrderR(outbound.Private, raw[:165])
	if !ed25519.Verify(outbound.Private.Public().(ed25519.PublicKey), raw[:165], signature) {
		t.Fatal("the signature with R of low order should satisfy the Go library")
	}
	if _, code := share(t, testkit.Base64(with(raw, 165, signature...))); code != megolm.CodeBadSessionKeySignature {
		t.Errorf("R of low order: %q", code)
	}
}

// T32: one spelling only. 229 bytes leave four bits over in the last symbol, 165 bytes none.
func TestT32SessionKeysHaveOneSpelling(t *testing.T) {
	shared := testkit.New("T32").Outbound().SessionKey()
	last := strings.IndexByte(alphabet, shared[len(shared)-1])
	for name, c := range map[string]struct{ text, code string }{
		"newline at the end":  {shared + "\n", megolm.CodeBadSessionKeyLength},
		"padding":             {shared + "==", megolm.CodeBadSessionKeyLength},
		"newline inside":      {shared[:99] + "\n" + shared[100:], megolm.CodeBadSessionKeyBase64},
		"carriage return":     {shared[:99] + "\r" + shared[100:], megolm.CodeBadSessionKeyBase64},
		"padding inside":      {shared[:304] + "==", megolm.CodeBadSessionKeyBase64},
		"URL alphabet":        {shared[:99] + "_" + shared[100:], megolm.CodeBadSessionKeyBase64},
		"spare bits set":      {shared[:305] + alphabet[last|1:][:1], megolm.CodeBadSessionKeyBase64},
		"a letter of Unicode": {shared[:98] + "é" + shared[100:], megolm.CodeBadSessionKeyBase64},
	} {
		if _, code := share(t, c.text); code != c.code {
			t.Errorf("%s: %q, expected %q", name, code, c.code)
		}
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

func TestAnExportBeforeTheFirstKnownIndexIsRefused(t *testing.T) {
	outbound := testkit.NewOutboundAt(testkit.New("export").Random(), 100)
	session := receive(t, outbound.SessionKey())
	_, err := session.ExportAt(99)
	if codeOf(t, err) != megolm.CodeUnknownMessageIndex || err.Error() != "the session is not known at this index: expected 100, got 99" {
		t.Error(err)
	}
	if text, err := session.ExportAt(100); err != nil || text != outbound.ExportedAt(100) {
		t.Error("the first known index itself is not exported", err)
	}
}
