package tokens

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
)

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
	cmd.Flags().StringVar(&expires, "expires", "", `expiry of the new token: 30d, an RFC 3339 time, or "never" (default the same lifetime again)`)
	command.AddStdout(cmd, &toStdout)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the new token as JSON, including the value")
	return cmd
}
