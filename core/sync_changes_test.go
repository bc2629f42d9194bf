package core_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// A device whose Olm account is here: raw to-device events in, judged room keys kept, Olm state and room keys in one batch.

// device is a world whose machine has its own account.
type device struct {
	*world
	agreement keyfile.Agreement // nil: in Go
}

// withAccount opens a machine of its own account over fresh rows.
func withAccount(t testing.TB) *device {
	t.Helper()
	d := &device{world: closedWorld(t)}
	d.me.Devices = nil
	d.reopen()
	return d
}

func (d *device) reopen() {
	d.t.Helper()
	if err := d.tryReopen(); err != nil {
		d.t.Fatal(err)
	}
}

func (d *device) tryReopen() error {
	var rows store.Store = d.rows.Reopen()
	if d.wrap != nil {
		rows = d.wrap(rows)
	}
	machine, err := core.Open(context.Background(), core.Options{
		Own: trust.Own{UserID: ids.UserID(d.me.ID), DeviceID: "MYDEVICE"}, OpenAccount: core.OpenAccount,
		Store: rows, Now: func() int64 { return atomic.AddInt64(d.clock, 1) }, Listener: &d.heard, Fetcher: d.fetcher, Spawn: d.spawn, Rest: d.rest, Agreement: d.agreement, Jitter: func() float64 { return 0 },
	})
	if err != nil {
		return err
	}
	d.machine = machine
	return nil
}

// tab is a second tab: a machine over the same rows.
func (d *device) tab() *device {
	d.t.Helper()
	world := *d.world
	other := &device{world: &world}
	other.heard = heard{}
	other.reopen()
	return other
}

// upload makes the next upload, as JSON; nil for none.
func (d *device) upload() (*lane.Request, map[string]any) {
	d.t.Helper()
	for _, request := range d.machine.OutgoingRequests() {
		if request.Type == lane.KeysUpload {
			return &request, jsonOf(d.t, request.Body)
		}
	}
	return nil, nil
}

// mark brings the answer to a request.
func (d *device) mark(id string, body []byte) error {
	_, err := d.machine.MarkRequestAsSent(context.Background(), id, body)
	return err
}

// uploaded makes all uploads and answers them as a server that gives everything back it was given.
func (d *device) uploaded() (oneTimeKeys []keys.Curve25519) {
	d.t.Helper()
	for {
		upload, body := d.upload()
		if upload == nil {
			return oneTimeKeys
		}
		for _, key := range body["one_time_keys"].(map[string]any) {
			oneTimeKeys = append(oneTimeKeys, d.curve(key.(map[string]any)["key"].(string)))
		}
		answer := fmt.Sprintf(`{"one_time_key_counts":{"signed_curve25519":%d}}`, len(oneTimeKeys))
		if err := d.mark(upload.ID, []byte(answer)); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *device) curve(text string) keys.Curve25519 {
	d.t.Helper()
	key, err := keys.ParseCurve25519(text)
	if err != nil {
		d.t.Fatal(err)
	}
	return key
}

// peer is somebody's device with an Olm account of its own.
type peer struct {
	*testkit.Device
	account  *olm.Account
	channels olm.Channels
	to       *device
}

// peer is a device that has begun a channel with ours, with a one-time key of ours.
func (d *device) peer(of *testkit.User, id string, oneTimeKey keys.Curve25519) *peer {
	d.t.Helper()
	p := &peer{account: olm.NewAccount(), to: d}
	p.Device = of.DeviceWith(id, p.account.Curve25519().String())
	p.begin(oneTimeKey)
	return p
}

func (p *peer) begin(oneTimeKey keys.Curve25519) {
	p.to.t.Helper()
	ours := p.to.machine.Own().Curve25519
	session, err := p.account.NewOutbound(ours, oneTimeKey)
	if err != nil {
		p.to.t.Fatal(err)
	}
	p.channels = olm.NewChannels(ours).Add(session)
}

// seals is the to-device event in which a payload reaches our device.
func (p *peer) seals(payload []byte) []byte {
	p.to.t.Helper()
	kind, body, next, err := p.channels.Encrypt(payload)
	if err != nil {
		p.to.t.Fatal(err)
	}
	p.channels = next
	return testkit.JSON(map[string]any{
		"type": "m.room.encrypted", "sender": p.User.ID,
		"content": map[string]any{
			"algorithm": testkit.OlmAlgorithm, "sender_key": p.Curve25519(),
			"ciphertext": map[string]any{p.to.machine.Own().Curve25519.String(): map[string]any{"type": int(kind), "body": body}},
		},
	})
}

// addressed is a payload of a type for our device.
func (p *peer) addressed(kind string, content map[string]any, hooks ...testkit.Hook) []byte {
	own := p.to.machine.Own()
	payload := map[string]any{
		"type": kind, "content": content, "sender": p.User.ID, "keys": map[string]any{"ed25519": p.Ed25519()},
		"recipient": string(own.UserID), "recipient_keys": map[string]any{"ed25519": own.Ed25519.String()}, "sender_device_keys": p.Object(),
	}
	for _, hook := range hooks {
		hook(payload)
	}
	return testkit.JSON(payload)
}

// roomKey is the to-device event that brings a room key.
func (p *peer) roomKey(session *testkit.Outbound, hooks ...testkit.Hook) []byte {
	return p.seals(p.addressed("m.room_key", map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "room_id": string(room), "session_id": session.ID(), "session_key": session.SessionKey(),
	}, hooks...))
}

