package trust_test

import (
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/testkit"
)

// Given devices of two users, when it is asked who lists a key, then it is whoever lists it now, whether the question was asked before or not
// (T15: two users can list one key; both are named).
func TestWhoLists(t *testing.T) {
	w := newWorld(t)
	alice, mallory := w.user("alice"), w.user("mallory")
	phone := alice.Device("PHONE")
	desk := alice.Device("DESK")
	hers := mallory.Device("HERS")
	who := func(d *testkit.Device) (users []ids.UserID) {
		t.Helper()
		for _, device := range w.index.WhoLists(curve(d)) {
			users = append(users, device.UserID)
		}
		return users
	}
	same := func(what string, got []ids.UserID, want ...ids.UserID) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
	same("before anything is known", who(phone))
	w.learn(alice)
	same("after the first question", who(phone), "@alice:example.org")
	same("a second device", who(desk), "@alice:example.org")
	same("somebody unheard of", who(hers))
	w.learn(mallory)
	same("the next user", who(hers), "@mallory:example.org")
	alice.Devices = alice.Devices[:1]
	w.learn(alice)
	same("a device that is gone", who(desk))
	same("the one beside it", who(phone), "@alice:example.org")
	hers.Identity = phone.Identity
	w.learn(mallory)
	same("T15: a key that two list", who(phone), "@alice:example.org", "@mallory:example.org")
	alice.Devices = nil
	w.learn(alice)
	same("T15: when one of them lists it no longer", who(phone), "@mallory:example.org")
}
