//go:build unix

package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

func ownershipProblem(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if ok && int(stat.Uid) != os.Geteuid() {
		return fmt.Sprintf("belongs to the user with id %d", stat.Uid)
	}
	return ""
}

func writableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

func accessibleByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// syncFolder makes a rename in dir survive a loss of power.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
