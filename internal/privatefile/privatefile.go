// Package privatefile reads and replaces files that hold secrets: files that
// belong to the user of this process, that nobody else can reach, and in whose
// place nobody else can put another.
//
// Errors say what is wrong and what to do, without a path: they may be shown to
// a model, and the caller knows which file is meant.
package privatefile

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockRetry is how often a held lock is tried again. It is held for milliseconds.
const lockRetry = 10 * time.Millisecond

// Options say how strict [Open] is.
type Options struct {
	// MaxSize bounds the content, in bytes.
	MaxSize int64
	// MakeFolder creates missing folders for the user alone.
	MakeFolder bool
	// AllowReaders accepts a file that others can read. Once replaced, they cannot.
	AllowReaders bool
}

// File is one file in an open folder. No link leads out of that folder, and replacing the
// folder has no effect.
type File struct {
	root    *os.Root
	name    string
	info    fs.FileInfo // nil where there is no file
	content []byte
	options Options
	lock    *os.File
}

// Open opens the folder of path and reads the file, if there is one. The error says what is
// wrong with either.
func Open(path string, options Options) (*File, error) {
	root, name, err := openFolderOf(path, options.MakeFolder)
	if err != nil {
		return nil, err
	}
	f := &File{root: root, name: name, options: options}
	if err := f.read(); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return f, nil
}

// openFolderOf opens the folder of the file at path if nobody else could replace files in
// it, and returns the file's name.
func openFolderOf(path string, makeFolder bool) (root *os.Root, name string, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, "", errors.New("the folder of the file cannot be found")
	}
	folder := filepath.Dir(absolute)
	if makeFolder {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, "", Explain("the folder of the file cannot be made", err)
		}
	}
	if root, err = os.OpenRoot(folder); err != nil {
		return nil, "", Explain("the folder of the file cannot be opened", err)
	}
	info, err := root.Stat(".")
	if err != nil {
		return nil, "", errors.Join(Explain("the folder of the file cannot be looked at", err), root.Close())
	}
	if problem := folderProblem(info); problem != "" {
		return nil, "", errors.Join(errors.New(problem), root.Close())
	}
	return root, filepath.Base(absolute), nil
}

// Exists reports whether there is a file.
func (f *File) Exists() bool { return f.info != nil }

// Content is what the file holds.
func (f *File) Content() []byte { return f.content }

// Close releases the folder, and the lock if there is one.
func (f *File) Close() error {
	var err error
	if f.lock != nil {
		err = f.lock.Close()
	}
	if err = errors.Join(err, f.root.Close()); err != nil {
		return Explain("the folder of the file cannot be closed", err)
	}
	return nil
}

// Lock keeps others who lock from replacing files in the same folder until Close, and reads
// the file again. It waits for them until ctx is done.
func (f *File) Lock(ctx context.Context) error {
	lock, err := openLock(f.root, f.name)
	if err != nil {
		return fmt.Errorf("the file cannot be locked: %w", err)
	}
	switch err := WaitForLock(ctx, lock); {
	case err == nil:
		f.lock = lock
		return f.read()
	case ctx.Err() != nil:
		return errors.Join(errors.New("another program is writing to the folder of the file and does not come to an end: try again when it has"), lock.Close())
	default:
		return errors.Join(Explain("the folder of the file cannot be locked", err), lock.Close())
	}
}

func (f *File) read() error {
	f.info, f.content = nil, nil
	info, err := f.root.Lstat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return Explain("the file cannot be looked at", err)
	}
	if problem := fileProblem(info, f.options.AllowReaders); problem != "" {
		return errors.New(problem)
	}
	file, err := f.root.Open(f.name)
	if err != nil {
		return Explain("the file cannot be read", err)
	}
	defer func() { _ = file.Close() }() // it was only read
	opened, err := file.Stat()
	switch {
	case err != nil:
		return Explain("the file cannot be looked at", err)
	case !os.SameFile(info, opened):
		return errors.New("the file was exchanged while it was opened: see who does that, and try again")
	}
	if problem := fileProblem(opened, f.options.AllowReaders); problem != "" {
		return errors.New(problem)
	}
	content, err := io.ReadAll(io.LimitReader(file, f.options.MaxSize+1))
	switch {
	case err != nil:
		return Explain("the file cannot be read", err)
	case int64(len(content)) > f.options.MaxSize:
		return fmt.Errorf("the file is larger than %d bytes, which is too large for its purpose", f.options.MaxSize)
	}
	f.info, f.content = opened, content
	return nil
}

// Probe reports whether a file of the given size could replace the present one, by writing
// such a file beside it.
func (f *File) Probe(size int) error {
	name, err := f.write(bytes.Repeat([]byte{'#'}, size))
	if err != nil {
		return err
	}
	return f.discard(name)
}

