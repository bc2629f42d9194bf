package core_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// What falls between two tabs: one learns of a sender and judges what is stored, the other has received and not yet stored, or has stored and
// not yet heard. Whoever is still alive judges it, and each tab tells each change once.

// peers is two tabs; what each tells is handed to the other by deliver.
func peers(t *testing.T, one *world) (two *world, deliver func()) {
	two = one.tab()
	one.machine.MeetPeers()
	two.machine.MeetPeers()
	var toOne, toTwo []core.PeerNews
	one.heard.told = func(news core.PeerNews) { toTwo = append(toTwo, news) }
	two.heard.told = func(news core.PeerNews) { toOne = append(toOne, news) }
	hear := func(w *world, untold *[]core.PeerNews) {
		for len(*untold) > 0 {
			news := (*untold)[0]
			*untold = (*untold)[1:]
			if err := w.machine.HearPeers(context.Background(), news); err != nil {
				t.Fatal(err)
			}
		}
	}
	return two, func() {
		for len(toOne)+len(toTwo) > 0 {
			hear(two, &toTwo)
			hear(one, &toOne)
		}
	}
}

func told(updates []core.SenderDataUpdate) (words []string) {
	for _, u := range updates {
		words = append(words, fmt.Sprint(u.Before.Kind, " ", u.After.Kind, " ", u.Because))
	}
	return words
}

// F18, F19: received here while another tab learned of the sender, of devices and of verification; stored before or after it was heard.
func TestReceivedWhileAnotherTabLearned(t *testing.T) {
	for _, verified := range []bool{false, true} {
		for _, heardFirst := range []bool{false, true} {
			t.Run(fmt.Sprintf("verified %v, heard before it is stored %v", verified, heardFirst), func(t *testing.T) {
				one := newWorld(t)
				alice, phone := one.alice()
				want := sender.SenderUnverified
				if verified {
					want = sender.SenderVerified
					one.me.Verifies(alice)
					one.answer(one.me, alice)
				}
				two, deliver := peers(t, one)
				two.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys)})
				if verified {
					one.verifyMe()
				} else {
					one.answer(alice)
				}
				if heardFirst {
					deliver()
				}
				two.flush()
				deliver()
				if got := one.copy().Current.Kind; got != want {
					t.Fatalf("stored as %v, want %v", got, want)
				}
				// What is told begins with what was stored, so where it was stored as it is there is nothing to tell.
				if changes := told(two.heard.updates); heardFirst && len(changes) != 0 || !heardFirst && len(changes) != 1 {
					t.Errorf("told %v", changes)
				}
			})
		}
	}
}

// Both tabs come to the same by themselves, and one finds that there is nothing left to write: it tells all the same, once.
func TestEveryTabTellsOnce(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	two, deliver := peers(t, one)
	two.kept(two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys))
	deliver()
	one.answer(alice)
	deliver()
	if got := fmt.Sprint(told(one.heard.updates)); got != "[UnknownDevice SenderUnverified keys_query]" {
		t.Errorf("the tab that asked told %v", got)
	}
	if got := fmt.Sprint(told(two.heard.updates)); got != "[UnknownDevice SenderUnverified other_tab]" {
		t.Errorf("the other told %v", got)
	}
}

// F04: the tab that received is gone before it heard. The retry lane judges what it left, and need not ask anybody.
func TestLeftUnjudgedByATabThatDied(t *testing.T) {
	one, server := connected(t)
	alice, phone := one.alice()
	two := one.tab()
	two.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys)})
	one.answer(alice)
	two.flush()
	if got := one.copy().Current.Kind; got != sender.UnknownDevice {
		t.Fatalf("stored as %v: the story is about something else", got)
	}
	one.retry()
	if got := one.copy(); got.Current.Kind != sender.SenderUnverified || server.requests() != 0 {
		t.Errorf("%v after %d requests", got.Current.Kind, server.requests())
	}
}

