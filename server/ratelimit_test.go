package server_test

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/ratelimit"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// slowly has buckets of ten that do not fill while a test runs.
var slowly = edge.Limits{PerUser: 1, PerAddress: 1}

func limited(limits edge.Limits) func(*house, *server.HTTPConfig) {
	return func(_ *house, c *server.HTTPConfig) { c.Limits = limits }
}

// isHeldBack checks the answer to a request that came too early.
func isHeldBack(t *testing.T, answer httpAnswer, says string) {
	t.Helper()
	wait, err := strconv.Atoi(answer.header.Get("Retry-After"))
	if answer.status != http.StatusTooManyRequests || answer.problem(t) != "rate_limited" || !strings.Contains(answer.body, says) || err != nil || wait < 1 || wait > 60 {
		t.Errorf("status %d, Retry-After %q, %s; want 429 that says %q", answer.status, answer.header.Get("Retry-After"), answer.body, says)
	}
}

func TestR22_EachUserHasABucket(t *testing.T) {
	h := serveHTTP(t, limited(edge.Limits{PerUser: 1}))
	ben := h.api.User(t, "ben@example.com", authority.RoleMember)
	list := request(t, 1, "tools/list", nil)
	began := time.Now()
	session := h.session(t, bearer(h.pat), noCapabilities) // two requests
	for left := 7; left >= 0; left-- {
		answer := h.post(t, session, list)
		got := []string{answer.header.Get("X-RateLimit-Limit"), answer.header.Get("X-RateLimit-Remaining")}
		if want := []string{"10", strconv.Itoa(left)}; answer.status != 200 || !slices.Equal(got, want) {
			t.Errorf("status %d, Limit and Remaining %v, want %v", answer.status, got, want)
		}
		// The bucket fills in ten minutes, and so a little while the test runs.
		lacks := time.Duration(10-left) * time.Minute
		reset, err := strconv.Atoi(answer.header.Get("X-RateLimit-Reset"))
		if full := time.Duration(reset) * time.Second; err != nil || full > lacks || full < lacks-time.Since(began) {
			t.Errorf("with %d left, Reset is %q, want %s less the %s of the test", left, answer.header.Get("X-RateLimit-Reset"), lacks, time.Since(began))
		}
	}
	for _, answer := range []httpAnswer{
		h.post(t, session, list),
		h.post(t, headers{"X-API-Key", h.pat}, list),
		h.do(t, "GET", "/mcp", session.with("Accept", "text/event-stream"), ""),
		h.do(t, "DELETE", "/mcp", session, ""),
		h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "whoami"}),
	} {
		isHeldBack(t, answer, "1 requests a minute")
		if answer.header.Get("X-RateLimit-Remaining") != "0" {
			t.Errorf("%v", answer.header)
		}
	}
	if answer := h.post(t, bearer(ben), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("another user at the same address: status %d", answer.status)
	}
	if answer := h.do(t, "GET", "/healthz", nil, ""); answer.status != 200 || answer.header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("/healthz: status %d, %v", answer.status, answer.header)
	}
}

func TestR22_SprayOfForwardedAddressesComesFromOneAddress(t *testing.T) {
	h := serveHTTP(t, limited(edge.Limits{PerAddress: 1}))
	for i := range 40 {
		spoofed := fmt.Sprintf("198.51.100.%d", i)
		answer := h.post(t, bearer(randomToken()).with("X-Forwarded-For", spoofed, "Forwarded", "for="+spoofed, "X-Real-Ip", spoofed), initialize(t, 1, noCapabilities))
		if i < 10 && answer.status != http.StatusUnauthorized {
			t.Errorf("request %d: status %d", i, answer.status)
		} else if i >= 10 {
			isHeldBack(t, answer, "your network address")
		}
	}
	// It stands before the identity check: nobody at the address is known.
	isHeldBack(t, h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)), "your network address")
}

