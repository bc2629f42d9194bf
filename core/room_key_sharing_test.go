package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/core/megolm"
	"knownsender/core/policy"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/sharing"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// Sending: the key of a room's session goes to whom it should, events are encrypted with it, and no message index is ever used twice.

// member is somebody else's device in the room, with what it has received.
type member struct {
	*peer
	keys map[string]*megolm.InboundSession
	told []map[string]any // contents of m.room_key.withheld
	seen map[string]bool  // requests, which a server delivers once
}

// unreached is somebody else's device with which there is no Olm session.
func (d *device) unreached(of *testkit.User, id string) *member {
	return &member{peer: d.stranger(of, id), keys: map[string]*megolm.InboundSession{}, seen: map[string]bool{}}
}

// member has a device with which there are Olm sessions.
func (d *device) member(of *testkit.User, id string) *member {
	d.t.Helper()
	m := d.unreached(of, id)
	d.answer(of)
	d.claims(claimAnswer(m.peer, m.offer()), ids.UserID(of.ID))
	return m
}

// gets takes what is in the requests for the member.
func (m *member) gets(requests ...lane.Request) {
	m.to.t.Helper()
	for _, request := range requests {
		var body struct {
			Messages map[string]map[string]json.RawMessage `json:"messages"`
		}
		if err := json.Unmarshal(request.Body, &body); err != nil {
			m.to.t.Fatal(err)
		}
		content := body.Messages[m.User.ID][m.ID]
		if content == nil || m.seen[request.ID] {
			continue
		}
		m.seen[request.ID] = true
		if strings.HasPrefix(request.Target, "m.room_key.withheld/") {
			m.told = append(m.told, jsonOf(m.to.t, content))
			continue
		}
		event, err := m.opens(content)
		if err != nil || event["type"] != "m.room_key" {
			m.to.t.Fatalf("%v, %v", event["type"], err)
		}
		inside := event["content"].(map[string]any)
		key, err := megolm.ParseSessionKey(inside["session_key"].(string))
		if err == nil {
			err = key.Verify()
		}
		if err != nil || inside["room_id"] != string(room) || inside["session_id"] != key.ID().String() || inside["algorithm"] != testkit.MegolmAlgorithm {
			m.to.t.Fatalf("%v, %v", inside, err)
		}
		if m.keys[key.ID().String()] == nil {
			m.keys[key.ID().String()] = key.Session()
		}
	}
}

// reads opens the content of an event of ours: its payload, and its index. The error is megolm's, or that there is no key.
func (m *member) reads(content []byte) (payload map[string]any, index uint32, err error) {
	m.to.t.Helper()
	outside := jsonOf(m.to.t, content)
	session := m.keys[outside["session_id"].(string)]
	if session == nil {
		return nil, 0, errNoKey
	}
	message, err := megolm.ParseMessage(outside["ciphertext"].(string))
	if err != nil {
		return nil, 0, err
	}
	opening, err := session.Decrypt(message)
	if err != nil {
		return nil, 0, err
	}
	return jsonOf(m.to.t, opening.Plaintext), opening.Index, nil
}

var errNoKey = errors.New("no key")

// says is what text says that a member reads, or why not.
func (m *member) says(content []byte) string {
	m.to.t.Helper()
	payload, _, err := m.reads(content)
	if err != nil {
		return "[" + err.Error() + "]"
	}
	return payload["content"].(map[string]any)["body"].(string)
}

var inRoom = []ids.UserID{"@me:example.org", "@alice:example.org"}

// shares shares the room's key.
func (d *device) shares(users []ids.UserID, change ...func(*sharing.Settings)) ([]lane.Request, error) {
	settings := sharing.DefaultSettings()
	for _, change := range change {
		change(&settings)
	}
	return d.machine.ShareRoomKey(context.Background(), room, users, settings)
}

// mustShare is shares, with everything sent: what the members get.
func (d *device) mustShare(users []ids.UserID, members []*member, change ...func(*sharing.Settings)) []lane.Request {
	d.t.Helper()
	requests, err := d.shares(users, change...)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, request := range requests {
		for _, member := range members {
			member.gets(request)
		}
		if err := d.mark(request.ID, []byte("{}")); err != nil {
			d.t.Fatal(err)
		}
	}
	return requests
}

func (d *device) sends(text string) ([]byte, error) {
	return d.machine.EncryptRoomEvent(context.Background(), room, "m.room.message", testkit.JSON(map[string]any{"body": text}))
}

