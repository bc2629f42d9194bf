package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// The program stops between any two operations of the store, or the store refuses one: what was acknowledged is there, what was not can be
// delivered again, and the end is the same (N1, N2, I13, I23).

// errCrash is why a step ended.
var errCrash = errors.New("the step did not come to its end")

// story is a list of steps that a host takes again, from the first that was not acknowledged, after every crash.
type story struct {
	w     *world
	steps []func() error
}

// lifeOf is a whole life of a client: keys, answers, events, a forgery, a withheld notice, a verification.
func lifeOf(w *world) *story {
	ctx := context.Background()
	alice, phone := w.alice()
	tablet := alice.Device("TABLET")
	mallory, hers := w.mallory()
	hers.NotCrossSigned().CorruptlyCrossSigned()
	w.me.Verifies(alice)
	w.mine.CrossSigned()
	one, two, three, forged := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	messages := [][]byte{phone.Message(string(room), one, "1"), phone.Message(string(room), one, "2"), tablet.Message(string(room), three, "3")}
	session := func(at uint32, from *testkit.Device, s *testkit.Outbound, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
		s.SkipTo(at)
		return w.event(from, room, s, hooks...)
	}
	first := []sender.DecryptedOlmEvent{
		session(4, phone, one, testkit.WithoutDeviceKeys), session(0, phone, two), session(0, tablet, three), session(0, hers, forged),
	}
	better := []sender.DecryptedOlmEvent{session(0, phone, one, testkit.WithoutDeviceKeys), session(2, phone, two)}
	withheld := testkit.JSON(map[string]any{"type": "m.room_key.withheld", "sender": alice.ID, "content": map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "code": "m.unverified", "room_id": string(room), "session_id": w.kit.Outbound().ID(), "sender_key": phone.Curve25519(),
	}})
	answers := [][]byte{w.kit.KeysQuery(alice), w.kit.KeysQuery(mallory), w.kit.KeysQuery(w.me)}
	tabletKnown := w.kit.KeysQuery(func() *testkit.User { tablet.CrossSigned(); return alice }())

	receive := func(events []sender.DecryptedOlmEvent) func() error {
		return func() error {
			w.machine.ReceiveRoomKeys(events)
			return w.machine.Flush(ctx)
		}
	}
	answer := func(raw []byte) func() error {
		return func() error {
			_, err := w.machine.ReceiveKeysQueryResponse(ctx, raw, "")
			return err
		}
	}
	decrypt := func() error {
		w.machine.SetTrustRequirement(policy.Untrusted)
		for _, message := range messages {
			if _, err := w.machine.DecryptRoomEvent(ctx, message, room); err != nil {
				return err
			}
		}
		return w.machine.Flush(ctx)
	}
	return &story{w: w, steps: []func() error{
		receive(first),
		answer(answers[0]),
		receive(better),
		decrypt,
		func() error {
			if _, err := w.machine.ReceiveRoomKeyWithheld(withheld); err != nil {
				return err
			}
			return w.machine.Flush(ctx)
		},
		answer(answers[1]),
		answer(answers[2]),
		w.trustMe,
		answer(tabletKnown),
		decrypt,
		receive(first),
	}}
}

// run takes all steps. After a step that fails it opens the machine again and takes that step once more, as the host does whose sync token has
// not moved. It returns how often that was.
func (s *story) run(heal func()) (crashes int) {
	for i := 0; i < len(s.steps); {
		if err := s.steps[i](); err == nil {
			i++
			continue
		}
		crashes++
		if crashes > 3 {
			s.w.t.Fatalf("step %d fails for ever", i)
		}
		heal()
		for s.w.tryOpen() != nil {
			heal()
		}
	}
	return crashes
}

// withoutTimes is the contents of the store without what rightly differs when a step is taken later: times and the names of judging notes.
func withoutTimes(w *world) string {
	var out strings.Builder
	for _, c := range w.copies() {
		fmt.Fprintf(&out, "%s %s %v %d %+v %+v %v %v %c\n", c.SessionID, c.SenderKey, c.Provenance, c.Session.FirstKnownIndex(), c.Current, c.AtReception, c.Legacy, c.Suspended, c.Step)
	}
	for _, line := range strings.Split(contents(w.t, w.rows), "\n") {
		if strings.HasPrefix(line, string(store.Users)) || strings.HasPrefix(line, string(store.Replays)) || strings.HasPrefix(line, string(store.Withheld)) ||
			strings.HasPrefix(line, string(store.Meta)) || strings.HasPrefix(line, "{") {
			out.WriteString(line + "\n")
		}
	}
	tombstones, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Tombstones})
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range tombstones {
		fmt.Fprintln(&out, tombstones[i].Key)
	}
	return out.String()
}

