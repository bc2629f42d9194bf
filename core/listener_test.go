package core_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// The listener, and calls that overlap.

// meddler calls the machine from inside every report.
type meddler struct {
	*heard
	meddle func(what string)
	depth  int
	order  []string
}

func (m *meddler) told(what string) {
	m.order = append(m.order, what)
	if m.depth++; m.depth > 1 {
		m.order = append(m.order, "nested")
	}
	m.meddle(what)
	m.depth--
}

func (m *meddler) RoomKeysUpdated(k []core.RoomKeyInfo) {
	m.heard.RoomKeysUpdated(k)
	m.told("keys")
}

func (m *meddler) SenderDataUpdated(u []core.SenderDataUpdate) {
	m.heard.SenderDataUpdated(u)
	m.told("updates")
}

func (m *meddler) StoreReported(r core.StoreReport) {
	m.heard.StoreReported(r)
	m.told("reports")
}

// F31: a host that calls the machine from inside its listener, synchronous methods and others: nothing hangs, what it is told has been
// committed, and nothing overtakes anything.
func TestListenerCallsBack(t *testing.T) {
	w := closedWorld(t)
	m := &meddler{heard: &w.heard}
	w.listener = m
	m.meddle = func(string) {}
	w.open()
	alice, phone := w.alice()
	_, hers := w.mallory()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	meddled := 0
	m.meddle = func(what string) {
		if meddled++; meddled > 20 {
			return
		}
		ctx := context.Background()
		if len(w.copies()) == 0 {
			t.Errorf("%s were told before they were stored", what)
		}
		w.machine.SetTrustRequirement(w.machine.TrustRequirement())
		w.machine.OutdatedUsers()
		w.machine.Identity("@alice:example.org")
		w.machine.QueryKeysForUsers([]ids.UserID{"@alice:example.org"})
		if _, err := w.machine.RoomKeyCounts(ctx); err != nil {
			t.Error(err)
		}
		if _, err := w.machine.DecryptRoomEvent(ctx, message, room); err != nil {
			t.Error(err)
		}
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(hers, room, w.kit.Outbound())})
		if meddled == 1 {
			if err := w.machine.Flush(ctx); err != nil {
				t.Error(err)
			}
			w.answer(alice)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.kept(w.event(phone, room, session))
		w.answer(alice)
		w.flush()
		w.flush()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		buffer := make([]byte, 1<<16)
		t.Fatalf("it hangs:\n%s", buffer[:runtime.Stack(buffer, true)])
	}
	if len(m.order) < 3 || m.order[0] != "keys" {
		t.Errorf("told %v", m.order)
	}
	for _, what := range m.order {
		if what == "nested" {
			t.Errorf("one report in the middle of another: %v", m.order)
		}
	}
	seen := map[string]bool{}
	for _, key := range w.heard.keys {
		if seen[key.SessionID.String()] {
			t.Error("a key was told twice")
		}
		seen[key.SessionID.String()] = true
	}
}

// F31, F35: reports of damaged rows come when nothing is half done, and may be answered with calls.
func TestReportsCallBack(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	w.kept(w.event(phone, room, w.kit.Outbound()))
	w.rot(store.Copies, rowOf(t, w, 0).Key, []byte("rot"))
	m := &meddler{heard: &w.heard}
	w.listener = m
	m.meddle = func(string) {
		if w.machine != nil {
			w.machine.OutdatedUsers()
			if _, err := w.machine.Explain(context.Background(), room, sessionID(t, session.ID())); err != nil {
				t.Error(err)
			}
		}
	}
	w.restart()
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	if len(w.heard.reports) != 1 {
		t.Errorf("%d reports", len(w.heard.reports))
	}
}

