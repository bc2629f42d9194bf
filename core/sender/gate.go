package sender

import (
	"knownsender/core/keys"
	"knownsender/core/trust"
)

// The gate: what must hold before anything is asked about a sender. Failing any of it refuses the whole to-device event, and nothing
// remains of it (specification, "m.olm.v1.curve25519-aes-sha2" and MSC4147).
//
//	G1  the Olm message decrypts                          whoever makes a DecryptedOlmEvent
//	G2  the payload is for our user                       Envelope.open
//	G3  the payload's sender is the event's               Envelope.open
//	G4  the payload is for our device                     Envelope.open
//	G5  the embedded device belongs to that sender        admit
//	G6  it is signed by itself                            admit lists the check, settle refuses
//	G7  it has the payload's Ed25519 key                  admit
//	G8  it has the channel's Curve25519 key               admit
//	G9  the sender is no dehydrated device                admit, admitStored
//
// Two more concern devices we know: the embedded device's id must not be known with another Ed25519 key (the first one stays), and must
// not spell a key of its user's identity, whose signatures are filed under the same kind of label.

// admit holds the embedded device against the payload it came in and against what is known. With it comes the check of its own signature,
// unless that was made before.
func (e *Envelope) admit(index *trust.Index, device *embedded) (selfCheck keys.Check, needed bool, refusal *RoomKeyError) {
	d := device.keys
	switch {
	case d.UserID != e.Sender:
		return keys.Check{}, false, refuse(CodeSenderDeviceKeysUser)
	case d.Ed25519 != e.Ed25519:
		return keys.Check{}, false, refuse(CodeSenderDeviceKeysEd25519)
	case d.Curve25519 != e.SenderKey:
		return keys.Check{}, false, refuse(CodeSenderDeviceKeysCurve25519)
	case d.Dehydrated:
		return keys.Check{}, false, refuse(CodeDehydratedDevice)
	}
	if stored, known := index.Device(d.UserID, d.DeviceID); known && stored.Ed25519 != d.Ed25519 {
		return keys.Check{}, false, &RoomKeyError{Code: CodeDeviceKeyChanged, Expected: stored.Ed25519.String(), Got: d.Ed25519.String()}
	}
	if identity, known := index.Identity(d.UserID); known && spellsKey(string(d.DeviceID), &identity) {
		return keys.Check{}, false, refuse(CodeDeviceIDIsKey)
	}
	if device.selfSigned {
		return keys.Check{}, false, nil
	}
	selfCheck, err := d.SelfCheck()
	if err != nil {
		return keys.Check{}, false, refuseMember(CodeSenderDeviceKeysSignature, "signatures", err)
	}
	return selfCheck, true, nil
}

// spellsKey reports whether a device id is the base64 of one of the identity's keys.
func spellsKey(id string, identity *trust.Identity) bool {
	if len(id) != 43 {
		return false // not 32 bytes of base64
	}
	return id == identity.Master.String() || id == identity.SelfSigning.String() ||
		identity.UserSigning != (keys.Ed25519{}) && id == identity.UserSigning.String()
}

// admitStored refuses what comes from a device that is known to be a dehydrated one.
func admitStored(v *view, owner *ownership) *RoomKeyError {
	if v.hasStored && v.stored.Dehydrated && owner.of(&v.stored) {
		return refuse(CodeDehydratedDevice)
	}
	return nil
}
