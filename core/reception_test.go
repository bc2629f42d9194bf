package core_test

import (
	"context"
	"errors"
	"testing"

	"knownsender/core"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// Reception of room keys, end to end: what arrives, what is kept, what lies in the store afterwards.

// What a room key tells of its sender when it arrives, by what was known before.
func TestReception(t *testing.T) {
	for _, story := range []struct {
		name  string
		given func(w *world, alice *testkit.User, phone *testkit.Device)
		hooks []testkit.Hook
		want  sender.Kind
		lane  core.Lane
	}{
		{"scenario 30, scenario 46: nothing embedded, nobody known", nil,
			[]testkit.Hook{testkit.WithoutDeviceKeys}, sender.UnknownDevice, core.Slow},
		{"scenario 31: embedded device keys alone", nil,
			nil, sender.DeviceInfo, core.Slow},
		{"scenario 31: embedded under the unstable name", nil,
			[]testkit.Hook{testkit.UnstableDeviceKeys}, sender.DeviceInfo, core.Slow},
		{"scenario 32, scenario 48: a stored device, found by curve key", func(w *world, alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned()
			w.answer(alice.WithoutIdentity())
		}, []testkit.Hook{testkit.WithoutDeviceKeys}, sender.DeviceInfo, core.Slow},
		{"scenario 33, T07: a device that a server could have made up, known and not cross-signed", func(w *world, alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned()
			w.answer(alice)
		}, nil, sender.DeviceInfo, core.Slow},
		{"scenario 35: another's device from the store, owner not verified", func(w *world, alice *testkit.User, _ *testkit.Device) {
			w.answer(alice)
		}, []testkit.Hook{testkit.WithoutDeviceKeys}, sender.SenderUnverified, core.Fast},
		{"scenario 35, scenario 40: another's device from the store, owner verified", func(w *world, alice *testkit.User, _ *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answer(alice)
		}, []testkit.Hook{testkit.WithoutDeviceKeys}, sender.SenderVerified, core.Fast},
		{"scenario 37, T22: a device that is in no answer, embedded and cross-signed", func(w *world, alice *testkit.User, _ *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
		}, nil, sender.SenderVerified, core.Fast},
		{"scenario 43: embedded without the cross-signature, stored with it", func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.answer(alice)
			phone.NotCrossSigned()
		}, nil, sender.SenderUnverified, core.Fast},
		{"scenario 25, T06: embedded with the signature of an earlier self-signing key", func(w *world, alice *testkit.User, phone *testkit.Device) {
			alice.RotateSelfSigning()
			w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
		}, nil, sender.DeviceInfo, core.Slow},
		{"T12: a new master key of a user who was verified", func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answer(alice)
			alice.ResetIdentity()
			phone.NotCrossSigned().CrossSigned()
			w.answer(alice)
		}, nil, sender.VerificationViolation, core.Fast},
		{"scenario 23: a new master key of a user who never was", func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.answer(alice)
			alice.ResetIdentity()
			phone.NotCrossSigned().CrossSigned()
			w.answer(alice)
		}, nil, sender.SenderUnverified, core.Fast},
		{"scenario 24, T13: signed by us, while our own identity is not verified", func(w *world, alice *testkit.User, _ *testkit.Device) {
			w.me.Verifies(alice)
			w.mine.CrossSigned()
			w.answer(w.me)
			w.answer(alice)
		}, nil, sender.SenderUnverified, core.Fast},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			if story.given != nil {
				story.given(w, alice, phone)
			}
			receipt := w.receive(w.event(phone, room, w.kit.Outbound(), story.hooks...))
			if receipt.Copy == nil {
				t.Fatalf("refused: %v", receipt.Err)
			}
			if receipt.Copy.Current.Kind != story.want || receipt.Lane != story.lane {
				t.Errorf("%v on the %v lane, want %v on the %v", receipt.Copy.Current.Kind, receipt.Lane, story.want, story.lane)
			}
			// It lies in the store as it was received, not legacy, and what was known at reception is noted with it.
			stored := w.copy()
			if stored.Current != receipt.Copy.Current || stored.AtReception != stored.Current || stored.Legacy || stored.Provenance != sender.Direct {
				t.Errorf("stored %+v", stored)
			}
			if stored.Current.Kind.Known() {
				if master, _, _, _ := w.machine.Identity("@alice:example.org"); stored.Current.MasterKey != master.Master {
					t.Error("the master key is not the one of the moment")
				}
			}
			if len(w.heard.keys) != 1 || len(w.heard.updates) != 0 {
				t.Errorf("told of %d keys and %d updates", len(w.heard.keys), len(w.heard.updates))
			}
		})
	}
}

