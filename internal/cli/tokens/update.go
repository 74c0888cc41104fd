package tokens

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

func newTokensUpdateCommand() *cobra.Command {
	var connecting connect.Flags
	var name, expires string
	var narrowing narrowingFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "update ID",
		Short: "Change one of your personal access tokens",
		Long: `update changes a token. Its value and everything that you do not name stay the
same. It asks at the terminal before it gives the token more (permissions, a later
expiry, an earlier start) or restricts the token that this program uses.

Without a terminal, or under an AI agent, nothing is changed.

kenbun does not document this. It works with APIs that support it, such as the
embedded one.`,
		Example: `  kenbun-mcp tokens update pat_abc123 --name "Nightly import" --expires 30d
  kenbun-mcp tokens update pat_abc123 --permissions read:leads,read:events
  kenbun-mcp tokens update pat_abc123 --permissions all --valid-from now --expires never`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tokens.CheckID(args[0]); err != nil {
				return command.Usagef("%w", err)
			}
			if err := command.MayDecide(cmd, false); err != nil {
				return err
			}
			arguments := map[string]any{"id": args[0]}
			if cmd.Flags().Changed("name") {
				arguments["name"] = name
			}
			if cmd.Flags().Changed("expires") {
				arguments["expires"] = expires
			}
			narrowing.put(cmd, arguments)
			return connect.With(cmd, &connecting, func(ctx context.Context, c *connect.Connection) error {
				structured, text, err := runTool(ctx, c, newTerminalPerson(cmd, asJSON), "update_token", arguments)
				if err != nil {
					return err
				}
				return printAnswer(cmd, structured, text, asJSON)
			})
		},
	}
	connecting.Add(cmd)
	cmd.Flags().StringVar(&name, "name", "", "the new name")
	cmd.Flags().StringVar(&expires, "expires", "", `new expiry: days such as 30d, an RFC 3339 time, or "never"`)
	narrowing.add(cmd, "")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// narrowingFlags are about properties of tokens that kenbun does not document.
type narrowingFlags struct {
	validFrom   string
	permissions []string
}

// add adds the flags, with a note at the end of their help.
func (f *narrowingFlags) add(cmd *cobra.Command, note string) {
	cmd.Flags().StringVar(&f.validFrom, "valid-from", "", `start of validity: days such as 7d, an RFC 3339 time, or "now"`+note)
	command.ListVar(cmd.Flags(), &f.permissions, "permissions", `permissions such as read:leads,write:leads, or "all" of your role`+note)
}

// put adds what was given to the arguments of a tool.
func (f *narrowingFlags) put(cmd *cobra.Command, arguments map[string]any) {
	if cmd.Flags().Changed("valid-from") {
		arguments["valid_from"] = f.validFrom
	}
	if cmd.Flags().Changed("permissions") {
		arguments["permissions"] = f.permissions
	}
}

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
