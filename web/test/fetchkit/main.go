//go:build js && wasm && doorkit

// Command fetchkit is a program for testing the way to the homeserver: it asks when told, and says what it got.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"runtime"
	"strconv"
	"time"

	"knownsender/core/ids"
	"knownsender/core/lane"
	"knownsender/jsbridge"
	"knownsender/jsbridge/fetch"
	"knownsender/jsbridge/frame"
)

func main() {
	host, err := jsbridge.Connect()
	if err != nil {
		println(err.Error())
		return
	}
	fetcher, noFetch := fetch.Connect()
	door := jsbridge.NewDoor()
	// keysQuery waits at most so many milliseconds, negative for a context that was cancelled before, and asks about the users that
	// follow; with 0 it uploads nothing into the backup of the version that follows, and waits. The answer is [body, its length, its SHA-256], without the body when that is large, or [code, status, retry after, sentence].
	door.Async("keysQuery", func(ctx context.Context, args [][]byte) ([]byte, error) {
		if noFetch != nil {
			return nil, noFetch
		}
		ms, err := strconv.Atoi(string(args[0]))
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, max(time.Duration(ms)*time.Millisecond, time.Millisecond))
		defer cancel()
		if ms < 0 {
			cancel()
		}
		users := make([]ids.UserID, 0, len(args)-1)
		for _, arg := range args[1:] {
			users = append(users, ids.UserID(arg))
		}
		request := lane.NewKeysQuery("", users)
		if ms == 0 { // what is no POST
			request = lane.Request{Type: lane.KeysBackup, Target: string(args[1]), Body: []byte("{}")}
			ctx = context.Background()
		}
		body, err := fetcher.Send(ctx, &request)
		var told *lane.FetchError
		switch {
		case errors.As(err, &told):
			return frame.AppendStrings(nil, told.Code, strconv.Itoa(told.Status), strconv.FormatInt(told.RetryAfter, 10), told.Error()), nil
		case err != nil:
			return nil, err
		}
		length, sum := strconv.Itoa(len(body)), sha256.Sum256(body)
		if len(body) > 1<<16 {
			body = nil
		}
		return frame.AppendStrings(nil, string(body), length, hex.EncodeToString(sum[:])), nil
	})
	// goroutines counts those there are, this call's own included.
	door.Async("goroutines", func(context.Context, [][]byte) ([]byte, error) {
		return strconv.AppendInt(nil, int64(runtime.NumGoroutine()), 10), nil
	})
	door.Sync("ping", func([][]byte) ([]byte, error) { return []byte("pong"), nil })
	if err := jsbridge.Serve(door, host); err != nil {
		println(err.Error())
	}
}
