//go:build unix

package privatefile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// readableByOwnGroupAlone reports whether only root, the owner, and a group of this process
// can read the file. A process that could open the file is in that group or in an access
// control list, whose mask is in the group's bits: systemd passes credentials so.
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

// replaceableByOthers reports whether anybody could replace files in the folder; in a sticky
// one only their owner can.
func replaceableByOthers(info fs.FileInfo) bool {
	return info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0
}

func writableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o022 != 0 }

func readableByOthers(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

func hasOtherNames(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink > 1
}

// hasNoName reports whether a pipe is in no folder. For such a pipe Linux shows the mode
// 0600 and one name, macOS the mode 0660 and no name.
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

// TryLock takes an exclusive lock on an open file, or returns [ErrLocked]. Closing the file
// or the end of the process releases it.
func TryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return ErrLocked
		default:
			return err
		}
	}
}

// Unlock releases what [TryLock] took, and leaves the file open.
func Unlock(f *os.File) error {
	for {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// openLock returns the folder itself if it is the user's alone, so that no lock file is left
// in it. Others can open any other folder and hold its lock for ever: for these it returns a
// file in the folder of the user's locks.
func openLock(root *os.Root, _ string) (*os.File, error) {
	info, err := root.Stat(".")
	if err != nil {
		return nil, err
	}
	if ownedByUser(info) && !readableByOthers(info) {
		return root.Open(".")
	}
	return openUserLock(folderID(info))
}

// openLockFile returns the lock file of the file called name: beside it if others cannot
// write there, otherwise in the folder of the user's locks.
func openLockFile(root *os.Root, name string) (*os.File, error) {
	info, err := root.Stat(".")
	if err != nil {
		return nil, err
	}
	if ownedByUserOrSystem(info) && !writableByOthers(info) {
		return openPrivate(root, name+".lock")
	}
	return openUserLock(folderID(info) + "-" + hex.EncodeToString([]byte(name)))
}

// openUserLock opens a file in the folder of this user's locks, which nobody else can enter.
func openUserLock(name string) (_ *os.File, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, errors.New("other users can open the folder of the file, and there is no folder for locks of your own: set HOME or XDG_CACHE_HOME")
	}
	folder := filepath.Join(cache, "kenbun-mcp", "locks")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, Explain("the folder for locks in your cache folder cannot be made", err)
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, Explain("the folder for locks in your cache folder cannot be opened", err)
	}
	defer func() { _ = root.Close() }() // nothing is written to the folder through it
	info, err := root.Stat(".")
	if err != nil {
		return nil, Explain("the folder for locks in your cache folder cannot be looked at", err)
	}
	if !ownedByUser(info) || readableByOthers(info) {
		return nil, errors.New("the folder kenbun-mcp/locks in your cache folder must be yours alone: run chmod 700 on it, or remove it")
	}
	return openPrivate(root, name)
}

// openPrivate opens or makes a file that nobody else can open.
func openPrivate(root *os.Root, name string) (*os.File, error) {
	// A root follows links within its folder. Others cannot put one there meanwhile.
	if info, err := root.Lstat(name); err == nil {
		if problem := fileProblem(info, false); problem != "" {
			return nil, fmt.Errorf("the lock file %s cannot be used: %s", name, problem)
		}
	}
	file, err := root.OpenFile(name, os.O_RDWR|os.O_CREATE|syscall.O_NONBLOCK, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if problem := fileProblem(info, false); problem != "" {
		return nil, errors.Join(fmt.Errorf("the lock file %s cannot be used: %s", name, problem), file.Close())
	}
	return file, nil
}
