package terminal

import (
	"errors"
	"os"
)

// Readable returns an error if a stream is closed or leads to the null device. A
// reader that is gone is noticed when something is written.
func Readable(stream any) error {
	file, ok := stream.(*os.File)
	if !ok {
		return nil
	}
	info, err := file.Stat()
	if err != nil {
		return errors.New("it is closed")
	}
	if null, err := os.Stat(os.DevNull); err == nil && os.SameFile(info, null) {
		return errors.New("it is closed, or leads to " + os.DevNull)
	}
	return nil
}
