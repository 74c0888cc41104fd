package authority

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority/limits"
)

// limitHeaders are Limit, Remaining and Reset.
func limitHeaders(h http.Header) [3]string {
	return [3]string{h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset")}
}

func TestN3_EachTokenHasItsMinuteAndItsDay(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, RateLimits: []limits.Rate{{Requests: 60, Period: time.Minute}, {Requests: 1000, Period: 24 * time.Hour}}})
		f.clock.set(time.Date(2026, 3, 28, 10, 0, 20, 0, time.UTC))
		pat := f.user("ada@example.com", RoleMember).Value
		for i := range 60 {
			got := f.send("GET", "/me", "", bearer(pat))
			wantStatus(t, got, http.StatusOK)
			if want := [3]string{"60", fmt.Sprint(59 - i), "40"}; limitHeaders(got.header) != want || got.header.Get("Retry-After") != "" {
				t.Fatalf("request %d: %v, want %v", i, limitHeaders(got.header), want)
			}
		}
		for range 3 { // what is refused does not count
			got := f.send("GET", "/settings/tokens", "", bearer(pat))
			wantProblem(t, got, http.StatusTooManyRequests, "rate_limited")
			if want := [3]string{"60", "0", "40"}; limitHeaders(got.header) != want || got.header.Get("Retry-After") != "40" {
				t.Errorf("%v, Retry-After %s", limitHeaders(got.header), got.header.Get("Retry-After"))
			}
		}
		// Another token of the same user counts on its own, and so does a session.
		wantStatus(t, f.send("GET", "/me", "", bearer(f.token("ada@example.com", "other").Value)), http.StatusOK)
		session, err := f.IssueSession(t.Context(), "ada@example.com", 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.send("GET", "/me", "", bearer(session)); got.status != http.StatusOK || got.header.Get("X-RateLimit-Limit") != "" {
			t.Errorf("a session: %d, %v", got.status, got.header)
		}
		// Who waits as long as he was told is let in, until the day's requests
		// are used up; the header then tells of the day.
		for range 15 {
			f.clock.advance(40 * time.Second)
			for range 60 {
				wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
			}
			f.clock.advance(20 * time.Second)
		}
		f.clock.advance(40 * time.Second) // 10:16:00
		var last answer
		for range 40 {
			last = f.send("GET", "/me", "", bearer(pat))
			wantStatus(t, last, http.StatusOK)
		}
		reset := fmt.Sprint(int((13*time.Hour + 44*time.Minute).Seconds()))
		if want := [3]string{"1000", "0", reset}; limitHeaders(last.header) != want {
			t.Errorf("%v, want %v", limitHeaders(last.header), want)
		}
		got := f.send("GET", "/me", "", bearer(pat))
		wantProblem(t, got, http.StatusTooManyRequests, "rate_limited")
		if got.header.Get("Retry-After") != reset {
			t.Errorf("Retry-After %s, want %s", got.header.Get("Retry-After"), reset)
		}
		f.clock.set(time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC))
		wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
	})
}

func TestN3_ExactlyTheLimitOfManyAtOnce(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, RateLimits: []limits.Rate{{Requests: 50, Period: time.Hour}}})
		pat := f.user("ada@example.com", RoleMember).Value
		var let atomic.Int64
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 25 {
					got, err := f.trySend(t.Context(), "GET", "/me", "", bearer(pat))
					if err != nil {
						t.Error(err)
					}
					if got.status == http.StatusOK {
						let.Add(1)
					}
				}
			})
		}
		all.Wait()
		if let.Load() != 50 {
			t.Errorf("%d of 200 were let in, want 50", let.Load())
		}
	})
}

func TestN3_GatewayCountsBeforeAuthentication(t *testing.T) {
	f := newFixture(t, Config{AddressRateLimit: limits.Rate{Requests: 60, Period: time.Minute}})
	pat := f.user("ada@example.com", RoleMember).Value
	for i := range 10 { // a sixth of them at once
		path, status := "/settings/tokens", http.StatusUnauthorized
		if i%2 == 0 {
			path, status = "/nothing", http.StatusNotFound
		}
		wantStatus(t, f.send("GET", path, ""), status)
	}
	got := f.send("GET", "/me", "", bearer(pat))
	wantProblem(t, got, http.StatusTooManyRequests, "rate_limited")
	if want := [3]string{"10", "0", "10"}; limitHeaders(got.header) != want || got.header.Get("Retry-After") != "1" {
		t.Errorf("%v, Retry-After %s", limitHeaders(got.header), got.header.Get("Retry-After"))
	}
	for range 50 {
		wantStatus(t, f.send("GET", "/healthz", ""), http.StatusOK)
	}
	f.clock.advance(time.Second)
	wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
	wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusTooManyRequests)
}
