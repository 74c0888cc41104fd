package server_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// refusal is an answer that refuses a request, as programs read it.
type refusal struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Reason      string `json:"reason"`
	RequestID   string `json:"request_id"`
}

func (a httpAnswer) refusal(t testing.TB) refusal {
	t.Helper()
	var r refusal
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		t.Fatalf("status %d, not a refusal in JSON: %q", a.status, a.body)
	}
	return r
}

// loggingHouse is a house whose log is kept.
type loggingHouse struct {
	*httpHouse
	log *lockedBuffer
}

func serveLogging(t testing.TB, configure ...func(*house, *server.HTTPConfig)) loggingHouse {
	t.Helper()
	h := newHouse(t, byRequest)
	log := &lockedBuffer{}
	logger := slog.New(slog.NewJSONHandler(log, nil)) // of level info, as by default
	toolbox, err := toolsets.New(toolsets.Config{Callers: identity.RequestCallers(), Deliverer: delivery.None{}, Policy: unhurriedPolicy(), APIAddress: h.api.URL, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server.New(server.Config{Version: "1", Toolbox: toolbox, Logger: logger})
	config := server.HTTPConfig{API: h.api.Client(t)}
	for _, c := range configure {
		c(h, &config)
	}
	handler, err := h.HTTPHandler(config)
	if err != nil {
		t.Fatal(err)
	}
	return loggingHouse{listen(t, h, handler), log}
}

// line is the log line of a request.
func (h loggingHouse) line(t testing.TB, requestID string) (line struct {
	Level, Msg, Reason, Cause string
	Status                    int
}) {
	t.Helper()
	found := 0
	await(t, "the line of "+requestID, func() bool {
		found = 0
		for text := range strings.Lines(h.log.String()) {
			if strings.Contains(text, `"msg":"request"`) && strings.Contains(text, `"request_id":"`+requestID+`"`) {
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatal(err)
				}
				found++
			}
		}
		return found > 0
	})
	if found != 1 {
		t.Errorf("%d lines of %s", found, requestID)
	}
	return line
}

// wrongTokens are wrong ways of giving pat in a header, and the reason.
func wrongTokens(pat string) []struct {
	what, reason, says string
	header             headers
} {
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ada:"+pat))
	return []struct {
		what, reason, says string
		header             headers
	}{
		{"no header", "missing_token", "needs a kenbun token in the Authorization header", nil},
		{"an empty header", "empty_token", "empty", headers{"Authorization", ""}},
		{"an empty X-API-Key", "empty_token", "empty", headers{"X-API-Key", ""}},
		{"Bearer alone", "empty_token", "empty", headers{"Authorization", "Bearer"}},
		{"Bearer and a blank", "empty_token", "empty", headers{"Authorization", "Bearer "}},
		{"Bearer and two blanks", "empty_token", "empty", headers{"Authorization", "bearer  "}},
		{"a variable", "unexpanded_variable", "variable", headers{"Authorization", "Bearer ${KENBUN_PAT}"}},
		{"a variable of Windows", "unexpanded_variable", "variable", headers{"Authorization", "Bearer %KENBUN_PAT%"}},
		{"a variable of VS Code", "unexpanded_variable", "variable", headers{"Authorization", "Bearer ${input:kenbun-pat}"}},
		{"a variable of OpenCode", "unexpanded_variable", "variable", headers{"Authorization", "Bearer {env:KENBUN_PAT}"}},
		{"a variable of a template", "unexpanded_variable", "variable", headers{"Authorization", "Bearer {{ .Env.KENBUN_PAT }}"}},
		{"a variable for the whole header", "unexpanded_variable", "variable", headers{"Authorization", "$KENBUN_AUTH"}},
		{"a variable in X-API-Key", "unexpanded_variable", "variable", headers{"X-API-Key", "$KENBUN_PAT"}},
		{"the value of no variable", "unexpanded_variable", "variable", headers{"Authorization", "Bearer undefined"}},
		{"a placeholder", "placeholder", "placeholder", headers{"Authorization", "Bearer <your-token>"}},
		{"the bare token", "missing_scheme", "Bearer is missing", headers{"Authorization", pat}},
		{"Bearer and the token in one", "missing_scheme", "Bearer is missing", headers{"Authorization", "Bearer" + pat[3:]}},
		{"Token", "wrong_scheme", "another scheme than Bearer", headers{"Authorization", "Token " + pat}},
		{"Basic", "wrong_scheme", "another scheme than Bearer", headers{"Authorization", basic}},
		{"a scheme that nobody knows", "wrong_scheme", "another scheme than Bearer", headers{"Authorization", "Kenbun " + pat}},
		{"a scheme with a colon", "wrong_scheme", "another scheme than Bearer", headers{"Authorization", "Bearer: " + pat}},
		{"quotes around the token", "quoted_token", "quotation mark", headers{"Authorization", `Bearer "` + pat + `"`}},
		{"single quotes", "quoted_token", "quotation mark", headers{"Authorization", "Bearer '" + pat + "'"}},
		{"quotes around everything", "quoted_token", "quotation mark", headers{"Authorization", `"Bearer ` + pat + `"`}},
		{"brackets", "quoted_token", "bracket", headers{"Authorization", "Bearer <" + pat + ">"}},
		{"quotes in X-API-Key", "quoted_token", "quotation mark", headers{"X-API-Key", `"` + pat + `"`}},
		{"Bearer in X-API-Key", "name_before_token", "something before it", headers{"X-API-Key", "Bearer " + pat}},
		{"Bearer twice", "name_before_token", "something before it", headers{"Authorization", "Bearer Bearer " + pat}},
		{"the name of the header twice", "name_before_token", "something before it", headers{"Authorization", "Authorization: Bearer " + pat}},
		{"an assignment", "name_before_token", "something before it", headers{"Authorization", "Bearer KENBUN_PAT=" + pat}},
		{"white space in the token", "white_space", "white space", headers{"Authorization", "Bearer " + pat[:20] + " " + pat[20:]}},
		{"a tab in place of the blank", "white_space", "white space", headers{"Authorization", "Bearer\t" + pat}},
		{"a token cut short", "token_cut_short", "too short", headers{"Authorization", "Bearer " + pat[:20]}},
		{"a token that is too long", "token_too_long", "too long", headers{"Authorization", "Bearer " + pat + strings.Repeat("a", 200)}},
		{"a letter that no token has", "illegal_character", "a character in it", headers{"Authorization", "Bearer " + pat + ";"}},
		{"a session of kenbun", "other_kind", "session", headers{"Authorization", "Bearer kbn_" + "session_" + pat[8:]}},
		{"a session in the form of a JWT", "other_kind", "session", headers{"Authorization", "Bearer eyJ" + pat[8:]}},
		{"the key of a server", "other_kind", "key of a kenbun-mcp server", headers{"Authorization", "Bearer kms_" + pat[8:]}},
		{"a token of GitHub", "other_kind", "GitHub", headers{"X-API-Key", "ghp_" + pat[8:]}},
		{"something else", "wrong_prefix", "begins with kbn_pat_", headers{"Authorization", "Bearer " + pat[8:]}},
		{"two headers", "two_tokens", "exactly one", headers{"Authorization", "Bearer " + pat, "Authorization", "Bearer " + pat}},
		{"both headers", "two_tokens", "--token-header", headers{"Authorization", basic, "X-API-Key", pat}},
		{"two headers in one", "two_tokens", "exactly one", headers{"Authorization", "Bearer " + pat + ", Bearer " + pat}},
		{"a token that does not work", "token_refused", "was revoked, has expired, or was not copied completely", bearer(randomToken())},
		{"a token with its last letters missing", "token_refused", "was not copied completely", bearer(pat[:len(pat)-4])},
	}
}

func TestP6_EachWrongWayOfGivingATokenOverHTTPIsExplained(t *testing.T) {
	h := serveLogging(t)
	for _, c := range wrongTokens(h.pat) {
		for _, answer := range []httpAnswer{
			h.post(t, c.header, initialize(t, 1, noCapabilities)),
			h.modern(t, c.header, 1, "tools/list", nil),
			h.do(t, "GET", "/mcp", c.header, ""),
		} {
			got := answer.refusal(t)
			if got.Reason != c.reason || !strings.Contains(got.Description, c.says) {
				t.Errorf("%s: %s, %q; want %s and %q", c.what, got.Reason, got.Description, c.reason, c.says)
			}
			if status := answer.status; status != http.StatusUnauthorized && (status != http.StatusBadRequest || c.reason != "two_tokens") {
				t.Errorf("%s: status %d", c.what, status)
			}
			challenge := answer.header.Get("WWW-Authenticate")
			if answer.status == http.StatusUnauthorized && !strings.Contains(challenge, `error_description="`+got.Description+`"`) {
				t.Errorf("%s: the challenge is %s", c.what, challenge)
			}
			if strings.Contains(answer.body+challenge, h.pat[8:16]) {
				t.Errorf("%s: the answer holds a part of the token", c.what)
			}
			if line := h.line(t, got.RequestID); line.Reason != c.reason || line.Level != "INFO" || line.Status != answer.status {
				t.Errorf("%s: the log has %+v", c.what, line)
			}
		}
	}
	if strings.Contains(h.log.String(), h.pat[8:16]) {
		t.Error("the log holds a part of the token")
	}
	for _, header := range []headers{
		{"Authorization", "Bearer  " + h.pat}, {"Authorization", "bearer     " + h.pat + "  "}, {"Authorization", "  Bearer " + h.pat}, {"X-API-Key", "  " + h.pat + "\t"},
	} {
		answer := h.post(t, header, initialize(t, 1, noCapabilities))
		if answer.status != http.StatusOK {
			t.Errorf("legal blanks: status %d, %s", answer.status, answer.body)
		}
		if line := h.line(t, answer.header.Get("X-Request-Id")); line.Reason != "" {
			t.Errorf("a request that was served has the reason %s", line.Reason)
		}
	}
}

func TestP6_WrongWaysOfGivingTheServersKeyAreExplained(t *testing.T) {
	key := serverKey()
	h := identityServer(t, key)
	for _, c := range []struct {
		header       headers
		reason, says string
	}{
		{nil, "missing_key", "needs its key"},
		{headers{"Authorization", key}, "missing_scheme", "Bearer is missing"},
		{headers{"Authorization", "Basic " + key}, "wrong_scheme", "another scheme than Bearer"},
		{headers{"Authorization", "Bearer "}, "empty_token", "the key is empty"},
		{headers{"Authorization", "Bearer ${KENBUN_SERVER_KEY}"}, "unexpanded_variable", "a variable stands in place of the key"},
		{headers{"Authorization", `Bearer "` + key + `"`}, "quoted_token", "the key has a quotation mark"},
		{headers{"X-API-Key", "Bearer " + key}, "name_before_token", "the key has something before it"},
		{bearer(h.pat), "wrong_key", "A kenbun token is not used here"},
		{bearer(serverKey()), "wrong_key", "not the key of this server"},
		{bearer(key).with("X-API-Key", key), "two_tokens", "exactly one key"},
	} {
		answer := h.post(t, c.header, initialize(t, 1, noCapabilities))
		if got := answer.refusal(t); answer.status != http.StatusUnauthorized || got.Reason != c.reason || !strings.Contains(got.Description, c.says) {
			t.Errorf("status %d, %+v; want %s and %q", answer.status, got, c.reason, c.says)
		}
		if strings.Contains(answer.body+answer.header.Get("WWW-Authenticate"), key[4:]) {
			t.Error("the answer holds the key")
		}
	}
	if answer := h.post(t, headers{"Authorization", "Bearer   " + key}, initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
		t.Errorf("legal blanks: status %d", answer.status)
	}
}

func TestP11_EachRefusalHasItsReasonInTheLogAndTheNumberInTheAnswer(t *testing.T) {
	h := serveLogging(t, func(_ *house, c *server.HTTPConfig) { c.AllowedOrigins = []string{"https://tools.example.com"} })
	body := initialize(t, 1, noCapabilities)
	session := h.session(t, bearer(h.pat), noCapabilities)
	for _, c := range []struct {
		what, reason string
		answer       httpAnswer
		status       int
	}{
		{"another Host", "forbidden_host", h.post(t, bearer(h.pat).with("Host", "evil.example"), body), 403},
		{"another Origin", "forbidden_origin", h.post(t, bearer(h.pat).with("Origin", "https://evil.example"), body), 403},
		{"the origin null", "forbidden_origin", h.post(t, bearer(h.pat).with("Origin", "null"), body), 403},
		{"no token", "missing_token", h.post(t, nil, body), 401},
		{"a wrong token", "token_refused", h.post(t, bearer(randomToken()), body), 401},
		{"no such path", "not_found", h.do(t, "GET", "/"+h.pat, nil, ""), 404},
		{"no such method", "method_not_allowed", h.do(t, "PUT", "/mcp", bearer(h.pat), ""), 405},
		{"another form of the body", "unsupported_media_type", h.post(t, bearer(h.pat).with("Content-Type", "text/plain"), body), 415},
		{"no session", "missing_session", h.post(t, bearer(h.pat), request(t, 1, "ping", nil)), 400},
		{"a session of nobody", "unknown_session", h.post(t, bearer(h.pat).with("Mcp-Session-Id", "x"), request(t, 1, "ping", nil)), 404},
		{"a version of nobody", "unsupported_version", h.post(t, headers{session[0], session[1], session[2], session[3], "Mcp-Protocol-Version", "1999-01-01"}, request(t, 1, "ping", nil)), 400},
		{"signing in", "no_sign_in", h.post2(t, "/register"), 404},
	} {
		got := c.answer.refusal(t)
		if c.answer.status != c.status || got.Reason != c.reason || got.RequestID == "" || got.RequestID != c.answer.header.Get("X-Request-Id") {
			t.Errorf("%s: status %d, %+v, X-Request-Id %s", c.what, c.answer.status, got, c.answer.header.Get("X-Request-Id"))
		}
		if line := h.line(t, got.RequestID); line.Reason != c.reason || line.Status != c.status || line.Level != "INFO" {
			t.Errorf("%s: the log has %+v", c.what, line)
		}
	}
	for what, c := range map[string]struct {
		reason string
		answer httpAnswer
	}{
		"no JSON":               {"bad_message", h.post(t, session, "{")},
		"a version of tomorrow": {"unsupported_version", h.post(t, headers{session[0], session[1], session[2], session[3], "Mcp-Protocol-Version", "2099-01-01"}, request(t, 1, "ping", nil))},
		"headers that differ":   {"header_mismatch", h.post(t, bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "ping"), modern(t, 1, "tools/list", nil))},
	} {
		if line := h.line(t, c.answer.header.Get("X-Request-Id")); line.Reason != c.reason || line.Status != 400 {
			t.Errorf("%s: the log has %+v", what, line)
		}
	}
	if strings.Contains(h.log.String(), h.pat[8:16]) {
		t.Error("the log holds a part of the token")
	}
}

