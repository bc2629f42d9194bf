package sender

import (
	"bytes"
	"cmp"

	"knownsender/core/lane"
	"knownsender/core/megolm"
)

// Join puts two copies of one room key together, the stored one and one that came in: by another delivery, another import, another tab.
//
// Where both can be true at once, Join is a join: associative, commutative and idempotent, so that the order of deliveries and of tabs does
// not matter. The ratchet with the lower first index wins, sender data never fall, and what each side says beyond that is ordered so that
// one of two always wins, whoever holds it.
//
// Where both cannot be true, there is no order that could not be abused, and the stored copy stays. Such are: a ratchet that is not
// connected with the stored one, a direct copy by another device key or another user (nothing is taken of those), and another master key
// or legacy mark (the ratchet is taken, the stored mark stays).
//
// One order there is, of claimed copies with ratchets that are not connected: by their source (CompareSource), of which who writes to a worse
// one has no say. The copy of the better source stays, and takes the place of the other one whole if it came in; so of two such copies the same
// one stays whichever was first. Otherwise a bundle with an invented ratchet could keep the genuine one of our own file out for good (T36).

// Reasons for which Join takes nothing of the incoming copy.
const (
	ReasonOtherCopy   = "other_copy"  // it has another name: room, session, sender key or provenance
	ReasonOtherOwner  = "other_owner" // direct, and another device key or user was proved
	ReasonUnconnected = "unconnected" // its ratchet does not lead to the stored one, nor the stored one to it, and its source is no better
)

// JoinReport says how a join went.
type JoinReport struct {
	Ratchet    megolm.Ordering // of the incoming copy's session, seen from it: Better has the lower first index
	Changed    bool            // the result differs from the stored copy
	Replaced   bool            // both are claimed and contradict each other; the incoming one has the better source, and is the result
	Refused    string          // one of the Reason constants when nothing was taken, else ""
	PinKept    bool            // both know the sender, under different master keys; the stored one stayed
	LegacyKept bool            // only one is marked legacy; the stored mark stayed
}

// Join returns the copy that is to be stored in the place of stored: stored itself when nothing changes, never a changed argument.
func Join(stored, incoming *Copy) (*Copy, JoinReport) {
	switch {
	case stored.CopyKey != incoming.CopyKey:
		return stored, JoinReport{Refused: ReasonOtherCopy}
	case stored.Provenance == Direct && (stored.Ed25519 != incoming.Ed25519 || stored.OlmUser != incoming.OlmUser):
		return stored, JoinReport{Refused: ReasonOtherOwner}
	}
	report := JoinReport{Ratchet: incoming.Session.Compare(stored.Session)}
	if report.Ratchet == megolm.Unconnected {
		if stored.Provenance == Claimed && incoming.CompareSource(stored) > 0 {
			report.Replaced, report.Changed = true, true
			return incoming, report
		}
		report.Refused = ReasonUnconnected
		return stored, report
	}

	joined := *stored
	switch report.Ratchet {
	case megolm.Better:
		// What was backed up is not this ratchet (scenario 98).
		joined.Session, joined.BackedUp = incoming.Session, incoming.BackedUp
	case megolm.Equal:
		joined.BackedUp = stored.BackedUp || incoming.BackedUp
	}

	if stored.Current.Kind.Known() && incoming.Current.Kind.Known() && !stored.Current.SamePin(incoming.Current) {
		report.PinKept = true
	} else if order := compareStanding(incoming, stored); order > 0 {
		joined.Current, joined.Step = incoming.Current, incoming.Step
	}
	if compareReception(incoming, stored) > 0 {
		joined.AtReception, joined.ReceivedAt = incoming.AtReception, incoming.ReceivedAt
	}
	report.LegacyKept = stored.Legacy != incoming.Legacy
	joined.Suspended = (stored.Suspended || incoming.Suspended) && !joined.Current.Kind.Known()
	// Passed on is passed on: only when every copy says so.
	joined.SharedHistory = stored.SharedHistory && incoming.SharedHistory
	joined.EmbeddedDevice = joinEmbedded(stored.EmbeddedDevice, incoming.EmbeddedDevice, &joined)
	joined.Schedule = lane.Schedule{}
	if joined.Waiting() {
		joined.Schedule = stored.Schedule.Join(incoming.Schedule)
	}
	joined.Forwarder = joinForwarder(stored.Forwarder, incoming.Forwarder)
	if !stored.HasEd25519 && incoming.HasEd25519 {
		// Somebody left the claim out, somebody did not. Two different claims: both hearsay, the stored one stays.
		joined.Ed25519, joined.HasEd25519 = incoming.Ed25519, true
	}

	if joined.same(stored) {
		return stored, report
	}
	report.Changed = true
	return &joined, report
}

