package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Two machines over one store, as two tabs have them, without a word between them: what one does never undoes what the other did.

// F18, I14: both receive the same key at once, each with something the other has not. The join of both is stored, in either order of commits.
func TestSameKeyInTwoTabs(t *testing.T) {
	for _, firstCommits := range []int{0, 1} {
		one := newWorld(t)
		alice, phone := one.alice()
		session := one.kit.Outbound()
		two := one.tab()
		// One knows Alice; the other gets the key from an earlier index.
		one.answer(alice)
		session.SkipTo(7)
		one.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{one.event(phone, room, session)})
		session.SkipTo(2)
		two.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{two.event(phone, room, session)})
		tabs := []*world{one, two}
		tabs[firstCommits].flush()
		tabs[1-firstCommits].flush()
		stored := one.copy()
		if stored.Session.FirstKnownIndex() != 2 || stored.Current.Kind != sender.SenderUnverified {
			t.Errorf("begins at %d, %v", stored.Session.FirstKnownIndex(), stored.Current.Kind)
		}
		if counts, _ := one.machine.RoomKeyCounts(context.Background()); counts.Total != 1 {
			t.Errorf("counted %d", counts.Total)
		}
	}
}

// F19: one raises the sender data while the other lowers the index, each on what it read before the other wrote: both stay.
func TestRiseAndBetterRatchet(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	session := one.kit.Outbound()
	session.SkipTo(9)
	one.kept(one.event(phone, room, session))
	two := one.tab()
	for _, w := range []*world{one, two} {
		if err := w.machine.LoadRoom(context.Background(), room); err != nil {
			t.Fatal(err)
		}
	}
	session.SkipTo(1)
	two.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{two.event(phone, room, session)})
	one.answer(alice)
	two.flush()
	stored := one.copy()
	if stored.Session.FirstKnownIndex() != 1 || stored.Current.Kind != sender.SenderUnverified {
		t.Errorf("begins at %d, %v", stored.Session.FirstKnownIndex(), stored.Current.Kind)
	}
	// And the tab that lowered the index sees the rise, for its write has shown it.
	two.wantCodes(phone.Message(string(room), session, "hello"), shownUnsure)
}

// What one tab discarded the other does not bring back with what it still has in memory.
func TestDiscardedInAnotherTab(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	session := one.kit.Outbound()
	one.kept(one.event(phone, room, session))
	two := one.tab()
	if err := two.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	one.answer(alice)
	if len(one.copies()) != 0 {
		t.Fatal("not discarded")
	}
	two.answer(alice)
	two.flush()
	if len(two.copies()) != 0 {
		t.Error("the other tab has brought it back")
	}
	two.wantCodes(phone.Message(string(room), session, "hello"), hidden("tampered"))
}