func (d *device) mustSend(text string) []byte {
	d.t.Helper()
	content, err := d.sends(text)
	if err != nil {
		d.t.Fatal(err)
	}
	return content
}

// session is the id of the session an event was encrypted with.
func sessionOf(t *testing.T, content []byte) string { return jsonOf(t, content)["session_id"].(string) }

// Given Alice's phone and a second device of ours in the room, when the key is shared and its requests are marked as sent, then events are encrypted, both
// read them, we do too, and a device that comes later reads only what comes later.
func TestRoomKeyIsSharedAndEventsAreRead(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone, mine := d.member(alice, "PHONE"), d.member(d.me, "LAPTOP")
	if _, err := d.sends("x"); err == nil || codeOf(t, err) != core.CodeRoomKeyNotShared {
		t.Fatalf("without a session: %v", err)
	}
	requests, err := d.shares(inRoom)
	if err != nil || len(requests) != 1 || requests[0].Type != lane.ToDevice || !strings.HasPrefix(requests[0].Target, "m.room.encrypted/") {
		t.Fatalf("%v, %v", requests, err)
	}
	if again, err := d.shares(inRoom); err != nil || len(again) != 1 || again[0].ID != requests[0].ID || len(d.requests(lane.ToDevice)) != 1 {
		t.Errorf("not the same request again: %v, %v", again, err)
	}
	if _, err := d.sends("x"); err == nil || codeOf(t, err) != core.CodeRoomKeyNotShared {
		t.Errorf("before the key was sent: %v", err)
	}
	phone.gets(requests[0])
	mine.gets(requests[0])
	if err := d.mark(requests[0].ID, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	content, err := d.machine.EncryptRoomEvent(context.Background(), room, "m.room.message", []byte(`{"body":"first","m.relates_to":{"rel_type":"m.thread"},"n":1.5}`))
	if err != nil {
		t.Fatal(err)
	}
	own, outside := d.machine.Own(), jsonOf(t, content)
	want := map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "ciphertext": outside["ciphertext"], "device_id": "MYDEVICE", "session_id": outside["session_id"],
		"sender_key": own.Curve25519.String(), "m.relates_to": map[string]any{"rel_type": "m.thread"},
	}
	if string(testkit.JSON(outside)) != string(testkit.JSON(want)) {
		t.Errorf("%s", content)
	}
	for _, member := range []*member{phone, mine} {
		payload, index, err := member.reads(content)
		if err != nil || index != 0 || payload["type"] != "m.room.message" || payload["room_id"] != string(room) || payload["content"].(map[string]any)["n"] != 1.5 {
			t.Fatalf("%v at %d: %v", payload, index, err)
		}
	}
	// Our own copy went the road of every room key: we can read what we sent, and know who sent it.
	event := testkit.JSON(map[string]any{"type": "m.room.encrypted", "sender": string(own.UserID), "event_id": "$1", "room_id": string(room), "content": outside})
	if read, err := d.decrypt(event, policy.Untrusted); err != nil || body(t, read) != "first" {
		t.Errorf("ourselves: %v", err)
	}
	if copies := d.copies(); len(copies) != 1 || copies[0].Provenance != sender.Direct || copies[0].OlmUser != own.UserID || !copies[0].SharedHistory || copies[0].Session.FirstKnownIndex() != 0 {
		t.Errorf("%+v", copies)
	}

	d.reopen()
	if more := d.mustShare(inRoom, nil); len(more) != 0 {
		t.Errorf("shared again: %v", more)
	}
	second := d.mustSend("second")
	tablet := d.member(alice, "TABLET")
	if added := d.mustShare(inRoom, []*member{phone, mine, tablet}); len(added) != 1 {
		t.Fatalf("%v", added)
	}
	third := d.mustSend("third")
	if sessionOf(t, third) != sessionOf(t, content) {
		t.Error("another session for a device that came")
	}
	if phone.says(second) != "second" || phone.says(third) != "third" || tablet.says(third) != "third" {
		t.Errorf("%s, %s, %s", phone.says(second), phone.says(third), tablet.says(third))
	}
	if _, _, err := tablet.reads(second); err == nil || codeOf(t, err) != megolm.CodeUnknownMessageIndex {
		t.Errorf("who came later reads what was before: %v", err)
	}
}