// uninterrupted is the end of the life without faults, and how many operations it takes.
func uninterrupted(t *testing.T) (end string, operations int) {
	w := closedWorld(t)
	w.kit = testkit.New("crash")
	w.me = w.kit.User("@me:example.org")
	w.mine = w.me.Device("MYDEVICE")
	var faulty *storetest.Faulty
	w.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	w.open()
	s := lifeOf(w)
	if crashes := s.run(func() {}); crashes != 0 {
		t.Fatalf("%d steps failed without a fault", crashes)
	}
	return withoutTimes(w), len(faulty.Calls())
}

// F01, F07, F08, I13, I23: for every operation k of a whole life: the program dies before k, dies after k before it hears of it, or k fails once
// with each kind of error. Afterwards the host does again what was not acknowledged. The end is the same, every time.
func TestEveryFault(t *testing.T) {
	want, operations := uninterrupted(t)
	faults := map[string]func(f *storetest.Faulty, k int){
		"F01: dies before":        func(f *storetest.Faulty, k int) { f.DieAt("", k, false) },
		"F01: dies after":         func(f *storetest.Faulty, k int) { f.DieAt("", k, true) },
		"F05, F07: quota":         func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeQuota) },
		"F08: aborted":            func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeAborted) },
		"conflict out of nowhere": func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeConflict) },
	}
	for name, inject := range faults {
		t.Run(name, func(t *testing.T) {
			for k := 1; k <= operations; k += 1 + sparsely/4 {
				w := closedWorld(t)
				w.kit = testkit.New("crash")
				w.me = w.kit.User("@me:example.org")
				w.mine = w.me.Device("MYDEVICE")
				healthy := false
				w.wrap = func(under store.Store) store.Store {
					if healthy {
						return under
					}
					faulty := storetest.NewFaulty(under)
					inject(faulty, k)
					return faulty
				}
				if w.tryOpen() != nil {
					healthy = true
					w.open()
				}
				s := lifeOf(w)
				s.run(func() { healthy = true })
				// A start after all that finishes what is left to judge.
				w.wrap = nil
				w.open()
				if got := withoutTimes(w); got != want {
					t.Fatalf("operation %d: the end is another:\n%s", k, difference(want, got))
				}
			}
		})
	}
}

// The same without opening anew: the store refuses one operation, the program lives on and the host tries again on the same machine.
func TestEveryFaultSurvived(t *testing.T) {
	want, operations := uninterrupted(t)
	for _, after := range []bool{false, true} {
		for k := 3; k <= operations; k += 1 + sparsely/4 { // the first operations are those of Open
			w := closedWorld(t)
			w.kit = testkit.New("crash")
			w.me = w.kit.User("@me:example.org")
			w.mine = w.me.Device("MYDEVICE")
			hiccup := &hiccup{at: k, after: after}
			w.wrap = func(under store.Store) store.Store {
				hiccup.Store = under
				return hiccup
			}
			for w.tryOpen() != nil {
			}
			s := lifeOf(w)
			for i := 0; i < len(s.steps); {
				if s.steps[i]() == nil {
					i++
				}
			}
			if err := w.machine.Resume(context.Background()); err != nil {
				t.Fatal(err)
			}
			// A commit that was made and not heard of leaves its note of what is to be judged to the next start. Otherwise nothing is left to it.
			before := withoutNotes(withoutTimes(w))
			w.restart()
			if got := withoutTimes(w); got != before {
				t.Fatalf("operation %d, after %v: something was left to the next start:\n%s", k, after, difference(before, got))
			}
			if before != want {
				t.Fatalf("operation %d, after %v: the end is another:\n%s", k, after, difference(want, before))
			}
		}
	}
}

