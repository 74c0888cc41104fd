package privatefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// OpenAppend opens a private file to read it and to write at its end, and makes
// it if there is none. The folder must be there.
func OpenAppend(path string) (_ *os.File, err error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, errors.New("the folder of the file cannot be found")
	}
	root, err := os.OpenRoot(filepath.Dir(absolute))
	if err != nil {
		return nil, Explain("the folder of the file cannot be opened", err)
	}
	defer func() { _ = root.Close() }() // nothing is written to the folder through it
	info, err := root.Stat(".")
	if err != nil {
		return nil, Explain("the folder of the file cannot be looked at", err)
	}
	if problem := folderProblem(info); problem != "" {
		return nil, errors.New(problem)
	}
	return appendTo(root, filepath.Base(absolute))
}

// appendTo tries again when another program makes the file, or moves it away, at
// the same moment.
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
