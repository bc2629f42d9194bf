package trust_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/trust"
)

// rowsOf makes rows as they come from a store, with strings and JSON of the usual size and keys of no use.
func rowsOf(users, devices int) []*trust.UserRecord {
	raw := make([]byte, 700)
	key := func(kind, n int) (out keys.Ed25519) {
		out[0], out[1] = 9, byte(kind)
		binary.BigEndian.PutUint64(out[8:], uint64(n)*0x9e3779b97f4a7c15) // different for each n, and in no order
		return out
	}
	judge := key(0, 0)
	var rows []*trust.UserRecord
	for u := range users {
		row := &trust.UserRecord{UserID: ids.UserID(fmt.Sprintf("@firstname.lastname%d:matrix.example.org", u)), Tracked: true}
		row.Identity = &trust.IdentityRecord{
			Master: trust.KeyRecord{Key: key(1, u), Raw: raw}, SelfSigning: trust.KeyRecord{Key: key(2, u), Raw: raw},
			Pinned: key(1, u), JudgedBy: judge, SignedByUs: u%10 == 0, PreviouslyVerified: u%10 == 0,
		}
		for d := range devices {
			row.Devices = append(row.Devices, trust.DeviceRecord{
				DeviceID: ids.DeviceID(fmt.Sprintf("ABCDEF%04d", d)), Curve25519: keys.Curve25519(key(3, u*devices+d)), Ed25519: key(4, u*devices+d),
				CrossSigned: trust.CrossSignatureValid, JudgedBy: key(2, u), Raw: raw,
			})
		}
		rows = append(rows, row)
	}
	return rows
}

func load(t testing.TB, rows []*trust.UserRecord) *trust.Index {
	index := trust.NewIndex(trust.Own{UserID: "@me:example.org", DeviceID: "ME"})
	for _, row := range rows {
		if err := index.Load(row); err != nil {
			t.Fatal(err)
		}
	}
	return index
}

// TestMemory: at most 300 bytes a device, the user's identity included, however the devices are spread.
func TestMemory(t *testing.T) {
	for _, c := range []struct{ users, devices int }{{500, 2}, {1, 2000}, {2000, 2}, {100, 9}, {1500, 2}} {
		heap := func() int64 {
			runtime.GC()
			runtime.GC()
			var stats runtime.MemStats
			runtime.ReadMemStats(&stats)
			return int64(stats.HeapAlloc)
		}
		rows := rowsOf(c.users, c.devices)
		before := heap()
		index := load(t, rows)
		after := heap()
		runtime.KeepAlive(rows)
		total := c.users * c.devices
		each := float64(after-before) / float64(total)
		t.Logf("%d users with %d devices: %.0f bytes a device", c.users, c.devices, each)
		if each > 300 {
			t.Errorf("%d users with %d devices: %.0f bytes a device, at most 300", c.users, c.devices, each)
		}
		if _, devices := index.Counts(); devices != total {
			t.Errorf("%d devices", devices)
		}
	}
}

// TestLookupsAllocateNothing, and find what is there in lists of every length.
func TestLookupsAllocateNothing(t *testing.T) {
	rows := rowsOf(50, 40)
	index := load(t, rows)
	row := rows[17]
	device := row.Devices[33]
	var other keys.Curve25519
	last := keys.Curve25519(bytes.Repeat([]byte{0xff}, 32)) // behind all others
	if n := testing.AllocsPerRun(100, func() {
		byID, found := index.Device(row.UserID, device.DeviceID)
		byCurve, too := index.DeviceByCurve(row.UserID, device.Curve25519)
		if !found || !too || byID != byCurve || byID.Ed25519 != device.Ed25519 {
			t.Error("not found")
		}
		for _, missing := range [...]keys.Curve25519{other, last} {
			if _, found = index.DeviceByCurve(row.UserID, missing); found {
				t.Error("found what is not there")
			}
		}
		if _, found = index.Device(row.UserID, "ZZZ"); found {
			t.Error("found what is not there")
		}
		if identity, known := index.Identity(row.UserID); !known || identity.Master != row.Identity.Master.Key {
			t.Error("no identity")
		}
		index.Verification(row.UserID)
		index.PinViolation(row.UserID)
		index.DeviceListOutdated(row.UserID)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for devices := range 20 {
		rows := rowsOf(1, devices)
		index := load(t, rows)
		for _, d := range rows[0].Devices {
			if found, known := index.DeviceByCurve(rows[0].UserID, d.Curve25519); !known || found.DeviceID != d.DeviceID {
				t.Errorf("%d devices: %s is not found", devices, d.DeviceID)
			}
		}
	}
	// One key under several ids: the first id answers, in short lists and long ones.
	for _, devices := range []int{3, 30} {
		rows := rowsOf(1, devices)
		for n := range rows[0].Devices {
			rows[0].Devices[n].Curve25519 = keys.Curve25519{9}
		}
		if found, _ := load(t, rows).DeviceByCurve(rows[0].UserID, keys.Curve25519{9}); found.DeviceID != rows[0].Devices[0].DeviceID {
			t.Errorf("%d devices: %s answers", devices, found.DeviceID)
		}
	}
}
