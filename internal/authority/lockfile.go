package authority

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

// lockRetry is how often a lock that another process holds is tried again. It
// is held for milliseconds, and only while a store is opened.
const lockRetry = 5 * time.Millisecond

// fileLock is an exclusive lock that the operating system releases when its
// holder ends, however it ends. The file itself stays: to remove it would let
// two holders lock two files of the same name.
type fileLock struct{ file *os.File }

// lockFile waits for the lock that stands for the file at path.
func lockFile(ctx context.Context, path string) (*fileLock, error) {
	f, err := privatefile.OpenLock(path)
	if err != nil {
		return nil, fmt.Errorf("the lock file cannot be made, name a folder that you may write to: %w", err)
	}
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := privatefile.TryLock(f)
		if err == nil {
			return &fileLock{file: f}, nil
		}
		if !errors.Is(err, privatefile.ErrLocked) {
			return nil, errors.Join(fmt.Errorf("lock the file %s: %w", path, err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("waited for another process to release %s: %w", path, ctx.Err()), f.Close())
		case <-retry.C:
		}
	}
}

// Unlock releases the lock.
func (l *fileLock) Unlock() error {
	if err := l.file.Close(); err != nil {
		return fmt.Errorf("release the lock file: %w", err)
	}
	return nil
}
