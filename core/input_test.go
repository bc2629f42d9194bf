package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// F25: every member of everything that comes from outside, dropped, of another type, null, huge: a typed error or a refused item at its
// position; the others of the same call are not affected; of what was refused nothing is stored.

// places lists the paths of all members of an object, and of the objects in it.
func places(object map[string]any, under ...string) (all [][]string) {
	for _, name := range sortedNames(object) {
		path := append(slices.Clone(under), name)
		all = append(all, path)
		if inner, ok := object[name].(map[string]any); ok {
			all = append(all, places(inner, path...)...)
		}
	}
	return all
}

func sortedNames(object map[string]any) []string {
	var names []string
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// at is a hook on the object that a path leads to.
func at(path []string, hook func(name string) testkit.Hook) testkit.Hook {
	if len(path) == 1 {
		return hook(path[0])
	}
	return testkit.In(path[0], at(path[1:], hook))
}

// mutations are all the ways in which the members of an object are spoiled, by name.
func mutations(object map[string]any) map[string]testkit.Hook {
	all := map[string]testkit.Hook{}
	for _, path := range places(object) {
		all[fmt.Sprint(path, " dropped")] = at(path, testkit.Delete)
		for kind, value := range badValues() {
			all[fmt.Sprint(path, " is ", kind)] = at(path, func(name string) testkit.Hook { return testkit.Set(name, value) })
		}
	}
	return all
}

// Room keys. What may be absent or anything: members that nobody reads.
func TestEveryMemberOfARoomKey(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	_, other := w.mallory()
	good := w.event(other, room, w.kit.Outbound())
	session := w.kit.Outbound()
	before := ""
	n := 0
	for name, hook := range mutations(phone.RoomKeyObject(w.mine, string(room), session)) {
		if n++; n%(sparsely/3+1) != 0 {
			continue
		}
		bad := w.event(phone, room, session)
		bad.Payload = changed(t, bad.Payload, hook)
		reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{good, bad, good})
		if reception.Receipts[0].Copy == nil || reception.Receipts[2].Copy == nil {
			t.Fatalf("%s: the events beside it: %v, %v", name, reception.Receipts[0].Err, reception.Receipts[2].Err)
		}
		w.flush()
		receipt := reception.Receipts[1]
		if receipt.Err == nil {
			if receipt.Copy == nil || len(w.copies()) != 2 {
				t.Errorf("%s: neither kept nor refused", name)
			}
			// Kept for good reason: it is Alice's session all the same.
			if receipt.Copy.OlmUser != "@alice:example.org" || receipt.Copy.Current.Kind > sender.DeviceInfo {
				t.Errorf("%s: kept as %+v", name, receipt.Copy.Current)
			}
			w.forget()
			before = ""
			continue
		}
		if code := codeOf(t, receipt.Err); code == "" || receipt.Err.Error() == "" {
			t.Errorf("%s: an error without code or sentence", name)
		}
		if before == "" {
			before = dump(t, w.rows)
		} else if dump(t, w.rows) != before {
			t.Fatalf("%s: the store has changed", name)
		}
	}
	// And everything around the payload.
	for what, event := range map[string]sender.DecryptedOlmEvent{
		"no payload":        {Sender: phone.User.ID, SenderKey: phone.Curve25519()},
		"nothing":           {},
		"an empty object":   {Sender: phone.User.ID, SenderKey: phone.Curve25519(), Payload: []byte("{}")},
		"a huge payload":    {Sender: phone.User.ID, SenderKey: phone.Curve25519(), Payload: make([]byte, 1<<20)},
		"a huge sender":     {Sender: "@" + string(make([]byte, 1<<20)), SenderKey: phone.Curve25519(), Payload: good.Payload},
		"half a sender key": {Sender: phone.User.ID, SenderKey: phone.Curve25519()[:20], Payload: w.event(phone, room, session).Payload},
	} {
		if receipt := w.receive(event); receipt.Err == nil {
			t.Errorf("%s was kept", what)
		} else {
			codeOf(t, receipt.Err)
		}
	}
}

