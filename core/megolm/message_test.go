package megolm_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"

	"maunium.net/go/mautrix/crypto/goolm/crypto"
	"maunium.net/go/mautrix/crypto/goolm/session"
)

// body is the part of a message before its MAC, in the canonical form.
func body(index uint64, ciphertext []byte) []byte {
	raw := binary.AppendUvarint([]byte{3, 0x08}, index)
	raw = binary.AppendUvarint(append(raw, 0x12), uint64(len(ciphertext)))
	return append(raw, ciphertext...)
}

// unchanged fails the test when a refused message left a trace in the session: it must store the same, and still open the
// genuine message.
func unchanged(t *testing.T, s *megolm.InboundSession, before []byte, genuine string) {
	t.Helper()
	if !bytes.Equal(s.AppendState(nil), before) {
		t.Fatal("the session has changed")
	}
	if _, _, code := decrypt(t, s, genuine); code != "" {
		t.Fatalf("the genuine message is now refused: %s", code)
	}
}

func TestMessagesDecryptInAnyOrder(t *testing.T) {
	outbound := testkit.NewOutboundAt(testkit.New("order").Random(), 250)
	s := receive(t, outbound.SessionKey())
	for _, index := range []uint32{260, 250, 255, 256, 256, 70000, 251} {
		plaintext, got, code := decrypt(t, s, outbound.EncryptAt(index, []byte("hello")))
		if plaintext != "hello" || got != index || code != "" {
			t.Errorf("at %d: %q, index %d, code %q", index, plaintext, got, code)
		}
	}
	if s.FirstKnownIndex() != 250 {
		t.Errorf("the first known index moved to %d", s.FirstKnownIndex())
	}
}

func TestPlaintextsOfEveryLength(t *testing.T) {
	outbound := testkit.New("lengths").Outbound()
	s := receive(t, outbound.SessionKey())
	for length := range 50 {
		want := strings.Repeat("x", length)
		if plaintext, _, code := decrypt(t, s, outbound.Encrypt([]byte(want))); plaintext != want || code != "" {
			t.Errorf("%d bytes: %q, code %q", length, plaintext, code)
		}
	}
}

// The message's signature is a question of its own, and the ratchet is remembered only when the caller says it held.
func TestOpenAndAccept(t *testing.T) {
	kit := testkit.New("accept")
	outbound := kit.Outbound()
	s, other := receive(t, outbound.SessionKey()), receive(t, kit.Outbound().SessionKey())
	o := must(s.Open(must(megolm.ParseMessage(outbound.EncryptAt(7, []byte("hi"))))))
	if check := o.Check(); !check.Verify() {
		t.Fatal("a genuine message is not signed")
	}
	other.Accept(o)
	s.Accept(o)
	wiped := must(s.Open(must(megolm.ParseMessage(outbound.EncryptAt(0, []byte("hi"))))))
	wiped.Wipe()
	s.Accept(wiped)
	for _, index := range []uint32{0, 7, 8} {
		if _, _, code := decrypt(t, s, outbound.EncryptAt(index, []byte("hi"))); code != "" {
			t.Errorf("at %d: %s", index, code)
		}
	}
	if !bytes.Equal(wiped.Plaintext, []byte{0, 0}) {
		t.Error("a wiped opening keeps its plaintext")
	}
}

// T28: a session at the last index opens it and nothing more; nothing wraps to 0, though goolm would.
func TestT28NothingWraps(t *testing.T) {
	outbound := testkit.NewOutboundAt(testkit.New("T28").Random(), testkit.LastIndex)
	s := receive(t, outbound.SessionKey())
	theirs := must(session.NewMegolmInboundSession([]byte(outbound.SessionKey())))
	sender := session.MegolmOutboundSession{
		Ratchet:    theirs.Ratchet,
		SigningKey: crypto.Ed25519GenerateFromSeed(outbound.Private.Seed()),
	}
	last, wrapped := string(must(sender.Encrypt([]byte("the last")))), string(must(sender.Encrypt([]byte("wrapped"))))
	if plaintext, index, err := theirs.Decrypt([]byte(wrapped)); err != nil || index != 0 {
		t.Fatalf("goolm should read the wrapped message: %q, %v", plaintext, err)
	}

	before := s.AppendState(nil)
	if _, _, code := decrypt(t, s, wrapped); code != megolm.CodeUnknownMessageIndex {
		t.Errorf("wrapped message: %q", code)
	}
	unchanged(t, s, before, last)
	if _, err := s.ExportAt(0); codeOf(t, err) != megolm.CodeUnknownMessageIndex {
		t.Errorf("export past the end: %v", err)
	}
}

