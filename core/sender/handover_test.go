package sender_test

import (
	"errors"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// forwarded is the Olm payload with which device answers a request for a room key.
func (w *world) forwarded(device *testkit.Device, session *testkit.Outbound, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	payload := device.RoomKeyObject(w.desk, room, session)
	payload["type"] = "m.forwarded_room_key"
	payload["content"] = device.ExportEntry(room, session, 0)
	for _, hook := range hooks {
		hook(payload)
	}
	return olm(device, testkit.JSON(payload))
}

// bundle is the Olm payload with which device announces a history bundle.
func (w *world) bundle(device *testkit.Device, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	payload := device.RoomKeyObject(w.desk, room, w.kit.Outbound())
	payload["type"] = "io.element.msc4268.room_key_bundle"
	payload["content"] = map[string]any{"room_id": room}
	for _, hook := range hooks {
		hook(payload)
	}
	return olm(device, testkit.JSON(payload))
}

// handedOver takes a payload through all stages.
func handedOver(h *sender.Handover, err error) (sender.Forwarder, error) {
	if err != nil {
		return sender.Forwarder{}, err
	}
	return h.Finish(keys.VerifyAll(h.AppendChecks(nil)))
}

func wantRefused(t *testing.T, what string, err error, code string) {
	t.Helper()
	var refusal *sender.RoomKeyError
	if !errors.As(err, &refusal) || refusal.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// T44, scenario 110: a forwarded key is believed from a verified device of our own and from nobody else.
func TestWhoMayForwardAKey(t *testing.T) {
	w := newWorld(t)
	laptop := w.bob.Device("BOBLAPTOP").CrossSigned()
	stray := w.bob.Device("STRAY")
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	forward := func(device *testkit.Device, hooks ...testkit.Hook) (sender.Forwarder, error) {
		return handedOver(w.finder.PrepareForwardedKey(w.index, w.forwarded(device, session, hooks...)))
	}

	_, err := forward(laptop)
	wantRefused(t, "before our identity is known", err, sender.CodeForwarderNotOwnDevice)
	w.asks(w.bob, alice)
	_, err = forward(laptop)
	wantRefused(t, "before our identity is verified", err, sender.CodeForwarderNotOwnDevice)
	w.trustsHimself()
	w.asks(alice)

	by, err := forward(laptop)
	if err != nil || by.Data.Kind != sender.SenderVerified || string(by.Data.UserID) != w.bob.ID || string(by.Data.DeviceID) != laptop.ID {
		t.Errorf("our own verified device: %+v, %v", by, err)
	}
	_, err = forward(stray)
	wantRefused(t, "our own device that is not signed", err, sender.CodeForwarderNotOwnDevice)
	_, err = forward(phone)
	wantRefused(t, "another user", err, sender.CodeForwarderNotOwnDevice)
	_, err = forward(laptop, testkit.Set("recipient", "@carol:example.org"))
	wantRefused(t, "T19: meant for somebody else", err, sender.CodeRecipientMismatch)
	_, err = forward(laptop, testkit.Set("type", "m.room_key"))
	wantRefused(t, "another type", err, sender.CodeNotARoomKey)
	loggedOut := w.bob.Device("GONE").CrossSigned()
	w.asks(w.bob)
	if _, err := forward(loggedOut); err != nil {
		t.Errorf("another device of ours: %v", err)
	}
	w.bob.Devices = w.bob.Devices[:len(w.bob.Devices)-1]
	w.asks(w.bob)
	_, err = forward(loggedOut)
	wantRefused(t, "T21: a device that was logged out, still cross-signed", err, sender.CodeForwarderNotOwnDevice)
	twin := w.bob.Device("TWIN")
	twin.Identity = loggedOut.Identity
	w.asks(w.bob)
	_, err = forward(loggedOut)
	wantRefused(t, "T21: the same, and the server lists its Curve25519 key as another device's", err, sender.CodeForwarderNotOwnDevice)
	_, err = forward(laptop, testkit.In("sender_device_keys", testkit.CorruptSignature(w.bob.ID, "ed25519:"+laptop.ID)))
	wantRefused(t, "T05: a device that did not sign itself", err, sender.CodeSenderDeviceKeysSignature)
}

// T45, scenarios 112 and 113: a bundle is believed from somebody whose identity is in order, verified or not, and whose message embeds the device.
func TestWhoMayHandOverHistory(t *testing.T) {
	w := newWorld(t)
	w.trustsHimself()
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	stray := alice.Device("STRAY")
	announce := func(device *testkit.Device, hooks ...testkit.Hook) (sender.Forwarder, error) {
		return handedOver(w.finder.PrepareBundle(w.index, w.bundle(device, hooks...)))
	}

	_, err := announce(phone)
	wantRefused(t, "before the identity is known", err, sender.CodeForwarderNotKnown)
	w.asks(alice)
	if by, err := announce(phone); err != nil || by.Data.Kind != sender.SenderUnverified || string(by.Data.UserID) != alice.ID {
		t.Errorf("unverified: %+v, %v", by, err)
	}
	if by, err := announce(phone, testkit.Set("type", "m.room_key_bundle")); err != nil || by.Data.Kind != sender.SenderUnverified {
		t.Errorf("the stable name: %+v, %v", by, err)
	}
	_, err = announce(phone, testkit.WithoutDeviceKeys)
	wantRefused(t, "without device keys, though the device is known", err, sender.CodeMissingSenderDeviceKeys)
	_, err = announce(stray)
	wantRefused(t, "a device that is not signed", err, sender.CodeForwarderNotKnown)
	w.bob.Verifies(alice)
	w.asks(w.bob, alice)
	if by, err := announce(phone); err != nil || by.Data.Kind != sender.SenderVerified {
		t.Errorf("verified: %+v, %v", by, err)
	}
	alice.ResetIdentity()
	phone.NotCrossSigned().CrossSigned()
	w.asks(alice)
	_, err = announce(phone)
	wantRefused(t, "in violation", err, sender.CodeForwarderNotKnown)
}
