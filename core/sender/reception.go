package sender

import (
	"bytes"

	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Reception is a room key on its way in: past the gate, but for signatures that have yet to be checked. It is made by Prepare, answered
// once, and then of no more use.
type Reception struct {
	Key *RoomKey
	encounter
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
	key := &RoomKey{}
	content, err := key.open(index.Own(), in, typeRoomKey)
	if err != nil {
		return nil, err
	}
	return f.prepareKey(index, key, content)
}

func (f *Finder) prepareKey(index *trust.Index, key *RoomKey, content *signedjson.Object) (*Reception, error) {
	if refusal := key.readContent(content); refusal != nil {
		return nil, refusal
	}
	met, err := f.meet(index, &key.Envelope)
	if err != nil {
		return nil, err
	}
	return &Reception{Key: key, encounter: met}, nil
}

// AppendChecks adds the signatures that are left to check: the session key's own, always, and whichever of the embedded device's are not
// remembered. Finish wants the answers in the same order.
//
// Of many room keys at once each is best prepared when the one before has been finished, where answers can be had at once: the signatures of
// a device are then checked for its first key only. Prepared all together they are listed for each.
func (r *Reception) AppendChecks(dst []keys.Check) []keys.Check {
	return r.encounter.AppendChecks(append(dst, r.Key.SessionKey.Check()))
}

// Checks is how many answers Finish wants: 1 to 3.
func (r *Reception) Checks() int { return 1 + r.encounter.Checks() }

// Finish decides, once the signatures have been checked. receivedAt is the time in milliseconds since 1970. It asks nobody anything. The
// error is a *RoomKeyError: bad_session_key or sender_device_keys_signature.
func (r *Reception) Finish(results []bool, receivedAt int64) (*Received, error) {
	if len(results) != r.Checks() {
		panic("sender: internal error: Finish wants one answer for each check")
	}
	defer r.Key.SessionKey.Wipe()
	if !results[0] {
		return nil, &RoomKeyError{Code: CodeBadSessionKey, Member: "content.session_key", Reason: megolm.CodeBadSessionKeySignature}
	}
	finding, err := r.encounter.settle(results[1:])
	if err != nil {
		return nil, err
	}
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
