package server_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/server/identity"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// patience is how long a test waits for what must come. It bounds failures;
// nothing waits for it to pass.
const patience = 20 * time.Second

const modernVersion = "2026-07-28"

// ownToken is credentials of one token.
type ownToken string

func (o ownToken) Credential(context.Context) (client.Credential, string, error) {
	return client.Credential{PAT: client.NewSecret(string(o))}, "a test", nil
}

// house is a server with all that it stands on.
type house struct {
	api *kenbuntest.API
	// pat is the token of ada@example.com.
	pat string
	*server.Server
	// delivered is the folder for new tokens.
	delivered string
	refused   *refusedRequests
}

// newHouse serves the tools as the callers that choose picks, by default ada's
// own.
func newHouse(t testing.TB, choose ...func(*house, *client.Client) tools.Callers) *house {
	t.Helper()
	return newHouseWith(t, func(*toolsets.Config) {}, choose...)
}

// newHouseWith is newHouse with another configuration of the tools.
func newHouseWith(t testing.TB, change func(*toolsets.Config), choose ...func(*house, *client.Client) tools.Callers) *house {
	t.Helper()
	h := &house{api: kenbuntest.Start(t), delivered: filepath.Join(t.TempDir(), "tokens"), refused: newRefusedRequests()}
	h.pat = h.api.User(t, "ada@example.com", authority.RoleAdmin)
	api := h.api.Client(t)
	callers := identity.OwnCallers(api, ownToken(h.pat))
	if len(choose) > 0 {
		callers = choose[0](h, api)
	}
	deliverer, err := delivery.NewFile(h.delivered)
	if err != nil {
		t.Fatal(err)
	}
	config := toolsets.Config{Callers: callers, Deliverer: deliverer, Policy: unhurriedPolicy(), APIAddress: h.api.URL}
	change(&config)
	toolbox, err := toolsets.New(config)
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server.New(server.Config{Version: "1.2.3", Toolbox: toolbox, Metrics: h.refused})
	return h
}

// deliveredValue reads the one token that was delivered.
func (h *house) deliveredValue(t testing.TB) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.delivered, "*.token"))
	if err != nil || len(files) != 1 {
		t.Fatalf("delivered files: %v, %v", files, err)
	}
	value, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

// works reports whether the API accepts a token.
func (h *house) works(t testing.TB, pat string) bool {
	t.Helper()
	_, err := h.api.As(t, pat).Me(t.Context())
	return err == nil
}

// randomToken is a well-formed token that no API issued.
func randomToken() string {
	random := make([]byte, 24)
	_, _ = rand.Read(random) // never fails
	return "kbn" + "_pat_" + hex.EncodeToString(random)
}

// message is a JSON-RPC message as a peer reads it.
type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// toolAnswer is the result of a tool call.
type toolAnswer struct {
	IsError bool `json:"isError"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
	Structured json.RawMessage `json:"structuredContent"`
}

func (m message) tool(t testing.TB) toolAnswer {
	t.Helper()
	if m.Error != nil {
		t.Fatalf("error %d: %s", m.Error.Code, m.Error.Message)
	}
	var answer toolAnswer
	if err := json.Unmarshal(m.Result, &answer); err != nil {
		t.Fatalf("the result is %s: %v", m.Result, err)
	}
	if len(answer.Content) == 0 {
		t.Fatalf("the result %s has no content", m.Result)
	}
	return answer
}

func (a toolAnswer) text() string { return a.Content[0].Text }

func marshal(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// request writes a request of a protocol before 2026-07-28.
func request(t testing.TB, id any, method string, params any) string {
	t.Helper()
	m := map[string]any{"jsonrpc": "2.0", "id": id, "method": method}
	if params != nil {
		m["params"] = params
	}
	return marshal(t, m)
}

func call(t testing.TB, id any, tool string, arguments map[string]any) string {
	t.Helper()
	if arguments == nil {
		arguments = map[string]any{}
	}
	return request(t, id, "tools/call", map[string]any{"name": tool, "arguments": arguments})
}

// initialize opens a session of a client with capabilities.
func initialize(t testing.TB, id any, capabilities map[string]any) string {
	t.Helper()
	return request(t, id, "initialize", map[string]any{
		"protocolVersion": "2025-11-25",
		"capabilities":    capabilities,
		"clientInfo":      map[string]any{"name": "test", "version": "1"},
	})
}

var (
	noCapabilities = map[string]any{}
	asksPeople     = map[string]any{"elicitation": map[string]any{}}
)

// modern writes a request of protocol 2026-07-28.
func modern(t testing.TB, id any, method string, params map[string]any) string {
	t.Helper()
	all := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    modernVersion,
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}}
	for key, value := range params {
		all[key] = value
	}
	return request(t, id, method, all)
}

// unhurriedPolicy is the default one for tests that change more in a minute than
// a person would.
func unhurriedPolicy() tools.Policy {
	policy := tools.DefaultPolicy()
	policy.MaxChangesPerMinute = 0
	policy.MaxTokensPerDay = 0
	return policy
}

// unreachable is the address of an API that is not there: its port is one that
// the system gives to nobody by itself.
const unreachable = "http://127.0.0.1:1"

// serveFrom has handler answer initialize as if it came from address.
func serveFrom(t testing.TB, handler http.Handler, address string, header headers) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost/mcp", strings.NewReader(initialize(t, 1, noCapabilities)))
	r.RemoteAddr = address
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, r)
	return recorder
}
