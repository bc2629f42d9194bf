package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// homeserver is the other side of /keys/query: it answers for the users it knows, or as a test wants.
type homeserver struct {
	kit   *testkit.Kit
	mu    sync.Mutex
	users map[ids.UserID]*testkit.User
	asked [][]ids.UserID
	// answer, when set, takes the place of the server.
	answer func(ctx context.Context, users []ids.UserID) ([]byte, error)
}

// Send implements lane.Fetcher.
func (h *homeserver) Send(ctx context.Context, request *lane.Request) ([]byte, error) {
	if request.Type == lane.KeysUpload {
		return []byte(`{"one_time_key_counts":{"signed_curve25519":50}}`), nil
	}
	users := queried(request)
	h.mu.Lock()
	h.asked = append(h.asked, users)
	answer := h.answer
	var known []*testkit.User
	for _, user := range users {
		if of := h.users[user]; of != nil {
			known = append(known, of)
		}
	}
	h.mu.Unlock()
	if answer != nil {
		return answer(ctx, users)
	}
	return h.kit.KeysQuery(known...), nil
}

// queried are the users a /keys/query asks about.
func queried(request *lane.Request) []ids.UserID {
	var body struct {
		DeviceKeys map[ids.UserID][]string `json:"device_keys"`
	}
	if err := json.Unmarshal(request.Body, &body); err != nil {
		panic(err)
	}
	return slices.Sorted(maps.Keys(body.DeviceKeys))
}

func (h *homeserver) knows(users ...*testkit.User) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, user := range users {
		h.users[ids.UserID(user.ID)] = user
	}
}

// requests counts the requests that name anybody but ourselves.
func (h *homeserver) requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, users := range h.asked {
		if len(users) > 1 || users[0] != "@me:example.org" {
			count++
		}
	}
	return count
}

// connected is a world with a homeserver.
func connected(t *testing.T) (*world, *homeserver) {
	t.Helper()
	w := newWorld(t)
	server := &homeserver{kit: w.kit, users: map[ids.UserID]*testkit.User{"@me:example.org": w.me}}
	w.fetcher = server
	w.restart()
	w.retry() // our own device list
	return w, server
}

// settle receives, stores and settles room keys.
func (w *world) settle(events ...sender.DecryptedOlmEvent) (*core.Reception, []core.Settled) {
	w.t.Helper()
	reception := w.machine.ReceiveRoomKeys(events)
	if err := w.machine.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	settled, err := w.machine.Settle(context.Background(), reception)
	if err != nil {
		w.t.Fatal(err)
	}
	return reception, settled
}

// retry is one pass of the retry lane; it returns when the next is due, from now.
func (w *world) retry() time.Duration {
	w.t.Helper()
	next, err := w.machine.Retry(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	return time.Duration(next-*w.clock) * time.Millisecond
}

// stored is the copy of a session as it lies in the store.
func (w *world) stored(session *testkit.Outbound) *sender.Copy {
	w.t.Helper()
	explained, err := w.machine.Explain(context.Background(), room, sessionID(w.t, session.ID()))
	if err != nil || len(explained.Copies) == 0 {
		w.t.Fatalf("the session is not stored: %v", err)
	}
	return explained.Copies[0].Copy
}

func TestScenario61FastLaneAsksNobody(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	w.answer(alice)
	before := server.requests()
	reception, settled := w.settle(w.event(phone, room, w.kit.Outbound()))
	if reception.Receipts[0].Lane != core.Fast || !settled[0].Known {
		t.Fatalf("lane %v, %+v", reception.Receipts[0].Lane, settled[0])
	}
	if server.requests() != before {
		t.Fatal("the fast lane has made a request")
	}
	if s := reception.Receipts[0].Copy.Schedule; s != (lane.Schedule{}) {
		t.Fatalf("scenario 69: a known sender has a schedule: %+v", s)
	}
}

func TestScenarios62And63SlowLane(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	server.knows(alice)
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) {
		once.Do(func() { close(arrived) }) // Mallory's device is asked for afterwards
		<-release
		return w.kit.KeysQuery(alice), nil
	}
	session := w.kit.Outbound()

	// When a key arrives whose device is not known, it is stored before anybody is asked.
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session, testkit.WithoutDeviceKeys)})
	if reception.Receipts[0].Lane != core.Slow || server.requests() != 0 {
		t.Fatalf("lane %v, %d requests", reception.Receipts[0].Lane, server.requests())
	}
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(dump(t, w.rows), session.ID()) {
		t.Fatal("the key is not in the store")
	}
	// And while the server is asked, other keys come and go (scenario 83).
	done := make(chan []core.Settled)
	go func() {
		settled, _ := w.machine.Settle(context.Background(), reception)
		done <- settled
	}()
	<-arrived
	mallory := w.kit.User("@mallory:example.org")
	w.kept(w.event(mallory.Device("DESK"), room, w.kit.Outbound()))
	close(release)
	if settled := <-done; !settled[0].Known || settled[0].Data.Kind != sender.SenderUnverified {
		t.Fatalf("settled as %+v", settled[0])
	}
	if len(w.heard.updates) != 1 || w.heard.updates[0].Because != core.BecauseKeysQuery {
		t.Fatalf("listeners heard %+v", w.heard.updates)
	}
}

