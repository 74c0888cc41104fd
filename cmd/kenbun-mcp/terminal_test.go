//go:build unix

package main

import (
	"errors"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// atTerminal runs the program at a terminal of the given width, types input,
// and returns what the screen showed.
func atTerminal(t *testing.T, environment []string, columns uint16, input string, arguments ...string) (string, int) {
	t.Helper()
	return runAtTerminal(t, environment, columns, input, exec.Command(kenbuntest.Binary(t), arguments...))
}

func runAtTerminal(t *testing.T, environment []string, columns uint16, input string, process *exec.Cmd) (string, int) {
	t.Helper()
	process.Env = with(environment, "TERM=xterm-256color")
	screen, err := pty.StartWithSize(process, &pty.Winsize{Rows: 40, Cols: columns})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	defer endsIn(t, 90*time.Second, process)()
	if _, err := screen.WriteString(input); err != nil {
		t.Fatal(err)
	}
	shown, err := io.ReadAll(screen)
	if err != nil && !errors.Is(err, syscall.EIO) { // how Linux says that the other end is closed
		t.Fatal(err)
	}
	if err := process.Wait(); err != nil && process.ProcessState == nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(shown), "\r\n", "\n"), process.ProcessState.ExitCode()
}

// endsIn fails the test and kills a command that waits for something that does not
// come, unless it is stopped before.
func endsIn(t *testing.T, limit time.Duration, process *exec.Cmd) (stop func() bool) {
	t.Helper()
	return time.AfterFunc(limit, func() {
		t.Errorf("%q does not end", process.Args)
		_ = process.Process.Kill() // it may have ended just now
	}).Stop
}

func TestRevokeAsksAtTheTerminalAndNowhereElse(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	token := api.Token(t, "dev@example.com", "nightly", nil)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	alive := func() bool {
		_, err := api.As(t, token.Value).Me(t.Context())
		if err != nil && !errors.Is(err, client.ErrUnauthenticated) {
			t.Fatal(err)
		}
		return err == nil
	}

	got := runProgram(t, environment, "y\n", "tokens", "revoke", token.ID)
	if got.code != command.ExitRefused || !strings.Contains(got.stderr, "terminal") || !alive() {
		t.Fatalf("without a terminal: exit %d, alive %t: %s", got.code, alive(), got.stderr)
	}
	for _, answer := range []string{"n\n", "\n", "yep\n"} {
		shown, code := atTerminal(t, environment, 100, answer, "tokens", "revoke", token.ID)
		if code != command.ExitRefused || !alive() {
			t.Fatalf("the answer %q: exit %d, alive %t:\n%s", answer, code, alive(), shown)
		}
		for _, want := range []string{`Name: "nightly"`, token.Prefix, "Last used: ", "cannot be undone", "the token was not revoked"} {
			if !strings.Contains(shown, want) {
				t.Errorf("the question does not show %q:\n%s", want, shown)
			}
		}
	}
	shown, code := atTerminal(t, environment, 100, "y\n", "tokens", "revoke", token.ID)
	if code != command.ExitDone || alive() || !strings.Contains(shown, "Token revoked") || !strings.Contains(shown, "name: nightly") {
		t.Errorf("yes: exit %d, alive %t:\n%s", code, alive(), shown)
	}
}

// brokenOff runs the program at a terminal and presses Ctrl-C at its question.
func brokenOff(t *testing.T, environment []string, arguments ...string) (string, int) {
	t.Helper()
	process := exec.Command(kenbuntest.Binary(t), arguments...)
	process.Env = environment
	screen, err := pty.StartWithSize(process, &pty.Winsize{Rows: 40, Cols: 100})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = screen.Close() }()
	defer endsIn(t, 90*time.Second, process)()
	var shown strings.Builder
	part := make([]byte, 1024)
	for {
		n, err := screen.Read(part)
		asked := strings.Contains(shown.String(), "[y/N]")
		shown.Write(part[:n])
		if err != nil { // how Linux says that the other end is closed
			break
		}
		if !asked && strings.Contains(shown.String(), "[y/N]") {
			if _, err := screen.WriteString("\x03"); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = process.Wait() // the exit code tells
	return shown.String(), process.ProcessState.ExitCode()
}

// A signal ends a question, and is no answer to it.
func TestASignalEndsAQuestion(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	token := api.Token(t, "dev@example.com", "nightly", nil)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	for _, process := range []string{"revoke", "rotate"} {
		shown, code := brokenOff(t, environment, "tokens", process, token.ID)
		if code != command.ExitFailed || !strings.Contains(shown, "stopped") || strings.Contains(shown, "context canceled") {
			t.Errorf("%s: exit %d:\n%s", process, code, shown)
		}
	}
	if _, err := api.As(t, token.Value).Me(t.Context()); err != nil {
		t.Errorf("the token is dead: %v", err)
	}
}

func TestCreateShowsTheValueOnceAndAloneInAPipe(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)

	piped := runProgram(t, environment, "", "tokens", "create", "in a pipe", "--expires", "7d", "--stdout")
	value := strings.TrimSuffix(piped.stdout, "\n")
	if piped.code != 0 || strings.ContainsAny(value, " \n") {
		t.Fatalf("exit %d, standard output %q", piped.code, piped.stdout)
	}
	if _, err := api.As(t, value).Me(t.Context()); err != nil {
		t.Errorf("what the pipe got does not work: %v", err)
	}
	if !strings.Contains(piped.stderr, "expires in 7 days") || strings.Contains(piped.stderr, value) {
		t.Errorf("standard error: %q", piped.stderr)
	}

	shown, code := atTerminal(t, environment, 80, "", "tokens", "create", "on a screen", "--expires", "7d")
	if code != 0 || strings.Count(shown, "kbn_pat_") != 2 || !strings.Contains(shown, "shown only once") {
		t.Errorf("exit %d, the screen shows:\n%s", code, strings.ReplaceAll(shown, "kbn_pat_", "(token) "))
	}
}

func TestTheListFitsTheTerminal(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	api.Token(t, "dev@example.com", "a name that is a good deal longer than there is room for on a narrow terminal", nil)
	environment := append(kenbuntest.Environment(t), "KENBUN_PAT="+pat, "KENBUN_API_URL="+api.URL)
	shown, code := atTerminal(t, environment, 110, "", "tokens", "list")
	if code != 0 || !strings.Contains(shown, "\x1b[") || !strings.Contains(shown, "never used") || !strings.Contains(shown, "…") {
		t.Errorf("exit %d:\n%s", code, shown)
	}
	for line := range strings.Lines(shown) {
		plain := line
		for _, code := range []string{"\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m"} {
			plain = strings.ReplaceAll(plain, code, "")
		}
		if n := len([]rune(strings.TrimSuffix(plain, "\n"))); n > 110 {
			t.Errorf("a line of %d columns: %q", n, plain)
		}
	}
	narrow, _ := atTerminal(t, with(environment, "NO_COLOR=1"), 80, "", "tokens", "list")
	for line := range strings.Lines(narrow) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("at 80 columns a line of %d: %q", n, line)
		}
	}
	if shown, _ := atTerminal(t, with(environment, "NO_COLOR=1"), 110, "", "tokens", "list"); strings.Contains(shown, "\x1b[") {
		t.Error("colour in spite of NO_COLOR")
	}
}
