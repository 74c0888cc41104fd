package authority

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/faults"
)

func TestFaults_AreAnsweredInTheFormOfTheRealThing(t *testing.T) {
	for status, code := range map[int]string{429: "rate_limited", 500: "internal", 502: "unavailable", 503: "unavailable", 504: "unavailable"} {
		f := newFixture(t, Config{Faults: faults.Plan{Statuses: map[int]float64{status: 1}}})
		pat := f.user("ada@example.com", RoleMember).Value
		got := f.send("POST", "/settings/tokens", `{"name":"x"}`, bearer(pat))
		wantProblem(t, got, status, code)
		if retry := got.header.Get("Retry-After"); (retry == "1") != (status == 429 || status == 503) {
			t.Errorf("%d: Retry-After %q", status, retry)
		}
		member, err := f.Member(t.Context(), "ada@example.com", "")
		if err != nil {
			t.Fatal(err)
		}
		if tokens, err := f.TokensOf(t.Context(), member.ID); err != nil || len(tokens) != 1 {
			t.Errorf("%d: %d tokens, %v: the request acted", status, len(tokens), err)
		}
		wantStatus(t, f.send("GET", "/healthz", ""), http.StatusOK)
		if log := f.log.String(); !strings.Contains(log, "FAULTS ON DEMAND") || !strings.Contains(log, fmt.Sprintf(`"fault":"%d"`, status)) {
			t.Errorf("%d: the log does not say so: %s", status, log)
		}
	}
}

func TestFaults_DroppedAnswerIsOfAChangeThatWasMade(t *testing.T) {
	f := newFixture(t, Config{Faults: faults.Plan{DropAnswer: 1}})
	pat := f.user("ada@example.com", RoleMember).Value
	if got, err := f.trySend(t.Context(), "POST", "/settings/tokens", `{"name":"dropped"}`, bearer(pat)); err == nil {
		t.Fatalf("it was answered with %d", got.status)
	}
	member, err := f.Member(t.Context(), "ada@example.com", "")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := f.TokensOf(t.Context(), member.ID)
	if err != nil || len(tokens) != 2 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	// A large answer must not get out in part either.
	f.Limit = 1000
	for range 200 {
		f.token("ada@example.com", strings.Repeat("x", 100))
	}
	if got, err := f.trySend(t.Context(), "GET", "/settings/tokens", "", bearer(pat)); err == nil {
		t.Errorf("a list was answered with %d and %d bytes", got.status, len(got.body))
	}
	if log := f.log.String(); strings.Count(log, `"fault":"drop-answer"`) != 2 || !strings.Contains(log, `"status":201`) {
		t.Errorf("the log does not tell what was dropped: %s", log)
	}
}

func TestFaults_LatencyHoldsEachAnswerBack(t *testing.T) {
	const latency = 50 * time.Millisecond
	f := newFixture(t, Config{Faults: faults.Plan{Latency: latency}})
	pat := f.user("ada@example.com", RoleMember).Value
	began := time.Now()
	wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
	if took := time.Since(began); took < latency {
		t.Errorf("it took %s", took)
	}
}

// TestFaults_LatencyIsNotTheSendersTime holds a request back for longer than its
// sender may take.
func TestFaults_LatencyIsNotTheSendersTime(t *testing.T) {
	f := newFixture(t, Config{Faults: faults.Plan{Latency: 300 * time.Millisecond}})
	pat := f.user("ada@example.com", RoleMember).Value
	f.url = "http://" + f.serveHasty(150*time.Millisecond)
	slow := f.begin("POST", "/settings/tokens", `{"name": "held back"}`, "Content-Type: application/json", bearer(pat))
	if got := slow.finish(t); got != http.StatusCreated {
		t.Errorf("status %d", got)
	}
}