// F32: for every operation k of a life there is a bug of ours that panics where k is done, whatever handler it is in the middle of. The panic comes out of
// that call, where the door makes an error of it; the call that is made again is answered by the same machine, and the end is the same.
func TestPanicAtEveryOperation(t *testing.T) {
	want, operations := uninterrupted(t)
	for k := 1; k <= operations; k += 1 + sparsely/4 {
		w := closedWorld(t)
		w.kit = testkit.New("crash")
		w.me = w.kit.User("@me:example.org")
		w.mine = w.me.Device("MYDEVICE")
		hiccup := &hiccup{panics: true}
		w.wrap = func(under store.Store) store.Store {
			hiccup.Store = under
			return hiccup
		}
		w.open()
		hiccup.at = hiccup.n + k
		s := lifeOf(w)
		panics := 0
		for i := 0; i < len(s.steps); {
			done := make(chan bool, 1)
			go func() {
				defer func() { done <- recover() == nil }()
				if err := s.steps[i](); err != nil {
					panic(err)
				}
			}()
			select {
			case well := <-done:
				if well {
					i++
				} else {
					panics++
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("operation %d: step %d is not answered", k, i)
			}
		}
		if panics > 2 {
			t.Fatalf("operation %d: %d calls failed", k, panics)
		}
		w.wrap = nil
		w.open()
		if got := withoutTimes(w); got != want {
			t.Fatalf("operation %d: the end is another:\n%s", k, difference(want, got))
		}
	}
}

// withoutNotes leaves out notes of judging.
func withoutNotes(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if !strings.Contains(line, `"Key":["judge",`) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n")
}

// hiccup is a store of which one operation fails, before or after it was done, or panics.
type hiccup struct {
	store.Store
	at, n         int
	after, panics bool
}

func (h *hiccup) fails() (before, after bool) {
	h.n++
	if h.n == h.at && h.panics {
		panic("a bug")
	}
	return h.n == h.at && !h.after, h.n == h.at && h.after
}

var errHiccup = &store.Error{Code: store.CodeAborted, Message: "a hiccup", Err: errCrash}

func (h *hiccup) Get(ctx context.Context, table store.Table, keys []store.Key) ([]store.Row, error) {
	if before, after := h.fails(); before || after {
		return nil, errHiccup
	}
	return h.Store.Get(ctx, table, keys)
}

func (h *hiccup) Pages(ctx context.Context, queries ...store.Query) ([][]store.Row, error) {
	if before, after := h.fails(); before || after {
		return nil, errHiccup
	}
	return h.Store.Pages(ctx, queries...)
}

func (h *hiccup) Commit(ctx context.Context, b store.Batch) error {
	before, after := h.fails()
	if before {
		return errHiccup
	}
	err := h.Store.Commit(ctx, b)
	if after {
		return errHiccup
	}
	return err
}

func difference(want, got string) string {
	lines := map[string]int{}
	for _, line := range strings.Split(want, "\n") {
		lines[line]++
	}
	for _, line := range strings.Split(got, "\n") {
		lines[line]--
	}
	var out strings.Builder
	for line, n := range lines {
		if n > 0 {
			fmt.Fprintf(&out, "- %s\n", line)
		} else if n < 0 {
			fmt.Fprintf(&out, "+ %s\n", line)
		}
	}
	return out.String()
}

// F05, F06, N2: the store gives no more room. The call says so, what was received stays usable in memory, and is written when there is room
// again, by whatever commits next; nobody tries in a loop meanwhile.
func TestQuota(t *testing.T) {
	w := closedWorld(t)
	var faulty *storetest.Faulty
	w.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	w.open()
	alice, phone := w.alice()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	faulty.FailFrom("Commit", 1, store.CodeQuota)
	if err := w.machine.Flush(context.Background()); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Fatalf("%v", err)
	}
	if len(w.copies()) != 0 || len(w.heard.keys) != 0 {
		t.Error("half of it was written, or told")
	}
	w.machine.SetTrustRequirement(policy.Untrusted)
	if _, err := w.machine.DecryptRoomEvent(context.Background(), message, room); err != nil {
		t.Errorf("in memory it is of use: %v", err)
	}
	before := len(faulty.Calls())
	if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(alice), ""); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Errorf("%v", err)
	}
	if n := len(faulty.Calls()) - before; n > 4 {
		t.Errorf("%d calls of a store that has no room", n)
	}
	faulty.Heal()
	if result := w.answer(alice); result.RoomKeys != 1 {
		t.Errorf("%d room keys changed", result.RoomKeys)
	}
	if stored := w.copy(); stored.Current.Kind != sender.SenderUnverified {
		t.Errorf("%v", stored.Current.Kind)
	}
	if len(w.heard.keys) != 1 {
		t.Errorf("%d keys were told", len(w.heard.keys))
	}
	w.wantCodes(message, shownUnsure)
}

