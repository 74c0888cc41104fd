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
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "seed",
		Short: "Fill a store with sample users and tokens",
		Long: `seed fills a store with invented users and tokens, for tests under load and for
looking at: organizations of 250, with all roles, and tokens of the last two
years, of which some were never used, have expired or are revoked. Nobody has
those tokens' values. To act as one of the users, sign in with "authority
session" or make a token; the limit of tokens a user does not hold for seed.

A store that has users is refused, so that nothing is invented where people
work, unless --add is given. Invented users cannot be removed again.`,
		Example: `  kenbun-mcp authority seed --store sqlite:load.db --users 50000 --tokens 1000000
  kenbun-mcp authority serve --store sqlite:load.db --api-rate-limit 0 --api-rate-limit-address 0`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				made, err := a.Seed(ctx, config)
				if errors.Is(err, store.ErrNotEmpty) {
					return fmt.Errorf("%w: name another store with --store, or give --add if you want that", err)
				}
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), made)
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), `made %d users and %d tokens in %s
organizations: %d
tokens that work: %d, expired: %d, revoked: %d
most tokens: %s
sign in:     kenbun-mcp authority session %[8]s
`, made.Users, made.Tokens, made.Took.Round(time.Millisecond), made.Organizations, made.Active, made.Expired, made.Revoked, made.Emails[0])
				return err
			})
		},
	}
	cmd.Flags().IntVar(&config.Users, "users", 100, "number of sample users")
	cmd.Flags().IntVar(&config.Tokens, "tokens", 2000, "number of sample tokens")
	cmd.Flags().BoolVar(&config.Add, "add", false, "add them to a store that has users already")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
