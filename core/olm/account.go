package olm

import (
	"slices"

	"maunium.net/go/mautrix/crypto/goolm/account"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// Account is this device's identity: an Ed25519 key pair to sign with, a Curve25519 key pair to agree with, and the one-time keys that others
// begin sessions with. It never changes: methods that would change it return another account.
type Account struct {
	redact.Secret
	inner account.Account
}

// NewAccount draws the keys of a new device. It has no one-time keys yet.
func NewAccount() *Account {
	inner, err := account.NewAccount()
	if err != nil {
		panic("internal error: no account: " + err.Error()) // the system's randomness does not fail
	}
	return &Account{inner: *inner}
}

// Ed25519 is the device's fingerprint key, which signs.
func (a *Account) Ed25519() keys.Ed25519 { return keys.Ed25519(a.inner.IdKeys.Ed25519.PublicKey) }

// Curve25519 is the device's identity key: the `sender_key` of its Olm messages.
func (a *Account) Curve25519() keys.Curve25519 {
	return keys.Curve25519(a.inner.IdKeys.Curve25519.PublicKey)
}

// Sign is the fingerprint key's signature over message: canonical JSON, as a rule.
func (a *Account) Sign(message []byte) keys.Signature {
	signature, err := a.inner.IdKeys.Ed25519.Sign(message)
	if err != nil {
		panic("internal error: no signature: " + err.Error())
	}
	return keys.Signature(signature)
}

// NewInbound begins a session with the device whose identity key is theirIdentity, and opens the pre-key message that began it. next is the
// account without the one-time key that was used, or a itself when it was a fallback key: that one stays. The error is an *Error:
// not_a_pre_key_message, sender_key_mismatch, one_time_key_unknown, or one of Session.Decrypt.
//
// A message that began a session earlier must not come here again while that session is kept (Session.MatchesInbound, and Channels.Decrypt,
// which asks it): with a fallback key it would begin it anew.
func (a *Account) NewInbound(theirIdentity keys.Curve25519, m Message) (s *Session, plaintext []byte, next *Account, err error) {
	if m.kind != PreKey {
		return nil, nil, nil, &Error{Code: CodeNotAPreKeyMessage}
	}
	if m.identityKey != theirIdentity {
		return nil, nil, nil, &Error{Code: CodeSenderKeyMismatch}
	}
	oneTimeKey, position := a.find(m.oneTimeKey[:])
	if oneTimeKey == nil {
		return nil, nil, nil, &Error{Code: CodeOneTimeKeyUnknown}
	}
	plaintext, s, err = a.begun(&m, oneTimeKey).Decrypt(m)
	if err != nil {
		return nil, nil, nil, err
	}
	if position < 0 {
		return s, plaintext, a, nil
	}
	next = a.clone()
	next.inner.OTKeys = slices.Delete(next.inner.OTKeys, position, position+1)
	return s, plaintext, next, nil
}

// NewOutbound begins a session with the device whose identity key and one-time key (or fallback key) these are. Whether the device signed the
// one-time key is the caller's to check. The error is an *Error: bad_identity_key or bad_one_time_key; keys that were parsed cannot cause it.
func (a *Account) NewOutbound(theirIdentity, theirOneTimeKey keys.Curve25519) (*Session, error) {
	o, err := a.PrepareOutbound(theirIdentity, theirOneTimeKey)
	if err != nil {
		return nil, err
	}
	return o.Begin(nil), nil
}

// clone is a copy whose lists can be changed. The keys are shared: goolm replaces them and never writes into them.
func (a *Account) clone() *Account {
	next := *a
	next.inner.OTKeys = slices.Clone(a.inner.OTKeys)
	return &next
}