// T28: an index of more than 32 bits, or written in more bytes than it needs, is no index.
func TestT28VarintsAreShortAndWithin32Bits(t *testing.T) {
	outbound := testkit.New("varints").Outbound()
	s := receive(t, outbound.SessionKey())
	ciphertext := outbound.Ciphertext(0, []byte("hello"))
	rest := body(0, ciphertext)[3:]
	genuine := outbound.EncryptAt(0, []byte("hello"))
	before := s.AppendState(nil)

	for name, index := range map[string][]byte{
		"2^32":                   {0x80, 0x80, 0x80, 0x80, 0x10},
		"2^63":                   {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
		"eleven bytes":           {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01},
		"0 in two bytes":         {0x80, 0x00},
		"0 in five bytes":        {0x80, 0x80, 0x80, 0x80, 0x00},
		"never ends":             bytes.Repeat([]byte{0xff}, 9),
		"never ends, whole body": bytes.Repeat([]byte{0x80}, 60),
	} {
		raw := append(append([]byte{3, 0x08}, index...), rest...)
		if strings.HasPrefix(name, "never ends, whole") {
			raw = raw[:2+len(index)]
		}
		text := testkit.Base64(outbound.Seal(0, raw))
		if _, _, code := decrypt(t, s, text); code != megolm.CodeBadMessageEncoding {
			t.Errorf("%s: %q", name, code)
		}
		if _, err := megolm.MessageIndex(text); codeOf(t, err) != megolm.CodeBadMessageEncoding {
			t.Errorf("%s: MessageIndex says %v", name, err)
		}
		unchanged(t, s, before, genuine)
	}
}

// T28: a message of any index there is, however far ahead.
func TestT28FarAheadIsOpened(t *testing.T) {
	outbound := testkit.New("far").Outbound()
	s := receive(t, outbound.SessionKey())
	for _, index := range []uint32{1 << 31, testkit.LastIndex, testkit.LastIndex - 1, 0} {
		if _, got, code := decrypt(t, s, outbound.EncryptAt(index, []byte("hello"))); got != index || code != "" {
			t.Errorf("at %#x: index %#x, code %q", index, got, code)
		}
	}
}

// T29: the session's key "signs" with an R of low order.
func TestT29SmallOrderRIsNoSignature(t *testing.T) {
	outbound := testkit.New("T29 message").Outbound()
	s := receive(t, outbound.SessionKey())
	raw := decode(outbound.EncryptAt(0, []byte("hello")))
	signed := raw[:len(raw)-64]
	signature := smallOrderR(outbound.Private, signed)
	if !ed25519.Verify(outbound.Private.Public().(ed25519.PublicKey), signed, signature) {
		t.Fatal("the signature should satisfy the Go library")
	}
	if _, _, code := decrypt(t, s, testkit.Base64(with(raw, len(signed), signature...))); code != megolm.CodeBadMessageSignature {
		t.Errorf("code %q", code)
	}
}

// T31: every single-bit flip and every truncation, and goolm agrees about each.
func TestT31EveryFlipAndTruncationIsRefused(t *testing.T) {
	outbound := testkit.NewOutboundAt(testkit.New("T31").Random(), 3)
	s := receive(t, outbound.SessionKey())
	genuine := outbound.EncryptAt(300, []byte("a message of some length, two blocks"))
	raw := decode(genuine)
	mac, signature := len(raw)-72, len(raw)-64
	before := s.AppendState(nil)

	refused := func(what string, at int, raw []byte) string {
		t.Helper()
		text := testkit.Base64(raw)
		_, _, code := decrypt(t, s, text)
		if code == "" {
			t.Errorf("%s at %d is accepted", what, at)
		}
		goolm, err := session.NewMegolmInboundSession([]byte(outbound.SessionKeyAt(3)))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := goolm.Decrypt([]byte(text)); err == nil {
			t.Errorf("%s at %d is accepted by goolm", what, at)
		}
		unchanged(t, s, before, genuine)
		return code
	}
	for bit := range len(raw) * 8 {
		at := bit / 8
		code := refused("flip", bit, with(raw, at, raw[at]^1<<(bit%8)))
		switch {
		case at >= signature && code != megolm.CodeBadMessageSignature:
			t.Errorf("flip at %d, in the signature: %q", bit, code)
		case at >= mac && at < signature && code != megolm.CodeBadMAC:
			t.Errorf("flip at %d, in the MAC: %q", bit, code)
		}
	}
	for length := range raw {
		refused("truncation", length, raw[:length])
	}
}

// T31: right MAC and wrong signature; right signature and wrong MAC; right both and wrong padding.
func TestT31EveryCheckCountsAlone(t *testing.T) {
	kit := testkit.New("T31 parts")
	outbound, other := kit.Outbound(), kit.Outbound()
	s := receive(t, outbound.SessionKey())
	genuine := outbound.EncryptAt(0, []byte("hello"))
	raw := decode(genuine)
	sealed := func(blocks []byte) []byte {
		return outbound.Seal(0, body(0, outbound.CiphertextOfBlocks(0, blocks)))
	}
	block := []byte("0123456789abcde")
	before := s.AppendState(nil)

	for _, c := range []struct {
		name string
		raw  []byte
		code string
	}{
		{"signed by another session", other.Sign(raw[:len(raw)-64]), megolm.CodeBadMessageSignature},
		{"MAC of another session", outbound.Sign(other.Seal(0, raw[:len(raw)-72])[:len(raw)-64]), megolm.CodeBadMAC},
		{"keys of another index", outbound.Seal(0, body(1, outbound.Ciphertext(0, []byte("hello")))), megolm.CodeBadMAC},
		{"padding of 0", sealed(append(block, 0)), megolm.CodeBadPadding},
		{"padding of 17", sealed(append(block, 17)), megolm.CodeBadPadding},
		{"padding of 255", sealed(append(block, 255)), megolm.CodeBadPadding},
		{"padding of unequal bytes", sealed(append(block, 2)), megolm.CodeBadPadding},
		{"no ciphertext", outbound.Seal(0, body(0, nil)), megolm.CodeBadMessageLength},
		{"half a block", outbound.Seal(0, body(0, make([]byte, 24))), megolm.CodeBadMessageEncoding},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, code := decrypt(t, s, testkit.Base64(c.raw)); code != c.code {
				t.Errorf("code %q, expected %q", code, c.code)
			}
			unchanged(t, s, before, genuine)
		})
	}
}

