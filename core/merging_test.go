package core_test

import (
	"context"
	"fmt"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// The same session received more than once: which ratchet and which sender data a machine and its store end up with.

// Scenarios 85 to 93: ratchet better, equal or worse; sender data of the second delivery lower, equal or higher. The lower first index and
// the higher rank win, each by itself, in memory, in the store and after a restart.
func TestJoiningDeliveries(t *testing.T) {
	scenario := 85
	for _, index := range []uint32{1, 3, 5} { // the first delivery is at 3
		for _, second := range []sender.Kind{sender.UnknownDevice, sender.DeviceInfo, sender.SenderUnverified} { // the first is DeviceInfo
			t.Run(fmt.Sprintf("scenario %d: at %d, %v", scenario, index, second), func(t *testing.T) {
				w := newWorld(t)
				alice, phone := w.alice()
				session := w.kit.Outbound()
				receive := func(at uint32, kind sender.Kind) {
					session.SkipTo(at)
					hooks := []testkit.Hook{}
					if kind == sender.UnknownDevice {
						hooks = append(hooks, testkit.WithoutDeviceKeys)
					}
					w.kept(w.event(phone, room, session, hooks...))
				}
				receive(3, sender.DeviceInfo)
				if second == sender.SenderUnverified {
					// What is known of Alice comes between the two, without the answer that judges again: only her device.
					w.restart()
					alice.Devices = nil
					w.answer(alice)
				}
				receive(index, second)
				check := func(when string) {
					stored := w.copy()
					if stored.Session.FirstKnownIndex() != min(index, 3) {
						t.Errorf("%s: begins at %d", when, stored.Session.FirstKnownIndex())
					}
					if want := max(second, sender.DeviceInfo); stored.Current.Kind != want {
						t.Errorf("%s: %v, want %v", when, stored.Current.Kind, want)
					}
					if stored.AtReception.Kind != sender.DeviceInfo {
						t.Errorf("%s: at reception %v", when, stored.AtReception.Kind)
					}
				}
				check("at once")
				w.restart()
				check("after a restart")
				if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 1 {
					t.Errorf("counted %d", counts.Total)
				}
			})
			scenario++
		}
	}
}

// Scenarios 94 to 96 and 97, T27, I14, I18: another ratchet under the same session id never replaces the first, whatever its index and
// whatever is known of its sender; of the connected ones the lowest stays, in every order.
func TestUnconnectedRatchet(t *testing.T) {
	for scenario, kind := range map[int]sender.Kind{94: sender.UnknownDevice, 95: sender.DeviceInfo, 96: sender.SenderUnverified} {
		t.Run(fmt.Sprintf("scenario %d: the second one %v", scenario, kind), func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			genuine := w.kit.Outbound()
			message := phone.Message(string(room), genuine, "the first word")
			var hooks []testkit.Hook
			genuine.SkipTo(0)
			w.kept(w.event(phone, room, genuine))
			if kind == sender.UnknownDevice {
				hooks = append(hooks, testkit.WithoutDeviceKeys)
			} else if kind == sender.SenderUnverified {
				w.answer(alice)
			}
			// Only who made the session can sign another ratchet for it.
			other := w.kit.Outbound()
			other.Private = genuine.Private
			for _, restart := range []bool{false, true} {
				before := contents(t, w.rows)
				if restart {
					w.restart()
				}
				receipt := w.receive(w.event(phone, room, other, hooks...))
				if !restart && (receipt.Copy != nil || codeOf(t, receipt.Err) != sender.ReasonUnconnected) {
					t.Errorf("the second ratchet was received as %v, %v", receipt.Copy, receipt.Err)
				}
				if restart && (len(w.heard.reports) != 1 || w.heard.reports[0].Code != core.CodeRoomKeyConflict) {
					t.Errorf("the conflict with what is stored was told as %v", w.heard.reports)
				}
				if contents(t, w.rows) != before {
					t.Error("the second ratchet has changed the store")
				}
				event, err := w.decrypt(message, policy.Untrusted)
				if err != nil || body(t, event) != "the first word" {
					t.Errorf("the message of the first ratchet: %v", err)
				}
				if _, err := w.decrypt(phone.Message(string(room), other, "second"), policy.Untrusted); err == nil {
					t.Error("a message of the second ratchet decrypts in the name of the first")
				}
			}
		})
	}
}

// T27: re-shared at 100 after 0, then at 0 again, in every order: from 0 on.
func TestSharedAgainLater(t *testing.T) {
	permutations([]uint32{0, 100, 7}, func(order []uint32) {
		w := newWorld(t)
		_, phone := w.alice()
		session := w.kit.Outbound()
		for _, index := range order {
			session.SkipTo(index)
			w.kept(w.event(phone, room, session))
		}
		if first := w.copy().Session.FirstKnownIndex(); first != 0 {
			t.Errorf("%v: begins at %d", order, first)
		}
	})
}

