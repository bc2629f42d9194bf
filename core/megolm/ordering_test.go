package megolm_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"knownsender/core/megolm"
	"knownsender/core/testkit"
)

func TestCompareNamesTheLowerFirstIndexBetter(t *testing.T) {
	outbound := testkit.New("compare").Outbound()
	at := func(index uint32) *megolm.InboundSession { return imported(t, outbound.ExportedAt(index)) }
	for _, c := range []struct {
		a, b uint32
		want megolm.Ordering
	}{
		{0, 0, megolm.Equal},
		{0, 1, megolm.Better},
		{1, 0, megolm.Worse},
		{255, 256, megolm.Better},
		{1 << 24, 5, megolm.Worse},
		{0, testkit.LastIndex, megolm.Better},
		{testkit.LastIndex, testkit.LastIndex, megolm.Equal},
	} {
		if got := at(c.a).Compare(at(c.b)); got != c.want {
			t.Errorf("%d against %d: %v, expected %v", c.a, c.b, got, c.want)
		}
	}
	if a, b := receive(t, outbound.SessionKeyAt(5)), at(5); a.Compare(b) != megolm.Equal {
		t.Error("a signature is no part of the comparison")
	}
	if got := fmt.Sprint(megolm.Equal, megolm.Better, megolm.Worse, megolm.Unconnected); got != "equal better worse unconnected" {
		t.Errorf("orderings are called %s", got)
	}
}

func TestCompareLooksAtWhereTheSessionBegins(t *testing.T) {
	outbound := testkit.New("begins").Outbound()
	a, b := receive(t, outbound.SessionKeyAt(0)), receive(t, outbound.SessionKeyAt(0))
	if _, _, code := decrypt(t, a, outbound.EncryptAt(500, []byte("hello"))); code != "" {
		t.Fatal(code)
	}
	if got := a.Compare(b); got != megolm.Equal {
		t.Errorf("after a message the session is %v", got)
	}
}

// Scenario 97, the ratchet's part: another signing key, or other ratchet bytes under the same key, and nothing is replaced.
func TestScenario97UnconnectedSessionsDoNotMerge(t *testing.T) {
	kit := testkit.New("scenario 97")
	one, two := kit.Outbound(), kit.Outbound()
	stored := receive(t, one.SessionKeyAt(10))
	forged := func(index uint32) *megolm.InboundSession { // another ratchet under the key of one
		raw := decode(two.ExportedAt(index))
		return imported(t, testkit.Base64(with(raw, 133, decode(one.ID())...)))
	}
	before := stored.AppendState(nil)
	for name, other := range map[string]*megolm.InboundSession{
		"another key":                     receive(t, two.SessionKeyAt(10)),
		"another key, same ratchet bytes": imported(t, testkit.Base64(with(decode(one.ExportedAt(10)), 133, decode(two.ID())...))),
		"another ratchet, same index":     forged(10),
		"another ratchet, earlier":        forged(0),
		"another ratchet, later":          forged(20),
	} {
		if a, b := stored.Compare(other), other.Compare(stored); a != megolm.Unconnected || b != megolm.Unconnected {
			t.Errorf("%s: %v and %v", name, a, b)
		}
		merged, err := megolm.Merge(stored, other)
		if merged != nil || codeOf(t, err) != megolm.CodeUnconnectedSessions {
			t.Errorf("%s: merged, %v", name, err)
		}
	}
	if !bytes.Equal(stored.AppendState(nil), before) {
		t.Error("the stored session has changed")
	}
}

// T27, I2: shared at 100, at 0, at 0 again, and then another ratchet under the same id, in every order: the first index ends at
// 0, never rises on the way, and the stranger replaces nothing.
func TestT27TheFirstIndexNeverRises(t *testing.T) {
	kit := testkit.New("T27")
	outbound, stranger := kit.Outbound(), kit.Outbound()
	raw := decode(stranger.ExportedAt(0))
	deliveries := []string{outbound.ExportedAt(100), outbound.ExportedAt(0), outbound.ExportedAt(0), outbound.ExportedAt(7),
		testkit.Base64(with(raw, 133, decode(outbound.ID())...))}
	const other = 4

	for order := range permutations([]int{0, 1, 2, 3, other}) {
		if order[0] == other {
			continue // then the stranger is what is stored, and the others are unconnected to it
		}
		stored := imported(t, deliveries[order[0]])
		for _, i := range order[1:] {
			before := stored.FirstKnownIndex()
			arrived := imported(t, deliveries[i])
			merged, err := megolm.Merge(stored, arrived)
			if (err != nil) != (i == other) {
				t.Fatalf("%v: delivery %d: %v", order, i, err)
			}
			if err == nil {
				stored = merged
			}
			if now := stored.FirstKnownIndex(); now > before || i != other && now > arrived.FirstKnownIndex() {
				t.Fatalf("%v: delivery %d moved the first index from %d to %d", order, i, before, now)
			}
		}
		if got := must(stored.ExportAt(0)); got != outbound.ExportedAt(0) {
			t.Errorf("%v: the session is not the one at 0", order)
		}
	}
}

