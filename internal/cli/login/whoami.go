package login

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/tools/identity"
)

// NewWhoamiCommand returns the whoami command.
func NewWhoamiCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show the current user and token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				caller, err := c.Caller(ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				who, err := identity.Identify(ctx, caller, c.API.BaseURL(), now)
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), who)
				}
				return command.PrintLabelled(cmd, who.Text(now))
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
