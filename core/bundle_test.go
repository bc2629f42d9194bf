package core_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/keyfile"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
)

// History bundles (MSC4268): the room keys that somebody hands to us when he invites us. Whoever it is must be known by cross-signing; the keys stay
// claims with him as their forwarder, and are shown as long as he is in order (T45, scenarios 112 to 114).

// sealedBundle is a bundle as its sender uploads it, and the content that announces it.
func sealedBundle(plaintext []byte, hooks ...testkit.Hook) (content map[string]any, encrypted []byte) {
	key, iv := sha256.Sum256([]byte("key")), make([]byte, 16)
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	encrypted = make([]byte, len(plaintext))
	cipher.NewCTR(block, iv).XORKeyStream(encrypted, plaintext)
	hash := sha256.Sum256(encrypted)
	content = map[string]any{"room_id": string(room), "file": map[string]any{
		"v": "v2", "url": "mxc://example.org/bundle", "iv": testkit.Base64(iv), "hashes": map[string]any{"sha256": testkit.Base64(hash[:])},
		"key": map[string]any{"kty": "oct", "alg": "A256CTR", "ext": true, "key_ops": []string{"encrypt", "decrypt"}, "k": base64.RawURLEncoding.EncodeToString(key[:])},
	}}
	for _, hook := range hooks {
		hook(content)
	}
	return content, encrypted
}

// announce is the m.room_key_bundle with that content, as our Olm hands it over.
func (w *world) announce(from *testkit.Device, content map[string]any, hooks ...testkit.Hook) sender.DecryptedOlmEvent {
	payload := from.RoomKeyObject(w.mine, string(room), w.kit.Outbound())
	payload["type"], payload["content"] = "m.room_key_bundle", content
	for _, hook := range hooks {
		hook(payload)
	}
	return sender.DecryptedOlmEvent{Sender: from.User.ID, SenderKey: from.Curve25519(), Payload: testkit.JSON(payload)}
}

// bundle is the text of a bundle.
func bundle(keys, withheld []map[string]any) []byte {
	return testkit.JSON(map[string]any{"room_keys": append([]map[string]any{}, keys...), "withheld": append([]map[string]any{}, withheld...)})
}

// withheldEntry is a notice of a bundle.
func withheldEntry(from *testkit.Device, session *testkit.Outbound, hooks ...testkit.Hook) map[string]any {
	object := map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "room_id": string(room), "session_id": session.ID(), "sender_key": from.Curve25519(), "code": "m.history_not_shared", "reason": "because",
	}
	for _, hook := range hooks {
		hook(object)
	}
	return object
}

