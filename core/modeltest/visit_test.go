package modeltest

import (
	"context"

	"knownsender/core/policy"
	"knownsender/core/sender"
)

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
		if stricter := i + 2; !shown && stricter < len(probes) && probes[stricter].under > p.under && seen.shown&(1<<stricter) != 0 {
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
