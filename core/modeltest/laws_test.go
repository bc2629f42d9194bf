package modeltest

import (
	"fmt"
	"slices"

	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/trust"
)

// What must hold from one state to the next, whatever happened in between: I1 to I9, I13, I17 to I19, and decisions 2 to 8.

// step is one transition.
type step struct {
	w             *world
	before, after *state
	letter        *letter
	earlier       []*state // of two tabs: what either may have in memory
	refused       bool     // a delivery, by the gate
	kept          bool     // the letter came to its end without an error, and what it brought was neither refused nor discarded
	took          string   // the event that was shown
	wrongs        []string
}

func (s *step) wrong(format string, args ...any) {
	s.wrongs = append(s.wrongs, fmt.Sprintf(format, args...))
}

func (s *step) laws() []string {
	s.wrongs = append(s.wrongs, s.after.faults...)
	for key, before := range s.before.copies {
		after := s.after.copies[key]
		if after == nil {
			if s.after.graves[key] == nil || s.letter.kind == imported || s.letter.kind == shown {
				s.wrong("I1: a %s copy is gone", key.Provenance)
			}
			continue
		}
		if before != after {
			s.changed(before, after)
		}
	}
	for key, after := range s.after.copies {
		if s.before.copies[key] == nil {
			s.arrived(key, after)
		}
	}
	s.asides()
	s.people()
	s.isolated()
	s.acknowledged()
	return s.wrongs
}

// changed is for a copy that is another one now.
func (s *step) changed(was, is *facts) {
	a, b := was.copy, is.copy
	if b.Session.FirstKnownIndex() > a.Session.FirstKnownIndex() {
		s.wrong("I2: begins at %d, and began at %d", b.Session.FirstKnownIndex(), a.Session.FirstKnownIndex())
	}
	if b.Current.Rank() < a.Current.Rank() {
		s.wrong("I3: %v became %v", a.Current.Kind, b.Current.Kind)
	}
	if a.Current.Kind.Known() && !a.Current.SamePin(b.Current) {
		s.wrong("I4: pinned to %.6s, and was to %.6s", b.Current.MasterKey, a.Current.MasterKey)
	}
	if a.Ed25519 != b.Ed25519 || a.HasEd25519 != b.HasEd25519 || a.OlmUser != b.OlmUser {
		s.wrong("I5: the proof has changed")
	}
	if a.Legacy != b.Legacy {
		s.wrong("I6: legacy became %v", b.Legacy)
	}
	if (a.AtReception != b.AtReception || a.ReceivedAt != b.ReceivedAt) && b.ReceivedAt >= a.ReceivedAt {
		s.wrong("decision 2: %v at reception became %v", a.AtReception.Kind, b.AtReception.Kind)
	}
	if was.connected != is.connected {
		s.wrong("I18: the ratchet was replaced by one that is not connected")
	}
	if a.Suspended && !b.Suspended && !b.Current.Kind.Known() {
		s.wrong("decision 8: no longer suspended, for nothing")
	}
	s.standing(b, a)
}

// arrived is for a copy that was not there.
func (s *step) arrived(key sender.CopyKey, is *facts) {
	c, l := is.copy, s.letter
	switch {
	case l.brings != key || l.kind != delivery && l.kind != imported || l.refused:
		s.wrong("I5: a %s copy that nobody brought", key.Provenance)
		return
	case c.Ed25519 != l.proves || c.OlmUser != l.from:
		s.wrong("I5: a copy with another proof than it came with")
	case c.Session.FirstKnownIndex() != l.index:
		s.wrong("I2: begins at %d, and came from %d", c.Session.FirstKnownIndex(), l.index)
	case is.connected != l.genuine:
		s.wrong("I18: another ratchet than the one that came")
	case c.Legacy != l.legacy:
		s.wrong("I6: legacy is %v", c.Legacy)
	}
	s.standing(c, nil)
}

