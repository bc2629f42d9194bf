package sender_test

import (
	"encoding/json"
	"strings"
	"testing"

	"knownsender/core/sender"
	"knownsender/core/testkit"
)

func TestOrderOfSenderData(t *testing.T) {
	order := []sender.Kind{sender.UnknownDevice, sender.DeviceInfo, sender.VerificationViolation, sender.SenderUnverified, sender.SenderVerified}
	for i, low := range order { // scenario 12
		if low.String() == "" || !low.Valid() || int(low) != i {
			t.Errorf("kind %d is %q", i, low)
		}
		for j, high := range order {
			a, b := sender.Data{Kind: low, UserID: "@a:x", OwnerCheckFailed: true}, sender.Data{Kind: high, UserID: "@b:x"}
			if got := a.Compare(b); (got < 0) != (i < j) || (got > 0) != (i > j) { // scenario 11: whoever it is
				t.Errorf("%v and %v compare as %d", low, high, got)
			}
		}
		if low.Known() != (i >= 2) {
			t.Errorf("%v known: %v", low, low.Known())
		}
	}
	if sender.Kind(5).Valid() || sender.Kind(5).Known() || sender.Kind(5).String() == sender.Kind(4).String() {
		t.Error("there is a sixth kind")
	}
}

func TestSenderDataJSON(t *testing.T) {
	kit := testkit.New(t.Name())
	alice := kit.User("@alice:example.org")
	phone := alice.Device("ALICEPHONE").Before(testkit.Set("org.example.extra", map[string]any{"b": 1, "a": nil}))
	master := ed25519(t, alice.Identity.Master.Public())
	device := string(testkit.JSON(phone.Object()))
	numbers, _ := json.Marshal([32]byte(master))
	known := func(kind sender.Kind, device string) sender.Data {
		d := data(t, kind, phone)
		if device == "" {
			d.DeviceID = ""
		}
		return d
	}
	text := master.String()
	for _, story := range []struct {
		name   string
		json   string
		data   sender.Data
		legacy bool
		exact  bool // written as read
	}{
		{"scenario 1: no owner flag", `{"UnknownDevice":{"legacy_session":false}}`, sender.Data{}, false, true},
		{"scenario 2: the owner flag", `{"UnknownDevice":{"legacy_session":true,"owner_check_failed":true}}`, sender.Data{OwnerCheckFailed: true}, true, true},
		{"scenario 3: old retry details", `{"UnknownDevice":{"retry_details":{"retry_count":3,"next_retry_time_ms":1},"legacy_session":true}}`, sender.Data{}, true, false},
		{"scenario 4: SenderKnown without device", `{"SenderKnown":{"user_id":"@alice:example.org","master_key":` + string(numbers) + `,"master_key_verified":false}}`, known(sender.SenderUnverified, ""), false, false},
		{"scenario 5: the old name of a violation", `{"SenderUnverifiedButPreviouslyVerified":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":"` + text + `"}}`, known(sender.VerificationViolation, "x"), false, false},
		{"scenario 6: a violation", `{"VerificationViolation":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":"` + text + `"}}`, known(sender.VerificationViolation, "x"), false, true},
		{"scenario 7: SenderKnown, verified", `{"SenderKnown":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":` + string(numbers) + `,"master_key_verified":true}}`, known(sender.SenderVerified, "x"), false, false},
		{"scenario 7: SenderKnown, not verified", `{"SenderKnown":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":` + string(numbers) + `,"master_key_verified":false}}`, known(sender.SenderUnverified, "x"), false, false},
		{"scenario 8: a key as numbers in a current form", `{"SenderVerified":{"user_id":"@alice:example.org","device_id":null,"master_key":` + strings.ReplaceAll(string(numbers), ",", " ,\n") + `}}`, known(sender.SenderVerified, ""), false, false},
		{"scenario 9: SenderUnverified", `{"SenderUnverified":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":"` + text + `"}}`, known(sender.SenderUnverified, "x"), false, true},
		{"scenario 9: SenderVerified", `{"SenderVerified":{"user_id":"@alice:example.org","device_id":null,"master_key":"` + text + `"}}`, known(sender.SenderVerified, ""), false, true},
		{"scenarios 9 and 14: DeviceInfo, unknown members kept", `{"DeviceInfo":{"device_keys":` + device + `,"legacy_session":true}}`, known(sender.DeviceInfo, "x"), true, true},
		{"scenario 13: no sender data", ``, sender.Data{}, true, false},
		{"scenario 13: null", `null`, sender.Data{}, true, false},
	} {
		t.Run(story.name, func(t *testing.T) {
			got, err := sender.ParseJSON([]byte(story.json))
			if err != nil {
				t.Fatal(err)
			}
			if got.Data != story.data || got.Legacy != story.legacy {
				t.Fatalf("%+v", got)
			}
			written, err := got.AppendJSON(nil)
			if err != nil {
				t.Fatal(err)
			}
			if story.exact && string(written) != story.json {
				t.Errorf("written as %s", written)
			}
			if again, err := sender.ParseJSON(written); err != nil || again.Data != got.Data || again.Legacy != got.Legacy {
				t.Errorf("read again as %+v, %v", again, err)
			}
		})
	}

	t.Run("scenario 10 and everything else that is no sender data", func(t *testing.T) {
		with := func(key string) string {
			return `{"SenderVerified":{"user_id":"@alice:example.org","master_key":` + key + `}}`
		}
		for _, text := range []string{
			`{}`, `[]`, `"UnknownDevice"`, `{"UnknownDevice":{}}`, `{"UnknownDevice":{"legacy_session":1}}`, `{"UnknownDevice":null}`,
			`{"UnknownDevice":{"legacy_session":true,"owner_check_failed":null}}`, `{"Nobody":{}}`, `{`,
			`{"UnknownDevice":{"legacy_session":true},"SenderVerified":{}}`,
			`{"DeviceInfo":{"legacy_session":true}}`, `{"DeviceInfo":{"device_keys":{},"legacy_session":true}}`, `{"DeviceInfo":{"device_keys":` + device + `}}`,
			`{"SenderKnown":{"user_id":"@alice:example.org","master_key":"` + text + `"}}`,
			`{"SenderVerified":{"master_key":"` + text + `"}}`, `{"SenderVerified":{"user_id":"alice","master_key":"` + text + `"}}`,
			`{"SenderVerified":{"user_id":"@alice:example.org"}}`, `{"SenderVerified":{"user_id":"@alice:example.org","device_id":7,"master_key":"` + text + `"}}`,
			with(`"` + text[1:] + `"`), with(`"` + text + `="`), with(`"` + strings.Repeat("A", 43) + `"`), with(`null`), with(`{}`), with(`[]`),
			with("[" + strings.TrimSuffix(strings.Repeat("7,", 31), ",") + "]"), with("[" + strings.TrimSuffix(strings.Repeat("7,", 33), ",") + "]"),
			with(strings.Replace(string(numbers), "[", "[256,", 1)), with("[" + strings.Repeat("256,", 31) + "1]"), with("[" + strings.Repeat("1.0,", 31) + "1]"),
			with("[" + strings.TrimSuffix(strings.Repeat("0,", 32), ",") + "]"),
		} {
			got, err := sender.ParseJSON([]byte(text))
			if codeOf(err) != sender.CodeBadSenderData || err.Error() == "" {
				t.Errorf("%s: %+v, %v", text, got, err)
			}
			if got.Data != (sender.Data{}) {
				t.Errorf("%s: something was read", text)
			}
		}
		if _, err := (sender.Serialized{Data: known(sender.DeviceInfo, "x")}).AppendJSON(nil); codeOf(err) != sender.CodeBadSenderData {
			t.Error("DeviceInfo was written without its device")
		}
	})

	t.Run("scenario 16: forwarders", func(t *testing.T) {
		for kind := range sender.Kind(5) {
			d := known(kind, "x")
			f, ok := sender.ForwarderOf(d)
			if ok != (kind >= sender.SenderUnverified) {
				t.Errorf("%v: %v", kind, ok)
			}
			raw := `{"` + kind.String() + `":{"user_id":"@alice:example.org","device_id":"ALICEPHONE","master_key":"` + text + `"}}`
			parsed, err := sender.ParseForwarderJSON([]byte(raw))
			if ok && (err != nil || *parsed != f || string(parsed.AppendJSON(nil)) != raw) {
				t.Errorf("%v: %v", kind, err)
			}
			if !ok && codeOf(err) != sender.CodeBadSenderData {
				t.Errorf("%v became a forwarder", kind)
			}
		}
		for _, none := range []string{"", "null", " null\n"} {
			if f, err := sender.ParseForwarderJSON([]byte(none)); f != nil || err != nil {
				t.Errorf("%q: %v, %v", none, f, err)
			}
		}
		if got := string((*sender.Forwarder)(nil).AppendJSON(nil)); got != "null" {
			t.Error(got)
		}
	})
}