// syncs gives our device to-device events.
func (d *device) syncs(events ...[]byte) *core.SyncResult {
	d.t.Helper()
	result, err := d.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{ToDevice: events, OneTimeKeyCount: -1})
	if err != nil {
		d.t.Fatal(err)
	}
	return result
}

// refusedWith holds an event against the code it must be refused with.
func refusedWith(t *testing.T, what string, e *core.ToDeviceEvent, code string) {
	t.Helper()
	if e.Kind != core.ToDeviceRefused || e.Err == nil || codeOf(t, e.Err) != code {
		t.Errorf("%s: %v, %v, want %s", what, e.Kind, e.Err, code)
	}
}

// Scenarios 46 to 49 and 59 from the raw edge: given a device of our own with its keys on the server, when Alice's phone begins a channel and sends
// room keys, then they are kept, attributed and open messages; Olm state and keys survive a restart together.
func TestRawRoomKeys(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys := d.uploaded()
	if len(oneTimeKeys) != 50 {
		t.Fatalf("%d one-time keys", len(oneTimeKeys))
	}
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", oneTimeKeys[0])
	phone.CrossSigned()
	d.answer(alice)
	first, second := d.kit.Outbound(), d.kit.Outbound()

	result := d.syncs(phone.roomKey(first), []byte(`{"type":"m.custom","sender":"@alice:example.org","content":{}}`), phone.roomKey(second), phone.roomKey(first))
	kinds := []core.ToDeviceKind{core.ToDeviceRoomKey, core.ToDevicePlain, core.ToDeviceRoomKey, core.ToDeviceRoomKey}
	for i := range result.Events {
		if result.Events[i].Kind != kinds[i] || result.Events[i].Err != nil {
			t.Fatalf("event %d: %v, %v", i, result.Events[i].Kind, result.Events[i].Err)
		}
	}
	if c := result.Events[0].Receipt.Copy; c == nil || c.Current.Kind != sender.SenderUnverified || c.Provenance != sender.Direct {
		t.Fatalf("%+v", result.Events[0].Receipt)
	}
	if len(result.Reception.Receipts) != 3 {
		t.Errorf("%d receipts", len(result.Reception.Receipts))
	}
	d.reopen()
	d.wantCodes(phone.Message(string(room), first, "hello"), shownUnsure)
	third := d.kit.Outbound()
	if after := d.syncs(phone.roomKey(third)); after.Events[0].Kind != core.ToDeviceRoomKey {
		t.Errorf("after a restart: %v", after.Events[0].Err)
	}
	d.wantCodes(phone.Message(string(room), third, "again"), shownUnsure)
}

