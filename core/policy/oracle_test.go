package policy_test

import (
	"slices"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/policy"
	"knownsender/core/sender"
)

// oracle is the reference rule, written as cases: no table, no weights. p counts the requirements from 0.
func oracle(q *policy.Question) bool {
	p := q.Requirement
	if q.Sender == "" || q.Replayed || q.WrongRoom {
		return false
	}
	claim, legacyClaim := false, false
	for _, c := range q.Copies {
		if c.Provenance == sender.Claimed {
			distrusted := c.Forwarder != nil && slices.Contains(q.Distrusted, c.Forwarder.Data.UserID)
			claim, legacyClaim = true, legacyClaim || c.Legacy && !distrusted
		}
	}
	claimShown := claim && (p == 0 || p == 1 && legacyClaim)

	// What the direct copies among list say: nothing, show, hide, or forged.
	say := func(list []*sender.Copy) string {
		rank, legacyAtRank, suspendedOwn, otherOwner, suspendedOther, unowned, unownedLegacy := -1, false, false, false, false, false, false
		for _, c := range list {
			owner, known := c.Owner()
			switch {
			case c.Provenance == sender.Claimed:
			case !known:
				unowned, unownedLegacy = true, unownedLegacy || c.Legacy
			case owner != q.Sender && c.Suspended:
				suspendedOther = true
			case owner != q.Sender:
				otherOwner = true
			case c.Suspended:
				suspendedOwn = true
			case c.Current.Rank() > rank:
				rank, legacyAtRank = c.Current.Rank(), c.Legacy
			case c.Current.Rank() == rank:
				legacyAtRank = legacyAtRank || c.Legacy
			}
		}
		shown := p == 0
		switch {
		case rank == 4:
			shown = true
		case rank == 3:
			shown = p <= 2
		case rank == 2:
		case rank >= 0:
			shown = p == 0 || p == 1 && legacyAtRank
		case suspendedOwn:
			return "forged"
		case otherOwner:
		case unowned:
			shown = p == 0 || p == 1 && unownedLegacy
		case suspendedOther && !claim:
			return "forged"
		default:
			return "nothing"
		}
		return map[bool]string{true: "show", false: "hide"}[shown]
	}
	direct := say(q.Copies)
	if direct == "nothing" {
		if !claim {
			return false
		}
		if direct = say(q.Others); direct == "nothing" {
			for _, stone := range q.Tombstones {
				if stone.OlmUser == q.Sender {
					direct = "forged"
				}
			}
		}
		if direct == "show" {
			return claimShown
		}
	}
	switch direct {
	case "show":
		return true
	case "forged":
		return false
	case "hide":
		return q.ClaimsMayOverruleDirect && claimShown
	}
	return claimShown
}

// I10 and I15: over every question with up to three copies, each of which decrypts the event or does not, the verdict is the oracle's, and
// each requirement shows no more than the one before.
func TestJudgeIsTheReferenceRule(t *testing.T) {
	var kinds []*sender.Copy
	for kind := range sender.Kind(5) {
		kinds = append(kinds, direct(alice, kind), direct(mallory, kind))
	}
	kinds = append(kinds,
		with(direct(alice, sender.UnknownDevice), legacy), with(direct(alice, sender.DeviceInfo), legacy), with(direct(mallory, sender.DeviceInfo), legacy),
		with(direct(alice, sender.DeviceInfo), suspended), with(direct(mallory, sender.DeviceInfo), suspended),
		direct("", sender.UnknownDevice), with(direct("", sender.UnknownDevice), legacy),
		with(direct(alice, sender.UnknownDevice), func(c *sender.Copy) { c.Current.OwnerCheckFailed = true }),
		claimed(false), claimed(true), with(claimed(true), handedOver),
	)
	tombstones := [][]*sender.Tombstone{nil, {{OlmUser: alice}}, {{OlmUser: mallory}}}
	options := []struct {
		claimsMayOverrule bool
		distrusted        []ids.UserID
	}{{false, nil}, {true, nil}, {false, []ids.UserID{mallory}}, {true, []ids.UserID{mallory}}}

	questions := 0
	check := func(q policy.Question) {
		t.Helper()
		for _, option := range options {
			q.ClaimsMayOverruleDirect, q.Distrusted = option.claimsMayOverrule, option.distrusted
			for _, q.Tombstones = range tombstones {
				before := true
				for r := range policy.TrustRequirement(policy.Requirements) {
					q.Requirement = r
					v := policy.Judge(&q)
					questions++
					if want := oracle(&q); v.Shown != want {
						t.Fatalf("%v: %v, the oracle says %v\ncopies %v\nothers %v\ntombstones %d, option %v", r, v.Shown, want, all(q.Copies), all(q.Others), len(q.Tombstones), q.ClaimsMayOverruleDirect)
					}
					if v.Shown && !before {
						t.Fatalf("%v shows what the one before hides: %v %v", r, all(q.Copies), all(q.Others))
					}
					before = v.Shown
					if v.Shown != policy.Lookup(v.State, r).Shown || !v.Shown && v.Code == "" {
						t.Fatalf("the verdict is not in the table: %+v", v)
					}
					// I16: from CrossSigned on, what is shown is shown for its owner's sake.
					if v.Shown && r >= policy.CrossSigned {
						if owner, known := v.Chosen.Owner(); !known || owner != q.Sender {
							t.Fatalf("%v shows another user's copy", r)
						}
					}
					// I7: whatever shows a claimed copy, it shows it with a warning.
					if v.Shown && v.Chosen.Provenance == sender.Claimed && v.Shield.Color == policy.ShieldNone {
						t.Fatal("a claim without a shield")
					}
				}
			}
		}
	}
	var fill func(q policy.Question, left int)
	fill = func(q policy.Question, left int) {
		check(q)
		if left == 0 {
			return
		}
		for _, c := range kinds {
			next := q
			next.Copies = append(q.Copies[:len(q.Copies):len(q.Copies)], c)
			fill(next, left-1)
			next = q
			next.Others = append(q.Others[:len(q.Others):len(q.Others)], c)
			fill(next, left-1)
		}
	}
	depth := 3
	if testing.Short() {
		depth = 2
	}
	fill(policy.Question{Sender: alice}, depth)
	if questions < 10_000 {
		t.Errorf("%d questions", questions)
	}
}

func all(copies []*sender.Copy) []sender.Copy {
	var out []sender.Copy
	for _, c := range copies {
		out = append(out, *c)
	}
	return out
}

// BenchmarkJudge is a verdict over two copies; getRoomEventEncryptionInfo makes one for every event on the screen.
func BenchmarkJudge(b *testing.B) {
	q := &policy.Question{Requirement: policy.CrossSigned, Sender: alice, Copies: []*sender.Copy{direct(alice, sender.SenderUnverified), claimed(true)}}
	b.ReportAllocs()
	for b.Loop() {
		if v := policy.Judge(q); !v.Shown {
			b.Fatal(v)
		}
	}
}
