package sender_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"

	"github.com/go-json-experiment/json/jsontext"
)

// Everything the gate refuses, by code. Nothing remains of any of it.
func TestGate(t *testing.T) {
	set, in, remove := testkit.Set, testkit.In, testkit.Delete
	someKey := testkit.New("another key").User("@x:x").Device("X")

	for _, story := range []struct {
		name string
		code string
		in   func(w *world, alice *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent
	}{
		{"scenario 49, T19: another recipient", sender.CodeRecipientMismatch, payload(set("recipient", "@carol:example.org"))},
		{"scenario 49, T19: another recipient key", sender.CodeRecipientKeyMismatch, payload(in("recipient_keys", set("ed25519", someKey.Ed25519())))},
		{"scenario 49, T19: the event names another sender", sender.CodeSenderMismatch, event(func(e *sender.DecryptedOlmEvent) { e.Sender = "@carol:example.org" })},
		{"scenario 49, T19: the payload names another sender", sender.CodeSenderMismatch, payload(set("sender", "@carol:example.org"))},
		{"scenario 47, T02: embedded keys of another user, valid in themselves", sender.CodeSenderDeviceKeysUser,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				mallory := w.kit.User("@mallory:example.org")
				hers := mallory.Device("HERS").CrossSigned()
				hers.Identity, hers.SigningKey = phone.Identity, phone.SigningKey
				return w.from(phone, w.kit.Outbound(), set(testkit.SenderDeviceKeys, hers.Object()))
			}},
		{"scenario 47, T02: the same, with the user replaced and signed again", sender.CodeSenderDeviceKeysUser,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				phone.Before(set("user_id", "@mallory:example.org"))
				return w.from(phone, w.kit.Outbound())
			}},
		{"scenario 47, T03: embedded keys with another ed25519", sender.CodeSenderDeviceKeysEd25519,
			payload(in("keys", set("ed25519", someKey.Ed25519())))},
		{"scenario 47, T04: embedded keys with another curve25519", sender.CodeSenderDeviceKeysCurve25519,
			event(func(e *sender.DecryptedOlmEvent) { e.SenderKey = someKey.Curve25519() })},
		{"scenarios 47 and 55: embedded keys without the device's signature", sender.CodeSenderDeviceKeysSignature,
			embedded(in("signatures", in("@alice:example.org", remove("ed25519:ALICEPHONE"))))},
		{"scenario 55: embedded keys without signatures", sender.CodeSenderDeviceKeysSignature, embedded(remove("signatures"))},
		{"T05: one bit of the device's signature", sender.CodeSenderDeviceKeysSignature,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				return w.from(phone.CorruptlySelfSigned(), w.kit.Outbound())
			}},
		{"T05: a signature that is none", sender.CodeSenderDeviceKeysSignature,
			embedded(in("signatures", in("@alice:example.org", set("ed25519:ALICEPHONE", 1))))},
		{"T52: one member changed under the signature, one nobody knows", sender.CodeSenderDeviceKeysSignature, embedded(set("org.example.extra", 1))},
		{"T29: embedded keys with a low-order ed25519", sender.CodeBadSenderDeviceKeys, embedded(in("keys", set("ed25519:ALICEPHONE", strings.Repeat("A", 43))))},
		{"T30: embedded keys with a low-order curve25519", sender.CodeBadSenderDeviceKeys, embedded(in("keys", set("curve25519:ALICEPHONE", strings.Repeat("A", 43))))},
		{"embedded keys that are no object", sender.CodeBadSenderDeviceKeys, payload(set(testkit.SenderDeviceKeys, "x"))},
		{"embedded keys that are null", sender.CodeBadSenderDeviceKeys, payload(set(testkit.SenderDeviceKeys, nil))},
		{"embedded keys without keys", sender.CodeBadSenderDeviceKeys, embedded(remove("keys"))},
		{"embedded keys of 17 KiB", sender.CodeBadSenderDeviceKeys, embedded(set("unsigned", map[string]any{"x": strings.Repeat("x", 17<<10)}))},
		{"T51: embedded keys with a case variant", sender.CodeBadSenderDeviceKeys, embedded(set("Device_ID", "OTHER"))},
		{"embedded under both names, differently", sender.CodeSenderDeviceKeysConflict,
			payload(func(p map[string]any) { p[testkit.UnstableSenderDeviceKeys] = map[string]any{} })},
		{"embedded under both names, one of them not canonical", sender.CodeSenderDeviceKeysConflict,
			payload(func(p map[string]any) { p[testkit.UnstableSenderDeviceKeys] = map[string]any{"n": 1.5} })},
		{"scenario 51, T20: dehydrated, says the message", sender.CodeDehydratedDevice,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				return w.from(phone.Dehydrated(), w.kit.Outbound())
			}},
		{"scenario 51, T20: dehydrated, says the server", sender.CodeDehydratedDevice,
			func(w *world, alice *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				w.asks(phone.Dehydrated().User)
				return w.from(phone, w.kit.Outbound(), bare)
			}},
		{"T20: dehydrated, says the server, not the message", sender.CodeDehydratedDevice,
			func(w *world, alice *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				honest := phone.Object()
				w.asks(phone.Dehydrated().User)
				return w.from(phone, w.kit.Outbound(), set(testkit.SenderDeviceKeys, honest))
			}},
		{"not a room key", sender.CodeNotARoomKey, payload(set("type", "m.forwarded_room_key"))},
		{"scenario 57: another algorithm", sender.CodeUnsupportedAlgorithm, content(set("algorithm", "m.megolm.v2.aes-sha2"))},
		{"a room id that is none", sender.CodeBadRoomID, content(set("room_id", "room"))},
		{"T25: another session id", sender.CodeSessionIDMismatch, content(set("session_id", someKey.Ed25519()))},
		{"T25, scenario 56: a session id that is no key", sender.CodeSessionIDMismatch, content(set("session_id", "x"))},
		{"T32: the session id in another spelling", sender.CodeSessionIDMismatch, content(func(c map[string]any) { c["session_id"] = c["session_id"].(string) + "=" })},
		{"T23, scenario 57: a session key with a wrong signature", sender.CodeBadSessionKey,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				raw, _ := keys.DecodeBase64([]byte(session.SessionKey()))
				raw[len(raw)-1] ^= 1
				return w.from(phone, session, in("content", set("session_key", testkit.Base64(raw))))
			}},
		{"T23: a session key with one bit of its ratchet wrong", sender.CodeBadSessionKey,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				raw, _ := keys.DecodeBase64([]byte(session.SessionKey()))
				raw[17] ^= 1
				return w.from(phone, session, in("content", set("session_key", testkit.Base64(raw))))
			}},
		{"T23: an exported session key", sender.CodeBadSessionKey,
			func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
				session := w.kit.Outbound()
				return w.from(phone, session, in("content", set("session_key", session.ExportedAt(0))))
			}},
		{"T23: an empty session key", sender.CodeBadSessionKey, content(set("session_key", ""))},
		{"T23: a session key and one byte", sender.CodeBadSessionKey, content(func(c map[string]any) { c["session_key"] = c["session_key"].(string) + "AA" })},
		{"T32: a session key with a newline", sender.CodeBadSessionKey, content(func(c map[string]any) { c["session_key"] = c["session_key"].(string) + "\n" })},
		{"no session key", sender.CodeBadPayload, content(remove("session_key"))},
		{"no algorithm", sender.CodeBadPayload, content(remove("algorithm"))},
		{"no room id", sender.CodeBadPayload, content(remove("room_id"))},
		{"a session id that is no text", sender.CodeBadPayload, content(set("session_id", nil))},
		{"a history flag that is no boolean", sender.CodeBadPayload, content(set("shared_history", "true"))},
		{"no content", sender.CodeBadPayload, payload(remove("content"))},
		{"no type", sender.CodeBadPayload, payload(remove("type"))},
		{"no sender", sender.CodeBadPayload, payload(remove("sender"))},
		{"no recipient", sender.CodeBadPayload, payload(remove("recipient"))},
		{"no recipient keys", sender.CodeBadPayload, payload(remove("recipient_keys"))},
		{"no recipient key", sender.CodeBadPayload, payload(in("recipient_keys", remove("ed25519")))},
		{"no keys", sender.CodeBadPayload, payload(remove("keys"))},
		{"T29: keys.ed25519 of low order", sender.CodeBadPayload, payload(in("keys", set("ed25519", strings.Repeat("A", 43))))},
		{"T51: a case variant of a member", sender.CodeBadPayload, payload(set("Sender", "@carol:example.org"))},
		{"T51: a case variant in the content", sender.CodeBadPayload, content(set("Room_ID", "!other:example.org"))},
		{"T51: a case variant in the keys", sender.CodeBadPayload, payload(in("keys", set("Ed25519", someKey.Ed25519())))},
		{"T51: a member twice", sender.CodeBadPayload, event(func(e *sender.DecryptedOlmEvent) {
			e.Payload = bytes.Replace(e.Payload, []byte(`{`), []byte(`{"sender":"@carol:example.org",`), 1)
		})},
		{"no JSON", sender.CodeBadPayload, event(func(e *sender.DecryptedOlmEvent) { e.Payload = []byte("m.room_key") })},
		{"nothing", sender.CodeBadPayload, event(func(e *sender.DecryptedOlmEvent) { e.Payload = nil })},
		{"65 KiB", sender.CodeBadPayload, payload(set("x", strings.Repeat("x", 65<<10)))},
		{"an event whose sender is no user", sender.CodeBadSender, event(func(e *sender.DecryptedOlmEvent) { e.Sender = "alice" })},
		{"T30: a channel with a low-order key", sender.CodeBadSenderKey, event(func(e *sender.DecryptedOlmEvent) { e.SenderKey = strings.Repeat("A", 43) })},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.people()
			w.refuses(story.code, story.in(w, alice, phone))
		})
	}
}

