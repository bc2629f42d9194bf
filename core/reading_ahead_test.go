package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// sessionsOf has Alice's phone send so many room keys, and returns a message of each.
func (w *world) sessionsOf(phone *testkit.Device, n int) [][]byte {
	w.t.Helper()
	messages := make([][]byte, n)
	for i := range messages {
		session := w.kit.Outbound()
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session, testkit.WithoutDeviceKeys)})
		messages[i] = phone.Message(string(room), session, fmt.Sprint("message ", i))
	}
	w.flush()
	return messages
}

func (w *world) decryptsAll(messages ...[]byte) {
	w.t.Helper()
	for _, message := range messages {
		if _, err := w.decrypt(message, policy.CrossSigned); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Nothing is read for the messages of room keys that were just received, for the commit has told that nothing else is stored of their sessions.
func TestJustReceivedNothingIsRead(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	messages := w.sessionsOf(phone, 10)
	l.reset()
	w.decryptsAll(messages...)
	if l.reads != 0 {
		t.Errorf("%d transactions", l.reads)
	}

	// Given another copy of a session is stored already, then it is read.
	session := w.kit.Outbound()
	_, hers := w.mallory()
	w.kept(w.event(hers, room, session))
	w.restart()
	w.kept(w.event(phone, room, session))
	l.reset()
	w.decryptsAll(phone.Message(string(room), session, "of two copies"))
	if l.reads != 1 {
		t.Errorf("another copy: %d transactions", l.reads)
	}
}

// T06, T24: a session of which a tombstone is left may have taken indexes before. What was decrypted then is read.
func TestJustReceivedAfterADiscard(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	phone.NotCrossSigned().CorruptlyCrossSigned()
	if w.receive(w.event(phone, room, session)).Tombstone == nil {
		t.Fatal("no tombstone")
	}
	phone.NotCrossSigned().CrossSigned()
	w.restart()
	w.kept(w.event(phone, room, session))
	l.reset()
	w.decryptsAll(phone.Message(string(room), session, "hello"))
	if l.reads == 0 {
		t.Error("nothing was read")
	}
}

// After a restart the first sessions of a room are read one by one, then the room, if it is small.
func TestRoomIsReadAhead(t *testing.T) {
	for _, large := range []bool{false, true} {
		w, l, _ := countedWorld(t)
		alice, phone := w.alice()
		w.answer(alice)
		messages := w.sessionsOf(phone, 8)
		if large {
			w.sessionsOf(phone, core.SmallRoom)
		}
		w.restart()
		wantReads := func(what string, messages [][]byte, want int) {
			t.Helper()
			l.reset()
			w.decryptsAll(messages...)
			if l.reads != want {
				t.Errorf("large %v: %s: %d transactions, not %d", large, what, l.reads, want)
			}
		}
		wantReads("the first three", messages[:3], 3)
		if large {
			// It was tried once.
			wantReads("the fourth", messages[3:4], 8+1)
			wantReads("the others", messages[4:], 4)
		} else {
			wantReads("the fourth", messages[3:4], 1)
			wantReads("the others", messages[4:], 0)
		}
		wantReads("all once more", messages, 0)
		if large {
			// Asked for, it is read whatever its size, and kept.
			w.restart()
			l.reset()
			if err := w.machine.LoadRoom(context.Background(), room); err != nil || l.reads != 9+1 {
				t.Errorf("%d transactions, %v", l.reads, err)
			}
			core.KeepSessions(w.machine, 1)
			w.kept(w.event(phone, "!elsewhere:example.org", w.kit.Outbound()))
			wantReads("after LoadRoom", messages, 0)
		}
	}
}

// A timeline that is opened at once costs two transactions: the first event's, and one for all that were asked for meanwhile.
func TestTimelineIsReadTogether(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	messages := w.sessionsOf(phone, 40)
	w.verifier = nil
	waiting := &waiting{}
	w.wrap = func(under store.Store) store.Store {
		waiting.Store = l.over(under)
		return waiting
	}
	w.restart()
	w.machine.SetTrustRequirement(policy.CrossSigned)
	l.reset()
	waiting.until = make(chan struct{})
	var all sync.WaitGroup
	for _, message := range messages {
		all.Go(func() {
			if _, err := w.machine.DecryptRoomEvent(context.Background(), message, room); err != nil {
				t.Error(err)
			}
		})
	}
	core.WaitUntilWanted(w.machine, room, len(messages)-1)
	close(waiting.until)
	all.Wait()
	if l.reads != 2 {
		t.Errorf("%d transactions", l.reads)
	}
}

// waiting is a store whose pages wait.
type waiting struct {
	store.Store
	until chan struct{}
}

func (w *waiting) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	if w.until != nil {
		<-w.until
	}
	return w.Store.Pages(ctx, queries...)
}
