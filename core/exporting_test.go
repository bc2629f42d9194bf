package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
)

// Room keys on their way out, and back in: what an export holds, what it leaves out, and what another machine of ours may believe of it.

// exports is the content of a key export of everything, and how many pages it came in.
func (w *world) exports() (file []byte, pages int) {
	w.t.Helper()
	file = []byte("[")
	for e := w.machine.BeginExport(); ; pages++ {
		copies, err := e.Next(context.Background())
		if err != nil {
			w.t.Fatal(err)
		}
		if len(copies) == 0 {
			break
		}
		for _, c := range copies {
			if len(file) > 1 {
				file = append(file, ',')
			}
			file = w.machine.AppendExported(file, c)
		}
	}
	return append(file, ']'), pages
}

// exported is what an export says, an entry each: the session, the device and the first index.
func exported(t testing.TB, file []byte) (all []string) {
	t.Helper()
	var entries []map[string]any
	if err := json.Unmarshal(file, &entries); err != nil {
		t.Fatal(err)
	}
	for _, object := range entries {
		read, err := keyfile.ParseEntry(testkit.JSON(object))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(read.RoomID, " ", read.SessionID, " ", read.SenderKey, " ", read.Session.FirstKnownIndex()))
	}
	slices.Sort(all)
	return all
}

// said is one of them.
func said(in ids.RoomID, session *testkit.Outbound, from *testkit.Device, index uint32) string {
	return fmt.Sprint(in, " ", session.ID(), " ", from.Curve25519(), " ", index)
}

