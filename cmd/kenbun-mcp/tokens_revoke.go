package main

import (
	"context"
	"fmt"

	"github.com/kenbun/kenbun-mcp/tools/tokens"
	"github.com/spf13/cobra"
)

func newTokensRevokeCommand() *cobra.Command {
	var connecting connectionFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Revoke one of your personal access tokens, for good",
		Long: `revoke ends a token at once and for good. It shows which token it is and asks
at the terminal. Without a terminal, or under an AI agent, it does nothing.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tokens.CheckID(args[0]); err != nil {
				return &usageError{err: err}
			}
			if err := mayDecide(cmd, false); err != nil {
				return err
			}
			return withConnection(cmd, &connecting, func(ctx context.Context, c *connection) error {
				structured, text, err := runTool(ctx, c, newTerminalPerson(cmd, asJSON), "revoke_token", map[string]any{"id": args[0]})
				if err != nil {
					return err
				}
				return printAnswer(cmd, structured, text, asJSON)
			})
		},
	}
	connecting.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// printAnswer prints what a tool answered.
func printAnswer(cmd *cobra.Command, structured any, text string, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), structured)
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
