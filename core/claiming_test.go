package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// Olm sessions that begin here: one-time keys are claimed, events sealed, and channels that broke are mended.

// stranger is a device that has no channel with ours yet.
func (d *device) stranger(of *testkit.User, id string) *peer {
	d.t.Helper()
	p := &peer{account: olm.NewAccount(), to: d}
	p.Device = of.DeviceWith(id, p.account.Curve25519().String())
	p.channels = olm.NewChannels(d.machine.Own().Curve25519)
	return p
}

// offer is a signed one-time key of the device as the server hands it out.
func (p *peer) offer(hooks ...testkit.Hook) map[string]any {
	p.account = p.account.GenerateOneTimeKeys(1)
	fresh := p.account.Unpublished()
	p.account = p.account.MarkPublished(fresh)
	key := map[string]any{"key": fresh[0].Key.String()}
	p.Sign(key, p.User.ID, "ed25519:"+p.ID)
	for _, hook := range hooks {
		hook(key)
	}
	return map[string]any{"signed_curve25519:" + fresh[0].ID: key}
}

// claimAnswer is an answer to a /keys/claim, by user and device.
func claimAnswer(of ...any) []byte {
	users := map[string]any{}
	for i := 0; i < len(of); i += 2 {
		p := of[i].(*peer)
		if users[p.User.ID] == nil {
			users[p.User.ID] = map[string]any{}
		}
		users[p.User.ID].(map[string]any)[p.ID] = of[i+1]
	}
	return testkit.JSON(map[string]any{"one_time_keys": users, "failures": map[string]any{}})
}

// opens decrypts what our device sealed for this one.
func (p *peer) opens(content []byte) (map[string]any, error) {
	p.to.t.Helper()
	object := jsonOf(p.to.t, content)
	ciphertext := object["ciphertext"].(map[string]any)[p.Curve25519()].(map[string]any)
	message, err := olm.ParseMessage(int(ciphertext["type"].(float64)), ciphertext["body"].(string))
	if err != nil {
		return nil, err
	}
	decrypted, err := p.channels.Decrypt(p.account, message)
	if err != nil {
		return nil, err
	}
	p.account, p.channels = decrypted.Account, decrypted.Channels
	return jsonOf(p.to.t, decrypted.Plaintext), nil
}

// requests are those to send of a type.
func (d *device) requests(of lane.RequestType) (found []lane.Request) {
	for _, request := range d.machine.OutgoingRequests() {
		if request.Type == of {
			found = append(found, request)
		}
	}
	return found
}

// claims claims what is missing with the users, and has it answered.
func (d *device) claims(answer []byte, users ...ids.UserID) {
	d.t.Helper()
	request, err := d.machine.MissingSessions(context.Background(), users)
	if err != nil || request == nil {
		d.t.Fatalf("%v, %v", request, err)
	}
	if err := d.mark(request.ID, answer); err != nil {
		d.t.Fatal(err)
	}
}

// encrypts seals a custom event.
func (d *device) encrypts(to *peer, content string) ([]byte, error) {
	return d.machine.EncryptToDeviceEvent(context.Background(), ids.UserID(to.User.ID), ids.DeviceID(to.ID), "m.custom", []byte(content))
}

