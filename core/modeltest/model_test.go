package modeltest

import (
	"os"
	"testing"
	"time"
)

// full is set by `make model`: the same worlds, further.
var full = os.Getenv("MODEL") == "full"

// walk is how far a world is walked.
type walk struct {
	name   string
	depth  int // 0: until nothing new comes
	lazy   bool
	single bool
}

// Every law, in every state and over every transition of the small worlds, with a crash after every commit, a refusal of every commit, and
// Machines that have been at work for two letters: I1 to I24 but for those that other rooms show alone (I21 only as far as errors go).
func TestModel(t *testing.T) {
	w := newWorld()
	var states, transitions, violations int
	for _, walk := range walks() {
		letters := w.letters
		if walk.name != everything {
			letters = w.chapter(walk.name)
		}
		x := &explorer{archive: newArchive(w), letters: letters, depth: walk.depth, lazy: walk.lazy, single: walk.single}
		began := time.Now()
		found := x.explore()
		if found == nil {
			found = x.commuting()
		}
		how := "to the end"
		if walk.depth > 0 {
			how = "as far as this goes"
		}
		t.Logf("%s (%d letters): %d states, %d transitions, depth %d %s; of these %d crashes; %d refused commits, %d pairs in both orders; %.1f s",
			walk.name, len(letters), len(x.nodes), x.transitions, x.reached, how, x.crashes, x.refusals, x.pairs, time.Since(began).Seconds())
		states, transitions = states+len(x.nodes), transitions+x.transitions
		if found != nil {
			violations++
			t.Errorf("%s:\n%s", walk.name, found)
		}
	}
	t.Logf("the model: %d states, %d transitions, %d violations", states, transitions, violations)
}

const everything = "everything"

// walks is what is walked: a few seconds of it in every run of the tests, some minutes by `make model`.
func walks() []walk {
	if full {
		return []walk{
			{name: everything, depth: 3},
			{name: "whose phone is it"}, {name: "whom do we trust", single: true}, {name: "six copies", single: true}, {name: "who took the index"},
		}
	}
	return []walk{
		{name: everything, depth: 2},
		{name: "whose phone is it", single: true}, {name: "whom do we trust", depth: 4, single: true},
		{name: "six copies", depth: 4, single: true}, {name: "who took the index", single: true},
	}
}
