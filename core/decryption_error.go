package core

import "errors"

// Codes of DecryptionError besides those of the policy, which withholds for its own reasons (policy.Verdict.Code).
const (
	// CodeBadEvent: the event is not an m.room.encrypted event of Megolm, or a member is missing or of the wrong form.
	CodeBadEvent = "bad_event"
	// CodeUnableToDecrypt: the message is broken, or not of this session. Reason is the code of what refused it.
	CodeUnableToDecrypt = "unable_to_decrypt"
	// CodeBadPlaintext: what was inside is not a room event.
	CodeBadPlaintext = "bad_plaintext"
	// CodeSessionNotLoaded: a synchronous question about a session that is not in memory.
	CodeSessionNotLoaded = "session_not_loaded"
)

// DecryptionError says why an event is not shown. It never holds plaintext.
type DecryptionError struct {
	// Code is one of the above, or the verdict's.
	Code string
	// Member is the member of the event or plaintext at fault, where one is.
	Member string
	// Reason is the code of the room below, where one refused something.
	Reason        string
	Expected, Got string
	// Info is set when the policy withholds the event: who sent it, as far as is known, and the verdict.
	Info *EncryptionInfo
	// Withheld is the notice that explains a missing key, where there is one.
	Withheld *Withheld
	cause    error
}

// Error is a sentence.
func (e *DecryptionError) Error() string {
	var text string
	switch e.Code {
	case CodeBadEvent:
		text = "this is not an encrypted room event that can be read"
	case CodeUnableToDecrypt:
		text = "the event does not decrypt"
	case CodeBadPlaintext:
		text = "what was encrypted is not a room event"
	case CodeSessionNotLoaded:
		text = "the session is not in memory; load its room first"
	default:
		text = "the event is withheld: " + e.Code
	}
	if e.Member != "" {
		text += ", `" + e.Member + "`"
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *DecryptionError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *DecryptionError) Unwrap() error { return e.cause }

func badEvent(member string, cause error) *DecryptionError {
	return &DecryptionError{Code: CodeBadEvent, Member: member, Reason: reasonOf(cause), cause: cause}
}

func unableToDecrypt(cause error) *DecryptionError {
	return &DecryptionError{Code: CodeUnableToDecrypt, Reason: reasonOf(cause), cause: cause}
}

func withhold(info *EncryptionInfo) *DecryptionError {
	return &DecryptionError{Code: info.Verdict.Code, Info: info}
}

func reasonOf(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}
