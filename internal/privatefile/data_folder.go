package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// MakeFolder makes the folder dir for the user alone, or checks that an existing one
// is a folder of the user's that nobody else can write to.
func MakeFolder(dir string) error {
	// The folders above it are private, too: they are missing only in a new account.
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("the folder %s cannot be made, name one that you may write to: %w", dir, err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the folder %s cannot be made, name one that you may write to: %w", dir, err)
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("look at the folder %s: %w", dir, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, through which tokens could be led elsewhere: name the folder itself", dir)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder: name another place, or move the file away", dir)
	case !ownedByUser(info):
		return fmt.Errorf("the folder %s belongs to another user: name a folder of your own", dir)
	case writableByOthers(info):
		return fmt.Errorf("the folder %s can be written to by other users: run chmod go-w on it, or name another", dir)
	}
	return nil
}

// MakeFolderOf makes the folder of the file at path. An existing folder may belong to
// anybody, such as the system's temporary folder, as long as others cannot exchange
// the user's files in it.
func MakeFolderOf(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("the folder %s cannot be made, name one that you may write to: %w", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder %s: %w", dir, err)
	}
	if writableByOthers(info) && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("the folder %s can be written to by other users: run chmod go-w on it, or keep the database elsewhere", dir)
	}
	return nil
}

// Create makes the file at path for the user alone if it is missing. It returns an
// error if others can read an existing one, or if it is not a file.
func Create(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("the file cannot be opened for writing, name another file or allow it: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("close the new file: %w", err)
	}
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return fmt.Errorf("look at the file %s: %w", path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file: name the file itself", path)
	case !ownedByUser(info):
		return fmt.Errorf("the file %s belongs to another user: use a file of your own", path)
	case readableByOthers(info):
		return fmt.Errorf("the file %s can be read by other users: run chmod 600 on it", path)
	}
	return nil
}

// Write puts content in the place of the file at path, or makes it, as
// [File.Replace] does.
func Write(path string, content []byte) error {
	f, err := Open(path, Options{MaxSize: 1 << 20, AllowReaders: true})
	if err != nil {
		return err
	}
	return errors.Join(f.Replace(content), f.Close())
}