// Scenarios 34, 36 and 58: our own devices, from the store and embedded, before and after our identity is verified on this device.
func TestReceptionFromOwnDevices(t *testing.T) {
	for name, hooks := range map[string][]testkit.Hook{"scenario 34: stored": {testkit.WithoutDeviceKeys}, "scenario 36: embedded": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			other := w.me.Device("LAPTOP").CrossSigned()
			w.mine.CrossSigned()
			w.answer(w.me)
			if kept := w.kept(w.event(other, room, w.kit.Outbound(), hooks...)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("before our identity is verified: %v", kept.Current.Kind)
			}
			if err := w.trustMe(); err != nil {
				t.Fatal(err)
			}
			if kept := w.kept(w.event(other, room, w.kit.Outbound(), hooks...)); kept.Current.Kind != sender.SenderVerified {
				t.Errorf("after: %v", kept.Current.Kind)
			}
			// Scenario 58: the inbound copy of a session of our own.
			if kept := w.kept(w.event(w.mine, room, w.kit.Outbound(), hooks...)); kept.Current.Kind != sender.SenderVerified {
				t.Errorf("our own: %v", kept.Current.Kind)
			}
		})
	}
}

// without removes object[section][name].
func without(object map[string]any, section, name string) map[string]any {
	delete(object[section].(map[string]any), name)
	return object
}

