// Package jsbridge is the one place where Go meets JavaScript.
//
// Everything that crosses is a list of byte strings in one buffer (package frame); no JavaScript value is walked from Go. Four roads
// lead through it, and no other:
//
//   - the synchronous door: a //go:wasmexport over linear memory, for calls that cannot wait (door_wasm.go);
//   - the promise door: a call that may wait, carried by safejs (promise_wasm.go);
//   - [Host.Call]: Go asks the host (IndexedDB, WebCrypto) and waits for its promise (host_wasm.go);
//   - [Host.Emit]: Go tells the host that something changed.
//
// Every entry recovers: a panic in a handler becomes an error with the code "internal", and the program answers the next call. The
// parts without a build tag are plain Go and are tested natively.
package jsbridge

import (
	"context"

	"knownsender/jsbridge/frame"
)

// A SyncHandler answers one synchronous call. It must not wait: no channel, no lock held elsewhere, no [Host.Call], no time.Sleep; the
// JavaScript side is stopped on its stack and could never finish what it waits for (the loader notices, and ends the program). A goroutine
// it starts or wakes does not run before the next event from JavaScript: [Host.Wake] makes one. args are the handler's own and may be kept (each call has a buffer of its own, which any one of them keeps
// alive); the result must not be changed after the return.
type SyncHandler func(args [][]byte) ([]byte, error)

// An AsyncHandler answers one promise call in a goroutine of its own and may wait for the host. ctx ends when the caller aborts. Other
// calls, synchronous ones included, run while it waits and never while it does not.
type AsyncHandler func(ctx context.Context, args [][]byte) ([]byte, error)

// Door is the list of methods JavaScript may call.
type Door struct {
	sync  map[string]SyncHandler
	async map[string]AsyncHandler
}

// NewDoor returns a door with no methods.
func NewDoor() *Door {
	return &Door{sync: map[string]SyncHandler{}, async: map[string]AsyncHandler{}}
}

// Sync registers a method of the synchronous door. A name registered twice panics: two rooms would answer one call.
func (d *Door) Sync(method string, handler SyncHandler) {
	if d.sync[method] != nil {
		panic("jsbridge: synchronous method registered twice: " + method)
	}
	d.sync[method] = handler
}

// Async registers a method of the promise door. A name registered twice panics. The two doors have separate lists of names.
func (d *Door) Async(method string, handler AsyncHandler) {
	if d.async[method] != nil {
		panic("jsbridge: promise method registered twice: " + method)
	}
	d.async[method] = handler
}

// CallSync answers a request frame [method, args...] of the synchronous door. It never panics.
func (d *Door) CallSync(request []byte) (response []byte, err error) {
	method, args, err := open(request)
	if err != nil {
		return nil, err
	}
	handler := d.sync[string(method)]
	if handler == nil {
		return nil, unknownMethod(method)
	}
	defer recoverInto(&response, &err, method)
	return handler(args)
}

// CallAsync answers a request frame [method, args...] of the promise door. It never panics.
func (d *Door) CallAsync(ctx context.Context, request []byte) (response []byte, err error) {
	method, args, err := open(request)
	if err != nil {
		return nil, err
	}
	handler := d.async[string(method)]
	if handler == nil {
		return nil, unknownMethod(method)
	}
	defer recoverInto(&response, &err, method)
	return handler(ctx, args)
}

func open(request []byte) (method []byte, args [][]byte, err error) {
	items, err := frame.Decode(request)
	if err != nil {
		return nil, nil, &Error{Code: "bad_request", Message: "The request is not a frame: " + err.Error() + "."}
	}
	if len(items) == 0 {
		return nil, nil, &Error{Code: "bad_request", Message: "The request names no method."}
	}
	return items[0], items[1:], nil
}

// Arguments checks the number of arguments of a call; a handler calls it before it indexes args.
func Arguments(args [][]byte, want int) error {
	if len(args) == want {
		return nil
	}
	return &Error{Code: "bad_request", Message: "The call has the wrong number of arguments.", Expected: decimal(want), Got: decimal(len(args))}
}
