// Package record gives stored things their bytes and says in which rows they lie.
//
// The rule: what comes out of a store is not believed. A value is a frame (magic, format version, seal) around one msgpack array, read
// with every length bounded by the bytes that are left, in the one spelling this package writes; every value is then parsed as it would be
// at the edge. What does not fit is an *Error, never a guess, and above all never more trust than was written. layout.go alone knows which
// rows things lie in.
package record

import "knownsender/core/store"

// Codes of Error.
const (
	// CodeBadFrame: too short for a record, or no record at all.
	CodeBadFrame = "bad_frame"
	// CodeUnknownFormat: a version of the format this code does not read.
	CodeUnknownFormat = "unknown_format"
	// CodeUnknownSeal: sealed in a way this code does not open.
	CodeUnknownSeal = "unknown_seal"
	// CodeBadChecksum: the bytes are not those that were written, or were written for another row.
	CodeBadChecksum = "bad_checksum"
	// CodeBadRecord: intact, but not what a record of its kind looks like.
	CodeBadRecord = "bad_record"
	// CodeBadRowKey: the row's key names nothing.
	CodeBadRowKey = "bad_row_key"
)

// Error says why a row cannot be read. The row is as good as damaged: it is set aside (QuarantineRow), the others are not affected.
type Error struct {
	// Code is one of the constants above.
	Code string
	// Table is the row's table.
	Table store.Table
	// Reason says what is wrong, without any stored value.
	Reason string
	// Err is the cause, where there is one.
	Err error
}

// Error is a sentence.
func (e *Error) Error() string {
	return "record in " + string(e.Table) + ": " + e.Reason + " (" + e.Code + ")"
}

// ErrorCode returns the stable code.
func (e *Error) ErrorCode() string { return e.Code }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
