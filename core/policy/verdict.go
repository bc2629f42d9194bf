package policy

import (
	"knownsender/core/ids"
	"knownsender/core/sender"
)

// Question is one event to be judged, with everything that is known of the session it names.
type Question struct {
	Requirement TrustRequirement
	Sender      ids.UserID // the event's sender; empty when what stands there is not a user id

	Copies     []*sender.Copy      // copies of the session that decrypt the event
	Others     []*sender.Copy      // copies of the session that do not
	Tombstones []*sender.Tombstone // of the session

	Withheld  bool // the sender told us that it keeps the key from us
	Replayed  bool // another event was decrypted with the same message index before
	WrongRoom bool // the plaintext names another room than the event came in

	// Distrusted are users who handed copies over and whose identity is no longer the one that was verified: what only they vouch for is
	// withheld while that is so.
	Distrusted []ids.UserID

	// ClaimsMayOverruleDirect lets a claimed copy show what a direct copy of the same session hides. Anybody who can write to the backup
	// could then make hidden messages visible, with a grey shield.
	ClaimsMayOverruleDirect bool
}

// ShieldColor is the colour of the warning beside an event.
type ShieldColor uint8

const (
	ShieldNone ShieldColor = iota
	ShieldGrey
	ShieldRed
)

var shieldColorNames = [...]string{"None", "Grey", "Red"}

// String is the name of the colour in matrix-sdk-crypto's ShieldColor.
func (c ShieldColor) String() string { return shieldColorNames[c%3] }

var shieldColorJSNames = [...]string{"NONE", "GREY", "RED"}

// JSName is the name of the colour in matrix-js-sdk's EventShieldColour.
func (c ShieldColor) JSName() string { return shieldColorJSNames[c%3] }

// Shield is a warning: its colour and the ShieldStateCode of matrix-sdk-crypto, empty when there is none.
type Shield struct {
	Color ShieldColor
	Code  string
}

// Verdict is the answer to a Question.
type Verdict struct {
	State  State
	Shown  bool
	Code   string // the state's code; empty when the event is shown without any warning
	Shield Shield // what a client shows by default
	Strict Shield // what a client shows that warns of everything not verified

	Chosen         *sender.Copy // the copy the verdict is about; nil when none decrypts the event
	AmbiguousOwner bool         // direct copies of different users decrypt the event
	Washed         bool         // a claimed copy would show (Shown: shows) what a direct copy of the session hides
}
