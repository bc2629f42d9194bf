package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core"
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
	"knownsender/core/store/storetest"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Answers to /keys/query through the whole machine: what is written, what is refused, what survives a restart. How each part of an answer is
// validated is trust's affair and tested there.

// problemCodes are the codes of what was not taken over.
func problemCodes(result *core.KeysQueryResult) []string {
	var codes []string
	for i := range result.Problems {
		codes = append(codes, result.Problems[i].Code)
	}
	slices.Sort(codes)
	return codes
}

// The parts of an answer that are refused, each beside a user who is not: Bob is learned in every case, what was known before stays.
func TestRefusedParts(t *testing.T) {
	in := func(section, user string, hooks ...testkit.Hook) testkit.Hook {
		return testkit.In(section, testkit.In(user, hooks...))
	}
	const alice = "@alice:example.org"
	device := func(hooks ...testkit.Hook) testkit.Hook {
		return in("device_keys", alice, testkit.In("PHONE", hooks...))
	}
	for _, story := range []struct {
		name string
		code string
		hook testkit.Hook
	}{
		{"scenario 136, T09: another user inside", trust.CodeDeviceUserMismatch, device(testkit.Set("user_id", "@bob:example.org"))},
		{"scenario 136, T09: another device inside", trust.CodeDeviceIDMismatch, in("device_keys", alice, func(devices map[string]any) {
			devices["OTHER"] = devices["PHONE"]
			devices["PHONE"] = map[string]any{}
		})},
		{"scenario 136: the self-signature is wrong", trust.CodeDeviceSignatureInvalid, device(testkit.Set("algorithms", []any{"m.changed"}))},
		{"T30: a curve key of low order", "low_order_key", device(testkit.In("keys", testkit.Set("curve25519:PHONE", testkit.Base64(make([]byte, 32)))))},
		{"T32: a key with padding", "bad_key_length", device(testkit.In("keys", func(keys map[string]any) {
			keys["curve25519:PHONE"] = keys["curve25519:PHONE"].(string) + "="
		}))},
		{"T51: a case variant of a signed member", "case_variant_member", device(testkit.Set("User_id", alice))},
		{"scenario 149, T11: usage of another role", trust.CodeBadUsage, in("master_keys", alice, testkit.Set("usage", []string{"self_signing"}))},
		{"T11: two keys", trust.CodeBadCrossSigningKey, in("self_signing_keys", alice, testkit.In("keys", testkit.Set("ed25519:AAAA", "AAAA")))},
		{"T11: no key", trust.CodeBadCrossSigningKey, in("self_signing_keys", alice, testkit.Set("keys", map[string]any{}))},
		{"T08: another user's identity", trust.CodeIdentityUserMismatch, in("master_keys", alice, testkit.Set("user_id", "@mallory:example.org"))},
		{"scenario 28: the self-signing key is not signed by the master key", trust.CodeIdentitySignatureMissing, in("self_signing_keys", alice, testkit.Delete("signatures"))},
		{"T49: a thousand levels", "too_deep", device(testkit.Set("deep", nested1000()))},
	} {
		t.Run(story.name, func(t *testing.T) {
			w := newWorld(t)
			a, phone := w.alice()
			bob, his := w.person("@bob:example.org")
			// Given an answer with the bad part, and nothing known before.
			raw := changed(t, w.kit.KeysQuery(a, bob), story.hook)
			result := w.answerJSON(raw)
			if codes := problemCodes(result); len(codes) == 0 || !slices.Contains(codes, story.code) {
				t.Errorf("problems %v, want %s", codes, story.code)
			}
			if kept := w.kept(w.event(his, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("the other user in the answer: %v", kept.Current.Kind)
			}
			if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind.Known() {
				t.Errorf("the user of the bad part: %v", kept.Current.Kind)
			}
			// Given a good answer, the bad part after it takes nothing away.
			w.answer(a, bob)
			w.answerJSON(raw)
			if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("after a good answer and the bad one: %v", kept.Current.Kind)
			}
			w.restart()
			if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
				t.Errorf("and after a restart: %v", kept.Current.Kind)
			}
		})
	}
}

func nested1000() any {
	var deep any = 1
	for range 1000 {
		deep = []any{deep}
	}
	return deep
}

