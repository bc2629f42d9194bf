package core

import (
	"time"

	"knownsender/core/ids"
	"knownsender/core/keys"
	"knownsender/core/sender"
	"knownsender/core/trust"
)

// KnownDevice is what is known of a device; the zero value when nothing is.
func KnownDevice(m *Machine, user ids.UserID, id ids.DeviceID) trust.Device {
	m.turn.Lock()
	defer m.turn.Unlock()
	device, _ := m.trust.Device(user, id)
	return device
}

// ChecksFor is how many signatures the synchronous path would check for this event now.
func ChecksFor(m *Machine, event sender.DecryptedOlmEvent) int {
	m.turn.Lock()
	defer m.turn.Unlock()
	prepared, err := m.finder.Prepare(m.trust, event)
	if err != nil {
		return 0
	}
	return len(prepared.AppendChecks([]keys.Check(nil)))
}

// KeepSessions makes the shelf small.
func KeepSessions(m *Machine, n int) {
	m.turn.Lock()
	defer m.turn.Unlock()
	m.shelf.evictAt = n
}

// SessionsInMemory is how many sessions are on the shelf.
func SessionsInMemory(m *Machine) int {
	m.turn.Lock()
	defer m.turn.Unlock()
	return len(m.shelf.sessions)
}

// SmallRoom is more sessions than a room may have that is read ahead.
const SmallRoom = smallRoom * roomPage

// WaitUntilWanted waits until so many sessions of a room are to be read next.
func WaitUntilWanted(m *Machine, room ids.RoomID, n int) {
	for wanted := 0; wanted < n; time.Sleep(time.Millisecond) {
		m.turn.Lock()
		if reads := m.reads[room]; reads != nil {
			wanted = len(reads.wanted)
		}
		m.turn.Unlock()
	}
}

// ImportInChunksOf makes the chunks of an import small.
func ImportInChunksOf(i *Import, n int) { i.chunk, i.hold = n, n }
