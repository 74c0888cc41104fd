package server_test

import (
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestR2_ExactlyOneTokenInItsOwnHeader(t *testing.T) {
	h := serveHTTP(t)
	pat := h.pat
	for _, c := range []struct {
		shows   string
		path    string
		header  headers
		status  int
		problem string
	}{
		{"Bearer", "/mcp", bearer(pat), 200, ""},
		{"scheme in lower case", "/mcp", headers{"Authorization", "bearer " + pat}, 200, ""},
		{"scheme in upper case", "/mcp", headers{"Authorization", "BEARER " + pat}, 200, ""},
		{"H4: X-API-Key", "/mcp", headers{"X-API-Key", pat}, 200, ""},
		{"x-api-key", "/mcp", headers{"x-api-key", pat}, 200, ""},
		{"beside it in the query, which nobody reads", "/mcp?access_token=x", bearer(pat), 200, ""},
		{"none", "/mcp", nil, 401, "missing_token"},
		{"in the query", "/mcp?access_token=" + pat, nil, 401, "missing_token"},
		{"in the query as token", "/mcp?token=" + pat + "&api_key=" + pat, nil, 401, "missing_token"},
		{"in a cookie", "/mcp", headers{"Cookie", "access_token=" + pat + "; kenbun_session=" + pat}, 401, "missing_token"},
		{"in another header", "/mcp", headers{"Proxy-Authorization", "Bearer " + pat, "X-Auth-Token", pat}, 401, "missing_token"},
		{"two Authorization headers", "/mcp", bearer(pat).with("Authorization", "Bearer "+pat), 400, "invalid_request"},
		{"two X-API-Key headers", "/mcp", headers{"X-API-Key", pat, "X-API-Key", pat}, 400, "invalid_request"},
		{"both headers", "/mcp", bearer(pat).with("X-API-Key", pat), 400, "invalid_request"},
		{"both headers, one empty", "/mcp", bearer(pat).with("X-API-Key", ""), 400, "invalid_request"},
		{"tab instead of the space", "/mcp", headers{"Authorization", "bearer\t" + pat}, 401, "invalid_token"},
		{"two spaces", "/mcp", headers{"Authorization", "Bearer  " + pat}, 200, ""},
		{"something behind it", "/mcp", headers{"Authorization", "Bearer " + pat + " " + pat}, 401, "invalid_token"},
		{"a list", "/mcp", headers{"Authorization", "Bearer " + pat + ", Bearer " + pat}, 401, "invalid_token"},
		{"in quotation marks", "/mcp", headers{"Authorization", `Bearer "` + pat + `"`}, 401, "invalid_token"},
		{"no scheme", "/mcp", headers{"Authorization", pat}, 401, "invalid_token"},
		{"scheme Basic", "/mcp", headers{"Authorization", "Basic " + pat}, 401, "invalid_token"},
		{"scheme alone", "/mcp", headers{"Authorization", "Bearer"}, 401, "invalid_token"},
		{"scheme and a space", "/mcp", headers{"Authorization", "Bearer "}, 401, "invalid_token"},
		{"empty Authorization", "/mcp", headers{"Authorization", ""}, 401, "invalid_token"},
		{"empty X-API-Key", "/mcp", headers{"X-API-Key", ""}, 401, "invalid_token"},
		{"Bearer in X-API-Key", "/mcp", headers{"X-API-Key", "Bearer " + pat}, 401, "invalid_token"},
	} {
		// Messages of either era, and calls and others, must not differ.
		for _, body := range []string{initialize(t, 1, noCapabilities), modern(t, 1, "tools/call", map[string]any{"name": "whoami"})} {
			header := c.header
			if strings.Contains(body, modernVersion) {
				header = header.with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", "whoami")
			}
			answer := h.do(t, http.MethodPost, c.path, header, body)
			if answer.status != c.status || (c.problem != "" && answer.problem(t) != c.problem) {
				t.Errorf("%s: status %d, %s; want %d %s", c.shows, answer.status, answer.body, c.status, c.problem)
			}
			if strings.Contains(answer.body, pat[12:]) || strings.Contains(answer.header.Get("WWW-Authenticate"), pat[12:]) {
				t.Errorf("%s: the token comes back", c.shows)
			}
		}
	}
}

func TestR3_EachRequestBringsItsOwnToken(t *testing.T) {
	h := serveHTTP(t)
	h.client.Transport.(*http.Transport).MaxConnsPerHost = 1
	session := h.session(t, bearer(h.pat), noCapabilities)
	if answer := h.post(t, session[2:], request(t, 1, "tools/list", nil)); answer.status != http.StatusUnauthorized {
		t.Errorf("the session without its token, on the same connection: status %d", answer.status)
	}
	if answer := h.post(t, session[2:].with("Authorization", "Bearer "+randomToken()), request(t, 1, "tools/list", nil)); answer.status != http.StatusUnauthorized {
		t.Errorf("the session with another token: status %d", answer.status)
	}
	if answer := h.post(t, session, request(t, 1, "tools/list", nil)); answer.status != http.StatusOK {
		t.Errorf("the session itself: status %d", answer.status)
	}
}

func TestR4_ChallengeWithAndWithoutAToken(t *testing.T) {
	h := serveHTTP(t)
	for _, c := range []struct {
		header          headers
		challenge, body string
	}{
		{nil,
			`Bearer realm="kenbun", error_description="this server needs a kenbun token in the Authorization header, see /help"`,
			`{"error":"missing_token","error_description":"this server needs a kenbun token in the Authorization header, see /help","reason":"missing_token","request_id":"ID"}` + "\n"},
		{bearer(randomToken()),
			`Bearer realm="kenbun", error="invalid_token", error_description="this kenbun personal access token does not work: it was revoked, has expired, or was not copied completely"`,
			`{"error":"invalid_token","error_description":"this kenbun personal access token does not work: it was revoked, has expired, or was not copied completely","reason":"token_refused","request_id":"ID"}` + "\n"},
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			answer := h.do(t, method, "/mcp", c.header, "")
			if answer.status != http.StatusUnauthorized || answer.header.Get("WWW-Authenticate") != c.challenge || withoutID(answer) != c.body {
				t.Errorf("%s: status %d\n%s\n%s", method, answer.status, answer.header.Get("WWW-Authenticate"), answer.body)
			}
			if answer.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: the answer may be cached", method)
			}
		}
	}
}