// T08: we verified Mallory, and the server files her identity, signed by us, under Alice's name.
func TestIdentityFiledUnderAnotherName(t *testing.T) {
	w := newWorld(t)
	mallory := w.kit.User("@mallory:example.org")
	made := w.kit.User("@alice:example.org")
	hers := made.Device("PHONE").SignedBy("@alice:example.org", mallory.Identity.SelfSigning.SigningKey)
	w.me.Verifies(mallory)
	w.verifyMe()
	w.answer(mallory)
	object := w.kit.KeysQueryObject(made)
	for section, key := range map[string]*testkit.CrossSigningKey{"master_keys": mallory.Identity.Master, "self_signing_keys": mallory.Identity.SelfSigning} {
		object[section].(map[string]any)["@alice:example.org"] = key.Object()
	}
	w.answerJSON(testkit.JSON(object))
	if kept := w.kept(w.event(hers, room, w.kit.Outbound())); kept.Current.Kind != sender.DeviceInfo {
		t.Errorf("%v", kept.Current.Kind)
	}
	if _, _, _, known := w.machine.Identity("@alice:example.org"); known {
		t.Error("Alice has an identity now")
	}
}

// T10, scenario 153: a device called like a cross-signing key signs things under that label. No trust is gained, by answer or embedded.
func TestDeviceCalledLikeAKey(t *testing.T) {
	w := newWorld(t)
	alice := w.kit.User("@alice:example.org")
	evil := alice.Device(alice.Identity.SelfSigning.Public())
	victim := alice.Device("PHONE").SignedBy(alice.ID, evil.SigningKey) // files under ed25519:<its own key>
	victim.After(func(object map[string]any) {
		// and the same signature under the label of the self-signing key, which is the evil device's label too
		of := object["signatures"].(map[string]any)[alice.ID].(map[string]any)
		of["ed25519:"+evil.ID] = of[evil.Label()]
	})
	result := w.answer(alice)
	if codes := problemCodes(result); !slices.Contains(codes, trust.CodeDeviceIDIsKey) {
		t.Errorf("problems %v", codes)
	}
	if receipt := w.receive(w.event(evil, room, w.kit.Outbound())); receipt.Err == nil || codeOf(t, receipt.Err) != sender.CodeDeviceIDIsKey {
		t.Errorf("embedded: %+v", receipt)
	}
	if receipt := w.receive(w.event(victim, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); receipt.Copy == nil || receipt.Copy.Current.Kind.Known() {
		t.Errorf("the device it signed: %+v", receipt)
	}
}

// T12, T48, scenario 152: an answer from before a rotation arrives after the one from after it: dropped, and nothing flips back, not even after
// a restart.
func TestStaleAnswer(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	old := w.machine.QueryKeysForUsers([]ids.UserID{"@alice:example.org"})
	oldAnswer := w.kit.KeysQuery(alice)
	alice.ResetIdentity()
	phone.NotCrossSigned().CrossSigned()
	fresh := w.machine.QueryKeysForUsers([]ids.UserID{"@alice:example.org"})
	if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(alice), fresh.ID); err != nil {
		t.Fatal(err)
	}
	before := dump(t, w.rows)
	result, err := w.machine.ReceiveKeysQueryResponse(context.Background(), oldAnswer, old.ID)
	if err != nil || !slices.Equal(problemCodes(result), []string{trust.CodeStaleAnswer}) {
		t.Fatalf("%v", err)
	}
	if dump(t, w.rows) != before {
		t.Error("a stale answer was written")
	}
	identity, _, _, _ := w.machine.Identity("@alice:example.org")
	if identity.Master.String() != alice.Identity.Master.Public() {
		t.Error("the identity flipped back")
	}
	// Each request is answered once; an id nobody gave out is none.
	for _, id := range []string{old.ID, fresh.ID, "keys-query-1000"} {
		if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), oldAnswer, id); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
			t.Errorf("%s: %v", id, err)
		}
	}
	w.restart()
	if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), oldAnswer, old.ID); err == nil || codeOf(t, err) != core.CodeUnknownRequest {
		t.Errorf("after a restart: %v", err)
	}
}