// Given two devices of Alice's without a session, when their keys are claimed and an event is sealed for each, then each opens its own, finds in it who
// sent it and our device keys (MSC4147), and the sessions survive a restart.
func TestSessionsBegunHere(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone, laptop := d.stranger(alice, "PHONE"), d.stranger(alice, "LAPTOP")
	d.answer(alice)
	request, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org", "@nobody:example.org"})
	if err != nil || request == nil || request.Type != lane.KeysClaim {
		t.Fatalf("%v, %v", request, err)
	}
	const expected = `{"one_time_keys":{"@alice:example.org":{"LAPTOP":"signed_curve25519","PHONE":"signed_curve25519"}},"timeout":8000}`
	if string(request.Body) != expected {
		t.Errorf("%s", request.Body)
	}
	if listed := d.requests(lane.KeysClaim); len(listed) != 1 || listed[0].ID != request.ID {
		t.Errorf("not on the list: %v", listed)
	}
	again, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"})
	if listed := d.requests(lane.KeysClaim); err != nil || len(listed) != 1 || listed[0].ID != again.ID {
		t.Errorf("the claim that was not answered is still on the list: %v", listed)
	}
	if err := d.mark(again.ID, claimAnswer(phone, phone.offer(), laptop, laptop.offer())); err != nil {
		t.Fatal(err)
	}
	for round, peer := range []*peer{phone, laptop, phone, laptop} {
		content, err := d.encrypts(peer, `{"round":1}`)
		if err != nil {
			t.Fatal(err)
		}
		event, err := peer.opens(content)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		own := d.machine.Own()
		want := map[string]any{
			"type": "m.custom", "content": map[string]any{"round": 1.0}, "sender": string(own.UserID), "recipient": alice.ID,
			"keys": map[string]any{"ed25519": own.Ed25519.String()}, "recipient_keys": map[string]any{"ed25519": peer.Ed25519()},
			"sender_device_keys": event["sender_device_keys"],
		}
		if string(testkit.JSON(event)) != string(testkit.JSON(want)) {
			t.Errorf("%s", testkit.JSON(event))
		}
		if keys := event["sender_device_keys"].(map[string]any); keys["device_id"] != string(own.DeviceID) {
			t.Errorf("%v", keys)
		}
		d.reopen()
	}
	if more, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"}); err != nil || more != nil {
		t.Errorf("still missing: %v, %v", more, err)
	}
	// Her answer ratchets, and is read.
	if answered := d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{}))); answered.Events[0].Kind != core.ToDeviceDecrypted {
		t.Errorf("%v", answered.Events[0].Err)
	}
}

// What cannot be sealed says why, by code.
func TestSealingErrors(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	seal := func(device ids.DeviceID, eventType, content string) error {
		_, err := d.machine.EncryptToDeviceEvent(context.Background(), "@alice:example.org", device, eventType, []byte(content))
		return err
	}
	for what, c := range map[string]struct {
		err  error
		code string
	}{
		"an unknown device":         {seal("TABLET", "m.custom", "{}"), core.CodeUnknownDevice},
		"a content that is a list":  {seal("PHONE", "m.custom", "[]"), core.CodeBadContent},
		"a content cut off":         {seal("PHONE", "m.custom", "{"), core.CodeBadContent},
		"no type":                   {seal("PHONE", "", "{}"), core.CodeBadContent},
		"a device without sessions": {seal("PHONE", "m.custom", "{}"), olm.CodeNoOlmSession},
	} {
		if c.err == nil || codeOf(t, c.err) != c.code {
			t.Errorf("%s: %v", what, c.err)
		}
	}
	d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
	if err := seal("PHONE", "m.custom", `{"x":"`+longText+`"}`); err == nil || codeOf(t, err) != olm.CodeBadOlmPlaintext {
		t.Errorf("too long: %v", err)
	}
	w := newWorld(t)
	if _, err := w.machine.EncryptToDeviceEvent(context.Background(), "@alice:example.org", "PHONE", "m.custom", []byte("{}")); err == nil || codeOf(t, err) != core.CodeNoAccount {
		t.Errorf("a host with its own Olm: %v", err)
	}
	if _, err := w.machine.MissingSessions(context.Background(), nil); err == nil || codeOf(t, err) != core.CodeNoAccount {
		t.Errorf("a host with its own Olm: %v", err)
	}
}

var longText = func() string {
	text := make([]byte, olm.MaxPlaintext)
	for i := range text {
		text[i] = 'x'
	}
	return string(text)
}()

