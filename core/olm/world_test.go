package olm_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func codeOf(err error) string {
	var coded *olm.Error
	if errors.As(err, &coded) {
		return coded.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// device is one end of a conversation: the values it has stored.
type device struct {
	account  *olm.Account
	channels olm.Channels // with the other end
}

// sealed is a message under way.
type sealed struct {
	kind olm.Kind
	body string
}

func (m sealed) parse() olm.Message { return must(olm.ParseMessage(int(m.kind), m.body)) }

// strangers are two devices that have not spoken yet; each has one-time keys and a fallback key on the server.
func strangers() (alice, bob *device) {
	alice, bob = &device{account: olm.NewAccount()}, &device{account: olm.NewAccount()}
	for _, d := range []*device{alice, bob} {
		d.account = d.account.GenerateOneTimeKeys(10).GenerateFallbackKey()
	}
	alice.channels, bob.channels = olm.NewChannels(bob.account.Curve25519()), olm.NewChannels(alice.account.Curve25519())
	return alice, bob
}

// claim takes a key of d's from the server, as /keys/claim does: a one-time key, or the fallback key when there is none left.
func (d *device) claim() olm.OneTimeKey {
	key := d.account.Unpublished()[0]
	if !key.Fallback {
		d.account = d.account.MarkPublished([]olm.OneTimeKey{key})
	}
	return key
}

// begin makes a session of d's with other.
func (d *device) begin(other *device) {
	d.channels = d.channels.Add(must(d.account.NewOutbound(other.account.Curve25519(), other.claim().Key)))
}

func (d *device) encrypt(plaintext string) sealed {
	kind, body, next, err := d.channels.Encrypt([]byte(plaintext))
	if err != nil {
		panic(err)
	}
	d.channels = next
	return sealed{kind, body}
}

// decrypt stores what came of a message, and nothing when it was refused.
func (d *device) decrypt(m sealed) (plaintext, code string) {
	done, err := d.channels.Decrypt(d.account, m.parse())
	if err != nil {
		return "", codeOf(err)
	}
	d.account, d.channels = done.Account, done.Channels
	return string(done.Plaintext), ""
}

// expect is decrypt for a message that must open.
func (d *device) expect(t testing.TB, m sealed, plaintext string) {
	t.Helper()
	if got, code := d.decrypt(m); got != plaintext || code != "" {
		t.Fatalf("got %q, %s, want %q", got, code, plaintext)
	}
}

// refuse is decrypt for a message that must be refused, after which d is as before.
func (d *device) refuse(t *testing.T, m sealed, code string) {
	t.Helper()
	before := d.state()
	if got, was := d.decrypt(m); was != code {
		t.Fatalf("got %q, %q, want %q", got, was, code)
	}
	if d.state() != before {
		t.Fatalf("%s changed something", code)
	}
}

func (d *device) state() string {
	return string(d.channels.AppendState(d.account.AppendState(nil)))
}

// conversing are two devices that have heard from each other.
func conversing(t testing.TB) (alice, bob *device) {
	alice, bob = strangers()
	alice.begin(bob)
	bob.expect(t, alice.encrypt("hello"), "hello")
	alice.expect(t, bob.encrypt("hello yourself"), "hello yourself")
	return alice, bob
}

// forge is a message of a session's with padded in place of a padded plaintext, and a right MAC.
func forge(s *olm.Session, padded []byte) sealed {
	chain := s.Ratchet().SenderChains
	hash := hmac.New(sha256.New, chain.CKey.Key)
	hash.Write([]byte{1})
	derived := must(hkdf.Key(sha256.New, hash.Sum(nil), nil, "OLM_KEYS", 80))
	ciphertext := make([]byte, len(padded))
	cipher.NewCBCEncrypter(must(aes.NewCipher(derived[:32])), derived[64:]).CryptBlocks(ciphertext, padded)
	raw := normalMessage(chain.RKey.PublicKey, varint([]byte{0x10}, uint64(chain.CKey.Index)), ciphertext)
	raw = raw[:len(raw)-8]
	mac := hmac.New(sha256.New, derived[32:64])
	mac.Write(raw)
	return sealed{olm.Normal, string(keys.EncodeBase64(nil, append(raw, mac.Sum(nil)[:8]...)))}
}
