package sender

import (
	"bytes"

	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/trust"
)

// Reception is a room key on its way in: past the gate, but for signatures that have yet to be checked. It is made by Prepare, answered
// once, and then of no more use.
type Reception struct {
	Key *RoomKey

	finder    *Finder
	walk      walk
	selfCheck keys.Check
	needSelf  bool
}

// Received is what became of a room key: a copy to be stored, or a tombstone in its place.
type Received struct {
	Finding   Finding
	Copy      *Copy      // nil when the key was discarded
	Tombstone *Tombstone // nil when it was not
}

// Prepare takes a room key to where only signatures are missing. It changes nothing, and takes its view of index now: whatever index learns
// before Finish is for Judge to bring in. The error is a *RoomKeyError.
func (f *Finder) Prepare(index *trust.Index, in DecryptedOlmEvent) (*Reception, error) {
	own := index.Own()
	key, err := ParseRoomKey(own, in)
	if err != nil {
		return nil, err
	}
	r := &Reception{Key: key, finder: f}
	w := &r.walk
	w.owner = ownership{user: key.Sender, curve: key.SenderKey, ed25519: key.Ed25519}
	if key.DeviceKeys != nil {
		if w.embedded, err = f.remembered.parse(key.DeviceKeys); err != nil {
			return nil, refuseMember(CodeBadSenderDeviceKeys, stableDeviceKeys, err)
		}
		var refusal *RoomKeyError
		if r.selfCheck, r.needSelf, refusal = key.admit(index, w.embedded); refusal != nil {
			return nil, refusal
		}
		w.view = look(index, &w.owner, w.embedded.keys.DeviceID)
	} else {
		w.view = look(index, &w.owner, "")
	}
	if refusal := admitStored(&w.view, &w.owner); refusal != nil {
		return nil, refusal
	}
	if w.embedded == nil && w.view.hasStored && !w.owner.of(&w.view.stored) {
		// Step D with nothing else to go by.
		return nil, &RoomKeyError{Code: CodeMismatchedIdentityKeys, Expected: w.view.stored.Ed25519.String(), Got: key.Ed25519.String()}
	}
	w.begin(WordGatePassed)
	return r, nil
}

// AppendChecks adds the signatures that are left to check: the session key's own, always, and whichever of the embedded device's are not
// remembered. Finish wants the answers in the same order.
//
// Of many room keys at once each is best prepared when the one before has been finished, where answers can be had at once: the signatures of
// a device are then checked for its first key only. Prepared all together they are listed for each.
func (r *Reception) AppendChecks(dst []keys.Check) []keys.Check {
	dst = append(dst, r.Key.SessionKey.Check())
	if r.needSelf {
		dst = append(dst, r.selfCheck)
	}
	if r.walk.pending() {
		dst = append(dst, r.walk.check)
	}
	return dst
}

// Checks is how many answers Finish wants: 1 to 3.
func (r *Reception) Checks() int {
	n := 1
	if r.needSelf {
		n++
	}
	if r.walk.pending() {
		n++
	}
	return n
}

// Finish decides, once the signatures have been checked. receivedAt is the time in milliseconds since 1970. It asks nobody anything. The
// error is a *RoomKeyError: bad_session_key or sender_device_keys_signature.
func (r *Reception) Finish(results []bool, receivedAt int64) (*Received, error) {
	if len(results) != r.Checks() {
		panic("sender: internal error: Finish wants one answer for each check")
	}
	defer r.Key.SessionKey.Wipe()
	w := &r.walk
	if !results[0] {
		return nil, &RoomKeyError{Code: CodeBadSessionKey, Member: "content.session_key", Reason: megolm.CodeBadSessionKeySignature}
	}
	results = results[1:]
	if r.needSelf {
		if !results[0] {
			return nil, refuse(CodeSenderDeviceKeysSignature)
		}
		results = results[1:]
		w.embedded.selfSigned = true
	}
	if w.pending() {
		w.cross = w.cross.Resolve(results[0])
	}
	if w.embedded != nil {
		if w.view.hasIdentity {
			w.embedded.settle(w.view.identity.SelfSigning, w.cross)
		}
		r.finder.remembered.remember(w.embedded)
	}
	finding, _ := w.finish() // found: Prepare has refused the only case in which it is not
	received := &Received{Finding: finding}
	name := CopyKey{RoomID: r.Key.RoomID, SessionID: r.Key.SessionKey.ID(), SenderKey: r.Key.SenderKey, Provenance: Direct}
	if finding.Outcome == Discard {
		received.Tombstone = &Tombstone{CopyKey: name, OlmUser: r.Key.Sender, Reason: finding.Reason, At: receivedAt}
		return received, nil
	}
	received.Copy = &Copy{
		CopyKey:       name,
		Session:       r.Key.SessionKey.Session(),
		Ed25519:       r.Key.Ed25519,
		HasEd25519:    true,
		OlmUser:       r.Key.Sender,
		AtReception:   finding.Data,
		Current:       finding.Data,
		Suspended:     finding.Outcome == Suspend,
		SharedHistory: r.Key.SharedHistory,
		ReceivedAt:    receivedAt,
		Step:          finding.Step,
	}
	if !finding.Resolved {
		received.Copy.EmbeddedDevice = bytes.Clone(r.Key.DeviceKeys)
	}
	return received, nil
}
