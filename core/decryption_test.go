package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Room events: what decrypts, who it is from, and which policy shows it.

// Scenario 118: the journey of one session, from a device nobody can place to a verified sender, with the four policies and both shields at
// each stage, and the same key as a claim afterwards.
func TestJourney(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned()
	identity := alice.Identity
	alice.WithoutIdentity()
	w.me.Verifies(&testkit.User{ID: alice.ID, Identity: identity})
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))

	stage := func(name string, want verdicts, lax, strict policy.Shield) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			w.wantCodes(message, want)
			event, err := w.decrypt(message, policy.Untrusted)
			if err != nil {
				t.Fatal(err)
			}
			if v := event.Info.Verdict; v.Shield != lax || v.Strict != strict {
				t.Errorf("shields %+v and %+v", v.Shield, v.Strict)
			}
		})
	}
	red := func(code string) policy.Shield { return policy.Shield{Color: policy.ShieldRed, Code: code} }
	none := policy.Shield{}

	stage("unknown device", but("unknown_device"), red("UnknownDevice"), red("UnknownDevice"))
	w.answer(alice)
	stage("device without identity", but("unsigned_device"), red("UnsignedDevice"), red("UnverifiedIdentity"))
	alice.Identity = identity
	w.answer(alice)
	stage("identity, device not signed", but("unsigned_device"), red("UnsignedDevice"), red("UnverifiedIdentity"))
	phone.CrossSigned()
	w.answer(alice)
	stage("device signed", shownUnsure, none, red("UnverifiedIdentity"))
	// The row says unverified; our own identity makes it verified, and the row is written again.
	w.verifyMe()
	stage("verified", shownToAll, none, none)
	if stored := w.copy(); stored.Current.Kind != sender.SenderVerified || stored.AtReception.Kind != sender.UnknownDevice {
		t.Errorf("stored %v, at reception %v", stored.Current.Kind, stored.AtReception.Kind)
	}
	// The same key out of a file proves nothing, and does not stand in the way of what is proved.
	w.plant(w.claimed(phone, session, 0))
	w.restart()
	stage("and again as a claim", shownToAll, none, none)
	fresh := w.kit.Outbound()
	w.plant(w.claimed(phone, fresh, 0))
	w.wantCodes(phone.Message(string(room), fresh, "restored"), legacyClaims)
}

// Scenarios 119, 120, T01: an event under another name than its session's owner's. The other user's devices are never asked.
func TestSpoofedSender(t *testing.T) {
	for _, level := range []sender.Kind{sender.UnknownDevice, sender.DeviceInfo, sender.SenderUnverified, sender.SenderVerified} {
		t.Run("scenario 119, scenario 120, T01: owner "+level.String(), func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			charlie, his := w.person("@charlie:example.org")
			// Charlie's device has the same curve key, published by a server that would like it to be asked.
			his.Identity = phone.Identity
			w.answer(charlie)
			session := w.kit.Outbound()
			message := phone.Message(string(room), session, "hello")
			session.SkipTo(0)
			var hooks []testkit.Hook
			switch level {
			case sender.UnknownDevice:
				hooks = append(hooks, testkit.WithoutDeviceKeys)
			case sender.SenderVerified:
				w.me.Verifies(alice)
				w.verifyMe()
				fallthrough
			case sender.SenderUnverified:
				w.answer(alice)
			}
			if kept := w.kept(w.event(phone, room, session, hooks...)); kept.Current.Kind != level {
				t.Fatalf("%v", kept.Current.Kind)
			}
			before := w.copy().Current
			spoofed := changed(t, message, testkit.Set("sender", "@charlie:example.org"))
			// Scenario 132 asks for MissingDevice where a peer cannot tell; the Olm message names its sender, so here it can.
			w.wantCodes(spoofed, but("mismatched_sender"))
			event, err := w.decrypt(spoofed, policy.Untrusted)
			if err != nil {
				t.Fatal(err)
			}
			if v := event.Info.Verdict; v.Shield.Color != policy.ShieldRed || v.State != policy.StateMismatchedSender {
				t.Errorf("%+v", v)
			}
			if w.copy().Current != before {
				t.Error("the spoofed event has changed what is stored")
			}
			// It took no message index from the genuine event.
			if _, err := w.decrypt(message, policy.Untrusted); err != nil {
				t.Errorf("the genuine event afterwards: %v", err)
			}
		})
	}
}