// standing holds what is said of a copy's sender against who really signed what. before is nil for a new copy.
func (s *step) standing(c, before *sender.Copy) {
	d := c.Current
	if c.Provenance == sender.Claimed {
		if d.Kind != sender.UnknownDevice || c.AtReception.Kind != sender.UnknownDevice {
			s.wrong("I7: a claim is %v", d.Kind)
		}
		return
	}
	if c.Legacy {
		s.wrong("I6: a direct copy is legacy")
	}
	if d.UserID != "" && d.UserID != c.OlmUser {
		s.wrong("I8: from %s, and %s sent it", d.UserID, c.OlmUser)
	}
	if d.Kind.Known() && (before == nil || !before.Current.Kind.Known()) && !s.backed(c, before) {
		s.wrong("I8: %v, and no device with these keys is signed under that master key", d.Kind)
	}
	if d.Kind == sender.SenderVerified && (before == nil || before.Current.Kind != sender.SenderVerified) && !s.verified(c) {
		s.wrong("I9: verified, and we have not verified that master key")
	}
	if d.Kind == sender.VerificationViolation && (before == nil || before.Current.Kind != d.Kind) && !s.after.people[string(c.OlmUser)].Identity.PreviouslyVerified {
		s.wrong("a violation of nothing")
	}
}

// backed: a device with the copy's keys is signed by a self-signing key that the copy's master key has signed (I8).
func (s *step) backed(c, before *sender.Copy) bool {
	return s.backedBy(s.after, c, before) || slices.ContainsFunc(s.known(), func(st *state) bool { return s.backedBy(st, c, before) })
}

// known is what else was known at some moment of the step: before it, if it has more than one part, and what another tab came upon.
func (s *step) known() []*state {
	if s.letter.kind == waited || s.letter.kind == delivery && s.letter.answer != "" {
		return []*state{s.before}
	}
	return s.earlier
}

func (s *step) backedBy(known *state, c, before *sender.Copy) bool {
	person := known.people[string(c.OlmUser)]
	if person == nil || person.Identity == nil || person.Identity.Master.Key != c.Current.MasterKey {
		return false
	}
	chain := s.w.signed[string(person.Identity.SelfSigning.Raw)]
	if chain.of != c.OlmUser || !slices.Contains(chain.by, c.Current.MasterKey) {
		return false
	}
	devices := [][]byte{s.letter.embedded}
	if before != nil {
		devices = append(devices, before.EmbeddedDevice)
	}
	for i := range person.Devices {
		devices = append(devices, person.Devices[i].Raw)
	}
	for _, raw := range devices {
		device := s.w.signed[string(raw)]
		if device.of == c.OlmUser && device.key == c.Ed25519 && device.curve == c.SenderKey && slices.Contains(device.by, chain.key) {
			return true
		}
	}
	return false
}

// verified: the copy's master key is signed by our user-signing key, that by our master key, and that is the one we trust (I9).
func (s *step) verified(c *sender.Copy) bool {
	return s.verifiedBy(s.after, c) || slices.ContainsFunc(s.known(), func(st *state) bool { return s.verifiedBy(st, c) })
}

func (s *step) verifiedBy(known *state, c *sender.Copy) bool {
	ours, theirs := known.people[string(me)], known.people[string(c.OlmUser)]
	if ours == nil || ours.Identity == nil || theirs == nil || theirs.Identity == nil {
		return false
	}
	userSigning, master := s.w.signed[string(ours.Identity.UserSigning.Raw)], s.w.signed[string(theirs.Identity.Master.Raw)]
	return ours.TrustedMaster == ours.Identity.Master.Key && ours.TrustedMaster != (keys.Ed25519{}) &&
		slices.Contains(userSigning.by, ours.Identity.Master.Key) &&
		master.of == c.OlmUser && master.key == c.Current.MasterKey && slices.Contains(master.by, userSigning.key)
}

// asides is for tombstones and message indexes: neither is ever taken back.
func (s *step) asides() {
	for key := range s.before.graves {
		if s.after.graves[key] == nil {
			s.wrong("a tombstone is gone")
		}
	}
	for key, grave := range s.after.graves {
		if s.before.graves[key] != nil {
			continue
		}
		forged := string(s.w.devices["forged"])
		was := s.before.copies[key]
		if string(s.letter.embedded) != forged && (was == nil || string(was.copy.EmbeddedDevice) != forged) {
			s.wrong("a tombstone for no forgery: %s", grave.Reason)
		}
	}
	for index, event := range s.before.replays {
		if s.after.replays[index] != event {
			s.wrong("I19: index %d was taken by %s, and is by %q", index, event, s.after.replays[index])
		}
	}
	if s.took != "" && s.after.replays[2] != s.took {
		s.wrong("I19: %s was shown, and index 2 is taken by %q", s.took, s.after.replays[2])
	}
	if len(s.after.replays) != len(s.before.replays) && s.letter.kind != shown {
		s.wrong("I19: an index was taken by no event")
	}
}