// A one-time key begins a session only if its own device has signed it, as it stands; and the rest of the answer is not touched by one that is wrong.
func TestClaimsThatAreNotToBeTrusted(t *testing.T) {
	lowOrder := "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	for what, spoil := range map[string]func(d *device, phone, laptop *peer) any{
		"not signed": func(_ *device, phone, _ *peer) any { return phone.offer(testkit.Delete("signatures")) },
		"another key": func(d *device, phone, _ *peer) any {
			return phone.offer(testkit.Set("key", d.machine.Own().Curve25519.String()))
		},
		"signed by a sibling": func(_ *device, _, laptop *peer) any { return laptop.offer() },
		"a wrong signature": func(_ *device, phone, _ *peer) any {
			return phone.offer(testkit.CorruptSignature(phone.User.ID, "ed25519:PHONE"))
		},
		"T19: of low order":      func(_ *device, phone, _ *peer) any { return resigned(phone, lowOrder) },
		"a member more":          func(_ *device, phone, _ *peer) any { return phone.offer(testkit.Set("fallback", true)) },
		"of another algorithm":   func(_ *device, phone, _ *peer) any { return map[string]any{"curve25519:AAAA": lowOrder} },
		"a text":                 func(*device, *peer, *peer) any { return "key" },
		"none":                   func(*device, *peer, *peer) any { return map[string]any{} },
		"a key that is a number": func(_ *device, phone, _ *peer) any { return phone.offer(testkit.Set("key", 5)) },
	} {
		t.Run(what, func(t *testing.T) {
			d := withAccount(t)
			alice := d.kit.User("@alice:example.org")
			phone, laptop := d.stranger(alice, "PHONE"), d.stranger(alice, "LAPTOP")
			d.answer(alice)
			d.claims(claimAnswer(phone, spoil(d, phone, laptop), laptop, laptop.offer()), "@alice:example.org")
			if _, err := d.encrypts(phone, "{}"); err == nil || codeOf(t, err) != olm.CodeNoOlmSession {
				t.Errorf("a session was begun: %v", err)
			}
			if content, err := d.encrypts(laptop, "{}"); err != nil {
				t.Errorf("the other device has none: %v", err)
			} else if _, err := laptop.opens(content); err != nil {
				t.Error(err)
			}
			// It is left alone for a while, and then asked again.
			if soon, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"}); err != nil || soon != nil {
				t.Errorf("asked again at once: %v, %v", soon, err)
			}
			*d.clock += 15_000
			d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
			if content, err := d.encrypts(phone, "{}"); err != nil {
				t.Error(err)
			} else if _, err := phone.opens(content); err != nil {
				t.Error(err)
			}
		})
	}
}

func resigned(p *peer, key string) map[string]any {
	object := map[string]any{"key": key}
	p.Sign(object, p.User.ID, "ed25519:"+p.ID)
	return map[string]any{"signed_curve25519:AAAA": object}
}

// What is no answer to a claim changes nothing, and the request stays on the list.
func TestClaimAnswersThatAreNone(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	request, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"})
	if err != nil {
		t.Fatal(err)
	}
	before := contents(t, d.rows)
	for _, nonsense := range []string{"", "{", "[]", "{}", `{"one_time_keys":[]}`} {
		if err := d.mark(request.ID, []byte(nonsense)); err == nil || codeOf(t, err) != core.CodeBadClaim {
			t.Errorf("%q: %v", nonsense, err)
		}
	}
	if contents(t, d.rows) != before || len(d.requests(lane.KeysClaim)) != 1 {
		t.Error("it has changed something")
	}
	if err := d.mark(request.ID, claimAnswer(phone, phone.offer())); err != nil || len(d.requests(lane.KeysClaim)) != 0 {
		t.Errorf("%v", err)
	}
}

// Two tabs seal for one device at once: every message opens, so no message key was used twice.
func TestTwoTabsSealAtOnce(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
	other := d.tab()
	var all sync.WaitGroup
	sealed := make(chan []byte, 40)
	for _, tab := range []*device{d, other} {
		for range 20 {
			all.Go(func() {
				content, err := tab.encrypts(phone, "{}")
				if err != nil {
					t.Error(err)
				}
				sealed <- content
			})
		}
	}
	all.Wait()
	close(sealed)
	for content := range sealed {
		if _, err := phone.opens(content); err != nil {
			t.Errorf("two messages of one key: %v", err)
		}
	}
}

