package serve

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/cli/process"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/server/identity"
)

// NewStdioCommand returns the stdio command.
func NewStdioCommand() *cobra.Command {
	var connecting connect.Flags
	var serving servingFlags
	cmd := &cobra.Command{
		Use:   "stdio",
		Short: "Serve one assistant over standard input and output",
		Long: `stdio serves one MCP client over standard input and output. An assistant starts
it. The README shows how to configure Claude Code, Cursor and VS Code.

It also starts without a token. Each tool then explains how to provide one.`,
		Example: `  claude mcp add kenbun -- kenbun-mcp stdio
  kenbun-mcp stdio --embedded        # no account needed`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			logger, err := serving.logger(cmd)
			if err != nil {
				return err
			}
			if terminal.Is(cmd.InOrStdin()) {
				cmd.PrintErrln("kenbun-mcp stdio speaks MCP with a program, not with a person. Let your assistant start it, or try 'kenbun-mcp demo'.")
			}
			process.CollectLess()
			return serveStdio(cmd, &connecting, &serving, logger)
		},
	}
	connecting.Add(cmd)
	serving.add(cmd, "warn")
	serving.audit.Add(cmd, "standard error")
	return cmd
}

func serveStdio(cmd *cobra.Command, connecting *connect.Flags, serving *servingFlags, logger *slog.Logger) (err error) {
	serving.watch = newWatch(cmd.Context(), false, logger)
	defer serving.watch.end(cmd.Context())
	connecting.Options = serving.watch.options()
	// What was opened is closed in order even when a signal ends the serving.
	c, err := connecting.Open(context.WithoutCancel(cmd.Context()), logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	// Standard output belongs to the protocol.
	auditor, err := serving.audit.Open(c, cmd.ErrOrStderr(), logger)
	if err != nil {
		return err
	}
	serving.journal.oneUser = true
	serving.road.unusable = []string{roadClaim, roadSealed}
	s, err := serving.newServer(c, identity.OwnCallers(c.API, c.Credentials), true, true, nil, auditor, logger)
	if err != nil {
		return err
	}
	return s.ServeStdio(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout())
}
