package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
)

func newTokensCreateCommand() *cobra.Command {
	var connecting connectionFlags
	var expires string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a personal access token and show its value once",
		Long: `create makes a token and prints its value, once: alone on standard output, so
that it can be piped to where it is needed; all else goes to standard error.`,
		Example: `  kenbun-mcp tokens create "Nightly import" --expires 30d
  kenbun-mcp tokens create laptop --expires 90d | pbcopy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if expires == "" {
				return usageErrorf(`--expires is missing: say how long the token shall live, such as --expires 30d, or --expires never`)
			}
			end, err := tools.ParseExpires(expires, time.Now())
			if err != nil {
				return &usageError{err: err}
			}
			return withConnection(cmd, &connecting, func(ctx context.Context, c *connection) error {
				caller, err := c.caller(ctx)
				if err != nil {
					return err
				}
				created, err := caller.API.CreateToken(ctx, client.NewToken{Name: args[0], ExpiresAt: end})
				if err != nil {
					return err
				}
				if err := showToken(cmd, created, asJSON); err != nil {
					return takeBack(ctx, caller, created, err)
				}
				return nil
			})
		},
	}
	connecting.add(cmd)
	cmd.Flags().StringVar(&expires, "expires", "", `when it ends: days such as 30d, an RFC 3339 time, or "never" (required)`)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, the value included")
	return cmd
}

func showToken(cmd *cobra.Command, created *client.CreatedToken, asJSON bool) error {
	now := time.Now()
	row := tools.NewTokenRow(&created.Token, now, "")
	if asJSON {
		return printTokenJSON(cmd.OutOrStdout(), created)
	}
	ends := "never expires"
	if created.ExpiresAt != nil {
		ends = "expires " + humantime.Relative(*created.ExpiresAt, now)
	}
	cmd.PrintErrf("Created %q (%s), id %s, %s.\n", row.Name, row.Prefix, row.ID, ends)
	if terminal.Is(cmd.OutOrStdout()) {
		cmd.PrintErrln("This is its value. It is shown only now; keep it like a password:")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), created.Value.Reveal())
	return err
}

func printTokenJSON(w io.Writer, created *client.CreatedToken) error {
	return printJSON(w, struct {
		tools.TokenRow
		Token string `json:"token"`
	}{tools.NewTokenRow(&created.Token, time.Now(), ""), created.Value.Reveal()})
}

// takeBack revokes a token whose value could not be shown.
func takeBack(ctx context.Context, caller tools.Caller, created *client.CreatedToken, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := caller.API.RevokeToken(ctx, created.ID); err != nil {
		return errors.Join(fmt.Errorf("the value of the token %s could not be shown, and it could not be revoked: revoke it, nobody holds it", created.ID), cause, err)
	}
	return fmt.Errorf("the value could not be shown; the token was revoked, nothing is left of it: %w", cause)
}
