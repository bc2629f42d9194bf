package olm_test

import (
	"slices"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// Every change of one bit of a message, and every message cut short, is refused and changes nothing; then the message itself opens.
func TestChangedMessagesChangeNothing(t *testing.T) {
	expected := []string{olm.CodeBadOlmMessage, olm.CodeBadMessageKey, olm.CodeBadOlmMAC, olm.CodeOlmMessageGap, olm.CodeUnknownOlmSession,
		olm.CodeSenderKeyMismatch, olm.CodeOneTimeKeyUnknown, olm.CodeOlmMessageReplayed}
	for name, prepare := range map[string]func() (to *device, m sealed){
		"the message that begins a session": func() (*device, sealed) {
			alice, bob := strangers()
			alice.begin(bob)
			return bob, alice.encrypt("hello")
		},
		"a second pre-key message": func() (*device, sealed) {
			alice, bob := strangers()
			alice.begin(bob)
			bob.expect(t, alice.encrypt("hello"), "hello")
			return bob, alice.encrypt("hello")
		},
		"the first message of a turn": func() (*device, sealed) {
			alice, bob := conversing(t)
			return bob, alice.encrypt("hello")
		},
		"a later message of a turn": func() (*device, sealed) {
			alice, bob := conversing(t)
			bob.expect(t, alice.encrypt("hello"), "hello")
			return bob, alice.encrypt("hello")
		},
		"a message whose key was skipped": func() (*device, sealed) {
			alice, bob := conversing(t)
			m := alice.encrypt("hello")
			bob.expect(t, alice.encrypt("later"), "later")
			return bob, m
		},
	} {
		t.Run(name, func(t *testing.T) {
			to, m := prepare()
			before := to.state()
			raw := must(keys.DecodeBase64(m.body))
			codes := map[string]int{}
			try := func(changed []byte, what string, position int) {
				parsed, err := olm.ParseMessage(int(m.kind), string(keys.EncodeBase64(nil, changed)))
				if err == nil {
					_, err = to.channels.Decrypt(to.account, parsed)
				}
				if !slices.Contains(expected, codeOf(err)) {
					t.Errorf("%s %d: %v", what, position, err)
				}
				codes[codeOf(err)]++
			}
			for bit := range 8 * len(raw) {
				changed := slices.Clone(raw)
				changed[bit/8] ^= 1 << (bit % 8)
				try(changed, "bit", bit)
			}
			for length := range raw {
				try(raw[:length], "length", length)
			}
			if to.state() != before {
				t.Fatal("something changed")
			}
			if codes[olm.CodeBadOlmMAC]+codes[olm.CodeUnknownOlmSession] < 8*(16+8) {
				t.Errorf("too few reached the MAC: %v", codes)
			}
			to.expect(t, m, "hello")
		})
	}
}

// Given a message whose MAC is right and whose padding is not, which only a sender in the session can make, then it is refused and changes nothing.
func TestWrongPadding(t *testing.T) {
	for name, padded := range map[string][]byte{
		"zero":              make([]byte, 16),
		"longer than block": append(make([]byte, 15), 17),
		"not all the same":  append(make([]byte, 14), 1, 2),
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := conversing(t)
			bob.refuse(t, forge(alice.channels.Sessions()[0].AfterEncrypting(), padded), olm.CodeBadOlmPadding)
			bob.expect(t, alice.encrypt("hello"), "hello")
		})
	}
}

// What was given is not changed by what is returned: all earlier values of a conversation still do what they did.
func TestValuesDoNotChange(t *testing.T) {
	alice, bob := conversing(t)
	var messages []sealed
	for range 5 {
		messages = append(messages, alice.encrypt("hello"))
	}
	m := messages[4].parse()
	for range 3 {
		one := must(bob.channels.Decrypt(bob.account, m))
		two := must(bob.channels.Decrypt(bob.account, m))
		if string(one.Plaintext) != "hello" || string(one.Channels.AppendState(nil)) != string(two.Channels.AppendState(nil)) {
			t.Fatal("the second time is not like the first")
		}
		// The two go different ways, sharing what they can.
		a := must(one.Channels.Decrypt(one.Account, messages[0].parse())).Channels
		b := must(two.Channels.Decrypt(two.Account, messages[2].parse())).Channels
		must(a.Decrypt(bob.account, messages[2].parse()))
		must(b.Decrypt(bob.account, messages[0].parse()))
		if _, err := b.Decrypt(bob.account, messages[2].parse()); codeOf(err) != olm.CodeOlmMessageReplayed {
			t.Fatal(err)
		}
	}
	account := olm.NewAccount().GenerateOneTimeKeys(3)
	before := string(account.AppendState(nil))
	account.MarkPublished(account.Unpublished())
	account.GenerateOneTimeKeys(1)
	account.GenerateFallbackKey()
	if string(account.AppendState(nil)) != before {
		t.Error("the account changed")
	}
}
