package modeltest

import (
	"os"
	"sync"
	"testing"
	"time"
)

// full is set by `make model`: the same worlds, further.
var full = os.Getenv("MODEL") == "full"

// theWorld is made once.
var theWorld = sync.OnceValue(newWorld)

// walk is how far a world is walked.
type walk struct {
	world string
	depth int // 0: until nothing new comes
	// twice: every letter is come by in other ways as well, through crashes, refusals and a Machine at work.
	twice bool
}

// everything is the world with all letters.
const everything = "everything"

// walks is what is walked: some seconds of it in every run of the tests, some minutes by `make model`.
func walks() []walk {
	switch {
	case full:
		return []walk{
			{everything, 3, true}, {"whose phone is it", 0, true}, {"whom do we trust", 0, true}, {"six copies", 0, true}, {"who took the index", 0, true},
			{everything, 4, false},
		}
	case underRace:
		return []walk{{everything, 1, true}, {"whose phone is it", 2, true}, {"whom do we trust", 2, true}, {"six copies", 2, true}, {"who took the index", 3, true}}
	}
	return []walk{
		{everything, 2, true}, {"whose phone is it", 5, true}, {"whom do we trust", 4, true}, {"six copies", 3, true}, {"who took the index", 0, true},
	}
}

// Every law, in every state and over every transition of the small worlds, with a crash after every commit, a refusal of every commit, and
// Machines that have been at work for two letters.
func TestModel(t *testing.T) {
	w := theWorld()
	var states, transitions, violations int
	for _, walk := range walks() {
		letters := w.letters
		if walk.world != everything {
			letters = w.chapter(walk.world)
		}
		x := &explorer{archive: newArchive(w), letters: letters, depth: walk.depth, lazy: !walk.twice, single: walk.world != everything}
		began := time.Now()
		found := x.explore()
		if found == nil {
			found = x.commuting()
		}
		how := "to the end"
		if walk.depth > 0 && x.reached == walk.depth {
			how = "deep"
		}
		t.Logf("%s (%d letters), %d %s: %d states, %d transitions, %d of them crashes; %d refused commits, %d pairs in both orders; %.1f s",
			walk.world, len(letters), x.reached, how, len(x.nodes), x.transitions, x.crashes, x.refusals, x.pairs, time.Since(began).Seconds())
		states, transitions = states+len(x.nodes), transitions+x.transitions
		if found != nil {
			violations++
			t.Errorf("%s:\n%s", walk.world, found)
		}
	}
	t.Logf("the model: %d states, %d transitions, %d violations", states, transitions, violations)
}
