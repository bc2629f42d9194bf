package sender_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// FuzzRoomKeyEvent throws payloads at the gate: refused with a code, or received; never a panic, and never a sender better known than the
// proof allows. The phone and its user are known and verified, so that every step of the finder can be reached.
func FuzzRoomKeyEvent(f *testing.F) {
	corpus, err := filepath.Glob(filepath.Join("testdata", "fuzz", "FuzzRoomKeyEvent", "*"))
	if err != nil || len(corpus) < 10 {
		f.Fatalf("the corpus has %d entries (%v); it must not go missing in silence", len(corpus), err)
	}
	w := fuzzWorld(f)
	honest := sender.Data{
		Kind: sender.SenderVerified, UserID: "@alice:example.org", DeviceID: "ALICEPHONE",
		MasterKey: ed25519(f, w.phone.User.Identity.Master.Public()),
	}
	seeded := w.from(w.phone, w.kit.Outbound())
	f.Add(seeded.Payload)
	f.Fuzz(func(t *testing.T, payload []byte) {
		in := sender.DecryptedOlmEvent{Sender: seeded.Sender, SenderKey: seeded.SenderKey, Payload: payload}
		finder := sender.NewFinder()
		reception, err := finder.Prepare(w.index, in)
		var refusal *sender.RoomKeyError
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Error() == "" {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		checks := reception.AppendChecks(nil)
		results := keys.VerifyAll(checks)
		received, err := reception.Finish(results, 1)
		if err != nil {
			if !errors.As(err, &refusal) || refusal.Code == "" {
				t.Fatalf("refused without a code: %v", err)
			}
			return
		}
		if received.Copy == nil {
			if received.Tombstone == nil || received.Finding.Outcome != sender.Discard {
				t.Fatal("neither copy nor tombstone")
			}
			return
		}
		c := received.Copy
		if !results[0] || c.OlmUser != "@alice:example.org" || c.Provenance != sender.Direct || c.Legacy || c.Session.ID() != c.SessionID {
			t.Fatalf("kept without proof: %+v", c)
		}
		if c.Current.Kind.Known() && (c.Current != honest || c.Ed25519 != ed25519(t, w.phone.Ed25519())) {
			t.Fatalf("known without proof: %+v", c.Current)
		}
		for _, result := range results[1:] {
			if !result && c.EmbeddedDevice != nil && c.Current.Kind.Known() {
				t.Fatal("a signature that does not hold was believed")
			}
		}
	})
}

type fuzzed struct {
	*world
	phone *testkit.Device
}

// fuzzWorld is the same world each time, whatever the test is called: the corpus was made for it.
func fuzzWorld(t testing.TB) *fuzzed {
	w := newWorld(t)
	w.kit = testkit.New("FuzzRoomKeyEvent")
	w.bob = w.kit.User("@bob:example.org")
	w.desk = w.bob.Device("BOBDESK").CrossSigned()
	w.index = newIndex(t, w.desk)
	alice, phone := w.people()
	w.trustsHimself()
	w.bob.Verifies(alice)
	w.asks(alice)
	return &fuzzed{w, phone}
}

// The corpus is made of what the gate is about. KNOWNSENDER_WRITE_CORPUS=1 writes it anew.
func TestCorpusOfRoomKeyEvents(t *testing.T) {
	w := fuzzWorld(t)
	set, in := testkit.Set, testkit.In
	mallory := w.kit.User("@mallory:example.org").Device("HERS").CrossSigned()
	session := w.kit.Outbound()
	payload := func(hooks ...testkit.Hook) []byte { return w.phone.RoomKey(w.desk, room, session, hooks...) }
	for name, story := range map[string]struct {
		code    string
		payload []byte
	}{
		"honest":            {"", payload()},
		"bare":              {"", payload(bare)},
		"unstable-name":     {"", payload(unstable)},
		"t02-other-user":    {sender.CodeSenderDeviceKeysUser, payload(set(testkit.SenderDeviceKeys, mallory.Object()))},
		"t03-other-ed25519": {sender.CodeSenderDeviceKeysEd25519, payload(in("keys", set("ed25519", mallory.Ed25519())))},
		"t04-other-curve25519": {sender.CodeSenderDeviceKeysCurve25519, payload(in(testkit.SenderDeviceKeys,
			in("keys", set("curve25519:ALICEPHONE", mallory.Curve25519()))))},
		"t05-self-signature": {sender.CodeSenderDeviceKeysSignature, payload(in(testkit.SenderDeviceKeys,
			testkit.CorruptSignature("@alice:example.org", "ed25519:ALICEPHONE")))},
		"t06-cross-signature": {"", payload(in(testkit.SenderDeviceKeys,
			testkit.CorruptSignature("@alice:example.org", w.phone.User.Identity.SelfSigning.Label())))},
		"t19-recipient":     {sender.CodeRecipientMismatch, payload(set("recipient", "@carol:example.org"))},
		"t19-recipient-key": {sender.CodeRecipientKeyMismatch, payload(in("recipient_keys", set("ed25519", mallory.Ed25519())))},
		"t19-sender":        {sender.CodeSenderMismatch, payload(set("sender", "@mallory:example.org"))},
		"t23-exported-key":  {sender.CodeBadSessionKey, payload(in("content", set("session_key", session.ExportedAt(0))))},
		"t25-session-id":    {sender.CodeSessionIDMismatch, payload(in("content", set("session_id", mallory.Ed25519())))},
		"t51-case":          {sender.CodeBadPayload, payload(set("Content", map[string]any{}))},
		"empty":             {sender.CodeBadPayload, []byte("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			in := sender.DecryptedOlmEvent{Sender: w.phone.User.ID, SenderKey: w.phone.Curve25519(), Payload: story.payload}
			w.finder = sender.NewFinder()
			if _, err := w.receives(in); codeOf(err) != story.code {
				t.Errorf("got %v, want %q", err, story.code)
			}
			file := filepath.Join("testdata", "fuzz", "FuzzRoomKeyEvent", name)
			entry := corpusEntry(story.payload)
			if os.Getenv("KNOWNSENDER_WRITE_CORPUS") != "" {
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, entry, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if committed, err := os.ReadFile(file); err != nil || string(committed) != string(entry) {
				t.Errorf("the committed entry is another one (%v): run with KNOWNSENDER_WRITE_CORPUS=1", err)
			}
		})
	}
}
