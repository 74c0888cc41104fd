package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// servedAuthority is the built program as an API of its own, without limits.
type servedAuthority struct {
	t       *testing.T
	url     string
	session string
	command *exec.Cmd

	// log is what it wrote to standard error, whole when read is closed.
	log  []string
	read chan struct{}
}

// startAuthority starts the program's authority serve on a free port. If nobody
// ends it, with kill or stop, it is killed when the test ends.
func startAuthority(t *testing.T, environment []string, arguments ...string) *servedAuthority {
	t.Helper()
	arguments = slices.Concat([]string{"authority", "serve", "--listen", "127.0.0.1:0", "--api-rate-limit", "0", "--api-rate-limit-address", "0"}, arguments)
	s := &servedAuthority{t: t, command: exec.Command(kenbuntest.Binary(t), arguments...), read: make(chan struct{})}
	s.command.Env = environment
	stderr, err := s.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.command.ProcessState == nil {
			s.kill()
		}
	})
	listening := make(chan string, 1)
	go func() {
		defer close(s.read)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			s.log = append(s.log, lines.Text())
			if address, found := strings.CutPrefix(lines.Text(), "listening on "); found {
				listening <- address
			}
		}
	}()
	select {
	case s.url = <-listening:
	case <-s.read:
		t.Fatalf("it does not listen: %v, %s", s.command.Wait(), strings.Join(s.log, "\n"))
	}
	return s
}

// kill is SIGKILL: nothing is flushed or closed.
func (s *servedAuthority) kill() {
	s.t.Helper()
	if err := s.command.Process.Kill(); err != nil {
		s.t.Error(err)
	}
	<-s.read
	_ = s.command.Wait() // it was killed
}

// stop ends it as its user would, and returns its log.
func (s *servedAuthority) stop() []string {
	s.t.Helper()
	if err := s.command.Process.Signal(os.Interrupt); err != nil {
		s.t.Error(err)
	}
	<-s.read
	if err := s.command.Wait(); err != nil {
		s.t.Errorf("the server ended with %v", err)
	}
	return s.log
}

// ask returns status 0 if the server went away.
func (s *servedAuthority) ask(method, path, body string) (status int, answer []byte) {
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Error(err)
		return 0, nil
	}
	request.Header.Set("Authorization", "Bearer "+s.session)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }() // it was read
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, answer
}
