package tokens_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

const ada = "ada@example.test"

// fixture is a toolbox over the embedded API, reached through a proxy that can
// be told to misbehave and that sees the value of every token made.
//
// When the test ends, everything that left the toolbox (answers, questions, the
// log at its most talkative) is searched for every value.
type fixture struct {
	t      *testing.T
	api    *kenbuntest.API
	proxy  *unrulyProxy
	pat    string
	client *client.Client
	server *server.MCPServer
	// folder is where the road "file" delivers.
	folder  string
	callers *switchedCallers
	left    *record
}

// option changes the configuration of a fixture's toolbox before it is made.
type option func(*toolsets.Config)

func withPolicy(change func(*tools.Policy)) option {
	return func(c *toolsets.Config) { change(&c.Policy) }
}

func withDeliverer(d tokens.Deliverer) option {
	return func(c *toolsets.Config) { c.Deliverer = d }
}

func newFixture(t *testing.T, options ...option) *fixture {
	t.Helper()
	return newFixtureOn(t, kenbuntest.Start(t), options...)
}

func newFixtureOn(t *testing.T, api *kenbuntest.API, options ...option) *fixture {
	t.Helper()
	f := &fixture{t: t, api: api, left: &record{}, callers: &switchedCallers{}}
	f.proxy = newUnrulyProxy(t, f.api.URL)
	f.pat = f.api.User(t, ada, authority.RoleMember)
	f.client = newClient(t, f.proxy.URL)
	f.callers.set(f.as(f.pat))
	f.folder = filepath.Join(t.TempDir(), "tokens")
	road, err := delivery.NewFile(f.folder)
	if err != nil {
		t.Fatal(err)
	}
	config := toolsets.Config{
		Callers:       f.callers,
		Deliverer:     road,
		Policy:        unhurriedPolicy(),
		APIAddress:    f.proxy.URL,
		TerminalFlags: " --embedded",
		Logger:        slog.New(slog.NewTextHandler(f.left, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range options {
		change(&config)
	}
	toolbox, err := toolsets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	f.server = server.NewMCPServer("test", "0")
	f.server.SetTools(toolbox.ServerTools()...)
	t.Cleanup(func() {
		f.left.searchFor(t, f.pat)
		for _, value := range f.proxy.values() {
			f.left.searchFor(t, value)
		}
	})
	return f
}

// newFixtureSharing is another toolbox for the same user, as in another process.
func newFixtureSharing(t *testing.T, with *fixture, options ...option) *fixture {
	t.Helper()
	f := &fixture{t: t, api: with.api, left: &record{}, callers: &switchedCallers{}, pat: with.pat, proxy: with.proxy, folder: with.folder}
	f.client = newClient(t, f.proxy.URL)
	f.callers.set(f.as(f.pat))
	road, err := delivery.NewFile(f.folder)
	if err != nil {
		t.Fatal(err)
	}
	config := toolsets.Config{Callers: f.callers, Deliverer: road, Policy: unhurriedPolicy(), APIAddress: f.proxy.URL}
	for _, change := range options {
		change(&config)
	}
	toolbox, err := toolsets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	f.server = server.NewMCPServer("test", "0")
	f.server.SetTools(toolbox.ServerTools()...)
	return f
}

// newClient returns a client that does not wait between tries.
func newClient(t *testing.T, address string) *client.Client {
	t.Helper()
	c, err := client.New(client.WithBaseURL(address), client.WithRetry(1, time.Millisecond, 2*time.Millisecond),
		client.WithTimeout(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// as is the user of pat as a caller of tools.
func (f *fixture) as(pat string) tools.Caller {
	secret := client.NewSecret(pat)
	return tools.Caller{
		API:         f.client.As(client.Credential{PAT: secret}),
		With:        func(pat client.Secret) *client.Caller { return f.client.As(client.Credential{PAT: pat}) },
		ID:          "caller-" + secret.Prefix(),
		TokenPrefix: secret.Prefix(),
		TokenSource: "the test",
	}
}

// token gives the user of the fixture one more token.
func (f *fixture) token(name string) authority.Issued {
	f.t.Helper()
	return f.api.Token(f.t, ada, name, nil)
}

// token30 gives the user of the fixture one more token, for thirty days.
func (f *fixture) token30(name string) authority.Issued {
	f.t.Helper()
	ends := time.Now().Add(30 * 24 * time.Hour)
	return f.api.Token(f.t, ada, name, &ends)
}

// idle gives the user of the fixture one more token, for thirty days, which was made
// sixty days ago and is not used.
func (f *fixture) idle(name string) authority.Issued {
	f.t.Helper()
	f.api.Shift(-60 * 24 * time.Hour)
	defer f.api.Shift(0)
	return f.token30(name)
}

// listed is what the API itself says about the user's tokens, by id.
func (f *fixture) listed() map[string]client.Token {
	f.t.Helper()
	tokens, err := f.api.As(f.t, f.pat).ListTokens(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	byID := make(map[string]client.Token, len(tokens))
	for _, token := range tokens {
		byID[token.ID] = token
	}
	return byID
}

func (f *fixture) mustBeLive(id string) {
	f.t.Helper()
	if token, ok := f.listed()[id]; !ok || token.RevokedAt != nil {
		f.t.Fatalf("the token %s is not live any more", id)
	}
}

func (f *fixture) mustBeRevoked(id string) {
	f.t.Helper()
	if token, ok := f.listed()[id]; !ok || token.RevokedAt == nil {
		f.t.Fatalf("the token %s is not revoked", id)
	}
}

// mustHaveNothingNew fails if the user has any token but the first, or if
// anything lies in the delivery folder.
func (f *fixture) mustHaveNothingNew() {
	f.t.Helper()
	if n := len(f.listed()); n != 1 {
		f.t.Fatalf("the user has %d tokens, want the first alone", n)
	}
	f.mustHaveDelivered(0)
}

func (f *fixture) mustHaveDelivered(files int) {
	f.t.Helper()
	entries, err := os.ReadDir(f.folder)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	if len(entries) != files {
		f.t.Fatalf("the delivery folder holds %v, want %d files", entries, files)
	}
}

// switchedCallers is one caller at a time.
type switchedCallers struct {
	mu     sync.Mutex
	caller tools.Caller
	err    error
}

func (s *switchedCallers) set(caller tools.Caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.caller = caller
}

func (s *switchedCallers) Caller(context.Context) (tools.Caller, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.caller, s.err
}

// unrulyProxy stands between the client and the API.
type unrulyProxy struct {
	URL string

	mu      sync.Mutex
	handle  func(w http.ResponseWriter, r *http.Request, pass http.Handler)
	created []string
}

func newUnrulyProxy(t *testing.T, address string) *unrulyProxy {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p := &unrulyProxy{}
	pass := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: p.see,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		handle := p.handle
		p.mu.Unlock()
		if handle == nil {
			pass.ServeHTTP(w, r)
			return
		}
		handle(w, r, pass)
	}))
	t.Cleanup(listening.Close)
	p.URL = listening.URL
	return p
}

// see notes the value of a token that was made.
func (p *unrulyProxy) see(response *http.Response) error {
	if response.StatusCode != http.StatusCreated {
		return nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	var made struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.created = append(p.created, made.Token)
	return nil
}

// instead has requests handled by handle, or passed on again if it is nil.
func (p *unrulyProxy) instead(handle func(w http.ResponseWriter, r *http.Request, pass http.Handler)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handle = handle
}

// refuse answers requests of one method and path with a status.
func (p *unrulyProxy) refuse(method, path string, status int) {
	p.instead(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == method && r.URL.Path == path {
			refuse(w, status)
			return
		}
		pass.ServeHTTP(w, r)
	})
}

// values are those of the tokens made so far.
func (p *unrulyProxy) values() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.created...)
}

// unhurriedPolicy is the default one for tests that change more in a minute than
// a person would.
func unhurriedPolicy() tools.Policy {
	policy := tools.DefaultPolicy()
	policy.MaxChangesPerMinute = 0
	policy.MaxTokensPerDay = 0
	return policy
}
