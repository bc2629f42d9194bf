//go:build !js

package idbstore_test

// Native tests of the Go side alone: a host that says what a test wants. The whole of it, against a real IndexedDB, is
// browser_test.go.

import (
	"context"
	"errors"
	"testing"

	"knownsender/core/store"
	"knownsender/idbstore"
	"knownsender/jsbridge/frame"
)

type hostFunc func(ctx context.Context, method string, request []byte) ([]byte, error)

func (f hostFunc) Call(ctx context.Context, method string, request []byte) ([]byte, error) {
	return f(ctx, method, request)
}

func words(items ...string) []byte { return frame.AppendStrings(nil, items...) }

var openAnswer = words("ok", "generation", "\x64\x00\x00\x00\x00\x00\x00\x00", "created")

// opened is a store whose host opens, and then answers everything with answer and err.
func opened(t *testing.T, answer []byte, err error) *idbstore.Store {
	t.Helper()
	s, failed := idbstore.Open(t.Context(), hostFunc(func(_ context.Context, method string, _ []byte) ([]byte, error) {
		if method == "open" {
			return openAnswer, nil
		}
		return answer, err
	}), "db")
	if failed != nil {
		t.Fatal(failed)
	}
	return s
}

func code(err error) string {
	var e *store.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestOpenTellsWhatItFound(t *testing.T) {
	want := idbstore.Info{Generation: "generation", SchemaVersion: 100, Created: true}
	if got := opened(t, nil, nil).Info(); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// Every code the host may answer comes out as the code of a *store.Error (N6).
func TestCodesOfTheHost(t *testing.T) {
	for _, told := range []string{store.CodeQuota, store.CodeClosed, store.CodeAborted, store.CodeSchemaTooNew, store.CodeBlocked, store.CodeStoreLost, store.CodeBadRequest, store.CodeUnavailable, store.CodeConflict} {
		s := opened(t, words("error", told, "a sentence"), nil)
		if got := code(s.Commit(t.Context(), store.Batch{})); got != told {
			t.Errorf("%s came out as %q", told, got)
		}
		_, err := idbstore.Open(t.Context(), hostFunc(func(context.Context, string, []byte) ([]byte, error) {
			return words("error", told, "a sentence"), nil
		}), "db")
		if got := code(err); got != told {
			t.Errorf("%s while opening came out as %q", told, got)
		}
	}
	if got := code(opened(t, words("error", "strange", ""), nil).Commit(t.Context(), store.Batch{})); got != store.CodeUnavailable {
		t.Errorf("an unknown code came out as %q", got)
	}
}

func TestHostThatDoesNotAnswer(t *testing.T) {
	s := opened(t, nil, errors.New("gone"))
	if got := code(s.Commit(t.Context(), store.Batch{})); got != store.CodeUnavailable {
		t.Errorf("code %q", got)
	}
	// When the caller's context ends while the host works, then the answer says that the caller gave up.
	ctx, cancel := context.WithCancel(t.Context())
	waiting, err := idbstore.Open(ctx, hostFunc(func(ctx context.Context, method string, _ []byte) ([]byte, error) {
		if method == "open" {
			return openAnswer, nil
		}
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}), "db")
	if err != nil {
		t.Fatal(err)
	}
	err = waiting.Commit(ctx, store.Batch{})
	if code(err) != store.CodeAborted || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Answers of every wrong shape are `bad_answer`, never a panic and never a row.
func TestAnswersThatMakeNoSense(t *testing.T) {
	eight := string(make([]byte, 8))
	key := string(words("k"))
	row := func(parts ...string) []byte { return words("ok", string(words(parts...))) }
	for name, answer := range map[string][]byte{
		"nothing":                  nil,
		"no frame":                 []byte("hello"),
		"empty frame":              words(),
		"neither ok nor error":     words("perhaps"),
		"error without a sentence": words("error", "quota"),
		"row that is no frame":     words("ok", "row"),
		"row of three":             row(key, eight, "v"),
		"key that is no frame":     row("k", eight, "v", string(words())),
		"key that is not UTF-8":    row(string(words("\xff")), eight, "v", string(words())),
		"short revision":           row(key, "1", "v", string(words())),
		"index that is no frame":   row(key, eight, "v", "x"),
		"index without a value":    row(key, eight, "v", string(words("owner"))),
		"index value no frame":     row(key, eight, "v", string(words("owner", "x"))),
		"another row":              row(string(words("other")), eight, "v", string(words())),
		"two rows":                 words("ok", string(words(key, eight, "v", string(words()))), string(words(key, eight, "v", string(words())))),
		"conflict of three":        words("error", "conflict", "", string(words("users", key, eight))),
		"conflict with a bad key":  words("error", "conflict", "", string(words("users", "k", eight, eight))),
		"conflict with bad number": words("error", "conflict", "", string(words("users", key, "1", eight))),
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := opened(t, answer, nil).Get(t.Context(), store.Users, []store.Key{{"k"}})
			if code(err) != store.CodeBadAnswer || rows != nil {
				t.Fatalf("rows %v, %v", rows, err)
			}
		})
	}
	for name, answer := range map[string][]byte{
		"name without a number": words("ok", "copies"),
		"short number":          words("ok", "copies", "1"),
	} {
		if _, err := opened(t, answer, nil).Counters(t.Context()); code(err) != store.CodeBadAnswer {
			t.Errorf("counters with %s: %v", name, err)
		}
	}
	for _, item := range []string{"more", string([]byte{1, 0, 0, 0, 0, 0, 0, 0})} {
		lone := &store.Lone{Parts: 1, Empty: store.Meta, Found: func(int) { t.Error("a place was found") }}
		batch := store.Batch{Ops: []store.Op{{Table: store.Meta, Key: store.Key{"k"}, Value: []byte{1}}}, Lone: lone}
		if err := opened(t, words("ok", item), nil).Commit(t.Context(), batch); code(err) != store.CodeBadAnswer {
			t.Errorf("a place %q: %v", item, err)
		}
	}
	for _, answer := range [][]byte{words("ok"), words("ok", "x"), words("ok", string(words("x")))} {
		if _, err := store.Page(t.Context(), opened(t, answer, nil), store.Query{Table: store.Users}); code(err) != store.CodeBadAnswer {
			t.Errorf("pages answered %q: %v", answer, err)
		}
	}
	if err := opened(t, words("ok", "more"), nil).Commit(t.Context(), store.Batch{}); code(err) != store.CodeBadAnswer {
		t.Errorf("commit with more than ok: %v", err)
	}
	for _, answer := range [][]byte{words("ok"), words("ok", "g", "short", "created")} {
		_, err := idbstore.Open(t.Context(), hostFunc(func(context.Context, string, []byte) ([]byte, error) { return answer, nil }), "db")
		if code(err) != store.CodeBadAnswer {
			t.Errorf("open answered %q: %v", answer, err)
		}
	}
}

// What no store can do is refused before the host hears of it.
func TestRefusedBeforeTheHost(t *testing.T) {
	s := opened(t, nil, errors.New("the host was asked"))
	_, get := s.Get(t.Context(), "elsewhere", nil)
	_, page := store.Page(t.Context(), s, store.Query{Table: store.Users, Index: "color"})
	commit := s.Commit(t.Context(), store.Batch{Ops: []store.Op{{Table: store.Users}}})
	large := s.Commit(t.Context(), store.Batch{Ops: []store.Op{{Table: store.Users, Key: store.Key{"k"}, Value: make([]byte, store.MaxValue+1)}}})
	if code(get) != store.CodeBadRequest || code(page) != store.CodeBadRequest || code(commit) != store.CodeBadKey || code(large) != store.CodeTooLarge {
		t.Fatal(get, page, commit, large)
	}
}
