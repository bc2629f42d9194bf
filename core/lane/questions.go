package lane

import (
	"slices"

	"knownsender/core/ids"
)

// UsersPerRequest is the most users one /keys/query may name.
const UsersPerRequest = 250

// Questions is who is to be asked about and who is being asked about. Whoever needs an answer about a user asks here; whoever finds users
// waiting takes them along in one request. So many askers make few requests, and no user is in two at once.
type Questions struct {
	waiting map[ids.UserID]*Question
	order   []ids.UserID // of waiting, oldest first
	asked   map[ids.UserID]*Question
}

// Question is one user somebody wants to know of. Done is closed when the request that took it along has come to its end, well or badly.
type Question struct {
	User ids.UserID
	Done chan struct{}
}

// NewQuestions returns an empty list.
func NewQuestions() *Questions {
	return &Questions{waiting: map[ids.UserID]*Question{}, asked: map[ids.UserID]*Question{}}
}

// Ask puts a user on the list, or finds them there. A user who is being asked about right now is put on the list again: that answer may have
// been made before what the asker knows happened.
func (q *Questions) Ask(user ids.UserID) *Question {
	if there := q.waiting[user]; there != nil {
		return there
	}
	made := &Question{User: user, Done: make(chan struct{})}
	q.waiting[user] = made
	q.order = append(q.order, user)
	return made
}

// Waiting says how many users could be taken now.
func (q *Questions) Waiting() int {
	free := 0
	for user := range q.waiting {
		if q.asked[user] == nil {
			free++
		}
	}
	return free
}

// Take takes up to UsersPerRequest users off the list, oldest first, except those in another request.
func (q *Questions) Take() []*Question {
	var taken []*Question
	kept := q.order[:0]
	for _, user := range q.order {
		if len(taken) == UsersPerRequest || q.asked[user] != nil {
			kept = append(kept, user)
			continue
		}
		question := q.waiting[user]
		delete(q.waiting, user)
		q.asked[user] = question
		taken = append(taken, question)
	}
	clear(q.order[len(kept):])
	q.order = kept
	return taken
}

// Answered ends the request that took the questions along.
func (q *Questions) Answered(taken []*Question) {
	for _, question := range taken {
		delete(q.asked, question.User)
		close(question.Done)
	}
}

// AnsweredElsewhere lets go of those who wait for users whom another tab has asked about.
func (q *Questions) AnsweredElsewhere(users []ids.UserID) {
	for _, user := range users {
		question := q.waiting[user]
		if question == nil {
			continue
		}
		delete(q.waiting, user)
		q.order = slices.DeleteFunc(q.order, func(other ids.UserID) bool { return other == user })
		close(question.Done)
	}
}
