//go:build js && wasm

package main

import "sync"

// kept are things that JavaScript holds on to by number. The lock is held for single map operations: calls overlap at their waits, and the runtime may
// go from one to another in the middle of an allocation, such as a map's growth.
type kept[T any] struct {
	mu     sync.Mutex
	things map[string]T
}

func (k *kept[T]) keep(id string, thing T) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.things == nil {
		k.things = map[string]T{}
	}
	k.things[id] = thing
}

func (k *kept[T]) find(id []byte) (thing T, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	thing, known = k.things[string(id)]
	return thing, known
}

// letGo returns the thing for the last time.
func (k *kept[T]) letGo(id []byte) (thing T, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	thing, known = k.things[string(id)]
	delete(k.things, string(id))
	return thing, known
}
