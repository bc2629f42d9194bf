package signedjson_test

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/signedjson"
)

const sample = `{"s":"te\u0078t","e":"","t":true,"f":false,"i":-12,"o":{"x":{"y":"deep"}},"l":["a","\u0062"],"n":null,"z":[],"nul":"a\u0000b",
	"ln":["\u0000"],"li":["a",1],"big":9007199254740992,"frac":1.0}`

func TestMembersAreRead(t *testing.T) {
	o := parse(t, sample)
	if s, err := o.String("s"); s != "text" || err != nil {
		t.Errorf("String: %q, %v", s, err)
	}
	if s, present, err := o.OptionalString("s"); s != "text" || !present || err != nil {
		t.Errorf("OptionalString: %q, %v, %v", s, present, err)
	}
	if s, present, err := o.OptionalString("e"); s != "" || !present || err != nil {
		t.Errorf("OptionalString of an empty one: %q, %v, %v", s, present, err)
	}
	if s, present, err := o.OptionalString("none"); s != "" || present || err != nil {
		t.Errorf("OptionalString of none: %q, %v, %v", s, present, err)
	}
	if b, err := o.Bool("t"); !b || err != nil {
		t.Errorf("Bool: %v, %v", b, err)
	}
	if b, err := o.Bool("f"); b || err != nil {
		t.Errorf("Bool: %v, %v", b, err)
	}
	if i, err := o.Int("i"); i != -12 || err != nil {
		t.Errorf("Int: %d, %v", i, err)
	}
	inner, err := o.Object("o")
	if err != nil {
		t.Fatal(err)
	}
	if inner, err = inner.Object("x"); err != nil {
		t.Fatal(err)
	}
	if s, err := inner.String("y"); s != "deep" || err != nil || string(inner.Raw()) != `{"y":"deep"}` {
		t.Errorf("deep inside: %q, %v, %s", s, err, inner.Raw())
	}
	if l, err := o.Strings("l"); !slices.Equal(l, []string{"a", "b"}) || err != nil {
		t.Errorf("Strings: %q, %v", l, err)
	}
	if l, err := o.Strings("z"); l == nil || len(l) != 0 || err != nil {
		t.Errorf("Strings of none: %q, %v", l, err)
	}
	if v, present := o.Value("n"); string(v) != "null" || !present {
		t.Errorf("Value: %s, %v", v, present)
	}
	if string(o.Raw()) != sample {
		t.Error("Raw is not what came in")
	}
}