// A listener that panics takes its call with it, and no other (F32).
func TestListenerPanics(t *testing.T) {
	w := closedWorld(t)
	m := &meddler{heard: &w.heard, meddle: func(string) {}}
	w.listener = m
	w.open()
	_, phone := w.alice()
	m.meddle = func(string) { panic("the host") }
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
		_ = w.machine.Flush(context.Background())
	}()
	m.meddle = func(string) {}
	m.depth = 0
	w.kept(w.event(phone, room, w.kit.Outbound()))
	if len(w.copies()) != 2 {
		t.Errorf("%d copies", len(w.copies()))
	}
}

// slow is a store, and a verifier, that let others run before and after every call.
type slow struct{ store.Store }

func pause() {
	for range 3 {
		runtime.Gosched()
	}
	time.Sleep(50 * time.Microsecond)
}

func (s slow) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	pause()
	defer pause()
	return s.Store.Get(ctx, table, keys)
}

func (s slow) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	pause()
	defer pause()
	return s.Store.Pages(ctx, queries...)
}

func (s slow) Commit(ctx context.Context, b store.Batch) error {
	pause()
	defer pause()
	return s.Store.Commit(ctx, b)
}

type slowVerifier struct{ keys.Go }

func (v slowVerifier) Verify(ctx context.Context, checks []keys.Check) ([]bool, error) {
	pause()
	defer pause()
	return v.Go.Verify(ctx, checks)
}

// Promise-form calls overlap with one another and with synchronous ones, over a slow store and a slow verifier. Nothing hangs or races, every
// key is stored once, every event is decided on what was known, and the end is that of any order.
func TestOverlappingCalls(t *testing.T) {
	w := closedWorld(t)
	w.wrap = func(under store.Store) store.Store { return slow{under} }
	w.verifier = slowVerifier{}
	w.policy = policy.Untrusted
	w.listener = &locked{}
	w.open()
	alice, phone := w.alice()
	tablet := alice.Device("TABLET")
	mallory, hers := w.mallory()
	w.mine.CrossSigned()
	w.me.Verifies(alice)
	const sessions = 24
	var (
		made     []*testkit.Outbound
		events   []sender.DecryptedOlmEvent
		messages [][]byte
	)
	for i := range sessions {
		session := w.kit.Outbound()
		from := []*testkit.Device{phone, tablet, hers}[i%3]
		messages = append(messages, from.Message(string(room), session, fmt.Sprint(i)))
		session.SkipTo(0)
		events = append(events, w.event(from, room, session, testkit.WithoutDeviceKeys))
		made = append(made, session)
	}
	answers := [][]byte{w.kit.KeysQuery(alice), w.kit.KeysQuery(w.me), w.kit.KeysQuery(mallory), w.kit.KeysQuery(alice, mallory, w.me)}
	ctx := context.Background()
	var wait sync.WaitGroup
	var received atomic.Int32
	run := func(n int, f func(i int)) {
		wait.Go(func() {
			for i := range n {
				f(i)
			}
		})
	}
	check := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	run(sessions, func(i int) {
		if r := w.machine.ReceiveRoomKeys(events[i : i+1]); r.Receipts[0].Err != nil {
			t.Error(r.Receipts[0].Err)
		}
		received.Add(1)
		if i%4 == 3 {
			check(w.machine.Flush(ctx))
		}
	})
	run(8, func(i int) {
		_, err := w.machine.ReceiveKeysQueryResponse(ctx, answers[i%len(answers)], "")
		check(err)
	})
	run(sessions, func(i int) {
		for received.Load() <= int32(i) {
			runtime.Gosched()
		}
		event, err := w.machine.DecryptRoomEvent(ctx, messages[i], room)
		if err != nil || body(t, event) != fmt.Sprint(i) {
			t.Errorf("message %d: %v", i, err)
		}
	})
	run(30, func(i int) {
		w.machine.SetTrustRequirement(policy.Untrusted)
		w.machine.OutdatedUsers()
		w.machine.Identity("@alice:example.org")
		if i%10 == 0 {
			check(w.machine.LoadRoom(ctx, room))
		}
		if _, err := w.machine.RoomEventEncryptionInfo(eventName(t, messages[i%sessions])); err != nil {
			codeOf(t, err)
		}
		runtime.Gosched()
	})
	run(6, func(i int) {
		_, err := w.machine.Explain(ctx, room, sessionID(t, made[i].ID()))
		check(err)
		check(w.machine.ReceiveDeviceLists(ctx, []ids.UserID{"@alice:example.org"}, nil))
		check(w.machine.Flush(ctx))
		check(w.machine.Resume(ctx))
	})
	wait.Wait()
	check(w.trustMe())
	check(w.machine.Close(ctx))

	w.wrap, w.verifier, w.listener = nil, nil, nil
	w.open()
	if counts, _ := w.machine.RoomKeyCounts(ctx); counts.Total != sessions || len(w.copies()) != sessions {
		t.Errorf("counted %d, stored %d", counts.Total, len(w.copies()))
	}
	for _, c := range w.copies() {
		want := sender.SenderVerified
		switch {
		case c.OlmUser == "@mallory:example.org":
			want = sender.SenderUnverified
		case c.SenderKey.String() == tablet.Curve25519():
			want = sender.DeviceInfo
		}
		if c.Current.Kind != want {
			t.Errorf("%s's %s is %v", c.OlmUser, c.SenderKey, c.Current.Kind)
		}
	}
	for _, message := range messages {
		w.wantCodes(changed(t, message, testkit.Set("event_id", "$replay")), hidden("replayed"))
	}
}