func (h loggingHouse) post2(t testing.TB, path string) httpAnswer {
	t.Helper()
	return h.do(t, "POST", path, nil, "{}")
}

func TestP11_ATokenThatCannotBeVerifiedLeavesTheCauseInTheLog(t *testing.T) {
	h := serveLogging(t, func(_ *house, c *server.HTTPConfig) {
		api, err := client.New(client.WithBaseURL(unreachable), client.WithRetry(0, 0, 0))
		if err != nil {
			t.Fatal(err)
		}
		c.API = api
	})
	answer := h.post(t, bearer(h.pat), initialize(t, 1, noCapabilities))
	got := answer.refusal(t)
	if answer.status != http.StatusServiceUnavailable || got.Reason != "token_not_verified" {
		t.Errorf("status %d, %+v", answer.status, got)
	}
	if line := h.line(t, got.RequestID); line.Reason != "token_not_verified" || line.Cause != string(client.CauseConnectionRefused) || line.Status != 503 {
		t.Errorf("the log has %+v", line)
	}
	ready := h.do(t, "GET", "/readyz", nil, "")
	if line := h.line(t, ready.header.Get("X-Request-Id")); ready.status != http.StatusServiceUnavailable || line.Reason != "not_ready" || line.Cause != "api_unreachable" {
		t.Errorf("readyz: status %d, the log has %+v", ready.status, line)
	}
}