// Given a device that the server has no one-time key of for a day, when there is one again, then it is claimed within twenty minutes, however often it was
// asked for in vain.
func TestDeviceThatWasLongWithoutKeys(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	claim := func() *lane.Request {
		t.Helper()
		return must(d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"}))
	}
	vain := 0
	for end := *d.clock + 24*3_600_000; *d.clock < end; *d.clock += 60_000 {
		if request := claim(); request != nil {
			vain++
			if err := d.mark(request.ID, claimAnswer()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if vain < 12 || vain > 110 {
		t.Errorf("asked for %d times", vain)
	}
	if *d.clock += 20 * 60_000; claim() == nil {
		t.Error("it is still left alone")
	}
	d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
}

// F05: a message whose session could not be stored is not given away with the error: the next one would have its keys.
func TestSealedAndNotStored(t *testing.T) {
	d := withAccount(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
	var faulty *storetest.Faulty
	d.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	d.reopen()
	faulty.FailAt("Commit", 1, store.CodeQuota)
	if content, err := d.encrypts(phone, "{}"); err == nil || codeOf(t, err) != store.CodeQuota || content != nil {
		t.Errorf("%s, %v", content, err)
	}
}

// loses takes our channels with a device out of the store, as a restored database would have lost them.
func (d *device) loses(p *peer) {
	d.t.Helper()
	key := record.ChannelsKey(d.curve(p.Curve25519()))
	rows, err := d.rows.Get(context.Background(), store.Channels, []store.Key{key})
	if err == nil {
		err = d.rows.Commit(context.Background(), store.Batch{Ops: []store.Op{{Table: store.Channels, Key: key, Expect: rows[0].Rev}}})
	}
	if err != nil {
		d.t.Fatal(err)
	}
	d.reopen()
}

// Given a session of which we lost our side, when the phone goes on using it, then a key of it is claimed, a new session begun and an m.dummy sent, from
// which on both use the new one; and not a second time within an hour, whoever sends how much (specification, "Recovering from undecryptable messages").
func TestBrokenChannelsAreMended(t *testing.T) {
	d := withAccount(t)
	oneTimeKeys := d.uploaded()
	alice := d.kit.User("@alice:example.org")
	phone := d.peer(alice, "PHONE", oneTimeKeys[0])
	d.answer(alice)
	d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{})))
	// The phone has heard from us, so its messages no longer begin a session.
	content, err := d.encrypts(phone, "{}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phone.opens(content); err != nil {
		t.Fatal(err)
	}
	lost := func() {
		d.t.Helper()
		refusedWith(t, "a message of a lost session", &d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{}))).Events[0], olm.CodeUnknownOlmSession)
	}
	replayed := phone.seals(phone.addressed("m.custom", map[string]any{}))
	d.syncs(replayed, replayed)
	if broken := d.requests(lane.KeysClaim); len(broken) != 0 {
		t.Fatalf("a replay is no broken channel: %s", broken[0].Body)
	}

	d.loses(phone)
	lost()
	lost()
	claimed := d.requests(lane.KeysClaim)
	if len(claimed) != 1 || string(claimed[0].Body) != `{"one_time_keys":{"@alice:example.org":{"PHONE":"signed_curve25519"}},"timeout":8000}` {
		t.Fatalf("%v", claimed)
	}
	if err := d.mark(claimed[0].ID, claimAnswer(phone, phone.offer())); err != nil {
		t.Fatal(err)
	}
	told := d.requests(lane.ToDevice)
	if len(told) != 1 || told[0].Method() != "PUT" || told[0].Target != "m.room.encrypted/"+told[0].ID {
		t.Fatalf("%v", told)
	}
	var body struct {
		Messages map[string]map[string]json.RawMessage `json:"messages"`
	}
	if err := json.Unmarshal(told[0].Body, &body); err != nil {
		t.Fatal(err)
	}
	if event, err := phone.opens(body.Messages[alice.ID]["PHONE"]); err != nil || event["type"] != "m.dummy" {
		t.Fatalf("%v, %v", event, err)
	}
	if err := d.mark(told[0].ID, []byte("{}")); err != nil || len(d.requests(lane.ToDevice)) != 0 {
		t.Fatal(err)
	}
	if mended := d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{}))); mended.Events[0].Kind != core.ToDeviceDecrypted {
		t.Fatalf("%v", mended.Events[0].Err)
	}

	broken := func() int { return len(d.requests(lane.KeysClaim)) }
	spoilt := func(sender string) []byte {
		junk := jsonOf(t, phone.seals(phone.addressed("m.custom", map[string]any{})))
		inner := junk["content"].(map[string]any)["ciphertext"].(map[string]any)[d.machine.Own().Curve25519.String()].(map[string]any)
		text := []byte(inner["body"].(string))
		if at := &text[len(text)-3]; *at == 'A' { // another symbol of base64: the MAC is wrong, and nothing else
			*at = 'B'
		} else {
			*at = 'A'
		}
		inner["body"], junk["sender"] = string(text), sender
		return testkit.JSON(junk)
	}
	d.syncs(spoilt(alice.ID))
	if d.reopen(); broken() != 0 {
		t.Error("mended a second time within an hour")
	}
	*d.clock += 3_600_000
	d.syncs(spoilt("@mallory:example.org"))
	if broken() != 0 {
		t.Error("somebody who is not its owner had a channel mended")
	}
	d.syncs(spoilt(alice.ID))
	if broken() != 1 {
		t.Error("not mended after an hour")
	}
}

