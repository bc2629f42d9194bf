package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const room = ids.RoomID("!room:example.org")

// world is our own device with its machine, and other people who are real but for the network.
type world struct {
	t       testing.TB
	kit     *testkit.Kit
	me      *testkit.User
	mine    *testkit.Device
	rows    disk
	machine *core.Machine
	clock   *int64
	heard   heard
	policy  policy.TrustRequirement

	// What the next open puts between the machine and the world.
	wrap      func(store.Store) store.Store
	verifier  keys.Verifier
	listener  core.Listener
	fetcher   lane.Fetcher
	spawn     func(func())
	rest      func()
	secret    *keyfile.SenderDataKey
	turns     *uint32
	overruled bool // ClaimsMayOverruleDirect
}

// heard is what the machine told its listener.
type heard struct {
	keys    []core.RoomKeyInfo
	updates []core.SenderDataUpdate
	reports []core.StoreReport
	told    func(core.PeerNews)
}

func (h *heard) RoomKeysUpdated(k []core.RoomKeyInfo)        { h.keys = append(h.keys, k...) }
func (h *heard) SenderDataUpdated(u []core.SenderDataUpdate) { h.updates = append(h.updates, u...) }
func (h *heard) StoreReported(r core.StoreReport)            { h.reports = append(h.reports, r) }

func newWorld(t testing.TB) *world {
	t.Helper()
	w := closedWorld(t)
	w.open()
	return w
}

// closedWorld is a world whose machine is not open yet.
func closedWorld(t testing.TB) *world {
	t.Helper()
	clock := int64(1_700_000_000_000)
	w := &world{t: t, kit: testkit.New(t.Name()), rows: newDisk(t), clock: &clock}
	w.me = w.kit.User("@me:example.org")
	w.mine = w.me.Device("MYDEVICE")
	return w
}

// tab is a second tab: a machine of its own over the same rows.
func (w *world) tab() *world {
	w.t.Helper()
	other := *w
	other.heard, other.rows = heard{}, w.rows.Reopen()
	other.open()
	return &other
}

// elsewhere is a machine of ours with a store of its own, as a new login has.
func (w *world) elsewhere() *world {
	w.t.Helper()
	other := *w
	other.heard, other.rows, other.wrap = heard{}, newDisk(w.t), nil
	other.open()
	return &other
}

// alice is a person with a cross-signed phone.
func (w *world) alice() (*testkit.User, *testkit.Device) { return w.person("@alice:example.org") }

// mallory is another.
func (w *world) mallory() (*testkit.User, *testkit.Device) { return w.person("@mallory:example.org") }

func (w *world) person(id string) (*testkit.User, *testkit.Device) {
	user := w.kit.User(id)
	return user, user.Device("PHONE").CrossSigned()
}

func own(t testing.TB, user, device, ed25519, curve25519 string) trust.Own {
	t.Helper()
	fingerprint, err := keys.ParseEd25519(ed25519)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := keys.ParseCurve25519(curve25519)
	if err != nil {
		t.Fatal(err)
	}
	return trust.Own{UserID: ids.UserID(user), DeviceID: ids.DeviceID(device), Ed25519: fingerprint, Curve25519: identity}
}

