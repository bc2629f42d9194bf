package core

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"

	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// What the user has confirmed by comparing, in whatever way, is signed, so that our other devices know it too: somebody's master key by our user-signing
// key, our own master key by this device, a device of ours by our self-signing key (specification, "Cross-signing"). What is signed is what was
// compared, or nothing.

// VerifyIdentity says that the user has compared a user's master key. Of another user it is signed; the user is verified when the next /keys/query shows
// that. Our own is trusted from then on, as by TrustOwnIdentity, and signed by this device. With a Fetcher the signature is sent before it returns; without
// one the request, which is among OutgoingRequests, is returned. Errors: *AccountError no_account; *trust.ApplicationError identity_unknown,
// own_identity_unknown and own_identity_mismatch; *CrossSigningError identity_mismatch, cross_signing_damaged and signature_refused;
// *crosssigning.Error missing_signing_key and object_not_signable (our own is trusted all the same); those of the store; and *lane.FetchError: then the
// request stays on the list.
func (m *Machine) VerifyIdentity(ctx context.Context, user ids.UserID, master keys.Ed25519) (*lane.Request, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	signer := a.signer()
	if user == a.UserID {
		_, _, err = m.learn(ctx, nil, BecauseVerification, func(rows people) (*trust.Change, error) {
			return m.trust.TrustOwnIdentity(master, rows.records)
		})
	} else {
		signer, err = a.currentSigner(ctx, trust.RoleUserSigning)
	}
	if err != nil {
		return nil, err
	}
	rows, err := m.readPeople(ctx, []ids.UserID{user})
	if err != nil {
		return nil, err
	}
	person := rows.records[user]
	if person == nil || person.Identity == nil {
		return nil, &trust.ApplicationError{Code: trust.CodeIdentityUnknown, Users: []ids.UserID{user}}
	}
	if has := person.Identity.Master; has.Key != master {
		return nil, &CrossSigningError{Code: CodeIdentityMismatch, Expected: has.Key.String(), Got: master.String()}
	}
	object, err := signedjson.Parse(person.Identity.Master.Raw)
	if err != nil {
		return nil, err
	}
	// Whatever else stands in it nobody has compared: it would be the server's words under our signature, a one-time key of this device for instance.
	if !crosssigning.Describes(object, user, trust.RoleMaster, master) {
		return nil, &crosssigning.Error{Code: crosssigning.CodeNotSignable, Role: trust.RoleMaster}
	}
	return a.sign(ctx, user, master.String(), object, signer)
}

// VerifyDevice says that the user has compared the fingerprint, an Ed25519 key, of another device of the user's, which is signed by our self-signing key.
// What it returns, and its errors, are those of VerifyIdentity; *SealingError unknown_device and *CrossSigningError device_mismatch in the place of
// those about identities.
func (m *Machine) VerifyDevice(ctx context.Context, id ids.DeviceID, fingerprint keys.Ed25519) (*lane.Request, error) {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return nil, err
	}
	device, known := m.trust.Device(a.UserID, id)
	if !known {
		return nil, &SealingError{Code: CodeUnknownDevice}
	}
	if device.Ed25519 != fingerprint { // it never changes under one id
		return nil, &CrossSigningError{Code: CodeDeviceMismatch, Expected: device.Ed25519.String(), Got: fingerprint.String()}
	}
	signer, err := a.currentSigner(ctx, trust.RoleSelfSigning)
	if err != nil {
		return nil, err
	}
	object, err := m.deviceObject(ctx, a.UserID, id)
	if err == nil && object == nil {
		err = &SealingError{Code: CodeUnknownDevice}
	}
	if err != nil {
		return nil, err
	}
	return a.sign(ctx, a.UserID, string(id), object, signer)
}

