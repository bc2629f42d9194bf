package core_test

import (
	"context"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// Why a verdict is what it is.

// steps are the letters of a trace.
func steps(e *core.CopyExplanation) (letters string) {
	for _, step := range e.Finding.Trace {
		letters += string(step.Letter)
	}
	return letters
}

// Every state has its trace and a sentence that says what would change it; asking changes nothing.
func TestExplanations(t *testing.T) {
	for _, story := range []struct {
		name     string
		given    func(w *world, alice *testkit.User, phone *testkit.Device)
		then     func(w *world, alice *testkit.User, phone *testkit.Device)
		hooks    []testkit.Hook
		trace    string
		step     byte
		sentence string
		remedy   core.Remedy
	}{
		{name: "unknown device", hooks: []testkit.Hook{testkit.WithoutDeviceKeys}, trace: "ABC", step: 'C', sentence: "lists it for @alice:example.org", remedy: core.RemedyDevice},
		{name: "device, no identity", trace: "ABDEF", step: 'F', sentence: "identity of @alice:example.org", remedy: core.RemedyIdentity},
		{name: "device not signed", given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned()
			w.answer(alice)
		}, hooks: []testkit.Hook{testkit.WithoutDeviceKeys}, trace: "ABDEG", step: 'G', sentence: "When its owner signs it", remedy: core.RemedyCrossSignature},
		{name: "unverified", given: func(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) },
			trace: "ABJ", step: 'J', sentence: "Verifying @alice:example.org", remedy: core.RemedyVerification},
		{name: "verified", given: func(w *world, alice *testkit.User, _ *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answer(alice)
		}, trace: "ABJ", step: 'J', sentence: "Nothing", remedy: core.RemedyNone},
		{name: "violation", given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answer(alice)
			alice.ResetIdentity()
			phone.NotCrossSigned().CrossSigned()
			w.answer(alice)
		}, trace: "ABJ", step: 'J', sentence: "withdrawing the verification", remedy: core.RemedyReverify},
		{name: "pinned under an earlier identity", given: func(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) },
			then: func(w *world, alice *testkit.User, phone *testkit.Device) {
				alice.ResetIdentity()
				phone.NotCrossSigned().CrossSigned()
				w.me.Verifies(alice)
				w.verifyMe()
				w.answer(alice)
			}, trace: "ABJ", step: 'J', sentence: "It stays as it is", remedy: core.RemedyNone},
		{name: "suspended", given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned().CorruptlyCrossSigned()
			w.answer(alice)
		}, hooks: []testkit.Hook{testkit.WithoutDeviceKeys}, trace: "ABDEGH", step: 'H', sentence: "would lift the suspension", remedy: core.RemedyGoodSignature},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			if story.given != nil {
				story.given(w, alice, phone)
			}
			session := w.kit.Outbound()
			w.kept(w.event(phone, room, session, story.hooks...))
			if story.then != nil {
				story.then(w, alice, phone)
			}
			for _, restart := range []bool{false, true} {
				if restart {
					w.restart()
				}
				before := dump(t, w.rows)
				e, err := w.machine.Explain(context.Background(), room, sessionID(t, session.ID()))
				if err != nil || len(e.Copies) != 1 {
					t.Fatal(err)
				}
				c := &e.Copies[0]
				if got := steps(c); got != story.trace || c.Finding.Step != story.step {
					t.Errorf("trace %s, step %c, want %s", got, c.Finding.Step, story.trace)
				}
				if !strings.Contains(c.WouldChange, story.sentence) || c.Remedy != story.remedy {
					t.Errorf("%s: %q", c.Remedy, c.WouldChange)
				}
				w.flush()
				if dump(t, w.rows) != before {
					t.Error("asking has changed the store (I22)")
				}
			}
		})
	}
}

// A claim, a tombstone and a notice are explained too; of what is not there nothing is said.
func TestExplanationsOfTheRest(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
	session := w.kit.Outbound()
	w.plant(w.claimed(phone, session, 0))
	phone.NotCrossSigned().CorruptlyCrossSigned()
	w.receive(w.event(phone, room, session))
	if _, err := w.withheld(phone, session, "m.unverified"); err != nil {
		t.Fatal(err)
	}
	w.restart()
	e, err := w.machine.Explain(context.Background(), room, sessionID(t, session.ID()))
	if err != nil || len(e.Copies) != 1 || len(e.Tombstones) != 1 || e.Withheld == nil || e.Withheld.Code != "m.unverified" {
		t.Fatalf("%+v %v", e, err)
	}
	if e.Copies[0].Provenance != sender.Claimed || !strings.Contains(e.Copies[0].WouldChange, "cannot prove who made it") || e.Copies[0].Remedy != core.RemedyFromSender {
		t.Errorf("%s: %q", e.Copies[0].Remedy, e.Copies[0].WouldChange)
	}
	if e.Tombstones[0].Reason == "" || e.Tombstones[0].OlmUser != "@alice:example.org" {
		t.Errorf("%+v", e.Tombstones[0])
	}
	nothing, err := w.machine.Explain(context.Background(), room, sessionID(t, w.kit.Outbound().ID()))
	if err != nil || len(nothing.Copies)+len(nothing.Tombstones) != 0 || nothing.Withheld != nil {
		t.Errorf("%+v %v", nothing, err)
	}
}
