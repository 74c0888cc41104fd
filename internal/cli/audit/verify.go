package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/internal/terminal"
)

func newAuditVerifyCommand() *cobra.Command {
	var options auditlog.Options
	var asJSON bool
	var publicKey string
	cmd := &cobra.Command{
		Use:   "verify FILE...",
		Short: "Check an audit log for changed, moved or removed entries",
		Long: `verify reads files of --audit-log, the oldest first, and checks that each entry
names the hash of the previous one. FILE may be "-" for standard
input.

A chain begins at the top of the first file, or after old entries without hashes.
A chain that begins at the top of a later file is not linked to the previous file.
verify reports this, but does not count it as a break. Anywhere else it does.

Without --public-key, the hashes are only checksums: anyone who can write to the log
can recompute them. With the public key of the server's --audit-key-file, every
entry must be signed, and such a change shows.

Either way, the end of the log can be cut off. To notice this, store the last hash
that verify prints in another place, and pass it as --last the next time.

The exit code is 0 if the log is unbroken and holds every hash given as --last.`,
		Example: `  kenbun-mcp audit verify audit.log
  zcat audit.log.2.gz | kenbun-mcp audit verify - audit.log.1 audit.log
  journalctl -u 'kenbun-mcp@*' -o cat | kenbun-mcp audit verify --stream -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, hash := range slices.Concat(options.After, options.Last) {
				if !auditlog.IsHash(hash) {
					return command.Usagef("%q is no hash of an entry: give 64 hexadecimal digits, as they stand in the field hash", hash)
				}
			}
			if publicKey != "" {
				var err error
				if options.PublicKey, err = readPublicKey(publicKey); err != nil {
					return err
				}
			}
			report, err := verifyAuditLog(cmd, options, args)
			if err != nil {
				return err
			}
			if asJSON {
				err = command.PrintJSON(cmd.OutOrStdout(), report)
			} else {
				_, err = io.WriteString(cmd.OutOrStdout(), auditReportText(report, options.PublicKey != nil))
			}
			// The exit code says it all to a reader who has had enough.
			if err != nil && !command.IsReaderGone(err) {
				return err
			}
			return auditProblem(report)
		},
	}
	flags := cmd.Flags()
	command.ListVar(flags, &options.Last, "last", "a `hash` that some entry must have, such as the last one of an earlier check (repeatable)")
	command.ListVar(flags, &options.After, "after", "the `hash` of the entry before the first one (with --stream, one for each chain)")
	flags.BoolVar(&options.Stream, "stream", false, "the log comes from streams, with chains of several processes and other lines")
	flags.StringVar(&publicKey, "public-key", "", "`file` with the Ed25519 public key by which every entry must be signed")
	flags.BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func readPublicKey(path string) (ed25519.PublicKey, error) {
	path, err := settings.Path(path)
	if err != nil {
		return nil, command.Usagef("--public-key: %w", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--public-key: %w", err)
	}
	key, err := auditlog.ParsePublicKey(text)
	if err != nil {
		return nil, command.Usagef("--public-key %s: %w", path, err)
	}
	return key, nil
}

// verifyAuditLog also ends when the command is interrupted while nothing comes.
func verifyAuditLog(cmd *cobra.Command, options auditlog.Options, paths []string) (*auditlog.Report, error) {
	verifier := auditlog.NewVerifier(options)
	done := make(chan error, 1)
	go func() { done <- readAuditLog(cmd, verifier, paths) }()
	select {
	case err := <-done:
		if err != nil {
			return nil, err
		}
		return verifier.Report(), nil
	case <-cmd.Context().Done():
		return nil, context.Cause(cmd.Context())
	}
}

func readAuditLog(cmd *cobra.Command, verifier *auditlog.Verifier, paths []string) error {
	for _, path := range paths {
		if path != onStream {
			if err := readAuditFile(verifier, path); err != nil {
				return err
			}
			continue
		}
		if terminal.Is(cmd.InOrStdin()) {
			return command.Usagef(`standard input is a terminal: give the log to "-" through a pipe`)
		}
		if err := verifier.Read("standard input", cmd.InOrStdin()); err != nil {
			return err
		}
	}
	return nil
}

func readAuditFile(verifier *auditlog.Verifier, path string) error {
	path, err := settings.Path(path)
	if err != nil {
		return command.Usagef("%w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	return verifier.Read(path, file)
}
