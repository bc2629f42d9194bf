package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// A sync into our own account where something comes in between: another tab, a store that fails, a server that is behind, news of people. No room key
// and no event is lost by it, and no key is used twice.

// withFaultyAccount is a device over a store that can be made to fail, and the one-time keys that it uploaded.
func withFaultyAccount(t *testing.T) (d *device, faulty *storetest.Faulty, oneTimeKeys []keys.Curve25519) {
	t.Helper()
	d = withAccount(t)
	oneTimeKeys = d.uploaded()
	d.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	d.reopen()
	return d, faulty, oneTimeKeys
}

func (d *device) sync(in core.SyncChanges) (*core.SyncResult, error) {
	return d.machine.ReceiveSyncChanges(context.Background(), in)
}

func (d *device) mustSync(in core.SyncChanges) *core.SyncResult {
	d.t.Helper()
	result, err := d.sync(in)
	if err != nil {
		d.t.Fatal(err)
	}
	return result
}

// uploadOne makes and answers one upload, and tells what was in it.
func (d *device) uploadOne(count int) (oneTimeKeys []keys.Curve25519, fallback keys.Curve25519) {
	d.t.Helper()
	upload, body := d.upload()
	if upload == nil {
		return nil, fallback
	}
	oneTimeKeys = d.keysIn(body, "one_time_keys")
	if fresh := d.keysIn(body, "fallback_keys"); len(fresh) > 0 {
		fallback = fresh[0]
	}
	answer := fmt.Sprintf(`{"one_time_key_counts":{"signed_curve25519":%d}}`, count)
	if err := d.mark(upload.ID, []byte(answer)); err != nil {
		d.t.Fatal(err)
	}
	return oneTimeKeys, fallback
}

// keysIn are the keys of a list of an upload.
func (d *device) keysIn(upload map[string]any, list string) (found []keys.Curve25519) {
	d.t.Helper()
	for _, key := range upload[list].(map[string]any) {
		found = append(found, d.curve(key.(map[string]any)["key"].(string)))
	}
	return found
}

// meet has two tabs tell each other what they write.
func meet(tabs ...*device) {
	for _, tab := range tabs {
		tab.machine.MeetPeers()
		tab.heard.told = func(news core.PeerNews) {
			for _, other := range tabs {
				if other == tab {
					continue
				}
				if err := other.machine.HearPeers(context.Background(), news); err != nil {
					tab.t.Error(err)
				}
			}
		}
	}
}

// Given another tab that made one-time keys of which this one has not heard, when messages come for an old and for a new one, then both are opened; and
// what the gate refuses is refused, though it was opened beside a conflict.
func TestKeysOfAnotherTab(t *testing.T) {
	d := withAccount(t)
	old := d.uploaded()
	other := d.tab()
	other.mustSync(core.SyncChanges{OneTimeKeyCount: 40})
	fresh, _ := other.uploadOne(50)
	alice := d.kit.User("@alice:example.org")
	phone, laptop := d.peer(alice, "PHONE", old[0]), d.peer(alice, "LAPTOP", fresh[0])
	phone.CrossSigned()
	laptop.CrossSigned()
	d.answer(alice)
	session := d.kit.Outbound()
	r := d.syncs(phone.roomKey(d.kit.Outbound()), laptop.roomKey(session, testkit.Set("recipient", "@bob:example.org")), laptop.roomKey(session))
	for i, want := range []core.ToDeviceKind{core.ToDeviceRoomKey, core.ToDeviceRefused, core.ToDeviceRoomKey} {
		if r.Events[i].Kind != want {
			t.Errorf("event %d is %v: %v", i, r.Events[i].Kind, r.Events[i].Err)
		}
	}
	d.reopen()
	d.wantCodes(laptop.Message(string(room), session, "x"), shownUnsure)
}

// between is a store whose commits something happens to: it is done before the next one.
type between struct {
	store.Store
	next func(store.Batch) error // nil: nothing; in the place of the commit unless it returns a nil error
}

// errHeld says that a commit was taken and is on its way.
var errHeld = errors.New("held")

func (s *between) Commit(ctx context.Context, batch store.Batch) error {
	if next := s.next; next != nil {
		s.next = nil
		if err := next(batch); err != nil {
			return nil
		}
	}
	return s.Store.Commit(ctx, batch)
}

