package olm

import (
	"crypto/sha256"
	"slices"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// MaxChannels is how many sessions with one device are kept. The specification ("m.olm.v1.curve25519-aes-sha2") asks for at least four.
const MaxChannels = 5

// Channels are the sessions with one device: the one that last received a message, or was begun, first. There is more than one when both sides
// began at once, or when one side lost a session and began another. They never change: Decrypt, Encrypt and Add return the channels that come after.
// When a session is added to MaxChannels, the last goes, and what began it is remembered: made with a fallback key, its first message would begin it
// anew.
type Channels struct {
	redact.Secret
	senderKey keys.Curve25519
	sessions  []*Session
	gone      [][sha256.Size]byte // the latest last
}

// maxGone is how many sessions that went are remembered.
const maxGone = 64

// NewChannels are the channels with a device we have no session with. senderKey is its Curve25519 identity key.
func NewChannels(senderKey keys.Curve25519) Channels { return Channels{senderKey: senderKey} }

// SenderKey is the other device's Curve25519 identity key.
func (c Channels) SenderKey() keys.Curve25519 { return c.senderKey }

// Sessions are the sessions in order. The list is the caller's.
func (c Channels) Sessions() []*Session { return slices.Clone(c.sessions) }

// Add is the channels with a session that was just begun.
func (c Channels) Add(s *Session) Channels {
	sessions := append(make([]*Session, 0, len(c.sessions)+1), s)
	sessions = append(sessions, c.sessions...)
	if len(sessions) > MaxChannels {
		last := &sessions[MaxChannels].inner
		c.gone = append(slices.Clip(c.gone), beginning(last.AliceIdentityKey, last.AliceBaseKey, last.BobOneTimeKey))
		c.gone = c.gone[max(0, len(c.gone)-maxGone):]
		sessions = sessions[:MaxChannels]
	}
	c.sessions = sessions
	return c
}

// Decrypted is an opened message and what comes after it: both values must be stored together, and before the message counts as received.
type Decrypted struct {
	redact.Secret
	Plaintext []byte
	SessionID SessionID
	Channels  Channels
	Account   *Account // the account given, unless a one-time key was used
	New       bool     // whether the message began the session
}

// Decrypt opens a message of this sender. A pre-key message is for the session it began, or begins one with a key of a. A normal message is for
// the session that knows its ratchet key, or for the first one that opens it. The error is an *Error: those of Session.Decrypt and
// Account.NewInbound, and unknown_olm_session: nothing in a message that nobody opens tells whether it was changed or its session was lost.
func (c Channels) Decrypt(a *Account, m Message) (Decrypted, error) {
	if m.kind == PreKey {
		if m.identityKey != c.senderKey {
			return Decrypted{}, &Error{Code: CodeSenderKeyMismatch}
		}
		for i, s := range c.sessions {
			if s.MatchesInbound(m) {
				return c.decryptWith(a, i, m)
			}
		}
		if slices.Contains(c.gone, m.Beginning()) {
			return Decrypted{}, &Error{Code: CodeUnknownOlmSession}
		}
		s, plaintext, next, err := a.NewInbound(c.senderKey, m)
		if err != nil {
			return Decrypted{}, err
		}
		return Decrypted{Plaintext: plaintext, SessionID: s.ID(), Channels: c.Add(s), Account: next, New: true}, nil
	}
	for i, s := range c.sessions {
		if s.knows(&m) {
			return c.decryptWith(a, i, m)
		}
	}
	for i := range c.sessions {
		d, err := c.decryptWith(a, i, m)
		if err == nil {
			return d, nil
		}
		if err.(*Error).Code == CodeBadOlmPadding {
			return Decrypted{}, err // its MAC was right, so it is this session's
		}
	}
	return Decrypted{}, &Error{Code: CodeUnknownOlmSession}
}

// Begins reports whether a message would begin a session here. For others no key is agreed.
func (c Channels) Begins(m *Message) bool {
	return m.kind == PreKey && !slices.ContainsFunc(c.sessions, func(s *Session) bool { return s.MatchesInbound(*m) })
}

func (c Channels) decryptWith(a *Account, i int, m Message) (Decrypted, error) {
	plaintext, next, err := c.sessions[i].Decrypt(m)
	if err != nil {
		return Decrypted{}, err
	}
	rest := c
	rest.sessions = slices.Delete(slices.Clone(c.sessions), i, i+1)
	return Decrypted{Plaintext: plaintext, SessionID: next.ID(), Channels: rest.Add(next), Account: a}, nil
}

// Encrypt makes a message with the session that last received one, as the specification asks. next must be stored before the message is sent.
// The error is an *Error: no_olm_session or bad_olm_plaintext.
func (c Channels) Encrypt(plaintext []byte) (kind Kind, body string, next Channels, err error) {
	if len(c.sessions) == 0 {
		return 0, "", Channels{}, &Error{Code: CodeNoOlmSession}
	}
	kind, body, after, err := c.sessions[0].Encrypt(plaintext)
	if err != nil {
		return 0, "", Channels{}, err
	}
	next = c
	next.sessions = slices.Clone(c.sessions)
	next.sessions[0] = after
	return kind, body, next, nil
}
