package core_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Rows that are not as they were written: damaged, moved, of an older format, with wrong index entries. The row is set aside and reported, the
// rest works (N5), nothing damaged is ever trusted, and what is received again takes its place.

// rot replaces the value of the row with that key, past the machine.
func (w *world) rot(table store.Table, key store.Key, value []byte) {
	w.t.Helper()
	rows, err := w.rows.Get(context.Background(), table, []store.Key{key})
	if err != nil {
		w.t.Fatal(err)
	}
	w.commit(store.Batch{Ops: []store.Op{{Table: table, Key: key, Expect: store.AnyRev, Value: value, Index: rows[0].Index}}})
}

// damages are ways a value can be damaged.
func damages(value []byte) map[string][]byte {
	flipped := bytes.Clone(value)
	flipped[len(flipped)/2] ^= 1
	future := bytes.Clone(value)
	future[2] = 200 // the format version
	return map[string][]byte{
		"F35: empty": {}, "F35: cut off": value[:len(value)/2], "F35: one byte": {'K'}, "F35: a flipped bit": flipped, "F35: something behind": append(bytes.Clone(value), 0),
		"F35: not ours": []byte(`{"pickle":null}`), "F35: a future format": future, "F35: zeroes": make([]byte, len(value)),
	}
}

// bytesAside are the bytes in a row of the quarantine, as they were found.
func bytesAside(row *store.Row) []byte {
	_, found := record.ParseQuarantine(row)
	return found
}

func (w *world) quarantine() []store.Row {
	w.t.Helper()
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Quarantine})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// F35, scenario 161: a damaged copy. Its neighbours decrypt, the damage is reported once, the bytes are kept; the key delivered again heals it.
func TestDamagedCopy(t *testing.T) {
	sample := newWorld(t)
	_, phone := sample.alice()
	sample.kept(sample.event(phone, room, sample.kit.Outbound()))
	for name := range damages(rowOf(t, sample, 0).Value) {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			var sessions []*testkit.Outbound
			for range 3 {
				sessions = append(sessions, w.kit.Outbound())
				w.kept(w.event(phone, room, sessions[len(sessions)-1]))
			}
			row := rowOf(t, w, 1)
			bad := damages(row.Value)[name]
			w.rot(store.Copies, row.Key, bad)
			w.restart()
			if err := w.machine.LoadRoom(context.Background(), room); err != nil {
				t.Fatal(err)
			}
			if len(w.heard.reports) != 1 || w.heard.reports[0].Code != core.CodeRecordQuarantined || w.heard.reports[0].Table != store.Copies {
				t.Errorf("reported %+v", w.heard.reports)
			}
			broken := 0
			for _, session := range sessions {
				_, err := w.decrypt(phone.Message(string(room), session, "hello"), policy.Untrusted)
				if err != nil {
					broken++
					if codeOf(t, err) != "no_key" {
						t.Error(err)
					}
				}
			}
			if broken != 1 {
				t.Errorf("%d sessions do not decrypt, want the damaged one", broken)
			}
			// Others are judged again as ever; the damaged row is passed over.
			if result := w.answer(alice); result.RoomKeys != 2 {
				t.Errorf("%d room keys changed", result.RoomKeys)
			}
			if aside := w.quarantine(); len(aside) != 1 || !bytes.Equal(bytesAside(&aside[0]), bad) {
				t.Errorf("%d rows were set aside", len(aside))
			}
			now, err := w.rows.Get(context.Background(), store.Copies, []store.Key{row.Key})
			if err != nil || !bytes.Equal(now[0].Value, bad) {
				t.Error("the damaged row was touched before anything good could take its place")
			}
			// Delivered again, the key is whole, and was counted once.
			for _, session := range sessions {
				session.SkipTo(0)
				w.kept(w.event(phone, room, session))
			}
			if len(w.copies()) != 3 || len(w.heard.reports) != 1 {
				t.Errorf("%d copies, %d reports", len(w.copies()), len(w.heard.reports))
			}
			if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 3 {
				t.Errorf("counted %d", counts.Total)
			}
			w.restart()
			for _, session := range sessions {
				session.SkipTo(10)
				w.wantCodes(phone.Message(string(room), session, "again"), shownUnsure)
			}
		})
	}
}

