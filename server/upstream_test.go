package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
)

// unwell is an API that is asked for tokens and is not well.
type unwell struct {
	*httptest.Server
	mu    sync.Mutex
	tries []time.Time
	whose int // tries of GET /me
}

// answerWith starts an API that answers the nth try, from 0 on, with answer. It
// knows every token.
func answerWith(t testing.TB, answer func(w http.ResponseWriter, n int)) *unwell {
	t.Helper()
	u := &unwell{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/org-units" { // about a token that is new
			w.Header().Set("Connection", "close") // a broken connection that was used before is not counted
			wellNow(w)
			return
		}
		u.mu.Lock()
		if r.URL.Path == "/me" {
			u.whose++
			u.mu.Unlock()
			answer(w, 0)
			return
		}
		n := len(u.tries)
		u.tries = append(u.tries, time.Now())
		u.mu.Unlock()
		answer(w, n)
	}))
	t.Cleanup(u.Close)
	return u
}

func (u *unwell) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.tries)
}

// serveWith serves callers of an API, with a client that has the patience of
// the real one but for the time of one try.
func serveWith(t testing.TB, url string, perTry time.Duration) *httpHouse {
	t.Helper()
	return serveHTTP(t, func(_ *house, config *server.HTTPConfig) {
		api, err := client.New(client.WithBaseURL(url), client.WithTimeout(perTry))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(api.CloseIdleConnections)
		config.API = api
	})
}

func (h *httpHouse) listTokens(t testing.TB) (answer toolAnswer, took time.Duration) {
	t.Helper()
	began := time.Now()
	answer = h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{}}).message(t).tool(t)
	return answer, time.Since(began)
}

func wellNow(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`[]`)) // the test sees whether it arrived
}

func refuse(w http.ResponseWriter, status int, retryAfter string) {
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
}

func TestUpstream_WaitsAreThoseThatTheAPIAskedFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status     int
		retryAfter func() string
		least      time.Duration
	}{
		"429 in seconds": {429, func() string { return "2" }, 2 * time.Second},
		// A date has whole seconds, so up to one of the three is gone.
		"429 at a date":      {429, func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) }, 1900 * time.Millisecond},
		"503 in seconds":     {503, func() string { return "2" }, 2 * time.Second},
		"503 at a date":      {503, func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) }, 1900 * time.Millisecond},
		"503 without a word": {503, func() string { return "" }, 100 * time.Millisecond},
		"429 without a word": {429, func() string { return "" }, 100 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api := answerWith(t, func(w http.ResponseWriter, n int) {
				if n == 0 {
					refuse(w, c.status, c.retryAfter())
					return
				}
				wellNow(w)
			})
			answer, took := serveWith(t, api.URL, time.Minute).listTokens(t)
			if answer.IsError || api.count() != 2 || took < c.least || took > c.least+3*time.Second {
				t.Errorf("after %d tries in %s: %s", api.count(), took, answer.text())
			}
		})
	}
}

func TestUpstream_LongWaitsAreTheCallersToTake(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		words      string
		least      int
	}{
		"429 in seconds": {429, "3600", "rate_limited: ", 3600},
		"429 at a date":  {429, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), "rate_limited: ", 3500},
		"503 in seconds": {503, "3600", "unavailable: ", 3600},
	} {
		api := answerWith(t, func(w http.ResponseWriter, _ int) { refuse(w, c.status, c.retryAfter) })
		answer, took := serveWith(t, api.URL, time.Minute).listTokens(t)
		_, wait, told := strings.Cut(answer.text(), "\nWait: ")
		var seconds int
		if _, err := fmt.Sscanf(wait, "%d seconds", &seconds); err != nil || !told || seconds < c.least || seconds > 3600 {
			t.Errorf("%s: the wait that is told is %q", name, wait)
		}
		if !answer.IsError || !strings.HasPrefix(answer.text(), c.words) || api.count() != 1 || took > 3*time.Second {
			t.Errorf("%s: after %d tries in %s: %s", name, api.count(), took, answer.text())
		}
	}
}

