package authority

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// DefaultDir returns the folder in which the embedded API keeps its files when
// no other is named: authority in [settings.DataFolder]. It does not make it.
func DefaultDir() (string, error) {
	base, err := settings.DataFolder()
	if err != nil {
		return "", err
	}
	return filepath.Join(base, "authority"), nil
}

// preparePrivateFolder makes dir for its owner alone, or checks that an
// existing one is a folder of ours that nobody else can write into.
func preparePrivateFolder(dir string) error {
	// 0o700 for the folders on the way too: they are missing only on a new
	// account, and whoever wants them wider can say so.
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return fmt.Errorf("the folder %s cannot be made, name one that you may write to: %w", dir, err)
	}
	err := os.Mkdir(dir, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("the folder %s cannot be made, name one that you may write to: %w", dir, err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the folder %s: %w", dir, err)
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s is a symbolic link, through which tokens could be led elsewhere: name the folder itself", dir)
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a folder: name another place, or move the file away", dir)
	}
	if problem := ownershipProblem(info); problem != "" {
		return fmt.Errorf("the folder %s %s: name a folder of your own", dir, problem)
	}
	if writableByOthers(info) {
		return fmt.Errorf("the folder %s can be written to by other users: run chmod go-w on it, or name another", dir)
	}
	return nil
}

// prepareDatabaseFolder makes the folder that a database file is to be in. An
// existing one may be anybody's, such as a system's temporary folder, as long
// as others cannot exchange the files of ours in it.
func prepareDatabaseFolder(database string) error {
	dir := filepath.Dir(database)
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

// requirePrivateFile refuses a file that others can read or that is not what
// its name says.
func requirePrivateFile(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("look at the file %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file: name the file itself", path)
	}
	if problem := ownershipProblem(info); problem != "" {
		return fmt.Errorf("the file %s %s: use a file of your own", path, problem)
	}
	if accessibleByOthers(info) {
		return fmt.Errorf("the file %s can be read by other users: run chmod 600 on it", path)
	}
	return nil
}

// writePrivateFile puts content in place of path at once, so that nobody reads
// half of it and a crash leaves the old or the new.
func writePrivateFile(path string, content []byte) (err error) {
	// CreateTemp makes files with mode 0600.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}
