package signedjson_test

import (
	"encoding/json"
	"os"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/signedjson"
)

// recordedDevice is a cross-signed device of a real client, without the white space of the recording.
func recordedDevice(b *testing.B) []byte {
	raw, err := os.ReadFile("../testdata/recorded/js-sdk/keys-query-response.json")
	if err != nil {
		b.Fatal(err)
	}
	var recorded answer
	if err := json.Unmarshal(raw, &recorded); err != nil {
		b.Fatal(err)
	}
	for _, devices := range recorded.DeviceKeys {
		for _, part := range devices {
			compact, err := json.Marshal(part)
			if err != nil {
				b.Fatal(err)
			}
			return compact
		}
	}
	b.Fatal("no device")
	return nil
}

func BenchmarkParse(b *testing.B) {
	raw := recordedDevice(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := signedjson.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseAndSignedBytes(b *testing.B) {
	raw := recordedDevice(b)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		o, err := signedjson.Parse(raw)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := o.SignedBytes(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignature(b *testing.B) {
	o, err := signedjson.Parse(recordedDevice(b))
	if err != nil {
		b.Fatal(err)
	}
	user, err := o.String("user_id")
	if err != nil {
		b.Fatal(err)
	}
	device, err := o.String("device_id")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, presence, err := o.Signature(ids.UserID(user), "ed25519:"+device); presence != signedjson.Present || err != nil {
			b.Fatal(presence, err)
		}
	}
}
