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
	rev     uint64
	changed bool
}

// moveOn replaces the sessions.
func (c *openChannels) moveOn(to olm.Channels) { c.Channels.Channels, c.changed = to, true }

// channelSet are the channels with many devices, each once, in the order in which they were named.
type channelSet struct {
	with  map[keys.Curve25519]*openChannels
	order []*openChannels
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
	set := channelSet{with: make(map[keys.Curve25519]*openChannels, len(devices))}
	var wanted []store.Key
	for _, key := range devices {
		if set.with[key] == nil {
			set.with[key] = &openChannels{Channels: record.Channels{Channels: olm.NewChannels(key)}}
			set.order, wanted = append(set.order, set.with[key]), append(wanted, record.ChannelsKey(key))
		}
	}
	rows, err := m.store.Get(ctx, store.Channels, wanted)
	if err != nil {
		return set, err
	}
	for i := range rows {
		if rows[i].Rev == 0 {
			continue
		}
		set.order[i].rev = rows[i].Rev
		stored, err := record.DecodeChannels(rows[i])
		switch {
		case err == nil:
			set.order[i].Channels = *stored
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
