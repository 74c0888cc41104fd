package audit

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

const (
	// lockPatience bounds how long an entry waits for another process to write
	// its own.
	lockPatience = time.Second
	lockRetry    = 5 * time.Millisecond
)

// OpenFile returns a log in a file of mode 0600, which is made if it is not
// there. It fails if nothing could be written now. The file is opened for each
// entry: whoever moves it away, as logrotate does, finds the next entry in a new
// one.
func OpenFile(path string, logger *slog.Logger) (*Log, error) {
	f := &file{path}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("the audit log %s cannot be used: %w", path, err)
	}
	return newLog(f, logger), nil
}

type file struct{ path string }

func (f *file) check() error {
	opened, err := privatefile.OpenAppend(f.path)
	if err != nil {
		return err
	}
	if err := opened.Close(); err != nil {
		return privatefile.Explain("the file cannot be closed", err)
	}
	return nil
}

func (f *file) write(line []byte) (err error) {
	opened, err := privatefile.OpenAppend(f.path)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := opened.Close(); err == nil && closeErr != nil {
			err = privatefile.Explain("the file cannot be closed", closeErr)
		}
	}()
	// A line of another process must not come between a part of this one and its
	// removal.
	if err := lock(opened); err != nil {
		return err
	}
	info, err := opened.Stat()
	if err != nil {
		return privatefile.Explain("the file cannot be looked at", err)
	}
	whole, err := afterWholeLine(opened, info.Size(), line)
	if err != nil {
		return err
	}
	if _, err = opened.Write(whole); err == nil {
		err = opened.Sync()
	}
	if err == nil {
		return nil
	}
	problem := privatefile.Explain("the file cannot be written to", err)
	if err := opened.Truncate(info.Size()); err != nil {
		return errors.Join(problem, privatefile.Explain("a part of an entry could not be removed", err))
	}
	return problem
}

// afterWholeLine returns what has to be written so that line stands alone, even
// if a process was killed while it wrote the one before.
func afterWholeLine(opened *os.File, size int64, line []byte) ([]byte, error) {
	if size == 0 {
		return line, nil
	}
	var last [1]byte
	if _, err := opened.ReadAt(last[:], size-1); err != nil {
		return nil, privatefile.Explain("the file cannot be read", err)
	}
	if last[0] == '\n' {
		return line, nil
	}
	return append([]byte{'\n'}, line...), nil
}

// lock ends when the file is closed.
func lock(opened *os.File) error {
	deadline := time.Now().Add(lockPatience)
	for {
		err := privatefile.TryLock(opened)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, privatefile.ErrLocked):
			return privatefile.Explain("the file cannot be locked", err)
		case time.Now().After(deadline):
			return errors.New("another program holds a lock on the file and does not come to an end")
		}
		time.Sleep(lockRetry)
	}
}