// What the gate refuses costs only itself: nothing of it is stored, and its neighbours in the same call are kept (N5).
func TestRefusals(t *testing.T) {
	for _, story := range []struct {
		name  string
		code  string
		given func(w *world, alice *testkit.User, phone *testkit.Device)
		make  func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent
	}{
		{name: "T02, scenario 47: embedded device of another user", code: sender.CodeSenderDeviceKeysUser,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.Set(testkit.SenderDeviceKeys, other.Object()))
			}},
		{name: "T03, scenario 38: embedded ed25519 key is not the payload's", code: sender.CodeSenderDeviceKeysEd25519,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.Set("keys", map[string]any{"ed25519": other.Ed25519()}))
			}},
		{name: "T04, scenario 47: embedded curve25519 key is not the channel's", code: sender.CodeSenderDeviceKeysCurve25519,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				event := w.event(phone, room, w.kit.Outbound())
				event.SenderKey = other.Curve25519()
				return event
			}},
		{name: "T05, scenario 47: one bit of the self-signature, good device known", code: sender.CodeSenderDeviceKeysSignature,
			given: func(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) },
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.In(testkit.SenderDeviceKeys, testkit.CorruptSignature(phone.User.ID, "ed25519:"+phone.ID)))
			}},
		{name: "scenario 38, T15: the stored device with this curve key has another ed25519 key", code: sender.CodeMismatchedIdentityKeys,
			given: func(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) },
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys, testkit.Set("keys", map[string]any{"ed25519": other.Ed25519()}))
			}},
		{name: "scenario 44: embedded id known with another ed25519 key", code: sender.CodeDeviceKeyChanged,
			given: func(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) },
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone.User.Device("PHONE"), room, w.kit.Outbound())
			}},
		{name: "T19, scenario 49: for another user", code: sender.CodeRecipientMismatch,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.Set("recipient", other.User.ID))
			}},
		{name: "T19, scenario 49: for another device", code: sender.CodeRecipientKeyMismatch,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.Set("recipient_keys", map[string]any{"ed25519": other.Ed25519()}))
			}},
		{name: "T19, scenario 49: from another sender than the envelope's", code: sender.CodeSenderMismatch,
			make: func(w *world, phone, other *testkit.Device) sender.DecryptedOlmEvent {
				event := w.event(phone, room, w.kit.Outbound())
				event.Sender = other.User.ID
				return event
			}},
		{name: "T20, scenario 51: an embedded device that says it is dehydrated", code: sender.CodeDehydratedDevice,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone.User.Device("DEHYDRATED").Dehydrated(), room, w.kit.Outbound())
			}},
		{name: "T20, scenario 51: a device known to be dehydrated", code: sender.CodeDehydratedDevice,
			given: func(w *world, alice *testkit.User, phone *testkit.Device) {
				phone.Dehydrated()
				w.answer(alice)
			},
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)
			}},
		{name: "T23, scenario 57: wrong signature of the session key", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				// The last character of 229 bytes holds two bits of no meaning; this one holds six that have.
				key := []byte(session.SessionKey())
				key[len(key)-3] ^= 2
				return w.event(phone, room, session, content("session_key", string(key)))
			}},
		{name: "T23: the exported form inside a room key", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				return w.event(phone, room, session, content("session_key", session.ExportedAt(0)))
			}},
		{name: "T23: one byte short", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				return w.event(phone, room, session, content("session_key", session.SessionKey()[:303]))
			}},
		{name: "T23: empty", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), content("session_key", ""))
			}},
		{name: "T25, scenario 56: it names another session than its key", code: sender.CodeSessionIDMismatch,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), content("session_id", w.kit.Outbound().ID()))
			}},
		{name: "scenario 57: an algorithm nobody knows", code: sender.CodeUnsupportedAlgorithm,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), content("algorithm", "m.megolm.v2"))
			}},
		{name: "T17, T18, scenario 50: a payload that is a room event, not a room key", code: sender.CodeNotARoomKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), testkit.Set("type", "m.forwarded_room_key"))
			}},
		{name: "T29: the session's own key is of low order", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				low := make([]byte, 229)
				low[0] = 2
				low[5+128] = 1 // the neutral element, little endian 1: any signature with R = 1, S = 0 "holds"
				low[5+128+32] = 1
				return w.event(phone, room, w.kit.Outbound(), content("session_key", testkit.Base64(low)), testkit.In("content", testkit.Delete("session_id")))
			}},
		{name: "T30: the channel's key is all zero", code: sender.CodeBadSenderKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				event := w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)
				event.SenderKey = testkit.Base64(make([]byte, 32))
				return event
			}},
		{name: "T32: a newline inside the session key", code: sender.CodeBadSessionKey,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				key := session.SessionKey()
				return w.event(phone, room, session, content("session_key", key[:76]+"\n"+key[76:]))
			}},
		{name: "T51: a member that is ours but for case", code: sender.CodeBadPayload,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				return w.event(phone, room, w.kit.Outbound(), content("Room_ID", room))
			}},
		{name: "T57: the to-device event's sender is no user id", code: sender.CodeBadSender,
			make: func(w *world, phone, _ *testkit.Device) sender.DecryptedOlmEvent {
				event := w.event(phone, room, w.kit.Outbound())
				event.Sender = "alice"
				return event
			}},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			_, other := w.mallory()
			if story.given != nil {
				story.given(w, alice, phone)
			}
			bad := story.make(w, phone, other)
			before := dump(t, w.rows)

			reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{bad})
			w.flush()
			receipt := reception.Receipts[0]
			if receipt.Err == nil || codeOf(t, receipt.Err) != story.code || receipt.Copy != nil || receipt.Tombstone != nil {
				t.Fatalf("got %+v, want %s", receipt, story.code)
			}
			if receipt.Err.Error() == "" {
				t.Error("an error without a sentence")
			}
			if dump(t, w.rows) != before {
				t.Error("something of the refused event was stored")
			}

			// In a call with others it costs only itself.
			good := w.event(other, room, w.kit.Outbound())
			also := w.event(other, room, w.kit.Outbound())
			reception = w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{good, bad, also})
			w.flush()
			for i, refused := range []bool{false, true, false} {
				if (reception.Receipts[i].Err != nil) != refused || (reception.Receipts[i].Copy == nil) != refused {
					t.Errorf("position %d: %+v", i, reception.Receipts[i])
				}
			}
			if stored := w.copies(); len(stored) != 2 {
				t.Errorf("%d copies are stored, want the two good ones", len(stored))
			}
		})
	}
}

// content is a hook that sets a member of the payload's content.
func content(name string, value any) testkit.Hook {
	return testkit.In("content", testkit.Set(name, value))
}

// Scenario 26, scenario 131, T06: the sender's own message carries a forged signature by the current self-signing key. The key is discarded, a tombstone
// without ratchet says why, no policy shows its messages, and a later honest copy starts afresh.
func TestForgedCrossSignature(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)

	phone.NotCrossSigned().CorruptlyCrossSigned()
	receipt := w.receive(w.event(phone, room, session))
	if receipt.Err != nil || receipt.Copy != nil || receipt.Tombstone == nil || receipt.Finding.Outcome != sender.Discard {
		t.Fatalf("%+v", receipt)
	}
	if len(w.copies()) != 0 || len(w.heard.keys) != 0 {
		t.Error("something of the discarded key was kept, or told")
	}
	w.wantCodes(message, hidden("tampered"))
	w.restart()
	w.wantCodes(message, hidden("tampered"))

	// F44: delivered again, by a server that did not get our acknowledgement, it changes nothing, not even the time on the tombstone.
	before := dump(t, w.rows)
	w.receive(w.event(phone, room, session))
	w.receive(w.event(phone, room, session))
	if dump(t, w.rows) != before {
		t.Error("the same forgery again has changed the store")
	}

	phone.NotCrossSigned().CrossSigned()
	if kept := w.kept(w.event(phone, room, session)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("the honest copy is %v", kept.Current.Kind)
	}
	w.wantCodes(message, shownUnsure)
	w.restart()
	w.wantCodes(message, shownUnsure)

	// And the forgery after the honest one takes nothing away.
	phone.NotCrossSigned().CorruptlyCrossSigned()
	w.receive(w.event(phone, room, session))
	w.wantCodes(message, shownUnsure)
}

