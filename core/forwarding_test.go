package core_test

import (
	"context"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/keyfile"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// Room keys that another device of ours forwards. Asked for, and from a verified device of ours: kept as a claim. Everything else: refused, and
// nothing of it is stored (T44, scenario 110).

// forwarded is an m.forwarded_room_key as our Olm hands it over.
func (w *world) forwarded(from *testkit.Device, session *testkit.Outbound, index uint32, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	made := w.kit.User("@maker:example.org").Device("MAKER") // whose session it is said to be
	payload := from.RoomKeyObject(w.mine, string(room), session)
	payload["type"] = "m.forwarded_room_key"
	payload["content"] = made.ExportEntry(string(room), session, index, testkit.Delete("sender_claimed_keys"), testkit.Set("sender_claimed_ed25519_key", made.Ed25519()))
	for _, hook := range hooks {
		hook(payload)
	}
	return sender.DecryptedOlmEvent{Sender: from.User.ID, SenderKey: from.Curve25519(), Payload: testkit.JSON(payload)}
}

// forward receives one.
func (w *world) forward(event sender.DecryptedOlmEvent) core.ForwardedReceipt {
	w.t.Helper()
	receipts, err := w.machine.ReceiveForwardedRoomKeys(context.Background(), []sender.DecryptedOlmEvent{event})
	if err != nil {
		w.t.Fatal(err)
	}
	return receipts[0]
}

func (w *world) request(session *testkit.Outbound) *core.RoomKeyRequest {
	w.t.Helper()
	request, err := w.machine.RequestRoomKey(context.Background(), room, sessionID(w.t, session.ID()))
	if err != nil {
		w.t.Fatal(err)
	}
	return request
}

// withLaptop is a world with a verified second device of ours.
func withLaptop(t *testing.T) (w *world, laptop *testkit.Device) {
	w = newWorld(t)
	laptop = w.me.Device("LAPTOP").CrossSigned()
	w.verifyMe()
	return w, laptop
}

// T44, scenario 110: what is asked for is asked in the form of the specification, once; and what comes from our verified device is a claim that it
// handed over.
func TestForwardedKeyThatWasAskedFor(t *testing.T) {
	w, laptop := withLaptop(t)
	session := w.kit.Outbound()
	message := laptop.Message(string(room), session, "hello")
	request := w.request(session)
	got := jsonOf(t, request.Content)
	body, _ := got["body"].(map[string]any)
	if got["action"] != "request" || got["request_id"] != request.ID || got["requesting_device_id"] != "MYDEVICE" || len(body) != 3 ||
		body["algorithm"] != testkit.MegolmAlgorithm || body["room_id"] != string(room) || body["session_id"] != session.ID() {
		t.Errorf("the request is %s", request.Content)
	}
	if again := w.request(session); again.ID != request.ID || string(again.Content) != string(request.Content) {
		t.Error("asking again is another request")
	}
	w.restart()
	if again := w.request(session); again.ID != request.ID || again.At != request.At {
		t.Error("asking again after a restart is another request")
	}

	receipt := w.forward(w.forwarded(laptop, session, 0, testkit.In("content", testkit.Set("m.shared_history", true))))
	if receipt.Err != nil || receipt.Copy == nil {
		t.Fatalf("%v", receipt.Err)
	}
	cancellation := jsonOf(t, receipt.Cancellation.Content)
	if cancellation["action"] != "request_cancellation" || cancellation["request_id"] != request.ID || cancellation["requesting_device_id"] != "MYDEVICE" || cancellation["body"] != nil {
		t.Errorf("the cancellation is %s", receipt.Cancellation.Content)
	}
	check := func(when string) {
		c := w.copy()
		if c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || c.SharedHistory || c.Forwarder == nil || !c.HasEd25519 ||
			c.Forwarder.Data.Kind != sender.SenderVerified || string(c.Forwarder.Data.UserID) != w.me.ID || c.Forwarder.Data.DeviceID != "LAPTOP" {
			t.Errorf("%s: %+v by %+v", when, c, c.Forwarder)
		}
		w.wantCodes(message, legacyClaims)
		if event, err := w.decrypt(message, policy.Untrusted); err != nil || event.Info.Verdict.State != policy.StateForwarded {
			t.Errorf("%s: %v", when, err)
		}
		if why := w.why(session); !strings.Contains(why, "It was handed over by @me:example.org, and claims") {
			t.Errorf("%s: %q", when, why)
		}
	}
	check("at once")
	w.restart()
	check("after a restart")
	// It is answered: nobody else need, and nobody else may.
	before := dump(t, w.rows)
	if receipt := w.forward(w.forwarded(laptop, session, 0)); receipt.Err == nil || codeOf(t, receipt.Err) != sender.CodeForwardedKeyUnrequested {
		t.Errorf("a second answer: %v", receipt.Err)
	}
	if dump(t, w.rows) != before {
		t.Error("the second answer has changed the store")
	}
}

// T44: everything that is refused, each with its code; nothing of it is stored, and the request stands. Beside it in the same call another is kept.
func TestForwardedKeysThatAreRefused(t *testing.T) {
	for _, story := range []struct {
		name, code string
		make       func(w *world, laptop, stray, hers *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent
	}{
		{"nobody asked", sender.CodeForwardedKeyUnrequested, func(w *world, laptop, _, _ *testkit.Device, _ *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(laptop, w.kit.Outbound(), 0)
		}},
		{"asked for in another room", sender.CodeForwardedKeyUnrequested, func(w *world, laptop, _, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(laptop, asked, 0, content("room_id", "!other:example.org"))
		}},
		{"from a device of ours that is not signed", sender.CodeForwarderNotOwnDevice, func(w *world, _, stray, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(stray, asked, 0)
		}},
		{"from somebody else, verified", sender.CodeForwarderNotOwnDevice, func(w *world, _, _, hers *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(hers, asked, 0)
		}},
		{"in our name, by somebody else's channel", sender.CodeSenderDeviceKeysCurve25519, func(w *world, laptop, _, hers *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			event := w.forwarded(laptop, asked, 0)
			event.SenderKey = hers.Curve25519()
			return event
		}},
		{"another session under that name", keyfile.CodeSessionIDMismatch, func(w *world, laptop, _, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(laptop, asked, 0, content("session_key", w.kit.Outbound().ExportedAt(0)))
		}},
		{"the signed form of a session key", keyfile.CodeBadSessionKey, func(w *world, laptop, _, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(laptop, asked, 0, content("session_key", asked.SessionKeyAt(0)))
		}},
		{"T18, scenario 50: a room key, by this way", sender.CodeNotARoomKey, func(w *world, laptop, _, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.event(laptop, room, asked)
		}},
		{"T19: meant for somebody else", sender.CodeRecipientMismatch, func(w *world, laptop, _, _ *testkit.Device, asked *testkit.Outbound) sender.DecryptedOlmEvent {
			return w.forwarded(laptop, asked, 0, testkit.Set("recipient", "@somebody:example.org"))
		}},
	} {
		t.Run(story.name, func(t *testing.T) {
			w, laptop := withLaptop(t)
			stray := w.me.Device("STRAY")
			mallory, hers := w.mallory()
			w.me.Verifies(mallory)
			w.answer(w.me, mallory)
			asked, other := w.kit.Outbound(), w.kit.Outbound()
			w.request(asked)
			w.request(other)
			before := dump(t, w.rows)
			bad := story.make(w, laptop, stray, hers, asked)
			if receipt := w.forward(bad); receipt.Err == nil || codeOf(t, receipt.Err) != story.code || receipt.Copy != nil || receipt.Cancellation != nil {
				t.Errorf("%+v", receipt)
			}
			if dump(t, w.rows) != before {
				t.Error("something was stored")
			}
			receipts, err := w.machine.ReceiveForwardedRoomKeys(context.Background(), []sender.DecryptedOlmEvent{bad, w.forwarded(laptop, other, 0), bad})
			if err != nil || receipts[1].Err != nil || receipts[0].Err == nil || receipts[2].Err == nil || len(w.copies()) != 1 {
				t.Errorf("beside it: %+v, %v", receipts, err)
			}
			if receipt := w.forward(w.forwarded(laptop, asked, 0)); receipt.Err != nil {
				t.Errorf("the request does not stand any more: %v", receipt.Err)
			}
		})
	}
}

// T44: a request that was taken back answers to nobody, after a restart either; and there is nothing to take back twice.
func TestCancelledRequest(t *testing.T) {
	w, laptop := withLaptop(t)
	session := w.kit.Outbound()
	request := w.request(session)
	ctx, id := context.Background(), sessionID(t, session.ID())
	gone, err := w.machine.CancelRoomKeyRequest(ctx, room, id)
	if err != nil || gone == nil || gone.ID != request.ID || !strings.Contains(string(gone.Content), "request_cancellation") {
		t.Fatalf("%+v, %v", gone, err)
	}
	for range 2 {
		if again, err := w.machine.CancelRoomKeyRequest(ctx, room, id); again != nil || err != nil {
			t.Errorf("%+v, %v", again, err)
		}
		if receipt := w.forward(w.forwarded(laptop, session, 0)); receipt.Err == nil || codeOf(t, receipt.Err) != sender.CodeForwardedKeyUnrequested {
			t.Errorf("%v", receipt.Err)
		}
		w.restart()
	}
	if again := w.request(session); again.ID == request.ID {
		t.Error("a new request under the old name, which the others know as taken back")
	}
}

// Two tabs ask for one key at the same moment: one request, that both know. If the other tab has taken it back meanwhile, that is told.
func TestTwoTabsAskForOneKey(t *testing.T) {
	for _, takenBack := range []bool{false, true} {
		w := closedWorld(t)
		var meanwhile func()
		w.wrap = func(under store.Store) store.Store {
			return &meddling{under, func() {
				if f := meanwhile; f != nil {
					meanwhile = nil
					f()
				}
			}}
		}
		w.open()
		other := *w
		other.wrap = nil
		tab := other.tab()
		session := w.kit.Outbound()
		var theirs *core.RoomKeyRequest
		meanwhile = func() { theirs = tab.request(session) }
		if takenBack {
			row := record.RequestRow(&record.RoomKeyRequest{RoomID: room, SessionID: sessionID(t, session.ID()), ID: "DAMAGED", At: 1})
			w.commit(store.Batch{Ops: []store.Op{{Table: row.Table, Key: row.Key, Value: []byte("damaged")}}})
			meanwhile = func() { w.commit(store.Batch{Ops: []store.Op{{Table: row.Table, Key: row.Key, Expect: store.AnyRev}}}) }
		}
		request, err := w.machine.RequestRoomKey(context.Background(), room, sessionID(t, session.ID()))
		if takenBack {
			if err == nil || codeOf(t, err) != store.CodeConflict {
				t.Errorf("%+v, %v", request, err)
			}
		} else if err != nil || request.ID != theirs.ID {
			t.Errorf("%+v, %v, theirs %+v", request, err, theirs)
		}
	}
}

// F35: a damaged request counts as none: nobody is believed for it, and asking again takes its place.
func TestDamagedRequest(t *testing.T) {
	w, laptop := withLaptop(t)
	session := w.kit.Outbound()
	w.request(session)
	key := record.RequestKey(room, sessionID(t, session.ID()))
	w.rot(store.Meta, key, []byte("nonsense"))
	if receipt := w.forward(w.forwarded(laptop, session, 0)); receipt.Err == nil || codeOf(t, receipt.Err) != sender.CodeForwardedKeyUnrequested {
		t.Errorf("%v", receipt.Err)
	}
	if len(w.heard.reports) != 1 || w.heard.reports[0].Table != store.Meta {
		t.Errorf("%+v", w.heard.reports)
	}
	w.request(session)
	if receipt := w.forward(w.forwarded(laptop, session, 0)); receipt.Err != nil {
		t.Errorf("asked again: %v", receipt.Err)
	}
}

// Policy over time: our identity is replaced by another. What one of our devices handed over before is hidden like everything in violation, and shown
// again when the other identity is taken for ours or the verification is withdrawn. Nothing is written to that end.
func TestForwarderInViolation(t *testing.T) {
	w, laptop := withLaptop(t)
	session := w.kit.Outbound()
	message := laptop.Message(string(room), session, "hello")
	w.request(session)
	if receipt := w.forward(w.forwarded(laptop, session, 0)); receipt.Err != nil {
		t.Fatal(receipt.Err)
	}
	w.wantCodes(message, legacyClaims)
	stored := contents(t, w.rows)
	w.me.ResetIdentity()
	w.answer(w.me)
	for range 2 {
		w.wantCodes(message, but("forwarder_violation"))
		if why := w.why(session); !strings.Contains(why, "who was verified and has another identity now") {
			t.Errorf("%q", why)
		}
		w.restart()
	}
	if err := w.trustMe(); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(message, legacyClaims)
	if copies(stored) != copies(contents(t, w.rows)) {
		t.Error("the copy was written again")
	}
}

// copies is the part of a dump that is about copies.
func copies(dumped string) string {
	var out []string
	for _, line := range strings.Split(dumped, "\n") {
		if strings.HasPrefix(line, string(store.Copies)) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// I11: a file of our own beats whoever forwarded the same key, in either order: what nobody's standing can hide is kept.
func TestOwnFileBeatsAForwarder(t *testing.T) {
	for _, fileFirst := range []bool{true, false} {
		w, laptop := withLaptop(t)
		session := w.kit.Outbound()
		message := laptop.Message(string(room), session, "hello")
		event := w.forwarded(laptop, session, 3)
		claimed := jsonOf(t, event.Payload)["content"].(map[string]any)
		file := list(entry(laptop, session, 5, testkit.Set("sender_key", claimed["sender_key"]), testkit.Delete("sender_claimed_keys")))
		w.request(session)
		if fileFirst {
			w.imports(file)
		}
		if receipt := w.forward(event); receipt.Err != nil {
			t.Fatal(receipt.Err)
		}
		if !fileFirst {
			w.imports(file)
		}
		w.me.ResetIdentity()
		w.answer(w.me)
		if c := w.copy(); c.Forwarder != nil || c.Session.FirstKnownIndex() != 3 {
			t.Errorf("file first %v: %+v", fileFirst, c)
		}
		w.wantCodes(message, hidden("unknown_index"))
		session.SkipTo(4)
		w.wantCodes(laptop.Message(string(room), session, "later"), legacyClaims)
	}
}

// T36: a forwarded key that contradicts what is kept is refused, and the request stands.
func TestForwardedKeyThatContradicts(t *testing.T) {
	w, laptop := withLaptop(t)
	session, invented := w.kit.Outbound(), w.kit.Outbound()
	invented.Private = session.Private
	event := w.forwarded(laptop, session, 3)
	claimed := jsonOf(t, event.Payload)["content"].(map[string]any)
	w.imports(list(entry(laptop, invented, 0, testkit.Set("sender_key", claimed["sender_key"]))))
	w.request(session)
	if receipt := w.forward(event); receipt.Err == nil || codeOf(t, receipt.Err) != sender.ReasonUnconnected || receipt.Cancellation != nil {
		t.Errorf("%+v", receipt)
	}
}

// F01, F05: at every operation of the store the program dies while it takes a forwarded key, or the operation fails. Delivered again the key is there in
// the end, and no request is left open but where its end was written and not heard of.
func TestEveryFaultOfAForwardedKey(t *testing.T) {
	for k := 1; ; k++ {
		for _, how := range []string{"dies before", "dies after", "fails"} {
			w, laptop := withLaptop(t)
			var faulty *storetest.Faulty
			w.wrap = func(under store.Store) store.Store {
				faulty = storetest.NewFaulty(under)
				return faulty
			}
			w.restart()
			session := w.kit.Outbound()
			w.request(session)
			event := w.forwarded(laptop, session, 0)
			if how == "fails" {
				faulty.FailAt("", k, store.CodeAborted)
			} else {
				faulty.DieAt("", k, how == "dies after")
			}
			_, err := w.machine.ReceiveForwardedRoomKeys(context.Background(), []sender.DecryptedOlmEvent{event})
			if err == nil && k < 3 {
				t.Fatalf("operation %d: no fault", k)
			}
			if how == "fails" {
				faulty.Heal()
			} else {
				w.wrap = nil
				w.open()
			}
			if receipt := w.forward(event); receipt.Err != nil && codeOf(t, receipt.Err) != sender.CodeForwardedKeyUnrequested {
				t.Errorf("operation %d %s: %v", k, how, receipt.Err)
			}
			if w.copy().Forwarder == nil {
				t.Errorf("operation %d %s: %+v", k, how, w.copy())
			}
			if gone, err := w.machine.CancelRoomKeyRequest(context.Background(), room, sessionID(t, session.ID())); gone != nil || err != nil {
				t.Errorf("operation %d %s: the request is still open, %v", k, how, err)
			}
			if err == nil && how == "fails" {
				return
			}
		}
	}
}

// Calls about forwarded keys and bundles after Close answer so.
func TestHandedOverAfterClose(t *testing.T) {
	ctx := context.Background()
	w, laptop := withLaptop(t)
	session := w.kit.Outbound()
	event, id := w.forwarded(laptop, session, 0), sessionID(t, session.ID())
	if err := w.machine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"RequestRoomKey":       func() error { _, err := w.machine.RequestRoomKey(ctx, room, id); return err },
		"CancelRoomKeyRequest": func() error { _, err := w.machine.CancelRoomKeyRequest(ctx, room, id); return err },
		"ReceiveForwardedRoomKeys": func() error {
			_, err := w.machine.ReceiveForwardedRoomKeys(ctx, []sender.DecryptedOlmEvent{event})
			return err
		},
		"BundleDescriptor":     func() error { _, err := w.machine.BundleDescriptor(event); return err },
		"ReceiveRoomKeyBundle": func() error { _, err := w.machine.ReceiveRoomKeyBundle(ctx, event, nil); return err },
	} {
		if err := call(); err == nil || codeOf(t, err) != store.CodeClosed {
			t.Errorf("%s after close: %v", name, err)
		}
	}
}
