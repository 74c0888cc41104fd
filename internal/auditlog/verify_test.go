package auditlog_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

// linesOf are the lines of a file to which a log wrote n entries of several
// forms, each with its line break.
func linesOf(t *testing.T, n int) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	for i := range n {
		e := entry(fmt.Sprintf("pat_%d", i))
		e.Name = `"},"previous":"","hash":"\` // as nasty as a name can be
		if i%2 == 1 {
			e.Changes = []audit.Change{{What: "name", From: "é <b>", To: `\"`}}
		}
		log.Record(e)
	}
	mustClose(t, log)
	return slices.Collect(strings.Lines(contentOf(t, path)))
}

// hashOf is what a line says of itself.
func hashOf(t *testing.T, line string) string {
	t.Helper()
	var read struct{ Hash string }
	if err := json.Unmarshal([]byte(line), &read); err != nil || !auditlog.IsHash(read.Hash) {
		t.Fatalf("%v: %q", err, line)
	}
	return read.Hash
}

// verify reads texts as files with the names 1, 2, 3.
func verify(t *testing.T, options auditlog.Options, files ...string) *auditlog.Report {
	t.Helper()
	v := auditlog.NewVerifier(options)
	for i, text := range files {
		if err := v.Read(fmt.Sprint(i+1), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return v.Report()
}

func joined(lines ...[]string) string { return strings.Join(slices.Concat(lines...), "") }

// mustBreak expects the first break of a log at a line of its first file, "" for
// none.
func mustBreak(t *testing.T, report *auditlog.Report, want string) {
	t.Helper()
	got := ""
	if b := report.FirstBreak; b != nil {
		got = b.String() + " " + string(b.Kind)
	}
	if got != want {
		t.Errorf("the first break is %q, want %q", got, want)
	}
}

func TestR35_EntriesAreLinkedByHashesThatAnyProgramCanCompute(t *testing.T) {
	lines, previous := linesOf(t, 4), ""
	for _, line := range lines {
		var read struct{ Previous, Hash string }
		if err := json.Unmarshal([]byte(line), &read); err != nil {
			t.Fatal(err)
		}
		withoutHash := strings.Replace(line, `,"hash":"`+read.Hash+`"}`+"\n", "}", 1)
		sum := sha256.Sum256([]byte(withoutHash))
		if read.Previous != previous || read.Hash != hex.EncodeToString(sum[:]) || !json.Valid([]byte(withoutHash)) {
			t.Errorf("after %q: %s", previous, line)
		}
		previous = read.Hash
	}
	report := verify(t, auditlog.Options{}, joined(lines))
	mustBreak(t, report, "")
	if report.Entries != 4 || len(report.Chains) != 1 || report.Last != previous || report.From.IsZero() || report.To.Before(report.From) {
		t.Errorf("%+v", report)
	}
}

func TestR35_ALineThatIsTakenOutIsMissed(t *testing.T) {
	lines := linesOf(t, 6)
	for i := range len(lines) - 1 {
		kind := "missing"
		if i == 0 {
			kind = "beginning"
		}
		mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:i], lines[i+1:])), fmt.Sprintf("1:%d %s", i+1, kind))
	}
}

func TestR35_LinesThatChangePlacesAreFound(t *testing.T) {
	lines := linesOf(t, 6)
	for i := range lines {
		for j := i + 1; j < len(lines); j++ {
			swapped := slices.Clone(lines)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			kind := "missing"
			if i == 0 {
				kind = "beginning"
			}
			mustBreak(t, verify(t, auditlog.Options{}, joined(swapped)), fmt.Sprintf("1:%d %s", i+1, kind))
		}
	}
}

func TestR35_ALineThatIsPutInIsFound(t *testing.T) {
	lines, other := linesOf(t, 5), linesOf(t, 5)
	for at := 1; at <= len(lines); at++ {
		for i := range lines {
			for name, line := range map[string]string{"of the same log": lines[i], "of another log": other[i]} {
				kind, found := "missing", at+1
				switch {
				case i == 0 && name == "of the same log":
					kind = "repeated"
				case i == 0:
					kind = "new_chain"
				case i == at && name == "of the same log":
					found++ // the second one is too many
				}
				t.Run(fmt.Sprintf("%d before %d %s", i, at, name), func(t *testing.T) {
					mustBreak(t, verify(t, auditlog.Options{}, joined(slices.Insert(slices.Clone(lines), at, line))), fmt.Sprintf("1:%d %s", found, kind))
				})
			}
		}
	}
}

// Every byte is put in the place of every other one, also in the fields of the
// chain itself.
func TestR35_EveryChangedByteIsFound(t *testing.T) {
	for _, n := range []int{1, 3} {
		text := []byte(joined(linesOf(t, n)))
		for i, was := range text {
			for to := range 256 {
				if byte(to) == was {
					continue
				}
				text[i] = byte(to)
				if verify(t, auditlog.Options{}, string(text)).FirstBreak == nil {
					t.Errorf("with byte %d at %d, in the place of %d, the log is whole:\n%s", to, i, was, text)
				}
			}
			text[i] = was
		}
	}
}

