package modeltest

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
