package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/server"
)

func TestR24_BodyAtTheLimitAndBeyondIt(t *testing.T) {
	h := serveHTTP(t)
	sized := func(n int) string {
		message := initialize(t, 1, noCapabilities)
		return message + strings.Repeat(" ", n-len(message))
	}
	if answer := h.post(t, bearer(h.pat), sized(1<<20)); answer.status != http.StatusOK {
		t.Errorf("1 MiB: status %d", answer.status)
	}
	for _, header := range []headers{bearer(h.pat), nil, bearer(randomToken())} {
		// The limit stands before everything, whoever asks.
		if answer := h.post(t, header, sized(1<<20+1)); answer.status != http.StatusRequestEntityTooLarge || answer.problem(t) != "too_large" {
			t.Errorf("1 MiB + 1: status %d, %s", answer.status, answer.body)
		}
	}
	// Without saying beforehand how much will come.
	r := h.newRequest(t, "POST", "/mcp", bearer(h.pat), "")
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(sized(3<<20))), -1
	response, err := h.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("3 MiB in chunks: status %d", response.StatusCode)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if answer := h.do(t, method, "/mcp", bearer(h.pat), sized(1<<20+1)); answer.status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s with a body: status %d", method, answer.status)
		}
	}
}

func TestR24_AClientThatIsStillSendingGetsTheAnswer(t *testing.T) {
	h := serveHTTP(t)
	for name, framing := range map[string]string{
		"a length": "Content-Length: 3145728\r\n\r\n",
		"chunks":   "Transfer-Encoding: chunked\r\n\r\n200000\r\n",
	} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		head := "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n" +
			"Authorization: Bearer " + h.pat + "\r\n" + framing
		if _, err := io.WriteString(connection, head+strings.Repeat(" ", 1<<20+64<<10)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		// The kernel would reset the connection by now.
		time.Sleep(100 * time.Millisecond)
		answer, err := io.ReadAll(connection)
		if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 413") {
			t.Errorf("%s: %q, %v", name, answer, err)
		}
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestR24_HeadAtTheLimitAndBeyondIt(t *testing.T) {
	h := serveHTTP(t)
	for size, want := range map[int]string{15 << 10: "200", 16<<10 + 1: "431", 64 << 10: "431"} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		head := "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Pad: "
		head += strings.Repeat("x", size-len(head)-len("\r\n\r\n")) + "\r\n\r\n"
		if _, err := io.WriteString(connection, head); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(connection).ReadString('\n')
		if !strings.HasPrefix(line, "HTTP/1.1 "+want) {
			t.Errorf("a head of %d bytes: %q, %v; want %s", size, line, err, want)
		}
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestA24_CompressedBodiesAreNotUnpacked(t *testing.T) {
	h := serveHTTP(t)
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd", "identity", "gzip, gzip"} {
		answer := h.post(t, bearer(h.pat).with("Content-Encoding", encoding), initialize(t, 1, noCapabilities))
		if answer.status != http.StatusUnsupportedMediaType || answer.problem(t) != "unsupported_encoding" {
			t.Errorf("%s: status %d, %s", encoding, answer.status, answer.body)
		}
	}
}

// raw sends a request's beginning and returns how long the server let the
// connection be, and what it said.
func raw(t *testing.T, h *httpHouse, beginning string) (time.Duration, string) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := io.WriteString(connection, beginning); err != nil {
		t.Fatal(err)
	}
	if err := connection.SetReadDeadline(begun.Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(connection)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the server keeps the connection")
	}
	if err := connection.Close(); err != nil {
		t.Error(err)
	}
	return time.Since(begun), string(said)
}

func TestR25_SlowRequestsAreCutOff(t *testing.T) {
	h := newHouse(t, byRequest)
	h.SetTimeouts(200*time.Millisecond, 500*time.Millisecond, time.Second)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	for name, beginning := range map[string]string{
		"nothing":               "",
		"half a head":           "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-",
		"half a body":           "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + h.pat + "\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
		"half a body, no token": "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{",
		"no such path":          "POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
	} {
		if took, said := raw(t, served, beginning); took > 3*time.Second || strings.Contains(said, "200 OK") {
			t.Errorf("%s: cut off after %s, said %q", name, took, said)
		}
	}
}

