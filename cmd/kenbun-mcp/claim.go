package main

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
	"github.com/kenbun/kenbun-mcp/internal/human"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/tools"
)

// maxSealedInput bounds what is read of a sealed token, in bytes.
const maxSealedInput = 1 << 20

// claimFlags say where a new token waits.
type claimFlags struct {
	server       string
	sealed       bool
	identityFile string
	asJSON       bool
}

func newClaimCommand() *cobra.Command {
	var connecting connectionFlags
	var claiming claimFlags
	cmd := &cobra.Command{
		Use:   "claim ID --server URL | claim --sealed [FILE] --identity-file FILE",
		Short: "Fetch a new token that an assistant had made for you",
		Long: `claim fetches a new token that waits for you at a server, with the token that
your assistant uses as the proof that it is yours. It can be fetched once: if
somebody else did before you, it is revoked and you are told.

With --sealed it opens a token that the server encrypted to you: from FILE, or
from standard input, with the age identity that belongs to your recipient.

The value is alone on standard output; all else goes to standard error.`,
		Example: `  kenbun-mcp claim claim_ID --server https://mcp.example.com
  kenbun-mcp claim --sealed token.age --identity-file ~/.config/kenbun/identity.txt`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			argument := ""
			if len(args) > 0 {
				argument = args[0]
			}
			if claiming.sealed {
				return openSealed(cmd, argument, &claiming)
			}
			return fetchClaim(cmd, argument, &connecting, &claiming)
		},
	}
	connecting.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&claiming.server, "server", "", "address of the MCP server, without /mcp: https, or http on loopback; your token is sent there")
	flags.BoolVar(&claiming.sealed, "sealed", false, "open a token that is encrypted to you")
	flags.StringVarP(&claiming.identityFile, "identity-file", "i", "", "file with the age identity for --sealed, as age-keygen writes it")
	flags.BoolVar(&claiming.asJSON, "json", false, "print JSON, the value included")
	return cmd
}

func fetchClaim(cmd *cobra.Command, id string, connecting *connectionFlags, claiming *claimFlags) error {
	if id == "" {
		return usageErrorf("give the id of the claim, as your assistant was told it, or --sealed for a token that is encrypted to you")
	}
	if origin, page := claimPage(id); page != "" {
		return usageErrorf("give the claim's id, and the server by itself: kenbun-mcp claim %s --server %s. Your token is sent to that server: make sure that it is yours",
			page, plaintext.ShellWord(origin))
	}
	if !human.IsClaimID(id) {
		return usageErrorf("that is no claim's id: it is claim_ and 26 capital letters and digits")
	}
	if claiming.server == "" {
		return usageErrorf("--server is missing: give the address of the MCP server that your assistant uses, without /mcp")
	}
	return withConnection(cmd, connecting, func(ctx context.Context, c *connection) error {
		credential, _, err := c.credentials.Credential(ctx)
		if err != nil {
			return &unauthenticatedError{err}
		}
		token, err := claim.Fetch(ctx, claim.Request{
			Server: claiming.server, ID: id, PAT: credential.PAT,
			CAFile: connecting.caFile, UserAgent: "kenbun-mcp/" + version(),
		})
		var refused *claim.RefusedError
		switch {
		case errors.As(err, &refused):
			return fmt.Errorf("%w: %w", errRefused, err)
		case errors.Is(err, claim.ErrInvalidServer):
			return usageErrorf("--server: %w", err)
		case err != nil:
			return err
		}
		created := &client.CreatedToken{
			Token: client.Token{
				ID: token.ID, Name: token.Name, Prefix: token.Prefix, CreatedAt: token.CreatedAt,
				ValidFrom: token.ValidFrom, ExpiresAt: token.ExpiresAt, Permissions: token.Permissions,
			},
			Value: token.Value,
		}
		if err := showToken(cmd, created, claiming.asJSON); err != nil {
			caller, callerErr := c.caller(ctx)
			if callerErr != nil {
				return errors.Join(err, callerErr)
			}
			return takeBack(ctx, caller, created, err)
		}
		return nil
	})
}

// claimPage takes the address of a claim's page apart.
func claimPage(text string) (server, id string) {
	server, id, ok := strings.Cut(text, human.ClaimPath)
	u, err := url.Parse(server)
	if !ok || err != nil || u.Host == "" || u.User != nil || !human.IsClaimID(id) {
		return "", ""
	}
	return server, id
}

func openSealed(cmd *cobra.Command, file string, claiming *claimFlags) error {
	if claiming.identityFile == "" {
		return usageErrorf("--identity-file is missing: name the file with the age identity that belongs to your recipient")
	}
	input := cmd.InOrStdin()
	if file != "" {
		opened, err := os.Open(file)
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
	identities, err := os.Open(claiming.identityFile)
	if err != nil {
		return fmt.Errorf("open the identity file: %w", err)
	}
	defer func() { _ = identities.Close() }() // it was only read
	value, err := human.OpenSealed(string(armored), identities)
	if err != nil {
		return err
	}
	if claiming.asJSON {
		return printJSON(cmd.OutOrStdout(), map[string]string{"prefix": value.Prefix(), "token": value.Reveal()})
	}
	cmd.PrintErrf("Opened the token %s….\n", value.Prefix())
	_, err = fmt.Fprintln(cmd.OutOrStdout(), value.Reveal())
	return err
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