func wantExported(t testing.TB, what string, file []byte, want ...string) {
	t.Helper()
	want = slices.Sorted(slices.Values(want))
	if got := exported(t, file); !slices.Equal(got, want) {
		t.Errorf("%s: exported\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Scenario 115: what an export holds of the copies of one session.
func TestWhatIsExported(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	tablet := alice.Device("TABLET").CrossSigned()
	_, hers := w.mallory()
	forged := w.kit.User("@forged:example.org")
	desk := forged.Device("DESK").CorruptlyCrossSigned()
	w.answer(forged)
	want := []string{}
	receive := func(from *testkit.Device, session *testkit.Outbound, at uint32) {
		session.SkipTo(at)
		w.kept(w.event(from, room, session, testkit.WithoutDeviceKeys))
	}

	alone := w.kit.Outbound()
	receive(phone, alone, 2)
	want = append(want, said(room, alone, phone, 2))
	claimed := w.kit.Outbound()
	w.imports(list(entry(phone, claimed, 1)))
	want = append(want, said(room, claimed, phone, 1))
	// Of one device the direct copy, from the earlier index of the two.
	earlier, later := w.kit.Outbound(), w.kit.Outbound()
	receive(phone, earlier, 5)
	receive(phone, later, 1)
	w.imports(list(entry(phone, earlier, 2), entry(phone, later, 4)))
	want = append(want, said(room, earlier, phone, 2), said(room, later, phone, 1))
	// A claim that contradicts what is proved is left out.
	session, invented := w.kit.Outbound(), w.kit.Outbound()
	invented.Private = session.Private
	receive(phone, session, 3)
	w.imports(list(entry(phone, invented, 0)))
	want = append(want, said(room, session, phone, 3))
	// Several devices of one session: one each.
	shared := w.kit.Outbound()
	receive(phone, shared, 4)
	receive(hers, shared, 2)
	w.imports(list(entry(tablet, shared, 0)))
	want = append(want, said(room, shared, phone, 4), said(room, shared, hers, 2), said(room, shared, tablet, 0))
	// Suspended: nothing, but what a file said beside it, as what it is.
	suspended, beside := w.kit.Outbound(), w.kit.Outbound()
	receive(desk, suspended, 0)
	receive(desk, beside, 0)
	w.imports(list(entry(desk, beside, 3)))
	want = append(want, said(room, beside, desk, 3))

	file, pages := w.exports()
	wantExported(t, "all of it", file, want...)
	if pages != 1 {
		t.Errorf("%d pages", pages)
	}
	if strings.Contains(string(file), "org.knownsender.sender_data") {
		t.Error("without a key something is said of senders")
	}
	desk.NotCrossSigned().CrossSigned()
	w.answer(forged)
	file, _ = w.exports()
	want = append(want[:len(want)-1], said(room, suspended, desk, 0), said(room, beside, desk, 0))
	wantExported(t, "the suspension is lifted", file, want...)
}

// Scenario 115: imported into an empty machine, an export of any world opens what that world opened, and exported again it is the same file.
func TestExportRoundTrip(t *testing.T) {
	for seed := range uint64(6) {
		w := newWorld(t)
		w.kit = testkit.New(fmt.Sprint("round trip ", seed))
		random := rand.New(rand.NewPCG(seed, 1))
		_, phone := w.alice()
		_, hers := w.mallory()
		devices := []*testkit.Device{phone, hers}
		for range 20 + random.IntN(30) {
			session := w.kit.Outbound()
			for range 1 + random.IntN(4) {
				from, index := devices[random.IntN(2)], uint32(random.IntN(6))
				if random.IntN(2) == 0 {
					session.SkipTo(index)
					w.kept(w.event(from, room, session))
				} else {
					w.imports(list(entry(from, session, index, testkit.Set("shared_history", random.IntN(2) == 0))))
				}
			}
		}
		file, _ := w.exports()
		other := w.elsewhere()
		i := other.imports(file)
		wantCounts(t, fmt.Sprint("seed ", seed), i, core.ImportCounts{Imported: len(exported(t, file))})
		again, _ := other.exports()
		if !slices.Equal(exported(t, again), exported(t, file)) {
			t.Errorf("seed %d: exported again it is\n%s\nwas\n%s", seed, strings.Join(exported(t, again), "\n"), strings.Join(exported(t, file), "\n"))
		}
		// Its own export adds nothing to what a world can open, and so nothing to its next export.
		if i := w.imports(file); i.Failed != 0 {
			t.Errorf("seed %d: its own export: %+v", seed, i.Failures)
		}
		if again, _ := w.exports(); string(again) != string(file) {
			t.Errorf("seed %d: after its own export", seed)
		}
	}
}

// Scenario 115: more than one page, with a claimed and a direct copy of one device on either side of a page's end.
func TestExportInPages(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	var want []string
	const n = 350
	var events []sender.DecryptedOlmEvent
	var entries []map[string]any
	for range n {
		session := w.kit.Outbound()
		session.SkipTo(1)
		events = append(events, w.event(phone, room, session))
		entries = append(entries, entry(phone, session, 0))
		want = append(want, said(room, session, phone, 0))
	}
	// One session more, of which there is no claim: it moves the end of a page between two copies of one device.
	first := w.kit.Outbound()
	events = append(events, w.event(phone, "!a:example.org", first))
	want = append(want, said("!a:example.org", first, phone, 0))
	w.machine.ReceiveRoomKeys(events)
	w.imports(list(entries...))
	file, pages := w.exports()
	if pages != 3 {
		t.Errorf("%d pages", pages)
	}
	wantExported(t, "three pages", file, want...)
	// Which of them go into a file is the caller's to choose, page by page.
	some := []byte("[")
	for e := w.machine.BeginExport(); ; {
		copies, err := e.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range copies {
			if c.RoomID == "!a:example.org" {
				some = w.machine.AppendExported(some, c)
			}
		}
		if len(copies) == 0 {
			break
		}
	}
	wantExported(t, "one room", append(some, ']'), said("!a:example.org", first, phone, 0))
	if e := w.machine.BeginExport(); w.machine.Close(context.Background()) == nil {
		if _, err := e.Next(context.Background()); err == nil || codeOf(t, err) != store.CodeClosed {
			t.Errorf("after close: %v", err)
		}
	}
}

// F37: the store changes while it is exported. What was there from the beginning to the end is exported once; and what was received and not yet
// written when it began is exported too.
func TestExportWhileTheStoreChanges(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	var want []string
	var events []sender.DecryptedOlmEvent
	for range 1200 {
		session := w.kit.Outbound()
		session.SkipTo(1)
		events = append(events, w.event(phone, room, session))
		want = append(want, session.ID())
	}
	w.machine.ReceiveRoomKeys(events[:1000])
	w.flush()
	w.machine.ReceiveRoomKeys(events[1000:])
	seen := map[string]int{}
	e := w.machine.BeginExport()
	for page := 0; ; page++ {
		copies, err := e.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(copies) == 0 {
			break
		}
		for _, c := range copies {
			seen[c.SessionID.String()]++
		}
		for range 300 {
			w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(phone, room, w.kit.Outbound())})
		}
		w.flush()
	}
	for _, id := range want {
		if seen[id] != 1 {
			t.Fatalf("%s was exported %d times", id, seen[id])
		}
	}
	if copies, err := e.Next(context.Background()); len(copies) != 0 || err != nil {
		t.Errorf("behind the end: %d copies, %v", len(copies), err)
	}
}

// F35: a damaged row is passed over, set aside and reported; a claim beside it is exported as a claim.
func TestExportPastDamage(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	whole, damaged := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(phone, room, whole))
	w.imports(list(entry(phone, damaged, 2)))
	c := w.kept(w.event(phone, room, damaged))
	for n := range 3 {
		if row := rowOf(t, w, n); row.Key[1] == c.SessionID.String() && row.Key[3] == "direct" {
			w.rot(store.Copies, row.Key, row.Value[:20])
		}
	}
	w.restart()
	file, _ := w.exports()
	wantExported(t, "past the damage", file, said(room, whole, phone, 0), said(room, damaged, phone, 2))
	if len(w.heard.reports) != 1 || w.heard.reports[0].Code != core.CodeRecordQuarantined {
		t.Errorf("%+v", w.heard.reports)
	}
	w.flush()
	if len(w.quarantine()) != 1 {
		t.Errorf("%d rows are set aside", len(w.quarantine()))
	}
}

