package journal

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
	suffix = ".journal"
	// lockName is locked during a recovery, and while the key is made.
	lockName = "lock"
	// keyName holds the key of the callers' fingerprints.
	keyName = "key"
	keySize = 32
	// lockTime bounds the wait for another process.
	lockTime = 20 * time.Second
)

// journalFolder is the open folder of a journal.
type journalFolder struct{ *privatefile.Folder }

var folderOptions = privatefile.FolderOptions{Name: "the journal's folder", Flag: "--journal-dir"}

// openFolder opens the folder, or makes it. It refuses one that others can access.
func openFolder(dir string) (*journalFolder, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, journalError("found", err))
	}
	folder, err := privatefile.OpenFolder(absolute, folderOptions)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return &journalFolder{folder}, nil
}

// isNamed reports whether file still is what the folder has under name.
func (f *journalFolder) isNamed(file *os.File, name string) bool {
	opened, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := f.Lstat(name)
	return err == nil && os.SameFile(opened, named)
}

// lock waits for the folder's lock, and returns what releases it.
func (f *journalFolder) lock(ctx context.Context) (release func() error, _ error) {
	file, err := f.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, journalError("locked", err)
	}
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	switch err := privatefile.WaitForLock(ctx, file); {
	case err == nil:
		return file.Close, nil
	case ctx.Err() != nil:
		return nil, errors.Join(errors.New("another process works on what was left behind, and does not come to an end"), file.Close())
	default:
		return nil, errors.Join(journalError("locked", err), file.Close())
	}
}

// key returns the key of the callers' fingerprints, made at its first use.
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
	key := make([]byte, keySize)
	_, _ = rand.Read(key) // never fails: crypto/rand.Read ends the process instead
	temporary := keyName + "." + rand.Text()
	if err := f.WriteNew(temporary, key); err != nil {
		return nil, err
	}
	if err := f.Rename(temporary, keyName); err != nil {
		return nil, errors.Join(journalError("written to", err), f.CleanUp(temporary))
	}
	if err := f.Sync(); err != nil {
		return nil, journalError("written to", err)
	}
	return key, nil
}

// readKey returns nil where there is no key yet.
func (f *journalFolder) readKey() ([]byte, error) {
	key, err := f.ReadFile(keyName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, journalError("read", err)
	case len(key) != keySize, bytes.Count(key, []byte{0}) == len(key):
		return nil, errors.New("the key of the journal is damaged: remove the file \"key\" from its folder")
	}
	return key, nil
}
