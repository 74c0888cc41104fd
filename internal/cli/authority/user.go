package authority

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/domain"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthorityUserCommand() *cobra.Command {
	return command.Parent(&cobra.Command{
		Use:   "user",
		Short: "Manage the users of your own kenbun API",
		Long: `user manages the users of your own API. Changes apply from the next request on,
also in a running server, and to all tokens of that user. A user may be a member
of several organizations. Each token and session acts in the organization that it
was created in. All of these commands except list are refused under an AI agent.`,
	},
		newAuthorityUserAddCommand(),
		newAuthorityUserListCommand(),
		newAuthorityUserRoleCommand(),
		newAuthorityUserJoinCommand(),
		newAuthorityUserChangeCommand("leave EMAIL ORGANIZATION", "Remove a user from an organization",
			`leave ends a user's membership in an organization. All tokens and sessions that
the user created in it stop working at once, until the user joins again.`,
			func(ctx context.Context, a *authority.Authority, args []string) (string, error) {
				return fmt.Sprintf("is no longer a member of %s", args[1]), a.RemoveMember(ctx, args[0], args[1])
			}),
		newAuthorityUserChangeCommand("suspend EMAIL", "Stop all tokens and sessions of a user, until restored", "",
			func(ctx context.Context, a *authority.Authority, args []string) (string, error) {
				return "is suspended", a.Suspend(ctx, args[0])
			}),
		newAuthorityUserChangeCommand("restore EMAIL", "End the suspension of a user", "",
			func(ctx context.Context, a *authority.Authority, args []string) (string, error) {
				return "is restored", a.Restore(ctx, args[0])
			}),
	)
}

// newAuthorityUserChangeCommand returns a command that changes the user in its first
// argument. change returns what is true of the user afterwards.
func newAuthorityUserChangeCommand(use, short, long string, change func(ctx context.Context, a *authority.Authority, args []string) (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Long:  long,
		Args:  cobra.ExactArgs(strings.Count(use, " ")),
		RunE: byUser(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, args []string) error {
			done, err := change(ctx, a, args)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			cmd.PrintErrf("%s %s\n", args[0], done)
			return nil
		}),
	}
}

func newAuthorityUserAddCommand() *cobra.Command {
	var user authority.NewUser
	var role string
	cmd := &cobra.Command{
		Use:   "add EMAIL",
		Short: "Add a user",
		Args:  cobra.ExactArgs(1),
		RunE: byUser(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, args []string) error {
			user.Email, user.Role = args[0], authority.Role(role)
			added, err := a.AddUser(ctx, user)
			if err != nil {
				return err
			}
			return command.Print(cmd, added, command.Text("added %s as %s of %s", added.Email, added.Role, added.Organization))
		}),
	}
	cmd.Flags().StringVar(&role, "role", string(authority.RoleMember), "role of the user: "+roleNames())
	cmd.Flags().StringVar(&user.FirstName, "first-name", "", "the user's first name")
	cmd.Flags().StringVar(&user.LastName, "last-name", "", "the user's last name")
	cmd.Flags().StringVar(&user.Organization, "organization", authority.DefaultOrganization, "organization of the user, created if missing")
	command.AddJSON(cmd)
	return cmd
}

func newAuthorityUserListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  cobra.NoArgs,
		RunE: onStore(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, _ []string) error {
			users, err := a.Users(ctx)
			if err != nil {
				return err
			}
			rows := [][]string{{"EMAIL", "NAME", "ROLE", "ORGANIZATION", "STATUS", "ADDED"}}
			for _, u := range users {
				rows = append(rows, []string{
					u.Email, strings.TrimSpace(u.FirstName + " " + u.LastName), string(u.Role), u.Organization,
					string(u.Status), u.CreatedAt.Format(time.DateOnly),
				})
			}
			return command.Print(cmd, users, command.Table(rows))
		}),
	}
	command.AddJSON(cmd)
	return cmd
}

func newAuthorityUserRoleCommand() *cobra.Command {
	var organization string
	cmd := newAuthorityUserChangeCommand("role EMAIL ROLE", "Change the role of a user",
		"role changes the role of a user. ROLE is one of "+roleNames()+".\n\"authority roles\" shows their permissions.",
		func(ctx context.Context, a *authority.Authority, args []string) (string, error) {
			return fmt.Sprintf("is now %s", args[1]), a.SetRoleIn(ctx, args[0], organization, authority.Role(args[1]))
		})
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) != 1 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return strings.Split(roleNames(), ", "), cobra.ShellCompDirectiveNoFileComp
	}
	cmd.Flags().StringVar(&organization, "organization", "", "organization of the role, for a user in several organizations")
	return cmd
}

func newAuthorityUserJoinCommand() *cobra.Command {
	var role string
	cmd := newAuthorityUserChangeCommand("join EMAIL ORGANIZATION", "Add a user to another organization",
		`join makes a user a member of another organization, which is created if missing.
The user's existing tokens stay bound to the organization that they were created
in.`,
		func(ctx context.Context, a *authority.Authority, args []string) (string, error) {
			return fmt.Sprintf("is %s of %s", role, args[1]), a.AddMember(ctx, args[0], args[1], authority.Role(role))
		})
	cmd.Flags().StringVar(&role, "role", string(authority.RoleMember), "role of the user in that organization: "+roleNames())
	return cmd
}

func roleNames() string {
	names := make([]string, 0, len(domain.Roles()))
	for _, role := range domain.Roles() {
		names = append(names, string(role))
	}
	return strings.Join(names, ", ")
}

// roleRow is a role as authority roles --json prints it.
type roleRow struct {
	Role        authority.Role `json:"role"`
	Permissions []string       `json:"permissions"`
}

func newAuthorityRolesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "roles",
		Short: "Show the permissions of each role",
		Long: `roles shows the permissions of each role. A token has all permissions of its
user's role, unless it is narrowed to some of them.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			rows := []roleRow{}
			for _, role := range domain.Roles() {
				rows = append(rows, roleRow{Role: role, Permissions: role.Permissions()})
			}
			return command.Print(cmd, rows, command.Table(RolesTable()))
		},
	}
	command.AddJSON(cmd)
	return cmd
}

// RolesTable has a row for each permission and a column for each role.
func RolesTable() [][]string {
	head := []string{"PERMISSION"}
	for _, role := range domain.Roles() {
		head = append(head, strings.ToUpper(string(role)))
	}
	rows := [][]string{head}
	for _, permission := range domain.Permissions() {
		cells := []string{permission}
		for _, role := range domain.Roles() {
			held := "-"
			if slices.Contains(role.Permissions(), permission) {
				held = "yes"
			}
			cells = append(cells, held)
		}
		rows = append(rows, cells)
	}
	return rows
}
