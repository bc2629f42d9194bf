package core

import (
	"knownsender/core/sender"
	"knownsender/core/trust"
)

// Hint is whose key a claimed copy says it is, by what we know of people now: the claimed device, if exactly one user lists it. It is for display.
// It is looked up when it is asked for and stored nowhere, so what is learned costs the same however many keys were imported; and it raises
// nothing, for whoever can write to a backup can claim any device (decision 20, T33).
type Hint struct {
	trust.Device
	Verification trust.Verification // of the user
}

// CrossSigned reports whether the user's identity vouches for the claimed device today.
func (h *Hint) CrossSigned() bool { return h.Device.CrossSigned == trust.CrossSignatureValid }

// hint is whose key a claimed copy says it is; nil when nobody known lists the claimed device, or several do, or with another fingerprint key.
func (m *Machine) hint(c *sender.Copy) *Hint {
	if c.Provenance != sender.Claimed {
		return nil
	}
	devices := m.trust.WhoLists(c.SenderKey)
	if len(devices) != 1 || c.HasEd25519 && devices[0].Ed25519 != c.Ed25519 {
		return nil
	}
	return &Hint{Device: devices[0], Verification: m.trust.Verification(devices[0].UserID)}
}
