package human

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/privatefile"
)

const (
	journalSuffix = ".journal"
	// journalLock is locked by who works off what was left behind, and by who
	// makes the key.
	journalLock = "lock"
	// journalKey holds the key under which callers are named.
	journalKey     = "key"
	journalKeySize = 32
	// journalLockTime is how long is waited for another process that works off
	// what was left behind.
	journalLockTime  = 20 * time.Second
	journalLockRetry = 20 * time.Millisecond
)

// journalFolder is the open folder of a journal.
type journalFolder struct{ root *os.Root }

// openJournalFolder opens the folder, making it if need be, once it is known
// that nobody else can reach it.
func openJournalFolder(dir string) (_ *journalFolder, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", dir, err)
		}
	}()
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, journalError("found", err)
	}
	if err := os.MkdirAll(absolute, 0o700); err != nil {
		return nil, journalError("made", err)
	}
	before, err := os.Lstat(absolute)
	if err != nil {
		return nil, journalError("looked at", err)
	}
	switch {
	case before.Mode()&fs.ModeSymlink != 0:
		return nil, errors.New("the folder of the journal is a symbolic link, which could lead anywhere: give the folder itself with --journal-dir")
	case !before.IsDir():
		return nil, errors.New("the place of the journal is not a folder: give another with --journal-dir")
	case !ownedByUser(before):
		return nil, errors.New("the folder of the journal belongs to another user: choose another with --journal-dir")
	case reachableByOthers(before):
		return nil, errors.New("the folder of the journal can be reached by other users: run chmod 700 on it, or choose another with --journal-dir")
	}
	root, err := os.OpenRoot(absolute)
	if err != nil {
		return nil, journalError("opened", err)
	}
	folder := &journalFolder{root}
	opened, err := root.Stat(".")
	if err != nil {
		return nil, folder.closeAfter(journalError("looked at", err))
	}
	if !os.SameFile(before, opened) {
		return nil, folder.closeAfter(errors.New("the folder of the journal was exchanged while it was opened: choose another with --journal-dir"))
	}
	return folder, nil
}

// closeAfter closes the folder and returns err, the first error if there is one.
func (f *journalFolder) closeAfter(err error) error {
	if closeErr := f.root.Close(); err == nil && closeErr != nil {
		return journalError("closed", closeErr)
	}
	return err
}

// isNamed reports whether file still is what the folder has under name.
func (f *journalFolder) isNamed(file *os.File, name string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := f.root.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// lock waits until no other process works on what was left behind, and returns
// what releases it.
func (f *journalFolder) lock(ctx context.Context) (release func() error, _ error) {
	file, err := f.root.OpenFile(journalLock, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, journalError("locked", err)
	}
	ctx, cancel := context.WithTimeout(ctx, journalLockTime)
	defer cancel()
	retry := time.NewTicker(journalLockRetry)
	defer retry.Stop()
	for {
		err := privatefile.TryLock(file)
		if err == nil {
			return file.Close, nil
		}
		if !errors.Is(err, privatefile.ErrLocked) {
			return nil, errors.Join(journalError("locked", err), file.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errors.New("another process works on what was left behind, and does not come to an end"), file.Close())
		case <-retry.C:
		}
	}
}

// key returns the key under which callers are named, made at its first use.
func (f *journalFolder) key(ctx context.Context) (_ []byte, err error) {
	if key, err := f.readKey(); err != nil || key != nil {
		return key, err
	}
	release, err := f.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if closeErr := release(); err == nil && closeErr != nil {
			err = journalError("unlocked", closeErr)
		}
	}()
	if key, err := f.readKey(); err != nil || key != nil {
		return key, err
	}
	key := make([]byte, journalKeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	temporary := journalKey + "." + rand.Text()
	if err := writeSynced(f.root, temporary, key); err != nil {
		return nil, journalError("written to", err)
	}
	if err := f.root.Rename(temporary, journalKey); err != nil {
		return nil, errors.Join(journalError("written to", err), cleanUp(f.root, temporary))
	}
	if err := syncFolder(f.root); err != nil {
		return nil, journalError("written to", err)
	}
	return key, nil
}

// readKey returns nil where there is no key yet.
func (f *journalFolder) readKey() ([]byte, error) {
	key, err := f.root.ReadFile(journalKey)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, journalError("read", err)
	case len(key) != journalKeySize, bytes.Count(key, []byte{0}) == len(key):
		return nil, errors.New("the key of the journal is damaged: remove the file \"key\" from its folder")
	}
	return key, nil
}
