package sender

import (
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/trust"
)

// Judgement is a stored copy on its way through the finder a second time, because a device, an identity or a verification has changed.
//
// A copy whose sender is not known takes the steps B to J again. One whose sender is known takes only J, for its own user and master key:
// the device may be gone by now (T22), and a new master key is not the copy's affair (T12). Either way it can only rise.
type Judgement struct {
	copy    *Copy
	finder  *Finder
	walk    walk
	walking bool
	decided Finding // unless walking
}

// PrepareJudgement takes a copy to where only a signature is missing, if any is. It changes nothing and takes its view of index now.
func (f *Finder) PrepareJudgement(index *trust.Index, c *Copy) *Judgement {
	j := &Judgement{copy: c, finder: f}
	switch {
	case c.Provenance != Direct:
		// Whoever can write to a backup could otherwise have any session shown as sent by anybody (decision 20).
		j.decided = Finding{
			Data: Data{Kind: UnknownDevice, OwnerCheckFailed: true}, Step: 'D', Reason: WordClaimed,
			Trace: []Step{{Letter: 'A', Word: WordClaimed}, {Letter: 'D', Word: WordClaimed}},
		}
	case c.Current.Kind.Known():
		j.decided = judgeKnown(index, c)
	default:
		j.walking = true
		w := &j.walk
		w.owner = ownership{user: c.OlmUser, curve: c.SenderKey, ed25519: c.Ed25519}
		if c.EmbeddedDevice != nil {
			// It was parsed and held against the payload when it arrived. Should it not parse any more, it is passed over.
			if device, err := f.remembered.parse(c.EmbeddedDevice); err == nil && w.owner.owns(device.keys) {
				w.embedded = device
			}
		}
		if w.embedded != nil {
			w.view = look(index, &w.owner, w.embedded.keys.DeviceID)
		} else {
			w.view = look(index, &w.owner, "")
		}
		w.begin(WordStoredCopy)
	}
	return j
}

// owns is of for a parsed device object, which says itself whose it is.
func (o *ownership) owns(device *trust.DeviceKeys) bool {
	return device.UserID == o.user && device.Curve25519 == o.curve && device.Ed25519 == o.ed25519
}

// judgeKnown is step J for a copy of which user and master key are pinned.
func judgeKnown(index *trust.Index, c *Copy) Finding {
	f := Finding{Data: c.Current, Step: 'J', Resolved: true, Trace: []Step{{Letter: 'A', Word: WordStoredCopy}, {Letter: 'B', Word: WordAlreadyKnown}}}
	identity, known := index.Identity(c.Current.UserID)
	switch {
	case !known:
		f.Reason = WordIdentityUnknown
	case identity.Master != c.Current.MasterKey:
		f.Reason = WordIdentityChanged
	default:
		var kind Kind
		kind, f.Reason = standing(index.Verification(c.Current.UserID))
		f.Data.Kind = max(kind, c.Current.Kind)
	}
	f.Trace = append(f.Trace, Step{Letter: 'J', Word: f.Reason})
	return f
}

// Checks is how many answers Finish wants: 0 or 1.
func (j *Judgement) Checks() int {
	if j.walk.pending() {
		return 1
	}
	return 0
}

// AppendChecks adds the signature that is left to check, if one is.
func (j *Judgement) AppendChecks(dst []keys.Check) []keys.Check {
	if j.walk.pending() {
		dst = append(dst, j.walk.check)
	}
	return dst
}

// Finish decides. The finding's data are never lower than the copy's. It asks nobody anything and leaves the copy as it is: Apply takes the
// finding over.
func (j *Judgement) Finish(results []bool) Finding {
	if len(results) != j.Checks() {
		panic("sender: internal error: Finish wants one answer for each check")
	}
	if !j.walking {
		return j.decided
	}
	w, c := &j.walk, j.copy
	if w.pending() {
		w.cross = w.cross.Resolve(results[0])
	}
	if w.embedded != nil {
		if w.view.hasIdentity {
			w.embedded.settle(w.view.identity.SelfSigning, w.cross)
		}
		j.finder.remembered.remember(w.embedded)
	}
	f, _ := w.finish()
	if f.Outcome == Discard {
		return f
	}
	if f.Data.Kind <= c.Current.Kind {
		f.Data = c.Current
	}
	if c.Suspended && !f.Resolved && f.Outcome != Suspend {
		// That the forged signature is gone does not make what came with it good. A good one does.
		f.Outcome, f.Reason = Suspend, WordSuspensionRemains
		f.Trace = append(f.Trace, Step{Letter: 'H', Word: WordSuspensionRemains})
		f.Step = 'H'
	}
	return f
}

// Judge is PrepareJudgement, the check and Finish in one, with the signature checked here and now.
func (f *Finder) Judge(index *trust.Index, c *Copy) Finding {
	j := f.PrepareJudgement(index, c)
	return j.Finish(keys.VerifyAll(j.AppendChecks(nil)))
}

// Apply takes a finding over: the copy as it should be stored, nil when it is to be discarded, and whether that is anything new. Of the
// finding it believes only what no finding may break: a claimed copy stays unknown, what is known does not fall, and user and master key,
// once known, stay.
func (c *Copy) Apply(f *Finding) (next *Copy, changed bool) {
	if c.Provenance != Direct {
		return c, false
	}
	if f.Outcome == Discard {
		return nil, true
	}
	data, suspended, step := c.Current, c.Suspended, c.Step
	rises := f.Data.Kind > c.Current.Kind && f.Data.UserID == c.OlmUser && (!c.Current.Kind.Known() || f.Data.SamePin(c.Current))
	switch {
	case rises:
		data, step = f.Data, f.Step
	case f.Data == c.Current && !c.Current.Kind.Known() && f.Step > c.Step:
		step = f.Step // no better known, but further on: the identity has come, say, and has not signed the device
	}
	if data.Kind.Known() {
		suspended = false
	} else if f.Outcome == Suspend {
		suspended, step = true, f.Step
	}
	if data == c.Current && suspended == c.Suspended && step == c.Step {
		return c, false
	}
	risen := *c
	risen.Current, risen.Suspended, risen.Step = data, suspended, step
	if data.Kind.Known() {
		risen.EmbeddedDevice, risen.Schedule = nil, lane.Schedule{}
	}
	return &risen, true
}

// Bury is the tombstone of a copy that a finding discards. at is in milliseconds since 1970.
func (c *Copy) Bury(f *Finding, at int64) *Tombstone {
	return &Tombstone{CopyKey: c.CopyKey, OlmUser: c.OlmUser, Reason: f.Reason, At: at}
}
