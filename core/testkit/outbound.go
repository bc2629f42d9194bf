package testkit

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
)

// LastIndex is the last message index a session has.
const LastIndex = 1<<32 - 1

// Outbound is the sending side of a Megolm session. It remembers its first ratchet, so it can also share, export and
// encrypt at any index from there on.
type Outbound struct {
	Private ed25519.PrivateKey
	first   ratchet
	next    uint64 // index of the next message; LastIndex+1 when the session is used up
}

// Outbound makes a session at index 0 from the kit's randomness.
func (k *Kit) Outbound() *Outbound { return NewOutbound(k.random) }

// NewOutbound makes a session at index 0.
func NewOutbound(random io.Reader) *Outbound { return NewOutboundAt(random, 0) }

// NewOutboundAt makes a session whose first ratchet is at index.
func NewOutboundAt(random io.Reader, index uint32) *Outbound {
	seed := make([]byte, ed25519.SeedSize)
	s := &Outbound{first: ratchet{index: index}, next: uint64(index)}
	mustRead(random, seed)
	for i := range s.first.parts {
		mustRead(random, s.first.parts[i][:])
	}
	s.Private = ed25519.NewKeyFromSeed(seed)
	return s
}

func mustRead(random io.Reader, into []byte) {
	if _, err := io.ReadFull(random, into); err != nil {
		panic(err)
	}
}

// ID is the session id: the public signing key.
func (s *Outbound) ID() string { return Base64(s.Private.Public().(ed25519.PublicKey)) }

// Index is the index of the next message.
func (s *Outbound) Index() uint32 { return uint32(s.next) }

// SkipTo moves on to index without encrypting anything.
func (s *Outbound) SkipTo(index uint32) { s.next = uint64(index) }

// SessionKey is the signed session key (version 2) at the current index, as it stands in m.room_key.
func (s *Outbound) SessionKey() string { return s.SessionKeyAt(s.Index()) }

// SessionKeyAt is the signed session key (version 2) at index, which must not lie before the session's first.
func (s *Outbound) SessionKeyAt(index uint32) string {
	key := s.encodeKey(2, index)
	return Base64(append(key, ed25519.Sign(s.Private, key)...))
}

// ExportedAt is the exported session key (version 1, unsigned) at index, as it stands in exports and backups.
func (s *Outbound) ExportedAt(index uint32) string { return Base64(s.encodeKey(1, index)) }

func (s *Outbound) encodeKey(version byte, index uint32) []byte {
	r := s.first.at(index)
	out := binary.BigEndian.AppendUint32([]byte{version}, index)
	out = append(out, r.bytes()...)
	return append(out, s.Private.Public().(ed25519.PublicKey)...)
}

// Encrypt encrypts plaintext at the current index and moves on. It panics when the session is used up.
func (s *Outbound) Encrypt(plaintext []byte) string {
	if s.next > LastIndex {
		panic("testkit: the session has no index left")
	}
	message := s.EncryptAt(s.Index(), plaintext)
	s.next++
	return message
}

// EncryptAt encrypts plaintext at index, however often, and does not move.
func (s *Outbound) EncryptAt(index uint32, plaintext []byte) string {
	message := []byte{3, 0x08}
	message = binary.AppendUvarint(message, uint64(index))
	ciphertext := s.Ciphertext(index, plaintext)
	message = append(message, 0x12)
	message = binary.AppendUvarint(message, uint64(len(ciphertext)))
	return Base64(s.Seal(index, append(message, ciphertext...)))
}

// Ciphertext is the AES-CBC ciphertext of plaintext, padded, under the keys of index.
func (s *Outbound) Ciphertext(index uint32, plaintext []byte) []byte {
	padding := aes.BlockSize - len(plaintext)%aes.BlockSize
	padded := append([]byte{}, plaintext...)
	for range padding {
		padded = append(padded, byte(padding))
	}
	return s.CiphertextOfBlocks(index, padded)
}

// CiphertextOfBlocks encrypts whole blocks as they are, for messages with wrong padding.
func (s *Outbound) CiphertextOfBlocks(index uint32, blocks []byte) []byte {
	aesKey, _, iv := s.first.at(index).keys()
	block, err := aes.NewCipher(aesKey)
	if err != nil {
		panic(err)
	}
	out := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(out, blocks)
	return out
}

// Seal appends the MAC under the keys of index, and the session's signature, to any message body.
func (s *Outbound) Seal(index uint32, body []byte) []byte {
	_, macKey, _ := s.first.at(index).keys()
	return s.Sign(slices.Concat(body, hmacOf(macKey, body)[:8]))
}

// Sign appends the session's signature to body, which should end in a MAC.
func (s *Outbound) Sign(body []byte) []byte {
	return slices.Concat(body, ed25519.Sign(s.Private, body))
}

// ratchet is the Megolm ratchet, moved from boundary to boundary: the state at a multiple of 2^24 depends on part 0
// alone, at a multiple of 2^16 on part 1 alone, and so on.
type ratchet struct {
	index uint32
	parts [4][32]byte
}

func (r ratchet) at(target uint32) ratchet {
	if target < r.index {
		panic("testkit: the session starts later than that")
	}
	for part, shift := range []uint{24, 16, 8, 0} {
		for {
			boundary := (uint64(r.index)>>shift + 1) << shift
			if boundary > uint64(target) {
				break
			}
			source := r.parts[part]
			for i := part; i < len(r.parts); i++ {
				copy(r.parts[i][:], hmacOf(source[:], []byte{byte(i)}))
			}
			r.index = uint32(boundary)
		}
	}
	return r
}

func (r ratchet) bytes() []byte {
	var out []byte
	for _, part := range r.parts {
		out = append(out, part[:]...)
	}
	return out
}

func (r ratchet) keys() (aesKey, macKey, iv []byte) {
	derived, err := hkdf.Key(sha256.New, r.bytes(), nil, "MEGOLM_KEYS", 80)
	if err != nil {
		panic(err)
	}
	return derived[:32], derived[32:64], derived[64:]
}

func hmacOf(key, message []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(message)
	return h.Sum(nil)
}
