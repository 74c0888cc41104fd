package server_test

import (
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

func TestA26_SessionOfSomebodyElseDoesNotExist(t *testing.T) {
	h := serveHTTP(t)
	eve := h.api.User(t, "eve@example.com", authority.RoleOwner)
	adas := h.session(t, bearer(h.pat), noCapabilities)
	listening := h.open(t, "GET", adas.with("Accept", "text/event-stream"), "")

	stolen := bearer(eve).with(adas[2:]...)
	unknown := bearer(eve).with("Mcp-Session-Id", "AAAAAAAAAAAAAAAAAAAAAAAAAA", "Mcp-Protocol-Version", "2025-11-25")
	none := bearer(eve).with("Mcp-Protocol-Version", "2025-11-25")
	secondOwn := h.api.Token(t, "ada@example.com", "another of ada's", nil).Value
	for _, method := range []string{"POST", "GET", "DELETE"} {
		bodies := []string{""}
		if method == "POST" {
			bodies = []string{
				request(t, 1, "tools/list", nil), call(t, 1, "whoami", nil), request(t, 1, "ping", nil),
				`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`,
				`{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"approve":true}}}`,
			}
		}
		for _, body := range bodies {
			theirs := h.do(t, method, "/mcp", stolen, body)
			absent := h.do(t, method, "/mcp", unknown, body)
			if theirs.status != http.StatusNotFound || theirs.status != absent.status || withoutRequestID(theirs.body) != withoutRequestID(absent.body) {
				t.Errorf("%s %s: somebody else's session: %d %q, an unknown one: %d %q", method, body, theirs.status, theirs.body, absent.status, absent.body)
			}
			if theirs.header.Get("Mcp-Session-Id") != "" || absent.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("%s: the answer names a session", method)
			}
			if answer := h.do(t, method, "/mcp", none, body); answer.status < 400 || answer.header.Get("Mcp-Session-Id") != "" {
				t.Errorf("%s without a session: status %d, %s", method, answer.status, answer.body)
			}
			if answer := h.do(t, method, "/mcp", bearer(secondOwn).with(adas[2:]...), body); answer.status != http.StatusNotFound {
				t.Errorf("%s with another token of the same user: status %d", method, answer.status)
			}
		}
	}

	if answer := h.post(t, adas, call(t, 2, "whoami", nil)); !strings.Contains(answer.message(t).tool(t).text(), "ada@example.com") {
		t.Errorf("the owner's session was harmed: %s", answer.body)
	}
	if answer := h.do(t, "DELETE", "/mcp", adas, ""); answer.status != http.StatusOK {
		t.Errorf("DELETE by the owner: status %d, %s", answer.status, answer.body)
	}
	listening.ends()
	for _, method := range []string{"POST", "GET", "DELETE"} {
		if answer := h.do(t, method, "/mcp", adas, request(t, 3, "tools/list", nil)); answer.status != http.StatusNotFound {
			t.Errorf("%s after DELETE: status %d", method, answer.status)
		}
	}
}

func TestA26_NobodyChoosesASessionsID(t *testing.T) {
	h := serveHTTP(t)
	wish := "fixed-by-the-attacker"
	seen := map[string]bool{}
	for range 20 {
		answer := h.post(t, bearer(h.pat).with("Mcp-Session-Id", wish), initialize(t, 1, noCapabilities))
		id := answer.header.Get("Mcp-Session-Id")
		if id == wish || len(id) < 26 || seen[id] {
			t.Errorf("session %q", id)
		}
		seen[id] = true
	}
	if answer := h.post(t, bearer(h.pat).with("Mcp-Session-Id", wish), request(t, 1, "tools/list", nil)); answer.status != 404 {
		t.Errorf("the wished-for session: status %d", answer.status)
	}
	if answer := h.modern(t, bearer(h.pat).with("Mcp-Session-Id", wish), 1, "tools/list", nil); answer.status != 200 || answer.header.Get("Mcp-Session-Id") != "" {
		t.Errorf("protocol 2026-07-28 knows no sessions: status %d, %v", answer.status, answer.header)
	}
}