// T31: protobuf has many spellings for one message. Each of these is sealed by the session itself, and read by libolm and goolm.
func TestT31OtherEncodingsAreRefused(t *testing.T) {
	outbound := testkit.New("encodings").Outbound()
	s := receive(t, outbound.SessionKey())
	ciphertext := outbound.Ciphertext(0, []byte("hello, in two blocks"))
	index, text := []byte{0x08, 0}, body(0, ciphertext)[3:]
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{{3}}, parts...), nil) }
	long := append([]byte{0x12, 0x80 | byte(len(ciphertext)), 0}, ciphertext...)

	for name, raw := range map[string][]byte{
		"ciphertext first":              join(text, index),
		"no index":                      join(text),
		"no ciphertext":                 join(index, bytes.Repeat([]byte{0x08, 0}, 12)),
		"index twice":                   join(index, index, text),
		"ciphertext twice":              join(index, text, text),
		"unknown varint before":         join([]byte{0x18, 1}, index, text),
		"unknown varint between":        join(index, []byte{0x18, 1}, text),
		"unknown string behind":         join(index, text, []byte{0x22, 1, 'x'}),
		"length with a spare byte":      join(index, long),
		"length beyond the message":     join(index, with(text, 1, 0x30)),
		"length short of the message":   join(index, with(append(text, text...), 1, 0x10)),
		"length of more than 32 bits":   join(index, append([]byte{0x12, 0x90, 0x80, 0x80, 0x80, 0x10}, ciphertext...)),
		"tag of the index in two bytes": join([]byte{0x88, 0x00, 0}, text),
	} {
		if _, _, code := decrypt(t, s, testkit.Base64(outbound.Seal(0, raw))); code != megolm.CodeBadMessageEncoding {
			t.Errorf("%s: %q", name, code)
		}
	}
}

