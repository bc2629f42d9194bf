// Package ids holds the identifiers of the Matrix specification as types of their own.
//
// Text becomes an identifier once, at the edge, and is believed to be well formed from there on. An identifier is opaque: it is compared
// byte for byte, never folded, trimmed or normalised. The checks are those every server has always kept (sigil, 255 bytes, UTF-8); the
// stricter grammar of today would lock out users whose names are older than it.
package ids

import (
	"strings"
	"unicode/utf8"
)

// MaxLength is the most bytes an identifier may have, sigil and server included (specification, appendices, "Common Identifier Format").
const MaxLength = 255

// UserID names a user: "@localpart:server".
type UserID string

// DeviceID names one device of a user. It has no sigil and no grammar: whatever the device called itself.
type DeviceID string

// RoomID names a room: "!opaque", in older room versions "!opaque:server".
type RoomID string

// EventID names an event: "$opaque", in the oldest room versions "$opaque:server".
type EventID string

// ParseUserID takes text for a user id: '@', a local part of at least one byte, ':', a server name of at least one byte. Historical local
// parts (upper case, any UTF-8) are valid. The error is an *Error with code bad_user_id.
func ParseUserID(text string) (UserID, error) {
	if reason := check(text, '@'); reason != "" {
		return "", &Error{Kind: "user id", Code: CodeBadUserID, Reason: reason}
	}
	switch colon := strings.IndexByte(text, ':'); {
	case colon < 0:
		return "", &Error{Kind: "user id", Code: CodeBadUserID, Reason: "no ':' before a server name"}
	case colon == 1:
		return "", &Error{Kind: "user id", Code: CodeBadUserID, Reason: "the local part is empty"}
	case colon == len(text)-1:
		return "", &Error{Kind: "user id", Code: CodeBadUserID, Reason: "the server name is empty"}
	}
	return UserID(text), nil
}

// ParseDeviceID takes text for a device id: anything of 1 to 255 bytes. The error is an *Error with code bad_device_id.
func ParseDeviceID(text string) (DeviceID, error) {
	if reason := check(text, 0); reason != "" {
		return "", &Error{Kind: "device id", Code: CodeBadDeviceID, Reason: reason}
	}
	return DeviceID(text), nil
}

// ParseRoomID takes text for a room id: '!' and at least one byte. The error is an *Error with code bad_room_id.
func ParseRoomID(text string) (RoomID, error) {
	if reason := check(text, '!'); reason != "" {
		return "", &Error{Kind: "room id", Code: CodeBadRoomID, Reason: reason}
	}
	return RoomID(text), nil
}

// ParseEventID takes text for an event id: '$' and at least one byte. The error is an *Error with code bad_event_id.
func ParseEventID(text string) (EventID, error) {
	if reason := check(text, '$'); reason != "" {
		return "", &Error{Kind: "event id", Code: CodeBadEventID, Reason: reason}
	}
	return EventID(text), nil
}

// Server is what follows the first ':', for a port or an IPv6 literal with the colons of its own.
func (u UserID) Server() string {
	_, server, _ := strings.Cut(string(u), ":")
	return server
}

// check says in words what is wrong with text, "" when nothing is. A NUL is refused because readers written in C, and databases, end the
// text there: two ids would become one.
func check(text string, sigil byte) string {
	switch {
	case text == "":
		return "it is empty"
	case len(text) > MaxLength:
		return "it is longer than 255 bytes"
	case sigil != 0 && text[0] != sigil:
		return "it does not begin with '" + string(sigil) + "'"
	case sigil != 0 && len(text) == 1:
		return "nothing follows the sigil"
	case strings.IndexByte(text, 0) >= 0:
		return "it holds a NUL"
	case !utf8.ValidString(text):
		return "it is not valid UTF-8"
	}
	return ""
}
