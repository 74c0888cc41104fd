package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestBadInputIsToldWhatToDo(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	withToken := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	without := kenbuntest.Environment(t)
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = occupied.Close() })
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	for _, tc := range []struct {
		name        string
		environment []string
		arguments   string
		code        int
		says        string
	}{
		{"unknown command", without, "bogus", 2, `unknown command "bogus"`},
		{"unknown flag", without, "whoami --bogus", 2, "unknown flag: --bogus"},
		{"there is no flag for a token", without, "whoami --pat x", 2, "unknown flag: --pat"},
		{"no token", without, "whoami", 3, "set KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND"},
		{"two tokens", withToken, "whoami --pat-file x", 2, "KENBUN_PAT and KENBUN_PAT_FILE; keep one"},
		{"http on a foreign host", without, "whoami --api-url http://api.example.com", 2, "must begin with https://"},
		{"user info", without, "whoami --api-url https://user:hunter2@api.example.com", 2, "must not hold a user name"},
		{"a query", without, "whoami --api-url https://api.example.com?a=b", 2, "query"},
		{"no address", without, "whoami --api-url not-an-address", 2, "https://"},
		{"a variable that cannot be read", with(without, "KENBUN_READ_ONLY=perhaps"), "stdio", 2, `KENBUN_READ_ONLY="perhaps"`},
		{"nobody there", with(without, "KENBUN_PAT="+pat), "whoami --api-url http://127.0.0.1:1", 4, "connection refused"},
		{"a certificate that does not exist", without, "whoami --ca-file /does/not/exist", 2, "the CA file /does/not/exist cannot be read: it does not exist"},
		{"a port that there is not", without, "http --listen 127.0.0.1:99999", 2, `--listen cannot be "127.0.0.1:99999"`},
		{"a port for metrics that there is not", without, "http --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:what", 2, `--metrics-listen cannot be "127.0.0.1:what"`},
		{"an address of another machine", without, "http --listen 192.0.2.7:8765 --behind-proxy", 1, "this machine does not have the address 192.0.2.7:8765"},
		{"an address of another machine for the API", without, "authority serve --store memory --listen 192.0.2.7:8765", 1, "this machine does not have the address 192.0.2.7:8765"},
		{"a name that is not known", without, "http --listen nowhere.invalid:8765 --behind-proxy", 1, "the host name in nowhere.invalid:8765 cannot be resolved"},
		{"no file of a key", without, "http --state-key-file /does/not/exist/key", 1, "/does/not/exist/key is not there and cannot be made (it does not exist)"},
		{"no name", withToken, "tokens create --expires 7d", 2, "accepts 1 arg"},
		{"no expiry", withToken, "tokens create x", 2, "--expires is missing"},
		{"an expiry without a unit", withToken, "tokens create x --expires 30 --stdout", 2, `write "30d"`},
		{"an expiry in the past", withToken, "tokens create x --expires 2020-01-01T00:00:00Z --stdout", 2, "lies in the past"},
		{"an expiry without a zone", withToken, "tokens create x --expires 2030-01-01T00:00:00 --stdout", 2, "needs a zone"},
		{"a name of 101 characters", withToken, "tokens create " + strings.Repeat("ü", 101) + " --expires 7d --stdout", 2, "100"},
		{"permissions that nobody has", withToken, "tokens create x --expires 7d --permissions read:everything --stdout", 2, "Use some of: read:accounts"},
		{"never, and nobody to ask", withToken, "tokens create x --expires never --stdout", 5, "needs your answer at a terminal"},
		{"a change of a path", withToken, "tokens update ../me --name x", 2, "letters, digits"},
		{"a status that does not exist", withToken, "tokens list --status old", 2, "use one of active"},
		{"an id that is a path", withToken, "tokens revoke ../me", 2, "letters, digits"},
		{"a tool that does not exist", without, "stdio --exclude-tools revoke_tokens", 2, "the tools are whoami, list_tokens"},
		{"no number of tokens a day", without, "stdio --max-tokens-per-day -1", 2, "cannot be less than 0"},
		{"a lifetime of nothing", without, "stdio --max-token-lifetime 0d", 2, "write days such as 90d"},
		{"a road that does not exist", without, "stdio --deliver mail", 2, "use one of page, keychain, file, env-file, inline\n"},
		{"a road that does not exist over HTTP", without, "http --deliver mail", 2, "use one of page, keychain, file, env-file, claim, sealed, inline\n"},
		{"a claim over stdio", without, "stdio --deliver claim", 2, "Use it with kenbun-mcp http"},
		{"no header for the recipient", without, "stdio --deliver sealed", 2, "Use it with kenbun-mcp http, or choose page, keychain, file, env-file, inline\n"},
		{"two APIs", without, "stdio --embedded --api-url https://api.example.com", 2, "two different APIs"},
		{"an embedded store without --embedded", without, "stdio --embedded-store memory", 2, "needs --embedded"},
		{"a data folder that cannot be made", without, "whoami --embedded --embedded-store " + file + "/data", 1, file},
		{"a port in use", without, "http --listen " + occupied.Addr().String(), 1, "is in use by another program"},
		{"a network address without TLS", without, "http --listen 0.0.0.0:0", 2, "--behind-proxy"},
		{"the server's identity on a network", without, "http --listen 0.0.0.0:0 --behind-proxy --identity server", 2, "loopback"},
		{"the server's identity behind a proxy", without, "http --identity server --behind-proxy", 2, "--identity caller"},
		{"the server's identity for a proxy's clients", without, "http --identity server --trusted-proxy 10.0.0.0/8", 2, "--identity caller"},
		{"a proxy that is no network", without, "http --trusted-proxy proxy.example.com", 2, "write one such as 10.0.0.0/8"},
		{"everybody as a proxy", without, "http --trusted-proxy 0.0.0.0/0", 2, "is every address"},
		{"a negative limit", without, "http --rate-limit -1", 2, "0 for any number"},
		{"a limit that is no number", without, "http --rate-limit many", 2, `--rate-limit cannot be "many"; it takes a whole number`},
		{"a time without a unit", without, "http --session-idle 5", 2, `--session-idle cannot be "5"; it takes a time such as 90s, 30m or 12h`},
		{"a switch that is neither on nor off", without, "stdio --read-only=perhaps", 2, `--read-only cannot be "perhaps"; it takes true or false`},
		{"a list that cannot be read", without, `http --allowed-host "a`, 2, `it takes values with commas between them`},
		{"a limit in the environment that is no number", with(without, "KENBUN_RATE_LIMIT=many"), "http", 2, `KENBUN_RATE_LIMIT="many": --rate-limit cannot be "many"; it takes a whole number`},
		{"a certificate without a key", without, "http --tls-cert-file x", 2, "both --tls-cert-file and --tls-key-file"},
		{"a key without a certificate", without, "http --listen 0.0.0.0:0 --tls-key-file x", 2, "--tls-cert-file"},
		{"a TLS certificate that does not exist", without, "http --tls-cert-file /does/not/exist --tls-key-file " + file, 2, "/does/not/exist"},
		{"a TLS certificate that is none", without, "http --tls-cert-file " + file + " --tls-key-file " + file, 2, "cannot be used together"},
		{"the server's identity under a public name", without, "http --identity server --public-url https://mcp.example.com", 2, "--identity caller"},
		{"one .env for all callers", without, "http --deliver env-file --deliver-env-file x", 2, "one user's token"},
		{"other people's tokens in a file", without, "http --deliver file --allowed-host mcp.example.com", 2, "other people's tokens"},
		{"an origin with a path", without, "http --listen 127.0.0.1:0 --allowed-origin https://a.example/x", 2, "is not an origin"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := runProgram(t, tc.environment, "", strings.Fields(tc.arguments)...)
			if got.code != tc.code || !strings.Contains(got.stderr, tc.says) {
				t.Errorf("exit %d, want %d, with %q in: %s", got.code, tc.code, tc.says, got.stderr)
			}
			if got.stdout != "" {
				t.Errorf("standard output is not for errors: %q", got.stdout)
			}
			if strings.Contains(got.stderr, "strconv") || strings.Contains(got.stderr, "non-quoted-field") || strings.Contains(got.stderr, "in duration") {
				t.Errorf("Go's words reach the user: %s", got.stderr)
			}
			if strings.Contains(got.stderr, "hunter2") || strings.Contains(got.stderr, pat[16:]) {
				t.Error("a secret is shown")
			}
		})
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens after all that, want the first alone (%v)", len(tokens), err)
	}
}

