package trust

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// Own is this device: who we are, and the keys our account has.
type Own struct {
	UserID     ids.UserID
	DeviceID   ids.DeviceID
	Curve25519 keys.Curve25519
	Ed25519    keys.Ed25519
}

// Index answers from memory what the stored rows say. It holds keys and verdicts, not JSON: below 300 bytes a device, the user's identity
// included. Looking up allocates nothing.
type Index struct {
	own   Own
	users map[ids.UserID]*person

	// Of our own identity; the rest of it is in our own person.
	userSigning   keys.Ed25519
	trustedMaster keys.Ed25519
	wasVerified   bool

	listing  listing // nil until somebody asks, see WhoLists
	sequence Sequence
	changes  uint64
	judges   []*keys.Ed25519 // user-signing keys that persons point to; nearly always one
}

// person is what the Index knows of one user. It is replaced whole, never changed in place, except for the two sequences.
type person struct {
	id          ids.UserID
	devices     []device // ascending by id
	byCurve     []uint16 // positions in devices, ascending by curve25519 key; nil for short lists, which are searched one by one
	master      keys.Ed25519
	selfSigning keys.Ed25519
	pinned      *keys.Ed25519 // nil: the same as master, or none for our own user
	judgedBy    *keys.Ed25519 // our user-signing key that signed master, whichever was ours then; nil: none did
	applied     Sequence      // newest request whose answer was applied
	invalidated Sequence      // newest invalidation of the device list
	said        digest        // of the newest answer, if it would change nothing when it came again
	flags       personFlags
}

type personFlags uint8

const (
	hasIdentity personFlags = 1 << iota
	previouslyVerified
	tracked
	outdated
	hasRow // there is a stored row; only our own user can be without
)

type device struct {
	id          ids.DeviceID
	curve25519  keys.Curve25519
	ed25519     keys.Ed25519
	dehydrated  bool
	crossSigned CrossSignature
}

// maxDevices is the most devices a user can have in an Index: positions have two bytes.
const maxDevices = 1<<16 - 1

// shortList is the longest device list that is searched for a curve key one by one.
const shortList = 8

// NewIndex returns an Index that knows nobody yet. Load fills it.
func NewIndex(own Own) *Index {
	x := &Index{own: own, users: make(map[ids.UserID]*person)}
	x.users[own.UserID] = &person{id: own.UserID, flags: tracked | outdated}
	return x
}

// Load takes over a stored row, replacing what is known of that user. Rows may come in any order. The error is a *RecordError; the user is
// then as before.
func (x *Index) Load(record *UserRecord) error {
	if err := record.Validate(); err != nil {
		return err
	}
	x.put(record)
	return nil
}

// Own is this device.
func (x *Index) Own() Own { return x.own }

// Device is the device of that user and id.
func (x *Index) Device(user ids.UserID, id ids.DeviceID) (Device, bool) {
	p := x.users[user]
	if p == nil {
		return Device{}, false
	}
	at, found := p.find(id)
	if !found {
		return Device{}, false
	}
	return p.device(at), true
}

// DeviceByCurve is the device of that user with that identity key. Only this user's devices are looked at: the same key under another user
// is another matter (T14, T15, scenario 45). When a user lists one key under several ids, the first id in byte order answers.
func (x *Index) DeviceByCurve(user ids.UserID, curve keys.Curve25519) (Device, bool) {
	p := x.users[user]
	if p == nil {
		return Device{}, false
	}
	if p.byCurve == nil {
		for at := range p.devices {
			if p.devices[at].curve25519 == curve {
				return p.device(at), true
			}
		}
		return Device{}, false
	}
	low, high := 0, len(p.byCurve)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if compareKeys(&p.devices[p.byCurve[middle]].curve25519, &curve) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(p.byCurve) && p.devices[p.byCurve[low]].curve25519 == curve {
		return p.device(int(p.byCurve[low])), true
	}
	return Device{}, false
}

// Devices is every device of the user, ascending by id.
func (x *Index) Devices(user ids.UserID) iter.Seq[Device] {
	return func(yield func(Device) bool) {
		p := x.users[user]
		if p == nil {
			return
		}
		for at := range p.devices {
			if !yield(p.device(at)) {
				return
			}
		}
	}
}

// Identity is the user's cross-signing identity.
func (x *Index) Identity(user ids.UserID) (Identity, bool) {
	p := x.users[user]
	if p == nil || p.flags&hasIdentity == 0 {
		return Identity{}, false
	}
	return x.identity(p), true
}

// Users is everybody with a row, in no order.
func (x *Index) Users() iter.Seq[ids.UserID] {
	return func(yield func(ids.UserID) bool) {
		for user, p := range x.users {
			if p.flags&hasRow != 0 && !yield(user) {
				return
			}
		}
	}
}

