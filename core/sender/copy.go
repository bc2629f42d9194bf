package sender

import (
	"cmp"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
)

// Provenance is how a room key came to us. It is part of a copy's name: copies of different provenance never meet.
type Provenance uint8

const (
	// Direct: an m.room_key inside Olm. The sender's pair of keys is proved.
	Direct Provenance = iota
	// Claimed: from a file, a backup, a forwarded key or a history bundle. The sender's keys are what somebody wrote down.
	Claimed
)

// String is "direct" or "claimed".
func (p Provenance) String() string {
	if p == Direct {
		return "direct"
	}
	return "claimed"
}

// CopyKey names a copy. Two copies with different keys never merge and never stand in each other's way.
type CopyKey struct {
	RoomID     ids.RoomID
	SessionID  megolm.SessionID
	SenderKey  keys.Curve25519 // of the Olm channel (direct) or as somebody wrote it down (claimed)
	Provenance Provenance
}

// Copy is one stored copy of a room key and what is known of its sender. A copy that has been handed out is not changed any more: Join and
// Apply return new ones. Only the ratchet is shared between them.
type Copy struct {
	CopyKey
	Session *megolm.InboundSession

	// Ed25519 is the fingerprint key of the sending device: proved by the Olm payload (direct), or as somebody wrote it down (claimed), who
	// may have left it out. It never changes.
	Ed25519    keys.Ed25519
	HasEd25519 bool
	// OlmUser is the user the Olm payload named as its sender, empty unless direct. It never changes, and no other user can come to own
	// the copy.
	OlmUser ids.UserID

	// AtReception is what was known when the key arrived; it never changes. Of a claimed copy it is what another device of ours knew when the
	// key arrived there, if that device's word for it was authenticated: evidence for people to read, by which no policy judges.
	AtReception Data
	Current     Data // what is known now; never falls; UnknownDevice for claimed copies
	// Legacy marks keys from before sender data were kept and keys restored from files and backups. It never changes.
	Legacy bool
	// Suspended is set while the server presents the sender's device with a forged cross-signature: shown under no policy, never exported,
	// and cleared when a good signature of the same device turns up.
	Suspended bool

	SharedHistory  bool   // the session may be passed on to people who join later
	EmbeddedDevice []byte // sender_device_keys as received, kept while the sender is not known; its self-signature held
	ReceivedAt     int64  // milliseconds since 1970, by our clock, or with evidence by that of the device whose word it is
	BackedUp       bool
	Forwarder      *Forwarder // who handed over a claimed copy, if that is known
	Step           byte       // letter of the step at which the finder stopped, 0 for claimed copies

	// Schedule is when to ask about the sender again, while the copy waits for that; zero otherwise.
	Schedule lane.Schedule
}

// Owner is the user the copy is attributed to, by the strength of what is proved so far. A claimed copy has none.
func (c *Copy) Owner() (ids.UserID, bool) {
	if c.Provenance != Direct {
		return "", false
	}
	if c.Current.UserID != "" {
		return c.Current.UserID, true
	}
	return c.OlmUser, c.OlmUser != ""
}

// Evidence reports whether a claimed copy says, authenticated, what another device of ours knew of its sender.
func (c *Copy) Evidence() bool { return c.Provenance == Claimed && c.AtReception.Kind != UnknownDevice }

// CompareSource orders claimed copies by where their ratchets come from: best with evidence of one of our own devices, then out of a file or
// backup of our own, then handed over by somebody.
func (c *Copy) CompareSource(other *Copy) int { return cmp.Compare(c.source(), other.source()) }

func (c *Copy) source() int {
	switch {
	case c.Evidence():
		return 2
	case c.Forwarder == nil:
		return 1
	}
	return 0
}

// Waiting reports whether a later answer may still tell more of the sender: a direct copy whose sender is not known yet.
func (c *Copy) Waiting() bool { return c.Provenance == Direct && !c.Current.Kind.Known() }

// Rescheduled is the copy with another schedule; the copy itself when it does not wait or has that schedule already.
func (c *Copy) Rescheduled(to lane.Schedule) *Copy {
	if !c.Waiting() || c.Schedule == to {
		return c
	}
	moved := *c
	moved.Schedule = to
	return &moved
}

// InBackup is the copy with another mark of whether it is in the server-side backup; the copy itself when it has that mark.
func (c *Copy) InBackup(backedUp bool) *Copy {
	if c.BackedUp == backedUp {
		return c
	}
	marked := *c
	marked.BackedUp = backedUp
	return &marked
}

// InsecureSource reports whether the sender's keys are hearsay and nothing better is known: even a matching device would prove nothing.
func (c *Copy) InsecureSource() bool {
	return c.Current.Kind == UnknownDevice && (c.Provenance == Claimed || c.Current.OwnerCheckFailed)
}
