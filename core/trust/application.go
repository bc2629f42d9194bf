package trust

import (
	"bytes"
	"maps"
	"slices"
	"sort"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
)

// How an answer is applied. For each user in it, our own first:
//
//	A  the server could be asked, and no later answer was applied         else nothing changes
//	B  identity: master and self-signing key present, each of the form
//	   and user id of its place, self-signing key signed by the master
//	   key; for our own user the user-signing key likewise                 else the stored identity stays
//	C  our user-signing key signed the master key, or did not              absence and wrongness alike mean "did not"
//	D  pin: the first master key stays pinned. Latch: set when the user
//	   is verified now, never cleared
//	E  each device: form; ids those of its place; a known device keeps
//	   its ed25519 key; this device has our keys; its own signature holds  else the stored device stays
//	F  its id spells no cross-signing key of its user                      else the device goes
//	G  cross-signature: absent, by another key, wrong, valid; against the
//	   self-signing key that step B leaves in force
//	H  devices that are stored and not listed go; this device stays
//
// What was decided before is not decided again: JSON equal to the stored JSON, byte for byte, keeps its verdicts as long as the key they were
// made with is the same. So an answer that brings nothing new asks for no signature check.
//
// Whether a proposed key is accepted is known only when the checks are answered. So everything that depends on it is asked for twice, with
// the key in force and with the proposed one, and Finish picks.

// Application is an answer on its way in: prepared against an Index and the stored rows, waiting for its checks.
type Application struct {
	// Checks are the signatures to verify, in any engine, all at once. Strict holds for each of them.
	Checks []keys.Check

	index    *Index
	sequence Sequence
	own      *work // our own user's, nil when the answer says nothing of us
	others   []*work
	problems problems
}

// question is an answer that is awaited: a position in Checks, or one of the constants.
type question int32

const (
	absent  question = -1 - iota // there is no signature to ask about
	broken                       // there is something in its place that cannot be right
	granted                      // it held before, and nothing changed
)

// work is what is to be decided about one user.
type work struct {
	user     ids.UserID
	stored   *UserRecord // nil: no row yet
	answered *answered   // nil: only step C is to be taken again, because our own keys may change
	proposal *proposal   // nil: the identity stays
	devices  []deviceWork
	signed   [2][2]question // step C by slot of their identity and slot of ours
}

// Slots: what is in force, and what the answer proposes.
const (
	current  = 0
	proposed = 1
)

// proposal is an identity that takes the stored one's place if its signatures hold.
type proposal struct {
	master, selfSigning, userSigning KeyRecord
	masterKey                        *CrossSigningKey
	selfSigned, userSigned           question
}

// deviceWork is what is to be decided about one device: whether fresh replaces stored. Either may be nil.
type deviceWork struct {
	id         ids.DeviceID
	fresh      *version
	stored     *version
	selfSigned question // over fresh
}

// version is one content of a device and its cross-signature by slot of the identity.
type version struct {
	record DeviceRecord
	cross  [2]judgement
}

type judgement struct {
	outcome CrossSignature
	check   question // when the outcome is CrossSignatureUnchecked
}

// NeedsAll says that the answer proposes other keys for our own identity. Then whom we signed, and whom we had verified, is asked again of
// everybody, and Prepare needs every stored row.
func (x *Index) NeedsAll(a *Answer) bool {
	of := a.of(x.own.UserID)
	if of == nil {
		return false
	}
	differs := func(role Role, from keys.Ed25519) bool {
		if of.keys[role].refused {
			return false
		}
		key, err := parseKey(of.keys[role].raw, role)
		return err == nil && key.Key != from
	}
	var master keys.Ed25519
	if p := x.users[x.own.UserID]; p != nil {
		master = p.master
	}
	return differs(RoleMaster, master) || differs(RoleUserSigning, x.userSigning)
}