// Scenario 98: what was backed up is not the better ratchet that came later.
func TestBackupFlag(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	session.SkipTo(5)
	backedUp := *w.kept(w.event(phone, room, session))
	// Given a stored copy that lies in the backup, as the backup would have marked it.
	row := rowOf(t, w, 0)
	backedUp.BackedUp = true
	w.overwrite(&backedUp, row.Rev, map[string]int64{"backed_up": 1})
	w.restart()
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.BackedUp != 1 {
		t.Fatalf("%+v", counts)
	}
	// The same ratchet again leaves it there, a better one does not.
	w.kept(w.event(phone, room, session))
	if !w.copy().BackedUp {
		t.Error("the same ratchet took it out of the backup")
	}
	session.SkipTo(2)
	w.kept(w.event(phone, room, session))
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); w.copy().BackedUp || counts.BackedUp != 0 || counts.Total != 1 {
		t.Errorf("a better ratchet counts as backed up: %+v", counts)
	}
}

// Scenario 99, scenario 100, T34, T36: a claimed copy and a direct one, in both orders and with both relations of their indexes. They lie side by
// side, provenance survives, and the direct one speaks for the session.
func TestClaimsAndDirectCopies(t *testing.T) {
	for _, claimFirst := range []bool{true, false} {
		for _, at := range []struct{ claim, direct uint32 }{{0, 3}, {3, 3}, {3, 0}} {
			t.Run(fmt.Sprintf("scenario 99: claim first %v, %+v", claimFirst, at), func(t *testing.T) {
				w := newWorld(t)
				_, phone := w.alice()
				session := w.kit.Outbound()
				plant := func() { w.plant(w.claimed(phone, session, at.claim)) }
				if claimFirst {
					plant()
					w.restart()
				}
				session.SkipTo(at.direct)
				w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
				if !claimFirst {
					plant()
					w.restart()
				}
				stored := w.copies()
				if len(stored) != 2 || stored[0].Provenance != sender.Claimed || stored[1].Provenance != sender.Direct {
					t.Fatalf("%d copies", len(stored))
				}
				if !stored[0].Legacy || stored[1].Legacy || stored[0].Session.FirstKnownIndex() != at.claim || stored[1].Session.FirstKnownIndex() != at.direct {
					t.Error("one has taken something of the other")
				}
				// T38, decision 12: what the direct copy hides the claim does not wash.
				session.SkipTo(4)
				w.wantCodes(phone.Message(string(room), session, "hello"), but("unknown_device"))
			})
		}
	}
	t.Run("scenario 100: an invented ratchet came first", func(t *testing.T) {
		w := newWorld(t)
		alice, phone := w.alice()
		session, invented := w.kit.Outbound(), w.kit.Outbound()
		invented.Private = session.Private
		w.plant(w.claimed(phone, invented, 0))
		w.answer(alice)
		session.SkipTo(3)
		w.kept(w.event(phone, room, session))
		w.wantCodes(phone.Message(string(room), session, "hello"), shownUnsure)
		if stored := w.copies(); len(stored) != 2 {
			t.Errorf("%d copies", len(stored))
		}
	})
}

// T38: the washing that a host may switch on, and does not get unless it does.
func TestWashing(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.plant(w.claimed(phone, session, 0))
	early := phone.Message(string(room), session, "early")
	session.SkipTo(3)
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	w.wantCodes(early, but("unknown_device"))
	w.overruled = true
	w.restart()
	w.wantCodes(early, verdicts{"shown", "shown", "unknown_device", "unknown_device"})
	event, err := w.decrypt(early, policy.CrossSignedOrLegacy)
	if err != nil || !event.Info.Verdict.Washed {
		t.Errorf("shown without saying that it was washed: %v", err)
	}
}

// T16: Mallory sends Alice's own session on as hers, before Alice's arrives or after. Alice's events are Alice's in either order, and the
// verdict says that the session has two owners; an event that claims Mallory is caught by the message index.
func TestSessionSentOn(t *testing.T) {
	for _, malloryFirst := range []bool{true, false} {
		w := newWorld(t)
		alice, phone := w.alice()
		mallory, hers := w.mallory()
		w.answer(alice, mallory)
		session := w.kit.Outbound()
		message := phone.Message(string(room), session, "mine")
		session.SkipTo(0)
		deliveries := []sender.DecryptedOlmEvent{w.event(phone, room, session), w.event(hers, room, session)}
		if malloryFirst {
			deliveries[0], deliveries[1] = deliveries[1], deliveries[0]
		}
		for _, delivery := range deliveries {
			w.kept(delivery)
		}
		if len(w.copies()) != 2 {
			t.Fatalf("%d copies", len(w.copies()))
		}
		event, err := w.decrypt(message, policy.CrossSigned)
		if err != nil {
			t.Fatal(err)
		}
		if event.Info.Verdict.Chosen.OlmUser != "@alice:example.org" || !event.Info.Verdict.AmbiguousOwner {
			t.Errorf("judged on %s's copy, ambiguous %v", event.Info.Verdict.Chosen.OlmUser, event.Info.Verdict.AmbiguousOwner)
		}
		// Served as Mallory's under another event id it is a replay, whatever the policy.
		w.wantCodes(retold(t, message, "@mallory:example.org", "$another"), hidden("replayed"))
		w.restart()
		w.wantCodes(message, shownUnsure)
	}
}

