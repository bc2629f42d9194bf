package policy_test

import (
	"testing"

	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/sender"
)

const (
	alice   = ids.UserID("@alice:example.org")
	mallory = ids.UserID("@mallory:example.org")
)

// direct is a direct copy that Olm says is owner's.
func direct(owner ids.UserID, kind sender.Kind) *sender.Copy {
	c := &sender.Copy{CopyKey: sender.CopyKey{SenderKey: [32]byte{byte(len(owner))}}, OlmUser: owner, Current: sender.Data{Kind: kind}}
	if kind != sender.UnknownDevice {
		c.Current.UserID = owner
	}
	return c
}

func claimed(legacy bool) *sender.Copy {
	return &sender.Copy{CopyKey: sender.CopyKey{Provenance: sender.Claimed}, Legacy: legacy}
}

func with(c *sender.Copy, change func(*sender.Copy)) *sender.Copy {
	change(c)
	return c
}

func legacy(c *sender.Copy)    { c.Legacy = true }
func suspended(c *sender.Copy) { c.Suspended = true }

// handedOver has mallory hand the copy over, who was known then.
func handedOver(c *sender.Copy) {
	c.Forwarder = &sender.Forwarder{Data: sender.Data{Kind: sender.SenderUnverified, UserID: mallory}}
}

// wants judges a question under all four requirements. want has a word for each: "show", "show:code" or "hide:code"; one word stands for
// all that follow.
func wants(t *testing.T, q policy.Question, want ...string) {
	t.Helper()
	for r := range policy.TrustRequirement(policy.Requirements) {
		q.Requirement = r
		v := policy.Judge(&q)
		got := "hide:" + v.Code
		if v.Shown {
			if got = "show"; v.Code != "" {
				got += ":" + v.Code
			}
		}
		if w := want[min(int(r), len(want)-1)]; got != w {
			t.Errorf("%v: %s (%v), want %s", r, got, v.State, w)
		}
	}
}

func of(eventSender ids.UserID, copies ...*sender.Copy) policy.Question {
	return policy.Question{Sender: eventSender, Copies: copies}
}

