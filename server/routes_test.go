package server_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

func TestHTTP_Routes(t *testing.T) {
	h := serveHTTP(t)
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/healthz", 200, `{"status":"ok"}`},
		{"HEAD", "/healthz", 200, ""},
		{"POST", "/healthz", 404, "not_found"},
		{"GET", "/readyz", 200, `{"status":"ready"}`},
		{"HEAD", "/readyz", 200, ""},
		{"POST", "/readyz", 404, "not_found"},
		{"GET", "/.well-known/oauth-protected-resource", 404, "invalid_request"},
		{"GET", "/.well-known/oauth-protected-resource/mcp", 404, "invalid_request"},
		{"GET", "/.well-known/oauth-authorization-server", 404, "invalid_request"},
		{"GET", "/.well-known/openid-configuration", 404, "invalid_request"},
		{"GET", "/", 404, "not_found"},
		{"POST", "/", 404, "not_found"},
		{"POST", "/mcp/x", 404, "not_found"},
		{"POST", "/MCP", 404, "not_found"},
		{"POST", "/mcp%2f", 404, "not_found"},
		{"POST", "/x/../mcp", 404, "not_found"},
		{"GET", "/metrics", 404, "not_found"},
		{"GET", "/debug/pprof/", 404, "not_found"},
		{"GET", "/sse", 404, "not_found"},
		{"HEAD", "/mcp", 405, ""},
		{"PUT", "/mcp", 405, "method_not_allowed"},
		{"PATCH", "/mcp", 405, "method_not_allowed"},
		{"OPTIONS", "/mcp", 405, "method_not_allowed"},
		{"TRACE", "/mcp", 405, "method_not_allowed"},
	} {
		answer := h.do(t, c.method, c.path, nil, "")
		if answer.status != c.status || !strings.Contains(answer.body, c.body) {
			t.Errorf("%s %s: status %d, %s", c.method, c.path, answer.status, answer.body)
		}
		if answer.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: Content-Type %q", c.method, c.path, answer.header.Get("Content-Type"))
		}
		if c.status == 405 && answer.header.Get("Allow") != "POST, GET, DELETE" {
			t.Errorf("%s %s: Allow %q", c.method, c.path, answer.header.Get("Allow"))
		}
		if len(answer.header.Get("X-Request-Id")) != 16 || answer.header.Get("Server") != "" || answer.header.Get("X-Powered-By") != "" {
			t.Errorf("%s %s: headers %v", c.method, c.path, answer.header)
		}
	}
	if answer := h.do(t, "GET", "/healthz", nil, ""); answer.body != `{"status":"ok"}`+"\n" {
		t.Errorf("A60: health says %q", answer.body)
	}
}

func TestR33_HTTPPanicOfAToolCostsOneCall(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "panic", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, err := notifying(ctx, r); err != nil {
			return nil, err
		}
		panic("the inner workings")
	})
	session := h.session(t, bearer(h.pat), noCapabilities)
	for range 20 {
		for _, answer := range []httpAnswer{
			h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "panic"}),
			h.post(t, session, call(t, 1, "panic", nil)),
			h.post(t, session, call(t, 1, "panic", map[string]any{"n": 0})),
		} {
			m := answer.message(t)
			if m.Error == nil || m.Error.Code != mcp.INTERNAL_ERROR || string(m.ID) != "1" {
				t.Errorf("status %d, %s", answer.status, answer.body)
			}
			if strings.Contains(answer.body, "inner workings") || strings.Contains(answer.body, "goroutine") {
				t.Errorf("the answer tells too much: %s", answer.body)
			}
		}
	}
	if text := h.post(t, session, call(t, 2, "whoami", nil)).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("the next call: %s", text)
	}
}

func TestR33_HTTPPanicOutsideOfToolsCostsOneRequest(t *testing.T) {
	h := newHouse(t)
	var log lockedBuffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	served := listen(t, h, server.RecoverPanics(logger, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/begun":
			_, _ = w.Write([]byte(strings.Repeat("half an answer ", 1000))) // what the client reads shows it
			panic("the inner workings")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/mcp":
			panic("the inner workings")
		}
	})))
	answer := served.do(t, "GET", "/mcp", nil, "")
	if answer.status != http.StatusInternalServerError || answer.problem(t) != "internal" || strings.Contains(answer.body, "inner") {
		t.Errorf("status %d, %s", answer.status, answer.body)
	}
	for _, path := range []string{"/begun", "/abort"} {
		response, err := served.client.Do(served.newRequest(t, "GET", path, nil, ""))
		if err == nil {
			var rest []byte
			rest, err = io.ReadAll(response.Body)
			if closing := response.Body.Close(); closing != nil {
				t.Error(closing)
			}
			if strings.Contains(string(rest), "error") {
				t.Errorf("%s: the answer goes on with an error: %s", path, rest)
			}
		}
		if err == nil {
			t.Errorf("%s: half an answer passes for a whole one", path)
		}
	}
	if answer := served.do(t, "GET", "/next", nil, ""); answer.status != http.StatusOK {
		t.Errorf("the next request: status %d", answer.status)
	}
	if err := served.stop(); err != nil {
		t.Fatal(err)
	}
	if text := log.String(); strings.Count(text, `"msg":"request"`) != 4 || strings.Count(text, "panic while") != 2 || !strings.Contains(text, `"status":500`) {
		t.Errorf("the log: %s", text)
	}
}

// lockedBuffer takes a log from many goroutines.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func TestR1_LogHoldsNoTokenWhereverItWasSent(t *testing.T) {
	h := newHouse(t, byRequest)
	var log lockedBuffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	toolbox, err := toolsets.New(toolsets.Config{
		Callers: identity.RequestCallers(), Deliverer: delivery.None{}, Policy: unhurriedPolicy(), APIAddress: h.api.URL, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server.New(server.Config{Version: "1", Toolbox: toolbox, Logger: logger})
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	pat := h.pat
	served.do(t, "POST", "/mcp?token="+pat, bearer(pat), initialize(t, 1, noCapabilities))
	served.do(t, "POST", "/mcp/"+pat, bearer(pat), initialize(t, 1, noCapabilities))
	served.do(t, "GET", "/"+pat+"?"+pat, headers{"Cookie", pat, "Referer", pat, "User-Agent", pat}, "")
	served.do(t, "DELETE", "/mcp", headers{"X-API-Key", pat, "Mcp-Session-Id", pat}, pat)
	served.post(t, bearer(pat).with("Host", pat), pat)
	served.post(t, bearer(pat).with("Origin", pat), pat)
	served.modern(t, bearer(pat), pat, "tools/call", map[string]any{"name": "revoke_token", "arguments": map[string]any{"id": pat}})
	served.modern(t, bearer(pat), pat, "tools/call", map[string]any{"name": pat})
	served.modern(t, bearer(pat), pat, pat, nil)
	served.do(t, strings.ToUpper(pat), "/mcp", bearer(pat), "")
	if err := served.stop(); err != nil {
		t.Fatal(err)
	}
	text := log.String()
	if strings.Count(text, `"msg":"request"`) != 10 {
		t.Errorf("%d of 10 requests are in the log", strings.Count(text, `"msg":"request"`))
	}
	if strings.Contains(strings.ToLower(text), strings.ToLower(pat[len("kbn_pat_")+8:])) {
		t.Error("the log holds the token")
	}
	if !strings.Contains(text, `"path":"/mcp","status":200`) || !strings.Contains(text, `"path":"other","status":404`) {
		t.Errorf("the log lacks what happened: %s", text)
	}
}
