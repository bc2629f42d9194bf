package olm

import (
	"slices"

	"maunium.net/go/mautrix/crypto/goolm/account"
	"maunium.net/go/mautrix/crypto/goolm/crypto"

	"knownsender/core/keys"
)

// One-time keys and the fallback key: what others need to begin a session with us while we are away (specification, "One-time and fallback
// keys"). A one-time key leaves the account with the session it began. The fallback key stays, for the server hands it out again and again
// once the one-time keys have run out; it is replaced when it was used, and the one before it is kept until it is forgotten, for messages
// that were under way.

// MaxOneTimeKeys is how many one-time keys an account holds. When more are generated, the oldest go, published or not: those are claimed long ago, and
// whoever claimed them has sent nothing yet. goolm's own bound is too close, for a device that was away has messages for all that the server had, and
// makes as many again before it has read them.
const MaxOneTimeKeys = 500

// OneTimeKey is the public half of a one-time key or of a fallback key.
type OneTimeKey struct {
	ID       string // unpadded base64 of four bytes; with "signed_curve25519:" before it, the key's name in /keys/upload
	Key      keys.Curve25519
	Fallback bool
}

// GenerateOneTimeKeys is the account with n new one-time keys, at most MaxOneTimeKeys.
func (a *Account) GenerateOneTimeKeys(n int) *Account {
	next := *a
	for n = min(n, MaxOneTimeKeys); n > 0; n -= account.MaxOneTimeKeys {
		all := next.inner.OTKeys
		next.inner.OTKeys = nil // or goolm would let go of keys
		if err := next.inner.GenOneTimeKeys(uint(min(n, account.MaxOneTimeKeys))); err != nil {
			panic("internal error: no one-time key: " + err.Error())
		}
		all = append(next.inner.OTKeys, all...) // the newest first
		next.inner.OTKeys = all[:min(len(all), MaxOneTimeKeys)]
	}
	return &next
}

// GenerateFallbackKey is the account with a new fallback key. The one there was becomes the old one, and the old one is forgotten: messages
// made with that no longer decrypt.
func (a *Account) GenerateFallbackKey() *Account {
	next := a.clone()
	if err := next.inner.GenFallbackKey(); err != nil {
		panic("internal error: no fallback key: " + err.Error())
	}
	return next
}

// OneTimeKeyCount is how many one-time keys the account holds, published or not.
func (a *Account) OneTimeKeyCount() int { return len(a.inner.OTKeys) }

// Unpublished are the keys that MarkPublished has not been told of, the oldest first, and the fallback key last.
func (a *Account) Unpublished() []OneTimeKey {
	var unpublished []OneTimeKey
	for _, key := range slices.Backward(a.inner.OTKeys) {
		if !key.Published {
			unpublished = append(unpublished, publicHalf(&key, false))
		}
	}
	if key := &a.inner.CurrentFallbackKey; a.inner.NumFallbackKeys > 0 && !key.Published {
		unpublished = append(unpublished, publicHalf(key, true))
	}
	return unpublished
}

// MarkPublished is the account that knows these keys to be on the server: those that Unpublished gave for the upload that succeeded. Keys
// generated since stay unpublished, and keys used or forgotten since are passed over.
func (a *Account) MarkPublished(uploaded []OneTimeKey) *Account {
	next := a.clone()
	for i := range next.inner.OTKeys {
		key := &next.inner.OTKeys[i]
		key.Published = key.Published || slices.Contains(uploaded, publicHalf(key, false))
	}
	if key := &next.inner.CurrentFallbackKey; next.inner.NumFallbackKeys > 0 {
		key.Published = key.Published || slices.Contains(uploaded, publicHalf(key, true))
	}
	return next
}

func publicHalf(key *crypto.OneTimeKey, fallback bool) OneTimeKey {
	return OneTimeKey{ID: key.KeyIDEncoded(), Key: keys.Curve25519(key.Key.PublicKey), Fallback: fallback}
}

// find is the private half of a one-time or fallback key, or nil. position is where it lies among the one-time keys, -1 for a fallback key.
func (a *Account) find(public crypto.Curve25519PublicKey) (key *crypto.OneTimeKey, position int) {
	for i := range a.inner.OTKeys {
		if key := &a.inner.OTKeys[i]; key.Key.PublicKey.Equal(public) {
			return key, i
		}
	}
	if key := &a.inner.CurrentFallbackKey; a.inner.NumFallbackKeys >= 1 && key.Key.PublicKey.Equal(public) {
		return key, -1
	}
	if key := &a.inner.PrevFallbackKey; a.inner.NumFallbackKeys >= 2 && key.Key.PublicKey.Equal(public) {
		return key, -1
	}
	return nil, -1
}
