package core

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// What we learn of people goes one way: rows are read, a change is computed on them, the rows are written by compare-and-set together with a
// note of what is to be judged again, and only then does memory take the change over. When a row has changed in between (another tab), the
// change is computed anew on what lies there now.

// people is a set of stored users, and where each row stands.
type people struct {
	records map[ids.UserID]*trust.UserRecord
	revs    map[ids.UserID]uint64
}

// readPeople reads the rows of users; those without one are not in records.
func (m *Machine) readPeople(ctx context.Context, users []ids.UserID) (people, error) {
	found := people{make(map[ids.UserID]*trust.UserRecord, len(users)), make(map[ids.UserID]uint64, len(users))}
	wanted := make([]store.Key, len(users))
	for i, user := range users {
		wanted[i] = record.UserKey(user)
	}
	rows, err := m.store.Get(ctx, store.Users, wanted)
	if err != nil {
		return found, err
	}
	for i := range rows {
		m.takePerson(found, users[i], &rows[i])
	}
	return found, nil
}

// readEverybody reads all rows of the table.
func (m *Machine) readEverybody(ctx context.Context) (people, error) {
	found := people{map[ids.UserID]*trust.UserRecord{}, map[ids.UserID]uint64{}}
	for query := (store.Query{Table: store.Users}); ; {
		rows, err := store.Page(ctx, m.store, query)
		if err != nil {
			return found, err
		}
		for i := range rows {
			m.takePerson(found, ids.UserID(rows[i].Key[0]), &rows[i])
		}
		if len(rows) < store.DefaultLimit {
			return found, nil
		}
		query = query.Next(&rows[len(rows)-1])
	}
}

// takePerson decodes a row. A damaged one counts as none, except that its revision is kept: the next change writes over it, once a copy of it
// lies in quarantine.
func (m *Machine) takePerson(into people, user ids.UserID, row *store.Row) {
	if row.Rev == 0 {
		return
	}
	into.revs[user] = row.Rev
	person, err := record.DecodeUser(*row)
	if err != nil {
		m.quarantine(store.Users, row, err)
		return
	}
	into.records[user] = person
}

// loadPeople fills the index when the machine opens.
func (m *Machine) loadPeople(ctx context.Context) error {
	all, err := m.readEverybody(ctx)
	if err != nil {
		return err
	}
	for user, person := range all.records {
		m.loadPerson(user, person, all.revs[user])
	}
	return nil
}

func (m *Machine) loadPerson(user ids.UserID, person *trust.UserRecord, rev uint64) {
	m.revs[user] = rev
	if err := m.trust.Load(person); err != nil {
		// It decodes but contradicts itself: as good as damaged, and left where it is.
		m.report(StoreReport{Code: CodeRecordQuarantined, Table: store.Users, Message: err.Error()})
	}
}

// learn carries one change of trust through. users are those whose rows compute needs; nil means everybody. compute must be pure but for
// asking the verifier, and is called again when rows have changed. Afterwards every stored room key that the change bears on is judged again.
func (m *Machine) learn(ctx context.Context, users []ids.UserID, because Cause, compute func(people) (*trust.Change, error)) (*trust.Change, int, error) {
	if m.closed {
		return nil, 0, errClosed()
	}
	change, job, err := m.learnOnly(ctx, users, because, compute)
	if err != nil || job == nil {
		return change, 0, err
	}
	judged, err := m.judge(ctx, job)
	if err != nil {
		m.pending = append(m.pending, job)
		return change, judged, err
	}
	return change, judged, m.resume(ctx)
}

func (m *Machine) learnOnly(ctx context.Context, users []ids.UserID, because Cause, compute func(people) (*trust.Change, error)) (*trust.Change, *job, error) {
	m.learning.enter()
	defer m.learning.leave()
	missed := &trust.Change{}
	fail := func(err error) (*trust.Change, *job, error) {
		if j := m.jobOf(because, missed); j != nil {
			m.pending = append(m.pending, j)
		}
		return nil, nil, err
	}
	for clashes := 0; ; clashes++ {
		rows, err := m.readForChange(ctx, users)
		if err != nil {
			return fail(err)
		}
		m.catchUp(rows, missed)
		change, err := compute(rows)
		if err != nil {
			return fail(err)
		}
		job := m.jobOf(because, change, missed)
		batch := store.Batch{}
		for _, user := range slices.Sorted(maps.Keys(change.Records)) {
			batch.Ops = append(batch.Ops, record.UserRow(change.Records[user]).Put(rows.revs[user]))
		}
		if job != nil {
			batch.Ops = append(batch.Ops, job.note())
		}
		if len(batch.Ops) > 0 {
			aside := m.takeAside(&batch)
			if err = m.store.Commit(ctx, batch); err != nil {
				m.aside = append(aside, m.aside...)
			}
		}
		if err == nil {
			m.trust.Apply(change)
			for user := range change.Records {
				m.revs[user] = rows.revs[user] + 1
			}
			m.tellPeers(PeerNews{Users: slices.Sorted(maps.Keys(change.Records))})
			return change, job, nil
		}
		if _, conflict := clash(err); !conflict || clashes == maxClashes {
			return fail(err)
		}
	}
}