func TestR22_ClientsOfATrustedProxyHaveABucketEach(t *testing.T) {
	h := serveHTTP(t, limited(edge.Limits{PerAddress: 1}), func(_ *house, c *server.HTTPConfig) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	send := func(client string) httpAnswer {
		return h.post(t, bearer(h.pat).with("X-Forwarded-For", client), initialize(t, 1, noCapabilities))
	}
	for i := range 10 {
		// What the client says itself changes, its address does not.
		if answer := send(fmt.Sprintf("192.0.2.%d, 198.51.100.1", i)); answer.status != 200 {
			t.Fatalf("request %d: status %d", i, answer.status)
		}
	}
	isHeldBack(t, send("192.0.2.77, 198.51.100.1"), "your network address")
	if answer := send("198.51.100.2"); answer.status != 200 {
		t.Errorf("another client: status %d", answer.status)
	}
	// IPv6 counts by what a provider gives to one customer.
	for i := range 10 {
		if answer := send(fmt.Sprintf("2001:db8:0:1::%x", i)); answer.status != 200 {
			t.Fatalf("request %d: status %d", i, answer.status)
		}
	}
	isHeldBack(t, send("2001:db8:0:1:ffff::1"), "your network address")
	if answer := send("2001:db8:0:2::1"); answer.status != 200 {
		t.Errorf("another network: status %d", answer.status)
	}
}

func TestR22_TheStricterBucketIsTold(t *testing.T) {
	for _, c := range []struct {
		limits edge.Limits
		limit  string
	}{
		{edge.Limits{PerUser: 600, PerAddress: 60}, "10"},
		{edge.Limits{PerUser: 60, PerAddress: 600}, "10"},
		{edge.Limits{PerUser: 600, PerAddress: 3000}, "100"},
		{edge.Limits{PerUser: 600}, "100"},
		{edge.Limits{PerAddress: 3000}, "500"},
		{edge.Limits{}, ""},
	} {
		h := serveHTTP(t, limited(c.limits))
		answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities))
		if got := answer.header.Get("X-RateLimit-Limit"); got != c.limit {
			t.Errorf("%+v: limit %q, want %q", c.limits, got, c.limit)
		}
		refused := h.post(t, nil, initialize(t, 1, noCapabilities))
		if refused.status != 401 || (refused.header.Get("X-RateLimit-Limit") != "") != (c.limits.PerAddress > 0) {
			t.Errorf("%+v, no token: %d, %v", c.limits, refused.status, refused.header)
		}
	}
}

func TestR22_PagesOfAllowedOriginsMayReadTheLimits(t *testing.T) {
	h := serveHTTP(t, limited(slowly), func(_ *house, c *server.HTTPConfig) { c.AllowedOrigins = []string{"https://tools.example.com"} })
	var answer httpAnswer
	for range 11 {
		answer = h.post(t, bearer(h.pat).with("Origin", "https://tools.example.com"), initialize(t, 1, noCapabilities))
	}
	isHeldBack(t, answer, "wait for the time in Retry-After")
	exposed := answer.header.Get("Access-Control-Expose-Headers")
	for _, name := range []string{"Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		if !slices.Contains(strings.Split(exposed, ", "), name) {
			t.Errorf("a page may not read %s: %s", name, exposed)
		}
	}
	if answer.header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page may not read why it is held back")
	}
}

func TestR22_ClaimPagesCountForTheAddress(t *testing.T) {
	h := serveClaims(t, "", func(c *server.HTTPConfig) { c.Limits = edge.Limits{PerAddress: 1} })
	path := h.make(t) // one request
	for i := range 9 {
		if answer := h.do(t, "GET", path, nil, ""); answer.status != 200 || answer.header.Get("X-RateLimit-Remaining") != strconv.Itoa(8-i) {
			t.Errorf("request %d: status %d, %v", i, answer.status, answer.header)
		}
	}
	isHeldBack(t, h.do(t, "GET", path, nil, ""), "your network address")
	isHeldBack(t, h.do(t, "POST", path, bearer(h.pat), ""), "your network address")
}

