package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/server"
)

var allowedHosts = []string{"mcp.example.com", "Ported.Example.COM:8443", "192.0.2.1", "2001:db8::1", "[2001:db8::2]", "[2001:db8::3]:9000", "xn--bcher-kva.example", "kelvin.example"}

var hostCases = map[string]bool{
	"localhost": true, "localhost:1": true, "LOCALHOST:8765": true, "127.0.0.1": true, "127.0.0.1:65535": true,
	"127.1.2.3": true, "[::1]": true, "[::1]:8765": true, "[0:0:0:0:0:0:0:1]": true, "[::ffff:127.0.0.1]:1": true,
	"mcp.example.com": true, "mcp.example.com:443": true, "MCP.Example.Com": true,
	"ported.example.com:8443": true, "192.0.2.1": true, "192.0.2.1:80": true,
	"[2001:db8::1]": true, "[2001:db8::1]:443": true, "[2001:0DB8:0::1]:443": true,
	"[2001:db8::2]": true, "[2001:db8::2]:443": true, "[2001:db8::3]:9000": true,
	"xn--bcher-kva.example": true, "XN--Bcher-KVA.example:443": true,

	"": false, "evil.example": false, "evil.example:8765": false, "localhost.": false, "localhost.evil.example": false,
	"evil-localhost": false, "127.0.0.1.evil.example": false, "127.0.0.1.": false, "127.1": false, "2130706433": false,
	"0x7f.0.0.1": false, "0177.0.0.1": false, "0.0.0.0": false, "[::]": false, "[::1%25lo]": false, "[fe80::1]": false,
	"mcp.example.com.": false, "www.mcp.example.com": false, "mcp.example.com.evil.example": false, "xmcp.example.com": false,
	"ported.example.com": false, "ported.example.com:8444": false, "[2001:db8::3]": false, "[2001:db8::3]:9001": false,
	"localhost]": false, "[localhost]": false, "localhost:": false, "localhost:evil.example": false, "localhost:80:80": false,
	"user@localhost": false, "localhost/x": false, "localhost?x": false, "localhost#x": false, "localhost,evil.example": false,
	"xn--bcher-\u212ava.example": false,
	" localhost":                 false, "localhost ": false, "local host": false, "localhost\x00": false,
	"::1": false, "::1:8765": false, "0:0:0:0:0:0:0:1": false, "::ffff:127.0.0.1": false, "2001:db8::1": false, "2001:db8::1:443": false,
	"[::1": false, "[::1]x": false, "[::1]:": false, "[::1]]": false, "[::1]:x": false, "[[::1]]": false, "[127.0.0.1]": false, "[::1%lo]": false,
	"localhost:+80": false, "localhost:65536": false, "localhost:-1": false, "localhost: 80": false,
	"localho\u017ft": false, "\u212aelvin.example": false, "KELVIN.example": true, "\u212aELVIN.example:443": false,
	"bücher.example": false, "ｌocalhost": false, "localhost\u200b": false, "%6cocalhost": false,
}

func TestR28_Hosts(t *testing.T) {
	for host, want := range hostCases {
		got, err := server.AllowsHost(allowedHosts, host)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("Host %q: %t, want %t", host, got, want)
		}
	}
	for _, entry := range []string{"", " ", "*", "*.example.com", "http://mcp.example.com", "mcp.example.com/", "user@mcp.example.com", "a b", "bücher.example", "mcp.example.com:x", "mcp.example.com:", "2001:db8::1:443:x", "\u212aelvin.example"} {
		if _, err := server.AllowsHost([]string{entry}, "localhost"); err == nil || !strings.Contains(err.Error(), "is not a host: write") {
			t.Errorf("allowed host %q: %v", entry, err)
		}
	}
}

