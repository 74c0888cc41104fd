package authority

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseFaults(t *testing.T) {
	got, err := ParseFaults([]string{"503:10%", "429:5%", "latency:200ms", "drop-answer:0.5%", "500:1%"})
	want := Faults{Statuses: map[int]float64{503: 0.10, 429: 0.05, 500: 0.01}, DropAnswer: 0.005, Latency: 200 * time.Millisecond}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if text := got.String(); text != "429:5% 500:1% 503:10% drop-answer:0.5% latency:200ms" {
		t.Errorf("written as %q", text)
	}
	if got, err := ParseFaults(nil); err != nil || !got.none() {
		t.Errorf("none: %+v, %v", got, err)
	}
	for _, specs := range []string{
		"", "503", "503:", "503:10", "503:0%", "503:-1%", "503:101%", "503:NaN%", "503:Inf%", "503:x%", "200:5%", "401:5%", "drop:5%",
		"latency:5%", "latency:200", "latency:0s", "latency:-1s", "latency:21s", "drop-answer:200ms",
		"503:10% 503:20%", "503:60% drop-answer:41%", "503:60% 429:41%",
	} {
		got, err := ParseFaults(strings.Split(specs, " "))
		var invalid *InvalidError
		if !errors.As(err, &invalid) {
			t.Errorf("%q was read as %+v, %v", specs, got, err)
		}
	}
}

func TestFaults_HitTheirShareAndTheSameRequestsAgain(t *testing.T) {
	const requests = 20_000
	faults := Faults{Statuses: map[int]float64{503: 0.10, 429: 0.05}, DropAnswer: 0.02, Seed: 7}
	first, second := newFaultInjector(faults, slog.New(slog.DiscardHandler)), newFaultInjector(faults, slog.New(slog.DiscardHandler))
	faults.Seed = 8
	other := newFaultInjector(faults, slog.New(slog.DiscardHandler))
	counts, differ := map[string]int{}, 0
	for n := range uint64(requests) {
		status, drop := first.fate(n)
		counts[fmt.Sprint(status, drop)]++
		if s, d := second.fate(n); s != status || d != drop {
			t.Fatalf("request %d has another fate with the same seed", n)
		}
		if s, d := other.fate(n); s != status || d != drop {
			differ++
		}
	}
	for fate, share := range map[string]float64{"503 false": 0.10, "429 false": 0.05, "0 true": 0.02, "0 false": 0.83} {
		deviation := 5 * math.Sqrt(requests*share*(1-share))
		if n := float64(counts[fate]); math.Abs(n-requests*share) > deviation {
			t.Errorf("%s: %.0f of %d", fate, n, requests)
		}
	}
	if len(counts) != 4 || differ == 0 {
		t.Errorf("%v; %d requests differ with another seed", counts, differ)
	}
}

func TestFaults_AreAnsweredInTheFormOfTheRealThing(t *testing.T) {
	for status, code := range map[int]string{429: "rate_limited", 500: "internal", 502: "unavailable", 503: "unavailable", 504: "unavailable"} {
		f := newFixture(t, Config{Faults: Faults{Statuses: map[int]float64{status: 1}}})
		pat := f.user("ada@example.com", RoleMember).Value
		got := f.send("POST", "/settings/tokens", `{"name":"x"}`, bearer(pat))
		wantProblem(t, got, status, code)
		if retry := got.header.Get("Retry-After"); (retry == "1") != (status == 429 || status == 503) {
			t.Errorf("%d: Retry-After %q", status, retry)
		}
		member, err := f.soleMembership(t.Context(), "ada@example.com")
		if err != nil {
			t.Fatal(err)
		}
		if tokens, err := f.tokensOf(t.Context(), member.ID); err != nil || len(tokens) != 1 {
			t.Errorf("%d: %d tokens, %v: the request acted", status, len(tokens), err)
		}
		wantStatus(t, f.send("GET", "/healthz", ""), http.StatusOK)
		if log := f.log.String(); !strings.Contains(log, "FAULTS ON DEMAND") || !strings.Contains(log, fmt.Sprintf(`"fault":"%d"`, status)) {
			t.Errorf("%d: the log does not say so: %s", status, log)
		}
	}
}

func TestFaults_DroppedAnswerIsOfAChangeThatWasMade(t *testing.T) {
	f := newFixture(t, Config{Faults: Faults{DropAnswer: 1}})
	pat := f.user("ada@example.com", RoleMember).Value
	if got, err := f.trySend(t.Context(), "POST", "/settings/tokens", `{"name":"dropped"}`, bearer(pat)); err == nil {
		t.Fatalf("it was answered with %d", got.status)
	}
	member, err := f.soleMembership(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := f.tokensOf(t.Context(), member.ID)
	if err != nil || len(tokens) != 2 {
		t.Fatalf("%d tokens, %v", len(tokens), err)
	}
	// A large answer must not get out in part either.
	f.tokenLimit = 1000
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
	f := newFixture(t, Config{Faults: Faults{Latency: latency}})
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
	f := newFixture(t, Config{Faults: Faults{Latency: 300 * time.Millisecond}})
	pat := f.user("ada@example.com", RoleMember).Value
	f.url = "http://" + f.serveHasty(150*time.Millisecond)
	slow := f.begin("POST", "/settings/tokens", `{"name": "held back"}`, "Content-Type: application/json", bearer(pat))
	if got := slow.finish(t); got != http.StatusCreated {
		t.Errorf("status %d", got)
	}
}
