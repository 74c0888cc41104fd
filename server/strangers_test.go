package server_test

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server/internal/rpc"
)

// status reads the status of an answer on a connection.
func status(t testing.TB, reader *bufio.Reader) int {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return 0
	}
	_ = response.Body.Close() // its head is what counts
	return response.StatusCode
}

// head writes the head of a request for the MCP endpoint whose body has size
// bytes, or comes in chunks for a size below 0.
func head(header headers, size int) string {
	text := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	if size < 0 {
		text += "Transfer-Encoding: chunked\r\n"
	} else {
		text += fmt.Sprintf("Content-Length: %d\r\n", size)
	}
	for i := 0; i < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	return text + "\r\n"
}

// A stranger is answered without a byte of the body, however small it is.
func TestA22_NothingOfAStrangersBodyIsWaitedFor(t *testing.T) {
	h := serveHTTP(t)
	for name, c := range map[string]struct {
		beginning string
		want      int
	}{
		"no token, large":            {head(nil, 1<<20), 401},
		"no token, small":            {head(nil, 100), 401},
		"unknown token, small":       {head(bearer(randomToken()), 100) + "{", 401},
		"unknown token, chunked":     {head(bearer(randomToken()), -1), 401},
		"malformed token, large":     {head(bearer("x"), 1<<20), 401},
		"unknown token, large":       {head(bearer(randomToken()), 1<<20), 401},
		"unknown token, in chunks":   {head(bearer(randomToken()), -1) + "4001\r\n" + strings.Repeat(" ", 16<<10+1), 401},
		"two tokens, large":          {head(bearer(randomToken()).with("X-API-Key", randomToken()), 1<<20), 400},
		"another host, large":        {strings.Replace(head(bearer(h.pat), 1<<20), "localhost", "evil.example", 1), 403},
		"another origin, large":      {head(bearer(h.pat).with("Origin", "https://evil.example"), 1<<20), 403},
		"too large, a user":          {head(bearer(h.pat), 1<<20+1), 413},
		"compressed, a user":         {head(bearer(h.pat).with("Content-Encoding", "gzip"), 1<<20), 415},
		"unknown token, a large GET": {strings.Replace(head(bearer(randomToken()), 1<<20), "POST", "GET", 1), 401},
	} {
		began := time.Now()
		connection := dialFrom(t, h, "127.0.0.1", c.beginning)
		if got := status(t, bufio.NewReader(connection)); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		}
		if took := time.Since(began); took > 2*time.Second { // a head has 5 s
			t.Errorf("%s: answered after %s", name, took)
		}
	}
	// A user's large body is waited for.
	connection := dialFrom(t, h, "127.0.0.1", head(bearer(h.pat), 1<<20))
	message := initialize(t, 1, noCapabilities)
	if _, err := connection.Write([]byte(message + strings.Repeat(" ", 1<<20-len(message)))); err != nil {
		t.Fatal(err)
	}
	if got := status(t, bufio.NewReader(connection)); got != http.StatusOK {
		t.Errorf("a user's large body: status %d", got)
	}
}

// The number of values in a message is bounded as its depth is, on both
// transports: a megabyte of members would take many times its size.
func TestA22_MessagesOfManyValuesAreRefused(t *testing.T) {
	message := func(values int) string {
		return `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"note":"[[,,,{{,","x":[` + strings.Repeat("0,", values-8) + `0]}}`
	}
	p := startStdio(t, newHouse(t))
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	p.send(message(rpc.MaxValues))
	p.answer("1")
	if answer := h.post(t, session, message(rpc.MaxValues)); answer.status != http.StatusOK {
		t.Errorf("as many as there may be: status %d, %s", answer.status, answer.body)
	}
	for what, text := range map[string]string{
		"one more": message(rpc.MaxValues + 1),
		"members":  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{` + strings.Repeat(`"a":0,`, rpc.MaxValues) + `"b":0}}`,
		"objects":  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":[` + strings.Repeat(`{}`, rpc.MaxValues) + `]}}`,
	} {
		p.send(text)
		if m := p.next(); m.Error == nil || m.Error.Code != mcp.INVALID_REQUEST || !strings.Contains(m.Error.Message, "too many values") {
			t.Errorf("%s, over stdio: %s %+v", what, m.Result, m.Error)
		}
		if answer := h.post(t, session, text); answer.status != http.StatusBadRequest || !strings.Contains(answer.body, "too many values") {
			t.Errorf("%s, over HTTP: status %d, %s", what, answer.status, answer.body)
		}
	}
}
