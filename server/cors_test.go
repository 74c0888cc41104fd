package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/server"
)

func TestA11_PagesOfAllowedOriginsAlone(t *testing.T) {
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) { c.AllowedOrigins = []string{"https://tools.example.com"} })
	const good, evil = "https://tools.example.com", "https://evil.example"
	preflight := headers{"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version"}

	answer := h.do(t, "OPTIONS", "/mcp", preflight.with("Origin", good), "")
	if answer.status != http.StatusNoContent || answer.header.Get("Access-Control-Allow-Origin") != good {
		t.Errorf("preflight: status %d, %v", answer.status, answer.header)
	}
	allowed := strings.ToLower(answer.header.Get("Access-Control-Allow-Headers"))
	for _, name := range []string{"authorization", "content-type", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "x-api-key", "traceparent", "tracestate"} {
		if !strings.Contains(allowed, name) {
			t.Errorf("preflight does not allow %s", name)
		}
	}
	if methods := answer.header.Get("Access-Control-Allow-Methods"); methods != "POST, GET, DELETE" {
		t.Errorf("preflight allows %s", methods)
	}
	if answer := h.do(t, "OPTIONS", "/mcp", headers{"Origin", good}, ""); answer.status != http.StatusMethodNotAllowed {
		t.Errorf("OPTIONS that is no preflight: status %d", answer.status)
	}

	for _, c := range []struct {
		shows  string
		header headers
		status int
	}{
		{"a call", bearer(h.pat), 200},
		{"no token", nil, 401}, // the page must be able to read why
	} {
		answer := h.post(t, c.header.with("Origin", good), initialize(t, 1, noCapabilities))
		if answer.status != c.status || answer.header.Get("Access-Control-Allow-Origin") != good ||
			!strings.Contains(answer.header.Get("Access-Control-Expose-Headers"), "Mcp-Session-Id") || answer.header.Get("Vary") != "Origin" {
			t.Errorf("%s: status %d, %v", c.shows, answer.status, answer.header)
		}
		if answer.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are welcome", c.shows)
		}
	}

	for _, header := range []headers{preflight.with("Origin", evil), bearer(h.pat).with("Origin", evil), bearer(h.pat).with("Origin", "null")} {
		for _, method := range []string{"OPTIONS", "POST", "GET"} {
			answer := h.do(t, method, "/mcp", header, initialize(t, 1, noCapabilities))
			if answer.status != http.StatusForbidden || answer.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s from elsewhere: status %d, %v", method, answer.status, answer.header)
			}
		}
	}
	if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.header.Get("Access-Control-Allow-Origin") != "" || answer.header.Get("Vary") != "Origin" {
		t.Errorf("without an Origin: %v", answer.header)
	}
}
