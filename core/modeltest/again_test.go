package modeltest

import (
	"context"
	"errors"
	"fmt"

	"knownsender/core"
	"knownsender/core/store"
)

// again comes to where a letter leads by other ways: through a crash after each of its commits, through the refusal of each, and by a Machine
// that has been at work since the letter before. What goes wrong there is added to the arrivals.
func (x *explorer) again(n *node, before *state, l *letter, arrivals []arrival) (refusals int) {
	if l.kind == delivery && l.answer != "" && before.contested(x.w, l) {
		return 0
	}
	if before.notes == 0 { // otherwise the unfinished judging comes to its end here first, and there it did not
		x.afterCrashes(l, arrivals)
		refusals = x.afterRefusals(n, l, &arrivals[0], len(arrivals))
	}
	if n.letter >= 0 && n.crash == 0 {
		x.atWork(n, l, &arrivals[0])
	}
	return refusals
}

// same expects a run to have come where a letter led, and notes at a what it expects in vain.
func (x *explorer) same(r *run, there, a *arrival, how string) {
	a.wrongs = append(a.wrongs, r.wrongs...)
	if s := x.take(r.disk); x.identity(s) != there.id {
		a.wrongs = append(a.wrongs, how+" leads to another state:\n"+x.meaning(s).describe())
	}
}

// afterCrashes starts again from each place where the letter may have been cut off, and does the same again (I23).
func (x *explorer) afterCrashes(l *letter, arrivals []arrival) {
	for k := 1; k < len(arrivals); k++ {
		crashed := &arrivals[k]
		r := x.begin(crashed.snapshot, crashed.clock, x.seed)
		if err := errors.Join(r.machine.Resume(context.Background()), r.play(l)); err != nil {
			r.wrong("after the crash: %v", err)
		}
		x.same(r, &arrivals[0], crashed, fmt.Sprintf("I23: a crash after commit %d, a restart and the same again", k))
	}
}

// afterRefusals has each of the letter's commits refused, as when there is no space, and does the same again in the same Machine.
func (x *explorer) afterRefusals(n *node, l *letter, there *arrival, commits int) int {
	if l.kind == started {
		return 0
	}
	changes := there.id != x.identity(n.snapshot)
	if !changes {
		commits = 1
	}
	for k := 1; k <= commits; k++ {
		r := x.begin(n.snapshot, n.clock+1000, x.seed)
		r.broken.FailAt("Commit", k, store.CodeQuota)
		err := r.play(l)
		r.broken.FailAt("Commit", 0, "")
		if err == nil && k == 1 && l.kind != waited && changes {
			r.wrong("I13: acknowledged, although the store refused")
		}
		ctx := context.Background()
		if err := errors.Join(r.machine.Flush(ctx), r.machine.Resume(ctx), r.play(l)); err != nil {
			r.wrong("once there is space: %v", err)
		}
		x.same(r, there, there, fmt.Sprintf("a refused commit %d and the same again", k))
	}
	return commits
}

// atWork does the letter before and this one in one Machine, which has been asked everything in between.
func (x *explorer) atWork(n *node, l *letter, there *arrival) {
	parent := x.nodes[n.parent]
	r := x.begin(parent.snapshot, parent.clock+1000, x.seed)
	_ = r.play(x.letters[n.letter])
	r.look()
	if r.reception != nil { // what was received is no longer in the slow lane
		r.server = ""
		_, _ = r.machine.Settle(context.Background(), r.reception)
		r.reception, r.receipt = nil, core.Receipt{}
	}
	r.clock = n.clock + 1000
	if err := r.play(l); err != nil {
		r.wrong("the letter failed in a Machine at work: %v", err)
	}
	seen := r.look()
	x.same(r, there, there, "a Machine at work")
	if seen != there.view {
		there.wrongs = append(there.wrongs, "a Machine at work says something else than one that was just opened")
	}
}

// contested says whether a delivery and its settling are something else when they are done again, or by a Machine that remembers: the copy is of
// another ratchet, or its sender is known, and such a Machine asks nobody; or it waits with a forged device, and once that is found out what
// comes begins afresh (T06).
func (st *state) contested(w *world, l *letter) bool {
	if there := st.copies[l.brings]; there != nil && (there.connected != l.genuine || there.copy.Current.Kind.Known()) {
		return true
	}
	for _, f := range st.copies {
		if string(f.copy.EmbeddedDevice) == string(w.devices["forged"]) {
			return true
		}
	}
	return false
}
