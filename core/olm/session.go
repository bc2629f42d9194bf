package olm

import (
	"crypto/sha256"
	"errors"
	"slices"

	"maunium.net/go/mautrix/crypto/goolm/session"
	goolm "maunium.net/go/mautrix/crypto/olm"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

const (
	// MaxMessageGap is how many messages may be missing before one that is opened.
	MaxMessageGap = 2000
	// MaxSkippedKeys is how many keys of missing messages a session keeps. A message that comes after more than these is lost.
	MaxSkippedKeys = 40
	// MaxReceiverChains is how many of the other side's latest ratchet keys a session keeps.
	MaxReceiverChains = 5
	// MaxPlaintext is how many bytes a message can carry, so that it fits into an event.
	MaxPlaintext = 48_000
)

// SessionID names a session, the same on both sides: unpadded base64 of the SHA-256 over the three public keys that began it.
type SessionID string

// Session is one Olm session: a double ratchet between two devices. It never changes: Decrypt and Encrypt return the session that comes after.
// Only one of two sessions that came after the same one may be used again.
type Session struct {
	redact.Secret
	inner session.OlmSession
}

// ID names the session.
func (s *Session) ID() SessionID {
	return sessionID(s.inner.AliceIdentityKey, s.inner.AliceBaseKey, s.inner.BobOneTimeKey)
}

func sessionID(identity, base, oneTime []byte) SessionID {
	digest := beginning(identity, base, oneTime)
	return SessionID(keys.EncodeBase64(nil, digest[:]))
}

// beginning tells sessions apart, by the keys that they began with.
func beginning(identity, base, oneTime []byte) [sha256.Size]byte {
	return sha256.Sum256(slices.Concat(identity, base, oneTime))
}

// HasReceivedMessage reports whether the other side has shown that it has the session. Until then Encrypt makes pre-key messages.
func (s *Session) HasReceivedMessage() bool { return s.inner.ReceivedMessage }

// MatchesInbound reports whether m is a pre-key message that began this session.
func (s *Session) MatchesInbound(m Message) bool {
	return m.kind == PreKey && keys.Curve25519(s.inner.AliceIdentityKey) == m.identityKey &&
		keys.Curve25519(s.inner.AliceBaseKey) == m.baseKey && keys.Curve25519(s.inner.BobOneTimeKey) == m.oneTimeKey
}

// knows reports whether m belongs to a chain this session receives on: no other session opens it.
func (s *Session) knows(m *Message) bool {
	for i := range s.inner.Ratchet.ReceiverChains {
		if s.inner.Ratchet.ReceiverChains[i].RKey.Equal(m.ratchetKey[:]) {
			return true
		}
	}
	return false
}

// Decrypt opens m. next is the session after it, and s stays as it was. The error is an *Error: bad_olm_mac, bad_olm_padding,
// olm_message_replayed or olm_message_gap.
func (s *Session) Decrypt(m Message) (plaintext []byte, next *Session, err error) {
	next = s.clone()
	plaintext, err = next.inner.Ratchet.Decrypt(m.inner)
	switch {
	case err == nil:
		next.inner.ReceivedMessage = true
		return plaintext, next, nil
	case errors.Is(err, goolm.ErrMessageKeyNotFound):
		return nil, nil, &Error{Code: CodeOlmMessageReplayed}
	case errors.Is(err, goolm.ErrMsgIndexTooHigh):
		return nil, nil, &Error{Code: CodeOlmMessageGap}
	case errors.Is(err, goolm.ErrBadMAC), errors.Is(err, goolm.ErrProtocolViolation):
		// The latter is a new ratchet key before we answered the last one: nobody who has the session sends it.
		return nil, nil, &Error{Code: CodeBadOlmMAC}
	}
	return nil, nil, &Error{Code: CodeBadOlmPadding} // all that is left of a message that was read and whose MAC was right
}

// Encrypt makes the next message: the type and body of an m.room.encrypted. next is the session after it; it must be stored before the message
// is sent, for a session that encrypts twice from the same point gives two plaintexts the same key. The error is an *Error, bad_olm_plaintext.
func (s *Session) Encrypt(plaintext []byte) (kind Kind, body string, next *Session, err error) {
	if len(plaintext) == 0 || len(plaintext) > MaxPlaintext {
		return 0, "", nil, &Error{Code: CodeBadOlmPlaintext}
	}
	next = s.clone()
	made, text, err := next.inner.Encrypt(plaintext)
	if err != nil {
		panic("internal error: goolm does not encrypt: " + err.Error())
	}
	return Kind(made), string(text), next, nil
}

// clone is a copy whose lists can be changed: goolm appends to them and deletes from them in place. The keys are shared: goolm replaces them
// and never writes into them.
func (s *Session) clone() *Session {
	next := *s
	next.inner.Ratchet.ReceiverChains = slices.Clone(s.inner.Ratchet.ReceiverChains)
	next.inner.Ratchet.SkippedMessageKeys = slices.Clone(s.inner.Ratchet.SkippedMessageKeys)
	return &next
}
