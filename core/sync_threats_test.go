package core_test

import (
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/olm"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// What is wrong with a to-device event, from the raw edge: it costs only itself, and the messages before and after it in the same batch come through. And
// what the policy withholds of what is not.

// refusal is the code an event was refused with, as an event or as a room key; empty when it was not.
func refusal(t *testing.T, e *core.ToDeviceEvent) string {
	t.Helper()
	err := e.Err
	if err == nil && e.Receipt != nil {
		err = e.Receipt.Err
	}
	if err == nil {
		return ""
	}
	return codeOf(t, err)
}

func TestRawThreats(t *testing.T) {
	key := func(p *peer, hooks ...testkit.Hook) []byte { return p.roomKey(p.to.kit.Outbound(), hooks...) }
	// changed is an event whose envelope was changed on its way.
	changed := func(event []byte, hook testkit.Hook) []byte {
		object := jsonOf(t, event)
		hook(object)
		return testkit.JSON(object)
	}
	for _, row := range []struct {
		name, code string
		given      func(d *device, phone, other *peer)
		make       func(phone, other *peer) []byte
		replayed   string // the code of the same event once more: its message was opened, and is no second time
	}{
		{"T02, scenario 47: embedded keys of another user", sender.CodeSenderDeviceKeysUser, nil,
			func(phone, other *peer) []byte { return key(phone, testkit.Set("sender_device_keys", other.Object())) }, olm.CodeOlmMessageReplayed},
		{"T03, scenario 47: embedded keys with another ed25519", sender.CodeSenderDeviceKeysEd25519, nil,
			func(phone, other *peer) []byte {
				return key(phone, testkit.Set("keys", map[string]any{"ed25519": other.Ed25519()}))
			}, olm.CodeOlmMessageReplayed},
		{"T04, scenario 47: embedded keys with another curve25519", sender.CodeSenderDeviceKeysCurve25519, nil,
			func(phone, other *peer) []byte {
				moved := phone.User.DeviceWith("PHONE", other.Curve25519())
				moved.SigningKey = phone.SigningKey
				return key(phone, testkit.Set("sender_device_keys", moved.Object()))
			}, olm.CodeOlmMessageReplayed},
		{"T05, scenario 47: one bit of the embedded device's own signature, though the device is known", sender.CodeSenderDeviceKeysSignature,
			func(d *device, phone, _ *peer) { d.answer(phone.User) },
			func(phone, _ *peer) []byte {
				return key(phone, testkit.In("sender_device_keys", testkit.CorruptSignature(phone.User.ID, "ed25519:PHONE")))
			}, olm.CodeOlmMessageReplayed},
		{"T17: a room key that was not encrypted", core.CodePlainRoomKey, nil,
			func(phone, _ *peer) []byte {
				return changed(key(phone), testkit.Set("type", "m.room_key"))
			}, core.CodePlainRoomKey},
		{"T18, scenario 50: a to-device event encrypted with Megolm", core.CodeToDeviceAlgorithm, nil,
			func(phone, _ *peer) []byte {
				return changed(key(phone), testkit.In("content", testkit.Set("algorithm", testkit.MegolmAlgorithm)))
			}, core.CodeToDeviceAlgorithm},
		{"T19, scenario 49: for another user", sender.CodeRecipientMismatch, nil,
			func(phone, other *peer) []byte { return key(phone, testkit.Set("recipient", other.User.ID)) }, olm.CodeOlmMessageReplayed},
		{"T19, scenario 49: for another device", sender.CodeRecipientKeyMismatch, nil,
			func(phone, other *peer) []byte {
				return key(phone, testkit.Set("recipient_keys", map[string]any{"ed25519": other.Ed25519()}))
			}, olm.CodeOlmMessageReplayed},
		{"T19, scenario 49: under another sender's name", sender.CodeSenderMismatch, nil,
			func(phone, other *peer) []byte { return changed(key(phone), testkit.Set("sender", other.User.ID)) }, olm.CodeOlmMessageReplayed},
		{"T20, scenario 51: of a device that says it is dehydrated", sender.CodeDehydratedDevice,
			func(_ *device, phone, _ *peer) { phone.Dehydrated() },
			func(phone, _ *peer) []byte { return key(phone) }, olm.CodeOlmMessageReplayed},
		{"T20, scenario 51: of a device that is known to be dehydrated", sender.CodeDehydratedDevice,
			func(d *device, phone, _ *peer) {
				phone.Dehydrated()
				d.answer(phone.User)
			},
			func(phone, _ *peer) []byte { return key(phone, testkit.WithoutDeviceKeys) }, olm.CodeOlmMessageReplayed},
		{"scenario 55: another type, whose embedded keys are not signed", sender.CodeSenderDeviceKeysSignature, nil,
			func(phone, _ *peer) []byte {
				return phone.seals(phone.addressed("m.custom", map[string]any{}, testkit.In("sender_device_keys", testkit.Delete("signatures"))))
			}, olm.CodeOlmMessageReplayed},
		{"scenario 56: a room key that names another session", sender.CodeSessionIDMismatch, nil,
			func(phone, _ *peer) []byte {
				return key(phone, testkit.In("content", testkit.Set("session_id", phone.to.kit.Outbound().ID())))
			}, olm.CodeOlmMessageReplayed},
		{"scenario 57: an algorithm nobody knows", sender.CodeUnsupportedAlgorithm, nil,
			func(phone, _ *peer) []byte {
				return key(phone, testkit.In("content", testkit.Set("algorithm", "m.megolm.v2")))
			}, olm.CodeOlmMessageReplayed},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := withAccount(t)
			oneTimeKeys := d.uploaded()
			phone := d.peer(d.kit.User("@alice:example.org"), "PHONE", oneTimeKeys[0])
			other := d.peer(d.kit.User("@mallory:example.org"), "OTHER", oneTimeKeys[1])
			laptop := d.peer(d.kit.User("@bob:example.org"), "LAPTOP", oneTimeKeys[2])
			if row.given != nil {
				row.given(d, phone, other)
			}
			sessions := []*testkit.Outbound{d.kit.Outbound(), d.kit.Outbound()}
			bad := row.make(phone, other)
			result := d.syncs(laptop.roomKey(sessions[0]), bad, laptop.roomKey(sessions[1]))
			if code := refusal(t, &result.Events[1]); code != row.code {
				t.Errorf("refused with %q, want %s", code, row.code)
			}
			for _, i := range []int{0, 2} {
				if e := &result.Events[i]; e.Kind != core.ToDeviceRoomKey || refusal(t, e) != "" {
					t.Errorf("the good event %d: %v, %v", i, e.Kind, refusal(t, e))
				}
			}
			if copies := d.copies(); len(copies) != 2 {
				t.Errorf("%d room keys are stored", len(copies))
			}
			before := contents(t, d.rows)
			if code := refusal(t, &d.syncs(bad).Events[0]); code != row.replayed {
				t.Errorf("once more: %q, want %s", code, row.replayed)
			}
			if contents(t, d.rows) != before {
				t.Error("once more, it has changed the store")
			}
		})
	}
}

