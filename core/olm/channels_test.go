package olm_test

import (
	"testing"

	"knownsender/core/olm"
)

// Given two devices that have not spoken, when one writes and the other answers, then both have one session of one name, pre-key messages end
// with the first answer, and one one-time key is gone.
func TestTwoDevicesTalk(t *testing.T) {
	alice, bob := strangers()
	before := bob.account.OneTimeKeyCount()
	alice.begin(bob)
	for _, text := range []string{"one", "two", "three"} {
		m := alice.encrypt(text)
		if m.kind != olm.PreKey {
			t.Fatalf("%s: kind %d before any answer", text, m.kind)
		}
		bob.expect(t, m, text)
	}
	m := bob.encrypt("answer")
	if m.kind != olm.Normal {
		t.Fatalf("the answer has kind %d", m.kind)
	}
	alice.expect(t, m, "answer")
	if m = alice.encrypt("four"); m.kind != olm.Normal {
		t.Fatalf("kind %d after the answer", m.kind)
	}
	bob.expect(t, m, "four")
	a, b := alice.channels.Sessions(), bob.channels.Sessions()
	if len(a) != 1 || len(b) != 1 || a[0].ID() != b[0].ID() || !a[0].HasReceivedMessage() || !b[0].HasReceivedMessage() {
		t.Errorf("%d and %d sessions", len(a), len(b))
	}
	if got := bob.account.OneTimeKeyCount(); got != before-1 {
		t.Errorf("%d one-time keys of %d", got, before)
	}
}
