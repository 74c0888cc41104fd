package privatefile

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockedByte lies far behind the end of any file: a lock here keeps others from
// reading what it covers.
const lockedByte = 1 << 30

// TryLock takes an exclusive lock on an open file, or returns [ErrLocked]. The
// system releases it when the file is closed and when the process ends, however
// it ends.
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

// openLock returns a file beside the one that is written, since a folder cannot
// be locked here. It stays: to remove it would let two hold two of the same
// name.
func openLock(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile("."+name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}

func openLockFile(root *os.Root, name string) (*os.File, error) {
	return root.OpenFile(name+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}
