package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/server"
)

// withBodyBytes serves callers with a budget for all bodies.
func withBodyBytes(t *testing.T, n int) *httpHouse {
	t.Helper()
	h := newHouse(t, byRequest)
	h.SetBodyBytes(n)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, handler)
}

// sendPadded sends a request with a body of about size bytes.
func (h *httpHouse) sendPadded(t *testing.T, pat string, size int) httpAnswer {
	t.Helper()
	body := modern(t, 1, "tools/list", map[string]any{"padding": strings.Repeat("x", max(size-400, 0))})
	return h.post(t, bearer(pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/list"), body)
}

// hold sends the beginning of a body, and waits until the server has read it.
func (h *httpHouse) hold(t *testing.T, pat string, size, sent int) net.Conn {
	t.Helper()
	connection := dialFrom(t, h, "127.0.0.1", head(bearer(pat), size)+strings.Repeat(" ", sent))
	time.Sleep(50 * time.Millisecond) // the server tells nobody what it has read
	return connection
}

// Beyond the budget a user is told to come again, and what was taken is given
// back.
func TestA22_BodiesBeyondTheBudgetAreRefusedForNow(t *testing.T) {
	h := withBodyBytes(t, 512<<10) // 128 KiB for the large bodies of one user, and 384 KiB for those of all
	if answer := h.sendPadded(t, h.pat, 130<<10); answer.status != http.StatusTooManyRequests || answer.header.Get("Retry-After") == "" {
		t.Errorf("more than one user may have: status %d, %s", answer.status, answer.body)
	}
	// Three users hold three quarters of all with bodies that they do not finish.
	var held []net.Conn
	for i := range 3 {
		held = append(held, h.hold(t, h.api.User(t, fmt.Sprintf("user%d@example.com", i), "member"), 120<<10, 100<<10))
	}
	await(t, "large bodies are refused", func() bool { return h.sendPadded(t, h.pat, 60<<10).status == http.StatusServiceUnavailable })
	answer := h.sendPadded(t, h.pat, 60<<10)
	if answer.header.Get("Retry-After") != "1" || answer.problem(t) != "busy" {
		t.Errorf("beyond the budget: %v %s", answer.header, answer.body)
	}
	if answer := h.sendPadded(t, h.pat, 4<<10); answer.status != http.StatusOK {
		t.Errorf("a small body besides: status %d, %s", answer.status, answer.body)
	}
	for _, connection := range held {
		_ = connection.Close() // its request is broken off
	}
	await(t, "the room is given back", func() bool { return h.sendPadded(t, h.pat, 60<<10).status == http.StatusOK })
}

// However many tokens a user has, their large bodies count together.
func TestA22_TheTokensOfAUserShareTheBudget(t *testing.T) {
	h := withBodyBytes(t, 512<<10)
	token := func() string { return h.api.Token(t, "ada@example.com", "another", nil).Value }
	h.hold(t, token(), 100<<10, 70<<10)
	await(t, "another token of the same user is refused", func() bool { return h.sendPadded(t, token(), 100<<10).status == http.StatusTooManyRequests })
	if answer := h.sendPadded(t, h.api.User(t, "ben@example.com", "member"), 100<<10); answer.status != http.StatusOK {
		t.Errorf("another user: status %d, %s", answer.status, answer.body)
	}
}

// Small bodies count, too, with what a request takes beside them.
func TestA22_SmallBodiesCount(t *testing.T) {
	h := withBodyBytes(t, 256<<10) // 64 KiB for small bodies of one token, and 96 KiB for all of its user: about 34
	for range 40 {
		dialFrom(t, h, "127.0.0.1", head(bearer(h.pat), 1000)+"{")
	}
	await(t, "one more of the same user is refused", func() bool { return h.sendPadded(t, h.pat, 500).status == http.StatusTooManyRequests })
	if answer := h.sendPadded(t, h.api.User(t, "ben@example.com", "member"), 500); answer.status != http.StatusOK {
		t.Errorf("another user: status %d, %s", answer.status, answer.body)
	}
}

// The small bodies of many tokens of one user leave room for everybody else.
func TestA22_SmallBodiesOfManyTokensCountForTheirUser(t *testing.T) {
	h := withBodyBytes(t, 512<<10) // 64 KiB for small bodies of each token, and 192 KiB for all others of its user
	for range 3 {
		pat := h.api.Token(t, "ada@example.com", "another", nil).Value
		if answer := h.sendPadded(t, pat, 500); answer.status != http.StatusOK {
			t.Fatalf("status %d, %s", answer.status, answer.body)
		}
		for range 70 {
			dialFrom(t, h, "127.0.0.1", head(bearer(pat), 1000)+"{")
		}
		await(t, "one more is refused for its user", func() bool { return h.sendPadded(t, pat, 500).status == http.StatusTooManyRequests })
	}
	if answer := h.sendPadded(t, h.api.User(t, "ben@example.com", "member"), 500); answer.status != http.StatusOK {
		t.Errorf("another user: status %d, %s", answer.status, answer.body)
	}
}

// A body that trickles is given up long before the time for a whole one is over.
func TestR25_BodiesThatTrickleAreGivenUp(t *testing.T) {
	h := newHouse(t, byRequest)
	h.SetTimeouts(500*time.Millisecond, time.Minute, time.Second)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: h.api.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	for _, method := range []string{"POST", "GET"} {
		for name, size := range map[string]int{"told": 1 << 20, "not told": -1} {
			connection := dialFrom(t, served, "127.0.0.1", strings.Replace(head(bearer(h.pat), size), "POST", method, 1))
			begun := time.Now()
			go func() {
				part := "x"
				if size < 0 {
					part = "1\r\nx\r\n"
				}
				for range 1000 {
					if _, err := io.WriteString(connection, part); err != nil {
						return
					}
					time.Sleep(20 * time.Millisecond)
				}
			}()
			if got := status(t, bufio.NewReader(connection)); got != http.StatusRequestTimeout {
				t.Errorf("%s, size %s: status %d", method, name, got)
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("%s, size %s: given up after %s", method, name, took)
			}
		}
	}
	// Whoever sends fast enough has the time that it takes.
	connection := dialFrom(t, served, "127.0.0.1", head(bearer(h.pat), 200<<10))
	message := initialize(t, 1, noCapabilities)
	parts := message + strings.Repeat(" ", 200<<10-len(message))
	for len(parts) > 0 {
		n := min(len(parts), 10<<10)
		if _, err := io.WriteString(connection, parts[:n]); err != nil {
			t.Fatal(err)
		}
		parts = parts[n:]
		time.Sleep(60 * time.Millisecond)
	}
	if got := status(t, bufio.NewReader(connection)); got != http.StatusOK {
		t.Errorf("a steady client: status %d", got)
	}
}
