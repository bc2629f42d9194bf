package policy

import (
	"slices"

	"knownsender/core/ids"
	"knownsender/core/sender"
)

// Judge answers a Question. It writes nothing and asks nobody; the same question has the same answer (I22).
//
// What is wrong with the event itself comes first. Then the direct copies speak: of those that decrypt the event, the one whose owner is
// the event's sender, and among several the best known. Claimed copies speak where no direct copy decrypts the event; but what a direct copy
// of the session hides, they do not show (decision 12), unless the client asked for that.
func Judge(q *Question) Verdict {
	switch {
	case q.Sender == "":
		return Lookup(StateBadSender, q.Requirement)
	case q.WrongRoom:
		return Lookup(StateWrongRoom, q.Requirement)
	case q.Replayed:
		return Lookup(StateReplayed, q.Requirement)
	}

	direct := q.best(q.Copies, sender.Direct)
	claimed := q.best(q.Copies, sender.Claimed)
	if direct == nil && claimed == nil {
		return Lookup(undecryptable(q), q.Requirement)
	}
	if claimed == nil || direct != nil && !disowned(direct, q.Sender) {
		v := of(direct, q)
		if claimed != nil && !v.Shown {
			v = q.overrule(v, of(claimed, q))
		}
		v.AmbiguousOwner = ambiguous(q.Copies)
		return v
	}

	v := of(claimed, q)
	if against, found := objection(q); found && !against.Shown {
		v = q.overrule(against, v)
	}
	v.AmbiguousOwner = ambiguous(q.Copies)
	return v
}

// of is the verdict on one copy by itself.
func of(c *sender.Copy, q *Question) Verdict {
	state := StateOf(c, q.Sender)
	if q.distrusts(c) {
		state = StateForwarderViolation
	}
	v := Lookup(state, q.Requirement)
	v.Chosen = c
	return v
}

// distrusts reports whether a copy was handed over by somebody whose identity is no longer the one we verified.
func (q *Question) distrusts(c *sender.Copy) bool {
	return c.Forwarder != nil && slices.Contains(q.Distrusted, c.Forwarder.Data.UserID)
}

// overrule decides between a direct verdict that hides and a claimed one (T38). A forged signature is overruled by nothing: that is shown
// under no policy, and with no option.
func (q *Question) overrule(hidden, claimed Verdict) Verdict {
	if !claimed.Shown || hidden.State == StateSuspended || hidden.State == StateTampered {
		return hidden
	}
	if q.ClaimsMayOverruleDirect {
		claimed.Washed = true
		return claimed
	}
	hidden.Washed = true
	return hidden
}

// objection is what direct evidence says of an event that only claimed copies decrypt: the best direct copy of the session, or the
// tombstone of one by the event's sender.
//
// A suspended copy or a tombstone of another user is no objection. Anybody who was in the room can send the session on, with a forged
// signature of his own, and would otherwise decide what becomes of its history.
func objection(q *Question) (Verdict, bool) {
	direct := q.best(q.Others, sender.Direct)
	if direct != nil && !disowned(direct, q.Sender) {
		return of(direct, q), true
	}
	if q.buried() {
		return Lookup(StateTampered, q.Requirement), true
	}
	return Verdict{}, false
}

// buried reports whether a key of the session, sent by the event's sender, was discarded.
func (q *Question) buried() bool {
	for _, t := range q.Tombstones {
		if t.OlmUser == q.Sender {
			return true
		}
	}
	return false
}

// disowned reports whether a copy is suspended and another user's.
func disowned(c *sender.Copy, eventSender ids.UserID) bool {
	owner, known := c.Owner()
	return c.Suspended && known && owner != eventSender
}

// best is the copy of that provenance by which the event is judged, nil when there is none: the sender's own before others', of those one that
// is not suspended, then the best known, then one that names an owner (direct) or that nobody we distrust handed over (claimed), then a legacy
// one.
func (q *Question) best(copies []*sender.Copy, provenance sender.Provenance) *sender.Copy {
	var chosen *sender.Copy
	weight := -1
	for _, c := range copies {
		if c.Provenance != provenance {
			continue
		}
		w := int(c.Current.Kind) * 4
		owner, known := c.Owner()
		if known || provenance == sender.Claimed && !q.distrusts(c) {
			w += 2
		}
		if c.Legacy {
			w++
		}
		if !c.Suspended {
			w += 32
		}
		if known && owner == q.Sender {
			w += 64
		}
		if w > weight {
			chosen, weight = c, w
		}
	}
	return chosen
}

// ambiguous reports whether direct copies of different owners decrypt the event: one of them passed the other's session key on (T16).
func ambiguous(copies []*sender.Copy) bool {
	var first ids.UserID
	for _, c := range copies {
		if owner, known := c.Owner(); known {
			if first != "" && owner != first {
				return true
			}
			first = owner
		}
	}
	return false
}

// undecryptable is why no copy decrypts the event.
func undecryptable(q *Question) State {
	switch {
	case q.buried():
		return StateTampered
	case q.Withheld:
		return StateWithheld
	case len(q.Others) > 0:
		return StateUnknownIndex
	}
	return StateNoKey
}
