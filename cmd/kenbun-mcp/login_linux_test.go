package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// screen is a terminal on which the program runs.
type screen struct {
	t       *testing.T
	file    *os.File
	command *exec.Cmd
	ended   chan struct{}

	mu    sync.Mutex
	shown bytes.Buffer
}

func onScreen(t *testing.T, environment []string, arguments ...string) *screen {
	t.Helper()
	command := exec.Command(kenbuntest.Binary(t), arguments...)
	command.Env = with(environment, "TERM=dumb")
	file, err := pty.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, file: file, command: command, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		buffer := make([]byte, 4096)
		for {
			n, err := file.Read(buffer)
			s.mu.Lock()
			s.shown.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) { // how Linux says that the other end is closed
					t.Error(err)
				}
				return
			}
		}
	}()
	return s
}

func (s *screen) echoes() bool {
	s.t.Helper()
	state, err := unix.IoctlGetTermios(int(s.file.Fd()), unix.TCGETS)
	if err != nil {
		s.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// waitForSilence waits until the program hides what is typed.
func (s *screen) waitForSilence() {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); s.echoes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatal("the program shows what is typed")
		}
	}
}

func (s *screen) typed(text string) {
	s.t.Helper()
	if _, err := s.file.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// end waits for the program and returns what was shown.
func (s *screen) end() (string, int) {
	s.t.Helper()
	<-s.ended
	var exit *exec.ExitError
	if err := s.command.Wait(); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	if err := s.file.Close(); err != nil {
		s.t.Fatal(err)
	}
	return s.shown.String(), s.command.ProcessState.ExitCode()
}

func TestA46_LoginAtATerminalShowsNothingThatIsTyped(t *testing.T) {
	api := kenbuntest.Start(t)
	pat := api.User(t, "dev@example.com", authority.RoleMember)
	s := onScreen(t, kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL), "login")
	s.waitForSilence()
	s.typed(pat + "\n")
	shown, code := s.end()
	if code != 0 || !strings.Contains(shown, "not shown") || !strings.Contains(shown, "kept in: the file ") {
		t.Errorf("exit %d:\n%s", code, shown)
	}
	expectNoSecret(t, "the screen", shown, pat)
}

func TestLoginThatIsBrokenOffLeavesTheTerminalAsItWas(t *testing.T) {
	environment := kenbuntest.Environment(t)
	s := onScreen(t, environment, "login")
	s.waitForSilence()
	s.typed("\x03") // Ctrl-C
	for deadline := time.Now().Add(20 * time.Second); !s.echoes(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the terminal stays silent")
		}
	}
	if shown, code := s.end(); code == 0 {
		t.Errorf("exit %d:\n%s", code, shown)
	}
	if files := loginFiles(t, environment); len(files) != 0 {
		t.Errorf("left are %v", files)
	}
}
