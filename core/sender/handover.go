package sender

import (
	"knownsender/core/ids"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// Types of Olm payloads by which room keys are handed over by somebody who need not have made them.
const (
	typeForwardedRoomKey      = "m.forwarded_room_key"               // answers a request of ours
	typeRoomKeyBundle         = "m.room_key_bundle"                  // MSC4268: names an encrypted file of room keys
	typeUnstableRoomKeyBundle = "io.element.msc4268.room_key_bundle" // the same, before it was part of the specification
)

// Handover is an Olm payload by which somebody hands room keys over: past the gate, but for signatures that have yet to be checked. The finder
// says who that is, as for a room key; it says nothing of who made the keys.
type Handover struct {
	Envelope
	Content *signedjson.Object // what the payload brings; points into it

	own ids.UserID // whose device it must be, and verified; empty when anybody known will do
	encounter
}

// PrepareForwardedKey takes an m.forwarded_room_key to where only signatures are missing. It changes nothing, and takes its view of index now.
// The error is a *RoomKeyError.
func (f *Finder) PrepareForwardedKey(index *trust.Index, in DecryptedOlmEvent) (*Handover, error) {
	return f.prepareHandover(index, in, index.Own().UserID, typeForwardedRoomKey)
}

// PrepareBundle takes the announcement of a history bundle (MSC4268) to where only signatures are missing. Its embedded device keys are
// mandatory: who hands the history over must be known now, and a server must not be able to change that later. The error is a *RoomKeyError.
func (f *Finder) PrepareBundle(index *trust.Index, in DecryptedOlmEvent) (*Handover, error) {
	h, err := f.prepareHandover(index, in, "", typeRoomKeyBundle, typeUnstableRoomKeyBundle)
	if err == nil && h.DeviceKeys == nil {
		return nil, refuse(CodeMissingSenderDeviceKeys)
	}
	return h, err
}

func (f *Finder) prepareHandover(index *trust.Index, in DecryptedOlmEvent, own ids.UserID, types ...string) (*Handover, error) {
	h := &Handover{own: own}
	var err error
	if h.Content, err = h.open(index.Own(), in, types...); err != nil {
		return nil, err
	}
	if h.encounter, err = f.meet(index, &h.Envelope); err != nil {
		return nil, err
	}
	return h, nil
}

// Finish says who hands the keys over, once the signatures have been checked. Only a user whose identity is in order can be believed at all,
// and a forwarded key must come from a verified device of our own that the server lists today (T44, T45). The error is a *RoomKeyError: sender_device_keys_signature,
// forwarder_not_known, forwarder_not_own_device.
func (h *Handover) Finish(results []bool) (Forwarder, error) {
	if len(results) != h.Checks() {
		panic("sender: internal error: Finish wants one answer for each check")
	}
	finding, err := h.settle(results)
	if err != nil {
		return Forwarder{}, err
	}
	// A device of ours that was logged out may still hold keys and a cross-signature; it is not ours any more.
	listed := h.walk.view.hasStored && h.walk.owner.of(&h.walk.view.stored)
	if h.own != "" && (finding.Data.Kind != SenderVerified || finding.Data.UserID != h.own || !listed) {
		return Forwarder{}, &RoomKeyError{Code: CodeForwarderNotOwnDevice, Reason: finding.Reason}
	}
	by, ok := ForwarderOf(finding.Data)
	if !ok {
		return Forwarder{}, &RoomKeyError{Code: CodeForwarderNotKnown, Reason: finding.Reason}
	}
	return by, nil
}
