package policy

// State is what is to be judged of an event, in one word: a row of the table.
type State uint8

const (
	StateSenderVerified State = iota
	StateSenderUnverified
	StateVerificationViolation
	StateDeviceInfo
	StateDeviceInfoLegacy
	StateUnknownDevice
	StateUnknownDeviceLegacy
	StateInsecureSource       // claimed, or the owner check failed
	StateInsecureSourceLegacy // the same, restored from a file or backup
	StateForwarded            // claimed, handed over by somebody whose identity is in order
	StateForwarderViolation   // the same, but by now that identity is no longer the one we verified
	StateMismatchedSender     // the session's owner is known, and is not the event's sender
	StateSuspended            // the server presents a forged cross-signature for the sender's device
	StateTampered             // the key was discarded: it came with a forged cross-signature
	StateReplayed
	StateWrongRoom
	StateBadSender
	StateWithheld
	StateUnknownIndex
	StateNoKey
	states
)

var stateNames = [states]string{
	"sender_verified", "sender_unverified", "verification_violation", "device_info", "device_info_legacy", "unknown_device",
	"unknown_device_legacy", "insecure_source", "insecure_source_legacy", "forwarded", "forwarder_violation", "mismatched_sender", "suspended", "tampered", "replayed",
	"wrong_room", "bad_sender", "withheld", "unknown_index", "no_key",
}

// String is the stable name of the state.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return "State(invalid)"
}

// States is every state, in the order of the table.
func States() []State {
	all := make([]State, states)
	for i := range all {
		all[i] = State(i)
	}
	return all
}