// Scenarios 138, 140 and 158: which answers bring a device list up to date, and that the mark survives a restart.
func TestOutdatedLists(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.alice()
	users := []ids.UserID{"@alice:example.org"}
	outdated := func(want ...ids.UserID) {
		t.Helper()
		if got := w.machine.OutdatedUsers(); !slices.Equal(got, want) {
			t.Errorf("outdated %v, want %v", got, want)
		}
	}
	query := func() string { return w.machine.QueryKeysForUsers(users).ID }
	answer := func(id string) {
		t.Helper()
		if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), w.kit.KeysQuery(alice), id); err != nil {
			t.Fatal(err)
		}
	}
	mark := func() {
		t.Helper()
		if err := w.machine.ReceiveDeviceLists(context.Background(), users, nil); err != nil {
			t.Fatal(err)
		}
	}
	outdated("@me:example.org")
	if err := w.machine.TrackUsers(context.Background(), users); err != nil {
		t.Fatal(err)
	}
	outdated("@alice:example.org", "@me:example.org")
	w.restart()
	outdated("@alice:example.org", "@me:example.org")
	answer("") // scenario 140: an answer nobody asked for through us
	outdated("@alice:example.org", "@me:example.org")
	answer(query())
	outdated("@me:example.org")
	mark()
	id := query()
	mark() // scenario 138: invalidated during the flight
	answer(id)
	outdated("@alice:example.org", "@me:example.org")
	w.restart()
	outdated("@alice:example.org", "@me:example.org")
	answer(query())
	outdated("@me:example.org")
	w.restart()
	outdated("@me:example.org")
	// Left: nobody follows her any more, and changes are not heard of.
	if err := w.machine.ReceiveDeviceLists(context.Background(), nil, users); err != nil {
		t.Fatal(err)
	}
	mark()
	outdated("@me:example.org")
}

// F25: a list with a bad name in it is heard of all the same.
func TestListWithABadName(t *testing.T) {
	w := newWorld(t)
	if err := w.machine.TrackUsers(context.Background(), []ids.UserID{"", "alice", ids.UserID("@" + strings.Repeat("a", 10000) + ":h"), "@alice:example.org", "@\xff:h"}); err != nil {
		t.Fatal(err)
	}
	if got := w.machine.OutdatedUsers(); !slices.Equal(got, []ids.UserID{"@alice:example.org", "@me:example.org"}) {
		t.Errorf("%v", got)
	}
	if err := w.machine.ReceiveDeviceLists(context.Background(), []ids.UserID{"nobody", "@alice:example.org"}, []ids.UserID{""}); err != nil {
		t.Fatal(err)
	}
}

// Scenario 139: a server that could not be asked changes nothing for its users, and everybody else is taken over.
func TestFailures(t *testing.T) {
	w := newWorld(t)
	alice, _ := w.alice()
	remote, theirs := w.person("@remote:elsewhere.org")
	w.answer(remote)
	remote.Devices = nil
	raw := changed(t, w.kit.KeysQuery(alice, remote), testkit.Set("failures", map[string]any{"elsewhere.org": map[string]any{}}))
	result := w.answerJSON(raw)
	if !slices.Equal(problemCodes(result), []string{trust.CodeServerFailed}) || len(result.Identities) != 1 {
		t.Errorf("%v", problemCodes(result))
	}
	if kept := w.kept(w.event(theirs, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("%v", kept.Current.Kind)
	}
}

// Scenario 137, T52: members nobody has heard of are signed too, survive in the store, and go on verifying after a restart.
func TestUnknownMembers(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	extra := testkit.Set("org.example.extra", map[string]any{"n": 1, "ü": []any{"😀"}})
	phone.Before(extra)
	alice.Identity.Master.Before(extra)
	alice.Identity.SelfSigning.Before(extra)
	result := w.answer(alice)
	if len(result.Problems) != 0 {
		t.Errorf("%v", problemCodes(result))
	}
	w.restart()
	if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("%v", kept.Current.Kind)
	}
	// Judged by another self-signing key, the stored JSON is read again, extra members and all.
	alice.RotateSelfSigning()
	phone.CrossSigned()
	w.answer(alice)
	if kept := w.kept(w.event(phone, room, w.kit.Outbound(), testkit.WithoutDeviceKeys)); kept.Current.Kind != sender.SenderUnverified {
		t.Errorf("after a rotation: %v", kept.Current.Kind)
	}
}