// T26: one session key, two rooms. Each room has its own copy, and events of one do not use the other's.
func TestRelabelledRoom(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.answer(alice, mallory)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "here")
	session.SkipTo(0)
	w.kept(w.event(hers, "!other:example.org", session))
	w.wantCodes(message, hidden("no_key"))
	// The ciphertext served in the other room names the room it was made for.
	moved := phone.Message("!other:example.org", session, "unused")
	w.machine.SetTrustRequirement(policy.Untrusted)
	_, err := w.machine.DecryptRoomEvent(context.Background(), relabelled(t, message, moved), "!other:example.org")
	if err == nil || codeOf(t, err) != "wrong_room" {
		t.Errorf("the moved event: %v", err)
	}
	session.SkipTo(0)
	w.kept(w.event(phone, room, session))
	w.wantCodes(message, shownUnsure)
	if len(w.copies()) != 2 {
		t.Errorf("%d copies", len(w.copies()))
	}
}

// Scenario 102, F19: a copy rises while another change of its row is under way: both stay.
func TestConcurrentRise(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	session := w.kit.Outbound()
	session.SkipTo(5)
	kept := w.kept(w.event(phone, room, session))
	// Given somebody has marked the row as backed up since we read it.
	backedUp := *kept
	backedUp.BackedUp = true
	w.overwrite(&backedUp, 1, map[string]int64{"backed_up": 1})
	w.answer(alice)
	if stored := w.copy(); !stored.BackedUp || stored.Current.Kind != sender.SenderUnverified {
		t.Errorf("backed up %v, %v", stored.BackedUp, stored.Current.Kind)
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.BackedUp != 1 || counts.Total != 1 {
		t.Errorf("%+v", counts)
	}
}

// F23, I14: room keys, answers and our own verification in every order end in the same state of the same copies.
func TestOrderOfArrival(t *testing.T) {
	results := map[string][]string{}
	n := 0
	permutations([]string{"key", "worse key", "embedded key", "alice", "me", "mallory's"}, func(order []string) {
		if n++; n%(sparsely+1) != 0 {
			return
		}
		w := closedWorld(t)
		w.kit = testkit.New("order of arrival") // the same people in every order
		w.me = w.kit.User("@me:example.org")
		w.mine = w.me.Device("MYDEVICE").CrossSigned()
		w.open()
		alice, phone := w.alice()
		_, hers := w.mallory()
		w.me.Verifies(alice)
		session := w.kit.Outbound()
		for _, step := range order {
			switch step {
			case "key":
				session.SkipTo(1)
				w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
			case "worse key":
				session.SkipTo(7)
				w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
			case "embedded key":
				session.SkipTo(3)
				w.kept(w.event(phone, room, session))
			case "mallory's":
				session.SkipTo(2)
				w.kept(w.event(hers, room, session))
			case "alice":
				w.answer(alice)
			case "me":
				w.answer(w.me)
				if err := w.trustMe(); err != nil {
					t.Fatal(err)
				}
			}
		}
		var end string
		for _, c := range w.copies() {
			end += fmt.Sprintf("%s %s %d %+v %v %v;", c.SenderKey, c.OlmUser, c.Session.FirstKnownIndex(), c.Current, c.Legacy, c.Suspended)
		}
		results[end] = order
	})
	if len(results) != 1 {
		t.Errorf("%d different ends", len(results))
		for end, order := range results {
			t.Logf("%v: %s", order, end)
		}
	}
}

// A room key for a session that is kept as another device's under the same Olm key is refused: one of the two is not what it claims (I5).
func TestOtherOwner(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	_, desk := w.mallory()
	event := w.event(desk, room, session, testkit.WithoutDeviceKeys)
	event.SenderKey = phone.Curve25519()
	receipt := w.receive(event)
	if receipt.Copy != nil || codeOf(t, receipt.Err) != sender.ReasonOtherOwner {
		t.Fatalf("%v, %v", receipt.Copy, receipt.Err)
	}
}
