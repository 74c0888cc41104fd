package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// withoutFolders is an environment with nothing but what is given.
func withoutFolders(variables ...string) []string {
	return append([]string{"PATH=/usr/bin:/bin", "KENBUN_ALLOW_AGENT=1", "KENBUN_NO_BROWSER=true", "DBUS_SESSION_BUS_ADDRESS=disabled:"}, variables...)
}

func TestP16_AServerThatNeedsNoFolderStartsWithoutOne(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	readOnly := t.TempDir()
	mustDo(t, os.Chmod(readOnly, 0o500))
	for name, variables := range map[string][]string{
		"no HOME":                  nil,
		"an empty one":             {"HOME="},
		"a relative one":           {"HOME=home"},
		"one that does not exist":  {"HOME=/nonexistent/home"},
		"a device":                 {"HOME=/dev/null"},
		"one that can be read":     {"HOME=" + readOnly},
		"of another user":          {"HOME=/root"},
		"relative data folders":    {"XDG_DATA_HOME=data", "XDG_CONFIG_HOME=config"},
		"data folders of a device": {"HOME=/root", "XDG_DATA_HOME=/dev/null/data", "XDG_CONFIG_HOME=/dev/null/config", "XDG_RUNTIME_DIR=/nonexistent", "TMPDIR=/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			environment := withoutFolders(append(variables, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat)...)
			for _, flags := range [][]string{{"--read-only"}, {}} {
				process := exec.Command(reachableBinary(t), append([]string{"stdio"}, flags...)...)
				process.Env, process.Dir = environment, "/"
				process.Stdin = strings.NewReader(initialize + toolCall(2, "whoami", "{}") + toolCall(3, "list_tokens", "{}"))
				if os.Geteuid() == 0 { // a user without an entry in /etc/passwd
					process.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
				}
				var stdout, stderr strings.Builder
				process.Stdout, process.Stderr = &stdout, &stderr
				if err := process.Run(); err != nil {
					t.Fatalf("%v: %v\n%s", flags, err, stderr.String())
				}
				byID := answers(t, stdout.String())
				for id, says := range map[string]string{"2": "dev@example.com", "3": "kbn_pat_"} {
					if !strings.Contains(string(byID[id]), says) || strings.Contains(string(byID[id]), `"isError":true`) {
						t.Errorf("%v: the answer %s does not say %s: %s", flags, id, says, byID[id])
					}
				}
			}
		})
	}
}

// reachableBinary returns the built program where other users can start it.
func reachableBinary(t *testing.T) string {
	t.Helper()
	binary := kenbuntest.Binary(t)
	mustDo(t, os.Chmod(filepath.Dir(binary), 0o755))
	return binary
}

func TestP16_WhatNeedsAFolderRefusesWithAdviceThatWorks(t *testing.T) {
	create := initialize + toolCall(2, "create_token", `{"name":"x","expires":"7d"}`)
	without := withoutFolders("KENBUN_EMBEDDED=true", "KENBUN_DELIVER=file")
	folder := t.TempDir()
	store := []string{"stdio", "--embedded-store", filepath.Join(folder, "api")}
	for _, step := range []struct {
		flags []string
		says  string
	}{
		{nil, "--deliver-dir (KENBUN_DELIVER_DIR)"},
		{[]string{"--deliver-dir", filepath.Join(folder, "tokens")}, "--journal-dir (KENBUN_JOURNAL_DIR)"},
		{[]string{"--deliver-dir", filepath.Join(folder, "tokens"), "--journal-dir", filepath.Join(folder, "journal")}, "A new token was made"},
	} {
		got := runProgram(t, without, create, append(store, step.flags...)...)
		answer := string(answers(t, got.stdout)["2"])
		if strings.HasPrefix(step.says, "A new") {
			if found, err := filepath.Glob(filepath.Join(folder, "tokens", "*.token")); err != nil || len(found) != 1 || got.code != command.ExitDone {
				t.Errorf("the advice does not work: exit code %d, %s", got.code, answer)
			}
			continue
		}
		if got.code != command.ExitDone || !strings.Contains(answer, step.says) || !strings.Contains(answer, "Set HOME") {
			t.Errorf("exit code %d, %s, want %q in it", got.code, answer, step.says)
		}
	}
	// The other advice works, too.
	got := runProgram(t, append(without, "HOME="+filepath.Join(folder, "home")), create, store...)
	if found, err := filepath.Glob(filepath.Join(folder, "home", ".local", "share", "kenbun-mcp", "tokens", "*.token")); err != nil || len(found) != 1 {
		t.Errorf("with HOME: %v, %v: %s%s", found, err, got.stdout, got.stderr)
	}
	for line, says := range map[string]string{
		"stdio --embedded":                                "--embedded-store",
		"authority user list":                             "--store sqlite:PATH",
		"http --identity server --embedded-store memory":  "--server-key-file",
		"tokens list --pat-file ~/token --embedded=false": "Write the whole path",
	} {
		got := runProgram(t, withoutFolders("KENBUN_EMBEDDED=true"), "", strings.Fields(line)...)
		if got.code == command.ExitDone || !strings.Contains(got.stderr, says) || !strings.Contains(got.stderr, "HOME") {
			t.Errorf("%s: exit code %d, %s", line, got.code, got.stderr)
		}
	}
}

