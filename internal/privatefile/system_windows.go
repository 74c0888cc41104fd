package privatefile

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// On Windows access is kept in lists that the mode bits do not show. Files in a user's
// profile inherit lists for the user alone.

func ownedByUser(fs.FileInfo) bool { return true }

func ownedByUserOrSystem(fs.FileInfo) bool { return true }

func ownedBySystem(fs.FileInfo) bool { return false }

func readableByOwnGroupAlone(fs.FileInfo) bool { return false }

func openWithoutWaiting(path string) (*os.File, error) { return os.Open(path) }

func replaceableByOthers(fs.FileInfo) bool { return false }

func writableByOthers(fs.FileInfo) bool { return false }

func readableByOthers(fs.FileInfo) bool { return false }

func hasOtherNames(fs.FileInfo) bool { return false }

func hasNoName(fs.FileInfo) bool { return true }

// syncFolder does nothing: the file system journals a rename by itself.
func syncFolder(*os.Root) error { return nil }

// lockedByte lies far behind the end of any file, since a lock here prevents reading.
const lockedByte = 1 << 30

// TryLock takes an exclusive lock on an open file, or returns [ErrLocked]. Closing the file
// or the end of the process releases it.
func TryLock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{OffsetHigh: lockedByte})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// Unlock releases what [TryLock] took, and leaves the file open.
func Unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, &windows.Overlapped{OffsetHigh: lockedByte})
}

// openLock returns a file beside the one that is written, since a folder cannot be locked
// here. It stays: if removed, two processes could lock two files of the same name.
func openLock(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile("."+name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}

func openLockFile(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}
