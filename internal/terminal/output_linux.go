package terminal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// roomForSecret is more than any secret and what is told of it, in bytes.
const roomForSecret = 16 << 10

// roomIn keeps room for a secret in a file, without changing its length. Where a
// file system cannot do that, the error is nil.
func roomIn(file *os.File, info os.FileInfo) error {
	at, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		at = 0
	}
	err = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_KEEP_SIZE, max(at, info.Size()), roomForSecret)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return unwritable(err)
	}
	return nil
}
