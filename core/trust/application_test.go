package trust_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Devices: spec 7.1.

func TestCrossSignatureOutcomes(t *testing.T) {
	for _, c := range []struct {
		name string
		make func(w *world, alice *testkit.User) *testkit.Device
		want trust.CrossSignature
		says []string
	}{
		{"scenario 19: unsigned device", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE")
		}, trust.CrossSignatureAbsent, nil},
		{"scenario 20: signed by the current self-signing key", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE").CrossSigned()
		}, trust.CrossSignatureValid, nil},
		{"scenario 25: signed by old SSK after rotation", func(w *world, alice *testkit.User) *testkit.Device {
			device := alice.Device("PHONE").CrossSigned()
			alice.RotateSelfSigning()
			return device
		}, trust.CrossSignatureOtherKey, nil},
		{"scenario 27: current SSK id, corrupt signature, from keys/query", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE").CorruptlyCrossSigned()
		}, trust.CrossSignatureWrong, []string{trust.CodeCrossSignatureInvalid}},
		{"decision 8: something under the current SSK's label that is no signature", func(w *world, alice *testkit.User) *testkit.Device {
			label := alice.Identity.SelfSigning.Label()
			return alice.Device("PHONE").After(testkit.In("signatures", testkit.In(alice.ID, testkit.Set(label, "AAAA"))))
		}, trust.CrossSignatureWrong, []string{trust.CodeCrossSignatureInvalid}},
		{"T29: current SSK id, a signature no signer makes (S out of range, R of low order)", func(w *world, alice *testkit.User) *testkit.Device {
			label := alice.Identity.SelfSigning.Label()
			return alice.Device("PHONE").After(testkit.In("signatures", testkit.In(alice.ID, testkit.Set(label, testkit.Base64(bytes.Repeat([]byte{0xff}, 64))))))
		}, trust.CrossSignatureWrong, []string{trust.CodeCrossSignatureInvalid}},
		{"scenario 28: SSK not signed by MSK, identity not accepted", func(w *world, alice *testkit.User) *testkit.Device {
			alice.Identity.SelfSigning.Unsigned()
			return alice.Device("PHONE").CrossSigned()
		}, trust.CrossSignatureOtherKey, []string{trust.CodeIdentitySignatureMissing}},
		{"T07: a device signed by another device of the same user only", func(w *world, alice *testkit.User) *testkit.Device {
			laptop := alice.Device("LAPTOP")
			return alice.Device("PHONE").After(func(object map[string]any) { laptop.Sign(object, alice.ID, "ed25519:LAPTOP") })
		}, trust.CrossSignatureAbsent, nil},
		{"T10: signed by the master key, which has another role", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE").SignedBy(alice.ID, alice.Identity.Master.SigningKey)
		}, trust.CrossSignatureOtherKey, nil},
		{"T10: the self-signing key's signature filed under another user", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE").SignedBy("@mallory:example.org", alice.Identity.SelfSigning.SigningKey)
		}, trust.CrossSignatureAbsent, nil},
		{"T10: another's self-signing key under this user", func(w *world, alice *testkit.User) *testkit.Device {
			return alice.Device("PHONE").SignedBy(alice.ID, w.user("mallory").Identity.SelfSigning.SigningKey)
		}, trust.CrossSignatureOtherKey, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.user("alice")
			device := c.make(w, alice)
			w.learn(alice)
			w.wantCross(device, c.want)
			w.wantCodes(c.says...)
		})
	}
}

func TestWrongCrossSignatureIsRecoverable(t *testing.T) {
	// Scenario 27, decision 8: what a server corrupted, a later answer repairs.
	w := newWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE").CorruptlyCrossSigned()
	w.learn(alice)
	w.wantCross(phone, trust.CrossSignatureWrong)
	w.learn(alice) // asked again, told again the same
	w.wantCodes()

	phone.NotCrossSigned().CrossSigned()
	w.learn(alice)
	w.wantCross(phone, trust.CrossSignatureValid)
	if len(w.change.Devices) != 1 || w.change.Devices[0].Kind != trust.Changed || w.change.Devices[0].Before.CrossSigned != trust.CrossSignatureWrong {
		t.Errorf("the repair is not named: %+v", w.change.Devices)
	}
}