func TestR28_Origins(t *testing.T) {
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	guard, err := server.HostGuard(nil, []string{"https://tools.example.com", "http://localhost:3000/", "HTTPS://Upper.Example.com:443", "https://[2001:DB8::1]:9", "https://xn--bcher-kva.example", "https://kelvin.example"}, passed)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		origins []string
		want    bool
	}{
		{nil, true},
		{[]string{"https://tools.example.com"}, true},
		{[]string{"HTTPS://TOOLS.example.com"}, true},
		{[]string{"http://localhost:3000"}, true},
		{[]string{"https://upper.example.com"}, true},
		{[]string{"https://[2001:db8::1]:9"}, true},
		{[]string{"https://xn--bcher-kva.example"}, true},
		{[]string{"https://Kelvin.example"}, true},
		{[]string{"https://\u212aelvin.example"}, false},
		{[]string{"http\u017f://kelvin.example"}, false},
		{[]string{""}, false},
		{[]string{"null"}, false},
		{[]string{"*"}, false},
		{[]string{"http://tools.example.com"}, false},
		{[]string{"https://tools.example.com."}, false},
		{[]string{"https://tools.example.com:444"}, false},
		{[]string{"https://tools.example.com:443"}, false},
		{[]string{"https://tools.example.com/"}, false},
		{[]string{"https://tools.example.com.evil.example"}, false},
		{[]string{"https://eviltools.example.com"}, false},
		{[]string{"https://evil.example/https://tools.example.com"}, false},
		{[]string{"https://tools.example.com@evil.example"}, false},
		{[]string{"http://localhost"}, false},
		{[]string{"http://localhost:3001"}, false},
		{[]string{"http://127.0.0.1:3000"}, false},
		{[]string{"https://bücher.example"}, false},
		{[]string{"https://xn--bcher-\u212ava.example"}, false},
		{[]string{"file://"}, false},
		{[]string{"chrome-extension://tools.example.com"}, false},
		{[]string{"https://tools.example.com https://evil.example"}, false},
		{[]string{"https://tools.example.com, https://evil.example"}, false},
		{[]string{"https://tools.example.com", "https://evil.example"}, false},
		{[]string{"https://tools.example.com", "https://tools.example.com"}, false},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", nil)
		for _, origin := range c.origins {
			r.Header.Add("Origin", origin)
		}
		recorder := httptest.NewRecorder()
		guard.ServeHTTP(recorder, r)
		if got := recorder.Code == http.StatusTeapot; got != c.want {
			t.Errorf("Origin %q: status %d, want it to pass: %t", c.origins, recorder.Code, c.want)
		}
	}
	for _, entry := range []string{"", "*", "tools.example.com", "https://", "https://*.example.com", "://x", "1app://x", "app://", "app://a/b", "app://u@x", "app://a b", "app:x", "https://tools.example.com/x", "https://u@tools.example.com", "https://tools.example.com?x", "https://tools.example.com?", "https://bücher.example", "https://::1", "https://\u212aelvin.example", "http\u017f://tools.example.com"} {
		if _, err := server.HostGuard(nil, []string{entry}, passed); err == nil || !strings.Contains(err.Error(), "is not an origin: write") {
			t.Errorf("allowed origin %q: %v", entry, err)
		}
	}
}

// Every method and every path is guarded, also those that need no token.
func TestR28_HostAndOriginOnEveryMethodAndPath(t *testing.T) {
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) {
		c.AllowedHosts = []string{"mcp.example.com"}
		c.AllowedOrigins = []string{"https://tools.example.com"}
	})
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
		for _, path := range []string{"/mcp", "/mcp/", "//mcp", "/healthz", "/readyz", "/", "/nothing", "/.well-known/oauth-protected-resource", "/.well-known/../mcp"} {
			for _, c := range []struct {
				host, origin string
				problem      string
			}{
				{"evil.example", "", "forbidden_host"},
				{"evil.example", "https://tools.example.com", "forbidden_host"},
				{"evil.example", "http://evil.example", "forbidden_host"}, // DNS rebinding
				{"localhost", "https://evil.example", "forbidden_origin"},
				{"mcp.example.com", "https://mcp.example.com", "forbidden_origin"},
				{"localhost", "null", "forbidden_origin"},
				{"localhost", "http://localhost", "forbidden_origin"},
				{"localhost", "", ""},
				{"mcp.example.com", "https://tools.example.com", ""},
			} {
				header := bearer(h.pat).with("Host", c.host)
				if c.origin != "" {
					header = header.with("Origin", c.origin)
				}
				if isHealth(method, path) {
					continue
				}
				answer := h.do(t, method, path, header, initialize(t, 1, noCapabilities))
				if c.problem == "" {
					if answer.status == http.StatusForbidden {
						t.Errorf("%s %s, Host %s, Origin %q: status %d", method, path, c.host, c.origin, answer.status)
					}
					continue
				}
				if answer.status != http.StatusForbidden || (method != "HEAD" && answer.problem(t) != c.problem) {
					t.Errorf("%s %s, Host %s, Origin %q: status %d, %s", method, path, c.host, c.origin, answer.status, answer.body)
				}
				if answer.header.Get("Mcp-Session-Id") != "" || answer.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("%s %s, Host %s, Origin %q: %v", method, path, c.host, c.origin, answer.header)
				}
			}
		}
	}
}

