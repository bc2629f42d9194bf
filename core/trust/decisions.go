package trust

import (
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
)

// What people decide, as opposed to what servers say: this identity is ours, I take my verification back, I accept the new key. Each is a
// Change like any other, and takes effect by its commit and Apply.

// VouchedFor is everybody else whose identity is vouched for by our own, verified or not, ascending: whose rows TrustOwnIdentity needs besides
// our own.
func (x *Index) VouchedFor() []ids.UserID {
	var users []ids.UserID
	for user, p := range x.users {
		if user != x.own.UserID && p.vouchedFor(x.userSigning) {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

// TrustOwnIdentity declares master to be our own master key: verified by another device of ours, or by the private keys. From then on whom
// our user-signing key signed is verified, and is latched as such. stored holds our own row and those of VouchedFor. The error is an
// *ApplicationError: own_identity_unknown, own_identity_mismatch or record_missing.
func (x *Index) TrustOwnIdentity(master keys.Ed25519, stored map[ids.UserID]*UserRecord) (*Change, error) {
	own := x.own.UserID
	if err := x.needOwn(stored); err != nil {
		return nil, err
	}
	row := stored[own]
	if row == nil || row.Identity == nil {
		return nil, &ApplicationError{Code: CodeOwnIdentityUnknown, Users: []ids.UserID{own}}
	}
	if row.Identity.Master.Key != master {
		return nil, &ApplicationError{Code: CodeOwnIdentityMismatch, Users: []ids.UserID{own}}
	}
	change := &Change{Records: make(map[ids.UserID]*UserRecord)}
	if row.TrustedMaster != master || !row.WasVerified {
		trusting := x.rowOf(own, stored)
		trusting.TrustedMaster, trusting.WasVerified = master, true
		change.Records[own] = trusting
	}
	for _, user := range x.VouchedFor() {
		if x.missing(user, stored) {
			change.Problems = append(change.Problems, Problem{UserID: user, Code: CodeRecordMissing, Message: explanations[CodeRecordMissing]})
			continue
		}
		if identity := stored[user].Identity; identity != nil && !identity.PreviouslyVerified {
			latched := *identity
			latched.PreviouslyVerified = true
			change.Records[user] = x.rowOf(user, stored)
			change.Records[user].Identity = &latched
		}
	}
	change.Verifications = x.verifications(change.Records)
	return change, nil
}

// WithdrawVerification takes back that we verified the user: the latch is cleared and the current master key pinned, which ends a violation
// (scenarios 143, 144). As long as our user-signing key's signature stands and our own identity is verified, the user is verified all the
// same. For our own user: our identity is no longer trusted on this device, and what was before is forgotten. stored holds the user's row. The
// error is an *ApplicationError: identity_unknown or record_missing.
func (x *Index) WithdrawVerification(user ids.UserID, stored map[ids.UserID]*UserRecord) (*Change, error) {
	return x.decide(user, stored, func(row *UserRecord, identity *IdentityRecord) {
		if user == x.own.UserID {
			row.TrustedMaster, row.WasVerified = keys.Ed25519{}, false
			return
		}
		identity.PreviouslyVerified = false
		identity.Pinned = identity.Master.Key
	})
}

// PinCurrentIdentity accepts the user's current master key in the place of the one we met first. It ends a pin violation, not a violation: the
// latch stays (scenario 143). Our own user has no pin, and nothing happens. stored holds the user's row. The error is an *ApplicationError:
// identity_unknown or record_missing.
func (x *Index) PinCurrentIdentity(user ids.UserID, stored map[ids.UserID]*UserRecord) (*Change, error) {
	return x.decide(user, stored, func(_ *UserRecord, identity *IdentityRecord) {
		if user != x.own.UserID {
			identity.Pinned = identity.Master.Key
		}
	})
}

// decide makes a change of one row by a decision about an identity.
func (x *Index) decide(user ids.UserID, stored map[ids.UserID]*UserRecord, decision func(*UserRecord, *IdentityRecord)) (*Change, error) {
	if x.missing(user, stored) {
		return nil, &ApplicationError{Code: CodeRecordMissing, Users: []ids.UserID{user}}
	}
	if stored[user] == nil || stored[user].Identity == nil {
		return nil, &ApplicationError{Code: CodeIdentityUnknown, Users: []ids.UserID{user}}
	}
	old := stored[user]
	row, identity := x.rowOf(user, stored), *old.Identity
	decision(row, &identity)
	change := &Change{Records: make(map[ids.UserID]*UserRecord)}
	if identity.Pinned == old.Identity.Pinned && identity.PreviouslyVerified == old.Identity.PreviouslyVerified &&
		row.TrustedMaster == old.TrustedMaster && row.WasVerified == old.WasVerified {
		return change, nil
	}
	row.Identity = &identity
	change.Records[user] = row
	change.Verifications = x.verifications(change.Records)
	return change, nil
}
