// Package demo shows, in one run without an account, what an assistant can do with
// kenbun-mcp and what it cannot: a real server as a child process over stdio, a real API on
// a loopback socket, and an MCP client in the place of the assistant.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// Config is what a demonstration needs.
type Config struct {
	// Executable is the program, which is started with "stdio".
	Executable string
	// Browser means that a browser can be opened: the new token is then shown on
	// a page, and the user has to click. Otherwise it goes into a file.
	Browser bool
	Out     io.Writer
	Style   terminal.Style
}

// Run plays the conversation and fails if anything in it is not as it says.
func Run(ctx context.Context, config Config) (err error) {
	folder, err := os.MkdirTemp("", "kenbun-mcp-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demonstration: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	api, err := startAPI(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, api.close()) }()

	s := &show{out: config.Out, style: config.Style}
	s.title("An assistant looks after Ada's kenbun tokens, and never holds one.")
	s.aside("A kenbun API of its own runs at %s. The server is started as an assistant starts it:", api.url)
	s.aside("kenbun-mcp stdio, with Ada's token in its environment.")

	method := deliveryMethod{page: config.Browser, folder: filepath.Join(folder, "tokens")}
	assistant, err := connect(ctx, config.Executable, api, method, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, assistant.close()) }()
	return errors.Join(converse(ctx, assistant, s), s.failed)
}

// converse is the five steps of the conversation.
func converse(ctx context.Context, a *assistant, s *show) error {
	s.step("Ada: Who am I?")
	if _, err := a.call(ctx, "whoami", nil); err != nil {
		return err
	}

	s.step("Ada: Which of my tokens are stale?")
	answer, err := a.call(ctx, "list_tokens", map[string]any{"unused_days": 90})
	if err != nil {
		return err
	}
	stale, err := answer.tokenNamed(staleName)
	if err != nil {
		return err
	}

	s.step("Ada: Make one for the nightly import, for 30 days.")
	if err := a.create(ctx, s); err != nil {
		return err
	}

	s.step("Ada: Revoke %q.", staleName)
	if _, err := a.call(ctx, "revoke_token", map[string]any{"id": stale}); err != nil {
		return err
	}

	s.step("Ada: Show me what is left.")
	answer, err = a.call(ctx, "list_tokens", map[string]any{"status": "all"})
	if err != nil {
		return err
	}
	if status := answer.statusOf(stale); status != "revoked" {
		return fmt.Errorf("the token should be revoked and is %q", status)
	}
	s.title("That is all. Nothing of it is left on this machine.")
	return nil
}

// pageWait is how long the demonstration waits for a click, as a flag says it.
const pageWait = "60s"

// deliveryMethod is how the new token reaches Ada.
type deliveryMethod struct {
	// page means that it is shown in her browser; otherwise it goes into folder.
	page   bool
	folder string
}

func (m deliveryMethod) flags() []string {
	if m.page {
		return []string{"--deliver", "page", "--deliver-wait", pageWait}
	}
	return []string{"--deliver", "file", "--deliver-dir", m.folder}
}

// create has a token made, and looks where its value went and where it did not.
func (a *assistant) create(ctx context.Context, s *show) error {
	if a.method.page {
		s.aside("A page opens in your browser: click there to see the token, within %s.", pageWait)
	}
	answer, err := a.call(ctx, "create_token", map[string]any{"name": "Nightly import - build server", "expires": "30d"})
	if a.method.page && errors.Is(err, errToolFailed) {
		s.aside("Nobody asked for it there, so that no token was made: none is left that nobody holds.")
		return nil
	}
	if err != nil {
		return err
	}
	received := a.received()
	if regexp.MustCompile(regexp.QuoteMeta(answer.Prefix) + `[0-9A-Za-z]`).MatchString(received) {
		return errors.New("the token's value reached the assistant")
	}
	if a.method.page {
		s.aside("Where did the secret go? Onto the page, once, for you alone.")
	} else if err := lookIntoFile(answer, received, s); err != nil {
		return err
	}
	s.aside("The assistant has received %d bytes so far. The value is not among them.", len(received))
	return nil
}

// lookIntoFile reads the file as Ada would.
func lookIntoFile(answer *toolAnswer, received string, s *show) error {
	path := answer.Delivery.Where
	content, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("the token is not where the answer says: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	value := strings.TrimSpace(string(content))
	if len(value) < 24 || !strings.HasPrefix(value, answer.Prefix) {
		return fmt.Errorf("the file does not hold the token %s", answer.Prefix)
	}
	if strings.Contains(received, value[len(answer.Prefix):]) {
		return errors.New("the token's value reached the assistant")
	}
	s.aside("Where did the secret go? Into the file, %s, for Ada alone.", info.Mode().Perm())
	return nil
}
