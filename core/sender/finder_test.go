package sender_test

import (
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

var (
	bare     = testkit.WithoutDeviceKeys
	unstable = testkit.UnstableDeviceKeys
)

// people adds Alice with one cross-signed device to the world.
func (w *world) people() (alice *testkit.User, phone *testkit.Device) {
	alice = w.kit.User("@alice:example.org")
	return alice, alice.Device("ALICEPHONE").CrossSigned()
}

func TestClassificationOfADevice(t *testing.T) {
	t.Run("scenario 19: an unsigned device is DeviceInfo", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKind(c, sender.DeviceInfo)
		if c.Current.UserID != "@alice:example.org" || c.Current.DeviceID != "ALICEPHONE" || c.EmbeddedDevice == nil || c.Step != 'G' {
			t.Errorf("got %+v at step %c", c.Current, c.Step)
		}
	})
	t.Run("scenario 20: signed, user unverified", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified, phone)
	})
	t.Run("scenario 21: signed, user verified", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderVerified, phone)
	})
	t.Run("scenario 22: signed, verified once and not now; T12", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		before := w.keeps(w.from(phone, w.kit.Outbound()))
		old := before.Current
		alice.ResetIdentity()
		phone.NotCrossSigned().CrossSigned()
		w.asks(alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.VerificationViolation, phone)
		// What came before keeps the master key and the level it came with.
		if after := w.judges(before); after != before || after.Current != old {
			t.Errorf("the old session became %+v", after.Current)
		}
	})
	t.Run("scenario 23: another master key, never verified, is only unverified and names the new key", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		alice.ResetIdentity()
		phone.NotCrossSigned().CrossSigned()
		w.asks(alice)
		if !w.index.PinViolation("@alice:example.org") {
			t.Fatal("the pin is not violated")
		}
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified, phone)
	})
	t.Run("scenario 24: signed by our user-signing key while our own identity is not verified; T13", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.bob.Verifies(alice)
		w.asks(w.bob, alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified, phone)
	})
	t.Run("scenario 25: signed by the old self-signing key after a rotation", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		alice.RotateSelfSigning()
		w.asks(alice)
		received, err := w.receives(w.from(phone, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		w.wantKind(received.Copy, sender.DeviceInfo)
		if received.Finding.Reason != sender.WordSignedByOtherKey || received.Finding.Outcome != sender.Keep {
			t.Errorf("reason %s, outcome %v", received.Finding.Reason, received.Finding.Outcome)
		}
	})
	t.Run("scenario 26: a forged signature inside the sender's own message discards the key; T06", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		w.asks(alice)
		phone.CorruptlyCrossSigned()
		session := w.kit.Outbound()
		received, err := w.receives(w.from(phone, session))
		if err != nil {
			t.Fatal(err)
		}
		if received.Copy != nil || received.Finding.Outcome != sender.Discard {
			t.Fatal("the key was kept")
		}
		stone := received.Tombstone
		if stone.SessionID.String() != session.ID() || stone.RoomID != room || stone.SenderKey != curve(t, phone.Curve25519()) ||
			stone.OlmUser != "@alice:example.org" || stone.Reason != sender.WordEmbeddedForgery || stone.At != w.clock {
			t.Errorf("the tombstone says %+v", stone)
		}
		// A later honest copy starts afresh.
		phone.NotCrossSigned().CrossSigned()
		w.wantKnown(w.keeps(w.from(phone, session)), sender.SenderUnverified, phone)
	})
	t.Run("T06: a forged signature inside the message counts even when the server presents a good one", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		phone.NotCrossSigned().CorruptlyCrossSigned()
		received, err := w.receives(w.from(phone, w.kit.Outbound()))
		if err != nil || received.Finding.Outcome != sender.Discard {
			t.Fatalf("%v, %v", received, err)
		}
	})
	t.Run("scenario 27: a forged signature in the server's answer suspends the key; T06", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned().CorruptlyCrossSigned()
		w.asks(alice)
		received, err := w.receives(w.from(phone, w.kit.Outbound(), bare))
		if err != nil {
			t.Fatal(err)
		}
		c := received.Copy
		w.wantKind(c, sender.DeviceInfo)
		if !c.Suspended || c.Step != 'H' || received.Finding.Outcome != sender.Suspend || received.Finding.Reason != sender.WordPublishedForgery {
			t.Fatalf("not suspended: %+v", received.Finding)
		}
		// The server takes the forgery away: that does not make the key good.
		phone.NotCrossSigned()
		w.asks(alice)
		if c = w.judges(c); !c.Suspended {
			t.Fatal("recovered without a good signature")
		}
		if f := w.finder.Judge(w.index, c); f.Reason != sender.WordSuspensionRemains {
			t.Errorf("reason %s", f.Reason)
		}
		// It presents a good one: it does.
		phone.CrossSigned()
		w.asks(alice)
		c = w.judges(c)
		w.wantKnown(c, sender.SenderUnverified, phone)
		if c.Suspended {
			t.Error("still suspended")
		}
	})
	t.Run("T06: whichever comes first, key or forged answer, the key ends suspended", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		phone.NotCrossSigned().CorruptlyCrossSigned()
		w.asks(alice)
		if c = w.judges(c); !c.Suspended || c.Current.Kind != sender.DeviceInfo {
			t.Errorf("got %+v", c)
		}
	})
	t.Run("scenario 28: a self-signing key not signed by the master key is no identity", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		alice.Identity.SelfSigning.Unsigned()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKind(c, sender.DeviceInfo)
		if c.Step != 'F' {
			t.Errorf("stopped at %c", c.Step)
		}
	})
	t.Run("scenario 29: there is no local trust that could have an effect", func(t *testing.T) {
		// Verification rests on cross-signing alone: Bob's own verified desk says nothing about Alice's phone.
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		w.trustsHimself()
		w.asks(alice)
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound())), sender.DeviceInfo)
	})
}