// F35, T54: a value swapped into another row opens nowhere, however good it is where it came from.
func TestSwappedRows(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	_, hers := w.mallory()
	one, two := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, one))
	w.kept(w.event(hers, room, two))
	a, b := rowOf(t, w, 0), rowOf(t, w, 1)
	w.rot(store.Copies, a.Key, b.Value)
	w.rot(store.Copies, b.Key, a.Value)
	w.restart()
	w.wantCodes(phone.Message(string(room), one, "x"), hidden("no_key"))
	w.wantCodes(hers.Message(string(room), two, "y"), hidden("no_key"))
	if len(w.heard.reports) != 2 {
		t.Errorf("%d reports", len(w.heard.reports))
	}
}

// F35: damage in every other table. The machine opens, keys are received and stored, other people are known.
func TestDamageElsewhere(t *testing.T) {
	for _, table := range []store.Table{store.Users, store.Tombstones, store.Replays, store.Withheld, store.Meta} {
		t.Run("F35: "+string(table), func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			bob, his := w.person("@bob:example.org")
			mallory, hers := w.mallory()
			hers.NotCrossSigned().CorruptlyCrossSigned()
			w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice, mallory), "device_keys", mallory.ID)))
			w.answer(bob)
			session, forged := w.kit.Outbound(), w.kit.Outbound()
			w.kept(w.event(phone, room, session))
			w.receive(w.event(hers, room, forged))
			message := phone.Message(string(room), session, "hello")
			if _, err := w.decrypt(message, policy.CrossSigned); err != nil {
				t.Fatal(err)
			}
			w.withheld(phone, session, "m.unverified")
			w.flush()
			note := record.JudgeNoteRow(record.JudgeNote{Name: "N", Because: "keys_query", Parts: []record.JudgePart{{Index: store.IndexWaiting, Value: store.Key{alice.ID}}}})
			w.commit(store.Batch{Ops: []store.Op{{Table: store.Meta, Key: note.Key, Expect: store.AnyRev, Value: note.Value}}})

			rows, err := store.Page(context.Background(), w.rows, store.Query{Table: table})
			if err != nil || len(rows) == 0 {
				t.Fatalf("nothing to damage: %v", err)
			}
			for i := range rows {
				if table == store.Users && rows[i].Key[0] == bob.ID {
					continue
				}
				w.rot(table, rows[i].Key, []byte("rot"))
			}
			w.restart()
			w.wantCodes(phone.Message(string(room), session, "later"), shownUnsure)
			if _, err := w.decrypt(hers.Message(string(room), forged, "x"), policy.Untrusted); err == nil {
				t.Error("a message of a discarded key was shown")
			}
			fresh := w.kit.Outbound()
			if kept := w.kept(w.event(his, room, fresh, testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("Bob: %v", kept.Current.Kind)
			}
			// The damaged part is learned anew, and everything is written: no row stands in the way of the others for ever.
			hers.NotCrossSigned().CorruptlyCrossSigned()
			w.receive(w.event(hers, room, forged))
			w.withheld(phone, session, "m.blacklisted")
			w.wantCodes(message, shownUnsure)
			w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice, mallory), "device_keys", mallory.ID)))
			w.flush()
			w.heard.reports = nil
			w.restart()
			if err := w.machine.LoadRoom(context.Background(), room); err != nil {
				t.Fatal(err)
			}
			if table != store.Meta && len(w.heard.reports) != 0 {
				t.Errorf("still damaged: %+v", w.heard.reports)
			}
			w.wantCodes(message, shownUnsure)
			w.wantCodes(phone.Message(string(room), session, "once more"), shownUnsure)
		})
	}
}