// Scenario 27, T06: the same forgery in an answer of the server suspends the copy: hidden, not deleted, and lifted by a good signature.
func TestForgedCrossSignatureFromTheServer(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	w.answer(alice)
	session := w.kit.Outbound()
	kept := w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	if !kept.Suspended || !w.copy().Suspended {
		t.Fatalf("not suspended: %+v", kept)
	}
	message := phone.Message(string(room), session, "hello")
	w.wantCodes(message, hidden("tampered"))
	w.restart()
	w.wantCodes(message, hidden("tampered"))

	// That the forgery is gone does not make it good; a good signature does.
	phone.NotCrossSigned()
	w.answer(alice)
	w.wantCodes(message, hidden("tampered"))
	phone.CrossSigned()
	if result := w.answer(alice); result.RoomKeys != 1 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	w.wantCodes(message, shownUnsure)
	if stored := w.copy(); stored.Suspended || stored.Current.Kind != sender.SenderUnverified {
		t.Errorf("%+v", stored)
	}
	last := w.heard.updates[len(w.heard.updates)-1]
	if last.Suspended || last.Because != core.BecauseKeysQuery {
		t.Errorf("told %+v", last)
	}
}

// Scenario 45, T14, T15: Mallory publishes Alice's curve key as her own. Alice's key is never hers.
func TestCurveKeyUnderAnotherUser(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory := w.kit.User("@mallory:example.org")
	stolen := mallory.Device("STOLEN")
	stolen.Identity = phone.Identity
	stolen.CrossSigned()
	w.answer(mallory)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	if kept := w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.UnknownDevice || kept.OlmUser != "@alice:example.org" {
		t.Fatalf("%+v", kept)
	}
	// The event under Mallory's name is a mismatch by the Olm user alone; nothing in later answers about her changes it.
	w.answer(mallory)
	if stored := w.copy(); stored.Current.Kind != sender.UnknownDevice {
		t.Errorf("an answer about Mallory made it %v", stored.Current.Kind)
	}
	w.answer(alice)
	if stored := w.copy(); stored.Current.UserID != "@alice:example.org" || stored.Current.Kind != sender.SenderUnverified {
		t.Errorf("%+v", stored.Current)
	}
	w.wantCodes(message, shownUnsure)
}

// Scenario 39: a device that lacks one of its keys never becomes anybody's device, so a key from it stays with an unknown device.
func TestDeviceLackingKeys(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.Before(testkit.In("keys", testkit.Delete("ed25519:PHONE")))
	result := w.answer(alice)
	if len(result.Problems) != 1 {
		t.Errorf("problems %v", result.Problems)
	}
	if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.UnknownDevice {
		t.Errorf("%v", kept.Current.Kind)
	}
}

// Scenario 41: the same device, embedded, stored or both, gives the same sender.
func TestSameDeviceByEveryWay(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	embedded := w.kept(w.event(phone, room, w.kit.Outbound()))
	w.answer(alice)
	stored := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	both := w.kept(w.event(phone, room, w.kit.Outbound()))
	if embedded.Current.DeviceID != "PHONE" || stored.Current != both.Current {
		t.Errorf("%+v, %+v, %+v", embedded.Current, stored.Current, both.Current)
	}
	for _, c := range w.copies() {
		if c.Current != both.Current {
			t.Errorf("%+v is judged otherwise", c.Current)
		}
	}
}

// Scenario 54, T21, T22: a device that was deleted, or whose owner has rotated the keys since. New keys from it are not a known sender's,
// stored ones stay what they were.
func TestDeletedDevice(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "before")
	session.SkipTo(0)
	w.kept(w.event(phone, room, session))

	devices := alice.Devices
	alice.Devices = nil
	w.answer(alice)
	if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.UnknownDevice {
		t.Errorf("from a deleted device: %v", kept.Current.Kind)
	}
	alice.Devices = devices
	alice.ResetIdentity()
	w.answer(alice)
	if kept := w.kept(w.event(phone, room, w.kit.Outbound())); kept.Current.Kind != sender.DeviceInfo {
		t.Errorf("signed by the identity before the reset: %v", kept.Current.Kind)
	}
	w.wantCodes(message, shownToAll)
}