// Scenarios 112 and 114, scenario 157, T45: a bundle from somebody known, verified or not. Its keys are claims that he handed over, those of other
// rooms are passed over one by one, and its notices explain what is not in it.
func TestHistoryBundle(t *testing.T) {
	for _, verified := range []bool{false, true} {
		w := newWorld(t)
		alice, phone := w.alice()
		_, hers := w.mallory() // who wrote the messages
		want := sender.SenderUnverified
		if verified {
			want = sender.SenderVerified
			w.me.Verifies(alice)
			w.verifyMe()
		}
		w.answer(alice)
		one, two, elsewhere, missing := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
		message, unreadable := hers.Message(string(room), one, "from before"), hers.Message(string(room), missing, "not for you")
		content, encrypted := sealedBundle(bundle(
			[]map[string]any{
				entry(hers, one, 0, testkit.Set("shared_history", true)), entry(hers, elsewhere, 0, testkit.Set("room_id", "!other:example.org")),
				entry(hers, two, 0, testkit.Delete("session_key")), entry(hers, two, 2), entry(hers, two, 1),
			},
			[]map[string]any{withheldEntry(hers, missing), withheldEntry(hers, one, testkit.Set("room_id", "!other:example.org"))},
		))
		event := w.announce(phone, content)
		descriptor, err := w.machine.BundleDescriptor(event)
		if err != nil || descriptor.RoomID != room || descriptor.URL != "mxc://example.org/bundle" {
			t.Fatalf("%+v, %v", descriptor, err)
		}
		result, err := w.machine.ReceiveRoomKeyBundle(context.Background(), event, encrypted)
		if err != nil {
			t.Fatal(err)
		}
		if result.RoomID != room || result.ImportCounts != (core.ImportCounts{Imported: 2, Better: 1}) || result.Withheld != 1 || len(result.Failures) != 0 ||
			result.Forwarder.Data.Kind != want || result.Forwarder.Data.UserID != "@alice:example.org" {
			t.Errorf("%+v", result)
		}
		var faults []string
		for _, f := range result.Faults {
			faults = append(faults, fmt.Sprint(f.List, " ", f.Position, " ", f.Err.Code))
		}
		if fmt.Sprint(faults) != "[room_keys 1 foreign_room room_keys 2 missing_member withheld 1 foreign_room]" {
			t.Errorf("passed over: %v", faults)
		}
		for range 2 {
			for _, c := range w.copies() {
				if c.Provenance != sender.Claimed || c.Current != (sender.Data{}) || !c.SharedHistory || c.Forwarder == nil || c.Forwarder.Data != result.Forwarder.Data || c.RoomID != room {
					t.Errorf("%+v by %+v", c, c.Forwarder)
				}
			}
			w.wantCodes(message, legacyClaims)
			_, err := w.decrypt(unreadable, policy.Untrusted)
			var refused *core.DecryptionError
			if !errors.As(err, &refused) || refused.Code != "withheld" || refused.Withheld.Code != "m.history_not_shared" || refused.Withheld.Sender != "@alice:example.org" {
				t.Errorf("what is not in it: %v", err)
			}
			w.restart()
		}
		// I7: who made the keys is not known by that, whatever is learned of her.
		w.answer(hers.User)
		if c := w.copies()[0]; c.Current != (sender.Data{}) {
			t.Errorf("%+v", c.Current)
		}
		// F44: again, and nothing changes.
		before := dump(t, w.rows)
		again, err := w.machine.ReceiveRoomKeyBundle(context.Background(), event, encrypted)
		if err != nil || again.ImportCounts != (core.ImportCounts{Unchanged: 3}) || again.Withheld != 0 {
			t.Errorf("again: %+v, %v", again, err)
		}
		if dump(t, w.rows) != before {
			t.Errorf("again, and it has changed:\n%s", difference(before, dump(t, w.rows)))
		}
	}
}

// T45, scenarios 112 and 113: who may hand history over, and what the file must be. Nothing of what is refused is stored.
func TestBundlesThatAreRefused(t *testing.T) {
	text := func(w *world, hers *testkit.Device) []byte {
		return bundle([]map[string]any{entry(hers, w.kit.Outbound(), 0)}, nil)
	}
	for _, story := range []struct {
		name, code string
		given      func(w *world, alice *testkit.User, phone *testkit.Device)
		hooks      []testkit.Hook
		content    []testkit.Hook
		file       func([]byte) []byte
		plaintext  string
	}{
		{name: "nobody knows her", code: sender.CodeForwarderNotKnown},
		{name: "a device that she has not signed", code: sender.CodeForwarderNotKnown, given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			phone.NotCrossSigned()
			w.answer(alice)
		}},
		{name: "she was verified and has another identity", code: sender.CodeForwarderNotKnown, given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.me.Verifies(alice)
			w.verifyMe()
			w.answer(alice)
			alice.ResetIdentity()
			phone.NotCrossSigned().CrossSigned()
			w.answer(alice)
		}},
		{name: "scenario 113: nothing embedded, though the device is known", code: sender.CodeMissingSenderDeviceKeys, given: knowAlice, hooks: []testkit.Hook{testkit.WithoutDeviceKeys}},
		{name: "T06: a forged cross-signature", code: sender.CodeForwarderNotKnown, given: func(w *world, alice *testkit.User, phone *testkit.Device) {
			w.answerJSON(testkit.JSON(without(w.kit.KeysQueryObject(alice), "device_keys", alice.ID)))
			phone.NotCrossSigned().CorruptlyCrossSigned()
		}},
		{name: "a room key, by this way", code: sender.CodeNotARoomKey, given: knowAlice, hooks: []testkit.Hook{testkit.Set("type", "m.room_key")}},
		{name: "no description", code: keyfile.CodeBadBundleDescriptor, given: knowAlice, content: []testkit.Hook{testkit.Delete("file")}},
		{name: "another file", code: keyfile.CodeBadBundleHash, given: knowAlice, file: func(b []byte) []byte { b[0] ^= 1; return b }},
		{name: "a file that is too large", code: keyfile.CodeBundleTooLarge, given: knowAlice, file: func([]byte) []byte { return make([]byte, keyfile.MaxBundle+1) }},
		{name: "no bundle in it", code: keyfile.CodeBadBundleJSON, given: knowAlice, plaintext: "[]"},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			alice, phone := w.alice()
			_, hers := w.mallory()
			if story.given != nil {
				story.given(w, alice, phone)
			}
			plaintext := text(w, hers)
			if story.plaintext != "" {
				plaintext = []byte(story.plaintext)
			}
			content, encrypted := sealedBundle(plaintext, story.content...)
			if story.file != nil {
				encrypted = story.file(encrypted)
			}
			before := dump(t, w.rows)
			event := w.announce(phone, content, story.hooks...)
			if _, err := w.machine.ReceiveRoomKeyBundle(context.Background(), event, encrypted); err == nil || codeOf(t, err) != story.code {
				t.Errorf("%v, want %s", err, story.code)
			}
			w.flush()
			if dump(t, w.rows) != before {
				t.Error("something was stored")
			}
			if story.hooks != nil || story.content != nil {
				if _, err := w.machine.BundleDescriptor(event); err == nil || codeOf(t, err) != story.code {
					t.Errorf("its description: %v, want %s", err, story.code)
				}
			}
		})
	}
}

