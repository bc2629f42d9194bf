package sender_test

import (
	"strconv"
	"testing"

	"knownsender/core/sender"
)

// BenchmarkReceiveRoomKey is the fast lane with everything known: the device stored, its chain and the embedded object verified before.
// The one signature that is left is answered by a counter, so that the time is that of everything else.
func BenchmarkReceiveRoomKey(b *testing.B) {
	w := fuzzWorld(b)
	in := w.from(w.phone, w.kit.Outbound())
	if _, err := w.receives(in); err != nil {
		b.Fatal(err)
	}
	asked := 0
	yes := []bool{true}
	b.ReportAllocs()
	b.SetBytes(int64(len(in.Payload)))
	b.ResetTimer()
	for b.Loop() {
		reception, err := w.finder.Prepare(w.index, in)
		if err != nil {
			b.Fatal(err)
		}
		asked += reception.Checks()
		received, err := reception.Finish(yes, 1)
		if err != nil {
			b.Fatal(err)
		}
		if received.Copy.Current.Kind != sender.SenderVerified {
			b.Fatal(received.Copy.Current.Kind)
		}
	}
	if asked != b.N {
		b.Fatal(strconv.Itoa(asked) + " signatures in " + strconv.Itoa(b.N) + " receptions")
	}
	b.ReportMetric(float64(asked)/float64(b.N), "signatures/op")
}

// BenchmarkJudgeKnown is what a verification costs for each stored copy of that user.
func BenchmarkJudgeKnown(b *testing.B) {
	w := fuzzWorld(b)
	received, err := w.receives(w.from(w.phone, w.kit.Outbound()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		finding := w.finder.Judge(w.index, received.Copy)
		if _, changed := received.Copy.Apply(&finding); changed {
			b.Fatal("it changed")
		}
	}
}
