package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// outcome is how a run of the program ended.
type outcome struct {
	stdout, stderr string
	code           int
}

// runProgram runs the built program with input on its standard input.
func runProgram(t *testing.T, environment []string, input string, arguments ...string) outcome {
	t.Helper()
	program := kenbuntest.Binary(t) // to build it takes longer than a run may
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = environment
	command.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

var numberedRequest = regexp.MustCompile(`"id":[0-9]+,"method"`)

// converse runs the program like runProgram, and ends its input once every request in
// it is answered. At the end of input questions to the user are withdrawn.
func converse(t *testing.T, environment []string, input string, arguments ...string) outcome {
	t.Helper()
	program := kenbuntest.Binary(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = environment
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() {
		_, err := io.WriteString(in, input)
		written <- err
	}()
	open := len(numberedRequest.FindAllString(input, -1))
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		stdout.WriteString(line)
		if err != nil {
			break
		}
		if strings.Contains(line, `"result":`) || strings.Contains(line, `"error":`) {
			if open--; open == 0 {
				if err := errors.Join(<-written, in.Close()); err != nil {
					t.Error(err)
				}
			}
		}
	}
	var exit *exec.ExitError
	if err := command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{stdout.String(), stderr.String(), command.ProcessState.ExitCode()}
}

// startHTTP starts the program's http command on a free port and returns its
// address.
func startHTTP(t *testing.T, environment []string, arguments ...string) string {
	t.Helper()
	address, _ := startHTTPLogged(t, environment, arguments...)
	return address
}

// startHTTPLogged also returns what the program wrote to standard error so far.
func startHTTPLogged(t *testing.T, environment []string, arguments ...string) (string, func() string) {
	t.Helper()
	return startHTTPTo(t, nil, environment, arguments...)
}

// startHTTPTo also sends standard output to a file, if there is one.
func startHTTPTo(t *testing.T, stdout *os.File, environment []string, arguments ...string) (string, func() string) {
	t.Helper()
	return startHTTPAs(t, stdout, nil, environment, arguments...)
}

// startHTTPAs starts it by way of a command that prepares for it, if there is one.
func startHTTPAs(t *testing.T, stdout *os.File, prepare, environment []string, arguments ...string) (string, func() string) {
	t.Helper()
	words := slices.Concat(prepare, []string{kenbuntest.Binary(t), "http", "--listen", "127.0.0.1:0"}, arguments)
	command := exec.Command(words[0], words[1:]...)
	command.Env = environment
	if stdout != nil {
		command.Stdout = stdout
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var log strings.Builder
	address, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			mu.Lock()
			log.WriteString(lines.Text() + "\n")
			mu.Unlock()
			if _, rest, found := strings.Cut(lines.Text(), "Serving MCP on http"); found {
				_, rest, _ = strings.Cut(rest, "://")
				host, _, _ := strings.Cut(rest, "/")
				address <- host
			}
		}
	}()
	t.Cleanup(func() {
		if err := command.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		<-ended
		if err := command.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	text := func() string { mu.Lock(); defer mu.Unlock(); return log.String() }
	select {
	case host := <-address:
		return host, text
	case <-ended:
	case <-time.After(20 * time.Second):
	}
	t.Fatalf("the server did not start: %s", text())
	return "", nil
}

// answers reads what the program answered over stdio, by request id.
func answers(t *testing.T, stdout string) map[string]json.RawMessage {
	t.Helper()
	byID := map[string]json.RawMessage{}
	for line := range strings.Lines(stdout) {
		var message struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Result  json.RawMessage `json:"result"`
			Error   json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal([]byte(line), &message); err != nil || message.JSONRPC != "2.0" {
			t.Fatalf("standard output holds something that is no JSON-RPC message: %q", line)
		}
		if message.Error != nil {
			t.Errorf("request %s was answered with the error %s", message.ID, message.Error)
		}
		byID[string(message.ID)] = message.Result
	}
	return byID
}

// child is the program while it serves over stdio. It is killed when the test ends.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startStdioProgram(t *testing.T, environment []string, arguments ...string) child {
	t.Helper()
	command := exec.Command(kenbuntest.Binary(t), append([]string{"stdio"}, arguments...)...)
	command.Env = environment
	return startChild(t, command)
}

// startChild starts a command whose standard input and output the test holds.
func startChild(t *testing.T, command *exec.Cmd) child {
	t.Helper()
	if command.Stderr == nil {
		command.Stderr = os.Stderr
	}
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		if command.ProcessState == nil {
			_ = command.Wait() // it was killed
		}
	})
	return child{command, in, bufio.NewReader(out)}
}

func (c child) ask(t *testing.T, line string) string {
	t.Helper()
	if _, err := io.WriteString(c.in, line); err != nil {
		t.Fatal(err)
	}
	answer, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// overStdio calls a tool of the built program and returns its answer, and what the
// log says.
func overStdio(t *testing.T, environment []string, tool, arguments string) (toolResult, string) {
	t.Helper()
	got := runProgram(t, environment, initialize+toolCall(2, tool, arguments), "stdio", "--log-level", "info")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	return resultOf(t, answers(t, got.stdout)["2"]), got.stderr
}