func TestDevicesComeChangeAndGo(t *testing.T) {
	// Scenario 135.
	w := newWorld(t)
	alice := w.user("alice")
	phone, laptop := alice.Device("PHONE"), alice.Device("LAPTOP")

	change := w.learn(alice)
	if len(change.Devices) != 2 || change.Devices[0].Kind != trust.New || change.Devices[0].Curve25519 != curve(laptop) {
		t.Fatalf("%+v", change.Devices)
	}

	// A display name is not a change of the device, but it is kept.
	phone.Named("my phone")
	change = w.learn(alice)
	if len(change.Devices) != 0 || len(change.Records) != 1 {
		t.Fatalf("a display name: %+v", change)
	}
	if row := w.rows[ids.UserID(alice.ID)]; !bytes.Contains(row.Devices[1].Raw, []byte("my phone")) {
		t.Error("the display name is not in the stored JSON")
	}

	// Nor is it one of a user without identity.
	bob := w.user("bob").WithoutIdentity()
	bobs := bob.Device("PHONE")
	w.learn(bob)
	bobs.Named("Bob's phone")
	if change = w.learn(bob); len(change.Devices) != 0 || len(change.Records) != 1 {
		t.Fatalf("a display name of Bob's: %+v", change)
	}

	// It becomes cross-signed, then dehydrated: changes of the device.
	phone.CrossSigned()
	w.learn(alice)
	w.wantCross(phone, trust.CrossSignatureValid)
	phone.Dehydrated()
	w.learn(alice)
	if !w.device(phone).Dehydrated { // T20: whoever judges its keys can see it
		t.Error("not known as dehydrated")
	}

	// It is logged out: a removal, by the key its room keys are found by (T21, T22).
	alice.Devices = alice.Devices[1:]
	change = w.learn(alice)
	w.wantUnknown(alice, "PHONE")
	if len(change.Devices) != 1 || change.Devices[0].Kind != trust.Removed || change.Devices[0].Curve25519 != curve(phone) || change.Devices[0].After != (trust.Device{}) {
		t.Fatalf("%+v", change.Devices)
	}

	// Nothing is left of a user without devices but the identity.
	alice.Devices = nil
	w.learn(alice)
	if users, devices := w.index.Counts(); users != 2 || devices != 1 {
		t.Errorf("%d users, %d devices", users, devices)
	}
}

func TestCurveKeyMayChange(t *testing.T) {
	// Spec 7.1: any other change than the ed25519 key is accepted if the device signed it.
	w := newWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE").CrossSigned()
	w.learn(alice)
	old := curve(phone)
	phone.Identity = w.user("spare").Device("X").Identity
	change := w.learn(alice)
	if _, found := w.index.DeviceByCurve(ids.UserID(alice.ID), old); found {
		t.Error("still found by the old key")
	}
	if len(change.Devices) != 1 || change.Devices[0].Before.Curve25519 != old || change.Devices[0].Curve25519 != curve(phone) {
		t.Errorf("%+v", change.Devices)
	}
}

