package core

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/sender"
	"knownsender/core/store"
)

// The slow and the retry lane. What they share is one list of questions: whoever waits for a sender asks there, and few requests take many
// questions along.
//
//	R  a room key is received and its sender is not known: the question is asked at once, the key is stored first (Flush)
//	S  Settle sends what has been asked, waits until it is answered or the budget is over, and hands what still waits to the schedule
//	T  Retry, on a timer: copies that are due, fairly among users, ask again (one pass at a time)
//	U  an answer arrives: trust learns of it and judges again, by index, what it bears on; so S and T only look whether anything still waits
//	V  in vain: the schedule of what still waits moves on
//
// None of them holds anything across a wait that a sync loop would want.

// budget is how long the slow lane waits for an answer, and how long a request may take.
const budget = 10 * time.Second

// maxRequests is how many requests may be under way at once: one that hangs must not keep the others from being sent.
const maxRequests = 4

// lanes is what the two lanes remember. Nothing in it is needed to survive a restart: the schedules lie with the copies.
type lanes struct {
	fetcher   lane.Fetcher // nil: the host makes the requests, see OutgoingRequests
	spawn     func(func())
	jitter    func() float64
	questions *lane.Questions
	requests  int                          // under way
	outgoing  []*outgoing                  // not answered yet, but for what the lanes send themselves
	quiet     int64                        // the server wants to be left alone until then
	busy      map[sender.CopyKey]int       // in the slow lane; the retry lane lets go of them (scenario 73)
	vain      map[ids.UserID]int64         // when users were last asked about and copies of theirs still waited
	news      map[ids.UserID]bool          // whose device lists have changed
	lists     map[ids.UserID]lane.Schedule // of followed users whose outdated lists were asked for in vain
	nudged    int64                        // when everything was last made due; 0 when that has been dealt with
	cursor    store.Query                  // how far dealing with it has got
	retrying  bool
	follows   bool // another tab runs the lanes
	paused    bool // no connection, or the page is asleep
}

// maxVain bounds the memory of users asked about in vain. Forgetting one costs a question too many.
const maxVain = 16384

func newLanes(options *Options) lanes {
	l := lanes{
		fetcher: options.Fetcher, spawn: options.Spawn, jitter: options.Jitter,
		questions: lane.NewQuestions(), busy: map[sender.CopyKey]int{}, vain: map[ids.UserID]int64{}, news: map[ids.UserID]bool{},
		lists: map[ids.UserID]lane.Schedule{},
	}
	if l.spawn == nil {
		l.spawn = func(f func()) { go f() }
	}
	if l.jitter == nil {
		l.jitter = rand.Float64
	}
	return l
}

// enter is step R: the copy waits in the slow lane until Settle lets go of it.
func (l *lanes) enter(r *Reception, c *sender.Copy) {
	question := l.questions.Ask(c.OlmUser)
	if last := len(r.questions) - 1; last < 0 || r.questions[last] != question { // a thousand keys of one sender are one question
		r.questions = append(r.questions, question)
	}
	r.entered = append(r.entered, c.CopyKey)
	l.busy[c.CopyKey]++
}

func (l *lanes) leave(r *Reception) {
	for _, key := range r.entered {
		if l.busy[key]--; l.busy[key] <= 0 {
			delete(l.busy, key)
		}
	}
	r.entered = nil
}

// Settle is step S: it sends what has been asked and waits, at most ten seconds, for the senders of a reception's keys. What still waits then
// is handed to the retry lane. Call it when the keys are durable; the sync loop need not wait for it. The error is the store's, and then the
// schedule is as before: due.
func (m *Machine) Settle(ctx context.Context, r *Reception) ([]Settled, error) {
	m.turn.Lock()
	defer m.leave()
	defer m.lanes.leave(r)
	m.askAll(ctx, r.questions)
	var still []*shelved
	for _, key := range r.entered {
		if there := m.shelf.copy(key); there != nil && there.copy.Waiting() {
			still = append(still, there)
		}
	}
	err := m.inVain(context.WithoutCancel(ctx), still) // who no longer waits has still handed the rest over
	return m.settled(r), err
}

// askAll sends what has been asked, or has the tab send it that runs the lanes, and waits for the questions to be answered.
func (m *Machine) askAll(ctx context.Context, questions []*lane.Question) {
	if m.lanes.fetcher == nil || m.lanes.paused {
		return
	}
	if m.lanes.follows {
		m.tellPeers(PeerNews{Asked: usersOf(questions)})
		m.tell()
	}
	m.dispatch()
	m.await(ctx, questions)
}

