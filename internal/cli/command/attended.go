package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/agent"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// AllowAgentVariable lets commands that are the user's alone run under an agent.
// It has no flag, and no message names it: an agent would take it.
const AllowAgentVariable = "KENBUN_ALLOW_AGENT"

// AddStdout adds the flag --stdout to a command that prints a secret.
func AddStdout(cmd *cobra.Command, toStdout *bool) {
	cmd.Flags().BoolVar(toStdout, "stdout", false, "print the value on standard output even if that is a pipe or a file")
}

// MayPrintSecret returns an error unless cmd may print a secret, in a terminal or
// with --stdout, and somebody can read it there. It is asked before anything is made or fetched, so that
// nothing is lost.
func MayPrintSecret(cmd *cobra.Command, toStdout bool) error {
	if !toStdout && (!terminal.Is(cmd.InOrStdin()) || !terminal.Is(cmd.OutOrStdout())) {
		return fmt.Errorf("%w: this prints a secret, and standard input or output is not a terminal. Run it in a terminal of your own; its --help says how a script gets the value. Nothing was done", ErrRefused)
	}
	if err := NotUnderAgent(cmd); err != nil {
		return err
	}
	if err := terminal.Readable(cmd.OutOrStdout()); err != nil {
		return fmt.Errorf("nobody could read the value on standard output: %w. Nothing was done", err)
	}
	return nil
}

// MayDecide returns an error unless the user can take a decision at cmd's
// terminal: see the question, and answer it. With toStdout the output of the
// command may go elsewhere.
func MayDecide(cmd *cobra.Command, toStdout bool) error {
	if !terminal.Is(cmd.InOrStdin()) || !terminal.Is(cmd.ErrOrStderr()) || !toStdout && !terminal.Is(cmd.OutOrStdout()) {
		return fmt.Errorf("%w: this is decided at a terminal, and there is none. Run it in a terminal of your own. Nothing was done", ErrRefused)
	}
	return NotUnderAgent(cmd)
}

// NotUnderAgent returns an error where an AI agent runs the program, unless the
// user's own environment allows it.
func NotUnderAgent(cmd *cobra.Command) error {
	if os.Getenv(AllowAgentVariable) == "1" {
		return nil
	}
	found, ok := agent.Detect(os.Environ(), agent.Ancestors)
	if !ok {
		return nil
	}
	return fmt.Errorf("%w: '%s' is for the user alone, and this runs under %s (known by %s). The user runs it in a terminal of their own. Nothing was done", ErrRefused, cmd.CommandPath(), found.Name, found.Sign)
}