// Scenario 59, F22: the same session several times in one call is one copy, from the lowest index on, in whatever order.
func TestSeveralCopiesInOneCall(t *testing.T) {
	permutations([]uint32{0, 2, 5, 2}, func(order []uint32) {
		w := newWorld(t)
		alice, phone := w.alice()
		w.answer(alice)
		session := w.kit.Outbound()
		var events []sender.DecryptedOlmEvent
		for _, index := range order {
			session.SkipTo(index)
			events = append(events, w.event(phone, room, session))
		}
		reception := w.machine.ReceiveRoomKeys(events)
		w.flush()
		for i, receipt := range reception.Receipts {
			if receipt.Err != nil || receipt.Copy == nil {
				t.Fatalf("%v: position %d: %v", order, i, receipt.Err)
			}
		}
		if stored := w.copy(); stored.Session.FirstKnownIndex() != 0 {
			t.Errorf("%v: begins at %d", order, stored.Session.FirstKnownIndex())
		}
		if len(w.heard.keys) != 1 {
			t.Errorf("%v: told of %d keys", order, len(w.heard.keys))
		}
		if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 1 {
			t.Errorf("%v: counted %d", order, counts.Total)
		}
	})
}

// permutations calls f with every order of items.
func permutations[T any](items []T, f func([]T)) {
	var walk func(n int)
	walk = func(n int) {
		if n == len(items) {
			f(append([]T(nil), items...))
			return
		}
		for i := n; i < len(items); i++ {
			items[n], items[i] = items[i], items[n]
			walk(n + 1)
			items[n], items[i] = items[i], items[n]
		}
	}
	walk(0)
}

// T53: ids with separators in them name rooms of their own; ids of 10 KB name none.
func TestIDsThatLookAlike(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	rooms := []string{"!a|b:c", "!a:b|c", "!a\x1db:c", "!a:c", "!a%7Cb:c", "!\ue000:c", "!\U0001F511:c"}
	for _, in := range rooms {
		w.kept(sender.DecryptedOlmEvent{Sender: phone.User.ID, SenderKey: phone.Curve25519(), Payload: phone.RoomKey(w.mine, in, session)})
	}
	if stored := w.copies(); len(stored) != len(rooms) {
		t.Errorf("%d copies of %d rooms", len(stored), len(rooms))
	}
	long := "!" + string(make([]byte, 10<<10)) + ":c"
	receipt := w.receive(sender.DecryptedOlmEvent{Sender: phone.User.ID, SenderKey: phone.Curve25519(), Payload: phone.RoomKey(w.mine, long, session)})
	if receipt.Err == nil {
		t.Error("a room id of 10 KB was accepted")
	}
}

// Calls on a closed machine are refused; the receipt of each event says so.
func TestReceptionAfterClose(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	event := w.event(phone, room, w.kit.Outbound())
	if err := w.machine.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{event, event})
	for _, receipt := range reception.Receipts {
		if receipt.Err == nil || codeOf(t, receipt.Err) != "closed" {
			t.Errorf("%+v", receipt)
		}
	}
	if len(w.copies()) != 0 {
		t.Error("stored after close")
	}
}

// Settled tells how things stand when the answer has come, for each key that was kept, in order.
func TestSettled(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, stranger := w.mallory()
	bad := w.event(phone, room, w.kit.Outbound(), testkit.Set("recipient", "@somebody:example.org"))
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{
		w.event(phone, room, w.kit.Outbound()), bad, w.event(stranger, room, w.kit.Outbound(), testkit.WithoutDeviceKeys),
	})
	w.flush()
	w.answer(alice)
	settled := w.machine.Settled(reception)
	if len(settled) != 2 || !settled[0].Known || settled[0].Data.Kind != sender.SenderUnverified || settled[1].Known {
		t.Errorf("%+v", settled)
	}
	var refusal *sender.RoomKeyError
	if !errors.As(reception.Receipts[1].Err, &refusal) || refusal.Code != sender.CodeRecipientMismatch {
		t.Errorf("%v", reception.Receipts[1].Err)
	}
	if settled[0].SenderKey == (keys.Curve25519{}) {
		t.Error("the copy has no name")
	}
}