func TestScenario64HandedToRetry(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()

	// Given a server that does not know the device yet, the key is handed over: one try, and a time for the next.
	_, settled := w.settle(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	if settled[0].Known || server.requests() != 1 {
		t.Fatalf("%+v after %d requests", settled[0], server.requests())
	}
	schedule := w.stored(session).Schedule
	if wait := schedule.Next - *w.clock; schedule.Tries != 1 || wait < 14_000 || wait > 18_000 {
		t.Fatalf("handed over with %+v, %d ms from now", schedule, wait)
	}
	// Too early, nothing happens; after a restart, in time, the retry lane goes on where the slow lane stopped.
	w.retry()
	if server.requests() != 1 {
		t.Fatal("asked again too early")
	}
	w.restart()
	*w.clock = schedule.Next
	if next := w.retry(); server.requests() != 2 || next < 25*time.Second || next > 37*time.Second {
		t.Fatalf("%d requests, next in %v", server.requests(), next)
	}
	if again := w.stored(session).Schedule; again.Tries != 2 {
		t.Fatalf("after the second try in vain: %+v", again)
	}
	// When the device appears, the key is Alice's, and leaves the schedule.
	server.knows(alice)
	*w.clock += 40_000
	w.retry()
	copied := w.stored(session)
	if copied.Current.Kind != sender.SenderUnverified || copied.Schedule != (lane.Schedule{}) {
		t.Fatalf("%v with schedule %+v", copied.Current.Kind, copied.Schedule)
	}
	if next := w.retry(); next < lane.MaxDelay-time.Minute {
		t.Fatalf("nothing waits, yet the timer is set to %v", next)
	}
}

func TestScenario65NetworkFailureIsATryInVain(t *testing.T) {
	for _, failure := range []error{
		&lane.FetchError{Code: lane.CodeFetchFailed}, &lane.FetchError{Code: lane.CodeFetchStatus, Status: 502}, &lane.FetchError{Code: lane.CodeFetchTimeout},
	} {
		t.Run(failure.Error(), func(t *testing.T) {
			w, server := connected(t)
			alice := w.kit.User("@alice:example.org")
			server.answer = func(context.Context, []ids.UserID) ([]byte, error) { return nil, failure }
			session := w.kit.Outbound()
			w.settle(w.event(alice.Device("PHONE"), room, session))
			if got := w.stored(session); got.Schedule.Tries != 1 {
				t.Fatalf("%+v", got.Schedule)
			}
		})
	}
}

// F30: the server's wish to be left alone is granted.
func TestF30RateLimited(t *testing.T) {
	w, server := connected(t)
	alice, carol := w.kit.User("@alice:example.org"), w.kit.User("@carol:example.org")
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) {
		return nil, &lane.FetchError{Code: lane.CodeRateLimited, Status: 429, RetryAfter: 120_000}
	}
	session := w.kit.Outbound()
	w.settle(w.event(alice.Device("PHONE"), room, session))
	if wait := w.stored(session).Schedule.Next - *w.clock; wait < 115_000 {
		t.Fatalf("the next try is in %d ms", wait)
	}
	// Others are not asked about either, until then.
	ctx, cancel := context.WithCancel(context.Background())
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(carol.Device("PHONE"), room, w.kit.Outbound())})
	cancel()
	if _, err := w.machine.Settle(ctx, reception); err != nil {
		t.Fatal(err)
	}
	if server.requests() != 1 {
		t.Fatal("the server was not left alone")
	}
	if next := w.retry(); next < 100*time.Second {
		t.Fatalf("the timer is set to %v", next)
	}
	server.answer = nil
	server.knows(alice, carol)
	*w.clock += 121_000
	w.retry()
	if w.stored(session).Current.Kind == sender.UnknownDevice {
		t.Fatal("not asked after the wait")
	}
}

