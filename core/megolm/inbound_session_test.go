package megolm_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"
)

// coded is what every error of the package is.
type coded interface {
	error
	ErrorCode() string
}

// codeOf is the error's code, or "" for no error.
func codeOf(t *testing.T, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	e, ok := err.(coded)
	if !ok {
		t.Fatalf("%T has no code", err)
	}
	return e.ErrorCode()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// receive makes the inbound session of a room key, as a receiver does.
func receive(t *testing.T, text string) *megolm.InboundSession {
	t.Helper()
	key, err := megolm.ParseSessionKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(); err != nil {
		t.Fatal(err)
	}
	return key.Session()
}

func imported(t *testing.T, text string) *megolm.InboundSession {
	t.Helper()
	session, err := megolm.ParseExportedSessionKey(text)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// decrypt reads one message text; on failure the code tells why.
func decrypt(t *testing.T, s *megolm.InboundSession, text string) (plaintext string, index uint32, code string) {
	t.Helper()
	m, err := megolm.ParseMessage(text)
	if err != nil {
		return "", 0, codeOf(t, err)
	}
	o, err := s.Decrypt(m)
	if err != nil {
		return "", 0, codeOf(t, err)
	}
	return string(o.Plaintext), o.Index, ""
}

const recorded = "../testdata/recorded"

func readJSON(t *testing.T, into any, path ...string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(append([]string{recorded}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatal(err)
	}
}

type roomKey struct {
	Content struct {
		RoomID     string `json:"room_id"`
		SessionID  string `json:"session_id"`
		SessionKey string `json:"session_key"`
	}
}

type roomEvent struct {
	Content struct{ Ciphertext string }
}

type exportEntry struct {
	RoomID     string `json:"room_id"`
	SessionID  string `json:"session_id"`
	SessionKey string `json:"session_key"`
}

// The clients of real people wrote these: matrix-js-sdk with its Rust crypto (vodozemac), and mautrix-go.
func TestRecordedMessagesDecrypt(t *testing.T) {
	for _, c := range []struct{ name, key, event string }{
		{"js-sdk, first message", "js-sdk/olm-payload-m.room_key.json", "js-sdk/room-event-m.room.encrypted.json"},
		{"js-sdk, second message", "js-sdk/olm-payload-m.room_key.json", "js-sdk/room-event-m.room.encrypted-2.json"},
		{"js-sdk, unsigned device", "js-sdk/a-unsigned-device.m.room_key.json", "js-sdk/a-unsigned-device.room-event.json"},
		{"js-sdk, signed device", "js-sdk/b-signed-device.m.room_key.json", "js-sdk/b-signed-device.room-event.json"},
		{"mautrix", "mautrix/MX1-m.room_key.json", "mautrix/MX1-room-event.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var key roomKey
			var event roomEvent
			readJSON(t, &key, c.key)
			readJSON(t, &event, c.event)

			session := receive(t, key.Content.SessionKey)
			if got := session.ID().String(); got != key.Content.SessionID {
				t.Errorf("session id %s, the sender says %s", got, key.Content.SessionID)
			}
			plaintext, _, code := decrypt(t, session, event.Content.Ciphertext)
			if code != "" {
				t.Fatal(code)
			}
			var content struct {
				RoomID string `json:"room_id"`
			}
			if err := json.Unmarshal([]byte(plaintext), &content); err != nil || content.RoomID != key.Content.RoomID {
				t.Errorf("plaintext %q is not of room %s", plaintext, key.Content.RoomID)
			}
		})
	}
}

func TestRecordedPlaintext(t *testing.T) {
	var key roomKey
	var event roomEvent
	var want struct {
		MessageIndex uint32 `json:"message_index"`
		Plaintext    json.RawMessage
	}
	readJSON(t, &key, "js-sdk/olm-payload-m.room_key.json")
	readJSON(t, &event, "js-sdk/room-event-m.room.encrypted.json")
	readJSON(t, &want, "js-sdk/room-event-plaintext.json")

	plaintext, index, code := decrypt(t, receive(t, key.Content.SessionKey), event.Content.Ciphertext)
	if code != "" || index != want.MessageIndex {
		t.Fatalf("index %d, code %q", index, code)
	}
	var got, expected map[string]any
	if err := json.Unmarshal([]byte(plaintext), &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want.Plaintext, &expected); err != nil {
		t.Fatal(err)
	}
	if string(testkit.JSON(got)) != string(testkit.JSON(expected)) {
		t.Errorf("decrypted to %s", plaintext)
	}
}

// What another client exported is the key it received, and we export the same text.
func TestRecordedExports(t *testing.T) {
	for _, c := range []struct{ name, export, key, event string }{
		{"js-sdk", "js-sdk/exportRoomKeysAsJson.json", "js-sdk/olm-payload-m.room_key.json", "js-sdk/room-event-m.room.encrypted.json"},
		{"mautrix", "mautrix/MX1-export-decrypted.json", "mautrix/MX1-m.room_key.json", "mautrix/MX1-room-event.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var entries []exportEntry
			var key roomKey
			var event roomEvent
			readJSON(t, &entries, c.export)
			readJSON(t, &key, c.key)
			readJSON(t, &event, c.event)

			exported, direct := imported(t, entries[0].SessionKey), receive(t, key.Content.SessionKey)
			if exported.Compare(direct) != megolm.Equal {
				t.Error("the exported key is another session")
			}
			if exported.Signed() || !direct.Signed() {
				t.Error("only the direct key is signed")
			}
			if text, err := direct.ExportAt(0); err != nil || text != entries[0].SessionKey {
				t.Errorf("our export differs (%v)", err)
			}
			if _, _, code := decrypt(t, exported, event.Content.Ciphertext); code != "" {
				t.Error(code)
			}
		})
	}
}
