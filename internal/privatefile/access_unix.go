//go:build unix

package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
)

func ownedByUser(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// ownedByUserOrSystem takes root for the system: it can do anything anyway.
func ownedByUserOrSystem(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}

func ownedBySystem(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == 0
}

// readableByOwnGroupAlone reports whether besides root, who owns the file, only
// a group of this process can read it. A process that is not root and could open
// the file is in that group, or an access control list names it: systemd hands
// out credentials so, and the list's mask stands in the bits of the group.
func readableByOwnGroupAlone(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.Mode().Perm()&0o007 != 0 {
		return false
	}
	// The group root is root's, whatever groups this process has.
	if os.Geteuid() != 0 || stat.Gid == 0 || int(stat.Gid) == os.Getegid() {
		return true
	}
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(groups, int(stat.Gid))
}

// openWithoutWaiting does not wait for somebody to write to a pipe.
func openWithoutWaiting(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
}

// folderID is the same for one folder under all its names.
func folderID(info fs.FileInfo) string {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Name()
	}
	return fmt.Sprintf("%x-%x", uint64(stat.Dev), stat.Ino) //nolint:unconvert // Dev is an int32 on macOS
}

// replaceableByOthers reports whether anybody could exchange what is in the
// folder; in a sticky one, such as /tmp, only its owner can.
func replaceableByOthers(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
}

func writableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

func readableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

func hasOtherNames(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// hasNoName reports whether a pipe is in no folder. Linux shows the mode 0600 for
// such a pipe and one name, macOS the mode 0660 and no name.
func hasNoName(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode()&fs.ModeNamedPipe != 0 && stat.Nlink == 0
}

// syncFolder makes a rename in the folder survive a loss of power.
func syncFolder(root *os.Root) error {
	folder, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
