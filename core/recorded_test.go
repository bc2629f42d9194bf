package core_test

import (
	"context"
	"encoding/json"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// Recorded traffic of two other implementations, from the room key to the clear text.

// recording is one session as it went over the wire.
type recording struct {
	payload struct {
		Sender        string
		Recipient     string
		RecipientKeys struct{ Ed25519 string } `json:"recipient_keys"`
		Content       struct {
			RoomID    ids.RoomID `json:"room_id"`
			SessionID string     `json:"session_id"`
		}
	}
	raw       []byte // the Olm payload
	senderKey string
	answer    []byte
	events    [][]byte
}

func readRecording(t testing.TB, payload, answer string, events ...string) *recording {
	r := &recording{answer: recorded(t, answer, nil)}
	r.raw = recorded(t, payload, &r.payload)
	for _, name := range events {
		var event struct {
			Content struct {
				SenderKey string `json:"sender_key"`
			}
		}
		r.events = append(r.events, recorded(t, name, &event))
		r.senderKey = event.Content.SenderKey
	}
	return r
}

// machine is one of the recipient's, over these rows.
func (r *recording) machine(t testing.TB, rows store.Store) *core.Machine {
	t.Helper()
	recipient := own(t, r.payload.Recipient, "RECIPIENT", r.payload.RecipientKeys.Ed25519, r.senderKey)
	machine, err := core.Open(context.Background(), core.Options{Own: recipient, Store: rows, Now: func() int64 { return 1 }})
	if err != nil {
		t.Fatal(err)
	}
	return machine
}

// The main job on real traffic: what each recorded session is when it arrives, after the recorded answer, and after a restart; and that its
// messages decrypt to what was sent.
func TestRecordedTraffic(t *testing.T) {
	for _, story := range []struct {
		name          string
		recording     *recording
		before, after sender.Kind
		verdict       verdicts
		body          string
	}{
		{"matrix-js-sdk, cross-signed", readRecording(t, "js-sdk/olm-payload-m.room_key.json", "js-sdk/keys-query-response.json", "js-sdk/room-event-m.room.encrypted.json", "js-sdk/room-event-m.room.encrypted-2.json"),
			sender.DeviceInfo, sender.SenderUnverified, shownUnsure, "hello bob, this is alice"},
		{"matrix-js-sdk, not cross-signed", readRecording(t, "js-sdk/a-unsigned-device.m.room_key.json", "js-sdk/a-unsigned-device.keys-query.json", "js-sdk/a-unsigned-device.room-event.json"),
			sender.DeviceInfo, sender.DeviceInfo, but("unsigned_device"), ""},
		{"matrix-js-sdk, the same device cross-signed", readRecording(t, "js-sdk/b-signed-device.m.room_key.json", "js-sdk/b-signed-device.keys-query.json", "js-sdk/b-signed-device.room-event.json"),
			sender.DeviceInfo, sender.SenderUnverified, shownUnsure, ""},
		{"mautrix-go, nothing embedded", readRecording(t, "mautrix/MX1-m.room_key.json", "mautrix/MX1-keys-query.json", "mautrix/MX1-room-event.json"),
			sender.UnknownDevice, sender.DeviceInfo, but("unsigned_device"), ""},
	} {
		t.Run(story.name, func(t *testing.T) {
			r, rows, ctx := story.recording, store.NewMemory(), context.Background()
			machine := r.machine(t, rows.Reopen())
			reception := machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{{Sender: r.payload.Sender, SenderKey: r.senderKey, Payload: r.raw}})
			receipt := reception.Receipts[0]
			if receipt.Copy == nil || receipt.Copy.Current.Kind != story.before || receipt.Copy.SessionID.String() != r.payload.Content.SessionID {
				t.Fatalf("%+v", receipt)
			}
			result, err := machine.ReceiveKeysQueryResponse(ctx, r.answer, "")
			if err != nil {
				t.Fatal(err)
			}
			for i := range result.Problems {
				if p := result.Problems[i]; string(p.UserID) == r.payload.Sender {
					t.Errorf("a real device or identity was refused: %+v", p)
				}
			}
			for _, when := range []string{"at once", "after a restart"} {
				for n, raw := range r.events {
					for requirement, want := range story.verdict {
						machine.SetTrustRequirement(policy.TrustRequirement(requirement))
						event, err := machine.DecryptRoomEvent(ctx, raw, r.payload.Content.RoomID)
						if got := "shown"; err != nil {
							if got = codeOf(t, err); got != want {
								t.Errorf("%s: event %d: %v", when, n, err)
							}
						} else if want != got {
							t.Errorf("%s: event %d is shown, want %s", when, n, want)
						} else if text := body(t, event); text == "" || n == 0 && story.body != "" && text != story.body {
							t.Errorf("%s: event %d says %q", when, n, text)
						}
					}
				}
				explained, err := machine.Explain(ctx, r.payload.Content.RoomID, receipt.Copy.SessionID)
				if err != nil || len(explained.Copies) != 1 || explained.Copies[0].Current.Kind != story.after || explained.Copies[0].AtReception.Kind != story.before {
					t.Errorf("%s: %v", when, err)
				}
				if err := machine.Close(ctx); err != nil {
					t.Fatal(err)
				}
				machine = r.machine(t, rows.Reopen())
			}
		})
	}
}

// A recorded notice explains its session.
func TestRecordedNotice(t *testing.T) {
	w := newWorld(t)
	notice, err := w.machine.ReceiveRoomKeyWithheld(recorded(t, "js-sdk/c-withheld.to_device.json", nil))
	if err != nil || notice.Code != "m.unverified" || notice.Reason == "" {
		t.Fatalf("%+v %v", notice, err)
	}
	explained, err := w.machine.Explain(context.Background(), notice.RoomID, notice.SessionID)
	if err != nil || explained.Withheld == nil || *explained.Withheld != *notice {
		t.Errorf("%+v %v", explained, err)
	}
}

// A recorded export, taken as the claim it is: the same messages decrypt, and are shown with a grey shield at best.
func TestRecordedClaim(t *testing.T) {
	r := readRecording(t, "js-sdk/olm-payload-m.room_key.json", "js-sdk/keys-query-response.json", "js-sdk/room-event-m.room.encrypted.json")
	var export []struct {
		RoomID     ids.RoomID `json:"room_id"`
		SessionID  string     `json:"session_id"`
		SessionKey string     `json:"session_key"`
		SenderKey  string     `json:"sender_key"`
	}
	if err := json.Unmarshal(recorded(t, "js-sdk/exportRoomKeysAsJson.json", nil), &export); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	found := false
	for _, entry := range export {
		if entry.SessionID != r.payload.Content.SessionID {
			continue
		}
		found = true
		session, err := megolm.ParseExportedSessionKey(entry.SessionKey)
		if err != nil || session.ID().String() != entry.SessionID {
			t.Fatalf("%v", err)
		}
		c := w.claimed(w.mine, w.kit.Outbound(), 0)
		c.RoomID, c.SessionID, c.Session = entry.RoomID, session.ID(), session
		row := record.CopyRow(c)
		w.commit(store.Batch{Ops: []store.Op{{Table: row.Table, Key: row.Key, Value: row.Value, Index: row.Index}}})
	}
	if !found {
		t.Fatal("the export does not hold the recorded session")
	}
	w.answerJSON(r.answer)
	event, err := w.machine.DecryptRoomEvent(context.Background(), r.events[0], r.payload.Content.RoomID)
	if err != nil || body(t, event) != "hello bob, this is alice" || event.Info.Verdict.Shield.Color != policy.ShieldGrey {
		t.Errorf("%v", err)
	}
}