// apiOf answers for tokens in good with 200 and for all others with 401, and
// counts who asked.
func apiOf(t *testing.T, good *sync.Map, asked *atomic.Int32) *client.Client {
	t.Helper()
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		if _, ok := good.Load(r.Header.Get("X-API-Key") + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); !ok {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte("[]")) // the test fails by what is missing
	}))
	t.Cleanup(api.Close)
	c, err := client.New(client.WithBaseURL(api.URL), client.WithRetry(0, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func TestR22_TokensThatDoNotWorkHaveABudget(t *testing.T) {
	var good sync.Map
	var asked atomic.Int32
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) {
		c.API, c.Limits = apiOf(t, &good, &asked), edge.Limits{PerAddress: 600_000}
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	from := func(address, pat string, toolCall bool) httpAnswer {
		header := bearer(pat).with("X-Forwarded-For", address)
		if toolCall {
			return h.modern(t, header, 1, "tools/call", map[string]any{"name": "list_tokens"})
		}
		return h.post(t, header, initialize(t, 1, noCapabilities))
	}
	const office, elsewhere = "198.51.100.1", "198.51.100.2"
	connected, calling, late := randomToken(), randomToken(), randomToken()
	for _, pat := range []string{connected, calling, late} {
		good.Store(pat, true)
	}
	if a, b := from(office, connected, false), from(office, calling, true); a.status != 200 || b.message(t).tool(t).IsError {
		t.Fatalf("tokens that work: %d, %s", a.status, b.body)
	}
	before, began := asked.Load(), time.Now()
	// A tool call guesses as well as any other request.
	refused, unknownHeldBack := 0, false
	for i := range 200 {
		answer := from(office, randomToken(), i%2 == 0)
		if answer.status == http.StatusTooManyRequests {
			isHeldBack(t, answer, "too many tokens that do not work")
			// One in two seconds passes, which may be this one, but not each time.
			if !unknownHeldBack {
				unknown := randomToken()
				good.Store(unknown, true)
				unknownHeldBack = from(office, unknown, false).status == http.StatusTooManyRequests
			}
			continue
		}
		refused++
	}
	if !unknownHeldBack {
		t.Error("a token that works, and that the API was not asked about, is not held back with the guesses")
	}
	if most := 31 + int(time.Since(began)/(2*time.Second)); refused < 30 || refused > most {
		t.Errorf("%d of 200 guesses were taken to the API, want at least 30 and at most %d", refused, most)
	}
	if more := int(asked.Load() - before); more > 3*refused {
		t.Errorf("%d guesses cost %d questions", refused, more)
	}
	for _, toolCall := range []bool{false, true} {
		for _, pat := range []string{connected, calling} {
			if answer := from(office, pat, toolCall); answer.status != 200 {
				t.Errorf("a token that was accepted lately, tool call %t: status %d", toolCall, answer.status)
			}
		}
		if answer := from(elsewhere, late, toolCall); answer.status != 200 {
			t.Errorf("another address, tool call %t: status %d", toolCall, answer.status)
		}
	}
	// What was accepted lately counts until it is refused.
	good.Delete(connected)
	from(office, connected, true)
	await(t, "a token that was refused is held back", func() bool { return from(office, connected, true).status == http.StatusTooManyRequests })
	// No token, or none of the right form, costs the API nothing, and is no guess.
	for range 50 {
		if answer := h.post(t, headers{"X-Forwarded-For", "198.51.100.3"}, ""); answer.status != 401 {
			t.Fatalf("no token: status %d", answer.status)
		}
	}
	if answer := from("198.51.100.3", late, false); answer.status != 200 {
		t.Errorf("after requests without a token: status %d", answer.status)
	}
}

// A token that the API accepted the last time is no guess, however long ago that
// was, and however much others guess at the same address.
func TestR22_AKnownTokenIsNotHeldBackForGuesses(t *testing.T) {
	var good sync.Map
	var asked atomic.Int32
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) {
		h.SetAcceptedFor(0) // nothing was accepted lately
		c.API, c.Limits = apiOf(t, &good, &asked), edge.Limits{PerAddress: 600_000}
	})
	known := randomToken()
	good.Store(known, true)
	send := func(pat string) int { return h.post(t, bearer(pat), initialize(t, 1, noCapabilities)).status }
	if got := send(known); got != http.StatusOK {
		t.Fatalf("a token that works: status %d", got)
	}
	guess := func() {
		await(t, "guesses are held back", func() bool { return send(randomToken()) == http.StatusTooManyRequests })
	}
	guess()
	for range 5 {
		if got := send(known); got != http.StatusOK {
			t.Errorf("a token that was accepted once: status %d", got)
		}
	}
	// Once it is refused it is like any other.
	good.Delete(known)
	await(t, "it is refused", func() bool {
		return h.modern(t, bearer(known), 1, "tools/call", map[string]any{"name": "list_tokens"}).status == http.StatusOK || send(known) != http.StatusOK
	})
	guess()
	await(t, "it is held back", func() bool { return send(known) == http.StatusTooManyRequests })
}

// Guesses that come together are counted as those that come one by one.
func TestR22_GuessesAtOnceAreCounted(t *testing.T) {
	var asked atomic.Int32
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		time.Sleep(100 * time.Millisecond) // the others come in that time
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(api.Close)
	h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) {
		unauthorized, err := client.New(client.WithBaseURL(api.URL), client.WithRetry(0, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(unauthorized.CloseIdleConnections)
		c.API, c.Limits = unauthorized, edge.Limits{PerAddress: 600_000}
	})
	var all sync.WaitGroup
	var refused atomic.Int32
	for i := range 200 {
		all.Go(func() {
			var answer httpAnswer
			if i%2 == 0 {
				answer = h.modern(t, bearer(randomToken()), 1, "tools/call", map[string]any{"name": "list_tokens"})
			} else {
				answer = h.post(t, bearer(randomToken()), initialize(t, 1, noCapabilities))
			}
			if answer.status == http.StatusUnauthorized {
				refused.Add(1)
			} else if answer.status != http.StatusTooManyRequests {
				t.Errorf("status %d, %s", answer.status, answer.body)
			}
		})
	}
	all.Wait()
	// 30, those that were asked about when they were used up, and one each two seconds.
	if n := refused.Load(); n < 30 || n > 30+16+3 {
		t.Errorf("the API was asked about %d of 200 guesses", n)
	}
	if n := asked.Load(); n > 2*refused.Load() {
		t.Errorf("the API was asked %d times about %d guesses", n, refused.Load())
	}
}

