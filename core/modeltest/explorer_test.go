package modeltest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

	"knownsender/core"
	"knownsender/core/policy"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// explorer walks through every state that words of its letters lead to, shortest words first, so that the first broken law it meets has the
// shortest history there is.
type explorer struct {
	*archive
	letters []*letter
	depth   int                           // longest word; 0: until nothing new comes
	until   time.Time                     // stop there, if not zero
	seed    func(store.Store) store.Store // a fault to be caught, nil for none
	lazy    bool                          // only look for what a seeded fault breaks: no second runs
	single  bool                          // no second crash before the first one is made good

	nodes []*node
	known map[[16]byte]int32

	transitions, crashes, refusals, pairs int
	reached                               int // depth of the deepest state
	complete                              bool
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

// violation is a broken law and the shortest history that breaks it.
type violation struct {
	wrongs  []string
	history []string
	state   string // before the last letter
	after   string
}

func (v *violation) String() string {
	var b strings.Builder
	for _, wrong := range v.wrongs {
		fmt.Fprintf(&b, "%s\n", wrong)
	}
	for i, letter := range v.history {
		fmt.Fprintf(&b, "  %d. %s\n", i+1, letter)
	}
	fmt.Fprintf(&b, "before:\n%s\nafter:\n%s\n", v.state, v.after)
	return b.String()
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
		if !x.until.IsZero() && time.Now().After(x.until) {
			return nil
		}
		// All nodes of a chunk are of a finished list: those behind it are sorted in afterwards, in order.
		batch := x.nodes[at:min(at+chunk, len(x.nodes))]
		if found := x.sortIn(at, x.expandAll(batch)); found != nil {
			return found
		}
		if len(batch) < chunk {
			at += len(batch) - chunk
		}
	}
	x.complete = true
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
			result.refusals += x.again(n, before, i, l, arrivals)
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

// again comes to where a letter leads by other ways: through a crash after each of its commits (I23), through the refusal of each, and by a
// Machine that has been at work since the letter before.
func (x *explorer) again(n *node, before *state, i int, l *letter, arrivals []arrival) (refusals int) {
	there := &arrivals[0]
	same := func(r *run, how string, a *arrival) {
		a.wrongs = append(a.wrongs, r.wrongs...)
		if id := x.identity(x.take(r.disk)); id != there.id {
			a.wrongs = append(a.wrongs, how+" leads to another state:\n"+x.meaning(x.take(r.disk)).describe())
		}
	}
	ctx := context.Background()
	// Not where judging was unfinished already: here it comes to its end first, and there it did not. And what is delivered again once a
	// forgery has been found begins afresh (T06).
	twice := before.notes == 0 && (l.kind != delivery || l.answer == "" || !before.forgery(x.w))
	for k := 1; k < len(arrivals) && twice; k++ {
		crashed := &arrivals[k]
		r := x.begin(crashed.snapshot, crashed.clock, x.seed)
		if err := errors.Join(r.machine.Resume(ctx), r.play(l)); err != nil {
			r.wrong("after the crash: %v", err)
		}
		same(r, "I23: a crash after commit "+fmt.Sprint(k)+", a restart and the same again", crashed)
	}
	if l.kind != started && twice {
		for k := 1; k <= len(arrivals); k++ {
			if there.id == x.identity(n.snapshot) && k > 1 {
				break // it writes nothing, or nothing that counts
			}
			r := x.begin(n.snapshot, n.clock+1000, x.seed)
			r.broken.FailAt("Commit", k, store.CodeQuota)
			failed := r.play(l)
			r.broken.FailAt("Commit", 0, "")
			if failed == nil && k == 1 && l.kind != waited && there.id != x.identity(n.snapshot) {
				r.wrong("I13: acknowledged, although the store refused")
			}
			if err := errors.Join(r.machine.Flush(ctx), r.machine.Resume(ctx), r.play(l)); err != nil {
				r.wrong("once there is space: %v", err)
			}
			refusals++
			same(r, "a refused commit "+fmt.Sprint(k)+" and the same again", there)
		}
	}
	if n.letter >= 0 && n.crash == 0 {
		parent := x.nodes[n.parent]
		r := x.begin(parent.snapshot, parent.clock+1000, x.seed)
		_ = r.play(x.letters[n.letter])
		r.look()
		if r.reception != nil {
			r.server = ""
			_, _ = r.machine.Settle(ctx, r.reception)
			r.reception, r.receipt = nil, core.Receipt{}
		}
		r.clock = n.clock + 1000
		if err := r.play(l); err != nil {
			r.wrong("the letter failed in a Machine at work: %v", err)
		}
		seen := r.look()
		same(r, "a Machine at work", there)
		if seen != there.view {
			there.wrongs = append(there.wrongs, "a Machine at work says something else than one that was just opened")
		}
	}
	return refusals
}

// forgery says whether a copy waits with a forged device that nobody could tell from a good one when it came.
func (st *state) forgery(w *world) bool {
	for _, f := range st.copies {
		if string(f.copy.EmbeddedDevice) == string(w.devices["forged"]) {
			return true
		}
	}
	return false
}

// visit holds what a Machine says of a state against the oracle, and lets it find out what can be found out (I10, I15, I16, I18, I20).
func (x *explorer) visit(n *node, st *state, wrongs *[]string) view {
	r := x.begin(n.snapshot, n.clock, nil)
	seen := r.look()
	if int64(len(st.copies)) != n.counted {
		r.wrong("%d copies are counted, and there are %d", n.counted, len(st.copies))
	}
	for i := range probes {
		p := &probes[i]
		shown := seen.shown&(1<<i) != 0
		if want := st.shows(p, covers(p.index)); shown != want {
			r.wrong("I15: an event of %s at %d in %s under %v: shown %v, and should be %v", p.from, p.index, p.room, p.under, shown, want)
		}
		if stricter := i + 2; shown == false && stricter < len(probes) && probes[stricter].under > p.under && seen.shown&(1<<stricter) != 0 {
			r.wrong("I10: %v shows what %v hides", probes[stricter].under, p.under)
		}
		if shown && p.under >= policy.CrossSigned && !st.owned(p) {
			r.wrong("I16: shown under %v for somebody else's sake", p.under)
		}
	}
	if !x.lazy {
		x.opens(n, st, r)
		x.progress(n, st, r)
	}
	*wrongs = append(*wrongs, r.wrongs...)
	return seen
}

// owned: a copy that covers the index has the event's sender as its owner.
func (st *state) owned(p *probe) bool {
	for key, f := range st.copies {
		if key.RoomID == p.room && key.Provenance == sender.Direct && f.copy.OlmUser == p.from && covers(p.index)(f) {
			return true
		}
	}
	return false
}

// opens decrypts Alice's messages, with what is read for that alone.
func (x *explorer) opens(n *node, st *state, r *run) {
	for _, index := range []uint32{0, 2} {
		p := &probe{room: room, from: alice, index: index, eventID: "$first"}
		if index == 0 {
			p.eventID = "$zero"
		}
		fresh := x.begin(n.snapshot, n.clock, nil)
		_, err := fresh.machine.DecryptRoomEvent(context.Background(), x.w.messages[index], room)
		if want := st.shows(p, decrypts(index)); (err == nil) != want {
			r.wrong("I18: Alice's message at %d: shown %v, and should be %v (%v)", index, err == nil, want, err)
		}
		r.wrongs = append(r.wrongs, fresh.wrongs...)
	}
}

// passes is within how many passes of the retry lane a sender is known, when the server has the answer.
const passes = 2

// progress lets the server answer, and expects every direct copy of a device that is really cross-signed to be known (I20).
func (x *explorer) progress(n *node, st *state, r *run) {
	fresh := x.begin(n.snapshot, n.clock, nil)
	fresh.server = "everybody signed"
	if err := fresh.machine.Resume(context.Background()); err != nil {
		r.wrong("unfinished judging: %v", err)
	}
	after := x.meaning(x.take(fresh.disk))
	r.wrongs = append(r.wrongs, (&step{w: x.w, before: st, after: after, letter: &letter{kind: started}}).laws()...)
	for range passes {
		before := after
		if err := fresh.tick(); err != nil {
			r.wrong("a pass of the retry lane: %v", err)
		}
		after = x.meaning(x.take(fresh.disk))
		r.wrongs = append(r.wrongs, (&step{w: x.w, before: before, after: after, letter: &letter{kind: waited, answer: "everybody signed"}}).laws()...)
	}
	r.wrongs = append(r.wrongs, fresh.wrongs...)
	for key, f := range after.copies {
		pair := f.copy.Ed25519
		honest := f.copy.OlmUser == alice && pair == fingerprint(x.w.phone.Ed25519()) || f.copy.OlmUser == mallory && pair == fingerprint(x.w.hers.Ed25519())
		if key.Provenance == sender.Direct && honest && !f.copy.Current.Kind.Known() {
			r.wrong("I20: after %d passes with the answer at hand a copy of %s is %v", passes, f.copy.OlmUser, f.copy.Current.Kind)
		}
	}
	if after.notes > 0 {
		r.wrong("I20: judging is still unfinished")
	}
}

// violation tells the history of a node, and of what comes after it.
func (x *explorer) violation(wrongs []string, from int, a *arrival) *violation {
	v := &violation{wrongs: wrongs, state: x.meaning(x.nodes[from].snapshot).describe()}
	if a != nil {
		v.history = []string{x.say(a.letter, a.crash)}
		v.after = x.meaning(a.snapshot).describe()
	}
	for at := from; x.nodes[at].letter >= 0; at = int(x.nodes[at].parent) {
		v.history = append([]string{x.say(int(x.nodes[at].letter), int(x.nodes[at].crash))}, v.history...)
	}
	return v
}

func (x *explorer) say(letter, crash int) string {
	if crash > 0 {
		return fmt.Sprintf("%s (the program dies after commit %d)", x.letters[letter].name, crash)
	}
	return x.letters[letter].name
}

// commuting holds the states against one another: each delivery twice is once (I12), and two in one order are two in the other (I14).
func (x *explorer) commuting() *violation {
	for from, n := range x.nodes {
		for i, a := range x.letters {
			if !a.alone() && a.kind != answered {
				continue
			}
			after := x.followed(int32(from), i)
			if after < 0 {
				continue
			}
			if again := x.followed(after, i); again >= 0 {
				x.pairs++
				if again != after {
					return x.differ("I12: twice is not once", n, from, after, again, i, i)
				}
			}
			for j := i + 1; j < len(x.letters); j++ {
				b := x.letters[j]
				if !commute(a, b) {
					continue
				}
				there, other := x.followed(after, j), x.followed(x.followed(int32(from), j), i)
				if there < 0 || other < 0 {
					continue
				}
				x.pairs++
				if there != other {
					return x.differ("I14: the order of two counts", n, from, there, other, i, j)
				}
			}
		}
	}
	return nil
}

func (x *explorer) followed(from int32, letter int) int32 {
	if from < 0 || x.nodes[from].to == nil {
		return -1
	}
	return x.nodes[from].to[letter]
}

func (x *explorer) differ(what string, n *node, from int, there, other int32, i, j int) *violation {
	v := x.violation([]string{what}, from, nil)
	v.history = append(v.history, x.letters[i].name, x.letters[j].name, "or the other way round")
	v.after = x.meaning(x.nodes[there].snapshot).describe() + "\nor:\n" + x.meaning(x.nodes[other].snapshot).describe()
	return v
}

// commute says which pairs of letters must come to the same in both orders: deliveries and claims, of whatever copies.
func commute(a, b *letter) bool {
	if !a.alone() || !b.alone() {
		return false
	}
	// Where both cannot be true, the one that was there first stays: another ratchet, another proof.
	return a.brings != b.brings || a.genuine == b.genuine && a.proves == b.proves
}

// alone says whether the letter brings a copy and does nothing else.
func (l *letter) alone() bool { return (l.kind == delivery || l.kind == imported) && l.answer == "" }
