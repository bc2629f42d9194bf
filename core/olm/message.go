package olm

import (
	"math"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// An Olm message, version 3, and the pre-key message it travels in until the other side has answered:
//
//	| 3 | 0a 20 ratchet key | 10 counter | 22 length ciphertext | MAC, 8 bytes |
//	| 3 | 0a 20 one-time key | 12 20 base key | 1a 20 identity key | 22 length message |
//
// counter and lengths are varints. Both are protobuf, which would allow unknown fields, repeated fields and varints with spare bytes, and no
// sender writes those. Only the one form is read here, save that the four parts of a pre-key message may come in any order: libolm and vodozemac
// write the base key first, goolm the identity key. The MAC covers the message before it; of a pre-key message's own parts nothing is covered, but
// the three keys make the keys of the MAC.
const (
	messageVersion = 3

	ratchetKeyTag = 0x0a
	counterTag    = 0x10
	ciphertextTag = 0x22

	oneTimeKeyTag  = 0x0a
	baseKeyTag     = 0x12
	identityKeyTag = 0x1a
	messageTag     = 0x22

	macLength   = 8
	blockLength = 16 // AES

	// maxMessageText is the size limit of a whole event (specification, "Size limits").
	maxMessageText = 65536
)

// Kind is the `type` of an Olm message in m.room.encrypted.
type Kind int

const (
	PreKey Kind = 0 // can begin a session, and goes on coming until the sender has heard from us
	Normal Kind = 1 // belongs to a session both sides have
)

// Message is an Olm message as received: well-formed, and otherwise not believed. It never changes.
type Message struct {
	redact.Secret
	kind       Kind
	inner      []byte // the message without what a pre-key message wraps around it
	ratchetKey keys.Curve25519
	counter    uint32

	// Of a pre-key message only.
	identityKey, baseKey, oneTimeKey keys.Curve25519

	secrets [][]byte // see Agreed
}

// ParseMessage takes `type` and `body` of an m.room.encrypted with algorithm m.olm.v1.curve25519-aes-sha2. The error is an *Error:
// bad_olm_message or bad_message_key.
func ParseMessage(kind int, body string) (Message, error) {
	m := Message{kind: Kind(kind)}
	if m.kind != PreKey && m.kind != Normal || len(body) > maxMessageText {
		return Message{}, &Error{Code: CodeBadOlmMessage}
	}
	raw, err := keys.DecodeBase64(body)
	if err != nil {
		return Message{}, &Error{Code: CodeBadOlmMessage}
	}
	m.inner = raw
	if m.kind == PreKey && !m.parsePreKey(raw) || !m.parseInner() {
		return Message{}, &Error{Code: CodeBadOlmMessage}
	}
	for _, key := range m.keys() {
		// T30. What they agree on with a key of low order is known to everybody, whatever our own half is.
		if _, err := keys.NewCurve25519(*key); err != nil {
			return Message{}, &Error{Code: CodeBadMessageKey}
		}
	}
	return m, nil
}

// Kind is the message's type.
func (m Message) Kind() Kind { return m.kind }

// SessionID is the id of the session that a pre-key message begins or began; empty for a normal message, which names none.
func (m Message) SessionID() SessionID {
	if m.kind != PreKey {
		return ""
	}
	return sessionID(m.identityKey[:], m.baseKey[:], m.oneTimeKey[:])
}

func (m *Message) keys() []*keys.Curve25519 {
	if m.kind == PreKey {
		return []*keys.Curve25519{&m.ratchetKey, &m.identityKey, &m.baseKey, &m.oneTimeKey}
	}
	return []*keys.Curve25519{&m.ratchetKey}
}

// parsePreKey reads the four parts of a pre-key message, each once and nothing else.
func (m *Message) parsePreKey(raw []byte) bool {
	if len(raw) == 0 || raw[0] != messageVersion {
		return false
	}
	var seen [4]bool
	for rest := raw[1:]; len(rest) > 0; {
		tag := rest[0]
		part, after, ok := parsePart(rest[1:])
		if !ok || tag&7 != 2 || tag < oneTimeKeyTag || tag > messageTag || seen[tag>>3-1] {
			return false
		}
		seen[tag>>3-1] = true
		rest = after
		var key *keys.Curve25519
		switch tag {
		case oneTimeKeyTag:
			key = &m.oneTimeKey
		case baseKeyTag:
			key = &m.baseKey
		case identityKeyTag:
			key = &m.identityKey
		case messageTag:
			m.inner = part
			continue
		}
		if len(part) != len(key) {
			return false
		}
		copy(key[:], part)
	}
	return seen == [4]bool{true, true, true, true}
}

// parseInner reads the message proper.
func (m *Message) parseInner() bool {
	if len(m.inner) < 1+macLength || m.inner[0] != messageVersion {
		return false
	}
	rest := m.inner[1 : len(m.inner)-macLength]
	if len(rest) == 0 || rest[0] != ratchetKeyTag {
		return false
	}
	ratchetKey, rest, ok := parsePart(rest[1:])
	if !ok || len(ratchetKey) != len(m.ratchetKey) || len(rest) == 0 || rest[0] != counterTag {
		return false
	}
	copy(m.ratchetKey[:], ratchetKey)
	if m.counter, rest, ok = parseVarint(rest[1:]); !ok || len(rest) == 0 || rest[0] != ciphertextTag {
		return false
	}
	ciphertext, rest, ok := parsePart(rest[1:])
	return ok && len(rest) == 0 && len(ciphertext) > 0 && len(ciphertext)%blockLength == 0
}

// parsePart reads a length and as many bytes.
func parsePart(b []byte) (part, rest []byte, ok bool) {
	length, rest, ok := parseVarint(b)
	if !ok || uint64(length) > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:length], rest[length:], true
}

// parseVarint reads a number below 2^32 in as few bytes as it needs.
func parseVarint(b []byte) (number uint32, rest []byte, ok bool) {
	var value uint64
	for i, c := range b {
		if i == 5 {
			break
		}
		value |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return uint32(value), b[i+1:], value <= math.MaxUint32 && (c != 0 || i == 0)
		}
	}
	return 0, nil, false
}
