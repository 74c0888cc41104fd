package server_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/server"
)

// echo answers with what it was called with.
func echo(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText(r.GetString("text", "")), nil
}

// Ids that a client uses twice at once do not mix up its answers.
func TestA27_EqualIDsAtOnceInOneSession(t *testing.T) {
	h := serveHTTP(t)
	addTool(h.house, "echo", echo)
	session := h.session(t, bearer(h.pat), noCapabilities)
	var all sync.WaitGroup
	for worker := range 16 {
		all.Go(func() {
			for round := range 50 {
				text := fmt.Sprintf("%d.%d", worker, round)
				if got := h.post(t, session, call(t, 1, "echo", map[string]any{"text": text})).message(t).tool(t).text(); got != text {
					t.Errorf("%s is answered with %s", text, got)
					return
				}
			}
		})
	}
	all.Wait()
}

// Listening with a message is the stateless protocol's; in a session it is no
// method, however many ask at once.
func TestHTTP_ManyListenAtOnceInOneSession(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), noCapabilities)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 50 {
				answer := h.post(t, session, request(t, 1, "subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}))
				if m := answer.message(t); answer.status != http.StatusOK || m.Error == nil || m.Error.Code != mcp.METHOD_NOT_FOUND {
					t.Errorf("status %d, %s", answer.status, answer.body)
					return
				}
			}
		})
	}
	all.Wait()
	for _, filter := range []any{nil, 5, "x", []int{1}, map[string]any{"toolsListChanged": "yes"}, map[string]any{"resourceSubscriptions": 5}, map[string]any{"unknown": true}} {
		for range 20 {
			answer := h.modern(t, bearer(h.pat), 1, "subscriptions/listen", map[string]any{"notifications": filter})
			if answer.status != http.StatusOK && answer.status != http.StatusBadRequest {
				t.Errorf("filter %v: status %d, %s", filter, answer.status, answer.body)
			}
		}
	}
}

// asked is a call that waits for the person, and the number of its question.
func (h *httpHouse) asked(t testing.TB, session headers, target string) (*stream, string) {
	t.Helper()
	s := h.open(t, "POST", session, call(t, 1, "revoke_token", map[string]any{"id": target}))
	question := s.next()
	if question.Method != "elicitation/create" {
		t.Fatalf("instead of a question: %+v", question)
	}
	return s, string(question.ID)
}

func TestSessions_EndWhileEverythingIsOpen(t *testing.T) {
	for how, end := range map[string]func(*httpHouse, headers){
		"DELETE": func(h *httpHouse, session headers) { h.do(t, "DELETE", "/mcp", session, "") },
	} {
		h := serveHTTP(t)
		begun, release := make(chan struct{}), make(chan struct{})
		addTool(h.house, "work", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			close(begun)
			<-release
			return mcp.NewToolResultText("done"), nil
		})
		target := h.api.Token(t, "ada@example.com", "old", nil)
		session := h.session(t, bearer(h.pat), asksPeople)
		listening := h.open(t, "GET", session, "")
		waiting, question := h.asked(t, session, target.ID)
		worked := make(chan httpAnswer, 1)
		go func() { worked <- h.post(t, session, call(t, 2, "work", nil)) }()
		<-begun
		end(h, session)
		listening.ends()
		if answer := waiting.next().tool(t); !answer.IsError || !h.works(t, target.Value) {
			t.Errorf("%s: the call that asked: %s", how, answer.text())
		}
		waiting.ends()
		yes := `{"jsonrpc":"2.0","id":` + question + `,"result":{"action":"accept","content":{"approve":true}}}`
		if answer := h.post(t, session, yes); answer.status != http.StatusNotFound || !h.works(t, target.Value) {
			t.Errorf("%s: a yes afterwards: status %d", how, answer.status)
		}
		close(release)
		if answer := <-worked; answer.message(t).tool(t).text() != "done" {
			t.Errorf("%s: the call that worked: %s", how, answer.body)
		}
	}
}

// A session in which somebody waits for the person is not silent.
func TestSessions_AreNotSweptWhileAQuestionWaits(t *testing.T) {
	const idle = 100 * time.Millisecond
	clock := newClock()
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) {
		h.SetSessionClock(clock.now)
		c.SessionIdle = idle
	})
	h.session(t, bearer(h.pat), asksPeople)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	session := h.session(t, bearer(h.pat), asksPeople)
	waiting, question := h.asked(t, session, target.ID)
	clock.pass(2 * idle)
	await(t, "the session that is silent is swept", func() bool { return h.OpenSessions() == 1 })
	yes := `{"jsonrpc":"2.0","id":` + question + `,"result":{"action":"accept","content":{"approve":true}}}`
	if answer := h.post(t, session, yes); answer.status != http.StatusAccepted {
		t.Errorf("the answer: status %d, %s", answer.status, answer.body)
	}
	if answer := waiting.next().tool(t); answer.IsError || h.works(t, target.Value) {
		t.Errorf("the call: %s", answer.text())
	}
	waiting.ends()
	clock.pass(2 * idle)
	await(t, "the session is swept", func() bool { return h.OpenSessions() == 0 })
}

