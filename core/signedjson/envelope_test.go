package signedjson_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/signedjson"
)

// T49: given an answer in which some users' parts are broken, when it is opened, then each part is judged on its own.
func TestOneBadPartDoesNotCostTheOthers(t *testing.T) {
	answer := ` { "@ok:a" : {"n":1} , "@deep:a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) +
		`,"@twice:a":{"n":1,"n":2},"@utf8:a":{"s":"` + "\xff" + `"},"@syntax:a":{"n":tru,},"@number:a":7,"@last:a":{"n":2}} `
	envelope, err := signedjson.ParseEnvelope([]byte(answer), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"@ok:a": "", "@last:a": "",
		"@deep:a": signedjson.CodeTooDeep, "@twice:a": signedjson.CodeDuplicateMember, "@utf8:a": signedjson.CodeBadUTF8,
		"@syntax:a": signedjson.CodeBadJSON, "@number:a": signedjson.CodeWrongType,
	}
	if envelope.Len() != len(want) {
		t.Errorf("%d parts", envelope.Len())
	}
	var order []string
	envelope.Range(func(name string, value jsontext.Value) bool {
		order = append(order, name)
		if _, err := signedjson.Parse(value); code(err) != want[name] {
			t.Errorf("%s: %v", name, err)
		}
		return name != "@last:a"
	})
	if order[0] != "@ok:a" || !slices.Contains(order, "@last:a") {
		t.Errorf("order %q", order)
	}
	if value, present := envelope.Value("@last:a"); string(value) != `{"n":2}` || !present {
		t.Errorf("Value: %s, %v", value, present)
	}
	if _, present := envelope.Value("@none:a"); present {
		t.Error("found what is not there")
	}
	stopped := 0
	envelope.Range(func(string, jsontext.Value) bool { stopped++; return false })
	if stopped != 1 {
		t.Errorf("%d calls", stopped)
	}
}

func TestEnvelopesThatAreNone(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"\u0061":2}`:           signedjson.CodeDuplicateMember,
		"\xef\xbb\xbf{}":               signedjson.CodeByteOrderMark,
		`[]`:                           signedjson.CodeWrongType,
		`null`:                         signedjson.CodeWrongType,
		``:                             signedjson.CodeBadJSON,
		`x`:                            signedjson.CodeBadJSON,
		`{`:                            signedjson.CodeBadJSON,
		`{"a"`:                         signedjson.CodeBadJSON,
		`{"a`:                          signedjson.CodeBadJSON,
		`{"a":`:                        signedjson.CodeBadJSON,
		`{"a":"b`:                      signedjson.CodeBadJSON,
		`{"a":[1`:                      signedjson.CodeBadJSON,
		`{"a":["`:                      signedjson.CodeBadJSON,
		`{"a":1`:                       signedjson.CodeBadJSON,
		`{"a":,"b":1}`:                 signedjson.CodeBadJSON,
		`{"a":1,`:                      signedjson.CodeBadJSON,
		`{"a":1,}`:                     signedjson.CodeBadJSON,
		`{,"a":1}`:                     signedjson.CodeBadJSON,
		`{"a":1 "b":2}`:                signedjson.CodeBadJSON,
		`{"a" 1}`:                      signedjson.CodeBadJSON,
		`{a:1}`:                        signedjson.CodeBadJSON,
		`{}}`:                          signedjson.CodeBadJSON,
		`{"a":1}{}`:                    signedjson.CodeBadJSON,
		`{"a":1]`:                      signedjson.CodeBadJSON,
		strings.Repeat(" ", 65) + "{}": signedjson.CodeTooLarge,
	} {
		if envelope, err := signedjson.ParseEnvelope([]byte(text), 64); code(err) != want || envelope != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if envelope, err := signedjson.ParseEnvelope([]byte(" { } "), 64); err != nil || envelope.Len() != 0 {
		t.Errorf("empty: %v", err)
	}
}
