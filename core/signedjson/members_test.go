package signedjson_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/signedjson"
)

// T49: given an answer in which some users' parts are broken, when it is walked, then each part is judged on its own.
func TestOneBadPartDoesNotCostTheOthers(t *testing.T) {
	answer := ` { "@ok:a" : {"n":1} , "@deep:a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) +
		`,"@twice:a":{"n":1,"n":2},"@utf8:a":{"s":"` + "\xff" + `"},"@syntax:a":{"n":tru,},"@number:a":7,"@last:a":{"n":2},"@last:a":{}} `
	want := map[string]string{
		"@ok:a": "", "@last:a": "",
		"@deep:a": signedjson.CodeTooDeep, "@twice:a": signedjson.CodeDuplicateMember, "@utf8:a": signedjson.CodeBadUTF8,
		"@syntax:a": signedjson.CodeBadJSON, "@number:a": signedjson.CodeWrongType,
	}
	var order []string
	whole := signedjson.EachMember([]byte(answer), func(quoted []byte, value jsontext.Value) bool {
		name, ok := signedjson.Unquote(quoted)
		if !ok {
			t.Errorf("%s is no name", quoted)
		}
		order = append(order, name)
		if _, err := signedjson.Parse(value); code(err) != want[name] {
			t.Errorf("%s: %v", name, err)
		}
		return true
	})
	if !whole || len(order) != len(want)+1 || order[0] != "@ok:a" || !slices.Contains(order, "@last:a") {
		t.Errorf("whole %v, order %q", whole, order)
	}
	stopped := 0
	if !signedjson.EachMember([]byte(answer), func([]byte, jsontext.Value) bool { stopped++; return false }) || stopped != 1 {
		t.Errorf("%d calls", stopped)
	}
}

func TestWalksOverWhatIsNoObject(t *testing.T) {
	for _, text := range []string{
		`[]`, `null`, ``, ` `, `x`, `{`, `{"a"`, `{"a`, `{"a":`, `{"a":"b`, `{"a":[1`, `{"a":["`, `{"a":1`, `{"a":,"b":1}`, `{"a":1,`, `{"a":1,}`,
		`{,"a":1}`, `{"a":1 "b":2}`, `{"a" 1}`, `{a:1}`, `{}}`, `{"a":1}{}`, `{"a":1]`, "\xef\xbb\xbf{}",
	} {
		if signedjson.EachMember([]byte(text), func([]byte, jsontext.Value) bool { return true }) {
			t.Errorf("%q was taken for an object", text)
		}
	}
	for _, text := range []string{`{}`, ` { } `, `{"a":1}`, "\n{\"a\" :\t[1,{\"b\":\"}\"}] , \"c\":\"\\\"\"}\r"} {
		if !signedjson.EachMember([]byte(text), func([]byte, jsontext.Value) bool { return true }) {
			t.Errorf("%q was not walked to its end", text)
		}
	}
}

func TestUnquote(t *testing.T) {
	for quoted, want := range map[string]string{`"plain"`: "plain", `""`: "", `"\u0061\n"`: "a\n", `"é"`: "é"} {
		if got, ok := signedjson.Unquote([]byte(quoted)); !ok || got != want {
			t.Errorf("%s: %q, %v", quoted, got, ok)
		}
	}
	for _, quoted := range []string{`"\x"`, "\"\xff\"", "\"\n\"", `"\ud800"`} {
		if got, ok := signedjson.Unquote([]byte(quoted)); ok {
			t.Errorf("%q is %q", quoted, got)
		}
	}
}