// await waits for questions to be answered, or for the budget to be over.
func (m *Machine) await(ctx context.Context, questions []*lane.Question) {
	if len(questions) == 0 {
		return
	}
	ctx, cancel := within(ctx, budget)
	defer cancel()
	m.turn.give(func() {
		for _, question := range questions {
			select {
			case <-question.Done:
			case <-ctx.Done():
				return
			}
		}
	})
}

// within is a context that ends after a time, with context.DeadlineExceeded for its cause. The library's own holds a time.Time, and with it the wasm
// would hold all that can be printed and parsed of times.
func within(parent context.Context, long time.Duration) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	timer := time.AfterFunc(long, func() { cancel(context.DeadlineExceeded) })
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// dispatch sends requests for what has been asked, as many as may be under way.
func (m *Machine) dispatch() {
	l := &m.lanes
	for !m.closed && l.fetcher != nil && !l.follows && !l.paused && m.now() >= l.quiet && l.requests < maxRequests {
		taken := l.questions.Take()
		if len(taken) == 0 {
			return
		}
		l.requests++
		l.spawn(func() { m.request(taken) })
	}
}

// request is one request from beginning to end, step U included.
func (m *Machine) request(taken []*lane.Question) {
	m.turn.Lock()
	defer m.leave()
	defer func() { // also when something in between panics: whoever waits is let go of, and the next request has a place
		m.lanes.requests--
		m.answered(taken)
		m.dispatch()
	}()
	query := m.trust.BeginQuery(usersOf(taken))
	request := lane.NewKeysQuery(query.ID, query.Users)
	if body, err := m.send(context.Background(), &request); err == nil {
		_, _ = m.applyAnswer(context.Background(), body, query.Sequence) // whoever still waits is asked about again
	}
}

// heed keeps quiet for as long as the server asks to be left alone.
func (l *lanes) heed(err error, now int64) {
	if refused, ok := err.(*lane.FetchError); ok && refused.Code == lane.CodeRateLimited {
		l.quiet = max(l.quiet, now+min(max(refused.RetryAfter, 1000), lane.MaxDelay.Milliseconds()))
	}
}

// answered lets go of those who wait for the questions, here and in other tabs.
func (m *Machine) answered(taken []*lane.Question) {
	m.lanes.questions.Answered(taken)
	m.tellPeers(PeerNews{Answered: usersOf(taken)})
}

func usersOf(questions []*lane.Question) []ids.UserID {
	users := make([]ids.UserID, len(questions))
	for i, question := range questions {
		users[i] = question.User
	}
	return users
}

// inVain is step V: copies that still wait get their next time, all of one user the same, so that they lie together in the index.
func (m *Machine) inVain(ctx context.Context, still []*shelved) error {
	l := &m.lanes
	if len(still) == 0 || l.fetcher == nil || l.paused || l.follows {
		return nil // nobody was asked, or not by us
	}
	now := m.now()
	jitter := map[ids.UserID]float64{}
	for _, there := range still {
		user := there.copy.OlmUser
		if _, has := jitter[user]; !has {
			jitter[user] = l.jitter()
			l.rememberVain(user, now)
		}
		there.copy = there.copy.Rescheduled(there.copy.Schedule.After(now, l.quiet, jitter[user]))
		m.shelf.queue(m.shelf.session(nameOf(there.copy.CopyKey)))
	}
	return m.flush(ctx)
}

func (l *lanes) rememberVain(user ids.UserID, now int64) {
	if len(l.vain) >= maxVain {
		clear(l.vain)
	}
	l.vain[user] = now
}

// Limits of one pass of the retry lane, so that it is over in milliseconds however much is due.
const (
	retryCopies  = 256 // copies in one pass
	retryPerUser = 64  // copies of one user of one second's schedule
	// retryPause is the least time between two passes that find nothing to do, and what passes for "soon".
	retryPause = time.Second
)

