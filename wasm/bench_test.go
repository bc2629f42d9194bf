//go:build js && wasm

package main

import (
	"context"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/store"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const room = "!room:example.org"

// benched is a program whose machine knows Alice's cross-signed phone, and n room keys from it as JavaScript hands them over.
func benched(b *testing.B, n int, verify func([]keys.Check) []bool) (p *program, calls [][][]byte, sessions []*testkit.Outbound, phone *testkit.Device) {
	b.Helper()
	kit := testkit.New(b.Name())
	me, alice := kit.User("@me:example.org"), kit.User("@alice:example.org")
	mine := me.Device("MYDEVICE")
	phone = alice.Device("PHONE").CrossSigned()
	own := trust.Own{UserID: ids.UserID(me.ID), DeviceID: "MYDEVICE"}
	var err error
	if own.Ed25519, err = keys.ParseEd25519(mine.Ed25519()); err != nil {
		b.Fatal(err)
	}
	if own.Curve25519, err = keys.ParseCurve25519(mine.Curve25519()); err != nil {
		b.Fatal(err)
	}
	p = &program{timer: make(chan struct{}, 1)}
	if p.machine, err = core.Open(context.Background(), core.Options{
		Own: own, Store: store.NewMemory(), Now: func() int64 { return time.Now().UnixMilli() }, VerifyNow: verify,
	}); err != nil {
		b.Fatal(err)
	}
	if _, err := p.machine.ReceiveKeysQueryResponse(context.Background(), kit.KeysQuery(alice), ""); err != nil {
		b.Fatal(err)
	}
	for range n {
		session := kit.Outbound()
		sessions = append(sessions, session)
		calls = append(calls, [][]byte{[]byte(alice.ID), []byte(phone.Curve25519()), phone.RoomKey(mine, room, session)})
	}
	return p, calls, sessions, phone
}

// BenchmarkFastLane is receiveRoomKeys from the argument list to the JSON of the receipt, for a known device whose chain was verified before:
// whole, and besides the one Ed25519 verification that is always made, the session key's own.
func BenchmarkFastLane(b *testing.B) {
	p, calls, _, _ := benched(b, 64, nil)
	b.Run("whole", func(b *testing.B) { benchReceive(b, p, calls) })
	// Given the first key has had the embedded device verified, of every later one exactly one signature is asked about; whether it holds, the
	// run above has seen.
	first := true
	p, calls, _, _ = benched(b, 64, func(checks []keys.Check) []bool {
		if first {
			first = false
			return keys.VerifyAll(checks)
		}
		if len(checks) != 1 {
			panic("the fast lane asks about more than the session key's own signature")
		}
		return []bool{true}
	})
	b.Run("besides the signature", func(b *testing.B) { benchReceive(b, p, calls) })
}

func benchReceive(b *testing.B, p *program, calls [][][]byte) {
	i := 0
	for b.Loop() {
		if _, err := p.receiveRoomKeys(calls[i]); err != nil {
			b.Fatal(err)
		}
		clear(p.receptions.things)
		i = (i + 1) % len(calls)
	}
}

// BenchmarkEncryptionInfo is the verdict of an event of a loaded session, from the argument list to the JSON.
func BenchmarkEncryptionInfo(b *testing.B) {
	p, calls, sessions, phone := benched(b, 1, nil)
	if _, err := p.receiveRoomKeys(calls[0]); err != nil {
		b.Fatal(err)
	}
	if err := p.machine.LoadRoom(context.Background(), room); err != nil {
		b.Fatal(err)
	}
	event := phone.EventObject(room, sessions[0], []byte(`{}`))
	content := event["content"].(map[string]any)
	var args [][]byte
	for _, text := range []any{room, content["session_id"], event["sender"], event["event_id"], content["ciphertext"]} {
		args = append(args, []byte(text.(string)))
	}
	for b.Loop() {
		if _, err := p.roomEventEncryptionInfo(args); err != nil {
			b.Fatal(err)
		}
	}
}
