package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// npmClient is a client that is not ours, out of script/npm-clients.
type npmClient struct{ node, script string }

func newNPMClient(t *testing.T, name string) npmClient {
	t.Helper()
	require.Long(t, "it starts a client from npm")
	folder, err := filepath.Abs(filepath.Join("..", "..", "script"))
	if err != nil {
		t.Fatal(err)
	}
	c := npmClient{
		node:   filepath.Join(folder, "inspector", "node_modules", ".bin", "node"),
		script: filepath.Join(folder, "npm-clients", "node_modules", ".bin", name),
	}
	if _, err := os.Stat(c.node); err != nil {
		c.node = "node" // npm has a Node of its own for some platforms only
	}
	if _, err := os.Stat(c.script); err != nil {
		kenbuntest.SkipUnlessRequired(t, name+" is not installed: run npm ci in script/npm-clients")
	}
	return c
}

// run returns everything that the client writes until it ends.
func (c npmClient) run(t *testing.T, arguments ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, c.node, append([]string{c.script}, arguments...)...)
	command.Env = append(kenbuntest.Environment(t), "BROWSER=none", "NO_COLOR=1")
	command.WaitDelay = time.Second
	out, err := command.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(out), command.ProcessState.ExitCode()
}

// Users of other people's clients read one sentence when they have not given a
// token. It says what to do.
func TestP7_ClientsFromNPMSayWhatIsNeededWithoutAToken(t *testing.T) {
	api := kenbuntest.Start(t)
	endpoint := "http://" + startHTTP(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)) + "/mcp"
	const says = "this server needs a kenbun token in the Authorization header, see /help"
	for _, c := range []struct {
		client    string
		arguments []string
	}{
		{"mcp-remote", []string{endpoint, "--allow-http"}},
		{"mcporter", []string{"call", endpoint + ".whoami", "--allow-http"}},
		{"mcporter", []string{"auth", endpoint, "--allow-http"}},
	} {
		t.Run(c.client+" "+c.arguments[0], func(t *testing.T) {
			client := newNPMClient(t, c.client)
			t.Parallel()
			if out, code := client.run(t, c.arguments...); code == 0 || !strings.Contains(out, says) {
				t.Errorf("exit %d: %s", code, out)
			}
		})
	}
}

// With the token in the header they work.
func TestP7_AClientFromNPMWithATokenCallsATool(t *testing.T) {
	client := newNPMClient(t, "mcporter")
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", "member")
	endpoint := "http://" + startHTTP(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)) + "/mcp"
	configuration := filepath.Join(t.TempDir(), "mcporter.json")
	writePrivate(t, configuration, []byte(`{"mcpServers":{"kenbun":{"url":"`+endpoint+`","headers":{"Authorization":"Bearer  `+pat+`"}}}}`))
	out, code := client.run(t, "--config", configuration, "call", "kenbun.whoami")
	if code != 0 || !strings.Contains(out, "ada@example.com") {
		t.Errorf("exit %d: %s", code, strings.ReplaceAll(out, pat, "[token]"))
	}
}
