//go:build js && wasm

// The host: the JavaScript object this program was given, one per instance, found in the program's own scope and never on the page's
// global object. It offers connect, serve, call, abort, settle, emit and wake; Go tolerates one that throws from any of
// them.

package jsbridge

import (
	"context"
	"fmt"
	"runtime"
	"sync"

	"github.com/hack-pad/safejs"

	"knownsender/jsbridge/frame"
)

// Host is the JavaScript side as Go sees it. The lock is held for single map operations, never while anything waits.
type Host struct {
	value   safejs.Value
	mu      sync.Mutex
	last    int
	waiting map[int]chan hostAnswer
}

type hostAnswer struct {
	status int
	bytes  []byte
}

// Connect finds the host object in the program's scope. It fails with the code no_host when the program was started by anything but
// this package's loader.
func Connect() (*Host, error) {
	value, err := safejs.Global().Get("knownsenderHost")
	if err != nil || value.Type() != safejs.TypeObject {
		return nil, &Error{Code: "no_host", Message: "The program was started without its host object; start it with initAsync and Engine.start."}
	}
	host := &Host{value: value, waiting: map[int]chan hostAnswer{}}
	answer, err := guarded(host.answered)
	if err != nil {
		return nil, err
	}
	if _, err := value.Call("connect", answer); err != nil {
		return nil, &Error{Code: "no_host", Message: "The host object refuses the program: " + err.Error() + "."}
	}
	return host, nil
}

// Call asks the host and waits for its answer or for the end of ctx; a late answer is dropped. It must not be called from a synchronous
// handler. The error is a *HostError or the context's.
func (h *Host) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	done := make(chan hostAnswer, 1)
	h.mu.Lock()
	h.last++
	id := h.last
	h.waiting[id] = done
	h.mu.Unlock()
	defer h.claim(id)
	_, err := h.value.Call("call", id, method, address(request), len(request))
	runtime.KeepAlive(request)
	if err != nil {
		return nil, &HostError{Method: method, Code: "host_failed", Message: fmt.Sprintf("The host failed at %q: %s.", method, err)}
	}
	select {
	case answer := <-done:
		if answer.status == statusAnswer {
			return answer.bytes, nil
		}
		return nil, hostError(method, answer.bytes)
	case <-ctx.Done():
		_, _ = h.value.Call("abort", id)
		return nil, ctx.Err()
	}
}

// answered takes the host's answer: args are the call's number, the status, and the length of what was written.
func (h *Host) answered(args []int) {
	bytes := take(args[2])
	if done := h.claim(args[0]); done != nil {
		done <- hostAnswer{status: args[1], bytes: bytes}
	}
}

// claim takes a call off the list: a second answer to it, or a late one, finds nobody.
func (h *Host) claim(id int) chan hostAnswer {
	h.mu.Lock()
	defer h.mu.Unlock()
	done := h.waiting[id]
	delete(h.waiting, id)
	return done
}

func hostError(method string, told []byte) error {
	items, err := frame.Decode(told)
	if err != nil || len(items) != 2 || len(items[0]) == 0 {
		return &HostError{Method: method, Code: "host_failed", Message: fmt.Sprintf("The host failed at %q and did not say why.", method)}
	}
	return &HostError{Method: method, Code: string(items[0]), Message: string(items[1])}
}

// Emit tells the host of an event, as JSON. The host hands it to its listeners after the current call; a listener that throws is the
// host's matter.
func (h *Host) Emit(name string, json []byte) {
	_, _ = h.value.Call("emit", name, address(json), len(json))
	runtime.KeepAlive(json)
}

// Wake makes an event from JavaScript right after the current call, so that goroutines which a synchronous handler started or woke run.
// After promise calls and host answers they run by themselves.
func (h *Host) Wake() {
	_, _ = h.value.Call("wake")
}
