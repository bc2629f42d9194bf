package modeltest

import (
	"context"
	"sync"

	"knownsender/core/keys"
)

// memo checks signatures, each content once. They are real; a small world has few.
type memo struct {
	mu    sync.RWMutex
	known map[string]bool
}

func newMemo() *memo { return &memo{known: map[string]bool{}} }

// Verify implements keys.Verifier.
func (m *memo) Verify(_ context.Context, checks []keys.Check) ([]bool, error) {
	held := make([]bool, len(checks))
	for i := range checks {
		c := &checks[i]
		name := make([]byte, 0, len(c.Key)+len(c.Signature)+len(c.Message))
		name = append(append(append(name, c.Key[:]...), c.Signature[:]...), c.Message...)
		m.mu.RLock()
		result, known := m.known[string(name)]
		m.mu.RUnlock()
		if !known {
			result = c.Verify()
			m.mu.Lock()
			m.known[string(name)] = result
			m.mu.Unlock()
		}
		held[i] = result
	}
	return held, nil
}
