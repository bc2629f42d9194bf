package core

import (
	"context"

	"knownsender/core/keys"
	"knownsender/core/olm"
	"knownsender/core/record"
	"knownsender/core/store"
	"knownsender/core/trust"
)

// The channels with other devices while messages are opened or sealed. They are read, changed here, and written back in one batch with whatever
// changed them: see ownAccount.carry.

// openChannels are the channels with one device.
type openChannels struct {
	record.Channels
	rev      uint64
	changed  bool
	recalled bool // from memory
}

// moveOn replaces the sessions.
func (c *openChannels) moveOn(to olm.Channels) { c.Channels.Channels, c.changed = to, true }

// channelSet are the channels with many devices, each once, in the order in which they were named.
type channelSet struct {
	with     map[keys.Curve25519]*openChannels
	order    []*openChannels
	recalled bool // some of them are from memory
}

// recentChannels are those over which messages came lately, as they were written then: most syncs bring a message or two from somebody who has just sent
// some, and need not wait for a read. Another tab may have written them since. Then a batch with them in it fails, a message that does not open over
// them may open over those in the store, and one that did may be a replay there: the store decides.
type recentChannels map[string]openChannels // by the key of their row

// maxRecentChannels bounds them; a device has some kilobytes of channels.
const maxRecentChannels = 256

// keep remembers those of the set that were written.
func (r recentChannels) keep(set channelSet) {
	for _, channels := range set.order {
		if channels.changed {
			if len(r) >= maxRecentChannels {
				clear(r)
			}
			r[channels.SenderKey().String()] = openChannels{Channels: channels.Channels, rev: channels.rev + 1, recalled: true}
		}
	}
}

// forget lets go of those in a batch: they were written by somebody else, or it did not come to that.
func (r recentChannels) forget(batch []store.Op) {
	for i := range batch {
		if batch[i].Table == store.Channels {
			delete(r, batch[i].Key[0])
		}
	}
}

// curvesOf are the identity keys of devices.
func curvesOf(devices []trust.Device) []keys.Curve25519 {
	all := make([]keys.Curve25519, len(devices))
	for i := range devices {
		all[i] = devices[i].Curve25519
	}
	return all
}

// readChannels reads the channels with those devices. Damaged ones count as none, once a copy of them lies in quarantine: whoever is at the other end
// begins new ones. Those that only a newer version can read stay untouched, and are an error.
func (m *Machine) readChannels(ctx context.Context, devices []keys.Curve25519) (channelSet, error) {
	return m.recallChannels(ctx, devices, nil)
}

// recallChannels is readChannels, but for those that are remembered.
func (m *Machine) recallChannels(ctx context.Context, devices []keys.Curve25519, recent recentChannels) (channelSet, error) {
	set := channelSet{with: make(map[keys.Curve25519]*openChannels, len(devices))}
	var read []*openChannels
	var wanted []store.Key
	for _, key := range devices {
		if set.with[key] != nil {
			continue
		}
		row := record.ChannelsKey(key)
		channels, remembered := recent[row[0]]
		if !remembered {
			channels.Channels.Channels = olm.NewChannels(key)
			read, wanted = append(read, &channels), append(wanted, row)
		}
		set.with[key], set.order, set.recalled = &channels, append(set.order, &channels), set.recalled || remembered
	}
	if len(wanted) == 0 {
		return set, nil
	}
	rows, err := m.store.Get(ctx, store.Channels, wanted)
	if err != nil {
		return set, err
	}
	for i := range rows {
		if rows[i].Rev == 0 {
			continue
		}
		read[i].rev = rows[i].Rev
		stored, err := record.DecodeChannels(rows[i])
		switch {
		case err == nil:
			read[i].Channels = *stored
		case err.(*record.Error).Code == record.CodeUnknownFormat:
			return set, err
		default:
			m.quarantine(store.Channels, &rows[i], err)
		}
	}
	return set, nil
}

// ops writes those that have changed.
func (s channelSet) ops() (ops []store.Op) {
	for _, channels := range s.order {
		if channels.changed {
			ops = append(ops, record.ChannelsRow(&channels.Channels).Put(channels.rev))
		}
	}
	return ops
}
