package privatefile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestA33_FullDiskIsNoticedAndChangesNothing(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	path := filepath.Join(disk, "secret")
	mustWrite(t, path, "old", 0o600)
	kenbuntest.FillDisk(t, filepath.Join(disk, "ballast"))
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
