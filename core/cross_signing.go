package core

import (
	"context"

	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Our own identity: the private cross-signing keys, for a machine with an account of its own. They lie in a row of their own and are read when they are
// needed. What makes a key ours is that its public half is the one our identity has now, as /keys/query showed it: one that is not signs nothing,
// whatever the row says of it.

// Codes of CrossSigningError. Those of core/crosssigning come beside them.
const (
	CodeCrossSigningDamaged  = "cross_signing_damaged"         // the stored private keys cannot be read
	CodeCrossSigningIdentity = "cross_signing_identity_exists" // our user has an identity whose private keys are not here
	CodeCrossSigningMismatch = "cross_signing_key_mismatch"    // a private key is not that of our identity
	CodeIdentityMismatch     = "identity_mismatch"             // the user has another master key than the one that was confirmed
	CodeDeviceMismatch       = "device_mismatch"               // the device has another fingerprint than the one that was confirmed
	CodeSignatureRefused     = "signature_refused"             // the server did not take a signature
)

// CrossSigningError says why something cannot be done with our own identity. Nothing was changed.
type CrossSigningError struct {
	Code          string
	Expected, Got string // public keys, or what the server said
	cause         error
}

// Error is a sentence.
func (e *CrossSigningError) Error() string {
	switch e.Code {
	case CodeCrossSigningDamaged:
		return "the stored private cross-signing keys cannot be read"
	case CodeCrossSigningIdentity:
		return "our user has a cross-signing identity whose private keys are not here: import them, or reset it"
	case CodeCrossSigningMismatch:
		return "the private cross-signing key is not that of our identity"
	case CodeIdentityMismatch:
		return "the user has another master key than the one that was confirmed"
	case CodeDeviceMismatch:
		return "the device has another fingerprint than the one that was confirmed"
	}
	return "the server did not take the signature"
}

// ErrorCode is the stable name of what went wrong.
func (e *CrossSigningError) ErrorCode() string { return e.Code }

// ErrorDetail is what was expected and what came instead.
func (e *CrossSigningError) ErrorDetail() (expected, got string) { return e.Expected, e.Got }

// Unwrap is the error of the room below, if one refused something.
func (e *CrossSigningError) Unwrap() error { return e.cause }

// CrossSigningStatus says which private cross-signing keys are here.
type CrossSigningStatus struct{ HasMaster, HasSelfSigning, HasUserSigning bool }

// CrossSigningBootstrap are the requests that set our identity up. They are for the host to send, one after the other, for the second wants the user to
// authenticate; they are not among OutgoingRequests. Bring their answers to MarkRequestAsSent.
type CrossSigningBootstrap struct {
	UploadKeys        *lane.Request // nil when the server has this device's keys
	UploadSigningKeys lane.Request  // the host adds `auth`
	UploadSignatures  lane.Request  // our device, signed by the identity
}

// crossSigning reads our private cross-signing keys; those of no role where there are none. The error is the store's or a *CrossSigningError,
// cross_signing_damaged; then rev says where the row stands all the same, and it may be written over unless lasting: a newer version has written it.
func (m *Machine) crossSigning(ctx context.Context) (held *record.CrossSigning, rev uint64, lasting bool, err error) {
	none := &record.CrossSigning{Keys: &crosssigning.Keys{}}
	rows, err := m.store.Get(ctx, store.Meta, []store.Key{record.CrossSigningKey()})
	if err != nil {
		return none, 0, true, err
	}
	if rows[0].Rev == 0 {
		return none, 0, false, nil
	}
	if held, err = record.DecodeCrossSigning(rows[0]); err == nil {
		return held, rows[0].Rev, false, nil
	}
	lasting = err.(*record.Error).Code == record.CodeUnknownFormat
	if !lasting {
		m.quarantine(store.Meta, &rows[0], err)
	}
	return none, rows[0].Rev, lasting, &CrossSigningError{Code: CodeCrossSigningDamaged, cause: err}
}

// publicKey is the public key that an identity has for a role.
func publicKey(of trust.Identity, role trust.Role) keys.Ed25519 {
	return [...]keys.Ed25519{trust.RoleMaster: of.Master, trust.RoleSelfSigning: of.SelfSigning, trust.RoleUserSigning: of.UserSigning}[role]
}

// current are those of the private keys that are those of our identity.
func current(held *crosssigning.Keys, identity trust.Identity) *crosssigning.Keys {
	return held.Only(func(role trust.Role, public keys.Ed25519) bool { return public == publicKey(identity, role) })
}

// changeCrossSigning carries a change of the private keys through: compute is given those that are stored, and what is known of our identity. Where
// anew, what compute makes may take the place of keys that cannot be read.
func (a *ownAccount) changeCrossSigning(ctx context.Context, anew bool, compute func(held *record.CrossSigning, identity trust.Identity, known bool) (*record.CrossSigning, error)) error {
	m := a.machine
	return a.carry(ctx, func() (*record.Account, []store.Op, error) {
		held, rev, lasting, err := m.crossSigning(ctx)
		if err != nil && (lasting || !anew) {
			return nil, nil, err
		}
		identity, known := m.trust.Identity(a.UserID)
		next, err := compute(held, identity, known)
		if err != nil || next == held {
			return nil, nil, err
		}
		return nil, []store.Op{record.CrossSigningRow(next).Put(rev)}, nil
	})
}

// BootstrapCrossSigning makes our identity's keys, if there are none or with reset, and returns the requests that tell the server of them. When it
// returns the private keys are stored; called again without reset it gives the requests for the same keys. Ask /keys/query for our own user first:
// what is not known cannot keep an identity from being replaced. Errors: *AccountError no_account; *CrossSigningError cross_signing_identity_exists and
// cross_signing_damaged, neither with reset but of keys that a newer version has written; *crosssigning.Error missing_signing_key where some of our keys are
// missing; and those of the store.
func (m *Machine) BootstrapCrossSigning(ctx context.Context, reset bool) (*CrossSigningBootstrap, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	var with *record.CrossSigning
	err = a.changeCrossSigning(ctx, reset, func(held *record.CrossSigning, identity trust.Identity, known bool) (*record.CrossSigning, error) {
		with = held
		switch {
		case reset:
		case held.Count() > 0 && (!known || held.Standing == record.KeysMade || current(held.Keys, identity).Count() > 0):
			return held, nil
		case known:
			return nil, &CrossSigningError{Code: CodeCrossSigningIdentity, Got: identity.Master.String()}
		}
		with = &record.CrossSigning{Keys: crosssigning.New(), Standing: record.KeysMade}
		return with, nil
	})
	if err != nil {
		return nil, err
	}
	published, err := with.Publish(a.UserID, a.signer())
	if err != nil {
		return nil, err
	}
	signer, err := with.Signer(trust.RoleSelfSigning)
	if err != nil {
		return nil, err
	}
	for _, o := range a.bootstrap {
		if o.handed {
			o.done(m)
		}
	}
	body := append(signedjson.AppendName([]byte{'{'}, "master_key"), published.Master...)
	body = append(signedjson.AppendName(body, "self_signing_key"), published.SelfSigning...)
	body = append(append(signedjson.AppendName(body, "user_signing_key"), published.UserSigning...), '}')
	master, _ := with.Public(trust.RoleMaster)
	signingKeys := m.post(lane.Request{Type: lane.SigningKeysUpload, Body: body}, func(ctx context.Context, answer []byte) error {
		return a.signingKeysUploaded(ctx, master, answer)
	})
	signatures := a.postSignature(a.UserID, string(a.DeviceID), crosssigning.Signed(a.deviceMessage(), a.UserID, signer))
	signingKeys.handed, signatures.handed = true, true
	a.bootstrap = []*outgoing{signingKeys, signatures}
	requests := &CrossSigningBootstrap{UploadSigningKeys: signingKeys.Request, UploadSignatures: signatures.Request}
	if upload := a.nextUpload(); upload != nil && !a.Shared {
		requests.UploadKeys = upload
	}
	return requests, nil
}

// signingKeysUploaded says that the server has taken an identity's keys. Whether it has, the next /keys/query will show.
func (a *ownAccount) signingKeysUploaded(ctx context.Context, master keys.Ed25519, answer []byte) error {
	if _, err := signedjson.Parse(answer); err != nil {
		return &AccountError{Code: CodeBadUpload, cause: err}
	}
	err := a.changeCrossSigning(ctx, false, func(held *record.CrossSigning, _ trust.Identity, _ bool) (*record.CrossSigning, error) {
		if public, _ := held.Public(trust.RoleMaster); public != master || held.Standing != record.KeysMade {
			return held, nil
		}
		kept := *held
		kept.Standing = record.KeysKept
		return &kept, nil
	})
	if err != nil {
		return err
	}
	return a.machine.receiveDeviceLists(ctx, []ids.UserID{a.UserID}, nil)
}

// ImportCrossSigningKeys keeps private cross-signing keys that the user has elsewhere, in secret storage for instance. With the master key our identity is
// trusted from then on, with the self-signing key our device is signed. When our identity is not known yet they are kept, and held against it when
// /keys/query brings it. Errors: *AccountError no_account; *crosssigning.Error bad_cross_signing_seed and no_cross_signing_keys; *CrossSigningError
// cross_signing_key_mismatch, and cross_signing_damaged of keys that a newer version has written; and those of the store.
func (m *Machine) ImportCrossSigningKeys(ctx context.Context, from crosssigning.Export) (CrossSigningStatus, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return CrossSigningStatus{}, err
	}
	imported, err := crosssigning.Parse(from)
	if err != nil {
		return CrossSigningStatus{}, err
	}
	err = a.changeCrossSigning(ctx, true, func(held *record.CrossSigning, identity trust.Identity, known bool) (*record.CrossSigning, error) {
		next := record.CrossSigning{Keys: held.Keys, Standing: record.KeysKept, Extra: held.Extra}
		if known {
			for role := trust.RoleMaster; role <= trust.RoleUserSigning; role++ {
				if public, is := imported.Public(role); is && public != publicKey(identity, role) {
					return nil, &CrossSigningError{Code: CodeCrossSigningMismatch, Expected: publicKey(identity, role).String(), Got: public.String()}
				}
			}
			next.Keys = current(held.Keys, identity)
		}
		next.Keys = next.With(imported)
		return &next, nil
	})
	if err == nil {
		err = a.recognize(ctx)
	}
	if err != nil {
		return CrossSigningStatus{}, err
	}
	return a.crossSigningStatus(ctx)
}

