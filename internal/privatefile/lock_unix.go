//go:build unix

package privatefile

import (
	"errors"
	"os"
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

// openLock returns the folder itself, so that no lock file is left beside the
// user's own.
func openLock(root *os.Root, _ string) (*os.File, error) { return root.Open(".") }
