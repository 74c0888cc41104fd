// Package login has the commands login, logout and whoami.
package login

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/identity"
)

// NewCommand returns the login command.
func NewCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Store your personal access token in the keychain",
		Long: `login asks for your personal access token, checks that it works, and stores it in
your keychain. If there is no keychain, it uses a file that only you can read. All
other commands, and the server that your assistant starts, use this token unless
they are given another one.

Create the token in kenbun under Settings > Integrations > Personal Tokens. Your
input is not shown. Without a terminal, the token is read from one line of
standard input.`,
		Example: `  kenbun-mcp login
  op read op://Private/kenbun/token | kenbun-mcp login`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return login(cmd, &connecting, asJSON)
		},
	}
	connecting.AddAddress(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// loginAnswer is what login prints as JSON.
type loginAnswer struct {
	KeptIn string `json:"kept_in"`
	*identity.Identity
}

func login(cmd *cobra.Command, connecting *connect.Flags, asJSON bool) (err error) {
	ctx := cmd.Context()
	api, err := connecting.Client()
	if err != nil {
		return err
	}
	defer api.CloseIdleConnections()
	kept := connect.LoginAt(api.BaseURL())
	pat, err := readPAT(cmd)
	if err != nil {
		return err
	}
	now := time.Now()
	who, err := identity.Identify(ctx, tools.Caller{
		API: api.As(client.Credential{PAT: pat}), TokenPrefix: pat.Prefix(), TokenSource: "this login",
	}, api.BaseURL(), now)
	switch {
	case errors.Is(err, client.ErrForbidden):
		// kenbun knows the token, and does not tell it whose it is.
		who = &identity.Identity{API: api.BaseURL(), Warnings: []string{"kenbun accepts this token and does not tell it who its user is."}}
		who.Token.Prefix = pat.Prefix()
	case err != nil:
		cmd.PrintErrln("The token was not kept.")
		return err
	}
	where, err := kept.Store(ctx, pat)
	if err != nil {
		return err
	}
	who.Token.Source = where
	warnOfOtherTokens(cmd, "count before this login")
	if asJSON {
		return command.PrintJSON(cmd.OutOrStdout(), loginAnswer{KeptIn: where, Identity: who})
	}
	return command.PrintLabelled(cmd, who.Text(now)+"\nkept in: "+where)
}

func readPAT(cmd *cobra.Command) (client.Secret, error) {
	line, err := terminal.ReadSecret(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), "Your kenbun personal access token (not shown): ")
	var value string
	if err == nil {
		value, err = settings.Value(line)
	}
	if errors.Is(err, terminal.ErrNothingEntered) || err == nil && value == "" {
		return client.Secret{}, connect.Unauthenticated(errors.New("no token was entered: make one in kenbun under Settings > Integrations > Personal Tokens, and paste it here"))
	}
	if err != nil {
		return client.Secret{}, err
	}
	pat, err := client.ParsePAT(value)
	if err != nil {
		return client.Secret{}, connect.Unauthenticated(err)
	}
	return pat, nil
}

// warnOfOtherTokens tells of tokens in the environment that are used in place of
// the login.
func warnOfOtherTokens(cmd *cobra.Command, what string) {
	for _, name := range command.TokenSettings {
		if settings.Trim(os.Getenv(name)) != "" {
			cmd.PrintErrf("%s is set here: what it gives will %s.\n", name, what)
		}
	}
}

// notRevoked is what logging out does not do.
const notRevoked = "The token itself was not revoked: whoever has a copy can use it. To end it, revoke it in kenbun under Settings > Integrations > Personal Tokens."

// NewLogoutCommand returns the logout command.
func NewLogoutCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "logout",
		Short: "Remove the personal access token that login stored",
		Long: `logout removes the token that login stored, from the keychain or its file. It does
not revoke the token. To revoke it, use kenbun (Settings > Integrations > Personal
Tokens), or run 'kenbun-mcp tokens revoke' first.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.NotUnderAgent(cmd); err != nil {
				return err
			}
			return logout(cmd, &connecting, asJSON)
		},
	}
	connecting.AddAddress(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func logout(cmd *cobra.Command, connecting *connect.Flags, asJSON bool) error {
	api, err := connecting.Client()
	if err != nil {
		return err
	}
	kept := connect.LoginAt(api.BaseURL())
	places, err := kept.Remove(cmd.Context())
	if err != nil {
		return fmt.Errorf("the login could not be removed everywhere: %w", err)
	}
	warnOfOtherTokens(cmd, "be used all the same")
	if asJSON {
		return command.PrintJSON(cmd.OutOrStdout(), struct {
			RemovedFrom []string `json:"removed_from"`
			Revoked     bool     `json:"revoked"`
		}{append([]string{}, places...), false})
	}
	text := fmt.Sprintf("There was no login for %s; nothing was changed.", api.BaseURL())
	if len(places) > 0 {
		text = fmt.Sprintf("Removed from %s.\n%s", strings.Join(places, " and "), notRevoked)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// NewWhoamiCommand returns the whoami command.
func NewWhoamiCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "whoami",
		Short: "Show the current user and token",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				caller, err := c.Caller(ctx)
				if err != nil {
					return err
				}
				now := time.Now()
				who, err := identity.Identify(ctx, caller, c.API.BaseURL(), now)
				if err != nil {
					return err
				}
				if asJSON {
					return command.PrintJSON(cmd.OutOrStdout(), who)
				}
				return command.PrintLabelled(cmd, who.Text(now))
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