// The same where the other tab's commit comes between: what was opened before is written on what the other tab made, and what opens only then goes through
// the gate like the rest.
func TestKeysOfAnotherTabMeanwhile(t *testing.T) {
	d := withAccount(t)
	old := d.uploaded()
	open := func(as *device) *between {
		s := &between{}
		as.wrap = func(under store.Store) store.Store {
			s.Store = under
			return s
		}
		as.reopen()
		return s
	}
	other := d.tab()
	mine, theirs := open(d), open(other)
	var held store.Batch
	theirs.next = func(batch store.Batch) error {
		held = batch
		return errHeld
	}
	other.mustSync(core.SyncChanges{OneTimeKeyCount: 40})
	_, body := other.upload()
	fresh := d.keysIn(body, "one_time_keys")
	alice := d.kit.User("@alice:example.org")
	phone, laptop := d.peer(alice, "PHONE", old[0]), d.peer(alice, "LAPTOP", fresh[0])
	phone.CrossSigned()
	laptop.CrossSigned()
	d.answer(alice)
	session := d.kit.Outbound()
	mine.next = func(store.Batch) error { return theirs.Store.Commit(context.Background(), held) }
	r := d.syncs(phone.roomKey(d.kit.Outbound()), laptop.roomKey(session, testkit.Set("recipient", "@bob:example.org")), laptop.roomKey(session))
	for i, want := range []core.ToDeviceKind{core.ToDeviceRoomKey, core.ToDeviceRefused, core.ToDeviceRoomKey} {
		if r.Events[i].Kind != want {
			t.Errorf("event %d is %v: %v", i, r.Events[i].Kind, r.Events[i].Err)
		}
	}
	d.reopen()
	d.wantCodes(laptop.Message(string(room), session, "x"), shownUnsure)
}

// Given tabs that hear of each other, when one has uploaded keys and used one of them, then the other uploads none of them again; and what one makes that does
// not ask the server, the other uploads.
func TestTabsUploadOnce(t *testing.T) {
	d := withAccount(t)
	other := d.tab()
	meet(d, other)
	oneTimeKeys := d.uploaded()
	alice := d.kit.User("@alice:example.org")
	d.syncs(d.peer(alice, "PHONE", oneTimeKeys[0]).roomKey(d.kit.Outbound()))
	if upload, body := other.upload(); upload != nil {
		t.Errorf("uploaded again: %v", body)
	}
	other.machine.FollowLanes(true)
	other.mustSync(core.SyncChanges{OneTimeKeyCount: 20})
	if fresh, _ := d.uploadOne(50); len(fresh) != 30 {
		t.Errorf("%d keys of the following tab are uploaded", len(fresh))
	}
	if upload, _ := other.upload(); upload != nil {
		t.Error("and by itself once more")
	}
}

// F05, I23: given a store that fails at any commit of a sync, when the same sync is given again, then it comes to the same: nothing is taken for a replay.
func TestFailedSyncIsGivenAgain(t *testing.T) {
	for n := 1; ; n++ {
		d, faulty, oneTimeKeys := withFaultyAccount(t)
		alice, bob := d.kit.User("@alice:example.org"), d.kit.User("@bob:example.org")
		phone := d.peer(alice, "PHONE", oneTimeKeys[0])
		phone.CrossSigned()
		d.answer(alice)
		if err := d.machine.TrackUsers(context.Background(), []ids.UserID{"@bob:example.org"}); err != nil {
			t.Fatal(err)
		}
		d.answer(bob)
		in := core.SyncChanges{
			ToDevice: [][]byte{phone.seals(phone.addressed("m.secret.send", map[string]any{"secret": "x"})), phone.roomKey(d.kit.Outbound())},
			Changed:  []ids.UserID{"@bob:example.org"}, OneTimeKeyCount: 30,
		}
		faulty.FailAt("Commit", n, store.CodeUnavailable)
		_, err := d.sync(in)
		faulty.Heal()
		if err == nil {
			if n == 1 {
				t.Error("nothing failed")
			}
			return
		}
		r := d.mustSync(in)
		if r.Events[0].Kind != core.ToDeviceDecrypted || r.Events[1].Kind != core.ToDeviceRoomKey {
			t.Errorf("commit %d failed; given again: %v %v, %v %v", n, r.Events[0].Kind, r.Events[0].Err, r.Events[1].Kind, r.Events[1].Err)
		}
	}
}

