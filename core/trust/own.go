package trust

import (
	"knownsender/core/ids"
	"knownsender/core/keys"
)

// OwnVerified says that our own identity is verified on this device: its master key is the one that was declared to be ours.
func (x *Index) OwnVerified() bool { return x.standing().verified }

// Verification is how we stand to the user (decision 9, spec 1.5 and 7.2).
//
// Others are Verified while our own identity is, and our user-signing key signed their master key; otherwise Violation when they were
// verified once. Our own user is Verified while our master key is the trusted one; otherwise Violation when one was trusted before. So
// nobody is Verified while our own identity is not (T13).
func (x *Index) Verification(user ids.UserID) Verification {
	p := x.users[user]
	if p == nil {
		return Unverified
	}
	if user == x.own.UserID {
		return x.standing().own()
	}
	return x.standing().of(p.vouchedFor(x.userSigning), p.flags&previouslyVerified != 0)
}

// PinViolation says that the user is not verified and has another master key than the one we met first: the user should be asked.
func (x *Index) PinViolation(user ids.UserID) bool {
	identity, known := x.Identity(user)
	return known && identity.PinViolation() && x.Verification(user) != Verified
}

// vouchedFor is vouchedFor for what is in memory. A verdict under an earlier user-signing key says nothing about the current one, so it falls
// closed whichever order rows are loaded in.
func (p *person) vouchedFor(userSigning keys.Ed25519) bool {
	return p.judgedBy != nil && vouchedFor(true, *p.judgedBy, userSigning)
}

// vouchedFor is the one place where another user's identity is vouched for. Today the only voucher is our user-signing key: it signed their
// master key, and is still ours. Another source of verification joins here.
func vouchedFor(signedByUs bool, judgedBy, userSigning keys.Ed25519) bool {
	return signedByUs && judgedBy == userSigning && userSigning != (keys.Ed25519{})
}

// standing is how our own identity stands, on which everybody else's verification rests.
type standing struct {
	identity    bool // we have one
	verified    bool // its master key is the trusted one
	wasVerified bool
}

func (x *Index) standing() standing {
	p := x.users[x.own.UserID]
	trusted := x.trustedMaster != (keys.Ed25519{}) && x.trustedMaster == p.master
	return standing{identity: p.flags&hasIdentity != 0, verified: trusted, wasVerified: x.wasVerified}
}

// standingOf is the same for our own user's row.
func standingOf(own *UserRecord) standing {
	if own.Identity == nil {
		return standing{wasVerified: own.WasVerified}
	}
	trusted := own.TrustedMaster != (keys.Ed25519{}) && own.TrustedMaster == own.Identity.Master.Key
	return standing{identity: true, verified: trusted, wasVerified: own.WasVerified}
}

// own is how we stand to our own user.
func (s standing) own() Verification {
	switch {
	case s.identity && s.verified:
		return Verified
	case s.identity && s.wasVerified:
		return Violation
	}
	return Unverified
}

// of is how we stand to another user; of one without identity nothing is vouched for, and nothing was verified.
func (s standing) of(vouched, previouslyVerified bool) Verification {
	switch {
	case s.verified && vouched:
		return Verified
	case previouslyVerified:
		return Violation
	}
	return Unverified
}