// isHealth reports whether a request is for what guards nothing.
func isHealth(method, path string) bool {
	return (path == "/healthz" || path == "/readyz") && (method == "GET" || method == "HEAD")
}

func TestA10_RebindingIsRefusedOnAnyAddress(t *testing.T) {
	h := serveHTTP(t)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{"127.0.0.1:1", "192.168.1.7:1", "[2001:db8::7]:1"} {
		for host, want := range map[string]int{"localhost:8765": 200, "rebound.evil.example:8765": 403, "192.168.1.2:8765": 403} {
			r := httptest.NewRequestWithContext(t.Context(), "POST", "http://"+host+"/mcp", strings.NewReader(initialize(t, 1, noCapabilities)))
			r.RemoteAddr = from
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+h.pat)
			r.Header.Set("X-Forwarded-Host", "localhost")
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, r)
			if recorder.Code != want {
				t.Errorf("from %s, Host %s: status %d, want %d", from, host, recorder.Code, want)
			}
		}
	}
}

func TestA10_HostIsReadOffTheWire(t *testing.T) {
	h := serveHTTP(t)
	address := strings.TrimPrefix(h.url, "http://")
	for head, want := range map[string]string{
		"GET /help HTTP/1.1\r\nHost: localhost\r\n":                                   "200",
		"GET /help HTTP/1.1\r\nHost: evil.example\r\n":                                "403",
		"GET /help HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n":             "400",
		"GET /help HTTP/1.1\r\n":                                                      "400",
		"GET /help HTTP/1.0\r\n":                                                      "403",
		"GET http://evil.example/help HTTP/1.1\r\nHost: localhost\r\n":                "403",
		"GET http://localhost/help HTTP/1.1\r\nHost: evil.example\r\n":                "200", // RFC 9112, section 3.2.2
		"GET /help HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: localhost\r\n": "403",
	} {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(connection, "%sConnection: close\r\n\r\n", head); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(connection).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		if !strings.HasPrefix(line, "HTTP/1.1 "+want) && !strings.HasPrefix(line, "HTTP/1.0 "+want) {
			t.Errorf("%q: %q, want %s", head, line, want)
		}
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestA11_WhatAFormCanSendIsNotRead(t *testing.T) {
	h := serveHTTP(t)
	before := h.delivered
	for _, contentType := range []string{"text/plain", "text/plain; charset=application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "application/jsonp", "text/json"} {
		for name, answer := range map[string]httpAnswer{
			"older":  h.post(t, bearer(h.pat).with("Content-Type", contentType), initialize(t, 1, noCapabilities)),
			"modern": h.modern(t, bearer(h.pat).with("Content-Type", contentType), 1, "tools/call", map[string]any{"name": "create_token", "arguments": map[string]any{"name": "x", "expires": "7d"}}),
		} {
			if answer.status < 400 || answer.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("Content-Type %q, %s: status %d, %s", contentType, name, answer.status, answer.body)
			}
		}
	}
	tokens, err := h.api.As(t, h.pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens, %v: something was made; delivered to %s", len(tokens), err, before)
	}
	if answer := h.post(t, bearer(h.pat).with("Content-Type", "Application/JSON; charset=utf-8"), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("JSON with a character set: status %d", answer.status)
	}
}
