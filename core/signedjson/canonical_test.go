package signedjson_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"knownsender/core/signedjson"
)

// code is the code of a refusal, "" for none; anything but an *Error is told by its text.
func code(err error) string {
	var refused *signedjson.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &refused):
		return refused.ErrorCode()
	}
	return err.Error()
}

func parse(t testing.TB, text string) *signedjson.Object {
	t.Helper()
	object, err := signedjson.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return object
}

// T51: the vectors, shared with the TypeScript tests: an input and either its canonical form or why it is refused.
func TestCanonicalJSONVectors(t *testing.T) {
	file, err := os.ReadFile("../testdata/canonicaljson.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name      string
		Input     string
		InputHex  string `json:"input_hex"`
		Canonical string
		Error     string
	}
	if err := json.Unmarshal(file, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 92 {
		t.Errorf("%d vectors, expected 92", len(vectors))
	}
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			input := []byte(v.Input)
			if v.InputHex != "" {
				input, _ = hex.DecodeString(v.InputHex)
			}
			canonical, err := canonicalise(input)
			if code(err) != v.Error || string(canonical) != v.Canonical {
				t.Fatalf("got %s, %v\nwant %s %s", canonical, err, v.Canonical, v.Error)
			}
			if err == nil {
				if again, err := canonicalise(canonical); err != nil || !bytes.Equal(again, canonical) {
					t.Errorf("once more gives %s, %v", again, err)
				}
			}
		})
	}
}

func canonicalise(input []byte) ([]byte, error) {
	object, err := signedjson.Parse(input)
	if err != nil {
		return nil, err
	}
	return object.Canonical()
}

// T52: members nobody knows are signed like all others; only `signatures` and `unsigned` are not, and only the outermost ones.
func TestSignedBytes(t *testing.T) {
	object := parse(t, `{"unsigned":{"n":1.5},"z":{"unsigned":1,"signatures":2},"signatures":{"@a:b":{}},"org.example.extra":[true],"Unsigned":3}`)
	const want = `{"Unsigned":3,"org.example.extra":[true],"z":{"signatures":2,"unsigned":1}}`
	first, err := object.SignedBytes()
	if err != nil || string(first) != want {
		t.Fatalf("got %s, %v", first, err)
	}
	second, _ := object.SignedBytes()
	if &second[0] != &first[0] {
		t.Error("made twice")
	}
	// What is not signed is not judged by the rules of what is; the whole object is.
	if _, err := object.Canonical(); code(err) != signedjson.CodeBadNumber {
		t.Errorf("Canonical: %v", err)
	}
	if _, err := parse(t, `{"a":1.5,"unsigned":{}}`).SignedBytes(); code(err) != signedjson.CodeBadNumber {
		t.Errorf("SignedBytes: %v", err)
	}
}

// The canonical form takes its room once: members of inner objects, however many, do not disturb those of the outer.
func TestCanonicalManyMembersInside(t *testing.T) {
	var inner []string
	for _, c := range "zyxwvutsrqponmlkjihgfedcba" {
		inner = append(inner, `"`+string(c)+`":{"2":[{"b":1,"a":2}],"1":{}}`)
	}
	object := parse(t, `{"c":1,"b":{`+strings.Join(inner, ",")+`},"a":[{"y":1,"x":2},{"w":3}]}`)
	got, err := object.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	// encoding/json sorts the members of a map by their bytes too, and there is nothing here it writes differently.
	var value any
	if err := json.Unmarshal(object.Raw(), &value); err != nil {
		t.Fatal(err)
	}
	if want, _ := json.Marshal(value); !bytes.Equal(got, want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// FuzzCanonicalJSON: the canonical form of the canonical form is itself, means the same, and is what encoding/json would write if it
// did not care for HTML.
func FuzzCanonicalJSON(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte) {
		canonical, err := canonicalise(input)
		if err != nil {
			if code(err) == err.Error() {
				t.Fatalf("not an error of ours: %v", err)
			}
			return
		}
		again, err := canonicalise(canonical)
		if err != nil || !bytes.Equal(again, canonical) {
			t.Fatalf("%q becomes %q and then %q, %v", input, canonical, again, err)
		}
		decoder := json.NewDecoder(bytes.NewReader(input))
		decoder.UseNumber()
		var value any
		if err := decoder.Decode(&value); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %q: %v", input, err)
		}
		var second bytes.Buffer
		encoder := json.NewEncoder(&second)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(value); err != nil {
			t.Fatal(err)
		}
		// encoding/json escapes the two line separators even so.
		want := strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(strings.TrimSuffix(second.String(), "\n"))
		if string(canonical) != want {
			t.Fatalf("%q\ngives %q\n want %q", input, canonical, want)
		}
	})
}
