package sharing

import (
	"slices"
	"strings"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/trust"
)

// Holder is a device that can hold a key: under another id, or with another key of its own, it is another.
type Holder struct {
	UserID     ids.UserID
	DeviceID   ids.DeviceID
	Curve25519 keys.Curve25519
}

// HolderOf is the device as a holder.
func HolderOf(d *trust.Device) Holder { return Holder{d.UserID, d.DeviceID, d.Curve25519} }

// Share says that a device has the key of a session, or may have it.
type Share struct {
	Holder
	Index uint32 // the first message it can read
	Sent  bool   // the server has taken the message with the key; before that nobody knows whether it will
}

// Session is what counts of a session in use. Its settings are clamped.
type Session struct {
	CreatedAt int64  // milliseconds since 1970
	Messages  uint32 // encrypted with it
	Settings  Settings
}

// Reason is why a session must not be used any longer. The empty one is that it may.
type Reason string

// The reasons.
const (
	Messages   Reason = "messages"    // it was used for as many as it may
	Time       Reason = "time"        // it is as old as it may become, or is from the future
	Changed    Reason = "settings"    // how the room is encrypted has changed, or who may read its history
	UserLeft   Reason = "user_left"   // somebody has the key who is not in the room any more
	DeviceGone Reason = "device_gone" // a device has the key that is deleted, has other keys now, or is not to have ours any more
)

// Expired says whether the session was used long enough, by the settings it was made under.
func (s *Session) Expired(now int64) Reason {
	switch age := now - s.CreatedAt; {
	case s.Messages >= s.Settings.RotationMessages:
		return Messages
	case age < 0 || age >= s.Settings.RotationPeriod:
		return Time
	}
	return ""
}

// Rotation says whether another session is to be made before the key is shared with r, which was collected of users. settings are
// clamped; shares is who has the key, or
// may have it.
func (s *Session) Rotation(now int64, settings Settings, users []ids.UserID, r *Recipients, shares []Share) Reason {
	if reason := s.Expired(now); reason != "" {
		return reason
	}
	// Another strategy is no reason of its own: if it is stricter, those who have the key and should not are.
	made := s.Settings
	made.Strategy = settings.Strategy
	if made != settings {
		return Changed
	}
	present := make(map[ids.UserID]bool, len(users))
	for _, user := range users {
		present[user] = true
	}
	for i := range shares {
		share := &shares[i]
		if !present[share.UserID] {
			return UserLeft
		}
		at, found := slices.BinarySearchFunc(r.Devices, share, func(d trust.Device, s *Share) int {
			if order := strings.Compare(string(d.UserID), string(s.UserID)); order != 0 {
				return order
			}
			return strings.Compare(string(d.DeviceID), string(s.DeviceID))
		})
		if !found || share.Holder != HolderOf(&r.Devices[at]) {
			return DeviceGone
		}
	}
	return ""
}