// permutations yields every order of items.
func permutations(items []int) func(yield func([]int) bool) {
	var walk func(done, rest []int, yield func([]int) bool) bool
	walk = func(done, rest []int, yield func([]int) bool) bool {
		if len(rest) == 0 {
			return yield(done)
		}
		for i := range rest {
			if !walk(append(slices.Clone(done), rest[i]), slices.Delete(slices.Clone(rest), i, i+1), yield) {
				return false
			}
		}
		return true
	}
	return func(yield func([]int) bool) { walk(nil, items, yield) }
}

// I14: merging what one sender shared is a join: the order, the grouping and repetitions do not matter, nor does what the
// sessions were used for in between.
func TestI14MergeIsAJoin(t *testing.T) {
	kit := testkit.New("I14")
	outbound := kit.Outbound()
	random := rand.New(rand.NewPCG(14, 14))
	draw := func() *megolm.InboundSession {
		index := random.Uint32() >> random.UintN(32)
		if random.IntN(2) == 0 {
			return receive(t, outbound.SessionKeyAt(index))
		}
		return imported(t, outbound.ExportedAt(index))
	}
	state := func(s *megolm.InboundSession, err error) string {
		if err != nil {
			t.Fatal(err)
		}
		return string(s.AppendState(nil))
	}
	for range 100 {
		a, b, c := draw(), draw(), draw()
		ab, bc := must(megolm.Merge(a, b)), must(megolm.Merge(b, c))
		if state(ab, nil) != state(megolm.Merge(b, a)) {
			t.Error("merge is not commutative")
		}
		if state(megolm.Merge(ab, c)) != state(megolm.Merge(a, bc)) {
			t.Error("merge is not associative")
		}
		if state(megolm.Merge(a, a)) != state(a, nil) || state(megolm.Merge(ab, b)) != state(ab, nil) {
			t.Error("merge is not idempotent")
		}
		if ab.FirstKnownIndex() != min(a.FirstKnownIndex(), b.FirstKnownIndex()) || ab.Signed() != (a.Signed() || b.Signed()) {
			t.Error("merge does not keep the better of each")
		}
	}
}

// Being connected is not transitive for someone who has the session: the last part of a ratchet is thrown away at the next
// multiple of 256, so a ratchet at 0 with a wrong last part leads to the right one at 256. It opens nothing before 256, and it
// does not pass for the right one at 0.
func TestARatchetSpoiltByItsHolderIsToldFromTheRightOne(t *testing.T) {
	outbound := testkit.New("spoilt").Outbound()
	raw := decode(outbound.ExportedAt(0))
	spoilt := imported(t, testkit.Base64(with(raw, 132, raw[132]^1)))
	right, late := imported(t, outbound.ExportedAt(0)), imported(t, outbound.ExportedAt(256))

	if got := spoilt.Compare(late); got != megolm.Better {
		t.Errorf("against the ratchet at 256 it is %v", got)
	}
	if got := spoilt.Compare(right); got != megolm.Unconnected {
		t.Errorf("against the ratchet at 0 it is %v", got)
	}
	if _, _, code := decrypt(t, spoilt, outbound.EncryptAt(255, []byte("hello"))); code != megolm.CodeBadMAC {
		t.Errorf("it opens message 255: %q", code)
	}
}

func TestAMergedSessionSharesNothingWithItsParents(t *testing.T) {
	outbound := testkit.New("parents").Outbound()
	a, b := receive(t, outbound.SessionKeyAt(0)), receive(t, outbound.SessionKeyAt(9))
	merged := must(megolm.Merge(a, b))
	a.Wipe()
	b.Wipe()
	if _, _, code := decrypt(t, merged, outbound.EncryptAt(3, []byte("hello"))); code != "" {
		t.Error(code)
	}
}