// What is left of an entry whose last fields were changed is neither one from
// before there were hashes nor a part of one.
func TestR35_AnEntryWhoseLastFieldsAreChangedIsToldApart(t *testing.T) {
	lines := linesOf(t, 3)
	for was, is := range map[string]string{
		`"hash":"`:                 `"hush":"`,
		`"previous":"`:             `"precious":"`,
		hashOf(t, lines[2]) + `"}`: strings.ToUpper(hashOf(t, lines[2])) + `"}`,
		hashOf(t, lines[1]) + `"`:  hashOf(t, lines[1])[1:] + `"`,
		`"}`:                       `"]`,
	} {
		at := strings.LastIndex(lines[2], was)
		changed := lines[2][:at] + is + strings.TrimSuffix(lines[2][at+len(was):], "\n")
		mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:2])+changed+"\n"), "1:3 changed")
		mustBreak(t, verify(t, auditlog.Options{Stream: true}, joined(lines[:2])+changed), "1:3 changed")
		mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:2])+strings.TrimSuffix(changed, "}")+"\n"), "1:3 changed")
	}
}

func TestR35_AnEntryThatIsChangedTogetherWithItsHashIsFoundAtTheNext(t *testing.T) {
	lines := linesOf(t, 4)
	open, _, _ := strings.Cut(strings.Replace(lines[1], "ada", "eve", 1), `,"hash":"`+hashOf(t, lines[1]))
	sum := sha256.Sum256([]byte(open + "}"))
	lines[1] = open + `,"hash":"` + hex.EncodeToString(sum[:]) + "\"}\n"
	mustBreak(t, verify(t, auditlog.Options{}, joined(lines)), "1:3 missing")
}

func TestR35_AnEndThatWasCutOffIsFoundByAHashThatWasKept(t *testing.T) {
	lines := linesOf(t, 5)
	kept := auditlog.Options{Last: []string{hashOf(t, lines[3])}}
	report := verify(t, kept, joined(lines))
	if at := report.Kept[0].At; at == nil || *at != (auditlog.Place{File: "1", Line: 4}) || report.Kept[0].Following != 1 || report.Lost() != nil {
		t.Errorf("%+v", report.Kept)
	}
	report = verify(t, kept, joined(lines[:3]))
	mustBreak(t, report, "")
	if !slices.Equal(report.Lost(), kept.Last) {
		t.Errorf("%+v", report.Kept)
	}
	// A line that only says that it has the hash is another one.
	lines[3] = strings.Replace(lines[3], "ada", "eve", 1)
	if report = verify(t, kept, joined(lines)); !slices.Equal(report.Lost(), kept.Last) {
		t.Errorf("%+v", report.Kept)
	}
}

func TestR35_WhatStandsBeforeCanBeLeftOut(t *testing.T) {
	lines := linesOf(t, 5)
	after := auditlog.Options{After: []string{hashOf(t, lines[1])}}
	mustBreak(t, verify(t, after, joined(lines[2:])), "")
	mustBreak(t, verify(t, after, joined(lines[3:])), "1:1 beginning")
	mustBreak(t, verify(t, after, joined(lines[:1], lines[2:])), "1:2 missing")
}

func TestR35_FilesAreLinkedInTheirOrder(t *testing.T) {
	a, b := linesOf(t, 6), linesOf(t, 3)
	for name, tc := range map[string]struct {
		files  []string
		chains int
		want   string
	}{
		"one chain":                   {[]string{joined(a[:2]), joined(a[2:4]), joined(a[4:])}, 1, ""},
		"with an empty file":          {[]string{joined(a[:2]), "", joined(a[2:])}, 1, ""},
		"in another order":            {[]string{joined(a[2:]), joined(a[:2])}, 2, "1:1 beginning"},
		"without one between":         {[]string{joined(a[:2]), joined(a[4:])}, 1, "2:1 missing"},
		"the end of the first is cut": {[]string{joined(a[:1]), joined(a[2:])}, 1, "2:1 missing"},
		"another chain":               {[]string{joined(a), joined(b)}, 2, ""},
		"the same file again":         {[]string{joined(a), joined(a)}, 2, "2:1 repeated"},
		"a part of it again":          {[]string{joined(a[:2]), joined(a[2:4]), joined(a[2:4])}, 2, "3:1 repeated"},
		"another chain in the middle": {[]string{joined(a, b)}, 2, "1:7 new_chain"},
		"a file linked to an older":   {[]string{joined(a[:2]), joined(b), joined(a[2:])}, 3, ""},
		"and not to its end":          {[]string{joined(a[:2]), joined(b), joined(a[3:])}, 2, "3:1 missing"},
	} {
		t.Run(name, func(t *testing.T) {
			report := verify(t, auditlog.Options{}, tc.files...)
			mustBreak(t, report, tc.want)
			if len(report.Chains) != tc.chains {
				t.Errorf("%d chains", len(report.Chains))
			}
		})
	}
}

