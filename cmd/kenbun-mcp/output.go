package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"syscall"

	"github.com/kenbun/kenbun-mcp/tools"
)

// errValueLost is in the chain of an error for a value that reached nobody. It is
// said, however it came about.
var errValueLost = errors.New("the value could not be shown")

func valueLost(cause error) error { return fmt.Errorf("%w: %w", errValueLost, cause) }

// isReaderGone reports whether a command could not print the rest of its output,
// since its reader has had enough, as head has.
func isReaderGone(err error) bool {
	var failed *fs.PathError
	var tool *tools.Error
	if errors.Is(err, errValueLost) || errors.As(err, &tool) || !errors.As(err, &failed) || failed.Path != os.Stdout.Name() {
		return false
	}
	if runtime.GOOS == "windows" {
		const brokenPipe, noData = syscall.Errno(109), syscall.Errno(232)
		return errors.Is(failed.Err, brokenPipe) || errors.Is(failed.Err, noData)
	}
	return errors.Is(failed.Err, syscall.EPIPE)
}

// printJSON writes v for a program to read: indented, and with characters such
// as < left as they are.
func printJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}
