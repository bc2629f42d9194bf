package trust_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// The oracle of all targets here is a second, much simpler reading of the JSON by encoding/json and crypto/ed25519: whatever is believed must
// be signed by the key of the right role over the object as received. It is asked only about what was accepted, so that it may be naive.

// signedBy reads raw anew and tells whether the key signed it under that user and label.
func signedBy(t testing.TB, raw []byte, user, label string, key keys.Ed25519) bool {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var object map[string]any
	if err := decoder.Decode(&object); err != nil {
		t.Fatalf("accepted, and not JSON: %v", err)
	}
	signatures, _ := object["signatures"].(map[string]any)
	byUser, _ := signatures[user].(map[string]any)
	text, _ := byUser[label].(string)
	signature, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil {
		return false
	}
	delete(object, "signatures")
	delete(object, "unsigned")
	canonical := testkit.JSON(object)
	// encoding/json escapes these two, canonical JSON does not.
	canonical = bytes.ReplaceAll(canonical, []byte(`\u2028`), []byte("\u2028"))
	canonical = bytes.ReplaceAll(canonical, []byte(`\u2029`), []byte("\u2029"))
	return ed25519.Verify(key[:], canonical, signature)
}

// member is a string member of raw, "" when there is none.
func member(raw []byte, path ...string) string {
	var value any
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	text, _ := value.(string)
	return text
}

// fuzzWorld is a verified world whose people are the same in every run.
func fuzzWorld(t testing.TB) *world {
	kit := testkit.New("fuzz")
	me := kit.User("@me:example.org")
	phone := me.Device("MYPHONE").CrossSigned()
	w := &world{TB: t, kit: kit, me: me, phone: phone, rows: map[ids.UserID]*trust.UserRecord{}}
	w.index = trust.NewIndex(w.own())
	w.learn(me)
	w.trustOwn()
	return w
}

func FuzzDeviceKeys(f *testing.F) {
	w := fuzzWorld(f)
	alice := w.user("alice")
	f.Add(testkit.JSON(alice.Device("PHONE").CrossSigned().Named("x").Object()))
	f.Add(testkit.JSON(alice.Device("BAD").CorruptlyCrossSigned().Dehydrated().Object()))
	selfSigning := ed(alice.Identity.SelfSigning.SigningKey)
	f.Fuzz(func(t *testing.T, raw []byte) {
		object, err := signedjson.Parse(raw)
		if err != nil {
			return
		}
		device, err := trust.ParseDeviceKeys(object)
		if err != nil {
			if err.(*trust.DeviceKeysError).ErrorCode() == "" {
				t.Error("refused without a code")
			}
			return
		}
		user, id := string(device.UserID), string(device.DeviceID)
		if member(raw, "user_id") != user || member(raw, "device_id") != id || member(raw, "keys", "ed25519:"+id) != device.Ed25519.String() ||
			member(raw, "keys", "curve25519:"+id) != device.Curve25519.String() {
			t.Error("another device than the JSON says")
		}
		check, err := device.SelfCheck()
		if err == nil && check.Verify() && !signedBy(t, raw, user, "ed25519:"+id, device.Ed25519) {
			t.Error("T52: believed to have signed itself")
		}
		check, outcome := device.SignatureBy(selfSigning)
		if outcome.Resolve(outcome == trust.CrossSignatureUnchecked && check.Verify()) == trust.CrossSignatureValid &&
			!signedBy(t, raw, user, "ed25519:"+selfSigning.String(), selfSigning) {
			t.Error("T10: believed to be cross-signed")
		}
	})
}

func FuzzCrossSigning(f *testing.F) {
	w := fuzzWorld(f)
	alice, mallory := w.user("alice"), w.user("mallory")
	w.me.Verifies(alice)
	w.me.Verifies(mallory)
	for _, user := range []*testkit.User{alice, mallory} {
		f.Add(testkit.JSON(user.Identity.Master.Object()), testkit.JSON(user.Identity.SelfSigning.Object()))
	}
	f.Fuzz(func(t *testing.T, master, selfSigning []byte) {
		w := fuzzWorld(t)
		raw := []byte(`{"master_keys":{"@alice:example.org":` + string(master) + `},"self_signing_keys":{"@alice:example.org":` + string(selfSigning) + `}}`)
		if _, err := trust.ParseAnswer(raw, trust.DefaultLimits); err != nil {
			return
		}
		w.answer(raw, 0)
		w.believesOnlyWhatIsSigned()
	})
}