// The set of reasons is closed: every code with which the server refuses is in it.
func TestP11_TheSetOfReasonsIsClosed(t *testing.T) {
	known := server.RefusalReasons()
	for _, problem := range client.TokenProblems() {
		if slices.Contains(known, string(problem)) {
			t.Errorf("%s is in both sets", problem)
		}
	}
	files := token.NewFileSet()
	var parsed []*ast.File
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(files, path, nil, 0)
		parsed = append(parsed, file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	check := func(text ast.Expr) {
		literal, ok := text.(*ast.BasicLit)
		if !ok {
			return
		}
		code, err := strconv.Unquote(literal.Value)
		if found++; err != nil || !slices.Contains(known, code) {
			t.Errorf("%s: %s is not in the set of reasons", files.Position(literal.Pos()), literal.Value)
		}
	}
	for _, p := range parsed {
		ast.Inspect(p, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.CallExpr:
				name, _ := n.Fun.(*ast.Ident)
				if selected, ok := n.Fun.(*ast.SelectorExpr); ok {
					name = selected.Sel
				}
				if name != nil && name.Name == "WriteProblem" {
					check(n.Args[2])
				}
			case *ast.CompositeLit:
				if name, ok := n.Type.(*ast.Ident); ok && name.Name == "claimFailure" {
					for _, element := range n.Elts {
						if pair, ok := element.(*ast.KeyValueExpr); ok && fmt.Sprint(pair.Key) == "code" {
							check(pair.Value)
						}
					}
				}
			}
			return true
		})
	}
	if found < 20 {
		t.Errorf("%d codes were found; this test looks in the wrong place", found)
	}
}

