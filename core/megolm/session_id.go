package megolm

import "knownsender/core/keys"

// SessionID names a session. It is the Ed25519 key the session's messages are signed with.
type SessionID [32]byte

// ParseSessionID takes the base64 of a session id. Low-order and non-canonical keys are no ids (T29). The error is a
// *SessionKeyError, bad_session_id.
func ParseSessionID(text string) (SessionID, error) {
	key, err := keys.ParseEd25519(text)
	if err != nil {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionID}
	}
	return SessionID(key), nil
}

// String is the id as Matrix writes it, 43 symbols of base64.
func (id SessionID) String() string { return keys.Ed25519(id).String() }

// sessionIDOf is the id that raw begins with: the public key in a session key, or in a stored session.
func sessionIDOf(raw []byte) (SessionID, error) {
	key, err := keys.NewEd25519([32]byte(raw))
	if err != nil {
		return SessionID{}, &SessionKeyError{Code: CodeBadSessionID}
	}
	return SessionID(key), nil
}
