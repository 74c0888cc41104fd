package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// guarded is an API and the commands that a model in a shell must not run.
type guarded struct {
	api         *kenbuntest.API
	environment []string
	// values print a secret, decisions change what cannot be undone, and
	// administration is what scripts of an operator do, too.
	values, decisions, administration [][]string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	id := api.Token(t, "dev@example.com", "nightly", nil).ID
	environment := kenbuntest.Environment(t, "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL,
		"KENBUN_STORE=sqlite:"+filepath.Join(t.TempDir(), "data", "kenbun.db"), command.AllowAgentVariable+"=")
	if got := runProgram(t, environment, "", "authority", "user", "add", "ada@example.com"); got.code != command.ExitDone {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	return &guarded{
		api: api, environment: environment,
		values: [][]string{
			{"tokens", "create", "x", "--expires", "7d"}, {"tokens", "create", "x", "--expires", "7d", "--json"}, {"tokens", "rotate", id},
			{"claim", "claim_" + strings.Repeat("A", 26), "--server", "http://127.0.0.1:1"}, {"claim", "--sealed", "-i", "nowhere"},
			{"authority", "session", "ada@example.com"}, {"authority", "session", "--link"},
			{"authority", "serve", "--listen", "127.0.0.1:0", "--store", "memory", "--first-user", "ben@example.com"},
		},
		decisions: [][]string{
			{"tokens", "create", "x", "--expires", "never", "--stdout"}, {"tokens", "revoke", id}, {"tokens", "rotate", id, "--stdout"}, {"tokens", "update", id, "--name", "y"},
		},
		administration: [][]string{
			{"authority", "user", "add", "eve@example.com", "--role", "admin"}, {"authority", "user", "join", "ada@example.com", "other", "--role", "owner"},
			{"authority", "seed"}, {"authority", "user", "suspend", "ada@example.com"}, {"authority", "user", "restore", "ada@example.com"},
			{"authority", "user", "role", "ada@example.com", "owner"}, {"authority", "user", "leave", "ada@example.com", "kenbun"}, {"authority", "pepper", "rotate"},
		},
	}
}

// unchanged fails the test if there is another token than at first, or one less.
func (g *guarded) unchanged(t *testing.T) {
	t.Helper()
	pat := g.environment[slices.IndexFunc(g.environment, func(v string) bool { return strings.HasPrefix(v, "KENBUN_PAT=") })]
	tokens, err := g.api.As(t, strings.TrimPrefix(pat, "KENBUN_PAT=")).ListTokens(t.Context())
	if err != nil || len(tokens) != 2 || slices.ContainsFunc(tokens, func(token client.Token) bool { return token.RevokedAt != nil || token.Name == "y" }) {
		t.Errorf("%d tokens after all that, or one was changed (%v)", len(tokens), err)
	}
}

func expectRefused(t *testing.T, arguments []string, code int, said, word string) {
	t.Helper()
	if code != command.ExitRefused || !strings.Contains(said, word) || !strings.Contains(said, "Nothing was done") && !strings.Contains(said, "terminal") {
		t.Errorf("%v: exit %d: %s", arguments, code, said)
	}
	for _, secret := range []string{"kbn_", "/web/sign-in/", command.AllowAgentVariable, "--stdout"} {
		if strings.Contains(said, secret) {
			t.Errorf("%v: a refusal says %q", arguments, secret)
		}
	}
}

func TestValuesAndDecisionsNeedATerminal(t *testing.T) {
	g := newGuarded(t)
	environment := with(g.environment, command.AllowAgentVariable+"=1")
	for _, arguments := range slices.Concat(g.values, g.decisions) {
		got := runProgram(t, environment, "y\n", arguments...)
		expectRefused(t, arguments, got.code, got.stdout+got.stderr, "terminal")
		if got.stdout != "" {
			t.Errorf("%v printed %q", arguments, got.stdout)
		}
	}
	// A question that is not seen is none, and a value in a file needs --stdout.
	for _, redirect := range []string{`tokens revoke pat_x 2>/dev/null`, `tokens create x --expires 7d >/dev/null`, `tokens create x --expires 7d </dev/null`} {
		process := exec.Command("/bin/sh", "-c", `"$KENBUN_PROGRAM" `+redirect)
		if _, code := runAtTerminal(t, with(environment, "KENBUN_PROGRAM="+kenbuntest.Binary(t)), 100, "y\n", process); code != command.ExitRefused {
			t.Errorf("%s: exit %d", redirect, code)
		}
	}
	g.unchanged(t)
}

func TestAgentsAreRefusedAtATerminalToo(t *testing.T) {
	g := newGuarded(t)
	user := [][]string{{"login"}, {"logout"}}
	for _, arguments := range slices.Concat(g.values, g.decisions, g.administration, user) {
		shown, code := atTerminal(t, with(g.environment, "CLAUDECODE=1"), 300, "y\n", arguments...)
		expectRefused(t, arguments, code, shown, "Claude Code")
	}
	for _, variable := range []string{"CURSOR_AGENT=1", "GEMINI_CLI=1", "CODEX_SANDBOX=seatbelt", "CODEX_THREAD_ID=1", "COPILOT_AGENT=1", "OPENCODE=1", "GOOSE_TERMINAL=1", "CLINE_ACTIVE=true", "AGENT=amp", "AI_AGENT=x"} {
		got := runProgram(t, with(g.environment, variable), "", "tokens", "create", "x", "--expires", "7d", "--stdout")
		expectRefused(t, []string{variable}, got.code, got.stdout+got.stderr, "runs under")
	}
	// The user's own environment can allow it, and a no is a no.
	if got := runProgram(t, with(with(g.environment, "CLAUDECODE=1"), command.AllowAgentVariable+"=yes"), "", "tokens", "create", "x", "--expires", "7d", "--stdout"); got.code != command.ExitRefused {
		t.Errorf("exit %d", got.code)
	}
	g.unchanged(t)
	if got := runProgram(t, with(with(g.environment, "CLAUDECODE=1"), command.AllowAgentVariable+"=1"), "", "tokens", "create", "x", "--expires", "7d", "--stdout"); got.code != command.ExitDone || !wholeToken.MatchString(got.stdout) {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	// Reading goes on.
	for _, arguments := range [][]string{{"whoami"}, {"tokens", "list"}} {
		if got := runProgram(t, with(g.environment, "CLAUDECODE=1"), "", arguments...); got.code != command.ExitDone {
			t.Errorf("%v: exit %d: %s", arguments, got.code, got.stderr)
		}
	}
}

// An agent that hides its variables is known by its process.
func TestAnAgentsChildProcessesAreRefused(t *testing.T) {
	g := newGuarded(t)
	shell, err := filepath.EvalSymlinks("/bin/sh")
	mustDo(t, err)
	program, err := os.ReadFile(shell)
	mustDo(t, err)
	for _, name := range []string{"claude", "codex", "cursor-agent"} {
		parent := filepath.Join(t.TempDir(), name)
		mustDo(t, os.WriteFile(parent, program, 0o700))
		process := exec.Command(parent, "-c", `/bin/sh -c '"$KENBUN_PROGRAM" tokens create x --expires 7d; exit $?'; exit $?`)
		shown, code := runAtTerminal(t, with(g.environment, "KENBUN_PROGRAM="+kenbuntest.Binary(t)), 300, "", process)
		expectRefused(t, []string{name}, code, shown, "processes that started this one")
	}
	g.unchanged(t)
}

func TestBadInputAtATerminalIsToldWhatToDo(t *testing.T) {
	g := newGuarded(t)
	environment := with(g.environment, command.AllowAgentVariable+"=1")
	for _, c := range []struct {
		environment []string
		arguments   string
		code        int
		says        string
	}{
		{environment, "tokens update pat_1", command.ExitUsage, "nothing is to be changed"},
		{with(with(environment, "KENBUN_EXPIRES=7d"), "KENBUN_PERMISSIONS=read:leads"), "tokens update pat_1", command.ExitUsage, "nothing is to be changed"},
		{environment, "tokens update pat_1 --valid-from 2020-01-01T00:00:00Z", command.ExitUsage, "lies in the past"},
		{environment, "tokens update pat_unknown --name x", command.ExitFailed, "tokens list --status all"},
		{environment, "tokens revoke pat_unknown", command.ExitFailed, "tokens list --status all"},
	} {
		if shown, code := atTerminal(t, c.environment, 300, "n\n", strings.Fields(c.arguments)...); code != c.code || !strings.Contains(shown, c.says) {
			t.Errorf("%s: exit %d: %s", c.arguments, code, shown)
		}
	}
}