// locked is a listener for threads.
type locked struct {
	sync.Mutex
	heard
}

func (l *locked) RoomKeysUpdated(k []core.RoomKeyInfo) {
	l.Lock()
	defer l.Unlock()
	l.heard.RoomKeysUpdated(k)
}

func (l *locked) SenderDataUpdated(u []core.SenderDataUpdate) {
	l.Lock()
	defer l.Unlock()
	l.heard.SenderDataUpdated(u)
}

// A synchronous call does not wait for the store: while a commit is under way keys are received, and verdicts given.
func TestSynchronousWhileCommitting(t *testing.T) {
	w := closedWorld(t)
	gate := &gated{}
	w.wrap = func(under store.Store) store.Store {
		gate.Store = under
		return gate
	}
	w.open()
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	gate.entered, gate.release = make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() { done <- w.machine.Flush(context.Background()) }()
	<-gate.entered
	// The same session, better, and another one, while the first is on its way to the disk.
	better := w.kit.Outbound()
	if r := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, better), w.event(phone, room, session)}); r.Receipts[0].Copy == nil {
		t.Error(r.Receipts[0].Err)
	}
	w.machine.SetTrustRequirement(policy.Untrusted)
	close(gate.release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	gate.entered = nil
	w.flush()
	if len(w.copies()) != 2 {
		t.Errorf("%d copies", len(w.copies()))
	}
}

// gated holds the next commit.
type gated struct {
	store.Store
	entered, release chan struct{}
}

func (g *gated) Commit(ctx context.Context, b store.Batch) error {
	if g.entered != nil {
		close(g.entered)
		<-g.release
	}
	return g.Store.Commit(ctx, b)
}

// A caller that gives up: the call ends with its own error, and the machine goes on.
func TestCancelledCalls(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range map[string]func() error{
		"Flush": func() error { return w.machine.Flush(over) },
		"ReceiveKeysQueryResponse": func() error {
			_, err := w.machine.ReceiveKeysQueryResponse(over, w.kit.KeysQuery(alice), "")
			return err
		},
		"DecryptRoomEvent": func() error { _, err := w.machine.DecryptRoomEvent(over, message, room); return err },
		"LoadRoom":         func() error { return w.machine.LoadRoom(over, room) },
	} {
		if err := call(); err == nil {
			t.Errorf("%s went through", name)
		}
	}
	w.flush()
	w.answer(alice)
	w.wantCodes(message, shownUnsure)
}