// trusted is a key by which our devices believe each other.
func trusted(name string) *keyfile.SenderDataKey {
	var secret [32]byte
	copy(secret[:], name)
	return keyfile.NewSenderDataKey(secret)
}

// T33, I7: evidence. Exported with our key, and imported with it into another machine of ours, a key says who sent it to the first one. That is for
// people to read: no policy judges by it, and nothing rises. By a file or by the backup.
func TestEvidence(t *testing.T) {
	for _, way := range []string{"file", "backup"} {
		for _, known := range []bool{true, false} {
			w := closedWorld(t)
			w.secret = trusted("ours")
			w.open()
			alice, phone := w.alice()
			w.me.Verifies(alice)
			if known {
				w.verifyMe()
				w.answer(alice)
			}
			session := w.kit.Outbound()
			message := phone.Message(string(room), session, "hello")
			session.SkipTo(0)
			received := w.kept(w.event(phone, room, session))
			v := newVault(t)

			other := w.elsewhere()
			carry := func(to *world) {
				if way == "file" {
					file, _ := w.exports()
					to.imports(file)
					return
				}
				to.restores(v, "1", w.upload(v, "1").Body)
			}
			carry(other)
			c := other.copy()
			if c.AtReception != received.AtReception || c.ReceivedAt != received.ReceivedAt {
				t.Errorf("%s: %+v at %d, want %+v at %d", way, c.AtReception, c.ReceivedAt, received.AtReception, received.ReceivedAt)
			}
			if c.Evidence() != (received.AtReception.Kind != sender.UnknownDevice) || c.Current != (sender.Data{}) || !c.Legacy || c.Provenance != sender.Claimed || c.OlmUser != "" {
				t.Errorf("%s: %+v", way, c)
			}
			if why := other.why(session); !strings.Contains(why, "Another device of yours received it from @alice:example.org, and recorded "+received.AtReception.Kind.String()) {
				t.Errorf("%s: %q", way, why)
			}
			for range 2 {
				other.wantCodes(message, legacyClaims)
				other.verifyMe()
				other.answer(alice)
			}
			if c := other.copy(); c.Current != (sender.Data{}) || c.AtReception != received.AtReception {
				t.Errorf("%s, when she is known: %+v", way, c)
			}

			// With another key, or none, it is hearsay as before.
			for _, key := range []*keyfile.SenderDataKey{trusted("somebody's"), nil} {
				stranger := w.elsewhere()
				stranger.secret = key
				stranger.restart()
				carry(stranger)
				if c := stranger.copy(); c.Evidence() || c.AtReception != (sender.Data{}) || c.ReceivedAt <= received.ReceivedAt {
					t.Errorf("%s: somebody else believes it: %+v", way, c)
				}
				stranger.wantCodes(message, legacyClaims)
			}
		}
	}
}

