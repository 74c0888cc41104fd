package delivery_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/tools"
)

func TestA33_FullDiskIsNoticedByTheCheckAndLeavesNothing(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	road, folder := roadInto(t, filepath.Join(disk, "tokens"))
	if err := road.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	kenbuntest.FillDisk(t, filepath.Join(disk, "ballast"))
	refuses(t, road, folder, "the disk is full", 0)
	if err := os.Remove(filepath.Join(disk, "ballast")); err != nil {
		t.Fatal(err)
	}
	if err := road.Check(t.Context()); err != nil {
		t.Errorf("after there is room again: %v", err)
	}
}

func TestA33_ReadOnlyDiskIsNoticedByTheCheck(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	road, folder := roadInto(t, filepath.Join(disk, "tokens"))
	if _, err := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, "size=64k"); err != nil {
		t.Fatal(err)
	}
	refuses(t, road, folder, "the disk can only be read", 1)
}

// A limit on the size of files stands for all failures in the middle of a
// write, and needs no rights. It holds for a whole process, and the go tool has
// a test's process write a log: the limit is set in a child that has none.
func TestA33_AWriteThatFailsLeavesNothing(t *testing.T) {
	const inChild = "KENBUN_TEST_SMALL_FILES"
	if os.Getenv(inChild) == "" {
		child := exec.Command(os.Args[0], "-test.run=^TestA33_AWriteThatFailsLeavesNothing$", "-test.v")
		child.Env = append(os.Environ(), inChild+"=yes")
		output, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(output), "--- PASS: TestA33_AWriteThatFailsLeavesNothing") {
			t.Fatalf("%v\n%s", err, output)
		}
		return
	}
	road, folder := newRoad(t)
	mustMake(t, folder, 0o700)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	small := before
	small.Cur = 16 // less than a token
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	_, deliverErr := road.Deliver(t.Context(), tools.Caller{}, newToken("pat_1"))
	checkErr := road.Check(t.Context())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if deliverErr == nil || checkErr == nil {
		t.Errorf("deliver: %v, check: %v, want errors", deliverErr, checkErr)
	}
	if got := entriesOf(t, folder); len(got) != 0 {
		t.Errorf("the folder holds %v", got)
	}
}