// A session is replaced where it must be, and whoever is not there any more reads nothing of the next.
func TestRotation(t *testing.T) {
	bob := ids.UserID("@bob:example.org")
	all := append(slices.Clone(inRoom), bob)
	twice := func(s *sharing.Settings) { s.RotationMessages = 2 }
	cases := map[string]struct {
		change func(d *device, bobs *member)
		users  []ids.UserID
		with   func(*sharing.Settings)
		same   bool
	}{
		"nothing":           {users: all, same: true},
		"messages":          {users: all, with: twice},
		"somebody has left": {users: inRoom},
		"time":              {users: all, change: func(d *device, _ *member) { *d.clock += 7 * 24 * 3600 * 1000 }},
		"visibility":        {users: all, with: func(s *sharing.Settings) { s.HistoryVisibility = sharing.Joined }},
		"a device is gone": {users: all, change: func(d *device, bobs *member) {
			bobs.User.Devices = nil
			d.answer(bobs.User)
		}},
		"a device gets it no more": {users: all, with: func(s *sharing.Settings) { s.Strategy = sharing.OnlyTrustedDevices }},
		"it was ended": {users: all, change: func(d *device, _ *member) {
			for _, want := range []bool{true, false} {
				if ended, err := d.machine.InvalidateGroupSession(context.Background(), room); err != nil || ended != want {
					d.t.Errorf("%v, %v", ended, err)
				}
			}
			if _, err := d.sends("x"); err == nil || codeOf(d.t, err) != core.CodeRoomKeyNotShared {
				d.t.Errorf("with an ended session: %v", err)
			}
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			d := withAccount(t)
			if ended, err := d.machine.InvalidateGroupSession(context.Background(), room); ended || err != nil {
				t.Errorf("there is nothing to end: %v, %v", ended, err)
			}
			phone, bobs := d.member(d.kit.User("@alice:example.org"), "PHONE"), d.member(d.kit.User(string(bob)), "BOBS")
			members := []*member{phone, bobs}
			var first []func(*sharing.Settings)
			if name == "messages" {
				first = append(first, twice)
			}
			d.mustShare(all, members, first...)
			before := d.mustSend("before")
			if more := d.mustShare(all, members, first...); len(more) != 0 { // what found nothing to do is remembered
				t.Errorf("shared again: %v", more)
			}
			d.mustSend("another")
			if name == "messages" {
				if _, err := d.sends("a third"); err == nil || codeOf(t, err) != core.CodeRoomKeyExpired {
					t.Errorf("a third: %v", err)
				}
			}
			if c.change != nil {
				c.change(d, bobs)
			}
			if name == "time" {
				if _, err := d.sends("late"); err == nil || codeOf(t, err) != core.CodeRoomKeyExpired {
					t.Errorf("late: %v", err)
				}
			}
			if c.with == nil {
				c.with = func(*sharing.Settings) {}
			}
			d.mustShare(c.users, members, c.with)
			after := d.mustSend("after")
			if (sessionOf(t, after) == sessionOf(t, before)) != c.same {
				t.Errorf("session %s after %s", sessionOf(t, after), sessionOf(t, before))
			}
			reads := map[string]string{"somebody has left": "[no key]", "a device is gone": "[no key]", "a device gets it no more": "[no key]"}[name]
			if reads == "" {
				reads = "after"
			}
			if got := bobs.says(after); got != reads {
				t.Errorf("Bob reads %s", got)
			}
			if name != "a device gets it no more" && phone.says(after) != "after" {
				t.Errorf("Alice reads %s", phone.says(after))
			}
		})
	}
}

// From the third message on, sharing costs the one row that says whether the session may be used on, whatever the number of devices; until something
// about them, or in what is asked, is other.
func TestSharingWithNothingToDoCostsOneRow(t *testing.T) {
	d, l := withAccount(t), &ledger{}
	phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
	d.wrap = l.over
	d.reopen()
	for message := range 4 {
		l.reset()
		d.mustShare(inRoom, []*member{phone})
		if message > 1 && (l.operations() != 1 || l.gets[store.Outbound] != 1) {
			t.Errorf("message %d: %v rows, %d commits", message, l.gets, l.commits)
		}
		if text := fmt.Sprint(message); phone.says(d.mustSend(text)) != text {
			t.Errorf("message %d cannot be read", message)
		}
	}
	tablet := d.member(phone.User, "TABLET")
	if added := d.mustShare(inRoom, []*member{phone, tablet}); len(added) != 1 || tablet.says(d.mustSend("hello")) != "hello" {
		t.Errorf("a new device: %v", added)
	}
	// Another tab ends the session.
	d.mustShare(inRoom, nil)
	other := d.tab()
	if ended, err := other.machine.InvalidateGroupSession(context.Background(), room); err != nil || !ended {
		t.Fatal(err)
	}
	if added := d.mustShare(inRoom, []*member{phone, tablet}); len(added) != 1 {
		t.Errorf("ended by another tab: %v", added)
	}
}

