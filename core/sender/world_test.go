package sender_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const room = "!room:example.org"

// world is Bob's desk: what he knows of people, and the finder he receives room keys with. Alice, Mallory and their devices sign for real.
type world struct {
	t      testing.TB
	kit    *testkit.Kit
	bob    *testkit.User
	desk   *testkit.Device
	index  *trust.Index
	rows   map[ids.UserID]*trust.UserRecord
	finder *sender.Finder
	clock  int64
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, kit: testkit.New(t.Name()), rows: map[ids.UserID]*trust.UserRecord{}, finder: sender.NewFinder(), clock: 1_800_000_000_000}
	w.bob = w.kit.User("@bob:example.org")
	w.desk = w.bob.Device("BOBDESK").CrossSigned()
	w.index = newIndex(t, w.desk)
	return w
}

func newIndex(t testing.TB, device *testkit.Device) *trust.Index {
	return trust.NewIndex(own(t, device))
}

func own(t testing.TB, device *testkit.Device) trust.Own {
	return trust.Own{
		UserID: ids.UserID(device.User.ID), DeviceID: ids.DeviceID(device.ID),
		Curve25519: curve(t, device.Curve25519()), Ed25519: ed25519(t, device.Ed25519()),
	}
}

func curve(t testing.TB, text string) keys.Curve25519 {
	key, err := keys.ParseCurve25519(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func ed25519(t testing.TB, text string) keys.Ed25519 {
	key, err := keys.ParseEd25519(text)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// asks lets Bob ask the server about users, which answers truthfully.
func (w *world) asks(users ...*testkit.User) { w.t.Helper(); w.hears(w.kit.KeysQuery(users...)) }

// hears lets Bob apply an answer to /keys/query.
func (w *world) hears(raw []byte) {
	w.t.Helper()
	answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
	if err != nil {
		w.t.Fatal(err)
	}
	application, err := w.index.Prepare(answer, w.index.BeginQuery(answer.Users()).Sequence, w.rows)
	if err != nil {
		w.t.Fatal(err)
	}
	w.apply(application.Finish(keys.VerifyAll(application.Checks)))
}

func (w *world) apply(change *trust.Change) {
	w.index.Apply(change)
	for user, row := range change.Records {
		w.rows[user] = row
	}
}

// trustsHimself lets Bob declare his own identity his.
func (w *world) trustsHimself() {
	w.t.Helper()
	w.asks(w.bob)
	change, err := w.index.TrustOwnIdentity(ed25519(w.t, w.bob.Identity.Master.Public()), w.rows)
	if err != nil {
		w.t.Fatal(err)
	}
	w.apply(change)
}

// olm is the to-device event in which payload reaches Bob from device.
func olm(device *testkit.Device, payload []byte) sender.DecryptedOlmEvent {
	return sender.DecryptedOlmEvent{Sender: device.User.ID, SenderKey: device.Curve25519(), Payload: payload}
}

// from is the to-device event with which device sends session to Bob.
func (w *world) from(device *testkit.Device, session *testkit.Outbound, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	return olm(device, device.RoomKey(w.desk, room, session, hooks...))
}

// receives takes a room key through all stages, with every signature checked.
func (w *world) receives(in sender.DecryptedOlmEvent) (*sender.Received, error) {
	reception, err := w.finder.Prepare(w.index, in)
	if err != nil {
		return nil, err
	}
	checks := reception.AppendChecks(nil)
	if len(checks) != reception.Checks() {
		w.t.Errorf("%d checks are listed, %d announced", len(checks), reception.Checks())
	}
	w.clock++
	return reception.Finish(keys.VerifyAll(checks), w.clock)
}

// keeps receives a room key that is expected to be kept.
func (w *world) keeps(in sender.DecryptedOlmEvent) *sender.Copy {
	w.t.Helper()
	received, err := w.receives(in)
	if err != nil {
		w.t.Fatalf("refused: %v", err)
	}
	if received.Copy == nil {
		w.t.Fatalf("discarded: %s", received.Tombstone.Reason)
	}
	return received.Copy
}

// refuses receives a room key that is expected to be refused with code.
func (w *world) refuses(code string, in sender.DecryptedOlmEvent) {
	w.t.Helper()
	received, err := w.receives(in)
	if got := codeOf(err); got != code {
		w.t.Fatalf("got %q (%v), want %q", got, err, code)
	}
	if received != nil {
		w.t.Fatal("refused, and something remains")
	}
	if err.Error() == "" {
		w.t.Fatal("an error without a sentence")
	}
	// T56, I21: whatever was wrong, the session's key is not repeated.
	if _, key, found := strings.Cut(string(in.Payload), `"session_key":"`); found {
		if key, _, _ = strings.Cut(key, `"`); len(key) > 40 && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), key[:40]) {
			w.t.Fatal("the error repeats the session key")
		}
	}
}

// judges judges a stored copy again and returns what is stored afterwards.
func (w *world) judges(c *sender.Copy) *sender.Copy {
	w.t.Helper()
	finding := w.finder.Judge(w.index, c)
	next, changed := c.Apply(&finding)
	if changed != (next != c) {
		w.t.Errorf("changed is %v, the copy says otherwise", changed)
	}
	if next != nil {
		if next.Current.Rank() < c.Current.Rank() {
			w.t.Fatalf("fell from %v to %v", c.Current.Kind, next.Current.Kind)
		}
		if again, changed := next.Apply(&finding); changed || again != next {
			w.t.Error("the same finding changed the copy twice")
		}
	}
	return next
}

func (w *world) wantKind(c *sender.Copy, kind sender.Kind) {
	w.t.Helper()
	if c == nil {
		w.t.Fatalf("discarded, want %v", kind)
		return
	}
	if c.Current.Kind != kind {
		w.t.Fatalf("the sender is %v, want %v", c.Current.Kind, kind)
	}
}

// wantKnown expects a sender with user, device and master key.
func (w *world) wantKnown(c *sender.Copy, kind sender.Kind, device *testkit.Device) {
	w.t.Helper()
	w.wantKind(c, kind)
	want := sender.Data{
		Kind: kind, UserID: ids.UserID(device.User.ID), DeviceID: ids.DeviceID(device.ID),
		MasterKey: ed25519(w.t, device.User.Identity.Master.Public()),
	}
	if c.Current != want {
		w.t.Fatalf("the sender is %+v, want %+v", c.Current, want)
	}
	if c.EmbeddedDevice != nil {
		w.t.Error("a resolved copy keeps its embedded device")
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	coded, ok := err.(interface{ ErrorCode() string })
	if !ok {
		return "no code: " + err.Error()
	}
	return coded.ErrorCode()
}

// trace writes a finding's steps as "A:word B:word D(embedded):word ...".
func trace(f sender.Finding) string {
	text := ""
	for _, step := range f.Trace {
		if text != "" {
			text += " "
		}
		text += string(step.Letter)
		if step.Device != "" {
			text += "(" + step.Device + ")"
		}
		text += ":" + step.Word
	}
	return text
}

// corpusEntry is one []byte in the form Go keeps fuzz corpora in.
func corpusEntry(raw []byte) []byte {
	return []byte("go test fuzz v1\n[]byte(" + strconv.Quote(string(raw)) + ")\n")
}