func TestMembersThatAreNotThereOrAreSomethingElse(t *testing.T) {
	o := parse(t, sample)
	read := map[string]func(name string) error{
		"string":   func(name string) error { _, err := o.String(name); return err },
		"optional": func(name string) error { _, _, err := o.OptionalString(name); return err },
		"bool":     func(name string) error { _, err := o.Bool(name); return err },
		"int":      func(name string) error { _, err := o.Int(name); return err },
		"object":   func(name string) error { _, err := o.Object(name); return err },
		"strings":  func(name string) error { _, err := o.Strings(name); return err },
	}
	right := map[string]string{"string": "s", "optional": "s", "bool": "t", "int": "i", "object": "o", "strings": "l"}
	for reader, f := range read {
		if err := f("none"); code(err) != signedjson.CodeMissingMember && reader != "optional" {
			t.Errorf("%s of none: %v", reader, err)
		}
		for other, name := range right {
			if name == right[reader] {
				continue
			}
			if err := f(name); code(err) != signedjson.CodeWrongType || !strings.Contains(err.Error(), name+": expected ") {
				t.Errorf("%s of %s: %v", reader, other, err)
			}
		}
		if err := f("n"); code(err) != signedjson.CodeWrongType {
			t.Errorf("%s of null: %v", reader, err)
		}
	}
	for name, c := range map[string]struct{ reader, member, code string }{
		"NUL in a string":          {"string", "nul", signedjson.CodeNULCharacter},
		"NUL in an optional one":   {"optional", "nul", signedjson.CodeNULCharacter},
		"NUL in a list":            {"strings", "ln", signedjson.CodeNULCharacter},
		"number in a list":         {"strings", "li", signedjson.CodeWrongType},
		"integer beyond precision": {"int", "big", signedjson.CodeBadNumber},
		"fraction":                 {"int", "frac", signedjson.CodeBadNumber},
	} {
		if err := read[c.reader](c.member); code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRangeGoesInWrittenOrderUntilToldToStop(t *testing.T) {
	o := parse(t, ` { "b" : [ 1 , 2 ] , "\u0061" : "x" , "__proto__" : { } } `)
	var all []string
	o.Range(func(name string, value jsontext.Value) bool {
		all = append(all, name+"="+string(value))
		return true
	})
	if want := []string{"b=[ 1 , 2 ]", `a="x"`, "__proto__={ }"}; !slices.Equal(all, want) || o.Len() != 3 {
		t.Errorf("got %q, Len %d", all, o.Len())
	}
	count := 0
	o.Range(func(string, jsontext.Value) bool { count++; return false })
	if count != 1 {
		t.Errorf("%d calls", count)
	}
}

// T49: limits are kept before work is done.
func TestLimits(t *testing.T) {
	fill := func(size int) []byte {
		return []byte(`{"a":"` + strings.Repeat("x", size-8) + `"}`)
	}
	if _, err := signedjson.Parse(fill(signedjson.MaxSize)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, err := signedjson.Parse(fill(signedjson.MaxSize + 1)); code(err) != signedjson.CodeTooLarge {
		t.Errorf("beyond it: %v", err)
	}
	if _, err := signedjson.ParseLimit(fill(signedjson.MaxSize+1), signedjson.MaxSize+1); err != nil {
		t.Errorf("another limit: %v", err)
	}
	// A million brackets: refused without following them down.
	if _, err := signedjson.ParseLimit(bytes.Repeat([]byte("["), 1<<20), 1<<20); code(err) != signedjson.CodeTooDeep {
		t.Errorf("a million brackets: %v", err)
	}
	if _, err := signedjson.ParseLimit(bytes.Repeat([]byte(`{"a":`), 1<<18), 2<<20); code(err) != signedjson.CodeTooDeep {
		t.Errorf("a quarter million objects: %v", err)
	}
	// Brackets in strings, and many brackets side by side, are not depth.
	if _, err := signedjson.Parse([]byte(`{"a":"` + strings.Repeat(`[{\"`, 100) + `","b":[` + strings.Repeat("[],", 100) + `[]]}`)); err != nil {
		t.Errorf("brackets in a string: %v", err)
	}
}

// T51: readers that ignore case take one name for another.
func TestCaseVariants(t *testing.T) {
	known := []string{"user_id", "device_id", "algorithms", "keys", "signatures"}
	for _, name := range []string{"User_ID", "USER_ID", "device_Id", "Keys", "\u212aeys", "key\u017f", "\u017fignatureſ", `\u004beys`} {
		err := parse(t, `{"user_id":1,"`+name+`":2}`).RefuseVariants(known...)
		if code(err) != signedjson.CodeCaseVariantMember {
			t.Errorf("%s: %v", name, err)
		} else if member := err.(*signedjson.Error).Member; !slices.Contains(known, member) {
			t.Errorf("%s: the error names %q", name, member)
		}
	}
	if err := parse(t, `{"user_id":1,"device_id":2,"keys":{"Keys":3},"user-id":4,"userid":5,"key":6,"keyss":7,"_keys":8,"":9,"ΚEYS":10}`).RefuseVariants(known...); err != nil {
		t.Errorf("other names: %v", err)
	}
}

// An object may hold a session key: nothing of it is printed.
func TestObjectsAreNotPrinted(t *testing.T) {
	o := parse(t, `{"session_key":"AgAAhidden"}`)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, value := range []any{o, []*signedjson.Object{o}, struct{ O *signedjson.Object }{o}} {
			text := fmt.Sprintf(verb, value)
			if strings.Contains(text, "hidden") || strings.Contains(text, fmt.Sprintf("%x", "hidden")) {
				t.Errorf("%s prints %s", verb, text)
			}
		}
	}
}

// Errors say where and what kind, never what was written there.
func TestErrorsRepeatNothing(t *testing.T) {
	for _, text := range []string{
		`{"a":"plaintext"`, `{"plaintext":1,"plaintext":2}`, `{"a":"plaintext\ud800"}`, `{"a":plaintext}`, `"plaintext"`, `{"plaintext":1.5}`,
	} {
		_, err := canonicalise([]byte(text))
		if err == nil || strings.Contains(err.Error(), "plain") || !strings.Contains(err.Error(), code(err)) {
			t.Errorf("%s: %v", text, err)
		}
	}
	_, err := signedjson.Parse([]byte(`{"a":1,]`))
	if refused := err.(*signedjson.Error); refused.Offset != 7 {
		t.Errorf("offset %d", refused.Offset)
	}
}

func TestWriter(t *testing.T) {
	dst := []byte("{")
	dst = signedjson.AppendString(signedjson.AppendName(dst, "a"), "\"\\\n\x01<日{")
	dst = signedjson.AppendInt(signedjson.AppendName(dst, "b"), -9007199254740991)
	dst = append(signedjson.AppendName(dst, "c"), '[')
	for _, value := range []bool{true, false} {
		dst = signedjson.AppendBool(signedjson.AppendComma(dst), value)
	}
	dst = append(dst, ']')
	dst = append(signedjson.AppendName(dst, "d"), "{}"...)
	dst = append(signedjson.AppendName(dst, "e"), '{')
	dst = signedjson.AppendString(signedjson.AppendName(dst, "\u212a"), "\xff")
	dst = append(dst, "}}"...)
	const want = `{"a":"\"\\\n\u0001<日{","b":-9007199254740991,"c":[true,false],"d":{},"e":{"` + "\u212a\":\"\ufffd" + `"}}`
	if string(dst) != want {
		t.Errorf("got  %s\nwant %s", dst, want)
	}
	if canonical, err := canonicalise(dst); err != nil || !bytes.Equal(canonical, dst) {
		t.Errorf("what is written in order is not canonical: %s, %v", canonical, err)
	}
}

// FuzzParseObject: accepted means that jsontext accepts it, that every member is found again by its name, and that a walk sees the same
// members; and whatever is read, nothing panics.
func FuzzParseObject(f *testing.F) {
	f.Fuzz(func(t *testing.T, raw []byte, name string) {
		walked := map[string][]byte{}
		whole := signedjson.EachMember(raw, func(quoted []byte, value jsontext.Value) bool {
			name, _ := signedjson.Unquote(quoted)
			walked[name] = value
			signedjson.EachMember(value, func([]byte, jsontext.Value) bool { return true })
			signedjson.Parse(value)
			return true
		})
		o, err := signedjson.Parse(raw)
		if err != nil {
			if code(err) == err.Error() {
				t.Fatalf("not an error of ours: %v", err)
			}
			return
		}
		if !jsontext.Value(raw).IsValid() || jsontext.Value(raw).Kind() != '{' {
			t.Fatal("accepted what jsontext refuses")
		}
		if !whole || len(walked) != o.Len() {
			t.Fatalf("a walk sees %d members of %d", len(walked), o.Len())
		}
		count := 0
		o.Range(func(name string, value jsontext.Value) bool {
			count++
			found, present := o.Value(name)
			outside, also := walked[name]
			if !present || !also || !bytes.Equal(found, value) || !bytes.Equal(outside, value) || !value.IsValid() {
				t.Fatalf("member %q: %s, %s and %s", name, value, found, outside)
			}
			readEverything(o, name)
			return true
		})
		if count != o.Len() {
			t.Fatalf("%d members, Len %d", count, o.Len())
		}
		readEverything(o, name)
	})
}

func readEverything(o *signedjson.Object, name string) {
	o.String(name)
	o.OptionalString(name)
	o.Bool(name)
	o.Int(name)
	o.Strings(name)
	o.RefuseVariants("keys", "signatures")
	o.Signature("@a:b", "ed25519:X")
	if inner, err := o.Object(name); err == nil {
		inner.Canonical()
	}
}

// A fuzz test whose seeds are gone passes all the same: this one does not.
func TestFuzzCorporaAreThere(t *testing.T) {
	for _, name := range []string{"FuzzCanonicalJSON", "FuzzParseObject"} {
		if entries, err := os.ReadDir("testdata/fuzz/" + name); err != nil || len(entries) < 8 {
			t.Errorf("%s: %d seeds, %v", name, len(entries), err)
		}
	}
}
