package audit

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

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

// auditProblem is the error of a log that is not whole.
func auditProblem(report *auditlog.Report) error {
	var problems []string
	if report.FirstBreak != nil {
		problems = append(problems, fmt.Sprintf("the audit log is broken at %s: %s", report.FirstBreak.Place, auditBreakWords[report.FirstBreak.Kind]))
	}
	for _, hash := range report.Lost() {
		problems = append(problems, "no entry has the hash "+hash+": the end of the log was cut off, or it was written anew")
	}
	if problems == nil {
		return nil
	}
	return errors.New(strings.Join(problems, "\n"))
}

// auditBreakWords tell what is wrong.
var auditBreakWords = map[auditlog.Kind]string{
	auditlog.KindChanged:     "this entry was changed",
	auditlog.KindMissing:     "this entry does not follow the one before it: entries are missing, or were moved, changed or put in",
	auditlog.KindBeginning:   "entries before this one are missing; if they stand in an older file, give that first, or the hash of its last entry as --after",
	auditlog.KindNewChain:    "a new chain begins in the middle of the file: entries are missing, or were moved or put in",
	auditlog.KindRepeated:    "this entry has been there before",
	auditlog.KindWithoutHash: "this entry has no hash: an older kenbun-mcp wrote it, or it was put in or changed",
	auditlog.KindUnsigned:    "this entry is not signed: it was written without --audit-key-file, or was put in or changed",
	auditlog.KindForged:      "this entry is not signed with this key: it was put in or changed, or the server has another key",
	auditlog.KindNoEntry:     "this line is no entry",
}

// shownPlaces bounds the lists in what people read; with --json they are longer.
const shownPlaces = 10

// auditReportText says what was found. isSigned reports that signatures were checked.
func auditReportText(report *auditlog.Report, isSigned bool) string {
	var b strings.Builder
	switch {
	case report.Entries > 0:
		fmt.Fprintf(&b, "%s, from %s to %s.\n", counted(report.Entries, "entry", "entries"), auditTime(report.From), auditTime(report.To))
	case report.Uncovered > 0:
		b.WriteString("No entry has a hash: nothing can be verified.\n")
	default:
		b.WriteString("The log has no entries.\n")
	}
	if report.FirstBreak != nil {
		fmt.Fprintf(&b, "Broken at %s: %s.\n", report.FirstBreak.Place, auditBreakWords[report.FirstBreak.Kind])
		if report.Breaks > 1 {
			fmt.Fprintf(&b, "Behind it the log is broken at %s more.\n", counted(report.Breaks-1, "place", "places"))
		}
	} else if len(report.Chains) == 1 && !isSigned {
		b.WriteString("The chain of checksums is unbroken.\n")
	} else if len(report.Chains) == 1 {
		b.WriteString("The chain is unbroken.\n")
	}
	if isSigned && report.Entries > 0 {
		fmt.Fprintf(&b, "Signed with this key: %d of %s.\n", report.Signed, counted(report.Entries, "entry", "entries"))
	}
	writeAuditChains(&b, report)
	if report.Uncovered > 0 {
		fmt.Fprintf(&b, "Not covered: %s from before there were hashes.\n", counted(report.Uncovered, "entry", "entries"))
	}
	writeAuditFragments(&b, report)
	if report.Other > 0 {
		fmt.Fprintf(&b, "Passed over: %s.\n", counted(report.Other, "line that is no entry", "lines that are no entries"))
	}
	if report.Last != "" {
		fmt.Fprintf(&b, "Last hash: %s\n", report.Last)
	}
	for _, kept := range report.Kept {
		if kept.At != nil {
			fmt.Fprintf(&b, "%s has the hash %s; %s.\n", *kept.At, kept.Hash, counted(kept.Following, "entry follows", "entries follow"))
		}
	}
	return b.String()
}

// writeAuditChains tells where chains begin and end, if there are several.
func writeAuditChains(b *strings.Builder, report *auditlog.Report) {
	if len(report.Chains) < 2 {
		return
	}
	fmt.Fprintf(b, "There are %d chains. Nothing shows whether entries are missing between the end of one and the beginning of another:\n", len(report.Chains))
	for _, chain := range report.Chains[:min(len(report.Chains), shownPlaces)] {
		fmt.Fprintf(b, "  %s to %s, %s, last hash %s\n", chain.Begins, chain.Ends, counted(chain.Entries, "entry", "entries"), chain.Last)
	}
	if more := len(report.Chains) - shownPlaces; more > 0 {
		fmt.Fprintf(b, "  and %d more, which --json tells\n", more)
	}
}

func writeAuditFragments(b *strings.Builder, report *auditlog.Report) {
	for _, place := range report.Fragments[:min(len(report.Fragments), shownPlaces)] {
		fmt.Fprintf(b, "%s holds a part of an entry, left by a process that ended while it wrote.\n", place)
	}
	if more := report.FragmentCount - shownPlaces; more > 0 {
		fmt.Fprintf(b, "There are %d more such parts.\n", more)
	}
}

func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}

func auditTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }
