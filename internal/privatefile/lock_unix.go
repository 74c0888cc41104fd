//go:build unix

package privatefile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// TryLock takes an exclusive lock on an open file, or returns [ErrLocked]. The
// system releases it when the file is closed and when the process ends, however
// it ends.
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

// openLock returns the folder itself where it is the user's alone, so that no lock
// file is left beside the user's own. Others can open any other folder, and could
// hold its lock for ever: there it returns a file in the folder of the user's
// locks.
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

// openLockFile returns the file for the lock of the file called name: beside it
// where others can put nothing, otherwise in the folder of the user's locks.
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

// openUserLock opens a file in the folder of this user's locks, which nobody else
// can enter.
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
