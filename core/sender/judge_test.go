package sender_test

import (
	"testing"

	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// Decision 3: what is known now rises with devices, identities and verifications; what was known at reception stays.
func TestJudgingAgain(t *testing.T) {
	t.Run("the journey of scenario 118, as far as the sender goes", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		identity := *alice.Identity
		alice.WithoutIdentity()
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		w.wantKind(c, sender.UnknownDevice)
		// The device arrives.
		w.asks(alice)
		c = w.judges(c)
		w.wantKind(c, sender.DeviceInfo)
		if c.Step != 'F' {
			t.Errorf("stopped at %c", c.Step)
		}
		// An identity arrives, which has not signed the device.
		alice.Identity = &identity
		w.asks(alice)
		c = w.judges(c)
		w.wantKind(c, sender.DeviceInfo)
		if c.Step != 'G' {
			t.Errorf("stopped at %c", c.Step)
		}
		// It signs the device.
		phone.CrossSigned()
		w.asks(alice)
		c = w.judges(c)
		w.wantKnown(c, sender.SenderUnverified, phone)
		// Bob verifies Alice; his own identity is not verified here yet, so nothing follows.
		w.bob.Verifies(alice)
		w.asks(w.bob, alice)
		if after := w.judges(c); after != c {
			t.Error("verified by an identity that is not verified")
		}
		// It is now (scenario 81).
		w.trustsHimself()
		c = w.judges(c)
		w.wantKnown(c, sender.SenderVerified, phone)
		if c.AtReception != (sender.Data{}) {
			t.Errorf("at reception: %+v", c.AtReception)
		}
		// Nothing that happens later takes it away (T21).
		alice.Devices = nil
		alice.ResetIdentity()
		w.asks(alice)
		if after := w.judges(c); after != c {
			t.Error("it changed")
		}
	})
	t.Run("a copy embedded before the identity was known rises when the identity comes, without the device", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKind(c, sender.DeviceInfo)
		alice.Devices = nil
		w.asks(alice)
		judgement := w.finder.PrepareJudgement(w.index, c)
		if judgement.Checks() != 1 || len(judgement.AppendChecks(nil)) != 1 {
			t.Error("a signature that was never checked is not to be checked")
		}
		w.wantKnown(w.judges(c), sender.SenderUnverified, phone)
		// A second session of the same device needs no second check.
		if again := w.finder.PrepareJudgement(w.index, c); again.Checks() != 0 {
			t.Error("checked twice")
		}
		// And a finder that remembers nothing comes to the same.
		w.finder = sender.NewFinder()
		w.wantKnown(w.judges(c), sender.SenderUnverified, phone)
	})
	t.Run("a forged embedded signature is found out when the identity comes; T06", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned().CorruptlyCrossSigned()
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKind(c, sender.DeviceInfo)
		w.asks(alice)
		finding := w.finder.Judge(w.index, c)
		next, changed := c.Apply(&finding)
		if next != nil || !changed || finding.Outcome != sender.Discard {
			t.Fatalf("%+v", finding)
		}
		if stone := c.Bury(&finding, 7); stone.CopyKey != c.CopyKey || stone.Reason != sender.WordEmbeddedForgery || stone.At != 7 || stone.OlmUser != c.OlmUser {
			t.Errorf("%+v", stone)
		}
	})
	t.Run("decision 4: another master key, verified, does not raise what came under the first", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		alice.ResetIdentity()
		phone.CrossSigned()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		if after := w.judges(c); after != c {
			t.Errorf("became %+v", after.Current)
		}
		if f := w.finder.Judge(w.index, c); f.Reason != sender.WordIdentityChanged || !f.Resolved {
			t.Errorf("%s", trace(f))
		}
	})
	t.Run("a violation rises when the same master key is verified again", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		alice.ResetIdentity()
		phone.CrossSigned()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKnown(c, sender.VerificationViolation, phone)
		if after := w.judges(c); after != c {
			t.Error("it changed by itself")
		}
		w.bob.Verifies(alice)
		w.asks(alice)
		w.wantKnown(w.judges(c), sender.SenderVerified, phone)
	})
	t.Run("scenarios 123 and 144: a violation rises when verification is withdrawn", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		alice.ResetIdentity()
		phone.CrossSigned()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		change, err := w.index.WithdrawVerification("@alice:example.org", w.rows)
		if err != nil {
			t.Fatal(err)
		}
		w.apply(change)
		w.wantKnown(w.judges(c), sender.SenderUnverified, phone)
	})
	t.Run("T13: our own identity is lost and regained", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		old := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKnown(old, sender.SenderVerified, phone)
		w.bob.ResetIdentity()
		w.asks(w.bob, alice)
		if after := w.judges(old); after != old {
			t.Error("what was verified changed")
		}
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		w.wantKnown(c, sender.VerificationViolation, phone)
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		w.wantKnown(w.judges(c), sender.SenderVerified, phone)
	})
	t.Run("scenario 82: a device of another user with the same curve key", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		thief := w.kit.User("@mallory:example.org").Device("THIEF")
		thief.Identity = phone.Identity
		w.asks(thief.User)
		if after := w.judges(c); after != c {
			t.Error("it changed")
		}
	})
	t.Run("T15: a device of the sender with the same curve key and another ed25519", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		alice.Devices = nil
		fake := alice.Device("FAKE").CrossSigned()
		fake.Identity = phone.Identity
		w.asks(alice)
		// That the ownership check failed is on record; the sender is as unknown as before.
		if after := w.judges(c); after.Step != 'D' || after.Current != c.Current || after.Suspended {
			t.Errorf("became %+v", after)
		}
		if f := w.finder.Judge(w.index, c); f.Reason != sender.WordMismatchedIdentityKeys || f.Step != 'D' {
			t.Error(trace(f))
		}
		// Beside an embedded device it is passed over.
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound())), sender.SenderUnverified)
	})
	t.Run("T20: the device turns out to be dehydrated", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		phone.Dehydrated()
		w.asks(alice)
		if after := w.judges(c); after != c {
			t.Errorf("became %+v", after.Current)
		}
	})
	t.Run("scenario 42: a claimed copy and a matching verified device", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.trustsHimself()
		w.bob.Verifies(alice)
		w.asks(alice)
		c := claim(t, w.kit.Outbound(), 0, phone)
		finding := w.finder.Judge(w.index, c)
		if finding.Data != (sender.Data{OwnerCheckFailed: true}) || finding.Outcome != sender.Keep || finding.Resolved {
			t.Errorf("%+v", finding)
		}
		if after, changed := c.Apply(&finding); changed || !after.Legacy || !after.InsecureSource() {
			t.Error("it changed")
		}
		// Not even by a finding that says more (I7, T33).
		better := sender.Finding{Data: sender.Data{Kind: sender.SenderVerified, UserID: "@alice:example.org"}, Resolved: true}
		if _, changed := c.Apply(&better); changed {
			t.Error("a claim became proof")
		}
	})
	t.Run("a copy of an older version that names no sender", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		old := *c
		old.OlmUser, old.Current, old.AtReception, old.Legacy = "", sender.Data{}, sender.Data{}, true
		if after := w.judges(&old); after != &old {
			t.Error("it was attributed")
		}
	})
	t.Run("scenario 125, decision 5: a legacy copy that rises stays legacy", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		old := *w.keeps(w.from(phone, w.kit.Outbound(), bare))
		old.Legacy = true
		w.asks(alice)
		c := w.judges(&old)
		w.wantKind(c, sender.DeviceInfo)
		if !c.Legacy {
			t.Error("not legacy any more")
		}
	})
	t.Run("Apply believes nothing that would break a rule", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound()))
		for name, data := range map[string]sender.Data{
			"another user":       {Kind: sender.SenderVerified, UserID: "@mallory:example.org", MasterKey: c.Current.MasterKey},
			"another master key": {Kind: sender.SenderVerified, UserID: c.Current.UserID, MasterKey: keys.Ed25519{1}},
			"a lower rank":       {Kind: sender.DeviceInfo, UserID: c.Current.UserID},
		} {
			if _, changed := c.Apply(&sender.Finding{Data: data}); changed {
				t.Errorf("%s was taken over", name)
			}
		}
		if _, changed := c.Apply(&sender.Finding{Outcome: sender.Suspend, Data: c.Current}); changed {
			t.Error("a known sender's copy was suspended")
		}
	})
	t.Run("an embedded device that does not parse any more is passed over", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		c := *w.keeps(w.from(phone, w.kit.Outbound()))
		c.EmbeddedDevice = []byte("{")
		w.asks(alice)
		w.wantKnown(w.judges(&c), sender.SenderUnverified, phone)
		// So is one that is not the copy's.
		c.EmbeddedDevice = testkit.JSON(w.kit.User("@mallory:example.org").Device("HERS").Object())
		w.wantKnown(w.judges(&c), sender.SenderUnverified, phone)
	})
}

