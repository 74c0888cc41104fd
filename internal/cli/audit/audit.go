// Package audit has the audit commands and the flags of the audit log.
package audit

import (
	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// NewCommand returns the audit command with its subcommands.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify the audit log of a server",
		Args:  command.CommandsOnly,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerifyCommand())
	return cmd
}
