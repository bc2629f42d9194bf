package keyfile_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"knownsender/core/keyfile"
)

// split gives the elements of text in pieces of size bytes, and how it ended.
func split(text string, size int) (all []string, err error) {
	var s keyfile.Splitter
	each := func(_ int, raw []byte) error {
		all = append(all, string(raw))
		return nil
	}
	for rest := text; rest != "" && err == nil; {
		n := min(size, len(rest))
		err = s.Write([]byte(rest[:n]), each)
		rest = rest[n:]
	}
	if err == nil {
		err = s.Close()
	}
	return all, err
}

var pieces = []int{1, 2, 3, 5, 7, 16, 1000, 1 << 20}

// The elements of an array come out as they were written, wherever the text was cut (scenario 115).
func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		`[]`:                         nil,
		" \r\n\t[ \n ] ":             nil,
		`[{}]`:                       {`{}`},
		` [ {"a":1} , {"b":[2]} ] `:  {`{"a":1}`, `{"b":[2]}`},
		`[1,"two",null,[3],true]`:    {`1`, `"two"`, `null`, `[3]`, `true`},
		`[1 ,2 ]`:                    {`1`, `2`},
		`["]","[","{","}",",","\""]`: {`"]"`, `"["`, `"{"`, `"}"`, `","`, `"\""`},
		`["\\","\\\"]"]`:             {`"\\"`, `"\\\"]"`},
		`[{"a":"}],\"]"}]`:           {`{"a":"}],\"]"}`},
		`[{"a" : { "b" : [ ] } }]`:   {`{"a" : { "b" : [ ] } }`},
	} {
		for _, size := range pieces {
			if got, err := split(text, size); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s in pieces of %d: %q, %v", text, size, got, err)
			}
		}
		var whole []json.RawMessage
		if err := json.Unmarshal([]byte(text), &whole); err != nil || len(whole) != len(want) {
			t.Errorf("%s: encoding/json says %d, %v", text, len(whole), err)
		}
	}
}

// T40: where the structure can still be followed, what is wrong with one element is that element's affair.
func TestSplitAroundBadElements(t *testing.T) {
	for text, want := range map[string][]string{
		`[{"a":1},nonsense,{"b":2}]`:      {`{"a":1}`, `nonsense`, `{"b":2}`},
		`[{"a":},{"b":2}]`:                {`{"a":}`, `{"b":2}`},
		`[{"a" "b"},{"b":2}]`:             {`{"a" "b"}`, `{"b":2}`},
		`[{"a":1} {"b":2},{"c":3}]`:       {`{"a":1} {"b":2}`, `{"c":3}`},
		`[{"a":1}{"b":2},{"c":3}]`:        {`{"a":1}{"b":2}`, `{"c":3}`},
		`[1 2,3]`:                         {`1 2`, `3`},
		`[{"a":1},,{"b":2}]`:              {`{"a":1}`, ``, `{"b":2}`},
		`[{"a":1},]`:                      {`{"a":1}`, ``},
		`[,]`:                             {``, ``},
		`[{"a":[1}},{"b":2}]`:             {`{"a":[1}}`, `{"b":2}`},
		`[{"a":"` + "\xff\x00" + `"},{}]`: {"{\"a\":\"\xff\x00\"}", `{}`},
		`["a" "b"]`:                       {`"a" "b"`},
		`[:,{}]`:                          {`:`, `{}`},
	} {
		for _, size := range pieces {
			if got, err := split(text, size); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s in pieces of %d: %q, %v", text, size, got, err)
			}
		}
		for _, raw := range want {
			if _, err := keyfile.ParseEntry([]byte(raw)); !strings.HasPrefix(raw, `{"b"`) && raw != `{"a":1}` && raw != `{"c":3}` && raw != `{}` {
				refused[*keyfile.EntryError](t, err, keyfile.CodeBadEntryJSON)
			}
		}
	}
}

