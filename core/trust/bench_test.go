package trust_test

import (
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// bench500 is an answer for 500 users with two devices, and rows in which it is known or not.
func bench500(b *testing.B, known bool) (*trust.Index, []byte, map[ids.UserID]*trust.UserRecord) {
	kit := testkit.New("bench")
	me := kit.User("@me:example.org")
	phone := me.Device("MYPHONE").CrossSigned()
	index := trust.NewIndex(trust.Own{UserID: ids.UserID(me.ID), DeviceID: "MYPHONE", Curve25519: curve(phone), Ed25519: ed(phone.SigningKey)})
	rows := map[ids.UserID]*trust.UserRecord{}
	apply := func(raw []byte) {
		answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
		if err != nil {
			b.Fatal(err)
		}
		application, err := index.Prepare(answer, 0, rows)
		if err != nil {
			b.Fatal(err)
		}
		change := application.Finish(keys.VerifyAll(application.Checks))
		for user, row := range change.Records {
			rows[user] = row
		}
		index.Apply(change)
	}
	apply(kit.KeysQuery(me))
	raw := kit.KeysQuery(crowd(kit, me, 500, 2)...)
	if known {
		apply(raw)
	}
	return index, raw, rows
}

// benchAnswer measures parsing, preparing and finishing. Signatures are counted, not checked.
func benchAnswer(b *testing.B, known bool) {
	index, raw, rows := bench500(b, known)
	var yes []bool
	checks := 0
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
		if err != nil {
			b.Fatal(err)
		}
		application, err := index.Prepare(answer, 0, rows)
		if err != nil {
			b.Fatal(err)
		}
		checks = len(application.Checks)
		for len(yes) < checks {
			yes = append(yes, true)
		}
		if change := application.Finish(yes[:checks]); known != change.Empty() {
			b.Fatal("not what was to be measured")
		}
	}
	b.ReportMetric(float64(checks), "checks/op")
}

func BenchmarkFirstAnswer(b *testing.B)     { benchAnswer(b, false) }
func BenchmarkUnchangedAnswer(b *testing.B) { benchAnswer(b, true) }

func BenchmarkDeviceByCurve(b *testing.B) {
	rows := rowsOf(500, 2)
	index := load(b, rows)
	user, key := rows[250].UserID, rows[250].Devices[1].Curve25519
	for b.Loop() {
		if _, found := index.DeviceByCurve(user, key); !found {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLoad(b *testing.B) {
	rows := rowsOf(500, 2)
	for b.Loop() {
		load(b, rows)
	}
}
