package core_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"knownsender/core"
	"knownsender/core/keyfile"
	"knownsender/core/testkit"
)

// History bundles that we make, for somebody whom we invite (MSC4268): what a room's senders meant to be shared, and of the others that they did not.

var sharedHistory = testkit.In("content", testkit.Set("m.shared_history", true))

// builds is the content of a bundle of our room, and what it says of each session: from where on it is in it, or the code of the notice.
func (w *world) builds() (content []byte, says map[string]string) {
	w.t.Helper()
	content, err := w.machine.BuildRoomKeyBundle(context.Background(), room)
	if err != nil {
		w.t.Fatal(err)
	}
	says = map[string]string{}
	if content == nil {
		return nil, says
	}
	err = keyfile.EachBundleItem(content, room, func(item keyfile.BundleItem) error {
		id, said := "", ""
		switch {
		case item.Fault != nil:
			w.t.Errorf("cannot be read: %+v", item.Fault)
			return nil
		case item.Entry != nil:
			id, said = item.Entry.SessionID.String(), fmt.Sprint(item.Entry.Session.FirstKnownIndex(), " ", item.Entry.SenderKey)
		default:
			id, said = item.Withheld.SessionID.String(), fmt.Sprint(item.Withheld.Code, " ", item.Withheld.SenderKey)
		}
		if says[id] != "" {
			w.t.Errorf("%s is in it twice", id)
		}
		says[id] = said
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
	return content, says
}

// Scenario 111: the room's keys whose senders said so are in it, of the others a notice, of other rooms nothing. Another client takes it.
func TestBundleIsBuilt(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	_, hers := w.mallory()
	if content, _ := w.builds(); content != nil {
		t.Errorf("of an empty room: %s", content)
	}
	shared, private, elsewhere, hearsay, unsaid, outvoted := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	shared.SkipTo(3)
	w.kept(w.event(phone, room, shared, sharedHistory))
	w.kept(w.event(phone, room, private))
	w.kept(w.event(phone, "!other:example.org", elsewhere, sharedHistory))
	w.kept(w.event(phone, room, outvoted))
	flag := testkit.Set("m.shared_history", true)
	w.imports(list(
		entry(phone, shared, 1, flag),   // an earlier ratchet of what she shared
		entry(hers, hearsay, 2, flag),   // nobody but a file has it
		entry(hers, unsaid, 0),          // and does not say that it may be shared
		entry(phone, outvoted, 0, flag), // she said no; a file says yes
	))
	no := "m.history_not_shared " + phone.Curve25519()
	want := map[string]string{
		shared.ID(): "1 " + phone.Curve25519(), hearsay.ID(): "2 " + hers.Curve25519(),
		private.ID(): no, outvoted.ID(): no, unsaid.ID(): "m.history_not_shared " + hers.Curve25519(),
	}
	content, says := w.builds()
	if !maps.Equal(says, want) {
		t.Errorf("the bundle says\n%v\nwant\n%v", says, want)
	}
	other := w.elsewhere()
	other.answer(phone.User)
	announcement, encrypted := sealedBundle(content)
	result, err := other.machine.ReceiveRoomKeyBundle(context.Background(), other.announce(phone, announcement), encrypted)
	if err != nil || result.ImportCounts != (core.ImportCounts{Imported: 2}) || result.Withheld != 3 || len(result.Faults) != 0 {
		t.Errorf("another client: %+v, %v", result, err)
	}
	w.restart()
	if again, _ := w.builds(); string(again) != string(content) {
		t.Error("after a restart it is another")
	}
}

// T16, T45: what must not go out in our name is not in it, not even as a notice: a suspended copy, and what somebody handed over who is no longer the
// one that we verified.
func TestBundleVouchesForNoTampering(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.me.Verifies(alice)
	w.verifyMe()
	hers.NotCrossSigned().CorruptlyCrossSigned()
	w.answer(alice, mallory)
	handed, suspended := w.kit.Outbound(), w.kit.Outbound()
	w.receiveBundle(phone, entry(phone, handed, 0))
	w.kept(w.event(hers, room, suspended, testkit.WithoutDeviceKeys, sharedHistory))
	if _, says := w.builds(); !maps.Equal(says, map[string]string{handed.ID(): "0 " + phone.Curve25519()}) {
		t.Errorf("while her identity is in order: %v", says)
	}
	alice.ResetIdentity()
	w.answer(alice)
	if content, says := w.builds(); content != nil {
		t.Errorf("afterwards: %v", says)
	}
}

// More copies than are read at a time, each session under several names: each is in the bundle once.
func TestBundleOfManyPages(t *testing.T) {
	w := newWorld(t)
	_, phone := w.alice()
	_, hers := w.mallory()
	flag := testkit.Set("m.shared_history", true)
	var entries []map[string]any
	want := map[string]int{}
	for range 400 {
		session := w.kit.Outbound()
		want[session.ID()] = 1
		entries = append(entries, entry(phone, session, 1, flag), entry(hers, session, 1, flag), entry(w.mine, session, 1, flag))
	}
	w.imports(list(entries...))
	_, says := w.builds()
	if ids := slices.Collect(maps.Keys(says)); len(says) != len(want) || slices.ContainsFunc(ids, func(id string) bool { return want[id] == 0 }) {
		t.Errorf("%d sessions, want %d", len(says), len(want))
	}
}