type maker = func(w *world, alice *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent

func payload(hooks ...testkit.Hook) maker {
	return func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
		return w.from(phone, w.kit.Outbound(), hooks...)
	}
}

func content(hooks ...testkit.Hook) maker { return payload(testkit.In("content", hooks...)) }

func embedded(hooks ...testkit.Hook) maker {
	return payload(testkit.In(testkit.SenderDeviceKeys, hooks...))
}

func event(change func(*sender.DecryptedOlmEvent)) maker {
	return func(w *world, _ *testkit.User, phone *testkit.Device) sender.DecryptedOlmEvent {
		in := w.from(phone, w.kit.Outbound())
		change(&in)
		return in
	}
}

// Every member of the payload dropped, null, of another type, huge: refused with a code, or harmless; never a panic, never a better sender.
func TestEveryMemberOutOfForm(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	w.asks(alice)
	honest := w.keeps(w.from(phone, w.kit.Outbound())).Current
	var walk func(path []string, object map[string]any)
	tries, refusals := 0, 0
	walk = func(path []string, object map[string]any) {
		for name, value := range object {
			for _, instead := range []any{nil, 1, -1.5, true, "", "x", strings.Repeat("x", 300), []any{}, map[string]any{}, "\x00", "delete"} {
				at := append(append([]string{}, path...), name)
				hook := func(p map[string]any) {
					for _, step := range at[:len(at)-1] {
						p = p[step].(map[string]any)
					}
					if instead == "delete" {
						delete(p, at[len(at)-1])
					} else {
						p[at[len(at)-1]] = instead
					}
				}
				tries++
				received, err := w.receives(w.from(phone, w.kit.Outbound(), hook))
				if err != nil {
					var refusal *sender.RoomKeyError
					if !errors.As(err, &refusal) || refusal.Code == "" {
						t.Fatalf("%v: %v", at, err)
					}
					refusals++
				} else if received.Copy != nil && received.Copy.Current.Compare(honest) > 0 {
					t.Fatalf("%v = %v made the sender better", at, instead)
				}
			}
			if inner, ok := value.(map[string]any); ok {
				walk(append(append([]string{}, path...), name), inner)
			}
		}
	}
	walk(nil, phone.RoomKeyObject(w.desk, room, w.kit.Outbound()))
	if tries < 200 || refusals < tries/2 {
		t.Errorf("%d of %d were refused", refusals, tries)
	}
}