// Scenarios 135 and 141: a device comes, changes, goes; another ed25519 key is refused; our own device is taken over by a late answer too.
func TestDevicesComeAndGo(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	changes := func(result *core.KeysQueryResult) (list string) {
		for i := range result.Devices {
			list += fmt.Sprintf("%s %s ", result.Devices[i].DeviceID, result.Devices[i].Kind)
		}
		return strings.TrimSpace(list)
	}
	if got := changes(w.answer(alice)); got != "PHONE new" {
		t.Errorf("%q", got)
	}
	phone.NotCrossSigned()
	if got := changes(w.answer(alice)); got != "PHONE changed" {
		t.Errorf("%q", got)
	}
	phone.Named("Alice's phone")
	if got := changes(w.answer(alice)); got != "" {
		t.Errorf("a display name: %q", got)
	}
	alice.Devices = nil
	alice.Device("PHONE") // other keys
	result := w.answer(alice)
	if !slices.Contains(problemCodes(result), trust.CodeDeviceKeyChanged) || changes(result) != "" {
		t.Errorf("%v %q", problemCodes(result), changes(result))
	}
	alice.Devices = nil
	if got := changes(w.answer(alice)); got != "PHONE removed" {
		t.Errorf("%q", got)
	}
	if got := changes(w.answer(w.me)); got != "MYDEVICE new" {
		t.Errorf("%q", got)
	}
}

