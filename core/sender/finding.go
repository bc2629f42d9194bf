package sender

// Outcome is what is to be done with a room key.
type Outcome uint8

const (
	// Keep: the copy is stored as found.
	Keep Outcome = iota
	// Suspend: the copy is stored, but shown under no policy until a good signature turns up.
	Suspend
	// Discard: nothing is stored but a tombstone.
	Discard
)

// String is "keep", "suspend" or "discard".
func (o Outcome) String() string {
	switch o {
	case Suspend:
		return "suspend"
	case Discard:
		return "discard"
	}
	return "keep"
}

// Step is one step the finder took: its letter, which of the two descriptions of the device it was taken for, and what was seen there.
type Step struct {
	Letter byte
	Device string // "", DeviceEmbedded or DeviceStored
	Word   string // one of the Word constants
}

// The descriptions of a device the finder may have in hand.
const (
	DeviceEmbedded = "embedded" // sender_device_keys of the Olm payload
	DeviceStored   = "stored"   // from an answer to /keys/query
)

// Finding is what the finder made of a room key, and how it came to that.
type Finding struct {
	Data     Data
	Outcome  Outcome
	Step     byte   // letter of the step that decided
	Reason   string // word of the step that decided
	Trace    []Step // every step taken, in order
	Resolved bool   // the sender is known: the copy leaves the retry schedule
}
