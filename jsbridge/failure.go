// How a Go error looks on the other side: {"code", "message", "expected"?, "got"?}. The code is the error's own when any error in its
// chain has one; what has none is "internal". Values of panics are not shown unless the runtime made them: a handler might panic with
// something that holds a key.

package jsbridge

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// Error is a failure of the crossing itself.
//
// Codes: bad_request (not a frame, no method, wrong number of arguments), unknown_method, internal (a handler panicked), no_host (the
// program was started without the host object).
type Error struct {
	Code     string
	Message  string
	Expected string
	Got      string
}

func (e *Error) Error() string { return e.Message }

// ErrorCode returns the stable code.
func (e *Error) ErrorCode() string { return e.Code }

// ErrorDetail returns what was expected and what came instead, empty when that says nothing.
func (e *Error) ErrorDetail() (expected, got string) { return e.Expected, e.Got }

// HostError is the host's refusal or failure of a [Host.Call].
//
// Codes: whatever the host's handler gave, or host_failed when it threw or rejected with something that has no code, host_answer_type
// when it resolved to something that is not bytes, host_method_unknown when it has no such method.
type HostError struct {
	Method  string
	Code    string
	Message string
}

func (e *HostError) Error() string { return e.Message }

// ErrorCode returns the stable code.
func (e *HostError) ErrorCode() string { return e.Code }

// What an error may offer to the other side. The rooms' error types satisfy these without importing this package.
type (
	codedError    interface{ ErrorCode() string }
	detailedError interface{ ErrorDetail() (expected, got string) }
)

// Describe returns the JSON object that crosses for err.
func Describe(err error) []byte {
	code, expected, got := "internal", "", ""
	var coded codedError
	switch {
	case errors.As(err, &coded):
		code = coded.ErrorCode()
	case errors.Is(err, context.Canceled):
		code = "aborted"
	case errors.Is(err, context.DeadlineExceeded):
		code = "timeout"
	}
	var detailed detailedError
	if errors.As(err, &detailed) {
		expected, got = detailed.ErrorDetail()
	}
	out := append(make([]byte, 0, 128), `{"code":`...)
	out = appendText(out, code)
	out = append(out, `,"message":`...)
	out = appendText(out, err.Error())
	if expected != "" {
		out = append(out, `,"expected":`...)
		out = appendText(out, expected)
	}
	if got != "" {
		out = append(out, `,"got":`...)
		out = appendText(out, got)
	}
	return append(out, '}')
}

// appendText appends text as a JSON string; invalid UTF-8 becomes U+FFFD, which AppendQuote reports beside doing it.
func appendText(out []byte, text string) []byte {
	out, _ = jsontext.AppendQuote(out, text)
	return out
}

func unknownMethod(method []byte) error {
	return &Error{Code: "unknown_method", Message: fmt.Sprintf("The program has no method %.64q.", method)}
}

// recoverInto is deferred around every handler.
func recoverInto(response *[]byte, err *error, method []byte) {
	value := recover()
	if value == nil {
		return
	}
	what := fmt.Sprintf("a value of type %T", value)
	if fault, ok := value.(runtime.Error); ok {
		what = fault.Error()
	}
	*response = nil
	*err = &Error{Code: "internal", Message: fmt.Sprintf("The method %.64q panicked at %s: %s. This is a bug in knownsender; the program goes on.", method, culprit(), what)}
}

// culprit names the function and line that panicked: the innermost frame below the runtime's own. It must be called by the function
// that recovered.
func culprit() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if f.Function != "" && !isRuntime(f.Function) {
			return f.Function + ":" + strconv.Itoa(f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

func isRuntime(function string) bool {
	const prefix = "runtime."
	return len(function) > len(prefix) && function[:len(prefix)] == prefix
}

func decimal(n int) string { return strconv.Itoa(n) }
