package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/require"
)

// auditEntry is as much of a line of the audit log as these tests look at.
type auditEntry struct {
	RequestID   string `json:"request_id"`
	Caller      string `json:"caller"`
	TokenPrefix string `json:"token_prefix"`
	Tool        string `json:"tool"`
	Action      string `json:"action"`
	Target      string `json:"target"`
	Because     string `json:"because"`
	Outcome     string `json:"outcome"`
	Left        string `json:"left"`
}

// inShort tells what was done, why, and how it went.
func (e auditEntry) inShort() string {
	return strings.Join(strings.Fields(e.Tool+" "+e.Action+" "+e.Because+" "+e.Outcome+" "+e.Left), " ")
}

// auditEntries are the lines of text that are entries. They are searched for the
// secrets.
func auditEntries(t *testing.T, text string, secrets ...string) []auditEntry {
	t.Helper()
	var entries []auditEntry
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, `{"time":"`) {
			continue
		}
		var e auditEntry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		entries = append(entries, e)
	}
	for _, secret := range secrets {
		expectNoSecret(t, "the audit log", text, secret)
	}
	return entries
}

func expectEntries(t *testing.T, entries []auditEntry, want ...string) {
	t.Helper()
	var got []string
	for _, e := range entries {
		got = append(got, e.inShort())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the audit log holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestR34_ProgramOverStdioKeepsAnAuditLog(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	old := api.Token(t, "ada@example.com", "old", nil)
	delivered := filepath.Join(t.TempDir(), "tokens")
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat,
		"KENBUN_DELIVER=file", "KENBUN_DELIVER_DIR="+delivered)
	input := initialize + toolCall(2, "create_token", `{"name":"import","expires":"7d"}`) + toolCall(3, "list_tokens", `{}`)
	refused := initialize + toolCall(2, "revoke_token", `{"id":"`+old.ID+`"}`)
	created := []string{"create_token create done live", "create_token deliver done live"}
	const needsPerson = "revoke_token revoke needs_person live"

	path := filepath.Join(t.TempDir(), "audit.log")
	inFile := append(environment, "KENBUN_AUDIT_LOG="+path)
	for _, in := range []string{input, refused} {
		got := runProgram(t, inFile, in, "stdio")
		answers(t, got.stdout)
		if got.code != 0 || strings.Contains(got.stdout+got.stderr, `"action"`) {
			t.Errorf("exit %d, %s%s", got.code, got.stdout, got.stderr)
		}
	}
	entries := auditEntries(t, readFile(t, path), pat, deliveredValue(t, delivered))
	expectEntries(t, entries, append(created, needsPerson)...)
	if entries[0].RequestID == "" || entries[0].RequestID != entries[1].RequestID || entries[0].RequestID == entries[2].RequestID {
		t.Errorf("the requests are %+v", entries)
	}
	if entries[0].TokenPrefix != pat[:16] || entries[0].Caller == "" || entries[2].Target != old.ID {
		t.Errorf("the entries are %+v", entries)
	}

	got := runProgram(t, environment, input, "stdio", "--audit-log", "-")
	answers(t, got.stdout) // nothing else is on standard output
	expectEntries(t, auditEntries(t, got.stderr, pat), created...)
}

// deliveredValue reads the one token in a folder.
func deliveredValue(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.token"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	return strings.TrimSpace(readFile(t, files[0]))
}

func TestR34_ProgramOverHTTPKeepsAnAuditLog(t *testing.T) {
	require.Long(t, "it runs the built program")
	api := kenbuntest.Start(t)
	ada, ben := api.User(t, "ada@example.com", authority.RoleMember), api.User(t, "ben@example.com", authority.RoleMember)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL)
	for name, onStandardOutput := range map[string]bool{"a file": false, "standard output": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "audit.log")
			var secrets []string
			t.Run("serving", func(t *testing.T) {
				var address string
				var log func() string
				if onStandardOutput {
					stdout, err := os.Create(path)
					if err != nil {
						t.Fatal(err)
					}
					defer func() {
						if err := stdout.Close(); err != nil {
							t.Error(err)
						}
					}()
					address, log = startHTTPTo(t, stdout, environment, "--audit-log", "-")
				} else {
					address, log = startHTTPLogged(t, environment, "--audit-log", path)
				}
				answer := postMCP(t, address, ada, callTool("create_token", `{"name":"import","expires":"7d"}`))
				// What an answer is about is in the log before it.
				entries := auditEntries(t, readFile(t, path))
				expectEntries(t, entries, "create_token create done live", "create_token deliver done waiting")
				for _, e := range entries {
					if !strings.Contains(answer, "X-Request-Id: "+e.RequestID+"\r\n") {
						t.Errorf("the request %q is not that of the answer %s", e.RequestID, answer)
					}
					waitUntil(t, "the tool's line in the log", func() bool { return strings.Contains(log(), "request_id="+e.RequestID+" tool=create_token") })
				}
				secrets = claimAudited(t, api, address, claimID.FindString(answer), ada, ben)
				makeClaim(t, address, ada, "never fetched")
			})
			text := readFile(t, path)
			entries := auditEntries(t, text, append(secrets, ada, ben)...)
			expectEntries(t, entries, "create_token create done live", "create_token deliver done waiting",
				"fetch forbidden waiting", "fetch done live", "fetch not_found unknown", "revoke fetched_twice done revoked",
				"create_token create done live", "create_token deliver done waiting", "revoke never_fetched done revoked")
			if entries[0].Caller != entries[3].Caller || entries[0].Caller != entries[8].Caller || entries[2].Caller == entries[0].Caller {
				t.Errorf("the callers are %+v", entries)
			}
		})
	}
}

