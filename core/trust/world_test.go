package trust_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// A world is this device, its index and its stored rows. Everything that is applied goes the way the product goes: rows are read, an answer
// is prepared on them, its checks are made by the Go verifier, rows are written, memory follows. After every step the rows must be valid
// and an index loaded from them, in any order, must answer the same as the one that was carried along.
type world struct {
	testing.TB
	kit   *testkit.Kit
	me    *testkit.User
	phone *testkit.Device
	index *trust.Index
	rows  map[ids.UserID]*trust.UserRecord

	recordedOwn *trust.Own // who we are in a world without kit
	checks      int        // signatures that the last answer asked for
	change      *trust.Change
}

func newWorld(t testing.TB) *world {
	kit := testkit.New(t.Name())
	me := kit.User("@me:example.org")
	phone := me.Device("MYPHONE").CrossSigned()
	w := &world{TB: t, kit: kit, me: me, phone: phone, rows: map[ids.UserID]*trust.UserRecord{}}
	w.index = trust.NewIndex(w.own())
	return w
}

func (w *world) own() trust.Own {
	if w.recordedOwn != nil {
		return *w.recordedOwn
	}
	return trust.Own{UserID: ids.UserID(w.me.ID), DeviceID: ids.DeviceID(w.phone.ID), Curve25519: curve(w.phone), Ed25519: ed(w.phone.SigningKey)}
}

// verifiedWorld is a world in which our own identity is known and trusted.
func verifiedWorld(t testing.TB) *world {
	w := newWorld(t)
	w.learn(w.me)
	w.trustOwn()
	return w
}

func (w *world) user(name string) *testkit.User { return w.kit.User("@" + name + ":example.org") }

// stored is what a caller has to read: the rows of those users, or all.
func (w *world) stored(users []ids.UserID, all bool) map[ids.UserID]*trust.UserRecord {
	if all {
		return w.rows
	}
	stored := map[ids.UserID]*trust.UserRecord{}
	for _, user := range users {
		if row := w.rows[user]; row != nil {
			stored[user] = row
		}
	}
	return stored
}

// prepare takes an answer as far as its checks.
func (w *world) prepare(raw []byte, sequence trust.Sequence) *trust.Application {
	w.Helper()
	answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
	if err != nil {
		w.Fatalf("ParseAnswer: %v", err)
	}
	application, err := w.index.Prepare(answer, sequence, w.stored(answer.Users(), w.index.NeedsAll(answer)))
	if err != nil {
		w.Fatalf("Prepare: %v", err)
	}
	for n := range application.Checks {
		if !application.Checks[n].Strict() {
			w.Fatalf("T29: an engine would be asked what is not strict")
		}
	}
	return application
}

// answer applies the body of a /keys/query answer.
func (w *world) answer(raw []byte, sequence trust.Sequence) *trust.Change {
	w.Helper()
	repeated := w.repeated(raw, sequence)
	application := w.prepare(raw, sequence)
	w.checks = len(application.Checks)
	change := application.Finish(keys.VerifyAll(application.Checks))
	for _, user := range repeated {
		w.saysNothingOf(user, change)
	}
	return w.commit(change)
}

// repeated are the users whom the index would not have looked at again.
func (w *world) repeated(raw []byte, sequence trust.Sequence) []ids.UserID {
	w.Helper()
	answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
	if err != nil {
		w.Fatalf("ParseAnswer: %v", err)
	}
	rest := w.index.Unrepeated(answer, sequence).Users()
	return slices.DeleteFunc(answer.Users(), func(user ids.UserID) bool { return slices.Contains(rest, user) })
}

// saysNothingOf looks whether it would have made no difference to leave the user out.
func (w *world) saysNothingOf(user ids.UserID, change *trust.Change) {
	w.Helper()
	of := change.Records[user] != nil ||
		slices.ContainsFunc(change.Devices, func(d trust.DeviceChange) bool { return d.UserID == user }) ||
		slices.ContainsFunc(change.Identities, func(i trust.IdentityChange) bool { return i.UserID == user }) ||
		slices.ContainsFunc(change.Verifications, func(v trust.VerificationChange) bool { return v.UserID == user }) ||
		slices.ContainsFunc(change.Problems, func(p trust.Problem) bool { return p.UserID == user })
	if of {
		w.Errorf("what was said of %s before was not taken for new, and is: %+v", user, change)
	}
}

