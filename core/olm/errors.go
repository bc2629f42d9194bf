package olm

// The codes an *Error can carry, by operation.
const (
	// ParseMessage
	CodeBadOlmMessage = "bad_olm_message" // the text is no Olm message of the one form
	CodeBadMessageKey = "bad_message_key" // a key inside it is of low order or not canonical

	// Decrypt, NewInbound
	CodeUnknownOlmSession  = "unknown_olm_session"  // a normal message that no session opens
	CodeBadOlmMAC          = "bad_olm_mac"          // changed, or made with other keys than the session's
	CodeBadOlmPadding      = "bad_olm_padding"      // the MAC was right, and the sender padded wrongly
	CodeOlmMessageReplayed = "olm_message_replayed" // decrypted before, or so late that its key is no longer kept
	CodeOlmMessageGap      = "olm_message_gap"      // more than MaxMessageGap messages after the last one
	CodeSenderKeyMismatch  = "sender_key_mismatch"  // a pre-key message made with another identity key than the sender's
	CodeOneTimeKeyUnknown  = "one_time_key_unknown" // for a one-time key that is used up, forgotten or never was ours
	CodeNotAPreKeyMessage  = "not_a_pre_key_message"

	// NewOutbound
	CodeBadIdentityKey = "bad_identity_key" // their identity key is of low order or not canonical
	CodeBadOneTimeKey  = "bad_one_time_key" // their one-time key is of low order or not canonical

	// Encrypt
	CodeBadOlmPlaintext = "bad_olm_plaintext" // empty, or longer than MaxPlaintext
	CodeNoOlmSession    = "no_olm_session"    // there is no session to encrypt with

	// ParseAccountState, ParseSessionState, ParseChannelsState
	CodeOlmStateDamaged = "olm_state_damaged" // not what AppendState writes
)

// Error says why a message, a key or a state was refused. It never repeats any of it.
type Error struct {
	Code string // one of the codes above
}

// ErrorCode is the stable name of what went wrong.
func (e *Error) ErrorCode() string { return e.Code }

func (e *Error) Error() string {
	switch e.Code {
	case CodeBadOlmMessage:
		return "this is not an Olm message"
	case CodeBadMessageKey:
		return "a key in the Olm message is of low order or not canonical"
	case CodeUnknownOlmSession:
		return "no Olm session with the sender decrypts the message"
	case CodeBadOlmMAC:
		return "the Olm message's MAC is wrong"
	case CodeBadOlmPadding:
		return "the Olm message's padding is wrong"
	case CodeOlmMessageReplayed:
		return "the Olm message was decrypted before, or comes too late"
	case CodeOlmMessageGap:
		return "too many messages are missing before the Olm message"
	case CodeSenderKeyMismatch:
		return "the Olm message names another sender key"
	case CodeOneTimeKeyUnknown:
		return "the Olm message is for a one-time key that is not there"
	case CodeNotAPreKeyMessage:
		return "an Olm session begins with a pre-key message"
	case CodeBadIdentityKey:
		return "the identity key is of low order or not canonical"
	case CodeBadOneTimeKey:
		return "the one-time key is of low order or not canonical"
	case CodeBadOlmPlaintext:
		return "the plaintext is empty or too long for an Olm message"
	case CodeNoOlmSession:
		return "there is no Olm session with the device"
	case CodeOlmStateDamaged:
		return "the stored Olm state is damaged"
	}
	return e.Code
}
