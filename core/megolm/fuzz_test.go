package megolm_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"

	"filippo.io/edwards25519"
	"maunium.net/go/mautrix/crypto/goolm/message"
	"maunium.net/go/mautrix/crypto/goolm/session"
)

var update = flag.Bool("update", false, "write testdata anew")

// canonicalBase64 is the standard library's word on T32: its decoder tolerates line ends and, unless Strict, spare bits.
func canonicalBase64(text string) bool {
	raw, err := base64.RawStdEncoding.DecodeString(text)
	return err == nil && base64.RawStdEncoding.EncodeToString(raw) == text
}

// FuzzSessionKeyShare takes any text, and any ratchet signed by a session that exists. What is accepted is written back the
// same, and accepted by goolm too; what goolm alone accepts has a second spelling or an R of low order.
func FuzzSessionKeyShare(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		checkShare(t, text)
		signer := testkit.New("share").Outbound()
		raw := make([]byte, 165)
		copy(raw, content)
		copy(raw[133:], decode(signer.ID()))
		text = testkit.Base64(signer.Sign(raw))
		checkShare(t, text)
		if key, err := megolm.ParseSessionKey(text); (err == nil) != (raw[0] == 2) {
			t.Errorf("version %d: %v", raw[0], err)
		} else if err == nil && (key.Verify() != nil || key.Index() != binary.BigEndian.Uint32(raw[1:])) {
			t.Error("a signed key is not read as it was written")
		}
	})
}

func checkShare(t *testing.T, text string) {
	_, theirs := session.NewMegolmInboundSession([]byte(text))
	key, err := megolm.ParseSessionKey(text)
	if err != nil {
		if !errors.As(err, new(*megolm.SessionKeyError)) {
			t.Fatalf("%T", err)
		}
		if theirs == nil && canonicalBase64(text) {
			t.Errorf("goolm accepts what we refuse: %v", err)
		}
		return
	}
	check := key.Check()
	if testkit.Base64(append(bytes.Clone(check.Message), check.Signature[:]...)) != text {
		t.Error("an accepted key is written back differently")
	}
	if held := key.Verify() == nil; held != (theirs == nil) && (held || check.Strict()) {
		t.Errorf("verified: %v, goolm says %v", held, theirs)
	}
}

// FuzzSessionKeyExport is the same without a signature. goolm refuses public keys that are no points of the curve at once; we
// find out when a message is to be verified.
func FuzzSessionKeyExport(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		checkExport(t, text)
		raw := make([]byte, 165)
		copy(raw, content)
		checkExport(t, testkit.Base64(raw))
	})
}

func checkExport(t *testing.T, text string) {
	_, theirs := session.NewMegolmInboundSessionFromExport([]byte(text))
	s, err := megolm.ParseExportedSessionKey(text)
	if err != nil {
		if !errors.As(err, new(*megolm.SessionKeyError)) {
			t.Fatalf("%T", err)
		}
		if theirs == nil && canonicalBase64(text) {
			t.Errorf("goolm accepts what we refuse: %v", err)
		}
		return
	}
	if back, err := s.ExportAt(s.FirstKnownIndex()); err != nil || back != text {
		t.Errorf("an accepted key is written back differently (%v)", err)
	}
	id := s.ID()
	if _, noPoint := new(edwards25519.Point).SetBytes(id[:]); theirs != nil && noPoint == nil {
		t.Errorf("goolm refuses: %v", theirs)
	}
}

// FuzzGroupMessage takes any text, and any body sealed by the session itself: in the second case only the form decides.
func FuzzGroupMessage(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string, content []byte) {
		outbound := testkit.NewOutboundAt(testkit.New("group message").Random(), 1)
		checkMessage(t, outbound, text)
		// Sealed under the keys of the index it names, so that the MAC is right.
		if index := namedIndex(content); index >= 1 {
			checkMessage(t, outbound, testkit.Base64(outbound.Seal(index, content)))
		}
	})
}

// namedIndex is the index a lenient reader finds in the body of a message, 0 when it finds none.
func namedIndex(body []byte) uint32 {
	var m message.GroupMessage
	if m.Decode(append(bytes.Clone(body), make([]byte, 72)...)) != nil {
		return 0
	}
	return m.MessageIndex
}

