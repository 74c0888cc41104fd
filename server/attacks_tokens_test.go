package server_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/size"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// countingAPI passes requests on to the API and counts them.
func countingAPI(t testing.TB, h *house) (api *client.Client, asked *atomic.Int32) {
	t.Helper()
	asked = &atomic.Int32{}
	api, err := client.New(client.WithBaseURL(passOn(t, h.api.URL, asked)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.CloseIdleConnections)
	return api, asked
}

// refusedTokens are well-formed tokens that do not work, each for a reason of
// its own.
func refusedTokens(t testing.TB, h *house) map[string]string {
	t.Helper()
	end := time.Now().Add(time.Hour)
	expired := h.api.Token(t, "ada@example.com", "expired", &end).Value
	revoked := h.api.Token(t, "ada@example.com", "revoked", nil)
	if err := h.api.As(t, h.pat).RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	h.api.Shift(2 * time.Hour)
	// With the prefix of a token that there is.
	near := h.pat[:len(h.pat)-1] + flipped(h.pat[len(h.pat)-1])
	return map[string]string{"unknown": randomToken(), "near": near, "expired": expired, "revoked": revoked.Value}
}

// Whoever sends a token that does not work must not learn from the time that the
// answer takes why not: each is looked up by as many questions to the API, which
// take as long. Only the form, which is public, is told by the time.
func TestA29_WhyATokenDoesNotWorkIsNotToldByTheTime(t *testing.T) {
	var asked *atomic.Int32
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) { c.API, asked = countingAPI(t, h) })
	tokens := refusedTokens(t, h.house)
	hello := initialize(t, 1, noCapabilities)
	questions := func(token string) int32 {
		before := asked.Load()
		if answer := h.post(t, bearer(token), hello); answer.status != http.StatusUnauthorized {
			t.Fatalf("status %d, %s", answer.status, answer.body)
		}
		return asked.Load() - before
	}
	want := questions(tokens["unknown"])
	for kind, token := range tokens {
		for range 3 { // a no is not remembered
			if got := questions(token); got != want || got == 0 {
				t.Errorf("%s: the API is asked %d times, and %d times about an unknown one", kind, got, want)
			}
		}
	}
	for kind, token := range map[string]string{"cut off": h.pat[:20], "empty": "", "of another product": "ghp_" + h.pat[8:], "with a gap": h.pat[:20] + "." + h.pat[21:]} {
		if got := questions(token); got != 0 {
			t.Errorf("%s: the API is asked %d times", kind, got)
		}
	}

	if size.RaceDetector {
		return // it takes its own time for each access to memory, which is no measure
	}
	// Measured in turn, so that whatever else the machine does falls on all alike.
	// The second sample of unknown tokens shows how much two samples of one kind
	// differ.
	const rounds = 300
	kinds := []string{"unknown", "unknown again", "near", "expired", "revoked"}
	tokens["unknown again"] = randomToken()
	took := map[string][]float64{}
	for round := range rounds {
		for i := range kinds {
			kind := kinds[(round+i)%len(kinds)]
			r := h.newRequest(t, "POST", "/mcp", bearer(tokens[kind]), hello)
			began := time.Now()
			h.send(t, r)
			took[kind] = append(took[kind], float64(time.Since(began).Microseconds()))
		}
	}
	for kind := range took {
		slices.Sort(took[kind])
	}
	at := func(kind string, part float64) float64 { return took[kind][int(part*(rounds-1))] }
	spread := at("unknown", 0.75) - at("unknown", 0.25)
	allowed := math.Max(spread, 0.25*at("unknown", 0.5))
	for _, kind := range kinds[1:] {
		differs := at(kind, 0.5) - at("unknown", 0.5)
		t.Logf("%-14s median %.0f µs, %+.0f µs against unknown ones, half of which lie within %.0f µs", kind, at(kind, 0.5), differs, spread)
		if math.Abs(differs) > allowed {
			t.Errorf("%s tokens: %+.0f µs, of which %.0f µs could be chance", kind, differs, allowed)
		}
	}
}

