package server_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
)

// decoy is somebody else's server, which must never be asked.
func decoy(t testing.TB) (url string, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[]") // whoever comes here has failed
	}))
	t.Cleanup(s.Close)
	return s.URL, asked
}

// hostileAPI is an API of whose answers the test decides, and what it was asked.
type hostileAPI struct {
	mu      sync.Mutex
	answers http.HandlerFunc
	asked   []string
}

func (a *hostileAPI) set(answers http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answers, a.asked = answers, nil
}

func (a *hostileAPI) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *hostileAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked = append(a.asked, r.Method+" "+r.RequestURI)
	answers := a.answers
	a.mu.Unlock()
	answers(w, r)
}

// serveHostile serves the tools over an API of whose answers the test decides.
func serveHostile(t *testing.T) (*httpHouse, *hostileAPI) {
	t.Helper()
	hostile := &hostileAPI{}
	upstream := httptest.NewServer(hostile)
	t.Cleanup(upstream.Close)
	api, err := client.New(client.WithBaseURL(upstream.URL), client.WithRetry(0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdleConnections)
	return serveHTTP(t, func(_ *house, c *server.HTTPConfig) { c.API = api }), hostile
}

func answeringJSON(header http.Header, status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a client that has read enough is part of the tests
	}
}

// everyCall is a call of each tool.
var everyCall = map[string]map[string]any{
	"whoami":       {},
	"list_tokens":  {"status": "all"},
	"create_token": {"name": "x", "expires": "7d"},
	"revoke_token": {"id": "pat_1"},
	"rotate_token": {"id": "pat_1"},
}

func TestA12_NothingInARequestChoosesTheAPI(t *testing.T) {
	elsewhere, asked := decoy(t)
	var own *atomic.Int32
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) { c.API, own = countingAPI(t, h) })
	host := strings.TrimPrefix(elsewhere, "http://")
	before := own.Load()
	for _, header := range []headers{
		{"X-Forwarded-Host", host}, {"Forwarded", "host=" + host}, {"X-Kenbun-Api-Url", elsewhere}, {"Kenbun-Api-Url", elsewhere}, {"X-Original-Url", elsewhere},
		{"X-Rewrite-Url", elsewhere}, {"Referer", elsewhere}, {"Location", elsewhere}, {"Host", host}, {"Proxy", elsewhere}, {"Http-Proxy", elsewhere},
	} {
		h.modern(t, bearer(h.pat).with(header...), 1, "tools/call", map[string]any{"name": "whoami"})
	}
	for _, target := range []string{elsewhere, "http://169.254.169.254/latest/meta-data", "http://[::ffff:7f00:1]/", "http://0x7f.1/", "http://2130706433/", "file:///etc/passwd"} {
		for name, arguments := range everyCall {
			for _, key := range []string{"url", "api_url", "base_url", "api", "server", "host", "endpoint", "callback"} {
				with := map[string]any{key: target}
				for k, v := range arguments {
					with[k] = v
				}
				answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": name, "arguments": with}).message(t).tool(t)
				if !strings.HasPrefix(answer.text(), "invalid_argument: ") {
					t.Errorf("%s with %s: %s", name, key, answer.text())
				}
			}
		}
		r := h.newRequest(t, "POST", "/mcp?url="+target+"&api_url="+target, bearer(h.pat), initialize(t, 1, noCapabilities))
		h.send(t, r)
	}
	if own.Load() == before {
		t.Error("the API itself was not asked")
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
}

