package core_test

import (
	"context"
	"sync"
	"testing"

	"knownsender/core"
	"knownsender/core/record"
	"knownsender/core/sharing"
	"knownsender/core/store"
)

// That a room is encrypted is remembered, whatever is said of it later.

func (d *device) setSettings(algorithm string, messages uint32) error {
	settings := sharing.DefaultSettings()
	settings.RotationMessages, settings.HistoryVisibility = messages, sharing.Joined
	return d.machine.SetRoomSettings(context.Background(), room, algorithm, settings)
}

func (d *device) mustSet(messages uint32) {
	d.t.Helper()
	if err := d.setSettings(sharing.Algorithm, messages); err != nil {
		d.t.Fatal(err)
	}
}

// settings is how often a session of the room is used at most, as it is remembered; 0 when nothing is.
func (d *device) settings() uint32 {
	d.t.Helper()
	s, err := d.machine.RoomSettings(context.Background(), room)
	if err != nil {
		d.t.Fatal(err)
	}
	if s == nil {
		return 0
	}
	return s.RotationMessages
}

// Given a room of which nothing is known, only settings with the algorithm that is known are taken; from then on its rotation may change, and nothing takes
// back that it is encrypted, also after a restart. What is refused changes nothing, and what is known already writes nothing.
func TestRoomSettingsAreRemembered(t *testing.T) {
	d := withAccount(t)
	refused := func(code string) {
		t.Helper()
		before := contents(t, d.rows)
		for _, algorithm := range []string{"", "m.megolm.v2.aes-sha2", "M.MEGOLM.V1.AES-SHA2"} {
			if err := d.setSettings(algorithm, 7); err == nil || codeOf(t, err) != code || err.Error() == "" || contents(t, d.rows) != before {
				t.Errorf("%q: %v", algorithm, err)
			}
		}
	}
	refused(core.CodeInvalidRoomSettings)
	if got := d.settings(); got != 0 {
		t.Errorf("before anything is known: %d", got)
	}
	d.mustSet(50)
	refused(core.CodeEncryptionDowngrade)
	d.mustSet(1 << 31)
	d.reopen()
	refused(core.CodeEncryptionDowngrade)
	if got := d.settings(); got != 10_000 {
		t.Errorf("not clamped: %d", got)
	}
	before := contents(t, d.rows)
	if d.mustSet(10_000); contents(t, d.rows) != before {
		t.Error("the same is written again")
	}
	trusted := sharing.DefaultSettings()
	trusted.Strategy = sharing.OnlyTrustedDevices
	if err := d.machine.SetRoomSettings(context.Background(), room, sharing.Algorithm, trusted); err != nil {
		t.Fatal(err)
	}
	if got, err := d.machine.RoomSettings(context.Background(), room); err != nil || *got != trusted {
		t.Errorf("%+v, %v", got, err)
	}
}

// F35: a damaged row is set aside, and is an encrypted room's all the same, in which no device is trusted that might not have been; settings of today
// heal it. A row of a newer version is left as it is, and nobody is told that the room is not encrypted.
func TestDamagedRoomSettings(t *testing.T) {
	for name := range damages([]byte("anything")) {
		t.Run(name, func(t *testing.T) {
			d := withAccount(t)
			d.mustSet(50)
			key := record.RoomSettingsKey(room)
			rows, err := d.rows.Get(context.Background(), store.Outbound, []store.Key{key})
			if err != nil {
				t.Fatal(err)
			}
			d.rot(store.Outbound, key, damages(rows[0].Value)[name])
			got, err := d.machine.RoomSettings(context.Background(), room)
			if name == "F35: a future format" {
				was := contents(t, d.rows)
				for _, err := range []error{err, d.setSettings(sharing.Algorithm, 60), d.setSettings("", 60)} {
					if err == nil || codeOf(t, err) != record.CodeUnknownFormat || contents(t, d.rows) != was {
						t.Errorf("%v", err)
					}
				}
				return
			}
			if err != nil || got == nil || got.RotationMessages != sharing.DefaultRotationMessages || got.Strategy != sharing.OnlyTrustedDevices {
				t.Fatalf("%+v, %v", got, err)
			}
			if err := d.setSettings("", 60); err == nil || codeOf(t, err) != core.CodeEncryptionDowngrade {
				t.Errorf("%v", err)
			}
			d.mustSet(60)
			if aside := d.quarantine(); len(aside) != 1 || d.settings() != 60 {
				t.Errorf("%d rows set aside, %d messages", len(aside), d.settings())
			}
		})
	}
}

// F18: two tabs hear of a room at once, of other rotations. Both are taken, one last; and what one tab remembers the other does not take back.
func TestTwoTabsSetRoomSettingsAtOnce(t *testing.T) {
	for range 10 {
		d := withAccount(t)
		tabs := []*device{d, d.tab()}
		var all sync.WaitGroup
		for i, tab := range tabs {
			all.Go(func() {
				if err := tab.setSettings(sharing.Algorithm, uint32(10+i)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if one, other := tabs[0].settings(), tabs[1].settings(); one != other || one != 10 && one != 11 {
			t.Fatalf("%d and %d", one, other)
		}
		if err := tabs[1].setSettings("", 10); err == nil || codeOf(t, err) != core.CodeEncryptionDowngrade {
			t.Errorf("%v", err)
		}
	}
}

// A newer version's members outlast what is written over them; a host with its own Olm has no account here.
func TestRoomSettingsOfOthers(t *testing.T) {
	d := withAccount(t)
	row := record.RoomSettingsRow(&record.RoomSettings{RoomID: room, Settings: sharing.DefaultSettings(), Extra: []byte("\xa5later")})
	if err := d.rows.Commit(context.Background(), store.Batch{Ops: []store.Op{row.Put(0)}}); err != nil {
		t.Fatal(err)
	}
	d.mustSet(50)
	rows, err := d.rows.Get(context.Background(), store.Outbound, []store.Key{row.Key})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := record.DecodeRoomSettings(rows[0]); err != nil || s.Settings.RotationMessages != 50 || string(s.Extra) != "\xa5later" {
		t.Errorf("%+v, %v", s, err)
	}
	w := newWorld(t)
	ctx := context.Background()
	_, asking := w.machine.RoomSettings(ctx, room)
	for _, err := range []error{asking, w.machine.SetRoomSettings(ctx, room, sharing.Algorithm, sharing.DefaultSettings())} {
		if err == nil || codeOf(t, err) != core.CodeNoAccount {
			t.Errorf("a host with its own Olm: %v", err)
		}
	}
}