// Given messages that do not open, one in every way, when they come among others, then the store holds what it would hold without them: no channel and no
// one-time key was touched.
func TestRawFailuresChangeNothing(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys := d.uploaded()
	alice := d.kit.User("@alice:example.org")
	phone, stranger := d.peer(alice, "PHONE", oneTimeKeys[0]), d.peer(d.kit.User("@stranger:example.org"), "STRANGER", oneTimeKeys[1])
	d.syncs(phone.roomKey(d.kit.Outbound()))
	ours := d.machine.Own().Curve25519.String()
	// body is an event with another body in its Olm message.
	body := func(event []byte, change func(string) string) []byte {
		object := jsonOf(t, event)
		message := object["content"].(map[string]any)["ciphertext"].(map[string]any)[ours].(map[string]any)
		message["body"] = change(message["body"].(string))
		return testkit.JSON(object)
	}
	flip := func(at int) func(string) string {
		return func(text string) string {
			changed := []byte(text)
			at := (at + len(changed)) % len(changed)
			changed[at] = 'A' + (changed[at]+1)%26
			return string(changed)
		}
	}
	key := func(p *peer) []byte { return p.roomKey(d.kit.Outbound()) }
	stolen := jsonOf(t, key(stranger))
	stolen["content"].(map[string]any)["sender_key"] = phone.Curve25519()
	var gap []byte
	for range olm.MaxMessageGap + 2 {
		gap = key(phone)
	}
	bad := [][]byte{
		body(key(phone), flip(-20)),    // the MAC, or the ciphertext before it
		body(key(stranger), flip(-20)), // the same in a message that would begin a channel
		body(key(phone), func(text string) string { return text[:len(text)-4] }),    // cut short
		body(key(phone), func(text string) string { return text + "AAAA" }),         // longer
		body(key(phone), func(string) string { return "" }),                         // nothing
		body(key(phone), func(text string) string { return strings.ToLower(text) }), // something else
		testkit.JSON(stolen), // under another's sender key
		gap,                  // too far ahead
	}
	before := contents(t, d.rows)
	for i, e := range d.syncs(bad...).Events {
		if e.Kind != core.ToDeviceRefused || e.Err == nil {
			t.Errorf("event %d: %v", i, e.Kind)
		}
	}
	if contents(t, d.rows) != before {
		t.Error("what does not open has changed the store")
	}
	good := d.syncs(append(bad, key(stranger))...)
	if e := &good.Events[len(bad)]; e.Kind != core.ToDeviceRoomKey || refusal(t, e) != "" {
		t.Errorf("the good one at the end: %v, %s", e.Kind, refusal(t, e))
	}
}