// Replace replaces what the file held when it was read, or creates the file, atomically even
// in a crash. Afterwards it is the user's alone. On an error it is unchanged.
func (f *File) Replace(content []byte) error {
	name, err := f.write(content)
	if err != nil {
		return err
	}
	if err := f.unchanged(); err != nil {
		return errors.Join(err, f.discard(name))
	}
	if err := f.root.Rename(name, f.name); err != nil {
		return errors.Join(Explain("the file cannot be put in its place", err), f.discard(name))
	}
	if err := syncFolder(f.root); err != nil {
		return errors.Join(Explain("the folder of the file cannot be written to the disk", err), f.restore())
	}
	return f.read()
}

// Remove removes the file if there is one.
func (f *File) Remove() error {
	if err := f.root.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Explain("the file cannot be removed", err)
	}
	f.info, f.content = nil, nil
	return nil
}

// restore restores what was read, after its replacement failed.
func (f *File) restore() error {
	if f.info == nil {
		return f.Remove()
	}
	name, err := f.write(f.content)
	if err != nil {
		return err
	}
	if err := f.root.Rename(name, f.name); err != nil {
		return errors.Join(Explain("the file cannot be put back", err), f.discard(name))
	}
	return nil
}

// unchanged reports that somebody wrote to the file since it was read.
func (f *File) unchanged() error {
	info, err := f.root.Lstat(f.name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.info == nil:
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Explain("the file cannot be looked at", err)
	case err != nil, f.info == nil, !os.SameFile(info, f.info), info.Size() != f.info.Size(), !info.ModTime().Equal(f.info.ModTime()):
		return errors.New("the file was changed by another program in the meantime: try again")
	}
	return nil
}

// write writes content to a new file beside the present one and returns its name. On an
// error nothing is left of it.
func (f *File) write(content []byte) (_ string, err error) {
	name := "." + f.name + "." + rand.Text()
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", Explain("the folder of the file cannot be written to", err)
	}
	// The umask may have taken rights from the owner; rights that the owner lacks stay so.
	mode := fs.FileMode(0o600)
	if f.info != nil {
		mode = f.info.Mode().Perm() & 0o700
	}
	err = file.Chmod(mode)
	if err == nil {
		_, err = file.Write(content)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", errors.Join(Explain("the folder of the file cannot be written to", err), f.discard(name))
	}
	return name, nil
}

func (f *File) discard(name string) error {
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Explain("the folder of the file cannot be cleaned up", err)
	}
	return nil
}

// Read returns the content of a private file. The error matches fs.ErrNotExist if there is
// none.
func Read(path string, maxSize int64) ([]byte, error) {
	// Below a file, such as HOME=/dev/null, there is nothing either.
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, fs.ErrNotExist
	}
	f, err := Open(path, Options{MaxSize: maxSize})
	if err != nil {
		return nil, err
	}
	if !f.Exists() {
		return nil, errors.Join(fs.ErrNotExist, f.Close())
	}
	return f.Content(), f.Close()
}

// Explain says what cannot be done and why, in words without a path.
func Explain(what string, err error) error {
	why := "the system refused"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = "it does not exist"
	case errors.Is(err, fs.ErrPermission):
		why = "this process has no right to"
	case errors.Is(err, syscall.ENOSPC):
		why = "the disk is full"
	case errors.Is(err, syscall.EROFS):
		why = "the disk can only be read"
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		why = "something else is in the way"
	}
	return fmt.Errorf("%s (%s)", what, why)
}

// folderProblem says who else could exchange files in a folder, "" if nobody.
func folderProblem(info fs.FileInfo) string {
	switch {
	case !ownedByUserOrSystem(info):
		return "the folder of the file belongs to another user, who could exchange the file: use a folder of your own"
	case replaceableByOthers(info):
		return "the folder of the file can be written to by everybody, who could exchange the file: run chmod o-w on the folder, or use another"
	}
	return ""
}

func fileProblem(info fs.FileInfo, allowReaders bool) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "the file is a symbolic link, which could lead anywhere: name the file itself"
	case info.IsDir():
		return "a folder has the name of the file: name a file"
	case !info.Mode().IsRegular():
		return "the file is a device or a pipe: name a plain file"
	case !ownedByUser(info):
		return "the file belongs to another user: use one of your own"
	case hasOtherNames(info):
		return "the file has a second name (a hard link), under which the old content would stay: remove the other name"
	case writableByOthers(info):
		return "the file can be written to by other users: run chmod 600 on it"
	case !allowReaders && readableByOthers(info):
		return "the file can be read by other users: run chmod 600 on it"
	}
	return ""
}
