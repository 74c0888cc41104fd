package client

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// listing is an API whose list is what write writes, which gets the number of
// the request from 1 on.
func listing(t *testing.T, write func(n int, w io.Writer)) *httptest.Server {
	t.Helper()
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		buffered := bufio.NewWriter(w)
		write(int(requests.Add(1)), buffered)
		_ = buffered.Flush() // the client may have had enough
	}))
	t.Cleanup(srv.Close)
	return srv
}

// writeTokens writes a list of n tokens, with its brackets.
func writeTokens(w io.Writer, n int, name string) {
	_, _ = io.WriteString(w, "[")
	for i := range n {
		if i > 0 {
			_, _ = io.WriteString(w, ",")
		}
		_, err := fmt.Fprintf(w, `{"id":"pat_%020d","name":%q,"token_prefix":"kbn_pat_%08x","created_at":"2026-03-28T10:00:00Z","last_used_at":null,"expires_at":null,"revoked_at":"2026-03-29T10:00:00Z"}`, i, name, i)
		if err != nil {
			return // the client has had enough
		}
	}
	_, _ = io.WriteString(w, "]")
}

// heap is how much memory is in use after a collection.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func TestLongListsAreReadInBoundedMemory(t *testing.T) {
	const tokens = 100_000
	u := newTestCaller(t, listing(t, func(_ int, w io.Writer) { writeTokens(w, tokens, "nightly import") }).URL)
	before, most, n := heap(), uint64(0), 0
	err := u.ReadTokens(t.Context(), func() func(*Token) {
		n = 0
		return func(token *Token) {
			if token.RevokedAt == nil {
				t.Errorf("token %d is %+v", n, token)
			}
			if n++; n%(tokens/4) == 0 {
				most = max(most, heap())
			}
		}
	})
	if err != nil || n != tokens {
		t.Fatalf("%d tokens: %v", n, err)
	}
	if grown := int64(most) - int64(before); grown > 4<<20 {
		t.Errorf("reading them took %d KiB of memory", grown>>10)
	}
	if all, err := u.ListTokens(t.Context()); err != nil || len(all) != tokens {
		t.Errorf("kept whole: %d tokens, %v", len(all), err)
	}
}

func TestEndlessListsEnd(t *testing.T) {
	endless := func(entry string) *Caller {
		return newTestCaller(t, listing(t, func(_ int, w io.Writer) {
			_, err := io.WriteString(w, "["+entry)
			for err == nil {
				_, err = io.WriteString(w, ","+entry)
			}
		}).URL, WithTimeout(time.Minute))
	}
	small := endless(`{"id":"a","created_at":"2026-03-28T10:00:00Z"}`)
	large := endless(`{"id":"a","created_at":"2026-03-28T10:00:00Z","name":"` + strings.Repeat("x", 30<<10) + `"}`)
	ignore := func() func(*Token) { return func(*Token) {} }
	if err := small.ReadTokens(t.Context(), ignore); !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), "more than 1000000 entries") {
		t.Errorf("read: %v", err)
	}
	if _, err := large.ListTokens(t.Context()); !errors.Is(err, ErrUnexpectedAnswer) || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("kept whole: %v", err)
	}
}

func TestSlowEndlessListIsCutByTheTimeout(t *testing.T) {
	u := newTestCaller(t, listing(t, func(_ int, w io.Writer) {
		_, err := io.WriteString(w, "[")
		for err == nil {
			_, err = io.WriteString(w, strings.Repeat(" ", 4096))
			time.Sleep(20 * time.Millisecond)
		}
	}).URL, WithTimeout(60*time.Millisecond), WithRetry(0, 0, 0))
	if _, err := u.ListTokens(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "in time") {
		t.Errorf("error is %v", err)
	}
}

// What a try brought that broke off does not count twice.
func TestBrokenListStartsAnew(t *testing.T) {
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var list strings.Builder
		writeTokens(&list, 1000, "x")
		if requests.Add(1) < 3 {
			w.Header().Set("Content-Length", fmt.Sprint(list.Len()))
			_, _ = io.WriteString(w, list.String()[:list.Len()/2])
			return
		}
		_, _ = io.WriteString(w, list.String())
	}))
	t.Cleanup(srv.Close)
	u := newTestCaller(t, srv.URL, WithRetry(3, time.Millisecond, time.Millisecond))
	tokens, err := u.ListTokens(t.Context())
	if err != nil || len(tokens) != 1000 || requests.Load() != 3 {
		t.Errorf("%d tokens after %d requests: %v", len(tokens), requests.Load(), err)
	}
	u = newTestCaller(t, srv.URL, WithRetry(1, time.Millisecond, time.Millisecond))
	requests.Store(0)
	if _, err := u.ListTokens(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("one that always breaks off: %v", err)
	}
}

// A token can be made, and a lost one be found and revoked, among very many.
func TestCreateAmongManyTokens(t *testing.T) {
	api := newFakeAPI(t)
	old := time.Date(2026, 3, 28, 10, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		api.tokens = append(api.tokens, Token{ID: fmt.Sprintf("pat_old%d", i), Name: "nightly", Prefix: fmt.Sprintf("kbn_pat_%08x", i), CreatedAt: old, RevokedAt: &old})
	}
	u := newTestCaller(t, api.URL)
	if _, err := u.CreateToken(t.Context(), NewToken{Name: "nightly"}); err != nil {
		t.Fatal(err)
	}
	api.shape = func(answer map[string]any) { delete(answer, "id") } // nobody knows which it is
	_, err := u.CreateToken(t.Context(), NewToken{Name: "lost"})
	mustCreateError(t, err, OutcomeRevoked)
}
