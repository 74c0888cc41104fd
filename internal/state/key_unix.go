//go:build unix

package state

import (
	"io/fs"
	"os"
	"syscall"
)

func ownedByUserOrRoot(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == os.Geteuid() || stat.Uid == 0)
}

func readableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o027 != 0 }