// withoutID is the body of an answer with ID for the number of the request, which
// must be that of the header.
func withoutID(answer httpAnswer) string {
	return strings.Replace(answer.body, `"request_id":"`+answer.header.Get("X-Request-Id")+`"`, `"request_id":"ID"`, 1)
}

func TestR5_TokensThatDoNotWorkAreAnsweredAlike(t *testing.T) {
	h := serveHTTP(t)
	end := time.Now().Add(time.Hour)
	expired := h.api.Token(t, "ada@example.com", "expired", &end)
	revoked := h.api.Token(t, "ada@example.com", "revoked", nil)
	if err := h.api.As(t, h.pat).RevokeToken(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	h.api.Shift(2 * time.Hour)
	elsewhere := kenbuntest.Start(t).User(t, "eve@example.com", authority.RoleOwner)
	var first httpAnswer
	for i, c := range []struct{ kind, token string }{
		{"revoked", revoked.Value},
		{"expired", expired.Value},
		{"of another API", elsewhere},
		{"garbage of the right form", randomToken()},
		{"one letter changed", h.pat[:30] + flipped(h.pat[30]) + h.pat[31:]},
		{"cut off at its end", h.pat[:len(h.pat)-3]},
	} {
		answer := h.post(t, bearer(c.token), initialize(t, 1, noCapabilities))
		if i == 0 {
			first = answer
		}
		if answer.status != 401 || withoutID(answer) != withoutID(first) || answer.header.Get("WWW-Authenticate") != first.header.Get("WWW-Authenticate") {
			t.Errorf("%s: status %d, %s", c.kind, answer.status, answer.body)
		}
		// An attacker may leave connecting out: the call itself teaches no more.
		if direct := h.modern(t, bearer(c.token), 1, "tools/call", map[string]any{"name": "list_tokens"}); direct.status == 200 {
			if tool := direct.message(t).tool(t); !strings.HasPrefix(tool.text(), "unauthenticated: ") {
				t.Errorf("%s: a call says %s", c.kind, tool.text())
			}
		} else if withoutID(direct) != withoutID(first) {
			t.Errorf("%s: a call is answered with %d, %s", c.kind, direct.status, direct.body)
		}
	}
	if answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("the token that works: status %d", answer.status)
	}
}