func (m *Machine) readForChange(ctx context.Context, users []ids.UserID) (people, error) {
	if users == nil {
		return m.readEverybody(ctx)
	}
	return m.readPeople(ctx, users)
}

// QueryKeysForUsers begins a request. Answer it with ReceiveKeysQueryResponse and the request's id: that is how an answer that was overtaken
// by a newer one is told from one that was not (T48), and how a device list becomes up to date (scenario 138).
func (m *Machine) QueryKeysForUsers(users []ids.UserID) lane.Request {
	m.turn.Lock()
	defer m.leave()
	query := m.beginRequest(users)
	return lane.NewKeysQuery(query.ID, query.Users)
}

func (m *Machine) beginRequest(users []ids.UserID) trust.Query {
	query := m.trust.BeginQuery(users)
	m.queries[query.ID] = query
	return query
}

// KeysQueryResult is what an answer changed.
type KeysQueryResult struct {
	*trust.Change
	RoomKeys int // stored copies whose standing changed
}

// CodeUnknownRequest: ReceiveKeysQueryResponse was given the id of no request that is under way.
const CodeUnknownRequest = "unknown_request"

// RequestError is the error of a request id that names nothing.
type RequestError struct{ ID string }

// Error is a sentence.
func (e *RequestError) Error() string { return "there is no request with that id under way: " + e.ID }

// ErrorCode is unknown_request.
func (e *RequestError) ErrorCode() string { return CodeUnknownRequest }

// ReceiveKeysQueryResponse takes an answer to /keys/query over: validates it part by part (spec section 7), writes what is new, and judges
// again the stored room keys it bears on. request is the id of QueryKeysForUsers, or empty for an answer the host asked for by itself: that
// one is applied, but brings no device list up to date (scenario 140).
//
// Errors: *trust.AnswerError for an answer that is none, *RequestError, and those of the store. What is wrong with single users or devices is
// listed in the result.
func (m *Machine) ReceiveKeysQueryResponse(ctx context.Context, raw []byte, request string) (*KeysQueryResult, error) {
	m.turn.Lock()
	defer m.leave()
	var sequence trust.Sequence
	if request != "" {
		query, known := m.queries[request]
		if !known {
			return nil, &RequestError{ID: request}
		}
		sequence = query.Sequence
	}
	result, err := m.applyAnswer(ctx, raw, sequence)
	if result != nil {
		delete(m.queries, request)
		m.outgoing(request).done(m)
	}
	return result, err
}

// applyAnswer is ReceiveKeysQueryResponse for a request that is known by its number, 0 for none.
func (m *Machine) applyAnswer(ctx context.Context, raw []byte, sequence trust.Sequence) (*KeysQueryResult, error) {
	answer, err := trust.ParseAnswer(raw, trust.DefaultLimits)
	if err != nil {
		return nil, err
	}
	if !m.closed { // which would have nobody notice
		answer = m.trust.Unrepeated(answer, sequence)
	}
	parts := []*trust.Answer{answer}
	if !m.trust.NeedsAll(answer) {
		// Each is some milliseconds of work, and in between the page has its turn.
		parts = answer.Parts(answerPart)
	}
	result := &KeysQueryResult{Change: &trust.Change{}}
	var judging error
	for _, part := range parts {
		if len(part.Users()) == 0 {
			result.Problems = append(result.Problems, part.Problems()...)
			continue
		}
		change, judged, err := m.applyPart(ctx, part, sequence)
		if change == nil {
			return nil, err // what is learned so far is learned; the request has not had its answer
		}
		result.add(change, judged)
		judging = cmp.Or(judging, err)
	}
	if m.account != nil && slices.Contains(answer.Users(), m.trust.Own().UserID) {
		if err := m.account.recognize(ctx); err != nil {
			return nil, err // as above
		}
	}
	return result, judging
}

// answerPart is how many users of an answer are learned of at a time.
const answerPart = 48

// add adds what one part of an answer changed.
func (r *KeysQueryResult) add(change *trust.Change, judged int) {
	r.RoomKeys += judged
	r.Devices = append(r.Devices, change.Devices...)
	r.Identities = append(r.Identities, change.Identities...)
	r.Verifications = append(r.Verifications, change.Verifications...)
	r.Problems = append(r.Problems, change.Problems...)
}