func checkMessage(t *testing.T, outbound *testkit.Outbound, text string) {
	s := receive(t, outbound.SessionKey())
	before := s.AppendState(nil)
	theirs := must(session.NewMegolmInboundSession([]byte(outbound.SessionKey())))
	theirPlaintext, theirIndex, theirErr := theirs.Decrypt([]byte(text))
	plaintext, index, code := decrypt(t, s, text)
	if !bytes.Equal(s.AppendState(nil), before) {
		t.Error("the session has changed")
	}

	quick, quickErr := megolm.MessageIndex(text)
	m, err := megolm.ParseMessage(text)
	if err == nil && (quickErr != nil || quick != m.Index) {
		t.Errorf("MessageIndex says %d, %v; ParseMessage %d", quick, quickErr, m.Index)
	}
	switch {
	case code == "" && index-1 >= 1<<31 && theirErr != nil:
		// libolm and goolm take an index 2^31 and more ahead for one that lies behind.
	case code == "" && (theirErr != nil || string(theirPlaintext) != plaintext || uint32(theirIndex) != index):
		t.Errorf("we read index %d; goolm: index %d, %v", index, theirIndex, theirErr)
	case code != "" && theirErr == nil && canonicalMessage(text):
		t.Errorf("goolm accepts what we refuse: %s", code)
	}
}

// canonicalMessage says whether text is the one spelling of the message that goolm finds in it.
func canonicalMessage(text string) bool {
	if !canonicalBase64(text) {
		return false
	}
	raw := decode(text)
	var m message.GroupMessage
	if err := m.Decode(raw); err != nil {
		return false
	}
	return bytes.Equal(body(uint64(m.MessageIndex), m.Ciphertext), raw[:len(raw)-72])
}

// FuzzDifferential makes a session, a message, and perhaps changes it: both implementations must say the same.
func FuzzDifferential(f *testing.F) {
	f.Fuzz(func(t *testing.T, seed string, first, index uint32, plaintext []byte, at uint16, flip byte) {
		if len(plaintext) <= 4096 {
			checkDifferential(t, seed, min(first, index), max(first, index), plaintext, at, flip)
		}
	})
}

func TestRandomSessionsAndMessagesAgreeWithGoolm(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 31))
	for round := range 400 {
		first, index := random.Uint32()>>random.UintN(32), random.Uint32()>>random.UintN(32)
		plaintext := make([]byte, random.IntN(100))
		flip := byte(0)
		if round%2 == 1 {
			flip = 1 << random.IntN(8)
		}
		checkDifferential(t, fmt.Sprint(round), min(first, index), max(first, index), plaintext, uint16(random.Uint32()), flip)
	}
}

// One session on either side, and messages in no order: what each remembers of the last message must not show.
func TestOneSessionAgreesWithGoolmInAnyOrder(t *testing.T) {
	outbound := testkit.New("any order").Outbound()
	ours, theirs := receive(t, outbound.SessionKey()), must(session.NewMegolmInboundSession([]byte(outbound.SessionKey())))
	random := rand.New(rand.NewPCG(32, 32))
	for range 300 {
		index := random.Uint32() >> (1 + random.UintN(31)) // goolm reads 2^31 and more ahead as behind
		raw := decode(outbound.EncryptAt(index, []byte("hello")))
		if random.IntN(3) == 0 {
			raw[random.IntN(len(raw))] ^= 1 << random.IntN(8)
		}
		text := testkit.Base64(raw)
		plaintext, _, code := decrypt(t, ours, text)
		expected, _, err := theirs.Decrypt([]byte(text))
		if (code == "") != (err == nil) || plaintext != string(expected) {
			t.Errorf("at %#x we say %q, %q; goolm %q, %v", index, plaintext, code, expected, err)
		}
	}
}

func checkDifferential(t *testing.T, seed string, first, index uint32, plaintext []byte, at uint16, flip byte) {
	t.Helper()
	outbound := testkit.NewOutboundAt(testkit.New(seed).Random(), first)
	raw := decode(outbound.EncryptAt(index, plaintext))
	raw[int(at)%len(raw)] ^= flip
	text := testkit.Base64(raw)

	shared := receive(t, outbound.SessionKeyAt(first))
	exported := imported(t, outbound.ExportedAt(first))
	theirs := must(session.NewMegolmInboundSessionFromExport([]byte(outbound.ExportedAt(first))))
	theirPlaintext, _, theirErr := theirs.Decrypt([]byte(text))
	for _, s := range []*megolm.InboundSession{shared, exported} {
		got, gotIndex, code := decrypt(t, s, text)
		if (code == "") != (flip == 0) {
			t.Errorf("flip %#x: %q", flip, code)
		}
		if code == "" && (got != string(plaintext) || gotIndex != index) {
			t.Errorf("read %d bytes at %d", len(got), gotIndex)
		}
		if far := index-first >= 1<<31; !far && (code == "") != (theirErr == nil) || theirErr == nil && string(theirPlaintext) != got {
			t.Errorf("we say %q, goolm %v", code, theirErr)
		}
	}
	if back := must(shared.ExportAt(index)); back != outbound.ExportedAt(index) {
		t.Error("exports differ")
	}
	// Accepted, so written back the same: the session as it is stored.
	state := shared.AppendState(nil)
	if back := must(megolm.ParseState(state)); back.Compare(exported) != megolm.Equal || !bytes.Equal(back.AppendState(nil), state) {
		t.Error("stored and read back it is another session")
	}
}

