package megolm

import (
	"encoding/binary"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// A session key, as a sender shares it (version 2) and as a client exports it (version 1, without the signature):
//
//	0        1       5         133           165         229
//	| version | index | ratchet | public key | signature |
const (
	exportVersion = 1
	shareVersion  = 2

	ratchetStart   = 1
	publicKeyStart = ratchetStart + 4 + ratchetLength
	exportLength   = publicKeyStart + 32
	shareLength    = exportLength + 64
)

// SessionKey is a session key as it stands in m.room_key: a ratchet signed by the session's own key. It is secret.
type SessionKey struct {
	redact.Secret
	_   [0]func() // not comparable with ==, which is not constant-time
	id  SessionID
	raw [shareLength]byte
}

// ParseSessionKey takes the `session_key` of an m.room_key event. Whether its signature holds is for Check or Verify to say. The
// error is a *SessionKeyError: bad_session_key_base64, bad_session_key_length, bad_session_key_version or
// bad_session_key_public_key.
func ParseSessionKey(text string) (*SessionKey, error) {
	k := new(SessionKey)
	var err error
	if k.id, err = decodeKey(k.raw[:], text, shareVersion); err != nil {
		return nil, err
	}
	return k, nil
}

// decodeKey fills raw from text and checks its version and public key.
func decodeKey(raw []byte, text string, version byte) (SessionID, error) {
	// A text of another length is refused before it is decoded: a megabyte of it must cost nothing.
	if got := len(text) * 3 / 4; got != len(raw) {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionKeyLength, Expected: len(raw), Got: got}
	}
	if _, err := keys.AppendDecode(raw[:0], text); err != nil {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionKeyBase64}
	}
	if raw[0] != version {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionKeyVersion, Expected: int(version), Got: int(raw[0])}
	}
	id, err := sessionIDOf(raw[publicKeyStart:exportLength])
	if err != nil {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionKeyPublicKey}
	}
	return id, nil
}

// ID is the session's id, derived from the key itself.
func (k *SessionKey) ID() SessionID { return k.id }

// Index is the first index the key opens.
func (k *SessionKey) Index() uint32 { return binary.BigEndian.Uint32(k.raw[ratchetStart:]) }

// Check is the question whether the session signed this key. Its message is the ratchet itself: it may be given to a verifier and
// to nobody else, and it is gone after Wipe.
func (k *SessionKey) Check() keys.Check {
	return keys.Check{
		Key:       keys.Ed25519(k.id),
		Signature: keys.Signature(k.raw[exportLength:]),
		Message:   k.raw[:exportLength:exportLength],
	}
}

// Verify answers Check at once. The error is a *SessionKeyError, bad_session_key_signature.
func (k *SessionKey) Verify() error {
	if check := k.Check(); !check.Verify() {
		return &SessionKeyError{Code: CodeBadSessionKeySignature}
	}
	return nil
}

// Session is the session of the key. To be called only after Verify, or a verifier asked with Check, found the signature good.
func (k *SessionKey) Session() *InboundSession {
	return newInboundSession(k.id, parseRatchet(k.raw[ratchetStart:publicKeyStart]), true)
}

// Wipe overwrites the key. Sessions made of it are not touched.
func (k *SessionKey) Wipe() { clear(k.raw[:]) }
