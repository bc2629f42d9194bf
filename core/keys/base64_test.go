package keys_test

import (
	"bytes"
	"encoding/base64"
	"math/rand/v2"
	"strings"
	"testing"

	"knownsender/core/keys"
)

// standard decodes with the Go library, made as strict as it can be and then stricter: it skips line ends even then.
func standard(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	decoded, err := base64.RawStdEncoding.Strict().DecodeString(text)
	return decoded, err == nil
}

func sameAsStandard(t *testing.T, text string) {
	t.Helper()
	want, ok := standard(text)
	got, err := keys.DecodeBase64(text)
	if (err == nil) != ok || !bytes.Equal(got, want) && ok {
		t.Fatalf("DecodeBase64(%q) = %x, %v; the standard library: %x, %v", text, got, err, want, ok)
	}
	if err == nil && string(keys.EncodeBase64(nil, got)) != text {
		t.Fatalf("%q does not come back as it was", text)
	}
}

func TestBase64EqualsStandardLibraryOverAllPairs(t *testing.T) {
	for pair := range 1 << 16 {
		two := string([]byte{byte(pair >> 8), byte(pair)})
		for _, text := range []string{two, "z" + two, two + "A", two + "9/", "+" + two + "Q"} {
			sameAsStandard(t, text)
		}
		src := []byte(two)
		for _, src := range [][]byte{src, append(src, 0x5a), src[1:]} {
			if got, want := string(keys.EncodeBase64(nil, src)), base64.RawStdEncoding.EncodeToString(src); got != want {
				t.Fatalf("EncodeBase64(%x) = %q, want %q", src, got, want)
			}
		}
	}
}

func TestBase64EqualsStandardLibraryOnRandomData(t *testing.T) {
	random := rand.NewChaCha8([32]byte{32})
	for length := range 400 {
		data := make([]byte, length)
		random.Read(data)
		text := base64.RawStdEncoding.EncodeToString(data)
		if got := string(keys.EncodeBase64([]byte("before"), data)); got != "before"+text {
			t.Fatalf("EncodeBase64 of %d bytes differs", length)
		}
		sameAsStandard(t, text)
		if length == 0 {
			continue
		}
		broken := []byte(text)
		broken[int(random.Uint64()%uint64(len(broken)))] = byte(random.Uint64())
		sameAsStandard(t, string(broken))
	}
}

// T32: one canonical form only.
func TestBase64Strictness(t *testing.T) {
	for name, text := range map[string]string{
		"padding":                  "Zg==",
		"padding, one":             "Zm8=",
		"padding after full group": "Zm9v=",
		"newline inside":           "Zm\n9v",
		"newline at the end":       "Zm9v\n",
		"carriage return":          "Zm9v\r\n",
		"space":                    " Zm9v",
		"tab":                      "Zm9v\t",
		"NUL":                      "Zm9v\x00",
		"URL alphabet, -":          "Zm9-",
		"URL alphabet, _":          "Zm9_",
		"spare bits, two symbols":  "Zh",
		"spare bits, three":        "Zm9",
		"spare bits, lowest":       "AB",
		"six bits over":            "Zm9vY",
		"one symbol":               "A",
		"high byte":                "Zm9\xf6",
		"high byte, symbol + 128":  "Zm9" + string([]byte{'v' + 128}),
	} {
		if decoded, err := keys.DecodeBase64(text); code(err) != keys.CodeBadBase64 || decoded == nil || len(decoded) != 0 {
			t.Errorf("%s: %q gave %x, %v", name, text, decoded, err)
		}
	}
	// The examples of the specification.
	for text, plain := range map[string]string{"": "", "Zg": "f", "Zm8": "fo", "Zm9v": "foo", "Zm9vYg": "foob", "Zm9vYmE": "fooba", "Zm9vYmFy": "foobar"} {
		if decoded, err := keys.DecodeBase64([]byte(text)); err != nil || string(decoded) != plain {
			t.Errorf("%q gave %q, %v", text, decoded, err)
		}
	}
}

// Given a buffer of the caller's, when the last symbol of a secret is bad, then nothing of the secret stays in the buffer.
func TestFailedDecodingIsWiped(t *testing.T) {
	buffer := make([]byte, 0, 64)
	buffer = append(buffer, "kept"...)
	got, err := keys.AppendDecode(buffer, strings.Repeat("c2VjcmV0", 5)+"c2V!")
	if code(err) != keys.CodeBadBase64 || string(got) != "kept" {
		t.Fatalf("got %q, %v", got, err)
	}
	if rest := buffer[len(buffer):cap(buffer)]; !bytes.Equal(rest, make([]byte, len(rest))) {
		t.Errorf("left behind: %q", rest)
	}
	got, err = keys.AppendDecode(buffer, "c2VjcmV0")
	if err != nil || string(got) != "keptsecret" || &got[0] != &buffer[0] {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzBase64(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		sameAsStandard(t, text)
		if got, want := string(keys.EncodeBase64(nil, []byte(text))), base64.RawStdEncoding.EncodeToString([]byte(text)); got != want {
			t.Fatalf("EncodeBase64(%q) = %q, want %q", text, got, want)
		}
	})
}

// What the symbols are must not show in the time it takes; compare the figures.
func BenchmarkDecodeSessionKey(b *testing.B) {
	for name, run := range map[string]string{"first": "A", "last": "/", "digit": "7", "mixed": "Qz3+"} {
		b.Run(name, func(b *testing.B) {
			text := strings.Repeat(run, 306)[:306] // 229 bytes
			text = text[:305] + "A"                // no spare bits
			dst := make([]byte, 0, 256)
			for b.Loop() {
				if _, err := keys.AppendDecode(dst, text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeKey(b *testing.B) {
	var key keys.Ed25519
	for b.Loop() {
		_ = key.String()
	}
}
