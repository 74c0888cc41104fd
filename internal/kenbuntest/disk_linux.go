package kenbuntest

import (
	"os"
	"syscall"
	"testing"
)

// SmallDisk makes a file system of 64 KiB in memory, for the user alone, until
// the test ends, and returns its folder.
func SmallDisk(t testing.TB) string {
	t.Helper()
	folder := t.TempDir()
	if err := syscall.Mount("none", folder, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		SkipUnlessRequired(t, "a file system cannot be mounted here: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	return folder
}

// FillDisk writes to a new file until nothing more fits on its disk.
func FillDisk(t testing.TB, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = file.Write(make([]byte, 512))
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}
