package core

import (
	"context"

	"knownsender/core/ids"
	"knownsender/core/record"
	"knownsender/core/sharing"
	"knownsender/core/store"
)

// That a room is encrypted is remembered, and never forgotten again: a server that leaves m.room.encryption out later, or sends another, must not have us
// send in the clear (specification, "m.room.encryption": it cannot be turned off). What cannot be read any more still says that much.

// Codes of RoomSettingsError.
const (
	CodeEncryptionDowngrade = "encryption_downgrade"  // the room is known to be encrypted, and is said to be no more, or in a way that is not known here
	CodeInvalidRoomSettings = "invalid_room_settings" // nothing is known of the room, and it is said to be encrypted in a way that is not known here
)

// RoomSettingsError says why the settings of a room are not taken.
type RoomSettingsError struct{ Code string }

// Error is a sentence.
func (e *RoomSettingsError) Error() string {
	if e.Code == CodeEncryptionDowngrade {
		return "the room is encrypted, whatever its state says now: this is not an algorithm that is known here"
	}
	return "the room's algorithm is not one that is known here"
}

// ErrorCode is the stable name of what went wrong.
func (e *RoomSettingsError) ErrorCode() string { return e.Code }

// readRoomSettings reads what is remembered of a room: nil for nothing. A damaged row is that of an encrypted room, of which it cannot be told that it
// trusted all devices. A row that only a newer version can read stays untouched, and is an error.
func (m *Machine) readRoomSettings(ctx context.Context, room ids.RoomID) (s *record.RoomSettings, row store.Row, err error) {
	rows, err := m.store.Get(ctx, store.Outbound, []store.Key{record.RoomSettingsKey(room)})
	if err != nil || rows[0].Rev == 0 {
		return nil, store.Row{}, err
	}
	s, err = record.DecodeRoomSettings(rows[0])
	if m.unreadable(store.Outbound, &rows[0], err) {
		return nil, store.Row{}, err
	}
	if err != nil {
		s = &record.RoomSettings{RoomID: room, Settings: sharing.DefaultSettings()}
		s.Settings.Strategy = sharing.OnlyTrustedDevices
	}
	return s, rows[0], nil
}

// RoomSettings is what SetRoomSettings has remembered of a room; nil when it is not known to be encrypted. Errors: *AccountError no_account, and those of
// the store.
func (m *Machine) RoomSettings(ctx context.Context, room ids.RoomID) (*sharing.Settings, error) {
	m.turn.Lock()
	defer m.leave()
	if _, err := m.ownAccount(); err != nil {
		return nil, err
	}
	s, _, err := m.readRoomSettings(ctx, room)
	if s == nil {
		return nil, err
	}
	return &s.Settings, nil
}

// SetRoomSettings remembers that a room is encrypted, and how: its rotation, and whether only trusted devices get its keys (OnlyTrustedDevices, otherwise
// AllDevices). ShareRoomKey heeds what it is given itself. It is durable before it returns. Errors: *RoomSettingsError for any algorithm but
// sharing.Algorithm, *AccountError no_account, and those of the store.
func (m *Machine) SetRoomSettings(ctx context.Context, room ids.RoomID, algorithm string, settings sharing.Settings) error {
	m.turn.Lock()
	defer m.leave()
	a, err := m.ownAccount()
	if err != nil {
		return err
	}
	settings = settings.Clamped()
	settings.HistoryVisibility = 0
	return a.changeOutbound(ctx, func() ([]store.Op, error) {
		stored, row, err := m.readRoomSettings(ctx, room)
		switch {
		case err != nil:
			return nil, err
		case algorithm != sharing.Algorithm && stored != nil:
			return nil, &RoomSettingsError{Code: CodeEncryptionDowngrade}
		case algorithm != sharing.Algorithm:
			return nil, &RoomSettingsError{Code: CodeInvalidRoomSettings}
		}
		next := record.RoomSettings{RoomID: room, Settings: settings}
		if stored != nil {
			next.Extra = stored.Extra
		}
		written := record.RoomSettingsRow(&next)
		if string(written.Value) == string(row.Value) {
			return nil, nil
		}
		return []store.Op{written.Put(row.Rev)}, nil
	})
}
