package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/size"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// user is somebody with a token.
type user struct{ email, pat string }

// users adds n users to the API.
func (h *house) users(t testing.TB, n int) []user {
	t.Helper()
	users := make([]user, n)
	for i := range users {
		email := fmt.Sprintf("user%05d@example.com", i)
		users[i] = user{email, h.api.User(t, email, authority.RoleMember)}
	}
	return users
}

// whoIs makes one call of the user's in one of both eras, and says what is
// wrong with the answer.
func (h *httpHouse) whoIs(t testing.TB, u user, era int) error {
	body := map[string]any{"name": "whoami", "arguments": map[string]any{}}
	var answer httpAnswer
	if era%2 == 0 {
		answer = h.modern(t, bearer(u.pat), 1, "tools/call", body)
	} else {
		session := h.session(t, bearer(u.pat), noCapabilities)
		answer = h.post(t, session, request(t, 1, "tools/call", body))
		h.do(t, http.MethodDelete, "/mcp", session, "")
	}
	var who struct {
		Result struct {
			Structured struct {
				User struct{ Email string }
			} `json:"structuredContent"`
		}
	}
	if err := json.Unmarshal([]byte(answer.body), &who); err != nil || who.Result.Structured.User.Email != u.email {
		return fmt.Errorf("%s is told: status %d, %s", u.email, answer.status, answer.body)
	}
	return nil
}

// heapAfterGC is what is held in memory, in bytes.
func heapAfterGC() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers let go of
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestA28_ManyUsersInTurnLeaveNothingBehind(t *testing.T) {
	n := size.Of(1100, 2000, 10_000)
	h := serveHTTP(t, func(_ *house, config *server.HTTPConfig) {
		config.Limits = edge.Limits{PerUser: 120, PerAddress: 10_000_000} // all come from one
	})
	users := h.users(t, n)
	// The API is in this process too, and remembers tokens that were used.
	api := h.api.Client(t)
	for _, u := range users {
		if _, err := api.As(client.Credential{PAT: client.NewSecret(u.pat)}).OrgUnits(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var after1000 uint64
	for i, u := range users {
		if err := h.whoIs(t, u, i); err != nil {
			t.Fatal(err)
		}
		if i == 999 {
			after1000 = heapAfterGC()
		}
	}
	end := heapAfterGC()
	t.Logf("%d users in turn: heap %d KiB after 1,000, %d KiB at the end (%.2f x)", n, after1000>>10, end>>10, float64(end)/float64(after1000))
	if float64(end) > 1.10*float64(after1000) {
		t.Errorf("the heap grew from %d KiB to %d KiB", after1000>>10, end>>10)
	}
	runtime.KeepAlive(users) // they are there at both times
}

func TestA27_AHundredUsersAtOnceForAMinute(t *testing.T) {
	lasts := size.Of(time.Second, 5*time.Second, time.Minute)
	var api *client.Client
	h := serveHTTP(t, func(_ *house, config *server.HTTPConfig) { api = config.API })
	users := h.users(t, 100)
	before := runtime.NumGoroutine()
	ends := time.Now().Add(lasts)
	var calls atomic.Int64
	var all sync.WaitGroup
	for worker, u := range users {
		all.Go(func() {
			for round := worker; time.Now().Before(ends); round++ {
				if err := h.whoIs(t, u, round); err != nil {
					t.Error(err)
					return
				}
				calls.Add(1)
			}
		})
	}
	all.Wait()
	h.client.CloseIdleConnections()
	api.CloseIdleConnections()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before+10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines before, %d after", before, runtime.NumGoroutine())
		}
	}
	t.Logf("%d calls by 100 users at once in %s", calls.Load(), lasts)
}

func TestA26_AbandonedSessionsAreSweptAndTheirMemoryComesBack(t *testing.T) {
	const idle = 200 * time.Millisecond
	clock := newClock()
	h := serveHTTP(t, func(h *house, config *server.HTTPConfig) {
		h.SetSessionClock(clock.now)
		config.SessionIdle = idle
	})
	users := h.users(t, 10)
	open := func(n int) {
		for i := range n {
			h.session(t, bearer(users[i%len(users)].pat), asksPeople)
		}
	}
	swept := func() {
		clock.pass(2 * idle)
		for deadline := time.Now().Add(patience); h.OpenSessions() > 0; time.Sleep(idle / 20) {
			if time.Now().After(deadline) {
				t.Fatalf("%d sessions stay", h.OpenSessions())
			}
		}
	}
	open(100) // what is made once
	swept()
	before := heapAfterGC()
	open(1000)
	full := heapAfterGC()
	if h.OpenSessions() != 1000 {
		t.Fatalf("%d sessions are open", h.OpenSessions())
	}
	swept()
	after := heapAfterGC()
	t.Logf("heap: %d KiB before, %d KiB with 1,000 sessions, %d KiB after the sweep", before>>10, full>>10, after>>10)
	if float64(after) > 1.10*float64(before) {
		t.Errorf("the heap went from %d KiB to %d KiB", before>>10, after>>10)
	}
}

// A session outlives its first message by far, and of what a client says of itself
// in there only what it can do is of use.
func TestA28_SessionsKeepNothingOfWhatClientsTellOfThemselves(t *testing.T) {
	h := serveHTTP(t)
	filler := strings.Repeat("x", 100<<10)
	capabilities := map[string]any{
		"elicitation":  map[string]any{},
		"experimental": map[string]any{"x": make([]struct{}, 4_000)}, // nearly as many values as a message may hold
		"extensions":   map[string]any{"x": filler},
	}
	hello := request(t, 0, "initialize", map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": capabilities,
		"clientInfo": map[string]any{"name": filler, "version": filler, "icons": []any{map[string]any{"src": filler}}},
	})
	open := func(n int) {
		for range n {
			if answer := h.post(t, bearer(h.pat), hello); answer.status != http.StatusOK {
				t.Fatalf("status %d, %s", answer.status, answer.body)
			}
		}
	}
	open(1) // what is made once
	before := heapAfterGC()
	open(50)
	if grown := int64(heapAfterGC()) - int64(before); grown > 2<<20 {
		t.Errorf("50 sessions take %d KiB", grown>>10)
	}
	runtime.KeepAlive(h)
}

// A body of fifty megabytes is refused after the first, by whatever means its
// length is told.
func TestA22_HugeBodyCostsNoMemory(t *testing.T) {
	h := serveHTTP(t)
	const size = 50 << 20
	before := heapSpans()
	peak, stop := watchHeap()
	for name, length := range map[string]int64{"told": size, "not told": -1} {
		r := h.newRequest(t, "POST", "/mcp", bearer(h.pat), "")
		r.Body = io.NopCloser(io.LimitReader(endless{}, size))
		r.ContentLength = length
		response, err := h.client.Do(r)
		if err != nil {
			continue // cut off while it was still sending
		}
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: status %d", name, response.StatusCode)
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	if grown := int64(peak.Load()) - int64(before); grown > 16<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if answer := h.modern(t, bearer(h.pat), 1, "tools/list", nil); answer.status != http.StatusOK {
		t.Errorf("the next request: status %d", answer.status)
	}
}

// endless is a text without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, strings.Repeat("x", len(p))), nil }

// heapSpans is what watchHeap begins with, in bytes: spans in which other tests
// left a little are in use, too.
func heapSpans() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what finalizers let go of
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// watchHeap notes the most that is in use until stop is called.
func watchHeap() (peak *atomic.Uint64, stop func()) {
	peak = &atomic.Uint64{}
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapInuse))
			select {
			case <-ending:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return peak, func() { close(ending); <-ended }
}
