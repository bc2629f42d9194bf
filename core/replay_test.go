package core_test

import (
	"context"
	"fmt"
	"testing"

	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// T24, I19, scenario 133: one message index, one event, for ever.

// The ciphertext of one event as another is withheld under every policy; the first event is shown as often as it comes. A restart, a loaded
// room and the synchronous question say the same.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "pay 10")
	if _, err := w.decrypt(message, policy.CrossSigned); err != nil {
		t.Fatal(err)
	}
	again := changed(t, message, testkit.Set("event_id", "$again"))
	later := changed(t, message, testkit.Set("event_id", "$later"), testkit.Set("origin_server_ts", 1), testkit.Set("room_id", string(room)))
	for _, when := range []string{"at once", "after a restart", "after another", "with the room loaded"} {
		w.wantCodes(message, shownUnsure)
		w.wantCodes(again, hidden("replayed"))
		w.wantCodes(later, hidden("replayed"))
		info, err := w.machine.RoomEventEncryptionInfo(eventName(t, again))
		if err != nil || info.Verdict.Shown || info.Verdict.Code != "replayed" {
			t.Errorf("%s: the synchronous answer: %v", when, err)
		}
		w.restart()
		if when == "after another" {
			if err := w.machine.LoadRoom(context.Background(), room); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The same event under another timestamp is the same event.
func TestSameEventAgain(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	w.wantCodes(message, but("unsigned_device"))
	before := dump(t, w.rows)
	w.wantCodes(changed(t, message, testkit.Set("origin_server_ts", 7)), but("unsigned_device"))
	if dump(t, w.rows) != before {
		t.Error("the same event again has changed the store (I12)")
	}
}

// An event that is withheld takes no index: what was never shown cannot be the first.
func TestWithheldTakesNoIndex(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	before := dump(t, w.rows)
	for _, r := range []policy.TrustRequirement{policy.CrossSignedOrLegacy, policy.CrossSigned, policy.Verified} {
		if _, err := w.decrypt(changed(t, message, testkit.Set("event_id", "$first")), r); err == nil {
			t.Fatal("shown")
		}
	}
	w.flush()
	if dump(t, w.rows) != before {
		t.Error("a withheld event has left something in the store")
	}
	w.wantCodes(message, but("unsigned_device"))
}

// The memory lies in blocks of indexes; it holds at their borders, and what one message adds to a row does not touch the others.
func TestReplayBlocks(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	indexes := []uint32{0, 1, record.ReplayBlockSize - 1, record.ReplayBlockSize, record.ReplayBlockSize + 1, 1 << 20}
	var events [][]byte
	for _, index := range indexes {
		session.SkipTo(index)
		events = append(events, phone.Message(string(room), session, fmt.Sprint(index)))
	}
	for _, event := range events {
		if _, err := w.decrypt(event, policy.Untrusted); err != nil {
			t.Fatal(err)
		}
	}
	w.restart()
	for i, event := range events {
		w.wantCodes(changed(t, event, testkit.Set("event_id", "$replay")), hidden("replayed"))
		if _, err := w.decrypt(event, policy.Untrusted); err != nil {
			t.Errorf("index %d: %v", indexes[i], err)
		}
	}
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Replays})
	if err != nil || len(rows) != 3 {
		t.Errorf("%d rows for 3 blocks, %v", len(rows), err)
	}
}

// Two sessions, two rooms, one index: events of one take nothing from the other (I17).
func TestReplayIsolation(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	one, two := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, one))
	w.kept(w.event(phone, room, two))
	same := testkit.Set("event_id", "$same")
	w.wantCodes(phone.Message(string(room), one, "one", same), but("unsigned_device"))
	w.wantCodes(phone.Message(string(room), two, "two", same), but("unsigned_device"))
}

// A server that makes up message indexes fills neither memory nor store with them.
func TestMadeUpIndexes(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	counted := &ledger{}
	w.wrap = counted.over
	w.restart()
	message := phone.Message(string(room), session, "hello")
	for i := range 50 {
		body := session.Sign([]byte("\x03\x08" + string(varint(uint64(i)*record.ReplayBlockSize)) + "\x12\x10AAAAAAAAAAAAAAAA12345678"))
		if _, err := w.decrypt(changed(t, message, content("ciphertext", testkit.Base64(body))), policy.Untrusted); err == nil {
			t.Fatal("shown")
		}
	}
	if counted.gets[store.Replays] != 0 {
		t.Errorf("%d blocks of replay memory were read for messages that do not authenticate", counted.gets[store.Replays])
	}
}

func varint(n uint64) (out []byte) {
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return append(out, byte(n))
}

// A mismatched event is shown under Untrusted and takes no index: a server could serve it first, and make the owner's own event the replay.
func TestMismatchTakesNoIndex(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	message := phone.Message(string(room), session, "hello")
	if _, err := w.decrypt(retold(t, message, "@mallory:example.org", "$first"), policy.Untrusted); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(message, but("unsigned_device"))
	w.wantCodes(retold(t, message, "@mallory:example.org", "$first"), hidden("replayed"))
}
