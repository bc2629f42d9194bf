package modeltest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"knownsender/core/store"
)

// Two tabs over one store. Each does one thing, and every interleaving of their store operations is played, with a death at every commit,
// before it or after it. What comes out must be what comes out when one tab does both, one after the other (I14, F18, F19, F20).

// meeting is what two tabs do at once.
type meeting struct {
	name   string
	before []string // letters that came before
	tabs   [2]string
	// contrary: the order counts already within one tab. Then the laws must hold after each commit, and the tabs must agree in the end.
	contrary bool
	// behind: what comes out may be less than one tab would know, never more. Each tab writes a row that the other's rests on and does not write,
	// so neither is told by a conflict; the next answer about the user makes up for it.
	behind bool
	// long: too many interleavings to let tabs die in every one of them in every run of the tests.
	long bool
}

var meetings = []meeting{
	{name: "F18: one key in both", tabs: [2]string{"key at 0", "key at 0"}},
	{name: "F18: one key, two ratchets", tabs: [2]string{"key at 0", "key at 2, device signed"}},
	{name: "alice's and mallory's", tabs: [2]string{"key at 0", "mallory's at 0"}},
	{name: "F19: risen here, lowered there", before: []string{"key at 2"}, tabs: [2]string{"answer: alice signed", "key at 0"}},
	{name: "F19: suspended here, lowered there", before: []string{"key at 2"}, tabs: [2]string{"answer: alice forged", "key at 0"}},
	{name: "received here, learned there", tabs: [2]string{"key at 0", "answer: alice signed"}},
	{name: "received here, verified there", before: []string{"answer: me", "answer: alice verified"}, tabs: [2]string{"key at 0", "we trust our identity"}},
	{name: "two imports", tabs: [2]string{"claim of alice's at 0", "claim of alice's at 2"}},
	{name: "an import and a delivery", tabs: [2]string{"claim of alice's at 0", "key at 2"}},
	{name: "one answer in both", before: []string{"key at 0"}, tabs: [2]string{"answer: alice signed", "answer: alice signed"}, long: true},
	{name: "alice's answer and ours", before: []string{"key at 0", "we trust our identity"}, tabs: [2]string{"answer: alice verified", "answer: me"}, behind: true, long: true},
	{name: "verified and trusted", before: []string{"key at 0", "answer: me"}, tabs: [2]string{"answer: alice verified", "we trust our identity"}, behind: true, long: true},
	{name: "two answers", before: []string{"key at 0"}, tabs: [2]string{"answer: alice signed", "answer: alice rotated, signed"}, contrary: true, long: true},
	{name: "withdrawn and reset", before: []string{"answer: me", "we trust our identity", "answer: alice verified", "key at 0"}, tabs: [2]string{"we withdraw from alice", "answer: me reset"}, contrary: true, long: true},
	{name: "discarded here, received there", before: []string{"key at 0, device forged"}, tabs: [2]string{"answer: alice signed", "key at 2"}, contrary: true},
	{name: "two events, one index", before: []string{"key at 0"}, tabs: [2]string{"alice's message at 2", "the same ciphertext as another event"}, contrary: true},
	{name: "F20: two retry lanes", before: []string{"key at 0"}, tabs: [2]string{"a day, and alice is signed", "a day, and alice is signed"}, long: true},
	{name: "F20: a retry lane and a delivery", before: []string{"key at 2"}, tabs: [2]string{"a day, and alice is signed", "key at 0"}, long: true},
}

// tabs is one meeting, played again and again.
type tabs struct {
	*archive
	meeting  *meeting
	letters  [2]*letter
	first    snapshot
	expected map[[16]byte]*state // where one tab alone would have come to
	deaths   bool
	seed     func(store.Store) store.Store // a fault to be caught

	plays, steps, died int
}

func TestTabs(t *testing.T) {
	w := theWorld()
	plays, steps, violations := 0, 0, 0
	for i := range meetings {
		meeting := &meetings[i]
		p := &tabs{archive: newArchive(w), meeting: meeting, letters: [2]*letter{w.letter(meeting.tabs[0]), w.letter(meeting.tabs[1])}}
		p.deaths = full || !meeting.long
		if underRace && meeting.long {
			continue
		}
		began := time.Now()
		found := p.prepare()
		if found == "" {
			found = p.all()
		}
		if found != "" {
			violations++
			t.Errorf("%s:\n%s", meeting.name, found)
		}
		t.Logf("%s: %d interleavings, %d of them with a death, %d operations, %.1f s", meeting.name, p.plays, p.died, p.steps, time.Since(began).Seconds())
		plays, steps = plays+p.plays, steps+p.steps
	}
	t.Logf("two tabs: %d interleavings, %d operations, %d violations", plays, steps, violations)
}

