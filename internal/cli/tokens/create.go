package tokens

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/humantime"
	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func newTokensCreateCommand() *cobra.Command {
	var connecting connect.Flags
	var expires string
	var narrowing narrowingFlags
	var asJSON, toStdout bool
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a personal access token and show its value once",
		Long: `create creates a token and shows its value once, at your terminal. It asks you
there before it creates a token that never expires.

For scripts, --stdout prints only the value to standard output and everything else
to standard error. Never run it that way from an AI assistant, because the value
would enter the conversation.`,
		Example: `  kenbun-mcp tokens create "Nightly import" --expires 30d
  kenbun-mcp tokens create "Report" --expires 30d --permissions read:leads,read:events
  kenbun-mcp tokens create laptop --expires 90d --stdout | pbcopy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if expires == "" {
				return command.Usagef(`--expires is missing. Set a lifetime such as --expires 30d, or --expires never`)
			}
			if err := command.MayPrintSecret(cmd, toStdout); err != nil {
				return err
			}
			arguments := map[string]any{"name": args[0], "expires": expires}
			narrowing.put(cmd, arguments)
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				screen := newTerminalPerson(cmd, asJSON)
				screen.show = func(created *client.CreatedToken) error { return ShowToken(cmd, created, asJSON) }
				_, _, err := runTool(ctx, c, screen, "create_token", arguments)
				return err
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().StringVar(&expires, "expires", "", `expiry: days such as 30d, an RFC 3339 time, or "never" (required)`)
	narrowing.add(cmd, " (not with kenbun itself)")
	command.AddStdout(cmd, &toStdout)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, including the value")
	return cmd
}

// ShowToken prints a new token, with its value alone on standard output.
func ShowToken(cmd *cobra.Command, created *client.CreatedToken, asJSON bool) error {
	now := time.Now()
	row := tokens.NewRow(&created.Token, now, "")
	if asJSON {
		return printTokenJSON(cmd.OutOrStdout(), created)
	}
	ends := "never expires"
	if created.ExpiresAt != nil {
		ends = "expires " + humantime.Relative(*created.ExpiresAt, now)
	}
	if created.ValidFrom != nil {
		ends += ", becomes valid " + humantime.Relative(*created.ValidFrom, now)
	}
	if row.Permissions != nil {
		ends += ", only " + row.PermissionWords()
	}
	cmd.PrintErrf("Created %s (%s), id %s, %s.\n", plaintext.Quote(row.Name), row.Prefix, row.ID, ends)
	if terminal.Is(cmd.OutOrStdout()) {
		cmd.PrintErrln("This is its value. It is shown only once. Keep it like a password:")
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), created.Value.Reveal())
	return err
}

func printTokenJSON(w io.Writer, created *client.CreatedToken) error {
	return command.PrintJSON(w, struct {
		tokens.Row
		Token string `json:"token"`
	}{tokens.NewRow(&created.Token, time.Now(), ""), created.Value.Reveal()})
}

func newTokensRotateCommand() *cobra.Command {
	var connecting connect.Flags
	var expires string
	var asJSON, toStdout bool
	cmd := &cobra.Command{
		Use:   "rotate ID",
		Short: "Replace one of your personal access tokens with a new one",
		Long: `rotate creates a new token with the same name, shows its value once, checks that it
works, and only then revokes the old one. It asks at the terminal first.

With --stdout only the value goes to standard output, which can be a pipe or a
file. The question is still asked at the terminal. Never run it that way from an AI
assistant, because the value would enter the conversation.

If you rotate the token that this program uses, and it is kept in a file or the
keychain, it is replaced there and not printed.`,
		Example: `  kenbun-mcp tokens rotate pat_abc123
  kenbun-mcp tokens rotate pat_abc123 --expires 30d --stdout | pbcopy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.MayPrintSecret(cmd, toStdout); err != nil {
				return err
			}
			if err := command.MayDecide(cmd, toStdout); err != nil {
				return err
			}
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				arguments := map[string]any{"id": args[0]}
				if expires != "" {
					arguments["expires"] = expires
				}
				screen := newTerminalPerson(cmd, asJSON)
				_, text, err := runTool(ctx, c, screen, "rotate_token", arguments)
				if err != nil {
					return err
				}
				cmd.PrintErrln(text)
				return nil
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().StringVar(&expires, "expires", "", `expiry of the new token: 30d, an RFC 3339 time, or "never" (default the same lifetime)`)
	command.AddStdout(cmd, &toStdout)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the new token as JSON, including the value")
	return cmd
}
