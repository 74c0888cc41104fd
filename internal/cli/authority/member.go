package authority

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthorityUserJoinCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "join EMAIL ORGANIZATION",
		Short: "Add a user to another organization",
		Long: `join makes a user a member of a further organization, which is made when it is
missing. Tokens that the user has stay bound to the organization that they were
made in.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				if err := a.AddMember(ctx, args[0], args[1], authority.Role(role)); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				cmd.PrintErrf("%s is %s of %s\n", args[0], role, args[1])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", string(authority.RoleMember), "role of the user in that organization: "+roleNames())
	return cmd
}

func newAuthorityUserLeaveCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "leave EMAIL ORGANIZATION",
		Short: "Remove a user from an organization",
		Long: `leave ends a user's membership in an organization. All tokens and sessions that
the user made in it stop at once, for as long as the user does not join again.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				if err := a.RemoveMember(ctx, args[0], args[1]); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				cmd.PrintErrf("%s is no member of %s any more\n", args[0], args[1])
				return nil
			})
		},
	}
}
