package keyfile_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"knownsender/core/keyfile"
	"knownsender/core/sender"
	"knownsender/core/testkit"
)

// bundled encrypts a bundle as an attachment and describes it, as MSC4268 has it.
func bundled(t testing.TB, plaintext []byte) (content map[string]any, encrypted []byte) {
	t.Helper()
	key, iv := make([]byte, 32), make([]byte, 16)
	for i := range key {
		key[i] = 0xf8 + byte(i%8) // whose base64 differs from its base64url
	}
	copy(iv, "random..")
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	encrypted = make([]byte, len(plaintext))
	cipher.NewCTR(block, iv).XORKeyStream(encrypted, plaintext)
	sum := sha256.Sum256(encrypted)
	return map[string]any{
		"room_id": room,
		"file": map[string]any{
			"v": "v2", "url": "mxc://example.org/FHyPlCeYUSFFxlgbQYZmoEoe", "iv": testkit.Base64(iv),
			"hashes": map[string]any{"sha256": testkit.Base64(sum[:])},
			"key":    map[string]any{"kty": "oct", "alg": "A256CTR", "ext": true, "key_ops": []any{"encrypt", "decrypt"}, "k": base64.RawURLEncoding.EncodeToString(key)},
		},
	}, encrypted
}

// read is everything that a bundle holds.
type read struct {
	Entries  []*keyfile.Entry
	Withheld []keyfile.Withheld
	Faults   []keyfile.BundleFault
}

// readBundle reads a bundle for our room.
func readBundle(plaintext []byte) (*read, error) {
	all := &read{}
	err := keyfile.EachBundleItem(plaintext, room, func(item keyfile.BundleItem) error {
		switch {
		case item.Entry != nil:
			all.Entries = append(all.Entries, item.Entry)
		case item.Withheld != nil:
			all.Withheld = append(all.Withheld, *item.Withheld)
		default:
			all.Faults = append(all.Faults, *item.Fault)
		}
		return nil
	})
	return all, err
}

// historic is an entry of a bundle, which has neither flag nor chain.
func historic(object map[string]any) {
	delete(object, "m.shared_history")
	delete(object, "forwarding_curve25519_key_chain")
}

func (w *world) notice(session *testkit.Outbound, hooks ...testkit.Hook) []byte {
	object := map[string]any{
		"algorithm": testkit.MegolmAlgorithm, "room_id": room, "session_id": session.ID(), "sender_key": w.phone.Curve25519(),
		"code": "m.history_not_shared", "reason": "History not shared",
	}
	for _, hook := range hooks {
		hook(object)
	}
	return testkit.JSON(object)
}

func bundleOf(keys, notices [][]byte) []byte {
	join := func(all [][]byte) string {
		texts := make([]string, len(all))
		for i, raw := range all {
			texts[i] = string(raw)
		}
		return "[" + strings.Join(texts, ",") + "]"
	}
	return []byte(`{"room_keys":` + join(keys) + `,"withheld":` + join(notices) + `,"org.example.extra":{}}`)
}

