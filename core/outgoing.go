package core

import (
	"context"
	"crypto/rand"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/lane"
)

// Requests to the homeserver that wait for their answers. A machine with a Fetcher sends them itself; hosts that make their requests themselves ask what
// there is to send, send it, and bring the answer back. A request stays on the list until it is answered, so one that was lost is met again. The list
// does not survive a restart: whatever posts a request can post it anew from what is stored.

// outgoing is a request on the list.
type outgoing struct {
	lane.Request
	users    []ids.UserID     // of a /keys/query
	taken    []*lane.Question // of a /keys/query: who waits for it
	take     taker            // of any other
	schedule lane.Schedule    // of sending it ourselves in vain
	sending  chan struct{}    // closed when it has been sent by ourselves, nil while it is not
	handed   bool             // to the host by the method that began it: neither listed nor sent by ourselves
	over     bool             // whatever came of it: it is not to be sent again
}

// taker takes the answer to a request over. When it fails the request stays on the list.
type taker func(ctx context.Context, answer []byte) error

// OutgoingRequests lists the requests to send: /keys/query for the senders of room keys that wait and for followed users whose device lists are outdated,
// /keys/upload with what the server is yet to have of our account, and whatever else has been begun and not answered. Answer each with
// MarkRequestAsSent, or a /keys/query with ReceiveKeysQueryResponse.
func (m *Machine) OutgoingRequests() []lane.Request {
	m.turn.Lock()
	defer m.leave()
	l := &m.lanes
	for _, user := range m.trust.Outdated() {
		if !slices.ContainsFunc(l.outgoing, func(o *outgoing) bool { return slices.Contains(o.users, user) }) {
			l.questions.Ask(user)
		}
	}
	for taken := l.questions.Take(); len(taken) > 0; taken = l.questions.Take() {
		query := m.beginRequest(usersOf(taken))
		l.outgoing = append(l.outgoing, &outgoing{Request: lane.NewKeysQuery(query.ID, query.Users), users: query.Users, taken: taken})
	}
	requests := make([]lane.Request, 0, len(l.outgoing)+1)
	for _, o := range l.outgoing {
		if !o.handed {
			requests = append(requests, o.Request)
		}
	}
	if m.account != nil && !m.closed {
		if upload := m.account.nextUpload(); upload != nil {
			requests = append(requests, *upload)
		}
	}
	return requests
}

// MarkRequestAsSent brings the answer to a request of OutgoingRequests. The result is that of a /keys/query, nil for all others. Errors: *RequestError for
// an id that names no request, those of ReceiveKeysQueryResponse, *AccountError bad_upload, what the method says that began the request, and those of
// the store; the request is then still on the list.
func (m *Machine) MarkRequestAsSent(ctx context.Context, id string, response []byte) (*KeysQueryResult, error) {
	if mine, err := m.markOther(ctx, id, response); mine {
		return nil, err
	}
	if id == "" {
		return nil, &RequestError{}
	}
	return m.ReceiveKeysQueryResponse(ctx, response, id)
}

// markOther brings the answer to a request that is no /keys/query, if the id is that of one.
func (m *Machine) markOther(ctx context.Context, id string, response []byte) (mine bool, err error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed {
		return true, errClosed()
	}
	if o := m.outgoing(id); o != nil && o.take != nil {
		return true, m.answer(ctx, o, response)
	}
	if slices.ContainsFunc(m.uploads, func(u upload) bool { return u.id == id }) {
		return true, m.backedUp(ctx, id)
	}
	if m.account == nil {
		return false, nil
	}
	return m.account.markUploaded(ctx, id, response)
}

// post puts a request on the list. take is called with its answer.
func (m *Machine) post(r lane.Request, take taker) *outgoing {
	if r.ID == "" {
		r.ID = rand.Text()
	}
	o := &outgoing{Request: r, take: take}
	m.lanes.outgoing = append(m.lanes.outgoing, o)
	return o
}

// outgoing is the request with that id, nil when there is none on the list.
func (m *Machine) outgoing(id string) *outgoing {
	for _, o := range m.lanes.outgoing {
		if o.ID == id {
			return o
		}
	}
	return nil
}

