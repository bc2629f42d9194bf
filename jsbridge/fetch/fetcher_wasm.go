//go:build js && wasm

package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/hack-pad/safejs"
	workers "github.com/syumai/workers/cloudflare/fetch"

	"knownsender/core/lane"
	"knownsender/jsbridge"
)

// maxAnswer bounds an answer, in bytes. The binding refuses more by the same measure; this one holds whatever the binding does.
const maxAnswer = 32 << 20

// The headers of a request and of what the binding answers with; web/src/fetch.ts has them too.
const (
	headerRequest    = "Knownsender-Request"
	headerOutcome    = "Knownsender-Outcome"
	headerStatus     = "Knownsender-Status"
	headerRetryAfter = "Knownsender-Retry-After"
)

// Fetcher is a [lane.Fetcher] on the binding in the program's scope (context.binding, which is where workers keeps its own).
//
// workers awaits promises with two callbacks and releases only the one that was called. So a request leaves one behind, and one more for
// each mebibyte of its answer: some hundred bytes each, for a request that is made a few times a minute at most.
type Fetcher struct {
	binding safejs.Value
	client  *workers.Client
	mu      sync.Mutex
	last    int
}

var _ lane.Fetcher = (*Fetcher)(nil)

// Connect finds the binding. It fails with the code no_fetch when the client gave no fetch: such a client sends requests itself.
func Connect() (*Fetcher, error) {
	scope, err := safejs.Global().Get("context")
	if err == nil {
		scope, err = scope.Get("binding")
	}
	if err != nil {
		return nil, noFetch()
	}
	for _, method := range []string{"give", "fetch", "abort"} {
		if value, err := scope.Get(method); err != nil || value.Type() != safejs.TypeFunction {
			return nil, noFetch()
		}
	}
	return &Fetcher{binding: scope, client: workers.NewClient(workers.WithBinding(safejs.Unsafe(scope)))}, nil
}

func noFetch() error {
	return &jsbridge.Error{Code: "no_fetch", Message: "The program was started without the client's fetch; give OlmMachine.open http.fetch."}
}

// Send sends one request and waits for its answer, or for the end of ctx. See [lane.Fetcher].
func (f *Fetcher) Send(ctx context.Context, request *lane.Request) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, ended(err)
	}
	f.mu.Lock()
	f.last++
	number := f.last
	f.mu.Unlock()
	if _, err := f.binding.Call("give", number, string(request.Body)); err != nil {
		return nil, failed(err)
	}
	type answer struct {
		body []byte
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		body, err := f.exchange(number, request)
		done <- answer{body, err}
	}()
	select {
	case a := <-done:
		return a.body, a.err
	case <-ctx.Done():
		f.abort(number) // the binding answers it now, which ends the goroutine
		return nil, ended(context.Cause(ctx))
	}
}

func (f *Fetcher) abort(number int) { _, _ = f.binding.Call("abort", number) }

// exchange has the binding send a request whose body it holds, and reads what came of it. workers panics where JavaScript throws; the
// binding does not, but the page may have changed what a Request is.
func (f *Fetcher) exchange(number int, request *lane.Request) (body []byte, err error) {
	defer func() {
		if thrown := recover(); thrown != nil {
			f.abort(number)
			body, err = nil, failed(fmt.Errorf("the request could not be made: %v", thrown))
		}
	}()
	// The host part is never looked at: where the homeserver lies is the client's matter. A body made here would be a stream, and browsers
	// refuse a Request with one.
	path, query, _ := strings.Cut(request.Path(), "?")
	response, err := f.client.Do(&workers.Request{Request: &http.Request{
		Method: request.Method(),
		URL:    &url.URL{Scheme: "https", Host: "homeserver.invalid", Path: path, RawQuery: query},
		Header: http.Header{headerRequest: {strconv.Itoa(number)}},
	}}, nil)
	if err != nil {
		return nil, failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.ContentLength > maxAnswer {
		return nil, &lane.FetchError{Code: lane.CodeAnswerTooLarge, Status: response.StatusCode}
	}
	body = make([]byte, max(0, response.ContentLength))
	if _, err := io.ReadFull(response.Body, body); err != nil {
		return nil, failed(errors.Join(errNoOutcome, err))
	}
	header := response.Header
	return outcome{kind: header.Get(headerOutcome), status: header.Get(headerStatus), retryAfter: header.Get(headerRetryAfter)}.read(body)
}
