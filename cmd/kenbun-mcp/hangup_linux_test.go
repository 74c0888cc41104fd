package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestHangup_LetsWhatIsUnderWayEnd(t *testing.T) {
	// Whoever runs the tests may do so under nohup. A signal that a process handles
	// is not ignored by the programs that it starts.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	c := startServing(t, kenbuntest.Binary(t))
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	c.ends(t)
}

func TestHangup_UnderNohupItGoesOn(t *testing.T) {
	// What nohup does.
	c := startServing(t, "sh", "-c", `trap "" HUP; exec "$0" "$@"`, kenbuntest.Binary(t))
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// The least bit is that of signal 1.
	if !regexp.MustCompile(`(?m)^SigIgn:\s[0-9a-f]+[13579bdf]$`).Match(status) {
		t.Errorf("a hangup ends it: %s", status)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.ends(t)
}

// serving is a program that serves over HTTP.
type serving struct {
	*exec.Cmd
	log *bufio.Reader
}

func startServing(t *testing.T, command ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, command[0], append(command[1:], "http", "--listen", "127.0.0.1:0")...)
	c.Env = kenbuntest.Environment(t)
	stderr, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	log := bufio.NewReader(stderr)
	line, err := log.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "Serving MCP on ") {
		t.Fatalf("it began with %q, %v", line, err)
	}
	return &serving{c, log}
}

func (c *serving) ends(t *testing.T) {
	t.Helper()
	rest, readErr := io.ReadAll(c.log)
	if err := c.Wait(); err != nil || readErr != nil {
		t.Errorf("it ended with %v, %v: %s", err, readErr, rest)
	}
}
