package olm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/olm"
)

const recordings = "../testdata/recorded"

// toDevice is the Olm message of a recorded to-device event, and the sender's and the recipient's identity keys.
func toDevice(t testing.TB, name string) (m olm.Message, sender, recipient keys.Curve25519) {
	t.Helper()
	var event struct {
		Content struct {
			SenderKey  string `json:"sender_key"`
			Ciphertext map[string]struct {
				Type int
				Body string
			}
		}
	}
	read(t, name, &event)
	for key, sealed := range event.Content.Ciphertext {
		return must(olm.ParseMessage(sealed.Type, sealed.Body)), must(keys.ParseCurve25519(event.Content.SenderKey)), must(keys.ParseCurve25519(key))
	}
	t.Fatal("the recording holds no message")
	return
}

func read(t testing.TB, name string, into any) {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(recordings, name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(file, into); err != nil {
		t.Fatal(err)
	}
}

// recordedBob is the account of the recorded Bob, a client on libolm, as it was after it had received everything recorded.
func recordedBob(t testing.TB) *olm.Account {
	t.Helper()
	var secrets struct {
		Key        string                               `json:"bobAccountPickle_key"`
		Pickle     string                               `json:"bobAccountPickle"`
		Identities struct{ Curve25519, Ed25519 string } `json:"bobIdentityKeys"`
	}
	read(t, "js-sdk/secrets-for-samples.json", &secrets)
	bob, err := olm.ParseLibolmAccount(secrets.Pickle, secrets.Key)
	if err != nil {
		t.Fatal(err)
	}
	if bob.Curve25519().String() != secrets.Identities.Curve25519 || bob.Ed25519().String() != secrets.Identities.Ed25519 {
		t.Fatal("the recorded account is somebody else's")
	}
	return bob
}

// Given the account of a client on libolm, saved after it had opened the message that matrix-js-sdk (vodozemac) sent it, when the message comes
// again, then its one-time key is gone. The sessions of the two were not recorded.
func TestRecordedMessageAgain(t *testing.T) {
	bob := recordedBob(t)
	m, alice, recipient := toDevice(t, "js-sdk/to_device-m.room.encrypted.json")
	if recipient != bob.Curve25519() {
		t.Fatal("the recording is for somebody else")
	}
	if _, err := olm.NewChannels(alice).Decrypt(bob, m); codeOf(err) != olm.CodeOneTimeKeyUnknown {
		t.Errorf("got %v", err)
	}
}

// What other people's clients sent is read, and nobody opens it whose it is not.
func TestRecordedMessagesOfOthers(t *testing.T) {
	for name, same := range map[string]bool{
		"js-sdk/a-unsigned-device.to_device.json": true,
		"js-sdk/b-signed-device.to_device.json":   true,
		"mautrix/MX1-to_device.json":              false,
	} {
		m, sender, _ := toDevice(t, name)
		if m.Kind() != olm.PreKey || m.SessionID() == "" {
			t.Errorf("%s: kind %d, session %q", name, m.Kind(), m.SessionID())
		}
		if first, _, _ := toDevice(t, "js-sdk/a-unsigned-device.to_device.json"); (first.SessionID() == m.SessionID()) != same {
			t.Errorf("%s belongs to session %s", name, m.SessionID())
		}
		if _, err := olm.NewChannels(sender).Decrypt(recordedBob(t), m); codeOf(err) != olm.CodeOneTimeKeyUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
}