func (m *Machine) applyPart(ctx context.Context, answer *trust.Answer, sequence trust.Sequence) (*trust.Change, int, error) {
	users := answer.Users()
	if m.trust.NeedsAll(answer) {
		users = nil
	}
	return m.learn(ctx, users, BecauseKeysQuery, func(rows people) (*trust.Change, error) {
		if users != nil && m.trust.NeedsAll(answer) {
			// It did not when it was asked: another answer has changed our own identity since.
			all, err := m.readEverybody(ctx)
			if err != nil {
				return nil, err
			}
			maps.Copy(rows.records, all.records)
			maps.Copy(rows.revs, all.revs)
		}
		application, err := m.trust.Prepare(answer, sequence, rows.records)
		if err != nil {
			return nil, err
		}
		var held []bool
		if len(application.Checks) > 0 {
			if held, err = m.verifier.Verify(ctx, application.Checks); err != nil {
				return nil, err
			}
		}
		return application.Finish(held), nil
	})
}

// ReceiveDeviceLists takes over device_lists of a /sync answer: lists of followed users in changed are outdated from now on, users in left
// are no longer followed.
func (m *Machine) ReceiveDeviceLists(ctx context.Context, changed, left []ids.UserID) error {
	m.turn.Lock()
	defer m.leave()
	return m.receiveDeviceLists(ctx, changed, left)
}

func (m *Machine) receiveDeviceLists(ctx context.Context, changed, left []ids.UserID) error {
	changed, left = userIDs(changed), userIDs(left)
	if m.lanes.fetcher != nil {
		for _, user := range changed {
			m.lanes.news[user] = true // the next pass of the retry lane sees whether anything of theirs waits
		}
	}
	_, _, err := m.learn(ctx, slices.Concat(changed, left, []ids.UserID{}), BecauseKeysQuery, func(rows people) (*trust.Change, error) {
		return m.trust.MarkOutdated(changed, left, rows.records)
	})
	return err
}

// userIDs leaves out what is no user id: a list is a server's, and one bad name in it must not keep the others from being heard of.
func userIDs(names []ids.UserID) []ids.UserID {
	users := make([]ids.UserID, 0, len(names))
	for _, name := range names {
		if _, err := ids.ParseUserID(string(name)); err == nil {
			users = append(users, name)
		}
	}
	return users
}

// TrackUsers begins to follow the device lists of users. They are outdated until asked for.
func (m *Machine) TrackUsers(ctx context.Context, users []ids.UserID) error {
	m.turn.Lock()
	defer m.leave()
	return m.follow(ctx, userIDs(users))
}

// follow is TrackUsers for those who are not followed yet.
func (m *Machine) follow(ctx context.Context, users []ids.UserID) error {
	users = slices.DeleteFunc(slices.Clone(users), m.trust.Tracked)
	if len(users) == 0 && !m.closed {
		return nil
	}
	_, _, err := m.learn(ctx, users, BecauseKeysQuery, func(rows people) (*trust.Change, error) {
		return m.trust.Track(users, rows.records)
	})
	return err
}

// OutdatedUsers is every followed user whose device list should be asked for, ascending.
func (m *Machine) OutdatedUsers() []ids.UserID {
	m.turn.Lock()
	defer m.leave()
	return m.trust.Outdated()
}

// TrustOwnIdentity declares a master key to be our own: the user has verified this device against another, or holds the private key. From
// then on the users whose master keys our user-signing key has signed are verified. Errors: *trust.ApplicationError with code
// own_identity_unknown or own_identity_mismatch, and those of the store.
func (m *Machine) TrustOwnIdentity(ctx context.Context, master keys.Ed25519) error {
	m.turn.Lock()
	defer m.leave()
	_, _, err := m.learn(ctx, nil, BecauseVerification, func(rows people) (*trust.Change, error) {
		return m.trust.TrustOwnIdentity(master, rows.records)
	})
	return err
}

// WithdrawVerification says that a user who was verified need not be any more: what is VerificationViolation becomes unverified, and the
// identity the user has now is pinned (scenario 144).
func (m *Machine) WithdrawVerification(ctx context.Context, user ids.UserID) error {
	m.turn.Lock()
	defer m.leave()
	_, _, err := m.learn(ctx, []ids.UserID{user}, BecauseVerification, func(rows people) (*trust.Change, error) {
		return m.trust.WithdrawVerification(user, rows.records)
	})
	return err
}

// PinCurrentIdentity accepts the identity a user has now in the place of the one met first (scenario 143).
func (m *Machine) PinCurrentIdentity(ctx context.Context, user ids.UserID) error {
	m.turn.Lock()
	defer m.leave()
	_, _, err := m.learn(ctx, []ids.UserID{user}, BecauseVerification, func(rows people) (*trust.Change, error) {
		return m.trust.PinCurrentIdentity(user, rows.records)
	})
	return err
}

// Identity is what we know of a user's cross-signing identity.
func (m *Machine) Identity(user ids.UserID) (identity trust.Identity, verification trust.Verification, pinViolation, known bool) {
	m.turn.Lock()
	defer m.leave()
	identity, known = m.trust.Identity(user)
	return identity, m.trust.Verification(user), m.trust.PinViolation(user), known
}