// Scenario 66, F01: a crash between `stored` and the answer. The key is due when the client starts again.
func TestScenario66CrashInTheSlowLane(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.open() // no Close: the tab is gone
	server.knows(alice)
	w.retry()
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("after the restart: %v", got)
	}
}

// Scenarios 68 and 79, F37: many keys of many users are taken earliest first, in bounded passes, and each settles once, though settled rows leave
// the index between the pages.
func TestScenario68BoundedPasses(t *testing.T) {
	w, server := connected(t)
	const users, each = 40, 20
	var events []sender.DecryptedOlmEvent
	for u := range users {
		user := w.kit.User(fmt.Sprintf("@user%02d:example.org", u))
		phone := user.Device("PHONE").CrossSigned()
		server.knows(user)
		for range each {
			events = append(events, w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
		}
	}
	w.machine.ReceiveRoomKeys(events)
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.open()
	passes := 0
	for ; passes < 50; passes++ {
		if w.retry() > time.Minute {
			break
		}
	}
	if len(w.heard.updates) != users*each {
		t.Fatalf("%d keys of %d settled after %d passes", len(w.heard.updates), users*each, passes)
	}
	asked := map[ids.UserID]int{}
	for _, request := range server.asked {
		for _, user := range request {
			asked[user]++
		}
	}
	for user, times := range asked {
		if times > 1 {
			t.Errorf("%s was asked about %d times", user, times)
		}
	}
}

// T50 and fairness of decision 18: one user's thousand keys do not keep another's one waiting.
func TestT50OneUserCannotStarveAnother(t *testing.T) {
	w, server := connected(t)
	mallory, victim := w.kit.User("@aaa-mallory:example.org"), w.kit.User("@zoe:example.org")
	desk, phone := mallory.Device("DESK"), victim.Device("PHONE").CrossSigned()
	server.knows(victim)
	var events []sender.DecryptedOlmEvent
	for range 1000 {
		events = append(events, w.event(desk, room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	}
	session := w.kit.Outbound()
	events = append(events, w.event(phone, room, session, testkit.WithoutDeviceKeys))
	w.machine.ReceiveRoomKeys(events)
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.open()
	w.retry()
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("after one pass the victim's key is %v", got)
	}
	// And the thousand cost one question, not sixteen.
	for range 30 {
		if w.retry() > 2*time.Second {
			break
		}
	}
	times := 0
	for _, request := range server.asked {
		if slices.Contains(request, ids.UserID(mallory.ID)) {
			times++
		}
	}
	if times != 1 {
		t.Fatalf("Mallory was asked about %d times", times)
	}
}

// F32: a request that panics lets go of who waits for it, leaves its place to the next, and costs the copy a try.
func TestF32APanicInARequest(t *testing.T) {
	w := closedWorld(t)
	w.spawn = func(f func()) {
		go func() {
			defer func() { _ = recover() }()
			f()
		}()
	}
	server := &homeserver{kit: w.kit, users: map[ids.UserID]*testkit.User{}}
	w.fetcher = server
	w.open()
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) { panic("a fault of the fetcher") }
	alice, phone := w.alice()
	for range 6 { // more than there are places
		session := w.kit.Outbound()
		if _, settled := w.settle(w.event(phone, room, session, testkit.WithoutDeviceKeys)); settled[0].Known {
			t.Fatal("known by a panic")
		}
		if got := w.stored(session).Schedule.Tries; got != 1 {
			t.Fatalf("%d tries", got)
		}
	}
	server.answer = nil
	server.knows(alice)
	if _, settled := w.settle(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); !settled[0].Known {
		t.Fatal("the machine did not get over it")
	}
}

// F38: one row that cannot be read keeps no other from settling, and does not make the passes spin.
func TestF38OnePoisonedRow(t *testing.T) {
	w, server := connected(t)
	alice, phone := w.alice()
	server.knows(alice)
	var sessions []*testkit.Outbound
	var events []sender.DecryptedOlmEvent
	for range 20 {
		sessions = append(sessions, w.kit.Outbound())
		events = append(events, w.event(phone, room, sessions[len(sessions)-1], testkit.WithoutDeviceKeys))
	}
	w.machine.ReceiveRoomKeys(events)
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Copies})
	if err != nil {
		t.Fatal(err)
	}
	poisoned := rows[len(rows)/2]
	op := store.Op{Table: store.Copies, Key: poisoned.Key, Expect: poisoned.Rev, Value: []byte("no record"), Index: poisoned.Index}
	if err := w.rows.Commit(context.Background(), store.Batch{Ops: []store.Op{op}}); err != nil {
		t.Fatal(err)
	}
	w.open()
	passes := 0
	for w.retry() < time.Minute && passes < 10 {
		passes++
	}
	if passes == 10 {
		t.Error("the passes never come to rest")
	}
	settled := 0
	for _, session := range sessions {
		if session.ID() != poisoned.Key[1] && w.stored(session).Current.Kind == sender.SenderUnverified {
			settled++
		}
	}
	if settled != len(sessions)-1 || len(w.heard.reports) == 0 {
		t.Errorf("%d of %d others settled, %d reports", settled, len(sessions)-1, len(w.heard.reports))
	}
}

