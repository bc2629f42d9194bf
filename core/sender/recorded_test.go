package sender_test

import (
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Traffic recorded from matrix-js-sdk and mautrix-go walks the finder to what the recording says.
func TestRecordedTraffic(t *testing.T) {
	for _, story := range []struct {
		name         string
		payload      string
		answer       string
		before       sender.Kind // without the answer
		after        sender.Kind // received once the answer is known
		curve        string      // of the Olm channel, where the payload does not embed it
		checksBefore int
	}{
		{"js-sdk, cross-signed", "js-sdk/olm-payload-m.room_key.json", "js-sdk/keys-query-response.json", sender.DeviceInfo, sender.SenderUnverified, "", 2},
		{"js-sdk, before cross-signing", "js-sdk/a-unsigned-device.m.room_key.json", "js-sdk/a-unsigned-device.keys-query.json", sender.DeviceInfo, sender.DeviceInfo, "", 2},
		{"js-sdk, the same device after it", "js-sdk/b-signed-device.m.room_key.json", "js-sdk/b-signed-device.keys-query.json", sender.DeviceInfo, sender.SenderUnverified, "", 2},
		{"js-sdk, sent before cross-signing, answered after", "js-sdk/a-unsigned-device.m.room_key.json", "js-sdk/b-signed-device.keys-query.json", sender.DeviceInfo, sender.SenderUnverified, "", 2},
		{"mautrix-go, no identity, nothing embedded", "mautrix/MX1-m.room_key.json", "mautrix/MX1-keys-query.json", sender.UnknownDevice, sender.DeviceInfo, "8PlVbC8wTSB/7/kgMDtw05RKWtkelQ97b11ksEMB/VU", 1},
	} {
		t.Run(story.name, func(t *testing.T) {
			payload := recorded(t, story.payload)
			object, err := signedjson.Parse(payload)
			if err != nil {
				t.Fatal(err)
			}
			recipient, _ := object.String("recipient")
			from, _ := object.String("sender")
			recipientKeys, _ := object.Object("recipient_keys")
			fingerprint, _ := recipientKeys.String("ed25519")
			if story.curve == "" {
				embedded, _ := object.Object("sender_device_keys")
				published, _ := embedded.Object("keys")
				story.curve, _ = published.String("curve25519:ALICEDEV1")
			}
			w := newWorld(t)
			w.index = trust.NewIndex(trust.Own{UserID: ids.UserID(recipient), DeviceID: "BOB", Ed25519: ed25519(t, fingerprint)})
			in := sender.DecryptedOlmEvent{Sender: from, SenderKey: story.curve, Payload: payload}

			reception, err := w.finder.Prepare(w.index, in)
			if err != nil {
				t.Fatal(err)
			}
			if got := reception.Checks(); got != story.checksBefore {
				t.Errorf("%d checks, want %d", got, story.checksBefore)
			}
			received, err := reception.Finish(keys.VerifyAll(reception.AppendChecks(nil)), 1)
			if err != nil {
				t.Fatal(err)
			}
			before := received.Copy
			w.wantKind(before, story.before)
			if string(before.OlmUser) != from || before.SharedHistory != (story.answer != "mautrix/MX1-keys-query.json") {
				t.Errorf("%+v", before)
			}
			// The answer comes: judged again, and received once more, it is the same.
			w.hears(recorded(t, story.answer))
			again := w.judges(before)
			w.wantKind(again, story.after)
			later := w.keeps(in)
			w.wantKind(later, story.after)
			if again.Current != later.Current || again.AtReception.Kind != story.before {
				t.Errorf("%+v and %+v", again.Current, later.Current)
			}
			joined, report := sender.Join(again, later)
			if joined != again || report.Changed {
				t.Errorf("a second delivery changed something: %+v", report)
			}
		})
	}
}

func recorded(t testing.TB, name string) []byte {
	raw, err := os.ReadFile(filepath.Join("..", "testdata", "recorded", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
