package keys

import (
	"context"
	"crypto/ed25519"

	"knownsender/core/redact"
)

// Check is one question: did Key make Signature over Message?
//
// Questions are collected while a decision is prepared and answered together, by whichever Verifier is at hand, before it is finished.
type Check struct {
	redact.Secret
	Key       Ed25519
	Signature Signature
	Message   []byte
}

// Strict reports whether the question is worth asking: A and R canonical and not of low order, S below the order of the group (T29; the
// rules of ed25519-dalek's verify_strict). It looks at bytes only. It must hold before any engine is asked, because what an engine does
// with the rest is its own affair: RFC 8032 leaves it open, and browsers differ.
//
// Points of mixed order are not found this way. The equation without cofactor refuses them unless their low-order parts cancel, and then
// whoever holds the key did sign: it is his business how.
func (c *Check) Strict() bool {
	a, r, s := (*[32]byte)(&c.Key), (*[32]byte)(c.Signature[:32]), (*[32]byte)(c.Signature[32:])
	return canonicalY(a) && canonicalY(r) && belowL(s) && !lowOrderEd25519(a) && !lowOrderEd25519(r)
}

// Verify answers the question: Strict, and the equation of RFC 8032 without cofactor, computed by the Go library. About 40 microseconds
// natively and ten times that in WebAssembly.
func (c *Check) Verify() bool {
	return c.Strict() && ed25519.Verify(c.Key[:], c.Message, c.Signature[:])
}

// Verifier answers many questions in one go, by whatever engine it has.
type Verifier interface {
	// Verify answers checks one by one: the list it returns is as long and in the same order. An error means that nothing was decided.
	// Implementations ask their engine nothing of which Strict does not hold: the answer to that is false.
	Verify(ctx context.Context, checks []Check) ([]bool, error)
}

// Go is the Verifier on the Go library. It answers before it returns.
type Go struct{}

// Verify answers every check; the only error is that of ctx, looked at between two checks.
func (Go) Verify(ctx context.Context, checks []Check) ([]bool, error) {
	results := make([]bool, len(checks))
	for i := range checks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		results[i] = checks[i].Verify()
	}
	return results, nil
}

// VerifyAll is Go.Verify for those who do not wait for anything.
func VerifyAll(checks []Check) []bool {
	results := make([]bool, len(checks))
	for i := range checks {
		results[i] = checks[i].Verify()
	}
	return results
}
