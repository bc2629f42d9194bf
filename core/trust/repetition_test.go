package trust_test

import (
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Answers that come again. That leaving somebody out makes no difference is looked at with every answer of every test, see world.answer; here is when it
// happens, and when not.

// Given an answer that was taken over, when it comes again word for word, then nobody of it is looked at but ourselves; an answer to an earlier request
// is stale afterwards, as if it had been.
func TestRepeatedAnswer(t *testing.T) {
	w := verifiedWorld(t)
	alice, bob := w.user("alice"), w.user("bob")
	alice.Device("PHONE").CrossSigned()
	alice.Device("DESKTOP")
	bob.Device("PHONE").CrossSigned()
	early, later, last := w.index.BeginQuery(nil), w.index.BeginQuery(nil), w.index.BeginQuery(nil)
	answer := w.kit.KeysQuery(w.me, alice, bob)
	w.answer(answer, later.Sequence)
	if got := w.repeated(answer, later.Sequence); len(got) != 2 {
		t.Errorf("the answer to the same request: left out were %v", got)
	}
	if got, want := w.repeated(answer, last.Sequence), names(alice, bob); !slices.Equal(got, want) {
		t.Fatalf("left out were %v, not %v", got, want)
	}
	w.answer(answer, early.Sequence)
	w.wantCodes(trust.CodeStaleAnswer)
	w.answer(w.kit.KeysQuery(alice, bob), later.Sequence)
	w.wantCodes(trust.CodeStaleAnswer)
	if got := w.repeated(answer, 0); len(got) != 2 {
		t.Errorf("an answer from outside: left out were %v", got)
	}
}

// Given an answer that was taken over, when it comes again with anything else in it, then that user is looked at, and nobody else.
func TestAnswerThatIsAlmostRepeated(t *testing.T) {
	for name, change := range map[string]func(w *world, alice *testkit.User){
		"another device":           func(_ *world, alice *testkit.User) { alice.Device("NEW") },
		"a device fewer":           func(_ *world, alice *testkit.User) { alice.Devices = alice.Devices[:1] },
		"no devices":               func(_ *world, alice *testkit.User) { alice.Devices = nil },
		"a device signed since":    func(_ *world, alice *testkit.User) { alice.Devices[1].CrossSigned() },
		"another identity":         func(_ *world, alice *testkit.User) { alice.ResetIdentity() },
		"an identity signed by us": func(w *world, alice *testkit.User) { w.me.Verifies(alice) },
	} {
		t.Run(name, func(t *testing.T) {
			w := verifiedWorld(t)
			alice, bob := w.user("alice"), w.user("bob")
			alice.Device("PHONE").CrossSigned()
			alice.Device("DESKTOP")
			bob.Device("PHONE").CrossSigned()
			w.learn(alice, bob)
			change(w, alice)
			if got, want := w.repeated(w.kit.KeysQuery(alice, bob), 0), names(bob); !slices.Equal(got, want) {
				t.Errorf("left out were %v, not %v", got, want)
			}
		})
	}
}

// Given an answer that was taken over, when the list is outdated, the user's server cannot be asked, we have another identity ourselves, the user's row
// has changed, or what was said had something wrong with it, then the same is looked at again.
func TestRepeatedAnswerThatIsLookedAt(t *testing.T) {
	given := func(t *testing.T) (w *world, alice *testkit.User) {
		w = verifiedWorld(t)
		alice = w.user("alice")
		alice.Device("PHONE").CrossSigned()
		w.learn(alice)
		return w, alice
	}
	looksAgain := func(t *testing.T, w *world, object map[string]any) {
		t.Helper()
		if got := w.repeated(testkit.JSON(object), 0); len(got) > 0 {
			t.Errorf("left out were %v", got)
		}
	}
	t.Run("the list is outdated", func(t *testing.T) {
		w, alice := given(t)
		w.track(alice)
		looksAgain(t, w, w.kit.KeysQueryObject(alice))
		w.answered(alice)
		if got := w.repeated(w.kit.KeysQuery(alice), 0); len(got) != 1 {
			t.Error("it is not any more")
		}
		w.markOutdated(names(alice), nil)
		looksAgain(t, w, w.kit.KeysQueryObject(alice))
		w.answered(alice)
		w.wantOutdated(w.me)
	})
	t.Run("the server cannot be asked", func(t *testing.T) {
		w, alice := given(t)
		elsewhere := w.kit.User("@alice:elsewhere.example")
		w.learn(elsewhere)
		object := w.kit.KeysQueryObject(alice, elsewhere)
		object["failures"] = map[string]any{"elsewhere.example": map[string]any{}}
		if got, want := w.repeated(testkit.JSON(object), 0), names(alice); !slices.Equal(got, want) {
			t.Errorf("left out were %v, not %v", got, want)
		}
	})
	t.Run("we have another identity", func(t *testing.T) {
		w, alice := given(t)
		w.me.ResetIdentity()
		looksAgain(t, w, w.kit.KeysQueryObject(w.me, alice))
	})
	t.Run("the row has changed", func(t *testing.T) {
		w, alice := given(t)
		w.me.Verifies(alice)
		w.learn(alice)
		alice.ResetIdentity()
		w.learn(alice)
		change, err := w.index.WithdrawVerification(ids.UserID(alice.ID), w.rows)
		if err != nil {
			t.Fatal(err)
		}
		w.commit(change)
		looksAgain(t, w, w.kit.KeysQueryObject(alice))
	})
	t.Run("something was wrong with it", func(t *testing.T) {
		w, alice := given(t)
		bob := w.user("bob")
		bob.Device("PHONE").CorruptlySelfSigned()
		for range 2 {
			w.learn(alice, bob)
			w.wantCodes(trust.CodeDeviceSignatureInvalid)
		}
		looksAgain(t, w, w.kit.KeysQueryObject(bob))
	})
	t.Run("nobody knows who had the problems that are only counted", func(t *testing.T) {
		w, alice := given(t)
		alice.Device("NEW").CorruptlySelfSigned()
		limits := trust.DefaultLimits
		limits.Problems = 0
		answer, err := trust.ParseAnswer(w.kit.KeysQuery(alice), limits)
		if err != nil {
			t.Fatal(err)
		}
		application, err := w.index.Prepare(answer, 0, w.rows)
		if err != nil {
			t.Fatal(err)
		}
		w.commit(application.Finish(keys.VerifyAll(application.Checks)))
		w.wantCodes(trust.CodeTooManyProblems)
		looksAgain(t, w, w.kit.KeysQueryObject(alice))
	})
}
