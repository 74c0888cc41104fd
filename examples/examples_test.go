// Package examples_test starts the server from each configuration in this
// folder, as the client that it is for would.
package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

func TestMain(m *testing.M) { os.Exit(kenbuntest.Run(m)) }

// entry is one server in a client's configuration.
type entry struct {
	Type    string            `json:"type"`
	Command string            `json:"command"`
	Args    []string          `json:"args"`
	Env     map[string]string `json:"env"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

func load(t *testing.T, file string) entry {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		MCPServers map[string]entry `json:"mcpServers"`
		Servers    map[string]entry `json:"servers"`
		Inputs     []any            `json:"inputs"`
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&configuration); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	servers := configuration.MCPServers
	if strings.HasPrefix(file, "vscode") {
		servers = configuration.Servers
	}
	e, ok := servers["kenbun"]
	if !ok {
		t.Fatalf("%s names no server kenbun where its client looks for it", file)
	}
	return e
}

func TestStdioConfigurationsConnect(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	home := t.TempDir()
	secretFile := filepath.Join(home, ".config", "kenbun", "pat")
	if err := os.MkdirAll(filepath.Dir(secretFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(secretFile, []byte(pat+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"claude-code-stdio.json", "cursor-stdio.json", "vscode-stdio.json"} {
		t.Run(file, func(t *testing.T) {
			e := load(t, file)
			if e.Command != "kenbun-mcp" {
				t.Fatalf("the command is %q", e.Command)
			}
			command := exec.Command(kenbuntest.BinaryWithShort(t), e.Args...)
			command.Env = kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
			for name, value := range e.Env {
				value = strings.NewReplacer("${HOME}", home, "${userHome}", home).Replace(value)
				if strings.Contains(value, "${") {
					t.Fatalf("%s: %q has a variable that the client does not know", file, value)
				}
				command.Env = append(command.Env, name+"="+value)
			}
			expectAda(t, &mcp.CommandTransport{Command: command})
		})
	}
}

func TestHTTPConfigurationsConnect(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	address := serveHTTP(t, api)
	for _, file := range []string{"claude-code-http.json", "cursor-http.json", "vscode-http.json"} {
		t.Run(file, func(t *testing.T) {
			e := load(t, file)
			if strings.HasPrefix(file, "cursor") != (e.Type == "") || e.Type != "" && e.Type != "http" {
				t.Errorf("the type is %q", e.Type)
			}
			endpoint, err := url.Parse(e.URL)
			if err != nil {
				t.Fatal(err)
			}
			endpoint.Host = address
			headers := http.Header{}
			for name, value := range e.Headers {
				headers.Set(name, strings.NewReplacer("${KENBUN_PAT}", pat, "${env:KENBUN_PAT}", pat, "${input:kenbun-pat}", pat).Replace(value))
			}
			expectAda(t, &mcp.StreamableClientTransport{
				Endpoint:   endpoint.String(),
				HTTPClient: &http.Client{Transport: withHeaders{headers}},
			})
		})
	}
}

// serveHTTP starts the program on a free port and returns its address.
func serveHTTP(t *testing.T, api *kenbuntest.API) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, kenbuntest.Binary(t), "http", "--listen", "127.0.0.1:0")
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.Env = kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(log)
	if !lines.Scan() {
		t.Fatal("the server said nothing")
	}
	_, rest, found := strings.Cut(lines.Text(), "http://")
	address, _, _ := strings.Cut(rest, "/")
	if !found {
		t.Fatalf("the server said %q", lines.Text())
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for lines.Scan() {
		}
	}()
	t.Cleanup(func() {
		stop()
		<-drained
		if err := command.Wait(); err != nil && command.ProcessState.ExitCode() != 0 {
			t.Errorf("the server ended with %v", err)
		}
	})
	return address
}

func expectAda(t *testing.T, transport mcp.Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "example", Version: "1"}, nil).Connect(ctx, transport, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	}()
	result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		t.Fatal(err)
	}
	text := result.Content[0].(*mcp.TextContent).Text
	if result.IsError || !strings.Contains(text, "email: ada@example.com") {
		t.Errorf("whoami answered %q", text)
	}
}

type withHeaders struct{ headers http.Header }

func (w withHeaders) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range w.headers {
		r.Header[name] = values
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestGoProgramListsStaleTokens(t *testing.T) {
	require.Long(t, "it builds a program")
	api := kenbuntest.Start(t)
	api.Shift(-100 * 24 * time.Hour)
	pat := api.User(t, "cleo@example.com", authority.RoleMember)
	api.Token(t, "cleo@example.com", "forgotten", nil)
	api.Shift(0)
	api.Token(t, "cleo@example.com", "fresh", nil)
	file := filepath.Join(t.TempDir(), "pat")
	if err := os.WriteFile(file, []byte(pat+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "run", "./go")
	command.Env = append(os.Environ(), "KENBUN_API_URL="+api.URL, "KENBUN_PAT_FILE="+file)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := string(output); !strings.Contains(got, `"forgotten"`) || strings.Contains(got, `"fresh"`) || strings.Contains(got, pat) {
		t.Errorf("the program printed %q", got)
	}
}
