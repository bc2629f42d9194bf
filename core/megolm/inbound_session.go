package megolm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// InboundSession is a session we can open messages of, from its first known index on. It is secret.
type InboundSession struct {
	redact.Secret
	id     SessionID
	signed bool
	first  ratchet
	latest ratchet // somewhere at or after first: where the last accepted message was
}

func newInboundSession(id SessionID, first ratchet, signed bool) *InboundSession {
	return &InboundSession{id: id, signed: signed, first: first, latest: first}
}

// ID is the session's id.
func (s *InboundSession) ID() SessionID { return s.id }

// FirstKnownIndex is the first index the session opens.
func (s *InboundSession) FirstKnownIndex() uint32 { return s.first.index }

// Signed reports whether the ratchet, or one it leads to, came signed by the session's own key.
func (s *InboundSession) Signed() bool { return s.signed }

// Wipe overwrites the ratchets: best effort, for Go may have copied them.
func (s *InboundSession) Wipe() {
	s.first.wipe()
	s.latest.wipe()
}

// at is the ratchet at index, unless that lies before the first known one. The session does not move.
func (s *InboundSession) at(index uint32) (r ratchet, known bool) {
	switch {
	case index < s.first.index:
		return ratchet{}, false
	case index < s.latest.index:
		r = s.first
	default:
		r = s.latest
	}
	r.advanceTo(index)
	return r, true
}

// Opening is a message opened: its MAC was right. Whether the session's key signed it is still open, and until Check has been
// answered with yes nobody may see Plaintext: everyone in the room can make a MAC.
type Opening struct {
	redact.Secret
	Index     uint32
	Plaintext []byte
	check     keys.Check
	session   *InboundSession
	ratchet   ratchet
}

// Open opens m without changing s. The error is a *DecryptionError: unknown_message_index, bad_mac or bad_padding.
func (s *InboundSession) Open(m *Message) (*Opening, error) {
	r, known := s.at(m.Index)
	if !known {
		return nil, &DecryptionError{Code: CodeUnknownMessageIndex, Expected: s.first.index, Got: m.Index}
	}
	o := &Opening{
		Index:   m.Index,
		check:   keys.Check{Key: keys.Ed25519(s.id), Signature: keys.Signature(m.signature()), Message: m.signed()},
		session: s,
		ratchet: r,
	}
	k := r.messageKeys()
	r.wipe()
	defer k.wipe()
	if !k.authenticates(m) {
		o.Wipe()
		return nil, &DecryptionError{Code: CodeBadMAC}
	}
	// Padding is looked at behind the MAC: only someone who has the ratchet learns anything from this answer.
	var ok bool
	if o.Plaintext, ok = k.decrypt(m.ciphertext); !ok {
		o.Wipe()
		return nil, &DecryptionError{Code: CodeBadPadding}
	}
	return o, nil
}

// Check is the question whether the session signed the message.
func (o *Opening) Check() keys.Check { return o.check }

// Wipe overwrites the ratchet and the plaintext. A wiped opening can no longer be accepted.
func (o *Opening) Wipe() {
	o.session = nil
	o.ratchet.wipe()
	clear(o.Plaintext)
}

// Accept remembers the ratchet of an opening whose signature held, so that the next message costs one step. It is never needed,
// and does nothing for an opening of another session or one that was wiped.
func (s *InboundSession) Accept(o *Opening) {
	if o.session == s {
		s.latest = o.ratchet
	}
}

// Decrypt is Open, Check and Accept in one. The error is a *DecryptionError: those of Open, or bad_message_signature.
func (s *InboundSession) Decrypt(m *Message) (*Opening, error) {
	o, err := s.Open(m)
	if err != nil {
		return nil, err
	}
	if !o.check.Verify() {
		o.Wipe()
		return nil, &DecryptionError{Code: CodeBadMessageSignature}
	}
	s.Accept(o)
	return o, nil
}

// messageKeys are the keys of one message: 32 bytes for AES, 32 for the MAC and 16 of initialisation vector.
type messageKeys []byte

func (r *ratchet) messageKeys() messageKeys {
	derived, err := hkdf.Key(sha256.New, r.parts[:], nil, "MEGOLM_KEYS", 80)
	if err != nil {
		panic("internal error: HKDF refuses 80 bytes")
	}
	return derived
}

func (k messageKeys) authenticates(m *Message) bool {
	return hmac.Equal(k.mac(m.maced()), m.mac())
}

// mac is the MAC over what stands before it in a message.
func (k messageKeys) mac(before []byte) []byte {
	mac := hmac.New(sha256.New, k[32:64])
	mac.Write(before)
	return mac.Sum(nil)[:macLength]
}

// decrypt undoes AES-256-CBC and PKCS#7. The ciphertext has whole blocks, and at least one.
func (k messageKeys) decrypt(ciphertext []byte) (plaintext []byte, ok bool) {
	block, err := aes.NewCipher(k[:32])
	if err != nil {
		panic("internal error: AES refuses 32 bytes")
	}
	padded := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, k[64:]).CryptBlocks(padded, ciphertext)

	padding := int(padded[len(padded)-1])
	if padding < 1 || padding > blockLength {
		return nil, false
	}
	plaintext = padded[:len(padded)-padding]
	for _, b := range padded[len(plaintext):] {
		if int(b) != padding {
			return nil, false
		}
	}
	return plaintext, true
}

func (k messageKeys) wipe() { clear(k) }

// Format keeps them out of texts.
func (messageKeys) Format(f fmt.State, verb rune) { redact.Secret{}.Format(f, verb) }
