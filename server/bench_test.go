package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/server"
)

// BenchmarkHTTP_Call is what a tool call over HTTP takes of this package, the
// tool and the client, without sockets to the caller and with an API that costs
// nothing.
func BenchmarkHTTP_Call(b *testing.B) {
	h := newHouse(b, byRequest)
	api, err := client.New(client.WithBaseURL("http://127.0.0.1:1"), client.WithTransport(emptyList{}))
	if err != nil {
		b.Fatal(err)
	}
	handler, err := h.HTTPHandler(server.HTTPConfig{API: api})
	if err != nil {
		b.Fatal(err)
	}
	body := modern(b, 1, "tools/call", map[string]any{"name": "list_tokens", "arguments": map[string]any{}})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/mcp", strings.NewReader(body))
		r.Host = "127.0.0.1"
		for name, value := range map[string]string{
			"Authorization": "Bearer " + h.pat, "Content-Type": "application/json",
			"Mcp-Protocol-Version": modernVersion, "Mcp-Method": "tools/call", "Mcp-Name": "list_tokens",
		} {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), "structuredContent") {
			b.Fatal(w.Code, w.Body)
		}
	}
}

// emptyList is an API whose users have no tokens.
type emptyList struct{}

func (emptyList) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader("[]")), ContentLength: 2, Request: r,
	}, nil
}