// A stranger who knows the session and the question's number must not be able
// to answer in the owner's place.
func TestA26_QuestionIsAnsweredByItsOwnerAlone(t *testing.T) {
	h := serveHTTP(t)
	eve := h.api.User(t, "eve@example.com", authority.RoleOwner)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	adas := h.session(t, bearer(h.pat), asksPeople)
	s := h.open(t, "POST", adas, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
	question := s.next()
	if question.Method != "elicitation/create" {
		t.Fatalf("instead of a question: %+v", question)
	}
	yes := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"accept","content":{"approve":true}}}`
	if answer := h.post(t, bearer(eve).with(adas[2:]...), yes); answer.status != http.StatusNotFound {
		t.Errorf("eve's yes: status %d", answer.status)
	}
	eves := h.session(t, bearer(eve), asksPeople)
	if answer := h.post(t, eves, yes); answer.status < 400 {
		t.Errorf("eve's yes in her own session: status %d", answer.status)
	}
	if !h.works(t, target.Value) {
		t.Fatal("eve's yes counted")
	}
	no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
	if answer := h.post(t, adas, no); answer.status != http.StatusAccepted {
		t.Errorf("ada's no: status %d", answer.status)
	}
	if answer := s.next().tool(t); !strings.HasPrefix(answer.text(), "declined: ") || !h.works(t, target.Value) {
		t.Errorf("the call: %s", answer.text())
	}
	s.ends()
}

func TestSessions_NothingIsLeftOfThoseThatMadeRoom(t *testing.T) {
	h := serveHTTP(t)
	open := func(n int) {
		for range n {
			if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != 200 {
				t.Fatalf("status %d", answer.status)
			}
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	open(200)
	before := heap()
	open(2000)
	// About 10 KiB each would stay without.
	if grown := int64(heap()) - int64(before); grown > 4<<20 {
		t.Errorf("2000 sessions of one user left %d KiB", grown>>10)
	}
}

// Over HTTP: a session on which a client listens, or that asks its user
// something, stays, and one more than there may be is refused with a reason.
func TestA26_ASessionThatWaitsForAnAnswerStays(t *testing.T) {
	h := serveHTTP(t)
	target := h.api.Token(t, "ada@example.com", "old", nil)
	listening := h.session(t, bearer(h.pat), noCapabilities)
	stream := h.open(t, "GET", listening.with("Accept", "text/event-stream"), "")
	asking := h.session(t, bearer(h.pat), asksPeople)
	asked := h.open(t, "POST", asking, call(t, 1, "revoke_token", map[string]any{"id": target.ID}))
	question := asked.next()
	for range 101 {
		if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
			t.Fatalf("a session more, while others are not in use: status %d, %s", answer.status, answer.body)
		}
	}
	no := `{"jsonrpc":"2.0","id":` + string(question.ID) + `,"result":{"action":"decline"}}`
	if answer := h.post(t, asking, no); answer.status != http.StatusAccepted {
		t.Errorf("the answer in the session that asked: status %d, %s", answer.status, answer.body)
	}
	if answer := asked.next().tool(t); !strings.HasPrefix(answer.text(), "declined: ") {
		t.Errorf("the call: %s", answer.text())
	}
	asked.ends()
	if answer := h.post(t, listening, request(t, 2, "ping", nil)); answer.status != http.StatusOK {
		t.Errorf("the session that listens: status %d", answer.status)
	}
	_ = stream
}

// With a stream in each of a user's sessions there is no room for another one.
func TestA26_NoRoomForASessionIsToldWithAReason(t *testing.T) {
	h := serveHTTP(t)
	sessions := make([]headers, 100)
	for i := range sessions {
		sessions[i] = h.session(t, bearer(h.pat), noCapabilities)
		h.open(t, "GET", sessions[i].with("Accept", "text/event-stream"), "")
	}
	answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities))
	if answer.status != http.StatusTooManyRequests || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "100 sessions of your user are open") {
		t.Errorf("one session too many: status %d, %s", answer.status, answer.body)
	}
	if n := h.refused.take("user"); n != 1 {
		t.Errorf("%d requests are counted as refused, want 1", n)
	}
	ben := h.api.User(t, "ben@example.com", authority.RoleMember)
	h.session(t, bearer(ben), noCapabilities)
	if answer := h.do(t, "DELETE", "/mcp", sessions[0], ""); answer.status != http.StatusOK {
		t.Fatalf("the end of a session: status %d", answer.status)
	}
	h.session(t, bearer(h.pat), noCapabilities)
	for _, session := range sessions[1:] {
		h.do(t, "DELETE", "/mcp", session, "")
	}
}

// withoutRequestID is an answer without what differs between any two.
func withoutRequestID(body string) string {
	return regexp.MustCompile(`"request_id":"[A-Z2-7]{16}"`).ReplaceAllString(body, "")
}
