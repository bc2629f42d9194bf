package sender

import "errors"

// The codes a *RoomKeyError can carry. Each means that the whole to-device event is refused and nothing of it is kept.
const (
	CodeBadPayload           = "bad_payload"            // not one strict JSON object, or a member is missing or of the wrong form
	CodeBadSender            = "bad_sender"             // the to-device event's sender is not a user id
	CodeBadSenderKey         = "bad_sender_key"         // the Olm channel's key is not a Curve25519 key
	CodeNotARoomKey          = "not_a_room_key"         // the payload's type is not m.room_key, or not what the call is for
	CodeSenderMismatch       = "sender_mismatch"        // the payload names another sender than the to-device event
	CodeRecipientMismatch    = "recipient_mismatch"     // the payload is meant for another user
	CodeRecipientKeyMismatch = "recipient_key_mismatch" // the payload is meant for another device
	CodeUnsupportedAlgorithm = "unsupported_algorithm"  // not m.megolm.v1.aes-sha2
	CodeBadRoomID            = "bad_room_id"            // room_id is not a room id
	CodeBadSessionKey        = "bad_session_key"        // session_key is no session key in its signed form, or its signature is wrong
	CodeSessionIDMismatch    = "session_id_mismatch"    // session_id is there and is not the session key's

	CodeBadSenderDeviceKeys        = "bad_sender_device_keys"         // sender_device_keys is no device keys object
	CodeSenderDeviceKeysConflict   = "sender_device_keys_conflict"    // the stable and the unstable name hold different objects
	CodeSenderDeviceKeysUser       = "sender_device_keys_user"        // they name another user than the payload
	CodeSenderDeviceKeysEd25519    = "sender_device_keys_ed25519"     // another fingerprint key than the payload
	CodeSenderDeviceKeysCurve25519 = "sender_device_keys_curve25519"  // another identity key than the Olm channel
	CodeSenderDeviceKeysSignature  = "sender_device_keys_signature"   // not signed by the device itself
	CodeDeviceIDIsKey              = "device_id_is_cross_signing_key" // the device id spells a cross-signing key of its user
	CodeDeviceKeyChanged           = "device_key_changed"             // the device id is known with another fingerprint key
	CodeDehydratedDevice           = "dehydrated_device"              // the sender is a dehydrated device, which sends no room keys
	CodeMismatchedIdentityKeys     = "mismatched_identity_keys"       // the device known under the channel's key has another fingerprint key

	// Of keys that are handed over.
	CodeMissingSenderDeviceKeys = "missing_sender_device_keys" // the announcement of a history bundle must embed them
	CodeForwarderNotKnown       = "forwarder_not_known"        // whoever hands the keys over is not cross-signed, or was verified and is no longer the same
	CodeForwarderNotOwnDevice   = "forwarder_not_own_device"   // the forwarded key is not from a verified device of our own
	CodeForwardedKeyUnrequested = "forwarded_key_unrequested"  // nobody asked for that key

	// Of other events.
	CodeUnknownSendingDevice = "unknown_sending_device" // the message embeds no device, and none is known that could have sent it
)

var roomKeySentences = map[string]string{
	CodeBadPayload:                 "the Olm payload cannot be read",
	CodeBadSender:                  "the to-device event's sender is not a user id",
	CodeBadSenderKey:               "the key of the Olm channel is not a Curve25519 key",
	CodeNotARoomKey:                "the Olm payload is not a room key of that kind",
	CodeSenderMismatch:             "the Olm payload names another sender than the to-device event",
	CodeRecipientMismatch:          "the Olm payload is meant for another user",
	CodeRecipientKeyMismatch:       "the Olm payload is meant for another device",
	CodeUnsupportedAlgorithm:       "the room key is for an algorithm that is not supported",
	CodeBadRoomID:                  "the room key is not for a room",
	CodeBadSessionKey:              "the session key cannot be used",
	CodeSessionIDMismatch:          "the room key names another session than its session key",
	CodeBadSenderDeviceKeys:        "the embedded device keys cannot be read",
	CodeSenderDeviceKeysConflict:   "the device keys are embedded twice, differently",
	CodeSenderDeviceKeysUser:       "the embedded device belongs to another user",
	CodeSenderDeviceKeysEd25519:    "the embedded device has another Ed25519 key than the Olm payload",
	CodeSenderDeviceKeysCurve25519: "the embedded device has another Curve25519 key than the Olm channel",
	CodeSenderDeviceKeysSignature:  "the embedded device keys are not signed by the device",
	CodeDeviceIDIsKey:              "the embedded device is named like a cross-signing key of its user",
	CodeDeviceKeyChanged:           "the embedded device is known with another Ed25519 key",
	CodeDehydratedDevice:           "the room key comes from a dehydrated device",
	CodeMissingSenderDeviceKeys:    "the announcement of the history bundle embeds no device keys",
	CodeForwarderNotKnown:          "whoever hands the room keys over is not known by cross-signing, or is no longer the one who was verified",
	CodeForwarderNotOwnDevice:      "the room key was not forwarded by a verified device of our own",
	CodeUnknownSendingDevice:       "the device that sent the message is not known",
	CodeForwardedKeyUnrequested:    "the forwarded room key was not asked for",
	CodeMismatchedIdentityKeys:     "the device with the key of the Olm channel has another Ed25519 key than the Olm payload",
}

// RoomKeyError says why a room key was refused. It repeats public keys and identifiers only, never anything of the session.
type RoomKeyError struct {
	Code          string // one of the codes above
	Member        string // the member of the payload that is at fault, where one is
	Reason        string // code of the room below that refused it, where one did
	Expected, Got string
	cause         error
}

func (e *RoomKeyError) Error() string {
	text := roomKeySentences[e.Code]
	if e.Member != "" {
		text += ", `" + e.Member + "`"
	}
	switch {
	case e.cause != nil:
		text += ": " + e.cause.Error()
	case e.Expected != "":
		text += ": expected " + e.Expected
		if e.Got != "" {
			text += ", got " + e.Got
		}
	}
	return text
}

// ErrorCode is the stable name of what went wrong.
func (e *RoomKeyError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if one refused something.
func (e *RoomKeyError) Unwrap() error { return e.cause }

// refuse is a refusal for a reason of our own.
func refuse(code string) *RoomKeyError { return &RoomKeyError{Code: code} }

// refuseMember is a refusal because of what a room below said of a member.
func refuseMember(code, member string, cause error) *RoomKeyError {
	return &RoomKeyError{Code: code, Member: member, Reason: reasonOf(cause), cause: cause}
}

// CodeBadSenderData is the code of a *DataError.
const CodeBadSenderData = "bad_sender_data"

// DataError says that JSON is not sender data in any form the peers have written.
type DataError struct {
	Code   string // bad_sender_data
	Member string // the member at fault, "" for the whole
	Reason string // code of the room below, or unknown_variant, not_one_variant, bad_master_key, device_keys_missing
	cause  error
}

func (e *DataError) Error() string {
	text := "not sender data"
	if e.Member != "" {
		text += ", `" + e.Member + "`"
	}
	return text + ": " + e.Reason
}

// ErrorCode is the stable name of what went wrong.
func (e *DataError) ErrorCode() string { return e.Code }

// Unwrap is the error of the room below, if there is one.
func (e *DataError) Unwrap() error { return e.cause }

func reasonOf(err error) string {
	var coded interface{ ErrorCode() string }
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	return ""
}