// A store that lets the last writer win loses what the other tab did. The tabs catch that.
func TestTabsCatchLostUpdates(t *testing.T) {
	for i := range meetings {
		meeting := &meetings[i]
		if !strings.HasPrefix(meeting.name, "F19") {
			continue
		}
		w := theWorld()
		p := &tabs{archive: newArchive(w), meeting: meeting, letters: [2]*letter{w.letter(meeting.tabs[0]), w.letter(meeting.tabs[1])}}
		p.seed = func(under store.Store) store.Store {
			m := &meddling{Store: under, w: w}
			lastWins(m)
			return m
		}
		found := p.prepare()
		if found == "" {
			found = p.all()
		}
		if found == "" {
			t.Errorf("%s: not caught in %d interleavings", meeting.name, p.plays)
		}
		t.Logf("caught in %s, after %d interleavings:\n%s", meeting.name, p.plays, found)
	}
}

// prepare makes the state before the meeting, and finds out what it may come to.
func (p *tabs) prepare() string {
	r := p.begin(snapshot{}, beginning, nil)
	if err := r.machine.Resume(context.Background()); err != nil {
		return err.Error()
	}
	for _, name := range p.meeting.before {
		if err := r.play(p.w.letter(name)); err != nil {
			return err.Error()
		}
	}
	p.first = p.take(r.disk)
	p.expected = map[[16]byte]*state{}
	for _, order := range [2][2]int{{0, 1}, {1, 0}} {
		r := p.begin(p.first, beginning+1000, nil)
		for _, tab := range order {
			if err := r.play(p.letters[tab]); err != nil {
				return err.Error()
			}
		}
		r.server = ""
		if err := r.tick(); err != nil {
			return err.Error()
		}
		s := p.take(r.disk)
		p.expected[p.identity(s)] = p.meaning(s)
	}
	if len(p.expected) > 1 && !p.meeting.contrary {
		return "I14: the order of the two counts in one tab already"
	}
	return ""
}

// choice is one decision of a play: which of so many ways.
type choice struct{ taken, of int }

// all plays every interleaving: the last decision that could have been another is made anew, until there is none.
func (p *tabs) all() string {
	for script := []choice(nil); ; {
		made, history, wrongs := p.play(script)
		p.plays++
		if len(wrongs) > 0 {
			return strings.Join(wrongs, "\n") + "\n  " + strings.Join(history, "\n  ")
		}
		last := len(made) - 1
		for last >= 0 && made[last].taken+1 == made[last].of {
			last--
		}
		if last < 0 {
			return ""
		}
		script = slices.Clone(made[:last+1])
		script[last].taken++
	}
}

// tab is one of the two.
type tab struct {
	*run
	gate    *gate
	waits   string // the operation that waits at the gate, "" when the tab is done
	died    bool
	pending error // how its letter ended
}

