package credential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

const (
	// commandTimeout bounds the command: a password manager may ask its user.
	commandTimeout = time.Minute
	// commandKept is how long a command's token is used before the command runs again, so
	// that a renewed token counts without a restart.
	commandKept = 5 * time.Minute
	// commandGrace is how long to wait for child processes that hold the command's standard
	// output.
	commandGrace = time.Second
)

// command is a command line whose standard output is the token.
type command struct {
	line string
	// turn holds one value while the command is not running. A channel, so that waiting ends
	// with the context.
	turn chan struct{}

	kept  client.Secret
	ranAt time.Time
}

func newCommand(line string) *command {
	c := &command{line: line, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// token returns the command's output. A valid token is kept for a while, since the command
// may ask its user.
func (c *command) token(ctx context.Context) (string, error) {
	select {
	case <-c.turn:
		defer func() { c.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", fmt.Errorf("nobody waited for the command to end: %w", ctx.Err())
	}
	if !c.kept.IsZero() && time.Since(c.ranAt) < commandKept {
		return c.kept.Reveal(), nil
	}
	value, err := c.run(ctx)
	if err != nil {
		return "", err
	}
	if pat, err := client.ParsePAT(value); err == nil {
		c.kept, c.ranAt = pat, time.Now()
	}
	return value, nil
}

func (c *command) run(ctx context.Context) (string, error) {
	limited, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	shell := shell(limited, c.line)
	shell.Env = environmentWithoutTokens(os.Environ())
	// The command may write to its user; standard output is for the token, and standard
	// input for the protocol.
	shell.Stderr = os.Stderr
	output := &boundedBuffer{limit: maxRead}
	shell.Stdout = output
	shell.WaitDelay = commandGrace
	err := shell.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("nobody waited for the command to end: %w", ctx.Err())
	case limited.Err() != nil:
		return "", fmt.Errorf("the command did not end within %s", commandTimeout)
	case output.full:
		return "", errors.New("the command printed more than a token")
	case errors.As(err, &exit):
		return "", fmt.Errorf("the command failed with exit code %d", exit.ExitCode())
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", errors.New("the command could not be run")
	}
	value, err := settings.Value(output.data)
	switch {
	case err != nil:
		return "", errors.New("the command printed something that is not text")
	case value == "":
		return "", errors.New("the command printed nothing")
	}
	return value, nil
}

func shell(ctx context.Context, line string) *exec.Cmd {
	if runtime.GOOS == "windows" {
		return exec.CommandContext(ctx, "cmd", "/C", line)
	}
	return exec.CommandContext(ctx, "/bin/sh", "-c", line)
}

func environmentWithoutTokens(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		// Windows takes names in any case.
		return slices.ContainsFunc([]string{"KENBUN_PAT", "KENBUN_SESSION_TOKEN", "KENBUN_STATE"}, func(holder string) bool {
			return strings.EqualFold(name, holder)
		})
	})
}

// boundedBuffer refuses output beyond limit, which ends a command that prints without end.
type boundedBuffer struct {
	data  []byte
	limit int
	full  bool
}

var errFull = errors.New("no more is read")

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(b.data)+len(p) > b.limit {
		b.full = true
		return 0, errFull
	}
	b.data = append(b.data, p...)
	return len(p), nil
}
