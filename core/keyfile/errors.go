package keyfile

import (
	"errors"
	"strconv"
)

// The codes of the errors of this package, by operation. Errors repeat lengths, versions, positions and names of members, never anything of a
// key, a passphrase or a plaintext.
const (
	// FileError
	CodeBadKeyFileHeader       = "bad_key_file_header"       // the text does not begin with the header line
	CodeBadKeyFileFooter       = "bad_key_file_footer"       // the text does not end with the footer line
	CodeBadKeyFileBase64       = "bad_key_file_base64"       // what is between them is not base64
	CodeBadKeyFileLength       = "bad_key_file_length"       // shorter than a file without any content
	CodeBadKeyFileVersion      = "bad_key_file_version"      // a version other than 1
	CodeBadKeyFileRounds       = "bad_key_file_rounds"       // fewer rounds than MinRounds or more than MaxRounds
	CodeBadPassphraseOrCorrupt = "bad_passphrase_or_corrupt" // the MAC is wrong: nobody can tell which of the two it was
	CodeEmptyPassphrase        = "empty_passphrase"          // a file that is sealed with nothing
	CodeBadKeyFileJSON         = "bad_key_file_json"         // the content is not a JSON array from end to end

	// EntryError
	CodeBadEntryJSON         = "bad_entry_json"        // not one strict JSON object
	CodeEntryTooLarge        = "entry_too_large"       // more than MaxEntry bytes
	CodeMissingMember        = "missing_member"        // a required member is absent
	CodeBadMember            = "bad_member"            // a member is of the wrong type or form
	CodeUnsupportedAlgorithm = "unsupported_algorithm" // not m.megolm.v1.aes-sha2
	CodeBadSessionKey        = "bad_session_key"       // session_key is no exported session key
	CodeSessionIDMismatch    = "session_id_mismatch"   // the entry names another session than its session key
	CodeForeignRoom          = "foreign_room"          // the entry is for another room than it was given for

	// BackupError
	CodeBadRecoveryKey      = "bad_recovery_key"      // the text is no recovery key
	CodeBadBackupKey        = "bad_backup_key"        // not the base64 of 32 bytes
	CodeBadBackupAnswer     = "bad_backup_answer"     // not an answer of GET /room_keys/keys
	CodeBadBackupRoom       = "bad_backup_room"       // one room of it cannot be read
	CodeBadBackupEntry      = "bad_backup_entry"      // one session of it cannot be read
	CodeBadBackupSecret     = "bad_backup_secret"     // the key agreement gave nothing that may be used
	CodeBadBackupMAC        = "bad_backup_mac"        // sealed for another key
	CodeBadBackupCiphertext = "bad_backup_ciphertext" // the ciphertext was changed

	// BundleError
	CodeBadBundleDescriptor = "bad_bundle_descriptor" // not the content of an m.room_key_bundle
	CodeBundleTooLarge      = "bundle_too_large"      // more than MaxBundle bytes, or MaxBundleEntries entries
	CodeBadBundleHash       = "bad_bundle_hash"       // not the file that was described
	CodeBadBundleJSON       = "bad_bundle_json"       // decrypted, and not a bundle
)

var sentences = map[string]string{
	CodeBadKeyFileHeader:       "the file does not begin like a key export",
	CodeBadKeyFileFooter:       "the file does not end like a key export",
	CodeBadKeyFileBase64:       "the key export is not base64",
	CodeBadKeyFileLength:       "the key export is too short",
	CodeBadKeyFileVersion:      "the key export has an unknown version",
	CodeBadKeyFileRounds:       "the key export asks for too few or too many rounds",
	CodeBadPassphraseOrCorrupt: "the passphrase is wrong, or the key export was changed",
	CodeEmptyPassphrase:        "the passphrase is empty",
	CodeBadKeyFileJSON:         "the content of the key export is not a list of room keys",

	CodeBadEntryJSON:         "the room key cannot be read",
	CodeEntryTooLarge:        "the room key is too large",
	CodeMissingMember:        "the room key lacks a member",
	CodeBadMember:            "a member of the room key cannot be read",
	CodeUnsupportedAlgorithm: "the room key is for an algorithm that is not supported",
	CodeBadSessionKey:        "the session key cannot be used",
	CodeSessionIDMismatch:    "the room key names another session than its session key",
	CodeForeignRoom:          "the room key is for another room",

	CodeBadRecoveryKey:      "this is not a recovery key",
	CodeBadBackupKey:        "this is not the private key of a backup",
	CodeBadBackupAnswer:     "this is not an answer about a backup",
	CodeBadBackupRoom:       "a room of the backup cannot be read",
	CodeBadBackupEntry:      "a room key of the backup cannot be read",
	CodeBadBackupSecret:     "the room key was sealed with a key that keeps no secret",
	CodeBadBackupMAC:        "the room key was not sealed for this backup key",
	CodeBadBackupCiphertext: "the sealed room key was changed",

	CodeBadBundleDescriptor: "the bundle's description cannot be read",
	CodeBundleTooLarge:      "the bundle is too large",
	CodeBadBundleHash:       "the bundle is not the file that was described",
	CodeBadBundleJSON:       "the bundle cannot be read",
}

// FileError says why a text is no key-export file, or why it cannot be opened or written.
type FileError struct {
	Code          string // one of the codes above
	Expected, Got int64  // bytes, versions, rounds, or for bad_key_file_json the offset in Got; 0 where none is meant
}

// Error is a sentence.
func (e *FileError) Error() string {
	text := sentences[e.Code]
	if e.Expected != 0 {
		text += ": expected " + strconv.FormatInt(e.Expected, 10) + ", got " + strconv.FormatInt(e.Got, 10)
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *FileError) ErrorCode() string { return e.Code }

// EntryError says why one room key of a file, a backup or a bundle, or one notice of a bundle, was refused. The others are not affected.
type EntryError struct {
	Code   string // one of the codes above
	Member string // the member at fault, where one is
	Reason string // code of the room below that refused it, where one did
	cause  error
}

// Error is a sentence.
func (e *EntryError) Error() string { return sentence(e.Code, e.Member, e.cause) }

// ErrorCode is the stable name of what went wrong.
func (e *EntryError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *EntryError) Unwrap() error { return e.cause }

// BackupError says why a key or a part of a backup was refused.
type BackupError struct {
	Code   string // one of the codes above
	Member string // the member at fault, where one is
	Reason string // code of the room below; for bad_recovery_key one of bad_length, bad_base58, bad_prefix, bad_parity
	cause  error
}

// Error is a sentence.
func (e *BackupError) Error() string { return sentence(e.Code, e.Member, e.cause) }

// ErrorCode is the stable name of what went wrong.
func (e *BackupError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *BackupError) Unwrap() error { return e.cause }

// BundleError says why a history bundle was refused as a whole.
type BundleError struct {
	Code   string // one of the codes above
	Member string // the member at fault, where one is
	Reason string // code of the room below, where one refused something
	cause  error
}

// Error is a sentence.
func (e *BundleError) Error() string { return sentence(e.Code, e.Member, e.cause) }

// ErrorCode is the stable name of what went wrong.
func (e *BundleError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *BundleError) Unwrap() error { return e.cause }

func sentence(code, member string, cause error) string {
	text := sentences[code]
	if member != "" {
		text += ", `" + member + "`"
	}
	if cause != nil {
		text += ": " + cause.Error()
	}
	return text
}

func reasonOf(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}
