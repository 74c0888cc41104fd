package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/cli/process"
	"github.com/kenbun/kenbun-mcp/internal/logging"
)

func newAuthorityServeCommand() *cobra.Command {
	var address, firstUser, webURL, maxLifetime, keepDead string
	var web, toStdout bool
	var tokenLimit int
	var admission connect.AdmissionFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve the API over HTTP until interrupted",
		Long: `serve answers the API's requests on --listen until it is interrupted. It then
finishes the requests in progress. Its log goes to standard error, one line for
each request, and holds no token.

Users manage their own tokens in a browser below /web. They sign in with the link
that "authority session EMAIL --link" prints. --web=false turns the page off.

A new store has no users. Add them with "authority user add", or name the first
one with --first-user.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if tokenLimit < 1 {
				return command.Usagef("--token-limit cannot be %d; give 1 or more", tokenLimit)
			}
			config, err := authorityConfig(cmd)
			if err != nil {
				return err
			}
			config.TokenLimit = tokenLimit
			if maxLifetime != "" {
				if config.MaxTokenLifetime, err = command.ParseLifetime("--api-max-token-lifetime", maxLifetime); err != nil {
					return err
				}
			}
			if keepDead != keepForever {
				if config.KeepDead, err = command.ParseLifetime("--keep-dead", keepDead); err != nil {
					return fmt.Errorf("%w, or %s", err, keepForever)
				}
			}
			config.Logger = slog.New(logging.Clean(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			ctx := cmd.Context()
			config.Web, config.WebURL = web, webURL
			if err := admission.Open(&config); err != nil {
				return err
			}
			a, err := authority.Open(ctx, config)
			if err != nil {
				return authorityError(err)
			}
			defer func() { err = errors.Join(err, a.Close()) }()
			if err := prepareFirstUser(ctx, cmd, a, firstUser, config.Store, toStdout); err != nil {
				return err
			}
			process.CollectLess()
			process.LimitMemory(slog.New(slog.DiscardHandler))
			listener, err := command.ListenFor(ctx, address, "--listen")
			if err != nil {
				return err
			}
			if loopback, err := connect.IsLoopback(listener.Addr().String(), "--listen"); err != nil || !loopback {
				cmd.PrintErrln("warning: this is plain HTTP on an address that other machines can reach, so tokens can be read in transit. Put a proxy with TLS in front.")
			}
			cmd.PrintErrf("listening on http://%s\n", listener.Addr())
			if web {
				cmd.PrintErrln("the web page is below /web. Sign in with the link that \"kenbun-mcp authority session EMAIL --link\" prints")
			}
			return a.Serve(ctx, listener)
		},
	}
	command.AddStdout(cmd, &toStdout)
	defer command.Settings(cmd.Flags(), command.HTTP)()
	cmd.Flags().StringVar(&address, "listen", "127.0.0.1:8780", "the `address` to listen on, as HOST:PORT")
	cmd.Flags().StringVar(&firstUser, "first-user", "", "`email` of the owner to add to a new store, whose session token is printed")
	admission.Add(cmd)
	cmd.Flags().BoolVar(&web, "web", true, "serve the web page for tokens below /web")
	cmd.Flags().StringVar(&webURL, "web-url", "", "public address of the web page, such as https://tokens.example.com")
	cmd.Flags().StringVar(&keepDead, "keep-dead", "90d", `how long to keep revoked and expired tokens, such as 90d or 12h, or "forever"`)
	defer command.Settings(cmd.Flags(), command.Limits)()
	cmd.Flags().IntVar(&tokenLimit, "token-limit", authority.DefaultTokenLimit, "maximum number of active tokens for each user")
	cmd.Flags().StringVar(&maxLifetime, "api-max-token-lifetime", "", "maximum lifetime of tokens, such as 90d or 12h (default no limit)")
	return cmd
}

// keepForever is the value of --keep-dead that removes nothing.
const keepForever = "forever"

// prepareFirstUser adds the first user to an empty store and prints their
// session token.
func prepareFirstUser(ctx context.Context, cmd *cobra.Command, a *authority.Authority, email, store string, toStdout bool) error {
	users, err := a.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	switch {
	case email == "" && store == "memory":
		cmd.PrintErrln("warning: a store in memory has no users and no other command can add any, so every request will be refused. Start with --first-user EMAIL.")
		return nil
	case email == "":
		cmd.PrintErrln("warning: this store has no users yet, so every request will be refused. Add one with \"kenbun-mcp authority user add EMAIL\", or start with --first-user EMAIL.")
		return nil
	}
	if err := command.MayPrintSecret(cmd, toStdout); err != nil {
		return err
	}
	if _, err := a.AddUser(ctx, authority.NewUser{Email: email, Role: authority.RoleOwner}); err != nil {
		return authorityError(err)
	}
	token, err := a.IssueSession(ctx, email, authority.DefaultSessionLifetime)
	if err != nil {
		return err
	}
	cmd.PrintErrf("added %s as owner; a session token for 12 hours follows on standard output\n", email)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	return TakeBackSession(ctx, a, token, err)
}
