// Package http is what the wasm needs of net/http, and nothing else.
//
// syumai/workers speaks of requests and responses in the types of net/http. Importing that package for its types alone links the start-up code
// of crypto/tls, x509, math/big and more, which the linker cannot drop: 315 kilobytes after brotli, a quarter of the whole. So the wasm, and
// only the wasm, is built with this package in the place of net/http (go build -overlay, see overlay.mjs; method.go and status.go of the
// standard library stay). There is no client and no server in it: what a browser cannot do is not there to be reached. A new version of
// workers that needs more fails to compile.
package http

import (
	"context"
	"io"
	"net/url"
)

// Header is a header, by canonical name.
type Header map[string][]string

// canonical writes the first letter of each word large and the others small.
func canonical(key string) string {
	name := []byte(key)
	first := true
	for i, c := range name {
		if first && 'a' <= c && c <= 'z' {
			name[i] = c - 'a' + 'A'
		} else if !first && 'A' <= c && c <= 'Z' {
			name[i] = c - 'A' + 'a'
		}
		first = c == '-'
	}
	return string(name)
}

// Add adds a value to those of key.
func (h Header) Add(key, value string) {
	key = canonical(key)
	h[key] = append(h[key], value)
}

// Set makes value the only one of key.
func (h Header) Set(key, value string) { h[canonical(key)] = []string{value} }

// Del deletes the values of key.
func (h Header) Del(key string) { delete(h, canonical(key)) }

// Get is the first value of key, empty when there is none.
func (h Header) Get(key string) string {
	if values := h[canonical(key)]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// Request is a request on its way out.
type Request struct {
	Method           string
	URL              *url.URL
	Header           Header
	Body             io.ReadCloser
	ContentLength    int64
	TransferEncoding []string
	Host             string
}

// NewRequestWithContext makes a request. The context is its caller's to heed: whoever sends the request watches it.
func NewRequestWithContext(_ context.Context, method, target string, body io.Reader) (*Request, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	request := &Request{Method: method, URL: parsed, Header: Header{}, Host: parsed.Host}
	if body != nil {
		closer, ok := body.(io.ReadCloser)
		if !ok {
			closer = io.NopCloser(body)
		}
		request.Body = closer
	}
	return request, nil
}

// Response is the answer to a request.
type Response struct {
	Status        string
	StatusCode    int
	Header        Header
	Body          io.ReadCloser
	ContentLength int64
}

// The rest are names that workers mentions and this program never uses.
type (
	// RoundTripper sends a request.
	RoundTripper interface {
		RoundTrip(*Request) (*Response, error)
	}
	// Client would send requests by a RoundTripper.
	Client struct{ Transport RoundTripper }
	// ResponseWriter would answer a request.
	ResponseWriter interface {
		Header() Header
		Write([]byte) (int, error)
		WriteHeader(statusCode int)
	}
	// Flusher would send what has been written so far.
	Flusher interface{ Flush() }
)
