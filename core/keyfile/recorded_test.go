package keyfile_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/sender"
)

// recorded is a file of recorded traffic; see core/testdata/recorded/README.md.
func recorded(t testing.TB, path ...string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{"..", "testdata", "recorded"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// secretsForSamples are those of the recorded accounts, which existed for an afternoon.
type secretsForSamples struct {
	ExportPassphrase       string
	BackupPrivateKeyBase64 string
	RecoveryKey            string
	Room                   string
}

func secrets(t testing.TB) secretsForSamples {
	var all secretsForSamples
	if err := json.Unmarshal(recorded(t, "js-sdk", "secrets-for-samples.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// elements splits a JSON array in one piece.
func elements(t testing.TB, text []byte) [][]byte {
	t.Helper()
	var all [][]byte
	var s keyfile.Splitter
	err := s.Write(text, func(position int, raw []byte) error {
		if position != len(all) {
			t.Errorf("element %d is said to be at %d", len(all), position)
		}
		all = append(all, append([]byte(nil), raw...))
		return nil
	})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Scenario 103: the key files of two peers open with their passphrases, and every entry becomes a legacy copy whose sender is not known.
func TestRecordedFiles(t *testing.T) {
	for _, story := range []struct {
		name, passphrase string
		file, clear      []byte
		claim            bool
	}{
		{"Element's Rust crypto", secrets(t).ExportPassphrase, recorded(t, "js-sdk", "export-encrypted.txt"), recorded(t, "js-sdk", "exportRoomKeysAsJson.json"), true},
		{"mautrix-go", "mautrix export", recorded(t, "mautrix", "MX1-export.txt"), recorded(t, "mautrix", "MX1-export-decrypted.json"), false},
	} {
		t.Run(story.name, func(t *testing.T) {
			plaintext, err := keyfile.DecryptFile(context.Background(), story.file, story.passphrase, keyfile.GoCipher{})
			if err != nil {
				t.Fatal(err)
			}
			got, want := elements(t, plaintext), elements(t, story.clear)
			if len(got) != 1 || len(want) != 1 {
				t.Fatalf("%d and %d entries", len(got), len(want))
			}
			e, err := keyfile.ParseEntry(got[0])
			if err != nil {
				t.Fatal(err)
			}
			inTheClear, err := keyfile.ParseEntry(want[0])
			if err != nil {
				t.Fatal(err)
			}
			if e.SessionID != inTheClear.SessionID || e.RoomID != inTheClear.RoomID || e.SenderKey != inTheClear.SenderKey || e.HasEd25519 != story.claim {
				t.Errorf("%s %s %s %v", e.RoomID, e.SessionID, e.SenderKey, e.HasEd25519)
			}
			c := e.Copy(1234)
			if c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || c.AtReception != (sender.Data{}) || c.ReceivedAt != 1234 || c.HasEd25519 != story.claim {
				t.Errorf("%+v", c)
			}
			if _, _, held := e.Evidence(keyfile.NewSenderDataKey([32]byte{1})); held {
				t.Error("evidence out of nothing")
			}
		})
	}
}

// All that Element exported in the clear is read.
func TestRecordedExportInTheClear(t *testing.T) {
	all := elements(t, recorded(t, "js-sdk", "export-alicedev1.json"))
	if len(all) < 10 {
		t.Errorf("only %d entries", len(all))
	}
	for i, raw := range all {
		if e, err := keyfile.ParseEntry(raw); err != nil || !e.HasEd25519 {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// Scenario 104: the recorded backup opens with the recorded key.
func TestRecordedBackup(t *testing.T) {
	key, err := keyfile.ParseBackupKey(secrets(t).BackupPrivateKeyBase64)
	if err != nil {
		t.Fatal(err)
	}
	// What this client gave its user to write down is the key of its secret storage, not of the backup; it is spelled in the same way.
	written, err := keyfile.ParseRecoveryKey(secrets(t).RecoveryKey)
	if err != nil || written.RecoveryKey() != secrets(t).RecoveryKey {
		t.Errorf("the recorded recovery key is not read and written alike: %v", err)
	}
	again, err := keyfile.ParseRecoveryKey(key.RecoveryKey())
	if err != nil || again.Base64()+"=" != secrets(t).BackupPrivateKeyBase64 {
		t.Errorf("the two spellings of the key differ: %v", err)
	}
	var version struct {
		AuthData struct {
			PublicKey string `json:"public_key"`
		} `json:"auth_data"`
	}
	if err := json.Unmarshal(recorded(t, "js-sdk", "backup-version.json"), &version); err != nil {
		t.Fatal(err)
	}
	if public, err := keys.ParseCurve25519(version.AuthData.PublicKey); err != nil || public != key.PublicKey() {
		t.Errorf("the public key is %s, not %s: %v", key.PublicKey(), public, err)
	}
	rows := 0
	err = keyfile.EachBackupSession(recorded(t, "js-sdk", "backup-keys.json"), func(row keyfile.BackupRow) bool {
		rows++
		if row.Err != nil || row.RoomID != ids.RoomID(secrets(t).Room) {
			t.Fatalf("%+v", row)
		}
		sealed, err := keyfile.ParseBackupSession(row.Raw)
		if err != nil {
			t.Fatal(err)
		}
		shared, err := key.SharedSecrets(context.Background(), keyfile.GoAgreement{}, []*keyfile.SealedSession{sealed})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := sealed.Open(shared[0])
		if err != nil {
			t.Fatal(err)
		}
		e, err := keyfile.ParseBackupEntry(row.RoomID, row.SessionID, payload)
		if err != nil {
			t.Fatal(err)
		}
		if e.RoomID != row.RoomID || e.SessionID != row.SessionID || !e.HasEd25519 || !e.SharedHistory || e.Session.FirstKnownIndex() != sealed.FirstMessageIndex {
			t.Errorf("%s %s", e.RoomID, e.SessionID)
		}
		return true
	})
	if err != nil || rows != 1 {
		t.Errorf("%d rows, %v", rows, err)
	}
}
