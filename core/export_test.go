package core

import (
	"knownsender/core/keys"
	"knownsender/core/sender"
)

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

// ImportInChunksOf makes the chunks of an import small.
func ImportInChunksOf(i *Import, n int) { i.chunk, i.hold = n, n }
