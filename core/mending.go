package core

import (
	"context"
	"slices"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/trust"
)

// A channel whose two sides no longer agree is mended by this side, for the other does not know (specification, "Recovering from undecryptable messages"): a
// one-time key is claimed, a new session begun, and an m.dummy sent over it, by which the other side comes to use it. What was lost stays lost.

// mendingPause is the least time between two mendings with one device, in milliseconds: an hour. Somebody who sends nonsense shall not use up the one-time
// keys of others through us.
const mendingPause = 3_600_000

// mended says that the channels were mended so lately that it is not done again. A time to come was written by a clock that was wrong.
func (c *openChannels) mended(now int64) bool {
	return c.MendedAt != 0 && c.MendedAt <= now && now-c.MendedAt < mendingPause
}

// wedged says whether a message that did not decrypt speaks of a session that broke: not one that was decrypted before, that was padded wrongly, or that
// names another device than it came from.
func wedged(err error) bool {
	refused, ok := err.(*olm.Error)
	if !ok {
		return false
	}
	switch refused.Code {
	case olm.CodeUnknownOlmSession, olm.CodeBadOlmMAC, olm.CodeOlmMessageGap, olm.CodeOneTimeKeyUnknown:
		return true
	}
	return false
}

// mend begins to mend the channels over which messages did not decrypt, with devices that their senders are known to have. The error is the store's; the
// next message that does not decrypt begins it again.
func (a *ownAccount) mend(ctx context.Context, sealed []sealedEvent) error {
	m := a.machine
	var broken []trust.Device
	var wanted []keys.Curve25519
	seen := map[keys.Curve25519]bool{}
	for i := range sealed {
		s := &sealed[i]
		if !s.wedged || seen[s.key] || a.mending[s.key] || !a.keyless[s.key].Due(m.now()) {
			continue
		}
		if device, known := m.trust.DeviceByCurve(s.user, s.key); known && s.key != a.Curve25519() {
			if seen[s.key] = true; m.listedByOthers(s.key, s.user) {
				continue
			}
			a.mending[s.key] = true
			broken, wanted = append(broken, device), append(wanted, s.key)
		}
	}
	if len(broken) == 0 {
		return nil
	}
	set, err := m.readChannels(ctx, wanted)
	broken = slices.DeleteFunc(broken, func(device trust.Device) bool {
		early := err != nil || set.with[device.Curve25519].mended(m.now())
		if early {
			delete(a.mending, device.Curve25519)
		}
		return early
	})
	if len(broken) > 0 {
		a.postClaim(broken, true)
		m.deliverDue()
	}
	return err
}

// listedByOthers reports whether anybody but the user has a device with that identity key. Nobody has to prove that a key is theirs to list it: a session
// begun for such a device would take the place of the one with its owner, who could not open what is sent.
func (m *Machine) listedByOthers(key keys.Curve25519, than ids.UserID) bool {
	for user := range m.trust.Users() {
		if _, listed := m.trust.DeviceByCurve(user, key); listed && user != than {
			return true
		}
	}
	return false
}