// forget opens a new machine over the other copy alone.
func (w *world) forget() {
	w.t.Helper()
	w.restart()
	for _, c := range w.copies() {
		if c.OlmUser == "@alice:example.org" {
			w.deleteRow(c)
		}
	}
	w.open()
}

// Room events.
func TestEveryMemberOfAnEvent(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	object := phone.EventObject(string(room), session, testkit.JSON(map[string]any{"type": "m.room.message", "room_id": room, "content": map[string]any{"body": "hello"}}))
	message := testkit.JSON(object)
	if _, err := w.decrypt(message, policy.Untrusted); err != nil {
		t.Fatal(err)
	}
	before := dump(t, w.rows)
	for name, hook := range mutations(object) {
		event, err := w.machine.DecryptRoomEvent(context.Background(), changed(t, message, hook), room)
		if err == nil {
			// Only members that decide nothing: it is the same message of the same sender.
			if body(t, event) != "hello" || event.Info.Sender != "@alice:example.org" {
				t.Errorf("%s: shown as something else", name)
			}
			continue
		}
		if code := codeOf(t, err); code == "" || err.Error() == "" {
			t.Errorf("%s: an error without code or sentence", name)
		}
	}
	w.flush()
	if dump(t, w.rows) != before {
		t.Error("the store has changed")
	}
}

// Answers to /keys/query: whatever is spoiled of Alice, Bob is learned, and the machine is there for the next answer.
func TestEveryMemberOfAnAnswer(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	bob, his := w.person("@bob:example.org")
	all := mutations(map[string]any{"device_keys": w.kit.KeysQueryObject(alice)["device_keys"]})
	for name, hook := range mutations(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)) {
		all[name] = hook
	}
	n := 0
	for name, hook := range all {
		if n++; n%(sparsely/3+1) != 0 {
			continue
		}
		raw := changed(t, w.kit.KeysQuery(alice), hook)
		result, err := w.machine.ReceiveKeysQueryResponse(context.Background(), raw, "")
		if err != nil {
			codeOf(t, err)
			continue
		}
		if result == nil {
			t.Errorf("%s: neither result nor error", name)
		}
		// Bob stands beside her in the same answer, unless his whole section was spoiled.
		if path := strings.TrimSuffix(strings.Fields(name)[0], "]"); path != "[device_keys" && path != "[master_keys" && path != "[self_signing_keys" || strings.Contains(name, alice.ID) {
			beside := newWorld(t)
			beside.answerJSON(changed(t, w.kit.KeysQuery(alice, bob), hook))
			if kept := beside.kept(beside.event(his, room, beside.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("%s: Bob is %v", name, kept.Current.Kind)
			}
		}
	}
	w.answer(alice, bob)
	if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("Alice, after all that: %v", kept.Current.Kind)
	}
	w.restart()
	if len(w.heard.reports) != 0 {
		t.Errorf("something was stored that cannot be read: %+v", w.heard.reports)
	}
}

// Names for the synchronous question.
func TestEventNames(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	ciphertext := session.EncryptAt(3, []byte("x"))
	good := []string{session.ID(), phone.User.ID, "$event", ciphertext}
	if name, err := core.ReadEventName(room, good[0], good[1], good[2], good[3]); err != nil || name.Index != 3 || name.Sender != "@alice:example.org" {
		t.Fatalf("%+v %v", name, err)
	}
	for position, bad := range map[int][]string{
		0: {"", "x", session.ID() + "=", session.ID()[:42], testkit.Base64(make([]byte, 32))},
		2: {"", "event", "!room:example.org", "$\x00"},
		3: {"", "x", ciphertext[:2], testkit.Base64([]byte{4, 8, 0})},
	} {
		for _, value := range bad {
			arguments := slices.Clone(good)
			arguments[position] = value
			if _, err := core.ReadEventName(room, arguments[0], arguments[1], arguments[2], arguments[3]); err == nil {
				t.Errorf("%q was read", value)
			} else {
				codeOf(t, err)
			}
		}
	}
	// T57: a sender that is none is judged, not refused.
	if name, err := core.ReadEventName(room, good[0], "charlie", good[2], good[3]); err != nil || name.Sender != "" {
		t.Errorf("%+v %v", name, err)
	}
}