// A request with a key that was made, and perhaps sent, and of which we never heard: whether its device has left since counts all the same, also after a
// crash.
func TestRotationBecauseOfAKeyThatMayHaveArrived(t *testing.T) {
	for _, crash := range []bool{false, true} {
		d := withAccount(t)
		phone, bobs := d.member(d.kit.User("@alice:example.org"), "PHONE"), d.member(d.kit.User("@bob:example.org"), "BOBS")
		d.mustShare(inRoom, []*member{phone})
		before := d.mustSend("before")
		requests, err := d.shares(append(slices.Clone(inRoom), "@bob:example.org"))
		if err != nil || len(requests) != 1 {
			t.Fatalf("%v, %v", requests, err)
		}
		bobs.gets(requests...)
		if crash {
			d.reopen()
		}
		d.mustShare(inRoom, []*member{phone})
		after := d.mustSend("after")
		if sessionOf(t, after) == sessionOf(t, before) || bobs.says(after) != "[no key]" || phone.says(after) != "after" {
			t.Errorf("crash %v: Bob reads %s, Alice %s", crash, bobs.says(after), phone.says(after))
		}
		if !crash { // and what becomes of the old request concerns nobody
			if err := d.mark(requests[0].ID, []byte("{}")); err != nil {
				t.Error(err)
			}
			if more := d.mustShare(inRoom, nil); len(more) != 0 {
				t.Errorf("%v", more)
			}
		}
	}
}

// Who gets nothing is told so, once: devices that are not trusted, and devices that cannot be reached. Under the strategies that refuse, nobody gets
// anything.
func TestWithheldAndRefused(t *testing.T) {
	d := withAccount(t)
	alice, bob := d.kit.User("@alice:example.org"), d.kit.User("@bob:example.org")
	users := append(slices.Clone(inRoom), "@bob:example.org")
	phone, tablet := d.member(alice, "PHONE"), d.member(alice, "TABLET")
	phone.CrossSigned()
	silent := d.unreached(bob, "SILENT")
	silent.CrossSigned()
	d.answer(alice, bob)
	identityBased := func(s *sharing.Settings) { s.Strategy = sharing.IdentityBasedStrategy }
	strict := func(s *sharing.Settings) { s.Strategy = sharing.ErrorOnVerifiedUserProblem }
	refused := func(what, code string, change func(*sharing.Settings), who ...ids.UserID) {
		t.Helper()
		before := contents(t, d.rows)
		requests, err := d.shares(users, change)
		var refusal *sharing.RecipientsError
		if !errors.As(err, &refusal) || refusal.Code != code || requests != nil || contents(t, d.rows) != before || len(d.requests(lane.ToDevice)) != 0 {
			t.Fatalf("%s: %v, %v", what, requests, err)
		}
		var named []ids.UserID
		for _, user := range refusal.Users {
			named = append(named, user.UserID)
		}
		if !slices.Equal(named, who) {
			t.Errorf("%s: because of %v", what, named)
		}
	}
	if err := d.machine.TrackUsers(context.Background(), users); err != nil {
		t.Fatal(err)
	}
	refused("no identity of ours", sharing.CodeCrossSigningNotSetUp, identityBased)
	d.answer(d.me)
	refused("our identity is not verified", sharing.CodeSendingFromUnverified, identityBased)
	d.me.Verifies(alice)
	d.answer(d.me, alice)
	if err := d.trustMe(); err != nil {
		t.Fatal(err)
	}
	refused("an unsigned device of somebody verified", sharing.CodeUnsignedDevice, strict, "@alice:example.org")

	members := []*member{phone, tablet, silent}
	d.mustShare(users, members, identityBased)
	content := d.mustSend("hello")
	if phone.says(content) != "hello" || tablet.says(content) != "[no key]" || silent.says(content) != "[no key]" {
		t.Errorf("%s, %s, %s", phone.says(content), tablet.says(content), silent.says(content))
	}
	ours := d.machine.Own().Curve25519.String()
	for _, c := range []struct {
		member *member
		want   map[string]any
	}{
		{tablet, map[string]any{"algorithm": testkit.MegolmAlgorithm, "code": "m.unverified", "room_id": string(room), "sender_key": ours, "session_id": sessionOf(t, content)}},
		{silent, map[string]any{"algorithm": testkit.MegolmAlgorithm, "code": "m.no_olm", "sender_key": ours}},
	} {
		if len(c.member.told) != 1 || string(testkit.JSON(c.member.told[0])) != string(testkit.JSON(c.want)) {
			t.Errorf("%s was told %v", c.member.ID, c.member.told)
		}
	}
	if len(phone.told) != 0 {
		t.Errorf("who has the key was told %v", phone.told)
	}
	d.reopen()
	if more := d.mustShare(users, members, identityBased); len(more) != 0 {
		t.Errorf("told again: %v", more)
	}
	// A one-time key turns up: now it is reached, in the same session.
	d.claims(claimAnswer(silent.peer, silent.offer()), "@bob:example.org")
	d.mustShare(users, members, identityBased)
	if next := d.mustSend("next"); silent.says(next) != "next" || sessionOf(t, next) != sessionOf(t, content) {
		t.Errorf("%s", silent.says(next))
	}

	alice.ResetIdentity()
	d.answer(alice)
	refused("somebody verified has another identity", sharing.CodeChangedIdentity, identityBased, "@alice:example.org")
	refused("the same", sharing.CodeChangedIdentity, strict, "@alice:example.org")
	if d.mustShare(users, members); len(tablet.keys) != 1 {
		t.Error("all devices are not all")
	}
}