// play plays one interleaving: the script first, then always the first way.
func (p *tabs) play(script []choice) (made []choice, history, wrongs []string) {
	disk := p.restore(p.first)
	var both [2]*tab
	for i := range both {
		var rows store.Store = disk
		if p.seed != nil {
			rows = p.seed(rows)
		}
		g := newGate(rows)
		r := &run{w: p.w, archive: p.archive, disk: disk, rows: g, clock: beginning + 1000 + int64(i), verify: p.w.memo}
		if err := r.open(); err != nil {
			panic(err)
		}
		r.machine.MeetPeers()
		both[i] = &tab{run: r, gate: g}
	}
	for i, tab := range both {
		tab.gate.set(&tab.gate.shut, true)
		go func() {
			tab.pending = tab.play(p.letters[i])
			tab.gate.set(&tab.gate.shut, false)
			tab.gate.arrived <- ""
		}()
		tab.waits = <-tab.gate.arrived
	}

	before := p.meaning(p.first)
	earlier := []*state{before}
	anyDied := false
	for both[0].waits != "" || both[1].waits != "" {
		type way struct {
			tab  int
			what passage
		}
		var ways []way
		for i, tab := range both {
			if tab.waits == "" {
				continue
			}
			ways = append(ways, way{i, through})
			if p.deaths && !anyDied && tab.waits == commit {
				ways = append(ways, way{i, dieBefore}, way{i, dieAfter})
			}
		}
		taken := 0
		if len(made) < len(script) {
			taken = script[len(made)].taken
		}
		made = append(made, choice{taken, len(ways)})
		next := ways[taken]
		tab := both[next.tab]
		history = append(history, fmt.Sprintf("tab %d (%s): %s%s", next.tab+1, p.letters[next.tab].name, tab.waits, [...]string{"", ", and dies before it", ", and dies after it"}[next.what]))
		p.steps++
		tab.gate.let <- next.what
		if next.what != through {
			anyDied, tab.died = true, true
		}
		wrote := tab.waits == commit
		tab.waits = <-tab.gate.arrived
		if wrote {
			after := p.meaning(p.take(disk))
			wrongs = append(wrongs, (&step{w: p.w, before: before, after: after, letter: p.letters[next.tab], earlier: earlier}).laws()...)
			before, earlier = after, append(earlier, after)
		}
	}
	takesOver := false
	if anyDied {
		p.died++
		taken := 0
		if len(made) < len(script) {
			taken = script[len(made)].taken
		}
		made = append(made, choice{taken, 2})
		if takesOver = taken == 1; takesOver {
			history = append(history, "the other takes over")
		}
	}
	wrongs = append(wrongs, p.end(disk, both, takesOver)...)
	return made, history, wrongs
}

// end lets the tabs hear of one another, starts a dead one again so that it does its work again, lets a pass of the retry lane go by, and looks
// at what has come out.
func (p *tabs) end(disk *store.Memory, both [2]*tab, takesOver bool) (wrongs []string) {
	ctx := context.Background()
	check := func(what string, err error) {
		if err != nil {
			wrongs = append(wrongs, what+": "+err.Error())
		}
	}
	for i, tab := range both {
		if !tab.died {
			check(p.letters[i].name, tab.pending)
			if takesOver {
				check("take over", tab.machine.Resume(ctx))
			}
		}
	}
	for i, tab := range both {
		if !tab.died {
			continue
		}
		// The server delivers again what was not acknowledged.
		again := &run{w: p.w, archive: p.archive, disk: disk, rows: disk, clock: beginning + 2000, verify: p.w.memo}
		check("open", again.open())
		again.machine.MeetPeers()
		check("resume", again.machine.Resume(ctx))
		check("again: "+p.letters[i].name, again.play(p.letters[i]))
		again.told = append(tab.told, again.told...)
		tab.run = again
	}
	// What each has told reaches the other, until nothing is told any more.
	both[0].server, both[1].server = "", ""
	for i := 0; len(both[0].told)+len(both[1].told) > 0 && i < 16; i++ {
		for i, tab := range both {
			news := tab.told
			tab.told = nil
			for _, n := range news {
				check("hear", both[1-i].hear(n))
			}
		}
	}
	last := both[0]
	check("a pass of the retry lane", last.tick())
	both[1].clock = last.clock
	for _, n := range last.told {
		check("hear", both[1].hear(n))
	}

	s := p.take(disk)
	if _, expected := p.expected[p.identity(s)]; !expected && !p.meeting.contrary && !(p.meeting.behind && p.lessKnown(p.meaning(s))) {
		wrong := "what has come out is what no tab alone comes to:\n" + p.meaning(s).describe()
		for _, one := range p.expected {
			wrong += "\nbut:\n" + one.describe()
		}
		wrongs = append(wrongs, wrong)
	}
	fresh := p.begin(s, last.clock, nil)
	truth := fresh.look()
	for i, tab := range both {
		if tab.look() != truth {
			wrongs = append(wrongs, fmt.Sprintf("tab %d says something else than the store", i+1))
		}
		wrongs = append(wrongs, tab.wrongs...)
	}
	return wrongs
}

// lessKnown: what has come out is what one tab would have come to, or less is known of some sender.
func (p *tabs) lessKnown(st *state) bool {
	for _, expected := range p.expected {
		for key, is := range expected.copies {
			if there := st.copies[key]; there == nil || there.copy.Current.Rank() > is.copy.Current.Rank() || !there.copy.Current.Kind.Known() {
				return false
			}
		}
	}
	return true
}
