// Command kenbun-mcp lets an AI assistant act on kenbun as its user, with the
// user's personal access token, and lets people look after those tokens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kenbun/kenbun-mcp/internal/redact"
)

func main() {
	if err := protectMemory(); err != nil {
		fmt.Fprintf(os.Stderr, "kenbun-mcp: other programs of yours may be able to read this one's memory: %v\n", err)
	}
	// A reader that goes away must be an error and not the end of the process:
	// a token whose value reached nobody has to be revoked.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	code := run(ctx, newRootCommand())
	stop()
	os.Exit(code)
}

// endSignals are those that ask the program to end. That its terminal was closed
// is one, so that what is under way is not cut off, unless nohup started it.
func endSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// run executes root and returns the process's exit code.
func run(ctx context.Context, root *cobra.Command) int {
	command, err := root.ExecuteContextC(ctx)
	if err == nil || isReaderGone(err) {
		return exitDone
	}
	if !hasStarted(command) {
		// Cobra refused the words of the call before any command ran.
		err = &usageError{err: err}
	}
	fmt.Fprintf(root.ErrOrStderr(), "kenbun-mcp: %s\n", redact.Secrets(explain(err)))
	if isUsageError(err) {
		fmt.Fprintf(root.ErrOrStderr(), "Run '%s --help' for how to use it.\n", command.CommandPath())
	}
	return exitCode(err)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kenbun-mcp",
		Short: "The MCP server for kenbun that keeps secrets out of the conversation",
		Long: `kenbun-mcp connects AI assistants to kenbun with your personal access token
(PAT), and lets you create, list, rotate and revoke those tokens by
talking.

The value of a new token is never in the conversation, and what cannot be undone
is decided by you. Commands that show a secret or take such a decision need a
terminal, and are refused under an AI agent.

Every flag --a-b can also be given as the environment variable KENBUN_A_B; the
flag wins. Without a variable are --json, --help, what 'tokens update' is to
change and how 'audit verify' reads.

The token itself comes from KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND,
or else from what 'kenbun-mcp login' kept: there is no flag for it, since flags
show in process lists.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not authenticated, 4 the API is
out of reach, 5 refused or declined.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		// Without a command there is nothing to do but explain.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: commandsOnly,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			markStarted(cmd)
			if err := checkNames(cmd, os.Environ()); err != nil {
				return err
			}
			return bindSettings(cmd, os.LookupEnv)
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		var unknown *pflag.NotExistError
		if errors.As(err, &unknown) {
			return unknownFlag(cmd, unknown)
		}
		return asTaken(err)
	})
	root.SetVersionTemplate("kenbun-mcp {{.Version}}\n")
	root.AddCommand(
		newStdioCommand(),
		newHTTPCommand(),
		newDemoCommand(),
		newWhoamiCommand(),
		newTokensCommand(),
		newClaimCommand(),
		newLoginCommand(),
		newLogoutCommand(),
		newAuthorityCommand(),
		newAuditCommand(),
		newVersionCommand(),
	)
	return root
}