// F06: room runs out while copies are judged again. What was learned stands, the copies are as they were, and the next answer, or the next
// start, finishes.
func TestQuotaWhileJudging(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := closedWorld(t)
		var faulty *storetest.Faulty
		w.wrap = func(under store.Store) store.Store {
			faulty = storetest.NewFaulty(under)
			return faulty
		}
		w.open()
		alice, phone := w.alice()
		bob, _ := w.person("@bob:example.org")
		w.kept(w.event(phone, room, w.kit.Outbound()))
		faulty.FailAt("Commit", 2, store.CodeQuota) // the first is what was learned
		if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(alice), ""); err == nil || codeOf(t, err) != store.CodeQuota {
			t.Fatalf("%v", err)
		}
		if stored := w.copy(); stored.Current.Kind != sender.DeviceInfo {
			t.Errorf("%v", stored.Current.Kind)
		}
		if restart {
			w.open() // the first machine is never closed: it died
		} else {
			w.answer(bob)
		}
		if stored := w.copy(); stored.Current.Kind != sender.SenderUnverified {
			t.Errorf("restart %v: %v", restart, stored.Current.Kind)
		}
		notes, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Meta, Prefix: store.Key{"judge"}})
		if err != nil || len(notes) != 0 {
			t.Errorf("restart %v: %d notes are left, %v", restart, len(notes), err)
		}
	}
}

// F44, I12: the last batches delivered again after they were acknowledged, on the same machine and on the next: no change.
func TestDeliveredAgain(t *testing.T) {
	w := newWorld(t)
	s := lifeOf(w)
	s.run(func() { t.Fatal("a step failed") })
	before, exactly := contents(t, w.rows), dump(t, w.rows)
	for i, step := range s.steps {
		// Answers are the server's newest: one from before the last would take back what came after it, as it should.
		if i == 1 || i == 2 {
			continue
		}
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if dump(t, w.rows) != exactly {
		t.Errorf("on the same machine:\n%s", difference(exactly, dump(t, w.rows)))
	}
	w.restart()
	for i, step := range s.steps {
		if i == 1 {
			continue
		}
		if err := step(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	if contents(t, w.rows) != before {
		t.Errorf("on the next one:\n%s", difference(before, contents(t, w.rows)))
	}
}

// F39: close with work in flight, and calls after it.
func TestClose(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "hello")
	session.SkipTo(0)
	// Close writes what is unwritten.
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, session)})
	for range 2 { // twice is no error
		if err := w.machine.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if len(w.copies()) != 1 {
		t.Fatal("the key was not written")
	}
	ctx := context.Background()
	for name, call := range map[string]func() error{
		"ReceiveKeysQueryResponse": func() error {
			_, err := w.machine.ReceiveKeysQueryResponse(ctx, w.kit.KeysQuery(alice), "")
			return err
		},
		"DecryptRoomEvent": func() error { _, err := w.machine.DecryptRoomEvent(ctx, message, room); return err },
		"RoomEventEncryptionInfo": func() error {
			_, err := w.machine.RoomEventEncryptionInfo(eventName(t, message))
			return err
		},
		"LoadRoom":               func() error { return w.machine.LoadRoom(ctx, room) },
		"RoomKeyCounts":          func() error { _, err := w.machine.RoomKeyCounts(ctx); return err },
		"Explain":                func() error { _, err := w.machine.Explain(ctx, room, sessionID(t, session.ID())); return err },
		"ReceiveDeviceLists":     func() error { return w.machine.ReceiveDeviceLists(ctx, nil, nil) },
		"TrackUsers":             func() error { return w.machine.TrackUsers(ctx, nil) },
		"TrustOwnIdentity":       w.trustMe,
		"WithdrawVerification":   func() error { return w.machine.WithdrawVerification(ctx, "@alice:example.org") },
		"PinCurrentIdentity":     func() error { return w.machine.PinCurrentIdentity(ctx, "@alice:example.org") },
		"Resume":                 func() error { return w.machine.Resume(ctx) },
		"ReceiveRoomKeyWithheld": func() error { _, err := w.machine.ReceiveRoomKeyWithheld([]byte(`{}`)); return err },
	} {
		if err := call(); err == nil || codeOf(t, err) != store.CodeClosed {
			t.Errorf("%s after close: %v", name, err)
		}
	}
	w.open()
	w.wantCodes(message, but("unsigned_device"))
}

// F39: a store that fails while it is closed: the error is told, and the machine is closed all the same.
func TestCloseWithoutRoom(t *testing.T) {
	w := closedWorld(t)
	w.wrap = func(under store.Store) store.Store {
		faulty := storetest.NewFaulty(under)
		faulty.FailFrom("Commit", 2, store.CodeQuota)
		return faulty
	}
	w.open()
	_, phone := w.alice()
	w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
	if err := w.machine.Close(context.Background()); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Errorf("%v", err)
	}
	if err := w.machine.Close(context.Background()); err != nil {
		t.Errorf("the second time: %v", err)
	}
}
