package trust

import (
	"bytes"
	"cmp"
	"sort"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// finishing is an application whose checks have been answered.
type finishing struct {
	*Application
	results  []bool
	change   *Change
	problems problems

	standing    standing     // of our own identity afterwards
	userSigning keys.Ed25519 // ours afterwards
	ownSlot     int          // current, or proposed when our identity is replaced
}

// Finish decides, given the answers to Checks in their order, and changes nothing: the Change takes effect by its commit and Apply. A missing
// answer counts as no. The Index must be as it was for Prepare; device lists may have been marked outdated meanwhile.
func (app *Application) Finish(results []bool) *Change {
	x := app.index
	f := &finishing{
		Application: app,
		results:     results,
		change:      &Change{Records: make(map[ids.UserID]*UserRecord), sequence: app.sequence},
		problems:    app.problems.clone(),
		standing:    x.standing(),
		userSigning: x.userSigning,
	}
	if app.own != nil {
		// Our own identity first: whom we vouch for depends on it.
		f.settle(app.own)
		if row := f.change.Records[x.own.UserID]; row != nil {
			f.standing = standingOf(row)
			if row.Identity != nil {
				f.userSigning = row.Identity.UserSigning.Key
			}
		}
	}
	for _, w := range app.others {
		f.settle(w)
	}
	f.change.Verifications = x.verifications(f.change.Records)
	f.change.said = f.unproblematic()
	f.change.Problems = f.problems.all()
	// sort.Slice: of slices.SortFunc the program would have one more of some kilobytes for every type of element.
	devices, identities := f.change.Devices, f.change.Identities
	sort.Slice(devices, func(i, j int) bool {
		a, b := &devices[i], &devices[j]
		return cmp.Or(cmp.Compare(a.UserID, b.UserID), cmp.Compare(a.DeviceID, b.DeviceID)) < 0
	})
	sort.Slice(identities, func(i, j int) bool { return identities[i].UserID < identities[j].UserID })
	return f.change
}

func (f *finishing) held(q question) bool {
	return q == granted || q >= 0 && int(q) < len(f.results) && f.results[q]
}

// settle makes the user's new row, if there is to be one, and names the differences.
func (f *finishing) settle(w *work) {
	x, own := f.index, w.user == f.index.own.UserID
	row := x.rowOf(w.user, map[ids.UserID]*UserRecord{w.user: w.stored})
	different := false

	identity, slot := f.settleIdentity(w)
	if own && slot == proposed {
		f.ownSlot = proposed
	}
	if identity != row.Identity {
		row.Identity, different = identity, true
	}

	if w.devices != nil {
		devices, changed := f.settleDevices(w, row, slot)
		row.Devices, different = devices, different || changed
	}

	if w.answered != nil {
		f.change.answered = append(f.change.answered, w.user)
		// A row that is outdated where the index is not was marked by another tab, perhaps after the server was asked.
		p := x.users[w.user]
		elsewhere := row.Outdated && (p == nil || p.flags&outdated == 0)
		if w.answered.listed && !w.answered.refused && f.sequence != 0 && !elsewhere {
			f.change.refreshed = append(f.change.refreshed, w.user)
			if row.Outdated && row.Tracked && p.invalidated < f.sequence {
				row.Outdated, different = false, true
			}
		}
	}
	if !different {
		return
	}
	if w.answered != nil {
		row.AnswerSequence = max(row.AnswerSequence, f.sequence)
	}
	f.change.Records[w.user] = row
}

// settleIdentity is the rest of steps B to D. It returns the stored identity itself when nothing about it is different.
func (f *finishing) settleIdentity(w *work) (identity *IdentityRecord, slot int) {
	own := w.user == f.index.own.UserID
	var old *IdentityRecord
	if w.stored != nil {
		old = w.stored.Identity
	}
	var next IdentityRecord
	if old != nil {
		next = *old
	}
	if p := w.proposal; p != nil {
		switch {
		case !f.held(p.selfSigned):
			f.problems.add(Problem{UserID: w.user, Key: RoleSelfSigning, Code: CodeIdentitySignatureInvalid})
		case !f.held(p.userSigned):
			f.problems.add(Problem{UserID: w.user, Key: RoleUserSigning, Code: CodeIdentitySignatureInvalid})
		default:
			slot = proposed
			next.Master, next.SelfSigning, next.UserSigning = clone(p.master), clone(p.selfSigning), clone(p.userSigning)
		}
	}
	if old == nil && slot == current {
		return nil, current
	}
	if !own {
		if next.Pinned == (keys.Ed25519{}) {
			next.Pinned = next.Master.Key
		}
		asked := w.signed[slot][f.ownSlot]
		next.SignedByUs, next.JudgedBy = f.held(asked), f.userSigning
		if !next.SignedByUs && asked != absent {
			f.problems.add(Problem{UserID: w.user, Key: RoleMaster, Code: CodeUserSignatureInvalid})
		}
		if f.standing.of(vouchedFor(next.SignedByUs, next.JudgedBy, f.userSigning), false) == Verified {
			next.PreviouslyVerified = true
		}
	}
	if old != nil && slot == current && next.JudgedBy == old.JudgedBy && next.SignedByUs == old.SignedByUs && next.PreviouslyVerified == old.PreviouslyVerified {
		return old, current
	}
	if kind := identityKind(old, &next); kind != 0 {
		before, _ := f.index.Identity(w.user)
		row := &UserRecord{UserID: w.user, Identity: &next}
		if own {
			row.WasVerified = f.index.wasVerified
		}
		f.change.Identities = append(f.change.Identities, IdentityChange{UserID: w.user, Kind: kind, Before: before, After: f.index.identityOf(row, f.userSigning)})
	}
	return &next, slot
}

// identityKind is what happened to the keys, 0 when they are the same.
func identityKind(old, next *IdentityRecord) ChangeKind {
	switch {
	case old == nil:
		return New
	case old.Master.Key != next.Master.Key || old.SelfSigning.Key != next.SelfSigning.Key || old.UserSigning.Key != next.UserSigning.Key:
		return Changed
	}
	return 0
}

// settleDevices is the rest of steps E to H. The second result says whether the stored list is different.
func (f *finishing) settleDevices(w *work, row *UserRecord, slot int) (devices []DeviceRecord, different bool) {
	var selfSigning keys.Ed25519
	if row.Identity != nil {
		selfSigning = row.Identity.SelfSigning.Key
	}
	refuse := func(id ids.DeviceID, code string) {
		f.problems.add(Problem{UserID: w.user, DeviceID: id, Code: code})
	}
	devices = make([]DeviceRecord, 0, len(w.devices))
	for n := range w.devices {
		d := &w.devices[n]
		kept := d.stored
		if d.fresh != nil {
			if f.held(d.selfSigned) {
				kept = d.fresh
			} else {
				refuse(d.id, CodeDeviceSignatureInvalid)
			}
		}
		if kept == nil {
			continue
		}
		if spellsKey(d.id, row.Identity, w.answered) {
			refuse(d.id, CodeDeviceIDIsKey)
			continue
		}
		record := kept.record
		if kept == d.fresh {
			record.Raw = bytes.Clone(record.Raw) // not the whole answer with it
		}
		cross := kept.cross[slot]
		record.CrossSigned, record.JudgedBy = cross.outcome.Resolve(f.held(cross.check)), selfSigning
		if record.CrossSigned == CrossSignatureWrong && (d.stored == nil || d.stored.record.CrossSigned != CrossSignatureWrong) {
			refuse(d.id, CodeCrossSignatureInvalid)
		}
		devices = append(devices, record)
		if kept == d.fresh || record.JudgedBy != kept.record.JudgedBy || record.CrossSigned != kept.record.CrossSigned {
			different = true
		}
	}
	var old []DeviceRecord
	if w.stored != nil {
		old = w.stored.Devices
	}
	f.nameDevices(w.user, old, devices)
	different = different || len(devices) != len(old)
	return devices, different
}

// nameDevices names the differences between two lists in ascending order.
func (f *finishing) nameDevices(user ids.UserID, old, next []DeviceRecord) {
	for len(old) > 0 || len(next) > 0 {
		switch {
		case len(next) == 0 || len(old) > 0 && old[0].DeviceID < next[0].DeviceID:
			gone := old[0].device(user)
			f.change.Devices = append(f.change.Devices, DeviceChange{UserID: user, DeviceID: gone.DeviceID, Curve25519: gone.Curve25519, Kind: Removed, Before: gone})
			old = old[1:]
		case len(old) == 0 || next[0].DeviceID < old[0].DeviceID:
			come := next[0].device(user)
			f.change.Devices = append(f.change.Devices, DeviceChange{UserID: user, DeviceID: come.DeviceID, Curve25519: come.Curve25519, Kind: New, After: come})
			next = next[1:]
		default:
			if before, after := old[0].device(user), next[0].device(user); before != after {
				f.change.Devices = append(f.change.Devices, DeviceChange{UserID: user, DeviceID: after.DeviceID, Curve25519: after.Curve25519, Kind: Changed, Before: before, After: after})
			}
			old, next = old[1:], next[1:]
		}
	}
}

// device is the record as the Index shows it.
func (d *DeviceRecord) device(user ids.UserID) Device {
	return Device{UserID: user, DeviceID: d.DeviceID, Curve25519: d.Curve25519, Ed25519: d.Ed25519, Dehydrated: d.Dehydrated, CrossSigned: d.CrossSigned}
}

// spellsKey is step F: a device called like a cross-signing key of its user would share a label with it in every signatures object (T10,
// scenario 153).
func spellsKey(id ids.DeviceID, identity *IdentityRecord, of *answered) bool {
	if len(id) != keyTextLength {
		return false
	}
	if identity != nil {
		for _, key := range [...]KeyRecord{identity.Master, identity.SelfSigning, identity.UserSigning} {
			if len(key.Raw) != 0 && key.Key.String() == string(id) {
				return true
			}
		}
	}
	if of == nil {
		return false
	}
	// Other users' user-signing keys are not kept; some servers list them all the same.
	for role := RoleMaster; role <= RoleUserSigning; role++ {
		if raw := of.keys[role].raw; raw != nil {
			if key, err := parseKey(raw, role); err == nil && key.UserID == of.user && key.Key.String() == string(id) {
				return true
			}
		}
	}
	return false
}

func clone(key KeyRecord) KeyRecord { return KeyRecord{Key: key.Key, Raw: bytes.Clone(key.Raw)} }

// identityOf is a row's identity as the Index would show it, under this user-signing key of ours.
func (x *Index) identityOf(row *UserRecord, userSigning keys.Ed25519) Identity {
	i := row.Identity
	if row.UserID == x.own.UserID {
		return Identity{Master: i.Master.Key, SelfSigning: i.SelfSigning.Key, UserSigning: i.UserSigning.Key, PreviouslyVerified: row.WasVerified}
	}
	return Identity{
		Master:             i.Master.Key,
		SelfSigning:        i.SelfSigning.Key,
		Pinned:             i.Pinned,
		PreviouslyVerified: i.PreviouslyVerified,
		SignedByUs:         vouchedFor(i.SignedByUs, i.JudgedBy, userSigning),
	}
}

// verifications compares how we stand to everybody now with how we stand once records are taken over.
func (x *Index) verifications(records map[ids.UserID]*UserRecord) []VerificationChange {
	stands, userSigning := x.standing(), x.userSigning
	if own := records[x.own.UserID]; own != nil {
		stands, userSigning = standingOf(own), keys.Ed25519{}
		if own.Identity != nil {
			userSigning = own.Identity.UserSigning.Key
		}
	}
	var changes []VerificationChange
	compare := func(user ids.UserID, master keys.Ed25519, after Verification) {
		if before := x.Verification(user); before != after {
			changes = append(changes, VerificationChange{UserID: user, Master: master, Before: before, After: after})
		}
	}
	for user, row := range records {
		switch i := row.Identity; {
		case i == nil:
		case user == x.own.UserID:
			compare(user, i.Master.Key, stands.own())
		default:
			compare(user, i.Master.Key, stands.of(vouchedFor(i.SignedByUs, i.JudgedBy, userSigning), i.PreviouslyVerified))
		}
	}
	if records[x.own.UserID] == nil {
		return sortedByUser(changes) // only with our own identity do we stand otherwise to those whose row stays
	}
	for user, p := range x.users {
		if records[user] != nil || user == x.own.UserID {
			continue
		}
		compare(user, p.master, stands.of(p.vouchedFor(userSigning), p.flags&previouslyVerified != 0))
	}
	return sortedByUser(changes)
}

func sortedByUser(changes []VerificationChange) []VerificationChange {
	sort.Slice(changes, func(i, j int) bool { return changes[i].UserID < changes[j].UserID })
	return changes
}
