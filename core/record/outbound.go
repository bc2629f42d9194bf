package record

// The records of what we send with, three rows for each room. The session, format version 1: [state, created at, rotation period, rotation messages,
// history visibility, flags, ...], small, for it is written with every event. Its shares, format version 1: [session id, [user, device, key, index,
// sent, ...], [user, device, code, ...], ...], written only when the key is shared. A new session overwrites the old: rows are never deleted, so that
// a revision never comes back, and nobody who computed on an earlier session can write over a later one. The room's settings, format version 1:
// [rotation period, rotation messages, flags, ...]; that they are there says that the room is encrypted, by the one algorithm there is.

import (
	"math"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/megolm"
	"knownsender/core/sharing"
	"knownsender/core/store"
)

const (
	outboundVersion = 1
	outboundMembers = 6
	sharesVersion   = 1
	sharesMembers   = 3
	settingsVersion = 1
	settingsMembers = 3

	outboundName = "session"
	sharesName   = "shares"
	settingsName = "settings"
)

// OutboundKey is the key of the row of a room's outbound session.
func OutboundKey(room ids.RoomID) store.Key { return store.Key{string(room), outboundName} }

// SharesKey is the key of the row of that session's shares.
func SharesKey(room ids.RoomID) store.Key { return store.Key{string(room), sharesName} }

// RoomSettingsKey is the key of the row of a room's settings.
func RoomSettingsKey(room ids.RoomID) store.Key { return store.Key{string(room), settingsName} }

// parseOutboundKey reads the key of any of these rows.
func parseOutboundKey(key store.Key, name string) (ids.RoomID, error) {
	if len(key) == 2 && key[1] == name {
		if room, err := ids.ParseRoomID(key[0]); err == nil {
			return room, nil
		}
	}
	return "", &Error{Code: CodeBadRowKey, Table: store.Outbound, Reason: "the key names no room"}
}

// Outbound is a stored outbound session.
type Outbound struct {
	*megolm.OutboundSession
	RoomID    ids.RoomID
	CreatedAt int64            // milliseconds since 1970
	Settings  sharing.Settings // those it was made under, clamped; not the strategy, by which nothing is judged afterwards
	Shared    bool             // everybody who was to get the key when it was made has got it
	Ended     bool             // not to be used any more

	Extra []byte // members a newer version has added
}

// OutboundRow is the row of an outbound session.
func OutboundRow(o *Outbound) store.Row {
	row := store.Row{Table: store.Outbound, Key: OutboundKey(o.RoomID)}
	p := newPacker()
	defer p.done()
	extra := p.record(outboundMembers, o.Extra)
	p.bytes(o.AppendState(nil))
	p.int(o.CreatedAt)
	p.rotation(&o.Settings)
	p.uint(uint64(o.Settings.HistoryVisibility))
	p.uint(flags(o.Shared, o.Ended))
	p.raw(extra)
	row.Value = p.seal(outboundVersion, &row)
	return row
}

