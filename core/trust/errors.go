package trust

import (
	"errors"
	"strconv"
	"strings"

	"knownsender/core/ids"
)

// Codes of an *AnswerError: nothing of the answer can be used.
const (
	CodeBadAnswer       = "bad_answer"       // not a JSON object, or cut off
	CodeAnswerTooLarge  = "answer_too_large" // more bytes than Limits.Bytes
	CodeDuplicateMember = "duplicate_member" // a name twice in one object; of an answer as a whole or of one user, device or key in it
)

// Codes of an *ApplicationError.
const (
	CodeRecordMissing       = "record_missing"        // a user is known, and the stored row was not handed in; of a Problem too
	CodeOwnIdentityUnknown  = "own_identity_unknown"  // our own user has no identity yet
	CodeOwnIdentityMismatch = "own_identity_mismatch" // the master key to be trusted is not the one our user has
	CodeIdentityUnknown     = "identity_unknown"      // the user has no identity
)

// CodeBadRecord is the code of a *RecordError.
const CodeBadRecord = "bad_record"

// Codes of a *DeviceKeysError, besides those of core/signedjson, core/keys and core/ids, which it passes on.
const (
	CodeDeviceSignatureMissing = "device_signature_missing" // not signed by the device itself
)

// Codes of a *CrossSigningKeyError, besides those it passes on.
const (
	CodeBadUsage           = "bad_usage"             // `usage` is not exactly the one value of the role
	CodeBadCrossSigningKey = "bad_cross_signing_key" // `keys` does not hold exactly one ed25519 key under its own name
)

// Codes of a Problem, besides those a *DeviceKeysError or *CrossSigningKeyError has.
const (
	CodeBadSection      = "bad_section"       // a member such as `device_keys` is not an object
	CodeBadUserEntry    = "bad_user_entry"    // a user's entry in `device_keys` is not an object
	CodeTooManyUsers    = "too_many_users"    // users beyond Limits.Users
	CodeTooManyDevices  = "too_many_devices"  // a user with more devices than Limits.DevicesPerUser
	CodeTooManyProblems = "too_many_problems" // problems beyond Limits.Problems, which are only counted
	CodeServerFailed    = "server_failed"     // the user's server is listed in `failures`
	CodeStaleAnswer     = "stale_answer"      // an answer to a later request was applied before

	CodeDeviceUserMismatch     = "device_user_mismatch"           // `user_id` is not the user the device is listed under
	CodeDeviceIDMismatch       = "device_id_mismatch"             // `device_id` is not the id the device is listed under
	CodeDeviceIDIsKey          = "device_id_is_cross_signing_key" // the device id spells a cross-signing key of its user
	CodeDeviceSignatureInvalid = "device_signature_invalid"       // the device's own signature is wrong
	CodeDeviceKeyChanged       = "device_key_changed"             // a known device with another ed25519 key
	CodeCrossSignatureInvalid  = "cross_signature_invalid"        // signed by the current self-signing key, wrongly
	CodeOwnDeviceMismatch      = "own_device_mismatch"            // this device, with keys that are not ours
	CodeOwnDeviceMissing       = "own_device_missing"             // our user's entry does not list this device

	CodeIdentityIncomplete       = "identity_incomplete"                   // a master key without self-signing key, or the reverse
	CodeIdentityUserMismatch     = "identity_user_mismatch"                // `user_id` is not the user the key is listed under
	CodeIdentitySignatureMissing = "identity_signature_missing"            // a key not signed by the master key
	CodeIdentitySignatureInvalid = "identity_signature_invalid"            // a key signed wrongly by the master key
	CodeOwnIdentityWithoutUSK    = "own_identity_without_user_signing_key" // our own identity lacks its third key
	CodeUserSignatureInvalid     = "user_signature_invalid"                // our user-signing key signed their master key, wrongly
)

// AnswerError says why an answer cannot be used at all.
type AnswerError struct {
	Code          string // bad_answer, answer_too_large or duplicate_member
	Member        string // the member at fault, "" when it is the whole
	Expected, Got int    // bytes, for answer_too_large
}

func (e *AnswerError) Error() string {
	switch e.Code {
	case CodeAnswerTooLarge:
		return "the answer is larger than is read: at most " + strconv.Itoa(e.Expected) + " bytes, got " + strconv.Itoa(e.Got)
	case CodeDuplicateMember:
		return "the answer holds `" + e.Member + "` twice"
	}
	return "the answer is not a JSON object"
}

// ErrorCode is the stable name of what went wrong.
func (e *AnswerError) ErrorCode() string { return e.Code }

// ApplicationError says why an operation over the Index was not made. Nothing was changed.
type ApplicationError struct {
	Code  string       // record_missing, own_identity_unknown, own_identity_mismatch or identity_unknown
	Users []ids.UserID // the users concerned
}