// compareStanding orders what two copies say of their sender now, by rank first. What follows the rank only has to be the same for
// everybody who compares.
func compareStanding(a, b *Copy) int {
	if order := compareData(a.Current, b.Current); order != 0 {
		return order
	}
	return cmp.Compare(a.Step, b.Step)
}

// compareReception orders what two copies say of their reception: the earlier one counts. Of claimed copies one with evidence counts before
// one without, whenever it came: the evidence is of a reception that was earlier than either.
func compareReception(a, b *Copy) int {
	if a.Provenance == Claimed && a.Evidence() != b.Evidence() {
		if a.Evidence() {
			return 1
		}
		return -1
	}
	return cmp.Or(cmp.Compare(b.ReceivedAt, a.ReceivedAt), compareData(a.AtReception, b.AtReception))
}

// compareData is a total order of sender data that begins with the rank.
func compareData(a, b Data) int {
	if order := a.Compare(b); order != 0 {
		return order
	}
	if a.OwnerCheckFailed != b.OwnerCheckFailed {
		if a.OwnerCheckFailed {
			return -1
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(b.UserID, a.UserID),
		cmp.Compare(b.DeviceID, a.DeviceID),
		bytes.Compare(b.MasterKey[:], a.MasterKey[:]),
	)
}

// joinEmbedded keeps the longer of two embedded devices, which has more signatures, while a sender is not known.
func joinEmbedded(a, b []byte, joined *Copy) []byte {
	if joined.Current.Kind.Known() {
		return nil
	}
	if order := cmp.Compare(len(a), len(b)); order > 0 || order == 0 && bytes.Compare(a, b) >= 0 {
		return a
	}
	return b
}

// joinForwarder keeps the better forwarder. None at all is best: the copy was in a file or backup of our own, and whoever handed it over
// besides can only be hidden behind, never be hidden with (I11).
func joinForwarder(a, b *Forwarder) *Forwarder {
	switch {
	case a == nil || b == nil:
		return nil
	case compareData(a.Data, b.Data) >= 0:
		return a
	}
	return b
}

// same reports whether two copies of one name would be stored alike. Their ratchets are known to be connected.
func (c *Copy) same(other *Copy) bool {
	return c.Session.FirstKnownIndex() == other.Session.FirstKnownIndex() &&
		c.Ed25519 == other.Ed25519 && c.HasEd25519 == other.HasEd25519 && c.OlmUser == other.OlmUser &&
		c.AtReception == other.AtReception && c.Current == other.Current && c.Legacy == other.Legacy && c.Suspended == other.Suspended &&
		c.SharedHistory == other.SharedHistory && bytes.Equal(c.EmbeddedDevice, other.EmbeddedDevice) && c.ReceivedAt == other.ReceivedAt &&
		c.BackedUp == other.BackedUp && sameForwarder(c.Forwarder, other.Forwarder) && c.Step == other.Step &&
		c.Schedule == other.Schedule
}

func sameForwarder(a, b *Forwarder) bool {
	return a == b || a != nil && b != nil && *a == *b
}
