package server_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/size"
	"github.com/kenbun/kenbun-mcp/server"
)

// settled waits until no more goroutines run than at the beginning, give or take
// those of connections that are kept.
func settled(t testing.TB, h *httpHouse, api *client.Client, before int) {
	t.Helper()
	await(t, "what was begun ends", func() bool {
		h.client.CloseIdleConnections()
		api.CloseIdleConnections()
		return runtime.NumGoroutine() <= before+8
	})
}

func TestA22_StreamsOpenedAndDroppedLeaveNothing(t *testing.T) {
	n := size.Of(200, 1000, 10_000)
	var api *client.Client
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) { api = c.API })
	session := h.session(t, bearer(h.pat), noCapabilities)
	drop := func(n int) {
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := range n / 4 {
					ctx, hangUp := context.WithCancel(t.Context())
					response, err := h.client.Do(h.newRequest(t, "GET", "/mcp", session, "").WithContext(ctx))
					if err != nil {
						t.Errorf("stream %d of worker %d: %v", i, worker, err)
						hangUp()
						return
					}
					hangUp()
					_ = response.Body.Close() // it was broken off
				}
			})
		}
		all.Wait()
	}
	drop(100) // what is made once
	before := runtime.NumGoroutine()
	heap := heapAfterGC()
	drop(n)
	settled(t, h, api, before)
	after := heapAfterGC()
	t.Logf("%d streams opened and dropped: heap %d KiB before, %d KiB after", n, heap>>10, after>>10)
	if grown := int64(after) - int64(heap); grown > 2<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if answer := h.post(t, session, request(t, 1, "ping", nil)); answer.status != http.StatusOK {
		t.Errorf("the session: status %d", answer.status)
	}
}

// A client may hang up at any time: what it began ends, and nothing of it is left.
func TestHTTP_ClientsThatHangUp(t *testing.T) {
	var api *client.Client
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) { api = c.API })
	begun, ended := make(chan struct{}), make(chan struct{})
	addTool(h.house, "work", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if _, err := notifying(ctx, r); err != nil {
			return nil, err
		}
		begun <- struct{}{}
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	})
	session := h.session(t, bearer(h.pat), asksPeople)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	before := runtime.NumGoroutine()
	write := func(text string) net.Conn { return dialFrom(t, h, "127.0.0.1", text) }
	whole := func(body string) string { return inSession(session, body) }
	for range 20 {
		for _, notifications := range []int{0, 3} {
			working := write(whole(call(t, 1, "work", map[string]any{"n": notifications})))
			<-begun
			_ = working.Close() // as a client that is gone
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatalf("with %d notifications: the handler goes on", notifications)
			}
		}
		asking := write(whole(call(t, 1, "revoke_token", map[string]any{"id": target.ID})))
		if line, err := bufio.NewReader(asking).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
			t.Errorf("%q, %v", line, err)
		}
		_ = asking.Close() // while it is asked

		text := whole(call(t, 1, "whoami", nil))
		for _, part := range []int{1, len(text) / 2, len(text) - 1, len(text)} {
			_ = write(text[:part]).Close() // before all is sent, and before the answer
		}
	}
	settled(t, h, api, before)
	if !h.works(t, target.Value) {
		t.Error("a question that nobody answered was a yes")
	}
	if text := h.post(t, session, call(t, 2, "whoami", nil)).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("the next call: %s", text)
	}
}

// inSession writes a request on the wire, with the headers of a session.
func inSession(session headers, body string) string {
	var head strings.Builder
	head.WriteString("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n")
	for i := 0; i < len(session); i += 2 {
		head.WriteString(session[i] + ": " + session[i+1] + "\r\n")
	}
	return head.String() + "\r\n" + body
}

// Requests of two users that follow each other on one connection, as a proxy
// sends them, are answered in their order and each to its own.
func TestA27_PipelinedRequestsOfTwoUsers(t *testing.T) {
	h := serveHTTP(t)
	users := []user{{"ada@example.com", h.pat}, {"ben@example.com", h.api.User(t, "ben@example.com", authority.RoleMember)}}
	sessions := []headers{h.session(t, bearer(users[0].pat), noCapabilities), h.session(t, bearer(users[1].pat), noCapabilities)}
	const n = 60
	var requests strings.Builder
	for i := range n {
		switch i % 6 {
		case 4: // one without a token, between theirs
			requests.WriteString(inSession(sessions[0][2:], call(t, i, "whoami", nil)))
		case 5: // one with the other's session
			requests.WriteString(inSession(bearer(users[0].pat).with(sessions[1][2:]...), call(t, i, "whoami", nil)))
		default:
			requests.WriteString(inSession(sessions[i%2], call(t, i, "whoami", nil)))
		}
	}
	connection := dialFrom(t, h, "127.0.0.1", requests.String())
	reader := bufio.NewReader(connection)
	for i := range n {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer := httpAnswer{response.StatusCode, response.Header, string(body)}
		switch i % 6 {
		case 4:
			if answer.status != http.StatusUnauthorized {
				t.Errorf("answer %d: status %d, %s", i, answer.status, body)
			}
		case 5:
			if answer.status != http.StatusNotFound {
				t.Errorf("answer %d: status %d, %s", i, answer.status, body)
			}
		default:
			m := answer.message(t)
			if text := m.tool(t).text(); string(m.ID) != strconv.Itoa(i) || !strings.Contains(text, users[i%2].email) || strings.Contains(text, users[1-i%2].email) {
				t.Errorf("answer %d: %s", i, body)
			}
		}
	}
}