func TestReception(t *testing.T) {
	t.Run("scenario 46: from an unknown device", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		session := w.kit.Outbound()
		c := w.keeps(w.from(phone, session, bare))
		if c.SessionID.String() != session.ID() || c.RoomID != room || c.Provenance != sender.Direct || c.Legacy || c.BackedUp || c.Suspended {
			t.Errorf("got %+v", c)
		}
		if c.Session.ID() != c.SessionID || !c.Session.Signed() || !c.HasEd25519 || c.Ed25519 != ed25519(t, phone.Ed25519()) {
			t.Error("the copy does not hold what the message said")
		}
	})
	t.Run("scenario 48: from a known device", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		w.asks(alice)
		c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
		w.wantKind(c, sender.DeviceInfo)
		if c.Legacy {
			t.Error("legacy")
		}
	})
	t.Run("scenario 17: the history flag under its three names", func(t *testing.T) {
		for name, want := range map[string]bool{
			`{"shared_history":true}`:                          true,
			`{"m.shared_history":true}`:                        true,
			`{"org.matrix.msc3061.shared_history":true}`:       true,
			`{"shared_history":false}`:                         false,
			`{"shared_history":true,"m.shared_history":false}`: false,
			`{"shared_history":true,"m.shared_history":true}`:  true,
			`{}`: false,
		} {
			w := newWorld(t)
			_, phone := w.people()
			object, err := signedjson.Parse([]byte(name))
			if err != nil {
				t.Fatal(err)
			}
			hook := func(c map[string]any) {
				object.Range(func(member string, value jsontext.Value) bool {
					c[member] = value.Kind() == 't'
					return true
				})
			}
			if c := w.keeps(w.from(phone, w.kit.Outbound(), testkit.In("content", hook))); c.SharedHistory != want {
				t.Errorf("%s: %v", name, c.SharedHistory)
			}
		}
	})
	t.Run("embedded under both names, alike but for spaces", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		in := w.from(phone, w.kit.Outbound(), func(p map[string]any) { p[testkit.UnstableSenderDeviceKeys] = p[testkit.SenderDeviceKeys] })
		in.Payload = bytes.Replace(in.Payload, []byte(`"org.matrix.msc4147.device_keys":{`), []byte(`"org.matrix.msc4147.device_keys": { `), 1)
		w.wantKind(w.keeps(in), sender.DeviceInfo)
	})
	t.Run("no session id in the content", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		session := w.kit.Outbound()
		c := w.keeps(w.from(phone, session, testkit.In("content", testkit.Delete("session_id"))))
		if c.SessionID.String() != session.ID() {
			t.Error("another session")
		}
	})
	t.Run("T26: relabelled for another room it is another copy", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		session := w.kit.Outbound()
		a, b := w.keeps(w.from(phone, session)), w.keeps(olm(phone, phone.RoomKey(w.desk, "!other:example.org", session)))
		if a.CopyKey == b.CopyKey {
			t.Error("one copy")
		}
	})
	t.Run("T28: the first and the last index there is", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		session := testkit.NewOutboundAt(w.kit.Random(), testkit.LastIndex)
		if c := w.keeps(w.from(phone, session)); c.Session.FirstKnownIndex() != testkit.LastIndex {
			t.Error(c.Session.FirstKnownIndex())
		}
	})
	t.Run("the copy does not share memory with the payload", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.people()
		in := w.from(phone, w.kit.Outbound())
		c := w.keeps(in)
		clear(in.Payload)
		w.asks(alice)
		alice.Devices = nil
		w.asks(alice)
		w.wantKnown(w.judges(c), sender.SenderUnverified, phone)
	})
	t.Run("the key that was checked is wiped", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		reception, err := w.finder.Prepare(w.index, w.from(phone, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		checks := reception.AppendChecks(nil)
		if _, err = reception.Finish(keys.VerifyAll(checks), 1); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(checks[0].Message, make([]byte, len(checks[0].Message))) {
			t.Error("the ratchet is still there")
		}
	})
	t.Run("a refusal says what was wrong below", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		_, err := w.receives(w.from(phone, w.kit.Outbound(), testkit.In("content", testkit.Set("session_key", ""))))
		var refusal *sender.RoomKeyError
		if !errors.As(err, &refusal) || refusal.Member != "content.session_key" || refusal.Reason != megolm.CodeBadSessionKeyLength || errors.Unwrap(err) == nil {
			t.Errorf("%#v", err)
		}
	})
	t.Run("T56: printed, what is on its way shows no secret", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		session := w.kit.Outbound()
		reception, err := w.finder.Prepare(w.index, w.from(phone, session))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := keys.DecodeBase64(session.SessionKey())
		bare := func(text string) string { return strings.NewReplacer(" ", "", ",", "", "0x", "").Replace(text) }
		secrets := []string{session.SessionKey()[:40], bare(fmt.Sprint(raw[20:36])), bare(fmt.Sprintf("%#v", raw[20:36])), fmt.Sprintf("%x", raw[20:36])}
		printed := bare(fmt.Sprintf("%v %+v %#v", reception, reception.Key, reception.Key))
		received, err := reception.Finish(keys.VerifyAll(reception.AppendChecks(nil)), 1)
		if err != nil {
			t.Fatal(err)
		}
		printed += bare(fmt.Sprintf("%v %+v %#v %v %+v", received, received, received, received.Copy, *received.Copy))
		for _, secret := range secrets {
			secret = strings.Trim(strings.TrimPrefix(secret, "[]byte"), "[]{}")
			if len(secret) < 16 || strings.Contains(printed, secret) {
				t.Errorf("%d bytes of secret, printed: %v", len(secret), strings.Contains(printed, secret))
			}
		}
	})
	t.Run("answers must fit the checks", func(t *testing.T) {
		w := newWorld(t)
		_, phone := w.people()
		reception, err := w.finder.Prepare(w.index, w.from(phone, w.kit.Outbound()))
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if recover() == nil {
				t.Error("two questions, no answer, no panic")
			}
		}()
		reception.Finish(nil, 1)
	})
}
