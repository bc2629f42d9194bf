package core_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"knownsender/core"
	"knownsender/core/keys"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Performance without a clock: how often the store and the verifier are asked.

// ledger counts what a store is asked for.
type ledger struct {
	store.Store
	mu      sync.Mutex
	gets    map[store.Table]int // rows asked for by key
	pages   map[store.Table]int // pages
	read    map[store.Table]int // rows in them
	written map[store.Table]int
	reads   int // transactions
	commits int
	strict  int
}

func (l *ledger) over(under store.Store) store.Store {
	l.Store = under
	l.reset()
	return l
}

func (l *ledger) reset() {
	l.gets, l.pages, l.read, l.written = map[store.Table]int{}, map[store.Table]int{}, map[store.Table]int{}, map[store.Table]int{}
	l.reads, l.commits, l.strict = 0, 0, 0
}

func (l *ledger) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	l.mu.Lock()
	l.reads++
	l.gets[table] += len(keys)
	l.mu.Unlock()
	return l.Store.Get(ctx, table, keys)
}

func (l *ledger) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	pages, err := l.Store.Pages(ctx, queries...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads++
	for i, rows := range pages {
		l.pages[queries[i].Table]++
		l.read[queries[i].Table] += len(rows)
	}
	return pages, err
}

func (l *ledger) Commit(ctx context.Context, b store.Batch) error {
	l.mu.Lock()
	l.commits++
	if b.Strict {
		l.strict++
	}
	for _, op := range b.Ops {
		l.written[op.Table]++
	}
	l.mu.Unlock()
	return l.Store.Commit(ctx, b)
}

// operations is how often the store was asked for anything.
func (l *ledger) operations() (n int) {
	for _, of := range []map[store.Table]int{l.gets, l.pages} {
		for _, count := range of {
			n += count
		}
	}
	return n + l.commits
}

// tally counts checks.
type tally struct {
	keys.Go
	checks, calls int
}

func (c *tally) Verify(ctx context.Context, checks []keys.Check) ([]bool, error) {
	c.checks += len(checks)
	c.calls++
	return c.Go.Verify(ctx, checks)
}

func countedWorld(t testing.TB) (*world, *ledger, *tally) {
	w, l, c := closedWorld(t), &ledger{}, &tally{}
	w.wrap, w.verifier = l.over, c
	w.open()
	return w, l, c
}

// Reception of 1,000 keys in one call is one transaction, to the disk; delivered again it is none.
func TestThousandKeysOneTransaction(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	events := make([]sender.DecryptedOlmEvent, 1000)
	for i := range events {
		events[i] = w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)
	}
	l.reset()
	reception := w.machine.ReceiveRoomKeys(events)
	for i := range reception.Receipts {
		if r := &reception.Receipts[i]; r.Copy == nil || r.Lane != core.Fast {
			t.Fatalf("position %d: %+v", i, r)
		}
	}
	if l.operations() != 0 {
		t.Errorf("the synchronous call has asked the store %d times", l.operations())
	}
	w.flush()
	if l.commits != 1 || l.strict != 1 || l.written[store.Copies] != 1000 || l.operations() != 1 {
		t.Errorf("%d commits, %d of them strict, %d rows, %d operations", l.commits, l.strict, l.written[store.Copies], l.operations())
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 1000 {
		t.Errorf("counted %d", counts.Total)
	}
	l.reset()
	w.machine.ReceiveRoomKeys(events)
	w.flush()
	if l.operations() != 0 {
		t.Errorf("delivered again: %d operations (F44)", l.operations())
	}
}

// Fast lane, device known, chain verified before: the session key's own signature is the only one checked. Embedded device keys cost their two
// once, and nothing when they come again.
func TestSignaturesOfReception(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	index := func(hooks ...testkit.Hook) int { return w.checksOf(w.event(phone, room, w.kit.Outbound(), hooks...)) }
	if n := index(testkit.WithoutDeviceKeys); n != 1 {
		t.Errorf("from a stored device: %d checks", n)
	}
	if n := index(); n != 3 {
		t.Errorf("embedded, the first time: %d checks", n)
	}
	if n := index(); n != 1 {
		t.Errorf("embedded, again: %d checks", n)
	}
}

// checksOf receives a key and says how many signatures that asked for.
func (w *world) checksOf(event sender.DecryptedOlmEvent) int {
	w.t.Helper()
	n := core.ChecksFor(w.machine, event)
	w.kept(event)
	return n
}

// An answer that brings nothing new asks for no signature and writes no row; and where it was taken over in this run, it reads none.
func TestUnchangedAnswer(t *testing.T) {
	w, l, c := countedWorld(t)
	alice, _ := w.alice()
	mallory, _ := w.mallory()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice, mallory, w.me)
	l.reset()
	c.checks = 0
	result := w.answer(alice, mallory, w.me)
	if c.checks != 0 || l.commits != 0 || !result.Empty() || result.RoomKeys != 0 {
		t.Errorf("%d checks, %d commits, %+v", c.checks, l.commits, result)
	}
	l.reset()
	if w.answer(alice, mallory); l.reads != 0 {
		t.Errorf("%d reads", l.reads)
	}
	closed := w.machine
	defer func() {
		if _, err := closed.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(alice, mallory), ""); err == nil || codeOf(t, err) != "closed" {
			t.Errorf("once it is closed: %v", err)
		}
	}()
	w.restart()
	c.checks = 0
	l.reset()
	w.answer(alice, mallory, w.me)
	if c.checks != 0 || l.commits != 0 {
		t.Errorf("after a restart: %d checks, %d commits", c.checks, l.commits)
	}
}

