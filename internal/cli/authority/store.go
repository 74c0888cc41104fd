package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/authority/store"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

func newAuthoritySeedCommand() *cobra.Command {
	var config authority.SeedConfig
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Fill a store with sample users and tokens",
		Long: `seed fills a store with sample users and tokens, for load tests and
demonstrations. It creates organizations of 250 users with all roles, and tokens
from the last two years. Some of them were never used, have expired or are
revoked. Nobody has the values of these tokens. To act as one of the users, sign
in with "authority session" or create a token. The limit of tokens for each user
does not apply to seed.

To protect real data, seed refuses a store that has users unless you pass --add.
Sample users cannot be removed again.`,
		Example: `  kenbun-mcp authority seed --store sqlite:load.db --users 50000 --tokens 1000000
  kenbun-mcp authority serve --store sqlite:load.db --api-rate-limit 0 --api-rate-limit-address 0`,
		Args: cobra.NoArgs,
		RunE: byUser(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, _ []string) error {
			made, err := a.Seed(ctx, config)
			if errors.Is(err, store.ErrNotEmpty) {
				return fmt.Errorf("%w: name another store with --store, or pass --add", err)
			}
			if err != nil {
				return err
			}
			return command.Print(cmd, made, command.Text(`made %d users and %d tokens in %s
organizations: %d
tokens that work: %d, expired: %d, revoked: %d
most tokens: %s
sign in:     kenbun-mcp authority session %[8]s`,
				made.Users, made.Tokens, made.Took.Round(time.Millisecond), made.Organizations, made.Active, made.Expired, made.Revoked, made.Emails[0]))
		}),
	}
	cmd.Flags().IntVar(&config.Users, "users", 100, "number of sample users")
	cmd.Flags().IntVar(&config.Tokens, "tokens", 2000, "number of sample tokens")
	cmd.Flags().BoolVar(&config.Add, "add", false, "add them to a store that already has users")
	command.AddJSON(cmd)
	return cmd
}

func newAuthorityPepperCommand() *cobra.Command {
	return command.Parent(&cobra.Command{
		Use:   "pepper",
		Short: "Manage the keys under which tokens are hashed",
	}, newAuthorityPepperRotateCommand(), newAuthorityPepperListCommand())
}

func newAuthorityPepperRotateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Add a pepper for hashing tokens from now on",
		Long: `rotate adds a line to the pepper file. Existing tokens keep working and move
to the new pepper when they are next used. "authority pepper list" shows when an
old pepper is no longer needed. You can then delete its line.

A running server reads the file again when it meets a token under the new
pepper. If several nodes have a file each, or the pepper in KENBUN_PEPPER, first
give all of them the line with the new version, made with openssl rand -base64
32. Then restart one after the other. A node without the newest pepper answers
503 if it cannot verify a token.`,
		Args: cobra.NoArgs,
		RunE: byUser(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, _ []string) error {
			version, err := a.RotatePepper(ctx)
			if err == nil {
				cmd.PrintErrf("tokens are now hashed under version %d of the pepper. Back up the file again\n", version)
			}
			return err
		}),
	}
}

func newAuthorityPepperListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show which peppers are still needed",
		Args:  cobra.NoArgs,
		RunE: onStore(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, _ []string) error {
			versions, err := a.Peppers(ctx)
			if err != nil {
				return err
			}
			rows := [][]string{{"VERSION", "TOKENS AND SESSIONS", "NEEDED"}}
			for _, v := range versions {
				needed := "yes"
				if !v.Current && v.Credentials == 0 {
					needed = "no"
				}
				rows = append(rows, []string{fmt.Sprint(v.Version), fmt.Sprint(v.Credentials), needed})
			}
			return command.Print(cmd, versions, command.Table(rows))
		}),
	}
	command.AddJSON(cmd)
	return cmd
}

func newAuthorityUnitCommand() *cobra.Command {
	return command.Parent(&cobra.Command{
		Use:   "unit",
		Short: "Manage the Organizational Units of your own kenbun API",
		Long: `unit manages the Organizational Units of your own API. Each organization starts
with one. Members select the unit to work in with POST /org-units/active.`,
	}, newAuthorityUnitAddCommand())
}

func newAuthorityUnitAddCommand() *cobra.Command {
	var organization string
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Add an Organizational Unit and print its id",
		Args:  cobra.ExactArgs(1),
		RunE: onStore(func(ctx context.Context, cmd *cobra.Command, a *authority.Authority, args []string) error {
			id, err := a.AddUnit(ctx, organization, args[0])
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return command.Print(cmd, map[string]string{"id": id, "name": args[0], "organization": organization}, command.Text("%s", id))
		}),
	}
	cmd.Flags().StringVar(&organization, "organization", authority.DefaultOrganization, "organization of the unit")
	command.AddJSON(cmd)
	return cmd
}