// ExportCrossSigningKeys is the private keys of our identity that are here, for secret storage; all empty when there are none. Those of an identity that
// was replaced are not ours to give. Errors: *AccountError no_account, *CrossSigningError cross_signing_damaged, and those of the store.
func (m *Machine) ExportCrossSigningKeys(ctx context.Context) (crosssigning.Export, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return crosssigning.Export{}, err
	}
	ours, err := a.ourKeys(ctx)
	return ours.Export(), err
}

// CrossSigningStatus says which private keys of our identity are here. Errors as of ExportCrossSigningKeys.
func (m *Machine) CrossSigningStatus(ctx context.Context) (CrossSigningStatus, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return CrossSigningStatus{}, err
	}
	return a.crossSigningStatus(ctx)
}

func (a *ownAccount) crossSigningStatus(ctx context.Context) (status CrossSigningStatus, err error) {
	ours, err := a.ourKeys(ctx)
	_, status.HasMaster = ours.Public(trust.RoleMaster)
	_, status.HasSelfSigning = ours.Public(trust.RoleSelfSigning)
	_, status.HasUserSigning = ours.Public(trust.RoleUserSigning)
	return status, err
}

// ourKeys are those private keys that are our identity's, or are to be: not held against the server's yet.
func (a *ownAccount) ourKeys(ctx context.Context) (*crosssigning.Keys, error) {
	held, _, _, err := a.machine.crossSigning(ctx)
	if held.Standing == record.KeysMade || held.Standing == record.KeysKept {
		return held.Keys, err
	}
	identity, _ := a.machine.trust.Identity(a.UserID)
	return current(held.Keys, identity), err
}
