package human

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/tokens"
)

// File delivers each new token into a file of its own that only the user can
// read, in a folder that only the user can look into.
type File struct {
	dir string
}

// NewFile delivers into dir, which is made at the first delivery if it is not
// there.
func NewFile(dir string) (*File, error) {
	if dir == "" {
		return nil, errors.New("the folder for new tokens has no name")
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the folder for new tokens: %w", err)
	}
	return &File{dir: absolute}, nil
}

// Road implements tokens.Deliverer.
func (*File) Road() string { return "file" }

// Check makes the folder if need be, looks at who else could reach into it, and
// writes a file of a token's size to see that it can be done.
func (f *File) Check(context.Context) (err error) {
	defer func() { err = f.named(err) }()
	root, err := f.open()
	if err != nil {
		return err
	}
	probe := ".probe-" + rand.Text()
	if err = writeSynced(root, probe, make([]byte, 512)); err == nil {
		err = cleanUp(root, probe)
	}
	return closeAfter(root, err)
}

// Deliver writes the token's value to a new file. The file appears under its
// name with all of its content or not at all.
func (f *File) Deliver(_ context.Context, _ tools.Caller, token *client.CreatedToken) (_ tokens.Receipt, err error) {
	defer func() { err = f.named(err) }()
	root, err := f.open()
	if err != nil {
		return tokens.Receipt{}, err
	}
	defer func() { err = closeAfter(root, err) }()

	name := token.ID + ".token"
	if _, err := root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return tokens.Receipt{}, fmt.Errorf("there is already a file for the token %s in the delivery folder", token.ID)
	}
	temporary := ".new-" + rand.Text()
	if err := writeSynced(root, temporary, []byte(token.Value.Reveal()+"\n")); err != nil {
		return tokens.Receipt{}, err
	}
	if err := root.Rename(temporary, name); err != nil {
		return tokens.Receipt{}, errors.Join(folderError("written to", err), cleanUp(root, temporary))
	}
	if err := syncFolder(root); err != nil {
		return tokens.Receipt{}, errors.Join(folderError("written to", err), cleanUp(root, name))
	}
	return tokens.Receipt{
		Road:  f.Road(),
		Where: filepath.Join(f.dir, name),
		Note:  "The value is in a file that only the user can read. Tell the person where; they move it to where it is needed and delete the file. Do not open it.",
	}, nil
}

// named shows the path in an error, as receipts do.
func (f *File) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", f.dir, err)
}

// open returns the folder, once it is known that nobody else can read from it
// or put something in its place.
func (f *File) open() (*os.Root, error) {
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, folderError("made", err)
	}
	before, err := os.Lstat(f.dir)
	if err != nil {
		return nil, folderError("looked at", err)
	}
	if err := private(before); err != nil {
		return nil, err
	}
	above, err := os.Stat(filepath.Dir(f.dir))
	if err != nil {
		return nil, folderError("looked at", err)
	}
	if replaceable(above) {
		return nil, errors.New("the folder above the delivery folder can be written to by everybody, who could put another in its place: choose another with --deliver-dir")
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return nil, folderError("opened", err)
	}
	// What was opened must be what was looked at.
	opened, err := root.Stat(".")
	if err != nil {
		err = folderError("looked at", err)
	} else if !os.SameFile(before, opened) {
		err = errors.New("the delivery folder was exchanged while it was opened: choose another with --deliver-dir")
	}
	if err != nil {
		return nil, closeAfter(root, err)
	}
	return root, nil
}

// private reports what is wrong with a folder for secrets.
func private(info fs.FileInfo) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return errors.New("the delivery folder is a symbolic link, which could lead anywhere: give the folder itself with --deliver-dir")
	case !info.IsDir():
		return errors.New("the place for delivery is not a folder: give another with --deliver-dir")
	case !ownedByUser(info):
		return errors.New("the delivery folder belongs to another user: choose another with --deliver-dir")
	case reachableByOthers(info):
		return errors.New("the delivery folder can be reached by other users: run chmod 700 on it, or choose another with --deliver-dir")
	}
	return nil
}

// writeSynced writes a new file, of which nothing is left if it fails.
func writeSynced(root *os.Root, name string, data []byte) (err error) {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return folderError("written to", err)
	}
	// The umask may have taken away from the owner what is his.
	err = file.Chmod(0o600)
	if err == nil {
		_, err = file.Write(data)
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(folderError("written to", err), cleanUp(root, name))
	}
	return nil
}

// folderError says what cannot be done with the delivery folder.
func folderError(done string, err error) error {
	return fmt.Errorf("%w: choose another with --deliver-dir", privatefile.Explain("the delivery folder cannot be "+done, err))
}

func cleanUp(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError("cleaned up", err)
	}
	return nil
}

// closeAfter closes root and returns err, the first error if there is one.
func closeAfter(root *os.Root, err error) error {
	if closeErr := root.Close(); err == nil && closeErr != nil {
		return folderError("closed", closeErr)
	}
	return err
}
