// Package audit has the audit commands and the flags of the audit log.
package audit

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// NewCommand returns the audit command with its subcommands.
func NewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Make a key for the audit log, and verify the log",
		Args:  command.CommandsOnly,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditKeygenCommand(), newAuditVerifyCommand())
	return cmd
}

func newAuditKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key that signs the audit log",
		Long: `keygen writes a new Ed25519 private key to FILE, which must not exist, and prints
the public key. Give FILE to the server as --audit-key-file. Keep the public key
where the server cannot write, and give it to 'audit verify' as --public-key.

Keys have the form that openssl uses: 'openssl genpkey -algorithm ed25519' makes
one, too.`,
		Example: "  kenbun-mcp audit keygen audit.key > audit.pub",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := settings.Path(args[0])
			if err != nil {
				return command.Usagef("%w", err)
			}
			private, public, err := auditlog.NewKey()
			if err != nil {
				return err
			}
			file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			_, err = file.Write(private)
			if err = errors.Join(err, file.Close()); err != nil {
				return errors.Join(err, os.Remove(path))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s", public)
			return err
		},
	}
}
