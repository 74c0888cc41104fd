package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
)

func newTokensRevokeCommand() *cobra.Command {
	var connecting connectionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke one of your personal access tokens, for good",
		Long: `revoke ends a token at once and for good. It shows which token it is and asks
at the terminal; without a terminal it does nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tools.CheckTokenID(args[0]); err != nil {
				return &usageError{err: err}
			}
			return withConnection(cmd, &connecting, func(ctx context.Context, c *connection) error {
				caller, err := c.caller(ctx)
				if err != nil {
					return err
				}
				return revoke(ctx, cmd, caller, args[0], asJSON)
			})
		},
	}
	connecting.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func revoke(ctx context.Context, cmd *cobra.Command, caller tools.Caller, id string, asJSON bool) error {
	token, err := findToken(ctx, caller, id)
	if err != nil {
		return err
	}
	now := time.Now()
	row := tools.NewTokenRow(token, now, caller.TokenPrefix)
	if token.RevokedAt == nil {
		yes, err := terminal.Confirm(ctx, cmd.InOrStdin(), cmd.ErrOrStderr(), tools.RevokeQuestion(token, now, caller.TokenPrefix).Text()+"\n\nRevoke it?")
		switch {
		case errors.Is(err, terminal.ErrNoTerminal):
			return fmt.Errorf("%w: revoking cannot be undone, so that it is asked for at a terminal; run this command in one", errRefused)
		case err != nil:
			return err
		case !yes:
			return fmt.Errorf("%w: the token was not revoked", errRefused)
		}
		if err := caller.API.RevokeToken(ctx, id); err != nil {
			return err
		}
		row.Status = string(client.StatusRevoked)
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), row)
	}
	how := "Revoked %q (%s).\n"
	if token.RevokedAt != nil {
		how = "%q (%s) was revoked before; nothing was changed.\n"
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), how, row.Name, row.Prefix)
	return err
}

func findToken(ctx context.Context, caller tools.Caller, id string) (*client.Token, error) {
	tokens, err := caller.API.ListTokens(ctx)
	if err != nil {
		return nil, err
	}
	for i := range tokens {
		if tokens[i].ID == id {
			return &tokens[i], nil
		}
	}
	return nil, fmt.Errorf("you have no token with the id %s: 'kenbun-mcp tokens list --status all' shows them (%w)", id, client.ErrNotFound)
}
