package olm

import (
	"maunium.net/go/mautrix/crypto/goolm/account"
	"maunium.net/go/mautrix/crypto/goolm/ratchet"
)

// ParseLibolmAccount reads an account as libolm stored it: sealed with a key.
func ParseLibolmAccount(pickle, key string) (*Account, error) {
	inner, err := account.AccountFromPickled([]byte(pickle), []byte(key))
	if err != nil {
		return nil, err
	}
	return &Account{inner: *inner}, nil
}

// Ratchet is what the session turns, for tests that do what no sender does.
func (s *Session) Ratchet() *ratchet.Ratchet { return &s.inner.Ratchet }

// AfterEncrypting is the session with a chain to send on.
func (s *Session) AfterEncrypting() *Session {
	_, _, next, err := s.Encrypt([]byte("never sent"))
	if err != nil {
		panic(err)
	}
	return next
}
