//go:build unix

package credential_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/credential"
)

func TestCommandThatGivesNoToken(t *testing.T) {
	pat := newPAT()
	for line, word := range map[string]string{
		"exit 0":                                 "the command printed nothing",
		"echo":                                   "the command printed nothing",
		"echo '  '":                              "the command printed nothing",
		"exit 3":                                 "exit code 3",
		"cat " + fileWith(t, pat) + "; exit 1":   "exit code 1",
		"/nowhere/at/all":                        "exit code 127",
		"echo not signed in":                     "white space",
		"cat " + fileWith(t, pat+"\n"+pat):       "more than one token",
		"echo " + pat[:8] + "; echo problem >&2": "too short",
	} {
		refuses(t, newSource(t, credential.Config{PATCommand: line}), word, pat[16:], line)
	}
	gives(t, newSource(t, credential.Config{PATCommand: "cat " + fileWith(t, pat+"\r\n")}), pat, "KENBUN_PAT_COMMAND")
}

func TestA45_CommandDoesNotGetOurTokens(t *testing.T) {
	pat, session := newPAT(), newPAT()
	t.Setenv("KENBUN_PAT", pat)
	t.Setenv("KENBUN_SESSION_TOKEN", session)
	t.Setenv("KENBUN_API_URL", "https://api.example")
	seen := filepath.Join(t.TempDir(), "environment")
	refuses(t, newSource(t, credential.Config{PATCommand: "env > " + seen}), "printed nothing")
	environment, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(environment); strings.Contains(text, pat) || strings.Contains(text, session) {
		t.Error("the command got a token in its environment")
	} else if !strings.Contains(text, "KENBUN_API_URL=https://api.example") || !strings.Contains(text, "PATH=") {
		t.Error("the command did not get the rest of the environment")
	}
}

// Standard input is the protocol's: a command that reads it must get nothing.
func TestCommandReadsNothingOfStandardInput(t *testing.T) {
	refuses(t, newSource(t, credential.Config{PATCommand: "head -c 10"}), "printed nothing")
}

func TestCommandRunsAgainOnlyForWhatWasNoToken(t *testing.T) {
	folder := t.TempDir()
	output, runs := filepath.Join(folder, "output"), filepath.Join(folder, "runs")
	source := newSource(t, credential.Config{PATCommand: "echo run >> " + runs + "; cat " + output})
	write(t, output, "not-signed-in")
	refuses(t, source, "no kenbun personal access token")
	pat := newPAT()
	write(t, output, pat)
	for range 3 {
		gives(t, source, pat, "KENBUN_PAT_COMMAND")
	}
	data, err := os.ReadFile(runs)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), "run"); n != 2 {
		t.Errorf("the command ran %d times, want once without and once with a token", n)
	}
}

// quiet keeps what a test leaves running from holding the test's own output.
const quiet = "exec 2>/dev/null; "

// A command that hangs, even in a child that the shell leaves behind, holds
// nobody longer than he waits.
func TestCommandThatHangsEndsWithItsCaller(t *testing.T) {
	for _, line := range []string{"sleep 20", "sleep 20; echo done", "sleep 20 | cat", "trap '' TERM INT; sleep 20; echo done"} {
		source := newSource(t, credential.Config{PATCommand: quiet + line})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		start := time.Now()
		var both sync.WaitGroup
		for range 2 { // one runs the command, the other waits for his turn
			both.Go(func() {
				if _, _, err := source.Credential(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", line, err)
				}
			})
		}
		both.Wait()
		cancel()
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: the callers waited %v", line, took)
		}
	}
}

func TestCommandThatLeavesAChildBehindIsNotWaitedFor(t *testing.T) {
	pat := newPAT()
	start := time.Now()
	gives(t, newSource(t, credential.Config{PATCommand: quiet + "cat " + fileWith(t, pat) + "; sleep 20 &"}), pat, "KENBUN_PAT_COMMAND")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the caller waited %v", took)
	}
}

func TestCommandThatPrintsWithoutEndIsCutOff(t *testing.T) {
	start := time.Now()
	refuses(t, newSource(t, credential.Config{PATCommand: "yes"}), "printed more than a token")
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the caller waited %v", took)
	}
	zeros := func(n string) string { return "head -c " + n + " /dev/zero | tr '\\0' a" }
	refuses(t, newSource(t, credential.Config{PATCommand: zeros("65536")}), "no kenbun personal access token")
	refuses(t, newSource(t, credential.Config{PATCommand: zeros("65537")}), "printed more than a token")
}

func TestPipeIsRefusedAndNotWaitedFor(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refuses(t, newSource(t, credential.Config{PATFile: pipe}), "the file "+pipe+" is a device or a pipe")
}

func TestUnreadableFileIsToldAsSuch(t *testing.T) {
	path := fileWith(t, newPAT())
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		refuses(t, newSource(t, credential.Config{PATFile: path}), "the file "+path+" may not be read by this process")
		return
	}
	// Root may read everything but through a file.
	below := filepath.Join(path, "below")
	refuses(t, newSource(t, credential.Config{PATFile: below}), "the file "+below+" cannot be read")
}
