package core_test

import (
	"context"
	"testing"

	"knownsender/core/policy"
	"knownsender/core/sender"
)

// The main job, in one breath: a room key arrives from a cross-signed device nobody has heard of, is kept, its sender is found when the server
// answers, and all of it is there again after a restart.
func TestARoomKeyThroughAllRooms(t *testing.T) {
	w := newWorld(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()

	// Given nothing is known of Alice, when her room key arrives, the device is known from the message itself, its owner is not.
	copied := w.kept(w.event(phone, room, session))
	if copied.Current.Kind != sender.DeviceInfo {
		t.Fatalf("before /keys/query: %v", copied.Current.Kind)
	}
	message := phone.Message(string(room), session, "good morning")
	w.wantCodes(message, but("unsigned_device"))

	// When the server answers, the key is Alice's.
	result := w.answer(alice)
	if result.RoomKeys != 1 || len(w.heard.updates) != 1 {
		t.Fatalf("%d room keys changed, %d updates told", result.RoomKeys, len(w.heard.updates))
	}
	if update := w.heard.updates[0]; update.Before.Kind != sender.DeviceInfo || update.After.Kind != sender.SenderUnverified {
		t.Fatalf("told %v to %v", update.Before.Kind, update.After.Kind)
	}
	w.wantCodes(message, shownUnsure)

	// And when we verify her, it is shown under every policy; what was known at reception stays what it was.
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	w.restart()
	w.wantCodes(message, shownToAll)
	event, err := w.decrypt(message, policy.Verified)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, event) != "good morning" {
		t.Fatalf("decrypted %q", body(t, event))
	}
	chosen := event.Info.Verdict.Chosen
	if chosen.AtReception.Kind != sender.DeviceInfo || chosen.Current.Kind != sender.SenderVerified {
		t.Fatalf("at reception %v, now %v", chosen.AtReception.Kind, chosen.Current.Kind)
	}
	counts, err := w.machine.RoomKeyCounts(context.Background())
	if err != nil || counts.Total != 1 {
		t.Fatalf("counts %+v, %v", counts, err)
	}
}