// Scenario 71: an answer about a user settles what was due and what was not.
func TestScenario71AnAnswerSettlesAll(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	early, late := w.kit.Outbound(), w.kit.Outbound()
	w.settle(w.event(phone, room, early, testkit.WithoutDeviceKeys))
	*w.clock += 60_000
	w.settle(w.event(phone, room, late, testkit.WithoutDeviceKeys))
	server.knows(alice)
	w.answer(alice)
	for _, session := range []*testkit.Outbound{early, late} {
		if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
			t.Fatalf("%v", got)
		}
	}
}

// device_lists.changed is news: who waits for that user is asked about at once, whatever the schedule says.
func TestDeviceListNewsBringsTheQuestionForward(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	w.settle(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	server.knows(alice)
	if err := w.machine.ReceiveDeviceLists(context.Background(), []ids.UserID{"@alice:example.org", "@nobody:example.org"}, nil); err != nil {
		t.Fatal(err)
	}
	w.retry()
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("%v", got)
	}
	for _, request := range server.asked {
		if slices.Contains(request, "@nobody:example.org") {
			t.Fatal("somebody was asked about for whom nothing waits")
		}
	}
}

// F29, decision 18: while there is no connection nobody is asked and nothing counts as tried; when it is back, everything that waits is due.
func TestPauseAndNudge(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	first, second := w.kit.Outbound(), w.kit.Outbound()
	w.settle(w.event(phone, room, first, testkit.WithoutDeviceKeys)) // in vain: due in 15 seconds
	w.machine.PauseLanes(true)
	w.settle(w.event(phone, room, second, testkit.WithoutDeviceKeys))
	if w.retry(); server.requests() != 1 || w.stored(second).Schedule.Tries != 0 {
		t.Fatalf("%d requests, %+v", server.requests(), w.stored(second).Schedule)
	}
	server.knows(alice)
	w.machine.PauseLanes(false)
	w.machine.Nudge()
	for range 3 {
		w.retry()
	}
	for _, session := range []*testkit.Outbound{first, second} {
		if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
			t.Fatalf("%v", got)
		}
	}
}

// F28, scenario 76: a clock that goes back ten years starves nobody.
func TestF28ClockGoesBack(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	w.settle(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	*w.clock -= 10 * 365 * 24 * 3600 * 1000
	server.knows(alice)
	w.retry()
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("%v", got)
	}
}