// claimAudited has a claim fetched by somebody else, by its owner, and once
// more. It returns the value.
func claimAudited(t *testing.T, api *kenbuntest.API, address, id, owner, other string) (secrets []string) {
	t.Helper()
	for _, c := range []struct {
		pat  string
		code int
	}{{other, command.ExitRefused}, {owner, 0}, {owner, command.ExitRefused}} {
		arguments := []string{"claim", "--stdout", id, "--server", "http://" + address}
		got := runProgram(t, knowing(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+c.pat), arguments), "", arguments...)
		if got.code != c.code {
			t.Fatalf("exit %d, want %d: %s", got.code, c.code, got.stderr)
		}
		if c.code == 0 {
			secrets = append(secrets, strings.TrimSpace(got.stdout))
		}
	}
	return secrets
}

func TestR34_WhatAKilledProgramLeftBehindIsInTheAuditLog(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "ada@example.com", authority.RoleMember)
	proxy, reached := holdCreates(t, api.URL, false)
	path := filepath.Join(t.TempDir(), "audit.log")
	environment := kenbuntest.Environment(t, "KENBUN_PAT="+pat, "KENBUN_API_URL="+proxy, "KENBUN_AUDIT_LOG="+path)
	killed(t, environment, reached)
	if got := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	expectEntries(t, auditEntries(t, readFile(t, path), pat), "revoke left_behind done revoked")
}

func TestAuditLogThatCannotBeOpenedIsSaidAtTheStart(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(filepath.Join(t.TempDir(), "elsewhere"), link); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		link: "symbolic link", filepath.Join(t.TempDir(), "none", "audit.log"): "does not exist",
	} {
		for _, process := range []string{"stdio", "http"} {
			got := runProgram(t, kenbuntest.Environment(t), initialize, process, "--embedded", "--embedded-store", "memory", "--audit-log", path)
			if got.code != command.ExitFailed || got.stdout != "" || !strings.Contains(got.stderr, "the audit log "+path+" cannot be used: ") || !strings.Contains(got.stderr, says) {
				t.Errorf("%s: exit %d, %q, %s", process, got.code, got.stdout, got.stderr)
			}
		}
	}
}
