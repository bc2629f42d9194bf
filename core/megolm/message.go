package megolm

import (
	"encoding/binary"
	"math"

	"knownsender/core/keys"
)

// A room message, version 3:
//
//	| 3 | 08 index | 12 length ciphertext | MAC, 8 bytes | signature, 64 bytes |
//
// index and length are varints. The MAC covers all before it, the signature all before that.
//
// The middle is protobuf, and protobuf would allow other orders, unknown fields, repeated fields and varints with spare bytes.
// libolm reads those; vodozemac encodes what it understood anew before it verifies, so for it their signature is wrong. No
// sender writes them. Only the one form is read here.
const (
	messageVersion = 3
	indexTag       = 0x08
	ciphertextTag  = 0x12

	macLength       = 8
	signatureLength = 64
	blockLength     = 16 // AES

	// minMessageLength has an index and a length of one byte each and one block of ciphertext.
	minMessageLength = 1 + 2 + 2 + blockLength + macLength + signatureLength
	// maxMessageText is the size limit of a whole event (specification, "Size limits").
	maxMessageText = 65536
)

// Message is a room message as received: well-formed, and otherwise not believed.
type Message struct {
	Index      uint32
	raw        []byte
	ciphertext []byte // inside raw
}

// ParseMessage takes the `ciphertext` of an m.room.encrypted event. The error is a *MessageError: bad_message_base64,
// bad_message_length, bad_message_version or bad_message_encoding.
func ParseMessage(text string) (*Message, error) {
	if len(text) > maxMessageText {
		return nil, &MessageError{Code: CodeBadMessageLength, Expected: maxMessageText * 3 / 4, Got: len(text) * 3 / 4}
	}
	raw, err := keys.DecodeBase64(text)
	if err != nil {
		return nil, &MessageError{Code: CodeBadMessageBase64}
	}
	if len(raw) < minMessageLength {
		return nil, &MessageError{Code: CodeBadMessageLength, Expected: minMessageLength, Got: len(raw)}
	}
	index, rest, err := parseIndex(raw[:len(raw)-macLength-signatureLength])
	if err != nil {
		return nil, err
	}
	if len(rest) == 0 || rest[0] != ciphertextTag {
		return nil, &MessageError{Code: CodeBadMessageEncoding}
	}
	length, rest, ok := parseVarint(rest[1:])
	if !ok || uint64(length) != uint64(len(rest)) || length == 0 || length%blockLength != 0 {
		return nil, &MessageError{Code: CodeBadMessageEncoding}
	}
	return &Message{Index: index, raw: raw, ciphertext: rest}, nil
}

// MessageIndex is the Index of the message text stands for, at the cost of its first twelve symbols. The errors are ParseMessage's;
// a text that MessageIndex accepts may still be refused by ParseMessage.
func MessageIndex(text string) (uint32, error) {
	// Version, tag and five bytes of index are seven bytes; nine fill their symbols to the last bit.
	const symbols, length = 12, 9
	if got := len(text) * 3 / 4; got < minMessageLength {
		return 0, &MessageError{Code: CodeBadMessageLength, Expected: minMessageLength, Got: got}
	}
	var head [length]byte
	if _, err := keys.AppendDecode(head[:0], text[:symbols]); err != nil {
		return 0, &MessageError{Code: CodeBadMessageBase64}
	}
	index, _, err := parseIndex(head[:])
	return index, err
}

// parseIndex reads version and index and returns what follows them.
func parseIndex(raw []byte) (index uint32, rest []byte, err error) {
	if raw[0] != messageVersion {
		return 0, nil, &MessageError{Code: CodeBadMessageVersion, Expected: messageVersion, Got: int(raw[0])}
	}
	index, rest, ok := parseVarint(raw[2:])
	if raw[1] != indexTag || !ok {
		return 0, nil, &MessageError{Code: CodeBadMessageEncoding}
	}
	return index, rest, nil
}

// parseVarint reads a varint of at most 32 bits in its shortest form and returns what follows it.
func parseVarint(raw []byte) (value uint32, rest []byte, ok bool) {
	long, n := binary.Uvarint(raw)
	if n <= 0 || long > math.MaxUint32 || n > 1 && raw[n-1] == 0 {
		return 0, nil, false
	}
	return uint32(long), raw[n:], true
}

func (m *Message) signed() []byte    { return m.raw[:len(m.raw)-signatureLength] }
func (m *Message) signature() []byte { return m.raw[len(m.raw)-signatureLength:] }
func (m *Message) maced() []byte     { return m.raw[:len(m.raw)-signatureLength-macLength] }
func (m *Message) mac() []byte       { return m.raw[len(m.raw)-signatureLength-macLength:][:macLength] }