// T14: Mallory lists Alice's identity key as that of a device of hers, and sends nonsense in its name. Our channel with Alice's phone stays as it is.
func TestChannelsAreNotMendedWithWhoeverListsTheirKey(t *testing.T) {
	d := withAccount(t)
	alice, mallory := d.kit.User("@alice:example.org"), d.kit.User("@mallory:example.org")
	hers, phone := d.peer(mallory, "HERS", d.uploaded()[0]), d.stranger(alice, "PHONE")
	mallory.DeviceWith("ALSO HERS", phone.Curve25519())
	d.answer(alice, mallory)
	d.claims(claimAnswer(phone, phone.offer()), "@alice:example.org")
	d.syncs(hers.seals(hers.addressed("m.custom", map[string]any{})))
	if _, err := hers.opens(must(d.encrypts(hers, "{}"))); err != nil {
		t.Fatal(err)
	}
	nonsense := jsonOf(t, hers.seals(hers.addressed("m.custom", map[string]any{})))
	nonsense["content"].(map[string]any)["sender_key"] = phone.Curve25519()
	refusedWith(t, "nonsense", &d.syncs(testkit.JSON(nonsense)).Events[0], olm.CodeUnknownOlmSession)
	if broken := d.requests(lane.KeysClaim); len(broken) != 0 {
		t.Errorf("%s", broken[0].Body)
	}
	if _, err := phone.opens(must(d.encrypts(phone, "{}"))); err != nil {
		t.Error(err)
	}
}

// claiming is a homeserver that hands out one-time keys and takes to-device messages, as far as it is told to.
type claiming struct {
	*homeserver
	keys func() []byte
	sent chan lane.Request
	down bool
}

func (c *claiming) Send(ctx context.Context, request *lane.Request) ([]byte, error) {
	c.mu.Lock()
	down := c.down
	c.mu.Unlock()
	if down {
		return nil, &lane.FetchError{Code: lane.CodeFetchStatus, Status: 502}
	}
	switch request.Type {
	case lane.KeysClaim:
		c.sent <- *request
		return c.keys(), nil
	case lane.ToDevice:
		c.sent <- *request
		return []byte("{}"), nil
	}
	return c.homeserver.Send(ctx, request)
}

func (c *claiming) isDown(down bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down = down
}

