package megolm

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"math"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// MaxPlaintext is how many bytes a room message can carry, so that the event around it stays within the size limit of events.
const MaxPlaintext = 48_000

// OutboundSession is a session we send messages with. It never changes: Encrypt returns the session that comes after. Only one of two sessions
// that came after the same one may be used again, for two plaintexts under one index have the same keys. It is secret.
type OutboundSession struct {
	redact.Secret
	private ed25519.PrivateKey
	ratchet ratchet // at the index of the next message
}

// NewOutboundSession draws a session at index 0.
func NewOutboundSession() *OutboundSession {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic("internal error: no key: " + err.Error()) // the system's randomness does not fail
	}
	s := &OutboundSession{private: private}
	_, _ = rand.Read(s.ratchet.parts[:])
	return s
}

// ID is the session's id.
func (s *OutboundSession) ID() SessionID {
	return SessionID(s.private[ed25519.SeedSize:])
}

// MessageIndex is the index of the next message.
func (s *OutboundSession) MessageIndex() uint32 { return s.ratchet.index }

// SessionKey is the `session_key` of m.room_key: the ratchet at MessageIndex, signed. Whoever has it opens the next message and all that follow,
// and none before.
func (s *OutboundSession) SessionKey() string {
	raw := make([]byte, 0, shareLength)
	defer func() { clear(raw) }()
	raw = append(raw, shareVersion)
	raw = s.ratchet.append(raw)
	raw = append(raw, s.private[ed25519.SeedSize:]...)
	raw = append(raw, ed25519.Sign(s.private, raw)...)
	return string(keys.EncodeBase64(nil, raw))
}

// Encrypt makes the `ciphertext` of an m.room.encrypted event at MessageIndex. next is the session after it; it must be stored before the message
// is seen by anybody. The error is an *EncryptionError: bad_plaintext_length, or ratchet_exhausted at the last index, which has no next.
func (s *OutboundSession) Encrypt(plaintext []byte) (ciphertext string, next *OutboundSession, err error) {
	if len(plaintext) > MaxPlaintext {
		return "", nil, &EncryptionError{Code: CodeBadPlaintextLength, Expected: MaxPlaintext, Got: len(plaintext)}
	}
	if s.ratchet.index == math.MaxUint32 {
		return "", nil, &EncryptionError{Code: CodeRatchetExhausted}
	}
	k := s.ratchet.messageKeys()
	defer k.wipe()
	sealed := k.encrypt(plaintext)

	raw := make([]byte, 0, 1+6+6+len(sealed)+macLength+signatureLength)
	raw = append(raw, messageVersion, indexTag)
	raw = binary.AppendUvarint(raw, uint64(s.ratchet.index))
	raw = append(raw, ciphertextTag)
	raw = binary.AppendUvarint(raw, uint64(len(sealed)))
	raw = append(raw, sealed...)
	raw = append(raw, k.mac(raw)...)
	raw = append(raw, ed25519.Sign(s.private, raw)...)

	next = &OutboundSession{private: s.private, ratchet: s.ratchet}
	next.ratchet.advanceTo(s.ratchet.index + 1)
	return string(keys.EncodeBase64(nil, raw)), next, nil
}

// The stored form of an outbound session: the ratchet at the next index, and the Ed25519 key pair.
//
//	0       4         132            164          196
//	| index | ratchet | private seed | public key |
const outboundStateLength = 4 + ratchetLength + ed25519.PrivateKeySize

// AppendState appends the session's stored form, 196 bytes, to dst. It is secret.
func (s *OutboundSession) AppendState(dst []byte) []byte {
	return append(s.ratchet.append(dst), s.private...)
}

// ParseOutboundState reads what AppendState wrote and nothing else: that the two halves of the key belong together is checked, for a signature
// under another public key gives the private one away. The error is a *StateError, bad_session_state.
func ParseOutboundState(b []byte) (*OutboundSession, error) {
	if len(b) != outboundStateLength {
		return nil, &StateError{Code: CodeBadSessionState, Expected: outboundStateLength, Got: len(b)}
	}
	pair := b[4+ratchetLength:]
	private := ed25519.NewKeyFromSeed(pair[:ed25519.SeedSize])
	if !bytes.Equal(private[ed25519.SeedSize:], pair[ed25519.SeedSize:]) {
		return nil, &StateError{Code: CodeBadSessionState}
	}
	return &OutboundSession{private: private, ratchet: parseRatchet(b[:4+ratchetLength])}, nil
}

// encrypt is AES-256-CBC with PKCS#7: the other direction of decrypt.
func (k messageKeys) encrypt(plaintext []byte) []byte {
	block, err := aes.NewCipher(k[:32])
	if err != nil {
		panic("internal error: AES refuses 32 bytes")
	}
	padding := blockLength - len(plaintext)%blockLength
	padded := append(make([]byte, 0, len(plaintext)+padding), plaintext...)
	padded = append(padded, bytes.Repeat([]byte{byte(padding)}, padding)...)
	cipher.NewCBCEncrypter(block, k[64:]).CryptBlocks(padded, padded)
	return padded
}