func TestP16_LoginNeedsNoFolderWhereThereIsAKeychain(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := withoutFolders("KENBUN_API_URL="+api.URL, "DBUS_SESSION_BUS_ADDRESS="+kenbuntest.SecretService(t, true))
	if got := runProgram(t, environment, pat+"\n", "login"); got.code != command.ExitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	if got := runProgram(t, environment, "", "whoami"); got.code != command.ExitDone || !strings.Contains(got.stdout, "dev@example.com") {
		t.Errorf("whoami: exit code %d, %s", got.code, got.stderr)
	}
	if got := runProgram(t, environment, "", "logout"); got.code != command.ExitDone || !strings.Contains(got.stdout, "the keychain") {
		t.Errorf("logout: exit code %d, %s%s", got.code, got.stdout, got.stderr)
	}
	if got := runProgram(t, withoutFolders("KENBUN_API_URL="+api.URL), pat+"\n", "login"); got.code == command.ExitDone || !strings.Contains(got.stderr, "Set HOME") {
		t.Errorf("without a keychain: exit code %d, %s", got.code, got.stderr)
	}
}

// A folder for settings that is not absolute must not hide the user's policy.
func TestP16_APolicyIsFoundWhereTheVariableForItsFolderIsNotAbsolute(t *testing.T) {
	home := t.TempDir()
	folder := filepath.Join(home, ".config", "kenbun-mcp")
	mustDo(t, os.MkdirAll(folder, 0o700), os.WriteFile(filepath.Join(folder, "policy.yaml"), []byte("read-only: true\n"), 0o600))
	for _, variable := range []string{"XDG_CONFIG_HOME=", "XDG_CONFIG_HOME=.config", "XDG_CONFIG_HOME=$HOME/.config", "XDG_CONFIG_HOME=~/.config"} {
		if got := listedTools(t, withoutFolders("HOME="+home, variable)); strings.Contains(strings.Join(got, " "), "create_token") {
			t.Errorf("%s: %v", variable, got)
		}
	}
	// One of the user's own that cannot be looked into ends the start.
	if os.Geteuid() == 0 {
		mustDo(t, os.Chown(home, 54321, 54321), os.Chmod(home, 0))
		process := exec.Command(reachableBinary(t), "stdio")
		process.Env, process.SysProcAttr = withoutFolders("HOME="+home), &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
		process.Dir = "/"
		mustDo(t, os.Chmod(filepath.Dir(home), 0o755))
		said, err := process.CombinedOutput()
		if err == nil || process.ProcessState.ExitCode() != command.ExitUsage || !strings.Contains(string(said), "policy.yaml") {
			t.Errorf("%v: %s", err, said)
		}
		mustDo(t, os.Chown(home, 0, 0), os.Chmod(home, 0o700))
	}
}
