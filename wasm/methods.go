//go:build js && wasm

package main

import "knownsender/jsbridge"

// register lists every method JavaScript may call: door.Sync for those that cannot wait, door.Async for those that may.
func register(door *jsbridge.Door, host *jsbridge.Host) {
}
