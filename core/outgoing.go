package core

import (
	"context"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/lane"
)

// Hosts that make their requests themselves ask what there is to send, send it, and bring the answer back. A request stays on the list until
// it is answered, so a host that lost one meets it again.

// outgoing is a request in the hands of such a host.
type outgoing struct {
	KeysQueryRequest
	taken []*lane.Question
}

// OutgoingRequests lists the /keys/query requests to send: for the senders of room keys that wait, and for followed users whose device lists
// are outdated. Answer each with MarkRequestAsSent, or with ReceiveKeysQueryResponse.
func (m *Machine) OutgoingRequests() []KeysQueryRequest {
	m.turn.Lock()
	defer m.leave()
	l := &m.lanes
	for _, user := range m.trust.Outdated() {
		if !slices.ContainsFunc(l.outgoing, func(o outgoing) bool { return slices.Contains(o.Users, user) }) {
			l.questions.Ask(user)
		}
	}
	for taken := l.questions.Take(); len(taken) > 0; taken = l.questions.Take() {
		l.outgoing = append(l.outgoing, outgoing{m.beginRequest(usersOf(taken)), taken})
	}
	requests := make([]KeysQueryRequest, len(l.outgoing))
	for i := range l.outgoing {
		requests[i] = l.outgoing[i].KeysQueryRequest
	}
	return requests
}

// MarkRequestAsSent brings the answer to a request of OutgoingRequests, or to a KeysUpload, of which there is no result. Errors: those of
// ReceiveKeysQueryResponse and of MarkKeysUploaded; the request is then still on the list.
func (m *Machine) MarkRequestAsSent(ctx context.Context, id string, response []byte) (*KeysQueryResult, error) {
	if id == "" {
		return nil, &RequestError{}
	}
	if upload, err := m.markUpload(ctx, id, response); upload {
		return nil, err
	}
	return m.ReceiveKeysQueryResponse(ctx, response, id)
}

// markUpload brings the answer to an upload of keys, if the id is that of one.
func (m *Machine) markUpload(ctx context.Context, id string, response []byte) (upload bool, err error) {
	m.turn.Lock()
	defer m.leave()
	if m.closed || m.account == nil || !m.account.isUpload(id) {
		return false, nil
	}
	return true, m.account.markUploaded(ctx, id, response)
}

// sent takes an answered request off the list.
func (m *Machine) sent(id string) {
	l := &m.lanes
	for i := range l.outgoing {
		if l.outgoing[i].ID == id {
			m.answered(l.outgoing[i].taken)
			l.outgoing = slices.Delete(l.outgoing, i, i+1)
			return
		}
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