// flipped is another letter than b.
func flipped(b byte) string {
	if b == 'a' {
		return "b"
	}
	return "a"
}

func TestN4_NobodyIsLetInWhileTheAPIIsDown(t *testing.T) {
	h := serveHTTP(t, func(h *house, c *server.HTTPConfig) {
		api, err := client.New(client.WithBaseURL(unreachable), client.WithRetry(0, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		c.API = api
	})
	for _, body := range []string{initialize(t, 1, noCapabilities), "", "nonsense", request(t, 1, "tools/list", nil)} {
		answer := h.post(t, bearer(h.pat), body)
		if answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") != "5" ||
			answer.problem(t) != "temporarily_unavailable" || answer.header.Get("WWW-Authenticate") != "" {
			t.Errorf("%q: status %d, %v, %s", body, answer.status, answer.header, answer.body)
		}
		if answer.header.Get("Mcp-Session-Id") != "" {
			t.Errorf("%q opens a session", body)
		}
	}
	if answer := h.modern(t, bearer(h.pat), 1, "tools/call", map[string]any{"name": "whoami"}); answer.status != http.StatusServiceUnavailable {
		t.Errorf("a call: status %d, %s", answer.status, answer.body)
	}
}

// serverKey makes a key as a server that acts with its own token has one.
func serverKey() string { return "kms" + "_" + rand.Text() }

// identityServer serves ada's own token to those who have key.
func identityServer(t *testing.T, key string, configure ...func(*server.HTTPConfig)) *httpHouse {
	t.Helper()
	h := newHouse(t, func(h *house, api *client.Client) tools.Callers {
		return identity.OwnCallers(api, ownToken(h.pat))
	})
	config := server.HTTPConfig{Identity: server.IdentityServer, Key: client.NewSecret(key)}
	for _, c := range configure {
		c(&config)
	}
	handler, err := h.HTTPHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return listen(t, h, handler)
}

func TestIdentityServer_ActsWithItsOwnTokenForWhoeverHasItsKey(t *testing.T) {
	key := serverKey()
	h := identityServer(t, key)
	for _, header := range []headers{bearer(key), {"Authorization", "bearer " + key}, {"X-API-Key", key}} {
		answer := h.modern(t, header, 1, "tools/call", map[string]any{"name": "whoami"})
		if tool := answer.message(t).tool(t); !strings.Contains(tool.text(), "ada@example.com") {
			t.Errorf("whoami: %s", tool.text())
		}
	}
	session := h.session(t, bearer(key), noCapabilities)
	if text := h.post(t, session, call(t, 2, "whoami", nil)).message(t).tool(t).text(); !strings.Contains(text, "ada@example.com") {
		t.Errorf("whoami: %s", text)
	}
}

func TestIdentityServer_RefusesRequestsWithoutItsKey(t *testing.T) {
	key := serverKey()
	h := identityServer(t, key)
	for _, c := range []struct {
		header headers
		says   string
	}{
		{nil, "missing_token"},
		{bearer(h.pat), "invalid_token"},
		{headers{"X-API-Key", h.pat}, "invalid_token"},
		{bearer(serverKey()), "invalid_token"},
		{bearer(""), "invalid_token"},
		{bearer(key + "x"), "invalid_token"},
		{bearer(key[:len(key)-1]), "invalid_token"},
		{bearer(strings.ToLower(key)), "invalid_token"},
		{headers{"Authorization", ""}, "invalid_token"},
		{headers{"Authorization", key}, "invalid_token"},
		{headers{"Authorization", "Basic " + key}, "invalid_token"},
		{headers{"Authorization", "Bearer " + key, "Authorization", "Bearer " + key}, "invalid_request"},
		{headers{"X-API-Key", key, "X-API-Key", key}, "invalid_request"},
		{headers{"Authorization", "Bearer " + key, "X-API-Key", key}, "invalid_request"},
	} {
		answer := h.post(t, c.header, initialize(t, 1, noCapabilities))
		if answer.status != 401 || answer.problem(t) != c.says || answer.header.Get("WWW-Authenticate") == "" || !strings.Contains(answer.body, "key") {
			t.Errorf("%d headers: status %d, %s; want 401 and %s", len(c.header), answer.status, answer.body, c.says)
		}
		if strings.Contains(answer.body, key) {
			t.Error("the answer holds the key")
		}
	}
	// A server that was given no key has none that could be guessed.
	keyless := identityServer(t, "")
	for _, header := range []headers{nil, bearer(""), {"X-API-Key", ""}} {
		if answer := keyless.post(t, header, initialize(t, 1, noCapabilities)); answer.status != 401 {
			t.Errorf("without a key of its own: status %d", answer.status)
		}
	}
}

// A request without the key is answered before its body has come.
func TestIdentityServer_ReadsNoBodyWithoutTheKey(t *testing.T) {
	h := identityServer(t, serverKey())
	connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 401 ") {
		t.Errorf("answered with %q, %v", answer, err)
	}
}

func TestIdentityServer_AnswersItsOwnMachineOnly(t *testing.T) {
	key := serverKey()
	h := newHouse(t)
	handler, err := h.HTTPHandler(server.HTTPConfig{Identity: server.IdentityServer, Key: client.NewSecret(key), AllowedHosts: []string{"mcp.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{
		"192.0.2.7:1", "[2001:db8::1]:1", "[::ffff:192.0.2.7]:1", "[fe80::1%lo]:1", "[::1%lo]:1", "10.0.0.1:1", "0.0.0.0:1", "", "@", "127.0.0.1",
		"127.0.0.1:1", // it says so, and there is no connection
	} {
		if recorder := serveFrom(t, handler, address, bearer(key)); recorder.Code != 403 {
			t.Errorf("from %q: status %d, want 403", address, recorder.Code)
		}
	}
	// Clients of a proxy on this machine may be anywhere.
	served := listen(t, h, handler)
	for _, header := range []headers{
		{"X-Forwarded-For", "127.0.0.1"}, {"Forwarded", "for=127.0.0.1"}, {"X-Real-Ip", "127.0.0.1"}, {"Via", "1.1 proxy"},
		{"X-Forwarded-Host", "localhost"}, {"X-Forwarded-Proto", ""},
	} {
		if answer := served.post(t, append(bearer(key), header...), initialize(t, 1, noCapabilities)); answer.status != 403 {
			t.Errorf("with %v: status %d, want 403", header, answer.status)
		}
	}
	if answer := served.post(t, bearer(key), initialize(t, 1, noCapabilities)); answer.status != 200 {
		t.Errorf("without any of these headers: status %d", answer.status)
	}
}

func TestHTTPHandler_RefusesWhatMakesNoSense(t *testing.T) {
	h := newHouse(t)
	api := h.api.Client(t)
	for _, c := range []struct {
		config server.HTTPConfig
		says   string
	}{
		{server.HTTPConfig{}, "without the API"},
		{server.HTTPConfig{API: api, Identity: "anybody"}, "use caller or server"},
		{server.HTTPConfig{API: api, AllowedHosts: []string{"*"}}, "is not a host"},
		{server.HTTPConfig{API: api, AllowedOrigins: []string{"*"}}, "is not an origin"},
	} {
		if _, err := h.HTTPHandler(c.config); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
}