// Whoever tries tokens is held back by address, through whichever door they come
// and however many connections they use; what they try does not hold back whose
// token works.
func TestA30_TryingTokensThroughEveryDoorIsOneBudget(t *testing.T) {
	var asked *atomic.Int32
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) {
		c.API, asked = countingAPI(t, h)
		c.Limits = edge.Limits{PerAddress: 600_000}
	})
	h.session(t, bearer(h.pat), noCapabilities)
	doors := []func(string) httpAnswer{
		func(pat string) httpAnswer { return h.post(t, bearer(pat), initialize(t, 1, noCapabilities)) },
		func(pat string) httpAnswer {
			return h.post(t, headers{"X-API-Key", pat}, initialize(t, 1, noCapabilities))
		},
		func(pat string) httpAnswer { return h.do(t, "GET", "/mcp", bearer(pat), "") },
		func(pat string) httpAnswer { return h.do(t, "DELETE", "/mcp", bearer(pat), "") },
		func(pat string) httpAnswer { return h.modern(t, bearer(pat), 1, "tools/list", nil) },
		func(pat string) httpAnswer {
			return h.modern(t, bearer(pat), 1, "tools/call", map[string]any{"name": "list_tokens"})
		},
		func(pat string) httpAnswer { return h.post(t, bearer(pat).with("Mcp-Session-Id", "A"), "nonsense") },
		func(pat string) httpAnswer { return h.post(t, bearer(pat).with("X-Forwarded-For", pat[20:30]), "") },
	}
	held := map[int]int{}
	for i := range 30 * len(doors) {
		door := i % len(doors)
		switch answer := doors[door](randomToken()); answer.status {
		case http.StatusTooManyRequests:
			isHeldBack(t, answer, "too many tokens that do not work")
			held[door]++
		case http.StatusUnauthorized:
		case http.StatusOK: // a call, of which the API itself said no
			if text := answer.message(t).tool(t).text(); !strings.HasPrefix(text, "unauthenticated: ") {
				t.Fatalf("door %d: %s", door, text)
			}
		default:
			t.Fatalf("door %d: status %d, %s", door, answer.status, answer.body)
		}
	}
	for door := range doors {
		if held[door] < 20 {
			t.Errorf("door %d was closed for %d of 30 tries", door, held[door])
		}
	}
	before := asked.Load()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 20 {
				doors[0](randomToken())
			}
		})
	}
	all.Wait()
	// One in two seconds may pass.
	if more := asked.Load() - before; more > 100 {
		t.Errorf("320 more tries at once cost the API %d questions", more)
	}
	if err := h.whoIs(t, user{"ada@example.com", h.pat}, 0); err != nil {
		t.Errorf("whose token works: %v", err)
	}
}

// Reading a large call costs more than asking about its token, so that nobody has
// it read whose token does not work.
func TestA30_LargeCallsAreReadForTokensThatWorkAlone(t *testing.T) {
	h := serveHTTP(t)
	var ran atomic.Int32
	addTool(h.house, "echo", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		ran.Add(1)
		return echo(ctx, r)
	})
	call := func(pat string, size int) httpAnswer {
		return h.modern(t, bearer(pat), 1, "tools/call", map[string]any{"name": "echo", "padding": strings.Repeat("x", size)})
	}
	for _, size := range []int{20 << 10, 1<<20 - 1000} {
		if answer := call(randomToken(), size); answer.status != http.StatusUnauthorized || answer.problem(t) != "invalid_token" {
			t.Errorf("%d bytes with a made-up token: status %d, %s", size, answer.status, answer.body)
		}
		if ran.Load() != 0 {
			t.Fatal("a tool ran for a token that does not work")
		}
	}
	for range 2 { // as a stranger, and as one whom the API accepted lately
		if answer := call(h.pat, 1<<20-1000); answer.status != http.StatusOK {
			t.Errorf("with a token that works: status %d, %s", answer.status, answer.body)
		}
	}
	if ran.Load() != 2 {
		t.Errorf("the tool ran %d times, want twice", ran.Load())
	}
}

