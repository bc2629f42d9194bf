package olm_test

import (
	"crypto/ed25519"
	"slices"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// Given a new account, when keys are generated, uploaded and marked, then each is offered until it was marked, under a name of its own; what is
// generated between upload and answer stays unpublished.
func TestKeysArePublishedOnce(t *testing.T) {
	account := olm.NewAccount()
	if len(account.Unpublished()) != 0 || account.OneTimeKeyCount() != 0 {
		t.Fatal("a new account has keys")
	}
	account = account.GenerateOneTimeKeys(3).GenerateFallbackKey()
	uploaded := account.Unpublished()
	account = account.GenerateOneTimeKeys(2)
	account = account.MarkPublished(uploaded)
	rest := account.Unpublished()
	if len(uploaded) != 4 || !uploaded[3].Fallback || len(rest) != 2 || rest[0].Fallback || account.OneTimeKeyCount() != 5 {
		t.Fatalf("uploaded %v, then %v of %d", uploaded, rest, account.OneTimeKeyCount())
	}
	names := map[string]bool{}
	for _, key := range append(uploaded, rest...) {
		if names[key.ID] || len(must(keys.DecodeBase64(key.ID))) != 4 {
			t.Errorf("the name %s", key.ID)
		}
		names[key.ID] = true
		if _, err := keys.ParseCurve25519(key.Key.String()); err != nil {
			t.Errorf("the key %s: %v", key.Key, err)
		}
	}
	if account = account.MarkPublished(rest); len(account.Unpublished()) != 0 {
		t.Errorf("left: %v", account.Unpublished())
	}
	if unpublished := account.GenerateFallbackKey().Unpublished(); len(unpublished) != 1 || !unpublished[0].Fallback {
		t.Errorf("a new fallback key: %v", unpublished)
	}
}

// Given a full account, when more keys are generated, then the oldest go, also after keys from the middle were used.
func TestOldestKeysGo(t *testing.T) {
	alice, bob := strangers()
	bob.account = olm.NewAccount().GenerateOneTimeKeys(1000).GenerateOneTimeKeys(-1)
	alice.channels = olm.NewChannels(bob.account.Curve25519())
	if got := bob.account.OneTimeKeyCount(); got != olm.MaxOneTimeKeys {
		t.Fatalf("%d keys", got)
	}
	all := bob.account.Unpublished()
	alice.channels = alice.channels.Add(must(alice.account.NewOutbound(bob.account.Curve25519(), all[50].Key)))
	bob.expect(t, alice.encrypt("hello"), "hello")
	want := slices.Delete(slices.Clone(all), 50, 51)
	if !slices.Equal(bob.account.Unpublished(), want) {
		t.Fatal("the order changed")
	}
	bob.account = bob.account.GenerateOneTimeKeys(11)
	if got := bob.account.Unpublished(); !slices.Equal(got[:len(want)-10], want[10:]) || len(got) != olm.MaxOneTimeKeys {
		t.Error("others than the oldest went")
	}
}

// What the account signs is verified by every Ed25519, ours in its strict way included.
func TestAccountSigns(t *testing.T) {
	account := olm.NewAccount()
	for _, message := range []string{"", "{}", `{"user_id":"@alice:example.org"}`} {
		signature := account.Sign([]byte(message))
		check := keys.Check{Key: account.Ed25519(), Signature: signature, Message: []byte(message)}
		key := account.Ed25519()
		if !check.Verify() || !ed25519.Verify(key[:], []byte(message), signature[:]) {
			t.Errorf("%q is not signed", message)
		}
	}
}
