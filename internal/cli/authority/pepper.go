package authority

import (
	"context"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthorityPepperCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pepper",
		Short: "Manage the keys under which tokens are hashed",
		Args:  command.CommandsOnly,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuthorityPepperRotateCommand(), newAuthorityPepperListCommand())
	return cmd
}

func newAuthorityPepperRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Add a pepper for hashing tokens from now on",
		Long: `rotate adds a line to the pepper file. Existing tokens keep working and move
to the new pepper when they are next used. "authority pepper list" shows when an
old pepper is no longer needed. You can then delete its line.

A running server reads the file again when it meets a token under the new
pepper. If several nodes have a file each, or the pepper in KENBUN_PEPPER, give
all of them the line with the new version first, made with openssl rand -base64
32, and then restart one after the other. A node without the newest pepper
answers 503 if it cannot verify a token.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				version, err := a.RotatePepper(ctx)
				if err != nil {
					return err
				}
				cmd.PrintErrf("tokens are hashed under version %d of the pepper now; back up the file again\n", version)
				return nil
			})
		},
	}
}

func newAuthorityPepperListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show which peppers are still needed",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				versions, err := a.Peppers(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), versions)
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(table, "VERSION\tTOKENS AND SESSIONS\tNEEDED")
				for _, v := range versions {
					needed := "yes"
					if !v.Current && v.Credentials == 0 {
						needed = "no"
					}
					fmt.Fprintf(table, "%d\t%d\t%s\n", v.Version, v.Credentials, needed)
				}
				return table.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
