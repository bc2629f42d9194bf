package olm_test

import (
	"math/rand/v2"
	"strconv"
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

// Given both ends begin at once, when their first messages cross, then each opens the other's, both keep two sessions, and both come to write on
// the one they last heard on.
func TestBothBeginAtOnce(t *testing.T) {
	alice, bob := strangers()
	alice.begin(bob)
	bob.begin(alice)
	fromAlice, fromBob := alice.encrypt("from alice"), bob.encrypt("from bob")
	alice.expect(t, fromBob, "from bob")
	bob.expect(t, fromAlice, "from alice")
	if a, b := len(alice.channels.Sessions()), len(bob.channels.Sessions()); a != 2 || b != 2 {
		t.Fatalf("%d and %d sessions", a, b)
	}
	for range 3 {
		m := alice.encrypt("to bob")
		bob.expect(t, m, "to bob")
		if heard := bob.channels.Sessions()[0].ID(); heard != alice.channels.Sessions()[0].ID() {
			t.Fatal("bob heard on another session than alice wrote on")
		}
		alice.expect(t, bob.encrypt("to alice"), "to alice")
	}
	if a, b := alice.channels.Sessions()[0], bob.channels.Sessions()[0]; a.ID() != b.ID() || !a.HasReceivedMessage() {
		t.Error("the two have not come to one session")
	}
}

// Given 1,000 messages in both directions that overtake each other, when never more than MaxSkippedKeys are missing, then every one opens, once.
func TestMessagesOvertakeEachOther(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	alice, bob := conversing(t)
	seen := map[string]bool{}
	ends := []*device{alice, bob}
	for block := 0; len(seen) < 1000; block++ {
		from, to := ends[block%2], ends[1-block%2]
		var under []sealed
		for i := range 1 + random.IntN(olm.MaxSkippedKeys+1) {
			under = append(under, from.encrypt(strconv.Itoa(block)+" "+strconv.Itoa(i)))
		}
		random.Shuffle(len(under), func(i, j int) { under[i], under[j] = under[j], under[i] })
		for _, m := range under {
			plaintext, code := to.decrypt(m)
			if code != "" || seen[plaintext] {
				t.Fatalf("block %d: %q, %s", block, plaintext, code)
			}
			seen[plaintext] = true
			to.refuse(t, m, olm.CodeOlmMessageReplayed)
		}
	}
}

// Given messages on one session, when MaxSkippedKeys come late, then all open; when one more is late, then the key of the oldest is lost.
func TestLateMessages(t *testing.T) {
	alice, bob := conversing(t)
	var late []sealed
	for i := range olm.MaxSkippedKeys + 1 {
		late = append(late, alice.encrypt(strconv.Itoa(i)))
	}
	bob.expect(t, alice.encrypt("first"), "first")
	bob.refuse(t, late[0], olm.CodeOlmMessageReplayed)
	for i, m := range late[1:] {
		bob.expect(t, m, strconv.Itoa(i+1))
	}
}

// Given a message from an earlier turn of the ratchet, when MaxReceiverChains turns have passed since, then it opens no longer.
func TestLateMessagesOfEarlierTurns(t *testing.T) {
	for turns, code := range map[int]string{olm.MaxReceiverChains - 1: "", olm.MaxReceiverChains: olm.CodeUnknownOlmSession} {
		alice, bob := conversing(t)
		alice.expect(t, bob.encrypt("turn"), "turn") // the ratchet is at a turn's beginning
		late := alice.encrypt("late")
		bob.expect(t, alice.encrypt("early"), "early")
		for range turns {
			alice.expect(t, bob.encrypt("turn"), "turn")
			bob.expect(t, alice.encrypt("turn"), "turn")
		}
		if code == "" {
			bob.expect(t, late, "late")
		} else {
			bob.refuse(t, late, code)
		}
	}
}

// Given MaxMessageGap messages are lost, then the next one opens; given one more is lost, then it is refused and the earlier ones still open.
func TestLostMessages(t *testing.T) {
	alice, bob := conversing(t)
	bob.expect(t, alice.encrypt("now"), "now")
	first := alice.encrypt("first")
	for range olm.MaxMessageGap - 1 {
		alice.encrypt("lost")
	}
	within := alice.encrypt("within")
	beyond := alice.encrypt("beyond")
	bob.refuse(t, beyond, olm.CodeOlmMessageGap)
	bob.expect(t, within, "within")
	bob.expect(t, beyond, "beyond")
	bob.refuse(t, first, olm.CodeOlmMessageReplayed)
}

// Given a pre-key message that was opened, when it comes again, then it is refused and changes nothing: while its session is kept, after the session
// was stored and loaded, and, when it took a one-time key, after the session was lost.
func TestReplayedPreKeyMessage(t *testing.T) {
	alice, bob := strangers()
	alice.begin(bob)
	first, second := alice.encrypt("first"), alice.encrypt("second")
	bob.expect(t, first, "first")
	bob.refuse(t, first, olm.CodeOlmMessageReplayed)
	bob.channels = must(olm.ParseChannelsState(bob.channels.AppendState(nil)))
	bob.refuse(t, first, olm.CodeOlmMessageReplayed)
	bob.expect(t, second, "second")
	bob.channels = olm.NewChannels(alice.account.Curve25519())
	bob.refuse(t, first, olm.CodeOneTimeKeyUnknown)
	bob.refuse(t, second, olm.CodeOneTimeKeyUnknown)
}

// F01, I23: given a device that dies before it stored what a message changed, when the message comes again, then it opens as if for the first time.
func TestF01MessageComesAgainAfterCrash(t *testing.T) {
	alice, bob := strangers()
	alice.begin(bob)
	m := alice.encrypt("hello")
	account, channels := bob.account.AppendState(nil), bob.channels.AppendState(nil)
	bob.expect(t, m, "hello")
	reborn := &device{account: must(olm.ParseAccountState(account)), channels: must(olm.ParseChannelsState(channels))}
	reborn.expect(t, m, "hello")
	if reborn.state() != bob.state() {
		t.Error("redelivery ended in another state")
	}
}

// Given an account whose every key is used up, when somebody begins with one of them, then he is refused; there is room for new ones.
func TestOneTimeKeysRunOut(t *testing.T) {
	_, bob := strangers()
	var first sealed
	var firstSender *device
	for i := 0; bob.account.OneTimeKeyCount() > 0; i++ {
		stranger := &device{account: olm.NewAccount(), channels: olm.NewChannels(bob.account.Curve25519())}
		bob.channels = olm.NewChannels(stranger.account.Curve25519())
		stranger.begin(bob)
		m := stranger.encrypt("hello")
		bob.expect(t, m, "hello")
		if i == 0 {
			first, firstSender = m, stranger
		}
	}
	bob.channels = olm.NewChannels(firstSender.account.Curve25519())
	bob.refuse(t, first, olm.CodeOneTimeKeyUnknown)
	if left := bob.account.Unpublished(); len(left) != 1 || !left[0].Fallback {
		t.Errorf("left: %v", left)
	}
}

// Given no one-time key is left, when several devices begin with the fallback key, then all are heard and the key stays. After a new fallback key the
// old one still works, until there is another; then those who begin with it are refused and those who had begun are heard.
func TestFallbackKey(t *testing.T) {
	bob := &device{account: olm.NewAccount().GenerateFallbackKey()}
	old := bob.account.Unpublished()[0]
	if !old.Fallback {
		t.Fatal("a new account has a one-time key")
	}
	bob.account = bob.account.MarkPublished([]olm.OneTimeKey{old})
	beginWith := func(key olm.OneTimeKey) (*device, sealed) {
		d := &device{account: olm.NewAccount(), channels: olm.NewChannels(bob.account.Curve25519())}
		d.channels = d.channels.Add(must(d.account.NewOutbound(bob.account.Curve25519(), key.Key)))
		return d, d.encrypt("hello")
	}
	meets := func(d *device) { bob.channels = olm.NewChannels(d.account.Curve25519()) }

	var begun *device
	for range 3 {
		d, m := beginWith(old)
		before := bob.account
		meets(d)
		bob.expect(t, m, "hello")
		if bob.account != before {
			t.Fatal("the account changed")
		}
		begun = d
	}
	kept := bob.channels

	bob.account = bob.account.GenerateFallbackKey()
	if unpublished := bob.account.Unpublished(); len(unpublished) != 1 || unpublished[0] == old {
		t.Fatalf("unpublished: %v", unpublished)
	}
	late, m := beginWith(old)
	meets(late)
	bob.expect(t, m, "hello")

	bob.account = bob.account.GenerateFallbackKey()
	tooLate, m := beginWith(old)
	meets(tooLate)
	bob.refuse(t, m, olm.CodeOneTimeKeyUnknown)
	bob.channels = kept
	bob.expect(t, begun.encrypt("still here"), "still here")
	present, m := beginWith(bob.account.Unpublished()[0])
	meets(present)
	bob.expect(t, m, "hello")
}

// A fallback key remembers nobody: a pre-key message made with it opens again once its session is gone. Whoever keeps channels must know.
func TestFallbackKeyOpensAgainWhenTheSessionIsLost(t *testing.T) {
	bob := &device{account: olm.NewAccount().GenerateFallbackKey()}
	alice := &device{account: olm.NewAccount(), channels: olm.NewChannels(bob.account.Curve25519())}
	bob.channels = olm.NewChannels(alice.account.Curve25519())
	alice.begin(bob)
	m := alice.encrypt("hello")
	bob.expect(t, m, "hello")
	bob.refuse(t, m, olm.CodeOlmMessageReplayed)
	bob.channels = olm.NewChannels(alice.account.Curve25519())
	bob.expect(t, m, "hello")
}

// Given one device that begins again and again, then MaxChannels sessions are kept, those last heard from, and the one it wrote on last is answered on.
func TestChannelsAreBounded(t *testing.T) {
	alice, bob := strangers()
	var sessions []olm.Channels
	for range olm.MaxChannels + 1 {
		alice.channels = olm.NewChannels(bob.account.Curve25519())
		alice.begin(bob)
		bob.expect(t, alice.encrypt("hello"), "hello")
		sessions = append(sessions, alice.channels)
		if len(sessions) == 2 { // the first is heard from again, so the second is the one to go
			alice.channels = sessions[0]
			bob.expect(t, alice.encrypt("again"), "again")
			sessions[0] = alice.channels
		}
	}
	if got := len(bob.channels.Sessions()); got != olm.MaxChannels {
		t.Fatalf("%d sessions", got)
	}
	for i, channels := range sessions {
		alice.channels = channels
		if i == 1 {
			bob.channels = must(olm.ParseChannelsState(bob.channels.AppendState(nil)))
			bob.refuse(t, alice.encrypt("forgotten"), olm.CodeUnknownOlmSession)
			continue
		}
		bob.expect(t, alice.encrypt("kept"), "kept")
		answer := bob.encrypt("answer")
		if bob.channels.Sessions()[0].ID() != channels.Sessions()[0].ID() {
			t.Fatal("answered on another session")
		}
		alice.expect(t, answer, "answer")
	}
}

// A message is for one device and from one device.
func TestMessagesOfOthers(t *testing.T) {
	alice, bob := conversing(t)
	mallory, eve := strangers()
	mallory.begin(eve)
	t.Run("a pre-key message under another sender's name", func(t *testing.T) {
		mallory.channels = olm.NewChannels(bob.account.Curve25519())
		mallory.begin(bob)
		bob.refuse(t, mallory.encrypt("hello"), olm.CodeSenderKeyMismatch)
	})
	t.Run("a normal message of another conversation", func(t *testing.T) {
		alice2, bob2 := conversing(t)
		bob.refuse(t, alice2.encrypt("hello"), olm.CodeUnknownOlmSession)
		alice.refuse(t, bob2.encrypt("hello"), olm.CodeUnknownOlmSession)
	})
	t.Run("a normal message and no session", func(t *testing.T) {
		bob := &device{account: bob.account, channels: olm.NewChannels(alice.account.Curve25519())}
		bob.refuse(t, alice.encrypt("hello"), olm.CodeUnknownOlmSession)
	})
	t.Run("one's own message", func(t *testing.T) {
		alice.refuse(t, alice.encrypt("hello"), olm.CodeUnknownOlmSession)
	})
}

func TestEncryptingWithoutSession(t *testing.T) {
	if _, _, _, err := olm.NewChannels(olm.NewAccount().Curve25519()).Encrypt([]byte("hello")); codeOf(err) != olm.CodeNoOlmSession {
		t.Errorf("got %v", err)
	}
}
