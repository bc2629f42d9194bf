package sender

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
)

// Kind is what is known of the sender of a room key. The number is the rank of trust: a copy's kind never falls. The names are those of
// matrix-sdk-crypto's SenderData.
type Kind uint8

const (
	// UnknownDevice: only the Curve25519 key of the Olm channel is known.
	UnknownDevice Kind = iota
	// DeviceInfo: a device that owns the session is known, but nothing links it to its user's identity.
	DeviceInfo
	// VerificationViolation: the device is cross-signed by its user, whom we had verified, and whose identity is no longer the verified one.
	VerificationViolation
	// SenderUnverified: the device is cross-signed by its user, whom we have not verified.
	SenderUnverified
	// SenderVerified: the device is cross-signed by its user, whom we have verified.
	SenderVerified
)

var kindNames = [...]string{"UnknownDevice", "DeviceInfo", "VerificationViolation", "SenderUnverified", "SenderVerified"}

// String is the name of the kind in matrix-sdk-crypto, and in everything we write.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "Kind(invalid)"
}

// Valid reports whether k is one of the five kinds.
func (k Kind) Valid() bool { return int(k) < len(kindNames) }

// Known reports whether the user and the master key are proved: the last three kinds. A known sender leaves the retry schedule.
func (k Kind) Known() bool { return k >= VerificationViolation && k.Valid() }

// ParseKind reads a name as String writes it, or the older SenderUnverifiedButPreviouslyVerified.
func ParseKind(name string) (Kind, bool) {
	if name == "SenderUnverifiedButPreviouslyVerified" {
		return VerificationViolation, true
	}
	for i, known := range kindNames {
		if name == known {
			return Kind(i), true
		}
	}
	return 0, false
}

// Data is who sent a room key, as known at one moment.
type Data struct {
	Kind Kind
	// OwnerCheckFailed marks an UnknownDevice of which it is known that its keys prove nothing. Only ever set for UnknownDevice.
	OwnerCheckFailed bool
	UserID           ids.UserID   // whose device it is; empty for UnknownDevice
	DeviceID         ids.DeviceID // which device; may be empty for known senders written by older versions
	MasterKey        keys.Ed25519 // the user's master key then; zero unless Kind.Known
}

// Rank is the number by which sender data compare, 0 to 4. Nothing else takes part: two users' data can be equally good.
func (d Data) Rank() int { return int(d.Kind) }

// Compare is negative when d is known less well than other, positive when better, 0 when as well.
func (d Data) Compare(other Data) int { return int(d.Kind) - int(other.Kind) }

// SamePin reports whether both are known to be from the same user under the same master key.
func (d Data) SamePin(other Data) bool {
	return d.Kind.Known() && other.Kind.Known() && d.UserID == other.UserID && d.MasterKey == other.MasterKey
}