// Scenario 132: an unknown device, and an event under the name of the Olm sender's: missing device, no mismatch.
func TestUnknownDeviceRightSender(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	event, err := w.decrypt(phone.Message(string(room), session, "hello"), policy.Untrusted)
	if err != nil || event.Info.Verdict.State.Level() != policy.LevelMissingDevice {
		t.Errorf("%v", err)
	}
}

// Scenario 121: one user, a signed and an unsigned device: each session by itself.
func TestTwoDevicesOfOneUser(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	tablet := alice.Device("TABLET")
	w.answer(alice)
	one, two := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, one))
	w.kept(w.event(tablet, room, two))
	w.wantCodes(phone.Message(string(room), one, "signed"), shownUnsure)
	w.wantCodes(tablet.Message(string(room), two, "unsigned"), but("unsigned_device"))
}

// Scenarios 122 and 124: every level under every requirement, legacy or not, through the whole machine.
func TestRequirements(t *testing.T) {
	for _, level := range []struct {
		kind    sender.Kind
		legacy  bool
		claimed bool
		want    verdicts
	}{
		{sender.UnknownDevice, false, false, but("unknown_device")},
		{sender.UnknownDevice, true, false, verdicts{"shown", "shown", "unknown_device", "unknown_device"}},
		{sender.DeviceInfo, false, false, but("unsigned_device")},
		{sender.DeviceInfo, true, false, shownLegacy},
		{sender.VerificationViolation, false, false, but("verification_violation")},
		{sender.SenderUnverified, false, false, shownUnsure},
		{sender.SenderUnverified, true, false, shownUnsure},
		{sender.SenderVerified, false, false, shownToAll},
		{sender.UnknownDevice, true, true, legacyClaims},
		{sender.UnknownDevice, false, true, but("authenticity_not_guaranteed")},
	} {
		name := "scenario 122, scenario 124: " + level.kind.String()
		if level.legacy {
			name += ", legacy"
		}
		if level.claimed {
			name += ", claimed"
		}
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			_, phone := w.alice()
			session := w.kit.Outbound()
			c := w.claimed(phone, session, 0)
			if !level.claimed {
				c = w.direct(phone, session, level.kind)
			}
			c.Legacy = level.legacy
			w.plant(c)
			message := phone.Message(string(room), session, "hello")
			w.wantCodes(message, level.want)
			// Scenario 125: asked again, after a restart, the answer is the same.
			w.restart()
			w.wantCodes(message, level.want)
		})
	}
}

// direct is a copy with these sender data, as if received earlier.
func (w *world) direct(from *testkit.Device, session *testkit.Outbound, kind sender.Kind) *sender.Copy {
	w.t.Helper()
	c := w.claimed(from, session, 0)
	c.Provenance, c.OlmUser, c.Legacy, c.Step = sender.Direct, "@alice:example.org", false, 'J'
	c.AtReception = sender.Data{Kind: kind}
	if kind > sender.UnknownDevice {
		c.AtReception.UserID, c.AtReception.DeviceID = c.OlmUser, "PHONE"
	}
	if kind.Known() {
		c.AtReception.MasterKey = c.Ed25519
	}
	c.Current = c.AtReception
	return c
}

// Scenario 125, I6: a legacy direct row whose device turns out to be known and unsigned stays legacy, and is shown as before.
func TestLegacyStays(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	phone.NotCrossSigned()
	session := w.kit.Outbound()
	c := w.direct(phone, session, sender.UnknownDevice)
	c.Legacy = true
	w.plant(c)
	message := phone.Message(string(room), session, "history")
	w.wantCodes(message, verdicts{"shown", "shown", "unknown_device", "unknown_device"})
	w.answer(alice)
	if stored := w.copy(); stored.Current.Kind != sender.DeviceInfo || !stored.Legacy {
		t.Errorf("%v, legacy %v", stored.Current.Kind, stored.Legacy)
	}
	w.wantCodes(message, shownLegacy)
	w.wantCodes(message, shownLegacy)
	w.restart()
	w.wantCodes(message, shownLegacy)
}

// Scenario 42: a claim whose device is known and verified stays a claim of an unknown device, legacy as it was.
func TestClaimsStayClaims(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	session := w.kit.Outbound()
	w.plant(w.claimed(phone, session, 0))
	message := phone.Message(string(room), session, "restored")
	w.wantCodes(message, legacyClaims)
	w.me.Verifies(alice)
	w.verifyMe()
	if result := w.answer(alice); result.RoomKeys != 0 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	w.wantCodes(message, legacyClaims)
	if stored := w.copy(); stored.Current.Kind != sender.UnknownDevice || !stored.Legacy {
		t.Errorf("%+v", stored.Current)
	}
}

