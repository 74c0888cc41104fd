package tokens

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func newTokensRevokeCommand() *cobra.Command {
	var connecting connect.Flags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke one of your personal access tokens for good",
		Long: `revoke revokes a token at once and for good. It shows the token and asks at the
terminal. Without a terminal, or under an AI agent, it does nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tokens.CheckID(args[0]); err != nil {
				return command.Usagef("%w", err)
			}
			if err := command.MayDecide(cmd, false); err != nil {
				return err
			}
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				structured, text, err := runTool(ctx, c, newTerminalPerson(cmd, asJSON), "revoke_token", map[string]any{"id": args[0]})
				if err != nil {
					return err
				}
				return printAnswer(cmd, structured, text, asJSON)
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printAnswer prints what a tool answered.
func printAnswer(cmd *cobra.Command, structured any, text string, asJSON bool) error {
	if asJSON {
		return command.PrintJSON(cmd.OutOrStdout(), structured)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
