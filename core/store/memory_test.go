package store_test

import (
	"testing"
	"unicode/utf16"

	"knownsender/core/store"
	"knownsender/core/store/storetest"
)

func TestMemory(t *testing.T) {
	disks := map[string]*store.Memory{}
	storetest.Run(t, func(_ *testing.T, name string) store.Store {
		if disks[name] == nil {
			disks[name] = store.NewMemory()
		}
		return disks[name].Reopen()
	})
}

// The order of keys is checked against the definition: arrays of UTF-16 code units.
func TestKeyOrderIsUTF16(t *testing.T) {
	parts := []string{"", "a", "ab", "b", "\x00", "é", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010FFFF", "a\ue000", "a\U00010000", "a\U00010000b"}
	units := func(a, b string) int {
		x, y := utf16.Encode([]rune(a)), utf16.Encode([]rune(b))
		for i := range min(len(x), len(y)) {
			if x[i] != y[i] {
				return int(x[i]) - int(y[i])
			}
		}
		return len(x) - len(y)
	}
	sign := func(n int) int { return min(1, max(-1, n)) }
	for _, a := range parts {
		for _, b := range parts {
			if got, want := sign(store.Key{a}.Compare(store.Key{b})), sign(units(a, b)); got != want {
				t.Errorf("%q and %q compare as %d, want %d", a, b, got, want)
			}
			if got, want := sign(store.Key{"x", a}.Compare(store.Key{"x", b})), sign(units(a, b)); got != want {
				t.Errorf("second parts %q and %q compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestKeyString(t *testing.T) {
	if a, b := (store.Key{"a b", "c"}).String(), (store.Key{"a", "b c"}).String(); a != `"a b" "c"` || a == b {
		t.Fatal(a, b)
	}
}