// Scenarios 52 and 60: given people of whom this and that is known, when their devices send a room key and an event of another type, then the room key is
// kept under every policy; the event is handed over with what is known, unless the policy withholds what such a sender writes. (No device is verified
// by itself here, only its owner.)
func TestToDevicePolicy(t *testing.T) {
	for _, kind := range []sender.Kind{sender.DeviceInfo, sender.VerificationViolation, sender.SenderUnverified, sender.SenderVerified} {
		t.Run(kind.String(), func(t *testing.T) {
			d := withAccount(t)
			alice := d.kit.User("@alice:example.org")
			phone := d.peer(alice, "PHONE", d.uploaded()[0])
			if kind >= sender.VerificationViolation {
				phone.CrossSigned()
			}
			if kind == sender.VerificationViolation || kind == sender.SenderVerified {
				d.me.Verifies(alice)
			}
			d.answer(d.me, alice)
			if err := d.trustMe(); err != nil {
				t.Fatal(err)
			}
			if kind == sender.VerificationViolation {
				alice.ResetIdentity()
				phone.CrossSigned()
				d.answer(alice)
			}
			codes := map[sender.Kind]string{
				sender.DeviceInfo: policy.CodeUnsignedDevice, sender.VerificationViolation: policy.CodeVerificationViolation, sender.SenderUnverified: policy.CodeUnverifiedIdentity,
			}
			shown := map[sender.Kind]policy.TrustRequirement{
				sender.DeviceInfo: policy.Untrusted, sender.VerificationViolation: policy.Untrusted, sender.SenderUnverified: policy.CrossSigned, sender.SenderVerified: policy.Verified,
			}
			for requirement := policy.Untrusted; requirement < policy.Requirements; requirement++ {
				d.machine.SetTrustRequirement(requirement)
				events := d.syncs(
					phone.roomKey(d.kit.Outbound()), phone.seals(phone.addressed("m.custom", map[string]any{})), phone.seals(phone.addressed("m.key.verification.request", map[string]any{})),
				).Events
				if e := &events[0]; e.Kind != core.ToDeviceRoomKey || refusal(t, e) != "" || e.Receipt.Copy.Current.Kind != kind {
					t.Errorf("%v, a room key: %v, %s", requirement, e.Kind, refusal(t, e))
				}
				if e := &events[2]; e.Kind != core.ToDeviceDecrypted || e.From.Kind != kind {
					t.Errorf("%v, what a client must hear of to verify anybody: %v, %v", requirement, e.Kind, e.Err)
				}
				e := &events[1]
				if requirement > shown[kind] {
					refusedWith(t, requirement.String(), e, codes[kind])
				} else if e.Kind != core.ToDeviceDecrypted || e.From == nil || e.From.Kind != kind || string(e.From.UserID) != alice.ID {
					t.Errorf("%v, an event of another type: %v, %+v, %v", requirement, e.Kind, e.From, e.Err)
				}
			}
		})
	}
}

// T06: given a device that comes with a forged cross-signature, when it sends an event of another type, then no policy hands it over.
func TestForgedDeviceSendsToDevice(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])
	d.answer(alice)
	phone.CorruptlyCrossSigned()
	refusedWith(t, "an event of another type", &d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{}))).Events[0], policy.CodeTampered)
}
