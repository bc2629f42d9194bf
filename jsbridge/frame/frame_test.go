package frame_test

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"knownsender/jsbridge/frame"
)

func TestRoundTrip(t *testing.T) {
	for _, items := range [][][]byte{{}, {{}}, {[]byte("a")}, {{}, []byte("bc"), {}, bytes.Repeat([]byte{7}, 70000)}} {
		buf := frame.Append([]byte("before"), items...)[6:]
		if len(buf) != frame.Size(items...) {
			t.Fatalf("%d bytes, Size says %d", len(buf), frame.Size(items...))
		}
		got, err := frame.Decode(buf)
		if err != nil || len(got) != len(items) {
			t.Fatalf("%d items, %v", len(got), err)
		}
		for i := range items {
			if !bytes.Equal(got[i], items[i]) || got[i] == nil {
				t.Fatalf("item %d: %q", i, got[i])
			}
		}
	}
}

func TestWriterNests(t *testing.T) {
	var w frame.Writer
	for range 2 { // a writer may be used again
		w.Reset()
		w.String("name")
		w.Nest(func() {
			w.Strings([]string{"a", ""})
			w.Nest(func() {})
			w.Uint64(0x0102030405060708)
		})
		w.Bytes(nil)
		inner := frame.AppendStrings(nil, "a", "")
		if !bytes.Equal(inner, frame.Append(nil, []byte("a"), nil)) {
			t.Fatal("strings and bytes are framed differently")
		}
		nested := frame.Append(nil, inner, frame.Append(nil), []byte{8, 7, 6, 5, 4, 3, 2, 1})
		want := frame.Append(nil, []byte("name"), nested, nil)
		if !bytes.Equal(w.Frame(), want) {
			t.Fatalf("got %x\nwant %x", w.Frame(), want)
		}
	}
	if empty := new(frame.Writer).Frame(); !bytes.Equal(empty, frame.Append(nil)) {
		t.Fatalf("an empty writer gives %x", empty)
	}
}

func TestDecodeRefuses(t *testing.T) {
	whole := frame.Append(nil, []byte("abc"), []byte("de"))
	for n := range whole {
		var e *frame.Error
		if _, err := frame.Decode(whole[:n]); !errors.As(err, &e) || e.ErrorCode() != frame.CodeTruncated {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	var e *frame.Error
	if _, err := frame.Decode(append(whole, 0)); !errors.As(err, &e) || e.ErrorCode() != frame.CodeLeftover || e.Offset != len(whole) {
		t.Fatalf("one byte more: %v", err)
	}
	// A count or a length of 4 GiB costs nothing.
	for _, buf := range [][]byte{{255, 255, 255, 255, 0, 0, 0, 0}, {1, 0, 0, 0, 255, 255, 255, 255}} {
		if n := testing.AllocsPerRun(10, func() {
			if _, err := frame.Decode(buf); err == nil {
				t.Fatal("accepted")
			}
		}); n > 3 {
			t.Fatalf("%v allocations", n)
		}
	}
}

func FuzzFrame(f *testing.F) {
	if seeds, err := os.ReadDir("testdata/fuzz/FuzzFrame"); err != nil || len(seeds) == 0 {
		f.Fatalf("the corpus is empty: %v", err)
	}
	f.Fuzz(func(t *testing.T, buf []byte) {
		items, err := frame.Decode(buf)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without a sentence")
			}
			return
		}
		// One spelling only: what decodes is what would be written.
		if again := frame.Append(nil, items...); !bytes.Equal(again, buf) {
			t.Fatalf("%x decodes but is written as %x", buf, again)
		}
	})
}
