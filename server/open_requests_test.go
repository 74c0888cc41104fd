package server_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// fill opens calls of a user's that wait, until one is held back, and returns how
// many wait and a function that ends them.
func fill(t *testing.T, h *httpHouse, begun <-chan struct{}, pat string, padding, most int) (open int, end func()) {
	t.Helper()
	ctx, hangUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for ; open < most; open++ {
		params := map[string]any{"name": "wait", "arguments": map[string]any{}, "padding": strings.Repeat("x", padding)}
		r := h.newRequest(t, "POST", "/mcp", bearer(pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "wait"), modern(t, 1, "tools/call", params))
		refused := make(chan bool, 1)
		all.Go(func() {
			response, err := h.unhurried().Do(r.WithContext(ctx))
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			if err := response.Body.Close(); err != nil {
				t.Error(err)
			}
			refused <- response.StatusCode == http.StatusTooManyRequests
		})
		select {
		case <-begun:
			continue
		case isRefused := <-refused:
			if !isRefused {
				t.Error("a call that waits was answered")
			}
		case <-time.After(patience):
			t.Error("a call neither begins nor is held back")
		}
		break
	}
	return open, func() { hangUp(); all.Wait() }
}

func TestA22_WhatOneUserHasOpenIsBounded(t *testing.T) {
	h := serveHTTP(t)
	begun := make(chan struct{}, 1)
	addTool(h.house, "wait", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		begun <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	ben := h.api.User(t, "ben@example.com", authority.RoleMember)
	session := h.session(t, bearer(h.pat), asksPeople)
	for _, c := range []struct{ padding, want int }{
		{0, edge.MaxOpenRequests}, {1 << 19, edge.MaxUserBytes / (1<<19 + 400)},
	} {
		// One of the requests is a question to the person.
		target := h.api.Token(t, "ada@example.com", "old", nil)
		asking := h.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
		question := asking.next()
		open, end := fill(t, h, begun, h.pat, c.padding, c.want+10)
		if open > c.want || open < c.want-2 {
			t.Errorf("with %d bytes: %d calls wait, want about %d", c.padding, open, c.want)
		}
		if n := h.refused.take("user"); n != 1 {
			t.Errorf("%d requests are counted as refused, want 1", n)
		}
		if c.padding == 0 {
			for what, answer := range map[string]httpAnswer{
				"a request":                   h.post(t, session, request(t, 2, "tools/list", nil)),
				"with X-API-Key":              h.post(t, headers{"X-API-Key", h.pat}.with(session[2:]...), request(t, 2, "tools/list", nil)),
				"a new session":               h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)),
				"a stream":                    h.do(t, "GET", "/mcp", session, ""),
				"a request that stands alone": h.modern(t, bearer(h.pat), 2, "tools/list", nil),
			} {
				if answer.status != http.StatusTooManyRequests || answer.header.Get("Retry-After") != "1" || !strings.Contains(answer.body, "too many of your requests are open") {
					t.Errorf("%s: status %d, %s", what, answer.status, answer.body)
				}
			}
			h.refused.take("user")
		}
		if err := h.whoIs(t, user{"ben@example.com", ben}, 0); err != nil {
			t.Errorf("another user: %v", err)
		}
		// What makes room passes.
		no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
		if answer := h.post(t, session, no); answer.status != http.StatusAccepted {
			t.Errorf("the answer to a question: status %d, %s", answer.status, answer.body)
		}
		asking.next()
		asking.ends()
		if answer := h.post(t, session, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":9}}`); answer.status != http.StatusAccepted {
			t.Errorf("a cancellation: status %d", answer.status)
		}
		end()
		await(t, "there is room again", func() bool { return h.modern(t, bearer(h.pat), 2, "tools/list", nil).status == http.StatusOK })
	}
	if answer := h.do(t, "DELETE", "/mcp", session, ""); answer.status != http.StatusOK {
		t.Errorf("the end of a session: status %d", answer.status)
	}
}

// A stream holds nothing of a body that came with it.
func TestA22_BodiesOfStreamsAreNotKept(t *testing.T) {
	h := serveHTTP(t)
	const streams = 32
	var sessions []headers
	for range streams {
		sessions = append(sessions, h.session(t, bearer(h.pat), noCapabilities))
	}
	message := initialize(t, 1, map[string]any{"experimental": map[string]any{"padding": map[string]any{"x": strings.Repeat("x", 1<<20-400)}}})
	h.do(t, "GET", "/mcp", bearer(h.pat), message) // what is made once
	before := heapAfterGC()
	for _, session := range sessions {
		h.open(t, "GET", session, message)
	}
	after := heapAfterGC()
	t.Logf("%d streams with a body of 1 MiB each: heap %d KiB before, %d KiB after", streams, before>>10, after>>10)
	if grown := int64(after) - int64(before); grown > streams<<19 {
		t.Errorf("the streams hold %d KiB", grown>>10)
	}
	for _, session := range sessions {
		h.do(t, "DELETE", "/mcp", session, "")
	}
}
