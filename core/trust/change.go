package trust

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
)

// ChangeKind is what happened to a device or identity.
type ChangeKind uint8

// The kinds.
const (
	New ChangeKind = iota + 1
	Changed
	Removed
)

// String is the kind as one word: new, changed, removed.
func (k ChangeKind) String() string {
	switch k {
	case New:
		return "new"
	case Changed:
		return "changed"
	case Removed:
		return "removed"
	}
	return ""
}

// Change is what an operation over the Index comes to: rows to write, and what is different afterwards, named so that stored room keys can be
// found by index. Nothing is different until the rows are committed and Apply has been called.
type Change struct {
	// Records are the rows to write, whole. Users whose row stays as it is are not among them.
	Records map[ids.UserID]*UserRecord

	Devices       []DeviceChange       // ascending by user, then device
	Identities    []IdentityChange     // ascending by user
	Verifications []VerificationChange // ascending by user
	Problems      []Problem            // what was not taken over, and why

	sequence  Sequence     // of the answer, 0 when it had none or when this is not an answer
	answered  []ids.UserID // whose newest applied sequence that is
	refreshed []ids.UserID // whose device lists it brought up to date
	said      []saying     // what would change nothing when it is said again
}

// DeviceChange is one device that is different: other keys, another cross-signature, another dehydrated flag. A display name is not.
type DeviceChange struct {
	UserID     ids.UserID
	DeviceID   ids.DeviceID
	Curve25519 keys.Curve25519 // the key room keys are found by: the new one, or the last one of a removed device
	Kind       ChangeKind      // New, Changed or Removed
	Before     Device          // zero when New
	After      Device          // zero when Removed
}

// IdentityChange is one identity with other keys than before.
type IdentityChange struct {
	UserID ids.UserID
	Kind   ChangeKind // New or Changed
	Before Identity   // zero when New
	After  Identity
}

// VerificationChange is one user to whom we stand differently than before.
type VerificationChange struct {
	UserID ids.UserID
	Master keys.Ed25519 // the user's master key afterwards
	Before Verification
	After  Verification
}

// Empty says that nothing is to be written and nothing is different.
func (c *Change) Empty() bool {
	return len(c.Records) == 0 && len(c.Devices) == 0 && len(c.Identities) == 0 && len(c.Verifications) == 0
}

// Apply takes a change over. Call it once the change's rows are committed, in the order of the commits.
func (x *Index) Apply(c *Change) {
	for user, record := range c.Records {
		// A list that was marked outdated stays so, whatever the row says that was made before; below, the answer to a later request ends it.
		marked := x.users[user] != nil && x.users[user].flags&outdated != 0
		x.put(record)
		if marked {
			x.users[user].flags |= outdated
		}
	}
	for _, user := range c.answered {
		if p := x.users[user]; p != nil {
			p.applied = max(p.applied, c.sequence)
		}
	}
	for _, saying := range c.said {
		if p := x.users[saying.user]; p != nil {
			p.said = saying.said
		}
	}
	for _, user := range c.refreshed {
		if p := x.users[user]; p != nil && p.invalidated < c.sequence {
			p.flags &^= outdated
		}
	}
	x.sequence = max(x.sequence, c.sequence)
	x.changes++
}

// Changes counts what was taken over: while it stays the same, so does every answer of the index.
func (x *Index) Changes() uint64 { return x.changes }