// corpora are the seeds of the fuzz targets, one file each under testdata/fuzz, run by every go test.
func corpora() map[string]map[string][]any {
	kit := testkit.New("corpora")
	shares, exports, messages := map[string][]any{}, map[string][]any{}, map[string][]any{}
	for _, index := range []uint32{0, 1, 255, 256, 65535, 1 << 24, testkit.LastIndex} {
		outbound := testkit.NewOutboundAt(kit.Random(), index)
		shared, exported := outbound.SessionKey(), outbound.ExportedAt(index)
		shares[fmt.Sprint("genuine-", index)] = []any{shared, decode(shared)[:133]}
		exports[fmt.Sprint("genuine-", index)] = []any{exported, decode(exported)}
	}
	outbound := kit.Outbound()
	shared, exported := outbound.SessionKey(), outbound.ExportedAt(0)
	rawShare, rawExport := decode(shared), decode(exported)
	none := []byte{}
	for name, text := range map[string]string{
		"empty": "", "byte-less": testkit.Base64(rawShare[:228]), "byte-more": testkit.Base64(append(rawShare, 0)),
		"export-format": exported, "newline": shared[:76] + "\n" + shared[77:], "padded": shared + "==",
		"spare-bits": shared[:305] + "R", "flip-version": testkit.Base64(with(rawShare, 0, 3)),
		"flip-index": testkit.Base64(with(rawShare, 4, 1)), "flip-ratchet": testkit.Base64(with(rawShare, 60, rawShare[60]^4)),
		"flip-key": testkit.Base64(with(rawShare, 140, rawShare[140]^8)), "flip-signature": testkit.Base64(with(rawShare, 200, rawShare[200]^1)),
		"low-order-key": testkit.Base64(with(rawShare, 133, badPublicKeys["order 4"]...)),
		"low-order-r":   testkit.Base64(with(rawShare, 165, smallOrderR(outbound.Private, rawShare[:165])...)),
		"zeros":         testkit.Base64(make([]byte, 229)),
	} {
		shares[name] = []any{text, none}
	}
	for name, text := range map[string]string{
		"empty": "", "byte-less": testkit.Base64(rawExport[:164]), "byte-more": testkit.Base64(append(rawExport, 0)),
		"share-format": shared, "newline": exported[:76] + "\n" + exported[77:], "padded": exported + "==",
		"flip-version": testkit.Base64(with(rawExport, 0, 2)), "low-order-key": testkit.Base64(with(rawExport, 133, badPublicKeys["order 2"]...)),
		"no-point": testkit.Base64(with(rawExport, 133, append([]byte{2}, make([]byte, 31)...)...)),
	} {
		exports[name] = []any{text, none}
	}

	outbound = testkit.NewOutboundAt(testkit.New("group message").Random(), 1)
	genuine := outbound.EncryptAt(1, []byte("hello"))
	raw := decode(genuine)
	ciphertext := outbound.Ciphertext(1, []byte("hello"))
	canonical := body(1, ciphertext)
	for _, index := range []uint32{1, 2, 256, 65536, 1 << 24, 1<<31 + 1, testkit.LastIndex} {
		messages[fmt.Sprint("genuine-", index)] = []any{outbound.EncryptAt(index, []byte("hello")), body(uint64(index), outbound.Ciphertext(index, nil))}
	}
	for name, text := range map[string]string{
		"empty": "", "truncated": genuine[:100], "newline": genuine[:76] + "\n" + genuine[76:], "before-first": testkit.Base64(outbound.Seal(1, body(0, ciphertext))),
		"flip-mac": testkit.Base64(with(raw, len(raw)-70, raw[len(raw)-70]^1)), "flip-signature": testkit.Base64(with(raw, len(raw)-7, raw[len(raw)-7]^1)),
	} {
		messages[name] = []any{text, none}
	}
	for name, content := range map[string][]byte{
		"index-twice":        append([]byte{3, 0x08, 1}, canonical[1:]...),
		"ciphertext-twice":   append(bytes.Clone(canonical), canonical[3:]...),
		"ciphertext-first":   append(append([]byte{3}, canonical[3:]...), 0x08, 1),
		"unknown-varint":     append([]byte{3, 0x18, 9}, canonical[1:]...),
		"unknown-string":     append(bytes.Clone(canonical), 0x22, 1, 'x'),
		"over-long-index":    append([]byte{3, 0x08, 0x81, 0x00}, canonical[3:]...),
		"index-over-32-bits": append([]byte{3, 0x08, 0x81, 0x80, 0x80, 0x80, 0x10}, canonical[3:]...),
		"no-ciphertext":      {3, 0x08, 1, 0x12, 0},
		"version-4":          append([]byte{4}, canonical[1:]...),
		"wrong-padding":      body(1, outbound.CiphertextOfBlocks(1, bytes.Repeat([]byte{17}, 16))),
	} {
		messages[name] = []any{"", content}
	}

	outboundState := append(rawExport[1:133:133], outbound.Private...)

	return map[string]map[string][]any{
		"FuzzSessionKeyShare":  shares,
		"FuzzSessionKeyExport": exports,
		"FuzzGroupMessage":     messages,
		"FuzzRatchetAdvance": {
			"standing":  {uint32(5), uint32(5), uint32(5), []byte("a")},
			"part-2":    {uint32(255), uint32(255), uint32(256), []byte("b")},
			"part-1":    {uint32(65535), uint32(65536), uint32(65537), []byte("c")},
			"part-0":    {uint32(1<<24 - 1), uint32(1 << 24), uint32(1<<24 + 1), []byte("d")},
			"farthest":  {uint32(0), uint32(1 << 24), uint32(testkit.LastIndex), []byte("e")},
			"last-step": {uint32(testkit.LastIndex - 1), uint32(testkit.LastIndex), uint32(testkit.LastIndex), []byte("f")},
			"backwards": {uint32(2), uint32(1), uint32(0), []byte("g")},
		},
		"FuzzOutboundSession": {
			"first":       {"one", uint32(0), []byte("hello"), outboundState},
			"empty":       {"two", uint32(1), none, none},
			"whole-block": {"three", uint32(255), []byte("0123456789abcdef"), outboundState[:195]},
			"part-1":      {"four", uint32(65535), []byte("hello"), append(bytes.Clone(outboundState), 0)},
			"part-0":      {"five", uint32(1<<24 - 1), []byte("hello"), with(outboundState, 140, outboundState[140]^1)},
			"before-last": {"six", uint32(testkit.LastIndex - 1), []byte("hello"), with(outboundState, 170, outboundState[170]^1)},
			"last":        {"seven", uint32(testkit.LastIndex), []byte("hello"), with(outboundState, 0, 255)},
		},
		"FuzzDifferential": {
			"genuine":        {"one", uint32(0), uint32(0), []byte("hello"), uint16(0), byte(0)},
			"boundary":       {"two", uint32(255), uint32(256), []byte(""), uint16(0), byte(0)},
			"far":            {"three", uint32(0), uint32(1<<31 - 1), []byte("0123456789abcdef"), uint16(0), byte(0)},
			"farther":        {"four", uint32(0), uint32(1 << 31), []byte("hello"), uint16(0), byte(0)},
			"last":           {"five", uint32(testkit.LastIndex), uint32(testkit.LastIndex), []byte("hello"), uint16(0), byte(0)},
			"flip-index":     {"six", uint32(0), uint32(3), []byte("hello"), uint16(2), byte(1)},
			"flip-signature": {"seven", uint32(0), uint32(3), []byte("hello"), uint16(92), byte(128)},
		},
	}
}

// The corpora are where go test looks for them, and they are not empty: a fuzz target without seeds passes in silence.
func TestCorporaAreCommitted(t *testing.T) {
	for target, seeds := range corpora() {
		dir := filepath.Join("testdata", "fuzz", target)
		if *update {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, values := range seeds {
			path := filepath.Join(dir, name)
			want := corpusFile(values)
			if *update {
				if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got, err := os.ReadFile(path); err != nil || string(got) != want {
				t.Errorf("%s is not what it should be (%v); run go test -run %s -update", path, err, t.Name())
			}
		}
		if len(seeds) < 7 {
			t.Errorf("%s has only %d seeds", target, len(seeds))
		}
	}
}

func corpusFile(values []any) string {
	var out strings.Builder
	out.WriteString("go test fuzz v1\n")
	for _, value := range values {
		switch v := value.(type) {
		case []byte:
			fmt.Fprintf(&out, "[]byte(%q)\n", v)
		case byte:
			fmt.Fprintf(&out, "byte('\\x%02x')\n", v)
		default:
			fmt.Fprintf(&out, "%T(%#v)\n", v, v)
		}
	}
	return out.String()
}
