//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// sdkOutcome is how a call of the official TypeScript client ended.
type sdkOutcome struct {
	Text, Thrown string
	IsError      bool
	Seconds      float64
	Heard        []string
}

// sdkClient runs the official TypeScript client, which makes a call, waits for next,
// and makes it again.
func sdkClient(t *testing.T, environment []string, call map[string]any, next func()) (first, second sdkOutcome) {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("..", "..", "script", "sdk-client"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "node_modules")); err != nil {
		kenbuntest.SkipUnlessRequired(t, "the TypeScript SDK is not installed: run npm ci in script/sdk-client")
	}
	arguments, err := json.Marshal(call)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), "node", filepath.Join(folder, "waiting.mjs"), string(arguments))
	command.Env, command.Stderr = environment, os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(bufio.NewReader(out))
	if err := lines.Decode(&first); err != nil {
		t.Fatal(err)
	}
	next()
	if _, err := io.WriteString(in, "\n"); err != nil {
		t.Fatal(err)
	}
	if err := lines.Decode(&second); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Error(err)
	}
	return first, second
}

// The client gives up after 60 seconds by default. This test waits in real time.
func TestP12_TheOfficialTypeScriptClientNeverTimesOut(t *testing.T) {
	require.Long(t, "it waits for 45 seconds")
	t.Parallel() // it does hardly anything else
	for label, how := range map[string]struct {
		overHTTP, progress bool
	}{
		"stdio, on a page":               {},
		"stdio, on a page with progress": {progress: true},
		"HTTP, in a dialog":              {overHTTP: true},
		"HTTP, in a dialog with progress": {
			overHTTP: true, progress: true,
		},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			api := kenbuntest.Start(t)
			pat := api.User(t, "ada@example.com", authority.RoleMember)
			target := api.Token(t, "ada@example.com", "target", nil)
			decides := make(chan struct{})
			user, browser := newClicker(t, url.Values{"choice": {"agree"}})
			user.before = func(string, url.Values) { <-decides }
			environment := append(kenbuntest.Environment(t, browser...), "KENBUN_API_URL="+api.URL)
			call := map[string]any{
				"transport": "stdio", "command": kenbuntest.Binary(t), "args": []string{"stdio"}, "progress": how.progress,
				"tool": map[string]any{"name": "revoke_token", "arguments": map[string]any{"id": target.ID}},
			}
			if how.overHTTP {
				call["transport"], call["asks"] = "http", true
				call["url"] = "http://" + startHTTP(t, environment) + "/mcp"
				call["headers"] = map[string]string{"Authorization": "Bearer " + pat}
			} else {
				environment = append(environment, "KENBUN_PAT="+pat)
			}
			first, second := sdkClient(t, with(environment, "PATH="+os.Getenv("PATH")), call, func() { close(decides) })
			if first.Thrown != "" || !strings.Contains(first.Text, "is open") || first.Seconds < 40 || first.Seconds > 55 {
				t.Errorf("the first call ended with %+v", first)
			}
			if how.progress && len(first.Heard) < 3 {
				t.Errorf("progress: %q", first.Heard)
			}
			if second.Thrown != "" || second.IsError || !strings.Contains(second.Text, "Token revoked") {
				t.Errorf("the second call ended with %+v", second)
			}
			if _, err := api.As(t, target.Value).Me(t.Context()); err == nil {
				t.Error("the token works")
			}
		})
	}
}
