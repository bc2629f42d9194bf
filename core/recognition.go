package core

import (
	"context"

	"knownsender/core/crosssigning"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// CodeIdentityReplaced is the code of a StoreReport: the server shows another identity of ours than the one we have the private keys of. They sign nothing
// while it does.
const CodeIdentityReplaced = "cross_signing_identity_replaced"

// Whenever our own identity is heard of, and when the machine was opened, our private keys are held against it:
//
//	1  a master key that we have the private half of is ours: the identity is trusted, once for the keys, so that the user can take it back
//	2  private keys that are another identity's sign nothing, and are not deleted: a server must not own a delete button, and may show ours again
//	3  the self-signing key's signature over our device is kept, ours or the one that /keys/query shows, for it goes with every Olm message
//	4  where we have the self-signing key and the server's list lacks that signature, it is sent there

// recognize takes these steps. It does nothing that was done before. The error is the store's.
func (a *ownAccount) recognize(ctx context.Context) error {
	m := a.machine
	identity, known := m.trust.Identity(a.UserID)
	if !known {
		return nil
	}
	held, _, _, err := m.crossSigning(ctx)
	if err != nil && !damaged(err) {
		return err
	}
	if master, is := held.Public(trust.RoleMaster); is && master == identity.Master && held.Standing != record.KeysOurs && !m.trust.OwnVerified() {
		_, _, err := m.learn(ctx, nil, BecauseVerification, func(rows people) (*trust.Change, error) {
			return m.trust.TrustOwnIdentity(master, rows.records)
		})
		if _, changed := err.(*trust.ApplicationError); err != nil && !changed { // when it has changed again, whoever brought that comes here too
			return err
		}
	}
	var signer crosssigning.Signer
	replaced := false
	compute := func() (*record.Account, []store.Op, error) {
		identity, known := m.trust.Identity(a.UserID)
		held, rev, _, err := m.crossSigning(ctx)
		if !known || err != nil && !damaged(err) {
			return nil, nil, err
		}
		ours := current(held.Keys, identity)
		next := *held
		switch {
		case ours.Count() > 0:
			next.Standing = record.KeysOurs
		case held.Standing != record.KeysMade && !m.trust.DeviceListOutdated(a.UserID): // else an answer to come shows more
			next.Standing = record.KeysReplaced
		}
		var ops []store.Op
		if held.Count() > 0 && next.Standing != held.Standing {
			ops = []store.Op{record.CrossSigningRow(&next).Put(rev)}
		}
		replaced = len(ops) > 0 && next.Standing == record.KeysReplaced
		signer, _ = ours.Signer(trust.RoleSelfSigning)
		account, err := a.crossSigned(ctx, identity.SelfSigning, signer)
		return account, ops, err
	}
	// Mostly there is nothing to write: then nobody is waited for.
	account, ops, err := compute()
	if err == nil && (account != nil || len(ops) > 0) {
		err = a.carry(ctx, compute)
	}
	if err != nil {
		return err
	}
	if replaced {
		m.report(StoreReport{Code: CodeIdentityReplaced, Table: store.Meta, Message: "our cross-signing identity was replaced elsewhere: our private keys are those of another, and sign nothing"})
	}
	device, listed := m.trust.Device(a.UserID, a.DeviceID)
	switch {
	case listed && device.CrossSigned == trust.CrossSignatureValid:
		a.signing = lane.Schedule{}
	case listed && signer.Sign != nil && a.signing.Due(m.now()):
		// A server that takes it and never shows it is told again later and later.
		a.signing = a.signing.After(m.now(), 0, m.lanes.jitter())
		a.postSignature(a.UserID, string(a.DeviceID), crosssigning.Signed(a.deviceMessage(), a.UserID, signer))
		m.deliverDue()
	}
	return nil
}

// takeUp does for our own identity and device what an earlier run did not get to.
func (a *ownAccount) takeUp(ctx context.Context) error {
	if _, listed := a.machine.trust.Device(a.UserID, a.DeviceID); a.Shared && !listed {
		if err := a.askAgain(ctx, a.UserID); err != nil {
			return err
		}
	}
	return a.recognize(ctx)
}

// damaged says that private keys are there and cannot be read, which was reported: in what comes by itself they count as none.
func damaged(err error) bool {
	e, is := err.(*CrossSigningError)
	return is && e.Code == CodeCrossSigningDamaged
}

// crossSigned is the account with the signature of that self-signing key over this device: by signer where we have it, else as /keys/query showed it; nil
// where it has it already, or there is none. A signature over a device that is described in other words than ours is of no use.
func (a *ownAccount) crossSigned(ctx context.Context, selfSigning keys.Ed25519, signer crosssigning.Signer) (*record.Account, error) {
	if a.CrossSigner == selfSigning {
		return nil, nil
	}
	next := *a.Account
	next.CrossSigner = selfSigning
	if signer.Sign != nil {
		next.CrossSignature = signer.Sign(a.deviceMessage())
		return &next, nil
	}
	raw, err := a.machine.deviceObject(ctx, a.UserID, a.DeviceID)
	if err != nil || raw == nil {
		return nil, err
	}
	signature, presence, err := raw.Signature(a.UserID, crosssigning.KeyID(selfSigning))
	check := keys.Check{Key: selfSigning, Signature: signature, Message: a.deviceMessage()}
	if err != nil || presence != signedjson.Present || !check.Verify() {
		return nil, nil
	}
	next.CrossSignature = signature
	return &next, nil
}
