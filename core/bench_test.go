package core_test

import (
	"context"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// benchWorld is a machine that knows Alice's cross-signed phone, and n room keys from it.
func benchWorld(b *testing.B, n int, verify func([]keys.Check) []bool) (*core.Machine, []sender.DecryptedOlmEvent, *testkit.Device, []*testkit.Outbound) {
	b.Helper()
	kit := testkit.New(b.Name())
	me, alice := kit.User("@me:example.org"), kit.User("@alice:example.org")
	mine, phone := me.Device("MYDEVICE"), alice.Device("PHONE").CrossSigned()
	machine, err := core.Open(context.Background(), core.Options{
		Own: own(b, me.ID, "MYDEVICE", mine.Ed25519(), mine.Curve25519()), Store: store.NewMemory(), Now: func() int64 { return time.Now().UnixMilli() },
		VerifyNow: verify,
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

// BenchmarkFastLane is a room key from a known device whose chain was verified before, up to the receipt: whole, and besides the one Ed25519
// verification that is always made, the session key's own.
func BenchmarkFastLane(b *testing.B) {
	machine, events, _, _ := benchWorld(b, 64, nil)
	b.Run("whole", func(b *testing.B) { benchReceive(b, machine, events) })
	// Given the first key has had the embedded device verified, of every later one exactly one signature is asked about; whether it holds, the
	// run above has seen.
	machine, events, _, _ = benchWorld(b, 64, oneHolds())
	b.Run("besides the signature", func(b *testing.B) { benchReceive(b, machine, events) })
}

func benchReceive(b *testing.B, machine *core.Machine, events []sender.DecryptedOlmEvent) {
	i := 0
	for b.Loop() {
		if r := &machine.ReceiveRoomKeys(events[i : i+1]).Receipts[0]; r.Copy == nil || r.Lane != core.Fast {
			b.Fatal("not on the fast lane")
		}
		i = (i + 1) % len(events)
	}
}

// oneHolds checks what the first key asks about, and answers for the one signature that the fast lane may ask about from then on.
func oneHolds() func([]keys.Check) []bool {
	first := true
	return func(checks []keys.Check) []bool {
		if first {
			first = false
			return keys.VerifyAll(checks)
		}
		if len(checks) != 1 {
			panic("the fast lane asks about more than the session key's own signature")
		}
		return []bool{true}
	}
}

// BenchmarkEncryptionInfo is the verdict of an event of a loaded session.
func BenchmarkEncryptionInfo(b *testing.B) {
	machine, events, phone, sessions := benchWorld(b, 1, nil)
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
		machine, events, _, _ := benchWorld(b, 1000, nil)
		machine.ReceiveRoomKeys(events)
		b.StartTimer()
		if err := machine.Flush(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
