package authority

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthorityUserCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Manage the users of your own kenbun API",
		Long: `user manages the users of your own API. Changes apply from the next request on,
also in a running server, and to all tokens of that user. A user may be a member
of several organizations. Each token and session acts in the organization that it
was created in. All of these commands except list are refused under an AI agent.`,
		Args: command.CommandsOnly,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newAuthorityUserAddCommand(),
		newAuthorityUserListCommand(),
		newAuthorityUserRoleCommand(),
		newAuthorityUserJoinCommand(),
		newAuthorityUserLeaveCommand(),
		newAuthorityUserStatusCommand("suspend", "Stop all tokens and sessions of a user, until restored", "suspended", (*authority.Authority).Suspend),
		newAuthorityUserStatusCommand("restore", "End the suspension of a user", "restored", (*authority.Authority).Restore),
	)
	return cmd
}

func newAuthorityUserAddCommand() *cobra.Command {
	var user authority.NewUser
	var role string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "add EMAIL",
		Short: "Add a user",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			user.Email, user.Role = args[0], authority.Role(role)
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				added, err := a.AddUser(ctx, user)
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), added)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "added %s as %s of %s\n", added.Email, added.Role, added.Organization)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&role, "role", string(authority.RoleMember), "role of the user: "+roleNames())
	cmd.Flags().StringVar(&user.FirstName, "first-name", "", "the user's first name")
	cmd.Flags().StringVar(&user.LastName, "last-name", "", "the user's last name")
	cmd.Flags().StringVar(&user.Organization, "organization", authority.DefaultOrganization, "organization of the user, created if missing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newAuthorityUserListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				users, err := a.Users(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), users)
				}
				table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				rows := []string{"EMAIL\tNAME\tROLE\tORGANIZATION\tSTATUS\tADDED"}
				for _, u := range users {
					rows = append(rows, strings.Join([]string{
						u.Email, strings.TrimSpace(u.FirstName + " " + u.LastName), string(u.Role), u.Organization,
						string(u.Status), u.CreatedAt.Format(time.DateOnly),
					}, "\t"))
				}
				if _, err := fmt.Fprintln(table, strings.Join(rows, "\n")); err != nil {
					return err
				}
				return table.Flush()
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newAuthorityUserRoleCommand() *cobra.Command {
	var organization string
	cmd := &cobra.Command{
		Use:   "role EMAIL ROLE",
		Short: "Change the role of a user",
		Long:  "role changes the role of a user. ROLE is one of " + roleNames() + ".\n\"authority roles\" shows their permissions.",
		Args:  cobra.ExactArgs(2),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) != 1 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return strings.Split(roleNames(), ", "), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				if err := a.SetRoleIn(ctx, args[0], organization, authority.Role(args[1])); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				cmd.PrintErrf("%s is %s now\n", args[0], args[1])
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&organization, "organization", "", "organization of the role, for a user in several organizations")
	return cmd
}

func newAuthorityUserStatusCommand(verb, short, done string, change func(*authority.Authority, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " EMAIL",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				if err := change(a, ctx, args[0]); err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				cmd.PrintErrf("%s is %s\n", args[0], done)
				return nil
			})
		},
	}
}

func roleNames() string {
	names := make([]string, 0, len(domain.Roles()))
	for _, role := range domain.Roles() {
		names = append(names, string(role))
	}
	return strings.Join(names, ", ")
}
