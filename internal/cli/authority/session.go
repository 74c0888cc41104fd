package authority

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
)

// defaultAuthorityURL is where authority serve listens when nothing else is said.
const defaultAuthorityURL = "http://127.0.0.1:8780"

func newAuthoritySessionCommand() *cobra.Command {
	var lifetime time.Duration
	var organization, webURL string
	var link, asJSON, toStdout bool
	cmd := &cobra.Command{
		Use:   "session [EMAIL]",
		Short: "Sign a user in, with a session token or a browser link",
		Long: `session shows a session token for a user at your terminal. It is sent as
Authorization: Bearer, acts as that user, and expires after --ttl. Anyone who
sees it can act as the user until then.

For scripts, --stdout prints only the token to standard output. Never run it that
way from an AI assistant, because the token would enter the conversation.

With --link it prints an address instead. There the user signs in to the web page
of a running "authority serve". The link works once, within ten minutes, and the
session lasts twelve hours. The first person to open it can act as the user, so
send it over a channel that nobody else can read.

You can leave EMAIL out if the store has only one user, as a new --embedded store
has.`,
		Example: `  kenbun-mcp authority session ada@example.com --link
  kenbun-mcp authority session ada@example.com --link --web-url https://tokens.example.com`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case lifetime <= 0:
				return command.Usagef("--ttl cannot be %s; give a time such as 12h", lifetime)
			case link && cmd.Flags().Changed("ttl"):
				return command.Usagef("--ttl is for session tokens. A link lasts %s, and its session %s", authority.SignInLinkLifetime, authority.DefaultSessionLifetime)
			}
			if err := command.MayPrintSecret(cmd, toStdout); err != nil {
				return err
			}
			return withAuthority(cmd, func(ctx context.Context, a *authority.Authority) error {
				email, err := signedInUser(ctx, a, args)
				if err != nil {
					return err
				}
				if link {
					return printSignInLink(ctx, cmd, a, email, organization, webURL, asJSON)
				}
				return printSession(ctx, cmd, a, email, organization, lifetime, asJSON)
			})
		},
	}
	cmd.Flags().DurationVar(&lifetime, "ttl", authority.DefaultSessionLifetime, "how long the session lasts, at most 720h")
	cmd.Flags().StringVar(&organization, "organization", "", "organization of the session, for a user in several organizations")
	cmd.Flags().BoolVar(&link, "link", false, "print a one-time sign-in link for the browser instead of a session token")
	cmd.Flags().StringVar(&webURL, "web-url", defaultAuthorityURL, "with --link, the public address of \"authority serve\"")
	command.AddStdout(cmd, &toStdout)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// signedInUser is the user on the command line, or the only one that there is.
func signedInUser(ctx context.Context, a *authority.Authority, args []string) (string, error) {
	if len(args) == 1 {
		return args[0], nil
	}
	users, err := a.Users(ctx)
	switch {
	case err != nil:
		return "", err
	case len(users) == 1:
		return users[0].Email, nil
	case len(users) == 0:
		return "", command.Usagef("the store has no users yet. Add one with \"kenbun-mcp authority user add EMAIL\"")
	}
	return "", command.Usagef("the store has several users. Give the EMAIL of the one who signs in")
}

func printSession(ctx context.Context, cmd *cobra.Command, a *authority.Authority, email, organization string, lifetime time.Duration, asJSON bool) error {
	token, err := a.IssueSessionIn(ctx, email, organization, lifetime)
	if err != nil {
		return fmt.Errorf("%s: %w", email, err)
	}
	if asJSON {
		err = command.PrintJSON(cmd.OutOrStdout(), map[string]any{"email": email, "token": token, "lifetime_seconds": int(lifetime.Seconds())})
	} else {
		cmd.PrintErrf("a session of %s, for %s:\n", email, lifetime)
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	}
	return TakeBackSession(ctx, a, token, err)
}

// TakeBackSession ends a session whose token, or a link whose address, could not be
// shown. Without a cause it does nothing.
func TakeBackSession(ctx context.Context, a *authority.Authority, value string, cause error) error {
	if cause == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if err := a.TakeBack(ctx, value); err != nil {
		return errors.Join(command.ValueLost(cause), err)
	}
	return fmt.Errorf("%w. It was revoked, and nothing is left of it", command.ValueLost(cause))
}

func printSignInLink(ctx context.Context, cmd *cobra.Command, a *authority.Authority, email, organization, webURL string, asJSON bool) error {
	address, err := a.IssueSignInLink(ctx, email, organization, webURL)
	if err != nil {
		return fmt.Errorf("%s: %w", email, err)
	}
	if asJSON {
		err = command.PrintJSON(cmd.OutOrStdout(), map[string]any{"email": email, "url": address, "lifetime_seconds": int(authority.SignInLinkLifetime.Seconds())})
		return TakeBackSession(ctx, a, address, err)
	}
	cmd.PrintErrf("open this within %.0f minutes to sign in as %s; it works once:\n", authority.SignInLinkLifetime.Minutes(), email)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), address)
	return TakeBackSession(ctx, a, address, err)
}
