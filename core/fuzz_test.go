package core_test

import (
	"context"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/testkit"
)

// FuzzToDevice: whatever a server says is a to-device event, it costs at most itself: the event beside it is received, nothing else is stored by it, and
// it never becomes a room key.
func FuzzToDevice(f *testing.F) {
	d := withAccount(f)
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])
	phone.CrossSigned()
	d.answer(alice)
	d.syncs(phone.roomKey(d.kit.Outbound()))
	good := phone.roomKey(d.kit.Outbound())
	f.Add(good[:len(good)-1])
	f.Add(testkit.JSON(map[string]any{"type": "m.room_key", "sender": alice.ID, "content": map[string]any{}}))
	f.Add([]byte(`{"type":"m.room.encrypted","sender":"@alice:example.org","content":{"algorithm":"m.olm.v1.curve25519-aes-sha2","sender_key":"` + phone.Curve25519() +
		`","ciphertext":{"` + d.machine.Own().Curve25519.String() + `":{"type":0,"body":"AwogAA"}}}}`))
	f.Fuzz(func(t *testing.T, event []byte) {
		d.t = t
		before := contents(t, d.rows)
		result := d.syncs(event)
		if len(result.Reception.Receipts) != 0 || result.Events[0].Kind == core.ToDeviceRoomKey || result.Events[0].Kind == core.ToDeviceDecrypted {
			t.Fatalf("%v", result.Events[0].Kind)
		}
		if result.Events[0].Kind == core.ToDeviceRefused && contents(t, d.rows) != before {
			t.Fatal("what was refused has changed the store")
		}
	})
}

// FuzzClaimAnswer: no answer to a claim begins a session, but with a key that the device has signed.
func FuzzClaimAnswer(f *testing.F) {
	d := withAccount(f)
	alice := d.kit.User("@alice:example.org")
	phone, other := d.stranger(alice, "PHONE"), d.stranger(d.kit.User("@bob:example.org"), "PHONE")
	d.answer(alice)
	f.Add(claimAnswer(other, other.offer()))
	f.Add(claimAnswer(phone, phone.offer(testkit.CorruptSignature(alice.ID, "ed25519:PHONE"))))
	f.Add([]byte(`{"one_time_keys":{"@alice:example.org":{"PHONE":{"signed_curve25519:A":{"key":"","signatures":{}}}}}}`))
	before := contents(f, d.rows)
	f.Fuzz(func(t *testing.T, answer []byte) {
		d.t = t
		*d.clock += 1 << 40 // whatever was asked for in vain may be asked for again
		request, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"})
		if err != nil || request == nil {
			t.Fatalf("%v, %v", request, err)
		}
		if err := d.mark(request.ID, answer); err != nil && codeOf(t, err) != core.CodeBadClaim {
			t.Fatal(err)
		}
		if contents(t, d.rows) != before {
			t.Fatal("a session was begun")
		}
	})
}