// unlinked is a line as it was before there were hashes.
func unlinked(line string) string {
	before, _, _ := strings.Cut(line, `,"previous":"`)
	return before + "}\n"
}

func TestR35_EntriesFromBeforeThereWereHashesAreCounted(t *testing.T) {
	old, lines := unlinked(linesOf(t, 1)[0]), linesOf(t, 4)
	report := verify(t, auditlog.Options{}, old+old, old+joined(lines))
	mustBreak(t, report, "")
	if report.Uncovered != 3 || report.Entries != 4 {
		t.Errorf("%+v", report)
	}
	// Later they are a break: anybody could have put them in.
	mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:2])+old+joined(lines[2:])), "1:3 without_hash")
	mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:3])+unlinked(lines[3])), "1:4 without_hash")
	// And a chain may begin behind them, as it does when an older program wrote.
	report = verify(t, auditlog.Options{}, joined(lines)+old+joined(linesOf(t, 2)))
	mustBreak(t, report, "1:5 without_hash")
	if report.Breaks != 1 || len(report.Chains) != 2 {
		t.Errorf("%+v", report)
	}
}

// Whatever part of an entry a killed process left, it is named, and nothing is
// missing.
func TestR35_APartOfAnEntryDoesNotBreakTheChain(t *testing.T) {
	lines := linesOf(t, 3)
	part := strings.TrimSuffix(lines[2], "\n")
	for length := 1; length < len(part); length++ {
		report := verify(t, auditlog.Options{}, joined(lines[:2])+part[:length]+"\n"+lines[2]+part[:length])
		if report.FirstBreak != nil || report.FragmentCount != 2 || report.Fragments[0].Line != 3 || report.Entries != 3 {
			t.Fatalf("after %q: %+v", part[:length], report)
		}
	}
	mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:1])+part[:200]+"\n"+lines[2]), "1:3 missing")
	for _, strange := range []string{"", "x", "[]", "{}", "\x00", `{"time":"2026"`[1:], strings.Repeat("x", 1<<20)} {
		mustBreak(t, verify(t, auditlog.Options{}, joined(lines[:2])+strange+"\n"+lines[2]), "1:3 no_entry")
	}
}

func TestR35_ChainsOfSeveralProcessesOnOneStreamAreToldApart(t *testing.T) {
	a, b := linesOf(t, 4), linesOf(t, 4)
	log := []string{`{"time":"2026-03-04T05:06:07Z","level":"INFO","msg":"ready"}` + "\n", "Serving MCP\n", strings.Repeat("x", 1<<20) + "\n"}
	mixed := []string{log[0], a[0], b[0], log[1], b[1], a[1], a[2], log[2], b[2], b[3], a[3]}
	stream := auditlog.Options{Stream: true}
	report := verify(t, stream, joined(mixed))
	mustBreak(t, report, "")
	if report.Entries != 8 || len(report.Chains) != 2 || report.Other != 3 || report.Chains[0].Last != hashOf(t, a[3]) || report.Chains[1].Last != hashOf(t, b[3]) {
		t.Errorf("%+v", report)
	}
	for i, line := range mixed {
		if i == 9 || i == 10 || slices.Contains(log, line) { // ends of chains, and others
			continue
		}
		if report := verify(t, stream, joined(mixed[:i], mixed[i+1:])); report.FirstBreak == nil {
			t.Errorf("without line %d it is whole", i+1)
		}
		if report := verify(t, stream, joined(mixed, mixed[i:i+1])); report.FirstBreak == nil {
			t.Errorf("with line %d once more it is whole", i+1)
		}
		changed := slices.Clone(mixed)
		changed[i] = strings.Replace(line, "ada", "eve", 1)
		mustBreak(t, verify(t, stream, joined(changed)), fmt.Sprintf("1:%d changed", i+1))
	}
	since := auditlog.Options{Stream: true, After: []string{hashOf(t, b[1]), hashOf(t, a[0])}}
	mustBreak(t, verify(t, since, joined(mixed[5:])), "")
	mustBreak(t, verify(t, stream, joined(mixed[5:])), "1:1 beginning")
}

func TestR35_TooManyChainsAreRefused(t *testing.T) {
	var text strings.Builder
	for i := range 10001 {
		out := &pipe{}
		log := auditlog.NewStream(out, nil, logTo(&pipe{}))
		log.Record(entry(fmt.Sprint(i)))
		mustClose(t, log)
		text.WriteString(out.text())
	}
	err := auditlog.NewVerifier(auditlog.Options{Stream: true}).Read("-", strings.NewReader(text.String()))
	if err == nil || !strings.Contains(err.Error(), "more than 10000 chains") {
		t.Errorf("%v", err)
	}
}
