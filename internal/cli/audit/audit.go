// Package audit has the audit commands and the flags of the audit log.
package audit

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// NewCommand returns the audit command with its subcommands.
func NewCommand() *cobra.Command {
	return command.Parent(&cobra.Command{
		Use:   "audit",
		Short: "Make a key for the audit log, and verify the log",
	}, newAuditKeygenCommand(), newAuditVerifyCommand())
}

func newAuditKeygenCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a key that signs the audit log",
		Long: `keygen writes a new Ed25519 private key to FILE, which must not exist, and prints
the public key. Give FILE to the server as --audit-key-file. Keep the public key
where the server cannot write, and give it to 'audit verify' as --public-key.

Keys have the format of openssl, so 'openssl genpkey -algorithm ed25519' works as
well.`,
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

// onStream is the --audit-log that goes to a stream of the process.
const onStream = "-"

// Flags say where the operator's log of changes goes.
type Flags struct{ path, keyFile string }

// Add adds the flags to cmd. stream names the stream that "-" stands for.
func (f *Flags) Add(cmd *cobra.Command, stream string) {
	defer command.Settings(cmd.Flags(), command.Logging)()
	cmd.Flags().StringVar(&f.path, "audit-log", "", `file for the audit log, or "-" for `+stream+` (default none)`)
	cmd.Flags().StringVar(&f.keyFile, "audit-key-file", "", "file with the Ed25519 private key that signs the audit log (see 'audit keygen')")
}

// Open returns the log, which c closes after everything that writes to it, or
// nil where the operator wants none.
func (f *Flags) Open(c *connect.Connection, stream io.Writer, logger *slog.Logger) (audit.Log, error) {
	if f.path == "" {
		if f.keyFile != "" {
			return nil, command.Usagef("--audit-key-file needs --audit-log")
		}
		return nil, nil
	}
	key, err := f.key()
	if err != nil {
		return nil, err
	}
	log := auditlog.NewStream(stream, key, logger)
	if f.path != onStream {
		if log, err = auditlog.OpenFile(f.path, key, logger); err != nil {
			return nil, err
		}
	}
	c.AlsoClose(log.Close)
	return log, nil
}

// maxAuditKeyFile bounds a file with a key, in bytes.
const maxAuditKeyFile = 16 << 10

// key reads the key that signs entries, nil if the operator wants none.
func (f *Flags) key() (ed25519.PrivateKey, error) {
	if f.keyFile == "" {
		return nil, nil
	}
	path, err := settings.Path(f.keyFile)
	if err != nil {
		return nil, command.Usagef("--audit-key-file: %w", err)
	}
	text, err := privatefile.ReadSecret(path, maxAuditKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--audit-key-file: %w", err)
	}
	key, err := auditlog.ParsePrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("--audit-key-file %s: %w. Make one with 'kenbun-mcp audit keygen'", path, err)
	}
	return key, nil
}