func TestP5_SlashesTooManyLeadToTheSameEndpoint(t *testing.T) {
	h := serveHTTP(t)
	for _, path := range []string{"/mcp", "/mcp/", "//mcp", "//mcp/", "/mcp//", "///mcp///"} {
		answer := h.do(t, "POST", path, bearer(h.pat), initialize(t, 1, noCapabilities))
		if answer.status != http.StatusOK || answer.header.Get("Mcp-Session-Id") == "" {
			t.Errorf("POST %s: status %d, %s", path, answer.status, answer.body)
		}
		session := bearer(h.pat).with("Mcp-Session-Id", answer.header.Get("Mcp-Session-Id"), "Mcp-Protocol-Version", "2025-11-25")
		if answer := h.do(t, "DELETE", path, session, ""); answer.status != http.StatusOK {
			t.Errorf("DELETE %s: status %d", path, answer.status)
		}
		header := bearer(h.pat).with("Mcp-Protocol-Version", modernVersion, "Mcp-Method", "ping")
		if answer := h.do(t, "POST", path, header, modern(t, 1, "ping", nil)); answer.status == http.StatusNotFound && !strings.Contains(answer.body, "-32601") {
			t.Errorf("POST %s of today's protocol: status %d, %s", path, answer.status, answer.body)
		}
		if answer := h.do(t, "POST", path, nil, initialize(t, 1, noCapabilities)); answer.status != http.StatusUnauthorized {
			t.Errorf("POST %s without a token: status %d", path, answer.status)
		}
	}
	for _, path := range []string{"/healthz/", "//healthz", "/readyz/", "//readyz"} {
		if answer := h.do(t, "GET", path, nil, ""); answer.status != http.StatusOK {
			t.Errorf("GET %s: status %d", path, answer.status)
		}
	}
}

