package olm_test

import (
	"bytes"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// Given the secrets of a session's key agreements from elsewhere, all of them, some or none, when it is begun on both sides, then both have the same
// session, and a message of it opens; a secret that is wrong opens nothing, and changes nothing.
func TestSessionsBeginWithSecretsFromElsewhere(t *testing.T) {
	agreed := func(exchanges []keys.Exchange, leaveOut int) [][]byte {
		secrets := make([][]byte, len(exchanges))
		for i := range exchanges {
			if i != leaveOut {
				secrets[i] = exchanges[i].Agree()
			}
		}
		return secrets
	}
	for leaveOut := -1; leaveOut < 5; leaveOut++ {
		alice, bob := olm.NewAccount(), olm.NewAccount().GenerateOneTimeKeys(1)
		outbound := must(alice.PrepareOutbound(bob.Curve25519(), bob.Unpublished()[0].Key))
		if exchanges := outbound.Exchanges(); len(exchanges) != 5 {
			t.Fatalf("%d exchanges", len(exchanges))
		}
		hers := outbound.Begin(agreed(outbound.Exchanges(), leaveOut))
		kind, body, _, err := hers.Encrypt([]byte("hello"))
		if err != nil {
			t.Fatal(err)
		}
		m := must(olm.ParseMessage(int(kind), body))
		exchanges := bob.Exchanges(&m)
		if len(exchanges) != 3 || len(alice.Exchanges(&m)) != 0 {
			t.Fatalf("%d exchanges, %d for somebody else's one-time key", len(exchanges), len(alice.Exchanges(&m)))
		}
		wrong := agreed(exchanges, leaveOut)
		wrong[(leaveOut+1)%3] = bytes.Repeat([]byte{7}, 32)
		if _, _, _, err := bob.NewInbound(alice.Curve25519(), m.Agreed(wrong)); codeOf(err) != olm.CodeBadOlmMAC {
			t.Errorf("a wrong secret: %v", err)
		}
		his, plaintext, next, err := bob.NewInbound(alice.Curve25519(), m.Agreed(agreed(exchanges, leaveOut)))
		if err != nil || string(plaintext) != "hello" || his.ID() != hers.ID() || next.OneTimeKeyCount() != 0 {
			t.Errorf("%v, %q, %s and %s", err, plaintext, his.ID(), hers.ID())
		}
		channels := olm.NewChannels(alice.Curve25519())
		if !channels.Begins(&m) || channels.Add(his).Begins(&m) {
			t.Error("the message begins a session, and where there is that one it does not")
		}
	}
}
