package trust_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Answers of a real homeserver about matrix-js-sdk, libolm and mautrix devices.

func recorded(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("../testdata/recorded", name))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func recordedWorld(t testing.TB, own trust.Own) *world {
	return &world{TB: t, recordedOwn: &own, index: trust.NewIndex(own), rows: map[ids.UserID]*trust.UserRecord{}}
}

func TestRecordedAnswers(t *testing.T) {
	bob := trust.Own{UserID: "@bob:localhost", DeviceID: "BOBDEV1"}
	for _, c := range []struct {
		file    string
		user    ids.UserID
		device  ids.DeviceID
		cross   trust.CrossSignature
		checks  int
		devices int
	}{
		{"js-sdk/a-unsigned-device.keys-query.json", "@alicemwtdnl1s:localhost", "ALICEDEV1", trust.CrossSignatureAbsent, 1, 1},
		{"js-sdk/b-signed-device.keys-query.json", "@alicemwtdnl1s:localhost", "ALICEDEV1", trust.CrossSignatureValid, 3, 1},
		{"js-sdk/keys-query-response.json", "@alicemwtd9qv4:localhost", "ALICEDEV1", trust.CrossSignatureValid, 6, 2},
		{"mautrix/MX1-keys-query.json", "@mxmwte2ixy:localhost", "MX1", trust.CrossSignatureAbsent, 1, 1},
	} {
		t.Run(c.file, func(t *testing.T) {
			w := recordedWorld(t, bob)
			w.answer(recorded(t, c.file), 0)
			w.wantCodes()
			device, known := w.index.Device(c.user, c.device)
			if !known || device.CrossSigned != c.cross || w.checks != c.checks {
				t.Errorf("%v, %d checks", device.CrossSigned, w.checks)
			}
			if _, devices := w.index.Counts(); devices != c.devices {
				t.Errorf("%d devices", devices)
			}
			if got := w.index.Verification(c.user); got != trust.Unverified {
				t.Errorf("%v", got)
			}
			w.answer(recorded(t, c.file), 0)
			if w.checks != 0 || !w.change.Empty() {
				t.Errorf("the same answer again: %d checks", w.checks)
			}
		})
	}
	t.Run("the device before and after it was cross-signed", func(t *testing.T) {
		w := recordedWorld(t, bob)
		w.answer(recorded(t, "js-sdk/a-unsigned-device.keys-query.json"), 0)
		change := w.answer(recorded(t, "js-sdk/b-signed-device.keys-query.json"), 0)
		if len(change.Devices) != 1 || change.Devices[0].Kind != trust.Changed || change.Devices[0].After.CrossSigned != trust.CrossSignatureValid ||
			len(change.Identities) != 1 || change.Identities[0].Kind != trust.New {
			t.Errorf("%+v", change)
		}
	})
}

// TestRecordedOwnView plays every /keys/query answer that the recorded SDK got, as the SDK's own device.
func TestRecordedOwnView(t *testing.T) {
	var wire []struct {
		Path     string
		Response json.RawMessage
	}
	if err := json.Unmarshal(recorded(t, "js-sdk/alice-wire.json"), &wire); err != nil {
		t.Fatal(err)
	}
	alice := trust.Own{UserID: "@alicemwtd9qv4:localhost", DeviceID: "ALICEDEV1"}
	alice.Curve25519, _ = keys.ParseCurve25519("hv4h+eFrL4w/VOTelaVzyWF+vAA/vgHaAa48JSFO1QA")
	alice.Ed25519, _ = keys.ParseEd25519("Bv2w5Q6+UXMzXnoO+AOvHVLmaa8rZdghOdFjn/oJWv0")
	w := recordedWorld(t, alice)
	answers := 0
	for _, call := range wire {
		var members map[string]json.RawMessage
		if json.Unmarshal(call.Response, &members) != nil || members["master_keys"] == nil && members["device_keys"] == nil || members["one_time_keys"] != nil {
			continue
		}
		answers++
		w.answer(call.Response, w.index.BeginQuery(nil).Sequence)
		w.wantCodes()
	}
	if answers < 3 {
		t.Fatalf("only %d answers found", answers)
	}
	master := w.rows[alice.UserID].Identity.Master.Key
	change, err := w.index.TrustOwnIdentity(master, w.rows)
	if err != nil {
		t.Fatal(err)
	}
	w.commit(change)
	if !w.index.OwnVerified() {
		t.Error("not verified")
	}
	device, known := w.index.Device(alice.UserID, alice.DeviceID)
	if !known || device.CrossSigned != trust.CrossSignatureValid {
		t.Error("our own device is not cross-signed")
	}
	for user := range w.rows {
		if want := w.index.Verification(user); user != alice.UserID && want != trust.Unverified {
			t.Errorf("%s is %v", user, want) // she signed nobody's master key
		}
	}
}

// TestRecordedSenderDeviceKeys: the object embedded in a recorded Olm payload is the same device, with unsigned content beside the signatures.
func TestRecordedSenderDeviceKeys(t *testing.T) {
	var payload struct {
		DeviceKeys json.RawMessage `json:"sender_device_keys"`
		Unstable   json.RawMessage `json:"org.matrix.msc4147.device_keys"`
	}
	if err := json.Unmarshal(recorded(t, "js-sdk/b-signed-device.m.room_key.json"), &payload); err != nil {
		t.Fatal(err)
	}
	if payload.DeviceKeys == nil {
		payload.DeviceKeys = payload.Unstable
	}
	object, err := signedjson.Parse(payload.DeviceKeys)
	if err != nil {
		t.Fatal(err)
	}
	device, err := trust.ParseDeviceKeys(object)
	if err != nil {
		t.Fatal(err)
	}
	self, err := device.SelfCheck()
	if err != nil || !self.Verify() {
		t.Error("the device did not sign itself", err)
	}
	selfSigning, _ := keys.ParseEd25519("5sH7jPC8Q5uoEcRWaq3VCyP+s4tvdzgrOcbBSYotcPg")
	check, outcome := device.SignatureBy(selfSigning)
	if outcome.Resolve(check.Verify()) != trust.CrossSignatureValid || device.Object() != object {
		t.Error("not cross-signed", outcome)
	}
}
