package modeltest

import (
	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/sender"
)

// The oracle of I15: the reference rule over the rows of a state, as cases. It knows the Machine's types and nothing of its ways.

// shows says whether an event of p is shown. opens says whether a copy decrypts it.
func (st *state) shows(p *probe, opens func(*facts) bool) bool {
	if first, taken := st.replays[p.index]; taken && p.room == room && first != string(p.eventID) {
		return false
	}
	best, forged, others := -1, false, false                // of the sender's own direct copies that open it; of other people's
	laterBest, laterForged, laterOthers := -1, false, false // of those that do not
	claims, legacy, forgedOthers := false, false, false
	for key, f := range st.copies {
		c := f.copy
		if key.RoomID != p.room {
			continue
		}
		own, opens := c.OlmUser == p.from, opens(f)
		switch {
		case key.Provenance == sender.Claimed:
			claims, legacy = claims || opens, legacy || opens && c.Legacy
		case own && c.Suspended && opens:
			forged = true
		case own && c.Suspended:
			laterForged = true
		case own && opens:
			best = max(best, c.Current.Rank())
		case own:
			laterBest = max(laterBest, c.Current.Rank())
		case c.Suspended:
			forgedOthers = forgedOthers || opens
		case opens:
			others = true
		default:
			laterOthers = true
		}
	}
	claim := claims && (p.under == policy.Untrusted || p.under == policy.CrossSignedOrLegacy && legacy)
	switch {
	case best >= 0:
		return ranked(best, p.under)
	case forged:
		return false
	case others:
		return p.under == policy.Untrusted
	case !claims: // a forger who sent the session on, or nobody
		return false
	case laterBest >= 0:
		return claim && ranked(laterBest, p.under)
	case laterForged:
		return false
	case laterOthers:
		return claim && p.under == policy.Untrusted
	case st.buried(p.room, p.from):
		return false
	}
	return claim
}

// ranked is what the policies show of a sender's own copy that is not legacy.
func ranked(rank int, under policy.TrustRequirement) bool {
	least := map[policy.TrustRequirement]int{policy.Untrusted: 0, policy.CrossSignedOrLegacy: 3, policy.CrossSigned: 3, policy.Verified: 4}
	return rank >= least[under]
}

func (st *state) buried(in ids.RoomID, from ids.UserID) bool {
	for key, grave := range st.graves {
		if key.RoomID == in && grave.OlmUser == from {
			return true
		}
	}
	return false
}

// covers says whether a copy should open an index, going by where it begins.
func covers(index uint32) func(*facts) bool {
	return func(f *facts) bool { return f.copy.Session.FirstKnownIndex() <= index }
}

// decrypts says whether a copy does open what Alice has encrypted at an index (I18).
func decrypts(index uint32) func(*facts) bool {
	return func(f *facts) bool { return f.connected && f.copy.Session.FirstKnownIndex() <= index }
}