// The verdict on an event of a loaded room, and a change of policy, touch the store not at all.
func TestVerdictsFromMemory(t *testing.T) {
	w, l, c := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	name := eventName(t, phone.Message(string(room), session, "hello"))
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	before := dump(t, w.rows)
	l.reset()
	c.calls = 0
	for r := range policy.TrustRequirement(policy.Requirements) {
		w.machine.SetTrustRequirement(r)
		if _, err := w.machine.RoomEventEncryptionInfo(name); err != nil {
			t.Fatal(err)
		}
	}
	// Loaded a second time, a room is not read.
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	if l.operations() != 0 || c.calls != 0 || dump(t, w.rows) != before {
		t.Errorf("%d operations, %d signature checks (I22)", l.operations(), c.calls)
	}
}

// A decrypted event of a session in memory costs one signature, its own, and one row of replay memory, however many follow.
func TestCostOfDecryption(t *testing.T) {
	w, l, c := countedWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	w.kept(w.event(phone, room, session))
	if _, err := w.decrypt(phone.Message(string(room), session, "first"), policy.CrossSigned); err != nil {
		t.Fatal(err)
	}
	l.reset()
	c.checks = 0
	for i := range 20 {
		if _, err := w.machine.DecryptRoomEvent(context.Background(), phone.Message(string(room), session, fmt.Sprint(i)), room); err != nil {
			t.Fatal(err)
		}
	}
	if c.checks != 20 || l.operations() != 0 {
		t.Errorf("%d checks, %d operations", c.checks, l.operations())
	}
	w.flush()
	if l.commits != 1 || l.written[store.Replays] != 1 || l.operations() != 1 {
		t.Errorf("%d commits of %d rows", l.commits, l.written[store.Replays])
	}
}

// Judging again reads and writes the copies it bears on, by index, whatever else is stored.
func TestJudgingTouchesWhatItBearsOn(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	tablet := alice.Device("TABLET").CrossSigned()
	_, hers := w.mallory()
	for range 5 {
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{
			w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys),
			w.event(tablet, room, w.kit.Outbound(), testkit.WithoutDeviceKeys),
			w.event(hers, room, w.kit.Outbound(), testkit.WithoutDeviceKeys),
		})
	}
	w.flush()
	// Alice's identity comes, and her phone: her ten copies are read, the phone's five written.
	both := alice.Devices
	alice.Devices = both[:1]
	l.reset()
	if result := w.answer(alice); result.RoomKeys != 5 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	if l.read[store.Copies] != 10 || l.written[store.Copies] != 5 || l.commits != 3 { // people and note, copies, note
		t.Errorf("%d copies read, %d written, %d commits", l.read[store.Copies], l.written[store.Copies], l.commits)
	}
	// The tablet comes: its five, found by curve key.
	alice.Devices = both
	l.reset()
	w.answer(alice)
	if l.read[store.Copies] != 5 || l.written[store.Copies] != 5 {
		t.Errorf("%d copies read, %d written", l.read[store.Copies], l.written[store.Copies])
	}
	// Alice is verified: the ten that are hers.
	w.me.Verifies(alice)
	w.answer(alice)
	l.reset()
	w.verifyMe()
	if l.read[store.Copies] != 10 || l.written[store.Copies] != 10 {
		t.Errorf("%d copies read, %d written", l.read[store.Copies], l.written[store.Copies])
	}
	// And nothing waits in an index any more.
	l.reset()
	w.answerJSON(changed(t, w.kit.KeysQuery(alice), testkit.In("device_keys", testkit.In(alice.ID, testkit.Delete("TABLET")))))
	if l.read[store.Copies] != 0 || l.written[store.Copies] != 0 {
		t.Errorf("a removed device: %d copies read, %d written", l.read[store.Copies], l.written[store.Copies])
	}
}

// Scenario 79: 60 copies without a device and 60 with one, over several pages, while others are left alone.
func TestManyCopiesJudgedAgain(t *testing.T) {
	w, l, _ := countedWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	var events []sender.DecryptedOlmEvent
	for range 150 {
		events = append(events, w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys), w.event(phone, room, w.kit.Outbound()))
	}
	for range 20 {
		events = append(events, w.event(hers, room, w.kit.Outbound()))
	}
	w.machine.ReceiveRoomKeys(events)
	w.flush()
	l.reset()
	if result := w.answer(alice); result.RoomKeys != 300 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	if l.read[store.Copies] != 300 {
		t.Errorf("%d copies read", l.read[store.Copies])
	}
	for _, c := range w.copies() {
		if known := c.OlmUser == "@alice:example.org"; c.Current.Kind.Known() != known {
			t.Errorf("%s: %v", c.OlmUser, c.Current.Kind)
		}
	}
	if len(w.heard.updates) != 300 {
		t.Errorf("%d updates were told", len(w.heard.updates))
	}
}
