package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/state"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// claimHouse is a server that has new tokens wait for their users.
type claimHouse struct {
	*httpHouse
	claims  *claims.Claims
	handler http.Handler
	ben     string
	log     *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func serveClaims(t *testing.T, publicURL string, configure ...func(*server.HTTPConfig)) *claimHouse {
	t.Helper()
	h := &claimHouse{log: &logBuffer{}}
	logger := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	api := kenbuntest.Start(t)
	key := state.NewKey()
	claims, err := claims.New(claims.Config{
		Store: state.NewMemory(), Key: key.Derive("claims"), API: api.Client(t), Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.claims = claims
	toolbox, err := toolsets.New(toolsets.Config{
		Callers: identity.RequestCallers(), Deliverer: claims, Policy: tools.DefaultPolicy(), APIAddress: api.URL, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	house := &house{api: api, pat: api.User(t, "ada@example.com", authority.RoleMember), refused: newRefusedRequests()}
	h.ben = api.User(t, "ben@example.com", authority.RoleMember)
	house.Server = server.New(server.Config{Version: "1.2.3", Toolbox: toolbox, Logger: logger, Metrics: house.refused})
	config := server.HTTPConfig{
		API: api.Client(t), AllowedHosts: []string{"mcp.example.com"}, Claims: claims, PublicURL: publicURL, CallerKey: key.Derive("callers"),
	}
	for _, c := range configure {
		c(&config)
	}
	handler, err := house.HTTPHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	h.handler = handler
	h.httpHouse = listen(t, house, handler)
	return h
}

// make has a token made and returns the path of its claim.
func (h *claimHouse) make(t *testing.T) string {
	t.Helper()
	answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "create_token", "arguments": map[string]any{"name": "<i>nightly</i>", "expires": "7d"}})
	made := answer.message(t).tool(t)
	var result struct {
		Delivery struct{ Road, Where, Note string }
	}
	if err := json.Unmarshal(made.Structured, &result); err != nil || made.IsError || result.Delivery.Road != "claim" {
		t.Fatalf("%s: %v", made.text(), err)
	}
	id := regexp.MustCompile(`claim_[A-Z2-7]{26}`).FindString(result.Delivery.Where)
	if id == "" {
		t.Fatalf("the answer names no claim: %+v", result)
	}
	return "/claim/" + id
}

// formHeader is what a browser sends along with the page's own form.
func (h *claimHouse) formHeader() headers {
	return headers{"Content-Type", "application/x-www-form-urlencoded", "Origin", h.url, "Sec-Fetch-Site", "same-origin"}
}

// program is what the command claim sends along.
var program = headers{"Content-Type", "application/json"}

// proof is the body with which the command fetches the claim at path from host.
func proof(t *testing.T, path, pat, host string) string {
	t.Helper()
	id := strings.TrimPrefix(path, "/claim/")
	keys, err := claimkey.Derive(client.NewSecret(pat), id)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claimkey.Request{Version: claimkey.Version, Proof: claimkey.Prove(keys.Proof, id, host)})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// host is where the server is.
func (h *claimHouse) host() string { return strings.TrimPrefix(h.url, "http://") }

// proved sends the proof of the user of pat for the claim at path.
func (h *claimHouse) proved(t *testing.T, path, pat string) httpAnswer {
	t.Helper()
	return h.do(t, "POST", path, program, proof(t, path, pat, h.host()))
}

// opened is the token in the answer to a proof.
func opened(t *testing.T, path, pat string, answer httpAnswer) *claimkey.Payload {
	t.Helper()
	var got claimkey.Answer
	if err := json.Unmarshal([]byte(answer.body), &got); err != nil || answer.status != 200 || got.Version != claimkey.Version {
		t.Fatalf("status %d, %s, %v", answer.status, answer.body, err)
	}
	keys, err := claimkey.Derive(client.NewSecret(pat), strings.TrimPrefix(path, "/claim/"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := keys.Open(got.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func tokenForm(pat string) string { return url.Values{"token": {pat}}.Encode() }

var shownToken = regexp.MustCompile(`<textarea[^>]*>([^<]+)</textarea>`)

func TestClaim_PageShowsTheTokenOnceToItsUser(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	form := h.do(t, "GET", path, nil, "")
	if form.status != 200 || !strings.Contains(form.body, `<input id="token" class="value" type="password" name="token"`) || !strings.Contains(form.body, `<form method="post"`) {
		t.Fatalf("status %d, %s", form.status, form.body)
	}
	if other := h.do(t, "GET", "/claim/claim_"+strings.Repeat("A", 26), nil, ""); other.status != 200 || other.body != form.body {
		t.Error("the page tells who did not prove anything whether a claim is there")
	}
	answer := h.do(t, "POST", path, h.formHeader(), tokenForm(" "+h.pat+"\r\n"))
	shown := shownToken.FindStringSubmatch(answer.body)
	if answer.status != 200 || shown == nil || !h.works(t, shown[1]) {
		t.Fatalf("status %d: no token that works is shown", answer.status)
	}
	if !strings.Contains(answer.body, "&lt;i&gt;nightly&lt;/i&gt;") || strings.Contains(answer.body, "<i>nightly") {
		t.Error("the name is not shown as what it is")
	}
	again := h.do(t, "POST", path, h.formHeader(), tokenForm(h.pat))
	if again.status != http.StatusGone || !strings.Contains(again.body, "This claim was fetched already; its token was revoked") || shownToken.MatchString(again.body) {
		t.Errorf("a second try: status %d, %s", again.status, again.body)
	}
	if h.works(t, shown[1]) {
		t.Error("a second try does not revoke the token")
	}
	for name, a := range map[string]httpAnswer{"form": form, "token": answer, "notice": again} {
		for header, want := range map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Set-Cookie": "",
		} {
			if a.header.Get(header) != want {
				t.Errorf("%s: %s is %q, want %q", name, header, a.header.Get(header), want)
			}
		}
		policy := a.header.Get("Content-Security-Policy")
		for _, part := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'", "style-src 'sha256-", "script-src 'sha256-"} {
			if !strings.Contains(policy, part) || strings.Contains(policy, "unsafe") {
				t.Errorf("%s: the policy is %q", name, policy)
			}
		}
		if strings.Contains(a.body, h.pat) {
			t.Errorf("%s: the page repeats the user's token", name)
		}
	}
	for _, secret := range []string{shown[1][16:], h.pat[16:]} {
		if strings.Contains(h.log.String(), secret) {
			t.Error("R1: the log holds a token")
		}
	}
	if strings.Contains(h.log.String(), `"path":"`+path) || !strings.Contains(h.log.String(), `"path":"/claim/"`) {
		t.Error("the log of requests holds more of the path than its beginning")
	}
}

func TestClaim_ProgramGetsTheTokenOnce(t *testing.T) {
	h := serveClaims(t, "https://mcp.example.com")
	path := h.make(t)
	answer := h.proved(t, path, h.pat)
	got := opened(t, path, h.pat, answer)
	if !h.works(t, got.Token) || got.Name != "<i>nightly</i>" || got.ID == "" || time.Until(*got.ExpiresAt) < 6*24*time.Hour {
		t.Fatalf("got %+v", got)
	}
	if answer.header.Get("Cache-Control") != "no-store" || answer.header.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", answer.header)
	}
	for _, secret := range []string{got.Token[16:], h.pat[16:]} {
		if strings.Contains(answer.body, secret) || strings.Contains(h.log.String(), secret) {
			t.Error("the answer or the log holds a token")
		}
	}
	// Under its public name it is the same server.
	again := h.do(t, "POST", path, program, proof(t, path, h.pat, "mcp.example.com"))
	if again.status != http.StatusGone || again.problem(t) != "claim_fetched" || !strings.Contains(again.body, "its token was revoked") || h.works(t, got.Token) {
		t.Errorf("a second try: status %d, %s", again.status, again.body)
	}
}

// TestClaim_ProofIsForThisServerAndThisClaimAlone: whoever passes on what was
// meant for them gets nothing, and does not use the claim up.
func TestClaim_ProofIsForThisServerAndThisClaimAlone(t *testing.T) {
	h := serveClaims(t, "https://mcp.example.com", func(c *server.HTTPConfig) { c.AllowedHosts = append(c.AllowedHosts, "other.example.com:8443") })
	path, other := h.make(t), h.make(t)
	_, port, _ := strings.Cut(h.host(), ":")
	for name, c := range map[string]struct{ host, body string }{
		"for another name":                    {h.host(), proof(t, path, h.pat, "evil.example")},
		"for another port":                    {h.host(), proof(t, path, h.pat, "127.0.0.1:1")},
		"for another port, which the Host is": {"127.0.0.1:1", proof(t, path, h.pat, "127.0.0.1:1")},
		"for localhost at another port":       {"localhost:1", proof(t, path, h.pat, "localhost:1")},
		"for localhost without a port":        {"localhost", proof(t, path, h.pat, "localhost")},
		"for another loopback name":           {h.host(), proof(t, path, h.pat, "localhost:"+port)},
		"for another claim":                   {h.host(), proof(t, other, h.pat, h.host())},
		"with another token":                  {h.host(), proof(t, path, h.ben, h.host())},
	} {
		answer := h.do(t, "POST", path, program.with("Host", c.host), c.body)
		if answer.status != http.StatusNotFound && answer.status != http.StatusTooManyRequests {
			t.Errorf("a proof %s: status %d, %s", name, answer.status, answer.body)
		}
	}
	if answer := h.do(t, "POST", path, program.with("Host", "evil.example"), proof(t, path, h.pat, "evil.example")); answer.status != http.StatusForbidden {
		t.Errorf("under a name that is not its own: status %d", answer.status)
	}
	// Its own names are the address it listens on, the public one and what the
	// operator allows.
	for _, host := range []string{"localhost:" + port, "other.example.com:8443", "mcp.example.com"} {
		path := h.make(t)
		opened(t, path, h.pat, h.do(t, "POST", path, program.with("Host", host), proof(t, path, h.pat, host)))
	}
	opened(t, path, h.pat, h.proved(t, path, h.pat))
}

// TestClaim_TokenInPlaceOfAProofIsRefused: an older command is told why, and the
// claim is not used up.
func TestClaim_TokenInPlaceOfAProofIsRefused(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	for _, header := range []headers{bearer(h.pat), {"X-Api-Key", h.pat}, program.with("Authorization", "Bearer "+h.pat)} {
		answer := h.do(t, "POST", path, header, proof(t, path, h.pat, h.host()))
		if answer.status != http.StatusForbidden || answer.problem(t) != "outdated_client" || !strings.Contains(answer.body, "update kenbun-mcp") {
			t.Errorf("status %d, %s", answer.status, answer.body)
		}
	}
	newer := strings.Replace(proof(t, path, h.pat, h.host()), `"version":2`, `"version":3`, 1)
	if answer := h.do(t, "POST", path, program, newer); answer.status != http.StatusBadRequest || answer.problem(t) != "unsupported_version" {
		t.Errorf("another version: status %d, %s", answer.status, answer.body)
	}
	opened(t, path, h.pat, h.proved(t, path, h.pat))
}

func TestA8_WrongUserAndUnknownClaimLookAlike(t *testing.T) {
	h := serveClaims(t, "")
	path, unknown := h.make(t), "/claim/claim_"+strings.Repeat("A", 26)
	form := func(pat string) func(string) httpAnswer {
		return func(path string) httpAnswer { return h.do(t, "POST", path, h.formHeader(), tokenForm(pat)) }
	}
	proved := func(pat string) func(string) httpAnswer {
		return func(path string) httpAnswer { return h.proved(t, path, pat) }
	}
	for _, try := range []func(path string) httpAnswer{proved(h.ben), proved(randomToken()), form(h.ben), form(randomToken())} {
		a, b := try(path), try(unknown)
		if a.status != http.StatusNotFound || b.status != a.status || withoutID(a) != withoutID(b) {
			t.Errorf("another's claim: %d %s\nno claim: %d %s", a.status, a.body, b.status, b.body)
		}
	}
	// One more is too many at this claim, and at any other: the two look alike.
	a, b := proved(h.ben)(path), proved(h.ben)(unknown)
	if a.status != http.StatusNotFound || b.status != a.status {
		t.Errorf("the fifth wrong try: %d and %d", a.status, b.status)
	}
	a, b = proved(h.ben)(path), proved(h.ben)(unknown)
	if a.status != http.StatusTooManyRequests || a.problem(t) != "too_many_tries" || a.header.Get("Retry-After") == "" || b.status != a.status || withoutID(a) != withoutID(b) {
		t.Errorf("the sixth wrong try: %d %s and %d %s", a.status, a.body, b.status, b.body)
	}
	// Its owner is not kept waiting by what others do.
	if answer := proved(h.pat)(path); answer.status != 200 {
		t.Errorf("its owner gets status %d, %s", answer.status, answer.body)
	}
}

func TestR22_WrongTriesFromOneAddress(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	for i := range 25 {
		other := "/claim/claim_" + strings.Repeat("A", 25) + string("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i])
		// What a client says of itself does not make it another.
		answer := h.do(t, "POST", other, program.with("X-Forwarded-For", other), proof(t, other, h.ben, h.host()))
		want := http.StatusNotFound
		if i >= 20 {
			want = http.StatusTooManyRequests
		}
		if answer.status != want {
			t.Errorf("wrong try %d: status %d, want %d", i+1, answer.status, want)
		}
	}
	if n := h.refused.take("failures"); n != 5 {
		t.Errorf("%d tries are counted as refused, want 5", n)
	}
	if answer := h.proved(t, path, h.pat); answer.status != 200 {
		t.Errorf("an owner at the same address gets status %d", answer.status)
	}
}

func TestA11_ClaimPageTakesNoOtherSitesForms(t *testing.T) {
	h := serveClaims(t, "https://mcp.example.com")
	path := h.make(t)
	form := func(more ...string) headers {
		return headers{"Content-Type", "application/x-www-form-urlencoded"}.with(more...)
	}
	for _, header := range []headers{
		form(),
		form("Origin", "https://evil.example"),
		form("Origin", "null"),
		form("Origin", h.url, "Origin", h.url),
		form("Origin", h.url, "Sec-Fetch-Site", "cross-site"),
		form("Origin", h.url, "Sec-Fetch-Site", "same-site"),
		form("Origin", "https://mcp.example.com:444"),
		form("Origin", "https://mcp.example.com.evil.example"),
		form("Origin", "http://127.0.0.1:1"),
		form("Origin", h.url, "Authorization", "Bearer "+h.pat),
		form("Origin", h.url, "Host", "evil.example"),
		program.with("Origin", "https://evil.example"),
		program.with("Sec-Fetch-Site", "cross-site"),
	} {
		if answer := h.do(t, "POST", path, header, tokenForm(h.pat)); answer.status != http.StatusForbidden {
			t.Errorf("%v: status %d", header, answer.status)
		}
	}
	if answer := h.do(t, "GET", path, headers{"Origin", "https://evil.example"}, ""); answer.status != http.StatusForbidden {
		t.Errorf("another site reads the page: status %d", answer.status)
	}
	if answer := h.do(t, "GET", path, headers{"Sec-Fetch-Site", "cross-site"}, ""); answer.status != 200 {
		t.Errorf("a link from elsewhere does not lead to the page: status %d", answer.status)
	}
	// Behind a proxy the page has the public origin.
	if answer := h.do(t, "POST", path, form("Origin", "https://mcp.example.com", "Host", "mcp.example.com"), tokenForm(h.pat)); answer.status != 200 {
		t.Errorf("from its own page: status %d, %s", answer.status, answer.body)
	}
}

func TestClaim_RequestsThatAreNone(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	for _, c := range []struct {
		method, path string
		header       headers
		body         string
		status       int
		says         string
	}{
		{"GET", "/claim/", nil, "", 404, "not_found"},
		{"GET", "/claim/x", nil, "", 404, "not_found"},
		{"GET", path + "/", nil, "", 404, "not_found"},
		{"GET", strings.ToLower(path), nil, "", 404, "not_found"},
		{"PUT", path, nil, "", 405, "method_not_allowed"},
		{"DELETE", path, nil, "", 405, "method_not_allowed"},
		{"OPTIONS", path, headers{"Origin", "https://evil.example"}, "", 403, "forbidden_origin"},
		{"POST", path, nil, "", 400, "invalid_request"},
		{"POST", path, headers{"Authorization", "Basic x"}, "", 403, "outdated_client"},
		{"POST", path, bearer(h.pat).with("X-Api-Key", h.pat), "", 403, "outdated_client"},
		{"POST", path + "?token=" + h.pat, nil, "", 400, "invalid_request"},
		{"POST", path, program.with("Content-Encoding", "gzip"), "", 415, "unsupported_encoding"},
		{"POST", path, program, "{}", 400, "invalid_request"},
		{"POST", path, program, "null", 400, "invalid_request"},
		{"POST", path, program, `{"version":2,"proof":"AA=="}`, 400, "invalid_request"},
		{"POST", path, program, `{"version":2,"proof":"` + strings.Repeat("A", 2000) + `"}`, 400, "invalid_request"},
		{"POST", path, program, `{"version":3}`, 400, "unsupported_version"},
		{"POST", path, h.formHeader(), "", 400, "The form could not be read"},
		{"POST", path, h.formHeader(), "token=a&token=b", 400, "The form could not be read"},
		{"POST", path, h.formHeader(), "token=%zz", 400, "The form could not be read"},
		{"POST", path, h.formHeader(), "token=" + strings.Repeat("x", 64<<10), 400, "The form could not be read"},
		{"POST", path, h.formHeader(), "token=ghp_x", 400, "This looks like a GitHub token"},
		{"POST", path, h.formHeader(), "token=", 400, "The token is empty"},
	} {
		answer := h.do(t, c.method, c.path, c.header, c.body)
		if answer.status != c.status || !strings.Contains(answer.body, c.says) {
			t.Errorf("%s %s %v: status %d, %s", c.method, c.path, c.header, answer.status, answer.body)
		}
	}
	if answer := h.proved(t, path, h.pat); answer.status != 200 {
		t.Errorf("after all that its owner gets status %d, %s", answer.status, answer.body)
	}
}

func TestClaim_OwnerWhoseTokenWasRevoked(t *testing.T) {
	h := serveClaims(t, "")
	path := h.make(t)
	if err := h.api.Authority.Suspend(t.Context(), "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	page := h.do(t, "POST", path, h.formHeader(), tokenForm(h.pat))
	if page.status != http.StatusUnauthorized || !strings.Contains(page.body, "Kenbun no longer accepts that token") || shownToken.MatchString(page.body) {
		t.Errorf("a page: status %d, %s", page.status, page.body)
	}
	// A proof shows nothing but that its sender has the token that made the claim.
	// What comes back is of no use: a suspended user's tokens do not work.
	got := opened(t, path, h.pat, h.proved(t, path, h.pat))
	if h.works(t, got.Token) {
		t.Error("the token of a suspended user works")
	}
}

// brokenWriter is a connection that ends before the answer is written.
type brokenWriter struct {
	header  http.Header
	flushed bool
}

func (b *brokenWriter) Header() http.Header         { return b.header }
func (b *brokenWriter) WriteHeader(int)             {}
func (b *brokenWriter) Write(p []byte) (int, error) { return len(p), nil }
func (b *brokenWriter) FlushError() error           { b.flushed = true; return http.ErrHandlerTimeout }

func TestClaim_ThatDoesNotArriveIsRevoked(t *testing.T) {
	h := serveClaims(t, "")
	for name, header := range map[string]headers{"program": program.with("Host", "mcp.example.com"), "page": h.formHeader()} {
		path := h.make(t)
		body := tokenForm(h.pat)
		if name == "program" {
			body = proof(t, path, h.pat, "mcp.example.com")
		}
		request := h.newRequest(t, "POST", path, header, body)
		request.RemoteAddr = "127.0.0.1:1"
		writer := &brokenWriter{header: http.Header{}}
		h.handler.ServeHTTP(writer, request.WithContext(context.WithoutCancel(t.Context())))
		if !writer.flushed {
			t.Fatalf("%s: nothing was written", name)
		}
		if live := liveTokens(t, h.house, "<i>nightly</i>"); live != 0 {
			t.Errorf("%s: %d tokens live that nobody holds", name, live)
		}
	}
}

func liveTokens(t *testing.T, h *house, name string) int {
	t.Helper()
	tokens, err := h.api.As(t, h.pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for i := range tokens {
		if tokens[i].Name == name && tokens[i].Status(time.Now()) == client.StatusActive {
			live++
		}
	}
	return live
}

func TestClaims_NeedCallersAndAnAddress(t *testing.T) {
	h := serveClaims(t, "")
	for _, config := range []server.HTTPConfig{
		{Identity: server.IdentityServer, Claims: h.claims},
		{API: h.api.Client(t), Claims: h.claims, PublicURL: "mcp.example.com"},
		{API: h.api.Client(t), Claims: h.claims, PublicURL: "http://mcp.example.com"},
		{API: h.api.Client(t), Claims: h.claims, PublicURL: "https://user:pass@mcp.example.com"},
		{API: h.api.Client(t), Claims: h.claims, PublicURL: "https://mcp.example.com/?x"},
	} {
		if _, err := h.HTTPHandler(config); err == nil || strings.Contains(err.Error(), "pass@") {
			t.Errorf("%q, identity %q: %v", config.PublicURL, config.Identity, err)
		}
	}
	// Without claims there is no such address.
	plain := serveHTTP(t)
	if answer := plain.do(t, "GET", "/claim/claim_"+strings.Repeat("A", 26), nil, ""); answer.status != 404 || answer.problem(t) != "not_found" {
		t.Errorf("status %d, %s", answer.status, answer.body)
	}
}