// keptBuckets are what reaches a store.
type keptBuckets struct {
	*state.Memory
	mu   sync.Mutex
	keys map[string]bool
}

func (k *keptBuckets) Take(ctx context.Context, key string, limit ratelimit.Limit) (ratelimit.Level, error) {
	k.mu.Lock()
	k.keys[key] = true
	k.mu.Unlock()
	return k.Memory.Take(ctx, key, limit)
}

func TestA28_TokensThatNobodyAcceptedReachNoStore(t *testing.T) {
	store := &keptBuckets{Memory: state.NewMemory(), keys: map[string]bool{}}
	h := serveHTTP(t, limited(edge.Limits{PerUser: 600, PerAddress: 600_000, Store: store}))
	for i := range 100 {
		pat := randomToken()
		h.post(t, bearer(pat), initialize(t, 1, noCapabilities))
		h.modern(t, bearer(pat), i, "tools/call", map[string]any{"name": "whoami"})
	}
	if len(store.keys) != 1 || !store.keys["address:127.0.0.1"] {
		t.Errorf("strangers left %v", store.keys)
	}
	h.modern(t, bearer(h.pat), 1, "tools/list", nil)
	if len(store.keys) != 1 {
		t.Errorf("a user at an address that guesses is counted in the store before the token is known: %v", store.keys)
	}
}

func TestR22_UsersAreCountedInTheStore(t *testing.T) {
	store := &keptBuckets{Memory: state.NewMemory(), keys: map[string]bool{}}
	h := serveHTTP(t, limited(edge.Limits{PerUser: 600, Store: store}))
	for range 3 {
		h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "whoami"})
	}
	if len(store.keys) != 1 {
		t.Fatalf("the store has %v", store.keys)
	}
	for key := range store.keys {
		if !strings.HasPrefix(key, "user:") || len(key) != len("user:")+22 || strings.Contains(key, h.pat[8:16]) {
			t.Errorf("the key %q is no keyed hash", key)
		}
	}
}

func TestR23_RandomTokensAndAddressesTakeBoundedMemory(t *testing.T) {
	var good sync.Map
	var asked atomic.Int32
	h := newHouse(t, byRequest)
	handler, err := h.HTTPHandler(server.HTTPConfig{API: apiOf(t, &good, &asked), Limits: edge.Limits{PerUser: 600, PerAddress: 3000}})
	if err != nil {
		t.Fatal(err)
	}
	send := func(address, pat string) int {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader("{}"))
		r.RemoteAddr = address
		if pat != "" {
			r.Header.Set("Authorization", "Bearer "+pat)
		}
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, r)
		return recorder.Code
	}
	send("192.0.2.1:1", randomToken())
	before := heapInUse()
	for range 100_000 {
		if status := send("192.0.2.1:1", randomToken()); status != 401 && status != 429 {
			t.Fatalf("status %d", status)
		}
	}
	var address [16]byte
	for range 100_000 {
		_, _ = rand.Read(address[:8]) // never fails
		binary.BigEndian.PutUint16(address[:], 0x2001)
		if status := send(netip.AddrPortFrom(netip.AddrFrom16(address), 1).String(), ""); status != 401 {
			t.Fatalf("status %d", status)
		}
	}
	if grown := heapInUse() - before; grown > 16<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if asked.Load() > 200 {
		t.Errorf("the API was asked %d times about 100,000 guesses from one address", asked.Load())
	}
	runtime.KeepAlive(handler)
}

func heapInUse() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestIdentityServer_HasLimitsAndNoProxies(t *testing.T) {
	h := newHouse(t)
	if _, err := h.HTTPHandler(server.HTTPConfig{Identity: server.IdentityServer, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}); err == nil {
		t.Error("it takes part in proxies")
	}
	key := serverKey()
	served := identityServer(t, key, func(c *server.HTTPConfig) { c.Limits = slowly })
	// Requests without the key are not the user's.
	for range 30 {
		if answer := served.post(t, nil, initialize(t, 1, noCapabilities)); answer.status != 401 {
			t.Fatalf("without the key: status %d", answer.status)
		}
	}
	for range 10 {
		if answer := served.post(t, bearer(key), initialize(t, 1, noCapabilities)); answer.status != 200 {
			t.Fatalf("status %d", answer.status)
		}
	}
	isHeldBack(t, served.post(t, bearer(key), initialize(t, 1, noCapabilities)), "1 requests a minute")
}