// What is no array from end to end is said to be none, where it is at fault, after the elements before that were given out.
func TestSplitWhatIsNoArray(t *testing.T) {
	for _, story := range []struct {
		text   string
		given  int
		offset int64
	}{
		{``, 0, 0},
		{` `, 0, 1},
		{`{}`, 0, 0},
		{`  "a"`, 0, 2},
		{`null`, 0, 0},
		{"\ufeff[]", 0, 0},
		{`[`, 0, 1},
		{`[{"a":1}`, 0, 8},
		{`[{"a":1},`, 1, 9},
		{`[{"a":1},{"b":"`, 1, 15},
		{`[{"a":1},{"b":"\`, 1, 16},
		{`[{"a":1},"`, 1, 10},
		{`[{"a":1},{{{{`, 1, 13},
		{`[{"a":1}}`, 0, 8},
		{`[{"a":1},}]`, 1, 9},
		{`[{"a":1}],`, 1, 9},
		{`[{"a":1}] x`, 1, 10},
		{`[{"a":1}][]`, 1, 9},
		{`[{"a":1}]]`, 1, 9},
		{"[]\x00", 0, 2},
		{`]`, 0, 0},
	} {
		for _, size := range pieces {
			got, err := split(story.text, size)
			refusal := refused[*keyfile.FileError](t, err, keyfile.CodeBadKeyFileJSON)
			if len(got) != story.given || refusal != nil && refusal.Got != story.offset {
				t.Errorf("%q in pieces of %d: %q, %+v", story.text, size, got, refusal)
			}
		}
	}
}

// T49: an element without end takes no more memory than any other, and costs itself; so does one that is nested without end.
func TestSplitElementsWithoutBounds(t *testing.T) {
	long := `{"a":"` + strings.Repeat("x", 3*keyfile.MaxEntry) + `"}`
	deep := strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20)
	just := `"` + strings.Repeat("y", keyfile.MaxEntry-2) + `"`
	for _, size := range []int{1, 1000, 1 << 23} {
		got, err := split(fmt.Sprintf(`[{"a":1},%s,%s,%s%s,{"b":2}]`, long, deep, just, strings.Repeat(" ", 1<<18)), size)
		if err != nil || len(got) != 5 || got[0] != `{"a":1}` || got[4] != `{"b":2}` || got[3] != just {
			t.Fatalf("%d elements, %v", len(got), err)
		}
		for _, raw := range got[1:3] {
			if len(raw) != keyfile.MaxEntry+1 {
				t.Errorf("%d bytes were kept", len(raw))
			}
			_, err := keyfile.ParseEntry([]byte(raw))
			refused[*keyfile.EntryError](t, err, keyfile.CodeEntryTooLarge)
		}
		if _, err := keyfile.ParseEntry([]byte(just)); err == nil || errors.As(err, new(*keyfile.FileError)) {
			t.Errorf("%v", err)
		}
	}
}

// Whoever takes the elements may end the walk; nothing is given out after that, nor after a fault.
func TestSplitIsEnded(t *testing.T) {
	enough := errors.New("enough")
	var s keyfile.Splitter
	n := 0
	each := func(int, []byte) error { n++; return enough }
	if err := s.Write([]byte(`[1,2,3]`), each); err != enough || n != 1 {
		t.Errorf("%d given out, %v", n, err)
	}
	if err := s.Write([]byte(`[4]`), each); err != enough || n != 1 {
		t.Errorf("%d given out, %v", n, err)
	}
	if err := s.Close(); err != enough {
		t.Errorf("%v", err)
	}

	var broken keyfile.Splitter
	if err := broken.Write([]byte(`[1]x`), func(int, []byte) error { return nil }); err == nil {
		t.Error("something behind the array")
	}
	if err := broken.Write([]byte(`[1]`), each); err == nil || n != 1 {
		t.Errorf("%d given out, %v", n, err)
	}
	refused[*keyfile.FileError](t, broken.Close(), keyfile.CodeBadKeyFileJSON)
}

// T56: what was given out is overwritten afterwards, for it held a session key.
func TestSplitterForgets(t *testing.T) {
	var s keyfile.Splitter
	var kept [][]byte
	each := func(_ int, raw []byte) error { kept = append(kept, raw); return nil }
	if err := s.Write([]byte(`["secret one","secret two"`), each); err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]byte(`,"secret three`), each); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err == nil {
		t.Error("cut off")
	}
	for i, raw := range kept {
		if bytes.Contains(raw[:cap(raw)], []byte("secret")) {
			t.Errorf("element %d is still there", i)
		}
	}
}
