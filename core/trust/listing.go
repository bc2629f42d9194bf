package trust

import (
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// Who lists a key? The Index answers everything by user, because a key proves nothing by itself. This one question goes the other way round: for
// keys of which nothing is proved anyway and which name no user, those that files and backups claim. It is made when it is first asked, and
// kept from then on, so that an answer costs the same whatever is stored.

// listing is the users by the identity keys of their devices.
type listing map[keys.Curve25519][]ids.UserID

func (l listing) add(p *person) {
	for at := range p.devices {
		key := p.devices[at].curve25519
		if !slices.Contains(l[key], p.id) {
			l[key] = append(l[key], p.id)
		}
	}
}

func (l listing) remove(p *person) {
	for at := range p.devices {
		key := p.devices[at].curve25519
		if rest := slices.DeleteFunc(l[key], func(user ids.UserID) bool { return user == p.id }); len(rest) > 0 {
			l[key] = rest
		} else {
			delete(l, key)
		}
	}
}

// WhoLists is the device of each user who lists that identity key, in byte order of the users: none, one, or several who contradict each other
// (T15).
func (x *Index) WhoLists(curve keys.Curve25519) []Device {
	if x.listing == nil {
		x.listing = make(listing, len(x.users))
		for _, p := range x.users {
			x.listing.add(p)
		}
	}
	users := x.listing[curve]
	devices := make([]Device, 0, len(users))
	for _, user := range slices.Sorted(slices.Values(users)) {
		if device, found := x.DeviceByCurve(user, curve); found {
			devices = append(devices, device)
		}
	}
	return devices
}