// An error costs a request and not its connection, where it is beyond doubt
// where the request ended.
func TestHTTP_ConnectionsAfterErrors(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	good := inSession(session, request(t, 1, "ping", nil))
	for bad, want := range map[string]int{
		inSession(session, "nonsense"):                                                                 400,
		inSession(session[2:], request(t, 1, "ping", nil)):                                             401,
		inSession(bearer(randomToken()), "{}"):                                                         401,
		inSession(session.with("Origin", "null"), "{}"):                                                403,
		inSession(bearer(h.pat).with("Mcp-Session-Id", "A"), request(t, 1, "ping", nil)):               404,
		"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n":                                             404,
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n":                                                404,
		"TRACE /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n\r\n":                    405,
		strings.Replace(good, "POST", "PUT", 1):                                                        405,
		strings.Replace(good, "application/json", "text/plain", 1):                                     415,
		strings.Replace(good, "Host: localhost\r\n", "Host: localhost\r\nExpect: 100-continue\r\n", 1): 100,
	} {
		connection := dialFrom(t, h, "127.0.0.1", bad+good)
		reader := bufio.NewReader(connection)
		for i, status := range []int{want, 200} {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatalf("%.60q: answer %d: %v", bad, i, err)
			}
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != status || strings.Contains(string(body), "Bearer x") {
				t.Errorf("%.60q: answer %d has status %d, want %d: %s, %v", bad, i, response.StatusCode, status, body, err)
			}
		}
		_ = connection.Close() // it was read
	}
}

// Headers that come twice name nobody and nothing.
func TestA41_HeadersThatComeTwice(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	ping := request(t, 1, "ping", nil)
	for what, c := range map[string]struct {
		header headers
		want   int
	}{
		"Mcp-Session-Id":                     {session.with("Mcp-Session-Id", session[3]), 400},
		"Mcp-Session-Id, in lower case":      {session.with("mcp-session-id", "x"), 400},
		"Mcp-Session-Id, as one":             {bearer(h.pat).with("Mcp-Session-Id", session[3]+", "+session[3]), 404},
		"Mcp-Protocol-Version, of another":   {session.with("Mcp-Protocol-Version", "2025-06-18"), 400},
		"Mcp-Protocol-Version, of both eras": {session.with("Mcp-Protocol-Version", modernVersion), 400},
		"Mcp-Protocol-Version, as one":       {append(bearer(h.pat).with("Mcp-Session-Id", session[3]), "Mcp-Protocol-Version", "2025-11-25, 2025-06-18"), 400},
		"Authorization":                      {session.with("Authorization", session[1]), 400},
		"Authorization and X-API-Key":        {session.with("X-API-Key", h.pat), 400},
		"Origin":                             {session.with("Origin", "http://localhost", "Origin", "http://localhost"), 403},
		"nothing":                            {session, 200},
		"what means nothing, twice":          {session.with("X-A", "1", "X-A", "2"), 200},
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			if c.want == 200 && method != "POST" {
				continue
			}
			if answer := h.do(t, method, "/mcp", c.header, ping); answer.status != c.want {
				t.Errorf("%s, %s: status %d, want %d: %s", what, method, answer.status, c.want, answer.body)
			}
		}
	}
	modernHeaders := headers{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "whoami"}
	for i := 2; i < len(modernHeaders); i += 2 { // the same version twice is one version
		answer := h.post(t, bearer(h.pat).with(modernHeaders...).with(modernHeaders[i], modernHeaders[i+1]), modern(t, 1, "tools/call", map[string]any{"name": "whoami"}))
		if m := answer.message(t); answer.status != http.StatusBadRequest || m.Error == nil || m.Error.Code != mcp.HEADER_MISMATCH {
			t.Errorf("%s: status %d, %s", modernHeaders[i], answer.status, answer.body)
		}
	}
	// net/http does not let it through at all.
	if status, _, body := onTheWire(t, h.url, fmt.Sprintf("POST /mcp HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(ping), ping)); status != http.StatusBadRequest {
		t.Errorf("two Hosts: status %d, %s", status, body)
	}
}