// F28: nor does it where others wait for a time that is near.
func TestF28ClockGoesBackAmongOthers(t *testing.T) {
	w, server := connected(t)
	alice, bob := w.kit.User("@alice:example.org"), w.kit.User("@bob:example.org")
	session := w.kit.Outbound()
	w.settle(w.event(alice.Device("PHONE").CrossSigned(), room, session, testkit.WithoutDeviceKeys))
	*w.clock -= 10 * 365 * 24 * 3600 * 1000
	w.settle(w.event(bob.Device("PHONE"), room, w.kit.Outbound(), testkit.WithoutDeviceKeys))
	server.knows(alice)
	w.retry()
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("%v", got)
	}
}

// F06: the store has no room for the new schedule. The old record is intact, and the pass that fails is no busy loop.
func TestF06NoRoomForTheSchedule(t *testing.T) {
	w, _ := connected(t)
	alice := w.kit.User("@alice:example.org")
	session := w.kit.Outbound()
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(alice.Device("PHONE"), room, session)})
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	before := dump(t, w.rows)
	full := &fullStore{}
	w.wrap = func(rows store.Store) store.Store { full.Store = rows; return full }
	w.open()
	full.full = true
	next, err := w.machine.Retry(context.Background())
	if err == nil || codeOf(t, err) != store.CodeQuota || next-*w.clock < 500 {
		t.Fatalf("next in %d ms, %v", next-*w.clock, err)
	}
	full.full = false
	if got := dump(t, w.rows); got != before {
		t.Fatal("something was written")
	}
	w.retry()
}

type fullStore struct {
	store.Store
	full bool
}

func (f *fullStore) Commit(ctx context.Context, b store.Batch) error {
	if f.full {
		return &store.Error{Code: store.CodeQuota, Message: "no room"}
	}
	return f.Store.Commit(ctx, b)
}

// Scenario 72: a pass while another is under way is none.
func TestScenario72OnePassAtATime(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	session := w.kit.Outbound()
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(alice.Device("PHONE"), room, session)})
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.open()
	arrived, release := make(chan struct{}), make(chan struct{})
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) {
		close(arrived)
		<-release
		return []byte(`{"device_keys":{}}`), nil
	}
	done := make(chan error)
	go func() { _, err := w.machine.Retry(context.Background()); done <- err }()
	<-arrived
	if _, err := w.machine.Retry(context.Background()); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := w.stored(session).Schedule.Tries; got != 1 || server.requests() != 1 {
		t.Fatalf("%d tries, %d requests", got, server.requests())
	}
}

// Scenario 73: what the slow lane has in hand the retry lane leaves alone.
func TestScenario73BusyCopiesAreSkipped(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	session := w.kit.Outbound()
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(alice.Device("PHONE"), room, session)})
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	w.retry()
	if server.requests() != 0 || w.stored(session).Schedule.Tries != 0 {
		t.Fatal("the retry lane took what the slow lane has in hand")
	}
	if _, err := w.machine.Settle(context.Background(), reception); err != nil {
		t.Fatal(err)
	}
	if got := w.stored(session).Schedule.Tries; got != 1 {
		t.Fatalf("%d tries", got)
	}
}

// Scenario 74: a better copy of the same key arrives while the slow lane waits. Both effects are kept.
func TestScenario74BetterCopyMeanwhile(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	early := w.event(phone, room, session, testkit.WithoutDeviceKeys)
	first := phone.Message(string(room), session, "first")
	late := w.event(phone, room, session, testkit.WithoutDeviceKeys) // from index 1
	arrived, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	server.answer = func(context.Context, []ids.UserID) ([]byte, error) {
		once.Do(func() { close(arrived) })
		<-release
		return w.kit.KeysQuery(alice), nil
	}
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{late})
	done := make(chan error)
	go func() {
		if err := w.machine.Flush(context.Background()); err != nil {
			done <- err
			return
		}
		_, err := w.machine.Settle(context.Background(), reception)
		done <- err
	}()
	<-arrived
	w.kept(early)
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	w.restart()
	copied := w.stored(session)
	if copied.Session.FirstKnownIndex() != 0 || copied.Current.Kind != sender.SenderUnverified {
		t.Fatalf("from index %d, %v", copied.Session.FirstKnownIndex(), copied.Current.Kind)
	}
	if event, err := w.decrypt(first, 0); err != nil || body(t, event) != "first" {
		t.Fatalf("%v", err)
	}
}

