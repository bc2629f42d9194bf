package modeltest

import (
	"fmt"
	"strings"
)

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
