package sender

import (
	"knownsender/core/keys"
	"knownsender/core/trust"
)

// encounter is the sender of an Olm payload on the way through the gate and the finder, whatever the payload brings: past everything but
// signatures that have yet to be checked.
type encounter struct {
	finder    *Finder
	walk      walk
	selfCheck keys.Check
	needSelf  bool
}

// meet takes a sender through the gate, from G5 on, and the steps A and B. It changes nothing, and takes its view of index now. The error is a
// *RoomKeyError.
func (f *Finder) meet(index *trust.Index, e *Envelope) (encounter, error) {
	m := encounter{finder: f}
	w := &m.walk
	w.owner = ownership{user: e.Sender, curve: e.SenderKey, ed25519: e.Ed25519}
	if e.DeviceKeys != nil {
		var err error
		if w.embedded, err = f.remembered.parse(e.DeviceKeys); err != nil {
			return m, refuseMember(CodeBadSenderDeviceKeys, stableDeviceKeys, err)
		}
		var refusal *RoomKeyError
		if m.selfCheck, m.needSelf, refusal = e.admit(index, w.embedded); refusal != nil {
			return m, refusal
		}
		w.view = look(index, &w.owner, w.embedded.keys.DeviceID)
	} else {
		w.view = look(index, &w.owner, "")
	}
	if refusal := admitStored(&w.view, &w.owner); refusal != nil {
		return m, refusal
	}
	if w.embedded == nil && w.view.hasStored && !w.owner.of(&w.view.stored) {
		// Step D with nothing else to go by.
		return m, &RoomKeyError{Code: CodeMismatchedIdentityKeys, Expected: w.view.stored.Ed25519.String(), Got: e.Ed25519.String()}
	}
	w.begin(WordGatePassed)
	return m, nil
}

// AppendChecks adds the signatures that are left to check: whichever of the embedded device's are not remembered. settle wants the answers in
// the same order.
func (m *encounter) AppendChecks(dst []keys.Check) []keys.Check {
	if m.needSelf {
		dst = append(dst, m.selfCheck)
	}
	if m.walk.pending() {
		dst = append(dst, m.walk.check)
	}
	return dst
}

// Checks is how many answers settle wants: 0 to 2.
func (m *encounter) Checks() int {
	n := 0
	if m.needSelf {
		n++
	}
	if m.walk.pending() {
		n++
	}
	return n
}

// settle takes the answers, remembers what they say of the embedded device, and walks to the end. The error is a *RoomKeyError,
// sender_device_keys_signature.
func (m *encounter) settle(results []bool) (Finding, error) {
	w := &m.walk
	if m.needSelf {
		if !results[0] {
			return Finding{}, refuse(CodeSenderDeviceKeysSignature)
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
		m.finder.remembered.remember(w.embedded)
	}
	finding, _ := w.finish() // found: meet has refused the only case in which it is not
	return finding, nil
}