func knowAlice(w *world, alice *testkit.User, _ *testkit.Device) { w.answer(alice) }

// T45: policy over time. Whoever handed the history over falls into violation: it is hidden from CrossSignedOrLegacy on. It comes back when the
// verification is withdrawn, or when the new identity is verified. One who never was verified cannot fall.
func TestForwarderOfABundleOverTime(t *testing.T) {
	for _, way := range []string{"withdrawn", "verified again", "never verified"} {
		w := newWorld(t)
		alice, phone := w.alice()
		_, hers := w.mallory()
		if way != "never verified" {
			w.me.Verifies(alice)
		}
		w.verifyMe()
		w.answer(alice)
		session := w.kit.Outbound()
		message := hers.Message(string(room), session, "from before")
		content, encrypted := sealedBundle(bundle([]map[string]any{entry(hers, session, 0)}, nil))
		if _, err := w.machine.ReceiveRoomKeyBundle(context.Background(), w.announce(phone, content), encrypted); err != nil {
			t.Fatal(err)
		}
		w.wantCodes(message, legacyClaims)
		alice.ResetIdentity()
		w.answer(alice)
		if way == "never verified" {
			w.wantCodes(message, legacyClaims)
			continue
		}
		for range 2 {
			w.wantCodes(message, but("forwarder_violation"))
			w.restart()
		}
		if event, err := w.decrypt(message, policy.Untrusted); err != nil || event.Info.Verdict.State != policy.StateForwarderViolation {
			t.Errorf("%v", err)
		}
		if way == "withdrawn" {
			if err := w.machine.WithdrawVerification(context.Background(), "@alice:example.org"); err != nil {
				t.Fatal(err)
			}
		} else {
			w.me.Verifies(alice)
			w.answer(alice)
		}
		w.wantCodes(message, legacyClaims)
		w.restart()
		w.wantCodes(message, legacyClaims)
	}
}

// T34, T38: history that somebody hands over speaks for nobody whose direct key is here, and does not show what that hides.
func TestBundleAndDirectCopies(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	session := w.kit.Outbound()
	early := hers.Message(string(room), session, "early")
	session.SkipTo(3)
	w.kept(w.event(hers, room, session))
	content, encrypted := sealedBundle(bundle([]map[string]any{entry(hers, session, 0)}, nil))
	if _, err := w.machine.ReceiveRoomKeyBundle(context.Background(), w.announce(phone, content), encrypted); err != nil {
		t.Fatal(err)
	}
	w.wantCodes(early, but("unsigned_device"))
	w.answer(hers.User)
	session.SkipTo(4)
	w.wantCodes(hers.Message(string(room), session, "late"), shownUnsure)
}