// Retry is step T: one pass over what is due. It returns when to call again, in milliseconds since 1970. A pass while another is under way does
// nothing. The error is the store's; the next pass tries again.
func (m *Machine) Retry(ctx context.Context) (next int64, err error) {
	m.turn.Lock()
	defer m.leave()
	l := &m.lanes
	now := m.now()
	soon := now + retryPause.Milliseconds()
	others := m.deliverDue()
	switch {
	case m.closed:
		return soon, errClosed()
	case l.retrying || l.follows || l.paused || l.fetcher == nil:
		return max(others, soon), nil
	case now < l.quiet:
		return l.quiet, nil
	}
	l.retrying = true
	defer func() { l.retrying = false }()

	if m.account != nil {
		m.account.dispatchUpload()
		others = min(others, m.account.uploadDue())
	}
	nudged := l.nudged // the end of what it has made due is the end of it
	due, more, err := m.due(ctx, now)
	if err != nil {
		return soon, err
	}
	if due, err = m.judgeDue(ctx, due); err != nil {
		return soon, err
	}
	questions, err := m.questionsFor(ctx, due, nudged)
	if err != nil {
		return soon, err
	}
	if len(questions) > 0 { // otherwise what waits is the slow lane's to send
		m.dispatch()
		m.await(ctx, questions)
	}
	lists := m.listsInVain(questions)
	still := due[:0]
	for _, there := range due {
		if !there.gone && there.copy.Waiting() {
			still = append(still, there)
		}
	}
	if err := m.inVain(ctx, still); err != nil {
		return soon, err
	}
	if more {
		return m.now(), nil
	}
	first, err := m.firstDue(ctx)
	if err != nil {
		return soon, err
	}
	return max(min(first, lists, others), soon), nil
}

// judgeDue judges due copies by what is known already, and returns those that still wait. A tab may have stored a copy while another learned of
// its sender, and died before it heard: the copy was judged by neither, and no answer would bring news of the sender any more.
func (m *Machine) judgeDue(ctx context.Context, due []*shelved) ([]*shelved, error) {
	changed, err := m.judgeCopies(ctx, due, BecauseKeysQuery)
	if err == nil && changed > 0 {
		err = m.flush(ctx)
	}
	return slices.DeleteFunc(due, func(there *shelved) bool { return there.gone || !there.copy.Waiting() }), err
}

// listsInVain notes which of the device lists asked for are still outdated, and returns when the first is to be asked for again.
func (m *Machine) listsInVain(asked []*lane.Question) int64 {
	l, now := &m.lanes, m.now()
	for _, question := range asked {
		if m.toBeAsked(question.User) {
			l.lists[question.User] = l.lists[question.User].After(now, l.quiet, l.jitter())
		} else {
			delete(l.lists, question.User)
		}
	}
	next := now + lane.MaxDelay.Milliseconds()
	for _, schedule := range l.lists {
		next = min(next, schedule.Next)
	}
	return next
}

// questionsFor asks about the users of due copies, about followed users whose lists are outdated, and about waited-for users of whom there is
// news. A user who was asked about since a copy became due is not asked about again for that copy: it only moves on.
func (m *Machine) questionsFor(ctx context.Context, due []*shelved, nudged int64) ([]*lane.Question, error) {
	l := &m.lanes
	var questions []*lane.Question
	ask := func(user ids.UserID) { questions = append(questions, l.questions.Ask(user)) }
	asked := map[ids.UserID]bool{}
	for _, there := range due {
		user := there.copy.OlmUser
		if at, vainly := l.vain[user]; !asked[user] && (!vainly || at < max(there.copy.Schedule.Next, nudged)) {
			asked[user] = true
			ask(user)
		}
	}
	for _, user := range m.trust.Outdated() {
		if !asked[user] && (l.lists[user].Due(m.now()) || l.news[user]) {
			asked[user] = true
			ask(user)
		}
	}
	for user := range l.news {
		delete(l.news, user)
		if asked[user] {
			continue
		}
		waiting, err := store.Page(ctx, m.store, store.Query{Table: store.Copies, Index: store.IndexWaiting, IndexValue: store.Key{string(user)}, Limit: 1})
		if err != nil {
			return nil, err
		}
		if len(waiting) > 0 {
			ask(user)
		}
	}
	return questions, nil
}

