package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/audit"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestR34_FullDiskLeavesNoHalfEntryAndLosesNone(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	path, ballast := filepath.Join(disk, "audit.log"), filepath.Join(disk, "ballast")
	said := &pipe{}
	log, err := audit.OpenFile(path, logTo(said))
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
