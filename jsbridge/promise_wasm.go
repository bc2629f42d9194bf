//go:build js && wasm

// The promise door: JavaScript writes a request as for the synchronous door (ks_alloc), then calls start(id, used). The handler runs in
// a goroutine and may wait; its end is told by host.settle(id, status, address, length), which must read before it returns.

package jsbridge

import (
	"context"
	"runtime"
	"sync"

	"github.com/hack-pad/safejs"
)

// Serve opens the door to the host and returns when the host says quit: the program ends then. A program calls it last.
func Serve(door *Door, host *Host) error {
	calls := &calls{door: door, host: host, cancel: map[int]context.CancelFunc{}}
	over := make(chan struct{})
	start, err := guarded(calls.start)
	if err != nil {
		return err
	}
	abort, err := guarded(calls.abort)
	if err != nil {
		return err
	}
	quit, err := guarded(func([]int) { close(over) })
	if err != nil {
		return err
	}
	served = door
	if _, err := host.value.Call("serve", start, abort, quit); err != nil {
		return err
	}
	<-over
	return nil
}

// calls are the promise calls under way. The lock is held for single map operations: the runtime may change goroutines at any
// allocation while it collects garbage, a map's growth included.
type calls struct {
	door   *Door
	host   *Host
	mu     sync.Mutex
	cancel map[int]context.CancelFunc
}

// start begins a promise call: args are its number and the length of its request.
func (c *calls) start(args []int) {
	id, request := args[0], take(args[1])
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.cancel[id] = cancel
	c.mu.Unlock()
	go func() {
		response, err := c.door.CallAsync(ctx, request)
		c.mu.Lock()
		delete(c.cancel, id)
		c.mu.Unlock()
		cancel()
		c.host.settle(id, response, err)
	}()
}

// abort ends the context of a promise call; the handler decides how to stop, and its answer still crosses.
func (c *calls) abort(args []int) {
	c.mu.Lock()
	cancel := c.cancel[args[0]]
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// settle tells the host how a promise call ended. There is nobody to tell when the host refuses to listen.
func (h *Host) settle(id int, response []byte, err error) {
	status := statusAnswer
	if err != nil {
		status, response = statusError, Describe(err)
	}
	_, _ = h.value.Call("settle", id, status, address(response), len(response))
	runtime.KeepAlive(response)
}

// guarded wraps a callback of two numbers for JavaScript. safejs does not guard the body of a callback, and a panic in one ends the
// program in silence: it recovers, and refuses what are not numbers by doing nothing.
func guarded(body func(args []int)) (safejs.Func, error) {
	return safejs.FuncOf(func(_ safejs.Value, values []safejs.Value) any {
		defer func() { _ = recover() }()
		args := make([]int, 3)
		for i := range min(len(values), len(args)) {
			n, err := values[i].Int()
			if err != nil {
				return false
			}
			args[i] = n
		}
		body(args)
		return true
	})
}
