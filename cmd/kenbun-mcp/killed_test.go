package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// holdCreates stands between the program and the API and holds each create up
// for ever, before it reaches the API or after. reached gets a value for each.
func holdCreates(t *testing.T, target string, beforeAPI bool) (address string, reached chan struct{}) {
	t.Helper()
	upstream, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	reached = make(chan struct{}, 100)
	pass := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }}
	hold := func(r *http.Request) {
		reached <- struct{}{}
		<-r.Context().Done() // the program is gone
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost:
			pass.ServeHTTP(w, r)
		case beforeAPI:
			hold(r)
		default:
			pass.ServeHTTP(httptest.NewRecorder(), r)
			hold(r)
		}
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), reached
}

// killed is a run of the program over stdio that is killed while it makes a
// token.
func killed(t *testing.T, environment []string, reached chan struct{}) {
	t.Helper()
	command := exec.Command(kenbuntest.Binary(t), "stdio")
	command.Env = environment
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(input, initialize+toolCall(2, "create_token", `{"name":"killed","expires":"30d"}`)); err != nil {
		t.Fatal(err)
	}
	<-reached
	if err := command.Process.Kill(); err != nil { // SIGKILL
		t.Fatal(err)
	}
	if err := command.Wait(); err == nil {
		t.Fatal("the program ended by itself")
	}
}

func TestA33_TheProgramClearsUpAfterOneThatWasKilled(t *testing.T) {
	for name, beforeAPI := range map[string]bool{"before the token was made": true, "after": false} {
		t.Run(name, func(t *testing.T) {
			api := kenbuntest.Start(t)
			pat := api.User(t, "ada@example.com", authority.RoleMember)
			proxy, reached := holdCreates(t, api.URL, beforeAPI)
			environment := kenbuntest.Environment(t, "KENBUN_PAT="+pat, "KENBUN_API_URL="+proxy)
			killed(t, environment, reached)

			got := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{"status":"all"}`), "stdio")
			if got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.stderr)
			}
			text := resultOf(t, answers(t, got.stdout)["2"]).text()
			tokens, err := api.As(t, pat).ListTokens(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			made := 0
			for _, token := range tokens {
				if token.Name != "killed" {
					continue
				}
				made++
				if token.Status(api.Now()) == client.StatusActive {
					t.Error("a token lives and nobody holds it")
				}
				if !strings.Contains(text, token.ID+") had not") && !strings.Contains(text, "(id "+token.ID+")") {
					t.Errorf("the answer does not tell of it: %s", text)
				}
			}
			if want := map[bool]int{true: 0, false: 1}[beforeAPI]; made != want {
				t.Fatalf("%d tokens were made, want %d", made, want)
			}
			if !strings.Contains(text, "warning: An earlier process") || !strings.Contains(got.stderr, "outcome=") {
				t.Errorf("it is not told:\n%s\n%s", text, got.stderr)
			}
			again := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio")
			if strings.Contains(again.stdout, "warning: ") {
				t.Errorf("it is told again: %s", again.stdout)
			}
		})
	}
}

func TestWithoutAPlaceForTheJournalNothingIsMade(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	environment := kenbuntest.Environment(t, "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	create := initialize + toolCall(2, "create_token", `{"name":"x","expires":"1d"}`)
	got := runProgram(t, environment, create, "stdio", "--journal-dir", "/dev/null/journal")
	if result := resultOf(t, answers(t, got.stdout)["2"]); !result.IsError || !strings.Contains(result.text(), "--journal-dir") {
		t.Errorf("it answered %s", result.text())
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens, want the first alone, %v", len(tokens), err)
	}
	got = runProgram(t, environment, create, "stdio", "--journal-dir", "none")
	if result := resultOf(t, answers(t, got.stdout)["2"]); result.IsError {
		t.Errorf("without a journal it answered %s", result.text())
	}
}
