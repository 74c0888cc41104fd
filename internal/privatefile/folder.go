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

// OpenFolder opens the folder at path, and makes it if there is none. It refuses a
// folder of another user's, one that others can reach, and a symbolic link.
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

// Explain returns an error that says what cannot be done with the folder, such as
// "written to", and why.
func (f *Folder) Explain(done string, err error) error { return f.options.Explain(done, err) }

// Explain is [Folder.Explain] for a folder that is not open.
func (o FolderOptions) Explain(done string, err error) error {
	return fmt.Errorf("%w: choose another with %s", Explain(o.Name+" cannot be "+done, err), o.Flag)
}

// WriteNew writes a new file through to the disk. If it fails, nothing is left of
// the file.
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
