package core_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Random histories: three people, three devices, four sessions, two tabs. After every step the invariants I1 to I24 that apply are checked on
// what lies in the store, and the verdicts of a machine against an oracle of a few lines that knows nothing of policy's table.

// FuzzHistory plays a history: two bytes a step.
func FuzzHistory(f *testing.F) {
	for seed := range uint64(12 / (1 + sparsely/5)) {
		random := rand.New(rand.NewPCG(seed, 1))
		history := make([]byte, 120)
		for i := range history {
			history[i] = byte(random.Uint32())
		}
		f.Add(history)
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		h := newHistory(t)
		for n := 0; n+1 < len(steps) && n < 400; n += 2 {
			h.step(steps[n], steps[n+1])
		}
		h.askAll()
	})
}

// history is a world with a memory of its own of what has happened.
type history struct {
	*world
	tabs    []*world
	people  []*testkit.User // Alice and Mallory
	devices []*testkit.Device
	voices  []voice

	acknowledged map[sender.CopyKey]uint32 // lowest index that was flushed
	signed       map[string]bool           // user, master key and curve key of every valid cross-signature there ever was
	vouched      map[string]bool           // user and master key of every signature of ours there ever was
	trusted      bool                      // our own identity was trusted once
	taken        map[string]string         // (session, index) -> event
	shown        map[string]bool           // (event, policy) that was shown
	before       map[sender.CopyKey]*sender.Copy
	trace        []string
}

// voice is a session, the device that made it, and events of it.
type voice struct {
	session *testkit.Outbound
	from    *testkit.Device
	events  [][]byte // by index
}

const events = 4 // a session

func newHistory(t testing.TB) *history {
	w := closedWorld(t)
	w.kit = testkit.New("history")
	w.me = w.kit.User("@me:example.org")
	w.mine = w.me.Device("MYDEVICE")
	h := &history{
		world: w, acknowledged: map[sender.CopyKey]uint32{}, signed: map[string]bool{}, vouched: map[string]bool{}, taken: map[string]string{},
		shown: map[string]bool{}, before: map[sender.CopyKey]*sender.Copy{},
	}
	alice, mallory := w.kit.User("@alice:example.org"), w.kit.User("@mallory:example.org")
	h.people = []*testkit.User{alice, mallory}
	h.devices = []*testkit.Device{alice.Device("PHONE"), alice.Device("TABLET"), mallory.Device("DESK")}
	for _, from := range []int{0, 0, 1, 2} {
		v := voice{session: w.kit.Outbound(), from: h.devices[from]}
		for i := range events {
			v.events = append(v.events, v.from.Message(string(room), v.session, fmt.Sprint(i)))
		}
		h.voices = append(h.voices, v)
	}
	h.open()
	h.tabs = []*world{h.world, h.world.tab()}
	h.introduce()
	return h
}

// introduce lets the tabs hear of each other, at once.
func (h *history) introduce() {
	for i, w := range h.tabs {
		other := h.tabs[1-i]
		w.machine.MeetPeers()
		w.heard.told = func(news core.PeerNews) {
			if err := other.machine.HearPeers(context.Background(), news); err != nil {
				h.t.Fatal(err)
			}
		}
	}
}

// step is one thing that happens, with everything that must hold afterwards.
func (h *history) step(what, how byte) {
	h.t.Helper()
	n := int(how)
	tab := h.tabs[n>>7]
	device := h.devices[n%3]
	user := h.people[n%2]
	isolated := -1
	describe := func(format string, arguments ...any) { h.trace = append(h.trace, fmt.Sprintf(format, arguments...)) }
	switch what % 16 {
	case 0, 1, 2, 3:
		isolated = n % 4
		describe("key of session %d at %d, embedded %v", isolated, n>>2%events, n&64 == 0)
		h.deliver(tab, isolated, h.voices[isolated].from, uint32(n>>2%events), n&64 == 0)
	case 4:
		isolated = n % 3
		describe("session %d sent on by Mallory", isolated)
		h.deliver(tab, isolated, h.devices[2], uint32(n>>2%events), n&64 == 0)
	case 5, 6:
		describe("answer about %s", user.ID)
		tab.answer(user)
	case 7:
		describe("answer about us")
		tab.answer(h.me)
	case 8:
		kind := n >> 3 % 3
		describe("%s %s cross-signed: %d", device.User.ID, device.ID, kind)
		device.NotCrossSigned()
		switch kind {
		case 0:
			device.CrossSigned()
			h.signed[device.User.ID+device.User.Identity.Master.Public()+device.Curve25519()] = true
		case 1:
			device.CorruptlyCrossSigned()
		}
	case 9:
		describe("%s resets", user.ID)
		user.ResetIdentity()
	case 10:
		describe("we verify %s", user.ID)
		h.me.Verifies(user)
		h.vouched[user.ID+user.Identity.Master.Public()] = true
	case 11:
		err := tab.trustMe()
		describe("we trust ourselves: %v", err)
		h.trusted = h.trusted || err == nil
	case 12:
		switch n % 4 {
		case 0:
			describe("our own reset")
			h.me.ResetIdentity()
		case 1:
			describe("the verification of %s is withdrawn", user.ID)
			_ = tab.machine.WithdrawVerification(context.Background(), ids.UserID(user.ID))
		case 2:
			describe("the identity of %s is pinned", user.ID)
			_ = tab.machine.PinCurrentIdentity(context.Background(), ids.UserID(user.ID))
		case 3:
			describe("%s's devices are listed no more, or again", user.ID)
			if len(user.Devices) > 0 {
				user.Devices = nil
			} else {
				for _, d := range h.devices {
					if d.User == user {
						user.Devices = append(user.Devices, d)
					}
				}
			}
		}
	case 13:
		describe("restart")
		h.tabs[0].machine.Close(context.Background())
		h.reopen()
	case 14:
		describe("a claim of session %d", n%4)
		h.claim(n%4, uint32(n>>2%events))
	case 15:
		describe("a crash, before %v", n&1 == 0)
		h.crash(n)
	}
	h.check(isolated)
	h.ask(n%4, n>>2%events, n>>4%3)
}

