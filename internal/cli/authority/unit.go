package authority

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthorityUnitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unit",
		Short: "Manage the Organizational Units of your own kenbun API",
		Long: `unit manages the Organizational Units of your own API. Each organization starts
with one. Members select the unit to work in with POST /org-units/active.`,
		Args: command.CommandsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuthorityUnitAddCommand())
	return cmd
}

func newAuthorityUnitAddCommand() *cobra.Command {
	var organization string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an Organizational Unit and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				id, err := a.AddUnit(ctx, organization, args[0])
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), map[string]string{"id": id, "name": args[0], "organization": organization})
				}
				_, err = fmt.Fprintln(cmd.OutOrStdout(), id)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", authority.DefaultOrganization, "organization of the unit")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