func TestP7_WithoutATokenEachPlaceThatClientsShowSaysWhatIsNeeded(t *testing.T) {
	h := serveHTTP(t)
	const says = "this server needs a kenbun token in the Authorization header, see /help"
	if len(says) >= 85 {
		t.Fatal("it is too long for what clients show")
	}
	for _, c := range []struct{ method, path string }{
		{"POST", "/mcp"}, {"GET", "/mcp"}, {"DELETE", "/mcp"}, {"POST", "/register"}, {"POST", "/token"}, {"GET", "/authorize"}, {"POST", "/authorize"},
		{"GET", "/authorize?response_type=code&client_id=x"}, {"GET", "/.well-known/oauth-protected-resource"}, {"GET", "/.well-known/oauth-protected-resource/mcp"},
		{"GET", "/.well-known/oauth-authorization-server"}, {"GET", "/.well-known/oauth-authorization-server/mcp"}, {"GET", "/.well-known/openid-configuration"},
		{"GET", "/mcp/.well-known/openid-configuration"}, {"GET", "/.well-known/openid-configuration/mcp"},
	} {
		answer := h.do(t, c.method, c.path, nil, "{}")
		got := answer.refusal(t)
		if got.Description != says || got.Error == "" || answer.status < 400 {
			t.Errorf("%s %s: status %d, %+v", c.method, c.path, answer.status, got)
		}
		if answer.status == http.StatusUnauthorized && answer.header.Get("WWW-Authenticate") != `Bearer realm="kenbun", error_description="`+says+`"` {
			t.Errorf("%s %s: %s", c.method, c.path, answer.header.Get("WWW-Authenticate"))
		}
	}
	for _, path := range []string{"/help", "/help/"} {
		help := h.do(t, "GET", path, nil, "")
		if help.status != http.StatusOK || !strings.HasPrefix(help.header.Get("Content-Type"), "text/plain") ||
			!strings.Contains(help.body, "Authorization: Bearer") || !strings.Contains(help.body, "Settings > Integrations > Personal Tokens") {
			t.Errorf("%s: status %d, %s", path, help.status, help.body)
		}
	}
}

