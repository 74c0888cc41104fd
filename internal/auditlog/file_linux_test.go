package auditlog_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

func TestR34_FullDiskLeavesNoHalfEntryAndLosesNone(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	path, ballast := filepath.Join(disk, "audit.log"), filepath.Join(disk, "ballast")
	said := &pipe{}
	log, err := auditlog.OpenFile(path, nil, logTo(said))
	if err != nil {
		t.Fatal(err)
	}
	log.Record(entry("pat_0"))
	kenbuntest.FillDisk(t, ballast)
	// The last page of the file still has room for some.
	recorded := 0
	for log.Ready() == nil {
		recorded++
		log.Record(entry(fmt.Sprintf("pat_%d", recorded)))
		if recorded > 1000 {
			t.Fatal("the disk does not fill")
		}
	}
	recorded++
	log.Record(entry(fmt.Sprintf("pat_%d", recorded)))
	if got := targets(t, contentOf(t, path)); len(got) != recorded-1 {
		t.Errorf("%d entries were written, want all but the last two of %d", len(got), recorded+1)
	}
	if !strings.Contains(said.text(), "the disk is full") {
		t.Errorf("the operator is told %q", said.text())
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the entries", func() bool { return strings.Count(contentOf(t, path), "\n") == recorded+1 })
	var want []string
	for i := range recorded + 1 {
		want = append(want, fmt.Sprintf("pat_%d", i))
	}
	mustHold(t, contentOf(t, path), want...)
	mustClose(t, log)
}

// openCount is how many descriptors this process has for a file.
func openCount(t *testing.T, path string) int {
	t.Helper()
	descriptors, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && strings.HasPrefix(target, path) {
			n++
		}
	}
	return n
}

func TestAFileThatWasMovedAwayIsHeldUpToTheNextEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	for i := range 3 {
		log.Record(entry(fmt.Sprint(i)))
		if err := log.Ready(); err != nil {
			t.Fatal(err)
		}
		if n := openCount(t, path); n != 1 {
			t.Errorf("%d files are open after entry %d, want 1", n, i)
		}
		moveAway(t, path)
	}
	mustClose(t, log)
	log.Record(entry("afterwards"))
	if err := log.Ready(); err != nil {
		t.Error(err)
	}
	if n := openCount(t, path); n != 0 {
		t.Errorf("%d files are open at the end", n)
	}
}

// The next file would name an end that is none.
func TestR35_NothingIsWrittenToAFileThatWasMovedAwayWhileItWasLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	log.Record(entry("pat_1"))
	before := contentOf(t, path)
	holder, err := privatefile.OpenAppend(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := privatefile.TryLock(holder); err != nil {
		t.Fatal(err)
	}
	n, recorded := openCount(t, path), make(chan struct{})
	go func() {
		defer close(recorded)
		log.Record(entry("pat_2"))
	}()
	waitFor(t, "the log's opening of the file", func() bool { return openCount(t, path) > n })
	moveAway(t, path)
	if err := holder.Close(); err != nil {
		t.Fatal(err)
	}
	<-recorded
	mustClose(t, log)
	if got := contentOf(t, path+".1"); got != before {
		t.Errorf("the file that was moved away holds\n%s", got)
	}
	mustBeOneChain(t, 2, before, contentOf(t, path))
}