// DecodeOutbound reads the row of an outbound session. Errors are *Error.
func DecodeOutbound(row store.Row) (*Outbound, error) {
	room, err := parseOutboundKey(row.Key, outboundName)
	if err != nil {
		return nil, err
	}
	u, _, err := newUnpacker(&row, store.Outbound, outboundVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	o := &Outbound{RoomID: room}
	more := u.record(outboundMembers)
	state := u.bytes("the session")
	if u.fault == nil {
		if o.OutboundSession, err = megolm.ParseOutboundState(state); err != nil {
			u.fail("the session is damaged", err)
		}
	}
	o.CreatedAt = u.int("the time")
	o.Settings = u.rotation()
	o.Settings.HistoryVisibility = sharing.Visibility(u.uint(uint64(sharing.WorldReadable), "the visibility"))
	truths := u.flags(2, "the flags")
	o.Shared, o.Ended = truths&1 != 0, truths&2 != 0
	o.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return o, nil
}

func (p *packer) rotation(s *sharing.Settings) {
	p.int(s.RotationPeriod)
	p.uint(uint64(s.RotationMessages))
}

// rotation reads settings that say only how long and how often a session is used, clamped.
func (u *unpacker) rotation() sharing.Settings {
	s := sharing.Settings{RotationPeriod: u.int("the period"), RotationMessages: uint32(u.uint(math.MaxUint32, "the messages"))}
	if s != s.Clamped() {
		u.fail("the rotation is out of bounds", nil)
	}
	return s
}

// Shares is who has the key of a room's outbound session, or may have it, and who was told that it does not get it.
type Shares struct {
	RoomID    ids.RoomID
	SessionID megolm.SessionID
	Devices   []sharing.Share
	Told      []Told

	Extra []byte // members a newer version has added
}

// Told is a device that was sent an m.room_key.withheld.
type Told struct {
	UserID   ids.UserID
	DeviceID ids.DeviceID
	Code     string
}

// SharesRow is the row of shares.
func SharesRow(s *Shares) store.Row {
	row := store.Row{Table: store.Outbound, Key: SharesKey(s.RoomID)}
	p := newPacker()
	defer p.done()
	extra := p.record(sharesMembers, s.Extra)
	p.bytes(s.SessionID[:])
	p.array(5 * len(s.Devices))
	for i := range s.Devices {
		d := &s.Devices[i]
		p.text(string(d.UserID))
		p.text(string(d.DeviceID))
		p.bytes(d.Curve25519[:])
		p.uint(uint64(d.Index))
		p.uint(flags(d.Sent))
	}
	p.array(3 * len(s.Told))
	for _, t := range s.Told {
		p.text(string(t.UserID))
		p.text(string(t.DeviceID))
		p.text(t.Code)
	}
	p.raw(extra)
	row.Value = p.seal(sharesVersion, &row)
	return row
}

// DecodeShares reads the row of shares. Errors are *Error.
func DecodeShares(row store.Row) (*Shares, error) {
	room, err := parseOutboundKey(row.Key, sharesName)
	if err != nil {
		return nil, err
	}
	u, _, err := newUnpacker(&row, store.Outbound, sharesVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	s := &Shares{RoomID: room}
	more := u.record(sharesMembers)
	s.SessionID = megolm.SessionID(u.ed25519("the session"))
	for range u.groups(5, "the shares") {
		user, device := u.someDevice("a share")
		share := sharing.Share{Holder: sharing.Holder{UserID: user, DeviceID: device, Curve25519: u.curve25519("a share")}}
		share.Index = uint32(u.uint(math.MaxUint32, "an index"))
		share.Sent = u.flags(1, "the flags") != 0
		if share.Curve25519 == (keys.Curve25519{}) {
			u.fail("a share has no key", nil)
		}
		if u.fault != nil {
			break
		}
		s.Devices = append(s.Devices, share)
	}
	for range u.groups(3, "the notices") {
		user, device := u.someDevice("a notice")
		told := Told{UserID: user, DeviceID: device, Code: u.text("a code")}
		if u.fault != nil {
			break
		}
		s.Told = append(s.Told, told)
	}
	if s.SessionID == (megolm.SessionID{}) {
		u.fail("the shares are of no session", nil)
	}
	s.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return s, nil
}

// RoomSettings is how a room that is encrypted says it is.
type RoomSettings struct {
	RoomID   ids.RoomID
	Settings sharing.Settings // the rotation, clamped, and the strategy: AllDevices or OnlyTrustedDevices

	Extra []byte // members a newer version has added
}

// RoomSettingsRow is the row of a room's settings.
func RoomSettingsRow(s *RoomSettings) store.Row {
	row := store.Row{Table: store.Outbound, Key: RoomSettingsKey(s.RoomID)}
	p := newPacker()
	defer p.done()
	extra := p.record(settingsMembers, s.Extra)
	p.rotation(&s.Settings)
	p.uint(flags(s.Settings.Strategy == sharing.OnlyTrustedDevices))
	p.raw(extra)
	row.Value = p.seal(settingsVersion, &row)
	return row
}

// DecodeRoomSettings reads the row of a room's settings. Errors are *Error.
func DecodeRoomSettings(row store.Row) (*RoomSettings, error) {
	room, err := parseOutboundKey(row.Key, settingsName)
	if err != nil {
		return nil, err
	}
	u, _, err := newUnpacker(&row, store.Outbound, settingsVersion)
	if err != nil {
		return nil, err
	}
	defer u.done()
	s := &RoomSettings{RoomID: room}
	more := u.record(settingsMembers)
	s.Settings = u.rotation()
	if u.flags(1, "the flags") != 0 {
		s.Settings.Strategy = sharing.OnlyTrustedDevices
	}
	s.Extra = u.extra(more)
	if err := u.end(); err != nil {
		return nil, err
	}
	return s, nil
}

// groups reads the length of an array of groups of so many members, and returns how many groups there are.
func (u *unpacker) groups(of int, what string) int {
	count := u.array(0, math.MaxInt32, what)
	if count%of != 0 {
		u.fail(what+" end too soon", nil)
	}
	return count / of
}

// someDevice reads a user and a device, neither of which may be left out.
func (u *unpacker) someDevice(what string) (ids.UserID, ids.DeviceID) {
	user, device := u.user(what), u.device(what)
	if user == "" || device == "" {
		u.fail(what+" is of nobody", nil)
	}
	return user, device
}