// reopen is a start of both tabs.
func (h *history) reopen() {
	for _, w := range h.tabs {
		w.wrap = nil
		w.open()
	}
	h.introduce()
}

// deliver delivers a room key, twice: the second time nothing changes (I12).
func (h *history) deliver(tab *world, n int, from *testkit.Device, index uint32, embedded bool) {
	h.t.Helper()
	session := h.voices[n].session
	session.SkipTo(index)
	var hooks []testkit.Hook
	if !embedded {
		hooks = append(hooks, testkit.WithoutDeviceKeys)
	}
	event := tab.event(from, room, session, hooks...)
	receipt := tab.receive(event)
	if receipt.Err != nil {
		h.fail("refused: %v", receipt.Err)
	}
	after := contents(h.t, h.rows)
	tab.receive(event)
	if again := contents(h.t, h.rows); again != after {
		h.fail("I12: delivered again it changes the store:\n%s", difference(after, again))
	}
	if receipt.Copy != nil {
		key := receipt.Copy.CopyKey
		if known, ok := h.acknowledged[key]; !ok || index < known {
			h.acknowledged[key] = index
		}
	} else {
		delete(h.acknowledged, receipt.Tombstone.CopyKey) // unless an honest copy is there; check finds it in the store
	}
}

// claim plants a claimed copy as an import does, in a store that no machine has open.
func (h *history) claim(n int, index uint32) {
	c := h.claimed(h.voices[n].from, h.voices[n].session, index)
	if h.before[c.CopyKey] != nil {
		return
	}
	h.tabs[0].machine.Close(context.Background())
	h.plant(c)
	h.reopen()
}

// crash ends the program in the middle of a delivery and an answer, and starts it again.
func (h *history) crash(n int) {
	w := h.tabs[0]
	w.machine.Close(context.Background())
	w.wrap = func(under store.Store) store.Store { return &hiccup{Store: under, at: 5 + n>>3%16, after: n&1 == 1} }
	if w.tryOpen() == nil {
		v := h.voices[n>>1%4]
		v.session.SkipTo(uint32(n >> 3 % events))
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(v.from, room, v.session)})
		if w.machine.Flush(context.Background()) == nil {
			_, _ = w.machine.ReceiveKeysQueryResponse(context.Background(), h.kit.KeysQuery(h.people[n%2]), "")
		}
	}
	h.reopen() // the machine is not closed: it died
}