// Given the first messages of 40 channels in one sync, then in between the host has its turn, and uses the machine; and what comes of it is the same. When
// it closes the machine there, nothing of the sync is kept.
func TestLongSyncsRest(t *testing.T) {
	for _, closes := range []bool{false, true} {
		d := withAccount(t)
		rests := 0
		d.rest = func() {
			rests++
			if _, err := d.machine.RoomKeyCounts(context.Background()); err != nil && !closes {
				t.Error(err)
			}
			if closes {
				_ = d.machine.Close(context.Background())
			}
		}
		d.reopen()
		oneTimeKeys := d.uploaded()
		var events [][]byte
		for i := range 40 {
			phone := d.peer(d.kit.User(fmt.Sprintf("@user%d:example.org", i)), "PHONE", oneTimeKeys[i])
			events = append(events, phone.roomKey(d.kit.Outbound()))
		}
		result, err := d.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{ToDevice: events, OneTimeKeyCount: -1})
		if closes {
			if err == nil || codeOf(t, err) != store.CodeClosed || len(d.copies()) != 0 {
				t.Errorf("closed: %v, %d copies", err, len(d.copies()))
			}
			continue
		}
		if err != nil || rests != 1 || len(result.Reception.Receipts) != 40 || len(d.copies()) != 40 {
			t.Errorf("%v, %d rests, %d copies", err, rests, len(d.copies()))
		}
	}
}

// What cannot be read, or is for another device, costs only itself; a replay and a changed message change nothing, and the channel goes on. Of a stranger's
// device a room key is kept (scenario 52), and nothing else (scenario 53).
func TestRawBadEvents(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys := d.uploaded()
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", oneTimeKeys[0])
	phone.CrossSigned()
	d.answer(alice)

	others := testkit.JSON(map[string]any{"type": "m.room.encrypted", "sender": alice.ID, "content": map[string]any{
		"algorithm": testkit.OlmAlgorithm, "sender_key": phone.Curve25519(), "ciphertext": map[string]any{"x": map[string]any{"type": 0, "body": "AA"}},
	}})
	torn := phone.roomKey(d.kit.Outbound())
	result := d.syncs([]byte(`{`), others, torn)
	refusedWith(t, "half an event", &result.Events[0], core.CodeBadToDevice)
	refusedWith(t, "another device's", &result.Events[1], core.CodeNotForUs)
	if result.Events[2].Kind != core.ToDeviceRoomKey {
		t.Errorf("the good one: %v", result.Events[2].Err)
	}

	before := contents(t, d.rows)
	refusedWith(t, "a replay", &d.syncs(torn).Events[0], olm.CodeOlmMessageReplayed)
	if contents(t, d.rows) != before {
		t.Error("a replay has changed the store")
	}
	fresh := d.kit.Outbound()
	if after := d.syncs(phone.roomKey(fresh)); after.Events[0].Kind != core.ToDeviceRoomKey {
		t.Errorf("the channel did not go on: %v", after.Events[0].Err)
	}
	stranger := d.peer(d.kit.User("@stranger:example.org"), "X", oneTimeKeys[1])
	e := d.syncs(stranger.seals(stranger.addressed("m.custom", map[string]any{}, testkit.WithoutDeviceKeys)), stranger.roomKey(d.kit.Outbound(), testkit.WithoutDeviceKeys))
	refusedWith(t, "a custom event of an unknown device", &e.Events[0], sender.CodeUnknownSendingDevice)
	if e.Events[1].Kind != core.ToDeviceRoomKey || e.Events[1].Receipt.Lane != core.Slow {
		t.Errorf("its room key: %v", e.Events[1].Kind)
	}
}

