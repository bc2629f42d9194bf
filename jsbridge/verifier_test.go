package jsbridge

import (
	"context"
	"crypto/ed25519"
	"errors"
	"runtime"
	"slices"
	"testing"

	"knownsender/core/keys"
	"knownsender/jsbridge/frame"
)

// hostFunc is a host that answers verify as a test wants.
type hostFunc func(ctx context.Context, request []byte) ([]byte, error)

func (f hostFunc) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	if method != "verify" {
		return nil, errors.New("asked for " + method)
	}
	return f(ctx, request)
}

// checks are, in turn: one that holds, one over another message, one whose S is not reduced (never asked).
func checks(t *testing.T) []keys.Check {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("message")
	good := keys.Check{Key: keys.Ed25519(public), Signature: keys.Signature(ed25519.Sign(private, message)), Message: message}
	other, loose := good, good
	other.Message = []byte("another")
	for i := 32; i < 64; i++ {
		loose.Signature[i] = 0xff
	}
	return []keys.Check{good, other, loose}
}

func TestTheHostIsAskedOnceAboutWhatIsStrict(t *testing.T) {
	list := checks(t)
	asked := 0
	verifier := NewWebCrypto(hostFunc(func(_ context.Context, request []byte) ([]byte, error) {
		asked++
		items, err := frame.Decode(request)
		if err != nil || len(items) != 6 || !slices.Equal(items[0], list[0].Key[:]) || !slices.Equal(items[4], list[1].Signature[:]) || string(items[5]) != "another" {
			t.Errorf("request %x, %v", request, err)
		}
		return []byte{holds, doesNotHold}, nil
	}))
	got, err := verifier.Verify(t.Context(), list)
	if err != nil || !slices.Equal(got, []bool{true, false, false}) || asked != 1 {
		t.Fatalf("%v, %v, asked %d times", got, err, asked)
	}
	// A host that says yes to everything cannot make a loose signature hold.
	if got, err := verifier.Verify(t.Context(), list[2:]); err != nil || !slices.Equal(got, []bool{false}) || asked != 1 {
		t.Fatalf("%v, %v, asked %d times", got, err, asked)
	}
}

func TestAHostThatFailsChangesNoVerdict(t *testing.T) {
	list := checks(t)
	for name, host := range map[string]hostFunc{
		"fails":     func(context.Context, []byte) ([]byte, error) { return nil, errors.New("broken") },
		"short":     func(context.Context, []byte) ([]byte, error) { return []byte{holds}, nil },
		"long":      func(context.Context, []byte) ([]byte, error) { return []byte{1, 1, 1}, nil },
		"nothing":   func(context.Context, []byte) ([]byte, error) { return nil, nil },
		"undecided": func(context.Context, []byte) ([]byte, error) { return []byte{undecided, undecided}, nil },
		"odd":       func(context.Context, []byte) ([]byte, error) { return []byte{77, 255}, nil },
	} {
		got, err := NewWebCrypto(host).Verify(t.Context(), list)
		if err != nil || !slices.Equal(got, keys.VerifyAll(list)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestAHostWithoutEd25519IsNotAskedAgain(t *testing.T) {
	asked := 0
	verifier := NewWebCrypto(hostFunc(func(context.Context, []byte) ([]byte, error) {
		asked++
		return nil, &HostError{Method: "verify", Code: "webcrypto_unsupported"}
	}))
	for range 3 {
		if got, err := verifier.Verify(t.Context(), checks(t)); err != nil || !slices.Equal(got, []bool{true, false, false}) {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if asked != 1 {
		t.Fatalf("asked %d times", asked)
	}
}

func TestTheEndOfTheContextIsTheOnlyError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	verifier := NewWebCrypto(hostFunc(func(ctx context.Context, _ []byte) ([]byte, error) {
		cancel()
		return nil, ctx.Err()
	}))
	for range 2 {
		if got, err := verifier.Verify(ctx, checks(t)); !errors.Is(err, context.Canceled) || got != nil {
			t.Fatalf("%v, %v", got, err)
		}
	}
	if got, err := verifier.Verify(ctx, checks(t)[2:]); !errors.Is(err, context.Canceled) || got != nil {
		t.Fatalf("nothing to ask: %v, %v", got, err)
	}
}

// Given lists that come while the host is asked, when it answers, then they go there in one call, and each gets its own answers; a long list waits for
// nobody, and whose context ends waits no more.
func TestListsThatWaitGoTogether(t *testing.T) {
	list := checks(t)
	asked := make(chan int)
	answer := make(chan struct{})
	verifier := NewWebCrypto(hostFunc(func(_ context.Context, request []byte) ([]byte, error) {
		items, err := frame.Decode(request)
		if err != nil {
			return nil, err
		}
		asked <- len(items) / 3
		<-answer
		answers := make([]byte, len(items)/3)
		for i := range answers {
			if string(items[3*i+2]) == "message" {
				answers[i] = holds
			}
		}
		return answers, nil
	}))
	type verdict struct {
		held []bool
		err  error
	}
	verify := func(ctx context.Context, list ...keys.Check) chan verdict {
		done := make(chan verdict, 1)
		go func() {
			held, err := verifier.Verify(ctx, list)
			done <- verdict{held, err}
		}()
		return done
	}
	wait := func(n int) {
		t.Helper()
		for waiting := -1; waiting != n; {
			verifier.mu.Lock()
			waiting = len(verifier.waiting)
			verifier.mu.Unlock()
			runtime.Gosched()
		}
	}
	first := verify(t.Context(), list[0])
	if n := <-asked; n != 1 {
		t.Errorf("%d in the first call", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	gone := verify(ctx, list[1])
	wait(1)
	bad := verify(t.Context(), list[1], list[0])
	wait(2)
	good := verify(t.Context(), list[2], list[0])
	wait(3)
	cancel()
	if v := <-gone; !errors.Is(v.err, context.Canceled) {
		t.Errorf("whose context ended: %v", v)
	}
	long := verify(t.Context(), slices.Repeat(list[:1], longList+1)...)
	if n := <-asked; n != longList+1 {
		t.Errorf("%d in the long list's call", n)
	}
	answer <- struct{}{}
	answer <- struct{}{}
	if n := <-asked; n != 4 {
		t.Errorf("%d in the call of those who waited", n)
	}
	answer <- struct{}{}
	for what, check := range map[string]struct {
		got  chan verdict
		want []bool
	}{
		"first": {first, []bool{true}}, "bad": {bad, []bool{false, true}}, "good": {good, []bool{false, true}}, "long": {long, slices.Repeat([]bool{true}, longList+1)},
	} {
		if v := <-check.got; v.err != nil || !slices.Equal(v.held, check.want) {
			t.Errorf("%s: %v", what, v)
		}
	}
	if again := verify(t.Context(), list[0]); true {
		<-asked
		answer <- struct{}{}
		if v := <-again; v.err != nil || !v.held[0] {
			t.Errorf("afterwards: %v", v)
		}
	}
}