// Prepare decides what can be decided without checking signatures, and lists those to check. sequence is that of the request the answer
// answers, 0 when it came from outside. stored holds the rows of all users in the answer that have one, and every row there is when NeedsAll
// says so. Neither the Index nor the rows are changed. The error is an *ApplicationError with code record_missing, for our own row.
func (x *Index) Prepare(a *Answer, sequence Sequence, stored map[ids.UserID]*UserRecord) (*Application, error) {
	app := &Application{index: x, sequence: sequence, problems: a.problems.clone()}
	if of := a.of(x.own.UserID); of != nil && app.welcome(a, of) {
		if err := x.needOwn(stored); err != nil {
			return nil, err
		}
		app.own = app.begin(of, stored[of.user])
	}
	ownProposal := app.own != nil && app.own.proposal != nil
	worked := make(map[ids.UserID]bool, len(a.users))
	for _, of := range a.users {
		if of.user == x.own.UserID || !app.welcome(a, of) {
			continue
		}
		if worked[of.user] = true; app.missing(of.user, stored) {
			continue
		}
		app.others = append(app.others, app.begin(of, stored[of.user]))
	}
	if ownProposal && x.changesOwn(app.own.proposal) {
		// Everybody's signature by us is asked again, also of those whom the answer does not mention. Whose row is missing is no longer vouched
		// for: the stored verdict is one under another key.
		for _, user := range slices.Sorted(maps.Keys(x.users)) {
			if user != x.own.UserID && !worked[user] && x.users[user].flags&hasIdentity != 0 && !app.missing(user, stored) {
				app.others = append(app.others, &work{user: user, stored: stored[user]})
			}
		}
	}
	var next keys.Ed25519
	if ownProposal {
		next = app.own.proposal.userSigning.Key
	}
	for _, w := range app.others {
		app.askUserSigning(w, x.userSigning, ownProposal, next)
	}
	return app, nil
}

// changesOwn says that a proposal for our own identity would change whom we vouch for.
func (x *Index) changesOwn(p *proposal) bool {
	return p.master.Key != x.users[x.own.UserID].master || p.userSigning.Key != x.userSigning
}

// missing is Index.missing, said aloud.
func (app *Application) missing(user ids.UserID, stored map[ids.UserID]*UserRecord) bool {
	if !app.index.missing(user, stored) {
		return false
	}
	app.problems.add(Problem{UserID: user, Code: CodeRecordMissing})
	return true
}

// welcome is step A.
func (app *Application) welcome(a *Answer, of *answered) bool {
	x := app.index
	// Our own server answers this very request: it cannot have failed to be asked.
	if a.failed(of.user) && of.user.Server() != x.own.UserID.Server() {
		app.problems.add(Problem{UserID: of.user, Code: CodeServerFailed})
		return false
	}
	if p := x.users[of.user]; app.sequence != 0 && p != nil && p.applied > app.sequence {
		app.problems.add(Problem{UserID: of.user, Code: CodeStaleAnswer})
		return false
	}
	return true
}

// begin takes the part of the steps that needs no answers.
func (app *Application) begin(of *answered, stored *UserRecord) *work {
	w := &work{user: of.user, stored: stored, answered: of}
	app.propose(w)
	app.beginDevices(w)
	return w
}

// propose is step B as far as the master key.
func (app *Application) propose(w *work) {
	of, own := w.answered, w.user == app.index.own.UserID
	given := func(role Role) bool { return of.keys[role].raw != nil }
	if !given(RoleMaster) && !given(RoleSelfSigning) && !(own && given(RoleUserSigning)) {
		return // scenario 151: what is not mentioned stays
	}
	var old IdentityRecord
	if w.stored != nil && w.stored.Identity != nil {
		old = *w.stored.Identity
	}
	unchanged := func(role Role, from KeyRecord) bool { return given(role) && bytes.Equal(of.keys[role].raw, from.Raw) }
	if unchanged(RoleMaster, old.Master) && unchanged(RoleSelfSigning, old.SelfSigning) && (!own || unchanged(RoleUserSigning, old.UserSigning)) {
		return
	}
	if of.keys[RoleMaster].refused || of.keys[RoleSelfSigning].refused || own && of.keys[RoleUserSigning].refused {
		return // named when the answer was taken apart
	}
	refuse := func(role Role, code, message string) {
		app.problems.add(Problem{UserID: w.user, Key: role, Code: code, Message: message})
	}
	switch {
	case !given(RoleMaster):
		refuse(RoleMaster, CodeIdentityIncomplete, "")
		return
	case !given(RoleSelfSigning):
		refuse(RoleSelfSigning, CodeIdentityIncomplete, "")
		return
	case own && !given(RoleUserSigning):
		refuse(RoleUserSigning, CodeOwnIdentityWithoutUSK, "")
		return
	}
	read := func(role Role) *CrossSigningKey {
		key, err := parseKey(of.keys[role].raw, role)
		if err != nil {
			refuse(role, codeOf(err, CodeBadCrossSigningKey), err.Error())
			return nil
		}
		if key.UserID != w.user {
			refuse(role, CodeIdentityUserMismatch, "")
			return nil
		}
		return key
	}
	master := read(RoleMaster)
	if master == nil {
		return
	}
	p := &proposal{masterKey: master, master: KeyRecord{Key: master.Key, Raw: of.keys[RoleMaster].raw}}
	// signed asks whether the master key signed key; what it signed before, it signed.
	signed := func(key *CrossSigningKey, from KeyRecord) (question, bool) {
		if master.Key == old.Master.Key && unchanged(key.Role, from) {
			return granted, true
		}
		check, present, err := key.SignatureBy(w.user, master.Key)
		switch {
		case err != nil:
			refuse(key.Role, codeOf(err, CodeIdentitySignatureInvalid), err.Error())
			return broken, false
		case !present:
			refuse(key.Role, CodeIdentitySignatureMissing, "")
			return absent, false
		}
		return app.ask(check), true
	}
	key := read(RoleSelfSigning)
	if key == nil {
		return
	}
	p.selfSigning = KeyRecord{Key: key.Key, Raw: of.keys[RoleSelfSigning].raw}
	var ok bool
	if p.selfSigned, ok = signed(key, old.SelfSigning); !ok {
		return
	}
	if own {
		if key = read(RoleUserSigning); key == nil {
			return
		}
		p.userSigning = KeyRecord{Key: key.Key, Raw: of.keys[RoleUserSigning].raw}
		if p.userSigned, ok = signed(key, old.UserSigning); !ok {
			return
		}
	} else {
		p.userSigned = granted
	}
	w.proposal = p
}