func TestP8_TheOperatorSaysWhichHeaderCounts(t *testing.T) {
	for _, c := range []struct {
		name    string
		token   func(pat string) headers
		ignored []headers
		refused []headers
	}{
		{"X-API-Key", func(pat string) headers { return headers{"X-API-Key", pat} },
			[]headers{nil, {"Authorization", "Basic YTpi"}, {"Authorization", "Bearer " + randomToken()}, {"Authorization", "Basic YTpi", "Authorization", "Basic YTpi"}},
			[]headers{{"Authorization", "Bearer PAT"}, {"X-API-Key", "PAT", "X-API-Key", "PAT"}}},
		{"authorization", bearer,
			[]headers{nil, {"X-API-Key", "key of a gateway"}, {"X-API-Key", randomToken()}},
			[]headers{{"X-API-Key", "PAT"}, {"Authorization", "Bearer PAT", "Authorization", "Bearer PAT"}}},
		{"X-Kenbun-Token", func(pat string) headers { return headers{"x-kenbun-token", pat} },
			[]headers{nil, {"Authorization", "Basic YTpi", "X-API-Key", "key of a gateway"}},
			[]headers{{"Authorization", "Bearer PAT"}, {"X-API-Key", "PAT"}, {"X-Kenbun-Token", "Bearer PAT"}}},
	} {
		h := serveHTTP(t, func(_ *house, config *server.HTTPConfig) {
			config.TokenHeader, config.AllowedOrigins = c.name, []string{"https://tools.example.com"}
		})
		for _, other := range c.ignored {
			answer := h.modern(t, c.token(h.pat).with(other...), 1, "tools/call", map[string]any{"name": "whoami"})
			if answer.status != http.StatusOK || !strings.Contains(answer.body, "ada@example.com") {
				t.Errorf("%s beside %v: status %d, %s", c.name, other, answer.status, answer.body)
			}
		}
		for _, header := range c.refused {
			filled := slices.Clone(header)
			for i := range filled {
				filled[i] = strings.ReplaceAll(filled[i], "PAT", h.pat)
			}
			if answer := h.post(t, filled, initialize(t, 1, noCapabilities)); answer.status != http.StatusUnauthorized && answer.status != http.StatusBadRequest {
				t.Errorf("%s: %v is taken: status %d", c.name, header, answer.status)
			}
		}
		if says := h.post(t, nil, initialize(t, 1, noCapabilities)).refusal(t).Description; !strings.Contains(strings.ToLower(says), "token in the "+strings.ToLower(c.name)+" header") || len(says) >= 85 {
			t.Errorf("%s: without a token: %s", c.name, says)
		}
		preflight := h.do(t, "OPTIONS", "/mcp", headers{"Origin", "https://tools.example.com", "Access-Control-Request-Method", "POST"}, "")
		if allowed := strings.ToLower(preflight.header.Get("Access-Control-Allow-Headers")); !strings.Contains(allowed, strings.ToLower(c.name)) {
			t.Errorf("%s: pages may send %s", c.name, allowed)
		}
	}
	// Without the option two headers are two tokens.
	h := serveHTTP(t)
	if answer := h.post(t, headers{"Authorization", "Basic YTpi", "X-API-Key", h.pat}, initialize(t, 1, noCapabilities)); answer.status != http.StatusBadRequest {
		t.Errorf("by default: status %d, %s", answer.status, answer.body)
	}
	for _, name := range []string{"Cookie", "Host", "Origin", "X-Forwarded-For", "mcp-session-id", "Content-Type", "no header", "a:b", "", strings.Repeat("x", 41), "Proxy-Authorization", "Sec-Fetch-Site", "Ünicode"} {
		if _, err := newHouse(t, byRequest).HTTPHandler(server.HTTPConfig{API: h.api.Client(t), TokenHeader: name}); (err == nil) != (name == "") {
			t.Errorf("%q as the header of the token: %v", name, err)
		}
	}
}