// T46: a notice of a bundle takes the place of none that is here, in memory or only in the store, and hides no key.
func TestNoticesOfABundle(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t)
		alice, phone := w.alice()
		_, hers := w.mallory()
		w.answer(alice, hers.User)
		noticed, held := w.kit.Outbound(), w.kit.Outbound()
		if _, err := w.withheld(hers, noticed, "m.unverified"); err != nil {
			t.Fatal(err)
		}
		w.kept(w.event(hers, room, held))
		if restart {
			w.restart()
		}
		content, encrypted := sealedBundle(bundle(nil, []map[string]any{withheldEntry(hers, noticed), withheldEntry(hers, held)}))
		result, err := w.machine.ReceiveRoomKeyBundle(context.Background(), w.announce(phone, content), encrypted)
		if err != nil || result.Withheld != 1 {
			t.Fatalf("restart %v: %+v, %v", restart, result, err)
		}
		w.restart()
		_, err = w.decrypt(hers.Message(string(room), noticed, "x"), policy.Untrusted)
		var refused *core.DecryptionError
		if !errors.As(err, &refused) || refused.Withheld == nil || refused.Withheld.Code != "m.unverified" || refused.Withheld.Sender != "@mallory:example.org" {
			t.Errorf("restart %v: %v", restart, err)
		}
		w.wantCodes(hers.Message(string(room), held, "y"), shownUnsure)
	}
}

// F01, F05, I23: a bundle of several chunks, with notices; at every operation of the store the program dies or the operation fails. Handed in again the
// end is the same.
func TestEveryFaultOfABundle(t *testing.T) {
	const keys, notices = 600, 600
	sample := newWorld(t)
	alice, phone := sample.alice()
	_, hers := sample.mallory()
	var entries, withheld []map[string]any
	for range keys {
		entries = append(entries, entry(hers, sample.kit.Outbound(), 0))
	}
	for range notices {
		withheld = append(withheld, withheldEntry(hers, sample.kit.Outbound()))
	}
	content, encrypted := sealedBundle(bundle(entries, withheld))
	end := func(w *world) string { return importEnd(w) + strings.Join(strings.Fields(noticesOf(w)), "\n") }
	run := func(inject func(*storetest.Faulty)) (*world, int) {
		w := closedWorld(t)
		w.kit, w.me, w.mine = sample.kit, sample.me, sample.mine
		var faulty *storetest.Faulty
		w.wrap = func(under store.Store) store.Store {
			faulty = storetest.NewFaulty(under)
			return faulty
		}
		w.open()
		w.answer(alice)
		before := len(faulty.Calls())
		inject(faulty)
		event := w.announce(phone, content)
		_, err := w.machine.ReceiveRoomKeyBundle(context.Background(), event, encrypted)
		operations := len(faulty.Calls()) - before
		if err != nil {
			if w.wrap = nil; faulty.Died() {
				w.open()
			} else {
				faulty.Heal()
			}
			if _, err := w.machine.ReceiveRoomKeyBundle(context.Background(), event, encrypted); err != nil {
				t.Fatal(err)
			}
		}
		return w, operations
	}
	w, operations := run(func(*storetest.Faulty) {})
	want := end(w)
	if operations < 6 {
		t.Errorf("only %d operations", operations)
	}
	for k := 1; k <= operations; k++ {
		for name, inject := range map[string]func(*storetest.Faulty){
			"dies before": func(f *storetest.Faulty) { f.DieAt("", k, false) },
			"dies after":  func(f *storetest.Faulty) { f.DieAt("", k, true) },
			"fails":       func(f *storetest.Faulty) { f.FailAt("", k, store.CodeAborted) },
		} {
			if w, _ := run(inject); end(w) != want {
				t.Errorf("operation %d %s:\n%s", k, name, difference(want, end(w)))
			}
		}
	}
}

