// Ed25519 by the host's WebCrypto: about 70 microseconds a signature against 390 in Go wasm. One host call checks a whole list. To ask the host
// costs as much again, so what is to be checked while it is being asked waits for the answer and goes in one call: a room of messages that
// are decrypted together takes two. The host is asked only about what is strict by our own rules (core/keys), because what WebCrypto accepts
// beyond them is not specified; whatever it cannot say is checked in Go.

package jsbridge

import (
	"context"
	"errors"
	"sync"

	"knownsender/core/keys"
	"knownsender/jsbridge/frame"
)

// A Caller asks the host; [Host] is the real one.
type Caller interface {
	Call(ctx context.Context, method string, request []byte) ([]byte, error)
}

// WebCrypto is a [keys.Verifier] on the host's method "verify": a frame of key, signature, message for each check goes there, one byte
// for each comes back: 0 does not hold, 1 holds, 2 undecided.
type WebCrypto struct {
	host Caller

	mu sync.Mutex
	// unsupported is set once the host has no Ed25519; it is not asked again.
	unsupported bool
	asking      bool // by somebody who sees to those who wait
	waiting     []*question
}

// question is a list of checks on its way to the host.
type question struct {
	items  [][]byte // key, signature and message of each
	answer chan []byte
}

// longList is so many checks that nobody should wait for the answer.
const longList = 64

var _ keys.Verifier = (*WebCrypto)(nil)

// NewWebCrypto returns a verifier that asks host.
func NewWebCrypto(host Caller) *WebCrypto { return &WebCrypto{host: host} }

const (
	doesNotHold = 0
	holds       = 1
	undecided   = 2
)

// Verify answers for each check in order. The only error is the context's: every other failure is made good in Go.
func (w *WebCrypto) Verify(ctx context.Context, checks []keys.Check) ([]bool, error) {
	verdicts := make([]bool, len(checks))
	asked := make([]int, 0, len(checks))
	for i := range checks {
		if checks[i].Strict() {
			asked = append(asked, i)
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(asked) == 0 {
		return verdicts, nil
	}
	q := &question{items: make([][]byte, 0, 3*len(asked))}
	for _, i := range asked {
		q.items = append(q.items, checks[i].Key[:], checks[i].Signature[:], checks[i].Message)
	}
	answers, err := w.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	for n, i := range asked {
		verdicts[i] = Held(answers[n], &checks[i])
	}
	return verdicts, nil
}

// Held reads the host's answer to a strict check, which is made in Go where there is none.
func Held(answer byte, check *keys.Check) bool {
	return answer == holds || answer != doesNotHold && check.Verify()
}

// ask asks the host, at once or with others when it has answered. The error is the context's.
func (w *WebCrypto) ask(ctx context.Context, q *question) ([]byte, error) {
	if len(q.items) > 3*longList {
		return w.call(ctx, q.items)
	}
	w.mu.Lock()
	if w.asking {
		q.answer = make(chan []byte, 1)
		w.waiting = append(w.waiting, q)
		w.mu.Unlock()
		select {
		case answers := <-q.answer:
			return answers, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	w.asking = true
	w.mu.Unlock()
	answers, err := w.call(ctx, q.items)
	if together := w.next(); len(together) > 0 {
		go w.askTogether(together)
	}
	return answers, err
}

// next takes those who wait; when there are none, nobody asks any more.
func (w *WebCrypto) next() []*question {
	w.mu.Lock()
	defer w.mu.Unlock()
	together := w.waiting
	w.waiting, w.asking = nil, len(together) > 0
	return together
}

func (w *WebCrypto) askTogether(together []*question) {
	for ; len(together) > 0; together = w.next() {
		var items [][]byte
		for _, q := range together {
			items = append(items, q.items...)
		}
		answers, _ := w.call(context.Background(), items) // whose own context is over has gone
		for _, q := range together {
			n := len(q.items) / 3
			q.answer <- answers[:n]
			answers = answers[n:]
		}
	}
}

// call returns one answer for each check of items; all are undecided when the host did not give exactly that.
func (w *WebCrypto) call(ctx context.Context, items [][]byte) ([]byte, error) {
	w.mu.Lock()
	unsupported := w.unsupported
	w.mu.Unlock()
	if !unsupported {
		answers, err := w.host.Call(ctx, "verify", frame.Append(make([]byte, 0, frame.Size(items...)), items...))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && len(answers) == len(items)/3 {
			return answers, nil
		}
		var refusal *HostError
		if errors.As(err, &refusal) && refusal.Code == "webcrypto_unsupported" {
			w.mu.Lock()
			w.unsupported = true
			w.mu.Unlock()
		}
	}
	answers := make([]byte, len(items)/3)
	for i := range answers {
		answers[i] = undecided
	}
	return answers, nil
}
