package trust

import (
	"slices"
	"strings"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// UserRecord is what is stored of one user: one row, written whole. It is plain data; core/record gives it its bytes.
//
// The JSON in it is the JSON as received, so members nobody here has heard of survive and signatures over them go on verifying. The keys
// beside it were read from that JSON when it was accepted; they are kept so that opening a store parses no JSON.
//
// A UserRecord is never changed once it was handed out: a change is a new record.
type UserRecord struct {
	UserID ids.UserID

	// Identity is nil while the user has none.
	Identity *IdentityRecord
	// Devices in ascending order of DeviceID, by bytes; no id twice.
	Devices []DeviceRecord

	// Tracked: we share encrypted rooms with the user and follow the device list.
	Tracked bool
	// Outdated: the device list is known to have changed, or was never asked for, since the last answer.
	Outdated bool
	// AnswerSequence is the Sequence of the newest request whose answer left its mark in this row; 0 when none had one. New requests get
	// higher ones than any stored.
	AnswerSequence Sequence

	// TrustedMaster, in our own user's row only: the master key that was declared to be ours on this device; zero when none was.
	TrustedMaster keys.Ed25519
	// WasVerified, in our own user's row only: our identity was trusted once. Stays when the master key changes.
	WasVerified bool

	// Extra is not read here. It goes from each record to the one that replaces it, for what a newer version may have written.
	Extra []byte
}

// IdentityRecord is the identity part of a UserRecord.
type IdentityRecord struct {
	Master      KeyRecord
	SelfSigning KeyRecord // signed by Master
	UserSigning KeyRecord // signed by Master; our own user only, empty for others

	// Pinned is the master key met first, or accepted since; zero for our own user.
	Pinned keys.Ed25519
	// PreviouslyVerified is the latch; false for our own user, who has WasVerified.
	PreviouslyVerified bool
	// JudgedBy is our user-signing key at the time SignedByUs was decided; zero when we had none, and for our own user.
	JudgedBy keys.Ed25519
	// SignedByUs: JudgedBy validly signed Master.
	SignedByUs bool
}

// KeyRecord is one cross-signing key: the key and the object it was published in.
type KeyRecord struct {
	Key keys.Ed25519
	Raw []byte // JSON as received; empty when there is no such key
}

// DeviceRecord is one device in a UserRecord. Its own signature held.
type DeviceRecord struct {
	DeviceID    ids.DeviceID
	Curve25519  keys.Curve25519
	Ed25519     keys.Ed25519
	Dehydrated  bool
	CrossSigned CrossSignature // never CrossSignatureUnchecked
	// JudgedBy is the owner's self-signing key at the time CrossSigned was decided; zero when the owner had no identity.
	JudgedBy keys.Ed25519
	Raw      []byte // JSON as received
}

// Validate looks for contradictions in a record that was read from storage: ids out of form, keys of low order or in a second spelling,
// devices out of order, outcomes that nothing can have decided. The error is a *RecordError with code bad_record.
func (r *UserRecord) Validate() error {
	fail := func(reason string) error { return &RecordError{Code: CodeBadRecord, UserID: r.UserID, Reason: reason} }
	if _, err := ids.ParseUserID(string(r.UserID)); err != nil {
		return fail("the user id is not one")
	}
	var none keys.Ed25519
	usable := func(key keys.Ed25519) bool { _, err := keys.NewEd25519(key); return err == nil }
	var selfSigning keys.Ed25519
	if i := r.Identity; i != nil {
		if !usable(i.Master.Key) || !usable(i.SelfSigning.Key) || len(i.Master.Raw) == 0 || len(i.SelfSigning.Raw) == 0 {
			return fail("the identity is incomplete")
		}
		if (i.UserSigning.Key == none) != (len(i.UserSigning.Raw) == 0) || i.UserSigning.Key != none && !usable(i.UserSigning.Key) {
			return fail("the user-signing key is incomplete")
		}
		if i.Pinned != none && !usable(i.Pinned) || i.JudgedBy != none && !usable(i.JudgedBy) {
			return fail("a key of the identity is not usable")
		}
		if i.SignedByUs && i.JudgedBy == none {
			return fail("the identity is signed by nobody")
		}
		selfSigning = i.SelfSigning.Key
	}
	if r.TrustedMaster != none && (!usable(r.TrustedMaster) || !r.WasVerified) {
		return fail("the trusted master key is not usable")
	}
	if len(r.Devices) > maxDevices {
		return fail("there are more devices than can be listed")
	}
	for n := range r.Devices {
		d := &r.Devices[n]
		if _, err := ids.ParseDeviceID(string(d.DeviceID)); err != nil {
			return fail("a device id is not one")
		}
		if n > 0 && r.Devices[n-1].DeviceID >= d.DeviceID {
			return fail("the devices are out of order")
		}
		if _, err := keys.ParseCurve25519(d.Curve25519.String()); err != nil || !usable(d.Ed25519) || len(d.Raw) == 0 {
			return fail("a device is incomplete")
		}
		if d.CrossSigned > CrossSignatureValid || d.JudgedBy != selfSigning {
			return fail("a device's cross-signature was judged by another key than the user's")
		}
		if selfSigning == none && d.CrossSigned > CrossSignatureOtherKey {
			return fail("a device is cross-signed by nobody")
		}
	}
	return nil
}

// device is the stored device of that id, nil when there is none.
func (r *UserRecord) device(id ids.DeviceID) *DeviceRecord {
	if r == nil {
		return nil
	}
	at, found := slices.BinarySearchFunc(r.Devices, id, func(d DeviceRecord, id ids.DeviceID) int {
		return strings.Compare(string(d.DeviceID), string(id))
	})
	if !found {
		return nil
	}
	return &r.Devices[at]
}