// Given a sync that failed and was given again, when its keys are settled, then none of them is thought to be in the slow lane still.
func TestFailedSyncLeavesTheSlowLane(t *testing.T) {
	d, faulty, oneTimeKeys := withFaultyAccount(t)
	phone := d.peer(d.kit.User("@alice:example.org"), "PHONE", oneTimeKeys[0])
	in := core.SyncChanges{ToDevice: [][]byte{phone.roomKey(d.kit.Outbound(), testkit.WithoutDeviceKeys)}, OneTimeKeyCount: -1}
	faulty.FailAt("Commit", 1, store.CodeUnavailable)
	if _, err := d.sync(in); err == nil {
		t.Fatal("no failure")
	}
	faulty.Heal()
	if _, err := d.machine.Settle(context.Background(), d.mustSync(in).Reception); err != nil {
		t.Fatal(err)
	}
	if n := d.machine.LaneCounts().Slow; n != 0 {
		t.Errorf("%d copies stay in the slow lane", n)
	}
}

// Given an upload whose answer could not be noted, when it is brought again, then it is known still.
func TestUploadIsMarkedWhole(t *testing.T) {
	d := withAccount(t)
	var faulty *storetest.Faulty
	d.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	d.reopen()
	upload, _ := d.upload()
	answer := []byte(`{"one_time_key_counts":{"signed_curve25519":10}}`)
	faulty.FailAt("Commit", 1, store.CodeUnavailable)
	if _, err := d.machine.MarkRequestAsSent(context.Background(), upload.ID, answer); err == nil {
		t.Fatal("no failure")
	}
	faulty.Heal()
	if again, _ := d.upload(); again == nil || again.ID != upload.ID {
		t.Errorf("the upload is another: %v", again)
	}
	if _, err := d.machine.MarkRequestAsSent(context.Background(), upload.ID, answer); err != nil {
		t.Errorf("again: %v", err)
	}
	if fresh, _ := d.uploadOne(50); len(fresh) != 40 {
		t.Errorf("%d keys are made", len(fresh))
	}
}

// Given an upload without an answer, when more keys are made, then it stays the one to make: the server may have it, and have given its keys away.
func TestOneUploadAtATime(t *testing.T) {
	d := withAccount(t)
	d.uploaded()
	d.mustSync(core.SyncChanges{OneTimeKeyCount: 40})
	first, _ := d.upload()
	d.mustSync(core.SyncChanges{OneTimeKeyCount: 20})
	if second, _ := d.upload(); second.ID != first.ID {
		t.Error("there is another beside it")
	}
	if first, _ := d.uploadOne(30); len(first) != 10 {
		t.Errorf("%d keys in the first", len(first))
	}
	if second, _ := d.uploadOne(50); len(second) != 20 {
		t.Errorf("%d keys in the second", len(second))
	}
}

// Given a server that says several times that nothing is left, for it is behind, when messages for the first keys come, then they are opened still: those
// of the fallback key, and those of one-time keys.
func TestServerIsBehind(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys, fallback := d.uploadOne(50)
	alice := d.kit.User("@alice:example.org")
	phone, laptop := d.peer(alice, "PHONE", oneTimeKeys[0]), d.peer(alice, "LAPTOP", fallback)
	events := [][]byte{phone.roomKey(d.kit.Outbound()), laptop.roomKey(d.kit.Outbound())}
	for range 3 {
		d.mustSync(core.SyncChanges{OneTimeKeyCount: 0, FallbackUsed: true})
		d.uploadOne(50)
	}
	for i, e := range d.syncs(events...).Events {
		if e.Kind != core.ToDeviceRoomKey {
			t.Errorf("event %d: %v", i, e.Err)
		}
	}
	// A week later the second fallback key is old enough, and the first is forgotten.
	*d.clock += 7 * 24 * 3600 * 1000
	d.mustSync(core.SyncChanges{OneTimeKeyCount: 50, FallbackUsed: true})
	if _, next := d.uploadOne(50); next == (keys.Curve25519{}) {
		t.Error("no other fallback key after a week")
	}
	tablet := d.peer(alice, "TABLET", fallback)
	refusedWith(t, "a fallback key that was forgotten", &d.syncs(tablet.roomKey(d.kit.Outbound())).Events[0], olm.CodeOneTimeKeyUnknown)
}

