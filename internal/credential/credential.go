// Package credential finds the token that this process acts with.
package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

const (
	// maxFile bounds what is read of a file or a command, in bytes; a token is
	// far shorter.
	maxFile = 64 << 10
	// commandTimeout bounds how long the command may take: a password manager
	// may ask its user.
	commandTimeout = time.Minute
	// commandKept is how long a command's token is used before the command runs
	// again, so that a token that was renewed counts without a restart.
	commandKept = 5 * time.Minute
)

// ErrNone is in the chain of the error for no token at all.
var ErrNone = errors.New("no kenbun token was given: set KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND")

// Config names the places where a token may be. At most one of PAT, PATFile and
// PATCommand, and one of Session and SessionFile, may be set.
type Config struct {
	// PAT is the personal access token itself.
	PAT string
	// PATFile is a file that holds nothing but the token. It is read at each
	// use.
	PATFile string
	// PATCommand is a command line for the system's shell; its standard output
	// is the token.
	PATCommand string
	// Session is the token of a signed-in session, for accounts where a
	// personal access token may not manage tokens.
	Session string
	// SessionFile is a file that holds nothing but the session token.
	SessionFile string
}

// Source gives the token of one user.
type Source struct {
	config Config

	mu      sync.Mutex
	command client.Secret
	ranAt   time.Time
}

// New returns the source that config describes. It fails if config names more
// than one place for the same token, since it would be a guess which one is
// meant. No token at all is no failure: Credential then says so at each use.
func New(config Config) (*Source, error) {
	var places []string
	for _, place := range []struct{ name, value string }{
		{"KENBUN_PAT", config.PAT},
		{"KENBUN_PAT_FILE", config.PATFile},
		{"KENBUN_PAT_COMMAND", config.PATCommand},
	} {
		if place.value != "" {
			places = append(places, place.name)
		}
	}
	if len(places) > 1 {
		return nil, fmt.Errorf("there is more than one place for the token: %s; keep one", strings.Join(places, " and "))
	}
	if config.Session != "" && config.SessionFile != "" {
		return nil, errors.New("there is more than one place for the session token: KENBUN_SESSION_TOKEN and KENBUN_SESSION_TOKEN_FILE; keep one")
	}
	return &Source{config: config}, nil
}

// Credential returns the token and the name of the place where it came from.
// Errors name the place and what is wrong with it, never the token.
func (s *Source) Credential(ctx context.Context) (client.Credential, string, error) {
	value, place, err := s.pat(ctx)
	if err != nil {
		return client.Credential{}, place, err
	}
	pat, err := client.ParsePAT(value)
	if err != nil {
		return client.Credential{}, place, fmt.Errorf("%s: %w", place, err)
	}
	session, err := s.session()
	if err != nil {
		return client.Credential{}, place, err
	}
	return client.Credential{PAT: pat, Session: session}, place, nil
}

func (s *Source) pat(ctx context.Context) (value, place string, err error) {
	switch {
	case s.config.PAT != "":
		return s.config.PAT, "KENBUN_PAT", nil
	case s.config.PATFile != "":
		value, err := readToken(s.config.PATFile)
		if err != nil {
			return "", "KENBUN_PAT_FILE", fmt.Errorf("KENBUN_PAT_FILE: %w", err)
		}
		return value, "KENBUN_PAT_FILE", nil
	case s.config.PATCommand != "":
		value, err := s.runCommand(ctx)
		if err != nil {
			return "", "KENBUN_PAT_COMMAND", fmt.Errorf("KENBUN_PAT_COMMAND: %w", err)
		}
		return value, "KENBUN_PAT_COMMAND", nil
	default:
		return "", "", ErrNone
	}
}

func (s *Source) session() (client.Secret, error) {
	value := s.config.Session
	if s.config.SessionFile != "" {
		var err error
		if value, err = readToken(s.config.SessionFile); err != nil {
			return client.Secret{}, fmt.Errorf("KENBUN_SESSION_TOKEN_FILE: %w", err)
		}
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return client.Secret{}, errors.New("KENBUN_SESSION_TOKEN: the token has spaces, line breaks or other characters that no token has; copy it again")
	}
	return client.NewSecret(value), nil
}

// readToken reads a file that holds a token and perhaps the end of its line.
func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", plainFileError(err)
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	switch {
	case err != nil:
		return "", plainFileError(err)
	case info.IsDir():
		return "", errors.New("it is a folder, not a file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	switch {
	case err != nil:
		return "", plainFileError(err)
	case len(data) > maxFile:
		return "", errors.New("the file is too large to hold a token and nothing else")
	}
	return withoutLineEnd(data), nil
}

// plainFileError says what is wrong with a file without its path, which may be
// nobody's business but the operator's.
func plainFileError(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("the file does not exist")
	case errors.Is(err, os.ErrPermission):
		return errors.New("the file may not be read by this process")
	default:
		return errors.New("the file cannot be read")
	}
}

func withoutLineEnd(data []byte) string {
	return string(bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")))
}

// runCommand returns the command's output, which is kept for a while: the
// command may be one that asks its user.
func (s *Source) runCommand(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.command.IsZero() && time.Since(s.ranAt) < commandKept {
		return s.command.Reveal(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	command := shell(ctx, s.config.PATCommand)
	command.Env = environmentWithoutTokens(os.Environ())
	// The command may have something to say to its user; standard output is the
	// token's, and standard input the protocol's.
	command.Stderr = os.Stderr
	output, err := command.Output()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("the command did not end within %s", commandTimeout)
	case errors.As(err, &exit):
		return "", fmt.Errorf("the command failed with exit code %d", exit.ExitCode())
	case err != nil:
		return "", errors.New("the command could not be started")
	case len(output) > maxFile:
		return "", errors.New("the command printed more than a token")
	case len(bytes.TrimSpace(output)) == 0:
		return "", errors.New("the command printed nothing")
	}
	s.command, s.ranAt = client.NewSecret(withoutLineEnd(output)), time.Now()
	return s.command.Reveal(), nil
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
		return name == "KENBUN_PAT" || name == "KENBUN_SESSION_TOKEN"
	})
}

// Static is a source of one token that is known already.
type Static struct {
	PAT   client.Secret
	Place string
}

// Credential returns the token.
func (s Static) Credential(context.Context) (client.Credential, string, error) {
	return client.Credential{PAT: s.PAT}, s.Place, nil
}
