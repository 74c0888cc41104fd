package main

import (
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	authoritycommand "github.com/kenbun/kenbun-mcp/internal/cli/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// nobodyReads are the ways in which nobody can read what is printed.
var nobodyReads = map[string]string{
	"closed":                ">&-",
	"the null device":       "> /dev/null",
	"a full device":         "> /dev/full",
	"open for reading":      "1< /etc/passwd",
	"a reader that is gone": "|",
}

// startedLate runs a command line after its reader has gone.
func startedLate(redirect, line string) string {
	if strings.HasPrefix(redirect, "|") {
		return `{ sleep 0.3; ` + line + `; echo "code $?" >&2; } | true`
	}
	return line + " " + redirect + `; echo "code $?" >&2`
}

func TestP19_NothingIsMadeWhenNobodyCanReadTheValue(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	folder := t.TempDir()
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "KENBUN_STORE=sqlite:"+filepath.Join(folder, "kenbun.db"))
	if got := runProgram(t, environment, "", "authority", "user", "add", "ada@example.com"); got.code != command.ExitDone {
		t.Fatal(got.stderr)
	}
	for name, redirect := range nobodyReads {
		t.Run(name, func(t *testing.T) {
			for _, line := range []string{
				"tokens create x --expires 7d --stdout", "tokens create x --expires 7d --stdout --json", "authority session ada@example.com --stdout",
				"authority session ada@example.com --stdout --json", "authority session ada@example.com --link --stdout",
				"authority serve --listen 127.0.0.1:0 --store memory --first-user bob@example.com --stdout",
				"claim claim_ABCDEFGHIJKLMNOPQRSTUVWXYZ --server http://127.0.0.1:1 --stdout",
			} {
				// Without the guard the server would serve.
				command := exec.Command("bash", "-c", startedLate(redirect, `timeout 10 "$0" `+line), kenbuntest.Binary(t))
				command.Env = environment
				said, err := command.CombinedOutput()
				if err != nil || !strings.Contains(string(said), "code 1\n") || !strings.Contains(string(said), "Nothing was done") {
					t.Errorf("%s: %v: %s", line, err, said)
				}
			}
		})
	}
	tokens, err := api.As(t, pat).ListTokens(t.Context())
	if err != nil || len(tokens) != 1 {
		t.Errorf("%d tokens were made, revoked ones included, %v", len(tokens)-1, err)
	}
	for _, table := range []string{"sessions", "sign_in_links"} {
		if rows := countRows(t, filepath.Join(folder, "kenbun.db"), table); rows != 0 {
			t.Errorf("%d rows in %s", rows, table)
		}
	}
}

func TestP19_AValueThatCannotBeWrittenAfterAllIsTakenBack(t *testing.T) {
	folder := t.TempDir()
	a, err := authority.Open(t.Context(), authority.Config{Store: "sqlite:" + filepath.Join(folder, "kenbun.db")})
	mustDo(t, err)
	_, err = a.AddUser(t.Context(), authority.NewUser{Email: "ada@example.com", Role: authority.RoleMember})
	mustDo(t, err)
	session, err := a.IssueSession(t.Context(), "ada@example.com", time.Hour)
	mustDo(t, err)
	kept, err := a.IssueSession(t.Context(), "ada@example.com", time.Hour)
	mustDo(t, err)
	link, err := a.IssueSignInLink(t.Context(), "ada@example.com", "", "http://127.0.0.1:8780")
	mustDo(t, err)
	for _, value := range []string{session, link} {
		if err := authoritycommand.TakeBackSession(t.Context(), a, value, os.ErrClosed); !errors.Is(err, command.ErrValueLost) || strings.Contains(err.Error(), value) {
			t.Errorf("it is not said: %v", err)
		}
	}
	mustDo(t, authoritycommand.TakeBackSession(t.Context(), a, kept, nil), a.Close())
	if sessions, links := countRows(t, filepath.Join(folder, "kenbun.db"), "sessions"), countRows(t, filepath.Join(folder, "kenbun.db"), "sign_in_links"); sessions != 1 || links != 0 {
		t.Errorf("there are %d sessions and %d links", sessions, links)
	}
}

func TestP19_AReaderWhoHasHadEnoughIsNoError(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+pat, "KENBUN_STORE=sqlite:"+filepath.Join(t.TempDir(), "kenbun.db"))
	log := filepath.Join(t.TempDir(), "audit.log")
	mustDo(t, os.WriteFile(log, []byte("no entry\n"), 0o600))
	for line, code := range map[string]string{
		"tokens list": "0", "tokens list --json": "0", "whoami": "0", "whoami --json": "0", "version": "0", "version --json": "0", "completion bash": "0",
		"--help": "0", "tokens create --help": "0", "authority roles": "0", "authority user list": "0", "audit verify " + log: "1",
	} {
		command := exec.Command("bash", "-c", startedLate("|", `"$0" `+line), kenbuntest.Binary(t))
		command.Env = environment
		said, err := command.CombinedOutput()
		want := "code " + code + "\n"
		if err != nil || code == "0" && string(said) != want || !strings.HasSuffix(string(said), want) || strings.Contains(string(said), "broken pipe") {
			t.Errorf("%s: %v: %q", line, err, said)
		}
	}
	// A disk that is full is one.
	command := exec.Command("bash", "-c", startedLate("> /dev/full", `"$0" tokens list`), kenbuntest.Binary(t))
	command.Env = environment
	if said, err := command.CombinedOutput(); err != nil || !strings.Contains(string(said), "code 1") || !strings.Contains(string(said), "no space left") {
		t.Errorf("a full device: %v: %q", err, said)
	}
}

// countRows counts the rows of a table of an own API.
func countRows(t *testing.T, file, table string) int {
	t.Helper()
	database, err := sql.Open("sqlite", file)
	mustDo(t, err)
	var rows int
	err = database.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows)
	mustDo(t, err, database.Close())
	return rows
}