// F04, F20: a leader is gone between what it learned and what that bears on. The tab that leads next finds the note and finishes the work,
// though it was open all the time.
func TestNextLeaderFinishesWhatWasBegun(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	one.kept(one.event(phone, room, one.kit.Outbound(), testkit.WithoutDeviceKeys))
	before := one.copy()
	two := one.tab()
	one.answer(alice)
	// The store as it was between the two commits.
	rows, err := one.rows.Get(context.Background(), store.Copies, []store.Key{record.CopyKey(before.CopyKey)})
	if err != nil {
		t.Fatal(err)
	}
	old := record.CopyRow(before)
	note := record.JudgeNoteRow(record.JudgeNote{
		Name: "begun", Because: string(core.BecauseKeysQuery),
		Parts: []record.JudgePart{{Index: store.IndexWaiting, Value: store.Key{string(ids.UserID(alice.ID))}}},
	})
	if err := one.rows.Commit(context.Background(), store.Batch{Ops: []store.Op{
		{Table: store.Copies, Key: old.Key, Expect: rows[0].Rev, Value: old.Value, Index: old.Index},
		{Table: store.Meta, Key: note.Key, Expect: store.AnyRev, Value: note.Value},
	}}); err != nil {
		t.Fatal(err)
	}
	if err := two.machine.HearPeers(context.Background(), core.PeerNews{Users: []ids.UserID{ids.UserID(alice.ID)}}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing left
		if err := two.machine.Resume(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if got := two.copy().Current.Kind; got != sender.SenderUnverified {
		t.Errorf("stored as %v", got)
	}
	left, err := store.Page(context.Background(), one.rows, store.Query{Table: store.Meta, Prefix: record.JudgeNotesPrefix()})
	if err != nil || len(left) != 0 {
		t.Errorf("%d notes left, %v", len(left), err)
	}
}

// A nudge right after another tab's question was answered in vain: its copy has no time of its own yet, and is asked about all the same.
func TestNudgeRightAfterAnotherTabsQuestion(t *testing.T) {
	one, server := connected(t)
	alice, phone := one.alice()
	two, deliver := peers(t, one)
	two.kept(two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys))
	deliver()
	if err := one.machine.HearPeers(context.Background(), core.PeerNews{Asked: []ids.UserID{ids.UserID(alice.ID)}}); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); server.requests() == 0 || one.machine.LaneCounts().Requests > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the question is not answered")
		}
	}
	server.knows(alice)
	*one.clock++
	one.machine.Nudge()
	one.retry()
	if got := one.copy().Current.Kind; got != sender.SenderUnverified || server.requests() != 2 {
		t.Errorf("%v after %d requests", got, server.requests())
	}
}

// A room key that comes to one tab, or becomes better there, is told in the other too, which may have looked for it in vain; a rise of its sender is no
// new key.
func TestRoomKeysOfAnotherTab(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	two, deliver := peers(t, one)
	session := one.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	two.wantCodes(message, verdicts{"no_key", "no_key", "no_key", "no_key"})
	shared := func(index uint32) {
		session.SkipTo(index)
		one.kept(one.event(phone, room, session))
		deliver()
	}
	for i, step := range []func(){
		func() { shared(1) },
		func() { one.answer(alice); deliver() },
		func() { shared(0) },
	} {
		step()
		if want := []int{1, 1, 2}[i]; len(two.heard.keys) != want {
			t.Fatalf("step %d: %d keys were told, want %d", i, len(two.heard.keys), want)
		}
	}
	if got := two.heard.keys[1]; got.RoomID != room || got.SessionID.String() != session.ID() {
		t.Errorf("%v was told", got)
	}
	two.wantCodes(message, shownUnsure)
}

// T06: a room is loaded in one tab while another discards the copy of a room key. From then on the tombstone speaks against a claim of the same session
// there too, whichever way the event is asked about.
func TestDiscardedInAnotherTabWhileTheRoomIsLoaded(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	session := one.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	one.plant(one.claimed(phone, session, 0))
	one.kept(one.event(phone, room, session))
	two, deliver := peers(t, one)
	if err := two.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	one.answer(alice)
	deliver()
	if info, err := two.machine.RoomEventEncryptionInfo(eventName(t, message)); err != nil || info.Verdict.Code != "tampered" {
		t.Errorf("its shield: %v, %v", info, err)
	}
	two.machine.SetTrustRequirement(policy.Untrusted)
	if _, err, is := atHand(two.machine, message); !is || err == nil || codeOf(t, err) != "tampered" {
		t.Errorf("from memory: %v", err)
	}
	two.wantCodes(message, hidden("tampered"))
}
