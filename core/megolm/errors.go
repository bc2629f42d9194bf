package megolm

import "strconv"

// The codes of the errors of this package, by operation. Errors repeat lengths, versions and indexes, never a key or a plaintext.
const (
	// SessionKeyError
	CodeBadSessionID           = "bad_session_id"             // not the base64 of an acceptable Ed25519 key
	CodeBadSessionKeyLength    = "bad_session_key_length"     // more or less text than a key of the version has
	CodeBadSessionKeyBase64    = "bad_session_key_base64"     // not canonical unpadded base64
	CodeBadSessionKeyVersion   = "bad_session_key_version"    // a version other than 2 (shared) or 1 (exported)
	CodeBadSessionKeyPublicKey = "bad_session_key_public_key" // the session's own key is of low order or not canonical
	CodeBadSessionKeySignature = "bad_session_key_signature"  // the session's own key did not sign it

	// MessageError
	CodeBadMessageLength   = "bad_message_length"   // too short to be a message, or too long for an event
	CodeBadMessageBase64   = "bad_message_base64"   // not canonical unpadded base64
	CodeBadMessageVersion  = "bad_message_version"  // a version other than 3
	CodeBadMessageEncoding = "bad_message_encoding" // index and ciphertext not written in the one form

	// DecryptionError, and the first of them ExportError
	CodeUnknownMessageIndex = "unknown_message_index" // before the first known index
	CodeBadMAC              = "bad_mac"               // another ratchet, or a changed message
	CodeBadPadding          = "bad_padding"           // the MAC was right, and the sender padded wrongly
	CodeBadMessageSignature = "bad_message_signature" // someone in the room wrote it, and not the session's owner

	// EncryptionError
	CodeBadPlaintextLength = "bad_plaintext_length" // longer than MaxPlaintext
	CodeRatchetExhausted   = "ratchet_exhausted"    // the session has no index left: a new one is due

	// MergeError
	CodeUnconnectedSessions = "unconnected_sessions" // neither ratchet leads to the other

	// StateError
	CodeBadSessionState = "bad_session_state" // not what AppendState writes
)

// SessionKeyError says why a text is no session key or session id.
type SessionKeyError struct {
	Code          string
	Expected, Got int // bytes, or versions; 0 where neither is meant
}

// ErrorCode is the stable name of what went wrong.
func (e *SessionKeyError) ErrorCode() string { return e.Code }

func (e *SessionKeyError) Error() string {
	switch e.Code {
	case CodeBadSessionID:
		return "the session id is not a public key"
	case CodeBadSessionKeyLength:
		return "the session key has the wrong length" + expectedGot(e.Expected, e.Got)
	case CodeBadSessionKeyBase64:
		return "the session key is not canonical unpadded base64"
	case CodeBadSessionKeyVersion:
		return "the session key has the wrong version" + expectedGot(e.Expected, e.Got)
	case CodeBadSessionKeyPublicKey:
		return "the session key's public key is of low order or not canonical"
	case CodeBadSessionKeySignature:
		return "the session key is not signed by its own public key"
	}
	return e.Code
}

// MessageError says why a text is no room message.
type MessageError struct {
	Code          string
	Expected, Got int // bytes (the least or the most there may be), or versions; 0 where neither is meant
}

// ErrorCode is the stable name of what went wrong.
func (e *MessageError) ErrorCode() string { return e.Code }

func (e *MessageError) Error() string {
	switch e.Code {
	case CodeBadMessageLength:
		return "the message has a length no message has" + expectedGot(e.Expected, e.Got)
	case CodeBadMessageBase64:
		return "the message is not canonical unpadded base64"
	case CodeBadMessageVersion:
		return "the message has the wrong version" + expectedGot(e.Expected, e.Got)
	case CodeBadMessageEncoding:
		return "the message's index and ciphertext are not encoded in the canonical form"
	}
	return e.Code
}

// DecryptionError says why a session does not open a message.
type DecryptionError struct {
	Code          string
	Expected, Got uint32 // for unknown_message_index: the first known index, and the one asked for
}

// ErrorCode is the stable name of what went wrong.
func (e *DecryptionError) ErrorCode() string { return e.Code }

func (e *DecryptionError) Error() string {
	switch e.Code {
	case CodeUnknownMessageIndex:
		return "the message lies before the first known index" + expectedGot(int64(e.Expected), int64(e.Got))
	case CodeBadMAC:
		return "the message's MAC is wrong"
	case CodeBadPadding:
		return "the message's padding is wrong"
	case CodeBadMessageSignature:
		return "the message is not signed by the session"
	}
	return e.Code
}

// ExportError says why a session cannot be exported at an index.
type ExportError struct {
	Code          string
	Expected, Got uint32 // the first known index, and the one asked for
}

// ErrorCode is the stable name of what went wrong.
func (e *ExportError) ErrorCode() string { return e.Code }

func (e *ExportError) Error() string {
	return "the session is not known at this index" + expectedGot(int64(e.Expected), int64(e.Got))
}

// EncryptionError says why a session encrypts nothing.
type EncryptionError struct {
	Code          string
	Expected, Got int // for bad_plaintext_length: the most bytes there may be, and how many there are
}

// ErrorCode is the stable name of what went wrong.
func (e *EncryptionError) ErrorCode() string { return e.Code }

func (e *EncryptionError) Error() string {
	if e.Code == CodeRatchetExhausted {
		return "the session has no message index left"
	}
	return "the message is too long for an event" + expectedGot(int64(e.Expected), int64(e.Got))
}

// MergeError says why two sessions are not merged.
type MergeError struct{ Code string }

// ErrorCode is the stable name of what went wrong.
func (e *MergeError) ErrorCode() string { return e.Code }

func (e *MergeError) Error() string { return "the sessions are not connected" }

// StateError says that bytes are no stored session.
type StateError struct {
	Code          string
	Expected, Got int // bytes; both 0 when the length is right and the content is not
}

// ErrorCode is the stable name of what went wrong.
func (e *StateError) ErrorCode() string { return e.Code }

func (e *StateError) Error() string {
	if e.Expected == e.Got {
		return "not a stored session: a public key or a flag that no session has"
	}
	return "not a stored session" + expectedGot(e.Expected, e.Got)
}

func expectedGot[N int | int64](expected, got N) string {
	return ": expected " + strconv.FormatInt(int64(expected), 10) + ", got " + strconv.FormatInt(int64(got), 10)
}
