package megolm

import (
	"math/rand/v2"
	"testing"

	"knownsender/core/testkit"

	goolm "maunium.net/go/mautrix/crypto/goolm/megolm"
)

const lastIndex = 1<<32 - 1

func randomRatchet(index uint32, seed uint64) ratchet {
	r := ratchet{index: index}
	random := rand.New(rand.NewPCG(seed, uint64(index)))
	for i := range r.parts {
		r.parts[i] = byte(random.Uint32())
	}
	return r
}

// naively moves a ratchet on one message at a time, in the words of the specification: at a multiple of 2^24 every part follows
// from part 0, at one of 2^16 all but part 0 follow from part 1, and so on.
func naively(r ratchet, to uint32) ratchet {
	for r.index < to {
		r.index++
		from := 0
		for from < 3 && r.index&(1<<(8*(3-from))-1) != 0 {
			from++
		}
		source := [partLength]byte(r.part(from))
		for i := from; i < parts; i++ {
			step(r.part(i), source[:], i)
		}
	}
	return r
}

// byGoolm moves a ratchet on with the other implementation.
func byGoolm(r ratchet, to uint32) ratchet {
	other := goolm.Ratchet{Data: r.parts, Counter: r.index}
	other.AdvanceTo(to)
	return ratchet{index: other.Counter, parts: other.Data}
}

func TestAdvanceEqualsTheNaiveLoopAtEveryBoundary(t *testing.T) {
	for _, boundary := range []uint32{0, 1 << 8, 1 << 16, 1 << 24, 3 << 24, lastIndex - 300} {
		start := randomRatchet(boundary-min(boundary, 300), 1)
		for _, to := range []uint32{start.index, start.index + 1, start.index + 255, start.index + 256, boundary, boundary + 1, boundary + 300} {
			if to < start.index {
				continue
			}
			moved := start
			moved.advanceTo(to)
			if naive := naively(start, to); !moved.equal(&naive) {
				t.Errorf("from %#x to %#x: not what single steps give", start.index, to)
			}
		}
	}
}

func TestAdvanceFarEqualsGoolm(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	for range 200 {
		a, b := random.Uint32()>>random.UintN(32), random.Uint32()>>random.UintN(32)
		start := randomRatchet(min(a, b), uint64(a))
		moved := start
		moved.advanceTo(max(a, b))
		if other := byGoolm(start, max(a, b)); !moved.equal(&other) {
			t.Errorf("from %#x to %#x: not what goolm gives", min(a, b), max(a, b))
		}
	}
}

// T28: an index far ahead costs no more than 1,024 HMACs.
func TestAdvanceTakesAtMost1024HMACs(t *testing.T) {
	for _, c := range []struct {
		from, to uint32
		hmacs    int
	}{
		{0, 0, 0},
		{lastIndex, lastIndex, 0},
		{0, 1, 1},
		{0, 255, 255},
		{0, 256, 2},          // part 2, and part 3 from it
		{0, 1 << 24, 4},      // every part from part 0
		{0, lastIndex, 1023}, // 255 moves of each part, and three parts reset
		{1, lastIndex, 1023}, // part 3 starts anew anyway
		{lastIndex - 1, lastIndex, 1},
	} {
		r := randomRatchet(c.from, 3)
		if got := r.advanceTo(c.to); got != c.hmacs {
			t.Errorf("from %#x to %#x: %d HMACs, expected %d", c.from, c.to, got, c.hmacs)
		}
	}
	random := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		a, b := random.Uint32(), random.Uint32()
		r := randomRatchet(min(a, b), 5)
		if got := r.advanceTo(max(a, b)); got > 1024 {
			t.Errorf("from %#x to %#x: %d HMACs", min(a, b), max(a, b), got)
		}
	}
}

func TestTestkitWalksTheSameRatchet(t *testing.T) {
	outbound := testkit.New("ratchet").Outbound()
	start := must(ParseExportedSessionKey(outbound.ExportedAt(0)))
	for _, index := range []uint32{1, 255, 256, 257, 1 << 16, 1<<24 - 1, 1 << 24, 0xfedcba98, lastIndex} {
		if must(start.ExportAt(index)) != outbound.ExportedAt(index) {
			t.Errorf("exports at %#x differ", index)
		}
	}
}

func FuzzRatchetAdvance(f *testing.F) {
	f.Fuzz(func(t *testing.T, from, middle, to uint32, data []byte) {
		if from > middle || middle > to {
			return // the ratchet does not go back
		}
		start := ratchet{index: from}
		copy(start.parts[:], data)

		direct, stopping := start, start
		hmacs := direct.advanceTo(to)
		stopping.advanceTo(middle)
		stopping.advanceTo(to)
		if direct.index != to || !direct.equal(&stopping) {
			t.Errorf("%#x to %#x differs when it stops at %#x", from, to, middle)
		}
		if hmacs > 1024 {
			t.Errorf("%#x to %#x took %d HMACs", from, to, hmacs)
		}
		if other := byGoolm(start, to); !direct.equal(&other) {
			t.Errorf("%#x to %#x is not what goolm gives", from, to)
		}
		if to-from <= 1024 {
			if naive := naively(start, to); !direct.equal(&naive) {
				t.Errorf("%#x to %#x is not what single steps give", from, to)
			}
		}
	})
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func BenchmarkAdvance(b *testing.B) {
	start := randomRatchet(0, 6)
	for _, c := range []struct {
		name string
		to   uint32
	}{{"one", 1}, {"hundred", 100}, {"farthest", lastIndex}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := start
				r.advanceTo(c.to)
			}
		})
	}
}

// The hot path of a received room key, without the signature.
func BenchmarkParseSessionKey(b *testing.B) {
	text := testkit.New("bench").Outbound().SessionKey()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseSessionKey(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseExportedSessionKey(b *testing.B) {
	text := testkit.New("bench").Outbound().ExportedAt(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseExportedSessionKey(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseMessage(b *testing.B) {
	text := testkit.New("bench").Outbound().Encrypt(make([]byte, 200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseMessage(text); err != nil {
			b.Fatal(err)
		}
	}
}

// A message of 200 bytes, at the index the session stands at.
func BenchmarkOpen(b *testing.B) {
	outbound := testkit.New("bench").Outbound()
	session := must(ParseSessionKey(outbound.SessionKey())).Session()
	m := must(ParseMessage(outbound.Encrypt(make([]byte, 200))))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.Open(m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkState(b *testing.B) {
	session := must(ParseExportedSessionKey(testkit.New("bench").Outbound().ExportedAt(0)))
	state := session.AppendState(nil)
	b.Run("AppendState", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			state = session.AppendState(state[:0])
		}
	})
	b.Run("ParseState", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseState(state); err != nil {
				b.Fatal(err)
			}
		}
	})
}