// beginDevices is steps E and H, and lists the checks of step G.
func (app *Application) beginDevices(w *work) {
	of, x := w.answered, app.index
	replaced := of.listed && !of.refused
	if !replaced && w.proposal == nil || w.stored == nil && !replaced {
		return
	}
	w.devices = make([]deviceWork, 0, len(of.devices))
	if !replaced {
		for n := range w.stored.Devices {
			w.devices = append(w.devices, deviceWork{id: w.stored.Devices[n].DeviceID, stored: app.again(w, &w.stored.Devices[n])})
		}
		return
	}
	ownListed := false
	for n := range of.devices {
		listed := &of.devices[n]
		d := deviceWork{id: listed.id, selfSigned: absent}
		if stored := w.stored.device(listed.id); stored != nil {
			d.stored = app.again(w, stored)
		}
		if !listed.refused && (d.stored == nil || !bytes.Equal(d.stored.record.Raw, listed.raw)) {
			app.examine(w, listed, &d)
		}
		ownListed = ownListed || app.isOwn(w.user, d.id)
		w.devices = append(w.devices, d)
	}
	if w.user == x.own.UserID && !ownListed {
		app.problems.add(Problem{UserID: w.user, DeviceID: x.own.DeviceID, Code: CodeOwnDeviceMissing})
		if stored := w.stored.device(x.own.DeviceID); stored != nil {
			w.devices = append(w.devices, deviceWork{id: stored.DeviceID, stored: app.again(w, stored)})
			sort.Slice(w.devices, func(i, j int) bool { return w.devices[i].id < w.devices[j].id })
		}
	}
}

func (app *Application) isOwn(user ids.UserID, id ids.DeviceID) bool {
	return user == app.index.own.UserID && id == app.index.own.DeviceID
}

// examine is step E for a device whose content is new.
func (app *Application) examine(w *work, listed *answeredDevice, d *deviceWork) {
	refuse := func(code, message string) {
		app.problems.add(Problem{UserID: w.user, DeviceID: listed.id, Code: code, Message: message})
	}
	parsed, err := parseDevice(listed.raw)
	if err != nil {
		refuse(codeOf(err, CodeBadAnswer), err.Error())
		return
	}
	own := app.index.own
	switch {
	case parsed.UserID != w.user:
		refuse(CodeDeviceUserMismatch, "")
		return
	case parsed.DeviceID != listed.id:
		refuse(CodeDeviceIDMismatch, "")
		return
	case app.isOwn(w.user, listed.id) && (parsed.Ed25519 != own.Ed25519 || parsed.Curve25519 != own.Curve25519):
		refuse(CodeOwnDeviceMismatch, "")
		return
	case d.stored != nil && d.stored.record.Ed25519 != parsed.Ed25519:
		refuse(CodeDeviceKeyChanged, "")
		return
	}
	check, err := parsed.SelfCheck()
	if err != nil {
		refuse(codeOf(err, CodeDeviceSignatureMissing), err.Error())
		return
	}
	d.selfSigned = app.ask(check)
	d.fresh = &version{record: DeviceRecord{
		DeviceID:   parsed.DeviceID,
		Curve25519: parsed.Curve25519,
		Ed25519:    parsed.Ed25519,
		Dehydrated: parsed.Dehydrated,
		Raw:        listed.raw,
	}}
	now, next := selfSigningKeys(w)
	d.fresh.cross[current] = app.judge(parsed, now)
	d.fresh.cross[proposed] = d.fresh.cross[current]
	if next != now {
		d.fresh.cross[proposed] = app.judge(parsed, next)
	}
}