// T33: whatever is changed of an entry with evidence, one byte at a time: it is refused, or it is hearsay, or it is the very same.
func TestEvidenceThatWasChanged(t *testing.T) {
	w := closedWorld(t)
	w.secret = trusted("ours")
	w.open()
	alice, phone := w.alice()
	w.answer(alice)
	received := w.kept(w.event(phone, room, w.kit.Outbound()))
	file, _ := w.exports()
	step := 1 + sparsely
	if testing.Short() {
		step = 7
	}
	believed := 0
	for at := 1; at < len(file)-1; at += step {
		for _, flip := range []byte{1, 0x20} {
			bad := slices.Clone(file)
			bad[at] ^= flip
			entry, err := keyfile.ParseEntry(bad[1 : len(bad)-1])
			if err != nil {
				codeOf(t, err)
				continue
			}
			if _, _, held := entry.Evidence(w.secret); held {
				believed++
				t.Errorf("changed at %d to %q, it is believed", at, bad[at])
			}
		}
	}
	// And through the machine, for one of each member.
	for _, hook := range []testkit.Hook{
		testkit.Set("room_id", "!other:example.org"), testkit.Set("sender_key", w.mine.Curve25519()), testkit.Set("m.shared_history", true),
		testkit.In("org.knownsender.sender_data", testkit.Set("kind", "SenderVerified")), testkit.In("org.knownsender.sender_data", testkit.Set("received_at", 1)),
		testkit.In("org.knownsender.sender_data", testkit.Delete("mac")), testkit.Set("added", 1),
	} {
		other := w.elsewhere()
		var entries []json.RawMessage
		if err := json.Unmarshal(file, &entries); err != nil {
			t.Fatal(err)
		}
		wantCounts(t, "changed", other.imports([]byte("["+string(changed(t, entries[0], hook))+"]")), core.ImportCounts{Imported: 1})
		if c := other.copy(); c.Evidence() || c.ReceivedAt <= received.ReceivedAt {
			t.Errorf("%+v", c)
		}
	}
	if believed > 0 {
		t.Errorf("%d changes were believed", believed)
	}
}

// T33: evidence says what a device of ours received, so it is written where it was received and nowhere else: a machine that has it from a file
// passes on the key without it. And an entry without it takes nothing from one that had it.
func TestEvidenceTravelsOnce(t *testing.T) {
	w := closedWorld(t)
	w.secret = trusted("ours")
	w.open()
	alice, phone := w.alice()
	w.answer(alice)
	w.kept(w.event(phone, room, w.kit.Outbound()))
	file, _ := w.exports()
	second, third := w.elsewhere(), w.elsewhere()
	second.imports(file)
	passedOn, _ := second.exports()
	if strings.Contains(string(passedOn), "sender_data") {
		t.Errorf("it is passed on: %s", exported(t, passedOn))
	}
	wantCounts(t, "passed on", third.imports(passedOn), core.ImportCounts{Imported: 1})
	if third.copy().Evidence() {
		t.Error("the third has evidence")
	}
	// The third meets the first file later, the second meets the one without evidence.
	third.imports(file)
	second.imports(passedOn)
	for _, of := range []*world{second, third} {
		of.restart()
		if c := of.copy(); c.AtReception.Kind != sender.SenderUnverified || c.AtReception.UserID != "@alice:example.org" {
			t.Errorf("%+v", c.AtReception)
		}
	}
}

// Evidence survives a better ratchet from a file that has none, in either order, and though that one was here before the key was received there.
func TestEvidenceAndABetterRatchet(t *testing.T) {
	for _, evidenceFirst := range []bool{true, false} {
		w := closedWorld(t)
		w.secret = trusted("ours")
		w.open()
		alice, phone := w.alice()
		w.answer(alice)
		session := w.kit.Outbound()
		other := w.elsewhere()
		without := list(entry(phone, session, 1))
		if !evidenceFirst {
			other.imports(without)
		}
		session.SkipTo(4)
		received := w.kept(w.event(phone, room, session))
		with, _ := w.exports()
		other.imports(with)
		if evidenceFirst {
			other.imports(without)
		}
		other.restart()
		if c := other.copy(); c.AtReception != received.AtReception || c.ReceivedAt != received.ReceivedAt || c.Session.FirstKnownIndex() != 1 {
			t.Errorf("evidence first %v: %+v from %d on", evidenceFirst, c.AtReception, c.Session.FirstKnownIndex())
		}
	}
}