// currentSigner is our private key of that role, if it is that of our identity as it is now. Errors: *CrossSigningError cross_signing_damaged,
// *crosssigning.Error missing_signing_key, and those of the store.
func (a *ownAccount) currentSigner(ctx context.Context, role trust.Role) (crosssigning.Signer, error) {
	held, _, _, err := a.machine.crossSigning(ctx)
	if err != nil {
		return crosssigning.Signer{}, err
	}
	identity, _ := a.machine.trust.Identity(a.UserID)
	return current(held.Keys, identity).Signer(role)
}

// deviceObject is a stored device as the server showed it, nil when there is none.
func (m *Machine) deviceObject(ctx context.Context, user ids.UserID, id ids.DeviceID) (*signedjson.Object, error) {
	rows, err := m.readPeople(ctx, []ids.UserID{user})
	if err != nil || rows.records[user] == nil {
		return nil, err
	}
	for _, device := range rows.records[user].Devices {
		if device.DeviceID == id {
			return signedjson.Parse(device.Raw)
		}
	}
	return nil, nil
}

// postSignature puts the upload of a signed object of a user's on the list: a device by its id, a master key by itself. The same one is there once, and
// when the host has it already that is left to it.
func (a *ownAccount) postSignature(user ids.UserID, name string, signed []byte) *outgoing {
	m := a.machine
	body := append(signedjson.AppendName([]byte{'{'}, string(user)), '{')
	body = append(append(signedjson.AppendName(body, name), signed...), "}}"...)
	for _, o := range m.lanes.outgoing {
		if o.Type == lane.SignatureUpload && string(o.Body) == string(body) {
			return o
		}
	}
	var o *outgoing
	o = m.post(lane.Request{Type: lane.SignatureUpload, Body: body}, func(ctx context.Context, answer []byte) error {
		refused, err := parseSignatureAnswer(answer)
		if err != nil {
			return err
		}
		o.over = refused != nil
		if err := a.askAgain(ctx, user); err != nil {
			return err
		}
		return refused
	})
	return o
}

// sign signs an object of a user's and has the server told: through the Fetcher, or by the request that it returns.
func (a *ownAccount) sign(ctx context.Context, user ids.UserID, name string, object *signedjson.Object, by crosssigning.Signer) (*lane.Request, error) {
	signed, err := crosssigning.Sign(object, a.UserID, by)
	if err != nil {
		return nil, err
	}
	o := a.postSignature(user, name, signed)
	o.handed = false
	if a.machine.lanes.fetcher == nil {
		return &o.Request, nil
	}
	return nil, a.machine.deliverNow(ctx, o)
}

// askAgain has the next /keys/query confirm a signature: the user's list is outdated, and followed if it was not.
func (a *ownAccount) askAgain(ctx context.Context, user ids.UserID) error {
	m := a.machine
	if !m.trust.Tracked(user) {
		_, _, err := m.learn(ctx, []ids.UserID{user}, BecauseKeysQuery, func(rows people) (*trust.Change, error) {
			return m.trust.Track([]ids.UserID{user}, rows.records)
		})
		if err != nil {
			return err
		}
	}
	return m.receiveDeviceLists(ctx, []ids.UserID{user}, nil)
}

// parseSignatureAnswer reads the answer to an upload of a signature. refused is a *CrossSigningError; err an *AccountError, bad_upload.
func parseSignatureAnswer(raw []byte) (refused, err error) {
	answer, err := signedjson.Parse(raw)
	if err != nil {
		return nil, &AccountError{Code: CodeBadUpload, cause: err}
	}
	if _, present := answer.Value("failures"); !present {
		return nil, nil
	}
	users, err := answer.Object("failures")
	if err != nil {
		return nil, &AccountError{Code: CodeBadUpload, cause: err}
	}
	said := ""
	users.Range(func(user string, _ jsontext.Value) bool {
		of, err := users.Object(user)
		if err != nil {
			return true
		}
		of.Range(func(name string, _ jsontext.Value) bool {
			if failure, err := of.Object(name); err == nil {
				said, _ = failure.String("errcode")
			}
			refused = &CrossSigningError{Code: CodeSignatureRefused, Got: said}
			return false
		})
		return refused == nil
	})
	return refused, nil
}
