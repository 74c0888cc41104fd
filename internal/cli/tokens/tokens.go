// Package tokens has the tokens commands.
package tokens

import (
	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// NewCommand returns the tokens command with its subcommands.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "Manage your personal access tokens",
		Args:  command.CommandsOnly,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokensListCommand(), newTokensCreateCommand(), newTokensRevokeCommand(), newTokensRotateCommand(), newTokensUpdateCommand())
	return cmd
}