// people is for pins and latches: only people take them back.
func (s *step) people() {
	for name, was := range s.before.people {
		is := s.after.people[name]
		if is == nil || was.Identity != nil && is.Identity == nil {
			s.wrong("the identity of %s is gone", name)
			continue
		}
		if s.letter.kind == decided {
			continue
		}
		if was.WasVerified && !is.WasVerified || was.TrustedMaster != is.TrustedMaster {
			s.wrong("whom we trust as ourselves has changed by itself")
		}
		if was.Identity != nil && (was.Identity.Pinned != is.Identity.Pinned || was.Identity.PreviouslyVerified && !is.Identity.PreviouslyVerified) {
			s.wrong("pin or latch of %s has changed by itself", name)
		}
	}
	for name, is := range s.after.people {
		if is.Identity != nil && !s.published(is) {
			s.wrong("T08: the identity of %s is not one of theirs", name)
		}
	}
}

// published: the stored identity is one that this user has published.
func (s *step) published(p *trust.UserRecord) bool {
	master, self := s.w.signed[string(p.Identity.Master.Raw)], s.w.signed[string(p.Identity.SelfSigning.Raw)]
	return master.of == p.UserID && self.of == p.UserID && master.key == p.Identity.Master.Key && slices.Contains(self.by, master.key)
}

// isolated: an event for one session changes nothing else, and one that is refused changes nothing (I17).
func (s *step) isolated() {
	l := s.letter
	for key, before := range s.before.copies {
		after := s.after.copies[key]
		if after == before || after == nil {
			continue
		}
		switch {
		case key.Provenance == sender.Claimed && (l.kind != imported || l.brings != key),
			l.kind == imported && l.brings != key,
			l.kind == delivery && l.answer == "" && l.brings != key,
			l.kind == shown:
			s.wrong("I17: a %s copy that this does not concern has changed", key.Provenance)
		case s.refused:
			s.wrong("I17: what was refused has changed a copy")
		}
	}
	if l.answer == "" && (l.kind == delivery || l.kind == imported || l.kind == shown) {
		for name, was := range s.before.people {
			if s.after.people[name] != was {
				s.wrong("I17: what is known of %s has changed", name)
			}
		}
	}
}

// acknowledged: what was accepted and made durable is there (I13), as early as it came (I2); what must be refused was.
func (s *step) acknowledged() {
	l := s.letter
	if !s.kept || l.kind != delivery && l.kind != imported {
		return
	}
	if l.refused {
		s.wrong("the gate has let it in")
	}
	is := s.after.copies[l.brings]
	switch {
	case is == nil && s.after.graves[l.brings] == nil:
		s.wrong("I13: acknowledged, and not there")
	case is != nil && is.connected == l.genuine && is.copy.Ed25519 == l.proves && is.copy.Session.FirstKnownIndex() > l.index:
		s.wrong("I2: came from %d on, and begins at %d", l.index, is.copy.Session.FirstKnownIndex())
	}
}

// mayHide says whether something that was shown may be hidden now (I11): its index was taken, a forgery came to light, or direct evidence came
// for what only a claim had shown.
func (s *step) mayHide(p *probe) bool {
	if p.room == room && p.index == 2 && s.before.replays[2] != s.after.replays[2] {
		return true
	}
	for key := range s.before.copies {
		if s.after.copies[key] == nil {
			return true
		}
	}
	if len(s.after.graves) > len(s.before.graves) {
		return true
	}
	direct := func(st *state) (opens, total int) {
		for key, f := range st.copies {
			if key.RoomID == p.room && key.Provenance == sender.Direct && (!f.copy.Suspended || f.copy.OlmUser == p.from) {
				if total++; covers(p.index)(f) {
					opens++
				}
			}
		}
		return opens, total
	}
	before, had := direct(s.before)
	after, has := direct(s.after)
	for key, f := range s.after.copies {
		was := s.before.copies[key]
		if key.RoomID == p.room && f.copy.Suspended && (was == nil || !was.copy.Suspended || covers(p.index)(f) != covers(p.index)(was)) {
			return true
		}
	}
	return before == 0 && (after > 0 || has > had)
}
