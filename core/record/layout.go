package record

// Which rows things lie in: the only place that knows. Keys are arrays of strings and never joined, so no id can reach into another's row
// (T53). Every copy has a row of its own; that a store may keep several rows in one object is the store's matter.
//
//	copies      [room, session, sender key, provenance]   index waiting [Olm user, sender key], index due [time, Olm user],
//	                                                      index owner [user, master key], index backup ["not"]
//	users       [user]
//	tombstones  [room, session, sender key]
//	replays     [room, session, block of 128 message indexes]
//	withheld    [room, session]
//	channels    [sender key]
//	outbound    [room, "session"], [room, "shares"], [room, "settings"]
//	meta        [name], ["judge", name of the note], ["request", room, session]
//	quarantine  [table, the row's key...]

import (
	"strconv"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// RoomKey is what the keys of all rows of a room begin with, in the tables copies, tombstones, replays and withheld.
func RoomKey(room ids.RoomID) store.Key { return store.Key{string(room)} }

// SessionParts is how many parts a SessionKey has.
const SessionParts = 2

// SessionKey is what the keys of all rows of a session begin with, in the same tables.
func SessionKey(room ids.RoomID, session megolm.SessionID) store.Key {
	return store.Key{string(room), session.String()}
}

// CopyKey is the key of a copy's row.
func CopyKey(k sender.CopyKey) store.Key {
	return store.Key{string(k.RoomID), k.SessionID.String(), k.SenderKey.String(), k.Provenance.String()}
}

// ParseCopyKey reads the key of a copy's row; false when it names no copy.
func ParseCopyKey(key store.Key) (sender.CopyKey, bool) {
	var k sender.CopyKey
	if len(key) != 4 {
		return k, false
	}
	switch key[3] {
	case sender.Direct.String():
		k.Provenance = sender.Direct
	case sender.Claimed.String():
		k.Provenance = sender.Claimed
	default:
		return k, false
	}
	return k, parseSession(&k, key)
}

// parseSession reads room, session and sender key.
func parseSession(k *sender.CopyKey, key store.Key) bool {
	var err1, err2, err3 error
	k.RoomID, err1 = ids.ParseRoomID(key[0])
	k.SessionID, err2 = megolm.ParseSessionID(key[1])
	k.SenderKey, err3 = keys.ParseCurve25519(key[2])
	return err1 == nil && err2 == nil && err3 == nil
}

// copyIndex says in which indexes a copy stands: a direct copy that waits to hear more of its sender, by the two things a device has that
// owns it, and by when to ask again; one whose sender is known but may still rise, by user and master key. A verified sender cannot rise, and
// nothing raises a claim; and whatever may be exported and is not in the server-side backup yet. What is known only through a forwarder may not.
func copyIndex(c *sender.Copy, key store.Key) []store.IndexEntry {
	var entries []store.IndexEntry
	switch {
	case c.Waiting():
		entries = []store.IndexEntry{
			{Name: store.IndexWaiting, Value: store.Key{string(c.OlmUser), key[2]}},
			{Name: store.IndexDue, Value: store.Key{DueName(c.Schedule.Next), string(c.OlmUser)}},
		}
	case c.Current.Kind == sender.VerificationViolation || c.Current.Kind == sender.SenderUnverified:
		entries = []store.IndexEntry{{Name: store.IndexOwner, Value: store.Key{string(c.Current.UserID), c.Current.MasterKey.String()}}}
	}
	if !c.BackedUp && !c.Suspended && c.Forwarder == nil {
		entries = append(entries, store.IndexEntry{Name: store.IndexBackup, Value: notBackedUp})
	}
	return entries
}

// notBackedUp is the one value of the index of copies that are not in the backup.
var notBackedUp = store.Key{"not"}

// DueName is a time as the index has it: whole seconds in twelve hexadecimal digits, so that order by text is order by time. What one user is
// waited for in one second lies together, and a reader can pass over it in one step.
func DueName(next int64) string {
	seconds := uint64(max(next, 0)) / 1000
	var b [12]byte
	for i := range b {
		b[i] = hexDigits[seconds>>(44-4*i)&0xf]
	}
	return string(b[:])
}

// ParseDue reads an entry of the index of due copies: the time in milliseconds, rounded down to a second, and the user.
func ParseDue(value store.Key) (next int64, user ids.UserID, ok bool) {
	if len(value) != 2 || len(value[0]) != 12 {
		return 0, "", false
	}
	seconds, err := strconv.ParseUint(value[0], 16, 48)
	return int64(seconds) * 1000, ids.UserID(value[1]), err == nil
}

// UserKey is the key of a user's row.
func UserKey(user ids.UserID) store.Key { return store.Key{string(user)} }

// tombstoneKey is the key of a tombstone's row. Only direct copies leave tombstones.
func tombstoneKey(k sender.CopyKey) store.Key {
	return store.Key{string(k.RoomID), k.SessionID.String(), k.SenderKey.String()}
}

func parseTombstoneKey(key store.Key) (sender.CopyKey, bool) {
	k := sender.CopyKey{Provenance: sender.Direct}
	if len(key) != 3 {
		return k, false
	}
	return k, parseSession(&k, key)
}

// ReplayKey is the key of the row of one block of a session's message indexes: those from number * ReplayBlockSize on.
func ReplayKey(room ids.RoomID, session megolm.SessionID, number uint32) store.Key {
	return store.Key{string(room), session.String(), blockName(number)}
}

const hexDigits = "0123456789abcdef"

// blockName has eight digits, so that blocks lie in their order.
func blockName(number uint32) string {
	var b [8]byte
	for i := range b {
		b[i] = hexDigits[number>>(28-4*i)&0xf]
	}
	return string(b[:])
}

func parseReplayKey(key store.Key) (room ids.RoomID, session megolm.SessionID, number uint32, ok bool) {
	if len(key) != 3 || len(key[2]) != 8 {
		return "", session, 0, false
	}
	room, session, ok = parseSessionKey(key)
	for _, digit := range []byte(key[2]) {
		switch {
		case digit >= '0' && digit <= '9':
			number = number<<4 | uint32(digit-'0')
		case digit >= 'a' && digit <= 'f':
			number = number<<4 | uint32(digit-'a'+10)
		default:
			return "", session, 0, false
		}
	}
	return room, session, number, ok && number <= lastBlock
}

func withheldKey(room ids.RoomID, session megolm.SessionID) store.Key {
	return SessionKey(room, session)
}

func parseSessionKey(key store.Key) (room ids.RoomID, session megolm.SessionID, ok bool) {
	room, err1 := ids.ParseRoomID(key[0])
	session, err2 := megolm.ParseSessionID(key[1])
	return room, session, err1 == nil && err2 == nil
}

// MetaKey is the key of a single named value.
func MetaKey(name string) store.Key { return store.Key{name} }

// JudgeNotesPrefix is what the keys of all notes of unfinished judging begin with.
func JudgeNotesPrefix() store.Key { return store.Key{"judge"} }

// JudgeNoteKey is the key of one such note.
func JudgeNoteKey(name string) store.Key { return store.Key{"judge", name} }