func TestA13_RedirectsOfTheAPITakeNoTokenAlong(t *testing.T) {
	elsewhere, asked := decoy(t)
	h, api := serveHostile(t)
	known := randomToken()
	api.set(answeringJSON(nil, http.StatusOK, "[]"))
	if answer := h.post(t, bearer(known), initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
		t.Fatalf("a token that works: status %d, %s", answer.status, answer.body)
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere, "//" + strings.TrimPrefix(elsewhere, "http://"), strings.Replace(elsewhere, "127.0.0.1", "localhost", 1)} {
			api.set(answeringJSON(http.Header{"Location": {to + "/settings/tokens"}}, status, "[]"))
			if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != http.StatusServiceUnavailable {
				t.Errorf("%d to %s lets in: status %d, %s", status, to, answer.status, answer.body)
			}
			if to != elsewhere || status == 301 || status == 303 {
				continue // a call whose outcome is not known looks for it, which takes its time
			}
			for name, arguments := range everyCall {
				if answer := h.modern(t, bearer(known), 1, "tools/call", map[string]any{"name": name, "arguments": arguments}).message(t).tool(t); !answer.IsError {
					t.Errorf("%d to %s: %s says %s", status, to, name, answer.text())
				}
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
	if len(api.requests()) == 0 {
		t.Error("the API was not asked")
	}
}

// No link in what the API answers is followed.
func TestA14_LinksInWhatTheAPIAnswersAreNotFollowed(t *testing.T) {
	elsewhere, asked := decoy(t)
	h, api := serveHostile(t)
	link := http.Header{
		"Link": {"<" + elsewhere + "/settings/tokens?page=2>; rel=\"next\""}, "Location": {elsewhere + "/settings/tokens/pat_2"}, "Content-Location": {elsewhere},
		"Refresh": {"0; url=" + elsewhere}, "X-Next-Page": {elsewhere}, "Alt-Svc": {`h2="` + strings.TrimPrefix(elsewhere, "http://") + `"`},
	}
	row := `{"id":"pat_1","name":"x","token_prefix":"kbn_pat_00000001","created_at":"2026-01-01T00:00:00Z","next":%[1]q,"next_cursor":%[1]q,"links":{"self":%[1]q},"url":%[1]q,"href":%[1]q}`
	row = fmt.Sprintf(row, elsewhere+"/settings/tokens/pat_1")
	for _, body := range []string{"[" + row + "]", fmt.Sprintf(`{"data":[%s],"next":%q,"links":{"next":%q}}`, row, elsewhere, elsewhere), row, "{}"} {
		for _, status := range []int{200, 201, 202} {
			api.set(answeringJSON(link, status, body))
			for name, arguments := range everyCall {
				answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": name, "arguments": arguments})
				if strings.Contains(answer.body, strings.TrimPrefix(elsewhere, "http://")) {
					t.Errorf("%s: the answer leads elsewhere: %s", name, answer.body)
				}
			}
			if len(api.requests()) == 0 {
				t.Error("the API was not asked")
			}
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("another server was asked %d times", n)
	}
}

func TestA15_IDsThatLeadElsewhereGoNowhere(t *testing.T) {
	h, api := serveHostile(t)
	for _, id := range []string{
		"", ".", "..", "../me", "..%2fme", "%2e%2e", "%2e%2e%2fme", "pat_1/../../me", `..\me`, "pat_1;x", "pat_1?x", "pat_1#x", "/etc/passwd", "pat_1\x00", "pat_1\r\nX-A: b", " pat_1", "pat_1/",
		"pat_\u202e1", "http://evil.example", strings.Repeat("a", 5000),
	} {
		api.set(answeringJSON(nil, http.StatusOK, `[{"id":"pat_1","name":"x","token_prefix":"kbn_pat_00000001","created_at":"2026-01-01T00:00:00Z"}]`))
		for _, tool := range []string{"revoke_token", "rotate_token"} {
			answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": tool, "arguments": map[string]any{"id": id}}).message(t).tool(t)
			if !answer.IsError {
				t.Errorf("%s %.30q: %s", tool, id, answer.text())
			}
		}
		for _, request := range api.requests() {
			if request != "GET /settings/tokens" && request != "GET /org-units" { // which tells whether a new token works
				t.Errorf("%.30q: the API was asked %s", id, request)
			}
		}
	}
}

// Whatever the API answers: nobody is let in by it, nothing of its words comes
// through, and it costs little.
func TestA24_A25_HostileAPIBehindTheServer(t *testing.T) {
	h, api := serveHostile(t)
	before := heapSpans()
	peak, stop := watchHeap()
	for name, answers := range map[string]http.HandlerFunc{
		"a page": answeringJSON(http.Header{"Content-Type": {"text/html"}}, 200, "<html>upstream words</html>"),
		"zeros without end": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 64 {
				if _, err := w.Write([]byte(strings.Repeat(" ", 1<<20))); err != nil {
					return
				}
			}
		},
		"a bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 256 {
				if _, err := z.Write([]byte(strings.Repeat(" ", 1<<20))); err != nil {
					return
				}
			}
			_ = z.Close() // the other side has hung up
		},
		"a long head":     answeringJSON(http.Header{"X-Pad": {strings.Repeat("upstream words", 200_000)}}, 200, "[]"),
		"an error":        answeringJSON(nil, 500, `{"error":"upstream words"}`),
		"broken off":      answeringJSON(http.Header{"Content-Length": {"100"}}, 200, "["),
		"no answer":       func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"not even a page": answeringJSON(nil, 200, `{"upstream words":1}`),
		"nested":          answeringJSON(nil, 200, strings.Repeat("[", 500_000)),
	} {
		api.set(answers)
		for era, answer := range map[string]httpAnswer{
			"2025-11-25":  h.post(t, bearer(randomToken()), initialize(t, 1, noCapabilities)),
			modernVersion: h.modern(t, bearer(randomToken()), 1, "tools/list", nil),
		} {
			if answer.status != http.StatusServiceUnavailable || strings.Contains(answer.body, "upstream") || answer.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("%s, %s: status %d, %.300s", name, era, answer.status, answer.body)
			}
		}
	}
	stop()
	if grown := int64(peak.Load()) - int64(before); grown > 48<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}
