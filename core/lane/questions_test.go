package lane_test

import (
	"fmt"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/lane"
)

func closed(q *lane.Question) bool {
	select {
	case <-q.Done:
		return true
	default:
		return false
	}
}

// Many askers, few requests: at most 250 users in each, oldest first.
func TestQuestionsAreTakenTogether(t *testing.T) {
	q := lane.NewQuestions()
	for i := range 600 {
		first := q.Ask(ids.UserID(fmt.Sprintf("@user%03d:example.org", i)))
		if q.Ask(first.User) != first {
			t.Fatal("one user asked about twice is two questions")
		}
	}
	var sizes []int
	for n, taken := 0, q.Take(); len(taken) > 0; taken = q.Take() {
		if taken[0].User != ids.UserID(fmt.Sprintf("@user%03d:example.org", n)) {
			t.Fatalf("%s is first of a request, want number %d", taken[0].User, n)
		}
		n += len(taken)
		sizes = append(sizes, len(taken))
	}
	if fmt.Sprint(sizes) != "[250 250 100]" {
		t.Fatalf("requests of %v users", sizes)
	}
}

// No user is in two requests at once; a question asked meanwhile waits for the next.
func TestOneRequestAtATimePerUser(t *testing.T) {
	q := lane.NewQuestions()
	early := q.Ask("@alice:example.org")
	taken := q.Take()
	late := q.Ask("@alice:example.org")
	if late == early {
		t.Fatal("an answer that is under way was taken for a later question")
	}
	if got := q.Take(); len(got) != 0 || q.Waiting() != 0 {
		t.Fatal("a user is in two requests at once")
	}
	q.Answered(taken)
	if !closed(early) || closed(late) {
		t.Fatal("the wrong question was answered")
	}
	if got := q.Take(); len(got) != 1 || got[0] != late {
		t.Fatal("the later question was forgotten")
	}
}
