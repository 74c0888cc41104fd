package privatefile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestA33_FullDiskIsNoticedAndChangesNothing(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		kenbuntest.SkipUnlessRequired(t, "a file system cannot be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	path := filepath.Join(disk, "secret")
	mustWrite(t, path, "old", 0o600)
	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	if err := ballast.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, Options{MaxSize: megabyte})
	if err != nil {
		t.Fatal(err)
	}
	for action, err := range map[string]error{"probe": f.Probe(512), "replace": f.Replace([]byte("new"))} {
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%s: %v", action, err)
		}
	}
	mustHold(t, path, "old")
	entries, err := os.ReadDir(disk)
	if err != nil || len(entries) != 2 {
		t.Errorf("the disk holds %v, %v", entries, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
