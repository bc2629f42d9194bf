// Ed25519 by the host's WebCrypto: about 70 microseconds a signature against 390 in Go wasm. One host call checks a whole list. The host
// is asked only about what is strict by our own rules (core/keys), because what WebCrypto accepts beyond them is not specified; whatever
// it cannot say is checked in Go.

package jsbridge

import (
	"context"
	"errors"

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
	// unsupported is set once the host has no Ed25519; it is not asked again.
	unsupported bool
}

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
	answers, err := w.ask(ctx, checks, asked)
	if err != nil {
		return nil, err
	}
	for n, i := range asked {
		switch answers[n] {
		case holds:
			verdicts[i] = true
		case doesNotHold:
		default:
			verdicts[i] = checks[i].Verify()
		}
	}
	return verdicts, nil
}

// ask returns one answer for each of asked; all are undecided when the host did not give exactly that.
func (w *WebCrypto) ask(ctx context.Context, checks []keys.Check, asked []int) ([]byte, error) {
	if !w.unsupported {
		items := make([][]byte, 0, 3*len(asked))
		for _, i := range asked {
			items = append(items, checks[i].Key[:], checks[i].Signature[:], checks[i].Message)
		}
		answers, err := w.host.Call(ctx, "verify", frame.Append(make([]byte, 0, frame.Size(items...)), items...))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && len(answers) == len(asked) {
			return answers, nil
		}
		var refusal *HostError
		if errors.As(err, &refusal) && refusal.Code == "webcrypto_unsupported" {
			w.unsupported = true
		}
	}
	answers := make([]byte, len(asked))
	for i := range answers {
		answers[i] = undecided
	}
	return answers, nil
}
