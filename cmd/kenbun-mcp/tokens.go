package main

import "github.com/spf13/cobra"

func newTokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tokens",
		Short: "List, create, change, revoke and rotate your personal access tokens",
		Args:  commandsOnly,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokensListCommand(), newTokensCreateCommand(), newTokensRevokeCommand(), newTokensRotateCommand(), newTokensUpdateCommand())
	return cmd
}
