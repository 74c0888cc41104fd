package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

func newAuthoritySessionCommand() *cobra.Command {
	var lifetime time.Duration
	var organization string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "session EMAIL",
		Short: "Sign a user in to your own API and print the session token",
		Long: `session prints a session token for a user, alone on standard output. It is sent
as Authorization: Bearer, acts as that user, and ends after --ttl. Whoever sees
it can act as the user until then.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if lifetime <= 0 {
				return usageErrorf("--ttl is %s: give a time such as 12h", lifetime)
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				token, err := a.IssueSessionIn(ctx, args[0], organization, lifetime)
				if err != nil {
					return fmt.Errorf("%s: %w", args[0], err)
				}
				if asJSON {
					return printJSON(cmd.OutOrStdout(), map[string]any{"email": args[0], "token": token, "lifetime_seconds": int(lifetime.Seconds())})
				}
				cmd.PrintErrf("a session of %s, for %s:\n", args[0], lifetime)
				_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
				return err
			})
		},
	}
	cmd.Flags().DurationVar(&lifetime, "ttl", authority.DefaultSessionLifetime, "how long the session lasts, at most 720h")
	cmd.Flags().StringVar(&organization, "organization", "", "where the session acts, for a user who is in several organizations")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