// Counts is how many users and devices are known.
func (x *Index) Counts() (users, devices int) {
	for _, p := range x.users {
		if p.flags&hasRow != 0 {
			users, devices = users+1, devices+len(p.devices)
		}
	}
	return users, devices
}

func (p *person) find(id ids.DeviceID) (at int, found bool) {
	low, high := 0, len(p.devices)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if p.devices[middle].id < id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(p.devices) && p.devices[low].id == id
}

func (p *person) device(at int) Device {
	d := &p.devices[at]
	return Device{UserID: p.id, DeviceID: d.id, Curve25519: d.curve25519, Ed25519: d.ed25519, Dehydrated: d.dehydrated, CrossSigned: d.crossSigned}
}

func (x *Index) identity(p *person) Identity {
	identity := Identity{
		Master:             p.master,
		SelfSigning:        p.selfSigning,
		PreviouslyVerified: p.flags&previouslyVerified != 0,
		SignedByUs:         p.vouchedFor(x.userSigning),
	}
	if p.id == x.own.UserID {
		identity.UserSigning = x.userSigning
		identity.PreviouslyVerified = x.wasVerified
		return identity
	}
	identity.Pinned = p.master
	if p.pinned != nil {
		identity.Pinned = *p.pinned
	}
	return identity
}

// put replaces what is known of the record's user.
func (x *Index) put(r *UserRecord) {
	old := x.users[r.UserID]
	p := &person{applied: r.AnswerSequence, flags: hasRow}

	// One string holds the user's id and all device ids: the record's own strings may be parts of something much larger.
	var names strings.Builder
	length := len(r.UserID)
	for n := range r.Devices {
		length += len(r.Devices[n].DeviceID)
	}
	names.Grow(length)
	names.WriteString(string(r.UserID))
	for n := range r.Devices {
		names.WriteString(string(r.Devices[n].DeviceID))
	}
	text := names.String()
	p.id, text = ids.UserID(text[:len(r.UserID)]), text[len(r.UserID):]

	p.devices = make([]device, len(r.Devices))
	for n := range r.Devices {
		d := &r.Devices[n]
		p.devices[n] = device{curve25519: d.Curve25519, ed25519: d.Ed25519, dehydrated: d.Dehydrated, crossSigned: d.CrossSigned}
		p.devices[n].id, text = ids.DeviceID(text[:len(d.DeviceID)]), text[len(d.DeviceID):]
	}
	if len(p.devices) > shortList {
		p.byCurve = make([]uint16, len(p.devices))
		for n := range p.byCurve {
			p.byCurve[n] = uint16(n)
		}
		slices.SortFunc(p.byCurve, func(a, b uint16) int {
			return cmp.Or(compareKeys(&p.devices[a].curve25519, &p.devices[b].curve25519), cmp.Compare(a, b))
		})
	}

	if i := r.Identity; i != nil {
		p.flags |= hasIdentity
		p.master, p.selfSigning = i.Master.Key, i.SelfSigning.Key
		if i.Pinned != i.Master.Key && i.Pinned != (keys.Ed25519{}) {
			pinned := i.Pinned
			p.pinned = &pinned
		}
		if i.PreviouslyVerified {
			p.flags |= previouslyVerified
		}
		if i.SignedByUs {
			p.judgedBy = x.judge(i.JudgedBy)
		}
	}
	if r.Tracked {
		p.flags |= tracked
	} else if r.UserID == x.own.UserID {
		p.flags |= tracked | outdated // always tracked, whatever the row says, and never asked for until the row says so
	}
	if r.Outdated {
		p.flags |= outdated
	}
	if old != nil {
		p.applied = max(p.applied, old.applied)
		p.invalidated = old.invalidated
	}
	x.sequence = max(x.sequence, r.AnswerSequence)

	if r.UserID == x.own.UserID {
		x.trustedMaster, x.wasVerified = r.TrustedMaster, r.WasVerified
		x.userSigning = keys.Ed25519{}
		if r.Identity != nil {
			x.userSigning = r.Identity.UserSigning.Key
		}
	}
	if x.listing != nil {
		if old != nil {
			x.listing.remove(old)
		}
		x.listing.add(p)
	}
	delete(x.users, r.UserID) // the map would keep the key it has: the old string, and with it the old list of names
	x.users[p.id] = p
}

// judge is the one pointer to this key.
func (x *Index) judge(key keys.Ed25519) *keys.Ed25519 {
	for _, known := range x.judges {
		if *known == key {
			return known
		}
	}
	known := key
	x.judges = append(x.judges, &known)
	return &known
}

func compareKeys(a, b *keys.Curve25519) int {
	for n := range a {
		if a[n] != b[n] {
			return int(a[n]) - int(b[n])
		}
	}
	return 0
}