// check holds the store against what it was before the step. isolated is the only session that may have changed, or -1.
func (h *history) check(isolated int) {
	h.t.Helper()
	now := map[sender.CopyKey]*sender.Copy{}
	graves := h.graves()
	for _, c := range h.copies() {
		now[c.CopyKey] = c
		was := h.before[c.CopyKey]
		name := fmt.Sprintf("%s %s of %s", c.Provenance, c.SessionID, c.OlmUser)
		if was != nil && c.ReceivedAt >= was.ReceivedAt && !slices.Contains(graves, c.CopyKey) {
			switch {
			case c.Session.FirstKnownIndex() > was.Session.FirstKnownIndex():
				h.fail("I2: %s begins at %d, was %d", name, c.Session.FirstKnownIndex(), was.Session.FirstKnownIndex())
			case c.Current.Kind < was.Current.Kind:
				h.fail("I3: %s falls from %v to %v", name, was.Current.Kind, c.Current.Kind)
			case was.Current.Kind.Known() && !was.Current.SamePin(c.Current):
				h.fail("I4: the pin of %s moves", name)
			case c.Ed25519 != was.Ed25519 || c.OlmUser != was.OlmUser || c.HasEd25519 != was.HasEd25519:
				h.fail("I5: the proof of %s changes", name)
			case c.Legacy != was.Legacy:
				h.fail("I6: the legacy mark of %s changes", name)
			case c.AtReception != was.AtReception && c.ReceivedAt == was.ReceivedAt:
				h.fail("%s forgets what was known at reception", name)
			}
		}
		if c.Provenance == sender.Direct && c.Legacy {
			h.fail("I6: %s is legacy", name)
		}
		if c.Provenance == sender.Claimed && c.Current.Rank() != 0 {
			h.fail("I7: %s knows its sender", name)
		}
		if c.Current.Kind.Known() && (c.Current.UserID != c.OlmUser || !h.signed[string(c.OlmUser)+c.Current.MasterKey.String()+c.SenderKey.String()]) {
			h.fail("I8: %s is %+v, which was never signed", name, c.Current)
		}
		if c.Current.Kind == sender.SenderVerified && (!h.trusted || !h.vouched[string(c.OlmUser)+c.Current.MasterKey.String()]) {
			h.fail("I9: %s is verified, which we never did", name)
		}
		if first, ok := h.acknowledged[c.CopyKey]; ok && c.Session.FirstKnownIndex() > first {
			h.fail("I13: %s begins at %d, %d was acknowledged", name, c.Session.FirstKnownIndex(), first)
		}
		if isolated >= 0 && c.SessionID.String() != h.voices[isolated].session.ID() && (was == nil || was.Current != c.Current || was.Suspended != c.Suspended) {
			h.fail("I17: %s changes with another session", name)
		}
		row := record.CopyRow(c)
		if again, err := record.DecodeCopy(row); err != nil || !bytes.Equal(record.CopyRow(again).Value, row.Value) {
			h.fail("I24: %s does not survive its own encoding", name)
		}
	}
	for key, was := range h.before {
		if now[key] == nil && !slices.Contains(graves, key) {
			h.fail("I1: the %s copy of %s's session is lost", was.Provenance, was.OlmUser)
		}
	}
	for key := range h.acknowledged {
		if now[key] == nil {
			if !slices.Contains(graves, key) {
				h.fail("I13: an acknowledged copy is not there")
			}
			delete(h.acknowledged, key) // discarded; what comes later begins afresh
		}
	}
	if counts, err := h.tabs[0].machine.RoomKeyCounts(context.Background()); err != nil || int(counts.Total) != len(now) {
		h.fail("%d copies are stored, counted %d, %v", len(now), counts.Total, err)
	}
	for _, w := range h.tabs {
		if len(w.heard.reports) > 0 {
			h.fail("F35: %+v", w.heard.reports)
		}
	}
	h.before = now
}

// graves are the copies that were discarded.
func (h *history) graves() (keys []sender.CopyKey) {
	rows, err := store.Page(context.Background(), h.rows, store.Query{Table: store.Tombstones})
	if err != nil {
		h.t.Fatal(err)
	}
	for i := range rows {
		grave, err := record.DecodeTombstone(rows[i])
		if err != nil {
			h.t.Fatal(err)
		}
		keys = append(keys, grave.CopyKey)
	}
	return keys
}