func TestOneCopy(t *testing.T) {
	t.Run("scenario 118: the journey, policy by policy", func(t *testing.T) {
		wants(t, of(alice, direct(alice, sender.UnknownDevice)), "show:unknown_device", "hide:unknown_device")
		wants(t, of(alice, direct(alice, sender.DeviceInfo)), "show:unsigned_device", "hide:unsigned_device")
		wants(t, of(alice, direct(alice, sender.SenderUnverified)), "show", "show", "show", "hide:unverified_identity")
		wants(t, of(alice, direct(alice, sender.SenderVerified)), "show")
		wants(t, of(alice, claimed(true)), "show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
	t.Run("scenario 119, 120 and T01: another sender than the owner", func(t *testing.T) {
		for kind := range sender.Kind(5) {
			wants(t, of("@charlie:example.org", direct(alice, kind)), "show:mismatched_sender", "hide:mismatched_sender")
			wants(t, of("@charlie:example.org", with(direct(alice, kind), legacy)), "show:mismatched_sender", "hide:mismatched_sender")
		}
	})
	t.Run("scenario 121: one user, one signed and one unsigned device", func(t *testing.T) {
		wants(t, of(alice, direct(alice, sender.SenderUnverified)), "show", "show", "show", "hide:unverified_identity")
		wants(t, of(alice, direct(alice, sender.DeviceInfo)), "show:unsigned_device", "hide:unsigned_device")
	})
	t.Run("scenario 123, decision 14: a violation", func(t *testing.T) {
		wants(t, of(alice, direct(alice, sender.VerificationViolation)), "show:verification_violation", "hide:verification_violation")
	})
	t.Run("scenario 124: Verified shows verified senders and nothing else", func(t *testing.T) {
		for kind := range sender.Kind(5) {
			v := policy.Judge(&policy.Question{Requirement: policy.Verified, Sender: alice, Copies: []*sender.Copy{with(direct(alice, kind), legacy)}})
			if v.Shown != (kind == sender.SenderVerified) {
				t.Errorf("%v: %v", kind, v.Shown)
			}
		}
	})
	t.Run("scenario 125: a legacy unsigned copy reads the same twice, before and after its device came", func(t *testing.T) {
		unknown, known := with(direct(alice, sender.UnknownDevice), legacy), with(direct(alice, sender.DeviceInfo), legacy)
		for range 2 {
			wants(t, of(alice, unknown), "show:unknown_device", "show:unknown_device", "hide:unknown_device")
			wants(t, of(alice, known), "show:unsigned_device", "show:unsigned_device", "hide:unsigned_device")
		}
	})
	t.Run("scenario 131, T06, decision 8: what was tampered with is shown by no policy", func(t *testing.T) {
		wants(t, of(alice, with(direct(alice, sender.DeviceInfo), suspended)), "hide:tampered")
		wants(t, of("@charlie:example.org", with(direct(alice, sender.DeviceInfo), suspended)), "hide:tampered")
		wants(t, policy.Question{Sender: alice, Tombstones: []*sender.Tombstone{{OlmUser: alice}}}, "hide:tampered")
	})
	t.Run("scenario 132: an unknown device and another sender", func(t *testing.T) {
		// The Olm payload named its sender, so the mismatch is seen even where no device is known.
		wants(t, of(mallory, direct(alice, sender.UnknownDevice)), "show:mismatched_sender", "hide:mismatched_sender")
		// Where nothing names one it cannot be: neither on a copy of an older version, nor on a claimed one.
		wants(t, of(mallory, direct("", sender.UnknownDevice)), "show:unknown_device", "hide:unknown_device")
		wants(t, of(mallory, claimed(true)), "show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
	t.Run("scenario 133, T24, decision 13: a replay", func(t *testing.T) {
		q := of(alice, direct(alice, sender.SenderVerified))
		q.Replayed = true
		wants(t, q, "hide:replayed")
	})
	t.Run("T26: the plaintext is for another room", func(t *testing.T) {
		q := of(alice, direct(alice, sender.SenderVerified))
		q.WrongRoom = true
		wants(t, q, "hide:wrong_room")
	})
	t.Run("scenario 134, T57: a sender that is no user", func(t *testing.T) {
		wants(t, of("", direct(alice, sender.SenderVerified)), "hide:bad_sender")
		wants(t, of("", claimed(true)), "hide:bad_sender")
	})
	t.Run("the owner check failed, legacy and not", func(t *testing.T) {
		failed := func(c *sender.Copy) { c.Current.OwnerCheckFailed = true }
		wants(t, of(alice, with(direct(alice, sender.UnknownDevice), failed)), "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
		wants(t, of(alice, with(with(direct(alice, sender.UnknownDevice), failed), legacy)),
			"show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
	t.Run("T44: a forwarded key is a claim that is not legacy", func(t *testing.T) {
		wants(t, of(alice, claimed(false)), "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
	t.Run("T33: a key the server put into the backup", func(t *testing.T) {
		v := policy.Judge(&policy.Question{Requirement: policy.CrossSignedOrLegacy, Sender: alice, Copies: []*sender.Copy{claimed(true)}})
		if !v.Shown || v.Shield.Color != policy.ShieldGrey {
			t.Errorf("%+v", v)
		}
	})
	t.Run("T02, T03: after a later rotation the level stands", func(t *testing.T) {
		wants(t, of(alice, with(direct(alice, sender.SenderVerified), func(c *sender.Copy) { c.AtReception = sender.Data{} })), "show")
	})
}

func TestNoCopy(t *testing.T) {
	wants(t, policy.Question{Sender: alice}, "hide:no_key")
	wants(t, policy.Question{Sender: alice, Withheld: true}, "hide:withheld")
	others := []*sender.Copy{direct(alice, sender.SenderVerified)}
	wants(t, policy.Question{Sender: alice, Others: others}, "hide:unknown_index")
	// Scenario 128: too early an index, and the sender has said why.
	wants(t, policy.Question{Sender: alice, Others: others, Withheld: true}, "hide:withheld")
	// T46: it says nothing where there is a key.
	q := of(alice, direct(alice, sender.SenderVerified))
	q.Withheld = true
	wants(t, q, "show")
	// Another user's tombstone explains nothing.
	wants(t, policy.Question{Sender: alice, Tombstones: []*sender.Tombstone{{OlmUser: mallory}}}, "hide:no_key")
	// T06: a later honest copy is judged as if there had been no tombstone.
	q = of(alice, direct(alice, sender.SenderVerified))
	q.Tombstones = []*sender.Tombstone{{OlmUser: alice}}
	wants(t, q, "show")
}

func TestSeveralCopies(t *testing.T) {
	t.Run("T16, decision 11: two direct copies, two owners, in either order", func(t *testing.T) {
		hers, his := direct(alice, sender.SenderVerified), direct(mallory, sender.SenderUnverified)
		for _, copies := range [][]*sender.Copy{{hers, his}, {his, hers}} {
			for eventSender, chosen := range map[ids.UserID]*sender.Copy{alice: hers, mallory: his} {
				v := policy.Judge(&policy.Question{Sender: eventSender, Copies: copies})
				if v.Chosen != chosen || !v.AmbiguousOwner || !v.Shown {
					t.Errorf("%s: %+v", eventSender, v)
				}
			}
			wants(t, policy.Question{Sender: "@charlie:example.org", Copies: copies}, "show:mismatched_sender", "hide:mismatched_sender")
		}
		wants(t, of(alice, his, hers), "show")
		// Before Alice's own copy is there, her events are not taken for Mallory's.
		wants(t, of(alice, his), "show:mismatched_sender", "hide:mismatched_sender")
	})
	t.Run("of two copies by one owner the better known counts", func(t *testing.T) {
		known, unknown := direct(alice, sender.SenderUnverified), direct(alice, sender.UnknownDevice)
		for _, copies := range [][]*sender.Copy{{known, unknown}, {unknown, known}} {
			v := policy.Judge(&policy.Question{Requirement: policy.CrossSigned, Sender: alice, Copies: copies})
			if v.Chosen != known || v.AmbiguousOwner || !v.Shown {
				t.Errorf("%+v", v)
			}
		}
	})
	t.Run("a suspended copy stands behind another one of the same owner", func(t *testing.T) {
		wants(t, of(alice, with(direct(alice, sender.DeviceInfo), suspended), direct(alice, sender.SenderUnverified)), "show", "show", "show", "hide:unverified_identity")
		wants(t, of(alice, with(direct(alice, sender.DeviceInfo), suspended), direct(mallory, sender.SenderVerified)), "hide:tampered")
	})
	t.Run("T34: a claim does not launder Mallory's session into Alice's", func(t *testing.T) {
		made := direct(mallory, sender.SenderUnverified)
		wants(t, of(alice, claimed(true), made), "show:mismatched_sender", "hide:mismatched_sender")
		// With the option the claim shows it, grey, and it is counted.
		q := of(alice, claimed(true), made)
		q.ClaimsMayOverruleDirect = true
		wants(t, q, "show:mismatched_sender", "show:authenticity_not_guaranteed", "hide:mismatched_sender")
	})
	t.Run("T38, decision 12: a hidden direct copy and a legacy claim at an earlier index", func(t *testing.T) {
		hidden, early := direct(alice, sender.DeviceInfo), claimed(true)
		for name, q := range map[string]policy.Question{
			"both decrypt it":     of(alice, hidden, early),
			"only the claim does": {Sender: alice, Copies: []*sender.Copy{early}, Others: []*sender.Copy{hidden}},
		} {
			q.Requirement = policy.CrossSignedOrLegacy
			if v := policy.Judge(&q); v.Shown || v.Code != policy.CodeUnsignedDevice || !v.Washed || v.Chosen != hidden {
				t.Errorf("%s: %+v", name, v)
			}
			q.ClaimsMayOverruleDirect = true
			if v := policy.Judge(&q); !v.Shown || v.Code != policy.CodeAuthenticityNotGuaranteed || !v.Washed || v.Chosen != early {
				t.Errorf("%s, with the option: %+v", name, v)
			}
			q.Requirement = policy.CrossSigned // hides the claim itself
			if v := policy.Judge(&q); v.Shown || v.Washed {
				t.Errorf("%s, CrossSigned: %+v", name, v)
			}
		}
		// What the direct copy shows the claim may show too: there is nothing to wash.
		q := policy.Question{Sender: alice, Copies: []*sender.Copy{early}, Others: []*sender.Copy{direct(alice, sender.SenderVerified)}}
		wants(t, q, "show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
	t.Run("a forged signature of the sender's is overruled by no claim", func(t *testing.T) {
		for _, option := range []bool{false, true} {
			wants(t, policy.Question{Sender: alice, Copies: []*sender.Copy{claimed(true)}, Others: []*sender.Copy{with(direct(alice, sender.DeviceInfo), suspended)},
				ClaimsMayOverruleDirect: option}, "hide:tampered")
			wants(t, policy.Question{Sender: alice, Copies: []*sender.Copy{claimed(true)}, Tombstones: []*sender.Tombstone{{OlmUser: alice}},
				ClaimsMayOverruleDirect: option}, "hide:tampered")
		}
	})
	t.Run("another user's forged signature decides nothing about Alice's history", func(t *testing.T) {
		forged := with(direct(mallory, sender.DeviceInfo), suspended)
		for _, q := range []policy.Question{
			{Sender: alice, Copies: []*sender.Copy{claimed(true), forged}},
			{Sender: alice, Copies: []*sender.Copy{claimed(true)}, Others: []*sender.Copy{forged}},
			{Sender: alice, Copies: []*sender.Copy{claimed(true)}, Tombstones: []*sender.Tombstone{{OlmUser: mallory}}},
		} {
			wants(t, q, "show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
		}
	})
	t.Run("of two claims the legacy one counts", func(t *testing.T) {
		wants(t, of(alice, claimed(false), claimed(true)), "show:authenticity_not_guaranteed", "show:authenticity_not_guaranteed", "hide:authenticity_not_guaranteed")
	})
}

// A copy of which nothing speaks in its favour is a copy all the same: what it says is told, and not that there is no key.
func TestTheLeastOfCopies(t *testing.T) {
	for name, c := range map[string]*sender.Copy{
		"suspended, of nobody":         with(direct("", sender.UnknownDevice), suspended),
		"suspended, of nobody, legacy": with(with(direct("", sender.UnknownDevice), suspended), legacy),
	} {
		q := of(alice, c)
		if v := policy.Judge(&q); v.State != policy.StateSuspended || v.Chosen != c {
			t.Errorf("%s: %v", name, v.State)
		}
	}
}

// Among equals the first that is given speaks, so that the order of the best is the caller's.
func TestTheFirstOfEqualsSpeaks(t *testing.T) {
	first, second := direct(alice, sender.SenderVerified), direct(alice, sender.SenderVerified)
	q := of(alice, first, second)
	if v := policy.Judge(&q); v.Chosen != first {
		t.Error("the second speaks")
	}
}

// Every number has a name, and those that are no state or requirement have one that says so.
func TestNamesOfNumbers(t *testing.T) {
	named := map[string]int{}
	for n := range 256 {
		named[policy.State(n).String()]++
		named[policy.TrustRequirement(n).String()]++
	}
	if named["State(invalid)"] != 256-20 || named["no_key"] != 1 || named["Verified"] != 1 || len(named) != 20+1+policy.Requirements+1 {
		t.Errorf("%d names: %v", len(named), named)
	}
}