func TestFinder(t *testing.T) {
	t.Run("scenario 30: no embedded keys, nothing stored", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		received, err := w.receives(w.from(phone, w.kit.Outbound(), bare))
		if err != nil {
			t.Fatal(err)
		}
		c := received.Copy
		if c.Current != (sender.Data{}) || c.Legacy || c.AtReception != c.Current || c.OlmUser != "@alice:example.org" || !c.Waiting() {
			t.Errorf("got %+v", c)
		}
		if got := trace(received.Finding); got != "A:gate_passed B:no_device C:waits_for_device" {
			t.Error(got)
		}
	})
	t.Run("scenario 31: embedded keys only; scenario 33: unsigned, and captured all the same", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		phone.NotCrossSigned()
		received, err := w.receives(w.from(phone, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		w.wantKind(received.Copy, sender.DeviceInfo)
		if got := trace(received.Finding); got != "A:gate_passed B:embedded D(embedded):owner E(embedded):identity_unknown F(embedded):waits_for_identity" {
			t.Error(got)
		}
	})
	t.Run("scenario 32: stored device only, found by its curve key; scenario 33: unsigned", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		w.asks(alice)
		received, err := w.receives(w.from(phone, w.kit.Outbound(), bare))
		if err != nil {
			t.Fatal(err)
		}
		w.wantKind(received.Copy, sender.DeviceInfo)
		if got := trace(received.Finding); got != "A:gate_passed B:stored D(stored):owner E(stored):identity_known G(stored):not_cross_signed" {
			t.Error(got)
		}
	})
	t.Run("scenarios 34 to 37 and 40: own and other, from the store and from the message, verified", func(t *testing.T) {
		for name, hooks := range map[string][]testkit.Hook{"from the store": {bare}, "from the message": nil, "under the unstable name": {unstable}} {
			t.Run(name, func(t *testing.T) {
				w := newWorld(t)
				alice, phone := w.people()
				laptop := w.bob.Device("BOBLAPTOP").CrossSigned()
				w.trustsHimself()
				w.bob.Verifies(alice)
				w.asks(alice)
				w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound(), hooks...)), sender.SenderVerified, phone)
				w.wantKnown(w.keeps(w.from(laptop, w.kit.Outbound(), hooks...)), sender.SenderVerified, laptop)
			})
		}
	})
	t.Run("own device, own identity not verified here", func(t *testing.T) {
		w := newWorld(t)
		laptop := w.bob.Device("BOBLAPTOP").CrossSigned()
		w.asks(w.bob)
		w.wantKnown(w.keeps(w.from(laptop, w.kit.Outbound())), sender.SenderUnverified, laptop)
	})
	t.Run("scenario 58: the copy of our own session is verified while our own identity is", func(t *testing.T) {
		w := newWorld(t)
		w.trustsHimself()
		w.wantKnown(w.keeps(w.from(w.desk, w.kit.Outbound())), sender.SenderVerified, w.desk)
	})
	t.Run("scenario 38: another fingerprint key than the stored device refuses the key", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		other := w.kit.User("@x:example.org").Device("X").Ed25519()
		w.refuses(sender.CodeMismatchedIdentityKeys, w.from(phone, w.kit.Outbound(), bare, testkit.In("keys", testkit.Set("ed25519", other))))
	})
	t.Run("a second device with the same curve key does not hide the one that owns the session", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		decoy := alice.Device("AAAA")
		decoy.Identity = phone.Identity
		w.asks(alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound(), bare)), sender.SenderUnverified, phone)
	})
	t.Run("scenario 39: a device without a key is no device", func(t *testing.T) {
		// The index takes none in, so there is nothing whose ownership could fail: the sender stays unknown until a whole device comes.
		w := newWorld(t)
		alice, phone := w.people()
		phone.Before(func(object map[string]any) {
			delete(object["keys"].(map[string]any), "ed25519:ALICEPHONE")
		})
		w.asks(alice)
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound(), bare)), sender.UnknownDevice)
	})
	t.Run("scenario 41: embedded and stored alike are classified alike", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		a, b := w.keeps(w.from(phone, w.kit.Outbound())), w.keeps(w.from(phone, w.kit.Outbound(), bare))
		if a.Current != b.Current {
			t.Errorf("%+v and %+v", a.Current, b.Current)
		}
	})
	t.Run("scenario 43: embedded before cross-signing, stored after it; decision 7", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		phone.NotCrossSigned()
		received, err := w.receives(w.from(phone, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		w.wantKnown(received.Copy, sender.SenderUnverified, phone)
		if got := trace(received.Finding); got != "A:gate_passed B:embedded_and_stored D(embedded):owner E(embedded):identity_known "+
			"G(embedded):not_cross_signed D(stored):owner E(stored):identity_known G(stored):signed_by_current_key "+
			"H(stored):signature_holds J(stored):unverified" {
			t.Error(got)
		}
	})
	t.Run("decision 7: stored forged, embedded honest", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned().CorruptlyCrossSigned()
		w.asks(alice)
		phone.NotCrossSigned()
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKind(c, sender.DeviceInfo)
		if c.Suspended {
			t.Error("the worse of two descriptions counted")
		}
		phone.CrossSigned()
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified, phone)
	})
	t.Run("scenario 44: a device id known with another fingerprint key; decision 7", func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.people()
		w.asks(alice)
		twin := alice.Device("ALICEPHONE")
		w.refuses(sender.CodeDeviceKeyChanged, w.from(twin, w.kit.Outbound()))
	})
	t.Run("scenario 45: the same two keys under another user are not found", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		mallory := w.kit.User("@mallory:example.org")
		copied := mallory.Device("COPY").CrossSigned()
		copied.Identity, copied.SigningKey = phone.Identity, phone.SigningKey
		w.asks(mallory)
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound(), bare)), sender.UnknownDevice)
	})
	t.Run("T07: a device the server made up is DeviceInfo, not legacy", func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.people()
		fake := alice.Device("FAKE")
		w.asks(alice)
		c := w.keeps(w.from(fake, w.kit.Outbound(), bare))
		w.wantKind(c, sender.DeviceInfo)
		if c.Legacy {
			t.Error("legacy")
		}
	})
	t.Run("T08: another user's identity under Alice's name proves nothing", func(t *testing.T) {
		w := newWorld(t)
		mallory := w.kit.User("@mallory:example.org")
		alice, _ := w.people()
		w.trustsHimself()
		w.bob.Verifies(mallory)
		fake := alice.Device("FAKE").SignedBy(alice.ID, mallory.Identity.SelfSigning.SigningKey)
		answer := w.kit.KeysQueryObject(alice)
		answer["master_keys"] = map[string]any{alice.ID: mallory.Identity.Master.Object()}
		answer["self_signing_keys"] = map[string]any{alice.ID: mallory.Identity.SelfSigning.Object()}
		w.hears(testkit.JSON(answer))
		w.wantKind(w.keeps(w.from(fake, w.kit.Outbound())), sender.DeviceInfo)
	})
	t.Run("T10: a device called like a cross-signing key", func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.people()
		w.asks(alice)
		for _, id := range []string{alice.Identity.Master.Public(), alice.Identity.SelfSigning.Public()} {
			w.refuses(sender.CodeDeviceIDIsKey, w.from(alice.Device(id), w.kit.Outbound()))
		}
		// Unlike others', our own identity has a user-signing key we know of.
		w.asks(w.bob)
		w.refuses(sender.CodeDeviceIDIsKey, w.from(w.bob.Device(w.bob.Identity.UserSigning.Public()), w.kit.Outbound()))
	})
	t.Run("a device with a long name of its own is no key", func(t *testing.T) {
		w := newWorld(t)
		w.asks(w.bob)
		w.wantKind(w.keeps(w.from(w.bob.Device(strings.Repeat("A", 43)), w.kit.Outbound())), sender.DeviceInfo)
	})
	t.Run("T10: it was there before the key it is called like", func(t *testing.T) {
		w := newWorld(t)
		alice, _ := w.people()
		c := w.keeps(w.from(alice.Device(alice.Identity.SelfSigning.Public()), w.kit.Outbound()))
		w.asks(alice)
		w.wantKind(w.judges(c), sender.DeviceInfo)
	})
	t.Run("T14: the server moves a key from one user to another", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		mallory := w.kit.User("@mallory:example.org")
		copied := mallory.Device("COPY").CrossSigned()
		copied.Identity, copied.SigningKey = phone.Identity, phone.SigningKey
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		w.asks(mallory)
		if after := w.judges(c); after != c {
			t.Fatalf("bound to %+v", after.Current)
		}
		w.asks(alice)
		c = w.judges(c)
		w.wantKnown(c, sender.SenderUnverified, phone)
		w.asks(mallory)
		if after := w.judges(c); after != c {
			t.Error("it moved again")
		}
	})
	t.Run("T15: Mallory publishes Alice's curve key", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		mallory := w.kit.User("@mallory:example.org")
		thief := mallory.Device("THIEF").CrossSigned()
		thief.Identity = phone.Identity
		w.asks(mallory, alice)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound(), bare)), sender.SenderUnverified, phone)
		w.wantKnown(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified, phone)
		// And were she to get Alice's message delivered as her own, the payload would still say who it is from.
		in := w.from(phone, w.kit.Outbound(), bare)
		in.Sender = mallory.ID
		w.refuses(sender.CodeSenderMismatch, in)
	})
	t.Run("T16: Mallory sends Alice's session on, in either order", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		mallory := w.kit.User("@mallory:example.org")
		hers := mallory.Device("HERS").CrossSigned()
		w.asks(alice, mallory)
		session := w.kit.Outbound()
		a, m := w.keeps(w.from(phone, session)), w.keeps(w.from(hers, session))
		if a.CopyKey == m.CopyKey || a.SessionID != m.SessionID {
			t.Fatal("the two copies have one name")
		}
		w.wantKnown(a, sender.SenderUnverified, phone)
		w.wantKnown(m, sender.SenderUnverified, hers)
		if _, report := sender.Join(m, a); report.Refused != sender.ReasonOtherCopy {
			t.Errorf("joined: %+v", report)
		}
	})
	t.Run("T21: a device that was taken away", func(t *testing.T) {
		// Its owner logs it out and rotates. What it sent before stays as it was; what it sends after is not known.
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		before := w.keeps(w.from(phone, w.kit.Outbound()))
		alice.Devices = nil
		alice.ResetIdentity()
		w.asks(alice)
		if after := w.judges(before); after != before {
			t.Error("the old record changed")
		}
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound())), sender.DeviceInfo)
	})
	t.Run("T22: a genuine device that is gone when we ask", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		alice.Devices = nil
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKnown(c, sender.SenderUnverified, phone)
		w.asks(alice)
		if after := w.judges(c); after != c {
			t.Error("an answer without the device changed the copy")
		}
	})
}