// Two tokens in one request are nobody's, in whatever order and case, over
// HTTP/1 and HTTP/2, and also where a proxy has made one header of two.
func TestA43_TwoTokensAreNobodys(t *testing.T) {
	h := serveHTTP(t)
	ben := h.api.User(t, "ben@example.com", authority.RoleMember)
	body := modern(t, 1, "tools/call", map[string]any{"name": "whoami"})
	tail := "Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nMcp-Protocol-Version: " + modernVersion +
		"\r\nMcp-Method: tools/call\r\nMcp-Name: whoami\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	for lines, want := range map[string]int{
		"Authorization: Bearer %s\r\nAuthorization: Bearer %s\r\n":      400,
		"Authorization: Bearer %s\r\nauthorization: bearer %s\r\n":      400,
		"AUTHORIZATION: Bearer %s\r\nX-API-Key: %s\r\n":                 400,
		"X-Api-Key: %s\r\nAuthorization: Bearer %s\r\n":                 400,
		"x-api-key: %s\r\nX-API-KEY: %s\r\n":                            400,
		"Authorization: Bearer %s, Bearer %s\r\n":                       401,
		"Authorization: Bearer %s,%s\r\n":                               401,
		"Authorization: Bearer %s\r\n Bearer %s\r\n":                    401, // folded: one line of the two
		"X-API-Key: %s, %s\r\n":                                         401,
		"X-API-Key: %s;%s\r\n":                                          401,
		"Authorization:\r\nX-API-Key: %.0s%s\r\n":                       400,
		"Authorization: Basic eDp5\r\nAuthorization: Bearer %.0s%s\r\n": 400,
	} {
		for _, order := range [][2]any{{h.pat, ben}, {ben, h.pat}, {h.pat, h.pat}} {
			status, _, answer := onTheWire(t, h.url, "POST /mcp HTTP/1.1\r\n"+fmt.Sprintf(lines, order[:]...)+tail)
			if status != want || strings.Contains(answer, "example.com") {
				t.Errorf("%q: status %d, want %d: %s", lines, status, want, answer)
			}
		}
	}
	secure := serveTLS(t, newCertificate(t))
	r := secure.newRequest(t, "POST", "/mcp", bearer(secure.pat).with("Authorization", "Bearer "+secure.pat), initialize(t, 1, noCapabilities))
	response, err := secure.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusBadRequest || response.ProtoMajor != 2 {
		t.Errorf("over %s: status %d", response.Proto, response.StatusCode)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
}

// One user has one bucket, however the token is sent and in whichever session.
func TestR22_OneTokenIsOneUserHoweverItIsSent(t *testing.T) {
	h := serveHTTP(t, limited(edge.Limits{PerUser: 1}))
	one, other := h.session(t, bearer(h.pat), noCapabilities), h.session(t, headers{"X-API-Key", h.pat}, noCapabilities) // two requests each
	ways := []headers{
		one, other, {"authorization", "bearer " + h.pat}, {"AUTHORIZATION", "BEARER " + h.pat}, {"x-api-key", h.pat}, {"X-API-KEY", h.pat},
		bearer(h.pat).with(other[2:]...), bearer(h.pat).with("X-Forwarded-For", "192.0.2.1"), bearer(h.pat).with("Mcp-Session-Id", "A"),
	}
	served := 4
	for i := range 5 * len(ways) {
		answer := h.post(t, ways[i%len(ways)], request(t, i, "tools/list", nil))
		if answer.status != http.StatusTooManyRequests {
			served++
		}
	}
	if served != 10 {
		t.Errorf("%d requests were taken, want 10", served)
	}
}
