package core_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// Room keys from files and backups: what is kept of them, what they can and cannot do to what is here, and what is left when an import ends in the
// middle.

// list is the content of a key export.
func list(entries ...map[string]any) []byte { return testkit.JSON(entries) }

// entry is what a file says of a session of our room, from index on.
func entry(from *testkit.Device, session *testkit.Outbound, index uint32, hooks ...testkit.Hook) map[string]any {
	return from.ExportEntry(string(room), session, index, hooks...)
}

// begin begins an import.
func (w *world) begin(options core.ImportOptions) *core.Import {
	w.t.Helper()
	i, err := w.machine.BeginImport(context.Background(), options)
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

// imports imports a file.
func (w *world) imports(file []byte) *core.Import {
	w.t.Helper()
	i := w.begin(core.ImportOptions{})
	if err := finish(i, file); err != nil {
		w.t.Fatal(err)
	}
	return i
}

// finish writes the whole of a file, and its end.
func finish(i *core.Import, file []byte) error {
	if err := i.Write(context.Background(), file); err != nil {
		return err
	}
	return i.End(context.Background())
}

// wantCounts holds what an import counted against imported, unchanged, better and failed.
func wantCounts(t testing.TB, what string, i *core.Import, want core.ImportCounts) {
	t.Helper()
	if i.ImportCounts != want {
		t.Errorf("%s: counted %+v, want %+v", what, i.ImportCounts, want)
	}
	if i.Total() != want.Imported+want.Unchanged+want.Better+want.Failed {
		t.Errorf("%s: %d in total", what, i.Total())
	}
}

// vault is a server-side backup as the server sees it: it seals for a public key what it likes (T33).
type vault struct {
	key *keyfile.BackupKey
}

func newVault(t testing.TB) *vault {
	t.Helper()
	key, err := keyfile.NewBackupKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &vault{key}
}

// seal is copies as rooms of an answer to GET /room_keys/keys.
func (v *vault) seal(t testing.TB, copies ...*sender.Copy) []byte {
	t.Helper()
	rooms := map[string]any{}
	for _, c := range copies {
		made, err := keyfile.GoAgreement{}.Ephemeral(context.Background(), v.key.PublicKey(), 1)
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := made[0].Seal(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		of, _ := rooms[string(c.RoomID)].(map[string]any)
		if of == nil {
			of = map[string]any{"sessions": map[string]any{}}
			rooms[string(c.RoomID)] = of
		}
		of["sessions"].(map[string]any)[c.SessionID.String()] = jsonOf(t, sealed)
	}
	return testkit.JSON(map[string]any{"rooms": rooms})
}

// restores imports parts of a backup of that version.
func (w *world) restores(v *vault, version string, parts ...[]byte) *core.Import {
	w.t.Helper()
	i := w.begin(core.ImportOptions{BackupVersion: version, BackupKey: v.key})
	for _, part := range parts {
		if err := i.WriteBackup(context.Background(), part); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := i.End(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return i
}

// claims is what is kept of claimed copies, in short, without times.
func (w *world) claims() string {
	var out strings.Builder
	for _, c := range w.copies() {
		fmt.Fprintf(&out, "%s %s %s %v %d %s %v legacy %v shared %v\n", c.RoomID, c.SessionID, c.SenderKey, c.Provenance, c.Session.FirstKnownIndex(), c.Ed25519, c.AtReception, c.Legacy, c.SharedHistory)
	}
	return out.String()
}

// Scenario 103, T33: a file. Its keys are claimed and legacy, of no known sender; the listener hears of them, they are durable, and they open
// messages that are shown as history.
func TestImportOfAFile(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	one, two := w.kit.Outbound(), w.kit.Outbound()
	message := phone.Message(string(room), one, "from before")
	i := w.imports(list(entry(phone, one, 0), entry(phone, two, 3, testkit.Set("room_id", "!other:example.org"), testkit.Set("shared_history", true))))
	wantCounts(t, "two keys", i, core.ImportCounts{Imported: 2})
	if len(i.Rooms) != 2 || *i.Rooms[room] != (core.ImportCounts{Imported: 1}) {
		t.Errorf("by room: %v", i.Rooms)
	}
	if len(w.heard.keys) != 2 {
		t.Errorf("%d keys were told", len(w.heard.keys))
	}
	for _, c := range w.copies() {
		if c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || c.AtReception != (sender.Data{}) || c.OlmUser != "" || c.BackedUp ||
			c.Forwarder != nil || c.Schedule != (lane.Schedule{}) || !c.InsecureSource() || c.SharedHistory != (c.RoomID != room) {
			t.Errorf("kept as %+v", c)
		}
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts != (core.RoomKeyCounts{Total: 2}) {
		t.Errorf("%+v", counts)
	}
	for range 2 {
		w.wantCodes(message, legacyClaims)
		w.restart()
	}
}

// Scenario 104, scenario 108, T33: a backup. Whoever knows the public key can put keys there, and say of them what he likes: they are claims for
// good, however well the claimed device and its owner are known.
func TestBackupThatClaimsAlice(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	v := newVault(t)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "she never said so")
	answer := bytes.ReplaceAll(v.seal(t, w.claimed(phone, session, 0)), []byte(`"is_verified":false`), []byte(`"is_verified":true`))
	wantCounts(t, "the backup", w.restores(v, "1", answer), core.ImportCounts{Imported: 1})
	check := func(when string) {
		if c := w.copy(); c.Current != (sender.Data{}) || !c.Legacy || !c.BackedUp {
			t.Errorf("%s: %+v", when, c)
		}
		w.wantCodes(message, legacyClaims)
	}
	check("restored")
	w.answer(alice, w.me)
	check("after an answer about her")
	w.restart()
	w.answer(alice)
	check("after a restart")
}

// Scenario 105, T39: a worse or equal copy changes nothing, a better one only the ratchet; the counts say so.
func TestImportAgain(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	w.imports(list(entry(phone, session, 3)))
	before := dump(t, w.rows)
	for _, restart := range []bool{false, true} {
		if restart {
			w.restart()
		}
		for _, index := range []uint32{3, 7} {
			wantCounts(t, fmt.Sprint("at ", index, " after a restart ", restart), w.imports(list(entry(phone, session, index))), core.ImportCounts{Unchanged: 1})
		}
	}
	if contents(t, w.rows) != anyRev(before) {
		t.Error("the store has changed")
	}
	told := len(w.heard.keys)
	i := w.imports(list(entry(phone, session, 1)))
	wantCounts(t, "a better one", i, core.ImportCounts{Better: 1})
	if *i.Rooms[room] != (core.ImportCounts{Better: 1}) || w.copy().Session.FirstKnownIndex() != 1 || len(w.heard.keys) != told+1 {
		t.Errorf("%+v, begins at %d, told %d", i.Rooms[room], w.copy().Session.FirstKnownIndex(), len(w.heard.keys)-told)
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); counts.Total != 1 {
		t.Errorf("%+v", counts)
	}
}

// Scenario 84, scenario 106: nobody is asked about what a file claims, not after a restart either. When the device becomes known there is a hint
// to show, made when it is asked for; the key stays what it was.
func TestImportedKeysWaitForNobody(t *testing.T) {
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	server.knows(alice)
	session := w.kit.Outbound()
	message := phone.Message(string(room), session, "old")
	w.imports(list(entry(phone, session, 0)))
	before := server.requests()
	for range 2 {
		w.machine.Nudge()
		w.retry()
		*w.clock += lane.MaxDelay.Milliseconds() * 2
		w.retry()
		w.restart()
	}
	if server.requests() != before {
		t.Error("somebody was asked about a claim")
	}
	if row := rowOf(t, w, 0); row.Entry(store.IndexDue) != nil || row.Entry(store.IndexWaiting) != nil || row.Entry(store.IndexOwner) != nil {
		t.Errorf("it stands in %v", row.Index)
	}
	event, err := w.decrypt(message, policy.Untrusted)
	if err != nil || event.Info.Hint != nil {
		t.Fatalf("nobody is known, and the hint is %+v, %v", event.Info.Hint, err)
	}
	stored := dump(t, w.rows)
	for _, signed := range []bool{false, true} {
		if phone.NotCrossSigned(); signed {
			phone.CrossSigned()
		}
		w.answer(alice)
		event, err = w.decrypt(message, policy.Untrusted)
		if err != nil || event.Info.Hint == nil || event.Info.Hint.UserID != "@alice:example.org" || event.Info.Hint.DeviceID != "PHONE" || event.Info.Hint.CrossSigned() != signed {
			t.Fatalf("the hint is %+v, %v", event.Info.Hint, err)
		}
		w.wantCodes(message, legacyClaims)
		why := w.why(session)
		if want := map[bool]string{true: "which is cross-signed today", false: "which is not cross-signed today"}[signed]; !strings.Contains(why, "a file or a backup") ||
			!strings.Contains(why, "@alice:example.org's device PHONE") || !strings.Contains(why, want) {
			t.Errorf("explained as %q", why)
		}
	}
	if c := w.copy(); !c.Legacy || c.Current != (sender.Data{}) || !strings.Contains(stored, string(store.Copies)) {
		t.Errorf("%+v", c)
	}
	// A device with another fingerprint key, or the same key under two names, is no hint.
	other := w.kit.Outbound()
	w.imports(list(entry(phone, other, 0, testkit.Set("sender_claimed_keys", map[string]any{"ed25519": alice.Identity.Master.Public()}))))
	if why := w.why(other); !strings.Contains(why, "another fingerprint key") {
		t.Errorf("another fingerprint key: %q", why)
	}
	mallory := w.kit.User("@mallory:example.org")
	mallory.Device("STOLEN").Identity = phone.Identity
	w.answer(mallory)
	if why := w.why(session); !strings.Contains(why, "more than one user lists") {
		t.Errorf("a key that two people list: %q", why)
	}
}

// why is the explanation of a session's first copy.
func (w *world) why(session *testkit.Outbound) string {
	w.t.Helper()
	e, err := w.machine.Explain(context.Background(), room, sessionID(w.t, session.ID()))
	if err != nil || len(e.Copies) == 0 {
		w.t.Fatalf("%+v, %v", e, err)
	}
	return e.Copies[0].Why
}

// Scenarios 85 to 102 with claims, T34: a claimed copy and a direct one of one session, in either order, with every relation of their indexes and
// everything that can be known of the sender. They lie side by side; the direct one speaks for the session as far as it reaches (scenario 107),
// and hides as much as it did alone.
func TestImportsAndReceptions(t *testing.T) {
	for _, importFirst := range []bool{true, false} {
		for _, at := range []struct{ claim, direct uint32 }{{0, 3}, {3, 3}, {3, 0}} {
			for _, kind := range []sender.Kind{sender.UnknownDevice, sender.DeviceInfo, sender.SenderUnverified} {
				t.Run(fmt.Sprintf("import first %v, %+v, %v", importFirst, at, kind), func(t *testing.T) {
					w := newWorld(t)
					alice, phone := w.alice()
					session := w.kit.Outbound()
					if kind == sender.SenderUnverified {
						w.answer(alice)
					}
					session.SkipTo(at.direct)
					hooks := []testkit.Hook{}
					if kind == sender.UnknownDevice {
						hooks = append(hooks, testkit.WithoutDeviceKeys)
					}
					steps := []func(){
						func() {
							wantCounts(t, "the file", w.imports(list(entry(phone, session, at.claim))), core.ImportCounts{Imported: 1})
						},
						func() { w.kept(w.event(phone, room, session, hooks...)) },
					}
					if !importFirst {
						slices.Reverse(steps)
					}
					for _, step := range steps {
						step()
						w.restart()
					}
					stored := w.copies()
					if len(stored) != 2 || stored[0].Provenance != sender.Claimed || stored[1].Current.Kind != kind || stored[1].Legacy || !stored[0].Legacy ||
						stored[0].Session.FirstKnownIndex() != at.claim || stored[1].Session.FirstKnownIndex() != at.direct {
						t.Fatalf("%s", w.claims())
					}
					session.SkipTo(4)
					want := map[sender.Kind]verdicts{
						sender.UnknownDevice: but("unknown_device"), sender.DeviceInfo: but("unsigned_device"), sender.SenderUnverified: shownUnsure,
					}[kind]
					w.wantCodes(phone.Message(string(room), session, "both"), want)
					if at.claim < at.direct {
						// Only the claim reaches there. What hides the session hides that too (T38).
						if kind == sender.SenderUnverified {
							want = verdicts{"shown", "shown", "authenticity_not_guaranteed", "unverified_identity"}
						}
						session.SkipTo(1)
						w.wantCodes(phone.Message(string(room), session, "early"), want)
					}
				})
			}
		}
	}
}

// T34: the backup says that a session is Alice's; then Mallory, who made it, sends it. Nothing is ever hers by that.
func TestClaimLaundering(t *testing.T) {
	for _, importFirst := range []bool{true, false} {
		w := newWorld(t)
		alice, phone := w.alice()
		mallory, hers := w.mallory()
		w.answer(alice, mallory)
		session := w.kit.Outbound()
		message := phone.Message(string(room), session, "as Alice")
		session.SkipTo(0)
		if importFirst {
			w.imports(list(entry(phone, session, 0)))
		}
		w.kept(w.event(hers, room, session))
		if !importFirst {
			w.imports(list(entry(phone, session, 0)))
		}
		w.wantCodes(message, but("mismatched_sender"))
		w.restart()
		w.wantCodes(message, but("mismatched_sender"))
	}
}

// Scenario 109, T35: a file names session S over the key of another. That entry is refused, its neighbours are not, and S is received later as if
// nothing had been.
func TestPoisonedName(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	victim, other, before, behind := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	i := w.imports(list(entry(phone, before, 0), entry(phone, other, 0, testkit.Set("session_id", victim.ID())), entry(phone, behind, 0)))
	wantCounts(t, "the file", i, core.ImportCounts{Imported: 2, Failed: 1})
	if len(i.Failures) != 1 || i.Failures[0].Position != 1 || codeOf(t, i.Failures[0].Err) != keyfile.CodeSessionIDMismatch {
		t.Errorf("%+v", i.Failures)
	}
	w.kept(w.event(phone, room, victim))
	w.wantCodes(phone.Message(string(room), victim, "mine"), shownUnsure)

	// In a backup the name stands in the path.
	v := newVault(t)
	swapped := bytes.ReplaceAll(v.seal(t, w.claimed(phone, other, 0)), []byte(other.ID()), []byte(w.kit.Outbound().ID()))
	restored := w.restores(v, "1", swapped)
	wantCounts(t, "the backup", restored, core.ImportCounts{Failed: 1})
	if codeOf(t, restored.Failures[0].Err) != keyfile.CodeSessionIDMismatch {
		t.Errorf("%v", restored.Failures[0].Err)
	}
}

// T36, scenario 100: the right name over an invented ratchet, imported first. The genuine direct key is kept and used; a genuine entry of another file
// contradicts the invented one and is told as a conflict, whether the two meet in memory or in the store.
func TestPoisonedRatchet(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		alice, phone := w.alice()
		w.answer(alice)
		session, invented := w.kit.Outbound(), w.kit.Outbound()
		invented.Private = session.Private
		w.imports(list(entry(phone, invented, 0)))
		session.SkipTo(3)
		w.kept(w.event(phone, room, session))
		w.wantCodes(phone.Message(string(room), session, "genuine"), shownUnsure)
		// Whoever invented the ratchet can make a MAC with it, and not sign for the session.
		invented.Private = w.kit.Outbound().Private
		w.wantCodes(changed(t, phone.Message(string(room), invented, "invented"), content("session_id", session.ID())), hidden("unable_to_decrypt"))
		if restart {
			w.restart()
		}
		i := w.imports(list(entry(phone, session, 3), entry(phone, w.kit.Outbound(), 0)))
		wantCounts(t, "the genuine file", i, core.ImportCounts{Imported: 1, Failed: 1})
		if len(i.Failures) != 1 || i.Failures[0].Position != 0 || codeOf(t, i.Failures[0].Err) != sender.ReasonUnconnected || *i.Rooms[room] != (core.ImportCounts{Imported: 1, Failed: 1}) {
			t.Errorf("restart %v: %+v", restart, i.Failures)
		}
		if len(w.heard.reports) != 0 {
			t.Errorf("restart %v: what the result says was reported as well: %+v", restart, w.heard.reports)
		}
		w.wantCodes(phone.Message(string(room), session, "still"), shownUnsure)
	}
}

// T37: one file names the wrong device, the next the right one and an earlier index. Both are kept, and everything from the earlier one on opens.
func TestWrongClaimFirst(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	_, hers := w.mallory()
	session := w.kit.Outbound()
	messages := [][]byte{phone.Message(string(room), session, "0")}
	session.SkipTo(5)
	messages = append(messages, phone.Message(string(room), session, "5"))
	w.imports(list(entry(hers, session, 3)))
	w.imports(list(entry(phone, session, 0)))
	if len(w.copies()) != 2 {
		t.Errorf("%d copies", len(w.copies()))
	}
	for _, message := range messages {
		w.wantCodes(message, legacyClaims)
	}
}

// T38: a file washes nothing that a direct copy hides; whoever asks for it gets it, and is told.
func TestImportedWashing(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	early := phone.Message(string(room), session, "early")
	session.SkipTo(3)
	w.kept(w.event(phone, room, session, testkit.WithoutDeviceKeys))
	w.imports(list(entry(phone, session, 0)))
	w.wantCodes(early, but("unknown_device"))
	w.overruled = true
	w.restart()
	event, err := w.decrypt(early, policy.CrossSignedOrLegacy)
	if err != nil || !event.Info.Verdict.Washed {
		t.Errorf("washed as asked: %v", err)
	}
}

// T39, F22, scenario 101: up to four copies of one session with every list of indexes, in one import, in one chunk or in several, and as imports of their
// own. The lowest index is kept, one was new, and each of the others counts as if it had come by itself.
func TestDuplicatesInAFile(t *testing.T) {
	indexes := []uint32{0, 2, 5}
	var orders [][]uint32
	for _, a := range indexes {
		orders = append(orders, []uint32{a})
	}
	for from := 0; len(orders[from]) < 4; from++ {
		for _, next := range indexes {
			orders = append(orders, append(slices.Clone(orders[from]), next))
		}
	}
	w := newWorld(t)
	_, phone := w.alice()
	for n, order := range orders {
		if n%(sparsely/3+1) != 0 {
			continue
		}
		want, lowest := core.ImportCounts{Imported: 1}, order[0]
		for _, index := range order[1:] {
			if index < lowest {
				want.Better++
				lowest = index
			} else {
				want.Unchanged++
			}
		}
		for _, way := range []string{"one chunk", "chunks of one", "chunks of three", "one import each"} {
			session := w.kit.Outbound()
			var entries []map[string]any
			for _, index := range order {
				entries = append(entries, entry(phone, session, index))
			}
			var got core.ImportCounts
			if way == "one import each" {
				for _, e := range entries {
					i := w.imports(list(e))
					got.Imported, got.Better, got.Unchanged, got.Failed = got.Imported+i.Imported, got.Better+i.Better, got.Unchanged+i.Unchanged, got.Failed+i.Failed
				}
			} else {
				i := w.begin(core.ImportOptions{})
				core.ImportInChunksOf(i, map[string]int{"one chunk": 512, "chunks of one": 1, "chunks of three": 3}[way])
				if err := finish(i, list(entries...)); err != nil {
					t.Fatal(err)
				}
				got = i.ImportCounts
				if *i.Rooms[room] != got {
					t.Errorf("%v, %s: %+v by room", order, way, i.Rooms[room])
				}
			}
			if got != want {
				t.Errorf("%v, %s: counted %+v, want %+v", order, way, got, want)
			}
			if first := w.stored(session).Session.FirstKnownIndex(); first != lowest {
				t.Errorf("%v, %s: begins at %d", order, way, first)
			}
		}
	}
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); int(counts.Total) != len(w.copies()) {
		t.Errorf("counted %d of %d", counts.Total, len(w.copies()))
	}
}

// Two imports of the same keys at once, and one that meets what another tab has just written: each key was new once.
func TestTwoImportsAtOnce(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	one, two := w.kit.Outbound(), w.kit.Outbound()
	other := w.tab()
	if err := w.machine.LoadRoom(context.Background(), room); err != nil { // it takes both to be absent
		t.Fatal(err)
	}
	wantCounts(t, "the other tab", other.imports(list(entry(phone, one, 2))), core.ImportCounts{Imported: 1})
	a, b := w.begin(core.ImportOptions{}), w.begin(core.ImportOptions{})
	for _, i := range []*core.Import{a, b} {
		if err := i.Write(context.Background(), list(entry(phone, one, 2), entry(phone, two, 0))); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []*core.Import{a, b} {
		if err := i.End(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wantCounts(t, "the first", a, core.ImportCounts{Imported: 1, Unchanged: 1})
	wantCounts(t, "the second", b, core.ImportCounts{Unchanged: 2})
}

// T40, scenario 117: bad entries in a long file. Each costs itself, and is told with its position and in order, the first thousand of them.
func TestBadEntriesInALongFile(t *testing.T) {
	n := 10_000
	if testing.Short() || sparsely > 0 {
		n = 1500
	}
	w := newWorld(t)
	_, phone := w.alice()
	session := w.kit.Outbound()
	contradicted := w.kit.Outbound()
	other := w.kit.Outbound()
	other.Private = contradicted.Private
	w.imports(list(entry(phone, contradicted, 0)))
	text := string(testkit.JSON(entry(phone, session, 0)))
	bad := map[int]string{
		7:      strings.Replace(text, `"session_key":"`, `"session_key":"!`, 1),
		100:    string(testkit.JSON(entry(phone, other, 0))), // read, and refused when it meets what is stored
		300:    `{"algorithm":`,
		511:    string(testkit.JSON(entry(phone, session, 0, testkit.Delete("sender_key")))),
		512:    `null`,
		n - 10: strings.Replace(text, "m.megolm.v1.aes-sha2", "m.megolm.v2", 1),
	}
	var file strings.Builder
	file.WriteByte('[')
	for position := range n {
		if position > 0 {
			file.WriteByte(',')
		}
		if bad[position] != "" {
			if position == 300 {
				file.WriteString(`{"algorithm":}`)
				continue
			}
			file.WriteString(bad[position])
			continue
		}
		file.WriteString(strings.Replace(text, string(room), fmt.Sprintf("!%d:example.org", position), 1))
	}
	file.WriteByte(']')
	i := w.begin(core.ImportOptions{})
	for piece := range slices.Chunk([]byte(file.String()), 10_007) {
		if err := i.Write(context.Background(), piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.End(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "the file", i, core.ImportCounts{Imported: n - len(bad), Failed: len(bad)})
	var got []string
	for _, f := range i.Failures {
		got = append(got, fmt.Sprint(f.Position, " ", codeOf(t, f.Err)))
	}
	want := fmt.Sprintf("[7 bad_session_key 100 unconnected 300 bad_entry_json 511 missing_member 512 bad_entry_json %d unsupported_algorithm]", n-10)
	if fmt.Sprint(got) != want {
		t.Errorf("failures %v, want %s", got, want)
	}
	if stored := len(w.copies()); stored != n-len(bad)+1 {
		t.Errorf("%d are stored", stored)
	}

	nothing := w.imports([]byte("[" + strings.Repeat("1,", 1200) + "1]"))
	wantCounts(t, "nothing but rubbish", nothing, core.ImportCounts{Failed: 1201})
	if len(nothing.Failures) != 1000 || nothing.Failures[999].Position != 999 {
		t.Errorf("%d failures are listed", len(nothing.Failures))
	}
}

// F25, scenario 117: every member of an entry dropped, of another type, null, huge. It is refused at its position with a code, or kept because the
// member decides nothing; its neighbours are imported either way. The same of what lies in a backup.
func TestEveryMemberOfAnEntry(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	session := w.kit.Outbound()
	sealed := v.seal(t, w.claimed(phone, session, 0))
	spoiled := map[string][]byte{}
	for name, hook := range mutations(entry(phone, session, 0)) {
		spoiled["file "+name] = changed(t, testkit.JSON(entry(phone, session, 0)), hook)
	}
	for name, hook := range mutations(jsonOf(t, sealed)["rooms"].(map[string]any)) {
		spoiled["backup "+name] = changed(t, sealed, testkit.In("rooms", hook))
	}
	harmless := []string{"forwarding_curve25519_key_chain", "sender_claimed_keys dropped", "sender_claimed_keys is an object", "sender_claimed_keys ed25519 dropped", "sender_claimed_keys ed25519 is empty", "m.shared_history", "first_message_index", "forwarded_count", "is_verified"}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(spoiled)) {
		if n++; n%(sparsely/3+1) != 0 {
			continue
		}
		var i *core.Import
		position := 0
		if strings.HasPrefix(name, "file") {
			good := func() []byte { return testkit.JSON(entry(phone, w.kit.Outbound(), 0)) }
			i = w.imports(slices.Concat([]byte("["), good(), []byte(","), spoiled[name], []byte(","), good(), []byte("]")))
			position = 1
			if i.Imported < 2 || i.Total() != 3 {
				t.Errorf("%s: the neighbours: %+v", name, i.ImportCounts)
			}
		} else {
			i = w.begin(core.ImportOptions{BackupKey: v.key})
			if err := i.WriteBackup(context.Background(), spoiled[name]); err != nil {
				codeOf(t, err)
				continue
			}
			if err := i.End(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		if i.Failed == 0 {
			empty := i.Total() == 0 && strings.Contains(name, "dropped")
			if !empty && !slices.ContainsFunc(harmless, func(member string) bool {
				return strings.Contains(strings.NewReplacer("[", "", "]", "").Replace(name), member)
			}) {
				t.Errorf("%s: it was imported", name)
			}
			continue
		}
		if f := i.Failures[0]; i.Failed != 1 || len(i.Failures) != 1 || f.Position != position || codeOf(t, f.Err) == "" || f.Err.Error() == "" {
			t.Errorf("%s: %+v", name, i.Failures)
		}
	}
}

// F26: an import that is ended after some of its keys. What it counted is stored, in whole chunks; begun again it completes, and its counts are right.
func TestImportEndedInTheMiddle(t *testing.T) {
	const n, chunk = 25, 4
	entries := func(w *world, phone *testkit.Device) (all []map[string]any) {
		for range n {
			all = append(all, entry(phone, w.kit.Outbound(), 0))
		}
		return all
	}
	for m := 0; m <= n; m += 3 {
		w := newWorld(t)
		_, phone := w.alice()
		all := entries(w, phone)
		file := list(all...)
		i := w.begin(core.ImportOptions{})
		core.ImportInChunksOf(i, chunk)
		if err := i.Write(context.Background(), file[:len(list(all[:m]...))-1]); err != nil {
			t.Fatal(err)
		}
		i.Abort()
		i.Abort() // twice is no error
		for what, err := range map[string]error{"Write": i.Write(context.Background(), file), "End": i.End(context.Background())} {
			if err == nil || codeOf(t, err) != core.CodeImportEnded || err.Error() == "" {
				t.Errorf("%s after the end: %v", what, err)
			}
		}
		stored := len(w.copies())
		wantCounts(t, fmt.Sprint(m, " written"), i, core.ImportCounts{Imported: stored})
		if stored%chunk != 0 || stored > m || stored < m-chunk {
			t.Errorf("%d of %d are stored", stored, m)
		}
		w.restart()
		wantCounts(t, fmt.Sprint("again after ", m), w.imports(file), core.ImportCounts{Imported: n - stored, Unchanged: stored})
		wantCounts(t, "a third time", w.imports(file), core.ImportCounts{Unchanged: n})
	}

	// It can be ended from elsewhere while a chunk is being stored: that one stays whole, and no further one begins.
	w := closedWorld(t)
	var i *core.Import
	w.wrap = func(under store.Store) store.Store {
		return &meddling{under, func() {
			if i != nil {
				i.Abort()
			}
		}}
	}
	w.open()
	_, phone := w.alice()
	i = w.begin(core.ImportOptions{})
	core.ImportInChunksOf(i, chunk)
	if err := i.Write(context.Background(), list(entries(w, phone)...)); err == nil || codeOf(t, err) != core.CodeImportEnded {
		t.Errorf("ended from elsewhere: %v", err)
	}
	if len(w.copies()) != chunk || i.Imported != chunk {
		t.Errorf("%d are stored, %d counted", len(w.copies()), i.Imported)
	}
}

// meddling is a store during whose commits something else happens.
type meddling struct {
	store.Store
	meanwhile func()
}

func (m *meddling) Commit(ctx context.Context, b store.Batch) error {
	m.meanwhile()
	return m.Store.Commit(ctx, b)
}

// F26: a list that cannot be followed any further. What came before is kept and counted, and the import has ended.
func TestListThatBreaksOff(t *testing.T) {
	for name, behind := range map[string]string{"cut off": `,{"algo`, "followed by something": `] {}`, "no list": `}`} {
		w := newWorld(t)
		_, phone := w.alice()
		text := list(entry(phone, w.kit.Outbound(), 0), entry(phone, w.kit.Outbound(), 0))
		i := w.begin(core.ImportOptions{})
		err := finish(i, slices.Concat(text[:len(text)-1], []byte(behind)))
		var bad *keyfile.FileError
		if !errors.As(err, &bad) || bad.Code != keyfile.CodeBadKeyFileJSON {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no list" {
			// The second entry was not over yet.
			wantCounts(t, name, i, core.ImportCounts{Imported: 1})
		} else {
			wantCounts(t, name, i, core.ImportCounts{Imported: 2})
		}
		if len(w.copies()) != i.Imported {
			t.Errorf("%s: %d are stored", name, len(w.copies()))
		}
		if err := i.End(context.Background()); err == nil || codeOf(t, err) != core.CodeImportEnded {
			t.Errorf("%s: after that: %v", name, err)
		}
	}
	w := newWorld(t)
	v := newVault(t)
	i := w.begin(core.ImportOptions{BackupKey: v.key})
	if err := i.WriteBackup(context.Background(), []byte(`{"rooms":`)); err == nil || codeOf(t, err) != keyfile.CodeBadBackupAnswer {
		t.Errorf("half an answer: %v", err)
	}
}

// Each kind of import takes only what is its own; and none goes on when the machine is closed.
func TestImportsOfTheWrongKind(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	file, backup := w.begin(core.ImportOptions{}), w.begin(core.ImportOptions{BackupKey: v.key})
	for what, err := range map[string]error{
		"a backup to a file": file.WriteBackup(ctx, v.seal(t, w.claimed(phone, w.kit.Outbound(), 0))),
		"a file to a backup": backup.Write(ctx, list(entry(phone, w.kit.Outbound(), 0))),
	} {
		if err == nil || codeOf(t, err) != core.CodeImportEnded {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := w.machine.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_, beginning := w.machine.BeginImport(ctx, core.ImportOptions{})
	for what, err := range map[string]error{
		"BeginImport": beginning, "Write": file.Write(ctx, []byte("[")), "WriteBackup": backup.WriteBackup(ctx, []byte("{}")), "End": file.End(ctx),
	} {
		if err == nil || codeOf(t, err) != store.CodeClosed {
			t.Errorf("%s after close: %v", what, err)
		}
	}
	file.Abort()
}

// importLife is two imports with duplicates, a direct key of one of their sessions between them, and a backup.
func importLife(w *world, v *vault, answer []byte, file []byte, event sender.DecryptedOlmEvent) *story {
	ctx := context.Background()
	importing := func(options core.ImportOptions, write func(*core.Import) error) func() error {
		return func() error {
			i, err := w.machine.BeginImport(ctx, options)
			if err != nil {
				return err
			}
			core.ImportInChunksOf(i, 2)
			if err := write(i); err != nil {
				return err
			}
			return i.End(ctx)
		}
	}
	return &story{w: w, steps: []func() error{
		importing(core.ImportOptions{}, func(i *core.Import) error { return i.Write(ctx, file) }),
		func() error {
			w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{event})
			return w.machine.Flush(ctx)
		},
		importing(core.ImportOptions{BackupVersion: "1", BackupKey: v.key}, func(i *core.Import) error { return i.WriteBackup(ctx, answer) }),
	}}
}

// F01, F05, F07, F08, F26, I23: at every operation of the store during imports the program dies, before or after the operation, or the operation
// fails; then the imports are begun again. The end is the one of an import that nothing happened to.
func TestEveryFaultOfAnImport(t *testing.T) {
	sample := newWorld(t)
	_, phone := sample.alice()
	v := newVault(t)
	sessions := []*testkit.Outbound{sample.kit.Outbound(), sample.kit.Outbound(), sample.kit.Outbound(), sample.kit.Outbound(), sample.kit.Outbound()}
	var entries []map[string]any
	for _, session := range sessions[:4] {
		entries = append(entries, entry(phone, session, 4), entry(phone, session, 2))
	}
	file := list(append(entries, entry(phone, sessions[0], 0))...)
	answer := v.seal(t, sample.claimed(phone, sessions[0], 0), sample.claimed(phone, sessions[1], 1), sample.claimed(phone, sessions[4], 3))
	live := func() (*world, *story) {
		w := closedWorld(t)
		w.kit, w.me, w.mine = sample.kit, sample.me, sample.mine
		return w, importLife(w, v, answer, file, sample.event(phone, room, sessions[2]))
	}
	w, s := live()
	var faulty *storetest.Faulty
	w.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	w.open()
	if s.run(func() {}) != 0 {
		t.Fatal("a step failed without a fault")
	}
	operations := len(faulty.Calls())
	want := importEnd(w)
	for name, inject := range map[string]func(f *storetest.Faulty, k int){
		"F01: dies before": func(f *storetest.Faulty, k int) { f.DieAt("", k, false) },
		"F01: dies after":  func(f *storetest.Faulty, k int) { f.DieAt("", k, true) },
		"F05, F07: quota":  func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeQuota) },
		"F08: aborted":     func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeAborted) },
	} {
		for k := 1; k <= operations; k++ {
			for _, reopen := range []bool{true, false} {
				if !reopen && strings.HasPrefix(name, "F01") {
					continue
				}
				w, s := live()
				healthy := false
				w.wrap = func(under store.Store) store.Store {
					if healthy {
						return under
					}
					faulty := storetest.NewFaulty(under)
					inject(faulty, k)
					return faulty
				}
				for w.tryOpen() != nil {
					healthy = true
				}
				if reopen {
					s.run(func() { healthy = true })
				} else {
					for n := 0; n < len(s.steps); {
						if s.steps[n]() == nil {
							n++
						}
					}
				}
				if got := importEnd(w); got != want {
					t.Fatalf("%s, operation %d: the end is another:\n%s", name, k, difference(want, got))
				}
			}
		}
	}
}

// importEnd is what is stored after imports, without times.
func importEnd(w *world) string {
	w.t.Helper()
	counts, err := w.machine.RoomKeyCounts(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	backup, err := w.machine.Backup(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	out := fmt.Sprintln(w.claims(), counts, backup)
	for _, c := range w.copies() {
		out += fmt.Sprint(c.BackedUp, " ")
	}
	return out
}

// F05: there is no room for an import. It ends and says so; nothing of its chunk stays behind in memory, where it would keep a room key that there
// is room for from being written.
func TestImportWithoutRoom(t *testing.T) {
	w := closedWorld(t)
	small := &smallStore{}
	w.wrap = func(under store.Store) store.Store {
		small.Store = under
		return small
	}
	w.open()
	_, phone := w.alice()
	_, hers := w.mallory()
	known, better := w.kit.Outbound(), w.kit.Outbound()
	w.imports(list(entry(phone, known, 3)))
	before := dump(t, w.rows)
	small.limit = 3
	i := w.begin(core.ImportOptions{})
	err := finish(i, list(entry(phone, known, 0), entry(phone, better, 5), entry(phone, better, 2), entry(phone, w.kit.Outbound(), 0), entry(phone, w.kit.Outbound(), 0)))
	if err == nil || codeOf(t, err) != store.CodeQuota {
		t.Fatalf("%v", err)
	}
	wantCounts(t, "no room", i, core.ImportCounts{})
	if dump(t, w.rows) != before {
		t.Error("half of it was written")
	}
	w.kept(w.event(hers, room, w.kit.Outbound()))
	if stored := w.copies(); len(stored) != 2 || stored[0].Session.FirstKnownIndex()+stored[1].Session.FirstKnownIndex() != 3 {
		t.Errorf("stored with it:\n%s", w.claims())
	}
	w.wantCodes(phone.Message(string(room), better, "x"), hidden("no_key"))
	small.limit = 0
	wantCounts(t, "with room", w.imports(list(entry(phone, known, 0), entry(phone, better, 2))), core.ImportCounts{Imported: 1, Better: 1})
}

// smallStore has no room for a batch of more operations than limit.
type smallStore struct {
	store.Store
	limit int
}

func (s *smallStore) Commit(ctx context.Context, b store.Batch) error {
	if s.limit > 0 && len(b.Ops) > s.limit {
		return &store.Error{Code: store.CodeQuota, Message: "no room"}
	}
	return s.Store.Commit(ctx, b)
}

// F45, scenario 104: the parts of a backup out of order, twice, and some missing until later: in the end the same as all at once.
func TestPartsOfABackup(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	var copies []*sender.Copy
	var parts [][]byte
	for n := range 6 {
		c := w.claimed(phone, w.kit.Outbound(), uint32(n))
		c.RoomID = ids.RoomID(fmt.Sprintf("!%d:example.org", n/2))
		copies = append(copies, c)
		if n%2 == 1 {
			parts = append(parts, v.seal(t, copies[n-1:]...))
		}
	}
	wantCounts(t, "at once", w.restores(v, "1", v.seal(t, copies...)), core.ImportCounts{Imported: 6})
	want := importEnd(w)
	for _, order := range [][]int{{2, 0, 1}, {0, 0, 1, 2, 1}, {1, 2, -1, 0}, {2, -1, 2, -1, 1, 0}} {
		other := w.elsewhere()
		var some [][]byte
		total := core.ImportCounts{}
		restore := func() {
			i := other.restores(v, "1", some...)
			total.Imported += i.Imported
			total.Unchanged += i.Unchanged
			some = nil
		}
		for _, n := range order {
			if n >= 0 {
				some = append(some, parts[n])
				continue
			}
			restore() // the connection is gone, and comes back
			other.restart()
		}
		restore()
		if got := importEnd(other); got != want {
			t.Errorf("%v:\n%s", order, difference(want, got))
		}
		if total.Imported != 6 {
			t.Errorf("%v: %+v", order, total)
		}
	}
}

// F44: the same file and the same backup again, at once and after a restart: not a byte changes.
func TestImportedAgain(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v := newVault(t)
	file, answer := list(entry(phone, w.kit.Outbound(), 0), entry(phone, w.kit.Outbound(), 3)), v.seal(t, w.claimed(phone, w.kit.Outbound(), 1))
	w.imports(file)
	w.restores(v, "1", answer)
	before := dump(t, w.rows)
	for range 2 {
		w.imports(file)
		w.restores(v, "1", answer)
		if dump(t, w.rows) != before {
			t.Errorf("it has changed:\n%s", difference(before, dump(t, w.rows)))
		}
		w.restart()
	}
}

// What is amiss with a key agreement ends the import; what is amiss with one sealed key costs that one.
func TestBackupThatDoesNotOpen(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	v, another := newVault(t), newVault(t)
	good, foreign := w.claimed(phone, w.kit.Outbound(), 0), w.claimed(phone, w.kit.Outbound(), 0)
	foreign.RoomID = "!a:example.org" // before the other
	mixed := jsonOf(t, v.seal(t, good))
	mixed["rooms"].(map[string]any)["!a:example.org"] = jsonOf(t, another.seal(t, foreign))["rooms"].(map[string]any)["!a:example.org"]
	i := w.restores(v, "1", testkit.JSON(mixed))
	wantCounts(t, "one sealed for another key", i, core.ImportCounts{Imported: 1, Failed: 1})
	if i.Failures[0].Position != 0 || codeOf(t, i.Failures[0].Err) != keyfile.CodeBadBackupMAC {
		t.Errorf("%+v", i.Failures)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	other := w.elsewhere()
	stopped := other.begin(core.ImportOptions{BackupKey: v.key})
	if err := stopped.WriteBackup(ctx, v.seal(t, good)); err != nil {
		t.Fatal(err)
	}
	if err := stopped.End(ctx); !errors.Is(err, context.Canceled) || len(other.copies()) != 0 {
		t.Errorf("%v", err)
	}
}

// endless is the content of a key export of n keys, as a stream.
type endless struct {
	entry func(dst []byte, k int) []byte
	n, at int
	rest  []byte
}

// inManyRooms is one session key in n rooms.
func inManyRooms(phone *testkit.Device, session *testkit.Outbound, n int) *endless {
	before, after, _ := strings.Cut(string(testkit.JSON(entry(phone, session, 0))), string(room))
	return &endless{n: n, entry: func(dst []byte, k int) []byte { return fmt.Append(dst, before, "!", k, ":example.org", after) }}
}

// inOneRoom is n session keys for our room. They differ by their public keys, of which nobody need have the private one.
func inOneRoom(t testing.TB, phone *testkit.Device, session *testkit.Outbound, n int) *endless {
	text := string(testkit.JSON(entry(phone, session, 0)))
	key := decode(t, session.ExportedAt(0))
	public := key[133:165]
	tries := uint64(0)
	return &endless{n: n, entry: func(dst []byte, _ int) []byte {
		for found := false; !found; tries++ {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, tries))
			copy(public, sum[:])
			_, err := megolm.ParseExportedSessionKey(testkit.Base64(key))
			found = err == nil
		}
		return append(dst, strings.NewReplacer(session.ID()+`"`, testkit.Base64(public)+`"`, session.ExportedAt(0), testkit.Base64(key)).Replace(text)...)
	}}
}

// piece is the next 64 KB, empty at the end.
func (e *endless) piece() []byte {
	for len(e.rest) < 64<<10 && e.at <= e.n {
		switch e.at {
		case e.n:
			e.rest = append(e.rest, ']')
		case 0:
			e.rest = e.entry(append(e.rest, '['), e.at)
		default:
			e.rest = e.entry(append(e.rest, ','), e.at)
		}
		e.at++
	}
	piece := e.rest[:min(64<<10, len(e.rest))]
	e.rest = e.rest[len(piece):]
	return piece
}

// F27: a hundred thousand room keys. The importer holds the chunk under way, however much has gone through it.
func TestVeryLargeImport(t *testing.T) {
	n := 100_000
	if testing.Short() || sparsely > 0 {
		n = 20_000
	}
	w := closedWorld(t)
	sink := &sinkStore{}
	w.wrap = func(under store.Store) store.Store {
		sink.Store = under
		return sink
	}
	w.open()
	core.KeepSessions(w.machine, 1024)
	_, phone := w.alice()
	file := inManyRooms(phone, w.kit.Outbound(), n)
	i := w.begin(core.ImportOptions{})
	heap := func() uint64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	var before uint64
	for piece := file.piece(); len(piece) > 0; piece = file.piece() {
		if err := i.Write(context.Background(), piece); err != nil {
			t.Fatal(err)
		}
		w.heard.keys = nil
		if before == 0 && i.Total() > n/10 {
			before = heap()
		}
	}
	if err := i.End(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "all of it", i, core.ImportCounts{Imported: n})
	if sink.written != n {
		t.Errorf("%d were written", sink.written)
	}
	clear(i.Rooms) // a room each, which is more than any real file has
	if after := heap(); after > before+8<<20 {
		t.Errorf("it holds %d KB more at the end than after a tenth", (after-before)>>10)
	}
	runtime.KeepAlive(i)
}

// sinkStore counts copies and forgets them.
type sinkStore struct {
	store.Store
	written int
}

func (s *sinkStore) Commit(ctx context.Context, b store.Batch) error {
	if len(b.Ops) > 0 && b.Ops[0].Table == store.Copies {
		s.written += len(b.Ops)
		return nil
	}
	return s.Store.Commit(ctx, b)
}

// T50: a hundred thousand claimed keys of one room, and room keys of thousands of strangers. Nothing that was here is gone, the claims stand in
// nobody's way, and the victim's key is asked about in the first passes.
func TestT50ManyClaimsStarveNobody(t *testing.T) {
	n, strangers := 100_000, 2000
	if testing.Short() || sparsely > 0 {
		n, strangers = 5000, 300
	}
	w, server := connected(t)
	alice := w.kit.User("@alice:example.org")
	phone := alice.Device("PHONE").CrossSigned()
	bob, his := w.person("@bob:example.org")
	w.answer(bob)
	known, waiting := w.kit.Outbound(), w.kit.Outbound()
	w.kept(w.event(his, room, known))

	i := w.begin(core.ImportOptions{})
	for claims := inOneRoom(t, phone, w.kit.Outbound(), n); ; {
		piece := claims.piece()
		if len(piece) == 0 {
			break
		}
		if err := i.Write(context.Background(), piece); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.End(context.Background()); err != nil {
		t.Fatal(err)
	}
	wantCounts(t, "the claims", i, core.ImportCounts{Imported: n})
	for k := range strangers {
		user := w.kit.User(fmt.Sprintf("@stranger%d:example.org", k))
		w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{w.event(user.Device("D"), room, w.kit.Outbound(), testkit.WithoutDeviceKeys)})
	}
	w.kept(w.event(phone, room, waiting, testkit.WithoutDeviceKeys))
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); int(counts.Total) != n+strangers+2 {
		t.Fatalf("%+v", counts)
	}
	server.knows(alice)
	w.restart() // nobody waits in the slow lane any more
	passes := 0
	for w.stored(waiting).Current.Kind != sender.SenderUnverified {
		if passes++; passes > 2+strangers/250 {
			t.Fatalf("still waiting after %d passes", passes)
		}
		w.retry()
	}
	w.restart()
	w.wantCodes(his.Message(string(room), known, "still here"), shownUnsure)
	w.wantCodes(phone.Message(string(room), waiting, "and this"), shownUnsure)
	if counts, _ := w.machine.RoomKeyCounts(context.Background()); int(counts.Total) != n+strangers+2 {
		t.Errorf("%+v", counts)
	}
}

// T50: a file may not say of a session that any number of devices made it. What its sender sends is kept all the same, and nothing that was kept goes.
func TestT50OneSessionHasNotAnyNumberOfMakers(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	w.answer(alice)
	session := w.kit.Outbound()
	mallory := w.kit.User("@mallory:example.org")
	claims := make([]map[string]any, 20)
	for n := range claims {
		claims[n] = entry(mallory.Device(fmt.Sprintf("D%d", n)), session, 0)
	}
	i := w.imports(list(claims...))
	wantCounts(t, "twenty makers", i, core.ImportCounts{Imported: 16, Failed: 4})
	if code := codeOf(t, i.Failures[0].Err); code != core.CodeTooManyClaims {
		t.Errorf("refused with %s", code)
	}
	again := w.imports(list(claims[:3]...))
	if again.Failed+again.Unchanged != 3 || again.Imported != 0 {
		t.Errorf("again: %+v", again.ImportCounts)
	}
	w.kept(w.event(phone, room, session))
	w.wantCodes(phone.Message(string(room), session, "mine"), shownUnsure)
}

// jsonOf is a JSON object, to be changed.
func jsonOf(t testing.TB, raw []byte) (object map[string]any) {
	t.Helper()
	if err := json.Unmarshal(raw, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// gatedStore holds one commit up, which then fails.
type gatedStore struct {
	store.Store
	armed            atomic.Bool
	arrived, release chan struct{}
}

func (g *gatedStore) Commit(ctx context.Context, b store.Batch) error {
	if g.armed.CompareAndSwap(true, false) {
		close(g.arrived)
		<-g.release
		return &store.Error{Code: store.CodeQuota, Message: "no room"}
	}
	return g.Store.Commit(ctx, b)
}

// F05, I23: two calls bring the same key at once, and the write of the first one fails. What the second one counts as stored is stored, whether it is an
// import or a forwarded key; and what neither could write is not kept.
func TestFailedImportBesideAnother(t *testing.T) {
	ctx := context.Background()
	for _, second := range []string{"import", "forwarded key"} {
		w := closedWorld(t)
		gate := &gatedStore{arrived: make(chan struct{}), release: make(chan struct{})}
		w.wrap = func(under store.Store) store.Store {
			gate.Store = under
			return gate
		}
		w.open()
		w.verifyMe()
		laptop := w.me.Device("LAPTOP").CrossSigned()
		w.answer(w.me)
		session := w.kit.Outbound()
		event := w.forwarded(laptop, session, 0)
		claimed := jsonOf(t, event.Payload)["content"].(map[string]any)
		file := list(entry(laptop, session, 0, testkit.Set("sender_key", claimed["sender_key"])))
		w.request(session)
		a, b := w.begin(core.ImportOptions{}), w.begin(core.ImportOptions{})
		gate.armed.Store(true)
		first, last := make(chan error, 1), make(chan error, 1)
		go func() { first <- finish(a, file) }()
		<-gate.arrived
		go func() {
			if second == "import" {
				last <- finish(b, file)
				return
			}
			receipts, err := w.machine.ReceiveForwardedRoomKeys(ctx, []sender.DecryptedOlmEvent{event})
			if err == nil {
				err = receipts[0].Err
			}
			last <- err
		}()
		time.Sleep(20 * time.Millisecond) // it waits for the store
		close(gate.release)
		if err := <-first; err == nil || codeOf(t, err) != store.CodeQuota {
			t.Errorf("%s: the first one ended with %v", second, err)
		}
		if err := <-last; err != nil {
			t.Errorf("%s: %v", second, err)
		}
		wantCounts(t, "the first", a, core.ImportCounts{})
		if second == "import" {
			wantCounts(t, "the second", b, core.ImportCounts{Imported: 1})
		}
		if len(w.copies()) != 1 {
			t.Errorf("%s: %d are stored", second, len(w.copies()))
		}
	}
}

// slowAgreement is a key agreement that takes its time.
type slowAgreement struct {
	keyfile.GoAgreement
	arrived, release chan struct{}
}

func (s slowAgreement) Agree(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error) {
	close(s.arrived)
	<-s.release
	return s.GoAgreement.Agree(ctx, exchanges)
}

// F26: an import is aborted while its last keys are being opened. They are not stored, so it has not ended well.
func TestAbortedWhileItOpens(t *testing.T) {
	ctx := context.Background()
	for _, way := range []string{"End", "WriteBackup"} {
		w := newWorld(t)
		_, phone := w.alice()
		v := newVault(t)
		slow := slowAgreement{arrived: make(chan struct{}), release: make(chan struct{})}
		machine, err := core.Open(ctx, core.Options{
			Own: own(t, w.me.ID, w.mine.ID, w.mine.Ed25519(), w.mine.Curve25519()), Store: w.rows.Reopen(), Agreement: slow, Now: func() int64 { return *w.clock }, TrustRequirement: policy.Untrusted,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.machine = machine
		answer := v.seal(t, w.claimed(phone, w.kit.Outbound(), 0), w.claimed(phone, w.kit.Outbound(), 0))
		i := w.begin(core.ImportOptions{BackupVersion: "1", BackupKey: v.key})
		done := make(chan error, 1)
		if way == "End" {
			if err := i.WriteBackup(ctx, answer); err != nil {
				t.Fatal(err)
			}
			go func() { done <- i.End(ctx) }()
		} else {
			core.ImportInChunksOf(i, 1)
			go func() { done <- i.WriteBackup(ctx, answer) }()
		}
		<-slow.arrived
		i.Abort()
		close(slow.release)
		if err := <-done; err == nil || codeOf(t, err) != core.CodeImportEnded {
			t.Errorf("%s: %v", way, err)
		}
		wantCounts(t, way, i, core.ImportCounts{})
		if len(w.copies()) != 0 {
			t.Errorf("%s: something was stored", way)
		}
	}
}

// T50: what was taken in by earlier runs counts as well: of each further import one claim more can slip in, not sixteen.
func TestT50ClaimsOfEarlierRuns(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	mallory := w.kit.User("@mallory:example.org")
	for run := range 4 {
		var claims []map[string]any
		for n := range 16 {
			claims = append(claims, entry(mallory.Device(fmt.Sprintf("D%d.%d", run, n)), session, 0))
		}
		w.imports(list(claims...))
		w.restart()
	}
	if n := len(w.copies()); n > 16+3 {
		t.Errorf("%d devices are said to have made it", n)
	}
}