func (e *ApplicationError) Error() string {
	switch e.Code {
	case CodeRecordMissing:
		return "the stored row of our own user is needed and was not given"
	case CodeOwnIdentityUnknown:
		return "our own identity is not known yet: ask /keys/query for our own user first"
	case CodeOwnIdentityMismatch:
		return "the master key is not the one of our own identity"
	}
	return "the user has no cross-signing identity"
}

// ErrorCode is the stable name of what went wrong.
func (e *ApplicationError) ErrorCode() string { return e.Code }

// RecordError says that a stored row contradicts itself and was not loaded.
type RecordError struct {
	Code   string // bad_record
	UserID ids.UserID
	Reason string // the end of a sentence
}

func (e *RecordError) Error() string { return "the stored user cannot be loaded: " + e.Reason }

// ErrorCode is the stable name of what went wrong.
func (e *RecordError) ErrorCode() string { return e.Code }

// DeviceKeysError says why a JSON object is not a usable device keys object.
type DeviceKeysError struct {
	Code   string
	Member string // where in the object, "" when it is the whole
	cause  error
}

func (e *DeviceKeysError) Error() string {
	return sentence("not usable device keys", e.Member, e.Code, e.cause)
}

// ErrorCode is the stable name of what went wrong.
func (e *DeviceKeysError) ErrorCode() string { return e.Code }

func (e *DeviceKeysError) Unwrap() error { return e.cause }

// CrossSigningKeyError says why a JSON object is not a usable cross-signing key.
type CrossSigningKeyError struct {
	Code   string
	Member string // where in the object, "" when it is the whole
	cause  error
}

func (e *CrossSigningKeyError) Error() string {
	return sentence("not a usable cross-signing key", e.Member, e.Code, e.cause)
}

// ErrorCode is the stable name of what went wrong.
func (e *CrossSigningKeyError) ErrorCode() string { return e.Code }

func (e *CrossSigningKeyError) Unwrap() error { return e.cause }

// Problem is one thing of an answer that was not taken over, or that the owner of this device should know. It never stands in the way of
// other users, and of other devices of the same user.
type Problem struct {
	UserID   ids.UserID   // as the answer spells it, cut at 255 bytes; "" for the answer as a whole
	DeviceID ids.DeviceID // likewise; "" when it is not about a device
	Key      Role         // the cross-signing key it is about, 0 when it is about none
	Code     string
	Message  string // a sentence for people
}

// ErrorCode is the stable name of what is wrong.
func (p Problem) ErrorCode() string { return p.Code }

func (p Problem) Error() string { return p.Message }

// explanations are the sentences of problems that carry no error of their own.
var explanations = map[string]string{
	CodeBadSection:               "a member of the answer is not an object; it was passed over",
	CodeBadUserEntry:             "the user's devices are not an object; the stored ones are kept",
	CodeTooManyUsers:             "the answer lists more users than are read at once; the rest was passed over",
	CodeTooManyDevices:           "the user has more devices than are accepted; the stored ones are kept",
	CodeServerFailed:             "the user's server could not be asked; nothing was changed",
	CodeRecordMissing:            "the user is known and the stored row was not given; nothing was changed",
	CodeStaleAnswer:              "a later answer for the user was applied before; nothing was changed",
	CodeDuplicateMember:          "the name stands twice in its object; neither was taken",
	CodeDeviceUserMismatch:       "the device names another user than the one it is listed under",
	CodeDeviceIDMismatch:         "the device names another id than the one it is listed under",
	CodeDeviceIDIsKey:            "the device id is a cross-signing key of the same user",
	CodeDeviceSignatureInvalid:   "the device's signature over itself is wrong",
	CodeDeviceKeyChanged:         "the device is known with another ed25519 key; the known one is kept",
	CodeCrossSignatureInvalid:    "the signature by the user's current self-signing key is wrong",
	CodeOwnDeviceMismatch:        "our own device is listed with keys that are not ours",
	CodeOwnDeviceMissing:         "our own device is not listed",
	CodeIdentityIncomplete:       "the identity lacks its master or its self-signing key; the stored one is kept",
	CodeIdentityUserMismatch:     "the key names another user than the one it is listed under; the stored identity is kept",
	CodeIdentitySignatureMissing: "the key is not signed by the master key; the stored identity is kept",
	CodeIdentitySignatureInvalid: "the master key's signature is wrong; the stored identity is kept",
	CodeOwnIdentityWithoutUSK:    "our own identity came without user-signing key; the stored one is kept",
	CodeUserSignatureInvalid:     "our user-signing key's signature over the user's master key is wrong",
}

// codeOf is the stable code of an error from a room below, fallback when it has none.
func codeOf(err error, fallback string) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return fallback
}

func sentence(what, member, code string, cause error) string {
	var text strings.Builder
	text.WriteString(what)
	if member != "" {
		text.WriteString(", `")
		text.WriteString(member)
		text.WriteString("`")
	}
	text.WriteString(": ")
	if cause != nil {
		text.WriteString(cause.Error())
	} else {
		text.WriteString(code)
	}
	return text.String()
}
