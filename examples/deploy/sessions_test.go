//go:build linux

package deploy_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

const (
	statelessEra = "2026-07-28"
	sessionEra   = "2025-11-25"
)

// sender sends every request with a token.
type sender struct {
	http.RoundTripper
	pat string
	// plain sends over HTTP without TLS.
	plain bool
}

func (s sender) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.pat)
	if s.plain {
		r.URL.Scheme = "http"
	}
	return s.RoundTripper.RoundTrip(r)
}

// connect connects the official SDK's client, whose person says yes to
// everything.
func connect(t *testing.T, s sender, era string) (*mcp.ClientSession, error) {
	t.Helper()
	client := mcp.NewClient(&mcp.Implementation{Name: "official", Version: "1"}, &mcp.ClientOptions{
		ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
			return &mcp.ElicitResult{Action: "accept", Content: map[string]any{"approve": true}}, nil
		},
	})
	transport := &mcp.StreamableClientTransport{Endpoint: "https://" + host + "/mcp", HTTPClient: &http.Client{Transport: s}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: era})
}

// expectAnswer calls a tool and fails where the answer does not hold part.
func expectAnswer(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any, part string) string {
	t.Helper()
	result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if result.IsError || !strings.Contains(text, part) {
		t.Fatalf("%s answered %q", tool, text)
	}
	return text
}

// answered is a line of a replica's log, in either of its forms.
var answered = regexp.MustCompile(`path"?[=:]"?/mcp"?[ ,]"?status"?[=:]200`)

// calls counts the requests that a replica answered.
func calls(p *process) int { return len(answered.FindAllString(p.log.String(), -1)) }

func TestReplicas_BothErasThroughNginx(t *testing.T) {
	api := kenbuntest.Start(t)
	for era, replicas := range map[string]int{statelessEra: 2, sessionEra: 1} {
		t.Run(era, func(t *testing.T) {
			// A replica logs a request after its answer: in logs of both eras the last
			// of one would be taken for the first of the other.
			d := newDeployment(t)
			replica1, replica2 := d.startAll(t, api, unhurried)
			pat := api.User(t, era+"@example.com", authority.RoleMember)
			session, err := connect(t, sender{RoundTripper: d.client(t).Transport, pat: pat}, era)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				expectAnswer(t, session, "whoami", nil, era+"@example.com")
			}
			made := expectAnswer(t, session, "create_token", map[string]any{"name": "nightly", "expires": "7d"}, "claim_")
			if _, err := (user{d.client(t), pat}).fetch(claimID.FindString(made)); err != nil {
				t.Error(err)
			}
			// The question to the person comes on a stream, or with the answer.
			doomed := api.Token(t, era+"@example.com", "doomed", nil)
			expectAnswer(t, session, "revoke_token", map[string]any{"id": doomed.ID}, "revoked")
			if err := session.Close(); err != nil {
				t.Error(err)
			}
			served := func() (n int) {
				for _, replica := range []*process{replica1, replica2} {
					if calls(replica) > 0 {
						n++
					}
				}
				return n
			}
			waitUntil(t, "as many replicas have logged a request as were to be asked", func() bool { return served() >= replicas })
			if n := served(); n != replicas {
				t.Errorf("%d replicas were asked, want %d", n, replicas)
			}
		})
	}
}

func TestReplicas_SessionIsUnknownToTheOtherReplica(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	d.startRedis(t)
	replica1 := d.startReplica(t, "replica1", "KENBUN_API_URL="+api.URL)
	d.startReplica(t, "replica2", "KENBUN_API_URL="+api.URL)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	var socket atomic.Pointer[string]
	socket.Store(&d.replica1)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", *socket.Load())
		},
		DisableKeepAlives: true, // each request goes to the socket of its time
	}
	s := sender{RoundTripper: transport, pat: pat, plain: true}
	session, err := connect(t, s, sessionEra)
	if err != nil {
		t.Fatal(err)
	}
	expectAnswer(t, session, "whoami", nil, "ada@example.com")
	id := session.ID()

	// What the other replica answers makes a client open a session there.
	socket.Store(&d.replica2)
	request, err := http.NewRequest(http.MethodPost, "https://"+host+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": sessionEra, "Mcp-Session-Id": id,
	} {
		request.Header.Set(name, value)
	}
	response, err := s.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); response.StatusCode != http.StatusNotFound {
		t.Errorf("the other replica answers %d: %s, %v", response.StatusCode, body, err)
	}

	// The official client ends its session then, and says why; who uses it
	// connects again.
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"}); !errors.Is(err, mcp.ErrSessionMissing) {
		t.Errorf("the official client says %v", err)
	}
	_ = session.Close() // it is over
	again, err := connect(t, s, sessionEra)
	if err != nil {
		t.Fatal(err)
	}
	expectAnswer(t, again, "whoami", nil, "ada@example.com")
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if replica1.hasEnded() {
		t.Error("the first replica ended")
	}
}

func TestReplicas_SessionOfAKilledReplicaIsOpenedOnTheOther(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	replica1, replica2 := d.startAll(t, api)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	s := sender{RoundTripper: d.client(t).Transport, pat: pat}
	session, err := connect(t, s, sessionEra)
	if err != nil {
		t.Fatal(err)
	}
	expectAnswer(t, session, "whoami", nil, "ada@example.com")
	waitUntil(t, "its replica has logged it", func() bool { return calls(replica1)+calls(replica2) > 0 })
	holder := replica1
	if calls(replica2) > 0 {
		holder = replica2
	}
	holder.signal(t, os.Kill)
	<-holder.ended
	if _, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"}); err == nil {
		t.Error("a session lived on without its replica")
	}
	_ = session.Close() // it is over
	again, err := connect(t, s, sessionEra)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		expectAnswer(t, again, "whoami", nil, "ada@example.com")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
