package server_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// A refusal waits for nothing of a body, and then the connection ends, since
// nobody knows when the rest comes.
func TestA22_RefusalsWaitForNoBody(t *testing.T) {
	h := serveClaims(t, "", func(c *server.HTTPConfig) { c.Limits = edge.Limits{PerUser: 1} })
	beginning := func(line string, header ...string) string {
		text := line + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
		for i := 0; i < len(header); i += 2 {
			text += header[i] + ": " + header[i+1] + "\r\n"
		}
		return text + "\r\n{"
	}
	const claim = "/claim/claim_ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	for name, c := range map[string]struct {
		beginning string
		want      int
	}{
		"no token":            {beginning("POST /mcp"), 401},
		"unknown token":       {beginning("POST /mcp", bearer(randomToken())...), 401},
		"two tokens":          {beginning("POST /mcp", bearer(randomToken()).with("X-API-Key", "x")...), 400},
		"another method":      {beginning("PUT /mcp"), 405},
		"compressed":          {beginning("POST /mcp", "Content-Encoding", "gzip"), 415},
		"another path":        {beginning("POST /nothing"), 404},
		"another origin":      {beginning("POST /mcp", "Origin", "https://evil.example"), 403},
		"another host":        {strings.Replace(beginning("POST /mcp"), "localhost", "evil.example", 1), 403},
		"no claim":            {beginning("POST /claim/x"), 404},
		"a claim, with token": {beginning("POST "+claim, bearer(randomToken())...), 403},
		"a claim, PUT":        {beginning("PUT " + claim), 405},
		"a claim, elsewhere":  {beginning("POST "+claim, "Sec-Fetch-Site", "cross-site"), 403},
		"health":              {beginning("GET /healthz"), 200},
		"asks before":         {strings.TrimSuffix(beginning("POST /mcp", "Expect", "100-continue"), "{"), 401},
	} {
		begun := time.Now()
		connection := dialFrom(t, h.httpHouse, "127.0.0.1", c.beginning)
		if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(connection)
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if response.StatusCode != c.want || !response.Close {
			t.Errorf("%s: status %d, want %d; the connection ends: %t", name, response.StatusCode, c.want, response.Close)
		}
		if _, err := io.Copy(io.Discard, reader); err != nil {
			t.Errorf("%s: the connection does not end: %v", name, err)
		}
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("%s: it took %s", name, took)
		}
	}
}

// With HTTP/2 a refused request ends alone: others on its connection go on.
func TestA22_RefusalsOverHTTP2WaitForNoBody(t *testing.T) {
	h := serveTLS(t, newCertificate(t))
	made := 0
	counting := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
		if !got.Reused {
			made++
		}
	}})
	for range 3 {
		unfinished, writer := io.Pipe()
		r := h.newRequest(t, "POST", "/mcp", bearer(randomToken()), "")
		r.Body, r.ContentLength = unfinished, 100
		begun := time.Now()
		response, err := h.client.Do(r.WithContext(counting))
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusUnauthorized || response.ProtoMajor != 2 {
			t.Errorf("status %d over HTTP/%d", response.StatusCode, response.ProtoMajor)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Error(err)
		}
		_ = response.Body.Close() // it was read
		_ = writer.Close()
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		next, err := h.client.Do(h.newRequest(t, "POST", "/mcp", bearer(h.pat), initialize(t, 1, noCapabilities)).WithContext(counting))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, next.Body); err != nil || next.StatusCode != http.StatusOK {
			t.Errorf("the next request: status %d, %v", next.StatusCode, err)
		}
		_ = next.Body.Close() // it was read
	}
	if made != 1 {
		t.Errorf("%d connections were made, want 1", made)
	}
}
