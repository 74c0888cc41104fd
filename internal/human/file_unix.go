//go:build unix

package human

import (
	"io/fs"
	"os"
	"syscall"
)

func ownedByUser(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

func reachableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// replaceable reports whether anybody could exchange what is in the folder; in
// a sticky one, such as /tmp, only its owner can.
func replaceable(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
}

func syncFolder(root *os.Root) error {
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	if err := folder.Sync(); err != nil {
		_ = folder.Close() // the first error is the one that counts
		return err
	}
	return folder.Close()
}
