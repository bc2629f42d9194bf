package store

import "strconv"

// Codes of Error.
const (
	// CodeConflict: rows were not as the batch expected; nothing was written. Error.Conflicts names them.
	CodeConflict = "conflict"
	// CodeQuota: the browser gives no more room; nothing was written.
	CodeQuota = "quota"
	// CodeClosed: the store was closed, by its owner or because another tab needs to upgrade the database.
	CodeClosed = "closed"
	// CodeUnavailable: there is no database to be had here (private mode, disk full, no IndexedDB).
	CodeUnavailable = "unavailable"
	// CodeAborted: the transaction was aborted or the caller gave up; nothing was written unless the caller's context ended first.
	CodeAborted = "aborted"
	// CodeSchemaTooNew: a newer version has written the database; nothing was read or written.
	CodeSchemaTooNew = "schema_too_new"
	// CodeBlocked: an older tab holds the database and does not let go of it.
	CodeBlocked = "blocked"
	// CodeStoreLost: the database was deleted or replaced while we were using it.
	CodeStoreLost = "store_lost"
	// CodeTooLarge: a value is longer than MaxValue.
	CodeTooLarge = "too_large"
	// CodeBadKey: a key or index value is empty, too long, or not valid UTF-8.
	CodeBadKey = "bad_key"
	// CodeBadRequest: an unknown table or index, or one row named twice in a batch.
	CodeBadRequest = "bad_request"
	// CodeBadAnswer: the other side of a bridge answered something that is no answer.
	CodeBadAnswer = "bad_answer"
	// CodeBadStoreKey: what is given as a store's key cannot be one.
	CodeBadStoreKey = "bad_store_key"
	// CodeWrongStoreKey: the store is encrypted with another key, or what that lies in was changed. Nothing was written.
	CodeWrongStoreKey = "wrong_store_key"
	// CodeWrongStoreKeyMode: a passphrase was given where it takes a host key, or the other way.
	CodeWrongStoreKeyMode = "wrong_store_key_mode"
	// CodeStoreKeyRequired: the store is encrypted, and no key was given.
	CodeStoreKeyRequired = "store_key_required"
	// CodeStoreNotEncrypted: a key was given for a store that has rows without one.
	CodeStoreNotEncrypted = "store_not_encrypted"
	// CodeStoreKeyParameters: the store's key is derived more weakly than is accepted, or endlessly.
	CodeStoreKeyParameters = "store_key_parameters"
	// CodeStoreHeaderDamaged: what an encrypted store's key lies in cannot be read.
	CodeStoreHeaderDamaged = "store_header_damaged"
)

// Conflict is a row that was not as a batch expected it.
type Conflict struct {
	Table Table
	Key   Key
	// Expect is the operation's demand (0: absent), Got the row's revision (0: there is none).
	Expect, Got uint64
}

// Error is the error type of every operation of a store.
type Error struct {
	// Code is one of the constants above.
	Code string
	// Message is a sentence for people. It holds no values.
	Message string
	// Conflicts is set with CodeConflict: every row that was not as expected.
	Conflicts []Conflict
	// Err is the cause, where there is one.
	Err error
}

// Error gives the sentence and the code.
func (e *Error) Error() string { return "store: " + e.Message + " (" + e.Code + ")" }

// ErrorCode returns the stable code.
func (e *Error) ErrorCode() string { return e.Code }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NewConflict makes the error of a batch that met conflicts.
func NewConflict(conflicts []Conflict) *Error {
	return &Error{
		Code:      CodeConflict,
		Message:   strconv.Itoa(len(conflicts)) + " rows have changed since they were read",
		Conflicts: conflicts,
	}
}

// Names says whether one of the conflicts is about a row of these operations.
func (e *Error) Names(ops []Op) bool {
	for i := range e.Conflicts {
		for j := range ops {
			if e.Conflicts[i].Table == ops[j].Table && e.Conflicts[i].Key.Equal(ops[j].Key) {
				return true
			}
		}
	}
	return false
}