// T45, scenario 114: a bundle is opened by what its description says of it; its keys are claims, its notices explain, and what it says of other
// rooms is passed over entry by entry.
func TestOpenABundle(t *testing.T) {
	w := newWorld(t)
	first, second, third := w.kit.Outbound(), w.kit.Outbound(), w.kit.Outbound()
	content, encrypted := bundled(t, bundleOf([][]byte{
		w.exported(first, historic),
		w.exported(second, historic, testkit.Set("room_id", "!other:example.org")),
		[]byte(`{"nonsense":1}`),
		w.exported(third, historic, testkit.Delete("sender_claimed_keys")),
	}, [][]byte{
		w.notice(second),
		w.notice(first, testkit.Set("room_id", "!other:example.org")),
		w.notice(third, testkit.Delete("session_id"), testkit.Set("code", "m.no_olm")),
	}))
	d, err := keyfile.ParseBundleDescriptor(testkit.JSON(content))
	if err != nil {
		t.Fatal(err)
	}
	if d.RoomID != room || d.URL != "mxc://example.org/FHyPlCeYUSFFxlgbQYZmoEoe" {
		t.Errorf("%s %s", d.RoomID, d.URL)
	}
	plaintext, err := keyfile.OpenBundle(d, encrypted)
	if err != nil {
		t.Fatal(err)
	}
	b, err := readBundle(plaintext)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Entries) != 2 || b.Entries[0].SessionID != sessionID(t, first) || b.Entries[1].SessionID != sessionID(t, third) || b.Entries[1].HasEd25519 {
		t.Errorf("%d entries", len(b.Entries))
	}
	for _, e := range b.Entries {
		if c := e.Copy(1); !c.SharedHistory || c.Provenance != sender.Claimed || !c.Legacy || c.Current != (sender.Data{}) || c.Forwarder != nil {
			t.Errorf("%+v", c)
		}
	}
	want := keyfile.Withheld{RoomID: room, SessionID: sessionID(t, second), SenderKey: curve25519(t, w.phone.Curve25519()), Code: "m.history_not_shared", Reason: "History not shared"}
	if len(b.Withheld) != 1 || b.Withheld[0] != want {
		t.Errorf("%+v", b.Withheld)
	}
	faults := []struct {
		list, code string
		position   int
	}{
		{"room_keys", keyfile.CodeForeignRoom, 1}, {"room_keys", keyfile.CodeMissingMember, 2},
		{"withheld", keyfile.CodeForeignRoom, 1}, {"withheld", keyfile.CodeMissingMember, 2},
	}
	if len(b.Faults) != len(faults) {
		t.Fatalf("%+v", b.Faults)
	}
	for i, fault := range faults {
		if got := b.Faults[i]; got.List != fault.list || got.Position != fault.position || got.Err.Code != fault.code {
			t.Errorf("%+v: %v", got, got.Err)
		}
	}
}

// T43 for bundles: a file that was changed anywhere is not looked into.
func TestChangedBundles(t *testing.T) {
	content, encrypted := bundled(t, []byte(`{"room_keys":[]}`))
	d, err := keyfile.ParseBundleDescriptor(testkit.JSON(content))
	if err != nil {
		t.Fatal(err)
	}
	for i := range encrypted {
		encrypted[i] ^= 1
		_, err := keyfile.OpenBundle(d, encrypted)
		refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleHash)
		encrypted[i] ^= 1
		_, err = keyfile.OpenBundle(d, encrypted[:i])
		refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleHash)
	}
	if back, err := keyfile.OpenBundle(d, encrypted); err != nil || string(back) != `{"room_keys":[]}` {
		t.Errorf("%q, %v", back, err)
	}
	d.Wipe()
	if back, err := keyfile.OpenBundle(d, encrypted); err != nil || string(back) == `{"room_keys":[]}` {
		t.Errorf("a wiped key is as good: %v", err)
	}
	// T49: what is too long is not even hashed.
	_, err = keyfile.OpenBundle(d, make([]byte, keyfile.MaxBundle+1))
	refused[*keyfile.BundleError](t, err, keyfile.CodeBundleTooLarge)
	_, err = readBundle(make([]byte, keyfile.MaxBundle+1))
	refused[*keyfile.BundleError](t, err, keyfile.CodeBundleTooLarge)
}

