package authority

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestN3_ParseRateLimits(t *testing.T) {
	minute, day := RateLimit{60, time.Minute}, RateLimit{1000, 24 * time.Hour}
	for text, want := range map[string][]RateLimit{
		"60/m,1000/d": {minute, day}, "60": {minute}, "1000/d, 60/m": {day, minute}, "0": nil,
		"1/s,1000000/h": {{1, time.Second}, {1_000_000, time.Hour}},
	} {
		if got, err := ParseRateLimits(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "60/m,", "0/m", "-1/m", "60/w", "60/", "/m", "x", "60/m,70/m", "60/m,0", "1000001/d", "1e3/d", "60/m/d", "+60/m", "060/m"} {
		if got, err := ParseRateLimits(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	if minute.String() != "60/m" || day.String() != "1000/d" || (RateLimit{}).String() != "0" {
		t.Errorf("%s, %s, %s", minute, day, RateLimit{})
	}
}

// limitHeaders are Limit, Remaining and Reset.
func limitHeaders(h http.Header) [3]string {
	return [3]string{h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset")}
}

func TestN3_EachTokenHasItsMinuteAndItsDay(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, RateLimits: []RateLimit{{60, time.Minute}, {1000, 24 * time.Hour}}})
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
		f := newFixture(t, Config{Store: store, RateLimits: []RateLimit{{50, time.Hour}}})
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

func TestN3_TheDayOutlivesTheProcess(t *testing.T) {
	cfg := Config{Store: sqliteStore(t), RateLimits: []RateLimit{{10, 24 * time.Hour}}, Now: newClock().Now}
	var pat string
	for process, want := range []string{"7", "4", "1"} {
		a, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if process == 0 {
			if _, err := a.AddUser(t.Context(), NewUser{Email: "ada@example.com"}); err != nil {
				t.Fatal(err)
			}
			issued, err := a.IssueToken(t.Context(), "ada@example.com", "x", nil)
			if err != nil {
				t.Fatal(err)
			}
			pat = issued.Value
		}
		var got answer
		for range 3 {
			got = record(a.Handler(), "GET", "/me", bearer(pat))
		}
		if left := got.header.Get("X-RateLimit-Remaining"); left != want {
			t.Errorf("process %d: %s are left, want %s", process, left, want)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Four processes are flooded at once. Each further one may let through a tenth
// too much, and none writes to the database for each request.
func TestN3_ProcessesOnOneDatabaseCountTogether(t *testing.T) {
	const processes, limit = 4, 60
	overSharedStores(t, func(t *testing.T, store string) {
		clock := newClock()
		var nodes []*fixture
		for range processes {
			nodes = append(nodes, newFixture(t, Config{Store: store, RateLimits: []RateLimit{{limit, 24 * time.Hour}}, Now: clock.Now}))
		}
		pat := nodes[0].user("ada@example.com", RoleMember).Value
		var let atomic.Int64
		var all sync.WaitGroup
		for _, node := range nodes {
			for range 4 {
				all.Go(func() {
					for range 25 {
						got, err := node.trySend(t.Context(), "GET", "/me", "", bearer(pat))
						if err != nil {
							t.Error(err)
						}
						if got.status == http.StatusOK {
							let.Add(1)
						}
					}
				})
			}
		}
		all.Wait()
		if n := let.Load(); n < limit || n > limit+(processes-1)*limit/countShare {
			t.Errorf("%d of %d were let in, want %d to %d", n, processes*100, limit, limit+(processes-1)*limit/countShare)
		}
		t.Logf("%d of %d were let in, with a limit of %d", let.Load(), processes*100, limit)
	})
}

// overSharedStores runs a test over the stores that several processes can use.
func overSharedStores(t *testing.T, test func(t *testing.T, store string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteStore(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, newPostgres(t)) })
}

// A store that fails does not keep those out who are verified.
func TestN3_CountsHereWhileTheStoreFails(t *testing.T) {
	f := newFixture(t, Config{Store: sqliteStore(t), RateLimits: []RateLimit{{20, 24 * time.Hour}}})
	pat := f.user("ada@example.com", RoleMember).Value
	rename := func(from, to string) {
		t.Helper()
		if _, err := f.db.write.ExecContext(t.Context(), "ALTER TABLE "+from+" RENAME TO "+to); err != nil {
			t.Fatal(err)
		}
	}
	rename("request_counts", "gone")
	for range 12 {
		wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
		f.tokenLimits.store()
	}
	rename("gone", "request_counts")
	f.tokenLimits.store()
	var stored int
	if err := f.db.read.QueryRowContext(t.Context(), `SELECT requests FROM request_counts`).Scan(&stored); err != nil || stored != 12 {
		t.Errorf("%d were stored afterwards, %v; want 12", stored, err)
	}
	for range 8 {
		wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusOK)
	}
	wantStatus(t, f.send("GET", "/me", "", bearer(pat)), http.StatusTooManyRequests)
}

func TestN3_GatewayCountsBeforeAuthentication(t *testing.T) {
	f := newFixture(t, Config{AddressRateLimit: RateLimit{60, time.Minute}})
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

func TestN3_AddressOfTheClient(t *testing.T) {
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		shows, peer string
		lines       []string
		want        string
	}{
		{"no proxy", "192.0.2.1:1", nil, "192.0.2.1/32"},
		{"no proxy, a header", "192.0.2.1:1", []string{"198.51.100.1"}, "192.0.2.1/32"},
		{"a proxy without a header", "10.0.0.1:1", nil, "10.0.0.1/32"},
		{"a proxy", "10.0.0.1:1", []string{"198.51.100.1"}, "198.51.100.1/32"},
		{"two proxies", "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1", "10.0.0.2"}, "198.51.100.1/32"},
		{"a proxy that adds ports", "10.0.0.1:1", []string{"198.51.100.1:443"}, "198.51.100.1/32"},
		{"what cannot be read", "10.0.0.1:1", []string{"203.0.113.9, x"}, "10.0.0.1/32"},
		{"half a network", "[2001:db8:1:2:3:4:5:6]:1", nil, "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", "[::ffff:192.0.2.1]:1", nil, "192.0.2.1/32"},
		{"IPv6 behind a proxy", "[fd00::1]:1", []string{"[2001:db8::1]:443"}, "2001:db8::/64"},
	} {
		r := httptest.NewRequest("GET", "/", http.NoBody)
		r.RemoteAddr = c.peer
		r.Header["X-Forwarded-For"] = c.lines
		if got := network(clientAddress(r, proxies)); got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.shows, got, c.want)
		}
	}
}

func TestN3_MillionAddressesTakeBoundedMemory(t *testing.T) {
	limit := newAddressLimit(RateLimit{600, time.Minute}, nil)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before, now := heap(), time.Now()
	r := httptest.NewRequest("GET", "/", http.NoBody)
	for range 1_000_000 {
		var address [16]byte
		_, _ = rand.Read(address[:])
		r.RemoteAddr = netip.AddrPortFrom(netip.AddrFrom16(address), 1).String()
		limit.take(r, now)
	}
	if grown := int64(heap()) - int64(before); limit.buckets.Len() > maxAddresses || grown > 24<<20 {
		t.Errorf("%d buckets and %d KiB", limit.buckets.Len(), grown>>10)
	}
	runtime.KeepAlive(limit)
}

func TestN3_CountsOfThePastAreForgotten(t *testing.T) {
	overStores(t, func(t *testing.T, store string) {
		f := newFixture(t, Config{Store: store, RateLimits: []RateLimit{{60, time.Minute}}})
		f.user("ada@example.com", RoleMember)
		for i := range 30 {
			wantStatus(t, f.send("GET", "/me", "", bearer(f.token("ada@example.com", fmt.Sprint(i)).Value)), http.StatusOK)
		}
		if f.tokenLimits.counts != nil {
			f.tokenLimits.store()
		}
		f.clock.advance(3 * time.Minute)
		wantStatus(t, f.send("GET", "/me", "", bearer(f.token("ada@example.com", "last").Value)), http.StatusOK)
		if n := len(f.tokenLimits.tokens); n != 1 {
			t.Errorf("%d counts are kept, want 1", n)
		}
	})
}