// T06: with every way a signature can be missing or wrong, three outcomes and no more.
func TestCrossSignatureHasThreeOutcomes(t *testing.T) {
	for name, story := range map[string]struct {
		change  func(alice *testkit.User, phone *testkit.Device)
		outcome sender.Outcome
		kind    sender.Kind
	}{
		"none":             {func(_ *testkit.User, phone *testkit.Device) { phone.NotCrossSigned() }, sender.Keep, sender.DeviceInfo},
		"by a rotated key": {func(alice *testkit.User, _ *testkit.Device) { alice.RotateSelfSigning() }, sender.Keep, sender.DeviceInfo},
		"by the master key": {func(alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned().SignedBy(alice.ID, alice.Identity.Master.SigningKey)
		}, sender.Keep, sender.DeviceInfo},
		"by the current key": {func(*testkit.User, *testkit.Device) {}, sender.Keep, sender.SenderUnverified},
		"by the current key, one bit wrong": {func(_ *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned().CorruptlyCrossSigned()
		}, sender.Discard, sender.DeviceInfo},
		"under the current key's label, no signature at all": {func(alice *testkit.User, phone *testkit.Device) {
			phone.After(testkit.In("signatures", testkit.In(alice.ID, testkit.Set(alice.Identity.SelfSigning.Label(), "AAAA"))))
		}, sender.Discard, sender.DeviceInfo},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.people()
			story.change(alice, phone)
			alice.Devices = nil // the message alone
			w.asks(alice)
			received, err := w.receives(w.from(phone, w.kit.Outbound()))
			if err != nil {
				t.Fatal(err)
			}
			if f := received.Finding; f.Outcome != story.outcome || f.Data.Kind != story.kind {
				t.Errorf("%v, %v: %s", f.Outcome, f.Data.Kind, trace(f))
			}
		})
	}
}

