// Package claim has the claim command, which picks up a new token from a server.
package claim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/claim"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/cli/tokens"
	"github.com/kenbun/kenbun-mcp/internal/human/claims"
	"github.com/kenbun/kenbun-mcp/internal/human/delivery"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxSealedInput bounds what is read of a sealed token, in bytes.
const maxSealedInput = 1 << 20

// maxIdentityFile bounds the file with the age identity, in bytes.
const maxIdentityFile = 1 << 20

// claimFlags say where a new token waits.
type claimFlags struct {
	server       string
	sealed       bool
	identityFile string
	asJSON       bool
	toStdout     bool
}

// NewCommand returns the claim command.
func NewCommand() *cobra.Command {
	var connecting connect.Flags
	var claiming claimFlags
	cmd := &cobra.Command{
		Use:   "claim ID --server URL | claim PAGE | claim --sealed [FILE] --identity-file FILE",
		Short: "Fetch a new token that waits for you on a server",
		Long: `claim fetches a new token that waits for you at a server. Give the claim's id and
the address of the server, or the address of the claim's page.

Your own token proves that the claim is yours, but is not sent. The server gets a
proof that works for this claim and this server only, and answers with the new
token, sealed so that only your token can open it. Before it contacts a server for
the first time, it asks you.

A claim can be fetched once. If somebody else fetched it first, the new token is
revoked and the command says so.

With --sealed it decrypts a token from FILE or standard input, with the age
identity of your recipient. Nothing is sent. It shows which server sealed which
token, and asks you if your own token cannot confirm this.

The value is shown at your terminal. For scripts, --stdout prints only the value to
standard output and everything else to standard error. Never run it that way from
an AI assistant, because the value would enter the conversation.`,
		Example: `  kenbun-mcp claim claim_ID --server https://mcp.example.com
  kenbun-mcp claim https://mcp.example.com/claim/claim_ID
  kenbun-mcp claim --sealed token.age --identity-file ~/.config/kenbun/identity.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			argument := ""
			if len(args) > 0 {
				argument = args[0]
			}
			if claiming.sealed {
				return openSealed(cmd, argument, &connecting, &claiming)
			}
			return fetchClaim(cmd, argument, &connecting, &claiming)
		},
	}
	connecting.Add(cmd)
	flags := cmd.Flags()
	settings := command.Settings(flags, command.Connection)
	flags.StringVar(&claiming.server, "server", "", "address of the MCP server, without /mcp: https, or http on loopback")
	flags.StringVarP(&claiming.identityFile, "identity-file", "i", "", "file with the age identity for --sealed, as written by age-keygen")
	settings()
	flags.BoolVar(&claiming.sealed, "sealed", false, "decrypt a token locally, without a server")
	command.AddStdout(cmd, &claiming.toStdout)
	flags.BoolVar(&claiming.asJSON, "json", false, "print JSON, including the value")
	return cmd
}

// claimAt returns the id of a claim and the address of its server.
func claimAt(argument, server string) (id, at string, _ error) {
	if argument == "" {
		return "", "", command.Usagef("give the id of the claim, as your assistant was told it, or --sealed for a token that is encrypted to you")
	}
	if origin, page := claimPage(argument); page != "" {
		if server != "" {
			return "", "", command.Usagef("give the address of the claim's page, or its id and --server, but not both")
		}
		return page, origin, nil
	}
	if !claims.IsID(argument) {
		return "", "", command.Usagef("that is no claim's id: it is claim_ and 26 capital letters and digits")
	}
	if server == "" {
		return "", "", command.Usagef("--server is missing: give the address of the MCP server that your assistant uses, without /mcp")
	}
	return argument, server, nil
}

// knowServer makes sure that the user means a server. It asks about one at which
// no claim was fetched before.
func knowServer(cmd *cobra.Command, server string) (claim.Known, error) {
	origin, err := claim.Origin(server)
	if err != nil {
		return claim.Known{}, command.Usagef("--server: %w", err)
	}
	known, has := claim.Known{}, false
	if path, err := command.DataFolder("known-servers"); err == nil {
		known.Path = path
		if has, err = known.Has(server); err != nil {
			return known, err
		}
	}
	if has {
		return known, nil
	}
	_, host, _ := strings.Cut(origin, "://")
	yes, err := terminal.Confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf(
		"You have not fetched a claim at %s before. Your token is not sent there. Is %s the MCP server that your assistant uses?", host, host))
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return known, fmt.Errorf("%w: you have not fetched a claim at %s before, and there is no terminal to ask you. Nothing was sent. "+
			"If it is your MCP server, run the command in a terminal, once for each server", command.ErrRefused, host)
	case err != nil:
		return known, err
	case !yes:
		return known, fmt.Errorf("%w: nothing was sent to %s", command.ErrRefused, host)
	}
	return known, nil
}

func fetchClaim(cmd *cobra.Command, argument string, connecting *connect.Flags, claiming *claimFlags) error {
	id, server, err := claimAt(argument, claiming.server)
	if err != nil {
		return err
	}
	if err := command.MayPrintSecret(cmd, claiming.toStdout); err != nil {
		return err
	}
	known, err := knowServer(cmd, server)
	if err != nil {
		return err
	}
	return connect.With(cmd, connecting, func(ctx context.Context, c *connect.Connection) error {
		credential, _, err := c.Credentials.Credential(ctx)
		if err != nil {
			return connect.Unauthenticated(err)
		}
		token, err := claim.Fetch(ctx, claim.Request{
			Server: server, ID: id, PAT: credential.PAT,
			CAFile: connecting.CAFile, UserAgent: "kenbun-mcp/" + command.Version(),
		})
		var refused *claim.RefusedError
		var setting *claim.SettingError
		switch {
		case errors.As(err, &refused):
			return fmt.Errorf("%w: %w", command.ErrRefused, err)
		case errors.As(err, &setting):
			return command.Usagef("%w", err)
		case err != nil:
			return err
		}
		// It could be opened, so that this server had the user's token.
		if err := known.Add(ctx, server); err != nil {
			cmd.PrintErrf("You will be asked about this server again: %v\n", err)
		}
		created := &client.CreatedToken{
			Token: client.Token{
				ID: token.ID, Name: token.Name, Prefix: token.Prefix, CreatedAt: token.CreatedAt,
				ValidFrom: token.ValidFrom, ExpiresAt: token.ExpiresAt, Permissions: token.Permissions,
			},
			Value: token.Value,
		}
		if err := tokens.ShowToken(cmd, created, claiming.asJSON); err != nil {
			caller, callerErr := c.Caller(ctx)
			if callerErr != nil {
				return errors.Join(command.ValueLost(err), callerErr)
			}
			return takeBack(ctx, caller, created, command.ValueLost(err))
		}
		return nil
	})
}

// claimPage takes the address of a claim's page apart.
func claimPage(text string) (server, id string) {
	server, id, ok := strings.Cut(text, claims.Path)
	u, err := url.Parse(server)
	if !ok || err != nil || u.Host == "" || u.User != nil || !claims.IsID(id) {
		return "", ""
	}
	return server, id
}

func openSealed(cmd *cobra.Command, file string, connecting *connect.Flags, claiming *claimFlags) error {
	switch {
	case claiming.identityFile == "":
		return command.Usagef("--identity-file is missing: name the file with the age identity that belongs to your recipient")
	case claiming.server != "":
		return command.Usagef("--server has no meaning with --sealed, which sends nothing to anybody")
	case connecting.Embedded:
		return command.Usagef("--embedded has no meaning with --sealed, which sends nothing to anybody")
	}
	if err := command.MayPrintSecret(cmd, claiming.toStdout); err != nil {
		return err
	}
	input := cmd.InOrStdin()
	if file != "" {
		path, err := settings.Path(file)
		if err != nil {
			return command.Usagef("%w", err)
		}
		opened, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("open the sealed token: %w", err)
		}
		defer func() { _ = opened.Close() }() // it was only read
		input = opened
	}
	armored, err := io.ReadAll(io.LimitReader(input, maxSealedInput))
	if err != nil {
		return fmt.Errorf("read the sealed token: %w", err)
	}
	identities, err := privatefile.ReadSecretOnce(cmd.Context(), claiming.identityFile, maxIdentityFile)
	if err != nil {
		return fmt.Errorf("read the identity file: %w", err)
	}
	sealedLines, err := settings.Lines(armored)
	if err != nil {
		return fmt.Errorf("read the sealed token: %w", err)
	}
	identityLines, err := settings.Lines(identities)
	if err != nil {
		return fmt.Errorf("read the identity file %s: %w", claiming.identityFile, err)
	}
	opened, err := delivery.OpenSealed(strings.Join(sealedLines, "\n"), strings.NewReader(strings.Join(identityLines, "\n")))
	if err != nil {
		return err
	}
	if err := believeSealed(cmd, opened, connecting); err != nil {
		return err
	}
	if claiming.asJSON {
		facts, _ := opened.Facts()
		err = command.PrintJSON(cmd.OutOrStdout(), struct {
			ID     string `json:"id,omitempty"`
			Name   string `json:"name,omitempty"`
			Server string `json:"server,omitempty"`
			Prefix string `json:"prefix"`
			Token  string `json:"token"`
		}{facts.ID, facts.Name, facts.Server, opened.Value.Prefix(), opened.Value.Reveal()})
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), opened.Value.Reveal())
	}
	if err != nil {
		return command.ValueLost(err)
	}
	return nil
}

// believeSealed shows what was sealed, and by which server. Anyone who knows a
// recipient can seal a token to it, one of their own for example. So the user is
// asked unless their own token confirms that it was their server.
func believeSealed(cmd *cobra.Command, opened *delivery.OpenedToken, connecting *connect.Flags) error {
	what := fmt.Sprintf("The text holds the token %s…, and does not say which server sealed it.", opened.Value.Prefix())
	if facts, ok := opened.Facts(); ok {
		what = fmt.Sprintf("The text holds the token %s (id %s, %s…), sealed by %s.", plaintext.Quote(plaintext.Clean(facts.Name, 200)),
			plaintext.Clean(facts.ID, 100), opened.Value.Prefix(), plaintext.Clean(facts.Server, 300))
	}
	cmd.PrintErrln(what)
	confirmed, err := confirmedByOwnToken(cmd, opened, connecting)
	if confirmed || err != nil {
		return err
	}
	yes, err := terminal.Confirm(cmd.Context(), cmd.InOrStdin(), cmd.ErrOrStderr(),
		"Your own token does not confirm this: it may have been sealed by anybody who knows your recipient. Show the token?")
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return fmt.Errorf("%w: your own token does not confirm who sealed this, and there is no terminal to ask you. "+
			"Give the token that your assistant uses (KENBUN_PAT), or name the file as the argument and run the command in a terminal", command.ErrRefused)
	case err != nil:
		return err
	case !yes:
		return fmt.Errorf("%w: the token is not shown", command.ErrRefused)
	}
	return nil
}

// confirmedByOwnToken reports whether the user's own token, if there is one here,
// shows that the server sealed the text. Nothing is asked of the API.
func confirmedByOwnToken(cmd *cobra.Command, opened *delivery.OpenedToken, connecting *connect.Flags) (confirmed bool, err error) {
	err = connect.With(cmd, connecting, func(ctx context.Context, c *connect.Connection) error {
		credential, _, err := c.Credentials.Credential(ctx)
		confirmed = err == nil && opened.IsSealedWith(credential.PAT)
		return nil // without a token the user is asked
	})
	return confirmed, err
}

// takeBack revokes a token whose value could not be shown.
func takeBack(ctx context.Context, caller tools.Caller, created *client.CreatedToken, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	err := caller.API.RevokeToken(ctx, created.ID)
	switch {
	case errors.Is(err, client.ErrOutcomeUnknown):
		return errors.Join(fmt.Errorf("the value of the token %s could not be shown, and it is not certain that it is revoked: look at `kenbun-mcp tokens list` and revoke it if it is alive, nobody holds it", created.ID), cause, err)
	case err != nil:
		return errors.Join(fmt.Errorf("the value of the token %s could not be shown, and it could not be revoked: revoke it, nobody holds it", created.ID), cause, err)
	}
	return fmt.Errorf("the value could not be shown; the token was revoked, nothing is left of it: %w", cause)
}
