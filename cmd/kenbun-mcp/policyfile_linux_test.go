package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// withPolicy returns an environment with a policy file of the user.
func withPolicy(t *testing.T, content string, mode os.FileMode) []string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "kenbun-mcp")
	mustDo(t, os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "policy.yaml"), []byte(content), mode), os.Chmod(filepath.Join(folder, "policy.yaml"), mode))
	return kenbuntest.Environment(t, "XDG_CONFIG_HOME="+filepath.Dir(folder))
}

// Weaker flags do not undo the user's policy file, nor does a weaker file undo
// the flags.
func TestStdioTakesTheStricterOfFlagsAndPolicyFile(t *testing.T) {
	environment := withPolicy(t, "exclude-tools: [revoke_token]\nmax-token-lifetime: 30d\nallow-never-expiring: false\napproval: ask\nmax-changes-per-minute: 0\n", 0o600)
	calls := initialize + `{"jsonrpc":"2.0","id":2,"method":"tools/list"}` + "\n" +
		`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"whoami","arguments":{}}}` + "\n"
	got := runProgram(t, environment, calls, "stdio", "--embedded", "--embedded-store", "memory", "--max-token-lifetime", "3650d", "--allow-never-expiring",
		"--approval", "client", "--max-changes-per-minute", "3", "--exclude-tools", "rotate_token")
	if got.code != exitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	byID := answers(t, got.stdout)
	for _, name := range []string{"revoke_token", "rotate_token"} {
		if strings.Contains(string(byID["2"]), `"name":"`+name+`"`) {
			t.Errorf("%s is on offer", name)
		}
	}
	var who struct {
		StructuredContent struct{ Limits string } `json:"structuredContent"`
	}
	if err := json.Unmarshal(byID["3"], &who); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"at most 30 days", "no tokens that never expire", "a person decides", "at most 3 changes a minute", "a policy file"} {
		if !strings.Contains(who.StructuredContent.Limits, want) {
			t.Errorf("whoami does not say %q: %s", want, who.StructuredContent.Limits)
		}
	}
	if !strings.Contains(got.stderr, "policy.yaml") || !strings.Contains(got.stderr, "max-token-lifetime") {
		t.Errorf("the log does not say that the file counts: %s", got.stderr)
	}
}

func TestAPolicyFileThatCannotBeTrustedEndsTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		says    string
	}{
		"an unknown setting":  {"read-only: true\nreadonly: true\n", 0o600, `no setting "readonly"`},
		"a setting twice":     {"read-only: true\nread-only: false\n", 0o600, "twice"},
		"a bad value":         {"read-only: perhaps\n", 0o600, "true or false"},
		"no value":            {"read-only:\n", 0o600, "true or false"},
		"no lifetime":         {"max-token-lifetime:\n", 0o600, "write days such as 90d"},
		"an empty list":       {"tools: []\n", 0o600, "at least one name"},
		"an unknown tool":     {"exclude-tools: [revoke_tokens]\n", 0o600, "no tool"},
		"an unknown approval": {"approval: perhaps\n", 0o600, "use ask, client or deny"},
		"nothing":             {"", 0o600, "empty"},
		"two documents":       {"read-only: true\n---\nread-only: false\n", 0o600, "more than one"},
		"no settings":         {"read-only\n", 0o600, "settings"},
		"writable by others":  {"read-only: true\n", 0o622, "other users"},
		"no tool is left":     {"tools: [list_tokens]\n", 0o600, "in common"},
	} {
		t.Run(name, func(t *testing.T) {
			environment := withPolicy(t, c.content, c.mode)
			for _, command := range []string{"stdio", "http"} {
				arguments := []string{command, "--embedded", "--embedded-store", "memory", "--tools", "whoami"}
				if command == "http" {
					arguments = append(arguments, "--listen", "127.0.0.1:0")
				}
				got := runProgram(t, environment, initialize, arguments...)
				if got.code != exitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.says) || !strings.Contains(got.stderr, "policy.yaml") {
					t.Errorf("%s: exit %d, %q: %s", command, got.code, got.stdout, got.stderr)
				}
			}
		})
	}
}

// The machine's file counts where the user has none, and must be root's.
func TestThePolicyFileOfTheMachine(t *testing.T) {
	if os.Geteuid() != 0 {
		kenbuntest.SkipUnlessRequired(t, "only root can give the program another /etc")
	}
	for name, c := range map[string]struct{ prepare, says string }{
		"root's":                  {"", ""},
		"another user's":          {"chown 65534 /etc/kenbun-mcp/policy.yaml", "belong to root alone"},
		"writable by its group":   {"chmod 664 /etc/kenbun-mcp/policy.yaml", "belong to root alone"},
		"in another's folder":     {"chown 65534 /etc/kenbun-mcp", "belong to root alone"},
		"a link":                  {"mv /etc/kenbun-mcp/policy.yaml /etc/p; ln -s /etc/p /etc/kenbun-mcp/policy.yaml", "belong to root alone"},
		"not for another setting": {"echo 'x: 1' >>/etc/kenbun-mcp/policy.yaml", `no setting "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			script := `set -e; mount -t tmpfs tmpfs /etc; mkdir -m 755 /etc/kenbun-mcp; echo 'exclude-tools: [revoke_token]' >/etc/kenbun-mcp/policy.yaml
				chmod 644 /etc/kenbun-mcp/policy.yaml; ` + c.prepare + `
				exec "$KENBUN_PROGRAM" stdio --embedded --embedded-store memory`
			command := exec.Command("unshare", "--mount", "/bin/sh", "-c", script)
			command.Env = kenbuntest.Environment(t, "KENBUN_PROGRAM="+kenbuntest.Binary(t))
			command.Stdin = strings.NewReader(initialize + `{"jsonrpc":"2.0","id":2,"method":"tools/list"}` + "\n")
			var stdout, stderr strings.Builder
			command.Stdout, command.Stderr = &stdout, &stderr
			err := command.Run()
			if c.says != "" {
				if err == nil || stdout.Len() > 0 || !strings.Contains(stderr.String(), c.says) {
					t.Errorf("%v: %s", err, stderr.String())
				}
				return
			}
			if list := string(answers(t, stdout.String())["2"]); err != nil || !strings.Contains(list, `"create_token"`) || strings.Contains(list, `"revoke_token"`) {
				t.Errorf("%v, %s: %s", err, stderr.String(), list)
			}
		})
	}
}