func TestUpstream_ThatFailsIsTriedFourTimesAndNoMore(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) }) // before the servers close, which wait for their requests
	for name, answer := range map[string]func(w http.ResponseWriter, n int){
		"503": func(w http.ResponseWriter, _ int) { refuse(w, 503, "") },
		"500": func(w http.ResponseWriter, _ int) { refuse(w, 500, "") },
		"an answer that breaks off": func(w http.ResponseWriter, _ int) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[`))
		},
		"a connection that breaks off": func(http.ResponseWriter, int) { panic(http.ErrAbortHandler) },
		"no answer in time": func(http.ResponseWriter, int) {
			select {
			case <-stuck:
			case <-time.After(2 * time.Second):
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := answerWith(t, answer)
			perTry := time.Minute
			if name == "no answer in time" {
				perTry = 300 * time.Millisecond
			}
			got, took := serveWith(t, api.URL, perTry).listTokens(t)
			if !got.IsError || !strings.HasPrefix(got.text(), "unavailable: ") || api.count() != 4 || took > 10*time.Second {
				t.Errorf("after %d tries in %s: %s", api.count(), took, got.text())
			}
			if text := strings.ReplaceAll(got.text(), strings.TrimPrefix(api.URL, "http://"), "HOST"); strings.Contains(text, "127.0.0.1") || strings.Contains(got.text(), "EOF") || strings.Contains(got.text(), "http:") {
				t.Errorf("the words are Go's: %s", got.text())
			}
		})
	}
}

func TestUpstream_ThatIsDown(t *testing.T) {
	api := answerWith(t, func(w http.ResponseWriter, _ int) { wellNow(w) })
	h := serveWith(t, api.URL, time.Minute)
	if answer, _ := h.listTokens(t); answer.IsError {
		t.Fatalf("while it is up: %s", answer.text())
	}
	api.Close()
	answer, took := h.listTokens(t)
	if !answer.IsError || !strings.HasPrefix(answer.text(), "unavailable: ") || took > 10*time.Second {
		t.Errorf("after %s: %s", took, answer.text())
	}
}

func TestUpstream_ThatFlapsIsNotNoticed(t *testing.T) {
	api := answerWith(t, func(w http.ResponseWriter, n int) {
		if n%2 == 0 {
			refuse(w, 503, "")
			return
		}
		wellNow(w)
	})
	h := serveWith(t, api.URL, time.Minute)
	const calls = 20
	for range calls {
		if answer, _ := h.listTokens(t); answer.IsError {
			t.Errorf("a call: %s", answer.text())
		}
	}
	if api.count() != 2*calls {
		t.Errorf("%d tries for %d calls", api.count(), calls)
	}
}

// A hundred callers of an API that is not well must not make it worse: no more
// tries than each has, and spread out, since callers who failed together would
// otherwise come back together.
func TestUpstream_NoStorm(t *testing.T) {
	const callers = 100
	// The machine may hold up all of them at once, and let them go together, at
	// times. A storm would be one each time.
	busiest := callers
	for range 5 {
		if busiest = min(busiest, busiestOf(t, callers)); busiest <= callers*2/3 {
			return
		}
	}
	t.Errorf("at best %d tries came within %s", busiest, stormSlice)
}

// stormSlice is the time in which most of the callers must not come back.
const stormSlice = 20 * time.Millisecond

// busiestOf has so many callers ask an API that is not well at once, and returns
// how many of their further tries came within one stormSlice.
func busiestOf(t *testing.T, callers int) (busiest int) {
	t.Helper()
	api := answerWith(t, func(w http.ResponseWriter, _ int) { refuse(w, 503, "") })
	h := serveWith(t, api.URL, time.Minute)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			if answer, _ := h.listTokens(t); !strings.HasPrefix(answer.text(), "unavailable: ") {
				t.Error(answer.text())
			}
		})
	}
	all.Wait()
	if api.count() != 4*callers {
		t.Errorf("%d tries for %d calls", api.count(), callers)
	}
	if api.whose > 1 {
		t.Errorf("the API was asked %d times whose the one token is", api.whose)
	}
	first, last := api.tries[0], api.tries[len(api.tries)-1]
	if spread := last.Sub(first); spread < 700*time.Millisecond {
		t.Errorf("all tries came within %s", spread)
	}
	for i, at := range api.tries {
		if at.Sub(first) < 100*time.Millisecond {
			continue // the callers came together
		}
		n := 0
		for _, later := range api.tries[i:] {
			if later.Sub(at) < stormSlice {
				n++
			}
		}
		busiest = max(busiest, n)
	}
	t.Logf("%d tries in %s, at most %d within %s", api.count(), last.Sub(first), busiest, stormSlice)
	return busiest
}

// What may have acted is not tried again.
func TestUpstream_CreateIsTriedOnce(t *testing.T) {
	var mu sync.Mutex
	posts := 0
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			mu.Lock()
			posts++
			mu.Unlock()
			refuse(w, 500, "")
			return
		}
		wellNow(w)
	}))
	t.Cleanup(api.Close)
	h := serveWith(t, api.URL, time.Minute)
	answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "create_token", "arguments": map[string]any{"name": "x", "expires": "7d"}})
	if text := answer.message(t).tool(t).text(); posts != 1 || !strings.HasPrefix(text, "unavailable: ") || !strings.Contains(text, "no token was made") {
		t.Errorf("after %d tries: %s", posts, text)
	}
}
