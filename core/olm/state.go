package olm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"maunium.net/go/mautrix/crypto/goolm/crypto"

	"knownsender/core/keys"
)

// The stored forms. Those of an account and of a session are libolm's, versions 4 and 1, without the encryption libolm puts around them: its keys
// are as secret as the password they come from, and whoever stores a state seals it. All are secret. Numbers are big-endian; a pair is the public
// half and then the private one.
//
//	account   | 4 | Ed25519 pair, 96 | Curve25519 pair, 64 | count, 4 | one-time keys | count, 1 | fallback keys | next id, 4 |
//	  a key   | id, 4 | published, 1 | Curve25519 pair, 64 |
//	session   | 1 | received, 1 | identity, base and one-time key, 96 | root key, 32 | sender chains | receiver chains | skipped keys |
//	  each    | count, 4 | …, and of each  | Curve25519 pair or ratchet key | chain or message key, 32 | index, 4 |
//	channels  | sender key, 32 | count, 1 | and of each session | length, 4 | session | and if sessions went | count, 1 | beginnings, 32 each |
//
// Reading is strict: lengths are computed from the counts before anything is read, and what was read would be written back byte for byte.
const (
	pairLength          = 64
	accountHeadLength   = 4 + 96 + pairLength + 4
	oneTimeKeyLength    = 4 + 1 + pairLength
	sessionHeadLength   = 4 + 1 + 3*32 + 32
	senderChainLength   = pairLength + 32 + 4
	receiverChainLength = 32 + 32 + 4
	skippedKeyLength    = 32 + 32 + 4
)

// AppendState appends the account's stored form to dst.
func (a *Account) AppendState(dst []byte) []byte {
	state := a.inner.PickleLibOlm()
	defer clear(state)
	return append(dst, state...)
}

// ParseAccountState reads what Account.AppendState wrote and nothing else. That the private halves of the identity keys belong to their public
// halves is checked; of one-time keys, of which there are many, the public half is. b may be overwritten afterwards. The error is an *Error,
// olm_state_damaged.
func ParseAccountState(b []byte) (*Account, error) {
	a := &Account{}
	// goolm keeps slices of what it is given.
	if !accountLengthsFit(b) || a.inner.UnpickleLibOlm(bytes.Clone(b)) != nil || !a.sound() || !writes(a.AppendState, b) {
		return nil, &Error{Code: CodeOlmStateDamaged}
	}
	return a, nil
}

// accountLengthsFit reports whether the counts in a state are allowed and b ends where they say.
func accountLengthsFit(b []byte) bool {
	if len(b) < accountHeadLength {
		return false
	}
	count := binary.BigEndian.Uint32(b[accountHeadLength-4:])
	rest := b[accountHeadLength:]
	if count > uint32(MaxOneTimeKeys) || len(rest) < int(count)*oneTimeKeyLength+1 {
		return false
	}
	rest = rest[int(count)*oneTimeKeyLength:]
	return rest[0] <= 2 && len(rest) == 1+int(rest[0])*oneTimeKeyLength+4
}

func (a *Account) sound() bool {
	ed, curve := &a.inner.IdKeys.Ed25519, &a.inner.IdKeys.Curve25519
	if len(ed.PrivateKey) == 0 || len(ed.PublicKey) == 0 || !bytes.Equal(ed.PrivateKey.PubKey(), ed.PublicKey) {
		return false
	}
	if _, err := keys.NewEd25519([32]byte(ed.PublicKey)); err != nil || !soundPair(curve) {
		return false
	}
	if public, err := curve.PrivateKey.PubKey(); err != nil || !public.Equal(curve.PublicKey) {
		return false
	}
	for i := range a.inner.OTKeys {
		if !soundPair(&a.inner.OTKeys[i].Key) {
			return false
		}
	}
	return (a.inner.NumFallbackKeys < 1 || soundPair(&a.inner.CurrentFallbackKey.Key)) &&
		(a.inner.NumFallbackKeys < 2 || soundPair(&a.inner.PrevFallbackKey.Key))
}

// AppendState appends the session's stored form to dst.
func (s *Session) AppendState(dst []byte) []byte {
	state := s.inner.PickleLibOlm()
	defer clear(state)
	return append(dst, state...)
}

// ParseSessionState reads what Session.AppendState wrote and nothing else. b may be overwritten afterwards. The error is an *Error,
// olm_state_damaged.
func ParseSessionState(b []byte) (*Session, error) {
	s := &Session{}
	if !sessionLengthsFit(b) || s.inner.UnpickleLibOlm(bytes.Clone(b)) != nil || !s.sound() || !writes(s.AppendState, b) {
		return nil, &Error{Code: CodeOlmStateDamaged}
	}
	return s, nil
}