// Many receptions in one turn of the sync loop make one request.
func TestRequestsAreCoalesced(t *testing.T) {
	w, server := connected(t)
	const n = 300
	receptions := make([]*core.Reception, n)
	for i := range receptions {
		user := w.kit.User(fmt.Sprintf("@user%03d:example.org", i))
		server.knows(user)
		receptions[i] = w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(user.Device("PHONE").CrossSigned(), room, w.kit.Outbound())})
	}
	if err := w.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, reception := range receptions {
		settled, err := w.machine.Settle(context.Background(), reception)
		if err != nil || !settled[0].Known {
			t.Fatalf("%+v, %v", settled, err)
		}
	}
	if got := server.requests(); got != 2 {
		t.Fatalf("%d requests for 300 users", got)
	}
}

// Hosts that send requests themselves: a request stays on the list until it is answered, and answers settle.
func TestOutgoingRequests(t *testing.T) {
	w := newWorld(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	session := w.kit.Outbound()
	w.settle(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	if err := w.machine.TrackUsers(context.Background(), []ids.UserID{"@carol:example.org"}); err != nil {
		t.Fatal(err)
	}
	requests := w.machine.OutgoingRequests()
	if len(requests) != 1 || !slices.Equal(queried(&requests[0]), []ids.UserID{"@alice:example.org", "@carol:example.org", "@me:example.org"}) {
		t.Fatalf("%+v", requests)
	}
	if again := w.machine.OutgoingRequests(); len(again) != 1 || again[0].ID != requests[0].ID {
		t.Fatalf("asked a second time: %+v", again)
	}
	if _, err := w.machine.MarkRequestAsSent(context.Background(), requests[0].ID, []byte("no answer")); err == nil {
		t.Fatal("nonsense was taken for an answer")
	}
	if again := w.machine.OutgoingRequests(); len(again) != 1 {
		t.Fatal("a request was forgotten over a bad answer")
	}
	if _, err := w.machine.MarkRequestAsSent(context.Background(), requests[0].ID, w.kit.KeysQuery(alice, w.me, w.kit.User("@carol:example.org"))); err != nil {
		t.Fatal(err)
	}
	if got := w.stored(session).Current.Kind; got != sender.SenderUnverified {
		t.Fatalf("%v", got)
	}
	if left := w.machine.OutgoingRequests(); len(left) != 0 {
		t.Fatalf("answered, and still on the list: %+v", left)
	}
}

// A tab that follows hands its questions to the one that leads, and hears what that one wrote (scenario 75).
func TestScenario75OneTabRunsTheLanes(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	server.knows(alice)
	follower := w.tab()
	w.machine.MeetPeers()
	follower.machine.MeetPeers()
	follower.machine.FollowLanes(true)

	session := w.kit.Outbound()
	reception := follower.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{follower.event(phone, room, session, testkit.WithoutDeviceKeys)})
	if err := follower.machine.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	follower.heard.told = func(news core.PeerNews) { go w.machine.HearPeers(context.Background(), news) }
	w.heard.told = func(news core.PeerNews) { go follower.machine.HearPeers(context.Background(), news) }
	if _, err := follower.machine.Settle(context.Background(), reception); err != nil {
		t.Fatal(err)
	}
	if server.requests() != 1 {
		t.Fatalf("%d requests by two tabs", server.requests())
	}
	deadline := time.Now().Add(5 * time.Second)
	for follower.stored(session).Current.Kind != sender.SenderUnverified {
		if time.Now().After(deadline) {
			t.Fatal("the follower never heard")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestLaneCounts(t *testing.T) {
	w := newWorld(t)
	alice := w.kit.User("@alice:example.org")
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(alice.Device("PHONE"), room, w.kit.Outbound())})
	if got := w.machine.LaneCounts(); got.Waiting != 1 || got.Slow != 1 {
		t.Fatalf("%+v", got)
	}
	w.machine.OutgoingRequests()
	if got := w.machine.LaneCounts(); got.Waiting != 0 || got.Requests != 1 {
		t.Fatalf("%+v", got)
	}
}