// F01, I23: for every operation k of a sync: the program dies before k, or after k before it hears of it. Opened again and given the same sync, every
// key is there once, and the channel goes on.
func TestRawCrash(t *testing.T) {
	for k := 1; ; k++ {
		done := false
		for _, after := range []bool{false, true} {
			d := withAccount(t)
			oneTimeKeys := d.uploaded()
			alice := d.kit.User("@alice:example.org")
			phone := d.peer(alice, "PHONE", oneTimeKeys[0])
			phone.CrossSigned()
			sessions := []*testkit.Outbound{d.kit.Outbound(), d.kit.Outbound()}
			events := [][]byte{phone.roomKey(sessions[0]), phone.roomKey(sessions[1])}
			var faulty *storetest.Faulty
			d.wrap = func(under store.Store) store.Store {
				faulty = storetest.NewFaulty(under)
				return faulty
			}
			d.reopen()
			faulty.DieAt("", k, after)
			_, err := d.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{ToDevice: events, OneTimeKeyCount: 40})
			done = err == nil && !faulty.Died()
			d.wrap = nil
			d.reopen()
			d.syncs(events...)
			d.answer(alice)
			for _, session := range sessions {
				d.wantCodes(phone.Message(string(room), session, "here"), shownUnsure)
			}
			next := d.kit.Outbound()
			if e := d.syncs(phone.roomKey(next)); e.Events[0].Kind != core.ToDeviceRoomKey {
				t.Errorf("operation %d, after %v: %v", k, after, e.Events[0].Err)
			}
		}
		if done {
			return
		}
	}
}

// F18 at the raw edge: two tabs are given the same sync, or one after the other different ones of one channel. Nothing is lost, and the channel is one.
func TestRawTwoTabs(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys := d.uploaded()
	other := d.tab()
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", oneTimeKeys[0])
	phone.CrossSigned()
	d.answer(alice)
	other.answer(alice)
	same, second, third := d.kit.Outbound(), d.kit.Outbound(), d.kit.Outbound()
	event := phone.roomKey(same)
	if e := d.syncs(event); e.Events[0].Kind != core.ToDeviceRoomKey {
		t.Fatal(e.Events[0].Err)
	}
	// The other tab's account is the one from before the one-time key was used.
	refusedWith(t, "the same once more", &other.syncs(event).Events[0], olm.CodeOlmMessageReplayed)
	if e := other.syncs(phone.roomKey(second)); e.Events[0].Kind != core.ToDeviceRoomKey {
		t.Error(e.Events[0].Err)
	}
	if e := d.syncs(phone.roomKey(third)); e.Events[0].Kind != core.ToDeviceRoomKey {
		t.Error(e.Events[0].Err)
	}
	laptop := d.peer(alice, "LAPTOP", oneTimeKeys[1])
	if e := other.syncs(laptop.roomKey(d.kit.Outbound())); e.Events[0].Kind != core.ToDeviceRoomKey {
		t.Errorf("a new channel in a tab whose account is behind: %v", e.Events[0].Err)
	}
	d.reopen()
	for _, session := range []*testkit.Outbound{same, second, third} {
		d.wantCodes(phone.Message(string(room), session, "x"), shownUnsure)
	}
}