// With a known device and a remembered embedded object the session key's own signature is the only one left to check.
func TestOneCheckRemains(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	w.asks(alice)
	count := func(hooks ...testkit.Hook) int {
		reception, err := w.finder.Prepare(w.index, w.from(phone, w.kit.Outbound(), hooks...))
		if err != nil {
			t.Fatal(err)
		}
		checks := reception.AppendChecks(nil)
		received, err := reception.Finish(keys.VerifyAll(checks), 1)
		if err != nil {
			t.Fatal(err)
		}
		w.wantKnown(received.Copy, sender.SenderUnverified, phone)
		return len(checks)
	}
	for _, step := range []struct {
		what  string
		hooks []testkit.Hook
		want  int
	}{
		{"the first time", nil, 3},
		{"the second time", nil, 1},
		{"without embedded keys", []testkit.Hook{bare}, 1},
		{"under the other name", []testkit.Hook{unstable}, 1},
	} {
		if got := count(step.hooks...); got != step.want {
			t.Errorf("%s: %d checks, want %d", step.what, got, step.want)
		}
	}
	// A new self-signing key: the device's own signature is remembered, the other one has to be checked once.
	alice.RotateSelfSigning()
	phone.NotCrossSigned().CrossSigned()
	w.asks(alice)
	if got := count(); got != 3 { // other bytes
		t.Errorf("%d checks of other bytes", got)
	}
	if got := count(); got != 1 {
		t.Errorf("%d checks of remembered bytes", got)
	}
}

