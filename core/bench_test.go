package core_test

import (
	"context"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// benchWorld is a machine that knows Alice's cross-signed phone, and n room keys from it.
func benchWorld(b *testing.B, n int) (*core.Machine, []sender.DecryptedOlmEvent, *testkit.Device, []*testkit.Outbound) {
	b.Helper()
	kit := testkit.New(b.Name())
	me, alice := kit.User("@me:example.org"), kit.User("@alice:example.org")
	mine, phone := me.Device("MYDEVICE"), alice.Device("PHONE").CrossSigned()
	machine, err := core.Open(context.Background(), core.Options{
		Own: own(b, me.ID, "MYDEVICE", mine.Ed25519(), mine.Curve25519()), Store: store.NewMemory(), Now: func() int64 { return time.Now().UnixMilli() },
	})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := machine.ReceiveKeysQueryResponse(context.Background(), kit.KeysQuery(alice), ""); err != nil {
		b.Fatal(err)
	}
	events := make([]sender.DecryptedOlmEvent, n)
	sessions := make([]*testkit.Outbound, n)
	for i := range events {
		sessions[i] = kit.Outbound()
		events[i] = sender.DecryptedOlmEvent{Sender: alice.ID, SenderKey: phone.Curve25519(), Payload: phone.RoomKey(mine, string(room), sessions[i])}
	}
	return machine, events, phone, sessions
}

// BenchmarkFastLane is a room key from a known device whose chain was verified before, up to the receipt. rest-us/op is what it costs besides
// the one Ed25519 verification that is always made, the session key's own; the two are measured in turns, so that a machine that slows down
// slows both.
func BenchmarkFastLane(b *testing.B) {
	const turn = 64
	machine, events, _, sessions := benchWorld(b, turn)
	checks := make([]keys.Check, turn)
	for i := range checks {
		checks[i] = sessionCheck(b, sessions[i])
	}
	var receiving, verifying time.Duration
	n := 0
	for b.Loop() {
		start := time.Now()
		for i := range turn {
			if r := &machine.ReceiveRoomKeys(events[i : i+1]).Receipts[0]; r.Copy == nil || r.Lane != core.Fast {
				b.Fatal("not on the fast lane")
			}
		}
		middle := time.Now()
		for i := range checks {
			if !checks[i].Verify() {
				b.Fatal("the session key's own signature does not hold")
			}
		}
		receiving += middle.Sub(start)
		verifying += time.Since(middle)
		n += turn
	}
	b.ReportMetric(float64(receiving.Microseconds())/float64(n), "receive-us/key")
	b.ReportMetric(float64(verifying.Microseconds())/float64(n), "verify-us/key")
	b.ReportMetric(float64((receiving-verifying).Microseconds())/float64(n), "rest-us/key")
}

// BenchmarkEncryptionInfo is the verdict of an event of a loaded session.
func BenchmarkEncryptionInfo(b *testing.B) {
	machine, events, phone, sessions := benchWorld(b, 1)
	machine.ReceiveRoomKeys(events)
	if err := machine.LoadRoom(context.Background(), room); err != nil {
		b.Fatal(err)
	}
	event := phone.EventObject(string(room), sessions[0], []byte(`{}`))
	content := event["content"].(map[string]any)
	for b.Loop() {
		name, err := core.ReadEventName(room, content["session_id"].(string), event["sender"].(string), event["event_id"].(string), content["ciphertext"].(string))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := machine.RoomEventEncryptionInfo(name); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkStoreRoomKeys is the framing and committing of 1,000 received keys to a store in memory.
func BenchmarkStoreRoomKeys(b *testing.B) {
	for range b.N {
		b.StopTimer()
		machine, events, _, _ := benchWorld(b, 1000)
		machine.ReceiveRoomKeys(events)
		b.StartTimer()
		if err := machine.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}

// sessionCheck is the check of a session key's own signature.
func sessionCheck(b *testing.B, session *testkit.Outbound) keys.Check {
	b.Helper()
	key, err := megolm.ParseSessionKey(session.SessionKey())
	if err != nil {
		b.Fatal(err)
	}
	return key.Check()
}