// What the server is to have of us: our device, fifty one-time keys, a fallback key, each signed; again until it is told; more when it says how few
// are left; a fallback key in the place of one that was used.
func TestUploads(t *testing.T) {
	d := withAccount(t)
	first, body := d.upload()
	device, _ := body["device_keys"].(map[string]any)
	if len(body["one_time_keys"].(map[string]any)) != 50 || len(body["fallback_keys"].(map[string]any)) != 1 || device["device_id"] != "MYDEVICE" {
		t.Fatalf("%v", body)
	}
	d.holds(device, device)
	for _, list := range []string{"one_time_keys", "fallback_keys"} {
		for name, key := range body[list].(map[string]any) {
			if !strings.HasPrefix(name, "signed_curve25519:") {
				t.Errorf("named %s", name)
			}
			d.holds(key.(map[string]any), device)
		}
	}
	second, sameBody := d.upload()
	if second.ID != first.ID || len(sameBody["one_time_keys"].(map[string]any)) != 50 {
		t.Error("an upload that was lost is not listed again")
	}
	for what, answer := range map[string]string{"no JSON": "{", "no counts": "{}", "no number": `{"one_time_key_counts":{"signed_curve25519":"x"}}`} {
		if err := d.mark(second.ID, []byte(answer)); err == nil || codeOf(t, err) != core.CodeBadUpload {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.mark(second.ID, []byte(`{"one_time_key_counts":{"signed_curve25519":50}}`)); err != nil {
		t.Fatal(err)
	}
	if err := d.mark(second.ID, []byte(`{}`)); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("answered twice: %v", err)
	}
	if more, body := d.upload(); more != nil {
		t.Errorf("more: %v", body)
	}
	d.reopen()
	if more, _ := d.upload(); more != nil {
		t.Error("after a restart everything is uploaded again")
	}
	if _, err := d.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{OneTimeKeyCount: 44, FallbackUsed: true}); err != nil {
		t.Fatal(err)
	}
	_, body = d.upload()
	if len(body["one_time_keys"].(map[string]any)) != 6 || len(body["fallback_keys"].(map[string]any)) != 1 || body["device_keys"] != nil {
		t.Errorf("%v", body)
	}
}

// holds checks the signature of an object under our device's key.
func (d *device) holds(object, device map[string]any) {
	d.t.Helper()
	parsed, err := signedjson.Parse(testkit.JSON(object))
	if err != nil {
		d.t.Fatal(err)
	}
	key, err := keys.ParseEd25519(device["keys"].(map[string]any)["ed25519:MYDEVICE"].(string))
	if err != nil {
		d.t.Fatal(err)
	}
	signature, presence, err := parsed.Signature(ids.UserID(d.me.ID), "ed25519:MYDEVICE")
	if err != nil || presence != signedjson.Present {
		d.t.Fatalf("%v, %v", presence, err)
	}
	message, err := parsed.SignedBytes()
	if check := (keys.Check{Key: key, Signature: signature, Message: message}); err != nil || !check.Verify() {
		d.t.Errorf("%v is not signed: %v", object, err)
	}
}

// The account is made once, belongs to one device, is never made anew over one that cannot be read, and is not there where the host has its own Olm.
func TestAccounts(t *testing.T) {
	d := withAccount(t)
	own := d.machine.Own()
	d.reopen()
	if d.machine.Own() != own {
		t.Error("another account")
	}
	other := *d
	stranger := *d.world
	stranger.me = d.kit.User("@other:example.org")
	other.world = &stranger
	if err := other.tryReopen(); err == nil || codeOf(t, err) != core.CodeAccountOfOther {
		t.Errorf("another user's: %v", err)
	}
	rows, err := d.rows.Get(context.Background(), store.Meta, []store.Key{record.AccountKey()})
	if err != nil {
		t.Fatal(err)
	}
	rows[0].Value[len(rows[0].Value)-1] ^= 1
	damaged := store.Op{Table: store.Meta, Key: rows[0].Key, Expect: rows[0].Rev, Value: rows[0].Value}
	if err := d.rows.Commit(context.Background(), store.Batch{Ops: []store.Op{damaged}}); err != nil {
		t.Fatal(err)
	}
	if err := d.tryReopen(); err == nil || codeOf(t, err) != core.CodeAccountDamaged {
		t.Errorf("damaged: %v", err)
	}
	if _, err := core.Open(context.Background(), core.Options{Own: trust.Own{UserID: ids.UserID(d.me.ID), DeviceID: "MYDEVICE"}, Store: d.rows.Reopen()}); err == nil || codeOf(t, err) != core.CodeNoAccount {
		t.Errorf("neither keys nor an account: %v", err)
	}
	w := newWorld(t)
	if _, err := w.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{}); err == nil || codeOf(t, err) != core.CodeNoAccount {
		t.Errorf("a host with its own Olm: %v", err)
	}
}