// due reads the copies to be asked about, earliest first, and says whether there are more. Of what one user has in one second's schedule it
// takes some and passes over the rest, so that nobody's thousand keys keep another's one waiting (T50).
func (m *Machine) due(ctx context.Context, now int64) (due []*shelved, more bool, err error) {
	l := &m.lanes
	query := store.Query{Table: store.Copies, Index: store.IndexDue, Limit: retryCopies}
	if l.nudged != 0 {
		query = l.cursor
	}
	// Only what a wrong clock has put further ahead than any delay lies behind here, and is due again.
	far := store.Key{record.DueName(now + lane.MaxDelay.Milliseconds() + 1000)}
	for beyond := false; ; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return nil, false, err
		}
		jumped, run := false, 0
		for i := range rows {
			place := rows[i].Entry(store.IndexDue)
			if next, _, ok := record.ParseDue(place); ok && l.nudged == 0 && !(lane.Schedule{Next: next}).Due(now) {
				if beyond {
					return due, more, nil
				}
				query.AfterIndex, query.After = far, store.LastKey
				beyond, jumped = true, true
				break
			}
			if run++; i == 0 || !place.Equal(rows[i-1].Entry(store.IndexDue)) {
				run = 1
			}
			if run > retryPerUser {
				query.AfterIndex, query.After = place, store.LastKey
				more, jumped = true, true
				break
			}
			query = query.Next(&rows[i])
			there := m.take(&rows[i])
			if there == nil {
				if err := m.unindex(ctx, &rows[i]); err != nil {
					return nil, false, err
				}
			} else if m.isDue(there, now) {
				due = append(due, there)
			}
			if len(due) == retryCopies {
				l.cursor = query
				return due, true, nil
			}
		}
		if !jumped && len(rows) < retryCopies {
			l.nudged = 0
			return due, more, nil
		}
	}
}

// unindex takes a row that cannot be read out of the indexes, so that it does not stay due for ever (F38). Its bytes stay where they are. If
// somebody has written it meanwhile it can be read again, or is found again.
func (m *Machine) unindex(ctx context.Context, row *store.Row) error {
	err := m.store.Commit(ctx, store.Batch{Ops: []store.Op{{Table: row.Table, Key: row.Key, Expect: row.Rev, Value: row.Value}}})
	if _, conflict := clash(err); conflict {
		return nil
	}
	return err
}

// isDue says whether a copy is due by what is known here: it may have moved while the page was read, the slow lane may have it, and what
// everything was made due for may have been asked since.
func (m *Machine) isDue(there *shelved, now int64) bool {
	l, c := &m.lanes, there.copy
	if there.gone || !c.Waiting() || l.busy[c.CopyKey] != 0 {
		return false
	}
	return c.Schedule.Due(now) || l.nudged != 0 && l.vain[c.OlmUser] < l.nudged
}

// firstDue is when the earliest copy is due.
func (m *Machine) firstDue(ctx context.Context) (int64, error) {
	rows, err := store.Page(ctx, m.store, store.Query{Table: store.Copies, Index: store.IndexDue, Limit: 1})
	if err != nil || len(rows) == 0 {
		return m.now() + lane.MaxDelay.Milliseconds(), err
	}
	next, _, _ := record.ParseDue(rows[0].Entry(store.IndexDue))
	return next + 1000, nil // the index rounds down
}

// Nudge makes everything that waits due: the connection is back, or the user asks. Call Retry then.
func (m *Machine) Nudge() {
	m.turn.Lock()
	defer m.leave()
	m.lanes.nudged = m.now()
	m.lanes.cursor = store.Query{Table: store.Copies, Index: store.IndexDue, Limit: retryCopies}
}

// PauseLanes stops or continues the slow and the retry lane: no connection, or the page is asleep. What is under way comes to its end.
func (m *Machine) PauseLanes(paused bool) {
	m.turn.Lock()
	defer m.leave()
	m.lanes.paused = paused
	if m.lanes.nudged == 0 { // otherwise the retry lane is about to ask about everybody, and takes along who waits
		m.dispatch()
	}
}

// FollowLanes says that another tab runs the lanes, or no longer does.
func (m *Machine) FollowLanes(follows bool) {
	m.turn.Lock()
	defer m.leave()
	m.lanes.follows = follows
	m.dispatch()
}

// LaneCounts is what the lanes have under way, for people who watch.
type LaneCounts struct {
	Waiting  int   // users asked about whose request has not been sent
	Requests int   // under way
	Slow     int   // copies in the slow lane
	Quiet    int64 // the server wants to be left alone until then; 0 when not
}

// LaneCounts counts.
func (m *Machine) LaneCounts() LaneCounts {
	m.turn.Lock()
	defer m.leave()
	l := &m.lanes
	counts := LaneCounts{Waiting: l.questions.Waiting(), Requests: l.requests + len(l.outgoing), Slow: len(l.busy)}
	if l.quiet > m.now() {
		counts.Quiet = l.quiet
	}
	return counts
}
