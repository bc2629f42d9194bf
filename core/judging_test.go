package core_test

import (
	"context"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// Stored room keys when more becomes known: what rises, what stays, who is told, and why.

// wantUpdates checks what the listener was told since the last call.
func (w *world) wantUpdates(want ...core.SenderDataUpdate) {
	w.t.Helper()
	got := w.heard.updates
	w.heard.updates = nil
	if len(got) != len(want) {
		w.t.Fatalf("%d updates were told, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if got[i].Before.Kind != want[i].Before.Kind || got[i].After.Kind != want[i].After.Kind || got[i].Because != want[i].Because {
			w.t.Errorf("update %d: %v to %v because of %s, want %v to %v because of %s", i, got[i].Before.Kind, got[i].After.Kind, got[i].Because,
				want[i].Before.Kind, want[i].After.Kind, want[i].Because)
		}
	}
}

func rise(before, after sender.Kind, because core.Cause) core.SenderDataUpdate {
	return core.SenderDataUpdate{Before: sender.Data{Kind: before}, After: sender.Data{Kind: after}, Because: because}
}

// Scenarios 77, 78, 80 and 81, I3, I4: a copy rises step by step, each step by its own trigger and told once; what was known at reception
// never changes, nor does the legacy mark.
func TestRise(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned()
	identity := alice.Identity
	alice.WithoutIdentity()
	w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))

	w.answer(alice) // scenario 77: the device
	w.wantUpdates(rise(sender.UnknownDevice, sender.DeviceInfo, core.BecauseKeysQuery))
	alice.Identity = identity
	w.answer(alice) // an identity that has not signed the device changes nothing of the data
	w.wantUpdates()
	phone.CrossSigned()
	w.answer(alice) // scenario 78: the signature
	w.wantUpdates(rise(sender.DeviceInfo, sender.SenderUnverified, core.BecauseKeysQuery))
	w.me.Verifies(alice)
	w.answer(alice)
	w.wantUpdates()
	w.verifyMe() // scenario 81: the user is verified by way of our own identity
	w.wantUpdates(rise(sender.SenderUnverified, sender.SenderVerified, core.BecauseVerification))
	stored := w.copy()
	if stored.AtReception.Kind != sender.UnknownDevice || stored.Legacy || stored.EmbeddedDevice != nil {
		t.Errorf("%+v", stored)
	}
}

// Scenario 80: only the identity changes; the device is the same byte for byte, and was cross-signed all along.
func TestIdentityArrivesLater(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	identity := alice.Identity
	alice.WithoutIdentity()
	w.answer(alice)
	w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	alice.Identity = identity
	if result := w.answer(alice); result.RoomKeys != 1 || len(result.Identities) != 1 {
		t.Errorf("%d room keys changed, %d identities", result.RoomKeys, len(result.Identities))
	}
	w.wantUpdates(rise(sender.DeviceInfo, sender.SenderUnverified, core.BecauseKeysQuery))
}

// Scenario 81: the user is verified by an answer that brings our signature over the master key.
func TestUserVerifiedByAnAnswer(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.verifyMe()
	w.answer(alice)
	w.kept(w.event(phone, room, w.kit.Outbound()))
	w.me.Verifies(alice)
	if result := w.answer(alice); result.RoomKeys != 1 || len(result.Verifications) != 1 {
		t.Errorf("%d room keys, %d verifications", result.RoomKeys, len(result.Verifications))
	}
	w.wantUpdates(rise(sender.SenderUnverified, sender.SenderVerified, core.BecauseKeysQuery))
}

// Scenario 82, T15: another user's device with the same curve key changes nothing of a stored copy.
func TestAnotherUsersDeviceWithTheSameKey(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	mallory := w.kit.User("@mallory:example.org")
	stolen := mallory.Device("STOLEN")
	stolen.Identity = phone.Identity
	stolen.CrossSigned()
	w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	before := rowOf(t, w, 0)
	if result := w.answer(mallory); result.RoomKeys != 0 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	if after := rowOf(t, w, 0); after.Rev != before.Rev {
		t.Error("the row was written")
	}
	w.wantUpdates()
}

// T13: our own identity is replaced while it still "verifies" others. Nobody is verified from then on; what was stored as verified stays; and
// trusted again, it lifts only what it signs.
func TestOwnIdentityReplaced(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	before := w.kit.Outbound()
	w.kept(w.event(phone, room, before))
	w.me.ResetIdentity()
	result := w.answer(w.me)
	if len(result.Verifications) != 2 { // ours and Alice's
		t.Errorf("verifications %+v", result.Verifications)
	}
	after := w.kit.Outbound()
	if kept := w.kept(w.event(phone, room, after)); kept.Current.Kind != sender.VerificationViolation {
		t.Errorf("a new session of somebody we had verified is %v", kept.Current.Kind)
	}
	w.wantCodes(phone.Message(string(room), before, "old"), shownToAll)
	w.wantCodes(phone.Message(string(room), after, "new"), but("verification_violation"))
	// Trusting the new one makes nobody verified whom it has not signed; signing Alice does.
	if err := w.trustMe(); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(phone.Message(string(room), after, "new"), but("verification_violation"))
	w.me.Verifies(alice)
	w.answer(alice)
	w.wantCodes(phone.Message(string(room), after, "new"), shownToAll)
}

// T21, I4: the pin holds. Whatever becomes of the identity, a copy keeps user and master key.
func TestPinHolds(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	first := w.kept(w.event(phone, room, session)).Current
	for range 3 {
		alice.ResetIdentity()
		phone.NotCrossSigned().CrossSigned()
		w.me.Verifies(alice)
		w.verifyMe()
		w.answer(alice)
		if got := w.copy().Current; got != first {
			t.Fatalf("%+v has become %+v", first, got)
		}
		// The same key delivered again, under the new identity, does not move the pin either.
		w.kept(w.event(phone, room, session))
		if got := w.copy().Current; got != first {
			t.Fatalf("delivered again, %+v has become %+v", first, got)
		}
	}
}

// A policy is asked of what is known, not stored: changing it changes no row and needs no judging.
func TestPolicySwitch(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	w.wantCodes(message, shownUnsure)
	before := dump(t, w.rows)
	for range 3 {
		w.wantCodes(message, shownUnsure)
	}
	if w.machine.TrustRequirement() != policy.Verified || dump(t, w.rows) != before {
		t.Error("asking has changed something")
	}
}

// Scenario 118, decision 8: a copy judged again with the forged signature its own message embedded is discarded where it lies.
func TestDiscardedWhenJudgedAgain(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	// Given the identity is not known yet, the signature says nothing.
	if kept := w.kept(w.event(phone, room, session)); kept.Current.Kind != sender.DeviceInfo {
		t.Fatalf("%v", kept.Current.Kind)
	}
	w.wantCodes(message, but("unsigned_device"))
	result := w.answer(alice)
	if result.RoomKeys != 1 || len(w.copies()) != 0 {
		t.Errorf("%d room keys changed, %d copies are left", result.RoomKeys, len(w.copies()))
	}
	w.wantCodes(message, hidden("tampered"))
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 0 {
		t.Errorf("counted %d", counts.Total)
	}
	w.restart()
	w.wantCodes(message, hidden("tampered"))
	// Delivered again it stays discarded; the honest copy that comes later begins afresh.
	w.receive(w.event(phone, room, session))
	if len(w.copies()) != 0 {
		t.Error("the forgery came back")
	}
	phone.NotCrossSigned().CrossSigned()
	w.kept(w.event(phone, room, session))
	w.wantCodes(message, shownUnsure)
}