func TestRefusedDeviceKeepsTheStoredOne(t *testing.T) {
	for _, c := range problemCases {
		if !c.device {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			// Given Alice's two devices and Carol's, all known;
			w := newWorld(t)
			alice, carol := w.user("alice"), w.user("carol")
			phone, laptop := alice.Device("PHONE").CrossSigned(), alice.Device("LAPTOP").CrossSigned()
			w.learn(alice, carol)
			before := w.device(phone)

			// when an answer spoils one of them, and brings new ones of both users,
			tablet, desk := alice.Device("TABLET"), carol.Device("DESK")
			object := w.kit.KeysQueryObject(alice, carol)
			c.spoil(w, alice, phone, object)
			w.answer(c.bytes(object), 0)

			// then it is as it was, the others are there, and the problem names it.
			w.wantCodes(c.code)
			if w.device(phone) != before {
				t.Error("the stored device was changed")
			}
			w.device(laptop)
			w.device(tablet)
			w.device(desk)
			problem := w.change.Problems[0]
			if problem.UserID != ids.UserID(alice.ID) || problem.DeviceID != "PHONE" {
				t.Errorf("the problem names %q %q", problem.UserID, problem.DeviceID)
			}
		})
	}
}

func TestRefusedDeviceIsNotStored(t *testing.T) {
	for _, c := range problemCases {
		if !c.device || c.code == trust.CodeDeviceKeyChanged {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.user("alice")
			phone, laptop, tablet := alice.Device("PHONE").CrossSigned(), alice.Device("LAPTOP").CrossSigned(), alice.Device("TABLET")
			object := w.kit.KeysQueryObject(alice)
			c.spoil(w, alice, phone, object)
			w.answer(c.bytes(object), 0)
			w.wantCodes(c.code)
			w.wantUnknown(alice, "PHONE")
			w.device(laptop)
			w.device(tablet)
		})
	}
}

func TestKeysOfAKnownDevice(t *testing.T) {
	// Scenarios 135, 136, T14: a known device keeps its ed25519 key; the same curve key under another user is another device.
	w := newWorld(t)
	alice, mallory := w.user("alice"), w.user("mallory")
	phone := alice.Device("PHONE")
	w.learn(alice)
	stolen := mallory.Device("COPY")
	stolen.Identity = phone.Identity // T15: Alice's curve key in Mallory's signed device
	w.learn(mallory)

	hers, found := w.index.DeviceByCurve(ids.UserID(alice.ID), curve(phone))
	if !found || hers.Ed25519 != ed(phone.SigningKey) || hers.UserID != ids.UserID(alice.ID) {
		t.Error("Alice's device is not found among hers")
	}
	his, found := w.index.DeviceByCurve(ids.UserID(mallory.ID), curve(phone))
	if !found || his.Ed25519 != ed(stolen.SigningKey) {
		t.Error("Mallory's device is not found among his")
	}
	if _, found = w.index.DeviceByCurve("@carol:example.org", curve(phone)); found {
		t.Error("scenario 45: found under a user who has no such device")
	}
}

func TestOwnDevice(t *testing.T) {
	t.Run("scenario 142: listed with our keys", func(t *testing.T) {
		w := newWorld(t)
		w.learn(w.me)
		w.wantCodes()
		w.wantCross(w.phone, trust.CrossSignatureValid)
	})
	for name, like := range map[string]func(impostor, phone *testkit.Device){
		"other keys":             func(impostor, phone *testkit.Device) {},
		"another ed25519 key":    func(impostor, phone *testkit.Device) { impostor.Identity = phone.Identity },
		"another curve25519 key": func(impostor, phone *testkit.Device) { impostor.SigningKey = phone.SigningKey },
	} {
		t.Run("scenario 142: listed with "+name, func(t *testing.T) {
			w := newWorld(t)
			w.learn(w.me)
			impostor := w.kit.User(w.me.ID)
			impostor.Identity = w.me.Identity
			like(impostor.Device(w.phone.ID).CrossSigned(), w.phone)
			w.learn(impostor)
			w.wantCodes(trust.CodeOwnDeviceMismatch)
			if own := w.device(w.phone); own.Ed25519 != ed(w.phone.SigningKey) || own.Curve25519 != curve(w.phone) {
				t.Error("our device was replaced")
			}
		})
	}
	t.Run("own device missing from our entry: kept, and said", func(t *testing.T) {
		w := newWorld(t)
		laptop, tablet, desk := w.me.Device("LAPTOP"), w.me.Device("TABLET"), w.me.Device("DESK")
		w.learn(w.me)
		w.me.Devices = []*testkit.Device{tablet, desk}
		w.learn(w.me)
		w.wantCodes(trust.CodeOwnDeviceMissing)
		w.device(w.phone)
		w.device(tablet)
		w.device(desk)
		w.wantUnknown(w.me, laptop.ID)
	})
	t.Run("scenario 141: a late answer updates our own device", func(t *testing.T) {
		w := newWorld(t)
		w.phone.NotCrossSigned()
		w.learn(w.me)
		w.wantCross(w.phone, trust.CrossSignatureAbsent)
		w.phone.CrossSigned()
		w.learn(w.me)
		w.wantCross(w.phone, trust.CrossSignatureValid)
	})
}