// F35: a row of replay memory that is damaged, or gone, when its room was loaded: what is remembered next takes its place. It does not keep
// the room keys of the same batch from being written.
func TestReplayRowInTheWay(t *testing.T) {
	for _, gone := range []bool{false, true} {
		w := newWorld(t)
		_, phone := w.alice()
		session := w.kit.Outbound()
		w.kept(w.event(phone, room, session))
		if _, err := w.decrypt(phone.Message(string(room), session, "first"), policy.Untrusted); err != nil {
			t.Fatal(err)
		}
		rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Replays})
		if err != nil || len(rows) != 1 {
			t.Fatal(err)
		}
		if gone {
			w.commit(store.Batch{Ops: []store.Op{{Table: store.Replays, Key: rows[0].Key, Expect: store.AnyRev}}})
		} else {
			w.rot(store.Replays, rows[0].Key, []byte("rot"))
			w.restart()
		}
		if err := w.machine.LoadRoom(context.Background(), room); err != nil {
			t.Fatal(err)
		}
		second := phone.Message(string(room), session, "second")
		if _, err := w.decrypt(second, policy.Untrusted); err != nil {
			t.Fatal(err)
		}
		w.kept(w.event(phone, room, w.kit.Outbound()))
		w.restart()
		w.wantCodes(changed(t, second, testkit.Set("event_id", "$replay")), hidden("replayed"))
		if len(w.copies()) != 2 {
			t.Errorf("gone %v: %d copies", gone, len(w.copies()))
		}
	}
}

// withheld gives the machine a notice.
func (w *world) withheld(from *testkit.Device, session *testkit.Outbound, code string, hooks ...testkit.Hook) (*core.Withheld, error) {
	return w.machine.ReceiveRoomKeyWithheld(notice(from, session, code, hooks...))
}

// F35: what becomes of trust when the row of our own user is damaged: nobody is verified until it is known again, nothing stored falls.
func TestDamagedOwnRow(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	w.rot(store.Users, store.Key{"@me:example.org"}, []byte("rot"))
	w.restart()
	if kept := w.kept(w.event(phone, room, w.kit.Outbound())); kept.Current.Kind == sender.SenderVerified {
		t.Error("verified by an identity that nobody knows")
	}
	w.wantCodes(phone.Message(string(room), session, "hello"), shownToAll)
	w.verifyMe()
	if kept := w.kept(w.event(phone, room, w.kit.Outbound())); kept.Current.Kind != sender.SenderVerified {
		t.Errorf("known and trusted again: %v", kept.Current.Kind)
	}
	// A row that is damaged while the machine is open leaves what is in memory, and is said.
	w.rot(store.Users, store.Key{"@alice:example.org"}, []byte("rot"))
	result := w.answer(alice)
	if !slices.Contains(problemCodes(result), "record_missing") {
		t.Errorf("%v", problemCodes(result))
	}
}

// F36: somebody edits the index columns only. What is read is put back in order, and is found by index again.
func TestEditedIndexColumns(t *testing.T) {
	for name, entries := range map[string][]store.IndexEntry{
		"F36: gone":           nil,
		"F36: another user's": {{Name: store.IndexWaiting, Value: store.Key{"@mallory:example.org", "x"}}},
		"F36: another index":  {{Name: store.IndexOwner, Value: store.Key{"@alice:example.org", "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []string{"its room is loaded", "it is explained", "another walk over all"} {
				w := newWorld(t)
				alice, phone := w.alice()
				session := w.kit.Outbound()
				w.kept(w.event(phone, room, session))
				row := rowOf(t, w, 0)
				w.commit(store.Batch{Ops: []store.Op{{Table: store.Copies, Key: row.Key, Expect: row.Rev, Value: row.Value, Index: entries}}})
				if way == "another walk over all" {
					// As after an update to another format.
					w.commit(store.Batch{Ops: []store.Op{{Table: store.Meta, Key: store.Key{"copies_format"}, Expect: store.AnyRev}}})
				}
				w.restart()
				switch way {
				case "its room is loaded":
					if err := w.machine.LoadRoom(context.Background(), room); err != nil {
						t.Fatal(err)
					}
				case "it is explained":
					if _, err := w.machine.Explain(context.Background(), room, sessionID(t, session.ID())); err != nil {
						t.Fatal(err)
					}
				}
				w.flush()
				healed := rowOf(t, w, 0)
				if !bytes.Equal(healed.Value, row.Value) || fmt.Sprint(healed.Index) != fmt.Sprint(row.Index) {
					t.Errorf("%s: %v, want %v", way, healed.Index, row.Index)
				}
				if result := w.answer(alice); result.RoomKeys != 1 {
					t.Errorf("%s: %d room keys changed", way, result.RoomKeys)
				}
				if len(w.heard.reports) != 0 || len(w.heard.keys) != 1 {
					t.Errorf("%s: told %+v", way, w.heard)
				}
			}
		})
	}
}

