package privatefile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// OpenAppend opens a private file to read it and to append to it, and creates it if there is
// none. The folder must exist.
func OpenAppend(path string) (*os.File, error) {
	root, name, err := openFolderOf(path, false)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing is written to the folder through it
	return appendTo(root, name)
}

// appendTo retries when another program creates or moves the file at the same moment.
func appendTo(root *os.Root, name string) (*os.File, error) {
	for range 10 {
		info, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			file, err := makeToAppend(root, name)
			if errors.Is(err, fs.ErrExist) {
				continue
			}
			if err != nil {
				return nil, Explain("the file cannot be made", err)
			}
			return file, nil
		case err != nil:
			return nil, Explain("the file cannot be looked at", err)
		}
		if problem := fileProblem(info, false); problem != "" {
			return nil, errors.New(problem)
		}
		file, err := root.OpenFile(name, os.O_RDWR|os.O_APPEND, 0)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, Explain("the file cannot be written to", err)
		}
		opened, err := file.Stat()
		switch {
		case err != nil:
			return nil, errors.Join(Explain("the file cannot be looked at", err), file.Close())
		case os.SameFile(info, opened):
			if problem := fileProblem(opened, false); problem != "" {
				return nil, errors.Join(errors.New(problem), file.Close())
			}
			return file, nil
		}
		if err := file.Close(); err != nil {
			return nil, Explain("the file cannot be closed", err)
		}
	}
	return nil, errors.New("the file was exchanged each time that it was opened: see who does that, and try again")
}

func makeToAppend(root *os.Root, name string) (*os.File, error) {
	file, err := root.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// The umask may have taken this away from the owner.
	if err := file.Chmod(0o600); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// ErrLocked means that another holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// OpenLock opens the file whose lock, by [TryLock], stands for the file at path, and creates
// it if there is none. No other user can open it and hold the lock. It is path with ".lock"
// after it if nobody else can write to the folder, and otherwise a file in kenbun-mcp/locks
// in the user's cache folder. It stays after use: if it were removed, two processes could
// lock two files of the same name.
func OpenLock(path string) (*os.File, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(absolute))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // nothing is written to the folder through it
	return openLockFile(root, filepath.Base(absolute))
}

// Lock waits for the lock that stands for the file at path (see [OpenLock]). unlock releases
// it, and so does the end of the process.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := OpenLock(path)
	if err != nil {
		return nil, fmt.Errorf("the lock file cannot be made, name a folder that you may write to: %w", err)
	}
	switch err := WaitForLock(ctx, f); {
	case err == nil:
		return f.Close, nil
	case ctx.Err() != nil:
		return nil, errors.Join(fmt.Errorf("waited for another process to release %s: %w", path, ctx.Err()), f.Close())
	default:
		return nil, errors.Join(fmt.Errorf("lock the file %s: %w", path, err), f.Close())
	}
}

// WaitForLock waits until f can be locked or ctx is done.
func WaitForLock(ctx context.Context, f *os.File) error {
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		if err := TryLock(f); !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-retry.C:
		}
	}
}
