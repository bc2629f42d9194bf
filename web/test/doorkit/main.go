//go:build js && wasm && doorkit

// Command doorkit is a program for testing the door: its methods do to the door what no method of the real program should.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strconv"
	"time"

	"knownsender/core/keys"
	"knownsender/jsbridge"
	"knownsender/jsbridge/frame"
)

type codedError struct{}

func (codedError) Error() string                       { return "It went wrong as told." }
func (codedError) ErrorCode() string                   { return "as_told" }
func (codedError) ErrorDetail() (expected, got string) { return "right", "wrong" }

var kept [][]byte

func main() {
	if os.Getenv("DOORKIT_PANIC") != "" {
		panic("told to panic before serving")
	}
	host, err := jsbridge.Connect()
	if err != nil {
		println(err.Error())
		return
	}
	door := jsbridge.NewDoor()

	door.Sync("ping", func(args [][]byte) ([]byte, error) { return []byte("pong"), nil })
	door.Async("ping", func(ctx context.Context, args [][]byte) ([]byte, error) { return []byte("pong"), nil })
	door.Sync("echo", func(args [][]byte) ([]byte, error) { return frame.Append(nil, args...), nil })
	door.Async("echo", func(ctx context.Context, args [][]byte) ([]byte, error) { return frame.Append(nil, args...), nil })
	door.Sync("one", func(args [][]byte) ([]byte, error) { return nil, jsbridge.Arguments(args, 1) })
	door.Sync("fail", func(args [][]byte) ([]byte, error) { return nil, codedError{} })
	door.Async("fail", func(ctx context.Context, args [][]byte) ([]byte, error) { return nil, codedError{} })
	door.Sync("failPlain", func(args [][]byte) ([]byte, error) { return nil, errors.New("plain \xff words") })
	door.Sync("panic", func(args [][]byte) ([]byte, error) { return nil, panics(string(args[0])) })
	door.Async("panic", func(ctx context.Context, args [][]byte) ([]byte, error) { return nil, panics(string(args[0])) })

	// keep holds its arguments; kept shows that later calls did not write over them.
	door.Sync("keep", func(args [][]byte) ([]byte, error) { kept = append(kept, args...); return nil, nil })
	door.Sync("kept", func(args [][]byte) ([]byte, error) { return frame.Append(nil, kept...), nil })
	// grow makes the memory grow in the middle of a call.
	door.Sync("grow", func(args [][]byte) ([]byte, error) {
		n, _ := strconv.Atoi(string(args[0]))
		block := make([]byte, n)
		block[n-1] = 7
		return block[n-4:], nil
	})
	door.Sync("collect", func(args [][]byte) ([]byte, error) { runtime.GC(); return nil, nil })
	// wait does what a synchronous method must not.
	door.Sync("wait", func(args [][]byte) ([]byte, error) { time.Sleep(20 * time.Millisecond); return []byte("late"), nil })
	door.Async("sleep", func(ctx context.Context, args [][]byte) ([]byte, error) {
		ms, _ := strconv.Atoi(string(args[0]))
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return []byte("slept"), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	// ask calls a host method; with a third argument it waits at most so many milliseconds.
	door.Async("ask", func(ctx context.Context, args [][]byte) ([]byte, error) {
		if len(args) > 2 {
			ms, _ := strconv.Atoi(string(args[2]))
			short, cancel := context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
			defer cancel()
			ctx = short
		}
		return host.Call(ctx, string(args[0]), args[1])
	})
	door.Sync("emit", func(args [][]byte) ([]byte, error) {
		for i := range 3 {
			host.Emit(string(args[0]), []byte(`{"n":`+strconv.Itoa(i)+`}`))
		}
		return nil, nil
	})
	// spawn leaves work to a goroutine; with "wake" it also makes it run.
	door.Sync("spawn", func(args [][]byte) ([]byte, error) {
		go func() {
			answer, err := host.Call(context.Background(), "later", args[1])
			if err != nil {
				answer = []byte(err.Error())
			}
			host.Emit("done", answer)
		}()
		if string(args[0]) == "wake" {
			host.Wake()
		}
		return nil, nil
	})
	// churn allocates as many small blocks as told, so that the collector works in the middle of a synchronous call.
	door.Sync("churn", func(args [][]byte) ([]byte, error) {
		n, _ := strconv.Atoi(string(args[0]))
		var held [][]byte
		for i := range n {
			held = append(held, make([]byte, 512))
			if len(held) == 2000 {
				held = nil
			}
			if i%5000 == 0 {
				kept = append(kept[:0], make([]byte, 1<<20))
			}
		}
		return []byte("churned"), nil
	})
	door.Sync("exit", func(args [][]byte) ([]byte, error) { os.Exit(3); return nil, nil })
	door.Async("die", func(ctx context.Context, args [][]byte) ([]byte, error) {
		go func() { panic("told to die") }() // nothing recovers in a goroutine of one's own
		select {}
	})
	door.Sync("overflow", func(args [][]byte) ([]byte, error) { return nil, deep(0) })
	door.Async("dieLater", func(ctx context.Context, args [][]byte) ([]byte, error) {
		time.AfterFunc(10*time.Millisecond, func() { panic("told to die later") })
		select {}
	})
	door.Sync("random", func(args [][]byte) ([]byte, error) { return randomBytes(), nil })
	door.Sync("now", func(args [][]byte) ([]byte, error) { return strconv.AppendInt(nil, time.Now().UnixMilli(), 10), nil })

	// verify compares the host's verdicts with our own on checks given as JSON [{"A","R","S","M"}], and returns both as text of 0 and 1.
	verifier := jsbridge.NewWebCrypto(host)
	door.Async("verify", func(ctx context.Context, args [][]byte) ([]byte, error) {
		checks, err := checksFrom(args[0])
		if err != nil {
			return nil, err
		}
		asked, err := verifier.Verify(ctx, checks)
		if err != nil {
			return nil, err
		}
		return frame.AppendStrings(nil, bits(asked), bits(keys.VerifyAll(checks))), nil
	})

	if err := jsbridge.Serve(door, host); err != nil {
		println(err.Error())
	}
}

func panics(how string) error {
	switch how {
	case "index":
		var none []int
		return errors.New(strconv.Itoa(none[len(how)]))
	case "nil":
		var none *codedPointer
		return errors.New(none.name)
	case "secret":
		panic("secret material")
	case "error":
		panic(codedError{})
	default:
		panic(nil)
	}
}

type codedPointer struct{ name string }

// deep calls itself until the stack is at its end.
func deep(n int) error {
	if n < 0 {
		return nil
	}
	if err := deep(n + 1); err != nil {
		return err
	}
	return errors.New(strconv.Itoa(n))
}

func checksFrom(text []byte) ([]keys.Check, error) {
	var vectors []struct{ A, R, S, M string }
	if err := json.Unmarshal(text, &vectors); err != nil {
		return nil, err
	}
	checks := make([]keys.Check, len(vectors))
	for i, v := range vectors {
		key, err := hex.DecodeString(v.A)
		if err != nil {
			return nil, err
		}
		signature, err := hex.DecodeString(v.R + v.S)
		if err != nil {
			return nil, err
		}
		copy(checks[i].Key[:], key)
		copy(checks[i].Signature[:], signature)
		checks[i].Message = []byte(v.M)
	}
	return checks, nil
}

func bits(verdicts []bool) string {
	text := make([]byte, len(verdicts))
	for i, ok := range verdicts {
		text[i] = '0'
		if ok {
			text[i] = '1'
		}
	}
	return string(text)
}