// open opens a machine over the world's rows, as a start of the client does.
func (w *world) open() {
	w.t.Helper()
	if err := w.tryOpen(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) tryOpen() error {
	var rows store.Store = w.rows.Reopen()
	if w.wrap != nil {
		rows = w.wrap(rows)
	}
	var listener core.Listener = &w.heard
	if w.listener != nil {
		listener = w.listener
	}
	clock := w.clock
	machine, err := core.Open(context.Background(), core.Options{
		Own:                     own(w.t, w.me.ID, "MYDEVICE", w.mine.Ed25519(), w.mine.Curve25519()),
		Store:                   rows,
		Verifier:                w.verifier,
		Now:                     func() int64 { return atomic.AddInt64(clock, 1) },
		TrustRequirement:        w.policy,
		ClaimsMayOverruleDirect: w.overruled,
		Listener:                listener,
		Fetcher:                 w.fetcher,
		Spawn:                   w.spawn,
		SenderDataKey:           w.secret,
		Turns:                   w.turns,
	})
	if err != nil {
		return err
	}
	w.machine = machine
	return machine.Resume(context.Background())
}

// restart closes the machine and opens another over the same rows.
func (w *world) restart() {
	w.t.Helper()
	if err := w.machine.Close(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	w.open()
}

// event is a room key as our Olm hands it over.
func (w *world) event(from *testkit.Device, in ids.RoomID, session *testkit.Outbound, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	return sender.DecryptedOlmEvent{
		Sender: from.User.ID, SenderKey: from.Curve25519(), Payload: from.RoomKey(w.mine, string(in), session, hooks...),
	}
}

// receive receives one room key, stores it, and returns its receipt.
func (w *world) receive(event sender.DecryptedOlmEvent) core.Receipt {
	w.t.Helper()
	reception := w.machine.ReceiveRoomKeys([]sender.DecryptedOlmEvent{event})
	if err := w.machine.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	return reception.Receipts[0]
}

// kept is receive for keys that must be accepted.
func (w *world) kept(event sender.DecryptedOlmEvent) *sender.Copy {
	w.t.Helper()
	receipt := w.receive(event)
	if receipt.Copy == nil {
		w.t.Fatalf("the room key was not kept: %v", receipt.Err)
	}
	return receipt.Copy
}

// answer gives the machine an answer to /keys/query about users.
func (w *world) answer(users ...*testkit.User) *core.KeysQueryResult {
	w.t.Helper()
	return w.answerJSON(w.kit.KeysQuery(users...))
}

func (w *world) answerJSON(raw []byte) *core.KeysQueryResult {
	w.t.Helper()
	result, err := w.machine.ReceiveKeysQueryResponse(context.Background(), raw, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// verifyMe makes our own identity known and trusted.
func (w *world) verifyMe() {
	w.t.Helper()
	w.mine.CrossSigned()
	w.answer(w.me)
	if err := w.trustMe(); err != nil {
		w.t.Fatal(err)
	}
}

// decrypt decrypts an event under a policy.
func (w *world) decrypt(raw []byte, under policy.TrustRequirement) (*core.DecryptedEvent, error) {
	w.t.Helper()
	w.machine.SetTrustRequirement(under)
	event, err := bothWays(w.t, w.machine, raw)
	if err == nil {
		if err := w.machine.Flush(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
	return event, err
}

// bothWays decrypts an event from memory alone, if it is at hand, and as DecryptRoomEvent does: which must come to the same.
func bothWays(t testing.TB, machine *core.Machine, raw []byte) (*core.DecryptedEvent, error) {
	t.Helper()
	fromMemory, before, atHand := atHand(machine, raw)
	event, err := machine.DecryptRoomEvent(context.Background(), raw, room)
	if !atHand {
		return event, err
	}
	same := fmt.Sprint(before) == fmt.Sprint(err) && (fromMemory == nil) == (event == nil)
	if same && event != nil {
		same = reflect.DeepEqual(around(t, raw, fromMemory.ClearEvent), jsonOf(t, event.ClearEvent))
		fromMemory.ClearEvent = event.ClearEvent
		same = same && reflect.DeepEqual(fromMemory, event)
	}
	if !same {
		t.Errorf("from memory: %+v, %v; else %+v, %v", fromMemory, before, event, err)
	}
	return event, err
}

// around puts what was inside an event into what stood around it, as a host does.
func around(t testing.TB, raw, inside []byte) map[string]any {
	event, clear := jsonOf(t, raw), jsonOf(t, inside)
	content := clear["content"].(map[string]any)
	relation, outside := event["content"].(map[string]any)["m.relates_to"]
	if _, already := content["m.relates_to"]; outside && !already {
		content["m.relates_to"] = relation
	}
	event["type"], event["content"] = clear["type"], content
	return event
}

// atHand decrypts an event from memory alone; false where it is not at hand, or not as events are.
func atHand(machine *core.Machine, raw []byte) (*core.DecryptedEvent, error, bool) {
	begun := begin(machine, raw)
	if begun == nil {
		return nil, nil, false
	}
	event, err := machine.FinishDecryption(begun, begun.Check.Verify())
	return event, err, event != nil || err != nil
}

// begin begins to decrypt an event from memory, as a host does: nil where it is not at hand, or not as events are.
func begin(machine *core.Machine, raw []byte) *core.Decryption {
	event, err := readEvent(raw)
	if err != nil || event.Type != "m.room.encrypted" || event.Content.Algorithm != sender.MegolmAlgorithm || event.Unsigned.Relations != nil || event.RoomID != nil && *event.RoomID != string(room) {
		return nil
	}
	name, err := event.name()
	if err != nil {
		return nil
	}
	return machine.BeginDecryption(name, event.Content.Ciphertext)
}

// verdicts is what the four policies say of an event, from Untrusted to Verified: shown, or the code with which it is withheld.
type verdicts [policy.Requirements]string

// hidden is the same code under every policy.
func hidden(code string) verdicts { return verdicts{code, code, code, code} }

// but is shown under Untrusted, withheld with code under the others.
func but(code string) verdicts { return verdicts{"shown", code, code, code} }

var (
	shownToAll   = verdicts{"shown", "shown", "shown", "shown"}
	shownUnsure  = verdicts{"shown", "shown", "shown", "unverified_identity"}
	shownLegacy  = verdicts{"shown", "shown", "unsigned_device", "unsigned_device"}
	legacyClaims = verdicts{"shown", "shown", "authenticity_not_guaranteed", "authenticity_not_guaranteed"}
)

// wantCodes asks the four policies.
func (w *world) wantCodes(raw []byte, want verdicts) {
	w.t.Helper()
	if got := w.codes(raw); got != want {
		w.t.Errorf("the policies say %v, want %v", got, want)
	}
}

// codes asks the four policies.
func (w *world) codes(raw []byte) verdicts {
	w.t.Helper()
	var codes verdicts
	for r := range policy.TrustRequirement(policy.Requirements) {
		if _, err := w.decrypt(raw, r); err != nil {
			codes[r] = codeOf(w.t, err)
		} else {
			codes[r] = "shown"
		}
	}
	return codes
}

func codeOf(t testing.TB, err error) string {
	t.Helper()
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		t.Fatalf("an error without a code: %v", err)
	}
	return coded.ErrorCode()
}

// body is the body of a decrypted message.
func body(t testing.TB, event *core.DecryptedEvent) string {
	t.Helper()
	var clear struct{ Content struct{ Body string } }
	if err := json.Unmarshal(event.ClearEvent, &clear); err != nil {
		t.Fatal(err)
	}
	return clear.Content.Body
}

// dump is everything in the store, for holding before against after.
func dump(t testing.TB, rows store.Store) string {
	t.Helper()
	var out []byte
	for _, table := range store.Tables() {
		var lines []string
		for query := (store.Query{Table: table}); ; {
			page, err := store.Page(context.Background(), rows, query)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				// Field by field: a row as a whole is never told.
				text, err := json.Marshal(map[string]any{"Key": row.Key, "Rev": row.Rev, "Value": row.Value, "Index": row.Index})
				if err != nil {
					t.Fatal(err)
				}
				lines = append(lines, string(table)+string(text)+"\n")
			}
			if len(page) < store.DefaultLimit {
				break
			}
			query = query.Next(&page[len(page)-1])
		}
		slices.Sort(lines)
		out = append(out, strings.Join(lines, "")...)
	}
	counters, err := rows.Counters(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(counters)
	if err != nil {
		t.Fatal(err)
	}
	return string(append(out, text...))
}

// contents is dump without what a second writing of the same leaves behind: revisions.
func contents(t testing.TB, rows store.Store) string { return anyRev(dump(t, rows)) }

func anyRev(dumped string) string {
	return regexp.MustCompile(`"Rev":\d+`).ReplaceAllString(dumped, "")
}

// copies are the stored copies, as a start of the client finds them.
func (w *world) copies() []*sender.Copy {
	w.t.Helper()
	var copies []*sender.Copy
	for query := (store.Query{Table: store.Copies}); ; {
		page, err := store.Page(context.Background(), w.rows, query)
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range page {
			c, err := record.DecodeCopy(page[i])
			if err != nil {
				w.t.Fatal(err)
			}
			copies = append(copies, c)
		}
		if len(page) < store.DefaultLimit {
			slices.SortFunc(copies, func(a, b *sender.Copy) int { return record.CopyKey(a.CopyKey).Compare(record.CopyKey(b.CopyKey)) })
			return copies
		}
		query = query.Next(&page[len(page)-1])
	}
}

// copy is the only stored copy.
func (w *world) copy() *sender.Copy {
	w.t.Helper()
	copies := w.copies()
	if len(copies) != 1 {
		w.t.Fatalf("%d copies are stored", len(copies))
	}
	return copies[0]
}

// plant stores a copy as if an import, or an earlier version, had.
func (w *world) plant(c *sender.Copy) {
	w.t.Helper()
	row := record.CopyRow(c)
	batch := store.Batch{Counters: map[string]int64{"copies": 1}}
	batch.Ops = []store.Op{{Table: row.Table, Key: row.Key, Value: row.Value, Index: row.Index}}
	if err := w.rows.Commit(context.Background(), batch); err != nil {
		w.t.Fatal(err)
	}
}

// claimed is a copy as an import makes it, from index on.
func (w *world) claimed(from *testkit.Device, session *testkit.Outbound, index uint32) *sender.Copy {
	w.t.Helper()
	inbound, err := megolm.ParseExportedSessionKey(session.ExportedAt(index))
	if err != nil {
		w.t.Fatal(err)
	}
	curve, err := keys.ParseCurve25519(from.Curve25519())
	if err != nil {
		w.t.Fatal(err)
	}
	ed25519, err := keys.ParseEd25519(from.Ed25519())
	if err != nil {
		w.t.Fatal(err)
	}
	return &sender.Copy{
		CopyKey: sender.CopyKey{RoomID: room, SessionID: inbound.ID(), SenderKey: curve, Provenance: sender.Claimed},
		Session: inbound, Ed25519: ed25519, HasEd25519: true, Legacy: true, ReceivedAt: 1,
	}
}

// flush writes what is unwritten.
func (w *world) flush() {
	w.t.Helper()
	if err := w.machine.Flush(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// trustMe declares our own identity to be ours.
func (w *world) trustMe() error {
	master, err := keys.ParseEd25519(w.me.Identity.Master.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	return w.machine.TrustOwnIdentity(context.Background(), master)
}

func recorded(t testing.TB, name string, into any) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "recorded", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			t.Fatal(err)
		}
	}
	return raw
}

func sessionID(t testing.TB, text string) megolm.SessionID {
	t.Helper()
	id, err := megolm.ParseSessionID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