// withServer is a device that sends its requests itself.
func withServer(t *testing.T) (*device, *claiming) {
	t.Helper()
	d := withAccount(t)
	server := &claiming{homeserver: &homeserver{kit: d.kit, users: map[ids.UserID]*testkit.User{}}, sent: make(chan lane.Request, 16)}
	d.fetcher = server
	d.reopen()
	return d, server
}

// F30: with a Fetcher a key is claimed where an event is to be sealed, a channel is mended by itself, and what the server does not take is sent again
// by the retry lane.
func TestSessionsThroughTheFetcher(t *testing.T) {
	d, server := withServer(t)
	alice := d.kit.User("@alice:example.org")
	phone := d.stranger(alice, "PHONE")
	d.answer(alice)
	server.keys = func() []byte { return claimAnswer(phone, phone.offer()) }
	server.isDown(true)
	if _, err := d.encrypts(phone, "{}"); err == nil || codeOf(t, err) != lane.CodeFetchStatus {
		t.Fatalf("%v", err)
	}
	server.isDown(false)
	content, err := d.encrypts(phone, "{}")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := phone.opens(content); err != nil {
		t.Fatal(err)
	}
	<-server.sent

	d.loses(phone)
	server.isDown(true)
	*d.clock += 1
	d.syncs(phone.seals(phone.addressed("m.custom", map[string]any{})))
	deadline := time.Now().Add(10 * time.Second)
	for next := int64(0); ; { // it was asked for in vain
		if next, err = d.machine.Retry(context.Background()); err != nil {
			t.Fatal(err)
		}
		if next > *d.clock+2000 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is never scheduled")
		}
		time.Sleep(time.Millisecond)
	}
	server.isDown(false)
	if *d.clock += 20_000; len(server.sent) != 0 {
		t.Fatal("sent to a server that is down")
	}
	if _, err := d.machine.Retry(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []lane.RequestType{lane.KeysClaim, lane.ToDevice} {
		select {
		case request := <-server.sent:
			if request.Type != want {
				t.Fatalf("%v, want %v", request.Type, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("no %v", want)
		}
	}
}

// Given an answer with the keys of more devices than one batch takes, when the store fails at the second batch and the answer is brought again, then every
// device opens what is sealed for it: of no one-time key were two sessions begun.
func TestClaimTakenOverInTwoGoes(t *testing.T) {
	d, faulty, _ := withFaultyAccount(t)
	alice := d.kit.User("@alice:example.org")
	var devices []*peer
	var offers []any
	for i := range 20 {
		device := d.stranger(alice, fmt.Sprint("D", i))
		devices, offers = append(devices, device), append(offers, device, device.offer())
	}
	d.answer(alice)
	request, err := d.machine.MissingSessions(context.Background(), []ids.UserID{"@alice:example.org"})
	if err != nil {
		t.Fatal(err)
	}
	answer := claimAnswer(offers...)
	faulty.FailAt("Commit", 2, store.CodeQuota)
	if err := d.mark(request.ID, answer); err == nil || codeOf(t, err) != store.CodeQuota {
		t.Fatalf("%v", err)
	}
	begun := map[string]string{}
	for _, device := range devices {
		begun[device.ID] = channelRow(t, d, device)
	}
	if err := d.mark(request.ID, answer); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, device := range devices {
		if before := begun[device.ID]; before != "" {
			if kept++; channelRow(t, d, device) != before {
				t.Errorf("%s: a second session was begun with its key", device.ID)
			}
		}
		if content, err := d.encrypts(device, "{}"); err != nil {
			t.Error(err)
		} else if _, err := device.opens(content); err != nil {
			t.Errorf("%s: %v", device.ID, err)
		}
	}
	if kept == 0 || kept == len(devices) {
		t.Errorf("%d devices had a session after the first go", kept)
	}
}

// channelRow is what is stored of our channels with a device.
func channelRow(t *testing.T, d *device, p *peer) string {
	t.Helper()
	rows, err := d.rows.Get(context.Background(), store.Channels, []store.Key{record.ChannelsKey(d.curve(p.Curve25519()))})
	if err != nil {
		t.Fatal(err)
	}
	return string(rows[0].Value)
}
