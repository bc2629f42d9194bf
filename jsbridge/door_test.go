package jsbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"knownsender/jsbridge/frame"
)

func request(items ...string) []byte { return frame.AppendStrings(nil, items...) }

type roomError struct{ Code string }

func (e *roomError) Error() string                       { return "The room refuses." }
func (e *roomError) ErrorCode() string                   { return e.Code }
func (e *roomError) ErrorDetail() (expected, got string) { return "a", "b" }

func testDoor() *Door {
	door := NewDoor()
	echo := func(args [][]byte) ([]byte, error) { return frame.Append(nil, args...), nil }
	door.Sync("echo", echo)
	door.Async("echo", func(_ context.Context, args [][]byte) ([]byte, error) { return echo(args) })
	door.Sync("panic", func(args [][]byte) ([]byte, error) { panic(string(args[0])) })
	door.Async("panic", func(_ context.Context, args [][]byte) ([]byte, error) { panic(errors.New(string(args[0]))) })
	return door
}

func TestBothDoorsAnswer(t *testing.T) {
	door := testDoor()
	for _, args := range [][]string{{}, {""}, {"a", "", "\x00\xff"}} {
		want := string(frame.AppendStrings(nil, args...))
		sent := request(append([]string{"echo"}, args...)...)
		if got, err := door.CallSync(sent); err != nil || string(got) != want {
			t.Errorf("sync %q: %q, %v", args, got, err)
		}
		if got, err := door.CallAsync(t.Context(), sent); err != nil || string(got) != want {
			t.Errorf("promise %q: %q, %v", args, got, err)
		}
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	door := testDoor()
	for name, c := range map[string]struct {
		request []byte
		code    string
	}{
		"nothing":       {nil, "bad_request"},
		"no method":     {request(), "bad_request"},
		"cut":           {request("echo", "argument")[:14], "bad_request"},
		"leftover":      {append(request("echo"), 0), "bad_request"},
		"unknown":       {request("nowhere"), "unknown_method"},
		"empty name":    {request(""), "unknown_method"},
		"not text":      {request("\xff"), "unknown_method"},
		"a long method": {request(strings.Repeat("m", 1000)), "unknown_method"},
	} {
		for _, call := range []func([]byte) ([]byte, error){door.CallSync, func(b []byte) ([]byte, error) { return door.CallAsync(t.Context(), b) }} {
			response, err := call(c.request)
			var coded codedError
			if !errors.As(err, &coded) || coded.ErrorCode() != c.code || response != nil {
				t.Errorf("%s: %q, %v", name, response, err)
			}
			if len(err.Error()) > 300 {
				t.Errorf("%s: the message is as long as the request", name)
			}
		}
	}
}

// F32: a panic is an error named internal, at the place that panicked, without what may be a secret; the door answers the next call.
func TestPanicsAreErrors(t *testing.T) {
	door := testDoor()
	for _, call := range []func([]byte) ([]byte, error){door.CallSync, func(b []byte) ([]byte, error) { return door.CallAsync(t.Context(), b) }} {
		for _, c := range []struct{ request, says string }{
			{string(request("panic", "secret material")), "a value of type "},
			{string(request("panic")), "index out of range [0] with length 0"},
		} {
			response, err := call([]byte(c.request))
			var failure *Error
			if !errors.As(err, &failure) || failure.Code != "internal" || response != nil {
				t.Fatalf("%q: %q, %v", c.request, response, err)
			}
			if !strings.Contains(failure.Message, c.says) || !strings.Contains(failure.Message, "jsbridge.testDoor.") || strings.Contains(failure.Message, "secret") {
				t.Errorf("message %q", failure.Message)
			}
		}
		if _, err := call(request("echo")); err != nil {
			t.Errorf("after a panic: %v", err)
		}
	}
}

func TestMethodsAreRegisteredOnce(t *testing.T) {
	for name, register := range map[string]func(*Door){
		"sync":    func(d *Door) { d.Sync("echo", nil) },
		"promise": func(d *Door) { d.Async("echo", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("a name was registered twice")
				}
			}()
			register(testDoor())
		})
	}
}

func TestErrorsCross(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&roomError{"room_code"}, `{"code":"room_code","message":"The room refuses.","expected":"a","got":"b"}`},
		{fmt.Errorf("wrapped: %w", &roomError{"room_code"}), `{"code":"room_code","message":"wrapped: The room refuses.","expected":"a","got":"b"}`},
		{errors.New("say \"\n\xff"), `{"code":"internal","message":"say \"\n` + "\ufffd" + `"}`},
		{context.Canceled, `{"code":"aborted","message":"context canceled"}`},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), `{"code":"timeout","message":"asking: context deadline exceeded"}`},
		{Arguments(make([][]byte, 2), 3), `{"code":"bad_request","message":"The call has the wrong number of arguments.","expected":"3","got":"2"}`},
		{&HostError{Method: "get", Code: "quota", Message: "Full."}, `{"code":"quota","message":"Full."}`},
	} {
		if got := string(Describe(c.err)); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
	if Arguments(nil, 0) != nil {
		t.Error("no arguments are zero arguments")
	}
}