// again is a stored device as it stands, and as it would stand under a proposed self-signing key.
func (app *Application) again(w *work, stored *DeviceRecord) *version {
	v := &version{record: *stored}
	v.cross[current] = judgement{outcome: stored.CrossSigned}
	v.cross[proposed] = v.cross[current]
	if now, next := selfSigningKeys(w); next != now {
		v.cross[proposed] = judgement{outcome: CrossSignatureAbsent}
		if parsed, err := parseDevice(stored.Raw); err == nil {
			v.cross[proposed] = app.judge(parsed, next)
		}
	}
	return v
}

// selfSigningKeys is the user's self-signing key in force and the proposed one, which is the same when none is proposed.
func selfSigningKeys(w *work) (now, next keys.Ed25519) {
	if w.stored != nil && w.stored.Identity != nil {
		now = w.stored.Identity.SelfSigning.Key
	}
	if w.proposal == nil {
		return now, now
	}
	return now, w.proposal.selfSigning.Key
}

// judge begins step G.
func (app *Application) judge(device *DeviceKeys, selfSigning keys.Ed25519) judgement {
	check, outcome := device.SignatureBy(selfSigning)
	if outcome != CrossSignatureUnchecked {
		return judgement{outcome: outcome}
	}
	return judgement{outcome: outcome, check: app.ask(check)}
}

// askUserSigning begins step C: for the identity in force and the proposed one, under our user-signing key in force and the proposed one.
func (app *Application) askUserSigning(w *work, now keys.Ed25519, ownProposal bool, next keys.Ed25519) {
	w.signed = [2][2]question{{absent, absent}, {absent, absent}}
	ask := func(master *CrossSigningKey, key keys.Ed25519) question {
		if key == (keys.Ed25519{}) {
			return absent
		}
		check, present, err := master.SignatureBy(app.index.own.UserID, key)
		switch {
		case err != nil:
			return broken
		case !present:
			return absent
		}
		return app.ask(check)
	}
	under := func(slot int, key keys.Ed25519) {
		if w.stored != nil && w.stored.Identity != nil {
			old := w.stored.Identity
			switch {
			case old.JudgedBy == key && old.SignedByUs:
				w.signed[current][slot] = granted
			case old.JudgedBy == key:
				w.signed[current][slot] = absent // or wrong: it was said then
			default:
				if master, err := parseKey(old.Master.Raw, RoleMaster); err == nil {
					w.signed[current][slot] = ask(master, key)
				}
			}
			if w.proposal != nil && bytes.Equal(w.proposal.master.Raw, old.Master.Raw) {
				w.signed[proposed][slot] = w.signed[current][slot]
				return
			}
		}
		if w.proposal != nil {
			w.signed[proposed][slot] = ask(w.proposal.masterKey, key)
		}
	}
	under(current, now)
	switch {
	case !ownProposal:
	case next == now:
		w.signed[current][proposed], w.signed[proposed][proposed] = w.signed[current][current], w.signed[proposed][current]
	default:
		under(proposed, next)
	}
}

// ask lists a check, unless its answer is no without asking: engines differ about what is not strict (T29).
func (app *Application) ask(check keys.Check) question {
	if !check.Strict() {
		return broken
	}
	app.Checks = append(app.Checks, check)
	return question(len(app.Checks) - 1)
}

func parseKey(raw []byte, role Role) (*CrossSigningKey, error) {
	object, err := signedjson.Parse(raw)
	if err != nil {
		return nil, &CrossSigningKeyError{Code: codeOf(err, CodeBadCrossSigningKey), cause: err}
	}
	return ParseCrossSigningKey(object, role)
}

func parseDevice(raw []byte) (*DeviceKeys, error) {
	object, err := signedjson.Parse(raw)
	if err != nil {
		return nil, &DeviceKeysError{Code: codeOf(err, CodeBadAnswer), cause: err}
	}
	return ParseDeviceKeys(object)
}
