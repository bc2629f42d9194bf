package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

const room = ids.RoomID("!room:example.org")

// world is our own device with its machine, and other people who are real but for the network.
type world struct {
	t       *testing.T
	kit     *testkit.Kit
	me      *testkit.User
	mine    *testkit.Device
	rows    store.Store
	machine *core.Machine
	clock   int64
	heard   heard
	policy  policy.TrustRequirement
}

// heard is what the machine told its listener.
type heard struct {
	keys    []core.RoomKeyInfo
	updates []core.SenderDataUpdate
	reports []core.StoreReport
}

func (h *heard) RoomKeysUpdated(k []core.RoomKeyInfo)        { h.keys = append(h.keys, k...) }
func (h *heard) SenderDataUpdated(u []core.SenderDataUpdate) { h.updates = append(h.updates, u...) }
func (h *heard) StoreReported(r core.StoreReport)            { h.reports = append(h.reports, r) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, kit: testkit.New(t.Name()), rows: store.NewMemory(), clock: 1_700_000_000_000}
	w.me = w.kit.User("@me:example.org")
	w.mine = w.me.Device("MYDEVICE")
	w.open()
	return w
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
	machine, err := core.Open(context.Background(), core.Options{
		Own:              own(w.t, w.me.ID, "MYDEVICE", w.mine.Ed25519(), w.mine.Curve25519()),
		Store:            reopenable{w.rows},
		Now:              func() int64 { w.clock++; return w.clock },
		TrustRequirement: w.policy,
		Listener:         &w.heard,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.machine = machine
	if err := machine.Resume(context.Background()); err != nil {
		w.t.Fatal(err)
	}
}

// reopenable keeps the rows when the machine closes.
type reopenable struct{ store.Store }

func (reopenable) Close() error { return nil }

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
	master, err := keys.ParseEd25519(w.me.Identity.Master.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.machine.TrustOwnIdentity(context.Background(), master); err != nil {
		w.t.Fatal(err)
	}
}

// decrypt decrypts an event under a policy.
func (w *world) decrypt(raw []byte, under policy.TrustRequirement) (*core.DecryptedEvent, error) {
	w.t.Helper()
	w.machine.SetTrustRequirement(under)
	event, err := w.machine.DecryptRoomEvent(context.Background(), raw, room)
	if err == nil {
		if err := w.machine.Flush(context.Background()); err != nil {
			w.t.Fatal(err)
		}
	}
	return event, err
}

// shown says under which of the four policies an event is shown: a letter each, as in `UL--`, or the code with which it is withheld.
func (w *world) codes(raw []byte) [policy.Requirements]string {
	w.t.Helper()
	var codes [policy.Requirements]string
	for r := range policy.TrustRequirement(policy.Requirements) {
		if _, err := w.decrypt(raw, r); err != nil {
			codes[r] = codeOf(w.t, err)
		} else {
			codes[r] = "shown"
		}
	}
	return codes
}

func codeOf(t *testing.T, err error) string {
	t.Helper()
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) {
		t.Fatalf("an error without a code: %v", err)
	}
	return coded.ErrorCode()
}

// body is the body of a decrypted message.
func body(t *testing.T, event *core.DecryptedEvent) string {
	t.Helper()
	var clear struct{ Content struct{ Body string } }
	if err := json.Unmarshal(event.ClearEvent, &clear); err != nil {
		t.Fatal(err)
	}
	return clear.Content.Body
}

// dump is everything in the store, for holding before against after.
func dump(t *testing.T, rows store.Store) string {
	t.Helper()
	var out []byte
	for _, table := range store.Tables() {
		for query := (store.Query{Table: table}); ; {
			page, err := rows.Page(context.Background(), query)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				text, err := json.Marshal(row)
				if err != nil {
					t.Fatal(err)
				}
				out = append(append(append(out, table...), text...), '\n')
			}
			if len(page) < store.DefaultLimit {
				break
			}
			query = query.Next(&page[len(page)-1])
		}
	}
	return string(out)
}

func recorded(t *testing.T, name string, into any) []byte {
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

func sessionID(t *testing.T, text string) megolm.SessionID {
	t.Helper()
	id, err := megolm.ParseSessionID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
