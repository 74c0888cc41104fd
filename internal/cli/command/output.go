package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/agent"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
)

// ErrValueLost is in the chain of an error for a value that reached nobody. It is
// said, however it came about.
var ErrValueLost = errors.New("the value could not be shown")

// ValueLost wraps what kept the value of a token from being shown.
func ValueLost(cause error) error { return fmt.Errorf("%w: %w", ErrValueLost, cause) }

// IsReaderGone reports whether a command could not print the rest of its output,
// since its reader has had enough, as head has.
func IsReaderGone(err error) bool {
	var failed *fs.PathError
	var tool *tools.Error
	if errors.Is(err, ErrValueLost) || errors.As(err, &tool) || !errors.As(err, &failed) || failed.Path != os.Stdout.Name() {
		return false
	}
	if runtime.GOOS == "windows" {
		const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
		return errors.Is(failed.Err, brokenPipe) || errors.Is(failed.Err, noData)
	}
	return errors.Is(failed.Err, syscall.EPIPE)
}

// PrintJSON writes v for a program to read: indented, and with characters such
// as < left as they are.
func PrintJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// AddJSON adds the flag --json to a command that prints with [Print].
func AddJSON(cmd *cobra.Command) { cmd.Flags().Bool("json", false, "print JSON") }

// Print prints v as JSON if --json is given, and otherwise what show prints.
func Print(cmd *cobra.Command, v any, show func(w io.Writer) error) error {
	if asJSON, err := cmd.Flags().GetBool("json"); err != nil || asJSON {
		return errors.Join(err, PrintJSON(cmd.OutOrStdout(), v))
	}
	return show(cmd.OutOrStdout())
}

// Text returns a function for [Print] that prints a line.
func Text(format string, args ...any) func(w io.Writer) error {
	return func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}
}

// Table returns a function for [Print] that prints rows in columns.
func Table(rows [][]string) func(w io.Writer) error {
	return func(w io.Writer) error {
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, cells := range rows {
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		return table.Flush()
	}
}

// PrintLabelled prints lines of the form "label: text" with the labels dimmed.
func PrintLabelled(cmd *cobra.Command, text string) error {
	out := cmd.OutOrStdout()
	style := terminal.StyleFor(out)
	for _, line := range strings.Split(text, "\n") {
		label, rest, found := strings.Cut(line, ": ")
		if found {
			paint := style.Dim
			if label == "warning" {
				paint = style.Warn
			}
			line = paint(label+":") + " " + rest
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

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
