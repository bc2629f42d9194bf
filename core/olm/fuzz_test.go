package olm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"maunium.net/go/mautrix/crypto/goolm/message"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

// FuzzOlmMessage takes any text as the body of a message, and any bytes in base64. What is read is read the same by goolm, and what is inside has no
// second spelling. Devices in the midst of the recorded conversations open nothing but what was recorded, and change for nothing else.
func FuzzOlmMessage(f *testing.F) {
	devices := recordedDevices(f)
	f.Fuzz(func(t *testing.T, kind byte, body string, raw []byte) {
		checkMessage(t, devices, int(kind), body)
		for kind := range 2 {
			checkMessage(t, devices, kind, string(keys.EncodeBase64(nil, raw)))
		}
	})
}

// recordedDevice is our end of a recorded conversation at some point, and what is inside the messages that come after it.
type recordedDevice struct {
	device
	coming map[string]string // plaintexts
}

func recordedDevices(t testing.TB) []recordedDevice {
	var devices []recordedDevice
	for _, c := range recordedConversations(t) {
		d := device{account: must(olm.ParseAccountState(c.Account)), channels: olm.NewChannels(must(keys.ParseCurve25519(c.SenderKey)))}
		coming := map[string]string{}
		for _, s := range c.Steps {
			if s.Channels == nil {
				coming[inside(s.Kind, s.Body)] = s.Text
			}
		}
		for i, s := range c.Steps {
			if s.Channels != nil {
				d.channels = must(olm.ParseChannelsState(s.Channels))
			} else if i%4 == 0 {
				devices = append(devices, recordedDevice{d, coming})
			} else {
				d.decrypt(sealed{olm.Kind(s.Kind), s.Body})
			}
		}
	}
	return devices
}

// inside is the message inside a pre-key message, which has one spelling; of a normal message all of it.
func inside(kind int, body string) string {
	raw := must(keys.DecodeBase64(body))
	if kind == 1 {
		return string(raw)
	}
	var m message.PreKeyMessage
	if err := m.Decode(raw); err != nil {
		panic(err)
	}
	return string(m.Message)
}

func checkMessage(t *testing.T, devices []recordedDevice, kind int, body string) {
	m, err := olm.ParseMessage(kind, body)
	if err != nil {
		if !errors.As(err, new(*olm.Error)) {
			t.Fatalf("%T", err)
		}
		return
	}
	var theirs message.Message
	content := inside(kind, body)
	if err := theirs.Decode([]byte(content)); err != nil {
		t.Fatalf("goolm refuses: %v", err)
	}
	again := normalMessage(theirs.RatchetKey, varint([]byte{0x10}, uint64(theirs.Counter)), theirs.Ciphertext)
	if string(again[:len(again)-8]) != content[:len(content)-8] {
		t.Errorf("a second spelling of %x", again)
	}
	for i := range devices {
		d := &devices[i]
		before := d.state()
		done, err := d.channels.Decrypt(d.account, m)
		if err != nil {
			if !errors.As(err, new(*olm.Error)) || done.Plaintext != nil || done.Account != nil {
				t.Fatalf("%T and %v", err, done)
			}
		} else if text, ok := d.coming[content]; !ok || !strings.Contains(string(done.Plaintext), text) {
			t.Fatalf("%q came out of a message nobody wrote", done.Plaintext)
		}
		if d.state() != before {
			t.Fatal("a value changed")
		}
	}
}

// FuzzAccountState takes any bytes as a stored account. What is read is written back the same, and works.
func FuzzAccountState(f *testing.F) {
	recorded := recordedConversations(f)
	f.Fuzz(func(t *testing.T, state []byte) {
		account, err := olm.ParseAccountState(state)
		if err != nil {
			if codeOf(err) != olm.CodeOlmStateDamaged || account != nil {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(account.AppendState(nil), state) {
			t.Error("another account came back")
		}
		check := keys.Check{Key: account.Ed25519(), Message: state, Signature: account.Sign(state)}
		if !check.Verify() {
			t.Error("its signature is wrong")
		}
		next := account.GenerateOneTimeKeys(1).GenerateFallbackKey()
		unpublished := next.Unpublished()
		if next = next.MarkPublished(unpublished); len(next.Unpublished()) != 0 || next.OneTimeKeyCount() > olm.MaxOneTimeKeys {
			t.Error("keys are not counted right")
		}
		for _, key := range append(unpublished, olm.OneTimeKey{Key: account.Curve25519()}) {
			must(account.NewOutbound(key.Key, key.Key))
		}
		for _, c := range recorded {
			for _, s := range c.Steps[:1] {
				if s.Channels == nil {
					_, _ = olm.NewChannels(must(keys.ParseCurve25519(c.SenderKey))).Decrypt(account, must(olm.ParseMessage(s.Kind, s.Body)))
				}
			}
		}
	})
}

// FuzzSessionState takes any bytes as a stored session, and as stored channels. What is read is written back the same, and goes on.
func FuzzSessionState(f *testing.F) {
	var messages []olm.Message
	for _, c := range recordedConversations(f) {
		for _, s := range c.Steps {
			if s.Channels == nil {
				messages = append(messages, must(olm.ParseMessage(s.Kind, s.Body)))
			}
		}
	}
	account := olm.NewAccount()
	f.Fuzz(func(t *testing.T, state []byte) {
		if session, err := olm.ParseSessionState(state); err != nil {
			if codeOf(err) != olm.CodeOlmStateDamaged || session != nil {
				t.Fatal(err)
			}
		} else {
			if !bytes.Equal(session.AppendState(nil), state) {
				t.Error("another session came back")
			}
			kind, body, next, err := session.Encrypt([]byte("hello"))
			if err != nil || (kind == olm.Normal) != session.HasReceivedMessage() {
				t.Fatal(kind, err)
			}
			must(olm.ParseMessage(int(kind), body))
			must(olm.ParseSessionState(next.AppendState(nil)))
			for _, m := range messages {
				if _, next, err := session.Decrypt(m); err == nil {
					must(olm.ParseSessionState(next.AppendState(nil)))
				}
			}
		}
		channels, err := olm.ParseChannelsState(state)
		if err != nil {
			if codeOf(err) != olm.CodeOlmStateDamaged {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(channels.AppendState(nil), state) {
			t.Error("other channels came back")
		}
		for _, m := range messages {
			if done, err := channels.Decrypt(account, m); err == nil {
				must(olm.ParseChannelsState(done.Channels.AppendState(nil)))
			}
		}
	})
}