// learn applies an answer from outside that says of people what they publish now.
func (w *world) learn(people ...*testkit.User) *trust.Change {
	w.Helper()
	return w.answer(w.kit.KeysQuery(people...), 0)
}

// learnObject applies an answer after hooks have changed it.
func (w *world) learnObject(object map[string]any, hooks ...testkit.Hook) *trust.Change {
	w.Helper()
	for _, hook := range hooks {
		hook(object)
	}
	return w.answer(testkit.JSON(object), 0)
}

func (w *world) trustOwn() *trust.Change {
	w.Helper()
	change, err := w.index.TrustOwnIdentity(ed(w.me.Identity.Master.SigningKey), w.rows)
	if err != nil {
		w.Fatalf("TrustOwnIdentity: %v", err)
	}
	return w.commit(change)
}

// commit writes the rows, lets memory follow, and looks whether all is well.
func (w *world) commit(change *trust.Change) *trust.Change {
	w.Helper()
	before := view(w.index)
	for user, row := range change.Records {
		if row.UserID != user {
			w.Fatalf("the row of %s calls itself %s", user, row.UserID)
		}
		if err := row.Validate(); err != nil {
			w.Fatalf("a row to write is not valid: %v", err)
		}
		w.rows[user] = row
	}
	w.index.Apply(change)
	w.change = change
	w.namesWhatChanged(before, change)
	w.reload()
	return change
}

// reload loads the rows in a random order and compares what is then known with what was carried along.
func (w *world) reload() {
	w.Helper()
	loaded := trust.NewIndex(w.own())
	users := slices.Sorted(maps.Keys(w.rows))
	rand.New(rand.NewPCG(1, uint64(len(users)))).Shuffle(len(users), func(i, j int) { users[i], users[j] = users[j], users[i] })
	for _, user := range users {
		if err := loaded.Load(w.rows[user]); err != nil {
			w.Fatalf("Load: %v", err)
		}
	}
	if carried, stored := view(w.index), view(loaded); !reflect.DeepEqual(carried, stored) {
		w.Fatalf("memory and rows differ:\n carried %+v\n stored  %+v", carried, stored)
	}
}

// known is all that an index says of one user.
type known struct {
	devices      map[ids.DeviceID]trust.Device
	identity     trust.Identity
	hasIdentity  bool
	verification trust.Verification
	pinViolation bool
	tracked      bool
	outdated     bool
}

func view(x *trust.Index) map[ids.UserID]known {
	all := map[ids.UserID]known{}
	for user := range x.Users() {
		k := known{devices: map[ids.DeviceID]trust.Device{}, verification: x.Verification(user), pinViolation: x.PinViolation(user),
			tracked: x.Tracked(user), outdated: x.DeviceListOutdated(user)}
		k.identity, k.hasIdentity = x.Identity(user)
		for d := range x.Devices(user) {
			k.devices[d.DeviceID] = d
			if again, found := x.Device(user, d.DeviceID); !found || again != d {
				panic("a device that is listed is not found by its id")
			}
			if again, found := x.DeviceByCurve(user, d.Curve25519); !found || again.Curve25519 != d.Curve25519 {
				panic("a device that is listed is not found by its key")
			}
		}
		all[user] = k
	}
	return all
}

