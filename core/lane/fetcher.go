package lane

import (
	"context"
	"strconv"
)

// Fetcher asks the homeserver, through the client's own connection: authentication, base address and rate limits are the client's.
type Fetcher interface {
	// Send sends the request and returns the body of the answer. It returns when ctx ends, whatever the other side does. The error is a *FetchError
	// or the context's.
	Send(ctx context.Context, request *Request) ([]byte, error)
}

// Codes of FetchError.
const (
	// CodeFetchFailed: the client's fetch threw, rejected, or answered with something that is no answer.
	CodeFetchFailed = "fetch_failed"
	// CodeFetchStatus: the server answered with a status other than 200. FetchError.Status has it.
	CodeFetchStatus = "fetch_status"
	// CodeRateLimited: the server answered 429. FetchError.RetryAfter is how long it wants to be left alone, 0 when it did not say.
	CodeRateLimited = "rate_limited"
	// CodeFetchTimeout: no answer within the budget.
	CodeFetchTimeout = "fetch_timeout"
	// CodeAnswerTooLarge: the answer is larger than anything we would read.
	CodeAnswerTooLarge = "answer_too_large"
)

// FetchError says why there is no answer.
type FetchError struct {
	Code       string
	Status     int   // of the answer, 0 when there was none
	RetryAfter int64 // milliseconds
	Err        error
}

// Error is a sentence.
func (e *FetchError) Error() string {
	switch e.Code {
	case CodeFetchStatus:
		return "the homeserver answered with status " + strconv.Itoa(e.Status)
	case CodeRateLimited:
		return "the homeserver wants to be asked less often"
	case CodeFetchTimeout:
		return "the homeserver did not answer in time"
	case CodeAnswerTooLarge:
		return "the homeserver's answer is too large"
	}
	if e.Err != nil {
		return "the client's fetch failed: " + e.Err.Error()
	}
	return "the client's fetch failed"
}

// ErrorCode is the stable name of what went wrong.
func (e *FetchError) ErrorCode() string { return e.Code }

// Unwrap is the cause, if there is one.
func (e *FetchError) Unwrap() error { return e.Err }
