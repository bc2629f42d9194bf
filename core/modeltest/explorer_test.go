package modeltest

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"knownsender/core/store"
)

// explorer walks through every state that words of its letters lead to, shortest words first, so that the first broken law it meets has the
// shortest history there is.
type explorer struct {
	*archive
	letters []*letter
	depth   int                           // longest word; 0: until nothing new comes
	seed    func(store.Store) store.Store // a fault to be caught, nil for none
	lazy    bool                          // nothing is come by in other ways, and nothing is found out about a state but what it says
	single  bool                          // no second crash before the first one is made good

	nodes []*node
	known map[[16]byte]int32

	transitions, crashes, refusals, pairs int
	reached                               int // depth of the deepest state
}

// node is a state and how it was come by.
type node struct {
	snapshot
	clock  int64
	parent int32
	letter int16 // index in letters, -1 at the beginning
	crash  int8  // died after that many commits of the letter; 0: did not
	depth  int8
	view   view
	to     []int32 // by letter, -1 where it was not followed
}

// arrival is where one letter leads from a node.
type arrival struct {
	snapshot
	id     [16]byte
	clock  int64
	letter int
	crash  int
	view   view
	viewed bool
	wrongs []string
}

// expansion is everything there is to say of one node.
type expansion struct {
	view     view
	arrivals []arrival
	refusals int
	wrongs   []string
}

// chunk is how many nodes are expanded before their arrivals are sorted in.
const chunk = 64

// explore goes on until a law is broken, or there is nothing left.
func (x *explorer) explore() *violation {
	x.known = map[[16]byte]int32{}
	first := x.begin(snapshot{}, beginning, nil)
	if err := first.machine.Resume(context.Background()); err != nil {
		panic(err)
	}
	root := &node{snapshot: x.take(first.disk), clock: beginning, parent: -1, letter: -1}
	x.nodes = []*node{root}
	x.known[x.identity(root.snapshot)] = 0
	for at := 0; at < len(x.nodes); at += chunk {
		// All nodes of a chunk are of a finished list: those behind it are sorted in afterwards, in order.
		batch := x.nodes[at:min(at+chunk, len(x.nodes))]
		if found := x.sortIn(at, x.expandAll(batch)); found != nil {
			return found
		}
		if len(batch) < chunk {
			at += len(batch) - chunk
		}
	}
	return nil
}

func (x *explorer) expandAll(batch []*node) []expansion {
	results := make([]expansion, len(batch))
	var wait sync.WaitGroup
	next := make(chan int, len(batch))
	for i := range batch {
		next <- i
	}
	close(next)
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for i := range next {
				results[i] = x.expand(batch[i])
			}
		})
	}
	wait.Wait()
	return results
}

// sortIn takes expansions over in order, so that two explorations of one world are the same.
func (x *explorer) sortIn(at int, results []expansion) *violation {
	for i := range results {
		from, result := at+i, &results[i]
		n := x.nodes[from]
		n.view = result.view
		x.reached = max(x.reached, int(n.depth))
		x.refusals += result.refusals
		if len(result.wrongs) > 0 {
			return x.violation(result.wrongs, from, nil)
		}
		if len(result.arrivals) > 0 {
			n.to = make([]int32, len(x.letters))
			for l := range n.to {
				n.to[l] = -1
			}
		}
		for j := range result.arrivals {
			a := &result.arrivals[j]
			x.transitions++
			if a.crash > 0 {
				x.crashes++
			}
			if len(a.wrongs) > 0 {
				return x.violation(a.wrongs, from, a)
			}
			to, known := x.known[a.id]
			if !known {
				to = int32(len(x.nodes))
				x.known[a.id] = to
				x.nodes = append(x.nodes, &node{
					snapshot: a.snapshot, clock: a.clock, parent: int32(from), letter: int16(a.letter), crash: int8(a.crash), depth: n.depth + 1, view: a.view,
				})
			} else if there := x.nodes[to]; a.viewed && there.view != (view{}) && there.view != a.view {
				return x.violation([]string{"what memory says of a state is not what it says of the same state elsewhere, or after a restart"}, from, a)
			}
			if a.crash == 0 {
				n.to[a.letter] = to
			}
		}
	}
	return nil
}

// expand visits a node and follows every letter from it.
func (x *explorer) expand(n *node) expansion {
	var result expansion
	before := x.meaning(n.snapshot)
	result.view = x.visit(n, before, &result.wrongs)
	if n.view != (view{}) && n.view != result.view {
		result.wrongs = append(result.wrongs, "I13: after a restart memory says something else of this state than before it")
	}
	if len(result.wrongs) > 0 || x.depth > 0 && int(n.depth) >= x.depth {
		return result
	}
	for i, l := range x.letters {
		arrivals := x.follow(n, before, result.view, i, l)
		if !x.lazy && len(arrivals[0].wrongs) == 0 {
			result.refusals += x.again(n, before, l, arrivals)
		}
		result.arrivals = append(result.arrivals, arrivals...)
	}
	return result
}

// follow is one letter from a node: the state it leads to comes first, then those a crash in the middle of it leads to.
func (x *explorer) follow(n *node, before *state, seen view, i int, l *letter) []arrival {
	r := x.begin(n.snapshot, n.clock+1000, x.seed)
	r.watched = true
	err := r.play(l)
	r.watched = false
	commits := r.commits
	if err != nil {
		r.wrong("the letter failed: %v", err)
	}
	all := []arrival{x.arrive(r, i, 0)}
	a := &all[0]
	a.view, a.viewed = r.look(), true
	s := step{w: x.w, before: before, after: x.meaning(a.snapshot), letter: l, refused: r.receipt.Err != nil}
	s.kept = err == nil && (l.kind == imported || r.receipt.Copy != nil)
	s.took = r.took
	a.wrongs = append(r.wrongs, s.laws()...)
	for bit := range probes {
		if a.viewed && seen.shown&^a.view.shown&(1<<bit) != 0 && !s.mayHide(&probes[bit]) {
			a.wrongs = append(a.wrongs, fmt.Sprintf("I11: hidden, and was shown: an event of %s at %d under %v", probes[bit].from, probes[bit].index, probes[bit].under))
		}
	}
	if l.refused || r.receipt.Err != nil {
		if a.id != x.identity(n.snapshot) {
			a.wrongs = append(a.wrongs, "I17: what was refused has left a trace")
		}
	}
	if x.single && before.notes > 0 {
		return all
	}
	for k := 0; k+1 < len(commits); k++ {
		crash := arrival{snapshot: commits[k], id: x.identity(commits[k]), clock: r.clock, letter: i, crash: k + 1}
		between := step{w: x.w, before: before, after: x.meaning(crash.snapshot), letter: l}
		crash.wrongs = between.laws()
		all = append(all, crash)
	}
	return all
}

func (x *explorer) arrive(r *run, letter, crash int) arrival {
	s := x.take(r.disk)
	return arrival{snapshot: s, id: x.identity(s), clock: r.clock, letter: letter, crash: crash}
}
