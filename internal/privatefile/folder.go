package privatefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is an open folder for secrets, which nobody else can reach.
type Folder struct {
	*os.Root
	options FolderOptions
}

// FolderOptions say what a folder is for, in the words of its errors.
type FolderOptions struct {
	// Name is what the folder is called, such as "the delivery folder".
	Name string
	// Flag is the flag with which the user chooses another folder.
	Flag string
	// CheckParent also refuses a folder that anybody could replace by another.
	CheckParent bool
}

// OpenFolder opens the folder at path, and creates it if there is none. It refuses a folder
// of another user, one that others can reach, and a symbolic link.
func OpenFolder(path string, options FolderOptions) (*Folder, error) {
	f := &Folder{options: options}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, f.Explain("made", err)
	}
	before, err := os.Lstat(path)
	if err != nil {
		return nil, f.Explain("looked at", err)
	}
	switch {
	case before.Mode()&fs.ModeSymlink != 0:
		return nil, f.problem("is a symbolic link, which could lead anywhere: give the folder itself with")
	case !before.IsDir():
		return nil, f.problem("is not a folder: give another with")
	case !ownedByUser(before):
		return nil, f.problem("belongs to another user: choose another with")
	case readableByOthers(before):
		return nil, f.problem("can be reached by other users: run chmod 700 on it, or choose another with")
	}
	if options.CheckParent {
		parent, err := os.Stat(filepath.Dir(path))
		if err != nil {
			return nil, f.Explain("looked at", err)
		}
		if replaceableByOthers(parent) {
			return nil, f.problem("is in a folder that can be written to by everybody, who could put another in its place: choose another with")
		}
	}
	if f.Root, err = os.OpenRoot(path); err != nil {
		return nil, f.Explain("opened", err)
	}
	// What was opened must be what was looked at.
	opened, err := f.Stat(".")
	if err != nil {
		return nil, f.CloseAfter(f.Explain("looked at", err))
	}
	if !os.SameFile(before, opened) {
		return nil, f.CloseAfter(f.problem("was exchanged while it was opened: choose another with"))
	}
	return f, nil
}

func (f *Folder) problem(what string) error {
	return fmt.Errorf("%s %s %s", f.options.Name, what, f.options.Flag)
}

// Explain returns an error that says what cannot be done, such as "written to", and why.
func (f *Folder) Explain(done string, err error) error { return f.options.Explain(done, err) }

// Explain is [Folder.Explain] for a folder that is not open.
func (o FolderOptions) Explain(done string, err error) error {
	return fmt.Errorf("%w: choose another with %s", Explain(o.Name+" cannot be "+done, err), o.Flag)
}

// WriteNew writes a new file through to the disk. On an error nothing is left of it.
func (f *Folder) WriteNew(name string, data []byte) error {
	file, err := f.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return f.Explain("written to", err)
	}
	// The umask may have taken away from the owner what is theirs.
	err = file.Chmod(0o600)
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(f.Explain("written to", err), f.CleanUp(name))
	}
	return nil
}

// Sync makes renames in the folder survive a loss of power.
func (f *Folder) Sync() error { return syncFolder(f.Root) }

// CleanUp removes a file, if it is there.
func (f *Folder) CleanUp(name string) error {
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f.Explain("cleaned up", err)
	}
	return nil
}

// CloseAfter closes the folder and returns err, or else the error of closing.
func (f *Folder) CloseAfter(err error) error {
	if closeErr := f.Close(); err == nil && closeErr != nil {
		return f.Explain("closed", closeErr)
	}
	return err
}

// MakeFolder creates the folder dir for the user alone, or checks that an existing one
// belongs to the user and that nobody else can write to it.
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

// MakeFolderOf creates the folder of the file at path. An existing folder may belong to
// anybody, as long as others cannot replace the user's files in it.
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

// Create creates the file at path for the user alone if it is missing. It fails if others
// can read an existing one, or if it is not a file.
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

// Write replaces or creates the file at path, as [File.Replace] does.
func Write(path string, content []byte) error {
	f, err := Open(path, Options{MaxSize: 1 << 20, AllowReaders: true})
	if err != nil {
		return err
	}
	return errors.Join(f.Replace(content), f.Close())
}
