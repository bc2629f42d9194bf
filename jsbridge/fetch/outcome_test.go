package fetch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"knownsender/core/lane"
)

// F30: whatever the binding says becomes the server's answer or one typed error.
func TestOutcomesAreTyped(t *testing.T) {
	longest := lane.MaxDelay.Milliseconds()
	for name, story := range map[string]struct {
		told outcome
		body string
		want lane.FetchError // without Code: the body
	}{
		"an answer":                          {outcome{"answer", "200", ""}, `{"device_keys":{}}`, lane.FetchError{}},
		"an answer that is not JSON":         {outcome{"answer", "200", ""}, `<html>`, lane.FetchError{}},
		"an answer without a body":           {outcome{"answer", "200", ""}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
		"an answer with an odd status":       {outcome{"answer", "204", ""}, `x`, lane.FetchError{Code: lane.CodeFetchFailed}},
		"a refusal":                          {outcome{"status", "403", ""}, ``, lane.FetchError{Code: lane.CodeFetchStatus, Status: 403}},
		"T47: a gateway that gave up":        {outcome{"status", "504", "5"}, ``, lane.FetchError{Code: lane.CodeFetchStatus, Status: 504}},
		"a rate limit":                       {outcome{"status", "429", "3000"}, ``, lane.FetchError{Code: lane.CodeRateLimited, Status: 429, RetryAfter: 3000}},
		"a rate limit that does not say":     {outcome{"status", "429", ""}, ``, lane.FetchError{Code: lane.CodeRateLimited, Status: 429}},
		"a rate limit without measure":       {outcome{"status", "429", "9007199254740991"}, ``, lane.FetchError{Code: lane.CodeRateLimited, Status: 429, RetryAfter: longest}},
		"a rate limit beyond all numbers":    {outcome{"status", "429", "99999999999999999999"}, ``, lane.FetchError{Code: lane.CodeRateLimited, Status: 429}},
		"a rate limit that ended before now": {outcome{"status", "429", "-1"}, ``, lane.FetchError{Code: lane.CodeRateLimited, Status: 429}},
		"T49: too large":                     {outcome{"too_large", "200", ""}, ``, lane.FetchError{Code: lane.CodeAnswerTooLarge, Status: 200}},
		"a failure":                          {outcome{"failed", "0", ""}, `Failed to fetch`, lane.FetchError{Code: lane.CodeFetchFailed}},
		"a failure that does not say why":    {outcome{"failed", "0", ""}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
		"a status that is none":              {outcome{"status", "0", ""}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
		"a status that is no number":         {outcome{"status", "4e2", ""}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
		"a status below nothing":             {outcome{"status", "-404", ""}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
		"an outcome of another kind":         {outcome{"other", "200", ""}, `{}`, lane.FetchError{Code: lane.CodeFetchFailed}},
		"nothing at all":                     {outcome{}, ``, lane.FetchError{Code: lane.CodeFetchFailed}},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := story.told.read([]byte(story.body))
			if story.want.Code == "" {
				if err != nil || string(body) != story.body {
					t.Fatalf("%q, %v", body, err)
				}
				return
			}
			var got *lane.FetchError
			if !errors.As(err, &got) || body != nil {
				t.Fatalf("%q, %v", body, err)
			}
			if got.Code != story.want.Code || got.Status != story.want.Status || got.RetryAfter != story.want.RetryAfter {
				t.Errorf("got %+v, want %+v", got, story.want)
			}
			if (got.Code == lane.CodeFetchFailed) != (got.Err != nil) {
				t.Errorf("a cause that says nothing, or none where there is one: %+v", got)
			}
			if story.told.kind == "failed" && !strings.Contains(err.Error(), story.body) {
				t.Errorf("%q does not say %q", err, story.body)
			}
		})
	}
}

// F30: a deadline is a timeout, which counts as a try; a call that was given up is none of the lane's errors.
func TestContextsEndInTwoWays(t *testing.T) {
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	var told *lane.FetchError
	if err := ended(late.Err()); !errors.As(err, &told) || told.Code != lane.CodeFetchTimeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a deadline: %v", err)
	}
	if err := ended(context.Canceled); err != context.Canceled {
		t.Errorf("given up: %v", err)
	}
}