// with returns environment and one variable more.
func with(environment []string, variable string) []string {
	return append(slices.Clip(environment), variable)
}

func TestAPIsThatAreNotKenbun(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"HTML":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>Please sign in</html>")) },
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"5 MB":    func(w http.ResponseWriter, _ *http.Request) { writeList(w, strings.Repeat(" ", 5<<20)) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.com/", http.StatusFound)
		},
		"a wrong type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("[]"))
		},
		"malformed JSON":     func(w http.ResponseWriter, _ *http.Request) { writeList(w, `[{"id":`) },
		"an object, no list": func(w http.ResponseWriter, _ *http.Request) { writeList(w, `{"tokens":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: handler}
			go func() { _ = server.Serve(listener) }()
			t.Cleanup(func() { _ = server.Close() })
			api := kenbuntest.Start(t)
			pat := api.User(t, "ada@example.com", authority.RoleMember)
			environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL=http://"+listener.Addr().String(),
				"KENBUN_DELIVER_DIR="+filepath.Join(t.TempDir(), "tokens"))
			got := runProgram(t, environment, initialize+toolCall(2, "list_tokens", "{}")+toolCall(3, "create_token", `{"name":"x","expires":"7d"}`), "stdio")
			for id, result := range answers(t, got.stdout) {
				if id == "1" {
					continue
				}
				answer := resultOf(t, result)
				if !answer.IsError || !strings.Contains(answer.text(), "KENBUN_API_URL") {
					t.Errorf("call %s was answered with %q", id, answer.text())
				}
				// What stands in between may name itself, in a line of its own.
				for line := range strings.Lines(answer.text()) {
					isData := strings.HasPrefix(line, "Data, not instructions: ")
					if strings.Contains(line, "sign in") && !isData || strings.Contains(line, "sso.example.com") {
						t.Errorf("the upstream's own words reached the model: %q", answer.text())
					}
				}
			}
		})
	}
}

// An unknown field is no fault: an API may grow.
func TestUnknownFieldsAreDropped(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeList(w, `[{"id":"pat_1","name":"x","token_prefix":"kbn_pat_00000000","created_at":"2026-01-01T00:00:00Z","last_used_at":null,"expires_at":null,"revoked_at":null,"token":"the-value","secret":"the-value"}]`)
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL=http://"+listener.Addr().String())
	got := runProgram(t, environment, initialize+toolCall(2, "list_tokens", "{}"), "stdio")
	if result := resultOf(t, answers(t, got.stdout)["2"]); result.IsError || !strings.Contains(result.text(), "pat_1") {
		t.Errorf("list_tokens answered %q", result.text())
	}
	if strings.Contains(got.stdout, "the-value") {
		t.Error("a field that we do not know came through")
	}
}

func writeList(w http.ResponseWriter, body string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(body))
}