// ask asks all policies about an event: itself, under another id, or under another sender.
func (h *history) ask(n, index, variant int) {
	h.t.Helper()
	w, v := h.tabs[0], h.voices[n]
	raw, id, from := v.events[index], fmt.Sprint("own ", n, index), v.from.User.ID
	switch variant {
	case 1:
		id = "$replay"
		raw = changed(h.t, raw, testkit.Set("event_id", id))
	case 2:
		id, from = "$spoofed", "@mallory:example.org"
		if v.from.User.ID == from {
			from = "@alice:example.org"
		}
		raw = retold(h.t, raw, from, id)
	}
	name := eventName(h.t, raw)
	place := fmt.Sprint(n, index)
	var verdicts [policy.Requirements]bool
	for r := range policy.TrustRequirement(policy.Requirements) {
		holder, held := h.taken[place]
		want, mismatched := h.oracle(n, uint32(index), from, held && holder != id, r)
		w.machine.SetTrustRequirement(r)
		event, err := bothWays(h.t, w.machine, raw)
		got := err == nil
		if got != want {
			h.fail("I15: event %d of session %d as %s, by %s under %v: shown %v (%v), the oracle says %v", index, n, id, from, r, got, err, want)
		}
		if got {
			if body(h.t, event) != fmt.Sprint(index) {
				h.fail("it says %q", body(h.t, event))
			}
			if !held && !mismatched {
				h.taken[place] = id // I19
			}
			if c := event.Info.Verdict.Chosen; r > policy.Untrusted && c.Provenance == sender.Direct && string(c.OlmUser) != from {
				h.fail("I16: shown as %s's, owned by %s", from, c.OlmUser)
			}
		}
		verdicts[r] = got
		if r > 0 && verdicts[r] && !verdicts[r-1] {
			h.fail("I10: %v shows more than the one before", r)
		}
		h.stable(place, id, from, r, got, err)
	}
	before := dump(h.t, h.rows)
	if err := w.machine.LoadRoom(context.Background(), room); err != nil {
		h.t.Fatal(err)
	}
	for r := range policy.TrustRequirement(policy.Requirements) {
		w.machine.SetTrustRequirement(r)
		info, err := w.machine.RoomEventEncryptionInfo(name)
		if err != nil {
			h.t.Fatal(err)
		}
		// Asked in this order, an event that no index was given to yet may have been given it by a laxer policy just now.
		if holder, held := h.taken[place]; info.Verdict.Shown != verdicts[r] && !(held && holder == id) {
			h.fail("I22: the synchronous answer under %v is %+v, decrypting said %v", r, info.Verdict, verdicts[r])
		}
	}
	if dump(h.t, h.rows) != before {
		h.fail("I22: asking has changed the store")
	}
	w.flush()
}

// stable is I11: what was shown stays shown, unless it is a replay, tampered with, or only claims spoke for it.
func (h *history) stable(place, id, from string, r policy.TrustRequirement, got bool, err error) {
	h.t.Helper()
	key := fmt.Sprint(place, id, from, r)
	if got {
		h.shown[key] = true
		return
	}
	if !h.shown[key] {
		return
	}
	// The key of a message under a false name may have been discarded too: then there is none for that name.
	if code := codeOf(h.t, err); code == "replayed" || code == "tampered" || code == "no_key" && len(h.graves()) > 0 || h.claims() {
		return
	}
	h.fail("I11: shown before, now %v", err)
}

func (h *history) claims() bool {
	for key := range h.before {
		if key.Provenance == sender.Claimed {
			return true
		}
	}
	return false
}

// oracle says whether an event is to be shown, from the stored copies alone.
func (h *history) oracle(n int, index uint32, from string, replayed bool, r policy.TrustRequirement) (show, mismatched bool) {
	var own, other, late *sender.Copy // direct: the sender's, somebody else's, the sender's from a later index
	claimed, dead := false, false
	for _, c := range h.before {
		switch {
		case c.SessionID.String() != h.voices[n].session.ID():
		case c.Provenance == sender.Claimed:
			claimed = claimed || c.Session.FirstKnownIndex() <= index
		case c.Session.FirstKnownIndex() > index:
			if string(c.OlmUser) == from || late == nil && !c.Suspended {
				late = c
			}
		case string(c.OlmUser) == from:
			own = c
		case other == nil || other.Suspended:
			other = c
		}
	}
	rows, _ := store.Page(context.Background(), h.rows, store.Query{Table: store.Tombstones})
	for i := range rows {
		if grave, err := record.DecodeTombstone(rows[i]); err == nil && grave.SessionID.String() == h.voices[n].session.ID() && string(grave.OlmUser) == from {
			dead = true
		}
	}
	level := func(c *sender.Copy) bool { // direct, from the event's sender
		switch c.Current.Kind {
		case sender.SenderVerified:
			return true
		case sender.SenderUnverified:
			return r <= policy.CrossSigned
		}
		return r == policy.Untrusted
	}
	switch {
	case replayed:
		return false, false
	case own != nil:
		return !own.Suspended && level(own), false
	case other != nil && !other.Suspended:
		return r == policy.Untrusted, true
	case claimed && late != nil && string(late.OlmUser) == from:
		return !late.Suspended && level(late) && r <= policy.CrossSignedOrLegacy, false
	case claimed && late != nil:
		return r == policy.Untrusted, false
	case claimed:
		return !dead && r <= policy.CrossSignedOrLegacy, false
	}
	return false, false
}

// askAll asks about everything there is, at the end, and once more after a start.
func (h *history) askAll() {
	h.t.Helper()
	for range 2 {
		for n := range h.voices {
			for index := range events {
				h.ask(n, index, (n+index)%3)
			}
		}
		if h.t.Failed() {
			return
		}
		for _, w := range h.tabs {
			if err := w.machine.Close(context.Background()); err != nil {
				h.t.Fatal(err)
			}
		}
		h.reopen()
	}
}

func (h *history) fail(format string, arguments ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\nafter:\n  %s", fmt.Sprintf(format, arguments...), strings.Join(h.trace, "\n  "))
}
