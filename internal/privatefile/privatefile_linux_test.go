package privatefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

func TestA33_FullDiskIsNoticedAndChangesNothing(t *testing.T) {
	disk := kenbuntest.SmallDisk(t)
	path := filepath.Join(disk, "secret")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	kenbuntest.FillDisk(t, filepath.Join(disk, "ballast"))
	f, err := privatefile.Open(path, privatefile.Options{MaxSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for action, err := range map[string]error{"probe": f.Probe(512), "replace": f.Replace([]byte("new"))} {
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%s: %v", action, err)
		}
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
		t.Errorf("the file holds %q, %v", content, err)
	}
	entries, err := os.ReadDir(disk)
	if err != nil || len(entries) != 2 {
		t.Errorf("the disk holds %v, %v", entries, err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