// Of two answers to one question the first counts, whoever is faster.
func TestSessions_AnswersThatComeTwice(t *testing.T) {
	h := serveHTTP(t)
	for round := range 20 {
		target := h.api.Token(t, "ada@example.com", fmt.Sprint("old ", round), nil)
		session := h.session(t, bearer(h.pat), asksPeople)
		waiting, question := h.asked(t, session, target.ID)
		statuses := make([]int, 2)
		var all sync.WaitGroup
		for i, result := range []string{`{"action":"accept","content":{"approve":true}}`, `{"action":"decline"}`} {
			all.Go(func() {
				statuses[i] = h.post(t, session, `{"jsonrpc":"2.0","id":`+question+`,"result":`+result+`}`).status
			})
		}
		all.Wait()
		answer := waiting.next().tool(t)
		waiting.ends()
		yes := statuses[0] == http.StatusAccepted
		if statuses[0]+statuses[1] != http.StatusAccepted+http.StatusBadRequest || answer.IsError == yes || h.works(t, target.Value) == yes {
			t.Errorf("yes: status %d, no: status %d; %s", statuses[0], statuses[1], answer.text())
		}
		h.do(t, "DELETE", "/mcp", session, "")
	}
}

// Nothing but a yes is a yes.
func TestSessions_AnswersOfTheWrongKind(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), asksPeople)
	for _, answer := range []string{
		`"result":null`, `"result":true`, `"result":1`, `"result":"accept"`, `"result":[]`, `"result":["accept"]`, `"result":{}`,
		`"result":{"action":null}`, `"result":{"action":true}`, `"result":{"action":"ACCEPT","content":{"approve":true}}`, `"result":{"action":["accept"],"content":{"approve":true}}`,
		`"result":{"action":"accept"}`, `"result":{"action":"accept","content":null}`, `"result":{"action":"accept","content":[{"approve":true}]}`,
		`"result":{"action":"accept","content":{"approve":"true"}}`, `"result":{"action":"accept","content":{"approve":1}}`, `"result":{"action":"accept","content":{"Approve":true}}`,
		`"result":{"action":"accept","content":{"approve":[true]}}`, `"result":{"action":"accept","content":{"approve":false}}`, `"result":{"action":"accept","content":"{\"approve\":true}"}`,
		`"error":{"code":-32600,"message":"x"}`, `"error":"x"`, `"result":{"action":"accept","content":{"approve":true}},"error":{"code":1,"message":"x"}`,
		`"result":{"action":"accept","content":{"x":"` + strings.Repeat("x", 1<<20-200) + `"}}`,
	} {
		target := h.api.Token(t, "ada@example.com", "old", nil) // one that nobody was asked about
		waiting, question := h.asked(t, session, target.ID)
		if sent := h.post(t, session, `{"jsonrpc":"2.0","id":`+question+`,`+answer+`}`); sent.status != http.StatusAccepted {
			t.Errorf("%.60s: status %d, %s", answer, sent.status, sent.body)
		}
		if got := waiting.next().tool(t); !got.IsError {
			t.Errorf("%.60s: %s", answer, got.text())
		}
		waiting.ends()
		if !h.works(t, target.Value) {
			t.Errorf("%.60s: the token was revoked", answer)
		}
	}
	target := h.api.Token(t, "ada@example.com", "old", nil)
	// Numbers that are the question's for some readers.
	waiting, question := h.asked(t, session, target.ID)
	for _, id := range []string{`"` + question + `"`, question + ".0", question + "e0", "-" + question, "0", "[" + question + "]"} {
		if sent := h.post(t, session, `{"jsonrpc":"2.0","id":`+id+`,"result":{"action":"accept","content":{"approve":true}}}`); sent.status != http.StatusBadRequest {
			t.Errorf("id %s: status %d", id, sent.status)
		}
	}
	h.do(t, "DELETE", "/mcp", session, "")
	waiting.next()
	waiting.ends()
	if !h.works(t, target.Value) {
		t.Error("the token was revoked")
	}
}

// A second greeting opens a second session and leaves the first alone.
func TestSessions_GreetingTwice(t *testing.T) {
	h := serveHTTP(t)
	session := h.session(t, bearer(h.pat), asksPeople)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			answer := h.post(t, session, initialize(t, 1, noCapabilities))
			if id := answer.header.Get("Mcp-Session-Id"); answer.status != http.StatusOK || id == "" || id == session[3] {
				t.Errorf("status %d, session %q", answer.status, id)
			}
		})
	}
	all.Wait()
	// What the client said first holds: it can still be asked.
	target := h.api.Token(t, "ada@example.com", "old", nil)
	waiting, question := h.asked(t, session, target.ID)
	h.post(t, session, `{"jsonrpc":"2.0","id":`+question+`,"result":{"action":"decline"}}`)
	waiting.next()
	waiting.ends()
}

// What a handler sends when its call is answered already reaches nobody, least of
// all the next call.
func TestA27_NotificationsAfterTheAnswerReachNobody(t *testing.T) {
	h := serveHTTP(t)
	var late sync.WaitGroup
	answered := make(chan struct{})
	addTool(h.house, "late", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s := mcpserver.ServerFromContext(ctx)
		late.Go(func() {
			<-answered
			for range 1000 {
				// Whether there is room for it is all that it says.
				_ = s.SendNotificationToClient(context.WithoutCancel(ctx), "notifications/progress", map[string]any{"progressToken": "late", "progress": 1})
			}
		})
		return mcp.NewToolResultText("done"), nil
	})
	session := h.session(t, bearer(h.pat), noCapabilities)
	listening := h.open(t, "GET", session, "")
	for range 5 {
		h.post(t, session, call(t, 1, "late", nil))
		h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "late"})
	}
	close(answered)
	for range 50 {
		if answer := h.post(t, session, call(t, 2, "whoami", nil)); answer.header.Get("Content-Type") != "application/json" || strings.Contains(answer.body, "progressToken") {
			t.Errorf("the next call: %s", answer.body)
		}
	}
	late.Wait()
	h.do(t, "DELETE", "/mcp", session, "")
	if rest := listening.rest(); strings.Contains(rest, "progressToken") {
		t.Errorf("the stream: %q", rest)
	}
}
