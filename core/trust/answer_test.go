package trust_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/testkit"
	"knownsender/core/trust"
)

// Answers that are not what they should be: T49. The rest of the answer is always taken.

func TestAnswerAsAWhole(t *testing.T) {
	for _, c := range []struct{ name, raw, code string }{
		{"empty", "", trust.CodeBadAnswer},
		{"not an object", "[]", trust.CodeBadAnswer},
		{"a string", `"device_keys"`, trust.CodeBadAnswer},
		{"cut off", `{"device_keys":{"@a:b":{`, trust.CodeBadAnswer},
		{"cut off in a string", `{"device_keys":{"@a:b`, trust.CodeBadAnswer},
		{"cut off behind a backslash", `{"device_keys":"\`, trust.CodeBadAnswer},
		{"cut off behind a name", `{"device_keys"`, trust.CodeBadAnswer},
		{"cut off behind a colon", `{"device_keys":`, trust.CodeBadAnswer},
		{"cut off behind a value", `{"device_keys":{}`, trust.CodeBadAnswer},
		{"cut off in a number", `{"device_keys":1`, trust.CodeBadAnswer},
		{"cut off behind a comma", `{"device_keys":{},`, trust.CodeBadAnswer},
		{"a comma too many", `{"device_keys":{},}`, trust.CodeBadAnswer},
		{"no comma", `{"device_keys":{} "master_keys":{}}`, trust.CodeBadAnswer},
		{"no value", `{"device_keys":,"master_keys":{}}`, trust.CodeBadAnswer},
		{"no colon", `{"device_keys" {}}`, trust.CodeBadAnswer},
		{"a name that is none", `{device_keys:{}}`, trust.CodeBadAnswer},
		{"something behind it", `{}{}`, trust.CodeBadAnswer},
		{"something behind members", `{"a":1}x`, trust.CodeBadAnswer},
		{"T51: a byte order mark", "\uFEFF{}", trust.CodeBadAnswer},
		{"T51: devices twice", `{"device_keys":{},"device_keys":{}}`, trust.CodeDuplicateMember},
		{"T51: master keys twice, once with an escape", `{"master_keys":{},"\u006daster_keys":{}}`, trust.CodeDuplicateMember},
		{"too large", `{"x":"` + strings.Repeat("x", trust.DefaultLimits.Bytes) + `"}`, trust.CodeAnswerTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := trust.ParseAnswer([]byte(c.raw), trust.DefaultLimits)
			var failed *trust.AnswerError
			if !errors.As(err, &failed) || failed.ErrorCode() != c.code || failed.Error() == "" {
				t.Errorf("%v, want %s", err, c.code)
			}
		})
	}
}

func TestAnswerInParts(t *testing.T) {
	for _, c := range []struct {
		name    string
		replace [2]string // in an answer that lists Alice and Zoe
		codes   []string
		alice   bool // Alice's device is taken all the same
	}{
		{"nothing", [2]string{"", ""}, nil, true},
		{"a user id that is none", [2]string{`"device_keys":{`, `"device_keys":{"alice":{},`}, []string{ids.CodeBadUserID}, true},
		{"a user id of 10 MB", [2]string{`"device_keys":{`, `"device_keys":{"@` + strings.Repeat("x", 10<<20) + `:x":{},`}, []string{ids.CodeBadUserID}, true},
		{"a user id with half a surrogate pair", [2]string{`"device_keys":{`, `"device_keys":{"@\ud800:x":{},`}, []string{ids.CodeBadUserID}, true},
		{"a user id that is no UTF-8", [2]string{`"device_keys":{`, `"device_keys":{"@` + "\xff" + `:x":{},`}, []string{ids.CodeBadUserID}, true},
		{"a user id with a control character", [2]string{`"device_keys":{`, `"device_keys":{"@` + "\n" + `:x":{},`}, []string{ids.CodeBadUserID}, true},
		{"the first device twice", [2]string{`{"PHONE":`, `{"PHONE":{},"PHONE":`}, []string{trust.CodeDuplicateMember}, false},
		{"a device id that is none", [2]string{`{"PHONE":`, `{"":{},"PHONE":`}, []string{ids.CodeBadDeviceID}, true},
		{"devices that are an array", [2]string{`"@alice:example.org":{"PHONE"`, `"@alice:example.org":[],"@b:x":{"PHONE"`}, []string{trust.CodeBadUserEntry, trust.CodeDeviceUserMismatch}, false},
		{"devices that are null", [2]string{`"@alice:example.org":{"PHONE"`, `"@alice:example.org":null,"@b:x":{"PHONE"`}, []string{trust.CodeBadUserEntry, trust.CodeDeviceUserMismatch}, false},
		{"devices that break off", [2]string{`{"PHONE":`, `{"X" {},"PHONE":`}, []string{trust.CodeBadUserEntry}, false},
		{"a user twice", [2]string{`"@alice:example.org":{"PHONE"`, `"@alice:example.org":{},"@alice:example.org":{"PHONE"`}, []string{trust.CodeDuplicateMember}, false},
		{"a user three times, spelt otherwise", [2]string{`"@alice:example.org":{"PHONE"`, `"@alice:example.org":{},"@alice:\u0065xample.org":{},"@alice:example.org":{"PHONE"`}, []string{trust.CodeDuplicateMember}, false},
		{"master keys are an array", [2]string{`"master_keys":{`, `"master_keys":[],"x":{`}, []string{trust.CodeBadSection, trust.CodeIdentityIncomplete}, true},
		{"failures is a number", [2]string{`"failures":{}`, `"failures":1`}, []string{trust.CodeBadSection}, true},
		{"failures breaks off", [2]string{`"failures":{}`, `"failures":{"x"}`}, []string{trust.CodeBadSection}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			alice, zoe := w.user("alice"), w.user("zoe")
			alice.Device("PHONE").CrossSigned()
			phone := zoe.Device("PHONE").CrossSigned()
			raw := bytes.Replace(w.kit.KeysQuery(alice, zoe), []byte(c.replace[0]), []byte(c.replace[1]), 1)
			w.answer(raw, 0)
			w.wantCodes(c.codes...)
			w.device(phone)
			if _, known := w.index.Device("@alice:example.org", "PHONE"); known != c.alice {
				t.Errorf("Alice's device is known: %v", known)
			}
			for _, problem := range w.change.Problems {
				if len(problem.UserID) > 3*ids.MaxLength || len(problem.DeviceID) > 3*ids.MaxLength {
					t.Error("a problem repeats what is too long")
				}
			}
		})
	}
}

func TestBrokenListDeletesNothing(t *testing.T) {
	w := newWorld(t)
	alice := w.user("alice")
	phone := alice.Device("PHONE")
	w.learn(alice)
	w.track(alice)
	for _, list := range []string{`[]`, `null`, `1`, `{"X" 1}`, `{},"@alice:example.org":{}`} {
		w.answer([]byte(`{"device_keys":{"@alice:example.org":`+list+`}}`), w.index.BeginQuery(names(alice)).Sequence)
		w.device(phone)
		if !w.index.DeviceListOutdated(ids.UserID(alice.ID)) {
			t.Errorf("%s brings the list up to date", list)
		}
	}
	w.answer([]byte(`{"device_keys":{"@alice:example.org":{}}}`), 0) // an empty list is a list
	w.wantUnknown(alice, "PHONE")
}

func TestAnswerUsers(t *testing.T) {
	kit := testkit.New(t.Name())
	zoe, alice := kit.User("@zoe:x"), kit.User("@alice:x").WithoutIdentity()
	object := kit.KeysQueryObject(zoe, alice)
	object["self_signing_keys"].(map[string]any)["@only-a-key:x"] = nil
	answer, err := trust.ParseAnswer(testkit.JSON(object), trust.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(answer.Users()); got != "[@alice:x @only-a-key:x @zoe:x]" || len(answer.Problems()) != 0 {
		t.Error(got)
	}
}

// Given an answer about five users, when it is taken in parts of two, then each says of its users what the whole does, and the first what is wrong
// with the whole. An answer about nobody is one part.
func TestAnswerInPartsOfSoManyUsers(t *testing.T) {
	raw := `{"failures":{"far.example":{}},"master_keys":7,"device_keys":{"@a:x":{},"@b:x":{},"@c:x":{},"@d:x":{},"@e:far.example":{}}}`
	answer, err := trust.ParseAnswer([]byte(raw), trust.DefaultLimits)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	var said []string
	for _, part := range answer.Parts(2) {
		application, err := w.index.Prepare(part, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		said = append(said, fmt.Sprint(part.Users(), codes(application.Finish(nil))))
	}
	want := []string{"[@a:x @b:x] [bad_section]", "[@c:x @d:x] []", "[@e:far.example] [server_failed]"}
	if !slices.Equal(said, want) {
		t.Errorf("%q, want %q", said, want)
	}
	if nobody, err := trust.ParseAnswer([]byte(`{"master_keys":7}`), trust.DefaultLimits); err != nil || len(nobody.Parts(2)) != 1 || len(nobody.Parts(2)[0].Problems()) != 1 {
		t.Errorf("an answer about nobody: %v", err)
	}
}
