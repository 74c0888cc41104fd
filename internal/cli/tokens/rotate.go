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
		Short: "Replace one of your personal access tokens by a new one",
		Long: `rotate makes a new token of the same name, shows its value once, sees that it
works, and only then revokes the old one. It asks at the terminal first.

With --stdout the value alone may go to a pipe or a file. The question is still
asked at the terminal. Never run it that way from an AI assistant: the value
would enter the conversation.

The token that this program itself runs on is replaced where it is kept, if that
is a file or the keychain; its value is not printed then.`,
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
	cmd.Flags().StringVar(&expires, "expires", "", `when the new one ends: days such as 30d, an RFC 3339 time, or "never" (default the same lifetime again)`)
	command.AddStdout(cmd, &toStdout)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the new token as JSON, the value included")
	return cmd
}
