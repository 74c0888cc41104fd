package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// dropAnswers stands between the program and the API: it lets every create
// through, waits until the API has committed it, and cuts the connection in the
// place of the answer.
func dropAnswers(t *testing.T, target string) (address string, dropped *atomic.Int64) {
	t.Helper()
	upstream, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	dropped = &atomic.Int64{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		ModifyResponse: func(response *http.Response) error {
			if response.Request.Method == http.MethodPost && response.StatusCode == http.StatusCreated {
				return fmt.Errorf("cut")
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			dropped.Add(1)
			panic(http.ErrAbortHandler) // closes the connection without a byte
		},
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: proxy}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + listener.Addr().String(), dropped
}

func TestA32_ALostAnswerLeavesNoLiveTokenThatNobodyHolds(t *testing.T) {
	// All at once are more than a busy machine clears up within the ten seconds that
	// there are for each.
	const batches, atOnce = 5, 20
	const times = batches * atOnce
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	proxy, dropped := dropAnswers(t, api.URL)
	environment := append(kenbuntest.Environment(t), "KENBUN_API_URL="+proxy, "KENBUN_PAT="+pat, "KENBUN_MAX_CHANGES_PER_MINUTE=0")

	told := 0
	for batch := range batches {
		var input strings.Builder
		input.WriteString(initialize)
		for i := range atOnce {
			// Some share a name, as retries of one wish would.
			input.WriteString(toolCall(i+2, "create_token", fmt.Sprintf(`{"name":"import %d","expires":"30d"}`, batch*atOnce+i%(atOnce/2))))
		}
		got := runProgram(t, environment, input.String(), "stdio")
		if got.code != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		byID := answers(t, got.stdout)
		for i := range atOnce {
			result := resultOf(t, byID[fmt.Sprint(i+2)])
			if !result.IsError {
				t.Fatalf("call %d says that it succeeded: %s", i, result.text())
			}
			if strings.HasPrefix(result.text(), "unavailable: ") && strings.Contains(result.text(), "revoked, nothing is left of it") {
				told++
			} else {
				t.Errorf("call %d is answered with %s", i, result.text())
			}
		}
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	live := 0
	for _, token := range tokens {
		if token.Status(api.Now()) == client.StatusActive && token.Name != "first" {
			live++
			t.Errorf("the token %s (%s) lives and nobody holds it", token.ID, token.Name)
		}
	}
	if dropped.Load() != times || len(tokens) != times+1 || told != times {
		t.Errorf("%d answers were cut, %d tokens made, %d calls told that theirs was revoked; want %d of each",
			dropped.Load(), len(tokens)-1, told, times)
	}
	t.Logf("%d answers lost, %d tokens live", dropped.Load(), live)
}
