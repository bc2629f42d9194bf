package core

import (
	"context"
	"crypto/rand"
	"slices"

	"knownsender/core/crosssigning"
	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/lane"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/signedjson"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// Our own Olm account, for a client that brings no Olm of its own. The account lies in the store and is made by the first Open. What changes it is
// computed on the row as it was read and written by compare-and-set, so two tabs never use one key twice; and it is written before anything that
// it made leaves the machine.

// oneTimeKeys is how many one-time keys the server is to have.
const oneTimeKeys = 50

// signedCurve25519 is the algorithm of one-time and fallback keys.
const signedCurve25519 = "signed_curve25519"

// Codes of AccountError.
const (
	CodeAccountDamaged = "account_damaged"  // the stored account cannot be read; no other is made in its place
	CodeAccountOfOther = "account_of_other" // the store has the account of another device
	CodeNoAccount      = "no_account"       // the machine was opened with the identity keys of an Olm elsewhere, or the program has no Olm
	CodeBadUpload      = "bad_upload"       // not the answer to an upload of keys
)

// AccountError says what is wrong with our own account.
type AccountError struct {
	Code          string
	Expected, Got string
	cause         error
}

// Error is a sentence.
func (e *AccountError) Error() string {
	switch e.Code {
	case CodeAccountDamaged:
		return "the stored Olm account cannot be read"
	case CodeAccountOfOther:
		return "the store has the Olm account of another device"
	case CodeBadUpload:
		return "this is not the answer to an upload of keys"
	}
	return "there is no Olm account: the machine was opened with the identity keys of another, or this engine has no Olm"
}

// ErrorCode is the stable name of what went wrong.
func (e *AccountError) ErrorCode() string { return e.Code }

// ErrorDetail is what was expected and what came instead.
func (e *AccountError) ErrorDetail() (expected, got string) { return e.Expected, e.Got }

// Unwrap is the error of the room below, if one refused something.
func (e *AccountError) Unwrap() error { return e.cause }

// OlmAccount is our account to those parts of the machine that have nothing to do with Olm. A program that never calls OpenAccount links nothing of
// it.
type OlmAccount interface {
	own() trust.Own
	bind(*Machine)
	nextUpload() *lane.Request
	markUploaded(ctx context.Context, id string, response []byte) (mine bool, err error)
	dispatchUpload()
	uploadDue() int64
	heard(ctx context.Context) error
	recognize(ctx context.Context) error
	takeUp(ctx context.Context) error
}

// ownAccount is our account as the machine holds it.
type ownAccount struct {
	*record.Account
	machine   *Machine
	rev       uint64
	queue     queue         // of those who change it or the channels
	upload    *keysUpload   // made, and not answered yet
	uploading bool          // by ourselves
	schedule  lane.Schedule // of uploads in vain

	recent   recentChannels
	claiming *outgoing                         // the last claim for missing sessions
	keyless  map[keys.Curve25519]lane.Schedule // devices the server had no one-time key of
	mending  map[keys.Curve25519]bool          // devices whose channels are being mended

	published   []byte         // the last deviceKeys
	publishedBy keys.Signature // the cross-signature in it, zero for none

	outbound queue                 // of those who change a room's outbound session
	sharers  map[ids.RoomID]*queue // of those who share a room's key
	shares   []*keyShare           // under way
	done     map[ids.RoomID]*sharingDone

	signing   lane.Schedule // of our own device's signature, in vain
	bootstrap []*outgoing   // in the hands of the host
}

// keysUpload is an upload under way, and what it carries.
type keysUpload struct {
	lane.Request
	keys   []olm.OneTimeKey
	device bool
}

// OpenAccount reads the account of the device, or makes it: what Options.OpenAccount is to be. Errors: *AccountError account_damaged and
// account_of_other, and those of the store.
func OpenAccount(ctx context.Context, s store.Store, user ids.UserID, device ids.DeviceID) (OlmAccount, error) {
	for {
		rows, err := s.Get(ctx, store.Meta, []store.Key{record.AccountKey()})
		if err != nil {
			return nil, err
		}
		if rows[0].Rev != 0 {
			return readAccount(&rows[0], user, device)
		}
		fresh := olm.NewAccount().GenerateOneTimeKeys(oneTimeKeys).GenerateFallbackKey()
		made := &record.Account{Account: fresh, UserID: user, DeviceID: device}
		err = s.Commit(ctx, store.Batch{Ops: []store.Op{record.AccountRow(made).Put(0)}, Strict: true})
		if _, lost := clash(err); !lost {
			if err != nil {
				return nil, err
			}
			return &ownAccount{Account: made, rev: 1}, nil
		}
	}
}

func readAccount(row *store.Row, user ids.UserID, device ids.DeviceID) (*ownAccount, error) {
	account, err := record.DecodeAccount(*row)
	if err != nil {
		return nil, &AccountError{Code: CodeAccountDamaged, cause: err}
	}
	if account.UserID != user || account.DeviceID != device {
		return nil, &AccountError{
			Code: CodeAccountOfOther, Expected: string(user) + " " + string(device), Got: string(account.UserID) + " " + string(account.DeviceID),
		}
	}
	a := &ownAccount{Account: account, rev: row.Rev}
	// It is sent along with every Olm message, and one that is wrong would have the message refused: what was signed once may not be what we say today.
	if check := (keys.Check{Key: a.CrossSigner, Signature: a.CrossSignature, Message: a.deviceMessage()}); !check.Verify() {
		a.CrossSigner = keys.Ed25519{}
	}
	return a, nil
}

func (a *ownAccount) bind(m *Machine) {
	a.machine, a.queue.turn, a.outbound.turn = m, &m.turn, &m.turn
	a.sharers, a.done = map[ids.RoomID]*queue{}, map[ids.RoomID]*sharingDone{}
	a.keyless, a.mending, a.recent = map[keys.Curve25519]lane.Schedule{}, map[keys.Curve25519]bool{}, recentChannels{}
}

// own is this device, with the account's keys.
func (a *ownAccount) own() trust.Own {
	return trust.Own{UserID: a.UserID, DeviceID: a.DeviceID, Curve25519: a.Curve25519(), Ed25519: a.Ed25519()}
}

// Own is this device.
func (m *Machine) Own() trust.Own {
	m.turn.Lock()
	defer m.leave()
	return m.trust.Own()
}

// refresh takes over the account as it lies in the store, where another tab has changed it.
func (a *ownAccount) refresh(ctx context.Context) error {
	m := a.machine
	rows, err := m.store.Get(ctx, store.Meta, []store.Key{record.AccountKey()})
	if err != nil || rows[0].Rev <= a.rev { // read before what was written here meanwhile
		return err
	}
	own := m.trust.Own()
	now, err := readAccount(&rows[0], own.UserID, own.DeviceID)
	if err != nil {
		return err
	}
	a.Account, a.rev = now.Account, now.rev
	return nil
}

// heard takes over what another tab made of the account, and uploads what it made if that falls to this one.
func (a *ownAccount) heard(ctx context.Context) error {
	a.queue.enter()
	defer a.queue.leave()
	if err := a.refresh(ctx); err != nil {
		return err
	}
	a.dispatchUpload()
	return nil
}

// carry carries a change through, in one batch: of the account, nil for none, of rows beside it, and of what lies on the shelf. compute is given the
// account as the store has it, and is asked again when another tab has changed one of these rows meanwhile. Errors: those of compute and of the store.
func (a *ownAccount) carry(ctx context.Context, compute func() (next *record.Account, beside []store.Op, err error)) error {
	return a.carryFrom(ctx, false, compute)
}

// carryFrom is carry; where memory is trusted, compute is first given the account as it is there: as in the store, unless another tab has changed it and
// was not heard yet. A batch with the account in it fails then. What else compute makes of it, it has to look to (see refresh).
func (a *ownAccount) carryFrom(ctx context.Context, memory bool, compute func() (next *record.Account, beside []store.Op, err error)) error {
	a.queue.enter()
	defer a.queue.leave()
	for clashes := 0; ; clashes++ {
		if !memory || clashes > 0 {
			if err := a.refresh(ctx); err != nil {
				return err
			}
		}
		rev := a.rev
		next, ops, err := compute()
		if err != nil {
			return err
		}
		if next != nil {
			ops = append(ops, record.AccountRow(next).Put(rev))
		}
		err = a.machine.writeWith(ctx, ops)
		a.recent.forget(ops)
		if err == nil {
			if next != nil {
				a.Account, a.rev = next, rev+1
				a.machine.tellPeers(PeerNews{Account: true})
			}
			return nil
		}
		if conflict, ok := clash(err); !ok || clashes == maxClashes || !conflict.Names(ops) {
			return err
		}
	}
}

// nextUpload is the upload that waits for its answer, or a new one. There is never a second beside it: a key that the server has given away already
// must not come to it again.
func (a *ownAccount) nextUpload() *lane.Request {
	fresh := a.Unpublished()
	if u := a.upload; u != nil && !(u.device && a.Shared) && !slices.ContainsFunc(u.keys, func(key olm.OneTimeKey) bool { return !slices.Contains(fresh, key) }) {
		return &u.Request
	}
	a.upload = nil // another tab has done it
	if a.Shared && len(fresh) == 0 {
		return nil
	}
	request := lane.Request{ID: rand.Text(), Type: lane.KeysUpload, Body: a.uploadBody(fresh, !a.Shared)}
	a.upload = &keysUpload{Request: request, keys: fresh, device: !a.Shared}
	return &a.upload.Request
}

// dispatchUpload uploads what the server is yet to have, if this tab asks the server at all and nothing is under way.
func (a *ownAccount) dispatchUpload() {
	m, l := a.machine, &a.machine.lanes
	if m.closed || a.uploading || l.fetcher == nil || l.follows || l.paused || m.now() < l.quiet || !a.schedule.Due(m.now()) {
		return
	}
	if a.nextUpload() == nil {
		return
	}
	a.uploading = true
	l.spawn(a.sendUpload)
}

// sendUpload is one upload from beginning to end. In vain it is tried again by the retry lane, later each time.
func (a *ownAccount) sendUpload() {
	m := a.machine
	m.turn.Lock()
	defer m.leave()
	failed := true
	defer func() {
		a.uploading = false
		if failed {
			a.schedule = a.schedule.After(m.now(), m.lanes.quiet, m.lanes.jitter())
			return
		}
		a.schedule = lane.Schedule{}
		a.dispatchUpload()
	}()
	err := a.refresh(context.Background())
	if upload := a.nextUpload(); err == nil && upload != nil {
		var answer []byte
		if answer, err = m.send(context.Background(), upload); err == nil {
			_, err = a.markUploaded(context.Background(), upload.ID, answer)
		}
	}
	failed = err != nil
}

// uploadDue is when there is something to upload again, far off when there is nothing.
func (a *ownAccount) uploadDue() int64 {
	if !a.uploading && a.schedule.Tries > 0 {
		return a.schedule.Next
	}
	return a.machine.now() + lane.MaxDelay.Milliseconds()
}

// ownAccount is the account, for what takes one. Errors: that the machine is closed, *AccountError no_account.
func (m *Machine) ownAccount() (*ownAccount, error) {
	switch {
	case m.closed:
		return nil, errClosed()
	case m.account == nil:
		return nil, &AccountError{Code: CodeNoAccount}
	}
	return m.account.(*ownAccount), nil
}

// markUploaded brings the answer to an upload, if the id is that of one. It tells how many one-time keys the server has now, and what is missing is made.
func (a *ownAccount) markUploaded(ctx context.Context, id string, response []byte) (mine bool, err error) {
	if a.upload == nil || a.upload.ID != id {
		return false, nil
	}
	count, err := parseUploadAnswer(response)
	if err != nil {
		return true, err
	}
	done := a.upload
	err = a.carry(ctx, func() (*record.Account, []store.Op, error) {
		next := *a.Account
		next.Account = next.MarkPublished(done.keys)
		next.Shared = next.Shared || done.device
		return a.filled(&next, count, false), nil, nil
	})
	if err == nil && a.upload == done {
		a.upload = nil
	}
	if err == nil && done.device {
		_ = a.askAgain(ctx, a.UserID) // else takeUp does, at the next start
	}
	return true, err
}

func parseUploadAnswer(raw []byte) (count int, err error) {
	bad := func(err error) (int, error) { return 0, &AccountError{Code: CodeBadUpload, cause: err} }
	answer, err := signedjson.Parse(raw)
	if err != nil {
		return bad(err)
	}
	counts, err := answer.Object("one_time_key_counts")
	if err != nil {
		return bad(err)
	}
	if _, present := counts.Value(signedCurve25519); !present {
		return 0, nil
	}
	number, err := counts.Int(signedCurve25519)
	if err != nil || number < 0 || number > 1<<20 {
		return bad(err)
	}
	return int(number), nil
}

// fallbackAge is how long a fallback key is kept in use at least, in milliseconds: seven days, as matrix-sdk-crypto has it. A server says that it was
// used for as long as it has not got another, and messages for it are under way; the one before the last is forgotten.
const fallbackAge = 7 * 24 * 3600 * 1000

// filled is with, and the one-time keys that the server is short of when it has count, those that are made and not uploaded included; and a new fallback
// key where the server says that the present one was used, and it is old enough.
func (a *ownAccount) filled(with *record.Account, count int, fallbackUsed bool) *record.Account {
	for _, key := range with.Unpublished() {
		if key.Fallback {
			fallbackUsed = false
		} else {
			count++
		}
	}
	next, now := *with, a.machine.now()
	if count < oneTimeKeys {
		next.Account = next.GenerateOneTimeKeys(oneTimeKeys - count)
	}
	if fallbackUsed && now-next.FallbackAt >= fallbackAge {
		next.Account, next.FallbackAt = next.GenerateFallbackKey(), now
	}
	return &next
}

// signer is this device's fingerprint key.
func (a *ownAccount) signer() crosssigning.Signer {
	return crosssigning.Signer{KeyID: "ed25519:" + string(a.DeviceID), Sign: a.Sign}
}

// deviceMessage is this device's keys object as it is signed (specification, "Device keys"): canonical, without signatures.
func (a *ownAccount) deviceMessage() []byte {
	own := a.own()
	device := string(own.DeviceID)
	dst := append(signedjson.AppendName([]byte{'{'}, "algorithms"), `["m.olm.v1.curve25519-aes-sha2","m.megolm.v1.aes-sha2"]`...)
	dst = appendText(dst, "device_id", device)
	dst = append(signedjson.AppendName(dst, "keys"), '{')
	dst = appendText(dst, "curve25519:"+device, own.Curve25519.String())
	dst = append(appendText(dst, "ed25519:"+device, own.Ed25519.String()), '}')
	return append(appendText(dst, "user_id", string(own.UserID)), '}')
}

// deviceKeys is this device's keys object, signed by itself and, if it is known, by the self-signing key of our identity as it is now. It goes into every
// Olm message, so it is kept until another signature is due: making one costs as much as the rest of the message. Nobody writes into it.
func (a *ownAccount) deviceKeys() []byte {
	by := []crosssigning.Signer{a.signer()}
	var cross keys.Signature
	if identity, known := a.machine.trust.Identity(a.UserID); known && identity.SelfSigning == a.CrossSigner {
		cross = a.CrossSignature
		by = append(by, crosssigning.Signer{KeyID: crosssigning.KeyID(a.CrossSigner), Sign: func([]byte) keys.Signature { return cross }})
	}
	if a.published == nil || a.publishedBy != cross {
		a.published, a.publishedBy = crosssigning.Signed(a.deviceMessage(), a.UserID, by...), cross
	}
	return a.published
}

// uploadBody is the body of the upload.
func (a *ownAccount) uploadBody(fresh []olm.OneTimeKey, device bool) []byte {
	dst := []byte{'{'}
	if device {
		dst = append(signedjson.AppendName(dst, "device_keys"), crosssigning.Signed(a.deviceMessage(), a.UserID, a.signer())...)
	}
	for _, list := range []struct {
		name     string
		fallback bool
	}{{"fallback_keys", true}, {"one_time_keys", false}} {
		dst = append(signedjson.AppendName(dst, list.name), '{')
		for i := range fresh {
			if fresh[i].Fallback == list.fallback {
				dst = append(signedjson.AppendName(dst, signedCurve25519+":"+fresh[i].ID), a.signedKey(&fresh[i])...)
			}
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// signedKey is a one-time or fallback key as the server hands it out (specification, "Key algorithms").
func (a *ownAccount) signedKey(key *olm.OneTimeKey) []byte {
	dst := []byte{'{'}
	if key.Fallback {
		dst = signedjson.AppendBool(signedjson.AppendName(dst, "fallback"), true)
	}
	dst = append(signedjson.AppendString(signedjson.AppendName(dst, "key"), key.Key.String()), '}')
	return crosssigning.Signed(dst, a.UserID, a.signer())
}
