// Command kenbun-mcp lets an AI assistant act on kenbun as its user, with the
// user's personal access token, and lets people look after those tokens.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/kenbun/kenbun-mcp/internal/cli"
	"github.com/kenbun/kenbun-mcp/internal/cli/process"
)

func main() { os.Exit(run()) }

// run runs the command in os.Args and returns the exit code of the process.
func run() int {
	if err := process.ProtectMemory(); err != nil {
		fmt.Fprintf(os.Stderr, "kenbun-mcp: other programs of yours may be able to read this one's memory: %v\n", err)
	}
	// A reader that goes away must be an error and not the end of the process:
	// a token whose value reached nobody has to be revoked.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), process.EndSignals()...)
	defer stop()
	return cli.Run(ctx, cli.New())
}
