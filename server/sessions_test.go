package server_test

import (
	"fmt"
	"net/http"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/server"
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

func TestSessions_CappedForEachAndForAll(t *testing.T) {
	s := server.NewSessions(10, 4, time.Hour)
	first := s.Start("ada")
	for i := range 5 {
		s.Start("ada")
		if open := s.Open(); open > 4 {
			t.Fatalf("ada has %d sessions after %d, want at most 4", open, i+2)
		}
	}
	if s.Has(first, "ada") {
		t.Error("the oldest session did not make room")
	}
	var latest []string
	for i := range 30 {
		latest = append(latest, s.Start(fmt.Sprint("user ", i)))
	}
	if s.Open() != 10 {
		t.Errorf("%d sessions are open, want 10", s.Open())
	}
	for i := 20; i < 30; i++ {
		if !s.Has(latest[i], fmt.Sprint("user ", i)) {
			t.Errorf("session %d is gone", i)
		}
	}
	// One who asks again and again harms nobody but himself.
	for range 100 {
		s.Start("user 29")
	}
	for i := 27; i < 29; i++ {
		if !s.Has(latest[i], fmt.Sprint("user ", i)) {
			t.Errorf("session %d was pushed out by another's", i)
		}
	}
}

// A session that is in use never makes room, and nobody loses one to a caller who
// has more.
func TestA26_SessionsInUseMakeNoRoom(t *testing.T) {
	s := server.NewSessions(6, 3, time.Hour)
	idle := s.Start("ada")
	first, endFirst := s.Use("ada")
	second, endSecond := s.Use("ada")
	third, endThird := s.Use("ada") // in place of the idle one
	if s.Has(idle, "ada") || third == "" {
		t.Error("the session that was not in use did not make room")
	}
	if id, _ := s.Use("ada"); id != "" {
		t.Error("a session in use made room for another of its caller's")
	}
	ben := s.Start("ben")
	_, _ = s.Use("cleo")
	_, _ = s.Use("cleo")
	if !s.Has(ben, "ben") {
		t.Fatal("ben's session is gone before the table is full")
	}
	// Full: ada has three, all in use; ben's is the only one that is not.
	if id, _ := s.Use("dev"); id == "" || s.Has(ben, "ben") {
		t.Errorf("the only session that was not in use did not make room")
	}
	if id, _ := s.Use("eve"); id != "" {
		t.Error("a session in use made room")
	}
	endFirst()
	endSecond()
	// Of those that are not in use now, the silent one of the caller with the most goes.
	if id, _ := s.Use("eve"); id == "" || s.Has(first, "ada") || !s.Has(second, "ada") {
		t.Error("another session than the one that was silent for longest made room")
	}
	endThird()
}

// The caller with the most sessions makes room, however old those of others are.
func TestA26_TheCallerWithTheMostSessionsMakesRoom(t *testing.T) {
	s := server.NewSessions(10, 8, time.Hour)
	oldest := s.Start("ada")
	ben := s.Start("ben")
	mallorys := []string{}
	for range 8 {
		mallorys = append(mallorys, s.Start("mallory"))
	}
	for i := range 3 {
		s.Start(fmt.Sprint("user ", i))
	}
	if !s.Has(oldest, "ada") || !s.Has(ben, "ben") {
		t.Error("a caller with one session lost it to those of others")
	}
	for i, id := range mallorys {
		if s.Has(id, "mallory") != (i >= 3) {
			t.Errorf("session %d of the caller with the most: %t", i, s.Has(id, "mallory"))
		}
	}
}

func TestSessions_SilentOnesAreSwept(t *testing.T) {
	const idle = 50 * time.Millisecond
	s := server.NewSessions(1000, 1000, idle)
	first := s.Start("ada")
	for range 100 {
		s.Start("ada")
	}
	time.Sleep(2 * idle) // what a session is given
	if s.Has(first, "ada") {
		t.Error("a silent session is known")
	}
	for deadline := time.Now().Add(patience); s.Open() > 0; {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are never swept", s.Open())
		}
		time.Sleep(idle / 10)
	}
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

func TestSessions_ManyAtOnce(t *testing.T) {
	s := server.NewSessions(50, 10, time.Hour)
	var all sync.WaitGroup
	for user := range 16 {
		all.Go(func() {
			caller := fmt.Sprint("user ", user)
			for range 100 {
				id := s.Start(caller)
				s.Has(id, caller)
				if s.Has(id, "nobody") {
					t.Error("a session belongs to two")
				}
			}
		})
	}
	all.Wait()
	if s.Open() > 50 {
		t.Errorf("%d sessions are open", s.Open())
	}
}

// withoutRequestID is an answer without what differs between any two.
func withoutRequestID(body string) string {
	return regexp.MustCompile(`"request_id":"[A-Z2-7]{16}"`).ReplaceAllString(body, "")
}
