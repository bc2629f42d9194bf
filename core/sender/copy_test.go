package sender_test

import (
	"strings"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// What a copy says of itself, for every kind and provenance.
func TestWhatACopySays(t *testing.T) {
	if sender.Direct.String() != "direct" || sender.Claimed.String() != "claimed" {
		t.Errorf("provenances are called %s and %s", sender.Direct, sender.Claimed)
	}
	for kind := sender.UnknownDevice; kind <= sender.SenderVerified; kind++ {
		for _, provenance := range []sender.Provenance{sender.Direct, sender.Claimed} {
			for _, failed := range []bool{false, true} {
				c := &sender.Copy{CopyKey: sender.CopyKey{Provenance: provenance}, Current: sender.Data{Kind: kind, OwnerCheckFailed: failed}}
				if want := provenance == sender.Direct && !kind.Known(); c.Waiting() != want {
					t.Errorf("%s %s: waiting %v", provenance, kind, c.Waiting())
				}
				if want := kind == sender.UnknownDevice && (provenance == sender.Claimed || failed); c.InsecureSource() != want {
					t.Errorf("%s %s, owner check failed %v: insecure source %v", provenance, kind, failed, c.InsecureSource())
				}
			}
		}
	}
}

// I4: two are under one pin when both are known, and of one user and one master key.
func TestSamePin(t *testing.T) {
	known := sender.Data{Kind: sender.SenderUnverified, UserID: "@alice:example.org", MasterKey: keys.Ed25519{1}}
	for name, story := range map[string]struct {
		other sender.Data
		same  bool
	}{
		"the same":           {known, true},
		"verified since":     {sender.Data{Kind: sender.SenderVerified, UserID: known.UserID, MasterKey: known.MasterKey}, true},
		"not known":          {sender.Data{Kind: sender.DeviceInfo, UserID: known.UserID, MasterKey: known.MasterKey}, false},
		"another user":       {sender.Data{Kind: known.Kind, UserID: "@mallory:example.org", MasterKey: known.MasterKey}, false},
		"another master key": {sender.Data{Kind: known.Kind, UserID: known.UserID, MasterKey: keys.Ed25519{2}}, false},
	} {
		if known.SamePin(story.other) != story.same || story.other.SamePin(known) != story.same {
			t.Errorf("%s: %v", name, !story.same)
		}
	}
	if unknown := (sender.Data{Kind: sender.DeviceInfo, UserID: known.UserID, MasterKey: known.MasterKey}); unknown.SamePin(unknown) {
		t.Error("two that are not known are under one pin")
	}
}

// A refusal says what was expected and what came.
func TestRefusalsAreSentences(t *testing.T) {
	e := &sender.RoomKeyError{Code: sender.CodeSenderMismatch, Member: "sender", Expected: "one", Got: "another"}
	if text := e.Error(); strings.HasPrefix(text, ",") || !strings.HasSuffix(text, ", `sender`: expected one, got another") {
		t.Errorf("it says %q", text)
	}
	e.Got = ""
	if text := e.Error(); !strings.HasSuffix(text, ": expected one") {
		t.Errorf("it says %q", text)
	}
}

// What is not sender data says which member is at fault, and what the room below said.
func TestErrorsSayWhereAndWhy(t *testing.T) {
	if text := (&sender.DataError{Member: "msk", Reason: "bad_master_key"}).Error(); text != "not sender data, `msk`: bad_master_key" {
		t.Errorf("it says %q", text)
	}
	if text := (&sender.DataError{Reason: "not_one_variant"}).Error(); text != "not sender data: not_one_variant" {
		t.Errorf("it says %q", text)
	}
	w := newWorld(t)
	_, phone := w.people()
	in := w.from(phone, w.kit.Outbound(), testkit.Set("sender", 7))
	_, err := w.receives(in)
	refused, ok := err.(*sender.RoomKeyError)
	if !ok || refused.Unwrap() == nil || strings.HasPrefix(refused.Error(), ":") || !strings.HasSuffix(refused.Error(), ": "+refused.Unwrap().Error()) {
		t.Errorf("it says %q", err)
	}
}

// The short way to the one key of a list takes what is spelled so and nothing else.
func TestLoneEd25519(t *testing.T) {
	key := strings.Repeat("k", 43)
	if text, ok := sender.LoneEd25519([]byte(`{"ed25519":"` + key + `"}`)); !ok || text != key {
		t.Errorf("%q, %v", text, ok)
	}
	for _, value := range []string{
		`{"ED25519":"` + key + `"}`, `{"ed25519":"` + key + `" `, `{"ed25519":"` + key + `} `, `{"ed25519":"` + key[1:] + `"}`, `{"ed25519":"k` + key + `"}`,
		`{"ed25519":"` + key[1:] + `""}`, `{"ed25519":"` + key[1:] + `\"}`, "", "{}",
	} {
		if text, ok := sender.LoneEd25519([]byte(value)); ok {
			t.Errorf("%s: %q", value, text)
		}
	}
}

// An event of any type is taken where none is named, and is of a device that its own signature, or the server, tells of.
func TestEventsOfAnyType(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	finish := func(hooks ...testkit.Hook) (sender.Finding, error) {
		t.Helper()
		in := w.from(phone, w.kit.Outbound(), append(hooks, testkit.Set("type", "m.dummy"), testkit.Set("content", map[string]any{}))...)
		key, other, err := w.finder.PrepareEvent(w.index, in)
		if err != nil || key != nil || other.Type != "m.dummy" {
			t.Fatalf("%v, %v, %v", key, other, err)
		}
		return other.Finish(keys.VerifyAll(other.AppendChecks(nil)))
	}
	if found, err := finish(); err != nil || found.Data.Kind != sender.DeviceInfo {
		t.Errorf("embedded: %v, %v", found.Data.Kind, err)
	}
	_, err := finish(testkit.In("sender_device_keys", testkit.CorruptSignature(alice.ID, "ed25519:"+phone.ID)))
	if codeOf(err) != sender.CodeSenderDeviceKeysSignature {
		t.Errorf("embedded, with a wrong signature: %v", err)
	}
	if _, err := finish(bare); codeOf(err) != sender.CodeUnknownSendingDevice {
		t.Errorf("not known: %v", err)
	}
	w.asks(alice)
	if found, err := finish(bare); err != nil || found.Data.Kind != sender.SenderUnverified {
		t.Errorf("known: %v, %v", found.Data.Kind, err)
	}
}

// An embedded device may have 16 KiB, and not one byte more.
func TestEmbeddedDevicesToTheByte(t *testing.T) {
	w := newWorld(t)
	_, phone := w.people()
	pad := func(length int) testkit.Hook {
		return testkit.In("sender_device_keys", testkit.Set("unsigned", map[string]any{"pad": strings.Repeat("x", length)}))
	}
	embedded := func(hook testkit.Hook) int {
		payload := phone.RoomKeyObject(w.desk, room, w.kit.Outbound(), hook)
		return len(testkit.JSON(payload["sender_device_keys"]))
	}
	most := 16<<10 - embedded(pad(0))
	w.keeps(w.from(phone, w.kit.Outbound(), pad(most)))
	w.refuses(sender.CodeBadSenderDeviceKeys, w.from(phone, w.kit.Outbound(), pad(most+1)))
}

// What was found of an embedded device is remembered: its next key costs one check, the session's own, however many others came between.
func TestEmbeddedDevicesAreRemembered(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	devices := []*testkit.Device{phone, alice.Device("A").CrossSigned(), alice.Device("B").CrossSigned(), alice.Device("C").CrossSigned()}
	w.asks(alice)
	for _, device := range devices {
		w.keeps(w.from(device, w.kit.Outbound()))
	}
	for _, device := range devices {
		reception, err := w.finder.Prepare(w.index, w.from(device, w.kit.Outbound()))
		if err != nil || reception.Checks() != 1 {
			t.Errorf("%s: %v checks, %v", device.ID, reception.Checks(), err)
		}
	}
}

// Two listed devices have the same keys, and one of them is signed. A key that embeds one of them is judged by that one's copy in the store.
func TestTheStoredCopyOfTheEmbeddedDevice(t *testing.T) {
	for _, first := range []bool{true, false} {
		w := newWorld(t)
		alice, phone := w.people()
		phone.NotCrossSigned()
		twin := alice.Device("TWIN")
		if !first { // whichever a search by keys may find
			twin = alice.Device("A0")
		}
		twin.Identity, *twin.SigningKey = phone.Identity, *phone.SigningKey
		twin.CrossSigned()
		w.asks(alice)
		w.wantKind(w.keeps(w.from(phone, w.kit.Outbound())), sender.DeviceInfo)
		w.wantKnown(w.keeps(w.from(twin, w.kit.Outbound())), sender.SenderUnverified, twin)
	}
}

// A copy that was attributed to a device stays so when the server lists the keys under another id: what is found is no better than what is known.
func TestAnotherDeviceWithTheSameKeysIsNoBetter(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	phone.NotCrossSigned()
	w.asks(alice)
	c := w.keeps(w.from(phone, w.kit.Outbound(), bare))
	w.wantKind(c, sender.DeviceInfo)
	twin := alice.Device("TWIN")
	twin.Identity, *twin.SigningKey = phone.Identity, *phone.SigningKey
	alice.Devices = []*testkit.Device{twin}
	w.asks(alice)
	if after := w.judges(c); string(after.Current.DeviceID) != phone.ID {
		t.Errorf("it is of %s now", after.Current.DeviceID)
	}
}

// An embedded device that lies beside a copy and is not its sender's, in any one of user and keys, says nothing of it.
func TestAnotherOnesEmbeddedDevice(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	mallory := w.kit.User("@mallory:example.org")
	kept := *w.keeps(w.from(phone, w.kit.Outbound(), bare))
	w.wantKind(&kept, sender.UnknownDevice)
	for name, change := range map[string]func(like *testkit.Device){
		"of another user":         func(like *testkit.Device) { like.User = mallory },
		"of another fingerprint":  func(like *testkit.Device) { *like.SigningKey = *mallory.Device("X").SigningKey },
		"of another identity key": func(like *testkit.Device) { like.Identity = mallory.Device("Y").Identity },
	} {
		like := alice.Device("LIKE")
		like.Identity, *like.SigningKey = phone.Identity, *phone.SigningKey
		change(like)
		c := kept
		c.EmbeddedDevice = testkit.JSON(like.Object())
		if after := w.judges(&c); after.Current.Kind != sender.UnknownDevice {
			t.Errorf("%s: it is of %+v now", name, after.Current)
		}
	}
}

// Handed over twice by the same: nothing has changed.
func TestTheSameForwarderTwice(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("PHONE")
	session := kit.Outbound()
	a, b := claim(t, session, 0, phone), claim(t, session, 0, phone)
	a.Forwarder = &sender.Forwarder{Data: data(t, sender.DeviceInfo, phone)}
	b.Forwarder = &sender.Forwarder{Data: data(t, sender.DeviceInfo, phone)}
	if joined, report := sender.Join(a, b); joined != a || report.Changed {
		t.Errorf("%+v", report)
	}
}

// Whose a copy is: nobody's when it was handed over, the user's as whom the sender is known, else the user's whom Olm named.
func TestOwner(t *testing.T) {
	for name, story := range map[string]struct {
		copy  sender.Copy
		owner string
	}{
		"claimed":                 {sender.Copy{CopyKey: sender.CopyKey{Provenance: sender.Claimed}, OlmUser: "@a:b", Current: sender.Data{UserID: "@a:b"}}, ""},
		"direct, known":           {sender.Copy{OlmUser: "@olm:b", Current: sender.Data{UserID: "@known:b"}}, "@known:b"},
		"direct, named by Olm":    {sender.Copy{OlmUser: "@olm:b"}, "@olm:b"},
		"direct, named by nobody": {sender.Copy{}, ""},
	} {
		if owner, known := story.copy.Owner(); string(owner) != story.owner || known != (story.owner != "") {
			t.Errorf("%s: %q, %v", name, owner, known)
		}
	}
}

// Of claimed copies one with evidence counts most, then one out of a file, then one that was handed over.
func TestSourcesInOrder(t *testing.T) {
	claimed := sender.CopyKey{Provenance: sender.Claimed}
	inOrder := []*sender.Copy{
		{CopyKey: claimed, Forwarder: &sender.Forwarder{}}, {CopyKey: claimed}, {CopyKey: claimed, AtReception: sender.Data{Kind: sender.DeviceInfo}, Forwarder: &sender.Forwarder{}},
	}
	for i, a := range inOrder {
		if a.Evidence() != (i == 2) {
			t.Errorf("%d: evidence %v", i, a.Evidence())
		}
		for j, b := range inOrder {
			if got := a.CompareSource(b); got != max(-1, min(1, i-j)) {
				t.Errorf("%d against %d: %d", i, j, got)
			}
		}
	}
	if (&sender.Copy{AtReception: sender.Data{Kind: sender.DeviceInfo}}).Evidence() {
		t.Error("a direct copy has evidence")
	}
}

// A copy never changes: another mark or schedule makes another copy, and the same one makes none.
func TestMarksMakeAnotherCopy(t *testing.T) {
	waiting := &sender.Copy{}
	at := lane.Schedule{Tries: 1, Next: 5}
	if moved := waiting.Rescheduled(at); moved == waiting || moved.Schedule != at || waiting.Schedule == at || moved.Rescheduled(at) != moved {
		t.Error("a schedule")
	}
	if known := (&sender.Copy{Current: sender.Data{Kind: sender.SenderVerified}}); known.Rescheduled(at) != known {
		t.Error("a copy that does not wait has a schedule")
	}
	if marked := waiting.InBackup(true); marked == waiting || !marked.BackedUp || waiting.BackedUp || marked.InBackup(true) != marked || waiting.InBackup(false) != waiting {
		t.Error("a mark")
	}
}

// Of two that say no more than that the sender is not known, the one whose owner check did not fail counts, in either order.
func TestAFailedOwnerCheckIsWorse(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("PHONE")
	session := kit.Outbound()
	good, failed := direct(t, session, 0, phone, sender.UnknownDevice), direct(t, session, 0, phone, sender.UnknownDevice)
	failed.Current.OwnerCheckFailed = true
	for name, joined := range map[string]*sender.Copy{"good first": first(sender.Join(good, failed)), "failed first": first(sender.Join(failed, good))} {
		if joined.Current.OwnerCheckFailed {
			t.Errorf("%s: the failed one counts", name)
		}
	}
}

func first(c *sender.Copy, _ sender.JoinReport) *sender.Copy { return c }

// The server lists the embedded device with another Curve25519 key, and a signed one with the keys that the message came with: that one tells whose it is.
func TestTheDeviceThatHasTheKeys(t *testing.T) {
	w := newWorld(t)
	alice, phone := w.people()
	phone.NotCrossSigned()
	in := w.from(phone, w.kit.Outbound())
	twin := alice.Device("TWIN")
	twin.Identity, *twin.SigningKey = phone.Identity, *phone.SigningKey
	twin.CrossSigned()
	phone.Identity = w.kit.User("@mallory:example.org").Device("X").Identity
	w.asks(alice)
	w.wantKnown(w.keeps(in), sender.SenderUnverified, twin)
}