// noticesOf is the keys of all stored notices.
func noticesOf(w *world) string {
	w.t.Helper()
	rows, err := store.Page(context.Background(), w.rows, store.Query{Table: store.Withheld, Limit: store.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	names := make([]string, len(rows))
	for i := range rows {
		names[i] = fmt.Sprintln(rows[i].Key)
	}
	slices.Sort(names)
	return strings.Join(names, "")
}

// receiveBundle takes a bundle of those keys from that device.
func (w *world) receiveBundle(from *testkit.Device, keys ...map[string]any) *core.BundleResult {
	w.t.Helper()
	content, encrypted := sealedBundle(bundle(keys, nil))
	result, err := w.machine.ReceiveRoomKeyBundle(context.Background(), w.announce(from, content), encrypted)
	if err != nil {
		w.t.Fatal(err)
	}
	return result
}

// T36, T45: somebody hands over an invented ratchet under the right name, before our own file brings the genuine one or after it, in this tab or in
// another, in one run or in two. Our own file stays, and the bundle's contradiction is told.
func TestBundleThatPoisonsANameOfOurOwnFile(t *testing.T) {
	for _, bundleFirst := range []bool{true, false} {
		for _, way := range []string{"one run", "a restart between", "the other tab"} {
			w := newWorld(t)
			alice, phone := w.alice()
			_, hers := w.mallory()
			w.answer(alice)
			other := w
			if way == "the other tab" {
				other = w.tab()
				for _, tab := range []*world{w, other} { // each takes the session to be absent
					if err := tab.machine.LoadRoom(context.Background(), room); err != nil {
						t.Fatal(err)
					}
				}
				other.answer(alice)
			}
			genuine, invented := w.kit.Outbound(), w.kit.Outbound()
			invented.Private = genuine.Private
			message := hers.Message(string(room), genuine, "genuine")
			between := func() {
				if way == "a restart between" {
					w.restart()
				}
			}
			if bundleFirst {
				w.receiveBundle(phone, entry(hers, invented, 0))
				between()
				wantCounts(t, way, other.imports(list(entry(hers, genuine, 0))), core.ImportCounts{Better: 1})
			} else {
				w.imports(list(entry(hers, genuine, 0)))
				between()
				result := other.receiveBundle(phone, entry(hers, invented, 0))
				if result.Failed != 1 || codeOf(t, result.Failures[0].Err) != sender.ReasonUnconnected {
					t.Errorf("%s: %+v", way, result)
				}
			}
			for range 2 {
				if c := other.copy(); c.Forwarder != nil {
					t.Errorf("%s, bundle first %v: handed over by %+v", way, bundleFirst, c.Forwarder)
				}
				other.wantCodes(message, legacyClaims)
				other.restart()
			}
			wantCounts(t, "again", other.imports(list(entry(hers, genuine, 0))), core.ImportCounts{Unchanged: 1})
		}
	}
}

// T36: whoever waits for the message hears that there is another ratchet now.
func TestBetterSourceIsTold(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	genuine, invented := w.kit.Outbound(), w.kit.Outbound()
	invented.Private = genuine.Private
	w.receiveBundle(phone, entry(hers, invented, 0))
	w.heard.keys = nil
	w.imports(list(entry(hers, genuine, 3)))
	if len(w.heard.keys) != 1 {
		t.Errorf("told %v", w.heard.keys)
	}
}

// T50, T45: a bundle may not say so often who made a session that our own file has no say in it.
func TestBundlesDoNotUseUpTheClaims(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	mallory, hers := w.mallory()
	w.answer(alice)
	session := w.kit.Outbound()
	var claims []map[string]any
	for n := range 20 {
		claims = append(claims, entry(mallory.Device(fmt.Sprintf("D%d", n)), session, 3))
	}
	if result := w.receiveBundle(phone, claims...); result.Imported != 16 || result.Failed != 4 {
		t.Errorf("%+v", result.ImportCounts)
	}
	wantCounts(t, "our own file", w.imports(list(entry(hers, session, 0))), core.ImportCounts{Imported: 1})
	// Nor by way of what both say.
	wantCounts(t, "both", w.imports(list(claims[:16]...)), core.ImportCounts{Unchanged: 15, Failed: 1})
	w.wantCodes(hers.Message(string(room), session, "hello"), legacyClaims)
}

// T45: what is known only through somebody who handed it over is in no export and no upload, where it would come back as our own: a forwarder in
// violation stays one. When our own file says the same, it goes everywhere.
func TestHandedOverKeysStayHere(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	v := newVault(t)
	session, direct, mine := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	message := hers.Message(string(room), session, "m")
	direct.SkipTo(4)
	w.kept(w.event(hers, room, direct))
	w.imports(list(entry(hers, mine, 2)))
	w.receiveBundle(phone, entry(hers, session, 0), entry(hers, direct, 0), entry(phone, mine, 0))
	alice.ResetIdentity()
	w.answer(alice)
	w.wantCodes(message, but("forwarder_violation"))
	file, _ := w.exports()
	wantExported(t, "the export", file, said(room, direct, hers, 4), said(room, mine, hers, 2))
	request := w.upload(v, "1")
	want := map[string]string{direct.ID(): fmt.Sprint(room, " ", hers.Curve25519(), " 4"), mine.ID(): fmt.Sprint(room, " ", hers.Curve25519(), " 2")}
	if got := v.holds(t, request); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the backup holds\n%v\nwant\n%v", got, want)
	}
	w.mark(request)
	if next := w.next(); next != nil {
		t.Errorf("there is still something: %v", v.holds(t, next))
	}
	w.wantBackedUp("all that is ours", 2)
	w.imports(file)
	w.restores(v, "1", request.Body)
	for range 2 {
		w.wantCodes(message, but("forwarder_violation"))
		w.restart()
	}
	w.imports(list(entry(hers, session, 0)))
	file, _ = w.exports()
	wantExported(t, "our own says so too", file, said(room, direct, hers, 0), said(room, mine, hers, 2), said(room, session, hers, 0))
	if next := w.next(); next == nil || v.holds(t, next)[session.ID()] == "" {
		t.Error("it does not go up")
	}
}

// countedStore counts what is asked of it.
type countedStore struct {
	store.Store
	reads int
}

func (c *countedStore) Counters(ctx context.Context) (map[string]int64, error) {
	c.reads++
	return c.Store.Counters(ctx)
}

// T49: a bundle of nothing but faults. A thousand are listed, the others counted, and the page has its turn between them; one that lists more than any
// room has is refused as a whole.
func TestBundleOfFaults(t *testing.T) {
	w := closedWorld(t)
	counted := &countedStore{}
	w.wrap = func(under store.Store) store.Store {
		counted.Store = under
		return counted
	}
	w.open()
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	good := string(testkit.JSON(entry(hers, w.kit.Outbound(), 0)))
	receive := func(faults int) (*core.BundleResult, error) {
		content, encrypted := sealedBundle([]byte(`{"room_keys":[` + strings.Repeat("0,", faults) + good + `]}`))
		return w.machine.ReceiveRoomKeyBundle(context.Background(), w.announce(phone, content), encrypted)
	}
	if _, err := receive(keyfile.MaxBundleEntries); err == nil || codeOf(t, err) != keyfile.CodeBundleTooLarge || len(w.copies()) != 0 {
		t.Errorf("too many: %v", err)
	}
	const faults = 20_000
	before := counted.reads
	result, err := receive(faults)
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Faults) != 1000 || result.MoreFaults != faults-1000 || result.Faults[999].Position != 999 || result.Imported != 1 {
		t.Errorf("%d are listed, %d more; %+v", len(result.Faults), result.MoreFaults, result.ImportCounts)
	}
	if waits := counted.reads - before; waits < faults/1000 {
		t.Errorf("it gave way %d times", waits)
	}
}

// A bundle is stored while it is read: after each chunk others have their turn, and see what is there so far.
func TestBundleGivesWay(t *testing.T) {
	const keys = 1600
	w := closedWorld(t)
	most, commits := 0, 0
	w.wrap = func(under store.Store) store.Store {
		return &sizes{under, func(n int) { most, commits = max(most, n), commits+1 }}
	}
	w.open()
	alice, phone := w.alice()
	_, hers := w.mallory()
	w.answer(alice)
	var entries []map[string]any
	for range keys {
		entries = append(entries, entry(hers, w.kit.Outbound(), 0))
	}
	most, commits = 0, 0
	result := w.receiveBundle(phone, entries...)
	if result.Imported != keys || commits != 4 || most != 512 {
		t.Errorf("%+v in %d commits of at most %d", result.ImportCounts, commits, most)
	}
}

// sizes tells how many rows each commit writes.
type sizes struct {
	store.Store
	tell func(int)
}

func (s *sizes) Commit(ctx context.Context, b store.Batch) error {
	s.tell(len(b.Ops))
	return s.Store.Commit(ctx, b)
}
