package auditlog_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools/audit"
)

func mustBeOneChain(t *testing.T, entries int, files ...string) *auditlog.Report {
	t.Helper()
	report := verify(t, auditlog.Options{}, files...)
	mustBreak(t, report, "")
	if len(report.Chains) != 1 || report.Entries != entries {
		t.Errorf("%d chains of %d entries, want one of %d", len(report.Chains), report.Entries, entries)
	}
	return report
}

func moveAway(t *testing.T, path string) {
	t.Helper()
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
}

func TestR35_ProcessesThatWriteAtOnceMakeOneChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	processes := startWriters(t, 4, path)
	for _, process := range processes {
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	}
	mustBeOneChain(t, len(processes)*entriesPerProcess, contentOf(t, path))
}

// startWriters starts processes that write entries to a file and end.
func startWriters(t *testing.T, n int, path string) []*exec.Cmd {
	t.Helper()
	var processes []*exec.Cmd
	for range n {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), writerVariable+"="+path)
		command.Stderr = os.Stderr
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		processes = append(processes, command)
	}
	return processes
}

func TestR35_ANewFileNamesTheEndOfTheOneThatWasMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	one, other := openLog(t, path), openLog(t, path)
	one.Record(entry("pat_1"))
	other.Record(entry("pat_2")) // which one has not written
	moveAway(t, path)
	if err := one.Ready(); err != nil { // which makes a new file
		t.Fatal(err)
	}
	one.Record(entry("pat_3"))
	other.Record(entry("pat_4"))
	mustClose(t, one)
	mustClose(t, other)
	mustBeOneChain(t, 4, contentOf(t, path+".1"), contentOf(t, path))
}

// A process that did not look while a file came and went names the end of an
// older one.
func TestR35_AProcessThatWasIdleForLongBeginsNoBreak(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	idle, busy := openLog(t, path), openLog(t, path)
	idle.Record(entry("pat_1"))
	var files []string
	for i := range 2 {
		files = append(files, contentOf(t, path))
		moveAway(t, path)
		if i == 0 {
			busy.Record(entry("pat_2"))
			busy.Record(entry("pat_3"))
		}
	}
	idle.Record(entry("pat_4"))
	mustClose(t, idle)
	mustClose(t, busy)
	report := verify(t, auditlog.Options{}, append(files, contentOf(t, path))...)
	mustBreak(t, report, "")
	if len(report.Chains) != 2 || report.Chains[1].Begins != (auditlog.Place{File: "3", Line: 1}) {
		t.Errorf("%+v", report.Chains[len(report.Chains)-1])
	}
}

func TestR35_EveryEntryIsInTheChainWhileTheFileIsMovedAway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	const writers, entries = 3, 60
	var logs []*auditlog.Log
	for range writers {
		logs = append(logs, openLog(t, path))
	}
	logs[0].Record(entry("first"))
	for _, log := range logs { // now all have seen an entry
		if err := log.Ready(); err != nil {
			t.Fatal(err)
		}
	}
	var files []string
	for range 5 {
		var all sync.WaitGroup
		for i, log := range logs {
			all.Go(func() {
				for n := range entries {
					log.Record(entry(fmt.Sprintf("%d-%d", i, n)))
				}
			})
		}
		moved := fmt.Sprintf("%s.%d", path, len(files))
		waitFor(t, "the file", func() bool {
			err := os.Rename(path, moved)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			return err == nil
		})
		all.Wait()
		files = append(files, moved)
	}
	for _, log := range logs {
		mustClose(t, log)
	}
	var texts []string
	for _, file := range append(files, path) {
		texts = append(texts, contentOf(t, file))
	}
	mustBeOneChain(t, 1+5*writers*entries, texts...)
}