// Scenario 160: rows from before there were indexes stand in none. The first start reaches them all, once; then they rise like others, and
// those marked legacy stay so.
func TestOlderFormat(t *testing.T) {
	w := closedWorld(t)
	alice, phone := w.alice()
	sessions := make([]*testkit.Outbound, 300)
	for i := range sessions {
		sessions[i] = w.kit.Outbound()
		c := w.direct(phone, sessions[i], sender.UnknownDevice)
		c.Legacy = true
		w.plant(c)
		row := record.CopyRow(c)
		w.commit(store.Batch{Ops: []store.Op{{Table: store.Copies, Key: row.Key, Expect: 1, Value: row.Value}}})
	}
	l := &ledger{}
	w.wrap = l.over
	w.open()
	for i := range 300 {
		if row := rowAt(t, w, i); len(row.Index) == 0 {
			t.Fatalf("row %d stands in no index", i)
		}
	}
	l.reset()
	w.restart()
	if l.pages[store.Copies] != 0 {
		t.Error("the second start walks all copies again")
	}
	if result := w.answer(alice); result.RoomKeys != 300 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	for _, c := range w.copies() {
		if !c.Legacy || c.Current.Kind != sender.SenderUnverified {
			t.Fatalf("%+v, legacy %v", c.Current, c.Legacy)
		}
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 300 {
		t.Errorf("counted %d", counts.Total)
	}
}

func rowAt(t testing.TB, w *world, n int) store.Row {
	t.Helper()
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Copies, Limit: store.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	return rows[n]
}

// A room with more sessions than are kept in memory is loaded whole all the same: none is forgotten on the way and taken to be absent.
func TestLargeRoom(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	var messages [][]byte
	var events []sender.DecryptedOlmEvent
	for range 40 {
		session := w.kit.Outbound()
		events = append(events, w.event(phone, room, session))
		messages = append(messages, phone.Message(string(room), session, "hello"))
	}
	w.machine.ReceiveRoomKeys(events)
	w.restart()
	core.KeepSessions(w.machine, 8)
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	for i, message := range messages {
		info, err := w.machine.RoomEventEncryptionInfo(eventName(t, message))
		if err != nil || info.Verdict.Chosen == nil {
			t.Fatalf("session %d: %v", i, err)
		}
		w.wantCodes(message, but("unsigned_device"))
	}
	// Sessions that a server makes up in a loaded room take no room in memory; in one that is not loaded they make way.
	before := core.SessionsInMemory(w.machine)
	for i := range 200 {
		in := room
		if i%2 == 0 {
			in = "!elsewhere:example.org"
		}
		stranger := w.kit.Outbound()
		if _, err := w.machine.DecryptRoomEvent(context.Background(), phone.Message(string(in), stranger, "x"), in); err == nil {
			t.Fatal("shown")
		}
	}
	if after := core.SessionsInMemory(w.machine); after > before+101 {
		t.Errorf("%d sessions in memory, %d before", after, before)
	}
	core.KeepSessions(w.machine, 50)
	for range 100 {
		if _, err := w.machine.DecryptRoomEvent(context.Background(), phone.Message("!elsewhere:example.org", w.kit.Outbound(), "x"), "!elsewhere:example.org"); err == nil {
			t.Fatal("shown")
		}
	}
	if after := core.SessionsInMemory(w.machine); after > 2*before+101 {
		t.Errorf("%d sessions in memory, %d before", after, before)
	}
	w.wantCodes(messages[0], but("unsigned_device"))
}
