package trust

import (
	"slices"
	"strconv"

	"knownsender/core/ids"
)

// Whose device list is up to date (specification, "Tracking the device list for a user"; spec 3.3). The list of a tracked user becomes
// outdated when /sync names the user in device_lists.changed, and stays so until the answer to a request that was built later has been
// applied. Our own user is always tracked.

// Sequence orders invalidations of device lists and requests for them: what happens later has the higher number. 0 is none: an answer
// without it came from outside, is applied, and brings no list up to date (scenario 140).
type Sequence uint64

// Query is one /keys/query request about to be made.
type Query struct {
	ID       string // "keys-query-<sequence>", for whoever names requests
	Sequence Sequence
	Users    []ids.UserID // as given, without repetition
}

// BeginQuery numbers a request. Call it when the request is built; hand the number to Prepare with the answer.
func (x *Index) BeginQuery(users []ids.UserID) Query {
	x.sequence++
	users = slices.Clone(users)
	slices.Sort(users)
	return Query{ID: "keys-query-" + strconv.FormatUint(uint64(x.sequence), 10), Sequence: x.sequence, Users: slices.Compact(users)}
}

// DeviceListOutdated says that what we know of the user's devices may not be all: nobody follows the list, or it has changed since.
func (x *Index) DeviceListOutdated(user ids.UserID) bool {
	p := x.users[user]
	return p == nil || p.flags&(tracked|outdated) != tracked
}

// MarkedElsewhere says that another tab marked the user's list outdated: answers to what was asked before now do not end that.
func (x *Index) MarkedElsewhere(user ids.UserID) {
	if p := x.users[user]; p != nil {
		x.sequence++
		p.invalidated = x.sequence
	}
}

// Tracked says that we follow the user's device list.
func (x *Index) Tracked(user ids.UserID) bool {
	p := x.users[user]
	return p != nil && p.flags&tracked != 0
}

// Outdated is every tracked user whose device list should be asked for, ascending.
func (x *Index) Outdated() []ids.UserID {
	var users []ids.UserID
	for user, p := range x.users {
		if p.flags&(tracked|outdated) == tracked|outdated {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// Track begins to follow the device lists of users who are not followed yet; they are outdated until asked for. stored holds the rows of
// those that have one. The error is an *ApplicationError with code record_missing, for our own row.
func (x *Index) Track(users []ids.UserID, stored map[ids.UserID]*UserRecord) (*Change, error) {
	return x.mark(slices.Clone(users), stored, func(user ids.UserID, row *UserRecord) bool {
		if row.Tracked {
			return false
		}
		row.Tracked, row.Outdated = true, true
		return true
	})
}

// MarkOutdated takes over device_lists of a /sync answer. Lists of users in changed are outdated from this call on, whatever becomes of the
// rows: an answer to a request built before will not bring them up to date, even one that is being applied (scenario 138). Users in left are
// no longer tracked. Rows of untracked users stay as they are. stored holds the rows of the users in both lists that have one.
//
// The rows in the change carry the same to the next start; make them and commit them between one application and the next, not during one.
// The error is an *ApplicationError with code record_missing, for our own row; call again with it, the numbers only grow.
func (x *Index) MarkOutdated(changed, left []ids.UserID, stored map[ids.UserID]*UserRecord) (*Change, error) {
	x.sequence++
	for _, user := range changed {
		if p := x.users[user]; p != nil { // tracked or not: it may become so before the answer comes
			p.invalidated = x.sequence
			p.flags |= outdated
		}
	}
	leaving := make(map[ids.UserID]bool, len(left))
	for _, user := range left {
		leaving[user] = user != x.own.UserID
	}
	return x.mark(slices.Concat(changed, left), stored, func(user ids.UserID, row *UserRecord) bool {
		switch {
		case leaving[user] && row.Tracked:
			row.Tracked, row.Outdated = false, true
		case row.Tracked && !row.Outdated:
			row.Outdated = true
		default:
			return false
		}
		return true
	})
}

// mark makes new rows for those of users that mark says are different.
func (x *Index) mark(users []ids.UserID, stored map[ids.UserID]*UserRecord, mark func(ids.UserID, *UserRecord) bool) (*Change, error) {
	change := &Change{Records: make(map[ids.UserID]*UserRecord)}
	slices.Sort(users)
	for _, user := range slices.Compact(users) {
		if x.missing(user, stored) {
			if user == x.own.UserID {
				return nil, x.needOwn(stored)
			}
			change.Problems = append(change.Problems, Problem{UserID: user, Code: CodeRecordMissing, Message: explanations[CodeRecordMissing]})
			continue
		}
		row := x.rowOf(user, stored)
		if mark(user, row) {
			change.Records[user] = row
		}
	}
	return change, nil
}

// rowOf is the user's row to be changed: a copy of the stored one, or a first one.
func (x *Index) rowOf(user ids.UserID, stored map[ids.UserID]*UserRecord) *UserRecord {
	if row := stored[user]; row != nil {
		changed := *row
		return &changed
	}
	own := user == x.own.UserID
	return &UserRecord{UserID: user, Tracked: own, Outdated: own}
}

// missing says whether the Index knows the user from a row that is not in stored. Such a row is damaged, or was not read. Making a new one
// from nothing would lose pin and latch, so its user is passed over with a problem; nobody else is (N5).
func (x *Index) missing(user ids.UserID, stored map[ids.UserID]*UserRecord) bool {
	p := x.users[user]
	return p != nil && p.flags&hasRow != 0 && stored[user] == nil
}

// needOwn is the error for our own row missing. Everybody's verification rests on it.
func (x *Index) needOwn(stored map[ids.UserID]*UserRecord) error {
	if x.missing(x.own.UserID, stored) {
		return &ApplicationError{Code: CodeRecordMissing, Users: []ids.UserID{x.own.UserID}}
	}
	return nil
}
