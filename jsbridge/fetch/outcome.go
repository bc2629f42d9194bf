// Package fetch asks the homeserver through the client's own fetch.
//
// The rule of this package: the client's fetch never touches Go. Between them lies a binding made in TypeScript (web/src/fetch.ts), which
// adds the body, aborts, reads the answer and never throws; here is the other end of it. The package is a room of its own because linking
// net/http's types is expensive, and only a program that fetches pays for them.
package fetch

import (
	"context"
	"errors"
	"strconv"

	"knownsender/core/lane"
)

// An outcome is what the binding says of a request: its headers as they came.
type outcome struct{ kind, status, retryAfter string }

// read says what an outcome and the body beside it mean to the lane: the server's answer, or a *lane.FetchError.
func (o outcome) read(body []byte) ([]byte, error) {
	status, err := strconv.Atoi(o.status)
	if err != nil || status < 0 {
		return nil, failed(errNoOutcome)
	}
	switch {
	case o.kind == "answer" && status == 200 && len(body) > 0:
		return body, nil
	case o.kind == "status" && status == 429:
		return nil, &lane.FetchError{Code: lane.CodeRateLimited, Status: status, RetryAfter: retryAfter(o.retryAfter)}
	case o.kind == "status" && status != 0:
		return nil, &lane.FetchError{Code: lane.CodeFetchStatus, Status: status}
	case o.kind == "too_large":
		return nil, &lane.FetchError{Code: lane.CodeAnswerTooLarge, Status: status}
	case o.kind == "failed" && len(body) > 0:
		return nil, failed(errors.New(string(body)))
	}
	return nil, failed(errNoOutcome)
}

// retryAfter is how long the server wants to be left alone, in milliseconds, and never longer than the lane would wait (a hostile or
// broken server could otherwise stop us for good). 0: it did not say.
func retryAfter(text string) int64 {
	wait, err := strconv.ParseInt(text, 10, 64)
	if err != nil || wait < 0 {
		return 0
	}
	return min(wait, lane.MaxDelay.Milliseconds())
}

var errNoOutcome = errors.New("the binding does not say what came of the request")

func failed(err error) error { return &lane.FetchError{Code: lane.CodeFetchFailed, Err: err} }

// ended is the error for a context that ended first.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return &lane.FetchError{Code: lane.CodeFetchTimeout, Err: err}
	}
	return err
}
