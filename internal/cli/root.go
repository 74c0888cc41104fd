// Package cli has the commands of kenbun-mcp: the root here, and a package for
// each noun. The program in cmd/kenbun-mcp runs them.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/cli/audit"
	"github.com/kenbun/kenbun-mcp/internal/cli/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/claim"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/login"
	"github.com/kenbun/kenbun-mcp/internal/cli/serve"
	"github.com/kenbun/kenbun-mcp/internal/cli/tokens"
	"github.com/kenbun/kenbun-mcp/internal/demo"
	"github.com/kenbun/kenbun-mcp/internal/human/pages"
	"github.com/kenbun/kenbun-mcp/internal/redact"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

// Run executes root and returns the process's exit code.
func Run(ctx context.Context, root *cobra.Command) int {
	ran, err := root.ExecuteContextC(ctx)
	if err == nil || command.IsReaderGone(err) {
		return command.ExitDone
	}
	if !command.HasStarted(ran) {
		// Cobra refused the words of the call before any command ran.
		err = command.Usagef("%w", err)
	}
	fmt.Fprintf(root.ErrOrStderr(), "kenbun-mcp: %s\n", redact.Secrets(command.Explain(err)))
	if command.IsUsageError(err) {
		fmt.Fprintf(root.ErrOrStderr(), "Run '%s --help' for how to use it.\n", ran.CommandPath())
	}
	return command.ExitCode(err)
}

// New returns the root command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "kenbun-mcp",
		Short: "MCP server for kenbun that keeps secrets out of the chat",
		Long: `kenbun-mcp connects AI assistants to kenbun with your personal access token
(PAT), and lets you create, list, rotate and revoke those tokens in the
conversation.

The value of a new token never enters the conversation, and you decide what cannot
be undone. Commands that show a secret or take such a decision need a terminal,
and are refused under an AI agent.

Settings, which are the flags about connections and servers, can also be given
as environment variables: KENBUN_A_B for --a-b. The flag wins. Flags about a
single call have no variable.

The token itself comes from KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND,
or else from 'kenbun-mcp login'. No flag takes it, because process lists show
flags.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not authenticated, 4 the API is
out of reach, 5 refused or declined.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       command.Version(),
		// Without a command there is nothing to do but explain.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: command.CommandsOnly,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			command.MarkStarted(cmd)
			if err := command.CheckNames(cmd, os.Environ()); err != nil {
				return err
			}
			return command.BindSettings(cmd, os.LookupEnv)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return command.UnknownFlag(cmd, unknown)
		}
		return command.AsTaken(err)
	})
	root.SetVersionTemplate("kenbun-mcp {{.Version}}\n")
	root.AddCommand(
		serve.NewStdioCommand(),
		serve.NewHTTPCommand(),
		newDemoCommand(),
		login.NewWhoamiCommand(),
		tokens.NewCommand(),
		claim.NewCommand(),
		login.NewCommand(),
		login.NewLogoutCommand(),
		authority.NewCommand(),
		audit.NewCommand(),
		newVersionCommand(),
	)
	command.GroupFlags(root)
	return root
}

func newVersionCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return command.PrintJSON(cmd.OutOrStdout(), map[string]string{
					"version":  command.Version(),
					"go":       runtime.Version(),
					"platform": runtime.GOOS + "/" + runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "kenbun-mcp %s (%s, %s/%s)\n",
				command.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// demoTimeout ends a demonstration that hangs.
const demoTimeout = 3 * time.Minute

func newDemoCommand() *cobra.Command {
	var noBrowser bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show what an assistant can do, without an account",
		Long: `demo starts a kenbun API and the MCP server, speaks MCP with it as an assistant
would, and shows the conversation. It leaves nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			executable, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), demoTimeout)
			defer cancel()
			return demo.Run(ctx, demo.Config{
				Executable: executable,
				Browser:    !noBrowser && browserIsThere(),
				Out:        cmd.OutOrStdout(),
				Style:      terminal.StyleFor(cmd.OutOrStdout()),
			})
		},
	}
	defer command.Settings(cmd.Flags(), command.Delivery)()
	cmd.Flags().BoolVar(&noBrowser, "no-browser", false, "do not open a page, and write the new token to a file")
	return cmd
}

func browserIsThere() bool {
	_, err := pages.FindBrowser("") // only whether there is one
	return err == nil
}
