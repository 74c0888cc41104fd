package tokens

import (
	"context"

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
		Short: "Change the name, validity or permissions of one of your personal access tokens",
		Long: `update changes a token; its value and what is not named stay as they are. What
gives the token more (permissions, a later end, an earlier start), or takes
something from the one that this program runs on, is asked for at the terminal
first.

Without a terminal, or under an AI agent, nothing is changed.

kenbun documents no such change: it needs an API that can, as the embedded one.`,
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
	cmd.Flags().StringVar(&expires, "expires", "", `when it ends: days from now such as 30d, an RFC 3339 time, or "never"`)
	narrowing.add(cmd, "")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// narrowingFlags say what kenbun does not document of tokens.
type narrowingFlags struct {
	validFrom   string
	permissions []string
}

// add adds the flags. unless tells what counts without them.
func (f *narrowingFlags) add(cmd *cobra.Command, unless string) {
	cmd.Flags().StringVar(&f.validFrom, "valid-from", "", `when it begins to be accepted: days from now such as 7d, an RFC 3339 time, or "now"`+unless)
	command.ListVar(cmd.Flags(), &f.permissions, "permissions", `all that it may do, such as read:leads,write:leads, or "all" that your role holds`+unless)
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
