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
