package signedjson_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/signedjson"
)

func TestSignaturePresence(t *testing.T) {
	const good = "PVPiNmcFv+CAJvUQ4fa6/Xdu04GkY5NAx8q/er+9De/lEQdAci5dL6Ec+mQEfXHDJMnnTEXWBedJ2QCsNlIgCQ"
	of := func(value string) string {
		return `{"signatures":{"@b:x":{},"@a:x":{"ed25519:B":1,"ed25519:A":` + value + `}}}`
	}
	for name, c := range map[string]struct {
		text     string
		presence signedjson.Presence
		code     string
	}{
		"there":                  {of(`"` + good + `"`), signedjson.Present, ""},
		"there, with an escape":  {of(`"\u0050` + good[1:] + `"`), signedjson.Present, ""},
		"no signatures":          {`{}`, signedjson.Absent, ""},
		"none by that user":      {`{"signatures":{"@b:x":{"ed25519:A":"` + good + `"}}}`, signedjson.Absent, ""},
		"none by that key":       {`{"signatures":{"@a:x":{"ed25519:a":"` + good + `"}}}`, signedjson.Absent, ""},
		"signatures a list":      {`{"signatures":[]}`, signedjson.Absent, signedjson.CodeBadSignature},
		"signatures null":        {`{"signatures":null}`, signedjson.Absent, signedjson.CodeBadSignature},
		"the user's part a text": {`{"signatures":{"@a:x":"` + good + `"}}`, signedjson.Absent, signedjson.CodeBadSignature},
		"a number":               {of(`1`), signedjson.Absent, signedjson.CodeBadSignature},
		"null":                   {of(`null`), signedjson.Absent, signedjson.CodeBadSignature},
		"empty":                  {of(`""`), signedjson.Absent, signedjson.CodeBadSignature},
		"padded":                 {of(`"` + good + `=="`), signedjson.Absent, signedjson.CodeBadSignature},
		"spare bits":             {of(`"` + good[:85] + `R"`), signedjson.Absent, signedjson.CodeBadSignature},
		"a line end":             {of(`"` + good + `\n"`), signedjson.Absent, signedjson.CodeBadSignature},
	} {
		signature, presence, err := parse(t, c.text).Signature("@a:x", "ed25519:A")
		if presence != c.presence || code(err) != c.code {
			t.Errorf("%s: %v, %v", name, presence, err)
		}
		if want := map[bool]string{true: good}[presence == signedjson.Present]; want != "" && signature.String() != want || want == "" && signature != (keys.Signature{}) {
			t.Errorf("%s: %s", name, signature)
		}
	}
}

// answer is a recorded /keys/query answer.
type answer struct {
	DeviceKeys      map[ids.UserID]map[ids.DeviceID]json.RawMessage `json:"device_keys"`
	MasterKeys      map[ids.UserID]json.RawMessage                  `json:"master_keys"`
	SelfSigningKeys map[ids.UserID]json.RawMessage                  `json:"self_signing_keys"`
	UserSigningKeys map[ids.UserID]json.RawMessage                  `json:"user_signing_keys"`
}

// verify asks whether key, of that user and key id, signed the object.
func verify(t *testing.T, o *signedjson.Object, user ids.UserID, keyID, key string) bool {
	t.Helper()
	signature, presence, err := o.Signature(user, keyID)
	if err != nil {
		t.Fatalf("%s %s: %v", user, keyID, err)
	}
	if presence == signedjson.Absent {
		return false
	}
	public, err := keys.ParseEd25519(key)
	if err != nil {
		t.Fatal(err)
	}
	message, err := o.SignedBytes()
	if err != nil {
		t.Fatal(err)
	}
	check := keys.Check{Key: public, Signature: signature, Message: message}
	return check.Verify()
}

// onlyKey is the one key of a cross-signing object.
func onlyKey(t *testing.T, o *signedjson.Object) string {
	t.Helper()
	list, err := o.Object("keys")
	if err != nil || list.Len() != 1 {
		t.Fatalf("%d keys, %v", list.Len(), err)
	}
	key := ""
	list.Range(func(name string, _ jsontext.Value) bool {
		key = strings.TrimPrefix(name, "ed25519:")
		return true
	})
	if value, err := list.String("ed25519:" + key); err != nil || value != key {
		t.Fatalf("key %q under the name of %q, %v", value, key, err)
	}
	return key
}

// T52: what real clients signed verifies as it was received, `unsigned` members and all, and nothing else does.
func TestRecordedKeysVerify(t *testing.T) {
	for file, want := range map[string]struct{ devices, crossSigned, selfSigned, identities int }{
		"js-sdk/keys-query-response.json":          {2, 2, 2, 2},
		"js-sdk/a-unsigned-device.keys-query.json": {1, 0, 1, 0},
		"js-sdk/b-signed-device.keys-query.json":   {1, 1, 1, 1},
		"mautrix/MX1-keys-query.json":              {1, 0, 1, 0},
	} {
		t.Run(file, func(t *testing.T) {
			raw, err := os.ReadFile("../testdata/recorded/" + file)
			if err != nil {
				t.Fatal(err)
			}
			var recorded answer
			if err := json.Unmarshal(raw, &recorded); err != nil {
				t.Fatal(err)
			}
			got := struct{ devices, crossSigned, selfSigned, identities int }{}
			ssk := map[ids.UserID]string{}
			for user, part := range recorded.SelfSigningKeys {
				master, self := parse(t, string(recorded.MasterKeys[user])), parse(t, string(part))
				msk := onlyKey(t, master)
				ssk[user] = onlyKey(t, self)
				if !verify(t, self, user, "ed25519:"+msk, msk) {
					t.Errorf("%s: the self-signing key is not signed by the master key", user)
				}
				if other := parse(t, string(part)+" "); verify(t, other, user, "ed25519:"+msk, ssk[user]) {
					t.Errorf("%s: verified with another key", user)
				}
				if part, ok := recorded.UserSigningKeys[user]; ok {
					if !verify(t, parse(t, string(part)), user, "ed25519:"+msk, msk) {
						t.Errorf("%s: the user-signing key is not signed by the master key", user)
					}
				}
				got.identities++
			}
			for user, devices := range recorded.DeviceKeys {
				for id, part := range devices {
					got.devices++
					device := parse(t, string(part))
					list, err := device.Object("keys")
					if err != nil {
						t.Fatal(err)
					}
					key, err := list.String("ed25519:" + string(id))
					if err != nil {
						t.Fatal(err)
					}
					if verify(t, device, user, "ed25519:"+string(id), key) {
						got.selfSigned++
					}
					if ssk[user] != "" && verify(t, device, user, "ed25519:"+ssk[user], ssk[user]) {
						got.crossSigned++
					}
					// A display name may change on the way, an algorithm may not.
					renamed := parse(t, strings.Replace(string(part), `"device_display_name": "`, `"device_display_name": "My `, 1))
					if string(renamed.Raw()) == string(part) || !verify(t, renamed, user, "ed25519:"+string(id), key) {
						t.Error("another display name breaks the signature")
					}
					changed := parse(t, strings.Replace(string(part), "m.olm.v1", "m.olm.v2", 1))
					if verify(t, changed, user, "ed25519:"+string(id), key) {
						t.Error("another algorithm does not break the signature")
					}
					extra := parse(t, strings.Replace(string(part), "{", `{"org.example.extra":1,`, 1))
					if verify(t, extra, user, "ed25519:"+string(id), key) {
						t.Error("an extra member does not break the signature")
					}
				}
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
