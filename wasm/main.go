//go:build js && wasm

// Command wasm is the program in the npm package: it connects to its host, lists the methods, and serves.
package main

import "knownsender/jsbridge"

func main() {
	host, err := jsbridge.Connect()
	if err != nil {
		println("knownsender: " + err.Error())
		return
	}
	door := jsbridge.NewDoor()
	register(door, host)
	if err := jsbridge.Serve(door, host); err != nil {
		println("knownsender: " + err.Error())
	}
}