// T34: claim laundering. A claim says Alice, Mallory sends the session herself; nothing of it is ever Alice's.
func TestLaunderedClaim(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.answer(alice, mallory)
	session := w.kit.Outbound()
	w.plant(w.claimed(phone, session, 0))
	w.kept(w.event(hers, room, session))
	forged := hers.Message(string(room), session, "I owe Mallory", testkit.Set("sender", alice.ID))
	w.wantCodes(forged, but("mismatched_sender"))
	w.restart()
	w.wantCodes(forged, but("mismatched_sender"))
}

// T06: a tombstone speaks against a claim of the same session by the same sender, also when only the claim was asked for.
func TestTombstoneAgainstClaim(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
	session := w.kit.Outbound()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	w.receive(w.event(phone, room, session))
	w.plant(w.claimed(phone, session, 0))
	w.restart()
	w.wantCodes(phone.Message(string(room), session, "hello"), hidden("tampered"))
}

// T06, T38: the same where a direct copy decrypts too, but is suspended and somebody else's, so that the claim would speak.
func TestTombstoneAgainstClaimBesideASuspendedCopy(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	hers.NotCrossSigned().CorruptlyCrossSigned()
	w.answer(alice)
	w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(mallory), "device_keys", mallory.ID)))
	session := w.kit.Outbound()
	w.plant(w.claimed(phone, session, 0))
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	w.receive(w.event(hers, room, session))
	w.restart()
	w.wantCodes(phone.Message(string(room), session, "hello", testkit.Set("sender", mallory.ID)), hidden("tampered"))
}

// Scenario 123, T12: verified, then another identity: the new one's sessions are violations until the verification is withdrawn; the old
// one's stay as they are.
func TestIdentityChange(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	before := w.kit.Outbound()
	w.kept(w.event(phone, room, before))
	alice.ResetIdentity()
	phone.NotCrossSigned().CrossSigned()
	w.answer(alice)
	after := w.kit.Outbound()
	w.kept(w.event(phone, room, after))

	w.wantCodes(phone.Message(string(room), before, "old"), shownToAll)
	w.wantCodes(phone.Message(string(room), after, "new"), but("verification_violation"))
	if err := w.machine.WithdrawVerification(context.Background(), "@alice:example.org"); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(phone.Message(string(room), after, "new"), shownUnsure)
	w.restart()
	w.wantCodes(phone.Message(string(room), after, "new"), shownUnsure)
}

// Scenario 126: a session of another room is no session of this one.
func TestEventOfAnotherRoom(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, "!other:example.org", session))
	w.wantCodes(phone.Message(string(room), session, "hello"), hidden("no_key"))
}

// Scenario 127: nested events are judged each on its own; one that fails is recorded and stops nobody.
func TestNestedEvents(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.answer(alice, mallory)
	session, other := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	w.kept(w.event(hers, room, other))
	object := func(raw []byte) (event map[string]any) {
		if err := json.Unmarshal(raw, &event); err != nil {
			t.Fatal(err)
		}
		return event
	}
	outer := phone.Message(string(room), session, "outer")
	edit := object(phone.Message(string(room), session, "edit"))
	spoof := object(hers.Message(string(room), other, "not Alice's", testkit.Set("sender", alice.ID)))
	both := changed(t, outer, testkit.Set("unsigned", map[string]any{"m.relations": map[string]any{
		"m.replace": edit, "m.thread": map[string]any{"latest_event": spoof, "count": 3},
	}}))
	event, err := w.decrypt(both, policy.CrossSigned)
	if err != nil || body(t, event) != "outer" {
		t.Fatal(err)
	}
	if len(event.Nested) != 2 {
		t.Fatalf("%d nested events", len(event.Nested))
	}
	if n := event.Nested[0]; n.Err != nil || n.Location != core.LocationReplace || body(t, n.Event) != "edit" {
		t.Errorf("the edit: %+v", n)
	}
	if n := event.Nested[1]; n.Err == nil || codeOf(t, n.Err) != "mismatched_sender" || n.Location != core.LocationThreadLatest || n.Event != nil {
		t.Errorf("the reply: %+v", n)
	}
	// What is not of that form is ornament.
	for _, unsigned := range []any{nil, 1, "m.relations", []any{}, map[string]any{"m.relations": []any{}}, map[string]any{"m.relations": map[string]any{"m.replace": 7, "m.thread": map[string]any{"latest_event": "x"}}}} {
		event, err := w.decrypt(changed(t, outer, testkit.Set("unsigned", unsigned)), policy.CrossSigned)
		if err != nil || len(event.Nested) != 0 {
			t.Errorf("unsigned %v: %v", unsigned, err)
		}
	}
}