// done takes an answered request off the list, and lets go of those who wait for it.
func (o *outgoing) done(m *Machine) {
	if o == nil {
		return
	}
	m.lanes.outgoing = slices.DeleteFunc(m.lanes.outgoing, func(other *outgoing) bool { return other == o })
	if len(o.taken) > 0 {
		m.answered(o.taken)
	}
}

// answer takes an answer over, once: a second that comes meanwhile finds the request off the list.
func (m *Machine) answer(ctx context.Context, o *outgoing, response []byte) error {
	if m.outgoing(o.ID) != o {
		return nil
	}
	o.done(m)
	err := o.take(ctx, response)
	if err != nil && !o.over {
		m.lanes.outgoing = append(m.lanes.outgoing, o)
	}
	return err
}

// deliver sends a request through the Fetcher and takes its answer over. In vain it stays on the list, and the retry lane sends it again. Errors:
// *lane.FetchError, the context's, and those of its taker.
func (m *Machine) deliver(ctx context.Context, o *outgoing) (err error) {
	o.begin()
	defer func() {
		o.end()
		if err != nil {
			o.schedule = o.schedule.After(m.now(), m.lanes.quiet, m.lanes.jitter())
		}
	}()
	body, err := m.send(ctx, &o.Request)
	if err == nil {
		err = m.answer(context.WithoutCancel(ctx), o, body)
	}
	return err
}

// send sends a request through the Fetcher and returns the answer, within the budget and heeding the server. Errors: *lane.FetchError, the context's.
func (m *Machine) send(ctx context.Context, r *lane.Request) (answer []byte, err error) {
	ctx, cancel := within(ctx, budget)
	defer cancel()
	m.turn.give(func() { answer, err = m.lanes.fetcher.Send(ctx, r) })
	m.lanes.heed(err, m.now())
	return answer, err
}

// begin notes that the request is being sent.
func (o *outgoing) begin() {
	if o.sending == nil {
		o.sending = make(chan struct{})
	}
}

func (o *outgoing) end() {
	close(o.sending)
	o.sending = nil
}

// deliverNow is deliver for a request that may be on its way already.
func (m *Machine) deliverNow(ctx context.Context, o *outgoing) error {
	for sending := o.sending; sending != nil; sending = o.sending {
		m.turn.give(func() {
			select {
			case <-sending:
			case <-ctx.Done():
			}
		})
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	if m.outgoing(o.ID) != o {
		return nil
	}
	return m.deliver(ctx, o)
}

// deliverDue sends those requests of the list that nobody waits for, and returns when the first of the rest is due. Each tab sends its own.
func (m *Machine) deliverDue() int64 {
	l, now := &m.lanes, m.now()
	next := now + lane.MaxDelay.Milliseconds()
	if m.closed || l.fetcher == nil || l.paused || now < l.quiet {
		return next
	}
	for _, o := range slices.Clone(l.outgoing) {
		switch {
		case o.take == nil || o.sending != nil || o.handed:
		case o.schedule.Due(now):
			o.begin()
			l.spawn(func() { m.deliverAlone(o) })
		default:
			next = min(next, o.schedule.Next)
		}
	}
	return next
}

// deliverAlone is deliver with nobody waiting.
func (m *Machine) deliverAlone(o *outgoing) {
	m.turn.Lock()
	defer m.leave()
	if m.outgoing(o.ID) == o && !m.closed {
		_ = m.deliver(context.Background(), o) // it stays on the list, and is sent again
	} else {
		o.end()
	}
}

// MarkAllTrackedUsersAsDirty says that the device lists of all followed users may have changed: a gap in the sync, or a store that was restored.
// Errors: those of the store.
func (m *Machine) MarkAllTrackedUsersAsDirty(ctx context.Context) error {
	var followed []ids.UserID
	m.turn.Lock()
	for user := range m.trust.Users() {
		if m.trust.Tracked(user) {
			followed = append(followed, user)
		}
	}
	m.leave()
	return m.ReceiveDeviceLists(ctx, followed, nil)
}
