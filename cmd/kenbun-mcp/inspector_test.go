package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// inspector is the command line of the MCP Inspector, a client that is not ours.
type inspector struct {
	node, script string
	environment  []string
}

func newInspector(t *testing.T, environment []string) inspector {
	t.Helper()
	require.Long(t, "it starts the MCP Inspector")
	modules, err := filepath.Abs(filepath.Join("..", "..", "script", "inspector", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	i := inspector{
		node:        filepath.Join(modules, ".bin", "node"),
		script:      filepath.Join(modules, ".bin", "inspector"),
		environment: environment,
	}
	if _, err := os.Stat(i.node); err != nil {
		i.node = "node" // npm has a Node of its own for some platforms only
	}
	if _, err := os.Stat(i.script); err != nil {
		kenbuntest.SkipUnlessRequired(t, "the MCP Inspector is not installed: run npm ci in script/inspector")
	}
	return i
}

// run returns the Inspector's standard output and exit code, and fails on
// anything that it complains about.
func (i inspector) run(t *testing.T, arguments ...string) ([]byte, int) {
	t.Helper()
	command := exec.Command(i.node, append([]string{i.script, "--cli"}, arguments...)...)
	command.Env = i.environment
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := command.ProcessState.ExitCode(); code != 0 {
		return append(out.Bytes(), complaints.Bytes()...), code
	}
	if text := strings.ToLower(complaints.String()); strings.Contains(text, "warn") || strings.Contains(text, "error") {
		t.Errorf("the Inspector complains: %s", complaints.String())
	}
	return out.Bytes(), 0
}

func TestInspectorListsAndCallsEveryTool(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_DELIVER=file", "KENBUN_API_EXTENSIONS=true", "KENBUN_MAX_CHANGES_PER_MINUTE=100")
	i := newInspector(t, with(environment, "MCP_INSPECTOR_SECRET_STORE=memory"))

	// Tokens go through files: argument lists are for everybody to see.
	folder := t.TempDir()
	tokenFile := filepath.Join(folder, "pat")
	writePrivate(t, tokenFile, []byte(pat+"\n"))
	configuration, err := json.Marshal(map[string]any{"mcpServers": map[string]any{
		"stdio": map[string]any{
			"type": "stdio", "command": kenbuntest.Binary(t), "args": []string{"stdio"},
			"env": map[string]string{
				"KENBUN_API_URL": api.URL, "KENBUN_API_EXTENSIONS": "true", "KENBUN_PAT_FILE": tokenFile,
				"KENBUN_DELIVER": "file", "KENBUN_MAX_CHANGES_PER_MINUTE": "100", "KENBUN_DELIVER_DIR": filepath.Join(folder, "tokens"),
			},
		},
		"http": map[string]any{
			"type": "streamable-http", "url": "http://" + startHTTP(t, environment) + "/mcp",
			"headers": map[string]string{"Authorization": "Bearer " + pat},
		},
	}})
	if err != nil {
		t.Fatal(err)
	}
	configurationFile := filepath.Join(folder, "mcp.json")
	writePrivate(t, configurationFile, configuration)

	for _, era := range []string{"legacy", "modern"} {
		for _, name := range []string{"stdio", "http"} {
			t.Run(era+" over "+name, func(t *testing.T) {
				inspectTools(t, i, api, func(more ...string) []string {
					return append([]string{"--config", configurationFile, "--server", name, "--protocol-era", era}, more...)
				})
			})
		}
	}
}

func writePrivate(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func inspectTools(t *testing.T, i inspector, api *kenbuntest.API, arguments func(...string) []string) {
	t.Helper()
	out, code := i.run(t, arguments("--strict", "--method", "tools/list")...)
	if code != 0 {
		t.Fatalf("tools/list with --strict: exit %d: %s", code, out)
	}
	var list struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		t.Fatalf("tools/list: %v: %s", err, out)
	}
	if len(list.Tools) != len(tools.Tools(toolsets.All())) {
		t.Errorf("%d tools are listed, want %d", len(list.Tools), len(tools.Tools(toolsets.All())))
	}

	call := func(tool, args string, wantCode int) toolResult {
		t.Helper()
		out, code := i.run(t, arguments("--method", "tools/call", "--tool-name", tool, "--tool-args-json", args)...)
		if code != wantCode {
			t.Fatalf("%s: exit %d, want %d: %s", tool, code, wantCode, out)
		}
		var result toolResult
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&result); err != nil {
			t.Fatalf("%s: %v: %s", tool, err, out)
		}
		return result
	}
	if who := call("whoami", "{}", 0); !strings.Contains(who.text(), "email: ada@example.com") {
		t.Errorf("whoami answered %q", who.text())
	}
	call("list_tokens", `{"status":"all"}`, 0)
	created := call("create_token", `{"name":"from the Inspector","expires":"7d"}`, 0)
	secret, err := os.ReadFile(created.Structured.Delivery.Where)
	if err != nil {
		t.Fatal(err)
	}
	value := strings.TrimSpace(string(secret))

	// The command line cannot ask a person: exit code 5 is a tool's error.
	refused := call("revoke_token", `{"id":"`+created.Structured.ID+`"}`, 5)
	if !strings.Contains(refused.text(), "needs_person") {
		t.Errorf("revoke_token answered %q", refused.text())
	}
	refused = call("rotate_token", `{"id":"`+created.Structured.ID+`"}`, 5)
	if !strings.Contains(refused.text(), "needs_person") {
		t.Errorf("rotate_token answered %q", refused.text())
	}
	refused = call("update_token", `{"id":"`+created.Structured.ID+`","permissions":["read:leads","read:tokens"]}`, 5)
	if !strings.Contains(refused.text(), "needs_person") {
		t.Errorf("less for a token that was just used: update_token answered %q", refused.text())
	}
	api.Shift(-60 * 24 * time.Hour)
	ends := time.Now().Add(30 * 24 * time.Hour)
	idle := api.Token(t, "ada@example.com", "idle", &ends)
	api.Shift(0)
	call("update_token", `{"id":"`+idle.ID+`","permissions":["read:leads","read:tokens"]}`, 0)
	refused = call("update_token", `{"id":"`+idle.ID+`","permissions":["all"]}`, 5)
	if !strings.Contains(refused.text(), "needs_person") {
		t.Errorf("update_token answered %q", refused.text())
	}
	if _, err := api.As(t, value).Me(t.Context()); err != nil {
		t.Errorf("the token is dead though nobody decided so: %v", err)
	}
}

// toolResult is a tool's answer as clients see it.
type toolResult struct {
	IsError bool `json:"isError"`
	Content []struct {
		Text string `json:"text"`
	} `json:"content"`
	Structured struct {
		ID       string `json:"id"`
		Prefix   string `json:"prefix"`
		Delivery struct {
			Where string `json:"where"`
		} `json:"delivery"`
	} `json:"structuredContent"`
}

func (r toolResult) text() string {
	if len(r.Content) == 0 {
		return ""
	}
	return r.Content[0].Text
}
