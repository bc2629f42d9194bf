package core_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"knownsender/core"
	"knownsender/core/keyfile"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
)

// Channels are remembered from one sync to the next, and never more than remembered: what lies in the store decides.

// kept holds the one event of a sync against being a room key that is kept.
func kept(t *testing.T, what string, result *core.SyncResult) {
	t.Helper()
	if e := &result.Events[0]; e.Kind != core.ToDeviceRoomKey || e.Err != nil {
		t.Fatalf("%s: %v, %v", what, e.Kind, e.Err)
	}
}

// Given a device that has just written, when it writes again, then nothing is read before its message is opened; over a channel that nothing came over
// since the machine was opened, that is read.
func TestChannelsAreRemembered(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])
	d.answer(alice)
	kept(t, "the first", d.syncs(phone.roomKey(d.kit.Outbound())))

	l := &ledger{}
	d.wrap = l.over
	d.reopen()
	l.reset()
	kept(t, "the second", d.syncs(phone.roomKey(d.kit.Outbound())))
	if l.gets[store.Channels] != 1 {
		t.Errorf("%d rows of channels read, want the one", l.gets[store.Channels])
	}
	l.reset()
	for i := range 3 {
		kept(t, fmt.Sprintf("number %d", i+3), d.syncs(phone.roomKey(d.kit.Outbound())))
	}
	if l.reads != 0 || l.written[store.Channels] != 3 {
		t.Errorf("%d reads, channels written %d times", l.reads, l.written[store.Channels])
	}
}

// Given two tabs that take syncs in turn, when one has moved a channel on, or begun another, behind the back of what the other one remembers, then every message is opened once,
// a replay is one in both, and the channel in the store goes on.
func TestRememberedChannelsOfTwoTabs(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	oneTimeKeys := d.uploaded()
	phone := d.peer(alice, "PHONE", oneTimeKeys[0])
	d.answer(alice)
	kept(t, "the first", d.syncs(phone.roomKey(d.kit.Outbound())))
	other := d.tab()

	second := phone.roomKey(d.kit.Outbound())
	kept(t, "the second, in the other tab", other.syncs(second))
	kept(t, "the third, over channels that have moved on", d.syncs(phone.roomKey(d.kit.Outbound())))
	for _, tab := range []*device{d, other} {
		refusedWith(t, "the second again", &tab.syncs(second).Events[0], olm.CodeOlmMessageReplayed)
	}

	phone.begin(oneTimeKeys[1])
	kept(t, "the first of another channel, in the other tab", other.syncs(phone.roomKey(d.kit.Outbound())))
	kept(t, "the second of it", d.syncs(phone.roomKey(d.kit.Outbound())))
	third := phone.roomKey(d.kit.Outbound())
	kept(t, "the third of it, in the other tab", other.syncs(third))
	refusedWith(t, "the third of it again", &d.syncs(third).Events[0], olm.CodeOlmMessageReplayed)

	d.reopen()
	kept(t, "after a restart", d.syncs(phone.roomKey(d.kit.Outbound())))
}

// Given a store that refuses a batch, when the same sync comes again, then its message opens over the channels as they lie there: what was opened
// before, and not stored, is not remembered.
func TestChannelsAreNotRememberedBeforeTheyAreStored(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", d.uploaded()[0])
	d.answer(alice)
	var faulty *storetest.Faulty
	d.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	d.reopen()
	kept(t, "the first", d.syncs(phone.roomKey(d.kit.Outbound())))

	sync := core.SyncChanges{ToDevice: [][]byte{phone.roomKey(d.kit.Outbound())}, OneTimeKeyCount: -1}
	faulty.FailAt("Commit", 1, store.CodeQuota)
	if _, err := d.sync(sync); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Fatalf("%v", err)
	}
	kept(t, "the same sync again", d.mustSync(sync))
}

// Given more devices than are remembered, when they write a second time, in turn, then no message is lost.
func TestRememberedChannelsAreBounded(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	var phones []*peer
	for len(phones) < 300 {
		for _, key := range d.uploaded() {
			phones = append(phones, d.peer(alice, fmt.Sprintf("PHONE%d", len(phones)), key))
		}
		d.mustSync(core.SyncChanges{})
	}
	for range 2 {
		for i, phone := range phones {
			kept(t, fmt.Sprintf("phone %d", i), d.syncs(phone.roomKey(d.kit.Outbound())))
		}
	}
}

// asked counts the key agreements that it is asked for, call by call, and fails when it is to.
type asked struct {
	keyfile.GoAgreement
	calls []int
	fails error
}

func (a *asked) Agree(ctx context.Context, exchanges []keys.Exchange) ([][]byte, error) {
	a.calls = append(a.calls, len(exchanges))
	if a.fails != nil {
		return nil, a.fails
	}
	return a.GoAgreement.Agree(ctx, exchanges)
}

func (a *asked) want(t *testing.T, what string, calls ...int) {
	t.Helper()
	if fmt.Sprint(a.calls) != fmt.Sprint(calls) {
		t.Errorf("%s: keys agreed %v, want %v", what, a.calls, calls)
	}
	a.calls = nil
}

// Given messages that begin sessions, when they come in one sync, then their keys are agreed in one call, for each session once; and for sessions that we
// begin in one, too. When that fails nothing of the sync is kept, and it may be given again.
func TestKeysAreAgreedTogether(t *testing.T) {
	d := withAccount(t)
	agreement := &asked{}
	d.agreement = agreement
	d.reopen()
	alice := d.kit.User("@alice:example.org")
	oneTimeKeys := d.uploaded()
	phone, tablet := d.peer(alice, "PHONE", oneTimeKeys[0]), d.peer(alice, "TABLET", oneTimeKeys[1])
	strangers := []*peer{d.stranger(alice, "THIRD"), d.stranger(alice, "FOURTH")}
	d.answer(alice)
	sync := core.SyncChanges{OneTimeKeyCount: -1, ToDevice: [][]byte{
		phone.roomKey(d.kit.Outbound()), phone.roomKey(d.kit.Outbound()), tablet.roomKey(d.kit.Outbound()), phone.roomKey(d.kit.Outbound()),
	}}
	agreement.fails = errors.New("broken")
	if _, err := d.sync(sync); !errors.Is(err, agreement.fails) || len(d.copies()) != 0 {
		t.Fatalf("%v, %d copies", err, len(d.copies()))
	}
	agreement.fails, agreement.calls = nil, nil
	for i, e := range d.mustSync(sync).Events {
		if e.Kind != core.ToDeviceRoomKey {
			t.Errorf("event %d: %v", i, e.Err)
		}
	}
	agreement.want(t, "two sessions begun with us", 6)
	kept(t, "the next of one of them", d.syncs(phone.roomKey(d.kit.Outbound())))
	agreement.want(t, "no session begun")

	d.claims(claimAnswer(strangers[0], strangers[0].offer(), strangers[1], strangers[1].offer()), "@alice:example.org")
	agreement.want(t, "two sessions begun by us", 10)
	for _, stranger := range strangers {
		if event, err := stranger.opens(must(d.encrypts(stranger, "{}"))); err != nil {
			t.Errorf("%v, %v", event, err)
		}
	}
}