// The clear event: type and content from inside, the rest from outside; a relation in the clear is copied where the inside has none.
func TestClearEvent(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	relation := map[string]any{"rel_type": "m.thread", "event_id": "$root"}
	message := phone.Message(string(room), session, "hello", content(`m.relates_to`, relation), testkit.Set("unknown_member", 7))
	event, err := w.decrypt(message, policy.Untrusted)
	if err != nil {
		t.Fatal(err)
	}
	var clear map[string]any
	if err := json.Unmarshal(event.ClearEvent, &clear); err != nil {
		t.Fatal(err)
	}
	inside := clear["content"].(map[string]any)
	if clear["type"] != "m.room.message" || inside["body"] != "hello" || inside["m.relates_to"] == nil || clear["unknown_member"] != 7.0 || clear["sender"] != phone.User.ID {
		t.Errorf("%s", event.ClearEvent)
	}
	if _, leaked := inside["ciphertext"]; leaked || event.MessageIndex != 0 {
		t.Errorf("%s", event.ClearEvent)
	}
	// One inside is not overruled by the one outside, which a server can write.
	own := phone.RoomEvent(string(room), session, testkit.JSON(map[string]any{"type": "m.room.message", "room_id": room, "content": map[string]any{"body": "x", "m.relates_to": map[string]any{"event_id": "$mine"}}}),
		content(`m.relates_to`, relation))
	event, err = w.decrypt(own, policy.Untrusted)
	if err != nil || strings.Contains(string(event.ClearEvent), "$root") {
		t.Errorf("%v %s", err, event.ClearEvent)
	}
}

// T57, scenario 134: a sender that is missing, or no user id, is withheld under every policy; nothing crashes.
func TestSenderThatIsNone(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	for _, from := range []any{"charlie", "", "@", "@charlie", "!room:example.org", 7, nil, []any{}, "@\x00:example.org"} {
		w.wantCodes(changed(t, message, testkit.Set("sender", from)), hidden("bad_sender"))
	}
	w.wantCodes(changed(t, message, testkit.Delete("sender")), hidden("bad_sender"))
	w.wantCodes(message, but("unsigned_device"))
}

// T28, F46: index games. There is nothing before the first index and nothing after the last; an over-long number is no number.
func TestIndexGames(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	last := testkit.NewOutboundAt(w.kit.Random(), testkit.LastIndex-1)
	message := phone.Message(string(room), last, "one before the last")
	final := phone.Message(string(room), last, "the last")
	last.SkipTo(testkit.LastIndex - 1)
	w.kept(w.event(phone, room, last))
	w.restart()
	for _, raw := range [][]byte{message, final} {
		w.wantCodes(raw, but("unsigned_device"))
	}
	event, err := w.decrypt(final, policy.Untrusted)
	if err != nil || event.MessageIndex != testkit.LastIndex {
		t.Errorf("%v", err)
	}
	// Index 0 of a session that begins at the end: no wrap.
	var object map[string]any
	if err := json.Unmarshal(final, &object); err != nil {
		t.Fatal(err)
	}
	wrapped := last.Sign([]byte("\x03\x08\x00\x12\x10AAAAAAAAAAAAAAAA12345678"))
	w.wantCodes(changed(t, final, content("ciphertext", testkit.Base64(wrapped))), hidden("unknown_index"))
	long := last.Sign([]byte("\x03\x08\xff\xff\xff\xff\xff\x01\x12\x10AAAAAAAAAAAAAAAA12345678"))
	w.wantCodes(changed(t, final, content("ciphertext", testkit.Base64(long))), hidden("unable_to_decrypt"))
}