func TestR35_AnEntryAfterAPartOfOneNamesTheWholeOneBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	largest := entry("pat_0")
	largest.RequestID = strings.Repeat("<", 1000)
	largest.Name = largest.RequestID
	for range 4 {
		largest.Changes = append(largest.Changes, audit.Change{What: largest.Name, From: strings.Repeat("<", 5000), To: strings.Repeat("<", 5000)})
	}
	for range 10 {
		largest.Candidates = append(largest.Candidates, largest.Name)
	}
	log.Record(largest)
	line := contentOf(t, path)
	for i, part := range []string{"{", line[:len(line)-2], `{"time":"2026` + "\n" + `{"time"`} {
		appendTo(t, path, part)
		log.Record(entry(fmt.Sprintf("pat_%d", i+1)))
	}
	mustClose(t, log)
	if report := mustBeOneChain(t, 4, contentOf(t, path)); report.FragmentCount != 4 {
		t.Errorf("%d parts, want 4", report.FragmentCount)
	}
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// All of an entry is there but the line break.
func TestR35_AnEntryThatLacksItsLineBreakIsInTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	log.Record(entry("pat_1"))
	text := strings.TrimSuffix(contentOf(t, path), "\n")
	other := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	next := openLog(t, other)
	next.Record(entry("pat_2"))
	mustClose(t, log)
	mustClose(t, next)
	mustBeOneChain(t, 2, contentOf(t, other))
}

func TestR35_AChainBeginsBehindEntriesFromBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	old := unlinked(linesOf(t, 1)[0])
	if err := os.WriteFile(path, []byte(old+old), 0o600); err != nil {
		t.Fatal(err)
	}
	log := openLog(t, path)
	log.Record(entry("pat_1"))
	log.Record(entry("pat_2"))
	if report := mustBeOneChain(t, 2, contentOf(t, path)); report.Uncovered != 2 {
		t.Errorf("%d are not covered", report.Uncovered)
	}
	appendTo(t, path, old) // an older program writes to the same file
	log.Record(entry("pat_3"))
	mustClose(t, log)
	report := verify(t, auditlog.Options{}, contentOf(t, path))
	mustBreak(t, report, "1:5 without_hash")
	if report.Breaks != 1 || len(report.Chains) != 2 {
		t.Errorf("%+v", report)
	}
}

// What nobody can see later, the process that wrote it can.
func TestR35_AnEndThatIsCutOffWhileAProcessWritesIsFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	var sizes []int64
	for i := range 4 {
		log.Record(entry(fmt.Sprint(i)))
		sizes = append(sizes, int64(len(contentOf(t, path))))
	}
	for _, cut := range []struct {
		size int64
		want string
	}{{sizes[2], "1:4 missing"}, {0, "1:1 beginning"}} {
		if err := os.Truncate(path, cut.size); err != nil {
			t.Fatal(err)
		}
		log.Record(entry("next"))
		mustBreak(t, verify(t, auditlog.Options{}, contentOf(t, path)), cut.want)
	}
	mustClose(t, log)
}

func TestR35_AClosedLogGoesOnWithTheChain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	log.Record(entry("pat_1"))
	mustClose(t, log)
	log.Record(entry("pat_2"))
	mustBeOneChain(t, 2, contentOf(t, path))
	mustClose(t, log)
}

func TestR35_AStreamThatBreaksWithinALineGoesOnWithTheChain(t *testing.T) {
	out := &pipe{}
	log := auditlog.NewStream(out, nil, logTo(&pipe{}))
	log.Record(entry("pat_1"))
	out.breakAfter(100)
	log.Record(entry("pat_2"))
	out.setBroken(false)
	log.Record(entry("pat_3"))
	mustClose(t, log)
	if report := mustBeOneChain(t, 3, out.text()); report.FragmentCount != 1 || report.Fragments[0].Line != 2 {
		t.Errorf("%+v", report)
	}
}

func TestR35_AFileThatCannotBeReadAnyMoreKeepsNoEntryAway(t *testing.T) {
	path, said := filepath.Join(t.TempDir(), "audit.log"), &pipe{}
	log, err := auditlog.OpenFile(path, nil, logTo(said))
	if err != nil {
		t.Fatal(err)
	}
	log.Record(entry("pat_1"))
	holder, err := privatefile.OpenAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := privatefile.TryLock(holder); err != nil {
		t.Fatal(err)
	}
	moveAway(t, path)
	log.Record(entry("pat_2"))
	if !strings.Contains(said.text(), "the end of the file before this one is not known: another program holds a lock") {
		t.Errorf("the operator is told %q", said.text())
	}
	if err := log.Ready(); err != nil {
		t.Error(err)
	}
	if err := holder.Close(); err != nil {
		t.Error(err)
	}
	mustClose(t, log)
	report := verify(t, auditlog.Options{}, contentOf(t, path+".1"), contentOf(t, path))
	mustBreak(t, report, "")
	if report.Entries != 2 || len(report.Chains) != 2 {
		t.Errorf("%+v", report)
	}
}
