// Package demo shows, in one run without an account, what an assistant can do
// with kenbun-mcp and what it cannot: a real server as a child process over
// stdio, a real API on a loopback socket, and an MCP client in the place of the
// assistant.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// Config is what a demonstration needs.
type Config struct {
	// Executable is the program, which is started with "stdio".
	Executable string
	// Browser tells that a browser can be opened: the new token is then shown on
	// a page, and the person has to click. Otherwise it goes into a file.
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

	road := road{page: config.Browser, folder: filepath.Join(folder, "tokens")}
	assistant, err := connect(ctx, config.Executable, api, road, s)
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
