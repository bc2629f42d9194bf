//go:build js && wasm

// The synchronous door: three functions the JavaScript side calls directly, and one mailbox it reads.
//
//	ks_alloc(size)      -> address of a fresh request buffer; 0 when size is above the limit
//	ks_call(seq, used)  answers the request in that buffer's first used bytes, then fills the mailbox
//	ks_mailbox()        -> address of the mailbox: u32 seq, u32 status (0 answer, 1 error JSON), u32 address, u32 length, u32 turns
//
// ks_call returns nothing on purpose. An export that has to wait returns whatever lies on the stack and says nothing; the mailbox is
// filled only by a call that came to its end, and carries that call's number. Its turns are not of a call: see Turns.

package jsbridge

//lint:file-ignore U1000 JavaScript calls the exports, and they use the rest

import "unsafe"

// maxRequest bounds one buffer. A request is at most one sync response or one key file.
const maxRequest = 512 << 20

type mailbox struct{ seq, status, address, length, turns uint32 }

var (
	served  *Door   // set once, by Serve
	pending []byte  // the buffer of the request being written
	letter  mailbox // Go does not move globals
	answer  []byte  // keeps the last answer alive while JavaScript reads it
)

//go:wasmexport ks_mailbox
func ksMailbox() uint32 { return uint32(uintptr(unsafe.Pointer(&letter))) }

// Turns is a number in the mailbox, where JavaScript sees without a call whether it has changed.
func Turns() *uint32 { return &letter.turns }

//go:wasmexport ks_alloc
func ksAlloc(size uint32) uint32 {
	if size == 0 || size > maxRequest {
		return 0
	}
	pending = make([]byte, size)
	return address(pending)
}

//go:wasmexport ks_call
func ksCall(seq, used uint32) {
	request := take(int(used))
	if served == nil {
		reply(seq, nil, &Error{Code: "internal", Message: "The program does not serve calls yet."})
		return
	}
	response, err := served.CallSync(request)
	reply(seq, response, err)
}

// take returns the request written last and gives its buffer away: no later call writes into it.
func take(used int) []byte {
	buffer := pending
	pending = nil
	return buffer[:min(max(used, 0), len(buffer))]
}

func reply(seq uint32, response []byte, err error) {
	status := uint32(statusAnswer)
	if err != nil {
		status, response = statusError, Describe(err)
	}
	answer = response
	letter.seq, letter.status, letter.address, letter.length = seq, status, address(response), uint32(len(response))
}

// address is where JavaScript finds b in linear memory; the caller keeps b alive until it has been read.
func address(b []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

const (
	statusAnswer = 0
	statusError  = 1
)