func TestP8_TheHeaderCountsForTheServersKeyToo(t *testing.T) {
	key := serverKey()
	h := newHouse(t)
	handler, err := h.HTTPHandler(server.HTTPConfig{Identity: server.IdentityServer, Key: client.NewSecret(key), TokenHeader: "X-API-Key"})
	if err != nil {
		t.Fatal(err)
	}
	served := listen(t, h, handler)
	if answer := served.post(t, headers{"X-API-Key", key, "Authorization", "Basic YTpi"}, initialize(t, 1, noCapabilities)); answer.status != http.StatusOK {
		t.Errorf("status %d, %s", answer.status, answer.body)
	}
	if answer := served.post(t, bearer(key), initialize(t, 1, noCapabilities)); answer.status != http.StatusUnauthorized {
		t.Errorf("the key in the other header: status %d", answer.status)
	}
}

func TestP9_HealthAnswersAnybodyAndTellsNothing(t *testing.T) {
	h := serveHTTP(t)
	h.awaitReady(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		for _, header := range []headers{nil, {"Host", "10.244.1.7:8765"}, {"Host", "kenbun-mcp.default.svc.cluster.local"}, {"Host", "evil.example"}, {"Host", "a b"}, {"Origin", "https://evil.example"}, {"Origin", "null"}, {"Authorization", "Basic YTpi"}} {
			answer := h.do(t, "GET", path, header, "")
			if answer.status != http.StatusOK || !slices.Contains([]string{`{"status":"ok"}`, `{"status":"ready"}`}, strings.TrimSpace(answer.body)) {
				t.Errorf("%s with %v: status %d, %s", path, header, answer.status, answer.body)
			}
			if answer.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s with %v: pages may read it", path, header)
			}
		}
		if answer := h.do(t, "POST", path, headers{"Host", "evil.example"}, ""); answer.status != http.StatusForbidden {
			t.Errorf("POST %s: status %d", path, answer.status)
		}
	}
}

func TestP10_AnySerializedOriginButNullCanBeAllowed(t *testing.T) {
	origins := []string{
		"tauri://localhost", "vscode-file://vscode-app", "chrome-extension://abcdefghijklmnopabcdefghijklmnop", "moz-extension://0b5a1e2c-1111-2222-3333-444455556666",
		"safari-web-extension://0B5A1E2C-AAAA", "app://obsidian.md", "capacitor://localhost", "ionic://localhost:8100", "vscode-webview://1a2b3c", "app://.", "electron+app://x",
		"https://tools.example.com", "http://tauri.localhost",
	}
	for _, origin := range origins {
		h := serveHTTP(t, func(_ *house, c *server.HTTPConfig) { c.AllowedOrigins = []string{origin} })
		answer := h.post(t, bearer(h.pat).with("Origin", origin), initialize(t, 1, noCapabilities))
		if answer.status != http.StatusOK || answer.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("%s: status %d, shared with %q", origin, answer.status, answer.header.Get("Access-Control-Allow-Origin"))
		}
		for _, other := range append(origins, "null", "", strings.ToUpper(origin[len(origin)-3:]), origin+"x", origin+"/", origin+":1", "x"+origin) {
			if other == origin {
				continue
			}
			if answer := h.post(t, bearer(h.pat).with("Origin", other), initialize(t, 1, noCapabilities)); answer.status != http.StatusForbidden {
				t.Errorf("%s allows %q: status %d", origin, other, answer.status)
			}
		}
	}
	for _, never := range []string{"null", "NULL", " null ", "file://", "file:///"} {
		if _, err := newHouse(t, byRequest).HTTPHandler(server.HTTPConfig{API: serveHTTP(t).api.Client(t), AllowedOrigins: []string{never}}); err == nil || !strings.Contains(err.Error(), "cannot be allowed") {
			t.Errorf("%q: %v", never, err)
		}
	}
}