// Six hundred devices: each gets the key, in requests of 50 messages at most, and none before all of them are sent is encrypted with it.
func TestManyDevices(t *testing.T) {
	d := withAccount(t)
	var offers []any
	users := slices.Clone(inRoom)
	var members []*member
	for i := range 6 {
		user := d.kit.User(fmt.Sprintf("@user%d:example.org", i))
		users = append(users, ids.UserID(user.ID))
		for j := range 100 {
			m := d.unreached(user, fmt.Sprint("D", j))
			members = append(members, m)
			offers = append(offers, m.peer, m.offer())
		}
		d.answer(user)
	}
	d.claims(claimAnswer(offers...), users...)
	requests, err := d.shares(users)
	if err != nil || len(requests) != 12 {
		t.Fatalf("%d requests, %v", len(requests), err)
	}
	for i, request := range requests {
		if _, err := d.sends("early"); err == nil || codeOf(t, err) != core.CodeRoomKeyNotShared {
			t.Fatalf("after %d requests: %v", i, err)
		}
		if n := strings.Count(string(request.Body), `"ciphertext"`); n > 50 {
			t.Errorf("%d messages in a request", n)
		}
		if err := d.mark(request.ID, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	content := d.mustSend("hello")
	for _, m := range members {
		if m.gets(requests...); m.says(content) != "hello" {
			t.Fatalf("%s %s reads %s", m.User.ID, m.ID, m.says(content))
		}
	}
}

// indexes holds events against each other: none shares its index with another, and a member reads each.
func indexes(t *testing.T, m *member, events [][]byte) {
	t.Helper()
	seen := map[string]string{}
	for _, content := range events {
		payload, index, err := m.reads(content)
		if err != nil {
			t.Fatal(err)
		}
		place := fmt.Sprint(sessionOf(t, content), index)
		if seen[place] != "" {
			t.Fatalf("index %d was used for %s and %v", index, seen[place], payload["content"])
		}
		seen[place] = fmt.Sprint(payload["content"])
	}
}

// F18: two tabs encrypt at once, many events each, while one of them shares with a device more: every event has an index of its own.
func TestTwoTabsEncryptAtOnce(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.member(alice, "PHONE")
	d.mustShare(inRoom, []*member{phone})
	tabs := []*device{d, d.tab()}
	d.member(alice, "TABLET")
	var all sync.WaitGroup
	events := make(chan []byte, 80)
	for i, tab := range tabs {
		for n := range 40 {
			all.Go(func() {
				content, err := tab.sends(fmt.Sprint("tab ", i, " event ", n))
				if err != nil && codeOf(t, err) != core.CodeRoomKeyNotShared { // while the tablet's key is on its way
					t.Error(err)
				}
				if err == nil {
					events <- content
				}
			})
		}
	}
	d.mustShare(inRoom, []*member{phone})
	all.Wait()
	close(events)
	var list [][]byte
	for content := range events {
		list = append(list, content)
	}
	if len(list) < 40 {
		t.Errorf("only %d were encrypted", len(list))
	}
	indexes(t, phone, append(list, d.mustSend("last"), tabs[1].mustSend("the very last")))
}

// F18: what one tab ends or replaces the other does not go on with, though it has just encrypted; nor does it answer from what it remembers.
func TestEndedInAnotherTab(t *testing.T) {
	d := withAccount(t)
	phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
	d.mustShare(inRoom, []*member{phone})
	other := d.tab()
	end := func(in *device) bool {
		t.Helper()
		ended, err := in.machine.InvalidateGroupSession(context.Background(), room)
		if err != nil {
			t.Fatal(err)
		}
		return ended
	}
	events := [][]byte{d.mustSend("one"), other.mustSend("two"), d.mustSend("three")}
	if !end(other) || end(d) {
		t.Error("ended once, and found so by the other")
	}
	if _, err := d.sends("x"); err == nil || codeOf(t, err) != core.CodeRoomKeyNotShared {
		t.Errorf("%v", err)
	}
	other.mustShare(inRoom, []*member{phone})
	events = append(events, other.mustSend("four"), d.mustSend("five"), other.mustSend("six"))
	if indexes(t, phone, events); sessionOf(t, events[3]) != sessionOf(t, events[4]) || !end(d) || end(other) {
		t.Error("the tabs do not agree")
	}
	if other.mustShare(inRoom, []*member{phone}); !end(d) {
		t.Error("what it ended itself it takes for the last there is")
	}
}

// Two tabs share at once over a room without a session: in the end there is one, and everybody has its key.
func TestTwoTabsShareAtOnce(t *testing.T) {
	for range 10 {
		d := withAccount(t)
		phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
		tabs := []*device{d, d.tab()}
		var all sync.WaitGroup
		made := make([][]lane.Request, 2)
		for i, tab := range tabs {
			all.Go(func() {
				var err error
				if made[i], err = tab.shares(inRoom); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i, requests := range made {
			for _, request := range requests {
				if err := tabs[i].mark(request.ID, []byte("{}")); err != nil {
					t.Error(err)
				}
			}
		}
		// In the order in which their Olm messages were sealed; a member tries both.
		for _, requests := range made {
			phone.gets(requests...)
		}
		events := [][]byte{tabs[0].mustSend("one"), tabs[1].mustSend("two")}
		if indexes(t, phone, events); sessionOf(t, events[0]) != sessionOf(t, events[1]) || len(d.copies()) != 1 {
			t.Fatalf("two sessions, and %d copies", len(d.copies()))
		}
	}
}

// F01, F05, F07, F08, I23: for every operation k of sharing and encrypting: the program dies before k, or after k before it hears of it, or k fails. The host
// goes on, in a new life or the same, until every event is encrypted. No index is used twice, and the phone reads every event.
func TestEveryFaultWhileSending(t *testing.T) {
	faults := map[string]func(f *storetest.Faulty, k int){
		"F01: dies before": func(f *storetest.Faulty, k int) { f.DieAt("", k, false) },
		"F01: dies after":  func(f *storetest.Faulty, k int) { f.DieAt("", k, true) },
		"F05, F07: quota":  func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeQuota) },
		"F08: aborted":     func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeAborted) },
		"conflict":         func(f *storetest.Faulty, k int) { f.FailAt("", k, store.CodeConflict) },
	}
	for name, inject := range faults {
		t.Run(name, func(t *testing.T) {
			for k, hit := 1, true; hit; k++ {
				d := withAccount(t)
				phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
				var faulty *storetest.Faulty
				d.wrap = func(under store.Store) store.Store {
					faulty = storetest.NewFaulty(under)
					return faulty
				}
				d.reopen()
				calls := len(faulty.Calls())
				inject(faulty, k)
				var events [][]byte
				for step := 0; len(events) < 3; step++ {
					if step > 20 {
						t.Fatalf("operation %d: it never comes to an end", k)
					}
					content, err := func() ([]byte, error) {
						requests, err := d.shares(inRoom, func(s *sharing.Settings) { s.RotationMessages = 2 })
						phone.gets(requests...)
						for _, request := range requests {
							if err == nil {
								err = d.mark(request.ID, []byte("{}"))
							}
						}
						if err != nil {
							return nil, err
						}
						return d.sends(fmt.Sprint("event ", len(events)))
					}()
					if err == nil {
						events = append(events, content)
					} else if faulty.Died() {
						hit = true
						d.wrap = nil
						d.reopen()
					}
				}
				indexes(t, phone, events)
				hit = d.wrap == nil || len(faulty.Calls())-calls >= k
				if copies := d.copies(); len(copies) > 3 {
					t.Errorf("operation %d: %d sessions for three events", k, len(copies))
				}
			}
		})
	}
}

// F35: rows that are damaged are set aside and another session begins; rows of a newer version are left as they are, and nothing is encrypted.
func TestDamagedOutboundRows(t *testing.T) {
	for _, key := range []store.Key{record.OutboundKey(room), record.SharesKey(room)} {
		for name := range damages([]byte("anything")) {
			t.Run(key[1]+"/"+name, func(t *testing.T) {
				d := withAccount(t)
				phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
				d.mustShare(inRoom, []*member{phone})
				before := d.mustSend("before")
				rows, err := d.rows.Get(context.Background(), store.Outbound, []store.Key{key})
				if err != nil {
					t.Fatal(err)
				}
				d.rot(store.Outbound, key, damages(rows[0].Value)[name])
				if name == "F35: a future format" {
					was := contents(t, d.rows)
					if _, err := d.shares(inRoom); err == nil || codeOf(t, err) != record.CodeUnknownFormat || contents(t, d.rows) != was {
						t.Errorf("%v", err)
					}
					return
				}
				d.mustShare(inRoom, []*member{phone})
				after := d.mustSend("after")
				if indexes(t, phone, [][]byte{before, after}); sessionOf(t, before) == sessionOf(t, after) {
					t.Error("the session goes on")
				}
				if aside := d.quarantine(); len(aside) != 1 {
					t.Errorf("%d rows set aside", len(aside))
				}
			})
		}
	}
}

// What cannot be encrypted says why, by code; a host with its own Olm has no account here.
func TestEncryptionErrors(t *testing.T) {
	d := withAccount(t)
	d.mustShare(inRoom, nil)
	encrypt := func(eventType, content string) error {
		_, err := d.machine.EncryptRoomEvent(context.Background(), room, eventType, []byte(content))
		return err
	}
	for what, c := range map[string]struct {
		err  error
		code string
	}{
		"a list":   {encrypt("m.room.message", "[]"), core.CodeBadContent},
		"cut off":  {encrypt("m.room.message", "{"), core.CodeBadContent},
		"no type":  {encrypt("", "{}"), core.CodeBadContent},
		"too long": {encrypt("m.room.message", `{"x":"`+longText+`"}`), megolm.CodeBadPlaintextLength},
	} {
		if c.err == nil || codeOf(t, c.err) != c.code || c.err.Error() == "" {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	w := newWorld(t)
	ctx := context.Background()
	_, sharing1 := w.machine.ShareRoomKey(ctx, room, inRoom, sharing.DefaultSettings())
	_, encrypting := w.machine.EncryptRoomEvent(ctx, room, "m.room.message", []byte("{}"))
	_, ending := w.machine.InvalidateGroupSession(ctx, room)
	for _, err := range []error{sharing1, encrypting, ending} {
		if err == nil || codeOf(t, err) != core.CodeNoAccount {
			t.Errorf("a host with its own Olm: %v", err)
		}
	}
}

// F30: with a Fetcher one call does it all: device lists, one-time keys, to-device messages. While the server is down nothing is encrypted, and when it is
// back the same call makes it good.
func TestSharingThroughTheFetcher(t *testing.T) {
	d, server := withServer(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.unreached(alice, "PHONE")
	server.knows(alice)
	server.keys = func() []byte { return claimAnswer(phone.peer, phone.offer()) }
	server.isDown(true)
	if requests, err := d.shares(inRoom); err != nil || len(requests) != 0 { // nobody is known
		t.Fatalf("%v, %v", requests, err)
	}
	server.isDown(false)
	*d.clock += 3_600_000
	if _, err := d.shares(inRoom); err != nil {
		t.Fatal(err)
	}
	sent := func() []lane.Request {
		var all []lane.Request
		for len(server.sent) > 0 {
			if request := <-server.sent; request.Type == lane.ToDevice {
				all = append(all, request)
			}
		}
		return all
	}
	phone.gets(sent()...)
	first := d.mustSend("first")

	tablet := d.unreached(alice, "TABLET")
	server.keys = func() []byte { return claimAnswer(tablet.peer, tablet.offer()) }
	if _, err := d.machine.ReceiveSyncChanges(context.Background(), core.SyncChanges{OneTimeKeyCount: -1, Changed: []ids.UserID{"@alice:example.org"}}); err != nil {
		t.Fatal(err)
	}
	once := true
	server.answer = func(ctx context.Context, users []ids.UserID) ([]byte, error) {
		return d.kit.KeysQuery(alice), nil
	}
	keys := server.keys
	server.keys = func() []byte {
		if once { // the claim is answered, and then the server goes down
			once = false
			server.isDown(true)
		}
		return keys()
	}
	if _, err := d.shares(inRoom); err == nil || codeOf(t, err) != lane.CodeFetchStatus {
		t.Fatalf("%v", err)
	}
	if _, err := d.sends("early"); err == nil || codeOf(t, err) != core.CodeRoomKeyNotShared {
		t.Errorf("%v", err)
	}
	server.isDown(false)
	if _, err := d.shares(inRoom); err != nil {
		t.Fatal(err)
	}
	tablet.gets(sent()...)
	second := d.mustSend("second")
	if phone.says(first) != "first" || phone.says(second) != "second" || tablet.says(second) != "second" || sessionOf(t, first) != sessionOf(t, second) {
		t.Errorf("%s, %s, %s", phone.says(first), phone.says(second), tablet.says(second))
	}
}

// Given a server that did not take a key for Bob, when Bob has left and the room has another key, then the retry lane does not send him the old one.
func TestKeysOfAnEndedSessionAreNotSentAgain(t *testing.T) {
	d, server := withServer(t)
	bob := d.kit.User("@bob:example.org")
	phone := d.unreached(bob, "PHONE")
	server.knows(bob, d.me)
	server.keys = func() []byte {
		server.isDown(true)
		return claimAnswer(phone.peer, phone.offer())
	}
	if _, err := d.shares([]ids.UserID{"@me:example.org", "@bob:example.org"}); err == nil || codeOf(t, err) != lane.CodeFetchStatus {
		t.Fatalf("%v", err)
	}
	<-server.sent // the claim
	server.isDown(false)
	if _, err := d.shares([]ids.UserID{"@me:example.org"}); err != nil {
		t.Fatal(err)
	}
	d.mustSend("after he left")
	*d.clock += 3_600_000
	if _, err := d.machine.Retry(context.Background()); err != nil {
		t.Fatal(err)
	}
	if counts := d.machine.LaneCounts(); counts.Requests != 0 || len(server.sent) != 0 {
		t.Errorf("%+v, %d sent", counts, len(server.sent))
	}
}

// Scenario 58: our own copy of what we send with goes the road of every room key. Made before our identity is set up it is of a device that nobody vouches
// for, and rises with it; made afterwards it is ours at once.
func TestScenario58OurOwnCopy(t *testing.T) {
	d := withAccount(t)
	s := newDirectory(t)
	d.pumps(s)
	phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
	kinds := func() map[string]sender.Kind {
		all := map[string]sender.Kind{}
		for _, c := range d.copies() {
			all[c.SessionID.String()] = c.Current.Kind
		}
		return all
	}
	d.mustShare(inRoom, []*member{phone})
	first := sessionOf(t, d.mustSend("before"))
	if got := kinds(); len(got) != 1 || got[first] != sender.DeviceInfo {
		t.Fatalf("%v", got)
	}
	d.bootstraps(s, false)
	if got := kinds(); got[first] != sender.SenderVerified {
		t.Errorf("set up, it is %v", got[first])
	}
	if _, err := d.machine.InvalidateGroupSession(context.Background(), room); err != nil {
		t.Fatal(err)
	}
	d.mustShare(inRoom, []*member{phone}, func(s *sharing.Settings) { s.Strategy = sharing.AllDevices })
	second := sessionOf(t, d.mustSend("after"))
	if got := kinds(); len(got) != 2 || got[second] != sender.SenderVerified {
		t.Errorf("%v", got)
	}
	for _, c := range d.copies() {
		if c.SessionID.String() == second && c.AtReception.Kind != sender.SenderVerified {
			t.Errorf("on arrival it was %v", c.AtReception.Kind)
		}
	}
}

// A server that lists our device with another fingerprint key is not believed: what we share is ours all the same.
func TestOurDeviceListedWithAnotherKey(t *testing.T) {
	d := withAccount(t)
	d.me.DeviceWith("MYDEVICE", d.machine.Own().Curve25519.String())
	d.answer(d.me)
	phone := d.member(d.kit.User("@alice:example.org"), "PHONE")
	d.mustShare(inRoom, []*member{phone})
	if content := d.mustSend("x"); phone.says(content) != "x" || len(d.copies()) != 1 {
		t.Errorf("%s, %d copies", phone.says(content), len(d.copies()))
	}
}