func TestMessageVersionsAndLengths(t *testing.T) {
	outbound := testkit.New("versions").Outbound()
	s := receive(t, outbound.SessionKey())
	raw := decode(outbound.EncryptAt(0, []byte("hello")))
	for _, version := range []byte{0, 1, 2, 4, 255} {
		text := testkit.Base64(outbound.Seal(0, with(raw[:len(raw)-72], 0, version)))
		if _, _, code := decrypt(t, s, text); code != megolm.CodeBadMessageVersion {
			t.Errorf("version %d: %q", version, code)
		}
		if _, err := megolm.MessageIndex(text); codeOf(t, err) != megolm.CodeBadMessageVersion {
			t.Errorf("version %d: MessageIndex says %v", version, err)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "short": testkit.Base64(raw[:92]), "longer than an event": strings.Repeat("A", 65540),
	} {
		if _, _, code := decrypt(t, s, text); code != megolm.CodeBadMessageLength {
			t.Errorf("%s: %q", name, code)
		}
	}
	if _, err := megolm.MessageIndex("AwgA"); codeOf(t, err) != megolm.CodeBadMessageLength {
		t.Errorf("MessageIndex of a short text says %v", err)
	}
	biggest := outbound.Encrypt(make([]byte, 48_000))
	if _, _, code := decrypt(t, s, biggest); code != "" {
		t.Errorf("a message of %d symbols: %q", len(biggest), code)
	}
}

// T32: one spelling only.
func TestT32MessagesHaveOneSpelling(t *testing.T) {
	outbound := testkit.New("T32 message").Outbound()
	s := receive(t, outbound.SessionKey())
	genuine := outbound.EncryptAt(0, []byte("hello"))  // 93 bytes: no bits left over
	longer := outbound.EncryptAt(128, []byte("hello")) // 94 bytes: four bits left over
	last := strings.IndexByte(alphabet, longer[len(longer)-1])
	for name, text := range map[string]string{
		"padding":             longer + "==",
		"spare bits set":      longer[:len(longer)-1] + alphabet[last|1:][:1],
		"newline at the end":  genuine + "\n",
		"newline inside":      genuine[:50] + "\n" + genuine[50:],
		"newline at the head": genuine[:4] + "\n" + genuine[4:],
		"carriage return":     genuine[:50] + "\r\n" + genuine[50:],
		"space":               " " + genuine,
		"URL alphabet":        genuine[:50] + "-" + genuine[51:],
	} {
		if _, _, code := decrypt(t, s, text); code != megolm.CodeBadMessageBase64 {
			t.Errorf("%s: %q", name, code)
		}
	}
	if _, err := megolm.MessageIndex(genuine[:4] + "\n" + genuine[4:]); codeOf(t, err) != megolm.CodeBadMessageBase64 {
		t.Errorf("MessageIndex says %v", err)
	}
}

func TestMessageIndexIsTheIndexOfTheMessage(t *testing.T) {
	outbound := testkit.New("index").Outbound()
	for _, index := range []uint32{0, 1, 127, 128, 16384, 1 << 21, 1 << 28, testkit.LastIndex} {
		text := outbound.EncryptAt(index, []byte("hello"))
		if got, err := megolm.MessageIndex(text); got != index || err != nil {
			t.Errorf("%d, %v; expected %d", got, err, index)
		}
		if m := must(megolm.ParseMessage(text)); m.Index != index {
			t.Errorf("ParseMessage says %d, expected %d", m.Index, index)
		}
	}
}

// The longest and the shortest text that a message can be, to the symbol, and what a refusal says of lengths.
func TestMessageLengthsToTheSymbol(t *testing.T) {
	longest := testkit.Base64(append(body(128, make([]byte, 49072)), make([]byte, 72)...))
	if len(longest) != 65536 {
		t.Fatalf("%d symbols", len(longest))
	}
	if _, err := megolm.ParseMessage(longest); err != nil {
		t.Errorf("of the size of an event: %v", err)
	}
	shortest := testkit.Base64(append(body(0, make([]byte, 16)), make([]byte, 72)...))
	if _, err := megolm.ParseMessage(shortest); err != nil {
		t.Errorf("one block: %v", err)
	}
	if _, err := megolm.MessageIndex(shortest); err != nil {
		t.Errorf("the index of one block: %v", err)
	}
	for text, want := range map[string][2]int{longest + "AAAA": {49152, 49155}, shortest[:120]: {93, 90}} {
		_, err := megolm.ParseMessage(text)
		var refused *megolm.MessageError
		if !errors.As(err, &refused) || refused.Code != megolm.CodeBadMessageLength || refused.Expected != want[0] || refused.Got != want[1] {
			t.Errorf("%d symbols: %v", len(text), err)
		}
	}
	if _, err := megolm.MessageIndex(shortest[:120]); codeOf(t, err) != megolm.CodeBadMessageLength {
		t.Errorf("MessageIndex of a shorter one: %v", err)
	}
	// Another tag in the place of the ciphertext's is none, however well the rest fits.
	other := body(0, make([]byte, 16))
	other[3] = 0x1a
	if _, err := megolm.ParseMessage(testkit.Base64(append(other, make([]byte, 72)...))); codeOf(t, err) != megolm.CodeBadMessageEncoding {
		t.Errorf("another tag: %v", err)
	}
}
