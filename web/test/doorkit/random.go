//go:build js && wasm && doorkit

package main

import "crypto/rand"

func randomBytes() []byte {
	out := make([]byte, 32)
	rand.Read(out)
	return out
}