// An answer that another tab was faster to apply is news for this tab all the same: it finds the rows newer than what it has in memory.
func TestAnswerThatAnotherTabApplied(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	session := one.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	one.kept(one.event(phone, room, session, testkit.WithoutDeviceKeys))
	two := one.tab()
	if err := two.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	two.wantCodes(message, but("unknown_device"))

	one.answer(alice)
	two.answer(alice)
	if kept := two.kept(two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("a key received afterwards: %v", kept.Current.Kind)
	}
	// The synchronous question is not answered from what was missed.
	two.machine.SetTrustRequirement(policy.CrossSigned)
	if info, err := two.machine.RoomEventEncryptionInfo(eventName(t, message)); err == nil && !info.Verdict.Shown {
		t.Errorf("answered as before: %+v", info.Verdict)
	} else if err != nil && codeOf(t, err) != core.CodeSessionNotLoaded {
		t.Error(err)
	}
	two.wantCodes(message, shownUnsure)

	// The same of our own verification: everybody's standing rests on it.
	one.me.Verifies(alice)
	one.verifyMe()
	one.answer(alice)
	two.answer(one.me, alice)
	if kept := two.kept(two.event(phone, room, two.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderVerified {
		t.Errorf("after our verification in the other tab: %v", kept.Current.Kind)
	}
	two.wantCodes(message, shownToAll)
}

// F47: a verdict asked for before and after another tab learned more. What the other tab wrote is seen as soon as this one is told, and never
// less than before.
func TestVerdictAfterAnotherTab(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	session := one.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	one.kept(one.event(phone, room, session))
	two := one.tab()
	one.machine.MeetPeers()
	var told []core.PeerNews
	one.heard.told = func(news core.PeerNews) { told = append(told, news) }
	two.wantCodes(message, but("unsigned_device"))
	one.answer(alice)
	for _, news := range told {
		if err := two.machine.HearPeers(context.Background(), news); err != nil {
			t.Fatal(err)
		}
	}
	two.wantCodes(message, shownUnsure)
}

// T24 across tabs: both gave the same index away before either wrote. The first commit keeps it; afterwards both say the same, and so does
// the next start.
func TestReplayInTwoTabs(t *testing.T) {
	one := newWorld(t)
	alice, phone := one.alice()
	one.answer(alice)
	session := one.kit.Outbound()
	one.kept(one.event(phone, room, session))
	two := one.tab()
	message := phone.Message(string(room), session, "hello")
	replay := changed(t, message, testkit.Set("event_id", "$replay"))
	for w, event := range map[*world][]byte{one: message, two: replay} {
		w.machine.SetTrustRequirement(policy.CrossSigned)
		if _, err := w.machine.DecryptRoomEvent(context.Background(), event, room); err != nil {
			t.Fatal(err)
		}
	}
	one.flush()
	two.flush()
	one.restart()
	for _, w := range []*world{one, two} {
		w.wantCodes(message, shownUnsure)
		w.wantCodes(replay, hidden("replayed"))
	}
}

// F18, and the law behind all of it: any number of tabs do any of the same things in any interleaving, on threads of their own. The store ends
// in one state, and with the right counters.
func TestTabsAtOnce(t *testing.T) {
	var want string
	for round := range 8 {
		one := closedWorld(t)
		one.kit = testkit.New("tabs at once")
		one.me = one.kit.User("@me:example.org")
		one.mine = one.me.Device("MYDEVICE")
		one.open()
		alice, phone := one.alice()
		sessions := make([]*testkit.Outbound, 10)
		for i := range sessions {
			sessions[i] = one.kit.Outbound()
		}
		answer := one.kit.KeysQuery(alice)
		events := make([][]sender.DecryptedOlmEvent, 3)
		for tab := range events {
			for i, session := range sessions {
				session.SkipTo(uint32((tab + i) % 3))
				events[tab] = append(events[tab], one.event(phone, room, session, testkit.WithoutDeviceKeys))
			}
		}
		tabs := []*world{one, one.tab(), one.tab()}
		var wait sync.WaitGroup
		for n, w := range tabs {
			wait.Go(func() {
				for i := range events[n] {
					w.machine.ReceiveRoomKeys(events[n][i : i+1])
					if i == 3+n {
						if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), answer, ""); err != nil {
							t.Error(err)
						}
					}
					if err := w.machine.Flush(context.Background()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wait.Wait()
		for _, w := range tabs {
			if err := w.machine.Close(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		one.open()
		one.answer(alice)
		var got string
		for _, c := range one.copies() {
			got += fmt.Sprintf("%s %d %+v\n", c.SessionID, c.Session.FirstKnownIndex(), c.Current)
		}
		if counts, _ := one.machine.RoomKeyCounts(context.Background()); counts.Total != 10 {
			t.Errorf("round %d: counted %d", round, counts.Total)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("round %d ends elsewhere:\n%s", round, difference(want, got))
		}
	}
}

// A second tab that meets a store which lies about conflicts gives up, in a typed way, and keeps what it has.
func TestEndlessConflicts(t *testing.T) {
	w := closedWorld(t)
	w.wrap = func(under store.Store) store.Store { return liar{under} }
	if err := w.tryOpen(); err == nil || codeOf(t, err) != store.CodeConflict {
		t.Fatalf("the note of the first start: %v", err)
	}
	_, phone := w.alice()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	if err := w.machine.Flush(context.Background()); err == nil || codeOf(t, err) != store.CodeConflict {
		t.Errorf("%v", err)
	}
	if err := w.trustMe(); err == nil {
		t.Error("trusted an identity that nobody knows")
	}
	if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(w.me), ""); err == nil || codeOf(t, err) != store.CodeConflict {
		t.Errorf("%v", err)
	}
	if _, err := w.machine.DecryptRoomEvent(context.Background(), message, room); err != nil {
		t.Errorf("in memory it is of use: %v", err)
	}
}

type liar struct{ store.Store }

func (liar) Commit(_ context.Context, b store.Batch) error {
	var conflicts []store.Conflict
	for _, op := range b.Ops {
		conflicts = append(conflicts, store.Conflict{Table: op.Table, Key: op.Key, Expect: op.Expect, Got: op.Expect + 1})
	}
	return store.NewConflict(conflicts)
}

// F18, F21: given a tab that follows and marks a list outdated while the leading one has just asked for that user, when the answer comes, then it counts as
// one from before: the leader asks again at once, and then both know the list to be up to date.
func TestListMarkedWhileTheLeaderAsks(t *testing.T) {
	leader, server := connected(t)
	follower := leader.tab()
	follower.machine.FollowLanes(true)
	for _, tabs := range [][2]*world{{leader, follower}, {follower, leader}} {
		from, to := tabs[0], tabs[1]
		from.machine.MeetPeers()
		from.heard.told = func(news core.PeerNews) {
			if err := to.machine.HearPeers(context.Background(), news); err != nil {
				t.Error(err)
			}
		}
	}
	alice, phone := leader.alice()
	leader.settle(leader.event(phone, room, leader.kit.Outbound(), testkit.WithoutDeviceKeys)) // in vain: the server does not know her yet
	before, marked := server.requests(), false
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) {
		answer := server.kit.KeysQuery(alice)
		if !marked {
			marked = true
			if err := follower.machine.TrackUsers(context.Background(), []ids.UserID{ids.UserID(alice.ID)}); err != nil {
				t.Error(err)
			}
		}
		return answer, nil
	}
	leader.machine.Nudge()
	for pass, want := range []int{1, 2, 2} {
		leader.retry()
		if got := server.requests() - before; got != want {
			t.Errorf("after pass %d: %d requests, want %d", pass, got, want)
		}
	}
	for name, tab := range map[string]*world{"the leader": leader, "the follower": follower} {
		outdated := tab.machine.OutdatedUsers()
		for deadline := time.Now().Add(10 * time.Second); len(outdated) != 0 && time.Now().Before(deadline); outdated = tab.machine.OutdatedUsers() {
			time.Sleep(time.Millisecond) // the goroutine of the request may have yet to tell
		}
		if len(outdated) != 0 {
			t.Errorf("%s has %v for outdated", name, outdated)
		}
	}
}
