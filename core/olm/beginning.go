package olm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"

	"maunium.net/go/mautrix/crypto/goolm/crypto"
	"maunium.net/go/mautrix/crypto/goolm/session"

	"knownsender/core/keys"
	"knownsender/core/redact"
)

// A session begins with three key agreements (the Olm specification, "Initial setup"): of the identity key of the side that begins with the other's one-time
// key, of its base key with the other's identity key, and of its base key with the other's one-time key. A browser does them six times as fast as Go in
// WebAssembly, so whoever can ask one does that for many sessions at once, and brings the secrets; the ones that were not brought are found in Go. What
// comes after them, the root key and the first chain, is goolm's.

// exchanges are the key agreements of a session that is begun with us, as Account.begun wants their secrets.
func (a *Account) exchanges(m *Message, oneTimeKey *crypto.OneTimeKey) []keys.Exchange {
	identity, once := a.inner.IdKeys.Curve25519.PrivateKey, oneTimeKey.Key.PrivateKey
	return []keys.Exchange{exchange(once, m.identityKey), exchange(identity, m.baseKey), exchange(once, m.baseKey)}
}

func exchange(private []byte, public keys.Curve25519) keys.Exchange {
	return keys.Exchange{Private: [32]byte(private), Public: public}
}

// Exchanges are the key agreements by which the message would begin a session with this account: none where it cannot.
func (a *Account) Exchanges(m *Message) []keys.Exchange {
	if m.kind != PreKey {
		return nil
	}
	oneTimeKey, _ := a.find(m.oneTimeKey[:])
	if oneTimeKey == nil {
		return nil
	}
	return a.exchanges(m, oneTimeKey)
}

// Beginning is the same of all pre-key messages of one session, and of no other.
func (m *Message) Beginning() [sha256.Size]byte {
	return beginning(m.identityKey[:], m.baseKey[:], m.oneTimeKey[:])
}

// Agreed is the message with the secrets of Account.Exchanges, nil for one that is to be found in Go.
func (m Message) Agreed(secrets [][]byte) Message {
	m.secrets = secrets
	return m
}

// begun is the session that the message begins with a one-time key of ours, before it is opened.
func (a *Account) begun(m *Message, oneTimeKey *crypto.OneTimeKey) *Session {
	s := session.NewOlmSession()
	if err := s.Ratchet.InitializeAsBob(shared(a.exchanges(m, oneTimeKey), m.secrets), bytes.Clone(m.ratchetKey[:])); err != nil {
		panic("internal error: goolm refuses a secret: " + err.Error())
	}
	// Copies: the message has secrets, and goes.
	s.AliceIdentityKey, s.AliceBaseKey, s.BobOneTimeKey = bytes.Clone(m.identityKey[:]), bytes.Clone(m.baseKey[:]), oneTimeKey.Key.PublicKey
	return &Session{inner: *s}
}

// shared are the secrets of exchanges, one after the other; those that were not brought are found here.
func shared(exchanges []keys.Exchange, brought [][]byte) []byte {
	all := make([]byte, 0, 32*len(exchanges))
	for i := range exchanges {
		secret := secretOf(exchanges, brought, i)
		if secret == nil {
			panic("internal error: a key that was checked agrees to nothing")
		}
		all = append(all, secret...)
	}
	return all
}

func secretOf(exchanges []keys.Exchange, brought [][]byte, i int) []byte {
	if i < len(brought) && len(brought[i]) == 32 {
		return brought[i]
	}
	return exchanges[i].Agree()
}

// Outbound is a session that we are about to begin: its fresh keys are drawn, and nothing is agreed.
type Outbound struct {
	redact.Secret
	account                        *Account
	theirIdentity, theirOneTimeKey keys.Curve25519
	base, ratchet                  [32]byte
}

// PrepareOutbound is NewOutbound up to where keys are agreed.
func (a *Account) PrepareOutbound(theirIdentity, theirOneTimeKey keys.Curve25519) (*Outbound, error) {
	if _, err := keys.NewCurve25519(theirIdentity); err != nil {
		return nil, &Error{Code: CodeBadIdentityKey}
	}
	if _, err := keys.NewCurve25519(theirOneTimeKey); err != nil {
		return nil, &Error{Code: CodeBadOneTimeKey}
	}
	o := &Outbound{account: a, theirIdentity: theirIdentity, theirOneTimeKey: theirOneTimeKey}
	rand.Read(o.base[:]) // it does not fail
	rand.Read(o.ratchet[:])
	return o, nil
}

// Exchanges are the key agreements that Begin wants the secrets of: the three, and two that make the public halves of the fresh keys.
func (o *Outbound) Exchanges() []keys.Exchange {
	return []keys.Exchange{
		exchange(o.account.inner.IdKeys.Curve25519.PrivateKey, o.theirOneTimeKey), exchange(o.base[:], o.theirIdentity), exchange(o.base[:], o.theirOneTimeKey),
		exchange(o.base[:], keys.BasePoint), exchange(o.ratchet[:], keys.BasePoint),
	}
}

// Begin is the session. secrets are those of Exchanges, nil for one that is to be found in Go.
func (o *Outbound) Begin(secrets [][]byte) *Session {
	exchanges := o.Exchanges()
	ratchet := crypto.Curve25519KeyPair{PrivateKey: bytes.Clone(o.ratchet[:]), PublicKey: secretOf(exchanges, secrets, 4)}
	s := session.NewOlmSession()
	if err := s.Ratchet.InitializeAsAlice(shared(exchanges[:3], secrets), ratchet); err != nil {
		panic("internal error: goolm refuses a secret: " + err.Error())
	}
	s.AliceIdentityKey, s.AliceBaseKey, s.BobOneTimeKey = o.account.inner.IdKeys.Curve25519.PublicKey, secretOf(exchanges, secrets, 3), bytes.Clone(o.theirOneTimeKey[:])
	return &Session{inner: *s}
}
