package olm_test

import (
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

func TestSessionBeginsWithPreKeyMessage(t *testing.T) {
	alice, bob := conversing(t)
	if _, _, _, err := bob.account.NewInbound(alice.account.Curve25519(), alice.encrypt("hello").parse()); codeOf(err) != olm.CodeNotAPreKeyMessage {
		t.Errorf("got %v", err)
	}
	alice, bob = strangers()
	alice.begin(bob)
	m := alice.encrypt("hello").parse()
	if _, _, _, err := bob.account.NewInbound(bob.account.Curve25519(), m); codeOf(err) != olm.CodeSenderKeyMismatch {
		t.Errorf("got %v", err)
	}
	s, plaintext, next, err := bob.account.NewInbound(alice.account.Curve25519(), m)
	if err != nil || string(plaintext) != "hello" || next.OneTimeKeyCount() != bob.account.OneTimeKeyCount()-1 {
		t.Fatalf("got %q, %v", plaintext, err)
	}
	if s.ID() != m.SessionID() || !s.MatchesInbound(m) || !s.HasReceivedMessage() || alice.channels.Sessions()[0].HasReceivedMessage() {
		t.Error("the session is not the message's")
	}
}

// T30: with a key of low order there is no session to begin, in either direction.
func TestT30LowOrderKeys(t *testing.T) {
	account := olm.NewAccount()
	good := olm.NewAccount().Curve25519()
	for name, bad := range badKeys {
		if _, err := account.NewOutbound(bad, good); codeOf(err) != olm.CodeBadIdentityKey {
			t.Errorf("%s as identity key: %v", name, err)
		}
		if _, err := account.NewOutbound(good, bad); codeOf(err) != olm.CodeBadOneTimeKey {
			t.Errorf("%s as one-time key: %v", name, err)
		}
	}
}

var badKeys = map[string]keys.Curve25519{
	"zero":               {},
	"one":                {1},
	"zero, topmost bit":  {31: 0x80},
	"nine, topmost bit":  {0: 9, 31: 0x80},
	"p + 2, which is 2":  {0xef, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	"order 8, of points": {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
}

func TestPlaintextLengths(t *testing.T) {
	alice, bob := strangers()
	alice.begin(bob)
	for _, length := range []int{0, olm.MaxPlaintext + 1} {
		if _, _, _, err := alice.channels.Encrypt(make([]byte, length)); codeOf(err) != olm.CodeBadOlmPlaintext {
			t.Errorf("%d bytes: %v", length, err)
		}
	}
	for _, length := range []int{1, 15, 16, 17, olm.MaxPlaintext} {
		text := strings.Repeat("x", length)
		m := alice.encrypt(text)
		if len(m.body) > 65536 {
			t.Errorf("%d bytes make a body of %d symbols", length, len(m.body))
		}
		bob.expect(t, m, text)
	}
}
