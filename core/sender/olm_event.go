package sender

import "knownsender/core/trust"

// OlmEvent is an Olm payload of any type but a room key, on its way in: past the gate, but for signatures that have yet to be checked. Room keys are
// kept whoever sent them, for they are judged later; of everything else it must be known whose device sent it (specification,
// "m.olm.v1.curve25519-aes-sha2"; scenarios 52 to 55).
type OlmEvent struct {
	Envelope
	encounter
}

// PrepareEvent takes an event of any type to where only signatures are missing: a room key, as Prepare does, or what is none. It changes nothing, and
// takes its view of index now. The error is a *RoomKeyError.
func (f *Finder) PrepareEvent(index *trust.Index, in DecryptedOlmEvent) (key *Reception, other *OlmEvent, err error) {
	e := &OlmEvent{}
	content, err := e.open(index.Own(), in)
	if err != nil {
		return nil, nil, err
	}
	if e.Type == typeRoomKey {
		key, err = f.prepareKey(index, &RoomKey{Envelope: e.Envelope}, content)
		return key, nil, err
	}
	if e.encounter, err = f.meet(index, &e.Envelope); err != nil {
		return nil, nil, err
	}
	return nil, e, nil
}

// Finish says who sent the event, once the signatures have been checked. The error is a *RoomKeyError: sender_device_keys_signature, or
// unknown_sending_device.
func (e *OlmEvent) Finish(results []bool) (Finding, error) {
	if len(results) != e.Checks() {
		panic("sender: internal error: Finish wants one answer for each check")
	}
	finding, err := e.settle(results)
	if err != nil {
		return finding, err
	}
	if finding.Data.Kind == UnknownDevice {
		return finding, refuse(CodeUnknownSendingDevice)
	}
	return finding, nil
}
