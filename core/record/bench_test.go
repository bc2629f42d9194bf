package record_test

import (
	"fmt"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/trust"
)

func BenchmarkEncodeCopy(b *testing.B) {
	for _, name := range []string{"direct-unknown", "direct-unverified", "direct-verified"} {
		b.Run(name, func(b *testing.B) {
			c := copies(b)[name]
			b.ReportAllocs()
			for b.Loop() {
				record.CopyRow(c)
			}
			b.ReportMetric(float64(len(record.CopyRow(c).Value)), "bytes")
		})
	}
}

func BenchmarkDecodeCopy(b *testing.B) {
	for _, name := range []string{"direct-unknown", "direct-unverified", "direct-verified"} {
		b.Run(name, func(b *testing.B) {
			row := record.CopyRow(copies(b)[name])
			b.ReportAllocs()
			for b.Loop() {
				if _, err := record.DecodeCopy(row); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A user with 100 devices of 700 bytes of JSON.
func BenchmarkUser(b *testing.B) {
	r := *users()["identity"]
	json := make([]byte, 700)
	r.Devices = nil
	for i := range 100 {
		r.Devices = append(r.Devices, trust.DeviceRecord{
			DeviceID: ids.DeviceID(keyName(i)), Curve25519: curve(keyName(i)), Ed25519: signing(keyName(i)), JudgedBy: r.Identity.SelfSigning.Key, Raw: json,
		})
	}
	row := record.UserRow(&r)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record.UserRow(&r)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := record.DecodeUser(row); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func keyName(i int) string { return fmt.Sprintf("%03d", i) }
