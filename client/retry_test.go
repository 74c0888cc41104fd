package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestRetriesByStatusAndMethod(t *testing.T) {
	for _, tc := range []struct {
		status            int
		header            string
		get, del, post    int // requests of that method with 3 retries
		sentinel, postErr error
	}{
		{status: 400, get: 1, del: 1, post: 1, sentinel: ErrInvalid},
		{status: 401, get: 1, del: 1, post: 1, sentinel: ErrUnauthenticated},
		{status: 403, get: 1, del: 1, post: 1, sentinel: ErrForbidden},
		{status: 404, get: 1, del: 1, post: 1, sentinel: ErrNotFound},
		{status: 408, get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
		{status: 409, get: 1, del: 1, post: 1, sentinel: ErrInvalid, postErr: ErrTokenLimit},
		{status: 410, get: 1, del: 1, post: 1, sentinel: ErrNotFound},
		{status: 413, get: 1, del: 1, post: 1, sentinel: ErrInvalid},
		{status: 418, get: 1, del: 1, post: 1, sentinel: ErrUnexpectedAnswer},
		{status: 422, get: 1, del: 1, post: 1, sentinel: ErrInvalid},
		{status: 429, get: 4, del: 4, post: 4, sentinel: ErrRateLimited},
		{status: 500, get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
		{status: 501, get: 1, del: 1, post: 1, sentinel: ErrUnavailable},
		{status: 502, get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
		{status: 503, get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
		{status: 503, header: "0", get: 4, del: 4, post: 4, sentinel: ErrUnavailable},
		{status: 503, header: "soon", get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
		{status: 503, header: "31", get: 1, del: 1, post: 1, sentinel: ErrUnavailable},
		{status: 429, header: "31", get: 1, del: 1, post: 1, sentinel: ErrRateLimited},
		{status: 504, get: 4, del: 4, post: 1, sentinel: ErrUnavailable},
	} {
		t.Run(fmt.Sprint(tc.status, tc.header), func(t *testing.T) {
			api := newFakeAPI(t)
			var failGET atomic.Bool
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && !failGET.Load() {
					return false
				}
				if tc.header != "" {
					w.Header().Set("Retry-After", tc.header)
				}
				writeJSON(w, tc.status, map[string]any{"message": "told by the API: limit"})
				return true
			}
			u := newTestCaller(t, api.URL)
			postErr := tc.postErr
			if postErr == nil {
				postErr = tc.sentinel
			}
			_, err := u.CreateToken(t.Context(), NewToken{Name: "ci"})
			check(t, "POST", err, postErr, tc.status, api.count(http.MethodPost), tc.post)
			err = u.RevokeToken(t.Context(), "pat_9")
			check(t, "DELETE", err, tc.sentinel, tc.status, api.count(http.MethodDelete), tc.del)
			failGET.Store(true)
			before := api.count(http.MethodGet)
			_, err = u.ListTokens(t.Context())
			check(t, "GET", err, tc.sentinel, tc.status, api.count(http.MethodGet)-before, tc.get)
		})
	}
}

func check(t *testing.T, method string, err, sentinel error, status, got, want int) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Errorf("%s: error is %v, want %v", method, err, sentinel)
	}
	e := mustError(t, err)
	if e.Status != status || e.Message != "told by the API: limit" {
		t.Errorf("%s: status and message of the last try are lost: %d %q", method, e.Status, e.Message)
	}
	if got != want || e.Attempts != want {
		t.Errorf("%s was sent %d times and says %d, want %d", method, got, e.Attempts, want)
	}
	for _, other := range []error{ErrInvalid, ErrUnauthenticated, ErrForbidden, ErrNotFound, ErrTokenLimit, ErrRateLimited, ErrUnavailable, ErrUnexpectedAnswer, ErrOutcomeUnknown} {
		var unknown *RevokeError
		if errors.Is(other, ErrOutcomeUnknown) && errors.As(err, &unknown) {
			continue // the token that is to be revoked is not in the list
		}
		if errors.Is(err, other) && other != sentinel { //nolint:errorlint // identity is meant
			t.Errorf("%s: the error matches %v too", method, other)
		}
	}
}

func TestRetriesUntilItWorks(t *testing.T) {
	api := newFakeAPI(t)
	api.add("ci", nil, randomPAT())
	api.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
		switch n {
		case 1:
			cut(w)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
			return true
		case 3: // breaks off in the middle of a good answer
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[{"id":`))
			cut(w)
		}
		return false
	}
	tokens, err := newTestCaller(t, api.URL).ListTokens(t.Context())
	if err != nil || len(tokens) != 1 || api.count(http.MethodGet) != 4 {
		t.Errorf("got %v, %v after %d requests", tokens, err, api.count(http.MethodGet))
	}
}

func TestN4_RetryAfterIsWaitedFor(t *testing.T) {
	t.Parallel()
	wrongClock := time.Now().Add(-100 * time.Hour).UTC()
	for name, fields := range map[string]map[string]string{
		"seconds":          {"Retry-After": "1"},
		"date":             {"Retry-After": wrongClock.Add(time.Second).Format(http.TimeFormat), "Date": wrongClock.Format(http.TimeFormat)},
		"relative reset":   {"X-RateLimit-Reset": "1"},
		"reset of a draft": {"RateLimit-Reset": "1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := newFakeAPI(t)
			api.fault = func(n int, w http.ResponseWriter, _ *http.Request) bool {
				if n > 1 {
					return false
				}
				for k, v := range fields {
					w.Header().Set(k, v)
				}
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			start := time.Now()
			_, err := newTestCaller(t, api.URL).ListTokens(t.Context())
			if took := time.Since(start); err != nil || took < time.Second || took > 5*time.Second {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}

func TestN3_TooLongAWaitIsHandedBack(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(srv.Close)
	_, err := newTestCaller(t, srv.URL).ListTokens(t.Context())
	e := mustError(t, err)
	if e.RetryAfter != time.Hour || e.Attempts != 1 || !strings.Contains(e.Error(), "try again in 1h") {
		t.Errorf("got %v after %d tries, RetryAfter %s", e, e.Attempts, e.RetryAfter)
	}
}

func TestWaitBeyondTheDeadlineIsNotBegun(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "20")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(srv.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	start := time.Now()
	_, err := newTestCaller(t, srv.URL).ListTokens(ctx)
	if e := mustError(t, err); e.Status != 503 || e.RetryAfter != 20*time.Second || time.Since(start) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
}

func TestContextEndsAWaitAtOnce(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			api := newFakeAPI(t)
			ctx, cancel := context.WithCancel(t.Context())
			api.fault = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				if r.Method != method {
					return false
				}
				w.Header().Set("Retry-After", "25")
				w.WriteHeader(http.StatusTooManyRequests)
				return true
			}
			// A call that ends before its answer is there would be another matter.
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			u := newTestCaller(t, api.URL, WithTransport(roundTripper(func(r *http.Request) (*http.Response, error) {
				answer, err := transport.RoundTrip(r)
				if err == nil && answer.StatusCode == http.StatusTooManyRequests {
					answer.Body = whenClosed{answer.Body, func() { time.AfterFunc(50*time.Millisecond, cancel) }}
				}
				return answer, err
			})))
			var err error
			start := time.Now()
			switch method {
			case http.MethodGet:
				_, err = u.ListTokens(ctx)
			case http.MethodDelete:
				err = u.RevokeToken(ctx, "pat_1")
			case http.MethodPost:
				_, err = u.CreateToken(ctx, NewToken{Name: "ci"})
			}
			if took := time.Since(start); took > 5*time.Second || !errors.Is(err, context.Canceled) {
				t.Errorf("after %s: %v", took, err)
			}
			if e := mustError(t, err); e.Code != CodeCanceled {
				t.Errorf("code is %s", e.Code)
			}
			var doubt *CreateError
			if errors.As(err, &doubt) || api.count(method) != 1 {
				t.Errorf("a refusal is no doubt: %v", err)
			}
		})
	}
}

// whenClosed is the body of an answer, and does something when it was read.
type whenClosed struct {
	io.ReadCloser
	do func()
}

func (w whenClosed) Close() error {
	w.do()
	return w.ReadCloser.Close()
}

func TestContextIsVisible(t *testing.T) {
	stuck := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(stuck) })

	t.Run("deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := newTestCaller(t, srv.URL).ListTokens(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := newTestCaller(t, srv.URL).ListTokens(ctx)
		if !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("ended before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newTestCaller(t, srv.URL).ListTokens(ctx)
		if e := mustError(t, err); !errors.Is(err, context.Canceled) || e.Attempts != 0 {
			t.Errorf("error is %v", err)
		}
	})
	t.Run("the timeout of a try is not the caller's", func(t *testing.T) {
		_, err := newTestCaller(t, srv.URL, WithTimeout(20*time.Millisecond)).ListTokens(t.Context())
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		var timeout net.Error
		if e := mustError(t, err); e.Attempts != 4 || !errors.As(err, &timeout) || !timeout.Timeout() || !strings.Contains(e.Error(), "in time") {
			t.Errorf("after %d tries: %v", e.Attempts, e)
		}
	})
}

func TestR25_SlowBodyIsCutByTheTimeout(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("[")) // the client may have gone
		_ = http.NewResponseController(w).Flush()
		<-release
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(release) })
	_, err := newTestCaller(t, srv.URL, WithTimeout(50*time.Millisecond), WithRetry(0, 0, 0)).ListTokens(t.Context())
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("error is %v", err)
	}
}

// refusing is an address where nothing listens: its port is one that the system
// gives to nobody by itself.
const refusing = "127.0.0.1:1"

func TestConnectionRefusedIsToldInWords(t *testing.T) {
	u := newTestCaller(t, "http://"+refusing)
	for name, do := range map[string]func() error{
		"GET":    func() error { _, err := u.ListTokens(t.Context()); return err },
		"DELETE": func() error { return u.RevokeToken(t.Context(), "pat_1") },
		"POST":   func() error { _, err := u.CreateToken(t.Context(), NewToken{Name: "ci"}); return err },
	} {
		err := do()
		e := mustError(t, err)
		if !errors.Is(err, ErrUnavailable) || e.Attempts != 4 || !strings.Contains(e.Error(), "could not connect to "+refusing+" (connection refused)") {
			t.Errorf("%s: %v after %d tries", name, err, e.Attempts)
		}
		var doubt *CreateError
		var dial *net.OpError
		if errors.As(err, &doubt) || !errors.As(err, &dial) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestBackoffGrowsWithinItsBounds(t *testing.T) {
	const minWait, maxWait = 100 * time.Millisecond, time.Second
	seen := map[time.Duration]bool{}
	for attempt := range 100 {
		ceiling := min(maxWait, minWait<<min(attempt, 10))
		got := pause(minWait, maxWait, attempt, nil)
		if got < ceiling/2 || got > ceiling {
			t.Errorf("attempt %d waits %s, want %s to %s", attempt, got, ceiling/2, ceiling)
		}
		seen[got] = true
	}
	if len(seen) < 50 {
		t.Errorf("only %d different pauses in 100: no jitter", len(seen))
	}
	if got := pause(0, 0, 0, nil); got != 0 {
		t.Errorf("without pauses it waits %s", got)
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	for _, tc := range []struct {
		name   string
		status int
		fields map[string]string
		want   time.Duration
		ok     bool
	}{
		{"none", 503, nil, 0, false},
		{"seconds", 503, map[string]string{"Retry-After": " 7 "}, 7 * time.Second, true},
		{"zero", 503, map[string]string{"Retry-After": "0"}, 0, true},
		{"negative", 503, map[string]string{"Retry-After": "-1"}, time.Second, false},
		{"fraction", 503, map[string]string{"Retry-After": "1.5"}, 2 * time.Second, true},
		{"overflow", 503, map[string]string{"Retry-After": "9223372036854775807"}, longestWait, true},
		{"beyond int64", 503, map[string]string{"Retry-After": "99999999999999999999"}, longestWait, true},
		{"a sign", 503, map[string]string{"Retry-After": "+5"}, time.Second, false},
		{"date", 503, map[string]string{"Retry-After": date(90 * time.Second)}, 90 * time.Second, true},
		{"date in the past", 503, map[string]string{"Retry-After": date(-time.Hour)}, 0, true},
		{"words", 503, map[string]string{"Retry-After": "later"}, time.Second, false},
		{"reset of a 503", 503, map[string]string{"X-RateLimit-Reset": "5"}, 0, false},
		{"relative reset", 429, map[string]string{"X-RateLimit-Reset": "5"}, 5 * time.Second, true},
		{"Unix reset", 429, map[string]string{"X-RateLimit-Reset": fmt.Sprint(now.Add(12 * time.Second).Unix())}, 12 * time.Second, true},
		{"Retry-After before reset", 429, map[string]string{"Retry-After": "2", "X-RateLimit-Reset": "5"}, 2 * time.Second, true},
	} {
		header := http.Header{"Date": {date(0)}}
		for k, v := range tc.fields {
			header.Set(k, v)
		}
		if got, ok := retryAfter(tc.status, header); got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %s, %t, want %s, %t", tc.name, got, ok, tc.want, tc.ok)
		}
	}
}

// go-retryablehttp closes idle connections after each failed call; here that
// would let one user's failures cost everybody else new handshakes.
func TestFailuresLeaveConnectionsOpen(t *testing.T) {
	var connections atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusBadGateway, nil)
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	u := newTestCaller(t, srv.URL)
	for range 3 {
		if _, err := u.ListTokens(t.Context()); !errors.Is(err, ErrUnavailable) {
			t.Error(err)
		}
	}
	if got := connections.Load(); got != 1 {
		t.Errorf("12 requests in turn took %d connections", got)
	}
}

func TestOnceIsTriedOnce(t *testing.T) {
	api := newFakeAPI(t)
	api.fault = func(_ int, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	_, err := newTestCaller(t, api.URL).ListTokens(Once(t.Context()))
	if !errors.Is(err, ErrUnavailable) || api.count(http.MethodGet) != 1 {
		t.Errorf("got %v after %d requests", err, api.count(http.MethodGet))
	}
}