// What is remembered is a signature that held, by every byte of the object: nothing that differs profits from it.
func TestMemoryIsByContent(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	w.asks(alice)
	w.keeps(w.from(phone, w.kit.Outbound()))
	// T05: one bit of the self-signature, while the good device is known and remembered.
	phone.CorruptlySelfSigned()
	w.refuses(sender.CodeSenderDeviceKeysSignature, w.from(phone, w.kit.Outbound()))
	w.refuses(sender.CodeSenderDeviceKeysSignature, w.from(phone, w.kit.Outbound()))
}

// The memory is bounded: after 1,024 other devices the first is verified again.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	_, phone := w.people()
	checks := func(device *testkit.Device, name string) int {
		device.After(testkit.Set("unsigned", map[string]any{"device_display_name": name}))
		reception, err := w.finder.Prepare(w.index, w.from(device, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		all := make([]bool, reception.Checks())
		for i := range all {
			all[i] = true
		}
		if _, err := reception.Finish(all, 1); err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	if checks(phone, "first") != 2 || checks(phone, "first") != 1 {
		t.Fatal("not remembered")
	}
	for i := range 1024 {
		checks(phone, "name "+string(rune('a'+i%26))+string(rune('a'+i/26)))
	}
	if checks(phone, "first") != 2 {
		t.Error("remembered after 1,024 others")
	}
	if checks(phone, "name "+string(rune('a'+1023%26))+string(rune('a'+1023/26))) != 1 {
		t.Error("the newest was forgotten")
	}
	// Large objects are not worth their room.
	long := strings.Repeat("n", 5000)
	for range 2 {
		if checks(phone, long) != 2 {
			t.Error("a large object was remembered")
		}
	}
}