// Everything that can be wrong with a description, by member.
func TestMalformedBundleDescriptors(t *testing.T) {
	set, remove, in := testkit.Set, testkit.Delete, testkit.In
	file := func(hooks ...testkit.Hook) testkit.Hook { return in("file", hooks...) }
	key := func(hooks ...testkit.Hook) testkit.Hook { return file(in("key", hooks...)) }
	for _, story := range []struct {
		member string
		hook   testkit.Hook
	}{
		{"", set("ROOM_ID", "!other:example.org")},
		{"room_id", remove("room_id")},
		{"room_id", set("room_id", "room")},
		{"file", remove("file")},
		{"file", set("file", "mxc://a/b")},
		{"file", file(set("URL", "mxc://a/b"))},
		{"file.v", file(remove("v"))},
		{"file.v", file(set("v", "v1"))},
		{"file.url", file(remove("url"))},
		{"file.url", file(set("url", "https://example.org/x"))},
		{"file.url", file(set("url", "mxc://example.org"))},
		{"file.url", file(set("url", "mxc://example.org/"))},
		{"file.url", file(set("url", "mxc:///x"))},
		{"file.url", file(set("url", "mxc://example.org/../admin"))},
		{"file.url", file(set("url", "mxc://example.org/x?y"))},
		{"file.url", file(set("url", "mxc://example.org/"+strings.Repeat("x", 1024)))},
		{"file.key", file(remove("key"))},
		{"file.key.kty", key(set("kty", "RSA"))},
		{"file.key.alg", key(set("alg", "A128CTR"))},
		{"file.key.ext", key(set("ext", false))},
		{"file.key.ext", key(remove("ext"))},
		{"file.key.key_ops", key(set("key_ops", []any{"encrypt"}))},
		{"file.key.key_ops", key(remove("key_ops"))},
		{"file.key.k", key(remove("k"))},
		{"file.key.k", key(set("k", "x"))},
		{"file.key.k", key(set("k", strings.Repeat("+", 42)+"8"))}, // base64 and not base64url
		{"file.key.k", key(set("k", strings.Repeat("/", 42)+"8"))},
		{"file.key.k", key(set("k", strings.Repeat("-", 42)+"8="))},
		{"file.iv", file(remove("iv"))},
		{"file.iv", file(set("iv", "AAAA"))},
		{"file.hashes.sha256", file(remove("hashes"))},
		{"file.hashes.sha256", file(in("hashes", remove("sha256")))},
		{"file.hashes.sha256", file(in("hashes", set("sha256", "AAAA")))},
	} {
		content, _ := bundled(t, nil)
		story.hook(content)
		_, err := keyfile.ParseBundleDescriptor(testkit.JSON(content))
		if refusal := refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleDescriptor); refusal != nil && refusal.Member != story.member {
			t.Errorf("%s is said of %s", refusal.Member, story.member)
		}
	}
	for _, raw := range []string{``, `[]`, `{}`, `{"room_id":"!a:b","room_id":"!c:d"}`} {
		_, err := keyfile.ParseBundleDescriptor([]byte(raw))
		refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleDescriptor)
	}
	content, _ := bundled(t, nil)
	in("file", in("key", set("k", strings.Repeat("-_", 21)+"8")))(content)
	if _, err := keyfile.ParseBundleDescriptor(testkit.JSON(content)); err != nil {
		t.Errorf("base64url: %v", err)
	}
}

// T49: a bundle that lists more than any room has is refused before anything of it is taken. So is one of which a list breaks off at its end.
func TestBundlesThatListTooMuch(t *testing.T) {
	of := func(keys, notices int) []byte {
		list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat("0,", n), ",") + "]" }
		return []byte(`{"room_keys":` + list(keys) + `,"withheld":` + list(notices) + `}`)
	}
	for _, most := range [][2]int{{keyfile.MaxBundleEntries, 0}, {0, keyfile.MaxBundleEntries}, {40_000, 60_000}} {
		if b, err := readBundle(of(most[0], most[1])); err != nil || len(b.Faults) != keyfile.MaxBundleEntries {
			t.Errorf("%v: %v", most, err)
		}
		for _, more := range [][2]int{{1, 0}, {0, 1}, {1 << 20, 0}} {
			b, err := readBundle(of(most[0]+more[0], most[1]+more[1]))
			refused[*keyfile.BundleError](t, err, keyfile.CodeBundleTooLarge)
			if len(b.Faults) != 0 {
				t.Error("some of it was given out")
			}
		}
	}
	b, err := readBundle([]byte(`{"room_keys":[0,0],"withheld":[0,0}`))
	refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleJSON)
	if len(b.Faults) != 0 {
		t.Error("some of it was given out")
	}
	stop := errors.New("stop")
	n := 0
	if err := keyfile.EachBundleItem(of(3, 3), room, func(keyfile.BundleItem) error { n++; return stop }); err != stop || n != 1 {
		t.Errorf("%v after %d", err, n)
	}
}

func TestPlaintextsThatAreNoBundle(t *testing.T) {
	for _, text := range []string{
		``, `[]`, `{`, `{}x`, `{"room_keys":{}}`, `{"room_keys":[}`, `{"room_keys":null}`, `{"withheld":"x"}`,
		`{"room_keys":[],"room_keys":[]}`, `{"room_keys":[],"room\u005fkeys":[]}`, `{"withheld":[],"withheld":[]}`, `{"\ud800":1}`,
	} {
		_, err := readBundle([]byte(text))
		refused[*keyfile.BundleError](t, err, keyfile.CodeBadBundleJSON)
	}
	for _, text := range []string{`{}`, `{"room_keys":[]}`, `{"withheld":[],"x":[]}`} {
		if b, err := readBundle([]byte(text)); err != nil || len(b.Entries)+len(b.Withheld)+len(b.Faults) != 0 {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What can be wrong with one notice costs that notice.
func TestMalformedNotices(t *testing.T) {
	w := newWorld(t)
	session := w.kit.Outbound()
	set, remove := testkit.Set, testkit.Delete
	for _, story := range []struct {
		code, member string
		hook         testkit.Hook
	}{
		{keyfile.CodeMissingMember, "algorithm", remove("algorithm")},
		{keyfile.CodeUnsupportedAlgorithm, "algorithm", set("algorithm", "x")},
		{keyfile.CodeMissingMember, "room_id", remove("room_id")},
		{keyfile.CodeBadMember, "room_id", set("room_id", "x")},
		{keyfile.CodeMissingMember, "session_id", remove("session_id")},
		{keyfile.CodeBadMember, "session_id", set("session_id", "x")},
		{keyfile.CodeMissingMember, "sender_key", remove("sender_key")},
		{keyfile.CodeBadMember, "sender_key", set("sender_key", strings.Repeat("A", 43))},
		{keyfile.CodeMissingMember, "code", remove("code")},
		{keyfile.CodeBadMember, "code", set("code", strings.Repeat("x", 256))},
		{keyfile.CodeBadMember, "reason", set("reason", 5)},
		{keyfile.CodeBadMember, "reason", set("reason", strings.Repeat("x", 1025))},
		{keyfile.CodeBadEntryJSON, "", set("Room_id", "x")},
	} {
		b, err := readBundle(bundleOf(nil, [][]byte{w.notice(session, story.hook), w.notice(session, remove("reason"))}))
		if err != nil || len(b.Withheld) != 1 || len(b.Faults) != 1 || b.Faults[0].Err.Code != story.code || b.Faults[0].Err.Member != story.member {
			t.Errorf("%s %s: %+v, %v", story.code, story.member, b, err)
		}
	}
}

// T49: what would be too large to be taken is not made either.
func TestBundleWriterHasAnEnd(t *testing.T) {
	kit := testkit.New(t.Name())
	phone := kit.User("@alice:example.org").Device("PHONE")
	e, err := keyfile.ParseEntry(testkit.JSON(phone.ExportEntry(string(room), kit.Outbound(), 0)))
	if err != nil {
		t.Fatal(err)
	}
	var w keyfile.BundleWriter
	if w.Content() != nil {
		t.Error("there is a bundle of nothing")
	}
	c := e.Copy(0)
	for n := range keyfile.MaxBundleEntries {
		if err := w.Withhold(c); err != nil {
			t.Fatalf("notice %d: %v", n, err)
		}
	}
	if all, err := readBundle(w.Content()); err != nil || len(all.Withheld) != keyfile.MaxBundleEntries {
		t.Errorf("the largest: %v", err)
	}
	var refused *keyfile.BundleError
	if err := w.Share(c); !errors.As(err, &refused) || refused.Code != keyfile.CodeBundleTooLarge {
		t.Errorf("one more: %v", err)
	}
}
