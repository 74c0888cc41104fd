package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
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
	if got.code != command.ExitDone {
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
	for _, want := range []string{"at most 30 days", "no tokens that never expire", "the user decides", "at most 3 changes a minute", "a policy file"} {
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
		"an unknown method":   {"deliver: [mail]\n", 0o600, "the methods are page, keychain"},
		"no method":           {"deliver: []\n", 0o600, "at least one method"},
		"one method alone":    {"deliver: page\n", 0o600, "at least one method"},
		"a relative folder":   {"deliver-dir: tokens\n", 0o600, "a path from the root on"},
		"a relative env file": {"deliver-env-file: .env\n", 0o600, "a path from the root on"},
		"a journal's folder":  {"journal-dir: /tmp\n", 0o600, "it takes none"},
		"no tool is left":     {"tools: [list_tokens]\n", 0o600, "in common"},
	} {
		t.Run(name, func(t *testing.T) {
			environment := withPolicy(t, c.content, c.mode)
			for _, process := range []string{"stdio", "http"} {
				arguments := []string{process, "--embedded", "--embedded-store", "memory", "--tools", "whoami"}
				if process == "http" {
					arguments = append(arguments, "--listen", "127.0.0.1:0")
				}
				got := runProgram(t, environment, initialize, arguments...)
				if got.code != command.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.says) || !strings.Contains(got.stderr, "policy.yaml") {
					t.Errorf("%s: exit %d, %q: %s", process, got.code, got.stdout, got.stderr)
				}
			}
		})
	}
}

// Flags that put new tokens where the model reads them need the policy file's
// consent, if there is a file.
func TestR1_PolicyFileBoundsDelivery(t *testing.T) {
	folder := t.TempDir()
	for name, c := range map[string]struct {
		content string
		flags   string
		says    string
	}{
		"inline":                       {"read-only: false", "--deliver inline", "--deliver inline is not allowed. Use page, keychain, file, or change deliver in the file"},
		"inline, and none is left":     {"deliver: [sealed, claim]", "--deliver inline", "--deliver inline is not allowed. Change deliver in the file"},
		"sealed, agreed to in vain":    {"deliver: [sealed]", "--deliver sealed", "stdio has no headers"},
		"env-file":                     {"read-only: false", "--deliver env-file --deliver-env-file F/.env", "--deliver env-file is not allowed"},
		"another folder":               {"read-only: false", "--deliver file --deliver-dir F/repo", "--deliver-dir is not allowed"},
		"another folder, by default":   {"read-only: false", "--deliver-dir F/repo", "--deliver-dir is not allowed"},
		"another folder than the file": {"deliver-dir: F/tokens", "--deliver-dir F/repo", "--deliver-dir is not allowed"},
		"another file":                 {"deliver: [env-file]\ndeliver-env-file: F/.env", "--deliver env-file --deliver-env-file F/repo/.env", "--deliver-env-file is not the file"},
		"no journal":                   {"read-only: false", "--journal-dir none", "--journal-dir none is not allowed"},
		"a method that is left out":    {"deliver: [page]", "--deliver file", "--deliver file is not allowed. Use page,"},
		"no default is left":           {"deliver: [inline]", "", "a policy file allows none of the methods"},
		"inline, agreed to":            {"deliver: [inline]", "--deliver inline", ""},
		"env-file, agreed to":          {"deliver: [env-file]\ndeliver-env-file: F/.env", "--deliver env-file", ""},
		"no journal, agreed to":        {"journal-dir: none", "--journal-dir none", ""},
		"the folder of the file":       {"deliver-dir: F/tokens", "--deliver file --deliver-dir F/tokens/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inFolder := strings.NewReplacer("F/", folder+"/").Replace
			environment := withPolicy(t, inFolder(c.content)+"\n", 0o600)
			got := runProgram(t, environment, initialize, append([]string{"stdio", "--embedded", "--embedded-store", "memory"}, strings.Fields(inFolder(c.flags))...)...)
			switch {
			case c.says == "" && (got.code != command.ExitDone || got.stdout == ""):
				t.Errorf("exit %d: %s", got.code, got.stderr)
			case c.says != "" && (got.code != command.ExitUsage || got.stdout != "" || !strings.Contains(got.stderr, c.says)):
				t.Errorf("exit %d, %q: %s", got.code, got.stdout, got.stderr)
			}
		})
	}
	// Environment variables are flags, too; and the http command reads the file as well.
	environment := append(withPolicy(t, "read-only: false\n", 0o600), "KENBUN_DELIVER=inline")
	for _, arguments := range [][]string{{"stdio"}, {"http", "--listen", "127.0.0.1:0", "--identity", "server"}} {
		got := runProgram(t, environment, initialize, append(arguments, "--embedded", "--embedded-store", "memory")...)
		if got.code != command.ExitUsage || !strings.Contains(got.stderr, "--deliver inline is not allowed") {
			t.Errorf("%s: exit %d: %s", arguments[0], got.code, got.stderr)
		}
	}
}

// Without a flag, new tokens take the methods and the folder of the policy file.
func TestR1_PolicyFileSetsTheDefaultOfDelivery(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "tokens")
	environment := withPolicy(t, "deliver: [file, env-file]\ndeliver-dir: "+folder+"\n", 0o600)
	got := runProgram(t, environment, initialize+`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"create_token","arguments":{"name":"nightly","expires":"7d"}}}`+"\n",
		"stdio", "--embedded", "--embedded-store", "memory")
	if got.code != command.ExitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 1 {
		t.Errorf("the folder of the policy file holds %v, %v: %s", files, err, answers(t, got.stdout)["2"])
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
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			process := exec.CommandContext(ctx, "unshare", "--mount", "/bin/sh", "-c", script)
			process.Env = kenbuntest.Environment(t, "KENBUN_PROGRAM="+kenbuntest.Binary(t))
			process.Stdin = strings.NewReader(initialize + `{"jsonrpc":"2.0","id":2,"method":"tools/list"}` + "\n")
			var stdout, stderr strings.Builder
			process.Stdout, process.Stderr = &stdout, &stderr
			err := process.Run()
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