func TestWhatIsNotMentionedStays(t *testing.T) {
	// Spec 7.1 and scenario 151: an absent user, an absent identity, a failed server change nothing.
	w := verifiedWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE").CrossSigned()
	w.me.Verifies(alice)
	w.learn(alice)
	before := w.dump()

	for _, c := range []struct {
		name string
		raw  string
	}{
		{"nobody", `{"device_keys":{},"master_keys":{},"self_signing_keys":{},"user_signing_keys":{},"failures":{}}`},
		{"an empty answer", `{}`},
		{"members that are null", `{"device_keys":null,"master_keys":null,"failures":null}`},
		{"members we do not know", `{"one_time_keys":{"@alice:example.org":{}},"extra":[1,2,{"a":null}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{TB: t, kit: w.kit, me: w.me, phone: w.phone, index: w.index, rows: w.rows}
			w.answer([]byte(c.raw), 0)
			w.wantCodes()
		})
	}
	if w.dump() != before {
		t.Error("something was written")
	}
	w.wantStanding(alice, trust.Verified)
	w.wantCross(phone, trust.CrossSignatureValid)

	t.Run("scenario 151: identity absent, devices listed", func(t *testing.T) {
		w := &world{TB: t, kit: w.kit, me: w.me, phone: w.phone, index: w.index, rows: w.rows}
		object := w.kit.KeysQueryObject(alice)
		for _, member := range []string{"master_keys", "self_signing_keys", "user_signing_keys"} {
			delete(object, member)
		}
		w.learnObject(object)
		w.wantCodes()
		w.wantStanding(alice, trust.Verified)
		w.wantCross(phone, trust.CrossSignatureValid)
		if w.checks != 0 || len(w.change.Records) != 0 {
			t.Errorf("%d checks, %d rows", w.checks, len(w.change.Records))
		}
	})
}

func TestFailedServer(t *testing.T) {
	// Scenario 139: users of a server that could not be asked stay as they are, and stay outdated; our own server answers itself.
	w := newWorld(t)
	far, near := w.kit.User("@far:remote.example"), w.user("near")
	gone := far.Device("GONE")
	w.track(far, near)
	w.learn(far)
	query := w.index.BeginQuery(w.index.Outdated())
	far.Devices = nil
	near.Device("NEW")
	object := w.kit.KeysQueryObject(far, near)
	object["failures"] = map[string]any{"remote.example": map[string]any{"status": 503}, "example.org": map[string]any{}}
	w.answer(testkit.JSON(object), query.Sequence)
	w.wantCodes(trust.CodeServerFailed)
	w.device(gone)
	if !w.index.DeviceListOutdated(ids.UserID(far.ID)) || w.index.DeviceListOutdated(ids.UserID(near.ID)) {
		t.Error("the wrong list is up to date")
	}
	if !slices.Contains(w.index.Outdated(), ids.UserID(far.ID)) {
		t.Error("will not be asked for again")
	}
}

func TestUnknownMembersSurvive(t *testing.T) {
	// Scenario 137, T52: signatures cover members nobody here has heard of, and the stored JSON keeps them.
	w := newWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE").Before(testkit.Set("org.example.extra", map[string]any{"z": 1, "a": []any{"\uF000", "😀"}})).CrossSigned()
	alice.Identity.SelfSigning.Before(testkit.Set("org.example.key", true))
	w.learn(alice)
	w.wantCodes()
	w.wantCross(phone, trust.CrossSignatureValid)

	// A later self-signing key is judged against the stored JSON, extra members and all.
	alice.RotateSelfSigning()
	phone.CrossSigned()
	w.learn(alice)
	w.wantCross(phone, trust.CrossSignatureValid)
	row := w.rows[ids.UserID(alice.ID)]
	if !bytes.Contains(row.Devices[0].Raw, []byte("org.example.extra")) {
		t.Error("the extra member is lost")
	}
	// And when it is altered, the signature is wrong.
	phone.After(testkit.Set("org.example.extra", 2))
	w.learn(alice)
	w.wantCodes(trust.CodeDeviceSignatureInvalid)
}

func TestDeviceNamedLikeACrossSigningKey(t *testing.T) {
	// T10, scenario 153.
	for _, c := range []struct {
		name string
		key  func(*testkit.Identity) *testkit.CrossSigningKey
	}{
		{"master", func(i *testkit.Identity) *testkit.CrossSigningKey { return i.Master }},
		{"self-signing", func(i *testkit.Identity) *testkit.CrossSigningKey { return i.SelfSigning }},
		{"user-signing", func(i *testkit.Identity) *testkit.CrossSigningKey { return i.UserSigning }},
	} {
		t.Run("in the answer that brings the key: "+c.name, func(t *testing.T) {
			w := newWorld(t)
			alice := w.user("alice")
			alice.Device(c.key(alice.Identity).Public())
			phone := alice.Device("PHONE").CrossSigned()
			w.learn(alice)
			w.wantCodes(trust.CodeDeviceIDIsKey)
			w.wantUnknown(alice, c.key(alice.Identity).Public())
			w.wantCross(phone, trust.CrossSignatureValid)
		})
	}
	t.Run("the key first, the device later, in an answer without the key", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		w.learn(alice)
		identity := alice.Identity
		trap, last := alice.Device(identity.SelfSigning.Public()), alice.Device("zzzz")
		alice.WithoutIdentity()
		w.learn(alice)
		w.wantCodes(trust.CodeDeviceIDIsKey)
		w.wantUnknown(alice, trap.ID)
		w.device(last)
	})
	t.Run("as long as a key, and none of the user's", func(t *testing.T) {
		for _, spoil := range []testkit.Hook{func(map[string]any) {}, testkit.In("user_signing_keys", testkit.Set("@alice:example.org", "no key"))} {
			w := newWorld(t)
			alice := w.user("alice")
			zero := alice.Device(strings.Repeat("A", 43))
			w.learnObject(w.kit.KeysQueryObject(alice), spoil)
			w.wantCodes()
			w.device(zero)
		}
	})
	t.Run("the device first, the key later", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		identity := alice.Identity
		alice.WithoutIdentity()
		trap := alice.Device(identity.SelfSigning.Public())
		w.learn(alice)
		w.wantCodes()
		w.device(trap)
		alice.Identity = identity
		w.learn(alice)
		w.wantCodes(trust.CodeDeviceIDIsKey)
		w.wantUnknown(alice, trap.ID)
	})
	t.Run("it signs a device under the label the self-signing key has", func(t *testing.T) {
		w := newWorld(t)
		alice := w.user("alice")
		trap := alice.Device(alice.Identity.SelfSigning.Public())
		phone := alice.Device("PHONE")
		phone.After(func(object map[string]any) { trap.Sign(object, alice.ID, "ed25519:"+trap.ID) })
		w.learn(alice)
		w.wantCodes(trust.CodeCrossSignatureInvalid, trust.CodeDeviceIDIsKey)
		w.wantCross(phone, trust.CrossSignatureWrong) // under that label only the key of the role counts
	})
}
