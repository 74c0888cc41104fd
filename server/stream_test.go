package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// sendNotifying makes a call that sends n notifications right before it is
// answered, and returns the events of the answer.
func sendNotifying(t testing.TB, h *httpHouse, header headers, era string, id, n int) []string {
	t.Helper()
	arguments := map[string]any{"name": "notify", "arguments": map[string]any{"n": n, "as": fmt.Sprint(id)}}
	var answer httpAnswer
	if era == modernVersion {
		answer = h.modern(t, header, id, "tools/call", arguments)
	} else {
		answer = h.post(t, header, request(t, id, "tools/call", arguments))
	}
	if got := answer.header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%s: Content-Type %q, %s", era, got, answer.body)
	}
	if answer.header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%s: a proxy may hold the events back", era)
	}
	var events []string
	for line := range strings.Lines(answer.body) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			events = append(events, strings.TrimSpace(data))
		}
	}
	return events
}

func TestHTTP_NotificationsComeInOrderBeforeTheAnswerOfTheirCall(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "notify", notifying)
	session := h.session(t, bearer(h.pat), noCapabilities)
	// A second stream must not take them.
	listening := h.open(t, "GET", session.with("Accept", "text/event-stream"), "")
	for era, header := range map[string]headers{"2025-11-25": session, modernVersion: bearer(h.pat)} {
		var all sync.WaitGroup
		for worker := range 4 {
			all.Go(func() {
				for i := range 50 {
					id := worker*50 + i
					events := sendNotifying(t, h, header, era, id, 3)
					if len(events) != 4 {
						t.Errorf("%s, call %d: %d events: %q", era, id, len(events), events)
						return
					}
					for step, event := range events[:3] {
						if want := fmt.Sprintf(`"progress":%d,"progressToken":"%d"`, step, id); !strings.Contains(event, want) {
							t.Errorf("%s, call %d, event %d: %s", era, id, step, event)
						}
					}
					if !strings.Contains(events[3], fmt.Sprintf(`"id":%d,`, id)) || !strings.Contains(events[3], `"result"`) {
						t.Errorf("%s, call %d: the last event is %s", era, id, events[3])
					}
				}
			})
		}
		all.Wait()
	}
	h.do(t, "DELETE", "/mcp", session, "")
	listening.ends()
}

// A client that takes no events gets its answer all the same.
func TestHTTP_ClientThatTakesNoEvents(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "notify", notifying)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	session := h.session(t, bearer(h.pat), asksPeople)
	plain := func(body string) httpAnswer {
		r := h.newRequest(t, "POST", "/mcp", session, body)
		r.Header.Set("Accept", "application/json")
		return h.send(t, r)
	}
	answer := plain(call(t, 1, "notify", map[string]any{"n": 3}))
	if answer.header.Get("Content-Type") != "application/json" || answer.message(t).tool(t).text() != "done" {
		t.Errorf("a call with notifications: %s, %s", answer.header.Get("Content-Type"), answer.body)
	}
	// It cannot be asked, so nothing is done.
	if text := plain(call(t, 2, "revoke_token", map[string]any{"id": target.ID})).message(t).tool(t).text(); !strings.HasPrefix(text, "needs_person: ") {
		t.Errorf("a call that needs a decision: %s", text)
	}
	if !h.works(t, target.Value) {
		t.Error("it was revoked")
	}
}

func TestHTTP_TheLatestStreamOfASessionCounts(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	first := h.open(t, "GET", session, "")
	second := h.open(t, "GET", session, "")
	first.ends()
	h.do(t, "DELETE", "/mcp", session, "")
	second.ends()
}

// Whoever wrote the library wrote its errors for programmers; some repeat what
// was sent, and some are Go's.
func TestErrorsOfTheProtocolAreInOurOwnWords(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "fails", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, fmt.Errorf("dial tcp 10.1.2.3:443: %w", context.DeadlineExceeded)
	})
	addTool(h.house, "panics", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		panic("secret of the house")
	})
	session := h.session(t, bearer(h.pat), noCapabilities)
	for name, c := range map[string]struct {
		method string
		params any
		code   int
	}{
		"unknown tool":        {"tools/call", map[string]any{"name": "evil\u202etool"}, mcp.INVALID_PARAMS},
		"no tool":             {"tools/call", map[string]any{}, mcp.INVALID_PARAMS},
		"params of no kind":   {"tools/call", []int{1}, mcp.INVALID_REQUEST},
		"unknown method":      {"evil/method", nil, mcp.METHOD_NOT_FOUND},
		"not offered":         {"resources/list", nil, mcp.METHOD_NOT_FOUND},
		"a Go error":          {"tools/call", map[string]any{"name": "fails"}, mcp.INTERNAL_ERROR},
		"a panic":             {"tools/call", map[string]any{"name": "panics"}, mcp.INTERNAL_ERROR},
		"cursor of nobody":    {"tools/list", map[string]any{"cursor": "\x00"}, mcp.INVALID_PARAMS},
		"cursor of no kind":   {"tools/list", map[string]any{"cursor": 5}, mcp.INVALID_REQUEST},
		"modern method":       {"server/discover", nil, mcp.METHOD_NOT_FOUND},
		"arguments no object": {"tools/call", map[string]any{"name": "fails", "arguments": "x"}, mcp.INTERNAL_ERROR},
	} {
		answer := h.post(t, session, request(t, 1, c.method, c.params))
		m := answer.message(t)
		if m.Error == nil || m.Error.Code != c.code {
			t.Errorf("%s: %s, want code %d", name, answer.body, c.code)
			continue
		}
		for _, foreign := range []string{"evil", "not found", "unmarshal", "json:", "dial", "10.1.2.3", "secret", "panic", "unsupported", "Invalid", "goroutine", "deadline", "requires"} {
			if strings.Contains(m.Error.Message, foreign) {
				t.Errorf("%s: the message has %q: %s", name, foreign, m.Error.Message)
			}
		}
		if m.Error.Message == "" || strings.ToUpper(m.Error.Message[:1]) == m.Error.Message[:1] {
			t.Errorf("%s: %q is not one of ours", name, m.Error.Message)
		}
	}
}

func TestHTTP_SessionHeaderIsAskedFor(t *testing.T) {
	h := serveHTTP(t)
	for _, header := range []headers{bearer(h.pat), bearer(h.pat).with("Mcp-Session-Id", ""), bearer(h.pat).with("Mcp-Session-Id", "A", "Mcp-Session-Id", "B")} {
		answer := h.post(t, header, request(t, 1, "tools/list", nil))
		if answer.status != http.StatusBadRequest || answer.problem(t) != "missing_session" {
			t.Errorf("status %d, %s", answer.status, answer.body)
		}
	}
	if answer := h.post(t, bearer(h.pat).with("Mcp-Session-Id", "AAAA"), request(t, 1, "tools/list", nil)); answer.status != http.StatusNotFound || answer.problem(t) != "unknown_session" {
		t.Errorf("unknown session: status %d, %s", answer.status, answer.body)
	}
}