// A message with the fallback key is not opened a second time, though its session went where five newer ones came.
func TestFallbackMessageIsNotReplayed(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys, fallback := d.uploadOne(50)
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", fallback)
	phone.CrossSigned()
	d.answer(alice)
	old := phone.seals(phone.addressed("m.custom", map[string]any{}))
	if e := d.syncs(old).Events[0]; e.Kind != core.ToDeviceDecrypted {
		t.Fatal(e.Err)
	}
	for i := range olm.MaxChannels {
		phone.begin(oneTimeKeys[i])
		d.syncs(phone.roomKey(d.kit.Outbound()))
	}
	d.reopen()
	refusedWith(t, "once more", &d.syncs(old).Events[0], olm.CodeUnknownOlmSession)
}

// during does something while signatures are checked, once.
type during struct{ happens func() }

func (v *during) Verify(ctx context.Context, checks []keys.Check) ([]bool, error) {
	if happens := v.happens; happens != nil {
		v.happens = nil
		happens()
	}
	return keys.Go{}.Verify(ctx, checks)
}

// F18: what is learned of the sender while the signatures of a sync are checked counts for its keys.
func TestNewsWhileSignaturesAreChecked(t *testing.T) {
	d := withAccount(t)
	checking := &during{}
	machine, err := core.Open(context.Background(), core.Options{
		Own: trust.Own{UserID: ids.UserID(d.me.ID), DeviceID: "MYDEVICE"}, OpenAccount: core.OpenAccount,
		Store: d.rows.Reopen(), Now: func() int64 { *d.clock++; return *d.clock }, Listener: &d.heard, Verifier: checking,
	})
	if err != nil {
		t.Fatal(err)
	}
	d.machine = machine
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])
	phone.CrossSigned()
	d.answer(d.me, alice)
	if err := d.trustMe(); err != nil {
		t.Fatal(err)
	}
	event := phone.roomKey(d.kit.Outbound())
	checking.happens = func() {
		d.me.Verifies(alice)
		d.answer(d.me, alice)
	}
	e := d.syncs(event).Events[0]
	if e.Kind != core.ToDeviceRoomKey || checking.happens != nil {
		t.Fatalf("%v %v", e.Kind, e.Err)
	}
	if got := e.Receipt.Copy.Current.Kind; got != sender.SenderVerified {
		t.Errorf("the sender is %v", got)
	}
}

// F35: channels that only a newer version can read are not taken for damaged and written over: the sync fails, by name, and the row stays as it is.
func TestChannelsOfANewerVersion(t *testing.T) {
	d := withAccount(t)
	phone := d.peer(d.kit.User("@alice:example.org"), "PHONE", d.uploaded()[0])
	d.syncs(phone.roomKey(d.kit.Outbound()))
	row := func() []byte {
		rows, err := d.rows.Get(context.Background(), store.Channels, []store.Key{{phone.Curve25519()}})
		if err != nil || rows[0].Rev == 0 {
			t.Fatalf("no channels: %v", err)
		}
		return rows[0].Value
	}
	d.rot(store.Channels, store.Key{phone.Curve25519()}, damages(row())["F35: a future format"])
	before := row()
	_, err := d.sync(core.SyncChanges{ToDevice: [][]byte{phone.roomKey(d.kit.Outbound())}, OneTimeKeyCount: -1})
	var refused *record.Error
	if !errors.As(err, &refused) || refused.Code != record.CodeUnknownFormat {
		t.Errorf("the sync: %v", err)
	}
	if !bytes.Equal(row(), before) {
		t.Error("the row is another")
	}
}

// Whatever the verb, what became of a sync does not print the room keys that it brought.
func TestSyncIsPrintedWithoutItsKeys(t *testing.T) {
	d := withAccount(t)
	session := d.kit.Outbound()
	r := d.syncs(d.peer(d.kit.User("@alice:example.org"), "PHONE", d.uploaded()[0]).roomKey(session))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if printed := fmt.Sprintf(verb, r.Events[0].Event); printed != "[secret]" {
			t.Errorf("%s: %d characters", verb, len(printed))
		}
	}
}
