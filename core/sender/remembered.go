package sender

import (
	"bytes"

	"knownsender/core/keys"
	"knownsender/core/signedjson"
	"knownsender/core/trust"
)

// What has been verified once need not be verified again: a device embeds the same object in every room key it sends. An object is
// remembered by its bytes as received, all of them. The same bytes have the same signatures, so nothing that differs can profit from what
// was found here; and only signatures that held are remembered, so that one that did not is refused for its own sake each time.

const (
	maxRemembered      = 1024    // embedded devices; beyond it the older half is forgotten
	maxRememberedBytes = 4 << 10 // larger objects are verified each time
)

// remembered is the bounded memory of embedded devices.
type remembered struct {
	devices map[string]*embedded
	order   []string // oldest first
}

// embedded is a parsed embedded device and what has been found of its signatures.
type embedded struct {
	keys       *trust.DeviceKeys
	selfSigned bool // false: not checked yet
	// crossSigned is what is known of a signature by the self-signing key by: any outcome but Wrong and Unchecked. Zero by: nothing is.
	by          keys.Ed25519
	crossSigned trust.CrossSignature
}

// parse parses raw, or finds it parsed. What it returns refers to bytes of its own.
func (r *remembered) parse(raw []byte) (*embedded, error) {
	if known := r.devices[string(raw)]; known != nil {
		return known, nil
	}
	object, err := signedjson.ParseLimit(bytes.Clone(raw), maxDeviceKeys)
	if err != nil {
		return nil, err
	}
	device, err := trust.ParseDeviceKeys(object)
	if err != nil {
		return nil, err
	}
	return &embedded{keys: device}, nil
}

// remember keeps an embedded device, with what has been found of its signatures.
func (r *remembered) remember(device *embedded) {
	raw := device.keys.Object().Raw()
	if len(raw) > maxRememberedBytes || r.devices[string(raw)] == device {
		return
	}
	if r.devices == nil {
		r.devices = make(map[string]*embedded)
	}
	if len(r.order) >= maxRemembered {
		half := len(r.order) / 2
		for _, old := range r.order[:half] {
			delete(r.devices, old)
		}
		r.order = append(r.order[:0], r.order[half:]...)
		clear(r.order[len(r.order):cap(r.order)])
	}
	key := string(raw)
	if r.devices[key] == nil {
		r.order = append(r.order, key)
	}
	r.devices[key] = device
}

// crossSignature is what the object says about a signature by the owner's self-signing key, with the check that is left to be made.
func (e *embedded) crossSignature(by keys.Ed25519) (keys.Check, trust.CrossSignature) {
	if by != (keys.Ed25519{}) && e.by == by {
		return keys.Check{}, e.crossSigned
	}
	return e.keys.SignatureBy(by)
}

// settle notes what was found of a signature by the owner's self-signing key.
func (e *embedded) settle(by keys.Ed25519, outcome trust.CrossSignature) {
	if by != (keys.Ed25519{}) && outcome != trust.CrossSignatureWrong && outcome != trust.CrossSignatureUnchecked {
		e.by, e.crossSigned = by, outcome
	}
}