// Scenario 79: judging again by index leads to what judging at once would have.
func TestOrderOfKeyAndAnswerDoesNotMatter(t *testing.T) {
	shapes := map[string]func(alice *testkit.User, phone *testkit.Device){
		"unsigned":             func(_ *testkit.User, phone *testkit.Device) { phone.NotCrossSigned() },
		"signed":               func(*testkit.User, *testkit.Device) {},
		"signed by an old key": func(alice *testkit.User, _ *testkit.Device) { alice.RotateSelfSigning() },
		"no identity":          func(alice *testkit.User, _ *testkit.Device) { alice.WithoutIdentity() },
		"forged":               func(_ *testkit.User, phone *testkit.Device) { phone.NotCrossSigned().CorruptlyCrossSigned() },
		"gone":                 func(alice *testkit.User, _ *testkit.Device) { alice.Devices = nil },
	}
	for name, shape := range shapes {
		for way, hooks := range map[string][]testkit.Hook{"embedded": nil, "bare": {bare}} {
			t.Run(name+", "+way, func(t *testing.T) {
				end := func(keyFirst bool) (sender.Data, bool, bool) {
					w := newWorld(t)
					alice, phone := w.people()
					w.trustsHimself()
					w.bob.Verifies(alice)
					shape(alice, phone)
					if !keyFirst {
						w.asks(alice)
					}
					received, err := w.receives(w.from(phone, w.kit.Outbound(), hooks...))
					if err != nil {
						t.Fatal(err)
					}
					c := received.Copy
					if keyFirst {
						w.asks(alice)
						c = w.judges(c)
					}
					if c == nil {
						return sender.Data{}, false, true
					}
					return c.Current, c.Suspended, false
				}
				data, suspended, discarded := end(false)
				if d, s, x := end(true); d != data || s != suspended || x != discarded {
					t.Errorf("key first: %+v %v %v; answer first: %+v %v %v", d, s, x, data, suspended, discarded)
				}
			})
		}
	}
}
