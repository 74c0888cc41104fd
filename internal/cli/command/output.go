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

	"github.com/spf13/cobra"

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
