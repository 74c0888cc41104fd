package server_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// refusals are the connections that a listener closed at once, by kind.
type refusals struct {
	mu     sync.Mutex
	counts map[string]int
}

func (r *refusals) note(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.counts == nil {
		r.counts = map[string]int{}
	}
	r.counts[kind]++
}

func (r *refusals) of(kind string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[kind]
}

// limitedTo serves a house behind limits of connections.
func limitedTo(t *testing.T, limits edge.ConnectionLimits, guards ...func(net.Listener) net.Listener) *httpHouse {
	t.Helper()
	h := newHouse(t, byRequest)
	addTool(h, "much", much(4<<20))
	addTool(h, "plenty", much(512<<10))
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	guards = append(guards, func(l net.Listener) net.Listener { return edge.LimitConnections(l, limits) })
	return listen(t, h, handler, guards...)
}

// dialFrom opens a connection from a loopback address and writes a beginning.
func dialFrom(t testing.TB, h *httpHouse, from, beginning string) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	connection, err := dialer.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() }) // a test may have closed it
	if _, err := io.WriteString(connection, beginning); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	return connection
}

const health = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"

// isServed reports whether a connection answers.
func isServed(t testing.TB, connection net.Conn) bool {
	t.Helper()
	if _, err := io.WriteString(connection, health); err != nil {
		return false
	}
	if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	n, err := connection.Read(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("a connection that is not served stays open")
	}
	return err == nil && strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 ")
}

// isClosed reports whether a connection that has nothing to read was closed.
func isClosed(t testing.TB, connection net.Conn) bool {
	t.Helper()
	if err := connection.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, err := connection.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// streamFrom opens a stream on a connection of its own.
func streamFrom(t testing.TB, h *httpHouse, from string) net.Conn {
	t.Helper()
	session := h.session(t, bearer(h.pat), noCapabilities)
	head := "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
	for i := 0; i < len(session); i += 2 {
		head += session[i] + ": " + session[i+1] + "\r\n"
	}
	connection := dialFrom(t, h, from, head+"\r\n")
	if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := connection.Read(answer)
	if err != nil || !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 ") {
		t.Fatalf("the stream is answered %q, %v", answer[:n], err)
	}
	for !strings.Contains(string(answer[:n]), ":\n\n") { // the comment that begins it
		if n, err = connection.Read(answer); err != nil {
			t.Fatal(err)
		}
	}
	return connection
}