// namesWhatChanged compares the lists of a change with what really is different.
func (w *world) namesWhatChanged(before map[ids.UserID]known, change *trust.Change) {
	w.Helper()
	after := view(w.index)
	var devices []trust.DeviceChange
	var identities []trust.IdentityChange
	var verifications []trust.VerificationChange
	for _, user := range slices.Sorted(maps.Keys(after)) {
		old, next := before[user], after[user]
		names := map[ids.DeviceID]bool{}
		for id := range old.devices {
			names[id] = true
		}
		for id := range next.devices {
			names[id] = true
		}
		for _, id := range slices.Sorted(maps.Keys(names)) {
			was, had := old.devices[id]
			is, has := next.devices[id]
			if was == is {
				continue
			}
			one := trust.DeviceChange{UserID: user, DeviceID: id, Curve25519: is.Curve25519, Kind: trust.Changed, Before: was, After: is}
			if !had {
				one.Kind = trust.New
			}
			if !has {
				one.Kind, one.Curve25519 = trust.Removed, was.Curve25519
			}
			devices = append(devices, one)
		}
		a, b := old.identity, next.identity
		if a.Master != b.Master || a.SelfSigning != b.SelfSigning || a.UserSigning != b.UserSigning {
			one := trust.IdentityChange{UserID: user, Kind: trust.Changed, Before: a, After: b}
			if !old.hasIdentity {
				one.Kind = trust.New
			}
			identities = append(identities, one)
		}
		if old.verification != next.verification {
			verifications = append(verifications, trust.VerificationChange{UserID: user, Master: b.Master, Before: old.verification, After: next.verification})
		}
	}
	same := func(what string, said, real any) {
		if reflect.ValueOf(said).Len() == 0 && reflect.ValueOf(real).Len() == 0 {
			return
		}
		if !reflect.DeepEqual(said, real) {
			w.Fatalf("the change does not name exactly which %s are different:\n said %+v\n real %+v", what, said, real)
		}
	}
	same("devices", change.Devices, devices)
	same("identities", change.Identities, identities)
	same("verifications", change.Verifications, verifications)
}

// dump is every stored byte, for "nothing was written".
func (w *world) dump() string {
	var out bytes.Buffer
	for _, user := range slices.Sorted(maps.Keys(w.rows)) {
		out.Write(testkit.JSON(w.rows[user]))
	}
	return out.String()
}

// codes is the codes of the change's problems, in order and without repetition.
func codes(change *trust.Change) []string {
	var list []string
	for _, problem := range change.Problems {
		if problem.Message == "" || problem.Error() != problem.Message || problem.ErrorCode() != problem.Code {
			panic("a problem without a sentence: " + problem.Code)
		}
		list = append(list, problem.Code)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (w *world) wantCodes(want ...string) {
	w.Helper()
	if got := codes(w.change); !slices.Equal(got, want) {
		w.Errorf("problems %v, want %v\n%+v", got, want, w.change.Problems)
	}
}

func (w *world) device(d *testkit.Device) trust.Device {
	w.Helper()
	device, known := w.index.Device(ids.UserID(d.User.ID), ids.DeviceID(d.ID))
	if !known {
		w.Fatalf("%s's device %s is not known", d.User.ID, d.ID)
	}
	return device
}

func (w *world) wantCross(d *testkit.Device, want trust.CrossSignature) {
	w.Helper()
	if got := w.device(d).CrossSigned; got != want {
		w.Errorf("%s's device %s: cross-signature %v, want %v", d.User.ID, d.ID, got, want)
	}
}

func (w *world) wantUnknown(user *testkit.User, id string) {
	w.Helper()
	if _, known := w.index.Device(ids.UserID(user.ID), ids.DeviceID(id)); known {
		w.Errorf("%s's device %s is known", user.ID, id)
	}
}

func (w *world) wantStanding(user *testkit.User, want trust.Verification) {
	w.Helper()
	if got := w.index.Verification(ids.UserID(user.ID)); got != want {
		w.Errorf("%s is %v, want %v", user.ID, got, want)
	}
}

func (w *world) identity(user *testkit.User) trust.Identity {
	w.Helper()
	identity, known := w.index.Identity(ids.UserID(user.ID))
	if !known {
		w.Fatalf("%s has no identity", user.ID)
	}
	return identity
}

func (w *world) wantMaster(user *testkit.User, want *testkit.Identity) {
	w.Helper()
	if got := w.identity(user); got.Master != ed(want.Master.SigningKey) || got.SelfSigning != ed(want.SelfSigning.SigningKey) {
		w.Errorf("%s has another identity than wanted", user.ID)
	}
}

func ed(key *testkit.SigningKey) keys.Ed25519 {
	parsed, err := keys.ParseEd25519(key.Public())
	if err != nil {
		panic(err)
	}
	return parsed
}

func curve(device *testkit.Device) keys.Curve25519 {
	parsed, err := keys.ParseCurve25519(device.Curve25519())
	if err != nil {
		panic(err)
	}
	return parsed
}

// section is a hook on one user's entry in one member of an answer.
func section(member string, user *testkit.User, hooks ...testkit.Hook) testkit.Hook {
	return testkit.In(member, testkit.In(user.ID, hooks...))
}
