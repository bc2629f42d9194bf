package olm_test

import (
	"slices"
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// part is a protobuf field of bytes.
func part(tag byte, content []byte) []byte {
	return append(varint([]byte{tag}, uint64(len(content))), content...)
}

func varint(dst []byte, n uint64) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func key(first byte) []byte { return append([]byte{first}, make([]byte, 31)...) }

func normalMessage(ratchetKey []byte, counter, ciphertext []byte) []byte {
	return join([]byte{3}, part(0x0a, ratchetKey), counter, part(0x22, ciphertext), make([]byte, 8))
}

// T32: a message has one spelling, save for the order of the parts of a pre-key message, which differs between libolm and goolm.
func TestT32MessagesHaveOneSpelling(t *testing.T) {
	block := make([]byte, 16)
	zero := []byte{0x10, 0}
	good := normalMessage(key(9), zero, block)
	oneTime, base, identity, inner := part(0x0a, key(11)), part(0x12, key(12)), part(0x1a, key(13)), part(0x22, good)
	three := []byte{3}
	for _, story := range []struct {
		name string
		kind int
		raw  []byte
		code string
	}{
		{"normal", 1, good, ""},
		{"normal, largest counter", 1, normalMessage(key(9), varint([]byte{0x10}, 1<<32-1), block), ""},
		{"pre-key, order of libolm and vodozemac", 0, join(three, oneTime, base, identity, inner), ""},
		{"pre-key, order of goolm", 0, join(three, oneTime, identity, base, inner), ""},

		{"kind 2", 2, good, olm.CodeBadOlmMessage},
		{"kind -1", -1, good, olm.CodeBadOlmMessage},
		{"normal as pre-key", 0, good, olm.CodeBadOlmMessage},
		{"pre-key as normal", 1, join(three, oneTime, base, identity, inner), olm.CodeBadOlmMessage},
		{"empty", 1, nil, olm.CodeBadOlmMessage},
		{"empty pre-key", 0, nil, olm.CodeBadOlmMessage},
		{"version alone", 1, three, olm.CodeBadOlmMessage},
		{"version and MAC", 1, append(three, block[:8]...), olm.CodeBadOlmMessage},
		{"version 2", 1, append([]byte{2}, good[1:]...), olm.CodeBadOlmMessage},
		{"version 4", 1, append([]byte{4}, good[1:]...), olm.CodeBadOlmMessage},
		{"version 2 outside", 0, join([]byte{2}, oneTime, base, identity, inner), olm.CodeBadOlmMessage},
		{"version 2 inside", 0, join(three, oneTime, base, identity, part(0x22, append([]byte{2}, good[1:]...))), olm.CodeBadOlmMessage},
		{"no ratchet key", 1, join(three, zero, part(0x22, block), block[:8]), olm.CodeBadOlmMessage},
		{"no counter", 1, normalMessage(key(9), nil, block), olm.CodeBadOlmMessage},
		{"no ciphertext", 1, join(three, part(0x0a, key(9)), zero, block[:8]), olm.CodeBadOlmMessage},
		{"empty ciphertext", 1, normalMessage(key(9), zero, nil), olm.CodeBadOlmMessage},
		{"half a block", 1, normalMessage(key(9), zero, block[:8]), olm.CodeBadOlmMessage},
		{"ratchet key of 31 bytes", 1, normalMessage(key(9)[:31], zero, block), olm.CodeBadOlmMessage},
		{"ratchet key of 33 bytes", 1, normalMessage(append(key(9), 0), zero, block), olm.CodeBadOlmMessage},
		{"counter of two bytes for one", 1, normalMessage(key(9), []byte{0x10, 0x80, 0}, block), olm.CodeBadOlmMessage},
		{"counter beyond 32 bits", 1, normalMessage(key(9), varint([]byte{0x10}, 1<<32), block), olm.CodeBadOlmMessage},
		{"counter of 64 bits", 1, normalMessage(key(9), varint([]byte{0x10}, 1<<63), block), olm.CodeBadOlmMessage},
		{"counter twice", 1, normalMessage(key(9), []byte{0x10, 0, 0x10, 0}, block), olm.CodeBadOlmMessage},
		{"counter first", 1, join(three, zero, part(0x0a, key(9)), part(0x22, block), block[:8]), olm.CodeBadOlmMessage},
		{"something unknown", 1, normalMessage(key(9), join(zero, part(0x2a, nil)), block), olm.CodeBadOlmMessage},
		{"something after", 1, join(good[:len(good)-8], []byte{0}, block[:8]), olm.CodeBadOlmMessage},
		{"no one-time key", 0, join(three, base, identity, inner), olm.CodeBadOlmMessage},
		{"no base key", 0, join(three, oneTime, identity, inner), olm.CodeBadOlmMessage},
		{"no identity key", 0, join(three, oneTime, base, inner), olm.CodeBadOlmMessage},
		{"no message", 0, join(three, oneTime, base, identity), olm.CodeBadOlmMessage},
		{"base key twice", 0, join(three, oneTime, base, base, identity, inner), olm.CodeBadOlmMessage},
		{"message twice", 0, join(three, oneTime, base, identity, inner, inner), olm.CodeBadOlmMessage},
		{"a fifth part", 0, join(three, oneTime, base, identity, inner, part(0x2a, nil)), olm.CodeBadOlmMessage},
		{"a number among the parts", 0, join(three, oneTime, base, identity, []byte{0x08, 0}, inner), olm.CodeBadOlmMessage},
		{"a part of no number", 0, join(three, oneTime, base, identity, part(0x02, nil), inner), olm.CodeBadOlmMessage},
		{"a part longer than the rest", 0, join(three, oneTime, base, identity, []byte{0x22, 0x7f}), olm.CodeBadOlmMessage},
		{"a part of 2^32-1 bytes", 0, join(three, oneTime, base, identity, varint([]byte{0x22}, 1<<32-1)), olm.CodeBadOlmMessage},
		{"base key of 31 bytes", 0, join(three, oneTime, part(0x12, key(12)[:31]), identity, inner), olm.CodeBadOlmMessage},
	} {
		m, err := olm.ParseMessage(story.kind, string(keys.EncodeBase64(nil, story.raw)))
		if codeOf(err) != story.code {
			t.Errorf("%s: %v", story.name, err)
		}
		if err == nil && (int(m.Kind()) != story.kind || (m.SessionID() != "") != (story.kind == 0)) {
			t.Errorf("%s: kind %d, session %q", story.name, m.Kind(), m.SessionID())
		}
	}
}

func TestT32MessagesAreCanonicalBase64(t *testing.T) {
	text := string(keys.EncodeBase64(nil, normalMessage(key(9), []byte{0x10, 0}, make([]byte, 32)))) // 79 bytes: one over
	for name, bad := range map[string]string{
		"padding": text + "=", "newline": text + "\n", "space": " " + text, "URL alphabet": strings.Replace(text, "A", "-", 1),
		"too long": strings.Repeat("A", 65537), "spare bits": text[:len(text)-1] + "B",
	} {
		if _, err := olm.ParseMessage(1, bad); codeOf(err) != olm.CodeBadOlmMessage {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// T30: keys of low order, and second spellings, are refused wherever a message names a key.
func TestT30KeysInMessages(t *testing.T) {
	zero, block := []byte{0x10, 0}, make([]byte, 16)
	for name, bad := range badKeys {
		good := part(0x22, normalMessage(key(9), zero, block))
		for where, raw := range map[string][]byte{
			"one-time key": join([]byte{3}, part(0x0a, bad[:]), part(0x12, key(12)), part(0x1a, key(13)), good),
			"base key":     join([]byte{3}, part(0x0a, key(11)), part(0x12, bad[:]), part(0x1a, key(13)), good),
			"identity key": join([]byte{3}, part(0x0a, key(11)), part(0x12, key(12)), part(0x1a, bad[:]), good),
			"ratchet key":  join([]byte{3}, part(0x0a, key(11)), part(0x12, key(12)), part(0x1a, key(13)), part(0x22, normalMessage(bad[:], zero, block))),
		} {
			if _, err := olm.ParseMessage(0, string(keys.EncodeBase64(nil, raw))); codeOf(err) != olm.CodeBadMessageKey {
				t.Errorf("%s as %s: %v", name, where, err)
			}
		}
		if _, err := olm.ParseMessage(1, string(keys.EncodeBase64(nil, normalMessage(bad[:], zero, block)))); codeOf(err) != olm.CodeBadMessageKey {
			t.Errorf("%s as ratchet key of a normal message: %v", name, err)
		}
	}
}