// Where the table is full, the stranger that was idle for longest makes room.
func TestA23_ConnectionsInTotalAreBounded(t *testing.T) {
	var refused refusals
	var log logBuffer
	h := limitedTo(t, edge.ConnectionLimits{Total: 3, Refused: refused.note, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	var open []net.Conn
	for range 3 {
		open = append(open, dialFrom(t, h, "127.0.0.1", ""))
	}
	for _, connection := range open {
		if !isServed(t, connection) {
			t.Fatal("one of the first connections is not served")
		}
	}
	isServed(t, open[0]) // which makes the second the longest idle
	for i, closed := range []int{1, 2, 0} {
		fourth := dialFrom(t, h, "127.0.0.1", "")
		if !isServed(t, fourth) {
			t.Errorf("connection %d beyond the bound is not served", i)
		}
		if !isClosed(t, open[closed]) {
			t.Errorf("connection %d did not make room", closed)
		}
	}
	if refused.of(edge.BeyondTotal) != 3 || refused.of(edge.BeyondAddress) != 0 {
		t.Errorf("refused: %v", refused.counts)
	}
	if told := strings.Count(log.String(), "too many are open"); told != 1 {
		t.Errorf("it is told %d times: %s", told, log.String())
	}
}

// A connection with a user's request on it never makes room, an idle one of a
// user's only where there is no stranger, and where there is nothing to close the
// new connection is.
func TestA23_UsersAtWorkAreNotClosedForStrangers(t *testing.T) {
	h := limitedTo(t, edge.ConnectionLimits{Total: 4})
	working := []net.Conn{streamFrom(t, h, "127.0.0.1"), streamFrom(t, h, "127.0.0.1")}
	h.client.CloseIdleConnections()
	idle := dialFrom(t, h, "127.0.0.1", inSession(h.session(t, bearer(h.pat), noCapabilities), request(t, 1, "ping", nil)))
	h.client.CloseIdleConnections()
	if !isServedOK(t, idle) {
		t.Fatal("the ping is not answered")
	}
	for range 5 { // each takes the place of the one before
		if !isServed(t, dialFrom(t, h, "127.0.0.1", "")) {
			t.Error("a stranger is not served in another one's place")
		}
	}
	if isClosed(t, idle) || isClosed(t, working[0]) || isClosed(t, working[1]) {
		t.Fatal("a user's connection made room although there were strangers")
	}
	third := streamFrom(t, h, "127.0.0.1") // in the stranger's place
	fourth := streamFrom(t, h, "127.0.0.1")
	if !isClosed(t, idle) {
		t.Error("an idle connection of a user's did not make room for one at work")
	}
	if isServed(t, dialFrom(t, h, "127.0.0.1", "")) {
		t.Error("a connection beyond the bound is served while all others are at work")
	}
	for i, connection := range append(working, third, fourth) {
		if isClosed(t, connection) {
			t.Errorf("stream %d made room", i)
		}
	}
}

// isServedOK reads the head of an answer to what was written before.
func isServedOK(t testing.TB, connection net.Conn) bool {
	t.Helper()
	if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, err := connection.Read(answer)
	return err == nil && strings.HasPrefix(string(answer[:n]), "HTTP/1.1 200 ")
}

func TestA23_HTTP1ClientThatDoesNotReadIsCutOff(t *testing.T) {
	closed := make(chan struct{}, 64)
	h := limitedTo(t, edge.ConnectionLimits{WriteTimeout: 300 * time.Millisecond}, func(l net.Listener) net.Listener { return tightListener{l, closed} })
	began := time.Now()
	reader := dialFrom(t, h, "127.0.0.1", wants(t, h, "much"))
	select {
	case <-closed:
	case <-time.After(patience):
		t.Fatal("the answer waits for ever")
	}
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("the client was given %s", took)
	}
	if n, err := io.Copy(io.Discard, reader); n == 0 || n >= 4<<20 {
		t.Errorf("%d bytes came, and %v", n, err)
	}
}

func TestA23_ClientThatReadsInItsTimeGetsAll(t *testing.T) {
	h := limitedTo(t, edge.ConnectionLimits{WriteTimeout: 500 * time.Millisecond})
	connection := dialFrom(t, h, "127.0.0.1", wants(t, h, "much"))
	total, part := 0, make([]byte, 256<<10)
	for began := time.Now(); ; {
		n, err := connection.Read(part)
		total += n
		if err != nil || total > 4<<20 {
			break
		}
		if time.Since(began) < 1500*time.Millisecond { // three times what one write may take
			time.Sleep(50 * time.Millisecond)
		}
	}
	if total <= 4<<20 {
		t.Errorf("%d bytes came", total)
	}
}

func TestA23_StreamThatWaitsIsNotCutOff(t *testing.T) {
	for _, name := range []string{"HTTP/1", "HTTP/2"} {
		h := newHouse(t, byRequest)
		h.SetWriteTimeout(200 * time.Millisecond)
		handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
		if err != nil {
			t.Fatal(err)
		}
		limit := func(l net.Listener) net.Listener {
			return edge.LimitConnections(l, edge.ConnectionLimits{WriteTimeout: 200 * time.Millisecond})
		}
		var served *httpHouse
		if name == "HTTP/1" {
			served = listen(t, h, handler, limit)
		} else {
			certificate := newCertificate(t)
			guard, _, _ := overTLS(t, certificate)
			served = listen(t, h, handler, limit, guard)
			trust(served, certificate.Pool())
		}
		session := served.session(t, bearer(h.pat), asksPeople)
		for range 2 { // the second on a connection that was used before
			target := h.api.Token(t, "ada@example.com", "old", nil)
			s := served.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
			question := s.next()
			time.Sleep(700 * time.Millisecond) // longer than the limit of a write
			no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
			if answer := served.post(t, session, no); answer.status != http.StatusAccepted {
				t.Fatalf("%s: the answer: status %d", name, answer.status)
			}
			if answer := s.next().tool(t); !strings.HasPrefix(answer.text(), "declined: ") {
				t.Errorf("%s: the call: %s", name, answer.text())
			}
			s.ends()
		}
	}
}

// wants is a request for an answer of a tool.
func wants(t testing.TB, h *httpHouse, tool string) string {
	t.Helper()
	body := modern(t, 1, "tools/call", map[string]any{"name": tool})
	head := []string{"POST /mcp HTTP/1.1", "Host: localhost", "Authorization: Bearer " + h.pat, "Content-Type: application/json", "Accept: application/json, text/event-stream",
		"Mcp-Protocol-Version: " + modernVersion, "Mcp-Method: tools/call", "Mcp-Name: " + tool, "Content-Length: " + strconv.Itoa(len(body))}
	return strings.Join(head, "\r\n") + "\r\n\r\n" + body
}

// tightListener gives connections a small buffer for what is written to them, so
// that a client that does not read is noticed soon, and tells when they end.
type tightListener struct {
	net.Listener
	closed chan<- struct{}
}

type toldConn struct {
	net.Conn
	closed func()
}

func (l tightListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if err := connection.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
		return nil, err
	}
	return toldConn{connection, sync.OnceFunc(func() {
		select {
		case l.closed <- struct{}{}:
		default: // nobody waits
		}
	})}, nil
}

func (c toldConn) Close() error {
	c.closed()
	return c.Conn.Close()
}