func TestR25_CallThatWaitsForThePersonIsNotCutOff(t *testing.T) {
	h := newHouse(t, byRequest)
	h.SetTimeouts(500*time.Millisecond, 700*time.Millisecond, 5*time.Second)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	session := served.session(t, bearer(h.pat), asksPeople)
	for range 2 { // the second on a connection that was used before
		target := h.api.Token(t, "ada@example.com", "old", nil)
		s := served.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
		question := s.next()
		time.Sleep(1200 * time.Millisecond) // longer than any time limit for reading
		no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
		if answer := served.post(t, session, no); answer.status != http.StatusAccepted {
			t.Fatalf("the answer: status %d", answer.status)
		}
		if answer := s.next().tool(t); !strings.HasPrefix(answer.text(), "declined: ") {
			t.Errorf("the call: %s", answer.text())
		}
		s.ends()
	}
}

func TestServe_LetsOpenCallsFinishAndTakesNoNewOnes(t *testing.T) {
	h := serveHTTP(t)
	begun, release := make(chan struct{}), make(chan struct{})
	addTool(h.house, "work", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		close(begun)
		<-release
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return mcp.NewToolResultText("done"), nil
	})
	answered := make(chan httpAnswer, 1)
	go func() {
		answered <- h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "work"})
	}()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- h.stop() }()
	deadline := time.Now().Add(patience)
	for {
		connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			break
		}
		if err := connection.Close(); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatal("new connections are still taken")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("Serve ended with %v before the call", err)
	default:
	}
	close(release)
	if answer := <-answered; answer.message(t).tool(t).text() != "done" {
		t.Errorf("the open call: %d %s", answer.status, answer.body)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestServe_StreamsOnWhichClientsOnlyListenDoNotHoldUpTheEnd(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	listening := h.open(t, "GET", session.with("Accept", "text/event-stream"), "")
	stopped := time.Now()
	if err := h.stop(); err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	if took := time.Since(stopped); took > 5*time.Second {
		t.Errorf("the end took %s", took)
	}
	listening.ends()
}

func TestServe_OnlyListeningEndsAtOnce(t *testing.T) {
	h := newHouse(t)
	var begun sync.WaitGroup
	begun.Add(3)
	release := make(chan struct{})
	served := listen(t, h, server.EndListening(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun.Done()
		select {
		case <-r.Context().Done():
			w.WriteHeader(http.StatusGone)
		case <-release:
		}
	})))
	// Protocol 2026-07-28 listens with a message. The server offers nothing to
	// listen to yet, so that the library itself answers it at once.
	listened, worked := make(chan int, 2), make(chan int, 1)
	go func() { listened <- served.do(t, "GET", "/mcp", nil, "").status }()
	go func() { listened <- served.post(t, nil, modern(t, 1, "subscriptions/listen", nil)).status }()
	go func() { worked <- served.post(t, nil, modern(t, 1, "tools/call", nil)).status }()
	begun.Wait()
	stopped := make(chan error, 1)
	go func() { stopped <- served.stop() }()
	for range 2 {
		if status := <-listened; status != http.StatusGone {
			t.Errorf("who only listened: status %d", status)
		}
	}
	select {
	case status := <-worked:
		t.Errorf("the call ended with status %d", status)
	default:
	}
	close(release)
	if status := <-worked; status != http.StatusOK {
		t.Errorf("the call: status %d", status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Serve ended with %v", err)
	}
}

func TestServe_CallThatDoesNotFinishIsCutOff(t *testing.T) {
	h := newHouse(t, byRequest)
	h.SetTimeouts(time.Second, time.Second, 200*time.Millisecond)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	begun, ended := make(chan struct{}), make(chan struct{})
	addTool(h, "work", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		close(begun)
		<-ctx.Done()
		close(ended)
		return nil, ctx.Err()
	})
	r := served.newRequest(t, "POST", "/mcp", bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "work"),
		modern(t, 1, "tools/call", map[string]any{"name": "work"}))
	failed := make(chan error, 1)
	go func() {
		response, err := served.client.Do(r)
		if err == nil {
			err = fmt.Errorf("status %d, %w", response.StatusCode, response.Body.Close())
		}
		failed <- err
	}()
	<-begun
	if err := served.stop(); err != nil {
		t.Errorf("Serve ended with %v", err)
	}
	<-ended
	if err := <-failed; err == nil || strings.HasPrefix(err.Error(), "status") {
		t.Errorf("the call ended with %v", err)
	}
}

func TestServe_ListenerThatFailsIsAnError(t *testing.T) {
	h := newHouse(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Serve(t.Context(), listener, http.NotFoundHandler()); err == nil || !strings.Contains(err.Error(), "serve HTTP") {
		t.Errorf("Serve: %v", err)
	}
}
