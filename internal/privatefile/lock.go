package privatefile

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked means that another holds the lock.
var ErrLocked = errors.New("another process holds the lock")

// OpenLock opens the file whose lock, by [TryLock], stands for the file at path,
// and makes it if there is none. No other user can open it, so that none can hold
// the lock. It is path with ".lock" after it if nobody else can write to the
// folder, which must be there, and otherwise a file in kenbun-mcp/locks in the
// user's cache folder. It stays after use: if it were removed, two processes could
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

// Lock waits for the lock that stands for the file at path (see [OpenLock]). unlock
// releases it; so does the end of the process, however it ends.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := OpenLock(path)
	if err != nil {
		return nil, fmt.Errorf("the lock file cannot be made, name a folder that you may write to: %w", err)
	}
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		switch err := TryLock(f); {
		case err == nil:
			return f.Close, nil
		case !errors.Is(err, ErrLocked):
			return nil, errors.Join(fmt.Errorf("lock the file %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waited for another process to release %s: %w", path, ctx.Err()), f.Close())
		case <-retry.C:
		}
	}
}
