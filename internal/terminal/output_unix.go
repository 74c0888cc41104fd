//go:build unix

package terminal

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Readable returns an error that says why nobody can read what is written to a
// stream: it was closed, its reader is gone, or it is a device or a disk that takes
// nothing. Nothing is written. Without an error, writing may fail all the same.
func Readable(stream any) error {
	file, ok := stream.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return errors.New("it is closed")
	}
	// The runtime opens the null device in the place of a stream that was closed.
	if isNull(info) {
		return errors.New("it is closed, or leads to " + os.DevNull)
	}
	state := []unix.PollFd{{Fd: int32(file.Fd())}} //nolint:gosec // descriptors are small
	if _, err := unix.Poll(state, 0); err == nil && state[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
		return errors.New("whoever should read it is gone")
	}
	// Devices and streams that are open for reading alone refuse even this.
	if _, err := file.Write(nil); err != nil {
		return unwritable(err)
	}
	if info.Mode().IsRegular() {
		return roomIn(file, info)
	}
	return nil
}

func isNull(info os.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	one, ok := info.Sys().(*syscall.Stat_t)
	other, alsoOK := null.Sys().(*syscall.Stat_t)
	return ok && alsoOK && one.Rdev == other.Rdev
}

func unwritable(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return errors.New("it has no room")
	case errors.Is(err, syscall.EPIPE):
		return errors.New("whoever should read it is gone")
	}
	return errors.New("it cannot be written to")
}
