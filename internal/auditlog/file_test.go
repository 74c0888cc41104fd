package auditlog_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/auditlog"
)

func openLog(t *testing.T, path string) *auditlog.Log {
	t.Helper()
	log, err := auditlog.OpenFile(path, nil, logTo(&pipe{}))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func TestFileIsThereFromTheStartAndIsAddedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	log := openLog(t, path)
	if got := contentOf(t, path); got != "" {
		t.Errorf("at the start it holds %q", got)
	}
	log.Record(entry("pat_1"))
	mustHold(t, contentOf(t, path), "pat_1")
	mustClose(t, log)

	next := openLog(t, path)
	next.Record(entry("pat_2"))
	mustHold(t, contentOf(t, path), "pat_1", "pat_2")
	mustClose(t, next)
}

func TestFileThatCannotBeUsedIsNamedAtTheStart(t *testing.T) {
	folder := t.TempDir()
	for path, says := range map[string]string{
		folder:                                 "a folder has the name of the file",
		filepath.Join(folder, "none", "audit"): "does not exist",
	} {
		if _, err := auditlog.OpenFile(path, nil, logTo(&pipe{})); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSeveralProcessesWriteWholeLinesToOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	processes := startWriters(t, 4, path)
	for _, process := range processes {
		if err := process.Wait(); err != nil {
			t.Error(err)
		}
	}
	ids := targets(t, contentOf(t, path))
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != len(processes)*entriesPerProcess {
		t.Errorf("%d different entries", n)
	}
}

// A line that a killed process left half written stays alone.
func TestAnEntryAfterAHalfOneStandsOnItsOwnLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(`{"time":"2026`), 0o600); err != nil {
		t.Fatal(err)
	}
	log := openLog(t, path)
	log.Record(entry("pat_1"))
	log.Record(entry("pat_2"))
	mustClose(t, log)
	half, rest, _ := strings.Cut(contentOf(t, path), "\n")
	if half != `{"time":"2026` {
		t.Errorf("the half line became %q", half)
	}
	mustHold(t, rest, "pat_1", "pat_2")
}

func TestNoEntryIsLostWhileTheFileIsMovedAway(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "audit.log")
	log := openLog(t, path)
	var moved atomic.Int64
	stop := make(chan struct{})
	var mover sync.WaitGroup
	mover.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if os.Rename(path, path+"."+strconv.FormatInt(moved.Load(), 10)) == nil {
				moved.Add(1)
			}
		}
	})
	entries := 0
	for began := time.Now(); entries < 300 || moved.Load() < 2 && time.Since(began) < patience; entries++ {
		log.Record(entry(strconv.Itoa(entries)))
	}
	close(stop)
	mover.Wait()
	if moved.Load() < 2 {
		t.Fatalf("the file was moved away %d times", moved.Load())
	}
	mustClose(t, log)
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, file := range files {
		ids = append(ids, targets(t, contentOf(t, file))...)
	}
	slices.Sort(ids)
	if n := len(slices.Compact(ids)); n != entries || len(ids) != entries {
		t.Errorf("%d entries, %d different ones, want %d", len(ids), n, entries)
	}
}
