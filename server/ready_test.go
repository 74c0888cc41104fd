package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
)

// weather is a way to the API that can be good or bad.
type weather struct {
	*httptest.Server
	t        *testing.T
	mu       sync.Mutex
	status   int // 0 passes requests on
	silence  chan struct{}
	requests atomic.Int64
	arrived  chan struct{}
}

// newWeather is the way to a house's API.
func newWeather(t *testing.T, h *house) *weather {
	t.Helper()
	target, err := url.Parse(h.api.URL)
	if err != nil {
		t.Fatal(err)
	}
	w := &weather{t: t, arrived: make(chan struct{}, 1000)}
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		if r.Header["Authorization"] != nil || r.Header["X-Api-Key"] != nil {
			t.Error("the probe brings a token")
		}
		w.mu.Lock()
		status, silence := w.status, w.silence
		w.mu.Unlock()
		w.arrived <- struct{}{}
		if silence != nil {
			select {
			case <-silence:
			case <-r.Context().Done():
				return
			}
		}
		if status != 0 {
			rw.WriteHeader(status)
			return
		}
		pass.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.Close)
	return w
}

func (w *weather) change(status int, silence chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status, w.silence = status, silence
}

// clock stands still but for what it is told to pass.
type clock struct {
	start  time.Time
	passed atomic.Int64
}

func newClock() *clock { return &clock{start: time.Now()} }

func (c *clock) now() time.Time { return c.start.Add(time.Duration(c.passed.Load())) }

func (c *clock) pass(d time.Duration) { c.passed.Add(int64(d)) }

// serveReady serves a house whose readiness goes by clock and sees the API
// through weather, for which requests wait as long as patience.
func serveReady(t *testing.T, patience time.Duration) (*httpHouse, *weather, *clock) {
	t.Helper()
	h := newHouse(t, byRequest)
	w := newWeather(t, h)
	api, err := client.New(client.WithBaseURL(w.URL), client.WithRetry(0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdleConnections)
	c := newClock()
	return listen(t, h, server.Ready(api, c.now, patience)), w, c
}

const ready = `{"status":"ready"}` + "\n"

func unavailable(reason string) string {
	return `{"reason":"` + reason + `","status":"unavailable"}` + "\n"
}

func (h *httpHouse) expectReady(t *testing.T, what, want string) {
	t.Helper()
	status := http.StatusServiceUnavailable
	if want == ready {
		status = http.StatusOK
	}
	answer := h.do(t, "GET", "/readyz", nil, "")
	if answer.status != status || answer.body != want || answer.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: status %d, %s; want %d, %s", what, answer.status, answer.body, status, want)
	}
}

// awaitReady waits for the first answer of the API, which may take longer than a
// request waits for it.
func (h *httpHouse) awaitReady(t *testing.T) {
	t.Helper()
	await(t, "the first answer", func() bool { return h.do(t, "GET", "/readyz", nil, "").status == http.StatusOK })
}

func TestReady_FollowsTheAPI(t *testing.T) {
	h, w, c := serveReady(t, patience)
	h.expectReady(t, "at the start", ready)
	if n := w.requests.Load(); n != 1 {
		t.Errorf("%d questions to the API", n)
	}
	for _, step := range []struct {
		status int
		want   string
	}{
		{503, unavailable("api_failing")}, {500, unavailable("api_failing")}, {302, unavailable("api_unexpected")},
		{401, ready}, {429, ready}, {502, unavailable("api_failing")}, {0, ready},
	} {
		w.change(step.status, nil)
		c.pass(6 * time.Second)
		h.expectReady(t, "status "+http.StatusText(step.status), step.want)
	}
	w.Close()
	h.expectReady(t, "right after the API went away", ready)
	c.pass(6 * time.Second)
	h.expectReady(t, "without an API", unavailable("api_unreachable"))
}

func TestReady_AsksOnceHoweverManyAsk(t *testing.T) {
	h, w, c := serveReady(t, patience)
	silence := make(chan struct{})
	w.change(0, silence)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { h.expectReady(t, "while the first answer is awaited", ready) })
	}
	<-w.arrived
	close(silence)
	all.Wait()
	for range 50 {
		h.expectReady(t, "from what is remembered", ready)
	}
	if n := w.requests.Load(); n != 1 {
		t.Errorf("%d questions to the API, want one", n)
	}
	c.pass(6 * time.Second)
	h.expectReady(t, "later", ready)
	if n := w.requests.Load(); n != 2 {
		t.Errorf("%d questions to the API, want two", n)
	}
}

func TestReady_ASilentAPIHoldsNobodyUp(t *testing.T) {
	h, w, c := serveReady(t, 0)
	h.awaitReady(t)
	silence := make(chan struct{})
	w.change(0, silence)
	c.pass(6 * time.Second)
	began := time.Now()
	h.expectReady(t, "silent for a moment", ready)
	c.pass(10 * time.Second)
	h.expectReady(t, "silent for longer", unavailable("api_silent"))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("two answers took %s", took)
	}
	if n := w.requests.Load(); n != 2 {
		t.Errorf("%d questions to the API at once", n-1)
	}
	close(silence)
	w.change(0, nil)
	c.pass(6 * time.Second)
	h.expectReady(t, "back again", ready)
}

func TestReady_NotWhileTheServerEnds(t *testing.T) {
	h, w, _ := serveReady(t, patience)
	silence := make(chan struct{})
	defer close(silence)
	w.change(0, silence)
	answered := make(chan httpAnswer, 1)
	go func() { answered <- h.do(t, "GET", "/readyz", nil, "") }()
	<-w.arrived
	if err := h.stop(); err != nil {
		t.Error(err)
	}
	if answer := <-answered; answer.status != http.StatusServiceUnavailable || answer.body != unavailable("draining") {
		t.Errorf("status %d, %s", answer.status, answer.body)
	}
}

func TestReady_NeedsNoTokenAndTellsNoMore(t *testing.T) {
	h := serveHTTP(t)
	h.awaitReady(t)
	h.expectReady(t, "without a token", ready)
	for _, c := range []struct {
		method string
		status int
		body   string
	}{{"HEAD", 200, ""}, {"POST", 404, "not_found"}, {"DELETE", 404, "not_found"}} {
		if answer := h.do(t, c.method, "/readyz", nil, ""); answer.status != c.status || !strings.Contains(answer.body, c.body) {
			t.Errorf("%s: status %d, %s", c.method, answer.status, answer.body)
		}
	}
	if answer := h.do(t, "GET", "/readyz", headers{"Host", "10.0.0.7:8765"}, ""); answer.status != http.StatusOK {
		t.Errorf("under another name: status %d", answer.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	recorder := httptest.NewRecorder()
	server.Ready(nil, time.Now, patience).ServeHTTP(recorder, httptest.NewRequestWithContext(ctx, "GET", "/readyz", nil))
	if recorder.Code != http.StatusOK && recorder.Body.String() != unavailable("api_silent") {
		t.Errorf("whoever went away: status %d, %s", recorder.Code, recorder.Body)
	}
}
