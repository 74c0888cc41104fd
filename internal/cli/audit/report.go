package audit

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
)

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