func FuzzKeysQuery(f *testing.F) {
	w := fuzzWorld(f)
	alice := w.user("alice")
	w.me.Verifies(alice)
	alice.Device("PHONE").CrossSigned()
	alice.Device("BAD").CorruptlyCrossSigned()
	f.Add(w.kit.KeysQuery(w.me, alice))
	f.Add(recorded(f, "js-sdk/keys-query-response.json"))
	f.Add(recorded(f, "mautrix/MX1-keys-query.json"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		limits := trust.DefaultLimits
		limits.Users, limits.DevicesPerUser, limits.Problems = 20, 20, 20
		if _, err := trust.ParseAnswer(raw, limits); err != nil {
			if err.(*trust.AnswerError).ErrorCode() == "" {
				t.Error("refused without a code")
			}
			return
		}
		w := fuzzWorld(t)
		// Alice is known, and one of her devices; what is known can only become more.
		alice := w.user("alice")
		w.me.Verifies(alice)
		alice.Device("PHONE").CrossSigned()
		w.learn(alice)
		ours := w.identity(w.me)

		w.answer(raw, w.index.BeginQuery(w.index.Outdated()).Sequence)
		w.believesOnlyWhatIsSigned()
		if w.index.OwnVerified() && w.identity(w.me).Master != ours.Master {
			t.Error("T13: another identity of ours is trusted")
		}
		if !w.identity(alice).PreviouslyVerified {
			t.Error("the latch is cleared")
		}
		if w.device(w.phone).Ed25519 != ed(w.phone.SigningKey) {
			t.Error("our own device has other keys")
		}
		// I12: the same answer again changes nothing.
		if again := w.answer(raw, 0); !again.Empty() {
			t.Errorf("the same answer again: %+v", again)
		}
	})
}

// believesOnlyWhatIsSigned looks at everything that is stored with the oracle's eyes.
func (w *world) believesOnlyWhatIsSigned() {
	w.Helper()
	usage := func(raw []byte) string {
		var object struct {
			Usage []string `json:"usage"`
		}
		if json.Unmarshal(raw, &object) != nil || len(object.Usage) != 1 {
			return ""
		}
		return object.Usage[0]
	}
	for user, row := range w.rows {
		name := string(user)
		var selfSigning keys.Ed25519
		if i := row.Identity; i != nil {
			selfSigning = i.SelfSigning.Key
			masterLabel := "ed25519:" + i.Master.Key.String()
			if member(i.Master.Raw, "user_id") != name || member(i.SelfSigning.Raw, "user_id") != name {
				w.Errorf("T08: %s has another user's keys", name)
			}
			if usage(i.Master.Raw) != "master" || usage(i.SelfSigning.Raw) != "self_signing" {
				w.Errorf("T11: %s has keys of another usage", name)
			}
			if member(i.Master.Raw, "keys", masterLabel) != i.Master.Key.String() ||
				!signedBy(w, i.SelfSigning.Raw, name, masterLabel, i.Master.Key) {
				w.Errorf("%s's self-signing key is not signed by the master key", name)
			}
			if w.index.Verification(user) == trust.Verified && name != w.me.ID {
				key := w.identity(w.me).UserSigning
				if !signedBy(w, i.Master.Raw, w.me.ID, "ed25519:"+key.String(), key) {
					w.Errorf("I9: %s is verified, by nobody", name)
				}
			}
		}
		for _, d := range row.Devices {
			id := string(d.DeviceID)
			if member(d.Raw, "user_id") != name || member(d.Raw, "device_id") != id {
				w.Errorf("T09: %s %s is another device", name, id)
			}
			if !signedBy(w, d.Raw, name, "ed25519:"+id, d.Ed25519) {
				w.Errorf("%s %s did not sign itself", name, id)
			}
			if d.CrossSigned == trust.CrossSignatureValid && !signedBy(w, d.Raw, name, "ed25519:"+selfSigning.String(), selfSigning) {
				w.Errorf("I8: %s %s is not cross-signed", name, id)
			}
		}
	}
}

// TestCorporaAreThere: seeds that have vanished would be missed by nobody else.
func TestCorporaAreThere(t *testing.T) {
	for _, target := range []string{"FuzzDeviceKeys", "FuzzCrossSigning", "FuzzKeysQuery"} {
		entries, err := os.ReadDir(filepath.Join("testdata", "fuzz", target))
		if err != nil || len(entries) < 3 {
			t.Errorf("%s has %d seeds: %v", target, len(entries), err)
		}
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join("testdata", "fuzz", target, entry.Name()))
			if err != nil || !strings.HasPrefix(string(content), "go test fuzz v1\n") {
				t.Errorf("%s/%s is not a seed: %v", target, entry.Name(), err)
			}
		}
	}
}