// T31: a right MAC with a wrong signature, a right signature with a wrong MAC, every truncation and every flipped bit: never shown, and the
// session opens its messages as before.
func TestBrokenMessages(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	raw := phone.Message(string(room), session, "hello")
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	ciphertext := object["content"].(map[string]any)["ciphertext"].(string)
	message := decode(t, ciphertext)
	w.machine.SetTrustRequirement(policy.Untrusted)
	refused := func(what string, bytes []byte) {
		t.Helper()
		_, err := bothWays(t, w.machine, changed(t, raw, content("ciphertext", testkit.Base64(bytes))))
		if err == nil {
			t.Errorf("%s was shown", what)
			return
		}
		if code := codeOf(t, err); code != "unable_to_decrypt" && code != "unknown_index" {
			t.Errorf("%s: %s", what, code)
		}
	}
	wrongSignature := append([]byte(nil), message...)
	wrongSignature[len(wrongSignature)-10] ^= 1
	refused("a wrong signature", wrongSignature)
	wrongMAC := append([]byte(nil), message[:len(message)-64]...)
	wrongMAC[len(wrongMAC)-1] ^= 1
	refused("a wrong MAC", session.Sign(wrongMAC))
	for length := range message {
		refused("a truncation", message[:length])
	}
	for bit := 0; bit < 8*len(message); bit += 7 { // every bit is megolm's test; here every byte, and every bit in turn
		flipped := append([]byte(nil), message...)
		flipped[bit/8] ^= 1 << (bit % 8)
		refused("a flipped bit", flipped)
	}
	event, err := w.decrypt(raw, policy.Untrusted)
	if err != nil || body(t, event) != "hello" {
		t.Errorf("the message itself: %v", err)
	}
}

