package core_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/testkit"
)

// Notices of withheld room keys: they explain what is missing, and touch nothing that is there.

func notice(from *testkit.Device, session *testkit.Outbound, code string, hooks ...testkit.Hook) []byte {
	object := map[string]any{
		"type": "m.room_key.withheld", "sender": from.User.ID,
		"content": map[string]any{
			"algorithm": testkit.MegolmAlgorithm, "code": code, "reason": "because", "room_id": string(room),
			"session_id": session.ID(), "sender_key": from.Curve25519(),
		},
	}
	for _, hook := range hooks {
		hook(object)
	}
	return testkit.JSON(object)
}

// Scenario 128: the code of a notice is told for a key that is missing, and for a message from before the key that is here.
func TestWithheldExplains(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	early := phone.Message(string(room), session, "early")
	if _, err := w.withheld(phone, session, "m.unverified"); err != nil {
		t.Fatal(err)
	}
	w.flush()
	for _, when := range []string{"at once", "after a restart"} {
		_, err := w.decrypt(early, policy.Untrusted)
		var refused *core.DecryptionError
		if !errors.As(err, &refused) || refused.Code != "withheld" || refused.Withheld == nil || refused.Withheld.Code != "m.unverified" || refused.Withheld.Reason != "because" {
			t.Fatalf("%s: %v", when, err)
		}
		w.restart()
	}
	session.SkipTo(5)
	w.kept(w.event(phone, room, session))
	late := phone.Message(string(room), session, "late")
	w.wantCodes(early, hidden("withheld"))
	w.wantCodes(late, but("unsigned_device"))
	w.restart()
	w.wantCodes(early, hidden("withheld"))
	w.wantCodes(late, but("unsigned_device"))
}

// T46: a forged notice for a session that is here takes nothing away.
func TestForgedNotice(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	before := w.copy()
	if _, err := w.withheld(hers, session, "m.blacklisted"); err != nil {
		t.Fatal(err)
	}
	w.flush()
	w.wantCodes(message, shownUnsure)
	w.restart()
	w.wantCodes(message, shownUnsure)
	if after := w.copy(); after.Current != before.Current || after.Session.FirstKnownIndex() != 0 {
		t.Error("the notice has touched the copy")
	}
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(message, shownUnsure)
}

// F25: what is no notice. A typed error, and nothing of it is kept.
func TestBadNotices(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	before := dump(t, w.rows)
	for what, raw := range map[string][]byte{
		"nothing": {}, "null": []byte("null"), "a list": []byte("[]"), "another type": notice(phone, session, "m.x", testkit.Set("type", "m.room_key")),
		"huge": notice(phone, session, "m.x", content("reason", strings.Repeat("a", 1<<20))),
		"long": notice(phone, session, "m.x", content("reason", strings.Repeat("a", 2000))),
	} {
		_, err := w.machine.ReceiveRoomKeyWithheld(raw)
		var refused *core.WithheldError
		if !errors.As(err, &refused) || refused.Code != core.CodeBadWithheld || refused.Error() == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	w.flush()
	if dump(t, w.rows) != before {
		t.Error("something of a refused notice was stored")
	}
	for _, member := range []string{"algorithm", "code", "sender_key", "room_id", "session_id", "reason"} {
		for name, value := range badValues() {
			_, err := w.machine.ReceiveRoomKeyWithheld(notice(phone, session, "m.x", content(member, value)))
			if err == nil && !(name == "text" && (member == "code" || member == "reason")) && !(name == "null" && member == "reason") && !(name == "empty" && (member == "code" || member == "reason")) {
				t.Errorf("content.%s is %s, and was taken", member, name)
			} else if err != nil {
				codeOf(t, err)
			}
		}
	}
	for _, member := range []string{"room_id", "session_id"} {
		if _, err := w.machine.ReceiveRoomKeyWithheld(notice(phone, session, "m.no_olm", testkit.In("content", testkit.Delete(member)))); err == nil || codeOf(t, err) != core.CodeNoSessionIn {
			t.Errorf("without %s: %v", member, err)
		}
	}
	for _, member := range []string{"sender", "content", "type"} {
		for name, value := range badValues() {
			if _, err := w.machine.ReceiveRoomKeyWithheld(notice(phone, session, "m.x", testkit.Set(member, value))); err == nil {
				t.Errorf("%s is %s, and was taken", member, name)
			}
		}
	}
}

// badValues are values that no member of a protocol has.
func badValues() map[string]any {
	return map[string]any{
		"null": nil, "a number": 7, "true": true, "a list": []any{"x"}, "an object": map[string]any{"x": 1}, "empty": "", "text": "what is this",
		"huge": strings.Repeat("A", 1<<17), "deep": nested1000(),
	}
}