// Scenarios 143 to 146 and 151: pins, violations and their ends, through the machine and a restart.
func TestPinsAndLatches(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	id := ids.UserID("@alice:example.org")
	state := func(want trust.Verification, pinViolation bool) {
		t.Helper()
		for _, when := range []string{"now", "after a restart"} {
			if _, verification, pin, known := w.machine.Identity(id); !known || verification != want || pin != pinViolation {
				t.Errorf("%s: %v, pin violation %v", when, verification, pin)
			}
			w.restart()
		}
	}
	reset := func() {
		alice.ResetIdentity()
		phone.NotCrossSigned().CrossSigned()
		w.answer(alice)
	}
	w.answer(alice)
	state(trust.Unverified, false)
	reset() // scenario 143: a pin violation, ended by pinning
	state(trust.Unverified, true)
	if err := w.machine.PinCurrentIdentity(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	state(trust.Unverified, false)
	reset() // ended by withdrawing
	if err := w.machine.WithdrawVerification(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	state(trust.Unverified, false)
	reset() // ended by verifying
	w.me.Verifies(alice)
	w.verifyMe()
	w.answer(alice)
	state(trust.Verified, false)
	// Scenario 151: an answer without the identity leaves it.
	w.answerJSON(testkit.JSON(map[string]any{"device_keys": map[string]any{string(id): map[string]any{"PHONE": phone.Object()}}}))
	state(trust.Verified, false)
	reset() // scenario 146: the latch
	state(trust.Violation, true)
	if err := w.machine.PinCurrentIdentity(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	state(trust.Violation, false)
	if err := w.machine.WithdrawVerification(context.Background(), id); err != nil { // scenario 144
		t.Fatal(err)
	}
	state(trust.Unverified, false)
	// Scenario 145: our own keys are changed by the server: our own violation, and everybody's whom we had verified.
	w.me.Verifies(alice)
	w.answer(alice)
	state(trust.Verified, false)
	w.me.ResetIdentity()
	w.answer(w.me)
	state(trust.Violation, false)
	id = "@me:example.org"
	state(trust.Violation, false)
	for _, unknown := range []ids.UserID{"@nobody:example.org"} {
		if err := w.machine.PinCurrentIdentity(context.Background(), unknown); err == nil || codeOf(t, err) != trust.CodeIdentityUnknown {
			t.Errorf("%v", err)
		}
		if err := w.machine.WithdrawVerification(context.Background(), unknown); err == nil || codeOf(t, err) != trust.CodeIdentityUnknown {
			t.Errorf("%v", err)
		}
	}
}

// Scenarios 142 and 148 as far as public keys go: our identity is trusted by its master key only, and not before it is known.
func TestTrustOwnIdentity(t *testing.T) {
	w := newWorld(t)
	if err := w.trustMe(); err == nil || codeOf(t, err) != trust.CodeOwnIdentityUnknown {
		t.Errorf("%v", err)
	}
	w.answer(w.me)
	theirs := w.me.Identity
	w.me.Identity = w.kit.User("@somebody:example.org").Identity
	if err := w.trustMe(); err == nil || codeOf(t, err) != trust.CodeOwnIdentityMismatch {
		t.Errorf("%v", err)
	}
	w.me.Identity = theirs
	if err := w.trustMe(); err != nil {
		t.Error(err)
	}
	if _, verification, _, _ := w.machine.Identity("@me:example.org"); verification != trust.Verified {
		t.Errorf("%v", verification)
	}
}

// T49: hostile answers: too large, too deep, too many devices. Refused in a typed way, in bounded time, and users beside them are processed.
func TestHostileAnswers(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.alice()
	before := dump(t, w.rows)
	for what, raw := range map[string]string{
		"nothing":           "",
		"null":              "null",
		"a list":            "[]",
		"cut off":           string(w.kit.KeysQuery(alice)[:200]),
		"something behind":  string(w.kit.KeysQuery(alice)) + "{}",
		"40 MB":             `{"device_keys":{},"x":"` + strings.Repeat("a", 40<<20) + `"}`,
		"a byte order mark": "\ufeff{}",
		"two of a section":  `{"device_keys":{},"device_keys":{}}`,
	} {
		if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), []byte(raw), ""); err == nil {
			t.Errorf("%s was taken", what)
		} else {
			codeOf(t, err)
		}
	}
	if dump(t, w.rows) != before {
		t.Error("something was stored")
	}
	// Very many devices of one user, beside Alice.
	var many strings.Builder
	many.WriteString(`{"device_keys":{"@flood:example.org":{`)
	for i := range 100_000 {
		if i > 0 {
			many.WriteByte(',')
		}
		fmt.Fprintf(&many, `"D%d":{}`, i)
	}
	many.WriteString(`},"@alice:example.org":{"PHONE":`)
	many.Write(testkit.JSON(phone.Object()))
	many.WriteString(`}}}`)
	result := w.answerJSON([]byte(many.String()))
	if !slices.Contains(problemCodes(result), trust.CodeTooManyDevices) || len(result.Devices) != 1 {
		t.Errorf("%d devices, problems %.200v", len(result.Devices), problemCodes(result))
	}
	// A user nobody can spell, a user nobody can be, a device nobody can name, algorithms nobody knows.
	w.answerJSON([]byte(`{"device_keys":{"` + "\xff" + `":{},"alice":{},"@x:y":7,"@y:z":{"":{},"` + strings.Repeat("d", 10000) + `":{}}},"master_keys":7,"unknown":[]}`))
	phone.Before(testkit.Set("algorithms", []string{"m.unknown.v9"}))
	w.answer(alice)
	if _, err := w.decrypt(phone.Message(string(room), w.kit.Outbound(), "x"), policy.Untrusted); err == nil {
		t.Error("shown")
	}
}

// An answer about many people is learned of in parts, each whole. Given a store that fails in the middle, the request has had no answer, what was
// learned stays, and the same answer brought once more completes it: in the end as if it had been one.
func TestAnswerAboutMany(t *testing.T) {
	var faulty *storetest.Faulty
	w := closedWorld(t)
	w.wrap = func(under store.Store) store.Store {
		faulty = storetest.NewFaulty(under)
		return faulty
	}
	w.open()
	people := make([]*testkit.User, 130)
	names := make([]ids.UserID, len(people))
	for i := range people {
		people[i] = w.kit.User(fmt.Sprintf("@user%03d:example.org", i))
		people[i].Device("PHONE").CrossSigned()
		names[i] = ids.UserID(people[i].ID)
	}
	session := w.kit.Outbound()
	last := people[len(people)-1].Devices[0]
	w.kept(w.event(last, room, session, testkit.WithoutDeviceKeys))
	if err := w.machine.TrackUsers(context.Background(), names); err != nil {
		t.Fatal(err)
	}
	request := w.machine.QueryKeysForUsers(names)
	answer := w.kit.KeysQuery(people...)

	faulty.FailAt("Commit", 3, store.CodeUnavailable) // what is learned, the end of judging, what is learned
	if _, err := w.machine.ReceiveKeysQueryResponse(context.Background(), answer, request.ID); err == nil || codeOf(t, err) != store.CodeUnavailable {
		t.Fatalf("%v", err)
	}
	known := 0
	for _, name := range names {
		if _, _, _, is := w.machine.Identity(name); is {
			known++
		}
	}
	if known == 0 || known == len(names) {
		t.Fatalf("%d of %d are known", known, len(names))
	}
	faulty.Heal()
	result, err := w.machine.ReceiveKeysQueryResponse(context.Background(), answer, request.ID)
	if err != nil || result.RoomKeys != 1 || len(result.Identities) != len(names)-known {
		t.Fatalf("%+v, %v", result, err)
	}
	if outdated := w.machine.OutdatedUsers(); !slices.Equal(outdated, []ids.UserID{"@me:example.org"}) {
		t.Errorf("still outdated: %v", outdated)
	}
	w.restart()
	if c := w.stored(session); c.Current.Kind != sender.SenderUnverified {
		t.Errorf("the key stands at %v", c.Current.Kind)
	}
}