// A plaintext that is no room event: refused, with a code and without a word of what stood there.
func TestPlaintexts(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	for plaintext, code := range map[string]string{
		``:         core.CodeBadPlaintext,
		`secret`:   core.CodeBadPlaintext,
		`"secret"`: core.CodeBadPlaintext,
		`{"secret":1,"secret":2,"room_id":"!room:example.org"}`:                                core.CodeBadPlaintext,
		`{"type":"m.room.message","content":{}}`:                                               core.CodeBadPlaintext,
		`{"type":"m.room.message","content":{},"room_id":7}`:                                   core.CodeBadPlaintext,
		`{"type":"m.room.message","content":{},"room_id":"!secret:example.org"}`:               "wrong_room", // T26
		`{"type":7,"content":{},"room_id":"!room:example.org"}`:                                core.CodeBadPlaintext,
		`{"type":"m.room.message","content":"secret","room_id":"!room:example.org"}`:           core.CodeBadPlaintext,
		`{"content":{},"room_id":"!room:example.org"}`:                                         core.CodeBadPlaintext,
		`{"type":"m.room.message","content":{},"room_id":"!room:example.org"} {"secret":1}`:    core.CodeBadPlaintext,
		"{\"type\":\"m.room.message\",\"content\":{\"secret\":\"\xff\"},\"room_id\":\"!r:e\"}": core.CodeBadPlaintext,
	} {
		_, err := w.decrypt(phone.RoomEvent(string(room), session, []byte(plaintext)), policy.Untrusted)
		if err == nil || codeOf(t, err) != code {
			t.Errorf("%q: %v", plaintext, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the plaintext: %v", err)
		}
	}
}

// Scenario 130: what is known of a session can be had without decrypting, and is what decrypting says. Before everything that bears on it is in
// memory there is no answer rather than half of one.
func TestEncryptionInfo(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.answer(alice, mallory)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	w.kept(w.event(phone, room, session))
	name := eventName(t, message)

	wantNotLoaded := func(when string) {
		t.Helper()
		var e *core.DecryptionError
		if _, err := w.machine.RoomEventEncryptionInfo(name); !errors.As(err, &e) || e.Code != core.CodeSessionNotLoaded {
			t.Errorf("%s: %v", when, err)
		}
	}
	w.restart()
	wantNotLoaded("with nothing in memory")
	if _, err := w.machine.Explain(context.Background(), room, name.SessionID); err != nil {
		t.Fatal(err)
	}
	// T24: another event with its index is not told from the first one.
	wantNotLoaded("without the events that took its indexes")
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	for r := range policy.TrustRequirement(policy.Requirements) {
		w.machine.SetTrustRequirement(r)
		info, err := w.machine.RoomEventEncryptionInfo(name)
		if err != nil {
			t.Fatal(err)
		}
		event, err := w.decrypt(message, r)
		if (err == nil) != info.Verdict.Shown {
			t.Errorf("%v: shown %v, decrypting says %v", r, info.Verdict.Shown, err)
		}
		if err == nil && event.Info.Verdict != info.Verdict {
			t.Errorf("%v: %+v and %+v", r, info.Verdict, event.Info.Verdict)
		}
	}

	// After a restart Mallory sends the session on. Her copy alone would make Alice's event a mismatch.
	w.restart()
	wantNotLoaded("after a restart")
	w.kept(w.event(hers, room, session))
	wantNotLoaded("with another's copy of it alone in memory")
	if _, err := w.decrypt(message, policy.CrossSigned); err != nil {
		t.Fatal(err)
	}
	info, err := w.machine.RoomEventEncryptionInfo(name)
	if err != nil || info.Verdict.Chosen.OlmUser != "@alice:example.org" {
		t.Errorf("%v", err)
	}
	far := name
	far.Index = 1000
	if _, err := w.machine.RoomEventEncryptionInfo(far); err != nil {
		t.Errorf("another index: %v", err)
	}
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	// Of a loaded room even the sessions that are not there are known not to be.
	far.SessionID = sessionID(t, w.kit.Outbound().ID())
	info, err = w.machine.RoomEventEncryptionInfo(far)
	if err != nil || info.Verdict.Code != "no_key" {
		t.Errorf("%v", err)
	}
}

// eventName is what a host passes to RoomEventEncryptionInfo.
func eventName(t testing.TB, raw []byte) core.EventName {
	t.Helper()
	event, err := readEvent(raw)
	if err != nil {
		t.Fatal(err)
	}
	name, err := event.name()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// wireEvent is an event as a host reads it.
type wireEvent struct {
	Type     string
	RoomID   *string `json:"room_id"`
	Sender   string
	EventID  string `json:"event_id"`
	Unsigned struct {
		Relations any `json:"m.relations"`
	}
	Content struct {
		Algorithm  string
		SessionID  string `json:"session_id"`
		Ciphertext string
	}
}

func readEvent(raw []byte) (event wireEvent, err error) {
	return event, json.Unmarshal(raw, &event)
}

func (e *wireEvent) name() (core.EventName, error) {
	return core.ReadEventName(room, e.Content.SessionID, e.Sender, e.EventID, e.Content.Ciphertext)
}

// F24: one call brings the key, then the answer, then the event, in every order of the first two: the event is decided on all of it.
func TestEventAfterEverything(t *testing.T) {
	for _, keyFirst := range []bool{true, false} {
		w := newWorld(t)
		alice, phone := w.alice()
		session := w.kit.Outbound()
		session.SkipTo(2)
		later := w.event(phone, room, session, testkit.WithoutDeviceKeys)
		session.SkipTo(0)
		earlier := w.event(phone, room, session, testkit.WithoutDeviceKeys)
		message := phone.Message(string(room), session, "hello")
		if !keyFirst {
			w.answer(alice)
		}
		// Nothing is flushed: what was received is usable at once.
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{later, earlier})
		if keyFirst {
			w.answer(alice)
		}
		w.wantCodes(message, shownUnsure)
	}
}

// T51: what Go and JavaScript would read differently is refused at the edge of an event too.
func TestEventJSON(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := string(phone.Message(string(room), session, "hello"))
	before := dump(t, w.rows)
	for what, raw := range map[string]string{
		"a byte order mark":       "\ufeff" + message,
		"a duplicate member":      strings.Replace(message, `"sender":`, `"sender":"@x:y","sender":`, 1),
		"a lone surrogate":        strings.Replace(message, `"type":"`, `"x":"\ud800","type":"`, 1),
		"something behind it":     message + "1",
		"a thousand levels":       strings.Replace(message, `"type":"`, `"x":`+strings.Repeat("[", 1000)+strings.Repeat("]", 1000)+`,"type":"`, 1),
		"an array":                "[" + message + "]",
		"nothing":                 "",
		"null":                    "null",
		"a duplicate in the deep": strings.Replace(message, `"ciphertext":`, `"ciphertext":"","ciphertext":`, 1),
	} {
		_, err := w.machine.DecryptRoomEvent(context.Background(), []byte(raw), room)
		if err == nil || codeOf(t, err) != core.CodeBadEvent {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, name := range []string{"__proto__", "constructor", "toString"} {
		event, err := w.decrypt(changed(t, []byte(message), testkit.Set(name, map[string]any{"polluted": true})), policy.Untrusted)
		if err != nil || !strings.Contains(string(event.ClearEvent), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after := dump(t, w.rows); strings.Count(after, "\n") != strings.Count(before, "\n")+1 { // the message index that was taken
		t.Error("a refused event has left something in the store")
	}
}

// Given a message that was judged, when others are decrypted from memory and what that is to be remembered is written, then nothing has happened that a
// verdict could rest on; when a key comes, the policy is another one, or the rows turn out to be changed by another tab, then it has.
func TestTurns(t *testing.T) {
	w := closedWorld(t)
	w.turns = new(uint32)
	w.open()
	alice, phone := w.alice()
	w.answer(alice)
	session, other := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	w.kept(w.event(phone, room, other))
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	decrypt := func(of *testkit.Outbound) {
		t.Helper()
		if event, err := w.machine.FinishDecryption(begin(w.machine, phone.Message(string(room), of, "hello")), true); event == nil {
			t.Fatal(err)
		}
	}
	counts := func(what string, want bool, do func()) {
		t.Helper()
		before := *w.turns
		do()
		if (*w.turns != before) != want {
			t.Errorf("%s: the turns went from %d to %d", what, before, *w.turns)
		}
	}
	counts("a message is decrypted", false, func() { decrypt(session) })
	counts("its index is written", false, w.flush)
	counts("a verdict is asked for", false, func() {
		if _, err := w.machine.RoomEventEncryptionInfo(eventName(t, phone.Message(string(room), session, "later"))); err != nil {
			t.Error(err)
		}
	})
	counts("another policy", true, func() { w.machine.SetTrustRequirement(policy.CrossSigned) })
	counts("a key", true, func() { w.kept(w.event(phone, room, w.kit.Outbound())) })
	counts("another tab has taken indexes", true, func() {
		tab := w.tab()
		tab.open()
		tab.wantCodes(phone.Message(string(room), session, "there"), shownUnsure)
		tab.flush()
		decrypt(session)
		w.flush()
	})
}

// Given a room, when a message of it is decrypted from memory alone, then it comes to what it does otherwise; and it is left to the other way where
// anything has to be read: a session that was not read yet or was let go of meanwhile, replays of a block that was not, what is broken.
func TestDecryptionFromMemory(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session, other := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	w.kept(w.event(phone, room, other))
	hello := phone.Message(string(room), session, "hello")
	session.SkipTo(1 << 12)
	later := phone.Message(string(room), session, "in another block")
	w.restart()
	begun := func(what string, raw []byte, want bool) *core.Decryption {
		t.Helper()
		d := begin(w.machine, raw)
		if (d != nil) != want {
			t.Errorf("%s: %v", what, d)
		}
		return d
	}
	begun("nothing is in memory", hello, false)
	if _, err := w.machine.Explain(context.Background(), room, sessionID(t, session.ID())); err != nil {
		t.Fatal(err)
	}
	begun("the events that took its indexes were not read", hello, false)
	w.wantCodes(hello, shownUnsure)
	w.machine.SetTrustRequirement(policy.Untrusted)
	if w.machine.BeginDecryption(eventName(t, hello), "AAAA") != nil {
		t.Error("no message")
	}
	if _, err := w.machine.FinishDecryption(begun("it is in memory", hello, true), false); err == nil || codeOf(t, err) != "unable_to_decrypt" {
		t.Errorf("a signature that does not hold: %v", err)
	}
	replay := changed(t, hello, testkit.Set("event_id", "$replay"))
	if _, err := w.machine.FinishDecryption(begun("a replay", replay, true), true); err == nil || codeOf(t, err) != "replayed" {
		t.Errorf("T24: %v", err)
	}
	kept := begun("it is in memory", hello, true)
	w.wantCodes(phone.Message(string(room), other, "used later"), shownUnsure)
	core.KeepSessions(w.machine, 1)
	w.kept(w.event(phone, "!elsewhere:example.org", w.kit.Outbound()))
	if event, err := w.machine.FinishDecryption(kept, true); event != nil || err != nil {
		t.Errorf("it was let go of meanwhile: %v, %v", event, err)
	}
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	kept = begun("the room is loaded", later, true)
	begun("a session that is nowhere", phone.Message(string(room), w.kit.Outbound(), "x"), false)
	if err := w.machine.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.machine.FinishDecryption(kept, true); err == nil || codeOf(t, err) != store.CodeClosed {
		t.Errorf("closed: %v", err)
	}
	begun("closed", later, false)
}
