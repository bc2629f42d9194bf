package policy

import (
	"knownsender/core/signedjson"

	"github.com/go-json-experiment/json/jsontext"
)

// Level is matrix-sdk-crypto's VerificationState in one word: Verified, or why not. LevelNone is of events of which it has none, because
// they do not decrypt.
type Level uint8

const (
	LevelNone Level = iota
	LevelVerified
	LevelUnverifiedIdentity
	LevelVerificationViolation
	LevelUnsignedDevice
	LevelMissingDevice  // {"None": "MissingDevice"}
	LevelInsecureSource // {"None": "InsecureSource"}
	LevelMismatchedSender
)

var levelNames = [...]string{
	"", "Verified", "UnverifiedIdentity", "VerificationViolation", "UnsignedDevice", "MissingDevice", "InsecureSource", "MismatchedSender",
}

// String is the level's innermost name.
func (l Level) String() string { return levelNames[l%Level(len(levelNames))] }

// AppendJSON writes the state as the peer does: "Verified", {"Unverified":"UnsignedDevice"}, {"Unverified":{"None":"MissingDevice"}}; null
// for LevelNone.
func (l Level) AppendJSON(dst []byte) []byte {
	switch l {
	case LevelNone:
		return append(dst, "null"...)
	case LevelVerified:
		return signedjson.AppendString(dst, l.String())
	case LevelMissingDevice, LevelInsecureSource:
		dst = append(dst, `{"Unverified":{"None":`...)
		return append(signedjson.AppendString(dst, l.String()), "}}"...)
	}
	dst = append(dst, `{"Unverified":`...)
	return append(signedjson.AppendString(dst, l.String()), '}')
}

// StateError says that JSON is not a verification state in any form the peer has written.
type StateError struct {
	Code string // bad_verification_state
}

// CodeBadVerificationState is the code of a *StateError.
const CodeBadVerificationState = "bad_verification_state"

func (e *StateError) Error() string { return "not a verification state" }

// ErrorCode is the stable name of what went wrong.
func (e *StateError) ErrorCode() string { return e.Code }

// ParseVerificationState reads what AppendJSON writes, and the names of earlier days: Trusted, Untrusted, UnknownDevice, PreviouslyVerified.
// The error is a *StateError.
func ParseVerificationState(raw []byte) (Level, error) {
	bad := &StateError{Code: CodeBadVerificationState}
	value := jsontext.Value(raw)
	if !value.IsValid() {
		return LevelNone, bad
	}
	if value.Kind() == '"' {
		switch text(value) {
		case "Verified", "Trusted":
			return LevelVerified, nil
		case "Untrusted":
			return LevelUnsignedDevice, nil
		case "UnknownDevice":
			return LevelMissingDevice, nil
		}
		return LevelNone, bad
	}
	level, ok := only(raw, "Unverified")
	if !ok {
		return LevelNone, bad
	}
	if level.Kind() == '"' {
		switch text(level) {
		case "UnverifiedIdentity":
			return LevelUnverifiedIdentity, nil
		case "VerificationViolation", "PreviouslyVerified":
			return LevelVerificationViolation, nil
		case "UnsignedDevice":
			return LevelUnsignedDevice, nil
		case "MismatchedSender":
			return LevelMismatchedSender, nil
		}
		return LevelNone, bad
	}
	problem, ok := only(level, "None")
	if !ok {
		return LevelNone, bad
	}
	switch text(problem) {
	case "MissingDevice":
		return LevelMissingDevice, nil
	case "InsecureSource":
		return LevelInsecureSource, nil
	}
	return LevelNone, bad
}

// only is the value of an object's one member.
func only(raw []byte, name string) (jsontext.Value, bool) {
	object, err := signedjson.Parse(raw)
	if err != nil || object.Len() != 1 {
		return nil, false
	}
	return object.Value(name)
}

// text is a JSON string's content, "" for anything else.
func text(value jsontext.Value) string {
	if value.Kind() != '"' {
		return ""
	}
	plain, _ := jsontext.AppendUnquote(nil, value) // valid JSON: there is no error
	return string(plain)
}