// sessionLengthsFit reports whether the counts in a state are allowed and b ends where they say.
func sessionLengthsFit(b []byte) bool {
	if len(b) < sessionHeadLength {
		return false
	}
	rest := b[sessionHeadLength:]
	var counts [3]int
	for i, list := range [3]struct{ most, length int }{{1, senderChainLength}, {MaxReceiverChains, receiverChainLength}, {MaxSkippedKeys, skippedKeyLength}} {
		if len(rest) < 4 {
			return false
		}
		count := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(count) > uint64(list.most) || len(rest) < int(count)*list.length {
			return false
		}
		counts[i] = int(count)
		rest = rest[int(count)*list.length:]
	}
	// Without a chain of either kind there is nobody to answer: goolm would panic.
	return len(rest) == 0 && counts[0]+counts[1] > 0
}

func (s *Session) sound() bool {
	r := &s.inner.Ratchet
	if !soundKey(s.inner.AliceIdentityKey) || !soundKey(s.inner.AliceBaseKey) || !soundKey(s.inner.BobOneTimeKey) || len(r.RootKey) == 0 {
		return false
	}
	if r.SenderChains.IsSet && (!soundPair(&r.SenderChains.RKey) || len(r.SenderChains.CKey.Key) == 0) {
		return false
	}
	for i := range r.ReceiverChains {
		if !soundKey(r.ReceiverChains[i].RKey) || len(r.ReceiverChains[i].CKey.Key) == 0 {
			return false
		}
	}
	for i := range r.SkippedMessageKeys {
		if !soundKey(r.SkippedMessageKeys[i].RKey) {
			return false
		}
	}
	return true
}

// AppendState appends the channels' stored form to dst.
func (c Channels) AppendState(dst []byte) []byte {
	dst = append(dst, c.senderKey[:]...)
	dst = append(dst, byte(len(c.sessions)))
	for _, s := range c.sessions {
		start := len(dst)
		dst = s.AppendState(append(dst, 0, 0, 0, 0))
		binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	}
	if len(c.gone) > 0 {
		dst = append(dst, byte(len(c.gone)))
	}
	for i := range c.gone {
		dst = append(dst, c.gone[i][:]...)
	}
	return dst
}

// ParseChannelsState reads what Channels.AppendState wrote and nothing else. b may be overwritten afterwards. The error is an *Error,
// olm_state_damaged.
func ParseChannelsState(b []byte) (Channels, error) {
	damaged := &Error{Code: CodeOlmStateDamaged}
	if len(b) < 33 || b[32] > MaxChannels {
		return Channels{}, damaged
	}
	senderKey, err := keys.NewCurve25519([32]byte(b[:32]))
	if err != nil {
		return Channels{}, damaged
	}
	c := NewChannels(senderKey)
	rest := b[33:]
	for range b[32] {
		if len(rest) < 4 || uint64(binary.BigEndian.Uint32(rest)) > uint64(len(rest)-4) {
			return Channels{}, damaged
		}
		end := 4 + int(binary.BigEndian.Uint32(rest))
		s, err := ParseSessionState(rest[4:end])
		if err != nil {
			return Channels{}, err
		}
		// An older copy of a session would open again what the newer one has opened.
		if slices.ContainsFunc(c.sessions, func(other *Session) bool { return other.ID() == s.ID() }) {
			return Channels{}, damaged
		}
		c.sessions = append(c.sessions, s)
		rest = rest[end:]
	}
	if len(rest) == 0 {
		return c, nil
	}
	if rest[0] == 0 || rest[0] > maxGone || len(rest) != 1+int(rest[0])*sha256.Size {
		return Channels{}, damaged
	}
	for beginning := range slices.Chunk(rest[1:], sha256.Size) {
		c.gone = append(c.gone, [sha256.Size]byte(beginning))
	}
	return c, nil
}

// soundPair reports whether a pair that goolm read has both halves, the public one strict. goolm reads zeros as nothing.
func soundPair(pair *crypto.Curve25519KeyPair) bool {
	return len(pair.PrivateKey) != 0 && soundKey(pair.PublicKey)
}

func soundKey(key crypto.Curve25519PublicKey) bool {
	if len(key) == 0 {
		return false
	}
	_, err := keys.NewCurve25519([32]byte(key))
	return err == nil
}

// writes reports whether what appendState writes is b.
func writes(appendState func([]byte) []byte, b []byte) bool {
	state := appendState(nil)
	defer clear(state)
	return bytes.Equal(state, b)
}
